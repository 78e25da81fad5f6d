//! What a turn of the worker costs, counted in steps; and the segments of a journal whose heads come
//! in turns.
#![allow(clippy::arithmetic_side_effects, reason = "tests count small numbers")]

use std::collections::{BTreeMap, VecDeque};

use sparkplug::{Metric, steps};

use super::*;

/// A step takes some 200 ns where a birth is made of a metric, and less elsewhere: some 50 ms.
const STEPS_PER_TURN: u64 = 250_000;

const NODES: u16 = 400;

fn metrics(value: u32) -> Vec<Metric> {
    let metric = |number| Metric {
        name: Some(format!("m{number}")),
        datatype: Some(DataType::UInt32.code()),
        value: Some(Value::Int(value)),
        ..Metric::default()
    };
    (0..300).map(metric).collect()
}

/// A message of each node.
fn messages(verb: &str, seq: u64, metrics: &[Metric]) -> Work {
    let message = |node| {
        let topic = format!("spBv1.0/G/{verb}/{node}");
        let payload = Payload {
            timestamp: Some(1),
            seq: Some(seq),
            metrics: metrics.to_vec(),
            ..Payload::default()
        };
        Delivered {
            topic: topic.into_bytes().into(),
            payload: payload.encode_to_vec().into(),
            retain: false,
            dup: false,
            unread: None,
            of_other_shard: false,
            receipt: None,
        }
    };
    let arrived = Now { mono: Duration::ZERO, wall_ms: 1 };
    Work::Messages { arrived, messages: (0..NODES).map(message).collect() }
}

/// As the worker runs, until nothing is left to do; how many turns that took.
fn turns(worker: &mut Worker, work: impl IntoIterator<Item = Work>) -> usize {
    let (mut batch, mut out): (VecDeque<Work>, Vec<Entry>) = (work.into_iter().collect(), vec![]);
    for turn in 1..100_000 {
        let now = worker.clock.now();
        let before = steps::taken();
        assert!(worker.work_off(now, &mut batch, false, &mut out) && worker.commit());
        worker.journalled();
        worker.settle(now);
        let steps = steps::taken() - before;
        assert!(steps <= STEPS_PER_TURN, "{steps} steps in turn {turn}");
        if batch.is_empty() && !worker.is_behind() {
            return turn;
        }
    }
    panic!("it comes to no end");
}

#[test]
fn messages_that_came_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (mut worker, _work, _receipts) = build(dir.path());
    assert!(turns(&mut worker, [messages("NBIRTH", 0, &metrics(1))]) > 3);
    // A policy for all, and then a small message of each, which bears its node anew before.
    let rule = "[[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"G\"\n\
                deny-metrics = [\"m1\"]\n";
    let (policy, _) = Policy::parse(&[SourceFile::new("test.toml", rule)]).unwrap();
    let small = messages("NDATA", 1, &[]);
    assert!(turns(&mut worker, [Work::Policy(Box::new(policy.into())), small]) > 5);
    // Two in a row: the second waits until all know the first.
    let policy = |rule: &str| {
        let (policy, _) = Policy::parse(&[SourceFile::new("test.toml", rule)]).unwrap();
        Work::Policy(Box::new(policy.into()))
    };
    let both = [policy(""), policy(rule), Work::Lost, Work::Connected { present: true }];
    assert!(turns(&mut worker, both) > 5);
    assert_eq!(worker.pipeline.born().count(), usize::from(NODES));
}

/// What each segment has of each node, in order, by the first number of the segment.
fn segments(dir: &Path) -> BTreeMap<u64, BTreeMap<String, Vec<&'static str>>> {
    let mut reader = Reader::open(&dir.join("journal"), From::Oldest).unwrap();
    let mut segments = BTreeMap::<u64, BTreeMap<String, Vec<_>>>::new();
    let mut is_new_start = true;
    while let Some(item) = reader.next().unwrap() {
        let Item::Frame(frame) = item else { panic!("{item:?}") };
        let (topic, kind) = match frame.body.unwrap() {
            Body::Start(start) => {
                if start.spread || std::mem::take(&mut is_new_start) {
                    segments.insert(frame.seq, BTreeMap::new());
                }
                continue;
            }
            Body::Relayed(relayed) => (relayed.topic, "message"),
            Body::Keyframe(keyframe) => (keyframe.topic, "keyframe"),
            Body::Heartbeat(_) => continue,
            Body::Data(_) => panic!("data that isn't told by names"),
        };
        let mut last = segments.last_entry().unwrap();
        last.get_mut().entry(topic.rsplit_once('/').unwrap().1.into()).or_default().push(kind);
    }
    segments
}

#[test]
fn each_segment_shows_each_node_before_anything_else_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut worker, _work, _receipts) = build(dir.path());
    turns(&mut worker, [messages("NBIRTH", 0, &metrics(1)[..30])]);
    for seq in 1..150 {
        // A segment begins in the middle of these.
        let data = Vec::from_iter(metrics(2).into_iter().take(20));
        turns(&mut worker, [messages("NDATA", seq, &data)]);
    }
    let segments = segments(dir.path());
    assert!(segments.len() >= 3, "{}", segments.len());
    for (first, nodes) in segments.iter().skip(1) {
        assert_eq!(nodes.len(), usize::from(NODES), "{first}");
        for (node, what) in nodes {
            assert_eq!(what[0], "keyframe", "of {node} in {first}");
        }
    }
    // Its head is counted to the size of a segment.
    let bytes: Vec<u64> = segments.keys().map(|first| segment_bytes(dir.path(), *first)).collect();
    assert!(bytes[1] > 3 << 20, "{bytes:?}");
}

fn segment_bytes(dir: &Path, first: u64) -> u64 {
    std::fs::metadata(dir.join(format!("journal/{first:020}.sdj"))).unwrap().len()
}

#[test]
fn a_kill_while_a_head_is_spread_loses_no_node() {
    let dir = tempfile::tempdir().unwrap();
    let (mut worker, _work, _receipts) = build(dir.path());
    turns(&mut worker, [messages("NBIRTH", 0, &metrics(1))]);
    let now = worker.clock.now();
    worker.next_segment(now).unwrap();
    let mut out = Vec::new();
    assert!(worker.work_off(now, &mut VecDeque::new(), false, &mut out) && worker.commit());
    assert!(worker.pipeline.has_news(), "the head isn't complete");
    drop(worker);
    // And the plant that was stored is gone: the journal is all that is known.
    std::fs::remove_dir_all(dir.path().join("state")).unwrap();
    let (worker, _work, _receipts) = build(dir.path());
    drop(worker);
    let mut reader = Reader::open(&dir.path().join("journal"), From::Newest).unwrap();
    let mut nodes = BTreeMap::new();
    while let Some(Item::Frame(frame)) = reader.next().unwrap() {
        let (topic, kind) = match frame.body {
            Some(Body::Relayed(relayed)) => (relayed.topic, "message"),
            Some(Body::Keyframe(keyframe)) => (keyframe.topic, "keyframe"),
            _ => continue,
        };
        nodes.insert(topic.rsplit_once('/').unwrap().1.to_owned(), (topic.clone(), kind));
    }
    assert_eq!(nodes.len(), usize::from(NODES));
    // Whoever was shown and can't be read any more is dead, and nobody is forgotten.
    let is_told = |(topic, kind): &(String, &str)| *kind == "keyframe" || topic.contains("NDEATH");
    assert!(nodes.values().all(is_told), "{nodes:?}");
}
