//! The metrics of one entity by the names that readers know, without regard to capitals: whether
//! a metric that is born late would meet another one.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use policy::fold;
use sparkplug::footprint::{allocation, table};
use sparkplug::steps;

use super::Slot;

/// Read from the slots when it is asked for, as far as these have grown since.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exported {
    by_name: HashMap<Box<str>, Namesakes, RandomState>,
    /// So many slots were read.
    read: usize,
    /// What names and places take on the heap, beside the table.
    bytes: usize,
}

/// The slots of one name.
#[derive(Clone, Debug, Default)]
struct Namesakes {
    /// Called so by the policy.
    renamed: Vec<usize>,
    /// Called so by the plant.
    plain: Vec<usize>,
}

/// More than what a place takes in the list of its name.
const PLACE: usize = 48;

impl Exported {
    /// What it takes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let entry = size_of::<(Box<str>, Namesakes)>();
        table(self.by_name.capacity(), entry).saturating_add(self.bytes)
    }

    /// Whether another metric than `name` crosses as `folded`, and the policy renames one of the
    /// two: the plant may call two metrics alike.
    pub(crate) fn holds(
        &mut self,
        slots: &[Slot],
        folded: &str,
        name: &str,
        is_renamed: bool,
    ) -> bool {
        let new = slots.iter().enumerate().skip(self.read);
        steps::take(new.len().saturating_add(1));
        for (place, slot) in new.filter(|(_, slot)| slot.is_exported()) {
            let name: Box<str> = fold(slot.exported_name()).into();
            self.bytes = self.bytes.saturating_add(allocation(name.len())).saturating_add(PLACE);
            let namesakes = self.by_name.entry(name).or_default();
            match slot.exported_as {
                Some(_) => namesakes.renamed.push(place),
                None => namesakes.plain.push(place),
            }
        }
        self.read = slots.len();
        let Some(namesakes) = self.by_name.get(folded) else { return false };
        let crosses = |place: &usize| {
            steps::take(1);
            slots.get(*place).is_some_and(|slot| slot.is_exported() && slot.name() != name)
        };
        namesakes.renamed.iter().any(crosses) || (is_renamed && namesakes.plain.iter().any(crosses))
    }
}
