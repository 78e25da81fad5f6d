//! Frames of which nobody knows what they say: they are set aside, since this half was ended with them
//! twice, or can't be read. Nothing of them counts but whose they are, which is doubted.

use account::{Fate, Origin, Reason};
use journal_format::Frame;

use super::frames::entity_topic;
use super::guard::Deed;
use super::node::{Life, Node};
use super::notice::count;
use super::outgoing::NodeId;
use super::step::StepContext;
use super::{Mirror, Now};

impl Mirror {
    /// Takes note of a frame of the journal without looking into it. Its node is doubted: its values
    /// until they are seen again, its life until the next keyframe, or else it ends.
    pub fn set_aside(&mut self, now: Now, frame: &Frame) {
        let is_fresh = self.begin_frame(now, frame);
        self.hear_before(now, frame);
        let topic = frame.message().map(|(topic, _)| topic);
        let id = self.doubt_unread(now, topic, "a frame was set aside");
        if frame.is_relayed() {
            let entity = topic.and_then(|topic| entity_topic(topic).ok()).map(|topic| topic.entity);
            let origin = Origin { entity, node: id.map(Into::into) };
            self.ledger.receive(origin.node);
            self.ledger.settle(origin, Fate::Dropped(Reason::SetAside));
        } else if topic.is_some() {
            count(&mut self.tally.keyframes_refused);
        }
        // That it lives is all that is known.
        self.saw(id, frame.in_head);
        self.end_frame(now, is_fresh);
        self.settle(now);
    }

    /// Doubts the node of a topic, of which a frame said nobody knows what: its values until they are
    /// seen again, its life until the next keyframe, or else it ends. Which node it is, if it's known.
    pub(super) fn doubt_unread(
        &mut self,
        now: Now,
        topic: Option<&str>,
        why: &'static str,
    ) -> Option<NodeId> {
        let entity = entity_topic(topic?).ok()?.entity;
        let by = self.doubt_ends(now);
        let (mut step, nodes) = self.step(now);
        let node = nodes.find(entity.group, entity.edge_node)?;
        let id = node.id;
        if node.is_alive() && !node.is_relay() {
            let node = node.change();
            node.set_doubted(Some(by));
            step.doubt_values(node, why);
        }
        Some(id)
    }

    /// Leaves a frame out that says again what was set aside: a device of it is dropped, and a node in
    /// doubt.
    pub fn leave_out(&mut self, now: Now, frame: &Frame) {
        let is_fresh = self.begin_frame(now, frame);
        let topic = frame.message().map(|(topic, _)| topic);
        let entity = topic.and_then(|topic| entity_topic(topic).ok()).map(|topic| topic.entity);
        let by = self.doubt_ends(now);
        let (mut step, nodes) = self.step(now);
        let node = entity.and_then(|entity| nodes.find(entity.group, entity.edge_node));
        let id = node.as_ref().map(|node| node.id);
        if frame.is_relayed() {
            let origin = Origin { entity, node: id.map(Into::into) };
            step.ledger.receive(origin.node);
            step.ledger.settle(origin, Fate::Dropped(Reason::SetAside));
        } else {
            count(&mut step.tally.keyframes_refused);
        }
        if let Some(node) = node.filter(|node| node.is_alive() && !node.is_relay()) {
            match entity.and_then(|entity| entity.device) {
                Some(device) => {
                    let _ = step.device_death(node.change(), device, frame.seq);
                }
                // Nothing but a birth of the plant confirms it from now on, or else it ends.
                None if node.life() == Life::Alive => {
                    let node = node.change();
                    node.set_doubted(Some(by));
                    step.doubt_values(node, "what was set aside is repeated");
                }
                None => {}
            }
        }
        if let Some(id) = id {
            nodes.count(id);
        }
        self.saw(id, frame.in_head);
        self.end_frame(now, is_fresh);
        self.settle(now);
    }
}

impl StepContext<'_> {
    /// Whether a node may be worked on.
    pub(super) fn may_work_on(&mut self, node: &Node) -> bool {
        node.is_relay() || self.guard.lets(&node.group, &node.edge_node, Deed::Due)
    }

    /// Drops what is remembered of a node.
    pub(super) fn drop_node(&mut self, node: &mut Node) {
        self.forget_node(node, "it was set aside");
    }
}
