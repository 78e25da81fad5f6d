//! State of the plant as this half sees it: for every edge node its births, aliases, templates,
//! sequence and devices, with the current value of every metric. Sans-IO.

mod backlog;
mod counting;
mod crossing;
mod early;
mod exported;
mod giving_way;
mod heard;
mod layout;
mod life;
mod memory;
mod node;
mod output;
mod properties;
mod refused;
mod sequence;
mod sessions;
mod slot;
mod stored;
mod templates;

use std::collections::HashMap;
use std::time::Duration;

use account::{Ledger, NodeSlot};
pub(crate) use backlog::{Backlog, Held, Ticket, held_bytes};
pub(crate) use counting::{Counting, Finding, Numbered};
pub(crate) use crossing::{CLOCK_TIMEOUTS, Crossing, Missed, OVERTAKEN, is_shortly_before};
pub(crate) use early::{Early, EarlyMessages, unclear};
use foldhash::fast::RandomState;
#[cfg(test)]
pub(crate) use giving_way::{LONG_SILENT, SILENT};
pub(crate) use heard::Heard;
pub(crate) use layout::{GivenLayouts, Layout, Taught, is_definition};
pub(crate) use life::{Life, Standing, Trust};
pub(crate) use node::{EntityState, Node, Numbering, Parts, Queue};
pub(crate) use output::Output;
#[cfg(test)]
pub(crate) use output::{AT_FIRST, PER_S, TIMES};
pub(crate) use properties::mend_properties;
pub(crate) use refused::{Fault, RefusedMetric, RefusedMetrics, Uncounted, reason_of};
pub(crate) use sequence::{Place, Sequence, WINDOW};
pub(crate) use sessions::{Ends, Sessions};
pub(crate) use slot::{Shaper, Slot};
use sparkplug::{Budget, Entity};
use state::Changes;
pub(crate) use stored::{SnapshotPart, StoredPlant};
pub(crate) use templates::{
    Definitions, Misfit, Removed, SURVEY_BYTES, Survey, Types, Unfit, allowance, repeated_allowance,
};

/// Every edge node, up to a configured number, and to a configured number of bytes.
#[derive(Debug)]
pub(crate) struct Plant {
    nodes: Vec<Node>,
    budget: Budget,
    /// What is remembered of all nodes, but for what changed of the `touched` one since.
    bytes: usize,
    touched: Option<usize>,
    changes: Changes,
    /// What the snapshot under way had to take because it changed.
    taken: Vec<(usize, Vec<u8>)>,
    index: HashMap<Box<str>, HashMap<Box<str>, usize, RandomState>, RandomState>,
    max_nodes: usize,
    /// How often there was news for all nodes.
    told: u64,
}

impl Plant {
    /// A plant of at most `max_nodes` edge nodes, of which no more than `budget` is remembered.
    pub(crate) fn new(max_nodes: usize, budget: Budget) -> Self {
        Plant {
            nodes: Vec::new(),
            budget,
            bytes: 0,
            touched: None,
            changes: Changes::default(),
            taken: Vec::new(),
            index: HashMap::default(),
            max_nodes,
            told: 0,
        }
    }

    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// All nodes, to be changed. Where a snapshot is under way it has to take all that it hasn't
    /// yet, so this is for what concerns every node.
    pub(crate) fn nodes_mut(&mut self) -> &mut [Node] {
        for index in 0..self.nodes.len() {
            self.note(index);
        }
        self.touch_all();
        &mut self.nodes
    }

    pub(crate) fn find(&self, entity: Entity<'_>) -> Option<usize> {
        self.index.get(entity.group)?.get(entity.edge_node).copied()
    }

    /// The node, to be changed.
    pub(crate) fn node_mut(&mut self, index: usize) -> Option<&mut Node> {
        self.note(index);
        self.touch(index);
        self.nodes.get_mut(index)
    }

    /// The node, for a change of what isn't stored.
    pub(crate) fn unstored_mut(&mut self, index: usize) -> Option<&mut Node> {
        self.nodes.get_mut(index)
    }

    /// Sets when the node is repeated again, which isn't stored.
    pub(crate) fn set_next_keyframe(&mut self, index: usize, next: Duration) {
        if let Some(node) = self.nodes.get_mut(index) {
            node.next_keyframe = next;
            node.keyframe_ordered = false;
        }
    }

    /// There is news for all nodes.
    pub(crate) fn tell(&mut self) {
        self.told = self.told.saturating_add(1);
    }

    /// How often there was news.
    pub(crate) fn told(&self) -> u64 {
        self.told
    }

    /// Every node has heard all news so far.
    pub(crate) fn has_heard_all(&self) -> bool {
        self.nodes.iter().all(|node| node.news_heard == self.told)
    }

