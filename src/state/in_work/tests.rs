//! Whom an end of the half accuses, and whom it doesn't.
#![expect(clippy::arithmetic_side_effects, reason = "tests count small numbers")]

use std::path::Path;

use proptest::prelude::*;

use super::*;

/// A half whose work is the numbers from 0 on, each of so many bytes. Ended while it does one, it
/// does all of them again, like one that reads a journal from where it was stored.
struct Half {
    in_work: InWork,
    _claim: StateDir,
}

fn start(dir: &Path) -> Half {
    // Another test may start a process, which has the claim of this one until it runs its program.
    let claim = loop {
        match StateDir::open(dir) {
            Err(StateError::InUse { .. }) => std::thread::yield_now(),
            claim => break claim.unwrap(),
        }
    };
    Half { in_work: claim.in_work().unwrap(), _claim: claim }
}

const fn number(number: u64) -> WorkId {
    WorkId(1, number)
}

impl Half {
    /// Works on `numbers`; `false`: it is set aside. Ends with the process where `ends_in` says.
    fn work(
        &mut self,
        numbers: std::ops::Range<u64>,
        bytes: usize,
        ends_in: Option<u64>,
    ) -> Vec<u64> {
        let mut aside = Vec::new();
        let end = numbers.end;
        for at in numbers {
            let ahead = (at + 1..end).map(number);
            if self.in_work.begin(number(at), bytes, ahead) == Leave::SetAside {
                aside.push(at);
                continue;
            }
            if ends_in == Some(at) {
                return aside;
            }
        }
        self.in_work.end();
        aside
    }
}

#[test]
fn what_ends_a_half_twice_is_set_aside_at_the_third_start_and_nothing_else_is() {
    for bytes in [10, 100_000] {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            assert_eq!(start(dir.path()).work(0..50, bytes, Some(13)), []);
        }
        // And from then on.
        for _ in 0..3 {
            assert_eq!(start(dir.path()).work(0..50, bytes, None), [13]);
        }
    }
}

#[test]
fn several_are_set_aside_one_after_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let bad = [3_u64, 4, 5, 40];
    let mut starts = 0;
    loop {
        starts += 1;
        let mut half = start(dir.path());
        let mut aside = Vec::new();
        let ended = (0..50).any(|at| {
            let ahead = (at + 1..50).map(number);
            match half.in_work.begin(number(at), 10, ahead) {
                Leave::SetAside => aside.push(at),
                Leave::Work if bad.contains(&at) => return true,
                Leave::Work => {}
            }
            false
        });
        if !ended {
            half.in_work.end();
            assert_eq!(aside, bad);
            break;
        }
    }
    // Those that were in work together were accused together.
    assert!(starts <= 2 * bad.len() + 1, "{starts}");
}

#[test]
fn one_kill_and_kills_without_work_accuse_nobody_for_long() {
    let dir = tempfile::tempdir().unwrap();
    // At one place after the other, and each time everything is done in between.
    for at in 0..50 {
        assert_eq!(start(dir.path()).work(0..50, 10, Some(at)), []);
        assert_eq!(start(dir.path()).work(0..50, 10, None), []);
    }
    for _ in 0..5 {
        let mut half = start(dir.path());
        assert_eq!(half.work(0..20, 10, None), []);
        // Ended here: nothing is in work.
        drop(half);
        assert!(start(dir.path()).in_work.accused.is_empty());
    }
}

#[test]
fn a_kill_elsewhere_takes_no_accusation_back_and_adds_none() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(start(dir.path()).work(0..50, 10, Some(40)), []);
    // These two never come to it.
    assert_eq!(start(dir.path()).work(0..50, 10, Some(3)), []);
    assert_eq!(start(dir.path()).work(0..50, 10, Some(20)), []);
    assert_eq!(start(dir.path()).work(0..50, 10, Some(40)), []);
    assert_eq!(start(dir.path()).work(0..50, 10, None), [40]);
}

#[test]
fn an_accused_piece_is_done_alone() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(start(dir.path()).work(0..8, 10, Some(3)), []);
    let mut half = start(dir.path());
    assert_eq!(half.in_work.accused.len(), TOGETHER);
    for at in 0..8 {
        assert_eq!(half.in_work.begin(number(at), 10, (at + 1..).map(number)), Leave::Work);
        assert_eq!(half.in_work.doing, [number(at)]);
    }
    half.in_work.end();
    assert!(half.in_work.accused.is_empty());
}

