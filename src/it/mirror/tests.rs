//! The mirror on a virtual clock, against a journal in memory and a strict host on IT.
#![allow(clippy::arithmetic_side_effects, reason = "tests count small numbers")]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use prost::Message;

use super::node::MAX_STAMP_AHEAD_MS;
use super::picture_tests::Photographer;
use super::{
    Mirror, MirrorSettings, NodeId, Notice, Now, OnGap, Outgoing, Qos, SessionEvent, SessionSpec,
};
use crate::journal::{Body, Frame, Heartbeat, Item, Keyframe, Lost, LostCause, Relayed, Start};
use crate::ot::{Pipeline, PipelineSettings, Received};
use crate::policy::{Policy, SourceFile};
use crate::sparkplug::{Caps, DataType, Metric, Payload, Property, Template, Value};
use crate::telemetry::Reason;

const WALL: u64 = 1_700_000_000_000;

fn settings() -> MirrorSettings {
    MirrorSettings {
        stale_after: Duration::from_secs(10),
        on_gap: OnGap::Mark,
        rebirth_min_interval: Duration::from_secs(1),
        primary_host: None,
        confirm_every: Duration::from_secs(2),
        data_qos: Qos::AtMostOnce,
        max_nodes: 100,
        max_devices_per_node: 100,
        backfill: true,
        caps: Caps::default(),
    }
}

fn metric(name: &str, value: u64) -> Metric {
    Metric {
        name: Some(name.into()),
        datatype: Some(DataType::Int64.code()),
        timestamp: Some(WALL + value),
        value: Some(Value::Long(value)),
        ..Metric::default()
    }
}

fn bd_seq(value: u64) -> Metric {
    metric("bdSeq", value)
}

fn data(mut metrics: Vec<Metric>) -> Vec<Metric> {
    metrics.iter_mut().for_each(|metric| metric.datatype = None);
    metrics
}

/// A strict host, written against the specification: it panics on what a host would refuse.
#[derive(Default)]
struct Host {
    nodes: HashMap<String, HostNode>,
    /// Live and birth values in order, and historical ones, by `node[/device]:metric`.
    live: BTreeMap<String, Vec<u64>>,
    historical: BTreeMap<String, Vec<u64>>,
    births: usize,
    deaths: usize,
    /// Timestamp of the last NBIRTH, by node: hosts drop births that aren't later, and
    /// messages that are older.
    born_ms: HashMap<String, u64>,
}

#[derive(Default)]
struct HostNode {
    online: bool,
    seq: u64,
    /// Names by entity; the node itself is "".
    born: HashMap<String, HashSet<String>>,
    quality: HashMap<String, u32>,
}

impl Host {
    fn received(&mut self, topic: &str, payload: &[u8], qos: Qos, will_bd_seq: u64) {
        let payload = Payload::decode(payload).expect("a payload");
        let levels: Vec<&str> = topic.split('/').collect();
        let key = format!("{}/{}", levels[1], levels[3]);
        let device = levels.get(4).copied().unwrap_or("");
        let node = self.nodes.entry(key.clone()).or_default();
        let name = |metric: &Metric| metric.name.clone().expect("a name");
        let ts = payload.timestamp.expect("a timestamp");
        assert!(ts >= WALL);
        let born_ms = self.born_ms.entry(key.clone()).or_default();
        match levels[2] {
            "NBIRTH" => {
                assert!(ts > *born_ms, "an NBIRTH that isn't later than the last one");
                *born_ms = ts;
            }
            "NDEATH" => {}
            _ => assert!(ts >= *born_ms, "older than the birth"),
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
                assert_eq!(metric.datatype, None);
                let born = node.born.get(device).expect("data of an unborn device");
                assert!(born.contains(&name(metric)), "data of an unborn metric");
            }
            let Some(Value::Long(value)) = metric.value else { continue };
            let id = format!("{key}/{device}:{}", name(metric));
            if let Some(properties) = &metric.properties {
                let at = properties.keys.iter().position(|key| key == "Quality");
                if let Some(Property::Int(quality)) =
                    at.map(|at| properties.values[at].value.clone().unwrap())
                {
                    node.quality.insert(id.clone(), quality);
                }
            }
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

    fn seen(&self, id: &str, value: u64) -> bool {
        let in_stream = |stream: &BTreeMap<String, Vec<u64>>| {
            stream.get(id).is_some_and(|seen| seen.contains(&value))
        };
        in_stream(&self.live) || in_stream(&self.historical)
    }
}

/// The world around a mirror: a journal, a broker that may be down, a host.
struct World {
    mirror: Mirror,
    frames: Vec<Body>,
    /// Frames handed to the mirror so far.
    read: usize,
    now: Now,
    broker_up: bool,
    sessions: HashMap<NodeId, (SessionSpec, u64)>,
    /// Published on the current session and not yet confirmed: dies with the session if told so.
    host: Host,
    commands: HashMap<String, NodeId>,
    bd_seqs: HashMap<String, Vec<u8>>,
    notices: Vec<Notice>,
    /// Drop publications on the floor as a dying connection does.
    black_hole: bool,
    photographer: Photographer,
}

impl World {
    fn new(settings: MirrorSettings) -> World {
        World {
            mirror: Mirror::new(settings, None),
            frames: Vec::new(),
            read: 0,
            now: Now { at: Duration::ZERO, wall_ms: WALL },
            broker_up: true,
            sessions: HashMap::new(),
            host: Host::default(),
            commands: HashMap::new(),
            bd_seqs: HashMap::new(),
            notices: Vec::new(),
            black_hole: false,
            photographer: Photographer::default(),
        }
    }

    fn live(settings: MirrorSettings) -> World {
        let mut world = World::new(settings);
        world.append(Body::Start(Start { keyframe_every_s: 5, ..Start::default() }));
        world.mirror.caught_up();
        world.heartbeat();
        world
    }

    fn append(&mut self, body: Body) {
        self.frames.push(body);
        self.read_all();
    }

