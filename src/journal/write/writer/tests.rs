//! Writers, what they refuse, and what they do when the operating system refuses.

use std::fs::OpenOptions;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::Duration;

use journal_format::{Heartbeat, Keyframe, MAX_BODY_BYTES, Start};
use journal_read::{From, Item, Reader, verify};

use super::*;
use crate::Recovered;
use crate::directory::CLAIM_NAME;

fn options(dir: &Path) -> WriterOptions {
    WriterOptions {
        dir: dir.to_path_buf(),
        relay_name: "test".into(),
        segment_bytes: 100_000,
        retain_bytes: 10_000_000,
        retain_age: None,
        durability: Durability::Process,
    }
}

fn heartbeat(number: u64) -> Body {
    Body::Heartbeat(Heartbeat { received: number, ..Heartbeat::default() })
}

fn head(writer: &Writer) -> std::vec::IntoIter<Body> {
    vec![Body::Start(Start { epoch: writer.epoch(), ..Start::default() })].into_iter()
}

fn begun(options: WriterOptions) -> Writer {
    let mut writer = Writer::open(options, 5).unwrap();
    let head = head(&writer);
    writer.begin_segment(5, head).unwrap();
    writer
}

/// Numbers that heartbeats carry, in the order of the journal.
fn contents(dir: &Path) -> Vec<u64> {
    let mut reader = Reader::open(dir, From::Oldest).unwrap();
    let mut contents = Vec::new();
    while let Some(item) = reader.next().unwrap() {
        match item {
            Item::Frame(frame) => match frame.body {
                Some(Body::Heartbeat(heartbeat)) => contents.push(heartbeat.received),
                _ => contents.push(0),
            },
            other => panic!("{other:?}"),
        }
    }
    contents
}

#[test]
fn a_second_writer_is_refused_until_the_first_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let first = Writer::open(options(dir.path()), 5).unwrap();
    let error = Writer::open(options(dir.path()), 5).unwrap_err();
    assert!(matches!(error, JournalError::Claimed { .. }), "{error}");
    drop(first);
    Writer::open(options(dir.path()), 5).unwrap();
}

#[test]
fn modes_are_as_promised_under_any_umask() {
    // The umask belongs to the process: another one runs this test again.
    if let Some(dir) = std::env::var_os("SPARKDIODE_TEST_UMASK_DIR") {
        begun(options(Path::new(&dir)));
        return;
    }
    for umask in ["000", "077"] {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("new");
        run_again("modes_are_as_promised_under_any_umask", &format!("umask {umask}"), |command| {
            command.env("SPARKDIODE_TEST_UMASK_DIR", &dir);
        });
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&segment::path(&dir, 1)), 0o640, "umask {umask}");
        assert_eq!(mode(&dir.join(CLAIM_NAME)), 0o600, "umask {umask}");
        assert_eq!(mode(&dir) & !0o750, 0, "umask {umask}");
    }
}

#[test]
fn a_batch_that_does_not_fit_is_kept_and_committed_once_it_does() {
    // A limit on the size of files does what a full disk does: a write is cut short, the next
    // one fails. It belongs to the process: another one runs this test again.
    let Some(dir) = std::env::var_os("SPARKDIODE_TEST_LIMIT_DIR") else {
        let dir = tempfile::tempdir().unwrap();
        // SIGXFSZ ignored, so that the write fails; 8 blocks of 512 or 1024 bytes.
        let before = "trap '' XFSZ; ulimit -S -f 8";
        let name = "a_batch_that_does_not_fit_is_kept_and_committed_once_it_does";
        run_again(name, before, |command| {
            command.env("SPARKDIODE_TEST_LIMIT_DIR", dir.path());
        });
        let verification = verify(dir.path()).unwrap();
        assert!(verification.is_sound(), "{verification}");
        assert_eq!(contents(dir.path()), (0..=600).collect::<Vec<_>>());
        return;
    };
    let dir = Path::new(&dir);
    let mut writer = begun(options(dir));
    writer.push(5, &heartbeat(1)).unwrap();
    writer.commit().unwrap();
    let committed = writer.bytes();
    for number in 2..=500 {
        writer.push(5, &heartbeat(number)).unwrap();
    }
    for _ in 0..3 {
        let error = writer.commit().unwrap_err();
        assert_eq!(error.errno(), Some(libc::EFBIG), "{error}");
        assert_eq!(fs::metadata(segment::path(dir, 1)).unwrap().len(), committed, "cut back");
    }
    // A new segment doesn't help, and leaves nothing behind.
    let large = (0..500).map(|_| Body::Keyframe(Keyframe::default()));
    assert!(writer.begin_segment(5, large).is_err());
    assert_eq!(segment::list_unfinished(dir).unwrap(), [0; 0]);
    assert_eq!(writer.bytes(), committed);
    writer.push(5, &heartbeat(501)).unwrap();
    let process = std::process::id().to_string();
    let raised = Command::new("prlimit").args(["--fsize=unlimited", "--pid", &process]).status();
    assert!(raised.unwrap().success());
    writer.commit().unwrap();
    for number in 502..=600 {
        writer.push(5, &heartbeat(number)).unwrap();
    }
    writer.commit().unwrap();
}

