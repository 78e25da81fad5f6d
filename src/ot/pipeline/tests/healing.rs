//! Keyframes, heartbeats, late births, stored births, sessions.

use account::Reason;
use journal_format::Body;
use sparkplug::{DataType, Metric, Payload, Value};

use super::bench::{
    ALL, Bench, aliased, bd_seq, by_alias, by_name, keyframed, names_of, payload, relayed, typed,
    value_of, verbs,
};
use crate::Entry;

fn keyframe_payload(body: &journal_format::Keyframe) -> Payload {
    prost::Message::decode(body.payload.as_slice()).unwrap()
}

fn birth(alias: u64) -> Vec<Metric> {
    vec![bd_seq(1), aliased("temp", alias, DataType::Double, Value::Double(20.0))]
}

#[test]
fn keyframes_repeat_the_birth_with_current_values_within_the_interval() {
    let mut bench = Bench::new(ALL);
    bench.node("NBIRTH", birth(1));
    bench.node("DBIRTH/D", vec![aliased("x", 1, DataType::Int8, Value::Int(1))]);
    bench.node("NDATA", vec![by_alias(1, Value::Double(21.0))]);
    let mut seen = Vec::new();
    for _ in 0..600 {
        bench.pass(100);
        seen.extend(keyframed(&bench.tick()));
    }
    assert_eq!(seen.len(), 4);
    assert_eq!(seen[0].topic, "spBv1.0/G/NBIRTH/E");
    assert_eq!(seen[0].devices, ["D"]);
    assert_eq!(seen[1].topic, "spBv1.0/G/DBIRTH/E/D");
    assert_eq!(value_of(&keyframe_payload(&seen[0]), "temp"), Some(Value::Double(21.0)));
    // Segment heads have the same.
    assert_eq!(bench.pipeline.keyframes(bench.now).count(), 2);
    bench.node("NDEATH", vec![bd_seq(1)]);
    assert_eq!(bench.pipeline.keyframes(bench.now).count(), 0);
}

#[test]
fn a_heartbeat_a_second_tells_account_and_connection() {
    let mut bench = Bench::new(ALL);
    bench.node("NBIRTH", birth(1));
    let mut out = Vec::new();
    bench.pipeline.tick(bench.now, &mut out);
    bench.pass(900);
    bench.pipeline.tick(bench.now, &mut out);
    bench.pipeline.disconnected(bench.now);
    bench.pipeline.tick(bench.now, &mut out);
    bench.pass(1250);
    bench.pipeline.tick(bench.now, &mut out);
    let heartbeats: Vec<_> = out
        .iter()
        .filter_map(|entry| match entry {
            Entry::Heartbeat(heartbeat) => Some(heartbeat),
            _ => None,
        })
        .collect();
    assert_eq!(heartbeats.len(), 3);
    assert!(heartbeats[0].ot_connected);
    assert_eq!((heartbeats[0].received, heartbeats[0].nodes), (1, 1));
    assert!(!heartbeats[1].ot_connected);
    assert_eq!(heartbeats[1].ot_away_ms, 0);
    assert_eq!(heartbeats[2].ot_away_ms, 1250);
    assert_eq!(heartbeats[0].policy_digest, bench.pipeline.policy().digest());
}

