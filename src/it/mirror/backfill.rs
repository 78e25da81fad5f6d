//! What happened while a node's session was down, published as historical data: frames of the
//! journal are read a second time, oldest first, beside the live stream.
//!
//! The driver asks [`Mirror::begin_backfill`] for a stretch, reads it, hands every frame to
//! [`Mirror::handle_backfill`] and reports its progress with [`Mirror::backfill_passed`].

use journal_format::Relayed;
use journal_read::Lost;
use sparkplug::{Entity, MessageType, Metric, Topic, Value, names};

use crate::mirror::layout::Layout;
use crate::mirror::node::Node;
use crate::mirror::recheck::Rechecked;
use crate::mirror::{Mirror, Notice, Now};

/// The current second reading.
#[derive(Debug, Default)]
pub(super) struct Pass {
    to: u64,
    unplaceable: Option<Unplaceable>,
}

/// Frames with values that could not be published.
#[derive(Debug)]
struct Unplaceable {
    first: u64,
    last: u64,
    frames: u64,
}

/// Hosts have no place for a metric of a missed frame.
struct NoPlace;

impl Mirror {
    /// The next stretch to read again, as `(from, to)` with `to` exclusive, over all nodes
    /// whose session is up. `None`: nothing is to be read now.
    pub fn begin_backfill(&mut self) -> Option<(u64, u64)> {
        let mut stretch: Option<(u64, u64)> = None;
        self.behind = false;
        for id in self.node_ids() {
            if !self.node(id).is_some_and(Node::is_behind) {
                continue;
            }
            let Some(node) = self.node_mut(id) else { continue };
            for range in node.ranges.iter_mut().filter(|range| range.sent_to < range.to) {
                range.in_pass = true;
                range.sent_to = range.from;
                let (from, to) = stretch.unwrap_or((range.from, range.to));
                stretch = Some((from.min(range.from), to.max(range.to)));
            }
        }
        if let Some((_, to)) = stretch {
            self.tell_unplaceable();
            self.pass.to = to;
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
            None => Some(&node.layout),
            Some(name) => {
                node.devices.get(name).filter(|device| device.born).map(|device| &device.layout)
            }
        };
        let decoded = sparkplug::decode(&relayed.payload, &self.settings.caps);
        let (Some(layout), Ok(decoded)) = (layout, decoded) else {
            self.unplaceable(seq);
            return false;
        };
        let date = decoded.payload.timestamp.unwrap_or(relayed.received_ms);
        let birth = matches!(topic.message_type, MessageType::NBirth | MessageType::DBirth);
        let mut metrics = Vec::with_capacity(decoded.payload.metrics.len());
        let mut complete = true;
        let mut rechecked = Rechecked::default();
        for mut metric in decoded.payload.metrics {
            if !layout.recheck(&mut metric, &mut rechecked) {
                continue;
            }
            match place(metric, layout, date, birth) {
                Ok(historical) => metrics.extend(historical),
                Err(NoPlace) => complete = false,
            }
        }
        // These metrics were counted when the frame came first.
        if !complete {
            self.unplaceable(seq);
        }
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
        if upto >= self.pass.to {
            self.tell_unplaceable();
        }
        // A node in the pass isn't at rest.
        let awake = self.nodes.awake().iter().copied();
        let in_pass = awake.filter(|id| {
            let node = self.node(*id);
            node.is_some_and(|node| node.ranges.iter().any(|range| range.in_pass))
        });
        for id in in_pass.collect::<Vec<_>>() {
            let Some(node) = self.node_mut(id) else { continue };
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

    /// Frames `lost` of the current stretch can't be had any more.
    pub fn backfill_lost(&mut self, lost: Lost) {
        let last = lost.last.min(self.pass.to.saturating_sub(1));
        if lost.first > last {
            return;
        }
        let lost = Lost { last, ..lost };
        self.tally.frames_lost = self.tally.frames_lost.saturating_add(lost.frames());
        let Lost { first, last, cause } = lost;
        self.notice(Notice::FramesLost { first, last, cause });
    }

    fn unplaceable(&mut self, seq: u64) {
        self.tally.unplaceable = self.tally.unplaceable.saturating_add(1);
        let none = Unplaceable { first: seq, last: seq, frames: 0 };
        let so_far = self.pass.unplaceable.get_or_insert(none);
        so_far.last = so_far.last.max(seq);
        so_far.frames = so_far.frames.saturating_add(1);
    }

    fn tell_unplaceable(&mut self) {
        if let Some(Unplaceable { first, last, frames }) = self.pass.unplaceable.take() {
            self.notice(Notice::Unplaceable { first, last, frames });
        }
    }

    /// Whether a range could be read if a pass began now, as far as the last tick saw: this is
    /// asked often.
    pub fn wants_backfill(&self) -> bool {
        self.behind
    }
}

/// Makes historical data of a metric of a missed frame. `None`: hosts hold it already, or it is
/// no value of the plant.
fn place(
    mut metric: Metric,
    layout: &Layout,
    date: u64,
    birth: bool,
) -> Result<Option<Metric>, NoPlace> {
    if !layout.takes(&metric) {
        // Control metrics are in no layout, and their values are the session's own.
        let control = metric.name.as_deref().is_some_and(|name| {
            name == names::BD_SEQ || name == names::REBIRTH || names::is_control(name)
        });
        return if control { Ok(None) } else { Err(NoPlace) };
    }
    let template = match &metric.value {
        Some(Value::Template(template)) => Some(template.is_definition == Some(true)),
        _ => None,
    };
    // Definitions are no values and never appear in data.
    if template == Some(true) {
        return Ok(None);
    }
    metric.timestamp.get_or_insert(date);
    if layout.is_current(&metric) {
        return Ok(None);
    }
    if birth && template.is_some() {
        // Births repeat whole templates with their datatypes, which data may not.
        return Err(NoPlace);
    }
    metric.alias = None;
    metric.datatype = None;
    metric.is_historical = Some(true);
    if metric.value.is_none() {
        metric.is_null = Some(true);
    }
    Ok(Some(metric))
}
