//! Frames that came late over a link between two boxes: they were lost when later ones came, and what
//! they say is history. They give no sign of life, set nothing back, and are published as historical
//! data, beside what is now.
//!
//! A late frame stands in the journal behind the frame before the next one that is wanted: that is its
//! place, whatever its number is. What the broker isn't known to hold of it is read again there.

use std::time::Duration;

use account::{Fate, NodeSlot, Origin, Reason};
use journal_format::{Body, Frame, Relayed};

use super::frames::entity_topic;
use super::layout::Layout;
use super::node::Node;
use super::nodes::Nodes;
use super::notice::{Notice, count};
use super::outgoing::NodeId;
use super::step::StepContext;
use super::{Mirror, Now};

/// Late frames come many at a time: they are told together, this long after the first of them.
const TELL_AFTER: Duration = Duration::from_secs(5);

/// Late frames that people haven't heard of.
#[derive(Debug)]
pub(super) struct LateFrames {
    since: Duration,
    first: u64,
    last: u64,
    frames: u64,
    used: u64,
}

impl Mirror {
    /// Takes a frame that came late.
    pub(super) fn late_frame(&mut self, now: Now, frame: &Frame) {
        count(&mut self.tally.late);
        self.hear_before(now, frame);
        let place = self.position.saturating_sub(1);
        let used = match &frame.body {
            Some(Body::Relayed(relayed)) => self.late_message(now, frame.seq, place, relayed),
            Some(Body::Start(start)) => {
                // A mark that was lost with it holds from now on.
                self.tightened_seq = self.tightened_seq.max(start.tightened_seq);
                true
            }
            // They say how it was: nobody needs that any more.
            Some(Body::Keyframe(_) | Body::Heartbeat(_)) => true,
            Some(Body::Data(_)) | None => {
                count(&mut self.tally.unplaceable);
                false
            }
        };
        self.note_late(now, frame.seq, used);
    }

    /// The same of a frame that is set aside, since this half was ended with it twice.
    pub fn set_aside_late(&mut self, now: Now, frame: &Frame) {
        count(&mut self.tally.late);
        self.note_late(now, frame.seq, false);
    }

    /// Publishes what a late frame holds for a node that missed it; `place`: the number of the frame
    /// before it in the journal.
    pub fn backfill_late(&mut self, now: Now, place: u64, frame: &Frame) {
        let Some(Body::Relayed(relayed)) = &frame.body else { return };
        self.hear_before(now, frame);
        self.settle(now);
        if self.withholds(frame.seq) {
            return;
        }
        let (mut step, nodes) = self.step(now);
        let Ok(topic) = entity_topic(&relayed.topic) else { return };
        let Some(node) = nodes.find(topic.entity.group, topic.entity.edge_node) else { return };
        let is_missed = |node: &Node| {
            let mut ranges = node.ranges.iter().filter(|range| range.in_pass);
            ranges.any(|range| (range.from..range.to).contains(&place))
        };
        if node.publishes() && is_missed(&node) {
            // It was counted when it came first.
            let _ = step.publish_late(node.change(), topic.entity.device, relayed);
        }
    }

    /// Tells of late frames, if it is time.
    pub(super) fn tell_late(&mut self, now: Now) {
        let stopping = self.stopping;
        let due =
            |late: &mut LateFrames| stopping || now.mono.saturating_sub(late.since) >= TELL_AFTER;
        if let Some(LateFrames { first, last, frames, used, .. }) = self.late.take_if(due) {
            self.notices.push(Notice::LateFrames { first, last, frames, used });
        }
    }

    fn late_message(&mut self, now: Now, seq: u64, place: u64, relayed: &Relayed) -> bool {
        let withholds = self.withholds(seq);
        let publishes = self.settings.backfill && !withholds;
        let (mut step, nodes) = self.step(now);
        let mut origin = Origin::default();
        step.ledger.begin(now.wall_ms);
        let taken = match publishes {
            true => step.late(nodes, place, relayed, &mut origin),
            false => Ok(()),
        };
        let place = origin.node.and_then(|NodeSlot(place)| place.try_into().ok());
        if let Some(place) = place {
            nodes.count(NodeId(place));
        }
        let fate = taken.map_or_else(Fate::Dropped, |()| Fate::Forwarded);
        step.ledger.receive(origin.node);
        step.ledger.settle(origin, fate);
        step.ledger.end(&relayed.topic);
        if withholds {
            count(&mut self.tally.withheld);
        } else if taken.is_err() {
            count(&mut self.tally.unplaceable);
        }
        publishes && taken.is_ok()
    }

    fn note_late(&mut self, now: Now, seq: u64, used: bool) {
        let late = self.late.get_or_insert(LateFrames {
            since: now.mono,
            first: seq,
            last: seq,
            frames: 0,
            used: 0,
        });
        late.first = late.first.min(seq);
        late.last = late.last.max(seq);
        count(&mut late.frames);
        if used {
            count(&mut late.used);
        }
    }
}

impl StepContext<'_> {
    /// Takes a message that came late; `origin` becomes whose it is, as far as that is known.
    fn late<'a>(
        &mut self,
        nodes: &mut Nodes,
        place: u64,
        relayed: &'a Relayed,
        origin: &mut Origin<'a>,
    ) -> Result<(), Reason> {
        let topic = entity_topic(&relayed.topic)?;
        self.check_names(topic.entity)?;
        origin.entity = Some(topic.entity);
        if topic.message_type.is_death() {
            return Ok(());
        }
        let found = nodes.find(topic.entity.group, topic.entity.edge_node);
        let node = found.filter(|node| !node.is_relay()).ok_or(Reason::DataBeforeBirth)?;
        origin.node = Some(node.id.into());
        let node = node.change();
        if !node.publishes() {
            // A second reading comes by it once hosts see the node again.
            node.miss_frame(place);
            return Ok(());
        }
        if self.publish_late(node, topic.entity.device, relayed)? {
            self.published_late(node, place);
        }
        Ok(())
    }

    /// Publishes the values of a late message as historical data; whether there were any.
    fn publish_late(
        &mut self,
        node: &mut Node,
        device: Option<&str>,
        relayed: &Relayed,
    ) -> Result<bool, Reason> {
        let decoded = sparkplug::decode(&relayed.payload, &self.settings.caps)
            .map_err(|_| Reason::BadFrame)?;
        let layout: Option<&Layout> = match device {
            None => Some(&node.layout),
            Some(name) => {
                let device = node.devices.get(name).filter(|device| device.is_born());
                device.map(|device| &*device.layout)
            }
        };
        let layout = layout.ok_or(Reason::DataBeforeBirth)?;
        let is_birth = entity_topic(&relayed.topic)?.message_type.is_birth();
        let history = self.history(node, layout, decoded.payload, relayed.received_ms, is_birth);
        let is_any = !history.metrics.is_empty();
        if is_any {
            self.publish_data(node, device, history.metrics);
        }
        let origin = node.origin(device);
        self.drop_metrics(origin, history.without_place, Reason::UnknownMetric);
        let refused = self.drop_refusals(origin, &history.refusals);
        match (is_any, history.without_place) {
            (false, _) if refused => Err(Reason::Recheck),
            (false, 1..) => Err(Reason::UnknownMetric),
            (is_any, _) => Ok(is_any),
        }
    }

    fn published_late(&self, node: &mut Node, place: u64) {
        node.published(self.confirm_by(), place, place);
        node.confirm_again(place);
    }
}