    fn relayed(&mut self, topic: &str, metrics: Vec<Metric>, loss_before: bool) {
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
    fn lossy(&mut self, metrics: Vec<Metric>, losses: u64) {
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

    fn heartbeat(&mut self) {
        self.append(Body::Heartbeat(Heartbeat { ot_connected: true, ..Heartbeat::default() }));
    }

    fn read_all(&mut self) {
        while self.read < self.frames.len() {
            let item = self.item(self.read);
            self.read += 1;
            self.mirror.handle_item(self.now, item);
            self.carry_out();
        }
    }

    fn item(&self, at: usize) -> Item {
        Item::Frame(Frame {
            seq: at as u64,
            epoch: 1,
            appended_ms: self.now.wall_ms,
            body: Some(self.frames[at].clone()),
            in_head: at == 0,
        })
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now.at + time;
        while self.now.at < end {
            self.now.at += Duration::from_millis(50);
            self.now.wall_ms += 50;
            self.mirror.handle_tick(self.now);
            self.carry_out();
            self.backfill();
        }
    }

    /// Time passes while the OT half gives signs of life.
    fn pass_alive(&mut self, time: Duration) {
        let end = self.now.at + time;
        while self.now.at < end {
            self.pass(Duration::from_secs(1).min(end - self.now.at));
            self.heartbeat();
        }
    }

    fn backfill(&mut self) {
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

    fn carry_out(&mut self) {
        while let Some(outgoing) = self.mirror.poll_outgoing() {
            match outgoing {
                Outgoing::Open { node, spec } => {
                    if !self.broker_up {
                        self.tell(node, SessionEvent::Lost { connect_sent: false });
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
                    self.tell(node, SessionEvent::Ready);
                }
                Outgoing::Publish { node, topic, payload, qos } => {
                    let (_, will_bd_seq) = self.sessions.get(&node).expect("a session");
                    if !self.black_hole {
                        self.host.received(&topic, &payload, qos, *will_bd_seq);
                    }
                }
                Outgoing::Barrier { node } => {
                    if !self.black_hole {
                        self.tell(node, SessionEvent::Confirmed);
                    }
                }
                Outgoing::Close { node } => {
                    self.sessions.remove(&node);
                    self.tell(node, SessionEvent::Closed);
                }
            }
        }
        while let Some(notice) = self.mirror.poll_notice() {
            self.notices.push(notice);
        }
        self.photographer.step(&mut self.mirror);
    }

    fn tell(&mut self, node: NodeId, event: SessionEvent) {
        self.mirror.handle_session(self.now, node, event);
    }

    /// Every session breaks; the broker publishes the wills.
    fn break_sessions(&mut self) {
        for (node, (spec, bd_seq)) in std::mem::take(&mut self.sessions) {
            self.host.received(&spec.will_topic, &spec.will_payload, Qos::AtLeastOnce, bd_seq);
            self.tell(node, SessionEvent::Lost { connect_sent: true });
        }
        self.carry_out();
    }

    fn command(&mut self, node: &str, metric: Metric, retain: bool) {
        let id = self.commands[node];
        let (group, edge) = node.split_once('/').unwrap();
        let payload = Payload { metrics: vec![metric], ..Payload::default() };
        self.tell(
            id,
            SessionEvent::Received {
                topic: format!("spBv1.0/{group}/NCMD/{edge}"),
                payload: payload.encode_to_vec().into(),
                retain,
            },
        );
        self.carry_out();
    }

    fn restart(&mut self) {
        let snapshot = std::mem::take(&mut self.photographer).snapshot(&mut self.mirror);
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

fn rebirth() -> Metric {
    Metric {
        name: Some("Node Control/Rebirth".into()),
        value: Some(Value::Boolean(true)),
        ..Metric::default()
    }
}

fn plant(world: &mut World) {
    world.relayed("spBv1.0/g/NBIRTH/e", vec![bd_seq(4), metric("a", 1), metric("b", 1)], false);
    world.relayed("spBv1.0/g/DBIRTH/e/d", vec![metric("x", 1)], false);
}

#[test]
fn a_node_is_born_with_its_devices_and_data_follows_in_sequence() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 2)]), false);
    world.relayed("spBv1.0/g/DDATA/e/d", data(vec![metric("x", 2)]), false);
    assert_eq!(world.host.live["g/e/:a"], [1, 2]);
    assert_eq!(world.host.live["g/e/d:x"], [1, 2]);
    assert_eq!(world.host.births, 1);
    assert_eq!(world.mirror.check_account(), Ok(()));
}

#[test]
fn nothing_is_published_before_a_sign_of_life() {
    let mut world = World::new(settings());
    world.append(Body::Start(Start::default()));
    plant(&mut world);
    world.pass(Duration::from_secs(5));
    assert_eq!(world.host.births, 0, "the backlog is old news");
    world.mirror.caught_up();
    world.pass(Duration::from_secs(5));
    assert_eq!(world.host.births, 0, "the plant's side may be dead");
    world.heartbeat();
    assert_eq!(world.host.births, 1);
}

#[test]
fn silence_kills_every_node_and_life_brings_births_with_the_next_bd_seq() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.pass(Duration::from_secs(9));
    assert_eq!(world.host.deaths, 0);
    world.pass(Duration::from_secs(2));
    assert_eq!(world.host.deaths, 1);
    world.pass(Duration::from_secs(60));
    assert_eq!(world.host.deaths, 1);
    world.heartbeat();
    world.pass(Duration::from_secs(1));
    assert_eq!(world.host.births, 2);
    assert_eq!(world.bd_seqs["g/e"], [0, 1]);
}

#[test]
fn an_ot_half_that_lost_its_broker_is_as_silent_as_a_dead_one() {
    let mut world = World::live(settings());
    plant(&mut world);
    for second in 0..12 {
        world.append(Body::Heartbeat(Heartbeat {
            ot_away_ms: second * 1000,
            ..Heartbeat::default()
        }));
        world.pass(Duration::from_secs(1));
    }
    assert_eq!(world.host.deaths, 1);
    world.append(Body::Heartbeat(Heartbeat { ot_away_ms: 13_000, ..Heartbeat::default() }));
    world.pass(Duration::from_secs(1));
    assert_eq!(world.host.births, 1, "still away");
    world.heartbeat();
    world.pass(Duration::from_secs(1));
    assert_eq!(world.host.births, 2);
}

#[test]
fn a_rebirth_request_is_answered_with_current_values_and_a_burst_gets_two_answers() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 2)]), false);
    world.pass(Duration::from_secs(2));
    world.command("g/e", rebirth(), false);
    assert_eq!(world.host.births, 2, "answered at once");
    assert_eq!(world.host.live["g/e/:a"], [1, 2, 2]);
    for _ in 0..10 {
        world.command("g/e", rebirth(), false);
    }
    assert_eq!(world.host.births, 2);
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 3)]), false);
    assert_eq!(world.host.live["g/e/:a"], [1, 2, 2], "no data before the births");
    world.pass(Duration::from_secs(2));
    assert_eq!(world.host.births, 3);
    assert_eq!(world.bd_seqs["g/e"], [0], "the same session");
    assert!(world.host.seen("g/e/:a", 3));
}

#[test]
fn other_commands_and_retained_ones_are_refused_and_reported() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.pass(Duration::from_secs(2));
    world.command("g/e", metric("Setpoint", 9), false);
    world.command("g/e", rebirth(), true);
    assert_eq!(world.host.births, 1);
    assert_eq!(world.mirror.tally().commands_refused, 2);
    assert!(world.notices.iter().any(|notice| matches!(notice,
        Notice::CommandRefused { metrics, .. } if metrics == &["Setpoint"])));
}

