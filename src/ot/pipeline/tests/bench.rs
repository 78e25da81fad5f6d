//! A pipeline with a virtual clock, and a reader of its journal.

use std::time::Duration;

use account::Reason;
use diagnostic::SourceFile;
use journal_format::{Body, Keyframe, Layouts, Relayed};
use policy::Policy;
use prost::Message;
use sparkplug::{Budget, Caps, DataType, Metric, Payload, Shard, Value, names};

use super::snapshot_probe::SnapshotProbe;
use crate::plant::StoredPlant;
use crate::testing::Reader;
use crate::{Entry, Now, Pipeline, PipelineSettings, Received};

/// Forwards everything.
pub(super) const ALL: &str = r#"
    [[rule]]
    name = "all"
    action = "forward"
    topic = "spBv1.0/+/+/#"
"#;

pub(super) fn policy(text: &str) -> Policy {
    match Policy::parse(&[SourceFile::new("test.toml", text)]) {
        Ok((policy, _)) => policy,
        Err(problems) => panic!("{problems}"),
    }
}

pub(super) fn settings() -> PipelineSettings {
    PipelineSettings {
        source: "line".into(),
        keyframe_every: Duration::from_secs(30),
        reorder_timeout: Duration::from_secs(2),
        doubt_after: Duration::from_secs(300),
        max_nodes: 8,
        max_devices_per_node: 4,
        budget: Budget::UNLIMITED,
        // Long names make large messages.
        caps: Caps { name_bytes: 65_535, ..Caps::default() },
    }
}

pub(super) struct Bench {
    pub(super) pipeline: Pipeline,
    pub(super) now: Now,
    /// Everything that was journalled, by names, without heartbeats.
    pub(super) journal: Vec<Body>,
    pub(super) layouts: Layouts,
    /// Bytes of data that was told by places, and by names.
    pub(super) told: (usize, usize),
    pub(super) reader: Reader,
    /// `seq` of the next message that [`Bench::node`] sends.
    pub(super) seq: u64,
    /// What it sends comes with QoS 1.
    pub(super) assured: bool,
    /// A policy that looks on, also after a reload or a restart.
    pub(super) shadow: Option<&'static str>,
    /// Which edge nodes it has after a restart.
    pub(super) shard: Option<Shard>,
    snapshot_probe: SnapshotProbe,
}

impl Bench {
    pub(super) fn new(text: &str) -> Bench {
        Bench::with(settings(), text)
    }

    pub(super) fn with(settings: PipelineSettings, text: &str) -> Bench {
        let now = Now { mono: Duration::from_secs(1), wall_ms: 1_700_000_000_000 };
        let mut pipeline = Pipeline::new(settings, policy(text), now);
        pipeline.session(now, false);
        Bench {
            pipeline,
            now,
            journal: Vec::new(),
            layouts: Layouts::new(usize::MAX),
            told: (0, 0),
            reader: Reader::default(),
            seq: 0,
            assured: false,
            shadow: None,
            shard: None,
            snapshot_probe: SnapshotProbe::default(),
        }
    }

    /// Has a policy look on from now on.
    pub(super) fn observe(&mut self, text: &'static str) {
        self.shadow = Some(text);
        self.pipeline.observe(self.now, Some(policy(text)));
    }

    pub(super) fn pass(&mut self, ms: u64) {
        self.now.mono = self.now.mono.saturating_add(Duration::from_millis(ms));
        self.now.wall_ms = self.now.wall_ms.saturating_add(ms);
    }

    /// Hands a message in; returns what was journalled of it.
    pub(super) fn receive(&mut self, received: Received<'_>) -> Vec<Body> {
        let mut out = Vec::new();
        self.pipeline.handle(self.now, received, &mut out);
        self.take(out)
    }

    pub(super) fn send(&mut self, topic: &str, payload: &Payload) -> Vec<Relayed> {
        self.deliver(topic, payload, false, false)
    }

