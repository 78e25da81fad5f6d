//! What is remembered of the plant, in bytes: each node counts what it and its devices take, and the
//! list what all take. A birth or value that would take more than the budget of its node, or than
//! what is left of the budget of all, is refused.

use std::sync::Arc;

use account::Reason;
use sparkplug::footprint::{Bound, allocation};
use sparkplug::{Budget, Room, Shortage};

use super::layout::Layout;
use super::node::{Device, Node};
use super::nodes::Nodes;
use super::notice::Notice;
use super::outgoing::NodeId;
use super::step::StepContext;

/// What there is of every node, be it without a metric: itself in a list that may be half empty, its
/// names and topics, the frames that it missed, its account. Its session isn't among it.
const NODE_BYTES: usize = size_of::<Node>() * 2 + 64 * 24 + 2048;
/// What there is of every device: itself in a tree that may be half empty, and its topics.
const DEVICE_BYTES: usize = (size_of::<Device>() + size_of::<String>()) * 5 / 2 + 256;
/// How often the names of a node or device are there: in topics and tables.
const NAMES: usize = 8;

/// What a birth's device takes beside its metrics.
fn device_bytes(name: &str) -> usize {
    DEVICE_BYTES.saturating_add(allocation(name.len()).saturating_mul(NAMES))
}

/// What a node takes of which nothing is known but its names.
fn least_bytes(group: &str, edge_node: &str) -> usize {
    let names = allocation(group.len()).saturating_add(allocation(edge_node.len()));
    NODE_BYTES.saturating_add(names.saturating_mul(NAMES))
}

impl Node {
    /// What is remembered of it and its devices.
    pub(super) fn bytes(&self) -> usize {
        self.memory.bytes
    }

    /// Counts what changed of its own metrics, or of those of a device.
    pub(super) fn count(&mut self, device: Option<&str>) {
        let (now, before) = match device {
            None => {
                let now = self.layout.bytes();
                (now, std::mem::replace(&mut self.memory.own, now))
            }
            Some(name) => {
                let Some(device) = self.devices.get_mut(name) else { return };
                let now = device.layout.bytes().saturating_add(device_bytes(name));
                (now, std::mem::replace(&mut device.counted, now))
            }
        };
        self.memory.bytes = self.memory.bytes.saturating_add(now).saturating_sub(before);
    }

    /// Counts all of it anew.
    pub(super) fn count_all(&mut self) {
        let former = self
            .former_devices
            .iter()
            .map(|(name, layout)| layout.bytes().saturating_add(device_bytes(name)));
        let least = least_bytes(&self.group, &self.edge_node);
        self.memory.own = self.layout.bytes();
        let mut bytes = former.fold(least.saturating_add(self.memory.own), usize::saturating_add);
        for (name, device) in &mut self.devices {
            device.counted = device.layout.bytes().saturating_add(device_bytes(name));
            bytes = bytes.saturating_add(device.counted);
        }
        self.memory.bytes = bytes;
    }

    /// What a device was like that a birth of the relay's own making ended.
    pub(super) fn take_former_device(&mut self, name: &str) -> Option<Arc<Layout>> {
        let former = self.former_devices.remove(name)?;
        let bytes = former.bytes().saturating_add(device_bytes(name));
        self.memory.bytes = self.memory.bytes.saturating_sub(bytes);
        Some(former)
    }

    /// What it would take if `layout_bytes` took the place of its own metrics, or of those of a
    /// device.
    fn bytes_with(&self, device: Option<&str>, layout_bytes: usize) -> usize {
        let (before, more) = match device {
            None => (self.memory.own, 0),
            Some(name) => {
                let known = self.devices.get(name).map_or(0, |device| device.counted);
                (known, device_bytes(name))
            }
        };
        let now = layout_bytes.saturating_add(more);
        self.memory.bytes.saturating_sub(before).saturating_add(now)
    }

    /// What it would take if an NBIRTH ended its devices, and `layout_bytes` took the place of its
    /// own metrics.
    fn bytes_born(&self, layout_bytes: usize) -> usize {
        least_bytes(&self.group, &self.edge_node).saturating_add(layout_bytes)
    }
}

