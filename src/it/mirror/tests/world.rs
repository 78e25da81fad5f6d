//! What the tests share: a journal in memory, a broker that may be down.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use journal_format::{Body, Frame, GivenAliases, Heartbeat, Keyframe, Layouts, Relayed, Start};
use journal_read::Item;
use prost::Message;
use sparkplug::{Budget, Caps, DataType, Metric, Payload, Value};

use super::host::Host;
use crate::mirror::line::MAX_STAMP_AHEAD_MS;
use crate::mirror::tests::snapshots::SnapshotProbe;
use crate::mirror::{
    Aliases, DataDatatypes, Mirror, MirrorSettings, NodeId, Notice, Now, OnGap, Outgoing, Qos,
    SessionEvent, SessionSpec,
};
use crate::place_teller::PlaceTeller;

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
        aliases: Aliases::Never,
        fold: None,
        compress_births_above: None,
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

/// The world around a mirror: a journal, a broker that may be down, a host.
pub(super) struct World {
    pub(super) mirror: Mirror,
    /// Data of these is by names; every second frame is handed on by places.
    pub(super) frames: Vec<Body>,
    layouts: Layouts,
    teller: PlaceTeller,
    /// Numbers of those that were lost on a link, and what came late of them, each with the frame that
    /// it stands behind.
    pub(super) lost: BTreeSet<u64>,
    pub(super) late: Vec<(u64, Frame)>,
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
    /// Barriers that were asked for.
    pub(super) barriers: usize,
    /// Topics of what was published, in order.
    pub(super) topics: Vec<String>,
    /// Drop publications on the floor as a dying connection does.
    pub(super) black_hole: bool,
    /// The broker ends the session that publishes more bytes at once.
    pub(super) takes_bytes: usize,
    pub(super) probe: SnapshotProbe,
}

impl World {
    pub(super) fn new(settings: MirrorSettings) -> World {
        let host = Host { aliases: settings.aliases, ..Host::default() };
        World {
            mirror: Mirror::new(settings, None),
            frames: Vec::new(),
            layouts: Layouts::new(usize::MAX),
            teller: PlaceTeller::default(),
            lost: BTreeSet::new(),
            late: Vec::new(),
            read: 0,
            now: Now { mono: Duration::ZERO, wall_ms: WALL },
            broker_up: true,
            sessions: HashMap::new(),
            host,
            commands: HashMap::new(),
            bd_seqs: HashMap::new(),
            hurried: Vec::new(),
            notices: Vec::new(),
            barriers: 0,
            topics: Vec::new(),
            black_hole: false,
            takes_bytes: usize::MAX,
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
        self.frames.push(self.layouts.by_names(body, usize::MAX).expect("data without its layout"));
        self.read_all();
    }

    pub(super) fn relayed(&mut self, topic: &str, mut metrics: Vec<Metric>, loss_before: bool) {
        let given_aliases = take_aliases(&mut metrics);
        let payload = Payload { timestamp: Some(WALL), metrics, ..Payload::default() };
        self.append(Body::Relayed(Relayed {
            source: "plant".into(),
            topic: topic.into(),
            payload: payload.encode_to_vec(),
            received_ms: WALL,
            loss_before,
            given_aliases,
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
            let mut item = self.item(self.read);
            if let Item::Frame(frame) = &mut item {
                let told = self.teller.tell(frame.clone());
                if self.read % 2 == 1 || told.layout.is_none() {
                    *frame = told;
                }
            }
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
                if let Some(Body::Relayed(relayed)) = self.frames.get(seq as usize).cloned()
                    && !self.lost.contains(&seq)
                {
                    self.mirror.handle_backfill(self.now, seq, &relayed);
                    self.carry_out();
                }
                for (_, frame) in self.late.iter().filter(|(place, _)| *place == seq) {
                    self.mirror.backfill_late(self.now, seq, frame);
                }
                self.carry_out();
            }
            self.mirror.backfill_passed(to);
        }
    }

    pub(super) fn carry_out(&mut self) {
        // Sessions that the broker ended, what is still on its way on them is lost.
        let mut ended = Vec::new();
        while let Some(outgoing) = self.mirror.poll_outgoing() {
            match outgoing {
                Outgoing::Publish { node, payload, .. } if payload.len() > self.takes_bytes => {
                    ended.push(node);
                }
                Outgoing::Publish { node, .. }
                | Outgoing::Hurry { node }
                | Outgoing::Barrier { node }
                | Outgoing::Close { node }
                    if ended.contains(&node) => {}
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
                    self.topics.push(topic.to_string());
                    if !self.black_hole {
                        self.host.received(&topic, &payload, qos, *will_bd_seq);
                    }
                }
                Outgoing::Hurry { node } => {
                    assert!(self.sessions.contains_key(&node), "a session");
                    self.hurried.push(node);
                }
                Outgoing::Barrier { node } => {
                    self.barriers += 1;
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
        for node in ended {
            if let Some((spec, bd_seq)) = self.sessions.remove(&node) {
                self.host.received(&spec.will_topic, &spec.will_payload, Qos::AtLeastOnce, bd_seq);
                self.event(node, SessionEvent::Lost { connect_sent: true });
            }
        }
        if self.mirror.has_outgoing() {
            self.carry_out();
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

/// Which of these metrics of a birth have aliases, as the OT half says it; it takes them away.
pub(super) fn take_aliases(metrics: &mut [Metric]) -> Vec<u8> {
    let mut given = GivenAliases::default();
    metrics.iter_mut().for_each(|metric| given.note(metric.alias.take().is_some()));
    given.into_bytes()
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

pub(super) fn keyframe_of(mut metrics: Vec<Metric>, uncertain: bool, losses: u64) -> Body {
    metrics.insert(0, bd_seq(4));
    let given_aliases = take_aliases(&mut metrics);
    let payload = Payload { metrics, ..Payload::default() };
    Body::Keyframe(Keyframe {
        topic: "spBv1.0/g/NBIRTH/e".into(),
        payload: payload.encode_to_vec(),
        devices: vec!["d".into()],
        uncertain,
        losses,
        given_aliases,
        ..Keyframe::default()
    })
}
