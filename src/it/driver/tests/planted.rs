//! A frame on which the half ends: in a process of its own, by an abort in the middle of the work, as a
//! fault of ours or the kernel would end it.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;

use journal_format::header::Header;
use journal_format::{Body, Heartbeat, Keyframe, Relayed, Start, frame};
use prost::Message;
use sparkplug::{DataType, Metric, Payload, Value};
use telemetry::Event;
use telemetry::capture::{capture, triggered};
use telemetry::status::Status;

use super::*;
use crate::mirror::Deed;

/// Directory of the half, for the process that plays it.
const DIRECTORY: &str = "PLANTED_IN";
/// The frame that ends the process; 0: none.
const ENDS_AT: &str = "PLANTED_AT";
/// What else ends the process: see [`node`] and [`stored`].
const ENDS_WITH: &str = "PLANTED_WITH";
const SIGABRT: i32 = 6;
const FRAMES: u64 = 40;
const BIRTH: u64 = 2;
const POISON: u64 = 13;

static PLANTED: OnceLock<(u64, UnboundedSender<DriverEvent>)> = OnceLock::new();

/// Called where the mirror is about to take a frame.
pub(in crate::driver) fn work_on(seq: u64) {
    let Some((ends_at, events)) = PLANTED.get() else { return };
    if seq == *ends_at || (ends_with("births") && [BIRTH, 20, 30].contains(&seq)) {
        std::process::abort();
    }
    if seq >= FRAMES {
        events.send(DriverEvent::Stop).unwrap();
    }
}

/// Called where a node is about to be worked on by itself.
pub(in crate::driver) fn node(edge_node: &str, deed: Deed) {
    if edge_node == "E" && ends_with(deed.words()) {
        std::process::abort();
    }
}

/// Called where the stored mirror is about to be read.
pub(in crate::driver) fn stored() {
    if ends_with("stored") {
        std::process::abort();
    }
}

/// Whether the process is to end with this.
fn ends_with(what: &str) -> bool {
    std::env::var_os(DIRECTORY).is_some() && std::env::var(ENDS_WITH).is_ok_and(|with| with == what)
}

/// A journal of one segment: a birth, data, and a heartbeat at the end.
fn write_journal(dir: &Path) {
    write_journal_with(dir, false);
}

/// The same; `repeats`: with keyframes at 20 and 30, and another birth at 35.
fn write_journal_with(dir: &Path, repeats: bool) {
    let header = Header {
        salt: 7,
        epoch: 5,
        first_seq: 1,
        created_ms: 1,
        head_bytes: 0,
        head_frames: 0,
        relay_name: "relay".into(),
        received: false,
    };
    let mut segment = header.encode();
    for seq in 1..=FRAMES {
        let relayed = |verb: &str, datatype| {
            let metric = Metric {
                name: Some("x".into()),
                datatype,
                value: Some(Value::Int(1)),
                ..Metric::default()
            };
            let payload =
                Payload { timestamp: Some(seq), metrics: vec![metric], ..Payload::default() };
            Body::Relayed(Relayed {
                source: "line".into(),
                topic: format!("spBv1.0/G/{verb}/E"),
                payload: payload.encode_to_vec(),
                received_ms: seq,
                ..Relayed::default()
            })
        };
        let body = match seq {
            1 => Body::Start(Start { epoch: 5, keyframe_every_s: 30, ..Start::default() }),
            BIRTH => relayed("NBIRTH", Some(DataType::Int32.code())),
            35 if repeats => relayed("NBIRTH", Some(DataType::Int32.code())),
            20 | 30 if repeats => {
                let Body::Relayed(birth) = relayed("NBIRTH", Some(DataType::Int32.code())) else {
                    unreachable!()
                };
                let Relayed { topic, payload, .. } = birth;
                Body::Keyframe(Keyframe { topic, payload, ..Keyframe::default() })
            }
            FRAMES => Body::Heartbeat(Heartbeat { ot_connected: true, ..Heartbeat::default() }),
            _ => relayed("NDATA", None),
        };
        frame::append(7, seq, 1, &body, &mut segment).unwrap();
    }
    std::fs::create_dir(dir.join("journal")).unwrap();
    std::fs::write(dir.join(format!("journal/{:020}.sdj", 1)), segment).unwrap();
}

/// A start of the half in `dir`, in a process of its own.
fn start_in(dir: &Path, ends_at: u64) -> ExitStatus {
    start_with(dir, ends_at, "")
}

/// The same, which ends with something else.
fn start_with(dir: &Path, ends_at: u64, ends_with: &str) -> ExitStatus {
    let half = "driver::tests::planted::the_half_in_a_process_of_its_own";
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", half])
        .env(DIRECTORY, dir)
        .env(ENDS_AT, ends_at.to_string())
        .env(ENDS_WITH, ends_with)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap()
}