#[test]
fn what_was_missed_while_the_broker_was_away_comes_as_history() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.pass_alive(Duration::from_secs(5));
    world.broker_up = false;
    world.break_sessions();
    for value in 2..6 {
        world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", value)]), false);
    }
    world.broker_up = true;
    world.pass_alive(Duration::from_secs(20));
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 6)]), false);
    assert_eq!(world.host.live["g/e/:a"], [1, 5, 6]);
    assert_eq!(world.host.historical["g/e/:a"], [2, 3, 4]);
    assert!(world.bd_seqs["g/e"].windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)));
}

#[test]
fn what_a_dying_connection_swallowed_is_published_again() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.pass_alive(Duration::from_secs(5));
    world.black_hole = true;
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 2)]), false);
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 3)]), false);
    world.black_hole = false;
    world.break_sessions();
    world.pass_alive(Duration::from_secs(5));
    assert!(world.host.seen("g/e/:a", 2) && world.host.seen("g/e/:a", 3));
}

#[test]
fn a_plant_rebirth_is_a_birth_in_the_same_session_and_a_new_plant_session_a_new_one() {
    let mut world = World::live(settings());
    plant(&mut world);
    plant(&mut world);
    assert_eq!(world.host.births, 2);
    assert_eq!(world.bd_seqs["g/e"], [0]);
    world.relayed("spBv1.0/g/NBIRTH/e", vec![bd_seq(5), metric("a", 9)], false);
    world.pass(Duration::from_millis(200));
    assert_eq!(world.bd_seqs["g/e"], [0, 1]);
    assert_eq!(world.host.deaths, 1);
}

#[test]
fn a_second_device_birth_of_the_same_shape_is_told_as_data() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.relayed("spBv1.0/g/DBIRTH/e/d", vec![metric("x", 7)], false);
    assert_eq!(world.host.live["g/e/d:x"], [1, 7]);
    assert_eq!(world.host.births, 1);
    world.relayed("spBv1.0/g/DBIRTH/e/d", vec![metric("x", 7), metric("y", 1)], false);
    assert_eq!(world.host.births, 2, "a new shape needs new births");
}

#[test]
fn a_gap_marks_what_was_not_seen_since_as_stale() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 2)]), true);
    let quality = &world.host.nodes["g/e"].quality;
    assert_eq!(quality["g/e/:b"], 500);
    assert_eq!(quality["g/e/d:x"], 500);
    assert_eq!(quality["g/e/:a"], 192);
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("b", 2)]), false);
    assert_eq!(world.host.nodes["g/e"].quality["g/e/:b"], 192);
}

#[test]
fn keyframes_repeat_a_gap_without_new_births_and_can_take_it_back() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 2)]), true);
    let births = world.host.births;
    world.append(keyframe(2, 1, true, 0));
    assert_eq!(world.host.births, births);
    world.append(keyframe(2, 1, false, 0));
    let quality = &world.host.nodes["g/e"].quality;
    assert_eq!((quality["g/e/:b"], quality["g/e/d:x"]), (192, 192));
    assert_eq!(world.host.births, births);
}

/// The keyframe of g/e as [`plant`] bears it, with these values of its metrics.
fn keyframe(a: u64, b: u64, uncertain: bool, losses: u64) -> Body {
    let metrics = vec![bd_seq(4), metric("a", a), metric("b", b)];
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

#[test]
fn a_gap_that_a_keyframe_told_is_not_told_again_but_the_next_gap_is() {
    let mut world = World::live(settings());
    plant(&mut world);
    let births = world.host.births;
    world.append(keyframe(1, 1, true, 1));
    assert_eq!(world.host.births, births + 1);
    world.lossy(vec![metric("a", 2)], 1);
    assert_eq!(world.host.births, births + 1);
    world.lossy(vec![metric("a", 3)], 2);
    assert_eq!(world.host.births, births + 2);
    world.append(keyframe(3, 1, true, 2));
    assert_eq!(world.host.births, births + 2);
}

#[test]
fn a_second_loss_that_only_keyframes_tell_marks_again() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.lossy(vec![metric("a", 2)], 1);
    assert_eq!(world.host.nodes["g/e"].quality["g/e/:a"], 192);
    let births = world.host.births;
    for _ in 0..3 {
        world.append(keyframe(2, 1, true, 2));
    }
    assert_eq!(world.host.nodes["g/e"].quality["g/e/:a"], 500);
    assert_eq!(world.host.births, births + 1, "marked once");
    world.restart();
    world.append(keyframe(2, 1, true, 2));
    world.lossy(vec![metric("a", 3)], 2);
    world.pass_alive(Duration::from_secs(1));
    assert_eq!(world.host.nodes["g/e"].quality["g/e/:a"], 192, "the number is remembered");
}

#[test]
fn a_gap_after_a_doubt_that_nothing_confirmed_is_marked() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.append(keyframe(1, 1, true, 1));
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 2), metric("b", 2)]), false);
    assert_eq!(world.host.nodes["g/e"].quality["g/e/:b"], 192);
    world.lossy(vec![metric("a", 3)], 2);
    assert_eq!(world.host.nodes["g/e"].quality["g/e/:b"], 500);
}

#[test]
fn an_uncertain_keyframe_of_a_new_session_marks_even_where_the_old_one_was_marked() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.lossy(vec![metric("a", 2)], 1);
    let payload = Payload { metrics: vec![bd_seq(5), metric("a", 2)], ..Payload::default() };
    world.append(Body::Keyframe(Keyframe {
        topic: "spBv1.0/g/NBIRTH/e".into(),
        payload: payload.encode_to_vec(),
        uncertain: true,
        losses: 1,
        ..Keyframe::default()
    }));
    world.pass_alive(Duration::from_secs(1));
    assert_eq!(world.host.nodes["g/e"].quality["g/e/:a"], 500);
}

/// The OT half's pipeline beside the world of its mirror: what one writes the other reads.
struct Both {
    world: World,
    ot: Pipeline,
    /// `seq` of the node's next message.
    seq: u64,
}

impl Both {
    fn new() -> Both {
        Both::with("[[rule]]\nname = \"all\"\naction = \"forward\"\ntopic = \"spBv1.0/+/+/#\"\n")
    }

    fn policy(text: &str) -> Policy {
        let (policy, _) = Policy::parse(&[SourceFile::new("test.toml", text)])
            .unwrap_or_else(|problems| panic!("{problems}"));
        policy
    }

    fn with(text: &str) -> Both {
        let policy = Both::policy(text);
        let settings_of_ot = PipelineSettings {
            source: "plant".into(),
            keyframe_every: Duration::from_secs(30),
            reorder_timeout: Duration::from_secs(2),
            max_nodes: 8,
            max_devices_per_node: 4,
            caps: Caps::default(),
        };
        let world = World::live(settings());
        let ot = Pipeline::new(settings_of_ot, policy, Both::ot_now(&world));
        let mut both = Both { world, ot, seq: 0 };
        both.connect(false);
        both
    }

    fn ot_now(world: &World) -> crate::ot::Now {
        crate::ot::Now { mono: world.now.at, wall_ms: world.now.wall_ms }
    }

