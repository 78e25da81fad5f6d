//! The guard over edge nodes that are worked on by themselves and not for a message: while they are
//! restored, shown, or something is due for them. Whoever drives the pipeline marks them by it, and
//! knows those with which the half was ended twice. These are dropped from what is remembered: for
//! readers they are dead, until their next birth.

use account::{Fate, Reason};
use sparkplug::Entity;

use super::announce::give_keyframes;
#[cfg(any(test, feature = "testing"))]
use super::announce::keyframes;
use super::step::StepContext;
use super::{Entry, Now, Pipeline};
use crate::plant::{Life, Node};

/// What is done with a node, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Restored,
    Adjusted,
    Shown,
    /// What is due for it, or news.
    Due,
}

impl Deed {
    /// After "while".
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Deed::Restored => "it was restored",
            Deed::Adjusted => "it was brought in line with the policy",
            Deed::Shown => "it was written to the head of a segment",
            Deed::Due => "something was due for it",
        }
    }
}

/// Asked before each deed; false: the half was ended by it twice.
pub(crate) type Asked = Box<dyn FnMut(Entity<'_>, Deed) -> bool + Send>;

#[derive(Default)]
pub(super) struct Guard(pub(super) Option<Asked>);

impl std::fmt::Debug for Guard {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Guard").field(&self.0.is_some()).finish()
    }
}

impl Guard {
    pub(super) fn lets(&mut self, entity: Entity<'_>, deed: Deed) -> bool {
        self.0.as_mut().is_none_or(|asked| asked(entity, deed))
    }
}

impl Pipeline {
    /// Has `asked` called before an edge node is worked on by itself.
    pub(crate) fn set_guard(&mut self, asked: Asked) {
        self.guard = Guard(Some(asked));
    }

    /// Whether the node at `index` may be worked on; where not, it is dropped.
    pub(super) fn may_work_on(
        &mut self,
        now: Now,
        index: usize,
        deed: Deed,
        out: &mut Vec<Entry>,
    ) -> bool {
        let Pipeline { guard, plant, .. } = self;
        let Some(node) = plant.nodes().get(index) else { return false };
        let may = guard.lets(node.entity(), deed);
        if !may {
            self.drop_node(now, index, out);
        }
        may
    }

    fn drop_node(&mut self, now: Now, index: usize, out: &mut Vec<Entry>) {
        self.structure_changed = true;
        let (mut step, plant) = self.step(now, out);
        if let Some(node) = plant.node_mut(index) {
            step.drop_node(node);
        }
    }

    /// The head of the first segment: the keyframes of all nodes that readers hold for alive, each
    /// node before its devices, but of no node by which the half was ended. Those are dropped by [`Pipeline::drop_unshown`], which is to follow.
    pub(crate) fn head(&mut self, now: Now) -> impl Iterator<Item = Entry> + '_ {
        let Pipeline { guard, plant, settings, policy, unshown, given, .. } = self;
        let how = policy.pseudonyms();
        let source = (&*settings.source, settings.caps.relayed_bytes());
        (0..plant.nodes().len()).flat_map(move |index| {
            let Some(node) = plant.unstored_mut(index) else { return Vec::new() };
            let is_known = node.own.life.is_announced();
            let may = !is_known || guard.lets(node.entity(), Deed::Shown);
            if !may {
                unshown.push(index);
            }
            if is_known && may {
                give_keyframes(source, node, given, now.wall_ms, how)
            } else {
                Vec::new()
            }
        })
    }

    /// The keyframes of all nodes that readers hold for alive, each node before its devices:
    /// the head of a segment, after its `Start`, for tests that begin one without a guard. They give no layouts.
    #[cfg(any(test, feature = "testing"))]
    pub fn keyframes(&self, now: Now) -> impl Iterator<Item = Entry> + '_ {
        let source = &self.settings.source;
        let how = self.policy.pseudonyms();
        self.plant
            .nodes()
            .iter()
            .flat_map(move |node| keyframes(source, node, now.wall_ms, how))
            .map(|shown| Entry::Plant(shown.keyframe))
    }

    /// Drops the nodes that the head of a segment couldn't show.
    pub(crate) fn drop_unshown(&mut self, now: Now, out: &mut Vec<Entry>) {
        for index in std::mem::take(&mut self.unshown) {
            self.drop_node(now, index, out);
        }
    }
}

impl StepContext<'_> {
    /// Drops what is remembered of a node.
    pub(super) fn drop_node(&mut self, node: &mut Node) {
        self.bury_node(node, Fate::Dropped(Reason::SetAside));
        node.forget_all();
    }
}

/// Nothing of a node can be restored: for readers it is dead.
pub(super) fn orphan(node: &mut Node) {
    node.forget_all();
    node.own.life = Life::Orphaned;
}
