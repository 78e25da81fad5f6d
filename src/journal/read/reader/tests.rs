//! Readers against real writers, and against files that no writer makes.

#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

mod layouts;

use journal_format::{Body, Heartbeat, Keyframe, Start};
use journal_write::{Durability, Writer, WriterOptions};

use super::*;

fn options(dir: &Path) -> WriterOptions {
    WriterOptions {
        dir: dir.to_path_buf(),
        relay_name: "test".into(),
        segment_bytes: 4096,
        retain_bytes: 1 << 20,
        retain_age: None,
        durability: Durability::Process,
    }
}

/// A body that can be told from every other one.
fn body(number: u64) -> Body {
    Body::Heartbeat(Heartbeat { received: number, ..Heartbeat::default() })
}

fn head() -> impl Iterator<Item = Body> {
    std::iter::once(Body::Start(Start { relay_name: "test".into(), ..Start::default() }))
}

fn write(writer: &mut Writer, frames: u64) {
    for _ in 0..frames {
        if writer.wants_segment() {
            writer.begin_segment(1, head()).unwrap();
        }
        let number = writer.next_seq();
        writer.push(2, &body(number)).unwrap();
    }
    writer.commit().unwrap();
}

/// Everything that can be read now: numbers of frames, and losses.
fn drain(reader: &mut Reader) -> (Vec<u64>, Vec<Lost>) {
    let (mut frames, mut losses, mut nothing) = (Vec::new(), Vec::new(), 0);
    while nothing < SETTLED_POLLS {
        match reader.next().unwrap() {
            None => nothing += 1,
            Some(item) => {
                nothing = 0;
                match item {
                    Item::Frame(frame) => {
                        if let Some(Body::Heartbeat(heartbeat)) = frame.body {
                            assert_eq!(heartbeat.received, frame.seq);
                        }
                        frames.push(frame.seq);
                    }
                    Item::Lost(lost) => losses.push(lost),
                    Item::Late(frame) => panic!("{frame:?} in a journal of the plant"),
                }
            }
        }
    }
    (frames, losses)
}

fn numbers(range: std::ops::RangeInclusive<u64>) -> Vec<u64> {
    range.collect()
}

#[test]
fn a_journal_that_begins_is_found_within_a_few_polls() {
    let dir = tempfile::tempdir().unwrap();
    let mut reader = Reader::open(dir.path(), From::Oldest).unwrap();
    for _ in 0..=1_000 {
        assert!(reader.next().unwrap().is_none());
    }
    write(&mut Writer::open(options(dir.path()), 0).unwrap(), 1);
    let mut polls = (0..=4).map(|_| reader.next().unwrap());
    assert!(polls.any(|item| item.is_some()));
}

#[test]
fn a_reader_of_an_absent_journal_follows_it_from_its_first_frame_over_segments() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("journal");
    let mut reader = Reader::open(&dir, From::Oldest).unwrap();
    assert_eq!(reader.next().unwrap(), None);
    assert_eq!(reader.position(), Position::default());
    let mut writer = Writer::open(options(&dir), 7).unwrap();
    let mut got = Vec::new();
    for _ in 0..100 {
        write(&mut writer, 10);
        let (frames, losses) = drain(&mut reader);
        assert_eq!(losses, []);
        got.extend(frames);
    }
    while got.len() < 1000 {
        got.extend(drain(&mut reader).0);
    }
    assert_eq!(got, numbers(1..=writer.next_seq() - 1));
    assert!(segment::list(&dir).unwrap().len() > 3);
    assert_eq!(reader.position(), Position { epoch: 7, seq: writer.next_seq() });
}

/// A journal of one segment with the frames 1 (its head) to `frames`.
fn one_segment(dir: &Path, frames: u64) -> Writer {
    let options = WriterOptions { segment_bytes: 1 << 20, ..options(dir) };
    let options = WriterOptions { retain_bytes: 1 << 30, ..options };
    let mut writer = Writer::open(options, 5).unwrap();
    write(&mut writer, frames - 1);
    writer
}

fn newest(dir: &Path) -> PathBuf {
    segment::path(dir, *segment::list(dir).unwrap().last().unwrap())
}

fn at(epoch: u64, seq: u64) -> From {
    From::At(Position { epoch, seq })
}

