//! The worker with a real journal and a real state directory.

pub(super) mod planted;
mod shard;
mod tightened;
mod turns;
mod windows;

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::thread::JoinHandle;

use bytes::Bytes;
use crossbeam_channel::Sender;
use diagnostic::SourceFile;
use journal_format::Body;
use journal_read::{From, Item, Reader};
use journal_write::{Durability, Writer, WriterOptions};
use policy::{Admitted, AdmittedKind, MessageFlags, Policy};
use prost::Message;
use sparkplug::{Budget, Caps, DataType, Entity, EntityTopic, Metric, Payload, Value};
use telemetry::capture::{capture, triggered};
use telemetry::status::{Status, StatusEmitter, StatusSettings};
use telemetry::{Event, Notifier};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::housekeeping::retention_ms;
use super::{
    Arc, Clock, Delivered, Duration, Now, Pipeline, Receipt, Shared, StateDir, StateWriter, Work,
    Worker, WorkerSettings,
};
use crate::status_reporter::StatusReporter;
use crate::{Entry, PipelineSettings};

struct Running {
    work: Sender<Work>,
    receipts: UnboundedReceiver<Vec<Receipt>>,
    thread: JoinHandle<()>,
}

fn start(dir: &Path) -> Running {
    start_with(dir, Duration::from_secs(2))
}

fn start_with(dir: &Path, reorder_timeout: Duration) -> Running {
    let (worker, work, receipts) = build_with(dir, reorder_timeout);
    let thread = std::thread::spawn(move || worker.run());
    Running { work, receipts, thread }
}

fn build(dir: &Path) -> (Worker, Sender<Work>, UnboundedReceiver<Vec<Receipt>>) {
    build_with(dir, Duration::from_secs(2))
}

fn build_with(
    dir: &Path,
    reorder_timeout: Duration,
) -> (Worker, Sender<Work>, UnboundedReceiver<Vec<Receipt>>) {
    let rule = "[[rule]]\nname = \"all\"\naction = \"forward\"\ntopic = \"spBv1.0/+/+/#\"\n";
    let (policy, _) = Policy::parse(&[SourceFile::new("test.toml", rule)]).unwrap();
    let options = WriterOptions {
        dir: dir.join("journal"),
        relay_name: "relay".into(),
        segment_bytes: 1 << 20,
        retain_bytes: 1 << 30,
        retain_age: None,
        durability: Durability::Process,
    };
    let pipeline = PipelineSettings {
        source: "line".into(),
        keyframe_every: Duration::from_secs(30),
        reorder_timeout,
        doubt_after: Duration::from_secs(300),
        max_nodes: 1_000,
        max_devices_per_node: 4,
        budget: Budget::UNLIMITED,
        caps: Caps::default(),
    };
    let (work, queue) = crossbeam_channel::bounded(64);
    let (released, receipts) = unbounded_channel();
    let worker = Worker::new(
        WorkerSettings {
            relay_name: "relay".into(),
            keyframe_every: pipeline.keyframe_every,
            signed: None,
        },
        |now| Pipeline::new(pipeline, policy, now),
        Writer::open(options, 1).unwrap().only(),
        (StateDir::open(&dir.join("state")).unwrap(), StateWriter::start),
        queue,
        released,
        Arc::new(Shared::default()),
        Clock::start(),
    )
    .unwrap();
    (worker, work, receipts)
}

#[test]
fn what_is_too_large_for_a_frame_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let (mut worker, _work, _receipts) = build(directory.path());
    let payload = vec![0; journal_format::MAX_BODY_BYTES + 1];
    let flags = MessageFlags {
        received_ms: 1,
        loss_before: false,
        synthetic: false,
        aliased: false,
        typed: false,
        outdated: false,
        urgent: false,
        withdrawn: None,
        layout: 0,
    };
    let policy = "[[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"G\"\n";
    let (policy, _) = Policy::parse(&[SourceFile::new("test.toml", policy)]).unwrap();
    let permit = policy.permit_node("G", "E").unwrap();
    let topic = EntityTopic::birth(Entity::node("G", "E"));
    let kind = AdmittedKind::Message(flags);
    let admitted = Admitted::new(permit, "", topic, payload, 0, kind);
    let now = worker.clock.now();
    let told = capture(|| assert!(worker.push(now, &mut vec![Entry::Plant(admitted)])));
    triggered(&told, Event::FrameTooLarge);
}

fn delivered(packet_id: u16, topic: &'static str, seq: u64, metrics: Vec<Metric>) -> Delivered {
    let payload = Payload { timestamp: Some(1), seq: Some(seq), metrics, ..Payload::default() };
    Delivered {
        topic: Bytes::from_static(topic.as_bytes()),
        payload: payload.encode_to_vec().into(),
        retain: false,
        dup: false,
        unread: None,
        of_other_shard: false,
        receipt: Some(Receipt::numbered(packet_id)),
    }
}

