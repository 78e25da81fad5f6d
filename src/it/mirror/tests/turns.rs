//! What turns cost, counted in steps: whatever is due for all nodes at once, no turn does more of it
//! than takes some 20 ms, and what is left comes with the next turns, nothing of it twice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use journal_format::{Body, Frame, Heartbeat, Relayed};
use journal_read::Item;
use prost::Message;
use sparkplug::{Caps, Metric, Payload, steps};

use super::both::Both;
use super::world::{WALL, bd_seq, metric, rebirth, settings};
use crate::mirror::{Mirror, MirrorSettings, NodeId, Now, Outgoing, SessionEvent};

/// A step takes some 200 ns where a birth is made of a metric, and less elsewhere: some 20 ms.
const STEPS_PER_TURN: u64 = 100_000;

const NODES: usize = 300;
const METRICS: u64 = 500;

struct World {
    mirror: Mirror,
    now: Now,
    seq: u64,
    sessions: Vec<NodeId>,
    /// Publications by topic, since this was looked at last.
    published: BTreeMap<String, usize>,
}

fn metrics() -> Vec<Metric> {
    (0..METRICS).map(|number| metric(&format!("m{number}"), 1)).collect()
}

impl World {
    /// Of so many edge nodes, each with [`METRICS`], whose sessions aren't ready.
    fn new(settings: MirrorSettings, nodes: usize) -> World {
        let now = Now { mono: Duration::from_secs(1), wall_ms: WALL };
        let mut world = World {
            mirror: Mirror::new(MirrorSettings { max_nodes: 10_000, ..settings }, None),
            now,
            seq: 0,
            sessions: Vec::new(),
            published: BTreeMap::new(),
        };
        world.mirror.caught_up();
        for node in 0..nodes {
            let metrics = std::iter::once(bd_seq(0)).chain(metrics()).collect();
            world.relayed("NBIRTH", node, metrics, 0);
        }
        world.turns();
        assert_eq!(world.sessions.len(), nodes);
        world
    }

    /// The same, born.
    fn born(settings: MirrorSettings) -> World {
        let mut world = World::new(settings, NODES);
        world.ready();
        world.turns();
        assert_eq!(world.take_published("NBIRTH"), NODES);
        world
    }

    fn ready(&mut self) {
        for node in self.sessions.clone() {
            self.mirror.handle_session(self.now, node, SessionEvent::Ready);
        }
    }

    fn frame(&mut self, body: Body) {
        let appended_ms = self.now.wall_ms;
        let frame = Frame {
            seq: self.seq,
            epoch: 1,
            appended_ms,
            body: Some(body),
            in_head: false,
            layout: None,
        };
        self.seq += 1;
        let before = steps::taken();
        self.mirror.handle_item(self.now, Item::Frame(frame));
        let steps = steps::taken() - before;
        assert!(steps <= STEPS_PER_TURN, "{steps} steps for a frame");
    }

    fn relayed(&mut self, verb: &str, node: usize, metrics: Vec<Metric>, losses: u64) {
        let payload = Payload { timestamp: Some(WALL), metrics, ..Payload::default() };
        self.frame(Body::Relayed(Relayed {
            topic: format!("spBv1.0/g/{verb}/{node}"),
            payload: payload.encode_to_vec(),
            received_ms: WALL,
            loss_before: losses > 0,
            losses,
            ..Relayed::default()
        }));
    }

    fn heartbeat(&mut self) {
        self.frame(Body::Heartbeat(Heartbeat { ot_connected: true, ..Heartbeat::default() }));
    }

    fn pass(&mut self, time: Duration) {
        self.now.mono += time;
        self.now.wall_ms += u64::try_from(time.as_millis()).unwrap();
    }

    /// Ticks until nothing is left to do at once; how many turns that took.
    fn turns(&mut self) -> usize {
        let mut turns = 0;
        loop {
            turns += 1;
            let before = steps::taken();
            self.mirror.handle_tick(self.now);
            let steps = steps::taken() - before;
            assert!(steps <= STEPS_PER_TURN, "{steps} steps in turn {turns}");
            self.carry_out();
            if !self.mirror.is_behind() {
                return turns;
            }
            assert!(turns < 100_000, "it comes to no end");
        }
    }

    fn carry_out(&mut self) {
        while let Some(outgoing) = self.mirror.poll_outgoing() {
            match outgoing {
                Outgoing::Open { node, .. } => self.sessions.push(node),
                Outgoing::Publish { topic, .. } => {
                    *self.published.entry(topic.to_string()).or_default() += 1;
                }
                Outgoing::Hurry { .. } | Outgoing::Barrier { .. } => {}
                Outgoing::Close { node } => {
                    self.mirror.handle_session(self.now, node, SessionEvent::Closed);
                }
            }
        }
    }

    /// How many nodes had a publication of this kind, each of them one, and no node another one.
    #[track_caller]
    fn take_published(&mut self, verb: &str) -> usize {
        let published = std::mem::take(&mut self.published);
        let is_one = |(topic, count): (&String, &usize)| topic.contains(verb) && *count == 1;
        assert!(published.iter().all(is_one), "{published:?}");
        published.len()
    }
}

#[test]
fn a_link_that_comes_alive_and_falls_silent() {
    let mut world = World::born(settings());
    world.pass(Duration::from_secs(20));
    world.turns();
    assert_eq!(world.take_published("NDEATH"), NODES);
    world.sessions.clear();
    world.heartbeat();
    world.turns();
    assert_eq!(world.sessions.len(), NODES);
}

