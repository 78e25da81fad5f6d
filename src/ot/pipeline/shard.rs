//! Where several relays share the plant: what is left to the others. Messages of their edge nodes
//! don't come as far as here; what is remembered of such nodes is of a time with other shards.

use account::{Fate, Reason};
use sparkplug::Shard;

use super::Pipeline;
use super::announce::OTHER_SHARD;
use super::step::StepContext;
use crate::plant::Node;

impl Pipeline {
    /// Says which edge nodes are this relay's; `None`: all of them. Before anything else is done.
    pub(crate) fn set_shard(&mut self, shard: Option<Shard>) {
        self.shard = shard;
    }

    /// Which edge nodes are this relay's.
    pub(crate) fn shard(&self) -> Option<Shard> {
        self.shard
    }

    /// Counts a message of an edge node that another relay has.
    pub(crate) fn leave_to_other_shard(&mut self) {
        self.ledger.leave_to_other_shard();
    }
}

/// Whether another relay has the node.
pub(super) fn is_of_another(shard: Option<Shard>, node: &Node) -> bool {
    shard.is_some_and(|shard| !shard.has(&node.group, &node.edge_node))
}

impl StepContext<'_> {
    /// Forgets a node that another relay has by now: for readers of this one's journal it is dead.
    pub(super) fn leave_to_other_shard(&mut self, node: &mut Node) {
        self.bury_node_since(node, Fate::Dropped(Reason::NoRule), OTHER_SHARD);
        node.forget_all();
    }
}