fn arrived(messages: Vec<Delivered>) -> Work {
    Work::Messages { arrived: Now::default(), messages }
}

impl Running {
    fn deliver(&self, packet_id: u16, topic: &'static str, seq: u64, metrics: Vec<Metric>) {
        let delivered = delivered(packet_id, topic, seq, metrics);
        self.work.send(arrived(vec![delivered])).unwrap();
    }

    fn released(&mut self, count: usize) -> Vec<u16> {
        let mut numbers = Vec::new();
        while numbers.len() < count {
            let batch = self.receipts.blocking_recv().expect("the worker runs");
            numbers.extend(batch.iter().map(Receipt::number));
        }
        numbers
    }

    fn stop(self) {
        self.work.send(Work::Stop).unwrap();
        self.thread.join().unwrap();
    }
}

fn topics(dir: &Path) -> Vec<String> {
    let (topics, lost) = topics_and_losses(dir);
    assert_eq!(lost, 0);
    topics
}

fn topics_and_losses(dir: &Path) -> (Vec<String>, u64) {
    let mut lost = 0_u64;
    let mut reader = Reader::open(&dir.join("journal"), From::Oldest).unwrap();
    let mut topics = Vec::new();
    while let Some(item) = reader.next().unwrap() {
        let frame = match item {
            Item::Frame(frame) | Item::Late(frame) => frame,
            Item::Lost(frames) => {
                lost = lost.saturating_add(frames.frames());
                continue;
            }
        };
        match frame.body {
            Some(Body::Relayed(relayed)) => topics.push(relayed.topic),
            Some(Body::Keyframe(keyframe)) => topics.push(format!("keyframe {}", keyframe.topic)),
            _ => {}
        }
    }
    (topics, lost)
}

fn birth() -> Vec<Metric> {
    vec![Metric {
        name: Some("x".into()),
        alias: Some(7),
        datatype: Some(DataType::Int32.code()),
        value: Some(Value::Int(1)),
        ..Metric::default()
    }]
}

fn data(value: u32) -> Vec<Metric> {
    vec![Metric { alias: Some(7), value: Some(Value::Int(value)), ..Metric::default() }]
}

#[test]
fn receipts_come_in_order_after_their_messages_are_in_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = start(dir.path());
    running.work.send(Work::Connected { present: false }).unwrap();
    running.deliver(1, "spBv1.0/G/NBIRTH/E", 0, birth());
    assert_eq!(running.released(1), [1]);
    assert_eq!(topics(dir.path()), ["spBv1.0/G/NBIRTH/E"]);
    // A birth is owed to the stored plant too: it is there before the receipt.
    assert!(dir.path().join("state/plant.state").exists());
    for packet_id in 2..20 {
        running.deliver(packet_id, "spBv1.0/G/NDATA/E", u64::from(packet_id) - 1, data(1));
    }
    assert_eq!(running.released(18), (2..20).collect::<Vec<_>>());
    assert_eq!(topics(dir.path()).len(), 19);
    running.stop();
}

#[test]
fn a_new_start_goes_on_with_the_plant_of_the_last_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = start(dir.path());
    running.deliver(1, "spBv1.0/G/NBIRTH/E", 0, birth());
    running.released(1);
    running.stop();

    let mut running = start(dir.path());
    running.work.send(Work::Connected { present: true }).unwrap();
    running.deliver(2, "spBv1.0/G/NDATA/E", 1, data(5));
    running.released(1);
    running.stop();
    // The start repeats the node. Another keyframe tells the doubt, with a tick, which may come
    // before the data, after it or with the stop.
    let (keyframes, relayed): (Vec<_>, Vec<_>) =
        topics(dir.path()).into_iter().partition(|topic| topic.starts_with("keyframe "));
    assert_eq!(relayed, ["spBv1.0/G/NBIRTH/E", "spBv1.0/G/NDATA/E"]);
    assert!(keyframes.iter().all(|topic| topic == "keyframe spBv1.0/G/NBIRTH/E"));
    assert!(!keyframes.is_empty());
}