#[test]
fn a_primary_host_that_comes_and_goes() {
    let host = MirrorSettings { primary_host: Some("scada".into()), ..settings() };
    let mut world = World::new(host, NODES);
    let mut timestamp = WALL;
    let mut state = |world: &mut World, online: bool| {
        timestamp += 1;
        for node in world.sessions.clone() {
            let payload = format!("{{\"online\":{online},\"timestamp\":{timestamp}}}");
            let topic = "spBv1.0/STATE/scada".to_owned();
            let event = SessionEvent::Received { topic, payload: payload.into(), retain: false };
            let before = steps::taken();
            world.mirror.handle_session(world.now, node, event);
            assert!(steps::taken() - before <= STEPS_PER_TURN);
        }
    };
    world.ready();
    state(&mut world, false);
    world.turns();
    assert!(world.published.is_empty());
    state(&mut world, true);
    world.turns();
    assert_eq!(world.take_published("NBIRTH"), NODES);
    state(&mut world, false);
    world.turns();
    assert_eq!(world.take_published("NDEATH"), NODES);
}

#[test]
fn another_copy_of_the_policy() {
    let mut world = World::born(settings());
    let text = "[[rule]]\nname = \"most\"\naction = \"forward\"\ngroup = \"*\"\n\
                deny-metrics = [\"m1\"]\n";
    let before = steps::taken();
    world.mirror.reload_policy(world.now, Some(Arc::new(Both::policy(text))));
    assert!(steps::taken() - before <= STEPS_PER_TURN);
    // Whoever sends meanwhile is born anew first, without the metric.
    let last = NODES - 1;
    world.relayed("NDATA", last, super::world::data(vec![metric("m1", 9), metric("m2", 9)]), 0);
    assert!(world.turns() > 5);
    assert_eq!(world.published.remove(&format!("spBv1.0/g/NDATA/{last}")), Some(1));
    assert_eq!(world.take_published("NBIRTH"), NODES);
}

#[test]
fn every_node_hears_of_another_policy_though_others_come_meanwhile() {
    let mut world = World::born(settings());
    let text = "[[rule]]\nname = \"most\"\naction = \"forward\"\ngroup = \"*\"\n\
                deny-metrics = [\"m1\"]\n";
    world.mirror.reload_policy(world.now, Some(Arc::new(Both::policy(text))));
    assert!(world.mirror.is_behind());
    // The next round begins where this one is.
    world.mirror.reload_policy(world.now, Some(Arc::new(Both::policy(""))));
    for node in NODES..NODES + 5 {
        world.relayed("NBIRTH", node, vec![bd_seq(0), metric("m0", 1)], 0);
    }
    world.turns();
    assert!(!world.mirror.is_behind() && world.mirror.nodes.have_heard_all());
}

#[test]
fn births_that_hosts_ask_for() {
    let mut world = World::born(settings());
    world.pass(Duration::from_millis(500));
    let payload = Payload { metrics: vec![rebirth()], ..Payload::default() }.encode_to_vec();
    for (number, node) in world.sessions.clone().into_iter().enumerate() {
        let topic = format!("spBv1.0/g/NCMD/{number}");
        let payload = payload.clone().into();
        let event = SessionEvent::Received { topic, payload, retain: false };
        world.mirror.handle_session(world.now, node, event);
    }
    world.carry_out();
    assert!(world.published.is_empty(), "it is too soon");
    world.pass(Duration::from_millis(600));
    assert!(world.turns() > 5);
    assert_eq!(world.take_published("NBIRTH"), NODES);
}

#[test]
fn births_that_say_what_was_lost() {
    let mut world = World::born(settings());
    // The births of these are at once, three times, then they wait.
    for losses in 1..=8 {
        for node in 0..NODES {
            let data = super::world::data(vec![metric("m1", losses)]);
            world.relayed("NDATA", node, data, losses);
        }
    }
    world.carry_out();
    world.published.clear();
    world.pass(Duration::from_secs(3));
    world.heartbeat();
    assert!(world.turns() > 5);
    assert_eq!(world.take_published("NBIRTH"), NODES);
}

#[test]
fn a_stop() {
    let mut world = World::born(settings());
    world.mirror.stop(world.now);
    world.turns();
    assert_eq!(world.take_published("NDEATH"), NODES);
    assert!(world.mirror.is_stopped());
}

#[test]
fn the_stages_of_a_birth_of_200_000_metrics() {
    const STEPS_PER_STAGE: u64 = 500_000;
    let caps = Caps { payload_bytes: 16 << 20, metrics: 300_000, ..Caps::DEFAULT };
    let mut world = World::new(MirrorSettings { caps, ..settings() }, 1);
    let breaths = Arc::new(Mutex::new(vec![steps::taken()]));
    let taken = Arc::clone(&breaths);
    world.mirror.set_breath(Box::new(move || taken.lock().unwrap().push(steps::taken())));
    world.ready();
    let metrics: Vec<Metric> =
        (0..200_000).map(|number| metric(&format!("m{number}"), 1)).collect();
    let payload = Payload { timestamp: Some(WALL), metrics, ..Payload::default() };
    let relayed = Relayed {
        topic: "spBv1.0/g/NBIRTH/0".into(),
        payload: payload.encode_to_vec(),
        received_ms: WALL,
        ..Relayed::default()
    };
    let body = Some(Body::Relayed(relayed));
    let frame =
        Frame { seq: world.seq, epoch: 1, appended_ms: WALL, body, in_head: false, layout: None };
    world.mirror.handle_item(world.now, Item::Frame(frame));
    let mut breaths = breaths.lock().unwrap().clone();
    breaths.push(steps::taken());
    let stages: Vec<u64> = breaths.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(stages.len() > 4 && stages.iter().all(|steps| *steps <= STEPS_PER_STAGE), "{stages:?}");
}
