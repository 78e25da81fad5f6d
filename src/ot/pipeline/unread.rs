//! Messages that can't be read, or were refused before anybody read them: what becomes of their
//! entity, which is known by their topics.

use account::{Fate, NodeSlot, Origin, Reason, Refused};
use sparkplug::{Borrowed, EntityTopic, MessageType, Topic, find_seq, find_timestamp};

use super::births::low_byte;
use super::decode::Decoded;
use super::reorder::Way;
use super::{Entry, Now, Pipeline, Received, notify};

impl Pipeline {
    /// A message of an entity that can't be read: its topic says whose it is, and its number, as
    /// far as that can be found, when it was its turn.
    #[expect(clippy::too_many_arguments, reason = "a message, and what is known of it")]
    pub(super) fn unreadable(
        &mut self,
        now: Now,
        topic: EntityTopic<'_>,
        reason: Reason,
        received: Received<'_>,
        way: Way,
        origin: &mut Origin<'_>,
        out: &mut Vec<Entry>,
    ) -> Fate {
        match topic.message_type {
            // What an NDEATH says beside its topic is only a number.
            MessageType::NDeath => {
                let nothing = Decoded::Model(Borrowed::default());
                self.node_death(now, topic, nothing, received, origin, out)
            }
            MessageType::NBirth => {
                self.give_up_strangers_of(now, topic.entity, out);
                let timeout = self.settings.reorder_timeout;
                let (mut step, plant) = self.step(now, out);
                let place = origin.node.map(|NodeSlot(place)| place);
                if let Some(node) = place.and_then(|place| plant.node_mut(place)) {
                    let sent_ms = find_timestamp(received.payload);
                    if node.crossing.precedes_birth(now.mono, timeout, sent_ms) {
                        // Another one took its place already.
                        return Fate::Dropped(Reason::Late);
                    }
                    node.last_seen = now.mono;
                    // A birth that was sent before it, and comes behind it, isn't the newest one.
                    node.crossing.heard(now.mono, sent_ms);
                    step.follow_refusal(node, None, Refused::Birth, reason);
                    node.sequence.restart(low_byte(find_seq(received.payload)));
                }
                Fate::Dropped(reason)
            }
            _ => self.in_turn(now, topic, Err(reason), received, way, origin, out),
        }
    }

    /// Enters messages under `topic` that were refused while the relay was overloaded; `most` says
    /// who had most on the way then.
    pub fn shed(&mut self, topic: &str, messages: u64, most: &str) {
        self.refused(topic, messages, Reason::Overload);
        notify::shed(topic, messages, most);
    }

    /// Enters a message of which nobody has read more than its topic: too large, not what MQTT
    /// allows, or set aside, since this half was ended with it twice. `retain`: the broker had it
    /// stored, so it is no news.
    pub(crate) fn unread(&mut self, topic: &str, retain: bool, reason: Reason) {
        match Topic::parse(topic) {
            Ok(Topic::Entity(_)) if !retain => self.refused(topic, 1, reason),
            _ => {
                let _ = self.count_refused(topic, 1, reason);
            }
        }
    }

    /// Enters messages that nobody has read. What is known of their entity is no longer so, which
    /// the next tick says.
    fn refused(&mut self, topic: &str, messages: u64, reason: Reason) {
        let place = self.count_refused(topic, messages, reason);
        let Some(node) = place.and_then(|place| self.plant.node_mut(place)) else { return };
        // Their numbers are missing, and nobody is to wait for them, nor to say that they were
        // lost on the way.
        node.sequence.expect_unread(messages);
        node.early.outdate();
        node.refusals = node.refusals.wrapping_add(1);
        if let Ok(Topic::Entity(EntityTopic { message_type, entity })) = Topic::parse(topic) {
            let device = entity.device.map(Box::from);
            node.unread.insert((device, refused(message_type)), reason);
        }
    }

    /// Does what follows from messages that nobody has read.
    pub(super) fn doubt_unread(&mut self, now: Now, out: &mut Vec<Entry>) {
        for index in 0..self.plant.nodes().len() {
            if self.plant.nodes().get(index).is_none_or(|node| node.unread.is_empty()) {
                continue;
            }
            self.hear(now, index, out);
            let (mut step, plant) = self.step(now, out);
            let Some(node) = plant.node_mut(index) else { continue };
            for ((device, refused), reason) in std::mem::take(&mut node.unread) {
                step.follow_refusal(node, device.as_deref(), refused, reason);
            }
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
        self.ledger.begin_another();
        for _ in 0..messages {
            self.ledger.receive(origin.node);
            self.ledger.settle(origin, Fate::Dropped(reason));
        }
        self.ledger.end(topic);
        place
    }
}

/// What a message of this type is to those who have no use for it.
pub(super) fn refused(message_type: MessageType) -> Refused {
    match message_type {
        MessageType::NBirth | MessageType::DBirth => Refused::Birth,
        MessageType::NData | MessageType::DData => Refused::Data,
        MessageType::NDeath | MessageType::DDeath => Refused::Death,
    }
}
