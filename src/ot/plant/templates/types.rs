//! What the instances of a node ask of its NBIRTH: definitions that are needed, and what is removed
//! from them.

use std::collections::{BTreeMap, BTreeSet};

/// Members and parameters that don't cross, by the metric name of their definition.
pub(crate) type Removed = BTreeMap<String, BTreeSet<String>>;

/// What the instances of a node ask of its NBIRTH.
#[derive(Clone, Debug, Default)]
pub(crate) struct Types {
    /// Metric names of the definitions that are needed.
    pub(crate) needed: BTreeSet<String>,
    /// What is removed from definitions and instances.
    pub(crate) removed: Removed,
    /// How often anything was added.
    growth: u64,
}

impl PartialEq for Types {
    fn eq(&self, other: &Types) -> bool {
        (&self.needed, &self.removed) == (&other.needed, &other.removed)
    }
}

impl Types {
    /// These are needed, and this is removed.
    pub(crate) fn of(needed: BTreeSet<String>, removed: Removed) -> Types {
        Types { needed, removed, growth: 0 }
    }

    /// How often anything was added: as long as this stays the same, so does all of it.
    pub(crate) fn growth(&self) -> u64 {
        self.growth
    }

    /// Adds what other instances ask for; whether that was news.
    pub(crate) fn extend(&mut self, asked: Types) -> bool {
        let mut changed = false;
        for name in asked.needed {
            changed |= self.needed.insert(name);
        }
        for (definition, members) in asked.removed {
            let removed = self.removed.entry(definition).or_default();
            for member in members {
                changed |= removed.insert(member);
            }
        }
        self.growth = self.growth.saturating_add(u64::from(changed));
        changed
    }
}
