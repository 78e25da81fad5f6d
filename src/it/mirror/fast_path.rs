//! The fast path of data: numbers, times and truth values of born metrics, written as the OT half
//! writes them, are published as they are in the journal, or by their aliases, without a model
//! between.
//!
//! It is a shortcut of [`super::data`] and nothing else: what isn't eligible at the first look, or
//! isn't in the one form that re-encoding would give it, goes the long way with all of its
//! message. A property test drives mirrors through both, and expects the same of them.

use std::sync::Arc;

use journal_format::Relayed;
use sparkplug::{Caps, NotScalars, Scalars};

use super::encode::{self, Update};
use super::layout::Layout;
use super::node::Node;
use super::settings::Aliases;
use super::step::StepContext;

/// A message that may take the fast path.
#[derive(Debug)]
pub(super) struct FastPath<'a> {
    /// As they are on the wire.
    metrics: &'a [u8],
    updates: Vec<Update>,
    topic: Arc<str>,
}

/// A message has to go the long way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FastPathMiss;

impl From<NotScalars> for FastPathMiss {
    fn from(_: NotScalars) -> FastPathMiss {
        FastPathMiss
    }
}

impl<'a> FastPath<'a> {
    /// Looks at data of a node that is alive, and changes nothing.
    ///
    /// # Errors
    /// It has to go the long way.
    pub(super) fn of(
        node: &Node,
        device: Option<&str>,
        relayed: &'a Relayed,
        caps: &Caps,
    ) -> Result<FastPath<'a>, FastPathMiss> {
        // A loss comes before the data.
        if relayed.loss_before || !node.publishes() {
            return Err(FastPathMiss);
        }
        let (layout, topic) = match device {
            None => (&node.layout, &node.topics.data),
            Some(name) => {
                let device = node.devices.get(name).filter(|device| device.is_born());
                let device = device.ok_or(FastPathMiss)?;
                (&device.layout, &device.topics.data)
            }
        };
        let (metrics, updates) = read(layout, &relayed.payload, caps)?;
        Ok(FastPath { metrics, updates, topic: Arc::clone(topic) })
    }
}

impl StepContext<'_> {
    /// Folds in and publishes a data message of the node that [`FastPath::of`] has looked at.
    pub(super) fn take_fast_path(
        &mut self,
        node: &mut Node,
        device: Option<&str>,
        seq: u64,
        message: FastPath<'_>,
    ) {
        let FastPath { metrics, updates, topic } = message;
        node.unheard = false;
        let Some(layout) = node.layout_of_mut(device) else {
            return mistake::mistake!("data of a device that was looked at and isn't there");
        };
        let layout = Arc::make_mut(layout);
        for &Update { slot, timestamp, is_transient, value, .. } in &updates {
            layout.set(slot, timestamp, is_transient, value);
        }
        let by_alias = layout.aliases != Aliases::Never;
        self.published(node, seq, seq);
        let stamp = node.data_stamp(self.now.wall_ms);
        let seq = node.next_seq();
        let payload = match node.layout_of(device).filter(|_| by_alias) {
            Some(layout) => encode::scalars(stamp, seq, layout, &updates),
            None => encode::data_as_it_is(stamp, seq, metrics),
        };
        self.publish(node.id, topic, payload);
    }
}

/// The metrics of a payload as they are on the wire, and what they say.
fn read<'a>(
    layout: &Layout,
    bytes: &'a [u8],
    caps: &Caps,
) -> Result<(&'a [u8], Vec<Update>), FastPathMiss> {
    let mut scalars = Scalars::new(bytes, caps)?;
    let mut updates = Vec::with_capacity(bytes.len() / 32);
    let (mut likely, mut in_order, mut canonical) = (0, true, 0_usize);
    while let Some(metric) = scalars.next()? {
        let place = layout.find_eligible(&metric, likely).ok_or(FastPathMiss)?;
        likely = place.saturating_add(1);
        in_order &= metric.in_order;
        canonical = canonical.saturating_add(metric.encoded_len());
        let has_more =
            metric.alias.is_some() || metric.datatype.is_some() || metric.is_null.is_some();
        let timestamp = metric.timestamp.filter(|_| !has_more).ok_or(FastPathMiss)?;
        updates.push(Update {
            slot: place,
            timestamp,
            is_historical: metric.is_historical,
            is_transient: metric.is_transient,
            value: metric.value,
        });
    }
    // Whatever isn't written in the shortest way is longer than what we would write.
    let as_we_write = in_order && canonical == scalars.section().len();
    if as_we_write && !updates.is_empty() {
        Ok((scalars.section(), updates))
    } else {
        Err(FastPathMiss)
    }
}

#[cfg(test)]
mod tests;