#[test]
fn a_metric_that_data_brings_first_is_born_before_its_data() {
    let mut bench = Bench::new(ALL);
    bench.node("NBIRTH", birth(1));
    bench.node("DBIRTH/D", vec![typed("x", DataType::Int8, Value::Int(1))]);
    let new = |name: &str, value| typed(name, DataType::Int32, Value::Int(value));
    let frames = bench.node("DDATA/D", vec![new("late", 1), by_name("x", Value::Int(2))]);
    assert_eq!(verbs(&frames), "DBIRTH DDATA");
    assert!(frames[0].synthetic && !frames[1].synthetic);
    assert_eq!(value_of(&payload(&frames[0]), "late"), Some(Value::Int(1)));
    assert_eq!(names_of(&payload(&frames[1])), ["x"]);

    // The next one has to wait a second, with the newest of its values.
    assert!(bench.node("DDATA/D", vec![new("later", 1)]).is_empty());
    assert!(bench.node("DDATA/D", vec![new("later", 2)]).is_empty());
    assert_eq!(bench.pipeline.account().waiting, 2);
    assert_eq!(bench.node("DDATA/D", vec![by_name("x", Value::Int(3))]).len(), 1);
    bench.pass(1000);
    let frames = relayed(&bench.tick());
    assert_eq!(verbs(&frames), "DBIRTH");
    assert_eq!(value_of(&payload(&frames[0]), "later"), Some(Value::Int(2)));
    assert_eq!(bench.pipeline.account().waiting, 0);
    assert_eq!(verbs(&bench.node("DDATA/D", vec![by_name("later", Value::Int(3))])), "DDATA");

    // On the node itself it takes the whole sequence.
    bench.pass(1000);
    assert_eq!(verbs(&bench.node("NDATA", vec![new("late", 1)])), "NBIRTH DBIRTH");
    // Untyped or unknown by alias: nothing can be made of it.
    bench.pass(1000);
    assert!(bench.node("NDATA", vec![by_name("untyped", Value::Int(1))]).is_empty());
    assert_eq!(bench.dropped(Reason::UnknownMetric), 1);
}

#[test]
fn waiting_messages_of_a_node_that_dies_are_dropped() {
    let mut bench = Bench::new(ALL);
    bench.node("NBIRTH", birth(1));
    bench.node("NDATA", vec![typed("a", DataType::Int32, Value::Int(1))]);
    bench.node("NDATA", vec![typed("b", DataType::Int32, Value::Int(1))]);
    assert_eq!(bench.pipeline.account().waiting, 1);
    bench.node("NDEATH", vec![bd_seq(1)]);
    assert_eq!(bench.pipeline.account().waiting, 0);
    assert_eq!(bench.dropped(Reason::UnknownMetric), 1);
}

fn stored(bench: &mut Bench, topic: &str, timestamp: u64, metrics: Vec<Metric>) {
    let payload =
        Payload { timestamp: Some(timestamp), seq: Some(0), metrics, ..Payload::default() };
    let stored = format!("$sparkplug/certificates/{topic}");
    assert!(bench.deliver(&stored, &payload, true, false).is_empty());
}

#[test]
fn a_stored_birth_teaches_and_the_first_live_message_revives() {
    let mut bench = Bench::new(ALL);
    let device = vec![aliased("x", 1, DataType::Int8, Value::Int(1))];
    // A broker may deliver the device's birth first.
    stored(&mut bench, "spBv1.0/G/DBIRTH/E/D", 100, device.clone());
    stored(&mut bench, "spBv1.0/G/DBIRTH/E/Old", 90, device);
    stored(&mut bench, "spBv1.0/G/NBIRTH/E", 100, birth(1));
    assert_eq!(bench.dropped(Reason::StoredBirth), 3);
    assert_eq!(bench.pipeline.keyframes(bench.now).count(), 0);

    bench.seq = 17;
    let frames = bench.node("DDATA/D", vec![by_alias(1, Value::Int(2))]);
    assert_eq!(verbs(&frames), "NBIRTH DBIRTH DDATA");
    assert!(frames[0].synthetic && frames[1].synthetic && !frames[2].synthetic);
    // Nobody knows how old the other values are.
    assert!(frames[2].loss_before);
    let frames = bench.node("NDATA", vec![by_alias(1, Value::Double(2.0))]);
    assert_eq!(verbs(&frames), "NDATA");
    // The device of an earlier session stays unknown.
    assert!(bench.node("DDATA/Old", vec![by_alias(1, Value::Int(2))]).is_empty());
    assert_eq!(bench.pipeline.counters().gaps, 0);
}

