//! The way of one received message through the pipeline's stages, from its topic to its fate.

use std::hash::BuildHasher;

use account::{Fate, NodeSlot, Origin, Reason};
use policy::Rule;
use sparkplug::{EntityTopic, MessageType, Payload, Topic};

use super::decode::Decoded;
use super::{Entry, Now, Pipeline, Received, notify};
use crate::plant::Numbering;

impl Pipeline {
    /// Handles one message and appends what is to be journalled of it to `out`.
    pub fn handle(&mut self, now: Now, received: Received<'_>, out: &mut Vec<Entry>) {
        let mut origin = Origin::default();
        let fate = self.process(now, received, &mut origin, out);
        self.ledger.receive(origin.node);
        self.ledger.settle(origin, fate);
        match fate {
            Fate::Dropped(reason) => notify::dropped(reason, None, received),
            Fate::DroppedBy(reason, rule) => {
                let rule = rule.and_then(|rule| self.policy.rule(rule));
                notify::dropped(reason, rule.map(Rule::name), received);
            }
            Fate::Forwarded | Fate::Waiting => {}
        }
    }

    /// Enters messages under `topic` that were refused while the relay was overloaded.
    pub fn shed(&mut self, topic: &str, messages: u64) {
        self.refused(topic, messages, Reason::Overload);
        notify::shed(topic, messages);
    }

    /// Enters a message that was too large to be read. `retain`: the broker had it stored, so it
    /// is no news.
    pub fn too_large(&mut self, topic: &str, retain: bool) {
        match Topic::parse(topic) {
            Ok(Topic::Entity(_)) if !retain => self.refused(topic, 1, Reason::TooLarge),
            _ => {
                let _ = self.count_refused(topic, 1, Reason::TooLarge);
            }
        }
    }

    /// Enters messages that nobody has read, and doubts what is known of their node.
    fn refused(&mut self, topic: &str, messages: u64, reason: Reason) {
        let place = self.count_refused(topic, messages, reason);
        // Where its sequence is followed, the next message shows the hole.
        if let Some(node) = place.and_then(|place| self.plant.node_mut(place))
            && node.numbering != Numbering::Complete
        {
            node.lose();
        }
    }

    /// Where the node is whose messages they were.
    fn count_refused(&mut self, topic: &str, messages: u64, reason: Reason) -> Option<usize> {
        let entity = match Topic::parse(topic) {
            Ok(Topic::Entity(topic) | Topic::StoredBirth(topic)) => Some(topic.entity),
            _ => None,
        };
        let place = entity.and_then(|entity| self.plant.find(entity));
        let origin = Origin { entity, node: place.map(NodeSlot) };
        for _ in 0..messages {
            self.ledger.receive(origin.node);
            self.ledger.settle(origin, Fate::Dropped(reason));
        }
        place
    }

