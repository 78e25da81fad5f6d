//! What happened while a node's session was down, published as historical data: frames of the
//! journal are read a second time, oldest first, beside the live stream.
//!
//! The driver asks [`Mirror::begin_backfill`] for a stretch, reads it, hands every frame to
//! [`Mirror::handle_backfill`] and reports its progress with [`Mirror::backfill_passed`].

use journal_format::Relayed;
use journal_read::{Lost, LostCause};
use sparkplug::{self, Entity, MessageType, Metric, Payload, Topic, Value, names};

use super::layout::{Layout, LayoutPlaces, is_definition, normalise};
use super::node::Node;
use super::nodes::Nodes;
use super::notice::{Notice, count};
use super::policy_recheck::Refusals;
use super::step::StepContext;
use super::{Mirror, NodeId, Now};

/// The current second reading.
#[derive(Debug, Default)]
pub(super) struct Pass {
    to: u64,
    /// Nodes with ranges that the pass covers.
    nodes: Vec<NodeId>,
    unplaceable: Option<Unpublished>,
    withheld: Option<Unpublished>,
}

/// Frames with values that could not be published.
#[derive(Debug)]
struct Unpublished {
    first: u64,
    last: u64,
    frames: u64,
}

/// What became of one frame of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Reread {
    published: bool,
    /// It has values that have no place on IT any more.
    unplaceable: bool,
    /// The policy became tighter since, and nobody here knows whether it lets this leave.
    withheld: bool,
}

/// Metrics of a frame as historical data.
#[derive(Debug)]
pub(super) struct History {
    pub(super) metrics: Vec<Metric>,
    /// Metrics that hosts have no place for.
    pub(super) without_place: u64,
    pub(super) refusals: Refusals,
}

/// Hosts have no place for a metric of a missed frame.
struct NoPlace;

impl Mirror {
    /// The next stretch to read again, as `(from, to)` with `to` exclusive, over all nodes
    /// whose session is up. `None`: nothing is to be read now.
    pub fn begin_backfill(&mut self) -> Option<(u64, u64)> {
        let mut stretch: Option<(u64, u64)> = None;
        self.behind = false;
        let Mirror { nodes, pass, .. } = self;
        // Sessions may have ended since.
        pass.nodes.retain(|id| nodes.get(*id).is_some_and(|node| is_in_pass(&node)));
        nodes.for_each(|node| {
            if !node.is_behind() {
                return;
            }
            if !is_in_pass(&node) {
                pass.nodes.push(node.id);
            }
            let node = node.change();
            for range in node.ranges.iter_mut().filter(|range| range.sent_to < range.to) {
                range.in_pass = true;
                range.sent_to = range.from;
                let (from, to) = stretch.unwrap_or((range.from, range.to));
                stretch = Some((from.min(range.from), to.max(range.to)));
            }
            node.set_range_timers();
        });
        if let Some((_, to)) = stretch {
            self.notify_unplaceable();
            self.pass.to = to;
        }
        stretch
    }

    /// Publishes what frame `seq` holds for a node that missed it; true if it published.
    pub fn handle_backfill(&mut self, now: Now, seq: u64, relayed: &Relayed) -> bool {
        if !self.news.is_empty()
            && let Ok(Topic::Entity(topic)) = Topic::parse(&relayed.topic)
        {
            self.hear_by_name(now, topic.entity.group, topic.entity.edge_node);
            self.settle(now);
        }
        let withholds = self.withholds(seq);
        let (mut step, nodes) = self.step(now);
        let reread = step.reread(nodes, seq, relayed, withholds);
        let Reread { published, unplaceable, withheld } = reread;
        if published {
            count(&mut self.tally.backfilled);
        }
        if unplaceable {
            count(&mut self.tally.unplaceable);
            note(&mut self.pass.unplaceable, seq);
        }
        if withheld {
            count(&mut self.tally.withheld);
            note(&mut self.pass.withheld, seq);
        }
        published
    }

    /// Every frame below `upto` of the current stretch was handed in. With `upto` at the end
    /// of the stretch the pass is over.
    pub fn backfill_passed(&mut self, upto: u64) {
        if upto >= self.pass.to {
            self.notify_unplaceable();
        }
        let Mirror { nodes, pass, .. } = self;
        pass.nodes.retain(|id| {
            let node = nodes.get(*id).filter(|node| is_in_pass(node));
            let Some(node) = node else { return false };
            let node = node.change();
            // While a rebirth is due nothing of this node is published: its range starts over.
            let publishes = node.publishes();
            for range in node.ranges.iter_mut().filter(|range| range.in_pass) {
                if publishes {
                    range.sent_to = range.sent_to.max(upto.min(range.to));
                } else {
                    range.start_over();
                }
            }
            node.set_range_timers();
            publishes
        });
    }

    /// Frames `lost` of the current stretch can't be had any more.
    pub fn backfill_lost(&mut self, lost: Lost) {
        let last = lost.last.min(self.pass.to.saturating_sub(1));
        if lost.first > last {
            return;
        }
        let lost = Lost { last, ..lost };
        let is_first = |(from, to): (u64, u64)| (from..to).contains(&lost.first);
        if lost.cause == LostCause::Link && !self.first_stretch.is_some_and(is_first) {
            // It was counted when it was seen first.
            return;
        }
        self.tally.frames_lost = self.tally.frames_lost.saturating_add(lost.frames());
        let Lost { first, last, cause } = lost;
        self.notices.push(Notice::FramesLost { first, last, cause });
    }