/// What the process of [`start_in`] runs; by itself it has nothing to show.
#[test]
fn the_half_in_a_process_of_its_own() {
    let Some(dir) = std::env::var_os(DIRECTORY) else { return };
    let dir = Path::new(&dir);
    let ends_at = std::env::var(ENDS_AT).unwrap().parse().unwrap();
    let (_manager, notifier) = {
        let path = dir.join("notify");
        let _ = std::fs::remove_file(&path);
        Manager::at(&path)
    };
    let told = capture(|| {
        let Half { driver, events, runtime } = half(dir, notifier, None);
        assert!(PLANTED.set((ends_at, events)).is_ok());
        runtime.block_on(driver.run()).unwrap();
    });
    if dir.join("poison").exists() {
        triggered(&told, Event::SetAside);
    } else {
        assert!(told.iter().all(|record| !record.message().contains("set aside")));
    }
}

fn status(dir: &Path) -> Status {
    serde_json::from_slice(&std::fs::read(dir.join("state/status.json")).unwrap()).unwrap()
}

/// Forgets how far the mirror was, as a kill does before the first snapshot.
fn forget_position(dir: &Path) {
    std::fs::remove_file(dir.join("state/mirror.state")).unwrap();
}

#[test]
fn a_frame_that_ends_the_half_twice_is_set_aside_at_the_third_start() {
    let dir = tempfile::tempdir().unwrap();
    write_journal(dir.path());
    std::fs::write(dir.path().join("poison"), "").unwrap();
    for _ in 0..2 {
        assert_eq!(start_in(dir.path(), POISON).signal(), Some(SIGABRT));
    }
    // And at every later start that comes by it again.
    for _ in 0..2 {
        assert!(start_in(dir.path(), POISON).success());
        let status = status(dir.path());
        assert_eq!((status.account.received, status.account.forwarded), (38, 37));
        assert!(status.account.balances);
        let dropped: Vec<_> =
            status.account.reasons.iter().filter(|drop| drop.messages > 0).collect();
        assert_eq!((dropped.len(), &*dropped[0].reason, dropped[0].messages), (1, "set_aside", 1));
        forget_position(dir.path());
    }
    let kept = std::fs::read_to_string(dir.path().join("state/set-aside.capture")).unwrap();
    assert_eq!(kept.matches("frame 13 of epoch 5").count(), 2, "{kept}");
}

#[test]
fn ends_of_the_half_at_different_frames_set_nothing_aside() {
    let dir = tempfile::tempdir().unwrap();
    write_journal(dir.path());
    for at in [2, 12, 22, 33, 4] {
        assert_eq!(start_in(dir.path(), at).signal(), Some(SIGABRT), "at {at}");
    }
    for _ in 0..2 {
        assert!(start_in(dir.path(), 0).success());
        assert_eq!(status(dir.path()).account.dropped, 0);
        forget_position(dir.path());
    }
    let mark = std::fs::read(dir.path().join("state/in-work.state")).unwrap();
    assert_eq!(mark[68..72], [0; 4], "nothing is in work");
    assert!(!dir.path().join("state/set-aside.capture").exists());
}

#[test]
fn what_was_set_aside_does_not_come_back_as_a_keyframe() {
    let dir = tempfile::tempdir().unwrap();
    write_journal_with(dir.path(), true);
    std::fs::write(dir.path().join("poison"), "").unwrap();
    for _ in 0..2 {
        assert_eq!(start_with(dir.path(), 0, "births").signal(), Some(SIGABRT));
    }
    // Two ends in all: the keyframes aren't looked at, and the plant's own birth is.
    assert!(start_with(dir.path(), 0, "births").success());
    let status = status(dir.path());
    assert!(status.account.balances);
    // The birth; data without one, up to the birth at 35; that and data behind it.
    let reasons: Vec<_> = status.account.reasons.iter().filter(|drop| drop.messages > 0).collect();
    let reasons: Vec<_> = reasons.iter().map(|drop| (&*drop.reason, drop.messages)).collect();
    assert_eq!(reasons, [("data_before_birth", 30), ("set_aside", 1)]);
    assert_eq!(status.account.forwarded, 5);
}

#[test]
fn what_ends_the_half_while_it_restores_is_dropped_at_the_third_start() {
    for with in [Deed::Restored.words(), "stored"] {
        let dir = tempfile::tempdir().unwrap();
        write_journal(dir.path());
        assert!(start_in(dir.path(), 0).success());
        assert!(dir.path().join("state/mirror.state").exists());
        for _ in 0..2 {
            assert_eq!(start_with(dir.path(), 0, with).signal(), Some(SIGABRT), "{with}");
        }
        // What it plays looks for the event.
        std::fs::write(dir.path().join("poison"), "").unwrap();
        append_heartbeat(dir.path());
        assert!(start_with(dir.path(), 0, with).success(), "{with}");
    }
}

/// The last frame once more, by which the half that is played ends.
fn append_heartbeat(dir: &Path) {
    let path = dir.join(format!("journal/{:020}.sdj", 1));
    let mut segment = std::fs::read(&path).unwrap();
    let body = Body::Heartbeat(Heartbeat { ot_connected: true, ..Heartbeat::default() });
    frame::append(7, FRAMES + 1, 1, &body, &mut segment).unwrap();
    std::fs::write(&path, segment).unwrap();
}
