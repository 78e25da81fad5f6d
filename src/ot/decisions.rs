//! What became of metrics lately, for whoever asks why one doesn't arrive: which were dropped, for
//! which reason, by which rule, when and how often. A table with a bound; there are no values in it.

mod stored;

use std::hash::BuildHasher;

use account::{Reason, RuleId};
use foldhash::fast::RandomState;
use sparkplug::Entity;

pub use self::stored::{Decision, Decisions};

/// Metrics, and messages as a whole, that are remembered.
pub const MOST: usize = 2_048;
/// One that was dropped within this time gives no way to another one.
const STAYS_MS: u64 = 1_000;
/// Reasons and rules of one metric, the last ones.
const OUTCOMES: usize = 4;
/// Characters of a name.
const NAME_CHARACTERS: usize = 200;

/// The drops of one metric.
#[derive(Clone, Debug)]
struct Entry {
    key: u64,
    entity: String,
    /// Empty where it was the whole message.
    metric: String,
    outcomes: Vec<Outcome>,
}

#[derive(Clone, Copy, Debug)]
struct Outcome {
    reason: Reason,
    rule: Option<RuleId>,
    times: u64,
    first_ms: u64,
    last_ms: u64,
}

/// The table. Each metric has one place that it can be at.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecentDrops {
    places: Vec<Option<Entry>>,
    hasher: RandomState,
    has_changed: bool,
}

impl RecentDrops {
    /// A metric of `entity`, or a whole message of it (an empty name), was dropped.
    pub(crate) fn note(
        &mut self,
        entity: Entity<'_>,
        metric: &str,
        (reason, rule): (Reason, Option<RuleId>),
        now_ms: u64,
    ) {
        self.places.resize(MOST, None);
        self.has_changed = true;
        let Entity { group, edge_node, device } = entity;
        let key = self.hasher.hash_one((group, edge_node, device, metric));
        let place = usize::try_from(key).unwrap_or_default() & MOST.saturating_sub(1);
        let Some(place) = self.places.get_mut(place) else { return };
        if place.as_ref().is_some_and(|entry| entry.key != key && entry.stays(now_ms)) {
            return;
        }
        let entry = match place {
            Some(entry) if entry.key == key => entry,
            _ => place.insert(Entry {
                key,
                entity: shown(&entity.to_string()),
                metric: shown(metric),
                outcomes: Vec::new(),
            }),
        };
        let known = entry.outcomes.iter_mut().find(|one| (one.reason, one.rule) == (reason, rule));
        if let Some(outcome) = known {
            outcome.times = outcome.times.saturating_add(1);
            outcome.last_ms = now_ms;
            return;
        }
        if entry.outcomes.len() >= OUTCOMES
            && let Some(oldest) = (0..).zip(&entry.outcomes).min_by_key(|(_, one)| one.last_ms)
        {
            let (oldest, _): (usize, _) = oldest;
            entry.outcomes.remove(oldest);
        }
        let outcome = Outcome { reason, rule, times: 1, first_ms: now_ms, last_ms: now_ms };
        entry.outcomes.push(outcome);
    }

    /// Whether anything was noted since this was asked last.
    pub(crate) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.has_changed)
    }
}

impl Entry {
    fn stays(&self, now_ms: u64) -> bool {
        // A clock that was set back makes no entry stay.
        let last = self.outcomes.iter().map(|outcome| outcome.last_ms).max().unwrap_or(0);
        (last..last.saturating_add(STAYS_MS)).contains(&now_ms)
    }
}

fn shown(text: &str) -> String {
    text.chars().take(NAME_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTITY: Entity<'static> = Entity { group: "G", edge_node: "E", device: Some("D") };

    fn outcomes(drops: &RecentDrops, metric: &str) -> Vec<(Reason, Option<RuleId>, u64, u64, u64)> {
        let entries = drops.places.iter().flatten().filter(|entry| entry.metric == metric);
        let of_entry = |entry: &Entry| {
            let of = |one: &Outcome| (one.reason, one.rule, one.times, one.first_ms, one.last_ms);
            entry.outcomes.iter().map(of).collect::<Vec<_>>()
        };
        entries.flat_map(of_entry).collect()
    }

    #[test]
    fn drops_are_counted_by_metric_reason_and_rule() {
        let mut drops = RecentDrops::default();
        assert!(!drops.take_changed());
        let rate = (Reason::Rate, Some(RuleId(3)));
        for at in [10, 20, 30] {
            drops.note(ENTITY, "a", rate, at);
        }
        drops.note(ENTITY, "a", (Reason::NoRule, None), 25);
        drops.note(Entity { device: None, ..ENTITY }, "a", rate, 40);
        let of_device = (Reason::Rate, Some(RuleId(3)), 3, 10, 30);
        let told = outcomes(&drops, "a");
        assert!(told.contains(&of_device), "{told:?}");
        assert!(told.contains(&(Reason::NoRule, None, 1, 25, 25)), "{told:?}");
        assert!(told.contains(&(Reason::Rate, Some(RuleId(3)), 1, 40, 40)), "{told:?}");
        assert!(drops.take_changed() && !drops.take_changed());
        // The last four of each.
        for (at, reason) in (50..).zip(Reason::ALL.iter().take(6)) {
            drops.note(ENTITY, "b", (*reason, None), at);
        }
        let told = outcomes(&drops, "b");
        assert_eq!(told.iter().map(|one| one.4).collect::<Vec<_>>(), [52, 53, 54, 55]);
    }

    #[test]
    fn the_table_has_a_bound_and_what_is_dropped_now_stays() {
        let mut drops = RecentDrops::default();
        drops.note(ENTITY, "wanted", (Reason::NoRule, None), 100_000);
        for metric in 0..50_000_u64 {
            let at = 100_000_u64.saturating_add(metric / 100);
            drops.note(ENTITY, &format!("x{metric}"), (Reason::NoRule, None), at);
        }
        assert_eq!(outcomes(&drops, "wanted").len(), 1);
        assert!(drops.places.iter().flatten().count() <= MOST);
        let long = "é".repeat(100_000);
        drops.note(ENTITY, &long, (Reason::NoRule, None), 900_000);
        let longest = drops.places.iter().flatten().map(|entry| entry.metric.len()).max();
        assert_eq!(longest, Some(400));
        for metric in 0..50_000_u64 {
            drops.note(ENTITY, &format!("y{metric}"), (Reason::NoRule, None), 1_000_000);
        }
        assert_eq!(outcomes(&drops, "wanted").len(), 0, "the last ones are remembered");
    }
}
