//! Both halves by hand, with a small plant before them and a host behind them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use account::Reason;
use clock::Now;
use it::FirstStart;
use it::mirror::{Aliases, DataDatatypes, MirrorSettings, OnGap, Qos};
use journal_format::header::Header;
use journal_format::{Body, Relayed, frame};
use journal_write::{Durability, WriterOptions};
use ot::PipelineSettings;
use ot::testing::Delivery;
use prost::Message as _;
use sparkplug::{Budget, Caps, DataType, Metric, Payload, Value};
use strict_host::REBIRTH;
use tempfile::TempDir;

use crate::sim::faults::segments;
use crate::sim::host::{Host, Shown};
use crate::sim::it_broker::ItBroker;
pub use crate::sim::plant::bd_seq;
use crate::sim::policies::policy;
use crate::sim::world::directory;

/// The cap on metrics of a message, so that one can be over it.
pub const MOST_METRICS: usize = 200;
pub const MOST_TEXT: usize = 4_000;
/// Forwards everything.
pub const ALL: &str = "[[rule]]\nname = \"all\"\naction = \"forward\"\ntopic = \"spBv1.0/+/+/#\"\n";

const STEP_MS: u64 = 100;
const GROUP: &str = "G";

/// What IT shows, by `edge node` or `edge node/device`, and by metric.
pub type Picture = BTreeMap<String, BTreeMap<String, Shown>>;

/// How the halves are set up.
#[derive(Clone, Copy)]
pub struct Setup {
    pub policy: &'static str,
    /// The IT half's copy.
    pub copy: Option<&'static str>,
    pub ot: fn(&mut PipelineSettings),
    pub it: fn(&mut MirrorSettings),
    /// The relay's own edge node.
    pub relay_node: Option<&'static str>,
    /// Metrics that the edge node E has beside its number `a` and its text `s`.
    pub more: fn() -> Vec<Metric>,
}

impl Setup {
    pub const PLAIN: Setup =
        Setup { policy: ALL, copy: None, ot: |_| {}, it: |_| {}, relay_node: None, more: Vec::new };
}

pub struct Rig {
    setup: Setup,
    dir: TempDir,
    pub now: Now,
    ot: Option<ot::testing::Half>,
    it: Option<it::testing::Half>,
    broker: ItBroker,
    host: Host,
    /// The next number of each edge node.
    seqs: BTreeMap<String, u8>,
    bd_seq: u64,
}

impl Rig {
    /// The plant is born, and IT shows it.
    pub fn new(setup: Setup) -> Rig {
        let now = Now { mono: Duration::from_secs(1), wall_ms: 1_790_000_000_000 };
        clock::testing::show(now);
        let mut rig = Rig {
            setup,
            dir: directory(),
            now,
            ot: None,
            it: None,
            broker: ItBroker::default(),
            host: Host::default(),
            seqs: BTreeMap::new(),
            bd_seq: 0,
        };
        rig.start_ot();
        rig.start_it();
        rig.pass(STEP_MS);
        rig.bear();
        rig
    }

    /// Every edge node and device is born, and some time passes.
    pub fn bear(&mut self) {
        let mut metrics = vec![int("a", 1_001), text("s", "v1002"), bd_seq(self.bd_seq)];
        metrics.extend((self.setup.more)());
        self.say("NBIRTH", "E", metrics);
        self.say("DBIRTH", "E/D", vec![int("c", 1_003), text("t", "v1004")]);
        self.say("DBIRTH", "E/D2", vec![int("e", 1_005)]);
        self.say("NBIRTH", "F", vec![int("x", 1_006), bd_seq(0)]);
        self.pass(3_000);
    }

    /// The next session of E begins.
    pub fn bear_anew(&mut self) {
        self.bd_seq += 1;
        self.bear();
    }

