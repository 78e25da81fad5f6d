//! Edge nodes and devices that send, and of which nothing can be shown, since no birth of them is known:
//! people have to hear of them, however well all else is.

use std::collections::HashMap;
use std::time::Duration;

use foldhash::fast::RandomState;
use sparkplug::Entity;

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
    /// A message of it can't be read for want of a birth; `was_alive`: it had one before.
    pub(super) fn heard(&mut self, entity: Entity<'_>, now: Duration, was_alive: bool) {
        let key = key(entity);
        if let Some(heard) = self.0.get_mut(&key) {
            let pause = now.saturating_sub(heard.last);
            heard.longest_pause = heard.longest_pause.max(pause);
            heard.last = now;
        } else if self.0.len() < MOST {
            let longest_pause = Duration::ZERO;
            self.0.insert(key, Heard { first: now, last: now, longest_pause, was_alive });
        }
    }

    /// Its birth came.
    pub(super) fn born(&mut self, entity: Entity<'_>) {
        if !self.0.is_empty() {
            self.0.remove(&key(entity));
        }
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

fn key(Entity { group, edge_node, device }: Entity<'_>) -> Box<str> {
    match device {
        None => format!("{group}/{edge_node}").into(),
        Some(device) => format!("{group}/{edge_node}/{device}").into(),
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
        unborn.heard(e, at(10), true);
        unborn.heard(f, at(10), true);
        assert_eq!(unborn.now(at(14)), (0, None), "a birth may be on its way");
        assert_eq!(unborn.now(at(20)), (0, None), "late messages of when it was alive");
        unborn.heard(e, at(15), true);
        assert_eq!(unborn.now(at(15)), (1, Some("G/E")));
        unborn.heard(f, at(40), true);
        assert_eq!(unborn.now(at(40)).0, 2);
        unborn.born(f);
        assert_eq!(unborn.now(at(40)), (1, Some("G/E")));
        assert_eq!(unborn.now(at(75)), (0, None), "it sends no more");
        unborn.tick(at(75));
        assert!(unborn.0.is_empty());
    }

    #[test]
    fn who_sends_rarely_is_known_all_the_while() {
        let e = Entity::node("G", "E");
        let mut unborn = Unborn::default();
        unborn.heard(e, at(0), false);
        assert_eq!((unborn.now(at(4)).0, unborn.now(at(5)).0), (0, 1));
        for hour in 1..5 {
            unborn.tick(at(hour * 3_000 - 1));
            assert_eq!(unborn.now(at(hour * 3_000 - 1)).0, 1);
            unborn.heard(e, at(hour * 3_000), false);
        }
        unborn.tick(at(12_000 + 9_000));
        assert!(unborn.0.is_empty());
    }
}