    fn send(&mut self, verb: &str, metrics: Vec<Metric>) {
        if verb == "NBIRTH" {
            self.seq = 0;
        }
        let seq = Some(self.seq);
        let payload = Payload { timestamp: Some(WALL), metrics, seq, ..Payload::default() };
        self.seq = (self.seq + 1) % 256;
        let topic = format!("spBv1.0/g/{verb}/e");
        let payload = payload.encode_to_vec();
        let received = Received {
            topic: &topic,
            payload: &payload,
            retain: false,
            dup: false,
            assured: false,
        };
        let mut out = Vec::new();
        self.ot.handle(Both::ot_now(&self.world), received, &mut out);
        out.into_iter().for_each(|body| self.world.append(body));
    }

    fn disconnect(&mut self) {
        self.ot.disconnected(Both::ot_now(&self.world));
    }

    fn connect(&mut self, present: bool) {
        self.ot.session(Both::ot_now(&self.world), present);
    }

    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds * 10 {
            self.world.pass(Duration::from_millis(100));
            let mut out = Vec::new();
            self.ot.tick(Both::ot_now(&self.world), &mut out);
            out.into_iter().for_each(|body| self.world.append(body));
        }
    }

    fn quality(&self, id: &str) -> u32 {
        self.world.host.nodes["g/e"].quality.get(id).copied().unwrap_or(192)
    }
}

const NAMED: &str = r#"
    [rename.group]
    "g" = "emea"
    [rename.edge-node]
    "g/e" = "line"

    [[rule]]
    name = "some"
    action = "forward"
    group = "g"
    allow-metrics = ["plc/*", "b"]
    strip-prefix = "plc/"
"#;

#[test]
fn a_copy_of_the_policy_judges_the_names_that_it_gave() {
    let mut both = Both::with(NAMED);
    both.world.mirror.reload_policy(both.world.now, Some(Arc::new(Both::policy(NAMED))));
    both.send("NBIRTH", vec![bd_seq(4), metric("plc/a", 1), metric("b", 1), metric("c", 1)]);
    both.send("NDATA", data(vec![metric("plc/a", 2)]));
    both.pass(40);
    assert_eq!(both.world.host.live["emea/line/:a"], [1, 2]);
    assert_eq!(both.world.host.live["emea/line/:b"], [1]);
    assert_eq!(both.world.mirror.account().dropped(Reason::Recheck), 0);
    // What an honest OT half doesn't write: names of the plant, and names that nothing has.
    let mut world = both.world;
    for (topic, name) in [
        ("spBv1.0/g/NBIRTH/e", "a"),
        ("spBv1.0/emea/NBIRTH/e", "a"),
        ("spBv1.0/emea/NBIRTH/LINE", "a"),
    ] {
        world.relayed(topic, vec![bd_seq(4), metric(name, 1)], false);
    }
    assert_eq!(world.mirror.account().dropped(Reason::Recheck), 3);
    assert_eq!(world.host.nodes.len(), 1);
    // `plc/c` would be `c`; `plc/plc/x` isn't allowed, nor is `x/y`.
    let metrics = vec![bd_seq(5), metric("c", 1), metric("plc/x", 1), metric("x/y", 1)];
    world.relayed("spBv1.0/emea/NBIRTH/line", metrics, false);
    assert_eq!(world.mirror.account().dropped_metrics(Reason::Recheck), 2);
}

#[test]
fn a_copy_of_the_policy_closes_rules_by_the_clock_of_it() {
    let text = |until: &str| {
        format!(
            "[[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"*\"\nnot-after = {until}\n"
        )
    };
    let mut world = World::live(settings());
    plant(&mut world);
    let until = crate::telemetry::format_utc_ms(world.now.wall_ms + 5_000);
    world.mirror.reload_policy(world.now, Some(Arc::new(Both::policy(&text(&until)))));
    world.pass_alive(Duration::from_secs(4));
    assert_eq!(world.mirror.account().dropped_metrics(Reason::Recheck), 0);
    let births = world.host.births;
    world.pass_alive(Duration::from_secs(2));
    // Births without these metrics took their place.
    assert_eq!(world.mirror.account().dropped_metrics(Reason::Recheck), 3);
    assert_eq!(world.host.births, births + 1);
}

#[test]
fn a_second_outage_of_a_node_that_fell_silent_is_marked() {
    let mut both = Both::new();
    both.send("NBIRTH", vec![bd_seq(4), metric("a", 1), metric("b", 1)]);
    both.pass(3);
    for outage in 0..2 {
        both.disconnect();
        both.pass(3);
        both.connect(false);
        both.pass(1);
        if outage == 0 {
            both.send("NDATA", data(vec![metric("a", 2)]));
            assert_eq!(both.quality("g/e/:a"), 192);
        }
    }
    // It died unseen in the second outage.
    both.pass(60);
    assert_eq!((both.quality("g/e/:a"), both.quality("g/e/:b")), (500, 500));
}

#[test]
fn a_gap_can_be_death_until_the_next_birth() {
    let mut world = World::live(MirrorSettings { on_gap: OnGap::Death, ..settings() });
    plant(&mut world);
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 2)]), true);
    world.pass_alive(Duration::from_secs(3));
    assert!(!world.host.nodes["g/e"].online);
    plant(&mut world);
    world.pass_alive(Duration::from_secs(3));
    assert!(world.host.nodes["g/e"].online);
}

#[test]
fn keyframes_heal_a_mirror_that_lost_frames() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.relayed("spBv1.0/g/NBIRTH/f", vec![bd_seq(1), metric("a", 1)], false);
    let lost = Lost { first: 90, last: 99, cause: LostCause::Damage };
    world.mirror.handle_item(world.now, Item::Lost(lost));
    let payload =
        Payload { metrics: vec![bd_seq(4), metric("a", 8), metric("b", 1)], ..Payload::default() };
    world.append(Body::Keyframe(Keyframe {
        topic: "spBv1.0/g/NBIRTH/e".into(),
        payload: payload.encode_to_vec(),
        devices: vec!["new".into()],
        ..Keyframe::default()
    }));
    let payload = Payload { metrics: vec![metric("z", 3)], ..Payload::default() };
    world.append(Body::Keyframe(Keyframe {
        topic: "spBv1.0/g/DBIRTH/e/new".into(),
        payload: payload.encode_to_vec(),
        ..Keyframe::default()
    }));
    assert_eq!(world.host.live["g/e/:a"], [1, 8], "healed by data");
    assert_eq!(world.host.live["g/e/new:z"], [3]);
    assert!(!world.host.nodes["g/e"].born.contains_key("d"), "the device had died");
    world.pass_alive(Duration::from_secs(12));
    assert!(!world.host.nodes["g/f"].online, "no keyframe confirmed it");
    assert_eq!(world.mirror.tally().frames_lost, 10);
}

