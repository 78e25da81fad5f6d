//! What happened while a node's session was down, published as historical data: frames of the
//! journal are read a second time, oldest first, beside the live stream.
//!
//! The driver asks [`Mirror::begin_backfill`] for a stretch, reads it, hands every frame to
//! [`Mirror::handle_backfill`] and reports its progress with [`Mirror::backfill_passed`].

use crate::it::mirror::layout::Layout;
use crate::it::mirror::node::Session;
use crate::it::mirror::{Mirror, Now};
use crate::journal::Relayed;
use crate::sparkplug::{self, Entity, MessageType, Metric, Topic, Value};

impl Mirror {
    /// The next stretch to read again, as `(from, to)` with `to` exclusive, over all nodes
    /// whose session is up. `None`: nothing is to be read now.
    pub fn begin_backfill(&mut self) -> Option<(u64, u64)> {
        let mut stretch: Option<(u64, u64)> = None;
        for node in self.nodes.iter_mut().filter(|node| node.session == Session::Born) {
            for range in node.ranges.iter_mut().filter(|range| range.sent_to < range.to) {
                range.in_pass = true;
                range.sent_to = range.from;
                let (from, to) = stretch.unwrap_or((range.from, range.to));
                stretch = Some((from.min(range.from), to.max(range.to)));
            }
        }
        stretch
    }

    /// Publishes what frame `seq` holds for a node that missed it; true if it published.
    pub fn handle_backfill(&mut self, now: Now, seq: u64, relayed: &Relayed) -> bool {
        let Ok(Topic::Entity(topic)) = Topic::parse(&relayed.topic) else { return false };
        if topic.message_type.is_death() {
            return false;
        }
        let Entity { group, edge_node, device } = topic.entity;
        let Some(id) = self.find(group, edge_node) else { return false };
        let Some(node) = self.node(id) else { return false };
        let missed = node
            .ranges
            .iter()
            .any(|range| range.in_pass && (range.sent_to..range.to).contains(&seq));
        if !missed || !node.publishes() {
            return false;
        }
        let layout = match device {
            None => &node.layout,
            Some(name) => match node.devices.get(name) {
                Some(device) if device.born => &device.layout,
                _ => return false,
            },
        };
        let Ok(decoded) = sparkplug::decode(&relayed.payload, &self.settings.caps) else {
            return false;
        };
        let date = decoded.payload.timestamp.unwrap_or(relayed.received_ms);
        let birth = matches!(topic.message_type, MessageType::NBirth | MessageType::DBirth);
        let metrics: Vec<Metric> = decoded
            .payload
            .metrics
            .into_iter()
            .filter_map(|metric| historical(metric, layout, date, birth))
            .collect();
        if metrics.is_empty() {
            return false;
        }
        self.publish_data(now, id, device, metrics);
        self.tally.backfilled = self.tally.backfilled.saturating_add(1);
        true
    }

    /// Every frame below `upto` of the current stretch was handed in. With `upto` at the end
    /// of the stretch the pass is over.
    pub fn backfill_passed(&mut self, upto: u64) {
        for node in self.nodes.iter_mut().filter(|node| !node.ranges.is_empty()) {
            // While a rebirth is due nothing of this node is published: its range starts over.
            let publishes = node.publishes();
            for range in node.ranges.iter_mut().filter(|range| range.in_pass) {
                if publishes {
                    range.sent_to = range.sent_to.max(upto.min(range.to));
                } else {
                    range.in_pass = false;
                    range.sent_to = range.from;
                }
            }
        }
    }

    /// Whether a range could be read if a pass began now.
    pub fn wants_backfill(&self) -> bool {
        self.nodes.iter().any(|node| {
            node.session == Session::Born
                && node.ranges.iter().any(|range| range.sent_to < range.to)
        })
    }
}

/// A metric of a missed frame as historical data, or `None` where hosts couldn't place it (its
/// birth doesn't have it) or hold it already.
fn historical(mut metric: Metric, layout: &Layout, date: u64, birth: bool) -> Option<Metric> {
    if !layout.takes(&metric) {
        return None;
    }
    if birth && matches!(&metric.value, Some(Value::Template(_))) {
        // Births repeat whole templates; definitions never appear in data.
        return None;
    }
    metric.timestamp.get_or_insert(date);
    if layout.is_current(&metric) {
        return None;
    }
    metric.alias = None;
    metric.datatype = None;
    metric.is_historical = Some(true);
    if metric.value.is_none() {
        metric.is_null = Some(true);
    }
    Some(metric)
}
