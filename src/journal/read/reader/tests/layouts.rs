//! Data that is told by places, read from anywhere; and journals from before there was any.

use std::fs;

use journal_format::Data;
use journal_format::compact::{CompactMetric, CompactValue, CompactWriter};
use journal_format::header::{CHECKED_BYTES, COPY_BYTES, FRAMES_OFFSET};

use super::*;
use crate::{Defect, verify};

/// A birth with the metrics `a` and `b`.
fn keyframe() -> Body {
    let payload = vec![0x12, 3, 0x0a, 1, b'a', 0x12, 3, 0x0a, 1, b'b'];
    let topic = "spBv1.0/G/NBIRTH/E".into();
    Body::Keyframe(Keyframe { topic, payload, layout: 7, ..Keyframe::default() })
}

/// `b` is true.
fn data() -> Body {
    let mut writer = CompactWriter::new(5, 0);
    let value = CompactValue::Boolean(true);
    let metric = CompactMetric { timestamp: 5, is_historical: None, is_transient: None, value };
    writer.metric(1, &metric);
    let metrics = writer.finish();
    Body::Data(Data { layout: 7, timestamp: 5, metrics, ..Data::default() })
}

/// Segments of a `Start`, a keyframe and 3 messages each: frames 1 to 5, 6 to 10, and so on.
fn journal(dir: &Path, segments: u64) -> Writer {
    let mut writer = Writer::open(options(dir), 1).unwrap();
    go_on(&mut writer, segments);
    writer
}

fn go_on(writer: &mut Writer, segments: u64) {
    for _ in 0..segments {
        let epoch = writer.epoch();
        let start = Body::Start(Start { epoch, ..Start::default() });
        writer.begin_segment(1, [start, keyframe()].into_iter()).unwrap();
        for _ in 0..3 {
            writer.push(2, &data()).unwrap();
        }
        writer.commit().unwrap();
    }
}

/// Numbers of the messages that are there by names, and losses.
fn messages(reader: &mut Reader) -> (Vec<u64>, Vec<Lost>) {
    let (mut messages, mut losses) = (Vec::new(), Vec::new());
    while let Some(item) = reader.next_settled().unwrap() {
        match item {
            Item::Lost(lost) => losses.push(lost),
            Item::Late(frame) => panic!("{frame:?} in a journal of the plant"),
            Item::Frame(Frame { body: Some(Body::Relayed(relayed)), seq, .. }) => {
                assert_eq!(relayed.topic, "spBv1.0/G/NDATA/E");
                let b = [0x08, 5, 0x12, 7, 0x0a, 1, b'b', 0x18, 5, 0x70, 1];
                assert_eq!(relayed.payload, b);
                messages.push(seq);
            }
            Item::Frame(frame) => assert!(!matches!(frame.body, Some(Body::Data(_)))),
        }
    }
    (messages, losses)
}

#[test]
fn a_reader_that_begins_anywhere_knows_what_places_mean() {
    let dir = tempfile::tempdir().unwrap();
    let writer = journal(dir.path(), 2);
    for seq in 1..=11 {
        let at = From::At(Position { epoch: writer.epoch(), seq });
        let mut reader = Reader::open(dir.path(), at).unwrap();
        let wanted = [3, 4, 5, 8, 9, 10].into_iter().filter(|number| *number >= seq).collect();
        assert_eq!(messages(&mut reader), (wanted, vec![]), "from {seq}");
        let mut reader = Reader::open(dir.path(), at).unwrap().as_written(1 << 20);
        while let Some(item) = reader.next_settled().unwrap() {
            let Item::Frame(frame) = item else { panic!("{item:?}") };
            let is_data = matches!(frame.body, Some(Body::Data(_)));
            let names = frame.layout.as_ref().map(|layout| (layout.name(0), layout.name(1)));
            assert_eq!(names, is_data.then_some((Some("a"), Some("b"))));
            let topic = frame.message().map(|(topic, _)| topic);
            assert!(!is_data || topic == Some("spBv1.0/G/NDATA/E"));
        }
    }
    assert!(verify(dir.path()).unwrap().is_sound());
}