#[test]
fn a_whole_mirror_finds_no_difference_in_a_keyframe() {
    let mut world = World::live(settings());
    plant(&mut world);
    let nan = Metric {
        datatype: Some(DataType::Double.code()),
        value: Some(Value::Double(f64::NAN)),
        ..metric("n", 1)
    };
    world.relayed("spBv1.0/g/NBIRTH/e", vec![bd_seq(4), nan.clone()], false);
    let births = world.host.births;
    let payload = Payload { metrics: vec![bd_seq(4), nan], ..Payload::default() };
    world.append(Body::Keyframe(Keyframe {
        topic: "spBv1.0/g/NBIRTH/e".into(),
        payload: payload.encode_to_vec(),
        ..Keyframe::default()
    }));
    assert_eq!(world.mirror.tally().healed, 0);
    assert_eq!(world.host.births, births);
}

#[test]
fn births_wait_for_the_primary_host_and_end_with_it() {
    let primary_host = Some("scada".to_owned());
    let mut world = World::live(MirrorSettings { primary_host, ..settings() });
    plant(&mut world);
    world.pass_alive(Duration::from_secs(2));
    assert_eq!(world.host.births, 0);
    let state = |world: &mut World, online: bool, timestamp: u64| {
        let id = world.commands["g/e"];
        let payload = format!("{{\"online\":{online},\"timestamp\":{timestamp}}}");
        let topic = "spBv1.0/STATE/scada".to_owned();
        let event = SessionEvent::Received { topic, payload: payload.into(), retain: true };
        world.tell(id, event);
        world.carry_out();
    };
    state(&mut world, true, 50);
    assert_eq!(world.host.births, 1);
    state(&mut world, false, 49);
    assert_eq!(world.host.deaths, 0, "older than what was accepted");
    state(&mut world, false, 50);
    assert_eq!(world.host.deaths, 1);
    world.pass_alive(Duration::from_secs(2));
    assert_eq!(world.host.births, 1);
    state(&mut world, true, 60);
    assert_eq!(world.host.births, 2);
}

#[test]
fn a_restart_publishes_what_the_broker_may_not_hold() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.pass_alive(Duration::from_secs(5));
    world.black_hole = true;
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 2)]), false);
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 3)]), false);
    world.black_hole = false;
    world.restart();
    world.pass_alive(Duration::from_secs(5));
    assert!(world.host.seen("g/e/:a", 2) && world.host.seen("g/e/:a", 3));
    assert_eq!(world.bd_seqs["g/e"], [0, 1]);
    assert!(world.host.nodes["g/e"].born.contains_key("d"));
}

#[test]
fn commands_and_state_in_a_journal_are_refused() {
    let mut world = World::live(settings());
    plant(&mut world);
    for topic in ["spBv1.0/g/NCMD/e", "spBv1.0/STATE/h", "spBv1.0/g/DCMD/e/d", "else"] {
        world.relayed(topic, vec![metric("a", 1)], false);
    }
    assert_eq!(world.mirror.account().dropped_total(), 4);
    assert_eq!(world.mirror.check_account(), Ok(()));
}

#[test]
fn a_stop_publishes_every_death() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.mirror.stop(world.now);
    world.carry_out();
    assert_eq!(world.host.deaths, 1);
    assert!(world.mirror.is_stopped());
    world.pass_alive(Duration::from_secs(3));
    assert_eq!(world.host.births, 1);
}

#[test]
fn a_session_that_the_broker_kept_is_no_proof_that_nothing_was_lost() {
    let mut both = Both::new();
    both.send("NBIRTH", vec![bd_seq(4), metric("a", 1), metric("b", 1)]);
    both.pass(3);
    both.disconnect();
    both.pass(20);
    both.connect(true);
    both.pass(120);
    assert_eq!(both.quality("g/e/:a"), 500, "a value that came with QoS 0 was not queued");
    // The sequence goes on: nothing was lost.
    both.send("NDATA", data(vec![metric("b", 2)]));
    both.pass(31);
    assert_eq!((both.quality("g/e/:a"), both.quality("g/e/:b")), (192, 192));

    both.disconnect();
    both.seq += 1;
    both.connect(true);
    both.pass(1);
    both.send("NDATA", data(vec![metric("b", 3)]));
    both.pass(60);
    assert_eq!(both.quality("g/e/:a"), 500, "the sequence didn't go on");
    // A kept session is no way to get rid of a loss.
    both.disconnect();
    both.connect(true);
    both.send("NDATA", data(vec![metric("b", 4)]));
    both.pass(60);
    assert_eq!(both.quality("g/e/:a"), 500);
}

#[test]
fn births_after_an_outage_on_ot_are_never_good() {
    let mut both = Both::new();
    both.send("NBIRTH", vec![bd_seq(4), metric("a", 1)]);
    both.pass(40);
    for present in [false, true] {
        both.disconnect();
        both.pass(20);
        assert!(!both.world.host.nodes["g/e"].online);
        both.connect(present);
        for _ in 0..40 {
            both.pass(1);
            assert!(!both.world.host.nodes["g/e"].online || both.quality("g/e/:a") == 500);
        }
        assert!(both.world.host.nodes["g/e"].online);
    }
}

#[test]
fn a_restart_does_not_end_a_doubt() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.pass_alive(Duration::from_secs(3));
    let lost = Lost { first: 90, last: 99, cause: LostCause::Damage };
    world.mirror.handle_item(world.now, Item::Lost(lost));
    world.restart();
    world.restart();
    world.pass_alive(Duration::from_secs(9));
    assert!(world.host.nodes["g/e"].online, "two intervals of 5 s are to pass");
    world.pass_alive(Duration::from_secs(3));
    assert!(!world.host.nodes["g/e"].online, "its death may have been among the lost frames");
}

#[test]
fn a_node_that_a_gap_killed_comes_back_when_the_ot_half_is_certain() {
    let mut world = World::live(MirrorSettings { on_gap: OnGap::Death, ..settings() });
    plant(&mut world);
    world.append(keyframe(1, 1, true, 1));
    world.pass_alive(Duration::from_secs(1));
    assert!(!world.host.nodes["g/e"].online);
    world.append(keyframe(1, 1, false, 1));
    world.pass_alive(Duration::from_secs(1));
    assert!(world.host.nodes["g/e"].online);

    // Its real NBIRTH is among lost frames; a keyframe shows the new session.
    world.lossy(vec![metric("a", 2)], 2);
    world.pass_alive(Duration::from_secs(1));
    assert!(!world.host.nodes["g/e"].online);
    let birth = |uncertain, losses| {
        let metrics = vec![bd_seq(5), metric("a", 1)];
        let payload = Payload { metrics, ..Payload::default() };
        Body::Keyframe(Keyframe {
            topic: "spBv1.0/g/NBIRTH/e".into(),
            payload: payload.encode_to_vec(),
            uncertain,
            losses,
            ..Keyframe::default()
        })
    };
    world.append(birth(false, 2));
    world.pass_alive(Duration::from_secs(1));
    assert!(world.host.nodes["g/e"].online);
    world.append(birth(true, 3));
    world.pass_alive(Duration::from_secs(1));
    assert!(!world.host.nodes["g/e"].online);
}

