//! Which numbers of frames are missing: what is between those that came, until the second pass brings
//! it.
//!
//! From the first frame on that came, a number below the next is there or in a range that is missing.
//! Ranges are bounded; where there are more, the oldest is forgotten, and counted as lost for good.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::account::length;

/// Ranges that are remembered.
const MAX_RANGES: usize = 16_384;

/// What a frame is by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// Above all before.
    Next,
    /// Below others, and not known to be there.
    Late,
    /// There already.
    Again,
}

/// Numbers that are missing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Missing {
    /// From where on numbers are known, and the next.
    known: Option<Range<u64>>,
    /// Start to end.
    ranges: BTreeMap<u64, u64>,
    missing: u64,
    forgotten: u64,
    /// From which number on frames of the writer's starts before are others.
    replaced_from: Option<u64>,
}

impl Missing {
    /// What a receiver before this one got: numbers from where to where, and those that are missing.
    pub(crate) fn resume(&mut self, known: Range<u64>, missing: impl Iterator<Item = Range<u64>>) {
        self.ranges.clear();
        self.missing = 0;
        for range in missing {
            let range = range.start.max(known.start)..range.end.min(known.end);
            if !range.is_empty() {
                self.missing = self.missing.saturating_add(length(&range));
                self.ranges.insert(range.start, range.end);
                self.bound();
            }
        }
        self.known = Some(known);
    }

    /// A frame came.
    pub(crate) fn came(&mut self, number: u64) -> Came {
        let known = self.known.get_or_insert(number..number);
        if number < known.start {
            // Of what was before, nothing is known.
            return Came::Late;
        }
        if number < known.end {
            return if self.fill(number) { Came::Late } else { Came::Again };
        }
        let hole = known.end..number;
        known.end = number.saturating_add(1);
        if !hole.is_empty() {
            self.missing = self.missing.saturating_add(length(&hole));
            self.ranges.insert(hole.start, hole.end);
            self.bound();
        }
        Came::Next
    }

    fn fill(&mut self, number: u64) -> bool {
        let range = self.ranges.range(..=number).next_back();
        let Some((&start, &end)) = range.filter(|(_, end)| number < **end) else { return false };
        self.ranges.remove(&start);
        for part in [start..number, number.saturating_add(1)..end] {
            if !part.is_empty() {
                self.ranges.insert(part.start, part.end);
            }
        }
        self.missing = self.missing.saturating_sub(1);
        self.bound();
        true
    }

    fn bound(&mut self) {
        while self.ranges.len() > MAX_RANGES {
            let Some((start, end)) = self.ranges.pop_first() else { return };
            let count = length(&(start..end));
            self.missing = self.missing.saturating_sub(count);
            self.forgotten = self.forgotten.saturating_add(count);
        }
    }

    /// Ranges that are missing, ascending.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.ranges.iter().map(|(start, end)| *start..*end)
    }

    /// How many numbers are missing, those included whose ranges were forgotten.
    pub(crate) fn count(&self) -> u64 {
        self.missing.saturating_add(self.forgotten)
    }

    /// Whether a number isn't above all that came.
    pub(crate) fn is_below_next(&self, number: u64) -> bool {
        self.known.as_ref().is_some_and(|known| number < known.end)
    }

    /// Whether frames of a writer's start before mean others by this number.
    pub(crate) fn is_replaced(&self, number: u64) -> bool {
        self.replaced_from.is_some_and(|from| number >= from)
    }

    /// Numbers from this one on mean other frames from now on: the sender's journal was made anew, or
    /// lost its end. What of them was missing stays lost.
    pub(crate) fn begin_anew(&mut self, from: u64) {
        self.replaced_from = Some(from);
        let Some(known) = &mut self.known else { return };
        known.end = known.end.min(from);
        if known.start >= known.end {
            self.known = None;
        }
        while let Some((start, end)) = self.ranges.pop_last() {
            let kept = start..end.min(from).max(start);
            let lost = length(&(kept.end..end));
            self.missing = self.missing.saturating_sub(lost);
            self.forgotten = self.forgotten.saturating_add(lost);
            if !kept.is_empty() {
                self.ranges.insert(kept.start, kept.end);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
