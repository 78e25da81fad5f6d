//! The policy in shadow looks on: it is asked about the metrics that the policy in force judges. What
//! it says is counted, and nothing else.

use policy::{Judged, Policy};
use sparkplug::{DataType, Entity, steps};

use super::judge::JUDGED_BYTES;
use super::step::StepContext;
use super::{Now, Pipeline};
use crate::plant::{EntityState, Node, Shaper};
use crate::shadow::{Mark, Shadow};

impl Pipeline {
    /// Has a whole policy look on, from the beginning on; none, if there is none.
    pub fn observe(&mut self, now: Now, policy: Option<Policy>) {
        // No mark of before is one of its own. Each turn of its windows takes a number.
        let former = self.shadow.as_ref().map_or(self.shadow_stand, Shadow::stand);
        self.shadow_stand = former.wrapping_add(1).max(1);
        let stand = self.shadow_stand;
        let shadow = |policy| Shadow::new(&self.policy, policy, now.wall_ms, stand);
        self.shadow = policy.map(shadow);
    }

    /// The policy that looks on.
    pub(crate) fn shadow(&self) -> Option<&Shadow> {
        self.shadow.as_ref()
    }
}

impl StepContext<'_> {
    /// Has the policy in shadow look at what the policy in force has just judged.
    pub(super) fn judge_beside(&self, entity: Entity<'_>, state: &mut EntityState) {
        if let Some(shadow) = self.shadow {
            self.mark(shadow, entity, state);
            let slots = state.layout.slots.iter();
            match self.rule_counters.is_quiet() {
                true => slots.for_each(|slot| shadow.know(slot.beside)),
                false => slots.for_each(|slot| shadow.count(slot.beside)),
            }
        }
    }

    /// Brings the marks of an entity up to date before its data is counted by them: windows of the
    /// policy in shadow may have turned since they were made.
    pub(super) fn renew_beside(&mut self, node: &mut Node, device: Option<&str>) {
        let Some(shadow) = self.shadow else { return };
        let Node { group, edge_node, own, devices, .. } = node;
        let entity = Entity { group, edge_node, device };
        let state = match device {
            None => Some(own),
            Some(device) => devices.get_mut(device).map(|state| &mut **state),
        };
        if let Some(state) = state.filter(|state| state.beside != shadow.stand()) {
            self.mark(shadow, entity, state);
            self.work(state.layout.slots.len().saturating_mul(JUDGED_BYTES));
        }
    }

    fn mark(&self, shadow: &Shadow, entity: Entity<'_>, state: &mut EntityState) {
        steps::take(state.layout.slots.len());
        let look = shadow.look(self.policy, entity);
        for slot in &mut state.layout.slots {
            let shape = slot.shaper().map(Shaper::shape);
            let judged = (slot.verdict(), shape);
            let (name, datatype) = (slot.name(), slot.judged_datatype());
            slot.beside = look.mark(name, datatype, judged, slot.current.value.as_ref());
        }
        state.beside = shadow.stand();
    }

    /// The mark of a metric that data brings first.
    pub(super) fn mark_late(
        &self,
        entity: Entity<'_>,
        name: &str,
        datatype: DataType,
        judged: &Judged<'_>,
    ) -> Option<Mark> {
        let look = self.shadow?.look(self.policy, entity);
        look.mark(name, Some(datatype), (judged.verdict, judged.shape), None)
    }

    /// Counts a metric of data.
    pub(super) fn count_beside(&self, mark: Option<Mark>) {
        if let Some(shadow) = self.shadow {
            shadow.count(mark);
        }
    }
}
