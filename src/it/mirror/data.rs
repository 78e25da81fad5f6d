//! Data of the plant, folded into what is known and published: the long way, for all that the
//! [fast path](super::fast_path) doesn't take.

use std::sync::Arc;

use account::Reason;
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
        relayed_bytes: usize,
    ) -> Result<(), Reason> {
        let layout = node.layout_of_mut(device).ok_or(Reason::DataBeforeBirth)?;
        let layout = Arc::make_mut(layout);
        let mut metrics = payload.metrics;
        let (mut unknown, mut mismatched): (u64, u64) = (0, 0);
        let mut refusals = Refusals::default();
        let most = self.settings.caps.metric_properties;
        let mut fold = |named: &mut NamedMetric<'_>| {
            layout.fold(named.name, &mut named.metric, date, most, &mut refusals)
        };
        metrics.retain_mut(|named| match fold(named) {
            Folded::Known | Folded::Refreshed => true,
            Folded::Refused => false,
            Folded::Unknown => {
                unknown = unknown.saturating_add(1);
                false
            }
            Folded::Mismatch => {
                mismatched = mismatched.saturating_add(1);
                false
            }
        });
        let empty = metrics.is_empty();
        match node.data_topic(device).filter(|_| node.publishes()) {
            _ if empty => {}
            Some(topic) => {
                self.published(node, seq, seq);
                let metrics = metrics.iter().map(|named| (named.name, &named.metric));
                self.publish_metrics(node, topic, relayed_bytes, metrics);
            }
            None => node.miss_data(device, seq),
        }
        let origin = node.origin(device);
        self.drop_metrics(origin, unknown, Reason::UnknownMetric);
        self.drop_metrics(origin, mismatched, Reason::TypeMismatch);
        let refused = self.drop_refusals(origin, &refusals);
        match (empty, mismatched) {
            (false, _) => Ok(()),
            (true, _) if refused => Err(Reason::Recheck),
            (true, 0) => Err(Reason::UnknownMetric),
            (true, _) => Err(Reason::TypeMismatch),
        }
    }
}
