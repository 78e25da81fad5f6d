//! A plant as a list of operations: messages, ticks, sessions, other policies, restarts. The
//! pipeline that follows it is checked after every one.

use std::time::Duration;

use account::Imbalance;
use diagnostic::SourceFile;
use journal_format::{Body, Layouts};
use ot::{Now, Pipeline, PipelineSettings, Received};
use policy::Policy;
use prost::Message;
use sparkplug::{Budget, Caps, DataType, Metric, Payload, Template, Value, names};

use crate::follower::Follower;
use crate::input::Input;

/// Operations of one list that are looked at.
const MAX_OPERATIONS: usize = 300;
const WALL_MS: u64 = 1_700_000_000_000;

/// What may be in force. Nothing called `denied` crosses under any of them.
pub const POLICIES: [&str; 8] = [
    r#"
    [[rule]]
    name = "all"
    action = "forward"
    topic = "spBv1.0/+/+/#"
    deny-metrics = ["**/denied"]
    "#,
    r#"
    [[rule]]
    name = "some"
    action = "forward"
    group = "G"
    allow-metrics = ["byte", "long", "t*"]
    deny-metrics = ["**/denied", "byte"]
    "#,
    r#"
    [[rule]]
    name = "device"
    action = "forward"
    device = "D1"
    deny-metrics = ["**/denied"]
    [rule.rate]
    messages-per-s = 2
    burst-messages = 2
    "#,
    r#"
    [[rule]]
    name = "urgent"
    action = "forward"
    group = "G"
    allow-metrics = ["double", "t*"]
    deny-metrics = ["**/denied"]
    priority = "high"

    [[rule]]
    name = "rest"
    action = "forward"
    group = "G"
    rate = { messages-per-s = 3, on-excess = "drop" }

    [limits.node]
    messages-per-s = 4
    [limits.link]
    bytes-per-s = 500
    "#,
    r#"
    [[rule]]
    name = "ages"
    action = "forward"
    group = "G"
    device = "D1"
    allow-metrics = ["long", "switch"]
    deny-metrics = ["**/denied"]
    [rule.shape]
    max-age-s = 10

    [[rule]]
    name = "shapes"
    action = "forward"
    group = "G"
    allow-metrics = ["double", "byte"]
    [rule.shape]
    deadband = 5
    min = 0
    max = 1000
    out-of-range = "null"

    [[rule]]
    name = "others"
    action = "forward"
    group = "G"
    deny-metrics = ["**/denied"]
    [rule.shape]
    max-length = 2
    "#,
    r#"
    [[rule]]
    name = "redacts"
    action = "redact"
    group = "G"
    redact-metrics = ["switch"]

    [[rule]]
    name = "renames"
    action = "forward"
    group = "G"
    deny-metrics = ["**/denied"]
    add-prefix = "North/"

    [rename.edge-node]
    "G/E0" = "North"
    "#,
    r#"
    [[rule]]
    name = "node-only"
    action = "forward"
    group = ["G", "H"]
    node-only = true
    datatypes = ["Int8", "Double", "Template"]
    deny-metrics = ["**/denied"]
    "#,
    "",
];

/// Part of each of them.
const COMMON: &str = r#"
    [[rule]]
    name = "not-these"
    action = "deny"
    group = "*"
    device = "denied"
"#;

/// The policy with this number.
pub fn policy(number: usize) -> Policy {
    let common = SourceFile::new("common.toml", COMMON);
    match Policy::parse(&[common, SourceFile::new("fuzz.toml", POLICIES[number])]) {
        Ok((policy, _)) => policy,
        Err(problems) => panic!("{problems}"),
    }
}

const VERBS: [&str; 6] = ["NBIRTH", "NDEATH", "DBIRTH", "DDEATH", "NDATA", "DDATA"];
const GROUPS: [&str; 2] = ["G", "H"];
const NODES: [&str; 3] = ["E0", "E1", "E2"];
const DEVICES: [&str; 3] = ["D1", "D2", "denied"];

