//! News for all mirrored nodes: the link to the plant came alive or fell silent, the primary host came
//! or went, the copy of the policy is another one, or the relay stops.
//!
//! Ten thousand nodes take longer for it than a turn may. So each hears it by itself: at the latest
//! before anything else is done with it, and otherwise in rounds over all nodes, of which a turn does
//! a part.

use super::nodes::Nodes;
use super::outgoing::NodeId;
use super::step::StepContext;
use super::{Mirror, Now};

/// What a turn does of one kind of work, in bytes that are published; the largest node takes more.
pub(super) const TURN_WORK: u64 = 256 * 1024;
/// Looking at a node takes as long as so many bytes of output.
const NODE_WORK: usize = 64;

/// Something that every node has to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Its session may not be where it should be; why it ends, if it does.
    Reconcile(&'static str),
    /// The primary host went offline.
    HostGone,
    /// The copy of the policy says something else.
    Policy,
}

/// Where the round over all nodes stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Round {
    /// The place of the node whose turn it is.
    next: usize,
    /// So many nodes are to come; 0: none is under way.
    left: usize,
}

impl Mirror {
    /// What was done so far, in bytes that were published: what a turn does is bounded by it.
    pub fn work(&self) -> u64 {
        self.work
    }

    /// Something is to be done at once, and a turn was over: [`Mirror::handle_tick`] goes on with it.
    pub fn is_behind(&self) -> bool {
        self.is_late || self.round.left > 0
    }

    /// There is news for all nodes. They begin to hear it at once.
    pub(super) fn tell_all(&mut self, now: Now, news: News) {
        self.nodes.told = self.nodes.told.saturating_add(1);
        self.news.push(news);
        self.round.left = self.nodes.len();
        self.go_round(now);
    }

    /// Goes on with the round, as far as a turn goes.
    pub(super) fn go_round(&mut self, now: Now) {
        let end = self.work.saturating_add(TURN_WORK);
        while self.round.left > 0 && self.work < end {
            let place = if self.round.next < self.nodes.len() { self.round.next } else { 0 };
            if let Ok(id) = u32::try_from(place) {
                self.hear(now, NodeId(id));
            }
            let left = self.round.left.saturating_sub(1);
            self.round = Round { next: place.saturating_add(1), left };
        }
        if self.round.left == 0 && !self.news.is_empty() {
            if self.nodes.have_heard_all() {
                self.news.clear();
            } else {
                // Nodes that came since the round began took the turns of others.
                self.round.left = self.nodes.len();
            }
        }
    }

    /// Has the node with this name, if it is known, hear what it hasn't heard.
    pub(super) fn hear_by_name(&mut self, now: Now, group: &str, edge_node: &str) {
        if !self.news.is_empty()
            && let Some(id) = self.nodes.id_of(group, edge_node)
        {
            self.hear(now, id);
        }
    }

    /// Has a node hear what it hasn't heard.
    pub(super) fn hear(&mut self, now: Now, id: NodeId) {
        let told = self.nodes.told;
        let Some(heard) = self.nodes.get(id).map(|node| node.heard) else { return };
        let unheard = usize::try_from(told.saturating_sub(heard)).unwrap_or(usize::MAX);
        if unheard == 0 {
            return;
        }
        self.nodes.set_heard(id);
        let known = self.news.len().saturating_sub(unheard);
        let unheard = self.news.get(known..).unwrap_or_default().to_vec();
        let (mut step, nodes) = self.step(now);
        unheard.into_iter().for_each(|news| step.hear(nodes, id, news));
    }
}

impl StepContext<'_> {
    fn hear(&mut self, nodes: &mut Nodes, id: NodeId, news: News) {
        let Some(node) = nodes.get(id) else { return };
        self.work(NODE_WORK);
        if !self.may_work_on(&node) {
            self.drop_node(node.change());
            return nodes.count(id);
        }
        match news {
            News::Reconcile(why) => self.reconcile_found(node, why),
            News::HostGone if !self.host.online && node.is_born() => {
                self.kill(node.change(), "the primary host went offline");
            }
            News::HostGone => {}
            News::Policy => {
                self.recheck_node(node);
                nodes.count(id);
            }
        }
    }
}