/// Runs one test of this binary again, in a process of its own, after some shell commands.
fn run_again(test: &str, before: &str, prepare: impl FnOnce(&mut Command)) {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{before}; exec \"$0\" --exact \"$1\"")]);
    command.arg(std::env::current_exe().unwrap());
    command.arg(format!("writer::tests::{test}"));
    prepare(&mut command);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn a_head_that_cannot_be_made_changes_nothing_and_can_be_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("journal");
    let away = dir.path().join("away");
    let mut writer = begun(options(&journal));
    writer.push(5, &heartbeat(1)).unwrap();
    writer.commit().unwrap();
    // Somebody moves the directory away: the open segment can be written, a new one can't.
    fs::rename(&journal, &away).unwrap();
    let again = head(&writer);
    let error = writer.begin_segment(5, again).unwrap_err();
    assert_eq!(error.errno(), Some(libc::ENOENT), "{error}");
    assert_eq!(writer.push(5, &heartbeat(2)).unwrap(), 3);
    writer.commit().unwrap();
    fs::rename(&away, &journal).unwrap();
    let again = head(&writer);
    writer.begin_segment(5, again).unwrap();
    assert_eq!(writer.push(5, &heartbeat(3)).unwrap(), 5);
    writer.commit().unwrap();
    drop(writer);
    assert_eq!(contents(&journal), [0, 1, 2, 0, 3]);
    assert!(verify(&journal).unwrap().is_sound());
}

#[test]
fn nothing_is_pushed_before_a_segment_and_nothing_over_the_cap() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(options(dir.path()), 5).unwrap();
    let error = writer.push(5, &heartbeat(1)).unwrap_err();
    assert!(matches!(error, JournalError::NoSegment), "{error}");
    let large = || {
        let payload = vec![0; MAX_BODY_BYTES];
        Body::Keyframe(Keyframe { payload, ..Keyframe::default() })
    };
    let mut bodies: Vec<_> = head(&writer).collect();
    bodies.extend([large(), Body::Keyframe(Keyframe::default())]);
    let made = writer.begin_segment(5, bodies.into_iter()).unwrap();
    assert_eq!((made.frames, made.oversized), (2, 1));
    assert!(matches!(writer.push(5, &large()), Err(JournalError::TooLarge { .. })));
    assert_eq!((writer.next_seq(), writer.pending_bytes()), (3, 0));
}

