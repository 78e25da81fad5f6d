//! The OT broker: the relay's persistent session, its queue and its window, and what a network does
//! to messages on their way.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use account::Reason;
use bytes::Bytes;
use ot::testing::Delivery;
use prost::Message as _;
use sparkplug::Payload;

use super::plant::{MAX_METRICS, MessageId, Published};
use super::random::Random;

/// Messages at QoS 1 that are kept for a session, as mosquitto has it.
const MAX_QUEUED: usize = 1_000;

/// A message on its way to the relay.
#[derive(Clone, Debug)]
pub struct Message {
    pub delivery: Delivery,
    pub id: Option<MessageId>,
    /// The one reason for which the relay has to drop it, if that is known.
    pub dropped_for: Option<Reason>,
}

/// A message at QoS 1 that isn't acknowledged.
#[derive(Clone, Debug)]
struct Kept {
    packet_id: u16,
    message: Message,
    /// It was delivered on some connection.
    was_delivered: bool,
}

#[derive(Debug)]
pub struct OtBroker {
    window: usize,
    has_session: bool,
    is_connected: bool,
    packet_ids: u16,
    in_flight: VecDeque<Kept>,
    queue: VecDeque<Message>,
    /// What the relay reads next.
    wire: VecDeque<Message>,
    /// Messages that come later, and when.
    late: Vec<(Duration, Message)>,
    /// What is stored for whoever subscribes, by topic.
    stored: BTreeMap<String, Vec<u8>>,
    loses: u64,
    copies: u64,
    shuffles: Option<Shuffle>,
    /// Messages that nobody will hear of, since this was asked last.
    lost: Vec<MessageId>,
}

#[derive(Clone, Debug)]
struct Shuffle {
    until: Duration,
    late_ms: u64,
    random: Random,
}

impl OtBroker {
    pub fn new(window: usize) -> OtBroker {
        OtBroker {
            window,
            has_session: false,
            is_connected: false,
            packet_ids: 0,
            in_flight: VecDeque::new(),
            queue: VecDeque::new(),
            wire: VecDeque::new(),
            late: Vec::new(),
            stored: BTreeMap::new(),
            loses: 0,
            copies: 0,
            shuffles: None,
            lost: Vec::new(),
        }
    }

    pub fn lose(&mut self, messages: u64) {
        self.loses = messages;
    }

    pub fn copy(&mut self, messages: u64) {
        self.copies = messages;
    }

    pub fn shuffle(&mut self, until: Duration, late_ms: u64, roll: u64) {
        self.shuffles = Some(Shuffle { until, late_ms, random: Random::new(roll) });
    }

    /// From now on it delivers everything, once and in order.
    pub fn calm(&mut self) {
        (self.loses, self.copies, self.shuffles) = (0, 0, None);
    }

    /// Somebody publishes. `is_will`: the broker itself does, so that it can't be lost on the way.
    pub fn publish(&mut self, now: Duration, published: Published, is_will: bool) {
        if !published.is_assured && !is_will && self.loses > 0 {
            self.loses -= 1;
            self.lost.extend(published.id);
            return;
        }
        if published.is_stored {
            self.stored.insert(published.topic.clone(), published.payload.clone());
        }
        let message = Message {
            delivery: Delivery {
                topic: published.topic.into_bytes().into(),
                payload: published.payload.into(),
                retain: false,
                dup: false,
                is_too_large: false,
                packet_id: published.is_assured.then_some(0),
            },
            id: published.id,
            dropped_for: None,
        };
        self.send(now, message);
    }

    /// Publishes, at QoS 0, what the relay has to drop for this reason.
    pub fn publish_junk(
        &mut self,
        topic: &str,
        payload: &[u8],
        dropped_for: Reason,
        id: Option<MessageId>,
    ) {
        let delivery = Delivery {
            topic: Bytes::copy_from_slice(topic.as_bytes()),
            payload: Bytes::copy_from_slice(payload),
            retain: false,
            dup: false,
            is_too_large: dropped_for == Reason::TooLarge,
            packet_id: None,
        };
        if self.is_connected {
            self.wire.push_back(Message { delivery, id, dropped_for: Some(dropped_for) });
        } else {
            self.lost.extend(id);
        }
    }

    fn send(&mut self, now: Duration, message: Message) {
        let copies = self.copies > 0;
        self.copies = self.copies.saturating_sub(1);
        if let Some(shuffle) = self.shuffles.as_mut().filter(|shuffle| shuffle.until > now) {
            let at = now + Duration::from_millis(shuffle.random.between(0, shuffle.late_ms));
            self.late.push((at, message));
            return;
        }
        if copies {
            let mut copy = message.clone();
            copy.id = None;
            self.arrive(message);
            self.arrive(copy);
            return;
        }
        self.arrive(message);
    }

