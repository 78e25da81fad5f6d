//! What is left of the limits that a rule gives to each edge node, device or metric: two numbers for
//! each of them that sent something lately. What has rested until its buckets are full again is
//! forgotten.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::time::Duration;

use account::RuleId;
use foldhash::fast::RandomState;

use super::Levels;
use crate::rule::Per;

/// How many are known at a time, of some 64 bytes each. More have no room in a limit: what they send
/// is over it, until others have rested.
const MOST: usize = 1 << 20;
/// Those that have rested are looked for so often at most, once there are many.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// What data belongs to, for limits that each edge node, device or metric has.
#[derive(Clone, Copy, Debug)]
pub struct Share<'a> {
    /// The edge node's place among all.
    pub node: usize,
    pub device: Option<&'a str>,
    /// Name of the metric.
    pub metric: &'a str,
}

/// Who has a bucket of its own.
pub(super) type Key = (u32, u64);

#[derive(Debug)]
pub(super) struct Keyed {
    levels: HashMap<Key, Levels, RandomState>,
    names: RandomState,
    sweep_above: usize,
    next_sweep: Duration,
}

impl Default for Keyed {
    fn default() -> Keyed {
        Keyed {
            levels: HashMap::default(),
            names: RandomState::default(),
            sweep_above: 1_024,
            next_sweep: Duration::ZERO,
        }
    }
}

impl Keyed {
    /// Whose bucket it is under `rule`; `None`: all share one.
    pub(super) fn key(&self, rule: RuleId, per: Per, share: Share<'_>) -> Option<Key> {
        let Share { node, device, metric } = share;
        let name = match per {
            Per::Rule => return None,
            Per::EdgeNode => self.names.hash_one(node),
            Per::Device => self.names.hash_one((node, device)),
            Per::Metric => self.names.hash_one((node, device, metric)),
        };
        Some((rule.0, name))
    }

    /// How full its buckets are.
    pub(super) fn levels(&self, key: Key) -> Levels {
        self.levels.get(&key).copied().unwrap_or_default()
    }

    pub(super) fn set(&mut self, key: Key, levels: Levels) {
        self.levels.insert(key, levels);
    }

    /// Whether there is room for one that may be new.
    pub(super) fn has_room(&mut self, key: Key, now: Duration) -> bool {
        if self.levels.len() < self.sweep_above || self.levels.contains_key(&key) {
            return true;
        }
        if self.next_sweep <= now {
            self.next_sweep = now.saturating_add(SWEEP_EVERY);
            let now_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
            self.levels.retain(|_, levels| levels.iter().any(|full_at| *full_at > now_ns));
            self.sweep_above = self.levels.len().saturating_mul(2).clamp(1_024, MOST);
        }
        self.levels.len() < MOST
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.levels.len()
    }
}