#[test]
fn a_birth_of_the_plant_is_good_and_one_of_the_relay_keeps_the_marks() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.lossy(vec![metric("a", 2)], 1);
    let quality = |world: &World, id: &str| world.host.nodes["g/e"].quality.get(id).copied();
    let births = world.host.births;
    // A metric was born late on OT: births that nobody in the plant sent.
    let synthetic = |topic: &str, metrics| {
        let payload = Payload { timestamp: Some(WALL), metrics, ..Payload::default() };
        Body::Relayed(Relayed {
            topic: topic.into(),
            payload: payload.encode_to_vec(),
            synthetic: true,
            losses: 1,
            ..Relayed::default()
        })
    };
    let metrics = vec![bd_seq(4), metric("a", 2), metric("b", 1), metric("late", 1)];
    world.append(synthetic("spBv1.0/g/NBIRTH/e", metrics));
    world.append(synthetic("spBv1.0/g/DBIRTH/e/d", vec![metric("x", 1)]));
    assert_eq!(world.host.births, births + 1);
    assert_eq!(quality(&world, "g/e/:b"), Some(500));
    assert_eq!(quality(&world, "g/e/:a").or(quality(&world, "g/e/:late")), None);
    assert_eq!(quality(&world, "g/e/d:x"), Some(500));
    world.append(keyframe_with(&["a", "b", "late"], true, 1));

    world.relayed("spBv1.0/g/DBIRTH/e/d", vec![metric("x", 1)], false);
    assert_eq!(quality(&world, "g/e/d:x"), Some(192));
    assert_eq!(quality(&world, "g/e/:b"), Some(500));
}

/// The keyframe of g/e with these metrics, each 1.
fn keyframe_with(names: &[&str], uncertain: bool, losses: u64) -> Body {
    let metrics = names.iter().map(|name| metric(name, 1));
    let payload = Payload {
        metrics: std::iter::once(bd_seq(4)).chain(metrics).collect(),
        ..Payload::default()
    };
    Body::Keyframe(Keyframe {
        topic: "spBv1.0/g/NBIRTH/e".into(),
        payload: payload.encode_to_vec(),
        devices: vec!["d".into()],
        uncertain,
        losses,
        ..Keyframe::default()
    })
}

#[test]
fn certainty_that_comes_while_the_session_is_down_reaches_the_devices_too() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.lossy(vec![metric("a", 2)], 1);
    world.broker_up = false;
    world.break_sessions();
    world.append(keyframe(2, 1, false, 1));
    world.broker_up = true;
    world.pass_alive(Duration::from_secs(20));
    let quality = &world.host.nodes["g/e"].quality;
    assert!(world.host.nodes["g/e"].online);
    assert_eq!(quality.get("g/e/:b").copied().unwrap_or(192), 192);
    assert_eq!(quality.get("g/e/d:x").copied().unwrap_or(192), 192);
}

/// A template's definition, and an instance of it.
fn definition(version: &str, datatype: DataType) -> Metric {
    let rpm = Metric { datatype: Some(datatype.code()), ..metric("rpm", 1) };
    template(
        "Motor",
        Template {
            version: Some(version.into()),
            metrics: vec![rpm],
            is_definition: Some(true),
            ..Template::default()
        },
    )
}

fn instance(name: &str) -> Metric {
    template(
        name,
        Template {
            metrics: vec![metric("rpm", 1)],
            template_ref: Some("Motor".into()),
            is_definition: Some(false),
            ..Template::default()
        },
    )
}

fn template(name: &str, template: Template) -> Metric {
    Metric {
        name: Some(name.into()),
        datatype: Some(DataType::Template.code()),
        timestamp: Some(WALL),
        value: Some(Value::Template(Box::new(template))),
        ..Metric::default()
    }
}

#[test]
fn a_definition_comes_by_births_alone() {
    let mut world = World::live(settings());
    let birth = |definition| vec![bd_seq(4), definition, metric("a", 1)];
    let repeated = |definition, uncertain, losses| {
        let payload = Payload { metrics: birth(definition), ..Payload::default() };
        Body::Keyframe(Keyframe {
            topic: "spBv1.0/g/NBIRTH/e".into(),
            payload: payload.encode_to_vec(),
            uncertain,
            losses,
            ..Keyframe::default()
        })
    };
    world.relayed("spBv1.0/g/NBIRTH/e", birth(definition("1", DataType::Int64)), false);
    // The host panics on a definition in data.
    world.append(repeated(definition("1", DataType::Int64), false, 0));
    assert_eq!(world.host.births, 1);
    world.append(repeated(definition("2", DataType::Int64), false, 0));
    assert_eq!(world.host.births, 2);
    world.append(repeated(definition("2", DataType::UInt64), false, 0));
    assert_eq!(world.host.births, 3);
    world.relayed("spBv1.0/g/NDATA/e", data(vec![definition("3", DataType::Int64)]), false);
    assert_eq!(world.mirror.account().dropped(Reason::TypeMismatch), 1);
    world.append(repeated(definition("2", DataType::UInt64), true, 1));
    world.append(repeated(definition("2", DataType::UInt64), false, 1));
    assert_eq!(world.host.births, 4);
}

#[test]
fn a_dead_node_gives_way_and_comes_back_with_its_next_bd_seq() {
    let mut world = World::live(MirrorSettings { max_nodes: 1, ..settings() });
    plant(&mut world);
    world.relayed("spBv1.0/g/NBIRTH/f", vec![bd_seq(0), metric("a", 1)], false);
    assert_eq!(world.mirror.account().dropped(Reason::OverCapacity), 1, "the other one lives");
    world.relayed("spBv1.0/g/NDEATH/e", vec![], false);
    world.relayed("spBv1.0/g/NBIRTH/f", vec![bd_seq(0), metric("a", 1)], false);
    world.pass_alive(Duration::from_secs(1));
    assert!(world.host.nodes["g/f"].online && !world.host.nodes["g/e"].online);
    world.restart();
    // What the broker may not hold of a node keeps its place.
    world.pass_alive(Duration::from_secs(5));
    world.relayed("spBv1.0/g/NDEATH/f", vec![], false);
    world.pass_alive(Duration::from_secs(1));
    plant(&mut world);
    world.pass_alive(Duration::from_secs(1));
    assert!(world.host.nodes["g/e"].online);
    assert_eq!(world.bd_seqs["g/e"], [0, 1]);
}

