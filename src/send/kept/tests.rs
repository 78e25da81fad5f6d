//! Tests of `kept`.
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use std::fs;

use super::*;

const BACK: Duration = Duration::from_secs(64);

fn open(directory: &Path) -> (Kept, Begin, usize) {
    let (kept, begin, damaged) = Kept::open(directory, BACK).unwrap();
    (kept, begin, damaged.len())
}

fn at(seq: u64) -> Position {
    Position { epoch: 3, seq }
}

#[expect(clippy::single_range_in_vec_init, reason = "a stretch is a range")]
#[test]
fn a_start_goes_on_and_sends_again_what_the_second_pass_had_not_reached() {
    let dir = tempfile::tempdir().unwrap();
    let (mut kept, begin, damaged) = open(dir.path());
    assert_eq!((begin, damaged), (Begin::First, 0));
    assert_eq!(kept.next_session(1_000).unwrap().unwrap().session, 1_000);
    kept.begin(Duration::ZERO, at(1), &[]);
    // A frame each second.
    for second in 1..=200 {
        kept.step(Duration::from_secs(second), at(1 + second), std::iter::empty()).unwrap();
    }
    drop(kept);
    let (mut kept, begin, damaged) = open(dir.path());
    let Begin::At { position, again } = begin else { panic!("{begin:?}") };
    assert_eq!((position, again, damaged), (at(201), vec![137..201], 0));
    // The clock was set back: the number goes on.
    assert_eq!(kept.next_session(7).unwrap().unwrap().session, 1_001);
    // A start that is killed at once loses nothing of what it had to send again.
    kept.begin(Duration::ZERO, at(201), &[137..201]);
    kept.step(Duration::from_millis(200), at(202), [180..201].into_iter()).unwrap();
    drop(kept);
    let (kept, begin, _) = open(dir.path());
    assert_eq!(begin, Begin::At { position: at(202), again: vec![137..202] });
    drop(kept);
}

#[expect(clippy::single_range_in_vec_init, reason = "a stretch is a range")]
#[test]
fn what_went_again_two_seconds_ago_need_not_go_once_more() {
    let dir = tempfile::tempdir().unwrap();
    let (mut kept, _, _) = open(dir.path());
    let _ = kept.next_session(1_000).unwrap();
    kept.begin(Duration::ZERO, at(1_000), &[10..900]);
    for step in 1..=40_u64 {
        let now = Duration::from_millis(step * 100);
        kept.step(now, at(1_000), [10 + step * 10..900].into_iter()).unwrap();
    }
    let again = kept.again(at(1_000));
    assert!(again.len() == 1 && (190..=215).contains(&again[0].start), "{again:?}");
    kept.add(&(3..5));
    assert_eq!(kept.again(at(1_000))[0], 3..5);
    kept.settle(at(1_000)).unwrap();
    drop(kept);
    let (_, begin, _) = open(dir.path());
    let Begin::At { again, .. } = begin else { panic!("{begin:?}") };
    assert_eq!((again[0].clone(), again.len()), (3..5, 2));
}

#[test]
fn a_damaged_state_never_makes_a_session_number_go_back() {
    let dir = tempfile::tempdir().unwrap();
    let (mut kept, ..) = open(dir.path());
    let _ = kept.next_session(1_000).unwrap();
    kept.begin(Duration::ZERO, at(1), &[]);
    kept.step(Duration::from_secs(1), at(2), std::iter::empty()).unwrap();
    drop(kept);
    let damage = |file: StateFile| fs::write(dir.path().join(file.name), b"SPKD").unwrap();
    // Each file has it.
    damage(SESSION);
    damage(POSITION);
    let (mut kept, begin, damaged) = open(dir.path());
    assert!(matches!(begin, Begin::At { .. }) && damaged == 2, "{begin:?}");
    assert_eq!(kept.next_session(5).unwrap().unwrap().session, 1_001);
    drop(kept);
    damage(POSITION);
    damage(SAFE_POSITION);
    let (mut kept, begin, damaged) = open(dir.path());
    assert_eq!((begin, damaged), (Begin::Unknown, 2));
    assert_eq!(kept.next_session(5).unwrap().unwrap().session, 1_002);
    drop(kept);
    // Where all are gone, the clock is the floor.
    for file in [SESSION, POSITION, SAFE_POSITION] {
        damage(file);
    }
    let (mut kept, begin, damaged) = open(dir.path());
    assert_eq!((begin, damaged), (Begin::Unknown, 3));
    assert_eq!(kept.next_session(5_000).unwrap().unwrap().session, 5_000);
}

#[test]
fn stretches_are_joined_and_few() {
    assert_eq!(joined(vec![5..9, 1..3, 3..4, 7..20, 30..30]), [1..4, 5..20]);
    let many = (0..100).map(|number| number * 10..number * 10 + 1 + number % 3).collect();
    let few = joined(many);
    assert_eq!(few.len(), MAX_STRETCHES);
    assert_eq!((few[0].start, few.last().unwrap().end), (0, 991));
}

#[test]
fn requests_are_two_numbers() {
    assert_eq!(asked(b"4711 5000\n"), Ok(4_711..5_001));
    assert_eq!(asked(b"7 7"), Ok(7..8));
    let long = b"1 18446744073709551615";
    assert_eq!(asked(long), Ok(1..u64::MAX));
    for wrong in [
        &b""[..],
        b"1",
        b"0 5",
        b"5 4",
        b"1 2 3",
        b"1 x",
        b"-1 5",
        b"\xff",
        b"1 99999999999999999999",
    ] {
        let error = asked(wrong).unwrap_err();
        assert!(error.starts_with("wanted `FIRST LAST`, got "), "{error}");
    }
}