#[test]
fn receipts_wait_for_a_message_that_waits_for_its_turn() {
    let dir = tempfile::tempdir().unwrap();
    let (mut worker, work, mut receipts) = build(dir.path());
    let mut deliver = |packet_id: u16, topic: &'static str, seq, metrics| {
        let payload = Payload { timestamp: Some(1), seq: Some(seq), metrics, ..Payload::default() };
        let delivered = Delivered {
            topic: Bytes::from_static(topic.as_bytes()),
            payload: payload.encode_to_vec().into(),
            retain: false,
            dup: false,
            unread: None,
            of_other_shard: false,
            receipt: Some(Receipt::numbered(packet_id)),
        };
        let (now, mut out) = (worker.clock.now(), Vec::new());
        worker.handle_message(now, delivered, &mut out);
        if topic.contains("NBIRTH") {
            // What is told later is told against it.
            assert!(worker.push(now, &mut out));
        }
        worker.release_waiting();
        worker.unreleased.drain(..).map(|receipt| receipt.number()).collect::<Vec<_>>()
    };
    assert_eq!(deliver(1, "spBv1.0/G/NBIRTH/E", 0, birth()), [1]);
    assert_eq!(deliver(2, "spBv1.0/G/NBIRTH/F", 0, birth()), [2]);
    assert!(deliver(3, "spBv1.0/G/NDATA/E", 2, data(2)).is_empty(), "it isn't in the journal");
    assert!(deliver(4, "spBv1.0/G/NDATA/F", 1, data(1)).is_empty(), "it is behind that one");
    assert_eq!(deliver(5, "spBv1.0/G/NDATA/E", 1, data(1)), [3, 4, 5]);
    // A stop judges what waits, and acknowledges it.
    assert!(deliver(6, "spBv1.0/G/NDATA/E", 4, data(4)).is_empty());
    work.send(Work::Stop).unwrap();
    std::thread::spawn(move || worker.run()).join().unwrap();
    let released = receipts.blocking_recv().unwrap();
    assert_eq!(released.iter().map(Receipt::number).collect::<Vec<_>>(), [6]);
    let data = topics(dir.path()).into_iter().filter(|topic| topic == "spBv1.0/G/NDATA/E");
    assert_eq!(data.count(), 1);
}

#[test]
fn a_broker_that_waits_for_receipts_gets_them() {
    let dir = tempfile::tempdir().unwrap();
    // Nothing here waits for it.
    let mut running = start_with(dir.path(), Duration::from_secs(3_600));
    running.deliver(1, "spBv1.0/G/NBIRTH/E", 0, birth());
    running.deliver(2, "spBv1.0/G/NBIRTH/F", 0, birth());
    running.released(2);
    // 1 of E is lost, and the broker sends no more than this before it has receipts.
    running.deliver(3, "spBv1.0/G/NDATA/E", 2, data(2));
    for packet_id in 4..23 {
        running.deliver(packet_id, "spBv1.0/G/NDATA/F", u64::from(packet_id) - 3, data(1));
    }
    assert_eq!(running.released(20), (3..23).collect::<Vec<_>>());
    running.stop();
}

#[test]
fn a_stop_journals_and_releases_what_came_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = start(dir.path());
    running.deliver(1, "spBv1.0/G/NBIRTH/E", 0, birth());
    for packet_id in 2..10 {
        running.deliver(packet_id, "spBv1.0/G/NDATA/E", u64::from(packet_id) - 1, data(1));
    }
    running.work.send(Work::Stop).unwrap();
    assert_eq!(running.released(9).len(), 9);
    running.thread.join().unwrap();
    assert_eq!(topics(dir.path()).len(), 9);
}

/// A node that is born, and two starts later, each with a segment of its own; the plant that was
/// stored after the birth is put back, as if no later one had been written.
fn with_an_old_plant(dir: &Path) {
    let mut running = start(dir);
    running.work.send(Work::Connected { present: false }).unwrap();
    running.deliver(1, "spBv1.0/G/NBIRTH/E", 0, birth());
    assert_eq!(running.released(1), [1]);
    running.stop();
    let plant = dir.join("state/plant.state");
    let old = std::fs::read(&plant).unwrap();
    let mut running = start(dir);
    running.work.send(Work::Connected { present: true }).unwrap();
    running.deliver(2, "spBv1.0/G/NDATA/E", 1, data(5));
    assert_eq!(running.released(1), [2]);
    running.stop();
    start(dir).stop();
    std::fs::write(&plant, old).unwrap();
}

/// Starts again, and delivers data by alias; how many data and how many deaths the journal has.
fn goes_on(dir: &Path) -> (usize, usize) {
    let mut running = start(dir);
    running.work.send(Work::Connected { present: true }).unwrap();
    running.deliver(3, "spBv1.0/G/NDATA/E", 2, data(6));
    assert_eq!(running.released(1), [3]);
    running.stop();
    let (topics, _) = topics_and_losses(dir);
    let count = |verb| topics.iter().filter(|topic| topic.contains(verb)).count();
    (count("NDATA"), count("NDEATH"))
}

#[test]
fn a_plant_that_was_stored_segments_ago_is_known() {
    let dir = tempfile::tempdir().unwrap();
    with_an_old_plant(dir.path());
    assert_eq!(goes_on(dir.path()), (2, 0));
}

