//! A message on which the half ends: in a process of its own, by an abort in the middle of the work,
//! as a fault of ours or the kernel would end it.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;
use crate::pipeline::Deed;

/// Directory of the half, for the process that plays it.
const DIRECTORY: &str = "PLANTED_IN";
/// Which piece of work, counted from 1, ends the process; 0: none but the poison.
const ENDS_AT: &str = "PLANTED_AT";
/// What else ends the process: see [`node`] and [`stored`].
const ENDS_WITH: &str = "PLANTED_WITH";
const POISON: &[u8] = b"poison";
/// Of a frame that is read once more.
const VENOM: &[u8] = b"venom";
const SIGABRT: i32 = 6;

static AT: OnceLock<u64> = OnceLock::new();
static WORKED: AtomicU64 = AtomicU64::new(0);
static DROPPED: AtomicBool = AtomicBool::new(false);

/// Called where the pipeline is about to take a message.
pub(in crate::worker) fn work_on(payload: &[u8]) {
    let Some(at) = AT.get() else { return };
    let is_poison = payload.windows(POISON.len()).any(|part| part == POISON);
    if is_poison || WORKED.fetch_add(1, Ordering::Relaxed).wrapping_add(1) == *at {
        std::process::abort();
    }
}

/// Called where a frame of the journal is about to be read once more.
pub(in crate::worker) fn replayed(payload: &[u8]) {
    let is_venom = payload.windows(VENOM.len()).any(|part| part == VENOM);
    if is_venom && ends_with("replayed") {
        std::process::abort();
    }
}

/// Called where the poisoned node is dropped: nothing of it is left.
pub(in crate::worker) fn dropped() {
    DROPPED.store(true, Ordering::Relaxed);
}

/// Called where an edge node is about to be worked on by itself.
pub(in crate::worker) fn node(entity: Entity<'_>, deed: Deed) {
    let is_poisoned = entity.edge_node == "poisoned" && !DROPPED.load(Ordering::Relaxed);
    if AT.get().is_some() && is_poisoned && ends_with(deed.words()) {
        std::process::abort();
    }
}

/// Called where the stored plant is about to be read.
pub(in crate::worker) fn stored() {
    if AT.get().is_some() && ends_with("stored") {
        std::process::abort();
    }
}

/// Whether the process is to end with this.
fn ends_with(what: &str) -> bool {
    std::env::var(ENDS_WITH).is_ok_and(|with| with == what)
}

/// A start of the half in `dir`, in a process of its own.
fn start_in(dir: &Path, ends_at: u64) -> ExitStatus {
    let half = "worker::tests::planted::the_half_in_a_process_of_its_own";
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", half])
        .env(DIRECTORY, dir)
        .env(ENDS_AT, ends_at.to_string())
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
    AT.set(std::env::var(ENDS_AT).unwrap().parse().unwrap()).unwrap();
    let has_poison = dir.join("poison").exists();
    let (worker, work, _receipts) = build(dir);
    let worker = with_status(worker, dir);
    work.send(Work::Connected { present: true }).unwrap();
    // Everything comes back that was never acknowledged, and here nothing is.
    let data = |seq: u16| {
        let mut metrics = data(seq.into());
        if has_poison && seq == 13 {
            let text = String::from_utf8(POISON.to_vec()).unwrap();
            metrics.push(Metric { value: Some(Value::String(text)), ..metrics[0].clone() });
        }
        delivered(seq + 1, "spBv1.0/G/NDATA/E", seq.into(), metrics)
    };
    let mut messages = vec![delivered(1, "spBv1.0/G/NBIRTH/E", 0, birth())];
    messages.extend((1..30).map(data));
    while !messages.is_empty() {
        let burst = messages.drain(..messages.len().min(10)).collect();
        work.send(arrived(burst)).unwrap();
    }
    work.send(Work::Stop).unwrap();
    let told = capture(|| worker.run());
    if has_poison {
        triggered(&told, Event::SetAside);
    } else {
        assert!(told.iter().all(|record| !record.message().contains("set aside")));
    }
}

fn with_status(worker: Worker, dir: &Path) -> Worker {
    let settings = StatusSettings {
        every: Duration::from_secs(60),
        summary_every: Duration::from_secs(60),
        textfile: None,
        broker_name: telemetry::status::BrokerName::default(),
        certificates: tls::Certificates::default(),
        concern: telemetry::status::Concern::default(),
        any_owner: false,
    };
    let (state, notifier, at) = (dir.join("state"), Notifier::none(), Duration::ZERO);
    let emitter = StatusEmitter::start("ot", settings, state, notifier.clone(), at, 1).unwrap();
    worker.with_status_reporter(StatusReporter::new("relay".into(), emitter, notifier))
}

fn status(dir: &Path) -> Status {
    serde_json::from_slice(&std::fs::read(dir.join("state/status.json")).unwrap()).unwrap()
}

#[test]
fn a_message_that_ends_the_half_twice_is_set_aside_at_the_third_start() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("poison"), "").unwrap();
    for _ in 0..2 {
        assert_eq!(start_in(dir.path(), 0).signal(), Some(SIGABRT));
    }
    // And at every start from then on: a broker delivers it again and again.
    for _ in 0..2 {
        assert!(start_in(dir.path(), 0).success());
        let status = status(dir.path());
        assert_eq!((status.account.received, status.account.forwarded), (30, 29));
        assert!(status.account.balances);
        let dropped: Vec<_> =
            status.account.reasons.iter().filter(|drop| drop.messages > 0).collect();
        assert_eq!((dropped.len(), &*dropped[0].reason, dropped[0].messages), (1, "set_aside", 1));
    }
    let kept = std::fs::read_to_string(dir.path().join("state/set-aside.capture")).unwrap();
    assert_eq!(kept.matches("\"topic\":\"spBv1.0/G/NDATA/E\"").count(), 2, "{kept}");
}

