//! What is written for a node is bounded by what came from it, whatever it sends.

use std::time::Duration;

use account::Reason;
use journal_format::{Body, Layouts};
use prost::Message;
use sparkplug::{DataType, Payload, Value};

use super::bench::{ALL, Bench, aliased, bd_seq, by_alias, payload, policy, settings, typed};
use super::steps::{SHAPED, attempts};
use crate::plant::{AT_FIRST, PER_S, TIMES};
use crate::{Now, Pipeline, PipelineSettings, Received};

/// What a node sent, and what was written for it.
struct Traffic {
    bench: Bench,
    seq: u64,
    received: u64,
    written: u64,
    /// The largest set of births so far, or more.
    births: u64,
    ms: u64,
}

impl Traffic {
    fn new(policy: &str) -> Traffic {
        let settings = PipelineSettings { max_devices_per_node: 32, ..settings() };
        Traffic {
            bench: Bench::with(settings, policy),
            seq: 0,
            received: 0,
            written: 0,
            births: 0,
            ms: 0,
        }
    }

    fn send(&mut self, what: &str, metrics: Vec<sparkplug::Metric>, pass_ms: u64) {
        if what.starts_with("NBIRTH") {
            self.seq = 0;
        }
        let now = self.bench.now.wall_ms;
        let payload =
            Payload { timestamp: Some(now), metrics, seq: Some(self.seq), ..Payload::default() };
        self.seq = (self.seq + 1) % 256;
        let (topic, payload) = (format!("spBv1.0/G/{what}"), payload.encode_to_vec());
        self.received += payload.len() as u64;
        let (topic, payload) = (&*topic, &*payload);
        let received = Received { topic, payload, retain: false, dup: false, assured: false };
        let out = self.bench.receive(received);
        self.count(&out);
        self.bench.pass(pass_ms);
        self.ms += pass_ms;
        let out = self.bench.tick();
        self.count(&out);
    }

    fn count(&mut self, out: &[Body]) {
        let mut births = 0;
        for body in out {
            // Keyframes come by the clock.
            let Body::Relayed(relayed) = body else { continue };
            self.written += relayed.payload.len() as u64;
            births +=
                if relayed.topic.contains("BIRTH") { relayed.payload.len() as u64 } else { 0 };
        }
        self.births = self.births.max(births);
    }

    fn bound(&self) -> u64 {
        TIMES * self.received + PER_S * self.ms / 1_000 + AT_FIRST + self.births
    }
}

#[test]
fn no_construct_makes_more_of_a_nodes_bytes_than_the_bound() {
    for size in [64, 512] {
        for (construct, messages) in attempts(size) {
            let mut traffic = Traffic::new(SHAPED);
            for (what, metrics) in &messages {
                traffic.send(what, metrics.clone(), 100);
            }
            let (what, metrics) = messages.last().unwrap();
            for _ in 0..10 {
                traffic.send(what, metrics.clone(), 100);
            }
            let (written, bound) = (traffic.written, traffic.bound());
            assert!(written <= bound, "{construct} ({size}): {written} of {}", traffic.received);
        }
    }
}

#[test]
fn long_names_by_alias_are_conflated_and_the_newest_value_comes() {
    let mut traffic = Traffic::new(ALL);
    let long = "n".repeat(60_000);
    let birth = vec![bd_seq(0), aliased(&long, 1, DataType::UInt32, Value::Int(0))];
    traffic.send("NBIRTH/E", birth, 1);
    for value in 1..=500 {
        traffic.send("NDATA/E", vec![by_alias(1, Value::Int(value))], 1);
    }
    let sent = traffic.received;
    assert!(traffic.written <= traffic.bound(), "{} of {sent}", traffic.written);
    assert!(traffic.written < 500 * 60_000 / 5, "{} of {sent}", traffic.written);
    assert!(traffic.bench.dropped(Reason::Conflated) > 300);
    for _ in 0..100 {
        traffic.bench.pass(100);
        traffic.bench.tick();
    }
    let last = traffic.bench.journal.iter().rev().find_map(|body| match body {
        Body::Relayed(relayed) => Some(payload(relayed)),
        _ => None,
    });
    assert_eq!(last.unwrap().metrics[0].value, Some(Value::Int(500)));
    assert_eq!(traffic.bench.pipeline.account().waiting, 0);
}

