//! Receipts that wait for the stored plant, with the thread that writes it and a virtual clock.
#![allow(clippy::arithmetic_side_effects, reason = "tests count small numbers")]

use std::fs;
use std::path::Path;

use diagnostic::SourceFile;
use policy::Policy;
use prost::Message;
use sparkplug::{Budget, Caps, DataType, Metric, Payload, Value};
use state::{StateDir, Stored};
use telemetry::Event;
use telemetry::capture::{capture, triggered};

use super::state_writer::PLANT;
use super::*;
use crate::plant::StoredPlant;
use crate::{PipelineSettings, Received};

struct World {
    pipeline: Pipeline,
    storing: Storing,
    now: Now,
}

impl World {
    fn new(state: &Path) -> World {
        let rule = "[[rule]]\nname = \"all\"\naction = \"forward\"\ntopic = \"spBv1.0/+/+/#\"\n";
        let (policy, _) = Policy::parse(&[SourceFile::new("test.toml", rule)]).unwrap();
        let settings = PipelineSettings {
            source: "line".into(),
            keyframe_every: Duration::from_secs(30),
            reorder_timeout: Duration::from_secs(2),
            doubt_after: Duration::from_secs(300),
            max_nodes: 100,
            max_devices_per_node: 4,
            budget: Budget::UNLIMITED,
            caps: Caps::default(),
        };
        let now = Now { mono: Duration::from_secs(1), wall_ms: 1_700_000_000_000 };
        let state_writer = StateWriter::start(StateDir::open(state).unwrap()).unwrap();
        World {
            pipeline: Pipeline::new(settings, policy, now),
            storing: Storing::new(state_writer, now.mono),
            now,
        }
    }

    /// A message comes, and is journalled with this receipt.
    fn message(&mut self, verb: &str, node: &str, receipt: u16) {
        let metric = Metric {
            name: Some("m".to_owned()),
            timestamp: Some(1),
            datatype: Some(DataType::Int32.code()),
            value: Some(Value::Int(receipt.into())),
            ..Metric::default()
        };
        let seq = Some(u64::from(verb != "NBIRTH"));
        let payload =
            Payload { timestamp: Some(1), metrics: vec![metric], seq, ..Payload::default() };
        let topic = format!("spBv1.0/G/{verb}/{node}");
        let payload = payload.encode_to_vec();
        let received =
            Received { topic: &topic, payload: &payload, retain: false, dup: false, assured: true };
        self.pipeline.handle(self.now, received, &mut Vec::new());
        let changed = self.pipeline.take_structure_changed();
        self.storing.journalled(changed, &mut vec![Receipt::numbered(receipt)]);
    }

    fn tick(&mut self) {
        self.storing.tick(self.now, &mut self.pipeline, 7);
    }

    fn released(&mut self) -> Vec<u16> {
        self.storing.released().iter().map(Receipt::number).collect()
    }

    /// Waits for the snapshot under way.
    fn saved(&mut self) {
        while self.storing.under_way.as_ref().is_some_and(|under_way| !under_way.complete) {
            self.tick();
        }
        let result = self.storing.saved_by().unwrap().recv().unwrap();
        self.storing.saved(self.now, &result);
    }

    fn pass(&mut self, time: Duration) {
        self.now.mono += time;
    }
}

/// How many nodes a start would find.
fn stored(state: &Path) -> usize {
    let Ok(Stored::Found(stored)) = StateDir::peek::<StoredPlant>(state, PLANT) else { return 0 };
    stored.node_count()
}

#[test]
fn a_birth_is_acknowledged_once_it_is_stored_and_nothing_overtakes_it() {
    let state = tempfile::tempdir().unwrap();
    let mut world = World::new(state.path());
    world.message("NBIRTH", "a", 1);
    assert!(world.released().is_empty());
    world.tick();
    // While the snapshot is taken and written.
    world.message("NDATA", "a", 2);
    world.tick();
    assert!(world.released().is_empty());
    world.saved();
    assert_eq!(stored(state.path()), 1);
    assert_eq!(world.released(), [1, 2]);
    // Data alone waits for no store.
    world.message("NDATA", "a", 3);
    assert_eq!(world.released(), [3]);
}

#[test]
fn a_birth_that_comes_too_late_for_a_snapshot_waits_for_the_next() {
    let state = tempfile::tempdir().unwrap();
    let mut world = World::new(state.path());
    world.message("NBIRTH", "a", 1);
    world.tick();
    world.message("NBIRTH", "b", 2);
    world.message("NDATA", "a", 3);
    world.saved();
    assert_eq!(stored(state.path()), 1);
    assert_eq!(world.released(), [1]);
    world.pass(LONGEST_HOLD);
    world.tick();
    assert!(world.released().is_empty());
    world.saved();
    assert_eq!(stored(state.path()), 2);
    assert_eq!(world.released(), [2, 3]);
}

#[test]
fn a_disk_that_refuses_withholds_receipts_until_it_takes_all_of_it() {
    let state = tempfile::tempdir().unwrap();
    let mut world = World::new(state.path());
    // A file can't be made where a directory is.
    let obstacle = state.path().join("plant.state.new");
    fs::create_dir(&obstacle).unwrap();
    world.message("NBIRTH", "a", 1);
    world.tick();
    world.message("NDATA", "a", 2);
    let told = capture(|| world.saved());
    triggered(&told, Event::DiskError);
    assert!(world.released().is_empty());
    world.tick();
    assert!(world.storing.under_way.is_none(), "not at once");
    fs::remove_dir(&obstacle).unwrap();
    world.pass(ERROR_PAUSE);
    world.tick();
    let told = capture(|| world.saved());
    triggered(&told, Event::DiskOk);
    assert_eq!(world.released(), [1, 2]);
    assert_eq!(stored(state.path()), 1);
}

#[test]
fn what_the_broker_delivers_again_is_not_acknowledged_before() {
    let state = tempfile::tempdir().unwrap();
    let mut world = World::new(state.path());
    world.message("NBIRTH", "a", 1);
    world.tick();
    world.message("NDATA", "a", 2);
    world.storing.forget_receipts();
    world.saved();
    assert!(world.released().is_empty());
}

#[test]
fn a_stop_amid_a_snapshot_stores_what_is_now_and_then_acknowledges() {
    let state = tempfile::tempdir().unwrap();
    let mut world = World::new(state.path());
    world.message("NBIRTH", "a", 1);
    world.tick();
    world.message("NBIRTH", "b", 2);
    let World { mut pipeline, storing, now } = world;
    let released = storing.finish(now, &mut pipeline, 9);
    assert_eq!(released.iter().map(Receipt::number).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(stored(state.path()), 2);
}
