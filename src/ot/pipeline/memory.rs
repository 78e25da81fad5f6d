//! What is remembered of a node has a bound: births and values beyond it are refused, and readers
//! hear that what they have of it is dead or in doubt.

use account::{Fate, Reason};
use sparkplug::{Entity, Shortage};

use super::notify;
use super::step::StepContext;
use crate::plant::{Heard, Life, Node, Plant};

impl StepContext<'_> {
    /// The place of an edge node, made if need be, with what there is room for. `None`: there are
    /// as many as may be, and none gives way: only what `is_live` has the place of another one.
    ///
    /// # Errors
    /// There is no room for the names of one more.
    pub(super) fn find_room(
        &mut self,
        plant: &mut Plant,
        entity: Entity<'_>,
        is_live: bool,
    ) -> Result<Option<usize>, Reason> {
        let known = plant.find(entity);
        self.room = plant.room(known.unwrap_or(usize::MAX), true);
        if known.is_none()
            && let Err(shortage) = self.room.check(Node::least_bytes(entity))
        {
            notify::memory(entity, shortage);
            return Err(Reason::OverMemory);
        }
        let Entity { group, edge_node, .. } = entity;
        let is_named = known.is_none() && self.policy.spells_out(group, edge_node);
        if known.is_none() && !plant.has_place() {
            if !is_live || !self.policy.node_in_scope(group, edge_node) {
                return Ok(None);
            }
            if let Some(index) = plant.gives_way(self.now.mono, is_named)
                && let Some(node) = plant.node_mut(index)
            {
                notify::gave_way(entity, node.entity());
                self.bury_node(node, Fate::Dropped(Reason::OverCapacity));
                node.forget_all();
            }
        }
        let place = plant.ensure(entity, self.ledger);
        if known.is_none()
            && let Some(node) = place.and_then(|index| plant.node_mut(index))
        {
            node.heard = Some(Heard { since: self.now.mono, last_data: None });
            node.is_named = is_named;
        }
        Ok(place)
    }

    /// Counts what is remembered of a node. Where that is too much, its dead devices give way.
    ///
    /// # Errors
    /// It is too much still.
    pub(super) fn check_room(&self, node: &mut Node) -> Result<(), Shortage> {
        if self.room.check(node.bytes()).is_err() {
            node.forget_dead_devices();
        }
        self.room.check(node.bytes())
    }

    /// Refuses an NBIRTH: for readers the node is dead, and data of it can't be read.
    pub(super) fn refuse_node(&mut self, node: &mut Node, shortage: Shortage) -> Fate {
        notify::memory(node.entity(), shortage);
        self.bury_node(node, Fate::Dropped(Reason::OverMemory));
        node.forget_all();
        Fate::Dropped(Reason::OverMemory)
    }

    /// Refuses a DBIRTH.
    pub(super) fn refuse_device(
        &mut self,
        node: &mut Node,
        device: &str,
        shortage: Shortage,
    ) -> Fate {
        notify::memory(Entity { device: Some(device), ..node.entity() }, shortage);
        self.bury_device(node, device, Fate::Dropped(Reason::OverMemory));
        node.remove_device(device);
        Fate::Dropped(Reason::OverMemory)
    }

    /// Values of a message are refused: what readers have of the node is out of date.
    pub(super) fn doubt_for(&mut self, node: &mut Node, device: Option<&str>, shortage: Shortage) {
        notify::memory(Entity { device, ..node.entity() }, shortage);
        node.own.life.give_up_verifying();
        node.lose();
    }

    /// Forgets what was only learned from stored births, where nothing of it may cross, now or at
    /// any time. What was seen born and rests may live, and the next policy may let it cross.
    pub(super) fn forget_strangers(&self, node: &mut Node) {
        let Node { group, edge_node, own, devices, .. } = node;
        let was_seen = node.is_born_here || node.sessions.any();
        if own.life == Life::Known && !was_seen && !self.policy.node_ever_in_scope(group, edge_node)
        {
            node.forget_all();
            return;
        }
        let is_stranger = |device: &str| {
            !self.policy.device_ever_in_scope(Entity::device(group, edge_node, device))
        };
        devices.retain(|device, state| {
            state.life != Life::Known || state.born_at.is_some() || !is_stranger(device)
        });
        node.count_all();
    }

    /// Forgets the values of a stored birth that the policy lets nobody have, at no time.
    pub(super) fn forget_what_never_crosses(&mut self, node: &mut Node, device: Option<&str>) {
        let (group, edge_node) = (&node.group, &node.edge_node);
        let plan = self.policy.plan(Entity { group, edge_node, device });
        let state = match device {
            None => Some(&mut node.own),
            Some(device) => node.devices.get_mut(device).map(|state| &mut **state),
        };
        let Some(state) = state else { return };
        for slot in &mut state.layout.slots {
            let (name, datatype) = (slot.name(), slot.judged_datatype());
            let verdict = super::judge::judge(&plan, name, datatype).verdict;
            if !super::shape::keeps(&plan, name, datatype, verdict) {
                slot.forget_values();
            }
        }
        state.layout.count_bytes();
        node.count_all();
    }
}

#[cfg(test)]
impl super::Pipeline {
    /// No node takes more than it has counted, and the plant has counted all of them.
    pub(super) fn check_memory(&mut self) {
        self.plant.check_bytes();
    }

    /// What is remembered of all nodes.
    pub(super) fn remembered_bytes(&mut self) -> usize {
        self.plant.bytes()
    }
}

/// After what concerned all nodes: what is beyond the budget is buried and forgotten, the largest
/// first.
pub(super) fn enforce(step: &mut StepContext<'_>, plant: &mut Plant) {
    while let Some((index, shortage)) = plant.beyond_budget() {
        let Some(node) = plant.node_mut(index) else { return };
        let _ = step.refuse_node(node, shortage);
    }
}