#[test]
fn what_is_at_hand_is_what_an_earlier_read_brought_and_nothing_of_it_comes_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = one_segment(dir.path(), 10);
    let mut reader = Reader::open(dir.path(), at(5, 4)).unwrap();
    assert_eq!(reader.next_at_hand(), None, "nothing was read yet");
    let seq = |item: Option<Item>| match item {
        Some(Item::Frame(frame)) => frame.seq,
        other => panic!("{other:?}"),
    };
    assert_eq!(seq(reader.next().unwrap()), 4);
    write(&mut writer, 2);
    for number in 5..=10 {
        assert_eq!(seq(reader.next_at_hand()), number);
    }
    assert_eq!(reader.next_at_hand(), None, "what came since takes a read");
    assert_eq!(seq(reader.next().unwrap()), 11);
    assert_eq!(seq(reader.next_at_hand()), 12);
    assert_eq!(reader.position(), Position { epoch: 5, seq: 13 });
    assert_eq!(reader.next().unwrap(), None);
}

#[test]
fn a_position_inside_a_segment_resumes_there() {
    let dir = tempfile::tempdir().unwrap();
    drop(one_segment(dir.path(), 50));
    let mut reader = Reader::open(dir.path(), at(5, 20)).unwrap();
    assert_eq!(drain(&mut reader), (numbers(20..=50), vec![]));
    // Also when a writer has been started again exactly there.
    let mut resumed = Reader::open(dir.path(), From::At(reader.position())).unwrap();
    let mut writer = one_segment(dir.path(), 10);
    write(&mut writer, 0);
    assert_eq!(drain(&mut resumed), (numbers(51..=60), vec![]));
    assert_eq!(resumed.position(), Position { epoch: 6, seq: 61 });
    assert_eq!(resumed.backlog_bytes().unwrap(), 0);
}

#[test]
fn newest_starts_with_a_complete_head() {
    let dir = tempfile::tempdir().unwrap();
    drop(one_segment(dir.path(), 50));
    drop(one_segment(dir.path(), 10));
    let mut reader = Reader::open(dir.path(), From::Newest).unwrap();
    let Some(Item::Frame(first)) = reader.next().unwrap() else { panic!("no frame") };
    assert!(first.in_head && matches!(first.body, Some(Body::Start(_))), "{first:?}");
    let Some(Item::Frame(second)) = reader.next().unwrap() else { panic!("no frame") };
    assert!(!second.in_head);
    assert_eq!((first.seq, first.epoch, second.seq), (51, 6, 52));
}

#[test]
fn a_torn_tail_is_waited_for_and_the_rewritten_frame_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let writer = one_segment(dir.path(), 50);
    let path = newest(dir.path());
    let good = std::fs::read(&path).unwrap();
    drop(writer);
    std::fs::write(&path, &good[..good.len() - 5]).unwrap();
    let mut reader = Reader::open(dir.path(), From::Oldest).unwrap();
    assert_eq!(drain(&mut reader), (numbers(1..=49), vec![]));
    // The writer comes back, cuts the torn frame and uses its number for its head.
    drop(one_segment(dir.path(), 3));
    assert_eq!(drain(&mut reader), (numbers(50..=52), vec![]));
}

#[test]
fn damage_in_the_growing_segment_is_reported_once_something_sound_follows() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = one_segment(dir.path(), 50);
    let mut reader = Reader::open(dir.path(), From::Oldest).unwrap();
    let path = newest(dir.path());
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(drain(&mut reader), (numbers(1..=49), vec![]));
    write(&mut writer, 2);
    let lost = Lost { first: 50, last: 50, cause: LostCause::Damage };
    assert_eq!(drain(&mut reader), (numbers(51..=52), vec![lost]));
}

