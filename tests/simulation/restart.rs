//! How long a large plant takes to be back after a kill: both halves by hand, on files.

use std::time::{Duration, Instant};

use account::Reason;
use clock::Now;
use it::FirstStart;
use it::mirror::{
    Aliases, DataDatatypes, MirrorSettings, NodeId, OnGap, Outgoing, Qos, SessionEvent,
};
use journal_write::{Durability, WriterOptions};
use ot::PipelineSettings;
use ot::testing::Delivery;
use prost::Message as _;
use sparkplug::{Budget, Caps, DataType, Metric, Payload, Value};
use tempfile::TempDir;

use crate::sim::plant::bd_seq;
use crate::sim::policies::policy;

/// As the benchmark `scale` has it.
const METRICS: usize = 50;
/// Messages that are handed on together.
const BATCH: usize = 500;
/// Messages of each node between the last stored plant and the kill.
const BEHIND: u64 = 5;

struct Plant {
    dir: TempDir,
    nodes: usize,
    now: Now,
}

/// Prints how long both halves take.
pub fn measure(nodes: usize) {
    let now = Now { mono: Duration::from_secs(1), wall_ms: 1_790_000_000_000 };
    clock::testing::show(now);
    let mut plant = Plant { dir: tempfile::tempdir().expect("a directory"), nodes, now };
    let mut half = plant.start_ot();
    plant.say(&mut half, "NBIRTH", 0);
    while half.write_state() {}
    for seq in 1..=BEHIND {
        plant.say(&mut half, "NDATA", seq);
    }
    drop(half);
    let begin = Instant::now();
    let mut half = plant.start_ot();
    half.turn(true);
    let took = begin.elapsed().as_secs_f64();
    plant.say(&mut half, "NDATA", BEHIND + 1);
    let unknown = half.pipeline().account().dropped(Reason::DataBeforeBirth);
    println!("OT half: {nodes} nodes of {METRICS} metrics are back {took:.2} s after a kill");
    assert_eq!(unknown, 0, "messages of nodes that it forgot");
    while half.write_state() {}

    for what in ["on the whole journal", "after a kill"] {
        let begin = Instant::now();
        let mut reader = plant.start_it();
        plant.read(&mut half, &mut reader);
        let took = begin.elapsed().as_secs_f64();
        println!("IT half: {nodes} nodes are born {took:.2} s after a start {what}");
    }
    clock::testing::run_on();
}

impl Plant {
    fn start_ot(&self) -> ot::testing::Half {
        let rule = "[[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"G\"\n";
        let settings = ot::testing::HalfSettings {
            relay_name: "relay".into(),
            pipeline: PipelineSettings {
                source: "line".into(),
                keyframe_every: Duration::from_secs(60),
                reorder_timeout: Duration::from_secs(2),
                doubt_after: Duration::from_secs(300),
                max_nodes: self.nodes + 10,
                max_devices_per_node: 10,
                budget: Budget::UNLIMITED,
                caps: Caps::DEFAULT,
            },
            journal: WriterOptions {
                dir: self.dir.path().join("journal"),
                relay_name: "relay".into(),
                segment_bytes: 64 << 20,
                retain_bytes: 1 << 30,
                retain_age: None,
                durability: Durability::Process,
            },
            state_dir: self.dir.path().join("ot"),
            policy: policy(rule).into(),
        };
        let mut half = ot::testing::Half::start(settings).expect("the OT half starts");
        half.connected(true);
        half
    }

    fn start_it(&self) -> it::testing::Half {
        let settings = it::testing::HalfSettings {
            journal_dir: self.dir.path().join("journal"),
            state_dir: self.dir.path().join("it"),
            mirror: MirrorSettings {
                stale_after: Duration::from_secs(30),
                on_gap: OnGap::Mark,
                rebirth_min_interval: Duration::from_secs(1),
                primary_host: None,
                confirm_every: Duration::from_secs(2),
                data_datatypes: DataDatatypes::AsPlant,
                aliases: Aliases::Never,
                fold: None,
                compress_births_above: None,
                data_qos: Qos::AtMostOnce,
                max_nodes: self.nodes + 10,
                max_devices_per_node: 10,
                budget: Budget::UNLIMITED,
                backfill: false,
                caps: Caps::DEFAULT,
            },
            first_start: FirstStart::Oldest,
            policy: None,
        };
        it::testing::Half::start(settings).expect("the IT half starts")
    }

    /// Every node says something, and some time passes.
    fn say(&mut self, half: &mut ot::testing::Half, verb: &str, seq: u64) {
        let is_birth = verb == "NBIRTH";
        let metric = |number: usize| Metric {
            name: Some(format!("Area/Line/Sensor{number}")),
            datatype: is_birth.then_some(DataType::Double.code()),
            value: Some(Value::Double(seq as f64 + number as f64)),
            ..Metric::default()
        };
        let mut metrics: Vec<Metric> = (0..METRICS).map(metric).collect();
        if is_birth {
            metrics.push(bd_seq(0));
        }
        let timestamp = Some(self.now.wall_ms);
        let payload = Payload { timestamp, metrics, seq: Some(seq), ..Payload::default() };
        let payload = payload.encode_to_vec();
        let delivery = |number: usize| Delivery {
            topic: format!("spBv1.0/G/{verb}/N{number}").into_bytes().into(),
            payload: payload.clone().into(),
            retain: false,
            dup: false,
            is_too_large: false,
            packet_id: None,
        };
        for first in (0..self.nodes).step_by(BATCH) {
            half.deliver((first..self.nodes.min(first + BATCH)).map(delivery));
            self.step();
            assert!(half.turn(true), "the journal takes it");
        }
    }

    fn step(&mut self) {
        self.now.mono += Duration::from_millis(100);
        self.now.wall_ms += 100;
        clock::testing::show(self.now);
    }

    /// The IT half reads all that there is, and a broker takes all that it asks, until all nodes
    /// are born. The OT half lives.
    fn read(&mut self, writer: &mut ot::testing::Half, half: &mut it::testing::Half) {
        let mut born = 0;
        for _ in 0..10_000 {
            if born >= self.nodes {
                return while half.write_state() {};
            }
            self.step();
            writer.turn(true);
            half.turn();
            while half.write_state() {}
            let mut heard: Vec<(NodeId, SessionEvent)> = Vec::new();
            for outgoing in half.asked() {
                match outgoing {
                    Outgoing::Open { node, .. } => heard.push((node, SessionEvent::Ready)),
                    Outgoing::Barrier { node } => heard.push((node, SessionEvent::Confirmed)),
                    Outgoing::Close { node } => heard.push((node, SessionEvent::Closed)),
                    Outgoing::Hurry { .. } => {}
                    Outgoing::Publish { topic, .. } => {
                        born += usize::from(topic.contains("/NBIRTH/"));
                    }
                }
            }
            heard.into_iter().for_each(|(node, event)| half.happened(node, event));
        }
        panic!("{born} of {} nodes are born", self.nodes);
    }
}