#[test]
fn after_a_loss_a_device_waits_for_the_definition_of_its_instances() {
    for known in [true, false] {
        let mut world = World::live(settings());
        world.relayed("spBv1.0/g/NBIRTH/e", vec![bd_seq(4), metric("a", 1)], false);
        // Lost: the NBIRTH of the relay's own making that has the definition.
        let lost = Lost { first: 3, last: 3, cause: LostCause::Damage };
        world.mirror.handle_item(world.now, Item::Lost(lost));
        let born = vec![instance("motor"), metric("x", 1)];
        world.relayed("spBv1.0/g/DBIRTH/e/d", born, false);
        world.relayed("spBv1.0/g/DDATA/e/d", data(vec![metric("x", 2)]), false);
        world.relayed("spBv1.0/g/DDATA/e/d", data(vec![metric("x", 3)]), false);
        world.pass_alive(Duration::from_secs(3));
        world.command("g/e", rebirth(), false);
        assert!(!world.host.nodes["g/e"].born.contains_key("d"));
        let mut metrics = vec![bd_seq(4), metric("a", 1)];
        metrics.extend(known.then(|| definition("1", DataType::Int64)));
        let payload = Payload { metrics, ..Payload::default() };
        world.append(Body::Keyframe(Keyframe {
            topic: "spBv1.0/g/NBIRTH/e".into(),
            payload: payload.encode_to_vec(),
            devices: vec!["d".into()],
            ..Keyframe::default()
        }));
        assert!(world.host.nodes["g/e"].born["d"].contains("motor"));
        assert_eq!(world.host.nodes["g/e"].born[""].contains("Motor"), known);
        world.relayed("spBv1.0/g/DDATA/e/d", data(vec![metric("x", 4)]), false);
        world.pass_alive(Duration::from_secs(5));
        assert_eq!(world.host.live["g/e/d:x"], [3, 4]);
        assert!(world.host.seen("g/e/d:x", 2), "what it said meanwhile is history");
    }
}

/// One step of a random life.
#[derive(Debug, Clone)]
enum Step {
    Birth { node: u8, bd_seq: u8, metrics: u8 },
    DeviceBirth { node: u8, device: u8, metrics: u8 },
    Data { node: u8, device: Option<u8>, metric: u8, loss: bool },
    Death { node: u8 },
    DeviceDeath { node: u8, device: u8 },
    BrokerDown,
    BrokerUp,
    Break,
    Swallow { on: bool },
    Rebirth { node: u8 },
    Restart,
    Pass { ms: u16 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..3u8, 0..3u8, 1..4u8)
            .prop_map(|(node, bd_seq, metrics)| Step::Birth { node, bd_seq, metrics }),
        3 => (0..3u8, 0..2u8, 1..4u8)
            .prop_map(|(node, device, metrics)| Step::DeviceBirth { node, device, metrics }),
        12 => (0..3u8, proptest::option::of(0..2u8), 0..4u8, proptest::bool::weighted(0.05))
            .prop_map(|(node, device, metric, loss)| Step::Data { node, device, metric, loss }),
        1 => (0..3u8).prop_map(|node| Step::Death { node }),
        1 => (0..3u8, 0..2u8).prop_map(|(node, device)| Step::DeviceDeath { node, device }),
        1 => Just(Step::BrokerDown),
        2 => Just(Step::BrokerUp),
        1 => Just(Step::Break),
        1 => any::<bool>().prop_map(|on| Step::Swallow { on }),
        2 => (0..3u8).prop_map(|node| Step::Rebirth { node }),
        1 => Just(Step::Restart),
        4 => (1..3_000u16).prop_map(|ms| Step::Pass { ms }),
    ];
    proptest::collection::vec(step, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Whatever happens, the host never sees anything that it would refuse (the host panics),
    /// and once the broker is back, everything a live entity said since its birth is there.
    #[test]
    fn a_strict_host_is_never_given_reason_to_complain(steps in steps()) {
        let mut world = World::live(settings());
        let mut value = 10;
        let mut expected: BTreeMap<(String, String), Vec<u64>> = BTreeMap::new();
        for step in steps {
            let entity = |node: u8, device: Option<u8>| match device {
                None => (format!("g/{node}"), format!("g/{node}/:")),
                Some(device) => (format!("g/{node}"), format!("g/{node}/d{device}:")),
            };
            match step {
                Step::Birth { node, bd_seq: bd, metrics } => {
                    value += 1;
                    let mut born: Vec<Metric> =
                        (0..metrics).map(|at| metric(&format!("m{at}"), value)).collect();
                    born.push(bd_seq(bd.into()));
                    world.relayed(&format!("spBv1.0/g/NBIRTH/{node}"), born, false);
                    let (key, _) = entity(node, None);
                    expected.retain(|(owner, _), _| *owner != key);
                    for at in 0..metrics {
                        let id = format!("{}m{at}", entity(node, None).1);
                        expected.insert((key.clone(), id), vec![value]);
                    }
                }
                Step::DeviceBirth { node, device, metrics } => {
                    let (key, prefix) = entity(node, Some(device));
                    let alive = expected.keys().any(|(owner, _)| *owner == key);
                    value += 1;
                    let born: Vec<Metric> =
                        (0..metrics).map(|at| metric(&format!("m{at}"), value)).collect();
                    world.relayed(&format!("spBv1.0/g/DBIRTH/{node}/d{device}"), born, false);
                    if alive {
                        expected.retain(|(owner, id), _| *owner != key || !id.starts_with(&prefix));
                        for at in 0..metrics {
                            expected.insert((key.clone(), format!("{prefix}m{at}")), vec![value]);
                        }
                    }
                }
                Step::Data { node, device, metric: at, loss } => {
                    let (key, prefix) = entity(node, device);
                    value += 1;
                    let topic = match device {
                        None => format!("spBv1.0/g/NDATA/{node}"),
                        Some(device) => format!("spBv1.0/g/DDATA/{node}/d{device}"),
                    };
                    world.relayed(&topic, data(vec![metric(&format!("m{at}"), value)]), loss);
                    if let Some(values) = expected.get_mut(&(key, format!("{prefix}m{at}"))) {
                        values.push(value);
                    }
                }
                Step::Death { node } => {
                    world.relayed(&format!("spBv1.0/g/NDEATH/{node}"), vec![], false);
                    let (key, _) = entity(node, None);
                    expected.retain(|(owner, _), _| *owner != key);
                }
                Step::DeviceDeath { node, device } => {
                    world.relayed(&format!("spBv1.0/g/DDEATH/{node}/d{device}"), vec![], false);
                    let (key, prefix) = entity(node, Some(device));
                    expected.retain(|(owner, id), _| *owner != key || !id.starts_with(&prefix));
                }
                Step::BrokerDown => { world.broker_up = false; world.break_sessions(); }
                Step::BrokerUp => world.broker_up = true,
                Step::Break => world.break_sessions(),
                // A connection that swallows is one that breaks, sooner or later.
                Step::Swallow { on } => {
                    if world.black_hole && !on { world.black_hole = false; world.break_sessions(); }
                    world.black_hole = on;
                }
                Step::Rebirth { node } => {
                    let key = format!("g/{node}");
                    if world.commands.contains_key(&key) {
                        world.command(&key, rebirth(), false);
                    }
                }
                Step::Restart => { world.restart(); }
                Step::Pass { ms } => world.pass_alive(Duration::from_millis(ms.into())),
            }
        }
        if world.black_hole { world.black_hole = false; world.break_sessions(); }
        world.broker_up = true;
        world.pass_alive(Duration::from_secs(40));
        for ((_, id), values) in &expected {
            for value in values {
                prop_assert!(world.host.seen(id, *value), "{} = {} never came", id, value);
            }
            // The newest value is the one that the host holds.
            let newest = values.last();
            prop_assert_eq!(world.host.live.get(id).and_then(|seen| seen.last()), newest);
        }
        prop_assert_eq!(world.mirror.check_account(), Ok(()));
        prop_assert_eq!(world.mirror.position().1, world.frames.len() as u64);
    }
}