#[test]
fn a_retained_birth_is_a_stored_one() {
    let mut bench = Bench::new(ALL);
    let payload = Payload { seq: Some(0), metrics: birth(1), ..Payload::default() };
    assert!(bench.deliver("spBv1.0/G/NBIRTH/E", &payload, true, false).is_empty());
    bench.seq = 3;
    let frames = bench.node("NDATA", vec![by_alias(1, Value::Double(2.0))]);
    assert_eq!(verbs(&frames), "NBIRTH NDATA");
}

#[test]
fn a_stored_birth_that_the_first_message_contradicts_is_forgotten() {
    for contradiction in [by_alias(9, Value::Double(1.0)), by_alias(1, Value::Int(1))] {
        let mut bench = Bench::new(ALL);
        stored(&mut bench, "spBv1.0/G/NBIRTH/E", 100, birth(1));
        assert!(bench.node("NDATA", vec![contradiction]).is_empty());
        assert!(bench.node("NDATA", vec![by_alias(1, Value::Double(1.0))]).is_empty());
        bench.pass(2000);
        bench.tick();
        assert_eq!(bench.dropped(Reason::DataBeforeBirth), 2);
        assert!(bench.journal.is_empty());
    }
}

#[test]
fn a_stored_birth_does_not_disturb_a_live_node() {
    let mut bench = Bench::new(ALL);
    bench.node("NBIRTH", birth(1));
    stored(&mut bench, "spBv1.0/G/NBIRTH/E", u64::MAX, birth(2));
    let frames = bench.node("NDATA", vec![by_alias(1, Value::Double(2.0))]);
    assert_eq!(names_of(&payload(&frames[0])), ["temp"]);
}

#[test]
fn sessions_that_do_not_last_are_no_presence() {
    let mut bench = Bench::new(ALL);
    bench.pass(60_000);
    let says = |bench: &Bench| {
        let heartbeat = bench.pipeline.heartbeat(bench.now);
        (heartbeat.ot_connected, heartbeat.ot_away_ms)
    };
    assert_eq!(says(&bench), (true, 0));
    // Cut once: the next session counts at once.
    bench.pipeline.disconnected(bench.now);
    bench.pass(1_000);
    assert_eq!(says(&bench), (false, 1_000));
    bench.pipeline.session(bench.now, true);
    assert_eq!(says(&bench), (true, 0));
    // From now on every session ends after a second.
    for _ in 0..20 {
        bench.pass(1_000);
        bench.pipeline.disconnected(bench.now);
        bench.pass(1_000);
        bench.pipeline.session(bench.now, true);
    }
    assert_eq!(says(&bench), (false, 39_000));
    bench.pass(9_999);
    assert!(!says(&bench).0);
    bench.pass(1);
    assert_eq!(says(&bench), (true, 0));
    bench.pipeline.disconnected(bench.now);
    bench.pass(500);
    assert_eq!(says(&bench), (false, 500));
}

#[test]
fn without_the_old_session_everything_is_uncertain() {
    let mut bench = Bench::new(ALL);
    bench.node("NBIRTH", birth(1));
    bench.pipeline.disconnected(bench.now);
    bench.pipeline.session(bench.now, true);
    let frames = bench.node("NDATA", vec![by_alias(1, Value::Double(2.0))]);
    assert!(!frames[0].loss_before);

    bench.pipeline.disconnected(bench.now);
    bench.pipeline.session(bench.now, false);
    bench.seq = 99;
    let frames = bench.node("NDATA", vec![by_alias(1, Value::Double(2.0))]);
    assert!(frames[0].loss_before);
    let Some(Body::Keyframe(keyframe)) = bench.pipeline.keyframes(bench.now).map(Body::from).next()
    else {
        panic!()
    };
    assert!(keyframe.uncertain);
    assert_eq!(bench.pipeline.counters().gaps, 0);
}

