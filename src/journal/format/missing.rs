//! Which numbers are missing in a journal that was received over a link, and may still come late.

use alloc::collections::BTreeMap;

/// Ranges of numbers. Holds no more of them than it is told to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MissingNumbers {
    /// First to last, inclusive; they don't touch.
    ranges: BTreeMap<u64, u64>,
    numbers: u64,
}

impl MissingNumbers {
    /// These numbers are missing from now on; they come after all that are.
    pub fn push(&mut self, first: u64, last: u64) {
        if first > last || self.ranges.last_key_value().is_some_and(|(_, end)| *end >= first) {
            return;
        }
        let count = last.saturating_sub(first).saturating_add(1);
        self.numbers = self.numbers.saturating_add(count);
        match self.ranges.last_entry().filter(|range| range.get().saturating_add(1) == first) {
            Some(mut range) => *range.get_mut() = last,
            None => {
                self.ranges.insert(first, last);
            }
        }
    }

    /// The number isn't missing any more; false: it wasn't.
    pub fn take(&mut self, number: u64) -> bool {
        let Some((first, last)) = self.range_of(number) else { return false };
        self.ranges.remove(&first);
        if first < number {
            self.ranges.insert(first, number.saturating_sub(1));
        }
        if number < last {
            self.ranges.insert(number.saturating_add(1), last);
        }
        self.numbers = self.numbers.saturating_sub(1);
        true
    }

    pub fn has(&self, number: u64) -> bool {
        self.range_of(number).is_some()
    }

    /// Whether all of these are missing.
    pub fn has_all(&self, first: u64, last: u64) -> bool {
        self.range_of(first).is_some_and(|(_, end)| end >= last)
    }

    /// Forgets all below, as if they weren't missing; how many.
    pub fn forget_below(&mut self, number: u64) -> u64 {
        let before = self.numbers;
        while let Some((first, last)) = self.first().filter(|(first, _)| *first < number) {
            self.ranges.remove(&first);
            let end = last.min(number.saturating_sub(1));
            let count = end.saturating_sub(first).saturating_add(1);
            self.numbers = self.numbers.saturating_sub(count);
            if end < last {
                self.ranges.insert(number, last);
            }
        }
        before.saturating_sub(self.numbers)
    }

    /// Forgets the lowest ranges until at most so many are left; how many numbers.
    pub fn forget_beyond(&mut self, most_ranges: usize) -> u64 {
        let before = self.numbers;
        while self.ranges.len() > most_ranges
            && let Some((first, last)) = self.ranges.pop_first()
        {
            let count = last.saturating_sub(first).saturating_add(1);
            self.numbers = self.numbers.saturating_sub(count);
        }
        before.saturating_sub(self.numbers)
    }

    /// Forgets these and all above.
    pub fn forget_from(&mut self, number: u64) {
        let above = self.ranges.split_off(&number);
        let count = |first: &u64, last: &u64| last.saturating_sub(*first).saturating_add(1);
        for (first, last) in &above {
            self.numbers = self.numbers.saturating_sub(count(first, last));
        }
        if let Some(mut last) = self.ranges.last_entry().filter(|last| *last.get() >= number) {
            self.numbers = self.numbers.saturating_sub(count(&number, last.get()));
            *last.get_mut() = number.saturating_sub(1);
        }
    }

    /// First and last number of each range, ascending.
    pub fn ranges(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.ranges.iter().map(|(first, last)| (*first, *last))
    }

    /// How many numbers are missing.
    pub fn numbers(&self) -> u64 {
        self.numbers
    }

    fn first(&self) -> Option<(u64, u64)> {
        self.ranges.first_key_value().map(|(first, last)| (*first, *last))
    }

    fn range_of(&self, number: u64) -> Option<(u64, u64)> {
        let (first, last) = self.ranges.range(..=number).next_back()?;
        (*last >= number).then_some((*first, *last))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The same as a set of numbers.
    #[test]
    fn ranges_are_the_numbers_that_they_stand_for() {
        let mut random = 7_u64;
        let mut next = move |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) % below
        };
        for _ in 0..200 {
            let (mut missing, mut set, mut end) = (MissingNumbers::default(), BTreeSet::new(), 0);
            for _ in 0..60 {
                match next(8) {
                    0..3 => {
                        let first = end + next(3);
                        let last = first + next(6);
                        missing.push(first, last);
                        set.extend(first..=last);
                        end = last + 1;
                    }
                    3..6 => {
                        let number = next(end + 2);
                        assert_eq!(missing.has(number), set.contains(&number));
                        assert_eq!(missing.take(number), set.remove(&number));
                    }
                    6 => {
                        let number = next(end + 2).min(next(end + 2));
                        let gone = missing.forget_below(number);
                        let kept = set.split_off(&number);
                        assert_eq!(gone, set.len() as u64);
                        set = kept;
                    }
                    _ => {
                        let number = next(end + 2).max(next(end + 2));
                        missing.forget_from(number);
                        let _ = set.split_off(&number);
                    }
                }
                let numbers: BTreeSet<u64> =
                    missing.ranges().flat_map(|(first, last)| first..=last).collect();
                assert_eq!(numbers, set);
                assert_eq!(missing.numbers(), set.len() as u64);
                let first = next(end + 2);
                let last = first + next(4);
                assert_eq!(missing.has_all(first, last), (first..=last).all(|n| set.contains(&n)));
            }
            let gone = missing.forget_beyond(2);
            assert!(missing.ranges().count() <= 2);
            assert_eq!(missing.numbers() + gone, set.len() as u64);
        }
    }
}