#[test]
fn old_frames_are_no_sign_of_life() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.pass(Duration::from_secs(60));
    assert!(!world.host.nodes["g/e"].online);
    let late = |world: &mut World, behind_ms: u64| {
        let appended_ms = world.now.wall_ms - behind_ms;
        let body = Some(Body::Heartbeat(Heartbeat { ot_connected: true, ..Heartbeat::default() }));
        let seq = world.mirror.position().1;
        let frame = Frame { seq, epoch: 1, appended_ms, body, in_head: false };
        world.mirror.handle_item(world.now, Item::Frame(frame));
        world.pass(Duration::from_secs(1));
    };
    for _ in 0..10 {
        late(&mut world, 15_001);
    }
    assert_eq!(world.host.births, 1, "born by frames of an OT half that may be dead");
    let told = |notice: &&Notice| matches!(notice, Notice::OldFrames { behind_ms: 15_001 });
    assert_eq!(world.notices.iter().filter(told).count(), 1);
    late(&mut world, 15_000);
    assert_eq!(world.host.births, 2, "the clocks of two boxes may differ a little");
}

#[test]
fn a_clock_ahead_of_ours_is_a_sign_of_life() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.pass(Duration::from_secs(60));
    let appended_ms = world.now.wall_ms + 3_600_000;
    let body = Some(Body::Heartbeat(Heartbeat { ot_connected: true, ..Heartbeat::default() }));
    let seq = world.mirror.position().1;
    let frame = Frame { seq, epoch: 1, appended_ms, body, in_head: false };
    world.mirror.handle_item(world.now, Item::Frame(frame));
    world.pass(Duration::from_secs(1));
    assert_eq!(world.host.births, 2);
}

#[test]
fn sessions_that_end_at_their_births_are_opened_ever_more_slowly() {
    let mut world = World::live(settings());
    plant(&mut world);
    for step in 0..60 * 20 {
        world.pass(Duration::from_millis(50));
        if step % 20 == 0 {
            world.heartbeat();
        }
        if !world.sessions.is_empty() {
            world.break_sessions();
        }
    }
    assert!(world.host.births < 20, "{} births in a minute", world.host.births);
    // One confirmation, and the next loss is the first again.
    world.pass_alive(Duration::from_secs(30));
    let births = world.host.births;
    world.break_sessions();
    world.pass_alive(Duration::from_secs(1));
    assert_eq!(world.host.births, births + 1);
}

fn host_state(world: &mut World, online: bool, timestamp: u64) {
    let id = world.commands["g/e"];
    let payload = format!("{{\"online\":{online},\"timestamp\":{timestamp}}}");
    let topic = "spBv1.0/STATE/scada".to_owned();
    world.tell(id, SessionEvent::Received { topic, payload: payload.into(), retain: true });
    world.carry_out();
}

#[test]
fn every_session_waits_for_the_primary_host_anew() {
    let primary_host = Some("scada".to_owned());
    let mut world = World::live(MirrorSettings { primary_host, ..settings() });
    plant(&mut world);
    host_state(&mut world, true, 5);
    assert_eq!(world.host.births, 1);
    world.broker_up = false;
    world.break_sessions();
    world.pass_alive(Duration::from_secs(60));
    world.broker_up = true;
    world.pass_alive(Duration::from_secs(20));
    assert_eq!(world.host.births, 1, "the host may have gone meanwhile");
    host_state(&mut world, true, 5);
    assert_eq!(world.host.births, 2, "the retained message of the same host");
}

#[test]
fn a_state_from_the_far_future_is_ignored() {
    let primary_host = Some("scada".to_owned());
    let mut world = World::live(MirrorSettings { primary_host, ..settings() });
    plant(&mut world);
    host_state(&mut world, false, WALL + 3_600_001);
    host_state(&mut world, true, WALL);
    assert_eq!(world.host.births, 1);
    host_state(&mut world, false, WALL + 3_600_000);
    assert_eq!(world.host.deaths, 1, "a clock may be an hour ahead");
}

#[test]
fn missed_values_without_a_place_are_counted_and_told() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.pass_alive(Duration::from_secs(5));
    world.broker_up = false;
    world.break_sessions();
    let first = world.frames.len() as u64;
    world.relayed("spBv1.0/g/DDATA/e/d", data(vec![metric("x", 2)]), false);
    world.relayed("spBv1.0/g/DDEATH/e/d", vec![], false);
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 2)]), false);
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("b", 2)]), false);
    // A birth without the metric `a` takes the place of the old one.
    world.relayed("spBv1.0/g/NBIRTH/e", vec![bd_seq(4), metric("b", 3)], false);
    world.broker_up = true;
    world.pass_alive(Duration::from_secs(30));
    assert!(world.host.seen("g/e/:b", 2));
    assert_eq!(world.mirror.tally().unplaceable, 2);
    let told = Notice::Unplaceable { first, last: first + 2, frames: 2 };
    let unplaceable = |notice: &&Notice| matches!(notice, Notice::Unplaceable { .. });
    let notices: Vec<&Notice> = world.notices.iter().filter(unplaceable).collect();
    assert_eq!(notices, [&told]);
}

#[test]
fn frames_that_a_backfill_misses_are_counted() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.pass_alive(Duration::from_secs(5));
    world.broker_up = false;
    world.break_sessions();
    let at = world.frames.len() as u64;
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 2)]), false);
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 3)]), false);
    world.broker_up = true;
    while world.sessions.is_empty() {
        world.now.at += Duration::from_millis(50);
        world.mirror.handle_tick(world.now);
        world.carry_out();
    }
    let (_, to) = world.mirror.begin_backfill().unwrap();
    assert_eq!(to, at + 2);
    let cause = LostCause::Retention;
    world.mirror.backfill_lost(Lost { first: at, last: at + 9, cause });
    assert_eq!(world.mirror.tally().frames_lost, 2, "what lies behind the stretch isn't in it");
    world.carry_out();
    assert!(world.notices.contains(&Notice::FramesLost { first: at, last: at + 1, cause }));
}