#[test]
fn a_large_piece_is_marked_alone_even_behind_small_ones() {
    let dir = tempfile::tempdir().unwrap();
    let mut half = start(dir.path());
    for (at, bytes, marked) in
        [(0, 10, 8), (1, 100_000, 1), (2, 10, 8), (3, 16_000, 8), (4, 400, 8)]
    {
        assert_eq!(half.in_work.begin(number(at), bytes, (at + 1..).map(number)), Leave::Work);
        assert_eq!(half.in_work.doing.len(), marked, "at {at}");
    }
    assert_eq!(half.in_work.doing[0], number(4), "16,410 bytes are too many together");
}

#[test]
fn the_list_is_bounded_and_what_is_set_aside_stays_longest() {
    let mut accused = Vec::new();
    accuse(&mut accused, number(0));
    accuse(&mut accused, number(0));
    for at in 1..1_000 {
        accuse(&mut accused, number(at));
    }
    assert_eq!(accused.len(), MAX_ACCUSED);
    assert_eq!(accused[0], (number(0), 2));
    assert_eq!(list(&accused).len() + LIST_AT, 264 + 17 * MAX_ACCUSED);
    const { assert!(264 + 17 * MAX_ACCUSED <= 4_096) }
}

#[test]
fn a_damaged_mark_accuses_nobody() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        assert_eq!(start(dir.path()).work(0..50, 10, Some(13)), []);
    }
    let path = dir.path().join(NAME);
    let whole = std::fs::read(&path).unwrap();
    for at in [0, MARK_AT, MARK_AT + 4, LIST_AT, LIST_AT + 4, LIST_AT + 9] {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x40;
        std::fs::write(&path, damaged).unwrap();
        assert_eq!(start(dir.path()).work(0..50, 10, None), [], "at {at}");
    }
    std::fs::write(&path, whole).unwrap();
    assert_eq!(start(dir.path()).work(0..50, 10, None), [13]);
}

#[test]
fn the_file_is_the_owners_alone_and_the_key_stays() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let key = start(dir.path()).in_work.key();
    assert_ne!(key, 0);
    assert_eq!(start(dir.path()).in_work.key(), key);
    let mode = std::fs::metadata(dir.path().join(NAME)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

proptest! {
    // Each start waits for the disk.
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Kills at any places, any number of them: what is set aside was in work at two ends.
    #[test]
    fn nothing_is_set_aside_that_was_not_in_work_at_two_ends(
        kills in proptest::collection::vec(0_u64..40, 0..12),
        bytes in prop_oneof![Just(10_usize), Just(1_500), Just(9_000)],
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut alone = std::collections::HashMap::<u64, u32>::new();
        for at in kills {
            let mut half = start(dir.path());
            let aside = half.work(0..40, bytes, Some(at));
            for piece in aside {
                prop_assert!(alone.get(&piece).is_some_and(|ends| *ends >= 1), "{piece}");
            }
            for WorkId(_, piece) in half.in_work.doing.clone() {
                *alone.entry(piece).or_default() += 1;
            }
        }
        for piece in start(dir.path()).work(0..40, bytes, None) {
            prop_assert!(alone[&piece] >= 2, "{piece} was in work at {} ends", alone[&piece]);
        }
    }
}

#[test]
fn what_is_barred_stays_so_over_starts_until_it_is_cleared() {
    let dir = tempfile::tempdir().unwrap();
    {
        let mut half = start(dir.path());
        assert!(!half.in_work.has_set_aside());
        half.in_work.bar(number(7));
        half.in_work.bar(number(7));
        assert!(half.in_work.is_set_aside(number(7)) && !half.in_work.is_set_aside(number(8)));
    }
    let mut half = start(dir.path());
    assert_eq!(half.in_work.begin(number(7), 0, std::iter::empty()), Leave::SetAside);
    half.in_work.clear(number(7));
    assert_eq!(half.in_work.begin(number(7), 0, std::iter::empty()), Leave::Work);
    half.in_work.end();
    drop(half);
    assert!(!start(dir.path()).in_work.has_set_aside());
}