    /// Whether something is stored under this topic.
    pub fn stores(&self, topic: &[u8]) -> bool {
        self.stored.keys().any(|stored| stored.as_bytes() == topic)
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: Duration) {
        // In the order of their times, and of their coming where these are equal.
        self.late.sort_by_key(|(at, _)| *at);
        let due = self.late.partition_point(|(at, _)| *at <= now);
        let due: Vec<_> = self.late.drain(..due).collect();
        for (_, message) in due {
            self.arrive(message);
        }
    }

    /// A message is there for the relay's session.
    fn arrive(&mut self, message: Message) {
        if message.delivery.packet_id.is_none() {
            if self.is_connected {
                self.wire.push_back(message);
            } else {
                self.lost.extend(message.id);
            }
        } else if !self.has_session || self.queue.len() >= MAX_QUEUED {
            self.lost.extend(message.id);
        } else {
            self.queue.push_back(message);
            self.fill();
        }
    }

    /// Takes from the queue what the window has room for.
    fn fill(&mut self) {
        while self.is_connected
            && self.in_flight.len() < self.window
            && let Some(mut message) = self.queue.pop_front()
        {
            self.packet_ids = self.packet_ids.wrapping_add(1).max(1);
            message.delivery.packet_id = Some(self.packet_ids);
            self.in_flight.push_back(Kept {
                packet_id: self.packet_ids,
                message: message.clone(),
                was_delivered: true,
            });
            self.wire.push_back(message);
        }
    }

    /// The relay connects; whether the broker has its session.
    pub fn connect(&mut self) -> bool {
        let present = std::mem::replace(&mut self.has_session, true);
        self.is_connected = true;
        for kept in &mut self.in_flight {
            let mut message = kept.message.clone();
            message.delivery.dup = std::mem::replace(&mut kept.was_delivered, true);
            self.wire.push_back(message);
        }
        // It subscribes, as on every connection.
        for (topic, payload) in &self.stored {
            let delivery = Delivery {
                topic: Bytes::copy_from_slice(topic.as_bytes()),
                payload: Bytes::copy_from_slice(payload),
                retain: true,
                dup: false,
                is_too_large: false,
                packet_id: None,
            };
            self.wire.push_back(Message { delivery, id: None, dropped_for: Some(stored(payload)) });
        }
        self.fill();
        present
    }

    /// The connection ended; what was at QoS 0 on it is lost.
    pub fn disconnect(&mut self) {
        self.is_connected = false;
        for message in self.wire.drain(..) {
            if message.delivery.packet_id.is_none() {
                self.lost.extend(message.id);
            }
        }
    }

    /// It starts anew and knows of no session.
    pub fn restart(&mut self) {
        self.disconnect();
        self.has_session = false;
        let kept = self.in_flight.drain(..).map(|kept| kept.message);
        let gone = kept.chain(self.queue.drain(..)).chain(self.late.drain(..).map(|late| late.1));
        self.lost.extend(gone.filter_map(|message| message.id));
    }

    /// Nothing waits for the relay.
    pub fn is_idle(&self) -> bool {
        self.late.is_empty() && self.wire.is_empty() && self.queue.is_empty()
    }

    pub fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// What the relay reads now.
    pub fn read(&mut self) -> Vec<Message> {
        self.wire.drain(..).collect()
    }

    /// The relay acknowledged a message; whose it is, and whether it is one that is in flight.
    pub fn acknowledge(&mut self, packet_id: u16) -> Result<Option<MessageId>, ()> {
        let place = self.in_flight.iter().position(|kept| kept.packet_id == packet_id).ok_or(())?;
        let id = self.in_flight.remove(place).and_then(|kept| kept.message.id);
        self.fill();
        Ok(id)
    }

    /// Whether it delivers a message again with the next session.
    pub fn repeats(&self, id: MessageId) -> bool {
        self.in_flight.iter().any(|kept| kept.message.id == Some(id))
    }

    /// Messages that nobody will hear of, since this was asked last.
    pub fn take_lost(&mut self) -> Vec<MessageId> {
        std::mem::take(&mut self.lost)
    }
}

/// What the relay has to drop a stored message for: nothing stored is news, and what it can't read
/// teaches nothing.
fn stored(payload: &[u8]) -> Reason {
    match Payload::decode(payload) {
        Ok(payload) if payload.metrics.len() > MAX_METRICS => Reason::OverCap,
        Ok(_) => Reason::StoredBirth,
        Err(_) => Reason::MalformedPayload,
    }
}