    /// The node has heard all news so far, which isn't stored.
    pub(crate) fn set_heard(&mut self, index: usize) {
        if let Some(node) = self.nodes.get_mut(index) {
            node.news_heard = self.told;
        }
    }

    fn note(&mut self, index: usize) {
        if self.changes.note(index)
            && let Some(node) = self.nodes.get(index)
        {
            self.taken.push((index, stored::piece(node)));
        }
    }

    /// Begins a snapshot of all that changed since the last one began.
    pub(crate) fn begin_snapshot(&mut self) {
        self.changes.begin();
    }

    /// Takes nodes of the snapshot, as they are stored, until they have about `most` bytes, and
    /// those that changed meanwhile; whether the snapshot is complete.
    pub(crate) fn take_snapshot(&mut self, most: usize) -> (Vec<(usize, Vec<u8>)>, bool) {
        let mut taken = std::mem::take(&mut self.taken);
        let mut bytes = 0_usize;
        while bytes < most
            && let Some(index) = self.changes.take()
        {
            if let Some(node) = self.nodes.get(index) {
                let piece = stored::piece(node);
                bytes = bytes.saturating_add(piece.len());
                taken.push((index, piece));
            }
        }
        (taken, !self.changes.is_under_way())
    }

    /// The node, made if need be. Where there is no room, the node that has been dead for the
    /// longest gives way, then the one among those that the policy doesn't let readers know, then
    /// one that is known by its stored birth alone; `None` if readers know all of them. What a node that gives way had in the `ledger` goes
    /// to the others.
    pub(crate) fn ensure(&mut self, entity: Entity<'_>, ledger: &mut Ledger) -> Option<usize> {
        if let Some(index) = self.find(entity) {
            return Some(index);
        }
        let mut node = Node {
            group: entity.group.into(),
            edge_node: entity.edge_node.into(),
            news_heard: self.told,
            ..Node::default()
        };
        node.count_all();
        let index = if self.nodes.len() < self.max_nodes {
            self.nodes.push(node);
            self.changes.push();
            self.nodes.len().checked_sub(1)?
        } else {
            let (index, _) = self
                .nodes
                .iter()
                .enumerate()
                .filter(|(_, node)| !node.own.life.is_announced() && node.early.is_empty())
                .min_by_key(|(_, node)| {
                    let life = node.own.life;
                    (life == Life::Known, life.is_alive(), node.last_seen)
                })?;
            self.note(index);
            self.touch(index);
            let dead = self.nodes.get_mut(index)?;
            node.counted = dead.counted;
            if let Some(nodes) = self.index.get_mut(&dead.group) {
                nodes.remove(&dead.edge_node);
                if nodes.is_empty() {
                    self.index.remove(&dead.group);
                }
            }
            *dead = node;
            index
        };
        self.touch(index);
        let slot = NodeSlot(index);
        self.nodes.get_mut(index)?.slot = slot;
        ledger.open_node(slot);
        let nodes = self.index.entry(entity.group.into()).or_default();
        nodes.insert(entity.edge_node.into(), index);
        Some(index)
    }

    /// Whether the node has room for this device; a device that is dead gives way.
    pub(crate) fn has_room(node: &mut Node, device: &str, max_devices: usize) -> bool {
        if node.devices.contains_key(device) || node.devices.len() < max_devices {
            return true;
        }
        let dead = node
            .devices
            .iter()
            .find(|(_, state)| state.life == Life::Unknown)
            .map(|(name, _)| name.clone());
        dead.is_some_and(|dead| node.remove_device(&dead))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_nodes_give_way_and_live_ones_do_not() {
        let mut plant = Plant::new(2, Budget::UNLIMITED);
        let ledger = &mut Ledger::default();
        let announced = Life::Alive { standing: Standing::Inherited, trust: Trust::Certain };
        for (index, name) in ["a", "b"].into_iter().enumerate() {
            assert_eq!(plant.ensure(Entity::node("G", name), ledger), Some(index));
            plant.node_mut(index).unwrap().own.life = announced;
        }
        assert_eq!(plant.ensure(Entity::node("G", "c"), ledger), None);
        // Alive, but nothing that readers may know.
        plant.node_mut(1).unwrap().own.life = Life::BORN;
        assert_eq!(plant.ensure(Entity::node("G", "b2"), ledger), Some(1));
        plant.node_mut(1).unwrap().own.life = announced;
        plant.node_mut(0).unwrap().own.life = Life::Unknown;
        assert_eq!(plant.ensure(Entity::node("H", "c"), ledger), Some(0));
        assert_eq!(plant.find(Entity::node("G", "a")), None);
        assert_eq!(plant.find(Entity::node("G", "b2")), Some(1));
        assert_eq!(plant.find(Entity::node("H", "c")), Some(0));
        assert_eq!(plant.nodes().len(), 2);
    }
}
