//! What the tests share: a journal in memory, a broker that may be down, a strict host.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use journal_format::{Body, Frame, Heartbeat, Keyframe, Relayed, Start};
use journal_read::Item;
use prost::Message;
use sparkplug::{Budget, Caps, DataType, Metric, Payload, Property, Value};

use crate::mirror::node::MAX_STAMP_AHEAD_MS;
use crate::mirror::tests::snapshots::SnapshotProbe;
use crate::mirror::{
    DataDatatypes, Mirror, MirrorSettings, NodeId, Notice, Now, OnGap, Outgoing, Qos, SessionEvent,
    SessionSpec,
};

pub(super) const WALL: u64 = 1_700_000_000_000;

pub(crate) fn settings() -> MirrorSettings {
    MirrorSettings {
        stale_after: Duration::from_secs(10),
        on_gap: OnGap::Mark,
        rebirth_min_interval: Duration::from_secs(1),
        primary_host: None,
        confirm_every: Duration::from_secs(2),
        data_qos: Qos::AtMostOnce,
        data_datatypes: DataDatatypes::AsPlant,
        max_nodes: 100,
        max_devices_per_node: 100,
        budget: Budget::UNLIMITED,
        backfill: true,
        caps: Caps::default(),
    }
}

pub(super) fn metric(name: &str, value: u64) -> Metric {
    Metric {
        name: Some(name.into()),
        datatype: Some(DataType::Int64.code()),
        timestamp: Some(WALL + value),
        value: Some(Value::Long(value)),
        ..Metric::default()
    }
}

pub(super) fn bd_seq(value: u64) -> Metric {
    metric("bdSeq", value)
}

pub(super) fn data(mut metrics: Vec<Metric>) -> Vec<Metric> {
    metrics.iter_mut().for_each(|metric| metric.datatype = None);
    metrics
}

/// A strict host, written against the specification: it panics on what a host would refuse.
#[derive(Default)]
pub(super) struct Host {
    pub(super) nodes: HashMap<String, HostNode>,
    /// Live and birth values in order, and historical ones, by `node[/device]:metric`.
    pub(super) live: BTreeMap<String, Vec<u64>>,
    pub(super) historical: BTreeMap<String, Vec<u64>>,
    pub(super) births: usize,
    pub(super) deaths: usize,
    /// Data names datatypes.
    pub(super) typed: bool,
    /// Timestamps of the last NBIRTH and of the last message, by node: hosts drop births that
    /// aren't later than all before, and messages that are older than the birth.
    pub(super) said_ms: HashMap<String, (u64, u64)>,
}

#[derive(Default)]
pub(super) struct HostNode {
    pub(super) online: bool,
    pub(super) seq: u64,
    /// Names by entity; the node itself is "".
    pub(super) born: HashMap<String, HashSet<String>>,
    pub(super) quality: HashMap<String, u32>,
}

