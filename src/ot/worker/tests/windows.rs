//! Windows of rules and the worker's clock: a message is judged by the time at which it came,
//! however long it had to wait for the worker.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use super::*;

/// Opens ten seconds after the clock's start, for ten seconds.
const WINDOW: &str = r#"
    [[rule]]
    name = "always"
    action = "forward"
    group = "G"
    allow-metrics = "always"

    [[rule]]
    name = "window"
    action = "forward"
    group = "G"
    not-before = 1970-01-01T00:00:10Z
    not-after = 1970-01-01T00:00:20Z
"#;

fn at(second: u64) -> Now {
    Now { mono: Duration::from_secs(second), wall_ms: second.saturating_mul(1000) }
}

fn messages(second: u64, seq: u64, metrics: Vec<Metric>) -> Work {
    let what = if seq == 0 { "spBv1.0/G/NBIRTH/E" } else { "spBv1.0/G/NDATA/E" };
    let messages =
        vec![delivered(u16::try_from(seq).unwrap().saturating_add(1), what, seq, metrics)];
    Work::Messages { arrived: at(second), messages }
}

/// What the journal has of data.
fn told(worker: &mut Worker, dir: &Path) -> Vec<String> {
    worker.writer.commit().unwrap();
    topics(dir).into_iter().filter(|topic| topic.contains("DATA")).collect()
}

#[test]
fn what_came_before_a_stall_is_judged_by_the_windows_of_then() {
    let dir = tempfile::tempdir().unwrap();
    let (mut worker, work, _receipts) = build(dir.path());
    let (policy, _) = Policy::parse(&[SourceFile::new("test.toml", WINDOW)]).unwrap();
    let policy = Box::new(policy.into());
    let mut out = Vec::new();
    let (mut batch, stop) = (VecDeque::new(), false);
    // The policy came while messages of before the window are on their way.
    batch.push_back(Work::Policy(policy));
    batch.push_back(messages(5, 0, birth()));
    batch.push_back(messages(9, 1, data(1)));
    batch.push_back(messages(10, 2, data(2)));
    batch.push_back(messages(19, 3, data(3)));
    // These are yet to be taken, when the timers go off.
    work.send(messages(19, 4, data(4))).unwrap();
    work.send(messages(20, 5, data(5))).unwrap();
    worker.windows_at = at(1);
    worker.next_tick = Duration::ZERO;
    assert!(worker.work_off(at(600), &mut batch, stop, &mut out));
    assert_eq!(told(&mut worker, dir.path()).len(), 2);
    assert_eq!(worker.windows_at, at(19));
    // Nothing is on the way, but something has come.
    worker.take(&mut batch);
    let last = batch.pop_back();
    worker.shared.arriving.store(true, Ordering::SeqCst);
    worker.next_tick = Duration::ZERO;
    assert!(worker.work_off(at(601), &mut batch, stop, &mut out));
    assert_eq!(told(&mut worker, dir.path()).len(), 3);
    assert_eq!(worker.windows_at, at(19));
    worker.shared.arriving.store(false, Ordering::SeqCst);
    batch.extend(last);
    worker.next_tick = Duration::ZERO;
    assert!(worker.work_off(at(602), &mut batch, stop, &mut out));
    assert_eq!(told(&mut worker, dir.path()).len(), 3);
    assert_eq!(worker.windows_at, at(602), "nothing is on the way any more");
    // What was read from the network before the windows turned last, and put on the way after
    // that, reopens none.
    batch.push_back(messages(19, 6, data(6)));
    assert!(worker.work_off(at(603), &mut batch, stop, &mut out));
    assert_eq!(told(&mut worker, dir.path()).len(), 3);
}
