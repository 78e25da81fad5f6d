//! Snapshots on disk, with the thread that writes them and a virtual clock.
#![allow(clippy::arithmetic_side_effects, reason = "tests count small numbers")]

use std::fs;
use std::path::Path;

use journal_format::{Body, Frame, Relayed};
use journal_read::Item;
use prost::Message;
use sparkplug::{DataType, Metric, Payload, Value};
use state::Stored;
use telemetry::Event;
use telemetry::capture::{capture, triggered};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;
use crate::DriverEvent;
use crate::mirror::tests::settings;
use crate::mirror::{MirrorSettings, MirrorSnapshot};
use crate::state::ItState;

/// More than one turn takes.
const NODES: u64 = 3 * NODES_PER_TURN as u64;

struct World {
    mirror: Mirror,
    saving: Saving,
    events: UnboundedReceiver<DriverEvent>,
    now: Now,
}

impl World {
    fn new(state: &Path) -> World {
        let settings = MirrorSettings { max_nodes: 10_000, ..settings() };
        let (sender, events) = unbounded_channel();
        let state_writer = StateWriter::start(ItState::open(state).unwrap(), sender).unwrap();
        let now = Now { mono: EVERY, wall_ms: 1_700_000_000_000 };
        World {
            mirror: Mirror::new(settings, None),
            saving: Saving::new(state_writer),
            events,
            now,
        }
    }

    fn relayed(&mut self, verb: &str, node: u64, value: u32) {
        let metric = Metric {
            name: Some("m".to_owned()),
            timestamp: Some(1),
            datatype: (verb == "NBIRTH").then(|| DataType::Int32.code()),
            value: Some(Value::Int(value)),
            ..Metric::default()
        };
        let payload = Payload { timestamp: Some(1), metrics: vec![metric], ..Payload::default() };
        let body = Some(Body::Relayed(Relayed {
            topic: format!("spBv1.0/g/{verb}/n{node}"),
            payload: payload.encode_to_vec(),
            ..Relayed::default()
        }));
        let seq = self.mirror.position().1;
        let (epoch, appended_ms) = (1, self.now.wall_ms);
        let frame = Frame { seq, epoch, appended_ms, body, in_head: false, layout: None };
        self.mirror.handle_item(self.now, Item::Frame(frame));
    }

    fn births(&mut self) {
        (0..NODES).for_each(|node| self.relayed("NBIRTH", node, 0));
    }

    fn pass(&mut self, time: Duration) {
        self.now.mono += time;
    }

    /// Takes turns until a snapshot is written or refused; `between` is what else happens in each.
    fn save(&mut self, mut between: impl FnMut(&mut World)) -> bool {
        loop {
            self.saving.tick(self.now, &mut self.mirror);
            between(self);
            match self.events.try_recv() {
                Ok(DriverEvent::Saved { what: what @ Saved::Snapshot { .. }, result }) => {
                    self.saving.saved(self.now, what, &result);
                    return result.is_ok();
                }
                Ok(other) => panic!("{other:?}"),
                Err(_) => std::thread::yield_now(),
            }
        }
    }
}

