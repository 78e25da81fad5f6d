//! Messages whose number, time and assurance contradict each other: what can't be told is in doubt, and
//! nothing is forgotten for it.

use account::Reason;
use journal_format::Body;
use prost::Message;
use sparkplug::{DataType, Metric, Payload, Value};

use super::bench::{ALL, Bench, bd_seq, by_name, keyframe, typed, value_of, verbs, wait};

const NODE: &str = "spBv1.0/G/NBIRTH/E";
const DEVICE: &str = "spBv1.0/G/DBIRTH/E/D";

fn x(value: u32) -> Vec<Metric> {
    vec![typed("x", DataType::Int32, Value::Int(value))]
}

fn birth(number: u64, value: u32) -> Vec<Metric> {
    let mut metrics = x(value);
    metrics.insert(0, bd_seq(number));
    metrics
}

fn send(bench: &mut Bench, topic: &str, seq: u64, sent: u64, metrics: Vec<Metric>) -> String {
    let payload = Payload { timestamp: Some(sent), seq: Some(seq), metrics, ..Payload::default() };
    verbs(&bench.send(topic, &payload))
}

fn is_doubted(bench: &Bench, topic: &str) -> bool {
    keyframe(bench, topic).unwrap().uncertain
}

#[test]
fn births_at_qos_1_say_nothing_of_data_at_qos_0_that_was_lost() {
    let untimed = |bench: &mut Bench, topic: &str| {
        let payload = Payload { metrics: x(1), ..Payload::default() };
        bench.send(topic, &payload);
    };
    for has_data in [false, true] {
        let mut bench = Bench::new(ALL);
        bench.assured = true;
        let payload = Payload { metrics: birth(1, 1), ..Payload::default() };
        bench.send(NODE, &payload);
        if has_data {
            untimed(&mut bench, "spBv1.0/G/NDATA/E");
        }
        bench.pipeline.disconnected(bench.now);
        bench.pipeline.session(bench.now, true);
        bench.tick();
        untimed(&mut bench, DEVICE);
        assert_eq!(is_doubted(&bench, NODE), !has_data, "a birth was queued; was data?");
        untimed(&mut bench, "spBv1.0/G/NDATA/E");
        assert!(!is_doubted(&bench, NODE), "data is queued, so what was sent came");
    }
}

