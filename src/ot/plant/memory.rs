//! What is remembered of the plant, in bytes: each node counts what it and its devices take, and the
//! plant what all take. No birth and no value may take more than the budget of its node, or than
//! what is left of the budget of all.
//!
//! A count is never less than what the allocator hands out for it. It is made anew when a birth
//! arrives or the policy is asked, and goes along with each value that changes in between.

use sparkplug::footprint::{Bound, Footprint, allocation, element_bytes};
use sparkplug::{Budget, Entity, Metric, Room, Shortage};

use super::node::{EntityState, Node};
use super::{Definitions, Life, Plant, Types};

/// What there is of every edge node, be it without a metric: itself in a list that may be half
/// empty, its names in tables, its account.
const NODE_BYTES: usize = size_of::<Node>() * 2 + ACCOUNT_BYTES + 512;
/// The reasons for which something of it was dropped.
const ACCOUNT_BYTES: usize = 64 * 24 + 64;
/// What there is of every device: itself, and its place in a tree that may be half empty.
const DEVICE_BYTES: usize = allocation(size_of::<EntityState>()) + 64;

impl EntityState {
    /// What is remembered of it.
    fn bytes(&self) -> usize {
        let exported_as = self.exported_as.as_ref().map_or(0, |name| allocation(name.len()));
        self.layout.bytes().saturating_add(exported_as)
    }
}

impl Node {
    /// What is remembered of it and its devices, as it was counted last.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Counts what changed of the node's own metrics, or of those of a device.
    pub(crate) fn count(&mut self, device: Option<&str>) {
        let Some(state) = self.state_mut(device) else { return };
        let name = device.map_or(0, |name| allocation(name.len()).saturating_add(DEVICE_BYTES));
        let now = state.bytes().saturating_add(name);
        let before = std::mem::replace(&mut state.counted, now);
        self.bytes = self.bytes.saturating_add(now).saturating_sub(before);
    }

    /// Counts what is remembered of the order of its messages.
    pub(crate) fn count_sequence(&mut self) {
        let now = self.sequence.heap_bytes();
        let before = std::mem::replace(&mut self.sequence_counted, now);
        self.bytes = self.bytes.saturating_add(now).saturating_sub(before);
    }

    /// Counts all of it anew.
    pub(crate) fn count_all(&mut self) {
        self.own.counted = 0;
        self.devices.values_mut().for_each(|device| device.counted = 0);
        let names = [&self.group, &self.edge_node].map(|name| allocation(name.len()));
        // In the list, in the table of names, in the ledger and as readers know them.
        let names = names[0].saturating_add(names[1]).saturating_mul(4);
        let session = [&self.bd_seq, &self.rebirth]
            .map(|metric| metric.as_ref().map_or(0, Metric::heap_bytes));
        self.sequence_counted = self.sequence.heap_bytes();
        let types = self.types.heap_bytes();
        let announced = self.announced_types.iter().map(|name| element_bytes(name));
        let parts = [
            NODE_BYTES,
            names,
            session[0],
            session[1],
            self.definitions.heap_bytes(),
            // What instances ask of definitions that are known has been counted with these.
            announced.fold(types, usize::saturating_add).max(self.definitions.sets_bytes()),
            self.sequence_counted,
        ];
        self.bytes = parts.into_iter().fold(0, usize::saturating_add);
        self.count(None);
        let Node { devices, bytes, .. } = self;
        for (name, state) in devices.iter_mut() {
            let of_name = allocation(name.len()).saturating_add(DEVICE_BYTES);
            state.counted = state.bytes().saturating_add(of_name);
            *bytes = bytes.saturating_add(state.counted);
        }
    }

    /// Forgets a device altogether; whether there was one.
    pub(crate) fn remove_device(&mut self, name: &str) -> bool {
        let Some(removed) = self.devices.remove(name) else { return false };
        self.bytes = self.bytes.saturating_sub(removed.counted);
        true
    }

    /// Forgets the devices that are dead: their layouts are only convenient.
    pub(crate) fn forget_dead_devices(&mut self) {
        let is_dead = |state: &EntityState| state.life == Life::Unknown && state.waiting() == 0;
        let dead = self.devices.extract_if(.., |_, state| is_dead(state));
        let freed = dead.fold(0_usize, |sum, (_, state)| sum.saturating_add(state.counted));
        self.bytes = self.bytes.saturating_sub(freed);
    }

    /// Forgets all but that there is such a node.
    pub(crate) fn forget_all(&mut self) {
        self.own.forget();
        self.devices.clear();
        self.definitions = Definitions::default();
        self.take_types(Types::default());
        self.announced_types.clear();
        self.types_due = false;
        self.bd_seq = None;
        self.rebirth = None;
        self.sequence.forget();
        self.count_all();
    }

