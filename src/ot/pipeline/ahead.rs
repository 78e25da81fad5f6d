//! Births of devices that came so long before the NBIRTH of their session that nobody waits any
//! longer: they were dropped, and still say what the devices look like, which nobody says again.
//! Behind the NBIRTH they teach as what a broker has stored does, and the devices live, in doubt.

use std::collections::HashMap;
use std::time::Duration;

use foldhash::fast::RandomState;
use sparkplug::{Entity, EntityTopic, MessageType};

use super::decode::Decoded;
use super::reorder::key;
use super::{Entry, Now, Pipeline};
use crate::plant::OVERTAKEN;

/// Edge nodes of which some are kept, devices of each, and bytes of all.
const NODES: usize = 1_000;
const NODE_DEVICES: usize = 64;
const BYTES: usize = 1024 * 1024;

/// Such births, by `group/edge node`.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    nodes: HashMap<Box<str>, Vec<Kept>, RandomState>,
    bytes: usize,
}

/// The birth of one device.
#[derive(Debug)]
struct Kept {
    device: Box<str>,
    payload: Box<[u8]>,
    at: Duration,
    /// In milliseconds since the epoch.
    sent_ms: u64,
}

impl Kept {
    /// Whether its NBIRTH may still come.
    fn is_recent(&self, now: Duration) -> bool {
        now.saturating_sub(self.at) <= OVERTAKEN
    }
}

impl Ahead {
    /// Keeps the birth of a device, as far as there is room.
    pub(super) fn keep(&mut self, now: Duration, entity: Entity<'_>, sent_ms: u64, bytes: &[u8]) {
        let Some(device) = entity.device else { return };
        let key = key(entity);
        let is_newer = |kept: &Kept| *kept.device == *device && kept.sent_ms > sent_ms;
        if self.nodes.get(&key).is_some_and(|births| births.iter().any(is_newer)) {
            return;
        }
        self.forget(entity, Some(sent_ms));
        let devices = self.nodes.get(&key).map_or(0, Vec::len);
        let has_place = devices < NODE_DEVICES && (devices > 0 || self.nodes.len() < NODES);
        if has_place && self.bytes.saturating_add(bytes.len()) <= BYTES {
            self.bytes = self.bytes.saturating_add(bytes.len());
            let kept = Kept { device: device.into(), payload: bytes.into(), at: now, sent_ms };
            self.nodes.entry(key).or_default().push(kept);
        }
    }

    /// The same of a message, if it is such a birth and has a time.
    pub(super) fn keep_birth(
        &mut self,
        now: Duration,
        topic: EntityTopic<'_>,
        sent_ms: Option<u64>,
        bytes: &[u8],
    ) {
        if topic.message_type == MessageType::DBirth
            && let Some(sent_ms) = sent_ms
        {
            self.keep(now, topic.entity, sent_ms, bytes);
        }
    }

    /// The device died or was born again, or its node died. `sent_ms`: then, where that is known; what
    /// was kept and is newer stays.
    pub(super) fn forget(&mut self, entity: Entity<'_>, sent_ms: Option<u64>) {
        if self.nodes.is_empty() {
            return;
        }
        let key = key(entity);
        let Some(births) = self.nodes.get_mut(&key) else { return };
        let is_newer = |kept: &Kept| sent_ms.is_some_and(|sent| kept.sent_ms > sent);
        let is_other = |kept: &Kept| entity.device.is_some_and(|device| *kept.device != *device);
        let stays = |kept: &Kept| is_other(kept) || is_newer(kept);
        if !retain(births, &mut self.bytes, stays) {
            self.nodes.remove(&key);
        }
    }

    /// Forgets what is too old.
    pub(super) fn tick(&mut self, now: Duration) {
        let bytes = &mut self.bytes;
        self.nodes.retain(|_, births| retain(births, bytes, |kept| kept.is_recent(now)));
    }

    /// The births that were sent with this NBIRTH or behind it, in the order in which they came.
    fn take(&mut self, node: Entity<'_>, now: Duration, born_ms: Option<u64>) -> Vec<Kept> {
        if self.nodes.is_empty() {
            return Vec::new();
        }
        let births = self.nodes.remove(&key(node)).unwrap_or_default();
        let bytes = births.iter().map(|kept| kept.payload.len()).sum();
        self.bytes = self.bytes.saturating_sub(bytes);
        let is_of_it =
            |kept: &Kept| kept.is_recent(now) && born_ms.is_some_and(|born| kept.sent_ms >= born);
        births.into_iter().filter(is_of_it).collect()
    }
}