#[test]
fn frames_that_retention_took_are_counted_exactly() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer =
        Writer::open(WriterOptions { retain_bytes: 20_000, ..options(dir.path()) }, 5).unwrap();
    write(&mut writer, 10);
    let mut reader = Reader::open(dir.path(), From::Oldest).unwrap();
    assert!(matches!(reader.next().unwrap(), Some(Item::Frame(_))));
    write(&mut writer, 2000);
    let retained = writer.retain(9).unwrap();
    assert!(retained.segments > 1, "{retained:?}");
    // What was read ahead of the open segment is still served; what went after it is lost.
    let (frames, losses) = drain(&mut reader);
    let in_open_segment = frames.windows(2).find(|pair| pair[1] != pair[0] + 1).unwrap();
    let lost =
        Lost { first: in_open_segment[0] + 1, last: retained.frames, cause: LostCause::Retention };
    assert_eq!(losses, [lost]);
    assert_eq!(frames.last(), Some(&(writer.next_seq() - 1)));
    assert_eq!(frames.len() as u64 + 1 + lost.frames(), writer.next_seq() - 1);
    // A new reader at an old position counts from there.
    let mut late = Reader::open(dir.path(), at(5, 3)).unwrap();
    let lost = Lost { first: 3, last: retained.frames, cause: LostCause::Retention };
    assert_eq!(late.next().unwrap(), Some(Item::Lost(lost)));
    assert_eq!(late.position().seq, retained.frames + 1);
}

#[test]
fn a_reader_that_holds_a_deleted_segment_holds_no_space() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer =
        Writer::open(WriterOptions { retain_bytes: 400_000, ..options(dir.path()) }, 5).unwrap();
    write(&mut writer, 1);
    let oldest = std::fs::File::open(newest(dir.path())).unwrap();
    let mut reader = Reader::open(dir.path(), From::Oldest).unwrap();
    assert!(matches!(reader.next().unwrap(), Some(Item::Frame(_))));
    write(&mut writer, 40_000);
    let retained = writer.retain(9).unwrap();
    assert!(retained.segments > 1, "{retained:?}");
    assert_eq!(oldest.metadata().unwrap().len(), 0);
    // The reader's account is exact all the same.
    let (frames, losses) = drain(&mut reader);
    let lost: u64 = losses.iter().map(Lost::frames).sum();
    assert!(losses.iter().all(|lost| lost.cause == LostCause::Retention), "{losses:?}");
    assert_eq!(frames.len() as u64 + 1 + lost, writer.next_seq() - 1);
}

/// Loses frames 31..=50 of the first epoch, as a loss of power does.
fn lose_power(dir: &Path) {
    let path = newest(dir);
    let mut reader = Reader::open(dir, From::Oldest).unwrap();
    while reader.position().seq != 31 {
        reader.next().unwrap();
    }
    let end = reader.cursor.unwrap().offset();
    std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(end).unwrap();
}

#[test]
fn a_reader_ahead_of_a_journal_that_lost_power_reports_what_was_rewound() {
    for resumed in [false, true] {
        for writer_first in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            drop(one_segment(dir.path(), 50));
            let mut reader = Reader::open(dir.path(), From::Oldest).unwrap();
            assert_eq!(drain(&mut reader).0, numbers(1..=50));
            lose_power(dir.path());
            if writer_first {
                drop(one_segment(dir.path(), 40));
            }
            if resumed {
                reader = Reader::open(dir.path(), From::At(reader.position())).unwrap();
            }
            if !writer_first {
                assert_eq!(drain(&mut reader), (vec![], vec![]));
                drop(one_segment(dir.path(), 40));
            }
            let lost = Lost { first: 31, last: 50, cause: LostCause::Rewound };
            assert_eq!(drain(&mut reader), (numbers(31..=70), vec![lost]));
            assert_eq!(reader.position(), Position { epoch: 6, seq: 71 });
        }
    }
}

#[test]
fn a_journal_made_anew_is_read_from_its_beginning() {
    // (epoch of the new journal, when it's noticed): later epochs at once, earlier ones (a
    // clock that stands behind) when the journal grows.
    for now_ms in [9, 2] {
        let dir = tempfile::tempdir().unwrap();
        drop(one_segment(dir.path(), 50));
        let mut reader = Reader::open(dir.path(), From::Oldest).unwrap();
        drain(&mut reader);
        std::fs::remove_file(newest(dir.path())).unwrap();
        assert_eq!(drain(&mut reader), (vec![], vec![]));
        let mut writer = Writer::open(options(dir.path()), now_ms).unwrap();
        write(&mut writer, 20);
        let early = drain(&mut reader);
        write(&mut writer, 10);
        let late = drain(&mut reader);
        let lost = Lost { first: 1, last: 50, cause: LostCause::Rewound };
        let frames = [early.0, late.0].concat();
        let losses = [early.1, late.1].concat();
        assert_eq!((frames, losses), (numbers(1..=31), vec![lost]));
    }
}

