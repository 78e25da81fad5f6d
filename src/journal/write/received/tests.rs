//! The writer of a journal that is received, against readers and a model of what came.

mod model;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use journal_format::{Body, Relayed, Start};
use journal_read::{
    From, Item, LostCause, Position, RawItem, Reader, SETTLED_POLLS, Verification, verify,
};

use super::*;
use crate::{Writer, WriterOptions};

/// A frame of the sender.
#[derive(Clone, Debug)]
struct Sent {
    seq: u64,
    origin: Origin,
    envelope: Vec<u8>,
}

/// A journal of the sender with several segments and starts, as `send` reads it.
fn sent(dir: &Path, frames: usize) -> Vec<Sent> {
    sent_since(dir, frames, 100)
}

/// The same with starts from this epoch on.
fn sent_since(dir: &Path, frames: usize, epoch: u64) -> Vec<Sent> {
    let options = WriterOptions {
        dir: dir.to_path_buf(),
        relay_name: "sender".into(),
        segment_bytes: 600,
        retain_bytes: 1 << 30,
        retain_age: None,
        durability: Durability::Process,
    };
    for start in 0..3_u64 {
        let mut writer = Writer::open(options.clone(), epoch + start).unwrap();
        let epoch = writer.epoch();
        for number in 0..frames / 3 {
            if writer.wants_segment() {
                let start = Body::Start(Start { epoch, ..Start::default() });
                writer.begin_segment(100, std::iter::once(start)).unwrap();
            }
            let payload = vec![number as u8; number % 70];
            let body = Body::Relayed(Relayed { payload, ..Relayed::default() });
            writer.push(100, &body).unwrap();
        }
        writer.commit().unwrap();
    }
    let mut reader = Reader::open(dir, From::Oldest).unwrap();
    let mut sent = Vec::new();
    let mut nothing = 0;
    while nothing < SETTLED_POLLS {
        match reader.next_raw().unwrap() {
            None => nothing += 1,
            Some(RawItem::Frame(frame)) => {
                let origin = Origin::from(frame.header);
                sent.push(Sent { seq: frame.seq, origin, envelope: frame.envelope.to_vec() });
            }
            Some(other) => panic!("{other:?}"),
        }
    }
    sent
}

fn options(dir: &Path) -> ReceivedOptions {
    ReceivedOptions {
        dir: dir.to_path_buf(),
        retain_bytes: 1 << 30,
        retain_age: None,
        durability: Durability::Process,
    }
}

fn push(writer: &mut ReceivedWriter, sent: &Sent) -> Pushed {
    writer.push(5, &sent.origin, sent.seq, &sent.envelope).unwrap()
}

/// What a reader has had: frames by number, numbers that were lost, what came late.
#[derive(Debug, Default, PartialEq)]
struct Read {
    frames: BTreeMap<u64, u64>,
    lost: BTreeSet<u64>,
    late: BTreeMap<u64, u64>,
    times: Vec<u64>,
}

fn take(read: &mut Read, item: Item, next: &mut Option<u64>) {
    match item {
        Item::Frame(frame) => {
            assert!(next.is_none_or(|next| next == frame.seq), "{next:?}: {frame:?}");
            *next = Some(frame.seq + 1);
            read.times.push(frame.appended_ms);
            assert!(read.frames.insert(frame.seq, frame.epoch).is_none(), "twice");
        }
        Item::Lost(lost) => {
            assert!(next.is_none_or(|next| next == lost.first), "{next:?}: {lost:?}");
            *next = Some(lost.last + 1);
            assert!(matches!(lost.cause, LostCause::Link | LostCause::Damage), "{lost:?}");
            read.lost.extend(lost.first..=lost.last);
        }
        Item::Late(frame) => {
            assert!(read.lost.contains(&frame.seq), "{frame:?} wasn't lost");
            assert!(frame.body.is_some());
            assert!(read.late.insert(frame.seq, frame.epoch).is_none(), "late twice");
        }
    }
}

fn read_all(reader: &mut Reader, read: &mut Read) {
    let (mut nothing, mut next) = (0, None);
    while nothing < SETTLED_POLLS {
        match reader.next().unwrap() {
            None => nothing += 1,
            Some(item) => {
                nothing = 0;
                take(read, item, &mut next);
            }
        }
    }
}

fn read_anew(dir: &Path) -> Read {
    let mut read = Read::default();
    read_all(&mut Reader::open(dir, From::Oldest).unwrap(), &mut read);
    read
}