#[test]
fn what_a_policy_shows_for_the_first_time_after_a_loss_is_doubted_at_once() {
    const FIRST: &str = r#"
        [[rule]]
        name = "first"
        action = "forward"
        group = "G"
        allow-metrics = "first"
    "#;
    let mut bench = Bench::new(FIRST);
    let number = |name, alias| aliased(name, alias, DataType::Int32, Value::Int(1));
    bench.node("NBIRTH", vec![bd_seq(1), number("first", 1), number("second", 2)]);
    bench.lose();
    bench.node("NDATA", vec![by_alias(1, Value::Int(2))]);
    bench.pass(3_000);
    let doubted = keyframed(&bench.tick());
    assert!(doubted[0].uncertain);
    // Seen since: readers hold it for good again.
    bench.node("NDATA", vec![by_alias(1, Value::Int(3))]);
    assert_eq!(verbs(&bench.reload(ALL)), "NBIRTH");
    let keyframes = keyframed(&bench.tick());
    assert_eq!(names_of(&keyframe_payload(&keyframes[0])), ["bdSeq", "first", "second"]);
    assert!(keyframes[0].uncertain && keyframes[0].losses > doubted[0].losses);
    // The same for a node that was hidden as a whole.
    assert_eq!(verbs(&bench.reload("")), "NDEATH");
    assert_eq!(verbs(&bench.reload(ALL)), "NBIRTH");
    assert!(keyframed(&bench.tick())[0].uncertain);
}

#[test]
fn values_that_a_newer_one_replaced_before_the_birth_of_their_metric_are_counted() {
    let mut bench = Bench::new(ALL);
    bench.node("NBIRTH", birth(1));
    let new = |name: &str, value| vec![typed(name, DataType::Int32, Value::Int(value))];
    bench.node("NDATA", new("n1", 1));
    for value in 1..=5 {
        bench.node("NDATA", new("n2", value));
    }
    assert_eq!(bench.dropped_metrics(Reason::Conflated), 4);
    bench.pass(1000);
    let frames = relayed(&bench.tick());
    assert_eq!(value_of(&payload(&frames[0]), "n2"), Some(Value::Int(5)));
    // Then they are data like any.
    bench.node("NDATA", new("n2", 6));
    assert_eq!(bench.dropped_metrics(Reason::Conflated), 4);
    // History of a metric that no birth can have yet.
    let history = Metric { is_historical: Some(true), ..new("n3", 1).remove(0) };
    bench.node("NDATA", vec![history]);
    assert_eq!((bench.dropped(Reason::Rate), bench.dropped(Reason::DataBeforeBirth)), (0, 1));
}

#[test]
fn values_of_one_metric_go_out_in_the_order_of_their_times() {
    for by_name_alone in [true, false] {
        let mut bench = Bench::new(ALL);
        let count = || typed("count", DataType::Int32, Value::Int(0));
        bench.node(
            "NBIRTH",
            vec![bd_seq(1), count(), typed("text", DataType::String, Value::String(String::new()))],
        );
        let at = |ms, value| Metric { timestamp: Some(ms), ..by_name("count", Value::Int(value)) };
        let mut metrics = vec![at(3_000, 3), at(1_000, 1), at(2_000, 2)];
        if !by_name_alone {
            metrics.insert(1, by_name("text", Value::String("x".into())));
        }
        let frames = bench.node("NDATA", metrics);
        let data = payload(&frames[0]);
        let values = data.metrics.iter().filter(|metric| metric.name.as_deref() == Some("count"));
        let values: Vec<_> = values.map(|metric| metric.value.clone()).collect();
        assert_eq!(values, [1, 2, 3].map(|value| Some(Value::Int(value))));
        bench.pass(30_000);
        let keyframe = keyframed(&bench.tick()).remove(0);
        assert_eq!(value_of(&keyframe_payload(&keyframe), "count"), Some(Value::Int(3)));
    }
}