#[test]
fn small_messages_with_new_names_do_not_have_large_births_made_without_end() {
    let mut traffic = Traffic::new(ALL);
    let mut birth = vec![bd_seq(0)];
    let name = |number| format!("{} {number}", "a long name".repeat(40));
    birth.extend((0..500).map(|number| typed(&name(number), DataType::UInt32, Value::Int(0))));
    traffic.send("NBIRTH/E", birth, 1_000);
    for number in 0..100 {
        let late = typed(&format!("late{number}"), DataType::UInt32, Value::Int(number));
        traffic.send("NDATA/E", vec![late], 1_000);
    }
    assert!(traffic.written <= traffic.bound(), "{} of {}", traffic.written, traffic.received);
    // What waits comes in the end.
    for _ in 0..100 {
        traffic.bench.pass(1_000);
        traffic.bench.tick();
    }
    assert_eq!(traffic.bench.pipeline.account().waiting, 0);
}

#[test]
fn an_ordinary_node_never_waits_for_it() {
    let mut traffic = Traffic::new(ALL);
    let name = |number: u64| format!("Plant/Area {number}/Line/Machine/Sensor/Temperature/Value");
    let mut birth = vec![bd_seq(0)];
    birth.extend((0..100).map(|at| aliased(&name(at), at, DataType::Float, Value::Float(1.0))));
    traffic.send("NBIRTH/E", birth, 10);
    for round in 0..300_u16 {
        let value = Value::Float(round.into());
        let all = (0..100).map(|alias| by_alias(alias, value.clone())).collect();
        traffic.send("NDATA/E", all, 10);
    }
    let account = traffic.bench.pipeline.account();
    assert_eq!((account.forwarded, account.waiting, account.dropped_total()), (301, 0, 0));
}

#[test]
fn gaps_without_end_do_not_have_keyframes_made_without_end() {
    const GAPS: u32 = 300;
    let mut now = Now { mono: Duration::from_secs(1), wall_ms: 1_700_000_000_000 };
    let settings = PipelineSettings { reorder_timeout: Duration::ZERO, ..settings() };
    let mut pipeline = Pipeline::new(settings, policy(ALL), now);
    pipeline.session(now, false);
    let (mut out, mut received, mut seq) = (Vec::new(), 0, 0);
    let mut send = |pipeline: &mut Pipeline, now, verb: &str, seq, metrics| {
        let payload = Payload { timestamp: Some(1), metrics, seq: Some(seq), ..Payload::default() };
        let (topic, payload) = (format!("spBv1.0/G/{verb}/E"), payload.encode_to_vec());
        received += payload.len() as u64;
        let (topic, payload) = (&*topic, &*payload);
        let message = Received { topic, payload, retain: false, dup: false, assured: false };
        let mut of_message = Vec::new();
        pipeline.handle(now, message, &mut of_message);
        (of_message, received)
    };
    let mut birth = vec![bd_seq(0)];
    let name = |number| format!("{} {number}", "a long name".repeat(45));
    birth.extend((0..600).map(|at| aliased(&name(at), at, DataType::UInt32, Value::Int(0))));
    out.extend(send(&mut pipeline, now, "NBIRTH", 0, birth).0);
    let mut received = 0;
    for _ in 0..GAPS {
        // One is lost, and so many are not that nothing is held against the node.
        seq = (seq + 2) % 256;
        for _ in 0..40 {
            let data = vec![by_alias(1, Value::Int(1))];
            let (of_message, so_far) = send(&mut pipeline, now, "NDATA", seq, data);
            out.extend(of_message);
            received = so_far;
            seq = (seq + 1) % 256;
        }
        seq = (seq + 255) % 256;
        now.mono += Duration::from_millis(100);
        pipeline.tick(now, &mut out);
    }
    assert_eq!(pipeline.counters().gaps, u64::from(GAPS));
    let (mut written, mut births, mut keyframes) = (0, 0, 0);
    let mut layouts = Layouts::new(usize::MAX);
    for entry in out {
        match layouts.by_names(Body::from(entry), usize::MAX).unwrap() {
            Body::Keyframe(keyframe) => {
                keyframes += 1;
                written += keyframe.payload.len() as u64;
            }
            Body::Relayed(relayed) => {
                written += relayed.payload.len() as u64;
                births = births.max(relayed.payload.len() as u64);
            }
            Body::Start(_) | Body::Heartbeat(_) => {}
            Body::Data(_) => unreachable!(),
        }
    }
    // One comes by the clock, every 30 s, and that is how long this takes.
    let by_clock = 2 * births;
    let elapsed_ms = u64::from(GAPS) * 100;
    let bound = TIMES * received + PER_S * elapsed_ms / 1_000 + AT_FIRST + births + by_clock;
    assert!(written <= bound, "{written} of {bound}, {keyframes} keyframes");
    // Without an end to it, they are fewer than the gaps, and the doubt is told all the same.
    assert!((50..GAPS - 50).contains(&keyframes), "{keyframes}");
}