#[test]
fn an_unreadable_keyframe_costs_those_who_have_not_read_another_one() {
    let dir = tempfile::tempdir().unwrap();
    let writer = journal(dir.path(), 3);
    let path = segment::path(dir.path(), 6);
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(18).position(|bytes| bytes == b"spBv1.0/G/NBIRTH/E").unwrap();
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    let lost = |first, last| Lost { first, last, cause: LostCause::Damage };
    let mut reader = Reader::open(dir.path(), From::Oldest).unwrap();
    let wanted = vec![3, 4, 5, 8, 9, 10, 13, 14, 15];
    assert_eq!(messages(&mut reader), (wanted, vec![lost(7, 7)]));
    let at = From::At(Position { epoch: writer.epoch(), seq: 6 });
    let mut reader = Reader::open(dir.path(), at).unwrap();
    let losses = vec![lost(7, 7), lost(8, 8), lost(9, 9), lost(10, 10)];
    assert_eq!(messages(&mut reader), (vec![13, 14, 15], losses));
    // As it was written it is served: somebody may count it.
    let mut reader = Reader::open(dir.path(), at).unwrap().as_written(1 << 20);
    let mut unknown = 0;
    while let Some(item) = reader.next_settled().unwrap() {
        if let Item::Frame(Frame { body: Some(Body::Data(_)), layout: None, .. }) = item {
            unknown += 1;
        }
    }
    assert_eq!(unknown, 3);
    let found = verify(dir.path()).unwrap();
    let bodies = found.findings.iter().filter(|one| matches!(one.defect, Defect::Body { .. }));
    assert_eq!(bodies.count(), 3, "{found}");
}

#[test]
fn layouts_beyond_what_a_reader_may_hold_are_not_held() {
    let dir = tempfile::tempdir().unwrap();
    let _writer = journal(dir.path(), 1);
    let mut reader = Reader::open(dir.path(), From::Oldest).unwrap().as_written(10);
    let mut data = 0;
    while let Some(item) = reader.next_settled().unwrap() {
        let Item::Frame(frame) = item else { panic!("{item:?}") };
        assert!(frame.layout.is_none());
        data += u64::from(matches!(frame.body, Some(Body::Data(_))));
    }
    assert_eq!(data, 3);
}

/// Makes a segment one of format 1, which is the same but for the bodies that it may have.
fn make_first_format(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    for copy in bytes[..usize::try_from(FRAMES_OFFSET).unwrap()].chunks_mut(COPY_BYTES) {
        copy[8] = 1;
        let crc = crc32c::crc32c(&copy[..CHECKED_BYTES]);
        copy[CHECKED_BYTES..].copy_from_slice(&crc.to_le_bytes());
    }
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_journal_of_format_1_is_read_and_gone_on_with() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(options(dir.path()), 1).unwrap();
    let (topic, payload) = ("spBv1.0/G/NDATA/E".into(), vec![0x08, 5]);
    let message = Body::Relayed(journal_format::Relayed { topic, payload, ..Default::default() });
    writer.begin_segment(1, head()).unwrap();
    writer.push(2, &message).unwrap();
    writer.commit().unwrap();
    drop(writer);
    make_first_format(&segment::path(dir.path(), 1));
    let mut reader = Reader::open(dir.path(), From::Oldest).unwrap();
    assert_eq!(drain(&mut reader), (vec![1, 2], vec![]));
    // The writer knows it again, and begins a segment of its own format.
    let mut writer = Writer::open(options(dir.path()), 3).unwrap();
    assert_eq!(writer.next_seq(), 3);
    let mut replay = writer.replay(None);
    let mut replayed = Vec::new();
    while let Some(frame) = replay.next().unwrap() {
        replayed.push(frame.body.unwrap());
    }
    assert_eq!(replayed.last(), Some(&message));
    go_on(&mut writer, 1);
    assert_eq!(messages(&mut reader), (vec![5, 6, 7], vec![]));
    let versions = [1, 3].map(|first| fs::read(segment::path(dir.path(), first)).unwrap()[8]);
    assert_eq!(versions, [1, 2]);
}

#[test]
fn a_replay_tells_names() {
    let dir = tempfile::tempdir().unwrap();
    drop(journal(dir.path(), 2));
    let writer = Writer::open(options(dir.path()), 3).unwrap();
    let mut replay = writer.replay(Some(1));
    let mut numbers = Vec::new();
    while let Some(frame) = replay.next().unwrap() {
        if let Some(Body::Relayed(relayed)) = &frame.body {
            assert_eq!(relayed.topic, "spBv1.0/G/NDATA/E");
            numbers.push(frame.seq);
        }
    }
    assert_eq!(numbers, [3, 4, 5, 8, 9, 10]);
}
