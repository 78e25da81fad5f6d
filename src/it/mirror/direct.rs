//! The short way of data: numbers, times and truth values of born metrics, written as the OT
//! half writes them, are published as they are in the journal, without a model between.
//!
//! It is a shortcut of [`super::frames`] and nothing else: what isn't clear at the first look, or
//! isn't in the one form that re-encoding would give it, goes the long way with all of its
//! message. A property test drives mirrors through both, and expects the same of them.

use std::sync::Arc;

use journal_format::Relayed;
use sparkplug::{Caps, Entity, NotScalars, PayloadWriter, Scalar, Scalars};

use crate::mirror::layout::Layout;
use crate::mirror::node::Node;
use crate::mirror::{Mirror, NodeId, Now, Outgoing};

/// News of one metric: its slot, timestamp (milliseconds since the epoch), whether it is
/// transient, and value.
type Update = (usize, u64, Option<bool>, Scalar);

impl Mirror {
    /// Folds in and publishes a data message whose way is clear; `None`: it has to go the long
    /// way, and nothing was done.
    pub(super) fn direct(
        &mut self,
        now: Now,
        seq: u64,
        entity: Entity<'_>,
        relayed: &Relayed,
    ) -> Option<NodeId> {
        #[cfg(test)]
        if !self.takes_shortcuts {
            return None;
        }
        let Entity { group, edge_node, device } = entity;
        let id = self.find(group, edge_node)?;
        let qos = self.settings.data_qos;
        let node = self.nodes.get_mut(id)?;
        // A loss is told before the data.
        if relayed.loss_before || !node.alive || !node.publishes() {
            return None;
        }
        let Node { layout, devices, topics, .. } = node;
        let (layout, topic) = match device {
            None => (layout, &topics.data),
            Some(name) => {
                let device = devices.get_mut(name).filter(|device| device.born)?;
                (&mut device.layout, &device.topics.data)
            }
        };
        let topic = Arc::clone(topic);
        let (metrics, updates) = read(layout, &relayed.payload, &self.settings.caps).ok()?;
        let layout = Arc::make_mut(layout);
        for (slot, timestamp, is_transient, value) in updates {
            layout.set(slot, timestamp, is_transient, value);
        }
        node.published(now.at, seq, seq);
        let seq = Some(node.next_seq().into());
        let timestamp = Some(node.data_stamp(now.wall_ms));
        // For timestamp and sequence number.
        let mut payload = PayloadWriter::new(timestamp, metrics.len().saturating_add(16));
        payload.metrics(metrics);
        let payload = payload.finish(seq);
        self.out.push_back(Outgoing::Publish { node: id, topic, payload, qos });
        Some(id)
    }
}

/// The metrics of a payload as they are on the wire, and what they say.
fn read<'a>(
    layout: &Layout,
    bytes: &'a [u8],
    caps: &Caps,
) -> Result<(&'a [u8], Vec<Update>), NotScalars> {
    let mut scalars = Scalars::new(bytes, caps)?;
    let mut updates = Vec::with_capacity(bytes.len() / 32);
    let (mut likely, mut in_order, mut canonical) = (0, true, 0_usize);
    while let Some(metric) = scalars.next()? {
        let place = layout.find_clear(&metric, likely).ok_or(NotScalars)?;
        likely = place.saturating_add(1);
        in_order &= metric.in_order;
        canonical = canonical.saturating_add(metric.encoded_len());
        let has_more =
            metric.alias.is_some() || metric.datatype.is_some() || metric.is_null.is_some();
        let timestamp = metric.timestamp.filter(|_| !has_more).ok_or(NotScalars)?;
        updates.push((place, timestamp, metric.is_transient, metric.value));
    }
    // Whatever isn't written in the shortest way is longer than what we would write.
    let as_we_write = in_order && canonical == scalars.section().len();
    if as_we_write && !updates.is_empty() {
        Ok((scalars.section(), updates))
    } else {
        Err(NotScalars)
    }
}

#[cfg(test)]
mod tests;