#[test]
fn a_stored_plant_that_is_older_than_the_journal_is_not_believed() {
    // The segment that follows the stored plant is gone, or a frame of it can't be read: there
    // the alias could have moved.
    for gone in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        with_an_old_plant(dir.path());
        let segment = |number: usize| {
            let journal = std::fs::read_dir(dir.path().join("journal")).unwrap();
            let mut paths: Vec<_> = journal.map(|entry| entry.unwrap().path()).collect();
            paths.retain(|path| path.extension().is_some_and(|suffix| suffix == "sdj"));
            paths.sort();
            paths.remove(number)
        };
        if gone {
            std::fs::remove_file(segment(0)).unwrap();
            std::fs::remove_file(segment(0)).unwrap();
        } else {
            let path = segment(1);
            let mut bytes = std::fs::read(&path).unwrap();
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            std::fs::write(&path, bytes).unwrap();
        }
        let (data, deaths) = goes_on(dir.path());
        assert!(data <= 1, "data by alias must wait for a birth");
        assert_eq!(deaths, 1, "{gone}");
    }
}

#[test]
fn a_new_segment_has_the_plant_stored() {
    let dir = tempfile::tempdir().unwrap();
    let (mut worker, _work, _receipts) = build(dir.path());
    let now = worker.clock.now();
    let plant = dir.path().join("state/plant.state");
    // At the start, and with each segment that follows.
    for _ in 0..2 {
        let _ = std::fs::remove_file(&plant);
        worker.store(now);
        let saved = worker.storing.saved_by().unwrap().recv().unwrap();
        worker.storing.saved(now, &saved);
        assert!(plant.exists());
        assert!(worker.storing.due().is_none());
        worker.begin_segment(now).unwrap();
        assert!(worker.storing.due().is_some());
    }
}

#[test]
fn a_sign_of_life_goes_through_the_journal_and_a_worker_that_stands_still_gives_none() {
    let dir = tempfile::tempdir().unwrap();
    let (worker, work, mut receipts) = build(dir.path());
    let manager = UnixDatagram::bind(dir.path().join("notify")).unwrap();
    manager.set_nonblocking(true).unwrap();
    let path = dir.path().join("notify");
    let notifier = Notifier::to(path.as_os_str(), Some(Duration::from_secs(1))).unwrap();
    let settings = StatusSettings {
        every: Duration::from_secs(60),
        summary_every: Duration::from_secs(60),
        textfile: None,
        broker_name: telemetry::status::BrokerName::default(),
        certificates: tls::Certificates::default(),
        concern: telemetry::status::Concern::default(),
        any_owner: false,
    };
    let (state, at) = (dir.path().join("state"), Duration::ZERO);
    let emitter = StatusEmitter::start("ot", settings, state, notifier.clone(), at, 1).unwrap();
    let worker =
        worker.with_status_reporter(StatusReporter::new("relay".into(), emitter, notifier));
    work.send(arrived(vec![Delivered {
        topic: Bytes::from_static(b"spBv1.0/G/NBIRTH/E"),
        payload: Bytes::from_static(b"no payload"),
        retain: false,
        dup: false,
        unread: None,
        of_other_shard: false,
        receipt: Some(Receipt::numbered(1)),
    }]))
    .unwrap();
    work.send(Work::WatchdogRequest).unwrap();
    let mut bytes = [0; 512];
    let nothing = manager.recv(&mut bytes).unwrap_err();
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock, "nobody works");

    work.send(Work::Stop).unwrap();
    std::thread::spawn(move || worker.run()).join().unwrap();
    assert_eq!(receipts.blocking_recv().map(|batch| batch.len()), Some(1));
    let mut said = Vec::new();
    while let Ok(length) = manager.recv(&mut bytes) {
        said.push(String::from_utf8_lossy(&bytes[..length]).into_owned());
    }
    assert_eq!(said.iter().filter(|words| *words == "WATCHDOG=1\n").count(), 1, "{said:?}");
    // The worker's end waits for the status.
    let text = std::fs::read(dir.path().join("state/status.json")).unwrap();
    let status: Status = serde_json::from_slice(&text).unwrap();
    assert_eq!((status.account.received, status.account.dropped), (1, 1));
    assert!(status.account.balances);
}

#[test]
fn a_clock_that_jumps_forward_makes_no_segment_old() {
    let at =
        |mono_s, wall_s: u64| Now { mono: Duration::from_secs(mono_s), wall_ms: wall_s * 1_000 };
    let started = at(10, 1_000_000);
    assert_eq!(retention_ms(started, at(70, 1_000_060)), 1_000_060_000);
    let year = 365 * 86_400;
    assert_eq!(retention_ms(started, at(70, 1_000_060 + year)), 1_000_060_000);
    // Backwards, nothing is as old as it was.
    assert_eq!(retention_ms(started, at(70, 996_460)), 996_460_000);
}
