//! Edge nodes and devices that send, and of which nothing can be shown, since no birth of them is known:
//! people have to hear of them, however well all else is.

use std::collections::HashMap;
use std::time::Duration;

use foldhash::fast::RandomState;
use sparkplug::Entity;

use super::{Now, Pipeline};
use crate::plant::{Life, Missed};

/// Nodes and devices that are told apart.
const MOST: usize = 10_000;
/// What sent something within this time counts …
const RECENT: Duration = Duration::from_secs(60);
/// … and what is known to send more rarely, within so many times its longest pause …
const PAUSES: u32 = 3;
/// … and what was heard once and never was alive, within this time …
const HEARD_ONCE: Duration = Duration::from_secs(3_600);
/// … unless it began just now: a birth may be on its way.
const GRACE: Duration = Duration::from_secs(5);

/// What was heard of each of them, by `group/edge node` and `group/edge node/device`.
#[derive(Debug, Default)]
pub(super) struct Unborn(HashMap<Box<str>, Heard, RandomState>);

/// Messages that can't be read.
#[derive(Clone, Copy, Debug)]
struct Heard {
    first: Duration,
    last: Duration,
    longest_pause: Duration,
    /// The latest time of their payloads, in milliseconds since the epoch; `None`: one has none.
    newest_ms: Option<u64>,
    /// It was alive before: a single message may be a late one of then.
    was_alive: bool,
}

impl Heard {
    /// Until when it counts.
    fn until(&self) -> Duration {
        let heard_once = self.first == self.last && !self.was_alive;
        let least = if heard_once { HEARD_ONCE } else { RECENT };
        self.last.saturating_add(self.longest_pause.saturating_mul(PAUSES).max(least))
    }

    fn counts(&self, now: Duration) -> bool {
        let since = if self.was_alive { self.last } else { now };
        since.saturating_sub(self.first) >= GRACE && now < self.until()
    }
}

impl Unborn {
    /// A message of it, of this time, can't be read for want of a birth; `was_alive`: it had one before.
    pub(super) fn heard(
        &mut self,
        entity: Entity<'_>,
        now: Duration,
        sent_ms: Option<u64>,
        was_alive: bool,
    ) {
        let key = entity.to_string().into_boxed_str();
        if let Some(heard) = self.0.get_mut(&key) {
            let pause = now.saturating_sub(heard.last);
            heard.longest_pause = heard.longest_pause.max(pause);
            heard.last = now;
            heard.newest_ms = heard.newest_ms.zip(sent_ms).map(|(newest, sent)| newest.max(sent));
        } else if self.0.len() < MOST {
            let longest_pause = Duration::ZERO;
            let heard =
                Heard { first: now, last: now, longest_pause, newest_ms: sent_ms, was_alive };
            self.0.insert(key, heard);
        }
    }

    /// Its birth of this time came. What couldn't be read, if that was sent after it: then the birth
    /// came too late, and its values may be older than those.
    pub(super) fn born(
        &mut self,
        entity: Entity<'_>,
        now: Duration,
        sent_ms: Option<u64>,
    ) -> Option<Missed> {
        if self.0.is_empty() {
            return None;
        }
        let heard = self.0.remove(&entity.to_string().into_boxed_str())?;
        let missed = Missed { at: heard.last, newest_ms: heard.newest_ms };
        missed.may_be_newer(now, sent_ms).then_some(missed)
    }

    /// Forgets those that are silent.
    pub(super) fn tick(&mut self, now: Duration) {
        self.0.retain(|_, heard| now < heard.until());
    }

    /// How many there are, and one of them.
    pub(super) fn now(&self, now: Duration) -> (usize, Option<&str>) {
        let mut names =
            self.0.iter().filter(|(_, heard)| heard.counts(now)).map(|(name, _)| &**name);
        let first = names.next();
        (names.count().saturating_add(usize::from(first.is_some())), first)
    }
}

impl Pipeline {
    /// Takes note of an edge node, or of a device of one that is known, that sends without a birth.
    pub(super) fn note_unborn(&mut self, now: Now, entity: Entity<'_>) {
        let Some(sent_ms) = self.sent else { return };
        let Entity { group, edge_node, device } = entity;
        let node = self.plant.find(entity).and_then(|place| self.plant.nodes().get(place));
        let born = node.filter(|node| node.own.life != Life::Unknown);
        match (born, device) {
            (None, _) if self.policy.node_in_scope(group, edge_node) => {
                let was_alive = node.is_some_and(|node| node.sessions.any());
                let node = Entity::node(group, edge_node);
                self.unborn.heard(node, now.mono, sent_ms, was_alive);
            }
            (Some(node), Some(device)) if self.policy.device_in_scope(entity) => {
                let was_alive = node.devices.contains_key(device);
                self.unborn.heard(entity, now.mono, sent_ms, was_alive);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn who_goes_on_sending_without_a_birth_is_known() {
        let (e, f) = (Entity::node("G", "E"), Entity::device("G", "E", "F"));
        let mut unborn = Unborn::default();
        unborn.heard(e, at(10), Some(7), true);
        unborn.heard(f, at(10), Some(7), true);
        assert_eq!(unborn.now(at(14)), (0, None), "a birth may be on its way");
        assert_eq!(unborn.now(at(20)), (0, None), "late messages of when it was alive");
        unborn.heard(e, at(15), Some(7), true);
        assert_eq!(unborn.now(at(15)), (1, Some("G/E")));
        unborn.heard(f, at(40), Some(7), true);
        assert_eq!(unborn.now(at(40)).0, 2);
        assert!(unborn.born(f, at(40), Some(8)).is_none());
        assert_eq!(unborn.now(at(40)), (1, Some("G/E")));
        assert_eq!(unborn.now(at(75)), (0, None), "it sends no more");
        unborn.tick(at(75));
        assert!(unborn.0.is_empty());
    }

    #[test]
    fn a_birth_that_comes_behind_its_data_is_known_as_such() {
        let e = Entity::node("G", "E");
        let mut unborn = Unborn::default();
        for (sent, birth, is_behind) in [
            (Some(9), Some(8), true),
            (Some(9), Some(9), true),
            (Some(9), Some(10), false),
            (None, Some(10), true),
            (Some(9), None, true),
        ] {
            unborn.heard(e, at(1), sent, false);
            unborn.heard(e, at(1), Some(1), false);
            assert_eq!(unborn.born(e, at(21), birth).is_some(), is_behind, "{sent:?} {birth:?}");
            assert!(unborn.born(e, at(21), birth).is_none());
        }
        unborn.heard(e, at(1), Some(9), false);
        assert!(unborn.born(e, at(22), Some(8)).is_none(), "a clock that was set back");
    }

    #[test]
    fn who_sends_rarely_is_known_all_the_while() {
        let e = Entity::node("G", "E");
        let mut unborn = Unborn::default();
        unborn.heard(e, at(0), Some(7), false);
        assert_eq!((unborn.now(at(4)).0, unborn.now(at(5)).0), (0, 1));
        for hour in 1..5 {
            unborn.tick(at(hour * 3_000 - 1));
            assert_eq!(unborn.now(at(hour * 3_000 - 1)).0, 1);
            unborn.heard(e, at(hour * 3_000), Some(7), false);
        }
        unborn.tick(at(12_000 + 9_000));
        assert!(unborn.0.is_empty());
    }
}
