//! Tests of `missing`.
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use std::collections::BTreeSet;
use std::ops::Range;

use proptest::prelude::proptest;

use super::{Came, MAX_RANGES, Missing};

fn ranges(missing: &Missing) -> Vec<Range<u64>> {
    missing.ranges().collect()
}

#[test]
fn what_is_between_is_missing_until_it_comes() {
    let mut missing = Missing::default();
    for number in [10, 11, 15] {
        assert_eq!(missing.came(number), Came::Next);
    }
    assert_eq!(missing.ranges().flatten().collect::<Vec<_>>(), [12, 13, 14]);
    assert_eq!(missing.count(), 3);
    assert_eq!(missing.came(13), Came::Late);
    assert_eq!(missing.came(13), Came::Again, "it is there");
    assert_eq!(missing.came(11), Came::Again);
    assert_eq!(ranges(&missing), [12..13, 14..15]);
    assert_eq!(missing.came(3), Came::Late, "of what was before the first, nothing is known");
    assert_eq!(missing.came(3), Came::Late);
    // One of the second pass that is ahead of those sent first.
    assert_eq!(missing.came(20), Came::Next);
    assert_eq!(missing.came(16), Came::Late);
    assert_eq!(ranges(&missing), [12..13, 14..15, 17..20]);
    // The journal lost its end, and goes on with 15: of five that are missing three are above.
    assert_eq!(missing.count(), 5);
    missing.begin_anew(15);
    assert_eq!(missing.came(15), Came::Next);
    assert_eq!(missing.came(14), Came::Late);
    assert_eq!(missing.came(11), Came::Again);
    assert!(missing.is_replaced(15) && !missing.is_replaced(14));
    assert_eq!((missing.count(), missing.ranges().flatten().collect()), (4, vec![12]));
    // All of it was made anew.
    missing.begin_anew(1);
    assert_eq!(missing.came(1), Came::Next);
    assert_eq!(missing.came(3), Came::Next);
    assert_eq!((missing.count(), missing.ranges().flatten().collect()), (5, vec![2]));
}

#[test]
fn a_receiver_goes_on_with_what_its_journal_has() {
    let mut missing = Missing::default();
    missing.resume(10..20, [5..7, 9..12, 14..15, 19..30].into_iter());
    assert_eq!((ranges(&missing), missing.count()), (vec![10..12, 14..15, 19..20], 4));
    assert_eq!(missing.came(14), Came::Late);
    assert_eq!(missing.came(13), Came::Again);
    assert_eq!(missing.came(21), Came::Next);
    assert_eq!(ranges(&missing), [10..12, 19..20, 20..21]);
}

#[test]
fn ranges_are_bounded_and_what_is_forgotten_is_lost() {
    let mut missing = Missing::default();
    let ends = 2 * MAX_RANGES as u64;
    for number in 0..ends {
        missing.came(number * 2);
    }
    assert_eq!(missing.ranges.len(), MAX_RANGES);
    assert_eq!(missing.count(), ends - 1);
    assert_eq!(missing.came(1), Came::Again, "as good as there: nobody knows");
    assert_eq!(missing.came(u64::MAX), Came::Next);
    assert!(missing.count() > u64::MAX - ends * 2);
}

proptest! {
    #[test]
    fn a_set_says_the_same(numbers in proptest::collection::vec(0..60_u64, 1..200)) {
        let mut missing = Missing::default();
        let mut came = BTreeSet::new();
        let first = numbers[0];
        for number in numbers {
            let wanted = match came.last() {
                Some(last) if number <= *last => {
                    if came.contains(&number) && number >= first { Came::Again } else { Came::Late }
                }
                _ => Came::Next,
            };
            came.insert(number);
            assert_eq!(missing.came(number), wanted);
            let wanted: Vec<u64> =
                (first..*came.last().unwrap()).filter(|number| !came.contains(number)).collect();
            assert_eq!(missing.ranges().flatten().collect::<Vec<_>>(), wanted);
            assert_eq!(missing.count(), wanted.len() as u64);
        }
    }
}