    pub(super) fn deliver(
        &mut self,
        topic: &str,
        payload: &Payload,
        retain: bool,
        dup: bool,
    ) -> Vec<Relayed> {
        let payload = payload.encode_to_vec();
        let assured = self.assured;
        relayed(&self.receive(Received { topic, payload: &payload, retain, dup, assured }))
    }

    /// Sends a message of edge node G/E with the next `seq`; an NBIRTH has 0.
    pub(super) fn node(&mut self, what: &str, metrics: Vec<Metric>) -> Vec<Relayed> {
        let (verb, device) = what.split_once('/').map_or((what, None), |(v, d)| (v, Some(d)));
        let topic = match device {
            Some(device) => format!("spBv1.0/G/{verb}/E/{device}"),
            None => format!("spBv1.0/G/{verb}/E"),
        };
        if verb == "NBIRTH" {
            self.seq = 0;
        }
        let seq = (verb != "NDEATH").then_some(self.seq);
        self.seq = if seq.is_some() { (self.seq + 1) % 256 } else { self.seq };
        let payload =
            Payload { timestamp: Some(self.now.wall_ms), metrics, seq, ..Payload::default() };
        self.send(&topic, &payload)
    }

    /// Lets one message get lost.
    pub(super) fn lose(&mut self) {
        self.seq = (self.seq + 1) % 256;
    }

    pub(super) fn tick(&mut self) -> Vec<Body> {
        let mut out = Vec::new();
        self.pipeline.tick(self.now, &mut out);
        self.take(out)
    }

    pub(super) fn reload(&mut self, text: &str) -> Vec<Relayed> {
        let mut out = Vec::new();
        let shadow = self.shadow.map(policy);
        self.pipeline.reload_beside(self.now, policy(text), shadow, &mut out);
        relayed(&self.take(out))
    }

    /// The process ends and starts again: what was stored when the journal had `stored_at`
    /// bodies, and what was journalled since, is all that is left.
    pub(super) fn restart(
        &mut self,
        stored: StoredPlant,
        stored_at: usize,
        text: &str,
    ) -> Vec<Relayed> {
        self.restart_with(settings(), stored, stored_at, text)
    }

    /// The same with other settings.
    pub(super) fn restart_with(
        &mut self,
        settings: PipelineSettings,
        stored: StoredPlant,
        stored_at: usize,
        text: &str,
    ) -> Vec<Relayed> {
        let bytes = stored.encode_to_vec();
        let stored = StoredPlant::decode(bytes.as_slice()).unwrap();
        self.pass(1000);
        self.pipeline = Pipeline::new(settings, policy(text), self.now);
        self.pipeline.set_shard(self.shard);
        self.layouts = Layouts::new(usize::MAX);
        self.pipeline.observe(self.now, self.shadow.map(policy));
        self.snapshot_probe = SnapshotProbe::default();
        let later = self.journal.split_off(stored_at);
        let mut out = Vec::new();
        self.pipeline.restore(self.now, stored, later.iter().cloned(), &mut out);
        self.journal.extend(later);
        relayed(&self.take(out))
    }

    fn take(&mut self, out: Vec<Entry>) -> Vec<Body> {
        let out: Vec<Body> = out.into_iter().map(|entry| self.by_names(entry)).collect();
        self.snapshot_probe.step(&mut self.pipeline);
        assert_eq!(self.pipeline.check_account(), Ok(()), "{:?}", self.pipeline.ledger());
        self.pipeline.check_memory();
        for body in &out {
            self.reader.read(body);
        }
        for keyframe in self.pipeline.keyframes(self.now) {
            self.reader.read(&keyframe.into());
        }
        let out: Vec<Body> =
            out.into_iter().filter(|body| !matches!(body, Body::Heartbeat(_))).collect();
        self.journal.extend(out.iter().cloned());
        out
    }

    fn by_names(&mut self, entry: Entry) -> Body {
        let body = Body::from(entry);
        let layouts = &mut self.layouts;
        let (bytes, is_compact) = (body.encoded_len(), matches!(body, Body::Data(_)));
        let named = layouts.by_names(body, usize::MAX).expect("data without its layout");
        if is_compact {
            self.told.0 += bytes;
            self.told.1 += named.encoded_len();
        }
        named
    }