/// What a start would find, whether the process before it ended or was killed.
fn stored(state: &Path) -> MirrorSnapshot {
    let copy = tempfile::tempdir().unwrap();
    for file in fs::read_dir(state).unwrap() {
        let path = file.unwrap().path();
        fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    match ItState::open(copy.path()).unwrap().load_snapshot().unwrap() {
        Stored::Found(snapshot) => snapshot,
        other => panic!("{other:?}"),
    }
}

fn values(snapshot: &MirrorSnapshot) -> Vec<u32> {
    let metrics = snapshot.nodes.iter().map(|node| node.slots[0].metric.as_ref().unwrap());
    let value = |metric: &Metric| match metric.value {
        Some(Value::Int(value)) => value,
        ref other => panic!("{other:?}"),
    };
    metrics.map(value).collect()
}

#[test]
fn a_snapshot_shows_one_moment_though_data_flows_on() {
    let state = tempfile::tempdir().unwrap();
    let mut world = World::new(state.path());
    world.births();
    let mut value = 0;
    let position = world.mirror.position().1;
    assert!(world.save(|world| {
        value += 1;
        // The last node that a turn would take is the first that changes, and the other way round.
        world.relayed("NDATA", 0, value);
        world.relayed("NDATA", NODES - 1, value);
    }));
    let snapshot = stored(state.path());
    assert_eq!(snapshot.position, position);
    assert_eq!(values(&snapshot), vec![0; usize::try_from(NODES).unwrap()]);

    // The next one has what came since.
    world.pass(EVERY);
    assert!(world.save(|_| ()));
    let snapshot = stored(state.path());
    assert_eq!(snapshot.position, world.mirror.position().1);
    let values = values(&snapshot);
    assert_eq!((values[0], values[1], *values.last().unwrap()), (value, 0, value));
}

#[test]
fn a_kill_amid_a_snapshot_leaves_the_one_before() {
    let state = tempfile::tempdir().unwrap();
    let mut world = World::new(state.path());
    world.births();
    assert!(world.save(|_| ()));
    let before = stored(state.path());
    world.pass(EVERY);
    (0..NODES).for_each(|node| world.relayed("NDATA", node, 5));
    // Two of three parts.
    for _ in 0..2 {
        while !world.saving.state_writer.has_room() {
            std::thread::yield_now();
        }
        world.saving.tick(world.now, &mut world.mirror);
    }
    let World { saving, mut events, .. } = world;
    saving.state_writer.finish();
    assert!(events.try_recv().is_err());
    assert_eq!(stored(state.path()), before);
}

#[test]
fn a_stop_amid_a_snapshot_stores_what_is_now() {
    let state = tempfile::tempdir().unwrap();
    let mut world = World::new(state.path());
    world.births();
    world.saving.tick(world.now, &mut world.mirror);
    (0..NODES).for_each(|node| world.relayed("NDATA", node, 5));
    let World { saving, mut mirror, mut events, .. } = world;
    saving.finish(&mut mirror);
    while let Ok(event) = events.try_recv() {
        assert!(matches!(event, DriverEvent::Saved { result: Ok(()), .. }), "{event:?}");
    }
    let snapshot = stored(state.path());
    assert_eq!(snapshot.position, mirror.position().1);
    assert_eq!(values(&snapshot), vec![5; usize::try_from(NODES).unwrap()]);
}

#[test]
fn a_disk_that_refuses_is_an_event_and_the_next_snapshot_has_it_all() {
    let state = tempfile::tempdir().unwrap();
    let mut world = World::new(state.path());
    // A file can't be made where a directory is.
    let obstacle = state.path().join("mirror.state.new");
    fs::create_dir(&obstacle).unwrap();
    world.births();
    let events = capture(|| assert!(!world.save(|_| ())));
    triggered(&events, Event::DiskError);
    fs::remove_dir(&obstacle).unwrap();
    world.pass(EVERY);
    world.relayed("NDATA", 1, 5);
    let events = capture(|| assert!(world.save(|_| ())));
    triggered(&events, Event::DiskOk);
    let values = values(&stored(state.path()));
    assert_eq!((values.len() as u64, values[0], values[1]), (NODES, 0, 5));
}

#[test]
fn nothing_is_written_while_nothing_comes_but_for_a_minute() {
    let state = tempfile::tempdir().unwrap();
    let mut world = World::new(state.path());
    world.births();
    assert!(world.save(|_| ()));
    let end = world.saving.saved_at + WITHIN;
    while world.now.mono + EVERY < end {
        world.pass(EVERY);
        world.saving.tick(world.now, &mut world.mirror);
        assert!(world.saving.under_way.is_none());
    }
    world.pass(EVERY);
    world.saving.tick(world.now, &mut world.mirror);
    assert!(world.saving.under_way.is_some());
}