    /// `origin` becomes whose message it is, as far as that is known.
    fn process<'a>(
        &mut self,
        now: Now,
        received: Received<'a>,
        origin: &mut Origin<'a>,
        out: &mut Vec<Entry>,
    ) -> Fate {
        let (topic, stored) = match Topic::parse(received.topic) {
            Ok(Topic::Entity(topic)) => (topic, received.retain),
            Ok(Topic::StoredBirth(topic)) => (topic, true),
            Ok(Topic::Command { .. }) => return Fate::Dropped(Reason::Command),
            Ok(Topic::State { .. }) => return Fate::Dropped(Reason::State),
            Ok(Topic::UnknownType { .. }) => return Fate::Dropped(Reason::UnknownType),
            Ok(Topic::NotSparkplug) => return Fate::Dropped(Reason::NotSparkplug),
            Err(_) => return Fate::Dropped(Reason::MalformedTopic),
        };
        origin.entity = Some(topic.entity);
        origin.node = self.plant.find(topic.entity).map(NodeSlot);
        if received.payload.is_empty() {
            // How a retained message is cleared. As a Sparkplug payload it would be an empty
            // birth, or the death of anybody.
            return Fate::Dropped(Reason::MalformedPayload);
        }
        let is_news = topic.message_type.is_data() && !stored;
        let mut inflated = Vec::new();
        let (bytes, caps) = (received.payload, &self.settings.caps);
        let decoded = if is_news && self.has_fast_path() {
            Decoded::data(bytes, &mut inflated, &mut self.metric_room, caps)
        } else {
            Decoded::any(bytes, &mut inflated, caps)
        };
        let decoded = match decoded {
            Ok(decoded) => decoded,
            Err(reason) => return Fate::Dropped(reason),
        };
        if let Decoded::Model(payload) = &decoded {
            let counters = &mut self.counters;
            counters.unknown_fields =
                counters.unknown_fields.saturating_add(payload.unknown_fields);
            let compressed = u64::from(payload.was_compressed);
            counters.compressed = counters.compressed.saturating_add(compressed);
        }
        self.structure_changed |= !topic.message_type.is_data();
        if stored {
            self.stored(now, topic, decoded.into_model().into_payload(), origin, out);
            return Fate::Dropped(Reason::StoredBirth);
        }
        match topic.message_type {
            MessageType::NBirth => self.node_birth(now, topic, decoded, received, origin, out),
            _ => self.of_known_node(now, topic, decoded, received, origin, out),
        }
    }

    fn has_fast_path(&self) -> bool {
        #[cfg(any(test, feature = "testing"))]
        if !self.takes_fast_path {
            return false;
        }
        !self.limiter.is_shared()
    }

    /// Retained messages: births teach layouts; data and deaths are no events.
    fn stored(
        &mut self,
        now: Now,
        topic: EntityTopic<'_>,
        payload: Payload,
        origin: &mut Origin<'_>,
        out: &mut Vec<Entry>,
    ) {
        if !topic.message_type.is_birth() {
            return;
        }
        let (mut step, plant) = self.step(now, out);
        let index = plant.ensure(topic.entity, step.ledger);
        origin.node = index.map(NodeSlot);
        if let Some(node) = index.and_then(|index| plant.node_mut(index)) {
            node.last_seen = now.mono;
            step.stored_birth(node, topic.entity.device, payload);
        }
    }

    fn node_birth(
        &mut self,
        now: Now,
        topic: EntityTopic<'_>,
        decoded: Decoded<'_>,
        received: Received<'_>,
        origin: &mut Origin<'_>,
        out: &mut Vec<Entry>,
    ) -> Fate {
        let hash = self.hash(received);
        let (mut step, plant) = self.step(now, out);
        let index = plant.ensure(topic.entity, step.ledger);
        origin.node = index.map(NodeSlot);
        let Some(node) = index.and_then(|index| plant.node_mut(index)) else {
            return Fate::Dropped(Reason::OverCapacity);
        };
        node.last_seen = now.mono;
        if !node.sequence.arrive_unordered(hash, received.dup) {
            return Fate::Dropped(Reason::Duplicate);
        }
        step.node_birth(node, decoded.into_model().into_payload())
    }

    /// Every message but an NBIRTH: without one before it, nothing can be read by it.
    fn of_known_node(
        &mut self,
        now: Now,
        topic: EntityTopic<'_>,
        decoded: Decoded<'_>,
        received: Received<'_>,
        origin: &Origin<'_>,
        out: &mut Vec<Entry>,
    ) -> Fate {
        let hash = self.hash(received);
        let (mut step, plant) = self.step(now, out);
        let Some(node) = origin.node.and_then(|NodeSlot(index)| plant.node_mut(index)) else {
            return Fate::Dropped(Reason::DataBeforeBirth);
        };
        node.last_seen = now.mono;
        if topic.message_type == MessageType::NDeath {
            if !node.sequence.arrive_unordered(hash, received.dup) {
                return Fate::Dropped(Reason::Duplicate);
            }
            return step.node_death(node, &decoded.into_model().into_payload());
        }
        let Some(is_late) = step.follow(node, decoded.seq(), hash, received) else {
            return Fate::Dropped(Reason::Duplicate);
        };
        let device = topic.entity.device;
        match (topic.message_type, device) {
            (MessageType::DBirth, Some(device)) => {
                step.device_birth(node, device, decoded.into_model().into_payload())
            }
            (MessageType::DDeath, Some(device)) => {
                step.device_death(node, device, &decoded.into_model().into_payload())
            }
            _ => {
                // What is late may be older than what is current, so each value is looked at.
                if let Decoded::Scalars(scalars) = &decoded
                    && !is_late
                    && let Some(fate) = step.fast_path(node, device, scalars)
                {
                    if let Decoded::Scalars(scalars) = decoded {
                        self.metric_room.put_back(scalars.metrics);
                    }
                    return fate;
                }
                step.data(node, device, decoded.into_model(), is_late)
            }
        }
    }

    fn hash(&self, received: Received<'_>) -> u64 {
        self.hasher.hash_one((received.topic, received.payload))
    }
}
