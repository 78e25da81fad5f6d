//! Frames that are set aside, since this half was ended with them twice: nothing of them is looked at
//! but whose they are. What they would have said is doubted.

use account::{Fate, Origin, Reason};
use journal_format::{Body, Frame};

use super::frames::entity_topic;
use super::notice::count;
use super::{Mirror, Now};

impl Mirror {
    /// Takes note of a frame of the journal without looking into it. Its node is doubted: its values
    /// until they are seen again, its life until the next keyframe, or else it ends.
    pub fn set_aside(&mut self, now: Now, frame: &Frame) {
        let is_fresh = self.begin_frame(now, frame);
        self.hear_before(now, frame);
        let is_message = matches!(frame.body, Some(Body::Relayed(_)));
        let topic = frame.message().map(|(topic, _)| topic);
        let entity = topic.and_then(|topic| entity_topic(topic).ok()).map(|topic| topic.entity);
        let by = self.doubt_ends(now);
        let (mut step, nodes) = self.step(now);
        let node = entity.and_then(|entity| nodes.find(entity.group, entity.edge_node));
        let id = node.as_ref().map(|node| node.id);
        if is_message {
            let origin = Origin { entity, node: id.map(Into::into) };
            step.ledger.receive(origin.node);
            step.ledger.settle(origin, Fate::Dropped(Reason::SetAside));
        } else if topic.is_some() {
            count(&mut step.tally.keyframes_refused);
        }
        if let Some(node) = node.filter(|node| node.is_alive() && !node.is_relay) {
            let node = node.change();
            node.set_doubted(Some(by));
            step.doubt_values(node, "a frame was set aside");
        }
        // That it lives is all that is known.
        self.saw(id, frame.in_head);
        self.end_frame(now, is_fresh);
    }
}