#[test]
fn ends_of_the_half_at_different_messages_set_nothing_aside() {
    let dir = tempfile::tempdir().unwrap();
    for at in [1, 9, 13, 24, 2] {
        assert_eq!(start_in(dir.path(), at).signal(), Some(SIGABRT), "at {at}");
    }
    for _ in 0..2 {
        assert!(start_in(dir.path(), 0).success());
    }
    // A kill while nothing is in work.
    let mut running = start(dir.path());
    running.deliver(1, "spBv1.0/G/NBIRTH/E", 0, birth());
    assert_eq!(running.released(1), [1]);
    let mark = std::fs::read(dir.path().join("state/in-work.state")).unwrap();
    assert_eq!(mark[68..72], [0; 4], "nothing is in work");
    running.stop();
    assert!(!dir.path().join("state/set-aside.capture").exists());
    assert_eq!(status(dir.path()).account.dropped, 0);
}

/// A start of the half with nodes, of which one is poisoned; the process ends with this.
fn start_with_nodes(dir: &Path, ends_with: &str) -> ExitStatus {
    let half = "worker::tests::planted::the_half_with_nodes_in_a_process_of_its_own";
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", half])
        .env(DIRECTORY, dir)
        .env(ENDS_WITH, ends_with)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap()
}

/// What that process runs; by itself it has nothing to show.
#[test]
fn the_half_with_nodes_in_a_process_of_its_own() {
    let Some(dir) = std::env::var_os(DIRECTORY) else { return };
    let dir = Path::new(&dir);
    // No message ends it.
    AT.set(u64::MAX).unwrap();
    let told = capture(|| {
        let (worker, work, _receipts) = build(dir);
        let worker = with_status(worker, dir);
        work.send(Work::Connected { present: false }).unwrap();
        if !dir.join("born").exists() {
            let born = |node: &str| {
                let topic = format!("spBv1.0/G/NBIRTH/{node}").leak();
                delivered(1, topic, 0, birth())
            };
            let arrived = Now { mono: Duration::ZERO, wall_ms: 1 };
            let messages = ["poisoned", "good"].map(born).into();
            work.send(Work::Messages { arrived, messages }).unwrap();
            let text = String::from_utf8(VENOM.to_vec()).unwrap();
            let named = Metric { name: Some("late".into()), ..birth().remove(0) };
            let poison = Metric {
                value: Some(Value::String(text)),
                datatype: Some(DataType::String.code()),
                alias: None,
                ..named
            };
            let bears =
                delivered(2, "spBv1.0/G/NBIRTH/poisoned", 0, vec![birth().remove(0), poison]);
            work.send(Work::Messages { arrived, messages: vec![bears] }).unwrap();
        }
        work.send(Work::Stop).unwrap();
        worker.run();
    });
    let is_told = told.iter().any(|record| record.message().contains("set aside"));
    std::fs::write(dir.join("told"), if is_told { "set aside" } else { "" }).unwrap();
}

#[test]
fn what_ends_the_half_while_it_restores_or_shows_a_node_is_dropped_at_the_third_start() {
    for with in [
        Deed::Restored.words(),
        Deed::Adjusted.words(),
        Deed::Shown.words(),
        Deed::Due.words(),
        "replayed",
        "stored",
    ] {
        let dir = tempfile::tempdir().unwrap();
        assert!(start_with_nodes(dir.path(), "").success());
        std::fs::write(dir.path().join("born"), "").unwrap();
        if with == "replayed" {
            // Only the journal has them.
            std::fs::remove_file(dir.path().join("state/plant.state")).unwrap();
        }
        let journal_before = topics(dir.path()).len();
        for _ in 0..2 {
            assert_eq!(start_with_nodes(dir.path(), with).signal(), Some(SIGABRT), "{with}");
        }
        assert!(start_with_nodes(dir.path(), with).success(), "{with}");
        let told = std::fs::read_to_string(dir.path().join("told")).unwrap();
        assert_eq!(told, "set aside", "{with}");
        // It is no more, which readers hear, and the other one lives on.
        let journalled = topics(dir.path()).split_off(journal_before);
        let of = |node: &str| {
            let last = journalled.iter().rfind(|topic| topic.ends_with(node));
            last.map_or("nothing", |topic| topic.split_once("spBv1.0").unwrap().0)
        };
        // Without the stored plant nobody can be read.
        let lives = of("good") == "keyframe ";
        let has_plant = !["stored", "replayed"].contains(&with);
        assert!(lives || !has_plant, "{with}: {journalled:?}");
        let is_dead = journalled.iter().rfind(|topic| topic.ends_with("poisoned"));
        let died = is_dead.is_none_or(|topic| topic.contains("NDEATH"));
        assert!(died || with == "stored", "{with}: {journalled:?}");
        // And it doesn't come back with the next start.
        let before = topics(dir.path()).len();
        assert!(start_with_nodes(dir.path(), "").success(), "{with}");
        let journalled = topics(dir.path()).split_off(before);
        assert!(!journalled.iter().any(|topic| topic.ends_with("poisoned")), "{journalled:?}");
    }
}