impl Host {
    pub(super) fn received(&mut self, topic: &str, payload: &[u8], qos: Qos, will_bd_seq: u64) {
        let payload = Payload::decode(payload).expect("a payload");
        let levels: Vec<&str> = topic.split('/').collect();
        let key = format!("{}/{}", levels[1], levels[3]);
        let typed = self.typed;
        let device = levels.get(4).copied().unwrap_or("");
        let node = self.nodes.entry(key.clone()).or_default();
        let name = |metric: &Metric| metric.name.clone().expect("a name");
        let ts = payload.timestamp.expect("a timestamp");
        assert!(ts >= WALL);
        let (born_ms, said_ms) = self.said_ms.entry(key.clone()).or_default();
        match levels[2] {
            "NBIRTH" => {
                assert!(ts > *said_ms, "an NBIRTH that isn't later than all before it");
                (*born_ms, *said_ms) = (ts, ts);
            }
            "NDEATH" => {}
            _ => {
                assert!(ts >= *born_ms, "older than the birth");
                *said_ms = ts.max(*said_ms);
            }
        }
        let seq = payload.seq;
        let next = |node: &mut HostNode| {
            node.seq = (node.seq + 1) % 256;
            assert_eq!(seq, Some(node.seq), "sequence on {topic}");
        };
        match levels[2] {
            "NBIRTH" => {
                assert_eq!(qos, Qos::AtMostOnce);
                assert_eq!(seq, Some(0), "NBIRTH starts at 0");
                assert_eq!(payload.metrics[0].value, Some(Value::Long(will_bd_seq)));
                assert_eq!(payload.metrics[1].name.as_deref(), Some("Node Control/Rebirth"));
                *node = HostNode { online: true, ..HostNode::default() };
                self.births += 1;
            }
            "NDEATH" => {
                assert_eq!(seq, None);
                assert_eq!(qos, Qos::AtLeastOnce);
                assert_eq!(payload.metrics.len(), 1);
                assert_eq!(payload.metrics[0].value, Some(Value::Long(will_bd_seq)));
                node.online = false;
                node.born.clear();
                self.deaths += 1;
                return;
            }
            "DBIRTH" => {
                assert!(node.online, "DBIRTH before NBIRTH");
                next(node);
                assert!(!node.born.contains_key(device), "DBIRTH twice: {topic}");
            }
            "DDEATH" => {
                assert!(node.online);
                next(node);
                assert!(node.born.remove(device).is_some(), "DDEATH of an unborn device");
                return;
            }
            "NDATA" | "DDATA" => {
                assert!(node.online, "data before birth");
                next(node);
                assert!(!payload.metrics.is_empty());
            }
            other => panic!("{other}"),
        }
        let birth = levels[2].ends_with("BIRTH");
        for metric in &payload.metrics {
            assert!(metric.timestamp.is_some(), "{topic} {metric:?}");
            assert_eq!(metric.alias, None);
            assert!(metric.value.is_some() != (metric.is_null == Some(true)));
            if birth {
                assert!(metric.datatype.and_then(DataType::from_code).is_some());
                let fresh = node.born.entry(device.into()).or_default().insert(name(metric));
                assert!(fresh, "a metric twice in a birth");
            } else {
                let is_definition = matches!(&metric.value,
                    Some(Value::Template(template)) if template.is_definition == Some(true));
                assert!(!is_definition, "a definition in data");
                let born = metric.datatype.and_then(DataType::from_code);
                assert_eq!(born.is_some(), typed, "{topic} {metric:?}");
                let born = node.born.get(device).expect("data of an unborn device");
                assert!(born.contains(&name(metric)), "data of an unborn metric");
            }
            let id = format!("{key}/{device}:{}", name(metric));
            if let Some(properties) = &metric.properties {
                let at = properties.keys.iter().position(|key| key == "Quality");
                if let Some(Property::Int(quality)) =
                    at.map(|at| properties.values[at].value.clone().unwrap())
                {
                    node.quality.insert(id.clone(), quality);
                }
            }
            let Some(Value::Long(value)) = metric.value else { continue };
            if metric.is_historical == Some(true) {
                self.historical.entry(id).or_default().push(value);
            } else {
                self.live.entry(id).or_default().push(value);
            }
        }
        if birth {
            node.born.entry(device.into()).or_default();
        }
    }

    pub(super) fn seen(&self, id: &str, value: u64) -> bool {
        let in_stream = |stream: &BTreeMap<String, Vec<u64>>| {
            stream.get(id).is_some_and(|seen| seen.contains(&value))
        };
        in_stream(&self.live) || in_stream(&self.historical)
    }
}

/// The world around a mirror: a journal, a broker that may be down, a host.
pub(super) struct World {
    pub(super) mirror: Mirror,
    pub(super) frames: Vec<Body>,
    /// Frames handed to the mirror so far.
    pub(super) read: usize,
    pub(super) now: Now,
    pub(super) broker_up: bool,
    pub(super) sessions: HashMap<NodeId, (SessionSpec, u64)>,
    /// Published on the current session and not yet confirmed: dies with the session where a test wants that.
    pub(super) host: Host,
    pub(super) commands: HashMap<String, NodeId>,
    pub(super) bd_seqs: HashMap<String, Vec<u8>>,
    /// Sessions whose publications were called urgent.
    pub(super) hurried: Vec<NodeId>,
    pub(super) notices: Vec<Notice>,
    /// Drop publications on the floor as a dying connection does.
    pub(super) black_hole: bool,
    pub(super) probe: SnapshotProbe,
}

impl World {
    pub(super) fn new(settings: MirrorSettings) -> World {
        World {
            mirror: Mirror::new(settings, None),
            frames: Vec::new(),
            read: 0,
            now: Now { mono: Duration::ZERO, wall_ms: WALL },
            broker_up: true,
            sessions: HashMap::new(),
            host: Host::default(),
            commands: HashMap::new(),
            bd_seqs: HashMap::new(),
            hurried: Vec::new(),
            notices: Vec::new(),
            black_hole: false,
            probe: SnapshotProbe::default(),
        }
    }