#[test]
fn of_two_messages_with_one_number_the_first_is_of_a_session_before() {
    let mut bench = Bench::new(ALL);
    let sent = bench.now.wall_ms;
    send(&mut bench, NODE, 0, sent, birth(1, 1));
    let data = |name: &str| vec![typed(name, DataType::Int32, Value::Int(5))];
    send(&mut bench, NODE, 0, sent + 1, [birth(2, 1), data("y")].concat());
    // 1 to 3 were lost; then the node was born again, unheard, and counted up to 4 once more.
    send(&mut bench, "spBv1.0/G/NDATA/E", 4, sent + 2, vec![by_name("x", Value::Int(7))]);
    send(&mut bench, "spBv1.0/G/NDATA/E", 4, sent + 3, vec![by_name("y", Value::Int(8))]);
    wait(&mut bench);
    let told = bench.journal.iter().rev().filter_map(|body| match body {
        Body::Relayed(relayed) if relayed.topic.contains("NDATA") => Some(relayed.outdated),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [false, true], "the newest first");
}

#[test]
fn a_birth_that_is_older_by_number_and_newer_by_time_leaves_its_device_in_doubt() {
    let mut bench = Bench::new(ALL);
    let sent = bench.now.wall_ms;
    send(&mut bench, NODE, 0, sent, birth(1, 1));
    send(&mut bench, DEVICE, 1, sent, x(1));
    send(&mut bench, DEVICE, 3, sent + 10, x(3));
    wait(&mut bench);
    send(&mut bench, "spBv1.0/G/DDATA/E/D", 4, sent + 11, vec![by_name("x", Value::Int(4))]);
    // Of the rebirth whose NBIRTH is yet to come.
    assert_eq!(send(&mut bench, DEVICE, 2, sent + 20, x(5)), "");
    assert_eq!(bench.dropped(Reason::Late), 1);
    bench.tick();
    assert!(is_doubted(&bench, DEVICE));
    send(&mut bench, NODE, 1, sent + 20, birth(1, 6));
    bench.tick();
    let device = keyframe(&bench, DEVICE).expect("its birth came before that of its node");
    let shown = Payload::decode(&*device.payload).unwrap();
    assert_eq!(value_of(&shown, "x"), Some(Value::Int(5)));
}

#[test]
fn a_birth_that_waited_in_vain_and_is_older_by_its_time_is_in_doubt() {
    // By more than a message may be late: otherwise it is dropped.
    for (sent_before, is_older) in [(2_500, true), (0, false)] {
        let mut bench = Bench::new(ALL);
        let sent = bench.now.wall_ms;
        send(&mut bench, NODE, 0, sent, birth(1, 1));
        send(&mut bench, DEVICE, 1, sent, x(1));
        send(&mut bench, DEVICE, 8, sent - sent_before, x(3));
        wait(&mut bench);
        assert_eq!(is_doubted(&bench, DEVICE), is_older);
    }
}

#[test]
fn a_node_that_rests_while_no_rule_selects_it_is_known_when_one_does() {
    let mut bench = Bench::new(ALL);
    bench.node("NBIRTH", birth(1, 1));
    bench.node("DBIRTH/D", x(1));
    bench.pipeline.disconnected(bench.now);
    bench.pipeline.session(bench.now, false);
    for _ in 0..700 {
        bench.pass(1_000);
        bench.tick();
    }
    assert_eq!(keyframe(&bench, NODE), None, "nothing is heard of it");
    bench.reload("");
    bench.tick();
    bench.reload(ALL);
    bench.tick();
    let frames = bench.node("NDATA", vec![by_name("x", Value::Int(2))]);
    assert!(verbs(&frames).starts_with("NBIRTH"), "{}", verbs(&frames));
    let frames = bench.node("DDATA/D", vec![by_name("x", Value::Int(2))]);
    assert!(verbs(&frames).contains("DBIRTH"), "{}", verbs(&frames));
}

/// A node that comes while news is spread takes nobody's turn.
#[test]
fn every_node_hears_of_an_outage_though_another_one_comes_meanwhile() {
    let mut bench = Bench::new(ALL);
    bench.node("NBIRTH", birth(1, 1));
    bench.pipeline.disconnected(bench.now);
    bench.pipeline.session(bench.now, false);
    bench.tick();
    bench.node("NBIRTH", birth(1, 2));
    assert!(!is_doubted(&bench, NODE));
    bench.pipeline.disconnected(bench.now);
    bench.pipeline.session(bench.now, false);
    let sent = bench.now.wall_ms;
    for node in 0..3 {
        send(&mut bench, &format!("spBv1.0/G/NBIRTH/F{node}"), 0, sent, birth(1, 1));
    }
    bench.tick();
    assert!(is_doubted(&bench, NODE));
}

/// Its payload says when it was sent at last, its metrics when their values were.
#[test]
fn a_message_with_a_number_that_was_given_up_sets_nothing_back_though_it_was_sent_last() {
    let mut bench = Bench::new(ALL);
    let sent = bench.now.wall_ms;
    send(&mut bench, NODE, 0, sent, birth(1, 1));
    send(&mut bench, "spBv1.0/G/NDATA/E", 1, sent + 10, vec![by_name("x", Value::Int(2))]);
    send(&mut bench, "spBv1.0/G/NDATA/E", 3, sent + 10, vec![by_name("x", Value::Int(4))]);
    wait(&mut bench);
    let gaps = bench.pipeline.counters().gaps;
    let old = Metric { timestamp: Some(sent + 10), ..by_name("x", Value::Int(3)) };
    send(&mut bench, "spBv1.0/G/NDATA/E", 2, sent + 3_000, vec![old]);
    send(&mut bench, "spBv1.0/G/NDATA/E", 4, sent + 3_001, vec![by_name("y", Value::Int(5))]);
    wait(&mut bench);
    assert_eq!(bench.pipeline.counters().gaps, gaps, "one gap");
    let frame = keyframe(&bench, NODE).unwrap();
    let shown = Payload::decode(&*frame.payload).unwrap();
    assert_eq!(value_of(&shown, "x"), Some(Value::Int(4)));
}
