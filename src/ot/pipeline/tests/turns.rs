//! What turns cost, counted in steps: whatever is due for all nodes at once, no turn does more of it
//! than takes some 20 ms, and what is left comes with the next turns, nothing of it twice.
#![allow(clippy::arithmetic_side_effects, reason = "tests count small numbers")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use journal_format::{Body, Layouts};
use prost::Message;
use sparkplug::{Caps, DataType, Metric, Payload, Value, steps};

use super::bench::{ALL, bd_seq, by_name, policy, settings, typed};
use crate::{Entry, Now, Pipeline, PipelineSettings, Received};

/// A step takes some 200 ns where a birth is made of a metric, and less elsewhere: some 20 ms.
const STEPS_PER_TURN: u64 = 100_000;

const NODES: usize = 400;
const METRICS: usize = 400;

struct Plant {
    pipeline: Pipeline,
    now: Now,
    out: Vec<Entry>,
    layouts: Layouts,
}

fn metrics(value: u32) -> Vec<Metric> {
    let metric = |name| typed(&format!("m{name}"), DataType::UInt32, Value::Int(value));
    (0..METRICS).map(metric).collect()
}

impl Plant {
    /// Of `nodes` edge nodes, each with [`METRICS`].
    fn new(text: &str, nodes: usize) -> Plant {
        let now = Now { mono: Duration::from_secs(1), wall_ms: 1_700_000_000_000 };
        let caps = Caps { payload_bytes: 16 << 20, metrics: 300_000, ..Caps::DEFAULT };
        let settings = PipelineSettings { max_nodes: nodes, caps, ..settings() };
        let mut pipeline = Pipeline::new(settings, policy(text), now);
        pipeline.session(now, false);
        let layouts = Layouts::new(usize::MAX);
        let mut plant = Plant { pipeline, now, out: Vec::new(), layouts };
        for node in 0..nodes {
            plant.send("NBIRTH", node, 0, std::iter::once(bd_seq(0)).chain(metrics(1)).collect());
        }
        plant.turns();
        let _ = plant.journalled();
        plant
    }

    fn send(&mut self, verb: &str, node: usize, seq: u64, metrics: Vec<Metric>) {
        let timestamp = Some(self.now.wall_ms);
        let payload = Payload { timestamp, metrics, seq: Some(seq), ..Payload::default() };
        let (topic, payload) = (format!("spBv1.0/G/{verb}/{node}"), payload.encode_to_vec());
        let received = Received {
            topic: &topic,
            payload: &payload,
            retain: false,
            dup: false,
            assured: false,
        };
        self.pipeline.handle(self.now, received, &mut self.out);
    }

    fn pass(&mut self, ms: u64) {
        self.now.mono += Duration::from_millis(ms);
        self.now.wall_ms += ms;
    }

    /// Ticks until nothing is left to do at once; how many turns that took.
    fn turns(&mut self) -> usize {
        let mut turns = 0;
        loop {
            turns += 1;
            let before = steps::taken();
            self.pipeline.tick(self.now, &mut self.out);
            let steps = steps::taken() - before;
            assert!(steps <= STEPS_PER_TURN, "{steps} steps in turn {turns}");
            if !self.pipeline.is_behind() {
                return turns;
            }
            assert!(turns < 100_000, "it comes to no end");
        }
    }

    /// What was journalled since this was asked last, by edge node: what of each, in order.
    fn journalled(&mut self) -> BTreeMap<String, Vec<&'static str>> {
        let mut all: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
        for entry in self.out.drain(..) {
            let body = self.layouts.by_names(Body::from(entry), usize::MAX).unwrap();
            let (topic, kind) = match body {
                Body::Keyframe(keyframe) => (keyframe.topic, "keyframe"),
                Body::Relayed(relayed) => {
                    let kinds = ["NBIRTH", "NDATA", "NDEATH"];
                    let is_of = |kind: &&str| relayed.topic.contains(kind);
                    let kind = kinds.into_iter().find(is_of).unwrap();
                    (relayed.topic, kind)
                }
                Body::Start(_) | Body::Heartbeat(_) => continue,
                Body::Data(_) => unreachable!(),
            };
            let (_, node) = topic.rsplit_once('/').unwrap();
            all.entry(node.to_owned()).or_default().push(kind);
        }
        all
    }

    #[track_caller]
    fn each_has(&mut self, expected: &[&str]) {
        let journalled = self.journalled();
        assert_eq!(journalled.len(), NODES);
        for (node, what) in journalled {
            // Behind what may be due by itself.
            assert!(what.ends_with(expected), "{node}: {what:?}");
            assert!(what.len() <= expected.len() + 1, "{node}: {what:?}");
        }
    }
}