    fn start_ot(&mut self) {
        let mut pipeline = PipelineSettings {
            source: "line".into(),
            keyframe_every: Duration::from_secs(5),
            reorder_timeout: Duration::from_millis(500),
            doubt_after: Duration::from_secs(300),
            max_nodes: 10,
            max_devices_per_node: 10,
            budget: Budget::UNLIMITED,
            caps: Caps { metrics: MOST_METRICS, text_bytes: MOST_TEXT, ..Caps::DEFAULT },
        };
        (self.setup.ot)(&mut pipeline);
        let settings = ot::testing::HalfSettings {
            relay_name: "relay".into(),
            pipeline,
            journal: WriterOptions {
                dir: self.journal_dir(),
                relay_name: "relay".into(),
                segment_bytes: 1 << 24,
                retain_bytes: 1 << 30,
                retain_age: None,
                durability: Durability::Process,
            },
            state_dir: self.dir.path().join("ot"),
            policy: policy(self.setup.policy).into(),
        };
        let mut half = ot::testing::Half::start(settings).expect("the OT half starts");
        half.connected(true);
        self.ot = Some(half);
    }

    fn start_it(&mut self) {
        let mut mirror = MirrorSettings {
            stale_after: Duration::from_secs(30),
            on_gap: OnGap::Mark,
            rebirth_min_interval: Duration::from_millis(100),
            primary_host: None,
            confirm_every: Duration::from_secs(2),
            data_datatypes: DataDatatypes::AsPlant,
            aliases: Aliases::Never,
            fold: None,
            compress_births_above: None,
            data_qos: Qos::AtMostOnce,
            max_nodes: 10,
            max_devices_per_node: 10,
            budget: Budget::UNLIMITED,
            backfill: false,
            caps: Caps::DEFAULT,
        };
        (self.setup.it)(&mut mirror);
        let copy = self.setup.copy.map(|text| {
            let from = Arc::new(Mutex::new(policy(text)));
            let load: it::PolicyLoader =
                Box::new(move || Ok(from.lock().expect("the policy").clone().into()));
            (policy(text), load)
        });
        let settings = it::testing::HalfSettings {
            journal_dir: self.journal_dir(),
            state_dir: self.dir.path().join("it"),
            mirror,
            first_start: FirstStart::Oldest,
            policy: copy,
        };
        let mut half = it::testing::Half::start(settings).expect("the IT half starts");
        if let Some(name) = self.setup.relay_node {
            half.add_relay_node(GROUP, name).expect("nobody has the name");
        }
        self.it = Some(half);
    }

    fn journal_dir(&self) -> PathBuf {
        self.dir.path().join("journal")
    }

    pub fn ot(&mut self) -> &mut ot::testing::Half {
        self.ot.as_mut().expect("the OT half runs")
    }

    /// Lets time pass on both halves.
    pub fn pass(&mut self, ms: u64) {
        for _ in 0..ms / STEP_MS {
            self.step();
        }
    }

    fn step(&mut self) {
        self.now.mono += Duration::from_millis(STEP_MS);
        self.now.wall_ms += STEP_MS;
        clock::testing::show(self.now);
        if let Some(half) = &mut self.ot {
            half.turn(true);
            while half.write_state() {}
        }
        self.broker.tick(self.now.mono, &mut self.host);
        let Some(half) = &mut self.it else { return };
        for _ in 0..8 {
            for (node, event) in self.broker.take_events() {
                half.happened(node, event);
            }
            half.turn();
            let asked = half.asked();
            if asked.is_empty() {
                break;
            }
            for outgoing in asked {
                self.broker.carry_out(outgoing, &mut self.host, self.now.wall_ms);
            }
        }
        while half.write_state() {}
        let findings = self.host.findings();
        assert!(findings.is_empty(), "IT sees what is no Sparkplug: {findings:?}");
    }

    /// A payload of this edge node, with its next number where the message has one.
    pub fn payload(&mut self, verb: &str, who: &str, metrics: Vec<Metric>) -> Vec<u8> {
        let node = who.split('/').next().unwrap_or_default().to_owned();
        let seq = match verb {
            "NDEATH" => None,
            "NBIRTH" => Some(0),
            _ => Some(self.seqs.get(&node).copied().unwrap_or(0)),
        };
        if let Some(seq) = seq {
            self.seqs.insert(node, seq.wrapping_add(1));
        }
        let timestamp = Some(self.now.wall_ms);
        let seq = seq.map(u64::from);
        Payload { timestamp, metrics, seq, ..Payload::default() }.encode_to_vec()
    }

    /// The edge node publishes, and the relay takes it.
    pub fn say(&mut self, verb: &str, who: &str, metrics: Vec<Metric>) {
        let payload = self.payload(verb, who, metrics);
        self.say_bytes(verb, who, payload);
    }