    /// Readers don't know it, nor is anything of it owed to the account: it may give way.
    fn may_give_way(&self) -> bool {
        !self.own.life.is_announced() && self.waiting() == 0
    }

    /// What it takes beyond what every node takes.
    fn excess(&self) -> usize {
        self.bytes.saturating_sub(Node::least_bytes(self.entity()))
    }

    /// What a node takes of which nothing is known but its names.
    pub(crate) fn least_bytes(entity: Entity<'_>) -> usize {
        let names = entity.group.len().saturating_add(entity.edge_node.len());
        NODE_BYTES.saturating_add(names.saturating_add(64).saturating_mul(4))
    }
}

impl Plant {
    /// What is remembered of all nodes.
    pub(crate) fn bytes(&mut self) -> usize {
        self.settle();
        self.bytes
    }

    /// What there is room for, for a message of the node at `index`. `of_others`: what others take
    /// of which readers know nothing counts as room, for whoever then calls [`Plant::make_room`].
    pub(crate) fn room(&mut self, index: usize, of_others: bool) -> Room {
        let all = self.bytes();
        let own = self.nodes.get(index).map_or(0, Node::bytes);
        let budget = self.budget;
        let mut left = budget.plant_bytes.saturating_sub(all.saturating_sub(own));
        if of_others && left < budget.node_bytes {
            let others = self.nodes.iter().enumerate().filter(|(at, _)| *at != index);
            let gives_way = others.filter(|(_, node)| node.may_give_way());
            left = gives_way.fold(left, |left, (_, node)| left.saturating_add(node.excess()));
        }
        Room::new(budget, left)
    }

    /// Where more is remembered than may be, what readers don't know is forgotten, but for the
    /// node at `index`: first what is dead, and of that what was seen last the longest ago.
    pub(crate) fn make_room(&mut self, index: usize) {
        if self.bytes() <= self.budget.plant_bytes {
            return;
        }
        let others = self.nodes.iter().enumerate().filter(|(at, _)| *at != index);
        let gives_way = others.filter(|(_, node)| node.may_give_way() && node.excess() > 0);
        let mut gives_way: Vec<_> =
            gives_way.map(|(at, node)| (node.own.life.is_alive(), node.last_seen, at)).collect();
        gives_way.sort_unstable();
        for (.., at) in gives_way {
            if let Some(node) = self.node_mut(at) {
                node.forget_all();
            }
            if self.bytes() <= self.budget.plant_bytes {
                return;
            }
        }
    }

    /// A node that takes more than it may; or else the largest one, where all take more than they
    /// may, after what may give way has.
    pub(crate) fn beyond_budget(&mut self) -> Option<(usize, Shortage)> {
        self.make_room(usize::MAX);
        let all = self.bytes();
        let Budget { node_bytes, plant_bytes } = self.budget;
        let largest = self.nodes.iter().enumerate().max_by_key(|(_, node)| node.excess());
        let (index, node) = largest.filter(|(_, node)| node.excess() > 0)?;
        if node.bytes > node_bytes {
            let of = Bound::Node;
            return Some((index, Shortage { bytes: node.bytes, budget: node_bytes, of }));
        }
        if all > plant_bytes {
            let of = Bound::Plant;
            return Some((index, Shortage { bytes: all, budget: plant_bytes, of }));
        }
        None
    }

    /// That no node takes more than it has counted.
    #[cfg(test)]
    pub(crate) fn check_bytes(&mut self) {
        let all = self.bytes();
        assert_eq!(all, self.nodes.iter().map(Node::bytes).sum::<usize>());
        for node in &self.nodes {
            let mut counted = node.clone();
            counted.own.layout.count_bytes();
            counted.devices.values_mut().for_each(|device| device.layout.count_bytes());
            counted.count_all();
            let (name, is, should_be) = (&node.edge_node, node.bytes(), counted.bytes());
            assert!(is >= should_be, "{name} takes {should_be} and has counted {is}");
        }
    }

    /// The node at `index` is about to change.
    pub(super) fn touch(&mut self, index: usize) {
        if self.touched != Some(index) {
            self.settle();
            self.touched = Some(index);
        }
    }

    /// All are about to change.
    pub(super) fn touch_all(&mut self) {
        self.touched = Some(ALL);
    }

    fn settle(&mut self) {
        match self.touched.take() {
            None => {}
            Some(ALL) => {
                self.bytes = 0;
                for node in &mut self.nodes {
                    node.counted = node.bytes;
                    self.bytes = self.bytes.saturating_add(node.bytes);
                }
            }
            Some(index) => {
                let Some(node) = self.nodes.get_mut(index) else { return };
                let before = std::mem::replace(&mut node.counted, node.bytes);
                self.bytes = self.bytes.saturating_add(node.bytes).saturating_sub(before);
            }
        }
    }
}

/// Stands for every node.
const ALL: usize = usize::MAX;
