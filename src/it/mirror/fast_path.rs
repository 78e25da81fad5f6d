//! The fast path of data: numbers, times and truth values of born metrics, written as the OT half
//! writes them, are published as they are in the journal, or by their aliases, without a model
//! between.
//!
//! It is a shortcut of [`super::data`] and nothing else: what isn't eligible at the first look, or
//! isn't in the one form that re-encoding would give it, goes the long way with all of its
//! message. A property test drives mirrors through both, and expects the same of them.

use std::sync::Arc;

use journal_format::compact::{CompactValue, Entries, Entry};
use journal_format::{Data, Relayed};
use sparkplug::{Caps, NotScalars, Scalar, Scalars};

use super::encode::{self, Update};
use super::layout::Layout;
use super::node::Node;
use super::settings::Aliases;
use super::step::StepContext;

/// What the time of a payload takes at most, with its key.
const TIME_BYTES: usize = 11;
/// What a metric takes at most, beside its name.
const METRIC_BYTES: usize = 48;

/// A message that may take the fast path.
#[derive(Debug)]
pub(super) struct FastPath<'a> {
    /// As they are on the wire; `None`: the journal tells them by their places.
    metrics: Option<&'a [u8]>,
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
        let (layout, topic) = born(node, device).ok_or(FastPathMiss)?;
        let (metrics, updates) = read(layout, &relayed.payload, caps)?;
        Ok(FastPath { metrics: Some(metrics), updates, topic: Arc::clone(topic) })
    }

    /// The same of data that is told by places, which the node's layout knows.
    ///
    /// # Errors
    /// It has to go the long way, by names.
    pub(super) fn of_places(
        node: &Node,
        device: Option<&str>,
        data: &Data,
        caps: &Caps,
    ) -> Result<FastPath<'a>, FastPathMiss> {
        if data.loss_before || !node.publishes() {
            return Err(FastPathMiss);
        }
        let (layout, topic) = born(node, device).ok_or(FastPathMiss)?;
        let updates = read_places(layout, data, caps)?;
        Ok(FastPath { metrics: None, updates, topic: Arc::clone(topic) })
    }
}

/// The layout of a node or device whose birth IT has seen, and the topic of its data.
fn born<'n>(node: &'n Node, device: Option<&str>) -> Option<(&'n Layout, &'n Arc<str>)> {
    match device {
        None => Some((&node.layout, &node.topics.data)),
        Some(name) => {
            let device = node.devices.get(name).filter(|device| device.is_born())?;
            Some((&device.layout, &device.topics.data))
        }
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
        let (stamp, seq) = self.next_of(node);
        let payload = match (metrics.filter(|_| !by_alias), node.layout_of(device)) {
            (Some(metrics), _) => encode::data_as_it_is(stamp, seq, metrics),
            (None, Some(layout)) => encode::scalars(stamp, seq, layout, &updates),
            (None, None) => {
                return mistake::mistake!("data of a device that was looked at and isn't there");
            }
        };
        self.publish(node.via, topic, payload);
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

/// What metrics that are told by places say. What they take by names stays within the caps.
fn read_places(layout: &Layout, data: &Data, caps: &Caps) -> Result<Vec<Update>, FastPathMiss> {
    let mut updates = Vec::with_capacity(data.metrics.len() / 10);
    let mut entries = Entries::new(data.timestamp, &data.metrics);
    let mut bytes = TIME_BYTES;
    while let Some(entry) = entries.next().map_err(|_| FastPathMiss)? {
        let Entry::Metric(place, metric) = entry else { return Err(FastPathMiss) };
        let value = match metric.value {
            CompactValue::Int(value) => Scalar::Int(value),
            CompactValue::Long(value) => Scalar::Long(value),
            CompactValue::Float(value) => Scalar::Float(value),
            CompactValue::Double(value) => Scalar::Double(value),
            CompactValue::Boolean(value) => Scalar::Boolean(value),
            CompactValue::Null | CompactValue::Text(_) => return Err(FastPathMiss),
        };
        let slot = layout.eligible_at(place, value).ok_or(FastPathMiss)?;
        let name = layout.name_at(slot).map_or(0, str::len);
        bytes = bytes.saturating_add(name).saturating_add(METRIC_BYTES);
        let is_news = metric.is_historical != Some(true);
        if !is_news || name > caps.name_bytes || bytes > caps.payload_bytes {
            return Err(FastPathMiss);
        }
        updates.push(Update {
            slot,
            timestamp: metric.timestamp,
            is_historical: metric.is_historical,
            is_transient: metric.is_transient,
            value,
        });
    }
    if updates.is_empty() || updates.len() > caps.metrics {
        return Err(FastPathMiss);
    }
    Ok(updates)
}

#[cfg(test)]
mod tests;