    fn notify_unplaceable(&mut self) {
        if let Some(Unpublished { first, last, frames }) = self.pass.unplaceable.take() {
            self.notices.push(Notice::Unplaceable { first, last, frames });
        }
        if let Some(Unpublished { first, last, frames }) = self.pass.withheld.take() {
            self.notices.push(Notice::Withheld { first, last, frames });
        }
    }

    /// Whether a range could be read if a pass began now, as far as the last tick saw: this is
    /// asked often.
    pub fn wants_backfill(&self) -> bool {
        self.behind
    }
}

impl StepContext<'_> {
    fn reread(
        &mut self,
        nodes: &mut Nodes,
        seq: u64,
        relayed: &Relayed,
        withholds: bool,
    ) -> Reread {
        let nothing = Reread::default();
        let Ok(Topic::Entity(topic)) = Topic::parse(&relayed.topic) else { return nothing };
        if topic.message_type.is_death() {
            return nothing;
        }
        let Entity { group, edge_node, device } = topic.entity;
        let Some(node) = nodes.find(group, edge_node) else { return nothing };
        let missed = node
            .ranges
            .iter()
            .any(|range| range.in_pass && (range.sent_to..range.to).contains(&seq));
        if !missed || !node.publishes() {
            return nothing;
        }
        if withholds {
            return Reread { withheld: true, ..nothing };
        }
        let layout = match device {
            None => Some(&node.layout),
            Some(name) => {
                let device = node.devices.get(name).filter(|device| device.is_born());
                device.map(|device| &device.layout)
            }
        };
        let decoded = sparkplug::decode(&relayed.payload, &self.settings.caps);
        let (Some(layout), Ok(decoded)) = (layout, decoded) else {
            return Reread { unplaceable: true, ..nothing };
        };
        let birth = matches!(topic.message_type, MessageType::NBirth | MessageType::DBirth);
        // What is refused of these metrics was counted when the frame came first.
        let history = self.history(&node, layout, decoded.payload, relayed.received_ms, birth);
        let published = !history.metrics.is_empty();
        if published {
            self.publish_data(node.change(), device, history.metrics);
        }
        Reread { published, unplaceable: history.without_place > 0, ..nothing }
    }

    /// Makes historical data of the metrics of a frame, which says what was.
    pub(super) fn history(
        &self,
        node: &Node,
        layout: &Layout,
        payload: Payload,
        received_ms: u64,
        birth: bool,
    ) -> History {
        let date = payload.timestamp.unwrap_or(received_ms);
        let mut history = History {
            metrics: Vec::with_capacity(payload.metrics.len()),
            without_place: 0,
            refusals: Refusals::default(),
        };
        let mut places = LayoutPlaces::default();
        for mut metric in payload.metrics {
            if !layout.recheck(&mut metric, &mut history.refusals, &mut places) {
                continue;
            }
            match place(metric, layout, date, birth) {
                // The birth in force may not need the template any more that it refers to.
                Ok(Some(metric)) if !node.layout.defines_all_of(&metric) => {
                    count(&mut history.without_place);
                }
                Ok(historical) => history.metrics.extend(historical),
                Err(NoPlace) => count(&mut history.without_place),
            }
        }
        history
    }
}

/// Adds a frame to those of a pass.
fn note(so_far: &mut Option<Unpublished>, seq: u64) {
    let so_far = so_far.get_or_insert(Unpublished { first: seq, last: seq, frames: 0 });
    so_far.last = so_far.last.max(seq);
    count(&mut so_far.frames);
}

/// The current pass covers missed frames of the node.
fn is_in_pass(node: &Node) -> bool {
    node.ranges.iter().any(|range| range.in_pass)
}

/// Makes historical data of a metric of a missed frame. `None`: hosts hold it already, or it is
/// no value of the plant.
fn place(
    mut metric: Metric,
    layout: &Layout,
    date: u64,
    birth: bool,
) -> Result<Option<Metric>, NoPlace> {
    // Definitions are no values: births have them, and data never does.
    if birth && is_definition(&metric) {
        return Ok(None);
    }
    if !layout.takes(&metric) {
        // Control metrics are in no layout, and their values are the session's own.
        let control = metric.name.as_deref().is_some_and(|name| {
            name == names::BD_SEQ || name == names::REBIRTH || names::is_control(name)
        });
        return if control { Ok(None) } else { Err(NoPlace) };
    }
    metric.timestamp.get_or_insert(date);
    if layout.is_current(&metric) {
        return Ok(None);
    }
    if birth && matches!(metric.value, Some(Value::Template(_))) {
        // Births repeat whole templates with their datatypes, which data may not.
        return Err(NoPlace);
    }
    metric.alias = metric.name.as_deref().and_then(|name| layout.alias_of(name));
    metric.datatype = None;
    metric.is_historical = Some(true);
    normalise(&mut metric);
    Ok(Some(metric))
}
