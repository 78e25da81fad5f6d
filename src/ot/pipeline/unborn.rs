//! Edge nodes that send, and of which nothing can be shown, since no birth of them is known: people
//! have to hear of them, however well all else is.

use std::collections::HashMap;
use std::time::Duration;

use foldhash::fast::RandomState;
use sparkplug::Entity;

/// Nodes that are told apart.
const MOST: usize = 10_000;
/// A node that sent something within this time counts …
const RECENT: Duration = Duration::from_secs(60);
/// … unless it began just now: a birth may be on its way.
const GRACE: Duration = Duration::from_secs(5);

/// When each of them was heard first and last, by `group/edge node`.
#[derive(Debug, Default)]
pub(super) struct Unborn(HashMap<Box<str>, (Duration, Duration), RandomState>);

impl Unborn {
    /// A message of it can't be read for want of a birth.
    pub(super) fn heard(&mut self, node: Entity<'_>, now: Duration) {
        let key = key(node);
        if let Some((_, last)) = self.0.get_mut(&key) {
            *last = now;
        } else if self.0.len() < MOST {
            self.0.insert(key, (now, now));
        }
    }

    /// Its birth came.
    pub(super) fn born(&mut self, node: Entity<'_>) {
        if !self.0.is_empty() {
            self.0.remove(&key(node));
        }
    }

    /// Forgets those that are silent.
    pub(super) fn tick(&mut self, now: Duration) {
        self.0.retain(|_, (_, last)| now.saturating_sub(*last) < RECENT);
    }

    /// How many there are, and one of them.
    pub(super) fn now(&self, now: Duration) -> (usize, Option<&str>) {
        let counts = |(first, last): &(Duration, Duration)| {
            last.saturating_sub(*first) >= GRACE && now.saturating_sub(*last) < RECENT
        };
        let mut names = self.0.iter().filter(|(_, times)| counts(times)).map(|(name, _)| &**name);
        let first = names.next();
        (names.count().saturating_add(usize::from(first.is_some())), first)
    }
}

fn key(node: Entity<'_>) -> Box<str> {
    format!("{}/{}", node.group, node.edge_node).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_goes_on_sending_without_a_birth_is_known() {
        let at = Duration::from_secs;
        let (e, f) = (Entity::node("G", "E"), Entity::node("G", "F"));
        let mut unborn = Unborn::default();
        unborn.heard(e, at(10));
        unborn.heard(f, at(10));
        assert_eq!(unborn.now(at(10)), (0, None), "a birth may be on its way");
        unborn.heard(e, at(15));
        assert_eq!(unborn.now(at(15)), (1, Some("G/E")));
        unborn.heard(f, at(40));
        assert_eq!(unborn.now(at(40)).0, 2);
        unborn.born(f);
        assert_eq!(unborn.now(at(40)), (1, Some("G/E")));
        assert_eq!(unborn.now(at(75)), (0, None), "it sends no more");
        unborn.tick(at(75));
        assert!(unborn.0.is_empty());
    }
}