#[test]
fn a_segment_is_full_by_size_by_its_head_and_by_what_is_retained() {
    let full_at = |segment_bytes, retain_bytes, head_payload| {
        let dir = tempfile::tempdir().unwrap();
        let mut writer =
            Writer::open(WriterOptions { segment_bytes, retain_bytes, ..options(dir.path()) }, 5)
                .unwrap();
        assert!(writer.wants_segment());
        let keyframe = Keyframe { payload: vec![0; head_payload], ..Keyframe::default() };
        writer.begin_segment(5, std::iter::once(Body::Keyframe(keyframe))).unwrap();
        while !writer.wants_segment() {
            writer.push(5, &heartbeat(1)).unwrap();
        }
        writer.commit().unwrap();
        writer.bytes()
    };
    let about = |bytes, wanted: u64| (wanted..wanted + 1_500).contains(&bytes);
    assert!(about(full_at(10_000, 1 << 28, 0), 10_000));
    assert!(about(full_at(10_000, 1 << 28, 1_000), 20_000));
    assert!(about(full_at(10_000, 20_000, 1_000), 5_000));
    // So that the number of segments is bounded too.
    assert!(about(full_at(10_000, 1 << 31, 0), 32_768));
    // Heads alone would fill what is retained: still as much data as head.
    assert!(about(full_at(10_000, 4_000, 3_000), 6_000));
}

#[test]
fn segments_expire_by_the_age_of_their_newest_frame_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let options =
        || WriterOptions { retain_age: Some(Duration::from_secs(1)), ..options(dir.path()) };
    let mut writer = Writer::open(options(), 1_000).unwrap();
    for now_ms in [1_000, 2_000, 3_000] {
        let again = head(&writer);
        writer.begin_segment(now_ms, again).unwrap();
        writer.push(now_ms + 500, &heartbeat(1)).unwrap();
    }
    writer.commit().unwrap();
    assert_eq!(writer.retain(2_500).unwrap(), Retained::default());
    let before = writer.bytes();
    let retained = writer.retain(2_501).unwrap();
    assert_eq!((retained.segments, retained.frames), (1, 2));
    assert_eq!(writer.bytes(), before - retained.bytes);
    drop(writer);
    let mut writer = Writer::open(options(), 3_000).unwrap();
    let again = head(&writer);
    writer.begin_segment(9_000, again).unwrap();
    assert_eq!(writer.retain(3_500).unwrap().segments, 0);
    assert_eq!(writer.retain(3_501).unwrap().segments, 1);
    // Never the current one.
    assert_eq!(writer.retain(1 << 40).unwrap().segments, 1);
    assert_eq!(segment::list(dir.path()).unwrap(), [7]);
}

#[test]
fn a_relay_that_starts_again_and_again_does_not_pile_up_segments() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..7 {
        let mut writer = begun(options(dir.path()));
        writer.max_kept_segments = 3;
        writer.retain(5).unwrap();
    }
    assert_eq!(segment::list(dir.path()).unwrap(), [4, 5, 6, 7]);
}

#[test]
fn a_segment_without_a_frame_gives_its_name_to_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(options(dir.path()), 5).unwrap();
    writer.begin_segment(5, std::iter::empty()).unwrap();
    writer.begin_segment(5, std::iter::empty()).unwrap();
    let files = || segment::list(dir.path()).unwrap();
    writer.options.retain_bytes = 0;
    assert_eq!((writer.retain(5).unwrap(), files()), (Retained::default(), vec![1]));
    drop(writer);
    let mut writer =
        Writer::open(WriterOptions { retain_bytes: 0, ..options(dir.path()) }, 5).unwrap();
    assert_eq!(writer.recovered().deleted_files, 1);
    let again = head(&writer);
    writer.begin_segment(5, again).unwrap();
    assert_eq!((writer.retain(5).unwrap(), files()), (Retained::default(), vec![1]));
    assert_eq!(contents(dir.path()), [0]);
}

#[test]
fn a_restart_raises_the_epoch_and_can_replay_what_was_left() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = begun(options(dir.path()));
    writer.push(5, &heartbeat(8)).unwrap();
    writer.commit().unwrap();
    let epoch = writer.epoch();
    assert!(writer.replay(None).next().unwrap().is_none());
    drop(writer);
    let writer = Writer::open(options(dir.path()), 0).unwrap();
    assert_eq!(writer.epoch(), epoch + 1);
    let mut replay = writer.replay(None);
    let mut frames = Vec::new();
    while let Some(frame) = replay.next().unwrap() {
        frames.push((frame.seq, frame.in_head, frame.body));
    }
    let start = Body::Start(Start { epoch, ..Start::default() });
    assert_eq!(frames, [(1, true, Some(start)), (2, false, Some(heartbeat(8)))]);
}