/// Metrics by number, with the datatypes that births give them.
const METRICS: [(&str, DataType); 14] = [
    ("byte", DataType::Int8),
    ("int", DataType::Int32),
    ("wide", DataType::UInt32),
    ("long", DataType::Int64),
    ("float", DataType::Float),
    ("double", DataType::Double),
    ("switch", DataType::Boolean),
    ("text", DataType::String),
    ("denied", DataType::Int32),
    ("a/denied", DataType::Double),
    ("t1", DataType::Template),
    ("t2", DataType::Template),
    (names::BD_SEQ, DataType::UInt64),
    (names::REBIRTH, DataType::Boolean),
];

/// A pipeline on a virtual clock, and everything that it is sent.
#[derive(Debug)]
pub struct Plant {
    pub pipeline: Pipeline,
    now: Now,
    /// Everything that was journalled, by names.
    pub journal: Vec<Body>,
    layouts: Layouts,
    follower: Follower,
    /// `seq` of the next message, by group and node.
    seq: [[u8; NODES.len()]; GROUPS.len()],
    last: Option<(String, Vec<u8>)>,
    takes_fast_path: bool,
    /// Bytes that were received, inflated ones among them.
    received_bytes: usize,
    policy: usize,
}

impl Plant {
    /// A plant whose first operation is the number of the policy.
    pub fn new(input: &mut Input<'_>, takes_fast_path: bool) -> Plant {
        Plant::with_policy(input.below(POLICIES.len()), takes_fast_path)
    }

    /// A plant under the policy with this number.
    pub fn with_policy(number: usize, takes_fast_path: bool) -> Plant {
        let now = Now { mono: Duration::from_secs(1), wall_ms: WALL_MS };
        let mut pipeline = Pipeline::new(settings(), policy(number), now);
        ot::testing::take_fast_path(&mut pipeline, takes_fast_path);
        pipeline.session(now, false);
        Plant {
            pipeline,
            now,
            journal: Vec::new(),
            layouts: Layouts::new(usize::MAX),
            follower: Follower::default(),
            seq: Default::default(),
            last: None,
            takes_fast_path,
            received_bytes: 0,
            policy: number,
        }
    }

    /// The number of the policy in force.
    pub fn policy(&self) -> usize {
        self.policy
    }

    /// Takes over what was stored; false: it can't be read.
    pub fn restore(&mut self, stored: &[u8]) -> bool {
        self.received_bytes += 8 * stored.len();
        let mut out = Vec::new();
        ot::testing::restore(&mut self.pipeline, self.now, stored, Vec::new(), &mut out)
    }

    /// Nothing was followed before: what a restored plant says of itself is believed.
    pub fn follow_on(&mut self) {
        for keyframe in self.pipeline.keyframes(self.now) {
            self.follower.believe(&keyframe.into());
        }
    }

    /// Carries out all operations of `input`.
    pub fn run(&mut self, input: &mut Input<'_>) {
        for _ in 0..MAX_OPERATIONS {
            if input.is_empty() {
                break;
            }
            self.step(input);
        }
    }

    /// Carries out one operation and checks what came of it.
    pub fn step(&mut self, input: &mut Input<'_>) {
        match input.below(16) {
            0..=6 => self.message(input),
            7 | 8 => {
                let (topic, _) = self.topic(input);
                let payload = input.bytes().to_vec();
                self.receive(&topic, payload, input.byte());
            }
            9 => {
                let topic = input.text();
                let payload = input.bytes().to_vec();
                self.receive(&topic, payload, input.byte());
            }
            10 => {
                if let Some((topic, payload)) = self.last.clone() {
                    self.receive(&topic, payload, input.byte());
                }
            }
            11 | 12 => {
                let ms = u64::from(input.short());
                self.pass(ms);
            }
            13 => {
                let mut out = Vec::new();
                self.policy = input.below(POLICIES.len());
                self.pipeline.reload(self.now, policy(self.policy), &mut out);
                self.take(out);
            }
            14 => {
                let how = input.byte();
                self.pipeline.disconnected(self.now);
                if how & 2 != 0 {
                    self.pass(u64::from(how) * 50);
                }
                self.pipeline.session(self.now, how & 1 != 0);
            }
            _ => self.restart(),
        }
    }

    /// The end of every list: what waited is settled.
    pub fn settle(&mut self) {
        for _ in 0..4 {
            self.pass(20_000);
        }
        assert_eq!(self.pipeline.account().waiting, 0, "it waits for ever");
    }