#[test]
fn a_segment_with_a_lost_header_costs_that_segment() {
    let dir = tempfile::tempdir().unwrap();
    drop(one_segment(dir.path(), 10));
    drop(one_segment(dir.path(), 10));
    drop(one_segment(dir.path(), 10));
    let path = segment::path(dir.path(), 11);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[..512].fill(0);
    std::fs::write(&path, bytes).unwrap();
    let mut reader = Reader::open(dir.path(), From::Oldest).unwrap();
    let lost = Lost { first: 11, last: 20, cause: LostCause::Damage };
    let all = [numbers(1..=10), numbers(21..=30)].concat();
    assert_eq!(drain(&mut reader), (all, vec![lost]));
    let mut inside = Reader::open(dir.path(), at(0, 15)).unwrap();
    let lost = Lost { first: 15, last: 20, cause: LostCause::Damage };
    assert_eq!(drain(&mut inside), (numbers(21..=30), vec![lost]));
}

#[test]
fn frames_whose_numbers_cannot_be_there_are_not_served() {
    let dir = tempfile::tempdir().unwrap();
    drop(one_segment(dir.path(), 10));
    let path = newest(dir.path());
    let Opened::Segment { header, .. } = segment::open(dir.path(), 1).unwrap() else {
        panic!("unreadable")
    };
    let good = std::fs::read(&path).unwrap();
    // Backwards, repeated, and far ahead: more frames missing than the bytes can hold.
    for seq in [1, 10, 13, u64::MAX] {
        let mut bytes = good.clone();
        frame::append(header.salt, seq, 1, &body(seq), &mut bytes).unwrap();
        std::fs::write(&path, &bytes).unwrap();
        let mut reader = Reader::open(dir.path(), From::Oldest).unwrap();
        assert_eq!(drain(&mut reader), (numbers(1..=10), vec![]), "{seq}");
        // Not behind a little damage either.
        bytes = good.clone();
        bytes.extend_from_slice(&[0xff; 25]);
        let seq = if seq == 13 { 14 } else { seq };
        frame::append(header.salt, seq, 1, &body(seq), &mut bytes).unwrap();
        std::fs::write(&path, &bytes).unwrap();
        let mut reader = Reader::open(dir.path(), From::Oldest).unwrap();
        assert_eq!(drain(&mut reader), (numbers(1..=10), vec![]), "{seq}");
    }
}

#[test]
fn a_frame_hidden_in_a_payload_is_not_found_behind_damage() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = one_segment(dir.path(), 10);
    let mut hidden = Vec::new();
    for salt in [0, 1, u32::MAX] {
        frame::append(salt, 11, 1, &body(11), &mut hidden).unwrap();
        frame::append(salt, 12, 1, &body(12), &mut hidden).unwrap();
    }
    let payload = Body::Relayed(journal_format::Relayed {
        payload: hidden,
        ..journal_format::Relayed::default()
    });
    writer.push(2, &payload).unwrap();
    writer.commit().unwrap();
    let path = newest(dir.path());
    let length = std::fs::read(&path).unwrap().len();
    write(&mut writer, 1);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[length - 1] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let mut reader = Reader::open(dir.path(), From::Oldest).unwrap();
    let lost = Lost { first: 11, last: 11, cause: LostCause::Damage };
    assert_eq!(drain(&mut reader), ([numbers(1..=10), vec![12]].concat(), vec![lost]));
}

#[test]
fn a_crafted_file_that_looks_like_frames_everywhere_is_given_up_in_bounded_time() {
    let dir = tempfile::tempdir().unwrap();
    drop(one_segment(dir.path(), 10));
    let path = newest(dir.path());
    let Opened::Segment { header, .. } = segment::open(dir.path(), 1).unwrap() else {
        panic!("unreadable")
    };
    // A long frame, claimed again and again; each claim costs a checksum over 4 MiB.
    let [low, middle, high, _] = (4_u32 << 20).to_le_bytes();
    let length = [low, middle, high];
    let [check, ..] = crc32c::crc32c_append(header.salt, &length).to_le_bytes();
    let claim = [low, middle, high, check, 0, 0, 0, 0, 8, 12];
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend_from_slice(&[0xff; 30]);
    for _ in 0..800_000 {
        bytes.extend_from_slice(&claim);
    }
    std::fs::write(&path, bytes).unwrap();
    let mut reader = Reader::open(dir.path(), From::Oldest).unwrap();
    assert_eq!(drain(&mut reader), (numbers(1..=10), vec![]));
}

