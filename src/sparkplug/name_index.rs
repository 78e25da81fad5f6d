//! Places of names in a list that has the names itself: a table of four bytes for each place, and
//! no second copy of any name.

use alloc::vec::Vec;
use core::hash::BuildHasher;

use crate::footprint::allocation;

/// A place that is free.
const FREE: u32 = u32::MAX;
/// The smallest table.
const LEAST: usize = 8;

/// Where each name of a list is. The list may grow at its end; whoever changes it otherwise begins
/// with a new index.
#[derive(Clone, Debug, Default)]
pub struct NameIndex<S> {
    /// A power of two of places, at most three quarters of them taken.
    table: Vec<u32>,
    taken: usize,
    hasher: S,
}

impl<S: BuildHasher> NameIndex<S> {
    /// The place of `name`; `name_at` tells the name at a place.
    #[inline]
    pub fn find<'n>(&self, name: &str, name_at: impl Fn(usize) -> &'n str) -> Option<usize> {
        // Ends: a quarter of the table is free.
        for probe in self.probes(name) {
            let place = self.table.get(probe).copied().filter(|place| *place != FREE)?;
            let place = usize::try_from(place).ok()?;
            if name_at(place) == name {
                return Some(place);
            }
        }
        None
    }

    /// Notes that `name`, which isn't in the index, is at `place`. False: there are more places than
    /// an index can have.
    pub fn insert<'n>(
        &mut self,
        name: &str,
        place: usize,
        name_at: impl Fn(usize) -> &'n str,
    ) -> bool {
        let Some(place) = u32::try_from(place).ok().filter(|place| *place != FREE) else {
            return false;
        };
        if self.taken.saturating_add(1) > (self.table.len() / 4).saturating_mul(3) {
            self.grow(name_at);
        }
        self.put(name, place);
        self.taken = self.taken.saturating_add(1);
        true
    }

    /// What it takes on the heap.
    pub fn heap_bytes(&self) -> usize {
        allocation(self.table.capacity().saturating_mul(size_of::<u32>()))
    }

    fn grow<'n>(&mut self, name_at: impl Fn(usize) -> &'n str) {
        let size = self.table.len().saturating_mul(2).max(LEAST);
        let former = core::mem::replace(&mut self.table, vec![FREE; size]);
        for place in former.into_iter().filter(|place| *place != FREE) {
            if let Ok(at) = usize::try_from(place) {
                self.put(name_at(at), place);
            }
        }
    }

    fn put(&mut self, name: &str, place: u32) {
        for probe in self.probes(name) {
            if let Some(free) = self.table.get_mut(probe)
                && *free == FREE
            {
                *free = place;
                return;
            }
        }
    }

    /// The places of the table where a name may be, in order, each once.
    fn probes(&self, name: &str) -> impl Iterator<Item = usize> + use<S> {
        let size = self.table.len();
        let mask = size.wrapping_sub(1);
        #[expect(clippy::cast_possible_truncation, reason = "some bits of a hash are as good")]
        let start = self.hasher.hash_one(name) as usize;
        (0..size).map(move |step| start.wrapping_add(step) & mask)
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;
    use std::hash::RandomState;

    use super::*;

    fn index(names: &[String]) -> NameIndex<RandomState> {
        let mut index = NameIndex::default();
        for (place, name) in names.iter().enumerate() {
            assert_eq!(index.find(name, |place| names[place].as_str()), None);
            assert!(index.insert(name, place, |place| names[place].as_str()));
        }
        index
    }

    #[test]
    fn every_name_is_found_where_it_is() {
        for count in [0, 1, 5, 6, 7, 8, 1000] {
            let names: Vec<String> = (0..count).map(|number| format!("n{number}")).collect();
            let index = index(&names);
            for (place, name) in names.iter().enumerate() {
                assert_eq!(index.find(name, |place| names[place].as_str()), Some(place));
            }
            assert_eq!(index.find("absent", |place| names[place].as_str()), None);
        }
    }

    #[test]
    fn a_name_takes_some_bytes_of_the_table() {
        let names: Vec<String> = (0..10_000).map(|number| format!("n{number}")).collect();
        let bytes = index(&names).heap_bytes();
        assert!((53_000..=131_100).contains(&bytes), "{bytes}");
    }
}