    pub(super) fn dropped(&self, reason: Reason) -> u64 {
        self.pipeline.account().dropped(reason)
    }

    pub(super) fn dropped_metrics(&self, reason: Reason) -> u64 {
        self.pipeline.account().dropped_metrics(reason)
    }

    /// Whether these characters are anywhere in what was journalled, keyframes included.
    pub(super) fn leaks(&self, text: &str) -> bool {
        let keyframes: Vec<Body> = self.pipeline.keyframes(self.now).map(Body::from).collect();
        self.journal.iter().chain(&keyframes).any(|body| {
            let mut bytes = Vec::new();
            body.encode(&mut bytes);
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        })
    }
}

pub(super) fn relayed(bodies: &[Body]) -> Vec<Relayed> {
    let only = |body: &Body| match body {
        Body::Relayed(relayed) => Some(relayed.clone()),
        _ => None,
    };
    bodies.iter().filter_map(only).collect()
}

pub(super) fn keyframed(bodies: &[Body]) -> Vec<Keyframe> {
    let only = |body: &Body| match body {
        Body::Keyframe(keyframe) => Some(keyframe.clone()),
        _ => None,
    };
    bodies.iter().filter_map(only).collect()
}

/// What readers are told of an entity from now on; `None`: they hold it for dead.
pub(super) fn keyframe(bench: &Bench, topic: &str) -> Option<Keyframe> {
    let bodies: Vec<_> = bench.pipeline.keyframes(bench.now).map(Body::from).collect();
    keyframed(&bodies).into_iter().find(|keyframe| keyframe.topic == topic)
}

/// Longer than anything waits.
pub(super) fn wait(bench: &mut Bench) {
    bench.pass(2_100);
    bench.tick();
}

pub(super) fn topics(relayed: &[Relayed]) -> Vec<&str> {
    relayed.iter().map(|relayed| relayed.topic.as_str()).collect()
}

/// The message types alone, such as `NBIRTH DBIRTH`.
pub(super) fn verbs(relayed: &[Relayed]) -> String {
    let verb = |relayed: &Relayed| relayed.topic.split('/').nth(2).unwrap().to_owned();
    relayed.iter().map(verb).collect::<Vec<_>>().join(" ")
}

pub(super) fn payload(relayed: &Relayed) -> Payload {
    Payload::decode(relayed.payload.as_slice()).unwrap()
}

pub(super) fn names_of(payload: &Payload) -> Vec<&str> {
    payload.metrics.iter().map(|metric| metric.name.as_deref().unwrap()).collect()
}

pub(super) fn value_of(payload: &Payload, name: &str) -> Option<Value> {
    let found = payload.metrics.iter().find(|metric| metric.name.as_deref() == Some(name));
    found.unwrap_or_else(|| panic!("no {name}")).value.clone()
}

/// A metric as in a birth.
pub(super) fn typed(name: &str, datatype: DataType, value: Value) -> Metric {
    Metric {
        name: Some(name.into()),
        datatype: Some(datatype.code()),
        value: Some(value),
        ..Metric::default()
    }
}

pub(super) fn aliased(name: &str, alias: u64, datatype: DataType, value: Value) -> Metric {
    Metric { alias: Some(alias), ..typed(name, datatype, value) }
}

/// A metric as in data, by alias.
pub(super) fn by_alias(alias: u64, value: Value) -> Metric {
    Metric { alias: Some(alias), value: Some(value), ..Metric::default() }
}

/// A metric as in data, by name.
pub(super) fn by_name(name: &str, value: Value) -> Metric {
    Metric { name: Some(name.into()), value: Some(value), ..Metric::default() }
}

pub(super) fn bd_seq(number: u64) -> Metric {
    typed(names::BD_SEQ, DataType::UInt64, Value::Long(number))
}