    /// Time goes by in one step.
    fn pass(&mut self, ms: u64) {
        self.now.mono += Duration::from_millis(ms);
        self.now.wall_ms += ms;
        let mut out = Vec::new();
        self.pipeline.tick(self.now, &mut out);
        self.take(out);
    }

    fn topic(&self, input: &mut Input<'_>) -> (String, (usize, usize)) {
        let verb = input.one_of(&VERBS);
        let place = input.byte();
        // Nearly everything is of one node.
        let group = usize::from(place >= 240);
        let node = usize::from(place >> 5) % NODES.len();
        let topic = format!("spBv1.0/{}/{verb}/{}", GROUPS[group], NODES[node]);
        let topic = match verb.starts_with('D') {
            true => format!("{topic}/{}", DEVICES[usize::from(place) % DEVICES.len()]),
            false => topic,
        };
        (topic, (group, node))
    }

    /// A message as a library would make it.
    fn message(&mut self, input: &mut Input<'_>) {
        let (topic, (group, node)) = self.topic(input);
        let flags = input.byte();
        let is_birth = topic.contains("BIRTH/");
        let is_node_birth = topic.contains("/NBIRTH/");
        let count = input.below(8);
        let mut metrics: Vec<Metric> = (0..count).map(|_| metric(input, is_birth)).collect();
        let seq = &mut self.seq[group][node];
        if is_node_birth {
            *seq = 0;
            metrics.extend(["Type", "_types_/Other"].map(definition));
            metrics.push(number(names::BD_SEQ, DataType::UInt64, u64::from(flags & 3)));
        }
        // One of sixteen messages was lost before this one.
        if flags >> 4 == 15 && !is_node_birth {
            *seq = seq.wrapping_add(1 + (flags & 3));
        }
        let has_seq = !topic.contains("/NDEATH/") && flags >> 4 != 14;
        let payload = Payload {
            timestamp: (flags & 8 == 0).then_some(self.now.wall_ms),
            seq: has_seq.then_some((*seq).into()),
            metrics,
            ..Payload::default()
        };
        if has_seq {
            *seq = seq.wrapping_add(1);
        }
        let topic = match flags >> 4 {
            13 if is_birth => format!("$sparkplug/certificates/{topic}"),
            _ => topic,
        };
        self.receive(&topic, payload.encode_to_vec(), flags & 7);
    }

    fn receive(&mut self, topic: &str, payload: Vec<u8>, flags: u8) {
        let received = Received {
            topic,
            payload: &payload,
            retain: flags & 3 == 3,
            dup: flags & 5 == 5,
            assured: flags & 2 != 0,
        };
        let before = self.pipeline.account().clone();
        let mut out = Vec::new();
        self.pipeline.handle(self.now, received, &mut out);
        assert_eq!(self.pipeline.account().received, before.received + 1);
        self.received_bytes += payload.len() + topic.len();
        if self.pipeline.counters().compressed > 0 {
            self.received_bytes += Caps::PAYLOAD_BYTES;
        }
        self.take(out);
        self.last = Some((topic.to_owned(), payload));
    }

    /// The process ends behind its last message and starts again with what it stored.
    fn restart(&mut self) {
        let stored = ot::testing::store(&self.pipeline);
        self.pass(1_000);
        let mut pipeline = Pipeline::new(settings(), policy(self.policy), self.now);
        ot::testing::take_fast_path(&mut pipeline, self.takes_fast_path);
        // What the tick journalled came behind the picture.
        let later = self.journal.split_off(self.follower.bodies_before_last);
        let mut out = Vec::new();
        let restored =
            ot::testing::restore(&mut pipeline, self.now, &stored, later.clone(), &mut out);
        assert!(restored, "what was stored can be read");
        self.journal.extend(later);
        self.pipeline = pipeline;
        // Another run of the writer numbers its layouts anew.
        self.layouts = Layouts::new(usize::MAX);
        self.take_bodies(out);
        self.pipeline.session(self.now, false);
    }

    fn take(&mut self, out: Vec<impl Into<Body>>) {
        self.take_bodies(out.into_iter().map(Into::into).collect());
    }