#[test]
fn a_session_and_the_keyframes_that_follow_it() {
    let mut plant = Plant::new(ALL, NODES);
    for present in [true, false] {
        plant.pass(1_000);
        plant.pipeline.disconnected(plant.now);
        plant.pipeline.session(plant.now, present);
        assert!(plant.turns() > 5);
        // The doubt of each comes before the sign of life that readers bear them for.
        assert!(matches!(plant.out.last(), Some(Entry::Heartbeat(_))));
        assert_eq!(plant.out.len(), NODES + 1);
        plant.each_has(&["keyframe"]);
    }
}

#[test]
fn a_snapshot_under_way_when_the_session_is_new() {
    let mut plant = Plant::new(ALL, NODES);
    plant.pipeline.begin_snapshot(7);
    plant.pipeline.session(plant.now, false);
    plant.turns();
    plant.each_has(&["keyframe"]);
}

#[test]
fn another_policy() {
    let mut plant = Plant::new(ALL, NODES);
    let before = steps::taken();
    let fewer = "[[rule]]\nname = \"most\"\naction = \"forward\"\ngroup = \"G\"\n\
                 deny-metrics = [\"m1\"]\n";
    plant.pipeline.reload(plant.now, policy(fewer), &mut plant.out);
    assert!(steps::taken() - before <= STEPS_PER_TURN);
    // Whoever sends meanwhile goes by the new one: the birth without the metric, then data.
    let last = NODES - 1;
    plant.send("NDATA", last, 1, vec![by_name("m1", Value::Int(2)), by_name("m2", Value::Int(2))]);
    assert!(plant.turns() > 5);
    let mut journalled = plant.journalled();
    assert_eq!(journalled.remove(&last.to_string()).unwrap(), ["NBIRTH", "NDATA"]);
    assert!(journalled.values().all(|what| what == &["NBIRTH"]));
    assert_eq!(journalled.len(), NODES - 1);
    plant.pipeline.reload(plant.now, policy(""), &mut plant.out);
    plant.turns();
    plant.each_has(&["NDEATH"]);
}

#[test]
fn rules_whose_time_has_come() {
    let text = "[[rule]]\nname = \"later\"\naction = \"forward\"\ngroup = \"G\"\n\
                not-before = 2023-11-14T22:14:00Z\nnot-after = 2023-11-14T22:15:00Z\n";
    let mut plant = Plant::new(text, NODES);
    assert!(plant.journalled().is_empty());
    plant.pass(60_000);
    assert!(plant.turns() > 5);
    plant.each_has(&["NBIRTH"]);
    plant.pass(60_000);
    plant.turns();
    plant.each_has(&["NDEATH"]);
}

#[test]
fn a_segment_that_has_to_show_all_nodes() {
    let mut plant = Plant::new(ALL, NODES);
    plant.pipeline.segment_began();
    // Whoever sends before its turn is shown as it was, and then as it is.
    let last = NODES - 1;
    plant.send("NDATA", last, 1, vec![by_name("m1", Value::Int(2))]);
    plant.send("NDEATH", last - 1, 0, vec![bd_seq(0)]);
    plant.send("NBIRTH", last - 2, 0, vec![bd_seq(1), metrics(3).remove(0)]);
    plant.pipeline.disconnected(plant.now);
    assert!(plant.turns() > 5);
    assert!(matches!(plant.out.last(), Some(Entry::Heartbeat(_))), "behind all of them");
    let mut journalled = plant.journalled();
    assert_eq!(journalled.remove(&last.to_string()).unwrap(), ["keyframe", "NDATA"]);
    assert_eq!(journalled.remove(&(last - 1).to_string()).unwrap(), ["keyframe", "NDEATH"]);
    assert_eq!(journalled.remove(&(last - 2).to_string()).unwrap(), ["keyframe", "NBIRTH"]);
    assert!(journalled.values().all(|what| what == &["keyframe"]));
    assert_eq!(journalled.len(), NODES - 3);
}

#[test]
fn births_for_metrics_that_were_born_late() {
    let mut plant = Plant::new(ALL, NODES);
    for node in 0..NODES {
        let mut late = metrics(1).remove(0);
        late.name = Some("late".into());
        plant.send("NDATA", node, 1, vec![late.clone()]);
        // One birth is made at once; this one waits for its second.
        late.name = Some("later".into());
        plant.send("NDATA", node, 2, vec![late]);
    }
    plant.turns();
    plant.journalled();
    plant.pass(120_000);
    assert!(plant.turns() > 5);
    let journalled = plant.journalled();
    assert!(journalled.values().all(|what| what.contains(&"NBIRTH")), "{journalled:?}");
    assert_eq!(journalled.len(), NODES);
}

#[test]
fn nodes_of_which_nothing_is_heard() {
    let mut plant = Plant::new(ALL, NODES);
    plant.pipeline.session(plant.now, false);
    plant.turns();
    plant.journalled();
    plant.pass(301_000);
    plant.turns();
    plant.each_has(&["NDEATH"]);
}