#[test]
fn a_replay_begins_with_the_segment_that_holds_the_frame() {
    let dir = tempfile::tempdir().unwrap();
    // Each start is a segment of a head and two frames: 1 to 3, 4 to 6, 7 to 9.
    for _ in 0..3 {
        let mut writer = begun(options(dir.path()));
        writer.push(5, &heartbeat(1)).unwrap();
        writer.push(5, &heartbeat(2)).unwrap();
        writer.commit().unwrap();
    }
    let replayed = |writer: &Writer, seq| {
        let mut replay = writer.replay(seq);
        std::iter::from_fn(move || replay.next().unwrap()).map(|frame| frame.seq).collect()
    };
    let writer = Writer::open(options(dir.path()), 5).unwrap();
    for (seq, first) in [(Some(9), 7), (Some(7), 7), (Some(6), 4), (Some(4), 4), (Some(3), 1)] {
        let frames: Vec<u64> = replayed(&writer, seq);
        assert_eq!(frames, (first..=9).collect::<Vec<_>>(), "{seq:?}");
    }
    assert_eq!(replayed(&writer, None), (7..=9).collect::<Vec<_>>());
    drop(writer);
    // One without a head of its own, 10 to 12: the head of the one before is whole.
    let mut writer = Writer::open(options(dir.path()), 5).unwrap();
    writer.begin_segment(5, std::iter::empty()).unwrap();
    for number in 0..3 {
        writer.push(5, &heartbeat(number)).unwrap();
    }
    writer.commit().unwrap();
    drop(writer);
    let writer = Writer::open(options(dir.path()), 5).unwrap();
    assert_eq!(replayed(&writer, None), (7..=12).collect::<Vec<_>>());
    drop(writer);
    // The oldest is deleted: what reaches back further begins with what is left.
    fs::remove_file(segment::path(dir.path(), 1)).unwrap();
    let writer = Writer::open(options(dir.path()), 5).unwrap();
    assert_eq!(replayed(&writer, Some(2)), (4..=12).collect::<Vec<_>>());
}

#[test]
fn recovery_says_what_it_did() {
    let dir = tempfile::tempdir().unwrap();
    let empty = Writer::open(options(dir.path()), 5).unwrap();
    assert_eq!(*empty.recovered(), Recovered { next_seq: 1, ..Recovered::default() });
    drop(empty);
    drop(begun(options(dir.path())));
    let path = segment::path(dir.path(), 1);
    let good = fs::metadata(&path).unwrap().len();
    fs::write(segment::unfinished_path(dir.path(), 2), b"half a head").unwrap();
    fs::write(segment::path(dir.path(), 2), b"").unwrap();
    OpenOptions::new().write(true).open(&path).unwrap().write_all_at(&[0; 30], good).unwrap();
    let writer = Writer::open(options(dir.path()), 5).unwrap();
    let wanted = Recovered {
        last_epoch: 5,
        next_seq: 3,
        cut_bytes: 30,
        skipped_numbers: 1,
        deleted_files: 2,
    };
    assert_eq!(*writer.recovered(), wanted);
    assert_eq!(fs::metadata(&path).unwrap().len(), good);
    drop(writer);
    // A segment without a header: as many numbers are left out as it can have used.
    let mut bytes = fs::read(&path).unwrap();
    bytes[..512].fill(0);
    fs::write(&path, &bytes).unwrap();
    let writer = Writer::open(options(dir.path()), 5).unwrap();
    assert_eq!(writer.next_seq(), 1 + bytes.len() as u64 / 10);
}

#[test]
fn with_power_durability_everything_is_synced_and_reads_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let power = || WriterOptions { durability: Durability::Power, ..options(dir.path()) };
    for _ in 0..2 {
        let mut writer = begun(power());
        writer.push(5, &heartbeat(1)).unwrap();
        writer.commit().unwrap();
    }
    assert_eq!(contents(dir.path()), [0, 1, 0, 1]);
}