#[test]
fn thousands_of_junk_files_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    drop(one_segment(dir.path(), 10));
    for number in 0..3000 {
        std::fs::write(dir.path().join(format!("junk{number}.sdj")), b"x").unwrap();
    }
    std::os::unix::fs::symlink("/dev/zero", segment::path(dir.path(), 11)).unwrap();
    let mut reader = Reader::open(dir.path(), From::Oldest).unwrap();
    assert_eq!(drain(&mut reader), (numbers(1..=10), vec![]));
}

#[test]
fn a_reader_beside_a_running_writer_gets_every_frame_or_its_loss() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_path_buf();
    let mut reader = Reader::open(&path, at(0, 1)).unwrap();
    let writer = std::thread::spawn(move || {
        let options = WriterOptions { retain_bytes: 60_000, ..options(&path) };
        let mut writer = Writer::open(options, 5).unwrap();
        for round in 0..3000 {
            write(&mut writer, round % 20);
            writer.retain(9).unwrap();
        }
        write(&mut writer, 1);
        writer.next_seq()
    });
    let mut next = 1;
    let mut read = |reader: &mut Reader| {
        let item = reader.next().unwrap();
        match item {
            Some(Item::Frame(frame)) => {
                assert_eq!(frame.seq, next);
                next += 1;
            }
            Some(Item::Lost(lost)) => {
                assert_eq!((lost.first, lost.cause), (next, LostCause::Retention));
                next = lost.last + 1;
            }
            Some(Item::Late(frame)) => panic!("{frame:?} in a journal of the plant"),
            None => return (false, next),
        }
        (true, next)
    };
    while !writer.is_finished() {
        read(&mut reader);
    }
    let mut nothing = 0;
    while nothing < SETTLED_POLLS {
        nothing = if read(&mut reader).0 { 0 } else { nothing + 1 };
    }
    assert_eq!(next, writer.join().unwrap());
}

#[test]
fn a_settled_reader_crosses_a_missing_segment() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(options(dir.path()), 1).unwrap();
    write(&mut writer, 2000);
    let segments = segment::list(dir.path()).unwrap();
    std::fs::remove_file(segment::path(dir.path(), segments[2])).unwrap();
    let mut reader = Reader::open(dir.path(), From::Oldest).unwrap();
    let mut lost = Vec::new();
    while let Some(item) = reader.next_settled().unwrap() {
        if let Item::Lost(run) = item {
            lost.push(run);
        }
    }
    assert_eq!(reader.position().seq, writer.next_seq());
    let (first, last) = (segments[2], segments[3] - 1);
    assert_eq!(lost, [Lost { first, last, cause: LostCause::Damage }]);
}

#[test]
fn a_frame_larger_than_the_reader_takes_is_lost_alone_and_never_held() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = one_segment(dir.path(), 10);
    let large = Body::Keyframe(Keyframe { payload: vec![7; 300_000], ..Keyframe::default() });
    let mut next = || {
        let seq = writer.push(5, &large).unwrap();
        write(&mut writer, 1);
        seq
    };
    let first = next();
    let open = || Reader::open(dir.path(), From::Oldest).unwrap().taking(200_000);
    let lost = |seq| Lost { first: seq, last: seq, cause: LostCause::TooLarge };
    let mut reader = open();
    assert_eq!(
        drain(&mut reader),
        ([numbers(1..=10), vec![first + 1]].concat(), vec![lost(first)])
    );
    let second = next();
    assert_eq!(drain(&mut reader), (vec![second + 1], vec![lost(second)]));
    let (_, all) = drain(&mut open());
    assert_eq!(all, [lost(first), lost(second)]);
    assert_eq!(drain(&mut Reader::open(dir.path(), From::Oldest).unwrap()).1, []);
}