impl StepContext<'_> {
    /// Finds what there is room for, for a frame of a node; `all_bytes` is what is remembered of all.
    pub(super) fn look_for_room(&mut self, all_bytes: usize, node: &Node) {
        let budget = self.settings.budget;
        let others = all_bytes.saturating_sub(node.bytes());
        self.room = Room::new(budget, budget.plant_bytes.saturating_sub(others));
    }

    /// Whether there is room for the metrics of an NBIRTH.
    ///
    /// # Errors
    /// There isn't; that was said.
    pub(super) fn check_born(&mut self, node: &Node, layout_bytes: usize) -> Result<(), Reason> {
        let checked = self.room.check(node.bytes_born(layout_bytes));
        checked.map_err(|shortage| self.refuse_memory(node, None, shortage))
    }

    /// Whether there is room for other metrics of the node or of a device.
    ///
    /// # Errors
    /// There isn't; that was said.
    pub(super) fn check_layout(
        &mut self,
        node: &Node,
        device: Option<&str>,
        layout_bytes: usize,
    ) -> Result<(), Reason> {
        let checked = self.room.check(node.bytes_with(device, layout_bytes));
        checked.map_err(|shortage| self.refuse_memory(node, device, shortage))
    }

    /// Counts a node that was restored. Where that is too much, its births have to come anew.
    pub(super) fn restore_within(&mut self, node: &mut Node, all_bytes: usize) {
        node.count_all();
        let left = self.settings.budget.plant_bytes.saturating_sub(all_bytes);
        if let Err(shortage) = Room::new(self.settings.budget, left).check(node.bytes()) {
            let _ = self.refuse_memory(node, None, shortage);
            node.set_dead();
            node.forget_devices();
            node.layout = Arc::default();
            node.count_all();
        }
    }

    /// Says that something of a node isn't remembered.
    pub(super) fn refuse_memory(
        &mut self,
        node: &Node,
        device: Option<&str>,
        shortage: Shortage,
    ) -> Reason {
        let Shortage { bytes, budget, of } = shortage;
        let limit = match of {
            Bound::Node => "mirror.max-node-bytes",
            Bound::Plant => "mirror.max-plant-bytes",
        };
        let device = device.map(str::to_owned);
        self.notify(Notice::MemoryRefused { node: node.key(), device, bytes, budget, limit });
        Reason::OverMemory
    }

    /// Whether there is room for one more node.
    ///
    /// # Errors
    /// There isn't; that was said.
    pub(super) fn check_new(&mut self, group: &str, edge_node: &str) -> Result<(), Reason> {
        self.room.check(least_bytes(group, edge_node)).map_err(|shortage| {
            let node = format!("{group}/{edge_node}");
            let Shortage { bytes, budget, .. } = shortage;
            let limit = "mirror.max-plant-bytes";
            self.notify(Notice::MemoryRefused { node, device: None, bytes, budget, limit });
            Reason::OverMemory
        })
    }
}

impl Nodes {
    /// What there is room for, for a birth of the node with this place; what is remembered of
    /// others that are dead gives way.
    pub(super) fn room(&mut self, id: Option<NodeId>, budget: Budget) -> Room {
        let own = id.and_then(|id| self.get(id)).map_or(0, |node| node.bytes());
        let left = |all: usize| budget.plant_bytes.saturating_sub(all.saturating_sub(own));
        if left(self.bytes) < budget.node_bytes {
            self.forget_spent(id);
        }
        Room::new(budget, left(self.bytes))
    }

    /// Forgets what dead nodes looked like to which nothing is owed.
    fn forget_spent(&mut self, but: Option<NodeId>) {
        let mut freed = 0_usize;
        self.for_each(|node| {
            let least = least_bytes(&node.group, &node.edge_node);
            if Some(node.id) == but || !node.is_spent() || node.bytes() <= least {
                return;
            }
            let node = node.change();
            let before = node.memory.listed;
            node.layout = Arc::default();
            node.forget_devices();
            node.former_devices.clear();
            node.count_all();
            node.memory.listed = node.memory.bytes;
            freed = freed.saturating_add(before.saturating_sub(node.memory.bytes));
        });
        self.bytes = self.bytes.saturating_sub(freed);
    }

    /// That no node takes more than it has counted, and the list has counted all of them.
    #[cfg(test)]
    pub(super) fn check_bytes(&mut self) {
        let mut all = 0_usize;
        self.for_each_node(|node| {
            let layouts = node.devices.values().map(|device| device.layout.counted_bytes());
            let counted: usize = layouts.chain([node.layout.counted_bytes()]).sum();
            let is = node.memory.bytes;
            assert!(
                node.is_relay() || is >= counted,
                "{} has counted {is} of {counted}",
                node.key()
            );
            assert_eq!(node.memory.bytes, node.memory.listed, "{}", node.key());
            all = all.saturating_add(node.memory.listed);
        });
        assert_eq!(self.bytes, all);
    }

    /// Enters what changed of a node.
    pub(super) fn count(&mut self, id: NodeId) {
        let Some(node) = self.memory_of(id) else { return };
        let before = std::mem::replace(&mut node.listed, node.bytes);
        let now = node.bytes;
        self.bytes = self.bytes.saturating_add(now).saturating_sub(before);
    }
}
