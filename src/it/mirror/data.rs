//! Data of the plant, folded into what is known and published: the long way, for all that the
//! [fast path](super::fast_path) doesn't take.

use std::sync::Arc;

use account::Reason;
use journal_format::Relayed;
use sparkplug::footprint::{lets_go, value_bytes};
use sparkplug::{Borrowed, NamedMetric};

use super::layout::Folded;
use super::node::Node;
use super::policy_recheck::Refusals;
use super::step::StepContext;

impl StepContext<'_> {
    pub(super) fn data(
        &mut self,
        node: &mut Node,
        device: Option<&str>,
        seq: u64,
        payload: Borrowed<'_>,
        date: u64,
        relayed: &Relayed,
    ) -> Result<(), Reason> {
        let names_datatypes = self.names_datatypes(relayed.typed);
        let mut bytes = node.bytes();
        let layout = node.layout_of_mut(device).ok_or(Reason::DataBeforeBirth)?;
        let layout = Arc::make_mut(layout);
        layout.is_typed = relayed.typed;
        let mut metrics = payload.metrics;
        let (mut unknown, mut mismatched): (u64, u64) = (0, 0);
        let mut refusals = Refusals::default();
        let most = self.settings.caps.metric_properties;
        let (mut refused_bytes, mut shortage) = (0_u64, None);
        let room = self.room;
        let mut fold = |named: &mut NamedMetric<'_>| {
            let more = value_bytes(&named.metric);
            let has_room = |bytes: usize| room.check(bytes.saturating_add(more));
            if more > 0
                && named.metric.is_historical != Some(true)
                && has_room(bytes).is_err()
                && let Some(current) = named.name.and_then(|name| layout.metric(name))
                && let Err(short) = has_room(bytes.saturating_sub(lets_go(current, &named.metric)))
            {
                shortage = Some(short);
                return Folded::OverMemory;
            }
            let before = layout.bytes();
            let folded = {
                let (metric, outdated) = (&mut named.metric, relayed.outdated);
                layout.fold(named.name, metric, date, outdated, most, &mut refusals)
            };
            bytes = bytes.saturating_add(layout.bytes()).saturating_sub(before);
            folded
        };
        metrics.retain_mut(|named| match fold(named) {
            Folded::Known | Folded::Refreshed => true,
            Folded::Refused => false,
            Folded::OverMemory => {
                refused_bytes = refused_bytes.saturating_add(1);
                false
            }
            Folded::Unknown => {
                unknown = unknown.saturating_add(1);
                false
            }
            Folded::Mismatch => {
                mismatched = mismatched.saturating_add(1);
                false
            }
        });
        if names_datatypes {
            for named in &mut metrics {
                layout.name_datatype(named.name.unwrap_or_default(), &mut named.metric);
            }
        }
        node.count(device);
        let empty = metrics.is_empty();
        match node.data_topic(device).filter(|_| node.publishes()) {
            _ if empty => {}
            Some(topic) => {
                self.published(node, seq, seq);
                let metrics = metrics.iter().map(|named| (named.name, &named.metric));
                self.publish_metrics(node, topic, relayed.payload.len(), metrics);
            }
            None => node.miss_data(device, seq),
        }
        if let Some(shortage) = shortage {
            let _ = self.refuse_memory(node, device, shortage);
            // What hosts have of the node is out of date.
            self.gap(node);
        }
        let origin = node.origin(device);
        self.drop_metrics(origin, refused_bytes, Reason::OverMemory);
        self.drop_metrics(origin, unknown, Reason::UnknownMetric);
        self.drop_metrics(origin, mismatched, Reason::TypeMismatch);
        let refused = self.drop_refusals(origin, &refusals);
        match (empty, mismatched) {
            (false, _) => Ok(()),
            (true, _) if refused_bytes > 0 => Err(Reason::OverMemory),
            (true, _) if refused => Err(Reason::Recheck),
            (true, 0) => Err(Reason::UnknownMetric),
            (true, _) => Err(Reason::TypeMismatch),
        }
    }
}
