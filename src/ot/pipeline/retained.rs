//! What a broker has stored of the plant: births teach layouts, and nothing of it is news.

use account::{NodeSlot, Origin};
use sparkplug::{Entity, EntityTopic};

use super::decode::Birth;
use super::{Entry, Now, Pipeline};

impl Pipeline {
    /// Retained messages: births teach layouts; data and deaths are no events.
    pub(super) fn stored(
        &mut self,
        now: Now,
        topic: EntityTopic<'_>,
        birth: Birth,
        bytes: usize,
        origin: &mut Origin<'_>,
        out: &mut Vec<Entry>,
    ) {
        if !topic.message_type.is_birth() {
            return;
        }
        if !self.may_concern(topic.entity) {
            return;
        }
        let (mut step, plant) = self.step(now, out);
        let Ok(index) = step.find_room(plant, topic.entity, false) else { return };
        origin.node = index.map(NodeSlot);
        if let Some(index) = index
            && let Some(node) = plant.node_mut(index)
        {
            node.last_seen = now.mono;
            node.output.earn(now.mono, bytes);
            step.stored_birth(node, topic.entity.device, birth);
            plant.make_room(index);
        }
    }

    /// Whether anything of an entity may cross under the policy in force, now or at some time. Of
    /// others nothing is learned from what a broker has stored.
    fn may_concern(&self, entity: Entity<'_>) -> bool {
        let Entity { group, edge_node, device } = entity;
        match device {
            None => self.policy.node_ever_in_scope(group, edge_node),
            Some(_) => self.policy.device_ever_in_scope(entity),
        }
    }
}
