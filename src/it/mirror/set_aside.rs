//! Frames of which nobody knows what they say: they are set aside, since this half was ended with them
//! twice, or can't be read. Nothing of them counts but whose they are, which is doubted.

use account::{Fate, Origin, Reason};
use journal_format::{Body, Frame};

use super::frames::entity_topic;
use super::notice::count;
use super::outgoing::NodeId;
use super::{Mirror, Now};

impl Mirror {
    /// Takes note of a frame of the journal without looking into it. Its node is doubted: its values
    /// until they are seen again, its life until the next keyframe, or else it ends.
    pub fn set_aside(&mut self, now: Now, frame: &Frame) {
        let is_fresh = self.begin_frame(now, frame);
        let is_message = matches!(frame.body, Some(Body::Relayed(_)));
        let topic = frame.message().map(|(topic, _)| topic);
        let id = self.doubt_unread(now, topic, "a frame was set aside");
        if is_message {
            let entity = topic.and_then(|topic| entity_topic(topic).ok()).map(|topic| topic.entity);
            let origin = Origin { entity, node: id.map(Into::into) };
            self.ledger.receive(origin.node);
            self.ledger.settle(origin, Fate::Dropped(Reason::SetAside));
        } else if topic.is_some() {
            count(&mut self.tally.keyframes_refused);
        }
        if frame.in_head
            && let (Some(id), Some(head)) = (id, &mut self.head)
        {
            // That it lives is all that is known.
            head.insert(id);
        }
        self.end_frame(now, is_fresh);
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
        if node.is_alive() && !node.is_relay {
            let node = node.change();
            node.set_doubted(Some(by));
            step.doubt_values(node, why);
        }
        Some(id)
    }
}
