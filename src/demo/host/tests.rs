//! What the demo's host must see.
#![expect(clippy::arithmetic_side_effects, reason = "numbers of a test")]

use prost::Message;
use sparkplug::DataType;

use super::*;

const WALL_US: u64 = 1_800_000_000_000_000;

fn metric(name: &str, datatype: Option<DataType>, value: Value) -> Metric {
    Metric {
        name: Some(name.into()),
        timestamp: Some(WALL_US / 1_000),
        datatype: datatype.map(DataType::code),
        value: Some(value),
        ..Metric::default()
    }
}

fn bd_seq(value: u64) -> Metric {
    metric("bdSeq", Some(DataType::Int64), Value::Long(value))
}

/// A host that has seen a whole birth of a node with one device.
struct Scene {
    host: Host,
    /// A millisecond passes with each message.
    now_ms: u64,
}

impl Scene {
    fn new(forbidden: &[&str]) -> Scene {
        Scene { host: Host::new(forbidden, &[]), now_ms: WALL_US / 1_000 }
    }

    fn born() -> Scene {
        let mut scene = Scene::new(&["Recipe"]);
        scene.node_birth(0);
        let speed = metric("Speed", Some(DataType::Float), Value::Float(1.0));
        scene.send("spBv1.0/g/DBIRTH/n/d", Some(1), vec![speed]);
        assert_eq!(scene.host.violations, Vec::<String>::new());
        scene
    }

    fn node_birth(&mut self, number: u64) {
        let rebirth = Some(DataType::Boolean);
        let rebirth = metric("Node Control/Rebirth", rebirth, Value::Boolean(false));
        self.send("spBv1.0/g/NBIRTH/n", Some(0), vec![bd_seq(number), rebirth]);
    }

    fn send(&mut self, topic: &str, seq: Option<u64>, metrics: Vec<Metric>) {
        self.now_ms += 1;
        let timestamp = Some(self.now_ms);
        let payload = Payload { timestamp, metrics, seq, ..Payload::default() };
        self.host.handle(Arrival {
            at: Duration::ZERO,
            wall_us: self.now_ms * 1_000,
            topic,
            payload: &payload.encode_to_vec(),
            retain: false,
        });
    }

    /// The violations of one data message of the device with `seq`.
    fn data(&mut self, seq: u64, metric: Metric) -> Vec<String> {
        self.send("spBv1.0/g/DDATA/n/d", Some(seq), vec![metric]);
        std::mem::take(&mut self.host.violations)
    }

    #[track_caller]
    fn expect(&mut self, word: &str) {
        let violations = std::mem::take(&mut self.host.violations);
        assert!(violations.iter().any(|text| text.contains(word)), "{word}: {violations:?}");
    }
}

fn speed(value: f32) -> Metric {
    metric("Speed", None, Value::Float(value))
}

#[test]
fn a_session_by_the_book_is_without_violation() {
    let mut scene = Scene::born();
    assert_eq!(scene.data(2, speed(2.0)), Vec::<String>::new());
    scene.send("spBv1.0/g/NDEATH/n", None, vec![bd_seq(0)]);
    scene.node_birth(1);
    assert_eq!(scene.host.violations, Vec::<String>::new());
    let node = &scene.host.nodes()["n"];
    assert_eq!((node.births, node.deaths, node.data), (2, 1, 1));
    assert_eq!(node.value(Some("d"), "Speed"), Some(&Value::Float(2.0)));
}

#[test]
fn a_sequence_number_that_is_skipped_or_repeated_is_seen() {
    for wrong in [3, 1, 0, 258] {
        let mut scene = Scene::born();
        assert!(scene.data(wrong, speed(2.0))[0].contains("seq 2 was due"), "{wrong}");
    }
}

#[test]
fn sequence_numbers_go_round_at_256() {
    let mut scene = Scene::born();
    for seq in 2..=600 {
        assert_eq!(scene.data(seq % 256, speed(seq as f32)), Vec::<String>::new());
    }
}

#[test]
fn data_without_its_birth_is_seen() {
    let mut scene = Scene::born();
    assert!(scene.data(2, metric("Other", None, Value::Float(1.0)))[0].contains("birth"));
    assert!(scene.data(3, metric("Speed", None, Value::Int(1)))[0].contains("no Float"));
    scene.send("spBv1.0/g/DDATA/n/unborn", Some(4), vec![speed(1.0)]);
    scene.expect("data before its birth");
    scene.send("spBv1.0/g/NDATA/unborn", Some(0), vec![speed(1.0)]);
    scene.expect("no NBIRTH");
    scene.send("spBv1.0/g/NDEATH/n", None, vec![bd_seq(0)]);
    scene.send("spBv1.0/g/DDATA/n/d", Some(5), vec![speed(1.0)]);
    scene.expect("no NBIRTH");
}

#[test]
fn deaths_and_births_with_the_wrong_bd_seq_are_seen() {
    let mut scene = Scene::born();
    scene.node_birth(1);
    scene.expect("another bdSeq");
    let mut scene = Scene::born();
    scene.send("spBv1.0/g/NDEATH/n", None, vec![bd_seq(1)]);
    scene.expect("born with");
    scene.node_birth(0);
    scene.expect("after a session");
}

#[test]
fn aliases_missing_timestamps_and_denied_words_are_seen() {
    let mut scene = Scene::born();
    let alias = Metric { alias: Some(1), ..speed(1.0) };
    assert!(scene.data(2, alias)[0].contains("alias"));
    let timeless = Metric { timestamp: None, ..speed(1.0) };
    assert!(scene.data(3, timeless)[0].contains("timestamp"));
    let empty = Metric { value: None, ..speed(1.0) };
    assert!(scene.data(4, empty)[0].contains("is_null"));
    let secret = metric("Recipe/Sugar", None, Value::Float(1.0));
    assert!(scene.data(5, secret)[0].contains("denied"));
}

#[test]
fn lost_and_repeated_messages_are_counted_and_those_within_a_birth_are_not_missed() {
    let mut scene = Scene::new(&[]);
    scene.node_birth(0);
    let count = |value, datatype| metric(COUNT, datatype, Value::Long(value));
    let born = |value| vec![count(value, Some(DataType::UInt64))];
    scene.send("spBv1.0/g/DBIRTH/n/d", Some(1), born(7));
    scene.data(2, count(8, None));
    assert_eq!((scene.host.nodes()["n"].lost(), scene.host.nodes()["n"].repeated), (0, 0));
    scene.data(3, count(11, None));
    scene.data(4, count(11, None));
    assert_eq!((scene.host.nodes()["n"].lost(), scene.host.nodes()["n"].repeated), (2, 1));
    // What comes as history isn't lost, whether it was missed before or not.
    let late = |value| Metric { is_historical: Some(true), ..count(value, None) };
    scene.data(5, late(10));
    assert_eq!((scene.host.nodes()["n"].lost(), scene.host.nodes()["n"].made_up()), (1, 1));
    scene.data(6, late(12));
    scene.data(7, count(13, None));
    assert_eq!((scene.host.nodes()["n"].lost(), scene.host.nodes()["n"].made_up()), (1, 2));
    scene.node_birth(0);
    scene.send("spBv1.0/g/DBIRTH/n/d", Some(1), born(20));
    scene.data(2, count(21, None));
    assert_eq!((scene.host.nodes()["n"].lost(), scene.host.nodes()["n"].repeated), (1, 1));
    assert_eq!(scene.host.violations, Vec::<String>::new());
}