    fn take_bodies(&mut self, out: Vec<Body>) {
        let by_names = |body| self.layouts.by_names(body, usize::MAX).expect("data has its layout");
        let out: Vec<Body> = out.into_iter().map(by_names).collect();
        let imbalance: Result<(), Imbalance> = self.pipeline.check_account();
        assert_eq!(imbalance, Ok(()), "{:?}", self.pipeline.ledger());
        self.follower.bodies_before_last = self.journal.len();
        for body in &out {
            self.follower.read(body);
        }
        let mut state_bytes = 0;
        for keyframe in self.pipeline.keyframes(self.now) {
            let keyframe: Body = keyframe.into();
            state_bytes += keyframe.encoded_len();
            self.follower.read(&keyframe);
        }
        let bound = 64 * self.received_bytes + 65_536;
        assert!(state_bytes <= bound, "{state_bytes} bytes of {}", self.received_bytes);
        self.journal.extend(out);
    }
}

fn settings() -> PipelineSettings {
    PipelineSettings {
        source: "line".into(),
        keyframe_every: Duration::from_secs(30),
        reorder_timeout: Duration::from_secs(2),
        doubt_after: Duration::from_secs(300),
        max_nodes: 5,
        max_devices_per_node: 2,
        budget: Budget::UNLIMITED,
        caps: Caps { metrics: 500, ..Caps::default() },
    }
}

fn metric(input: &mut Input<'_>, in_birth: bool) -> Metric {
    let place = input.below(METRICS.len() + 1);
    let flags = input.byte();
    let bits = input.word();
    let Some((name, datatype)) = METRICS.get(place).copied() else {
        return Metric { name: Some("unborn".into()), ..number("unborn", DataType::Int32, 1) };
    };
    let value = match datatype {
        _ if flags & 0xf0 == 0xf0 => Value::Long(bits.into()),
        DataType::Int8 => Value::Int(bits % 128),
        DataType::Int32 | DataType::UInt32 => Value::Int(bits),
        DataType::Int64 | DataType::UInt64 => Value::Long(u64::from(bits) << (bits % 32)),
        DataType::Float => Value::Float(f32::from_bits(bits)),
        DataType::Double => Value::Double(f64::from(bits % 1_200)),
        DataType::Boolean => Value::Boolean(bits.is_multiple_of(2)),
        DataType::Template => instance(bits),
        _ => Value::String(bits.to_string()),
    };
    let is_null = flags & 0x30 == 0x30;
    let by_alias = !in_birth && flags & 1 == 0;
    Metric {
        name: (!by_alias).then(|| name.into()),
        alias: (in_birth || by_alias || flags & 2 != 0).then_some(place as u64),
        datatype: (in_birth || flags & 0x0c == 0x0c).then_some(datatype.code()),
        timestamp: (flags & 4 == 0).then_some(WALL_MS + u64::from(bits % 20_000)),
        is_null: is_null.then_some(true),
        is_historical: (flags & 0x50 == 0x50).then_some(bits.is_multiple_of(2)),
        is_transient: (flags & 0x60 == 0x60).then_some(bits.is_multiple_of(2)),
        value: (!is_null).then_some(value),
        ..Metric::default()
    }
}

fn number(name: &str, datatype: DataType, value: u64) -> Metric {
    Metric {
        name: Some(name.into()),
        datatype: Some(datatype.code()),
        value: Some(Value::Long(value)),
        ..Metric::default()
    }
}

fn member(name: &str, value: u32) -> Metric {
    Metric { value: Some(Value::Int(value)), ..number(name, DataType::Int32, 0) }
}

/// An instance of one of the two types that births define, with one member or two.
fn instance(bits: u32) -> Value {
    let mut metrics = vec![member("a", bits)];
    if bits.is_multiple_of(2) {
        metrics.push(member("denied", bits));
    }
    let reference = if bits.is_multiple_of(3) { "Other" } else { "Type" };
    let template_ref = Some(reference.to_owned());
    Value::Template(Box::new(Template { metrics, template_ref, ..Template::default() }))
}

fn definition(name: &str) -> Metric {
    let metrics = vec![member("a", 0), member("denied", 0)];
    let template = Template { metrics, is_definition: Some(true), ..Template::default() };
    Metric {
        value: Some(Value::Template(Box::new(template))),
        ..number(name, DataType::Template, 0)
    }
}