    pub fn say_bytes(&mut self, verb: &str, who: &str, payload: Vec<u8>) {
        self.deliver(delivery(&topic(verb, who), payload));
    }

    pub fn deliver(&mut self, delivery: Delivery) {
        self.ot().deliver([delivery]);
        self.step();
    }

    /// Leaves a number of the edge node out, as if that message was lost.
    pub fn lose(&mut self, node: &str) {
        let seq = self.seqs.get_mut(node).expect("it was born");
        *seq = seq.wrapping_add(1);
    }

    /// The last number that the edge node used, as a message has it.
    pub fn last_seq(&self, node: &str) -> u8 {
        self.seqs.get(node).copied().unwrap_or(0).wrapping_sub(1)
    }

    /// The OT half is killed while this message is in work, and starts again.
    pub fn kill_ot_with(&mut self, delivery: Delivery) {
        self.ot.take().expect("the OT half runs").killed_with(delivery);
        self.start_ot();
        self.pass(STEP_MS);
    }

    /// The OT half takes this message, and the IT half is killed while it works on what comes of
    /// that, twice.
    pub fn kill_it_with(&mut self, delivery: Delivery) {
        self.ot().deliver([delivery]);
        self.ot().turn(true);
        for _ in 0..2 {
            let half = self.it.take().expect("the IT half runs");
            assert!(half.killed_with_last(), "nothing came of it");
            self.broker.half_gone(&mut self.host);
            self.start_it();
        }
    }

    /// The OT half ends, and a frame that it wouldn't write stands in its journal.
    pub fn forge(&mut self, relayed: Relayed) {
        let half = self.ot.take().expect("the OT half runs");
        half.stop();
        self.step();
        let newest = segments(&self.journal_dir()).pop().expect("a segment");
        let mut bytes = std::fs::read(&newest).expect("a segment");
        let salt = Header::parse(&bytes).expect("a header").salt;
        let seq = self.it.as_ref().expect("the IT half runs").mirror().position().1;
        let body = Body::Relayed(relayed);
        frame::append(salt, seq, self.now.wall_ms, &body, &mut bytes).expect("a frame");
        std::fs::write(newest, bytes).expect("a segment");
    }

    /// What IT shows now.
    pub fn picture(&self) -> Picture {
        let mut picture = Picture::new();
        for (node, shown) in self.host.nodes.iter().filter(|(_, shown)| shown.is_online) {
            for (device, metrics) in &shown.entities {
                let name =
                    if device.is_empty() { node.clone() } else { format!("{node}/{device}") };
                let is_ours = |name: &String| name != REBIRTH && name != "bdSeq";
                let metrics = metrics.iter().filter(|(name, _)| is_ours(name));
                picture.insert(name, metrics.map(|(name, shown)| (name.clone(), *shown)).collect());
            }
        }
        picture
    }

    /// Messages and values that were dropped for this reason since the halves started.
    pub fn dropped(&self, reason: Reason) -> u64 {
        let ot = self.ot.as_ref().map(|half| half.pipeline().account());
        let it = self.it.as_ref().map(|half| half.mirror().account());
        let drops = ot.into_iter().chain(it).flat_map(|account| account.drops());
        drops.filter(|drop| drop.0 == reason).map(|(_, messages, metrics)| messages + metrics).sum()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        clock::testing::run_on();
    }
}

pub fn topic(verb: &str, who: &str) -> String {
    format!("spBv1.0/{GROUP}/{verb}/{who}")
}

pub fn delivery(topic: &str, payload: Vec<u8>) -> Delivery {
    Delivery {
        topic: topic.to_owned().into_bytes().into(),
        payload: payload.into(),
        retain: false,
        dup: false,
        is_too_large: false,
        packet_id: None,
    }
}

pub fn typed(name: &str, datatype: DataType, value: Value) -> Metric {
    Metric {
        name: Some(name.into()),
        datatype: Some(datatype.code()),
        value: Some(value),
        ..Metric::default()
    }
}

pub fn int(name: &str, value: u32) -> Metric {
    typed(name, DataType::Int32, Value::Int(value))
}

pub fn text(name: &str, value: &str) -> Metric {
    typed(name, DataType::String, Value::String(value.into()))
}