#[test]
fn messages_that_have_waited_long_enough() {
    let mut plant = Plant::new(ALL, NODES);
    // 1 is missing of each.
    for node in 0..NODES {
        plant.send("NDATA", node, 2, metrics(2));
    }
    assert_eq!(plant.pipeline.account().waiting, NODES as u64);
    plant.pass(3_000);
    assert!(plant.turns() > 5);
    assert_eq!(plant.pipeline.account().waiting, 0);
    plant.each_has(&["NDATA", "keyframe"]);
    // A connection that is lost ends their time.
    for node in 0..NODES {
        plant.send("NDATA", node, 4, metrics(3));
    }
    let before = steps::taken();
    plant.pipeline.disconnected(plant.now);
    assert!(steps::taken() - before <= STEPS_PER_TURN);
    plant.pipeline.session(plant.now, false);
    plant.turns();
    assert_eq!(plant.pipeline.account().waiting, 0);
    plant.each_has(&["NDATA", "keyframe"]);
}

#[test]
fn messages_of_one_node_that_one_message_lets_go() {
    let mut plant = Plant::new(ALL, 1);
    for seq in 2..200 {
        plant.send("NDATA", 0, seq, metrics(2));
        assert!(plant.pipeline.account().waiting * 4_000 <= 600_000, "its share is full");
    }
    let before = steps::taken();
    plant.send("NDATA", 0, 1, metrics(2));
    assert!(steps::taken() - before <= 2 * STEPS_PER_TURN);
}

#[test]
fn messages_of_nodes_without_a_birth() {
    let mut plant = Plant::new(ALL, 1);
    for node in 1..1_000 {
        plant.send("NDATA", node, 1, metrics(2));
    }
    assert!((100..900).contains(&plant.pipeline.account().waiting), "there is a bound in bytes");
    plant.pass(3_000);
    plant.turns();
    assert_eq!(plant.pipeline.account().waiting, 0);
}

#[test]
fn values_that_waited_for_an_interval() {
    let text = "[[rule]]\nname = \"slow\"\naction = \"forward\"\ngroup = \"G\"\n\
                [rule.shape]\nmin-interval-ms = 10000\n";
    let mut plant = Plant::new(text, NODES);
    for seq in [1, 2] {
        for node in 0..NODES {
            plant.send("NDATA", node, seq, metrics(u32::try_from(seq).unwrap() + 1));
        }
    }
    plant.journalled();
    plant.pass(11_000);
    assert!(plant.turns() > 5);
    let journalled = plant.journalled();
    assert_eq!(journalled.len(), NODES);
    assert!(journalled.values().all(|what| what.contains(&"NDATA")), "{journalled:?}");
}

#[test]
fn the_stages_of_a_birth_of_200_000_metrics() {
    const STEPS_PER_STAGE: u64 = 1_000_000;
    let mut plant = Plant::new(ALL, 1);
    let breaths = Arc::new(Mutex::new(vec![steps::taken()]));
    let taken = Arc::clone(&breaths);
    plant.pipeline.set_breath(Box::new(move || taken.lock().unwrap().push(steps::taken())));
    let metric = |number| typed(&format!("m{number}"), DataType::UInt32, Value::Int(1));
    plant.send("NBIRTH", 0, 0, (0..200_000).map(metric).collect());
    let mut breaths = breaths.lock().unwrap().clone();
    breaths.push(steps::taken());
    let stages: Vec<u64> = breaths.windows(2).map(|pair| pair[1] - pair[0]).collect();
    println!("{stages:?}");
    assert!(stages.len() > 5 && stages.iter().all(|steps| *steps <= STEPS_PER_STAGE), "{stages:?}");
}

#[test]
fn large_messages_out_of_order_wait_alone() {
    let mut plant = Plant::new(ALL, 1);
    let texts = || {
        let text =
            |at| typed(&format!("t{at}"), DataType::String, Value::String("t".repeat(50_000)));
        (0..6).map(text).collect::<Vec<_>>()
    };
    plant.send("NBIRTH", 0, 0, std::iter::once(bd_seq(1)).chain(texts()).collect());
    // For half a minute, three of them every half second, with holes between them.
    for step in 0..60_u64 {
        for at in 0..3 {
            let before = plant.pipeline.work();
            plant.send("NDATA", 0, (step * 7 + 10 + at * 2) % 256, texts());
            // Its own bytes, those of two that waited, and what is written of them.
            let work = plant.pipeline.work() - before;
            assert!(work <= 7 * 310_000, "{work} bytes for one message");
        }
        for _ in 0..5 {
            plant.pass(100);
            let before = plant.pipeline.work();
            plant.turns();
            let work = plant.pipeline.work() - before;
            assert!(work <= 7 * 310_000, "{work} bytes in a tick");
        }
        assert!(plant.pipeline.account().waiting <= 2);
    }
    assert!(plant.pipeline.counters().gaps > 0);
}