    pub(super) fn live(settings: MirrorSettings) -> World {
        let mut world = World::new(settings);
        world.append(Body::Start(Start { keyframe_every_s: 5, ..Start::default() }));
        world.mirror.caught_up();
        world.heartbeat();
        world
    }

    pub(super) fn append(&mut self, body: Body) {
        self.frames.push(body);
        self.read_all();
    }

    pub(super) fn relayed(&mut self, topic: &str, metrics: Vec<Metric>, loss_before: bool) {
        let payload = Payload { timestamp: Some(WALL), metrics, ..Payload::default() };
        self.append(Body::Relayed(Relayed {
            source: "plant".into(),
            topic: topic.into(),
            payload: payload.encode_to_vec(),
            received_ms: WALL,
            loss_before,
            ..Relayed::default()
        }));
    }

    /// NDATA of g/e behind the loss with this number.
    pub(super) fn lossy(&mut self, metrics: Vec<Metric>, losses: u64) {
        let payload =
            Payload { timestamp: Some(WALL), metrics: data(metrics), ..Payload::default() };
        self.append(Body::Relayed(Relayed {
            topic: "spBv1.0/g/NDATA/e".into(),
            payload: payload.encode_to_vec(),
            received_ms: WALL,
            loss_before: true,
            losses,
            ..Relayed::default()
        }));
    }

    pub(super) fn heartbeat(&mut self) {
        self.append(Body::Heartbeat(Heartbeat { ot_connected: true, ..Heartbeat::default() }));
    }

    pub(super) fn read_all(&mut self) {
        while self.read < self.frames.len() {
            let item = self.item(self.read);
            self.read += 1;
            self.mirror.handle_item(self.now, item);
            self.mirror.nodes.check_bytes();
            self.carry_out();
        }
    }

    pub(super) fn item(&self, at: usize) -> Item {
        Item::Frame(Frame {
            seq: at as u64,
            epoch: 1,
            appended_ms: self.now.wall_ms,
            body: Some(self.frames[at].clone()),
            in_head: at == 0,
            layout: None,
        })
    }