/// Whether any stay. `bytes`: of all that is kept.
fn retain(births: &mut Vec<Kept>, bytes: &mut usize, stays: impl Fn(&Kept) -> bool) -> bool {
    for kept in births.extract_if(.., |kept| !stays(kept)) {
        *bytes = bytes.saturating_sub(kept.payload.len());
    }
    !births.is_empty()
}

impl Pipeline {
    /// An edge node was born: what came before of its devices teaches their layouts.
    pub(super) fn teach_ahead(
        &mut self,
        now: Now,
        place: usize,
        entity: Entity<'_>,
        born_ms: Option<u64>,
        out: &mut Vec<Entry>,
    ) {
        for kept in self.ahead.take(entity, now.mono, born_ms) {
            let mut inflated = Vec::new();
            let caps = &self.settings.caps;
            let Ok(decoded) = Decoded::any(&kept.payload, &mut inflated, caps) else { continue };
            let birth = decoded.into_birth();
            let (mut step, plant) = self.step(now, out);
            if let Some(node) = plant.node_mut(place) {
                step.stored_birth(node, Some(&kept.device), birth);
                step.revive_known(node, &kept.device);
            }
        }
        self.plant.make_room(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn devices(kept: &[Kept]) -> Vec<&str> {
        kept.iter().map(|kept| &*kept.device).collect()
    }

    #[test]
    fn what_was_sent_behind_an_nbirth_is_kept_for_it_and_nothing_else() {
        let node = Entity::node("G", "E");
        let mut ahead = Ahead::default();
        let fill = |ahead: &mut Ahead| {
            ahead.keep(at(1), Entity::device("G", "E", "F"), 10, b"1");
            ahead.keep(at(1), Entity::device("G", "E", "H"), 9, b"22");
            ahead.keep(at(2), Entity::device("G", "E", "I"), 11, b"333");
            ahead.keep(at(2), Entity::device("G", "Other", "F"), 11, b"4444");
        };
        fill(&mut ahead);
        assert_eq!(devices(&ahead.take(node, at(3), Some(10))), ["F", "I"]);
        assert_eq!(devices(&ahead.take(node, at(3), Some(10))), [""; 0]);
        assert_eq!(ahead.bytes, 4);
        fill(&mut ahead);
        assert_eq!(devices(&ahead.take(node, at(22), Some(10))), ["I"]);
        fill(&mut ahead);
        assert_eq!(devices(&ahead.take(node, at(3), None)), [""; 0], "nothing says of which it is");
        fill(&mut ahead);
        ahead.forget(Entity::device("G", "E", "F"), Some(9));
        ahead.forget(Entity::device("G", "E", "F"), Some(10));
        assert_eq!(devices(&ahead.take(node, at(3), Some(0))), ["H", "I"]);
        fill(&mut ahead);
        ahead.forget(node, None);
        assert_eq!(devices(&ahead.take(node, at(3), Some(0))), [""; 0]);
        fill(&mut ahead);
        ahead.tick(at(22));
        assert_eq!((ahead.nodes.len(), ahead.bytes), (2, 3 + 4));
        ahead.tick(at(23));
        assert_eq!((ahead.nodes.len(), ahead.bytes), (0, 0));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut ahead = Ahead::default();
        for device in 0..2 * NODE_DEVICES {
            ahead.keep(at(1), Entity::device("G", "E", &device.to_string()), 1, b"1");
        }
        assert_eq!(ahead.nodes.values().map(Vec::len).sum::<usize>(), NODE_DEVICES);
        for node in 0..2 * NODES {
            ahead.keep(at(1), Entity::device("G", &node.to_string(), "F"), 1, b"1");
        }
        assert_eq!(ahead.nodes.len(), NODES);
        let mut ahead = Ahead::default();
        ahead.keep(at(1), Entity::device("G", "E", "F"), 1, &vec![0; BYTES]);
        ahead.keep(at(1), Entity::device("G", "E", "H"), 1, b"1");
        assert_eq!(ahead.bytes, BYTES);
        ahead.keep(at(1), Entity::device("G", "E", "F"), 1, b"1");
        assert_eq!(ahead.bytes, 1, "a birth takes the place of the one before");
    }
}