fn checked(dir: &Path) -> Verification {
    let found = verify(dir).unwrap();
    assert!(found.is_sound(), "{found}");
    found
}

#[test]
fn a_journal_that_came_whole_is_the_senders() {
    let (there, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sent = sent(there.path(), 90);
    let mut writer = ReceivedWriter::open(options(here.path())).unwrap();
    for frame in &sent {
        assert_eq!(push(&mut writer, frame), Pushed::InOrder { missing: 0 });
    }
    writer.commit().unwrap();
    assert_eq!(read_anew(here.path()), read_anew(there.path()));
    let segments = |dir: &Path| segment::list(dir).unwrap();
    assert_eq!(segments(here.path()), segments(there.path()));
    let found = checked(here.path());
    assert_eq!((found.frames, found.missing_frames), (sent.len() as u64, 0));
    // Both ends refuse what the other wrote.
    drop(writer);
    let error = ReceivedWriter::open(options(there.path())).unwrap_err();
    assert!(matches!(error, JournalError::NotReceived { .. }), "{error}");
    let options = WriterOptions {
        dir: here.path().to_path_buf(),
        relay_name: String::new(),
        segment_bytes: 600,
        retain_bytes: 1 << 30,
        retain_age: None,
        durability: Durability::Process,
    };
    let error = Writer::open(options, 1).unwrap_err();
    assert!(matches!(error, JournalError::IsReceived { .. }), "{error}");
}

#[test]
fn what_comes_late_fills_its_hole_once() {
    let (there, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sent = sent(there.path(), 90);
    let mut writer = ReceivedWriter::open(options(here.path())).unwrap();
    for frame in sent.iter().filter(|frame| frame.seq % 7 != 0 && !(20..50).contains(&frame.seq)) {
        push(&mut writer, frame);
    }
    writer.commit().unwrap();
    let missing = writer.missing().numbers();
    assert_eq!(checked(here.path()).missing_frames, missing);
    let mut reader = Reader::open(here.path(), From::Oldest).unwrap();
    let mut read = Read::default();
    read_all(&mut reader, &mut read);
    assert_eq!(read.lost.len() as u64, missing);
    // Everything is sent again, twice, with a restart in between.
    for pass in 0..2 {
        let mut late = 0;
        for frame in &sent {
            match push(&mut writer, frame) {
                Pushed::Late => late += 1,
                Pushed::Refused(Refusal::Known) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(late, if pass == 0 { missing } else { 0 });
        writer.commit().unwrap();
        drop(writer);
        writer = ReceivedWriter::open(options(here.path())).unwrap();
        assert_eq!(writer.missing().numbers(), 0);
    }
    read_all(&mut reader, &mut read);
    assert_eq!(read.late.keys().copied().collect::<BTreeSet<_>>(), read.lost);
    for (seq, epoch) in &read.late {
        let frame = sent.iter().find(|frame| frame.seq == *seq).unwrap();
        assert_eq!(frame.origin.epoch, *epoch);
    }
    let found = checked(here.path());
    assert_eq!((found.missing_frames, found.late_frames), (0, missing));
    assert_eq!(found.frames, sent.len() as u64);
    // A reader that comes again behind the last frame gets what came since once more, and no other.
    let seq = reader.position().seq;
    let mut again = Read { lost: read.lost.clone(), ..Read::default() };
    let from = From::At(Position { epoch: 0, seq });
    read_all(&mut Reader::open(here.path(), from).unwrap(), &mut again);
    assert_eq!(again.late, read.late);
    assert!(again.frames.is_empty());
}

#[test]
fn times_are_given_by_the_clock_of_the_receiver_and_by_none_before_it_is_known() {
    let (there, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sent = sent(there.path(), 30);
    let mut writer = ReceivedWriter::open(options(here.path())).unwrap();
    let clocks = [None, Some(40), Some(-7), Some(1000)];
    for (frame, ahead_ms) in sent.iter().zip(clocks) {
        writer.set_clock(5, ahead_ms);
        push(&mut writer, frame);
        // Before the first frame there is nothing to note it in; a later one says it again.
        writer.set_clock(5, ahead_ms);
    }
    push(&mut writer, &sent[4]);
    writer.commit().unwrap();
    let mut read = Read::default();
    read_all(&mut Reader::open(here.path(), From::Oldest).unwrap().by_own_clock(), &mut read);
    assert_eq!(read.times, [0, 60, 107, 0, 0]);
    let mut read = Read::default();
    let from = From::At(Position { epoch: 0, seq: 3 });
    read_all(&mut Reader::open(here.path(), from).unwrap().by_own_clock(), &mut read);
    assert_eq!(read.times, [107, 0, 0]);
    assert_eq!(read_anew(here.path()).times, [100; 5]);
    // Known over a restart, and said again by the next segment.
    drop(writer);
    let writer = ReceivedWriter::open(options(here.path())).unwrap();
    assert_eq!(writer.ahead_ms, Some(1000));
}

#[test]
fn a_journal_that_the_sender_began_anew_replaces_the_old_one() {
    let (there, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sent = sent(there.path(), 60);
    let mut writer = ReceivedWriter::open(options(here.path())).unwrap();
    for frame in sent.iter().filter(|frame| frame.seq != 9) {
        push(&mut writer, frame);
    }
    writer.commit().unwrap();
    let mut reader = Reader::open(here.path(), From::Oldest).unwrap();
    read_all(&mut reader, &mut Read::default());
    let made_anew = tempfile::tempdir().unwrap();
    let anew = sent_since(made_anew.path(), 30, 1000);
    assert_eq!(push(&mut writer, &anew[0]), Pushed::Rewound);
    writer.commit().unwrap();
    assert_eq!(writer.missing().numbers(), 0);
    assert_eq!(push(&mut writer, &sent[8]), Pushed::Refused(Refusal::OldEpoch));
    assert_eq!(push(&mut writer, &sent[30]), Pushed::Refused(Refusal::OldEpoch));
    for frame in &anew[1..5] {
        assert_eq!(push(&mut writer, frame), Pushed::InOrder { missing: 0 });
    }
    writer.commit().unwrap();
    checked(here.path());
    let rewound = (0..2 * SETTLED_POLLS).find_map(|_| reader.next().unwrap());
    assert!(
        matches!(rewound, Some(Item::Lost(lost)) if lost.cause == LostCause::Rewound),
        "{rewound:?}"
    );
}

#[test]
fn what_is_no_frame_of_a_sender_is_refused() {
    let (there, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sent = sent(there.path(), 60);
    let mut writer = ReceivedWriter::open(options(here.path())).unwrap();
    let frame = &sent[3];
    let malformed = Pushed::Refused(Refusal::Malformed);
    let mut refused = |origin: &Origin, seq, envelope: &[u8]| {
        assert_eq!(writer.push(5, origin, seq, envelope).unwrap(), malformed);
    };
    refused(&frame.origin, 0, &[8, 0]);
    refused(&frame.origin, 5, &frame.envelope);
    refused(&frame.origin, 4, &[]);
    refused(&Origin { first_seq: 5, ..frame.origin.clone() }, 4, &frame.envelope);
    refused(&Origin { first_seq: 0, ..frame.origin.clone() }, 4, &frame.envelope);
    let max = [8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1];
    refused(&frame.origin, u64::MAX, &max);
    assert!(segment::list(here.path()).unwrap().is_empty(), "nothing was begun");
    push(&mut writer, frame);
    // A segment can't begin among the frames of another.
    let origin = Origin { first_seq: 3, ..frame.origin.clone() };
    assert_eq!(writer.push(5, &origin, 5, &sent[4].envelope).unwrap(), malformed);
    assert_eq!(push(&mut writer, &sent[4]), Pushed::InOrder { missing: 0 });
}

#[test]
fn retention_deletes_old_segments_and_forgets_what_was_missing_in_them() {
    let (there, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sent = sent(there.path(), 150);
    let options = ReceivedOptions { retain_bytes: 5000, ..options(here.path()) };
    let mut writer = ReceivedWriter::open(options).unwrap();
    for frame in sent.iter().filter(|frame| frame.seq % 5 != 0) {
        push(&mut writer, frame);
        writer.commit().unwrap();
        writer.retain(5).unwrap();
        let bytes: u64 = segment::list(here.path())
            .unwrap()
            .iter()
            .map(|first| fs::metadata(segment::path(here.path(), *first)).unwrap().len())
            .sum();
        assert_eq!(bytes, writer.bytes());
        assert!(bytes <= 5000);
    }
    let oldest = segment::list(here.path()).unwrap()[0];
    assert!(oldest > 5, "something was deleted");
    assert!(writer.missing().ranges().all(|(first, _)| first >= oldest));
    assert_eq!(push(&mut writer, &sent[4]), Pushed::Refused(Refusal::Known));
    checked(here.path());
}