    /// NDEATH of a node, not handed to the mirror so far.
    pub(super) fn dead(&self, group: &str, edge_node: &str) -> Item {
        let topic = format!("spBv1.0/{group}/NDEATH/{edge_node}");
        Item::Frame(Frame {
            seq: self.read as u64,
            epoch: 1,
            appended_ms: self.now.wall_ms,
            body: Some(Body::Relayed(Relayed { topic, ..Relayed::default() })),
            in_head: false,
            layout: None,
        })
    }

    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now.mono + time;
        while self.now.mono < end {
            self.now.mono += Duration::from_millis(50);
            self.now.wall_ms += 50;
            self.mirror.handle_tick(self.now);
            self.carry_out();
            self.backfill();
        }
    }

    /// Time passes while the OT half gives signs of life.
    pub(super) fn pass_alive(&mut self, time: Duration) {
        let end = self.now.mono + time;
        while self.now.mono < end {
            self.pass(Duration::from_secs(1).min(end - self.now.mono));
            self.heartbeat();
        }
    }

    pub(super) fn backfill(&mut self) {
        if let Some((from, to)) = self.mirror.begin_backfill() {
            for seq in from..to {
                if let Some(Body::Relayed(relayed)) = self.frames.get(seq as usize).cloned() {
                    self.mirror.handle_backfill(self.now, seq, &relayed);
                    self.carry_out();
                }
            }
            self.mirror.backfill_passed(to);
        }
    }

    pub(super) fn carry_out(&mut self) {
        while let Some(outgoing) = self.mirror.poll_outgoing() {
            match outgoing {
                Outgoing::Open { node, spec } => {
                    if !self.broker_up {
                        self.event(node, SessionEvent::Lost { connect_sent: false });
                        continue;
                    }
                    let will = Payload::decode(spec.will_payload.as_slice()).unwrap();
                    assert_eq!(will.seq, None);
                    assert_eq!(will.metrics[0].value, Some(Value::Long(spec.bd_seq.into())));
                    let key = format!("{}/{}", spec.group, spec.edge_node);
                    self.bd_seqs.entry(key.clone()).or_default().push(spec.bd_seq);
                    self.commands.insert(key, node);
                    let bd_seq = spec.bd_seq.into();
                    let previous = self.sessions.insert(node, (spec, bd_seq));
                    assert!(previous.is_none(), "two sessions of one node");
                    self.event(node, SessionEvent::Ready);
                }
                Outgoing::Publish { node, topic, payload, qos } => {
                    let (_, will_bd_seq) = self.sessions.get(&node).expect("a session");
                    if !self.black_hole {
                        self.host.received(&topic, &payload, qos, *will_bd_seq);
                    }
                }
                Outgoing::Hurry { node } => {
                    assert!(self.sessions.contains_key(&node), "a session");
                    self.hurried.push(node);
                }
                Outgoing::Barrier { node } => {
                    if !self.black_hole {
                        self.event(node, SessionEvent::Confirmed);
                    }
                }
                Outgoing::Close { node } => {
                    self.sessions.remove(&node);
                    self.event(node, SessionEvent::Closed);
                }
            }
        }
        while let Some(notice) = self.mirror.poll_notice() {
            self.notices.push(notice);
        }
        self.probe.step(&mut self.mirror);
    }

    pub(super) fn event(&mut self, node: NodeId, event: SessionEvent) {
        self.mirror.handle_session(self.now, node, event);
    }

    /// Every session breaks; the broker publishes the wills.
    pub(super) fn break_sessions(&mut self) {
        for (node, (spec, bd_seq)) in std::mem::take(&mut self.sessions) {
            self.host.received(&spec.will_topic, &spec.will_payload, Qos::AtLeastOnce, bd_seq);
            self.event(node, SessionEvent::Lost { connect_sent: true });
        }
        self.carry_out();
    }

    pub(super) fn command(&mut self, node: &str, metric: Metric, retain: bool) {
        let id = self.commands[node];
        let (group, edge) = node.split_once('/').unwrap();
        let payload = Payload { metrics: vec![metric], ..Payload::default() };
        self.event(
            id,
            SessionEvent::Received {
                topic: format!("spBv1.0/{group}/NCMD/{edge}"),
                payload: payload.encode_to_vec().into(),
                retain,
            },
        );
        self.carry_out();
    }

    pub(super) fn restart(&mut self) {
        let snapshot = std::mem::take(&mut self.probe).snapshot(&mut self.mirror);
        let bd_seqs: Vec<_> = self.mirror.bd_seqs().collect();
        let settings = self.mirror.settings.clone();
        // Time stands still in these tests, so births run ahead of the clock by 1 ms each; the
        // next process doesn't know by how much.
        self.now.wall_ms += MAX_STAMP_AHEAD_MS;
        // A killed process leaves its wills to the broker.
        for (_, (spec, bd_seq)) in std::mem::take(&mut self.sessions) {
            self.host.received(&spec.will_topic, &spec.will_payload, Qos::AtLeastOnce, bd_seq);
        }
        self.mirror = Mirror::new(settings, None);
        self.mirror.restore(snapshot, bd_seqs);
        self.mirror.caught_up();
        self.heartbeat();
    }
}

pub(super) fn rebirth() -> Metric {
    Metric {
        name: Some("Node Control/Rebirth".into()),
        value: Some(Value::Boolean(true)),
        ..Metric::default()
    }
}

pub(super) fn plant(world: &mut World) {
    world.relayed("spBv1.0/g/NBIRTH/e", vec![bd_seq(4), metric("a", 1), metric("b", 1)], false);
    world.relayed("spBv1.0/g/DBIRTH/e/d", vec![metric("x", 1)], false);
}

/// The keyframe of g/e as [`plant`] bears it, with these values of its metrics.
pub(super) fn keyframe(a: u64, b: u64, uncertain: bool, losses: u64) -> Body {
    keyframe_of(vec![metric("a", a), metric("b", b)], uncertain, losses)
}

/// The keyframe of g/e with these metrics, each 1.
pub(super) fn keyframe_with(names: &[&str], uncertain: bool, losses: u64) -> Body {
    keyframe_of(names.iter().map(|name| metric(name, 1)).collect(), uncertain, losses)
}

fn keyframe_of(mut metrics: Vec<Metric>, uncertain: bool, losses: u64) -> Body {
    metrics.insert(0, bd_seq(4));
    let payload = Payload { metrics, ..Payload::default() };
    Body::Keyframe(Keyframe {
        topic: "spBv1.0/g/NBIRTH/e".into(),
        payload: payload.encode_to_vec(),
        devices: vec!["d".into()],
        uncertain,
        losses,
        ..Keyframe::default()
    })
}
