//! The guard over mirrored nodes that are worked on by themselves and not for a frame: while they are
//! restored, born, or something is due for them. The driver marks them by it, and knows those with
//! which the half was ended twice. These are dropped from what is remembered, and so is what the OT
//! half repeats of them: for hosts they are dead, until the plant's next birth.

use account::{Fate, Origin, Reason};
use journal_format::{Body, Frame};

use super::frames::entity_topic;
use super::node::Node;
use super::notice::count;
use super::step::StepContext;
use super::{Mirror, Now};

/// What is done with a node, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Restored,
    /// Its session is ready, what is due for it, or news.
    Due,
}

impl Deed {
    /// After "while".
    pub const fn words(self) -> &'static str {
        match self {
            Deed::Restored => "it was restored",
            Deed::Due => "something was due for it",
        }
    }
}

/// Asked with group and edge node before each deed; false: the half was ended by it twice.
pub type Asked = Box<dyn FnMut(&str, &str, Deed) -> bool + Send>;

#[derive(Default)]
pub(super) struct Guard(Option<Asked>);

impl std::fmt::Debug for Guard {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Guard").field(&self.0.is_some()).finish()
    }
}

impl Guard {
    pub(super) fn lets(&mut self, group: &str, edge_node: &str, deed: Deed) -> bool {
        self.0.as_mut().is_none_or(|asked| asked(group, edge_node, deed))
    }
}

impl Mirror {
    /// Has `asked` called before a node is worked on by itself.
    pub fn set_guard(&mut self, asked: Asked) {
        self.guard = Guard(Some(asked));
    }

    /// Leaves a frame out that says again what was set aside: its node or device is dropped.
    pub fn leave_out(&mut self, now: Now, frame: &Frame) {
        let is_fresh = self.begin_frame(now, frame);
        let is_message = matches!(frame.body, Some(Body::Relayed(_)));
        let topic = frame.message().map(|(topic, _)| topic);
        let entity = topic.and_then(|topic| entity_topic(topic).ok()).map(|topic| topic.entity);
        let (mut step, nodes) = self.step(now);
        let node = entity.and_then(|entity| nodes.find(entity.group, entity.edge_node));
        let id = node.as_ref().map(|node| node.id);
        if is_message {
            let origin = Origin { entity, node: id.map(Into::into) };
            step.ledger.receive(origin.node);
            step.ledger.settle(origin, Fate::Dropped(Reason::SetAside));
        } else {
            count(&mut step.tally.keyframes_refused);
        }
        if let Some(node) = node.filter(|node| node.is_alive() && !node.is_relay) {
            match entity.and_then(|entity| entity.device) {
                Some(device) => {
                    let _ = step.device_death(node.change(), device, frame.seq);
                }
                None => step.drop_node(node.change()),
            }
        }
        if let Some(id) = id {
            nodes.count(id);
        }
        self.saw(id, frame.in_head);
        self.end_frame(now, is_fresh);
    }
}

impl StepContext<'_> {
    /// Whether a node may be worked on.
    pub(super) fn may_work_on(&mut self, node: &Node) -> bool {
        node.is_relay || self.guard.lets(&node.group, &node.edge_node, Deed::Due)
    }

    /// Drops what is remembered of a node.
    pub(super) fn drop_node(&mut self, node: &mut Node) {
        self.forget_node(node, "it was set aside");
    }
}
