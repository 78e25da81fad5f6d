//! A message on which the half ends: in a process of its own, by an abort in the middle of the work,
//! as a fault of ours or the kernel would end it.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

/// Directory of the half, for the process that plays it.
const DIRECTORY: &str = "PLANTED_IN";
/// Which piece of work, counted from 1, ends the process; 0: none but the poison.
const ENDS_AT: &str = "PLANTED_AT";
const POISON: &[u8] = b"poison";
const SIGABRT: i32 = 6;

static AT: OnceLock<u64> = OnceLock::new();
static WORKED: AtomicU64 = AtomicU64::new(0);

/// Called where the pipeline is about to take a message.
pub(in crate::worker) fn work_on(payload: &[u8]) {
    let Some(at) = AT.get() else { return };
    let is_poison = payload.windows(POISON.len()).any(|part| part == POISON);
    if is_poison || WORKED.fetch_add(1, Ordering::Relaxed).wrapping_add(1) == *at {
        std::process::abort();
    }
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
        broker_address: "b:1".into(),
        certificates: tls::Certificates::default(),
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
