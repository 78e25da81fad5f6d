//! Tests of `segments`.
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use std::time::Duration;

use proptest::prelude::{any, proptest};

use super::{Known, MAX_KNOWN, NOTE_EVERY, Noted, Segment, tag};
use crate::datagram::Malformed;

fn segment(first_seq: u64) -> Segment {
    Segment {
        epoch: 3,
        first_seq,
        created_ms: 1_700_000_000_000,
        head_frames: 12,
        head_bytes: 3_456,
        relay_name: "line-4".to_owned(),
    }
}

#[test]
fn a_segment_is_noted_where_a_block_or_another_segment_begins() {
    let mut noted = Noted::default();
    let now = Duration::from_millis(7);
    let (first, note) = noted.note(now, &segment(1), false);
    assert_eq!(note.map(Segment::decode), Some(Ok(segment(1))));
    assert_eq!(noted.note(now, &segment(1), false), (first, None));
    assert_eq!(noted.note(now, &segment(1), true), (first, Some(&*segment(1).encode())));
    let (other, note) = noted.note(now, &segment(2), false);
    assert!(note.is_some());
    assert_ne!(first, other);
    // And again, for who comes later.
    assert!(noted.note(now + NOTE_EVERY, &segment(2), false).1.is_some());
    // The same numbers of another start are another segment.
    let anew = Segment { epoch: 4, ..segment(2) };
    assert_ne!(noted.note(now, &anew, false).0, other);
}

#[test]
fn segments_are_known_as_long_as_they_are_named() {
    let mut known = Known::default();
    let first = segment(0).encode();
    known.note(&first).unwrap();
    for number in 1..10 * MAX_KNOWN as u64 {
        known.note(&segment(number).encode()).unwrap();
        known.note(&first).unwrap();
        assert!(known.0.len() <= MAX_KNOWN);
    }
    assert_eq!(known.find(tag(&first)).map(|segment| segment.first_seq), Some(0));
    assert_eq!(known.find(tag(&segment(1).encode())), None);
}

#[test]
fn a_note_that_makes_no_sense_is_refused() {
    let note = segment(1).encode();
    let mut known = Known::default();
    assert_eq!(known.note(&note[..35]), Err(Malformed));
    assert_eq!(known.note(&[&note[..], &[0xff]].concat()), Err(Malformed));
    let long = [&note[..36], &[b'x'; 129]].concat();
    assert_eq!(known.note(&long), Err(Malformed));
    assert!(known.0.is_empty());
    let long = Segment { relay_name: "ä".repeat(100), ..segment(1) };
    let cut = Segment::decode(&long.encode()).unwrap();
    assert_eq!(cut.relay_name, "ä".repeat(64));
}

proptest! {
    #[test]
    fn a_segment_is_read_as_it_was_written(
        numbers: (u64, u64, u64, u32, u64),
        relay_name in "\\PC{0,30}",
    ) {
        let (epoch, first_seq, created_ms, head_frames, head_bytes) = numbers;
        let segment =
            Segment { epoch, first_seq, created_ms, head_frames, head_bytes, relay_name };
        assert_eq!(Segment::decode(&segment.encode()), Ok(segment));
    }

    #[test]
    fn any_bytes_are_refused_or_the_same_when_written(
        note in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        if let Ok(segment) = Segment::decode(&note) {
            assert_eq!(segment.encode(), note);
        }
    }
}
