//! Tests of `replay`.
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use std::collections::BTreeSet;

use proptest::prelude::{Strategy, any, prop_oneof, proptest};

use super::{Seen, WINDOW, Window};

/// The same with a set: what was seen, by number.
#[derive(Default)]
struct Model {
    seen: BTreeSet<u64>,
    lowest: u64,
}

impl Model {
    fn see(&mut self, counter: u64) -> Seen {
        let highest = self.seen.last().copied().unwrap_or(0);
        if counter < self.lowest || (counter < highest && highest - counter >= WINDOW) {
            Seen::TooOld
        } else if self.seen.insert(counter) {
            Seen::New
        } else {
            Seen::Before
        }
    }
}

#[test]
fn a_window_is_no_smaller_than_promised() {
    const { assert!(WINDOW >= 65_536) };
    let mut window = Window::new(0);
    assert_eq!(window.see(0), Seen::New);
    assert_eq!(window.see(WINDOW - 1), Seen::New);
    assert_eq!(window.see(0), Seen::Before, "the last that is in it");
    assert_eq!(window.see(WINDOW), Seen::New);
    assert_eq!(window.see(0), Seen::TooOld);
    assert_eq!(window.see(1), Seen::New);
}

#[test]
fn what_a_window_slides_over_was_not_seen() {
    let mut full = Window::new(0);
    for counter in 0..WINDOW + 7 {
        assert_eq!(full.see(counter), Seen::New);
    }
    for jump in [1, 2, 63, 64, 65, 128, 1_000, 70_000, WINDOW - 1, WINDOW, WINDOW + 1] {
        let mut window = full.clone();
        let highest = WINDOW + 6 + jump;
        assert_eq!(window.see(highest), Seen::New);
        let lowest_new = (WINDOW + 7).max(highest + 1 - WINDOW);
        for counter in (lowest_new..highest).step_by(7) {
            assert_eq!(window.see(counter), Seen::New, "{counter} behind {highest}");
        }
        // And what it still spans was.
        if highest - (WINDOW + 6) < WINDOW {
            assert_eq!(window.see(WINDOW + 6), Seen::Before);
        }
    }
}

#[test]
fn below_the_edge_all_was_seen() {
    let mut window = Window::new(100);
    assert_eq!(window.see(99), Seen::TooOld);
    assert_eq!(window.see(0), Seen::TooOld);
    assert_eq!(window.see(100), Seen::New);
    assert_eq!(window.see(100), Seen::Before);
    assert_eq!(window.highest(), Some(100));
    assert_eq!(window.see(99), Seen::TooOld);
}

#[test]
fn the_ends_of_the_numbers_are_counters_like_others() {
    let mut window = Window::new(0);
    assert_eq!(window.see(u64::MAX), Seen::New);
    assert_eq!(window.see(u64::MAX), Seen::Before);
    assert_eq!(window.see(u64::MAX - 1), Seen::New);
    assert_eq!(window.see(0), Seen::TooOld);
}

/// Steps of a counter: near, around a word, around the window, anywhere.
fn steps() -> impl Strategy<Value = i64> {
    prop_oneof![
        -3..4_i64,
        -130..131_i64,
        (-3..4_i64).prop_map(|step| step + i64::try_from(WINDOW).unwrap()),
        (-3..4_i64).prop_map(|step| step - i64::try_from(WINDOW).unwrap()),
        any::<i32>().prop_map(i64::from),
    ]
}

proptest! {
    #[test]
    fn a_window_says_what_a_set_says(
        lowest in prop_oneof![0..3_u64, 0..1_000_000_u64],
        start in 0..2_000_000_u64,
        steps in proptest::collection::vec(steps(), 1..400),
    ) {
        let mut window = Window::new(lowest);
        let mut model = Model { lowest, ..Model::default() };
        let mut counter = start;
        for step in steps {
            counter = counter.saturating_add_signed(step);
            assert_eq!(window.see(counter), model.see(counter), "{counter}");
        }
        assert_eq!(window.highest(), model.seen.last().copied());
    }
}
