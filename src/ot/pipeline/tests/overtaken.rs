//! Births that come behind what was sent after them: newer values are not shown as the older ones of
//! the birth, and what a birth says isn't lost because it came too early.

use account::Reason;
use prost::Message;
use sparkplug::{Caps, DataType, Metric, Payload, Value};

use super::bench::{
    ALL, Bench, aliased, bd_seq, by_alias, by_name, keyframe, keyframed, payload, relayed,
    settings, typed, value_of, verbs, wait,
};
use crate::{PipelineSettings, Received};

fn x(value: u32) -> Vec<Metric> {
    vec![typed("x", DataType::Int32, Value::Int(value))]
}

/// An NBIRTH of G/E.
fn birth(number: u64, value: u32) -> Vec<Metric> {
    let mut metrics = x(value);
    metrics.insert(0, bd_seq(number));
    metrics
}

/// A message of G/E that was sent at `sent` milliseconds.
fn send(bench: &mut Bench, what: &str, seq: u64, sent: u64, metrics: Vec<Metric>) -> String {
    let (verb, device) = what.split_once('/').map_or((what, None), |(v, d)| (v, Some(d)));
    let topic = match device {
        Some(device) => format!("spBv1.0/G/{verb}/E/{device}"),
        None => format!("spBv1.0/G/{verb}/E"),
    };
    let payload = Payload { timestamp: Some(sent), seq: Some(seq), metrics, ..Payload::default() };
    verbs(&bench.send(&topic, &payload))
}

fn is_doubted(bench: &Bench, topic: &str) -> bool {
    keyframe(bench, topic).is_some_and(|keyframe| keyframe.uncertain)
}

const NODE: &str = "spBv1.0/G/NBIRTH/E";
const DEVICE: &str = "spBv1.0/G/DBIRTH/E/D";

#[test]
fn births_behind_data_that_was_dropped_for_want_of_them_stay_in_doubt() {
    let mut bench = Bench::new(ALL);
    let sent = bench.now.wall_ms;
    send(&mut bench, "NDATA", 2, sent + 20, x(2));
    send(&mut bench, "DDATA/D", 3, sent + 20, x(3));
    wait(&mut bench);
    assert_eq!(bench.dropped(Reason::DataBeforeBirth), 2);
    // The sequence goes on with the device's birth, and that proves nothing: 2 and 3 are gone.
    assert_eq!(send(&mut bench, "NBIRTH", 0, sent + 10, birth(1, 0)), "NBIRTH");
    assert_eq!(send(&mut bench, "DBIRTH/D", 1, sent + 10, x(1)), "DBIRTH");
    assert!(is_doubted(&bench, NODE) && is_doubted(&bench, DEVICE));
    // A birth of later is as good as ever.
    assert_eq!(send(&mut bench, "NBIRTH", 0, sent + 30, birth(2, 0)), "NBIRTH");
    assert_eq!(send(&mut bench, "DBIRTH/D", 1, sent + 30, x(1)), "DBIRTH");
    assert!(!is_doubted(&bench, NODE) && !is_doubted(&bench, DEVICE));
}

#[test]
fn a_birth_whose_number_is_late_is_doubted_whatever_its_clock_says() {
    let mut bench = Bench::new(ALL);
    let sent = bench.now.wall_ms;
    send(&mut bench, "NBIRTH", 0, sent, birth(1, 0));
    // 1 is missing, and the device isn't known.
    send(&mut bench, "DDATA/D", 2, sent + 10, x(2));
    wait(&mut bench);
    assert_eq!(bench.dropped(Reason::DataBeforeBirth), 1);
    // Its node's clock was set back between the two.
    assert_eq!(send(&mut bench, "DBIRTH/D", 1, sent + 90_000, x(1)), "DBIRTH");
    assert!(is_doubted(&bench, DEVICE));
}

#[test]
fn the_birth_of_a_device_that_came_too_early_is_not_forgotten() {
    let mut bench = Bench::new(ALL);
    let sent = bench.now.wall_ms;
    for device in ["D", "dies"] {
        send(&mut bench, &format!("DBIRTH/{device}"), 1, sent, x(1));
    }
    send(&mut bench, "DDEATH/dies", 2, sent, vec![]);
    wait(&mut bench);
    assert_eq!(send(&mut bench, "NBIRTH", 0, sent, birth(1, 0)), "NBIRTH DBIRTH");
    assert!(is_doubted(&bench, DEVICE), "it lives, and more may have been said of it");
    for device in ["D", "dies"] {
        send(
            &mut bench,
            &format!("DDATA/{device}"),
            3,
            sent + 5,
            vec![by_name("x", Value::Int(3))],
        );
        wait(&mut bench);
    }
    let shown = keyframe(&bench, DEVICE).expect("it lives");
    assert!(shown.uncertain);
    let shown: Payload = prost::Message::decode(shown.payload.as_slice()).unwrap();
    assert_eq!(value_of(&shown, "x"), Some(Value::Int(3)));
    assert_eq!(keyframe(&bench, "spBv1.0/G/DBIRTH/E/dies"), None);
}

#[test]
fn a_birth_of_a_device_of_an_earlier_session_teaches_nothing() {
    for (born, is_known) in [(0, true), (1, false)] {
        let mut bench = Bench::new(ALL);
        let sent = bench.now.wall_ms;
        send(&mut bench, "DBIRTH/D", 1, sent, x(1));
        wait(&mut bench);
        send(&mut bench, "NBIRTH", 0, sent + born, birth(1, 0));
        send(&mut bench, "DDATA/D", 1, sent + 5, vec![by_name("x", Value::Int(3))]);
        assert_eq!(keyframe(&bench, DEVICE).is_some(), is_known, "{born}");
    }
}

#[test]
fn a_device_that_was_born_a_moment_before_its_node_lives_on() {
    // The second birth of the node belongs to that of the device, as their times say; a node whose
    // births are all of one moment says nothing by its times.
    for (first, is_known) in [(1_000, true), (0, false)] {
        let mut bench = Bench::new(ALL);
        let sent = bench.now.wall_ms;
        send(&mut bench, "NBIRTH", 0, sent - first, birth(1, 0));
        send(&mut bench, "DBIRTH/D", 1, sent, x(1));
        send(&mut bench, "NBIRTH", 0, sent, birth(2, 0));
        assert_eq!(is_doubted(&bench, DEVICE), is_known, "{first}");
        send(&mut bench, "DDATA/D", 1, sent + 5, vec![by_name("x", Value::Int(3))]);
        assert_eq!(keyframe(&bench, DEVICE).is_some(), is_known, "{first}");
    }
}

#[test]
fn what_waited_when_a_birth_was_refused_is_not_read_by_the_next_one() {
    let caps = Caps { metrics: 4, ..Caps::default() };
    let mut bench = Bench::with(PipelineSettings { caps, ..settings() }, ALL);
    let sent = bench.now.wall_ms;
    // Without times, nothing but the order says to which session they belong.
    let data = |seq: u64| Payload { seq: Some(seq), metrics: x(1), ..Payload::default() };
    for seq in [1, 2] {
        bench.send("spBv1.0/G/NDATA/E", &data(seq));
    }
    let mut refused = birth(1, 0);
    refused.extend((0..4).map(|number| by_name(&number.to_string(), Value::Int(0))));
    assert_eq!(send(&mut bench, "NBIRTH", 0, sent, refused), "");
    assert_eq!(bench.dropped(Reason::DataBeforeBirth), 2);
    send(&mut bench, "NBIRTH", 0, sent, birth(2, 0));
    assert_eq!(send(&mut bench, "NDATA", 1, sent + 5, x(5)), "NDATA");
}

#[test]
fn two_messages_that_waited_for_a_birth_under_one_number_are_of_two_sessions() {
    let mut bench = Bench::new(ALL);
    let data = |value: u32| Payload { seq: Some(1), metrics: x(value), ..Payload::default() };
    for value in [1, 2] {
        bench.send("spBv1.0/G/NDATA/E", &data(value));
    }
    bench.send("spBv1.0/G/NBIRTH/E", &Payload { seq: Some(0), metrics: birth(1, 0), ..data(0) });
    bench.send("spBv1.0/G/NDATA/E", &data(3));
    wait(&mut bench);
    bench.node("NBIRTH", birth(2, 0));
    bench.lose();
    bench.node("NDATA", x(7));
    wait(&mut bench);
    assert!(is_doubted(&bench, NODE), "a node that counts: what is missing is seen");
}

/// One message a second crosses, and what is too much waits.
const SLOW: &str = r#"
    [[rule]]
    name = "all"
    action = "forward"
    topic = "spBv1.0/+/+/#"
    rate = { messages-per-s = 1, burst-messages = 1 }
"#;

#[test]
fn a_late_value_does_not_take_the_place_of_a_newer_one_that_waits_for_a_limit() {
    let mut bench = Bench::new(SLOW);
    let sent = bench.now.wall_ms;
    send(&mut bench, "NBIRTH", 0, sent, birth(1, 0));
    send(&mut bench, "NDATA", 2, sent + 2, x(2));
    bench.pass(2_000);
    bench.tick();
    send(&mut bench, "NDATA", 3, sent + 30, x(30));
    assert_eq!(bench.dropped_metrics(Reason::Conflated), 0);
    send(&mut bench, "NDATA", 1, sent + 20, x(20));
    bench.pass(5_000);
    bench.tick();
    let shown = keyframe(&bench, NODE).expect("it lives");
    let shown: Payload = prost::Message::decode(shown.payload.as_slice()).unwrap();
    assert_eq!(value_of(&shown, "x"), Some(Value::Int(30)));
}

#[test]
fn a_late_birth_of_a_device_is_doubted_where_a_newer_value_waited_for_a_limit() {
    let mut bench = Bench::new(SLOW);
    let sent = bench.now.wall_ms;
    send(&mut bench, "NBIRTH", 0, sent, birth(1, 0));
    send(&mut bench, "DBIRTH/D", 1, sent, x(1));
    send(&mut bench, "DDATA/D", 3, sent + 2, x(2));
    bench.pass(2_000);
    bench.tick();
    send(&mut bench, "DDATA/D", 4, sent + 40, x(40));
    send(&mut bench, "DBIRTH/D", 2, sent + 20, x(20));
    assert!(is_doubted(&bench, DEVICE));
}

/// Nothing of it crosses.
const NONE: &str = r#"
    [[rule]]
    name = "another"
    action = "forward"
    group = "Another"
"#;

#[test]
fn a_node_that_a_policy_hid_just_before_a_kill_is_known_after_it() {
    for metric in [
        typed("x", DataType::Int32, Value::Int(1)),
        aliased("x", 7, DataType::Int32, Value::Int(1)),
    ] {
        let mut bench = Bench::new(ALL);
        bench.node("NBIRTH", vec![bd_seq(1), metric.clone()]);
        bench.node("DBIRTH/D", vec![aliased("y", 8, DataType::Int32, Value::Int(1))]);
        let (stored, at) = (bench.pipeline.store(0), bench.journal.len());
        assert_eq!(verbs(&bench.reload(NONE)), "NDEATH");
        bench.restart(stored, at, ALL);
        bench.pipeline.session(bench.now, true);
        bench.node("DDATA/D", vec![by_alias(8, Value::Int(2))]);
        let shown = keyframe(&bench, DEVICE).expect("it lives");
        let shown: Payload = prost::Message::decode(shown.payload.as_slice()).unwrap();
        assert_eq!(value_of(&shown, "y"), Some(Value::Int(2)));
        assert!(keyframe(&bench, NODE).is_some());
    }
}

#[test]
fn a_message_that_is_refused_after_a_restart_leaves_a_doubt_that_the_sequence_does_not_end() {
    let mut bench = Bench::new(ALL);
    bench.node("NBIRTH", birth(1, 0));
    let (stored, at) = (bench.pipeline.store(0), bench.journal.len());
    bench.restart(stored, at, ALL);
    bench.pipeline.session(bench.now, true);
    bench.pipeline.shed("spBv1.0/G/NDATA/E", 1, "G/E");
    bench.tick();
    bench.lose();
    bench.node("NDATA", vec![by_name("other", Value::Int(1))]);
    assert!(is_doubted(&bench, NODE));
}

#[test]
fn what_a_broker_queued_while_the_relay_was_away_is_no_sign_of_life() {
    for (sent_before, passed, lives) in
        [(1_000, 100, false), (0, 100, true), (11_000, 10_100, true)]
    {
        let mut bench = Bench::new(ALL);
        bench.assured = true;
        bench.node("NBIRTH", birth(1, 0));
        bench.pipeline.disconnected(bench.now);
        bench.pass(5_000);
        bench.pipeline.session(bench.now, true);
        bench.tick();
        bench.pass(passed);
        let sent = bench.now.wall_ms - sent_before;
        send(&mut bench, "NDATA", 1, sent, x(2));
        bench.pass(300_100);
        let bodies = bench.tick();
        let told = verbs(&relayed(&bodies));
        assert_eq!(told == "NDEATH", !lives, "{sent_before} {passed}: {told}");
    }
}

#[test]
fn an_older_birth_of_a_device_that_comes_with_an_older_one_of_its_node_takes_nothing_over() {
    let mut bench = Bench::new(ALL);
    let sent = bench.now.wall_ms;
    send(&mut bench, "NBIRTH", 0, sent, birth(1, 0));
    send(&mut bench, "DBIRTH/D", 1, sent + 20, x(2));
    // The birth before that of the node, and behind it the device's: then the node's own.
    send(&mut bench, "NBIRTH", 0, sent + 10, birth(1, 1));
    send(&mut bench, "DBIRTH/D", 1, sent + 10, x(1));
    assert_eq!(bench.dropped(Reason::Late), 1);
    send(&mut bench, "NBIRTH", 0, sent + 20, birth(1, 2));
    assert!(is_doubted(&bench, DEVICE));
}

#[test]
fn what_is_delivered_again_behind_its_birth_is_newer_whatever_the_clock_of_its_node_says() {
    let mut bench = Bench::new(ALL);
    let sent = bench.now.wall_ms;
    let metrics = birth(1, 0);
    let born = Payload { timestamp: Some(sent), seq: Some(0), metrics, ..Payload::default() };
    bench.deliver("spBv1.0/G/NBIRTH/E", &born, false, true);
    let metrics = vec![by_name("x", Value::Int(1))];
    let data = Payload { timestamp: Some(sent - 500), seq: Some(1), metrics, ..Payload::default() };
    let told = bench.deliver("spBv1.0/G/NDATA/E", &data, false, true);
    assert_eq!(payload(&told[0]).metrics[0].is_historical, None);
}

#[test]
fn deaths_that_nobody_knows_leave_what_the_next_data_is_read_by() {
    let mut bench = Bench::new(ALL);
    let sent = bench.now.wall_ms;
    let mut metrics = vec![aliased("x", 1, DataType::Int32, Value::Int(0))];
    metrics.insert(0, bd_seq(4));
    send(&mut bench, "NBIRTH", 0, sent, metrics);
    for number in [2, 3] {
        bench.node("NDEATH", vec![bd_seq(number)]);
    }
    assert_eq!(keyframe(&bench, NODE), None, "it may be dead");
    assert_eq!(
        send(&mut bench, "NDATA", 1, sent + 9, vec![by_alias(1, Value::Int(1))]),
        "NBIRTH NDATA"
    );
}

#[test]
fn a_message_that_waited_while_a_newer_one_was_refused_is_not_good() {
    let mut bench = Bench::new(ALL);
    bench.node("NBIRTH", birth(1, 0));
    for value in 1..4 {
        bench.node("NDATA", x(value));
    }
    let sent = bench.now.wall_ms;
    // A session that began unseen: its numbers are behind, and the second of its messages has the
    // number that was expected.
    send(&mut bench, "NDATA", 3, sent + 5, x(30));
    let payload = [0x18, 0x04, 0x12, 0x7f];
    let topic = "spBv1.0/G/NDATA/E";
    bench.receive(Received { topic, payload: &payload, retain: false, dup: false, assured: false });
    bench.pass(2_100);
    let told = relayed(&bench.tick());
    assert!(told.iter().any(|told| told.outdated), "{told:?}");
}

#[test]
fn a_value_that_waits_for_a_birth_while_newer_ones_are_refused_is_not_good() {
    let mut bench = Bench::new(ALL);
    bench.node("NBIRTH", birth(1, 0));
    // The first one's birth is made at once, the second one's a second later.
    bench.node("NDATA", vec![typed("new", DataType::Int32, Value::Int(1))]);
    assert_eq!(
        verbs(&bench.node("NDATA", vec![typed("newer", DataType::Int32, Value::Int(1))])),
        ""
    );
    bench.pipeline.shed("spBv1.0/G/NDATA/E", 1, "G/E");
    bench.pass(1_100);
    bench.tick();
    bench.pass(1_100);
    let mut births = bench.journal.iter().filter_map(|body| match body {
        journal_format::Body::Relayed(relayed) => Some(relayed),
        _ => None,
    });
    let last = births.rfind(|relayed| relayed.topic == NODE).unwrap();
    assert!(last.synthetic && last.outdated);
}

#[test]
fn births_that_another_one_of_their_session_overtook_end_nothing_and_make_nothing_good() {
    let caps = Caps { metrics: 4, ..Caps::default() };
    let mut bench = Bench::with(PipelineSettings { caps, ..settings() }, ALL);
    let sent = bench.now.wall_ms;
    send(&mut bench, "NBIRTH", 0, sent + 10, birth(1, 0));
    let mut refused = birth(1, 0);
    refused.extend((0..4).map(|number| by_name(&number.to_string(), Value::Int(0))));
    assert_eq!(send(&mut bench, "NBIRTH", 0, sent, refused), "");
    assert!(keyframe(&bench, NODE).is_some() && !is_doubted(&bench, NODE));
    send(&mut bench, "NBIRTH", 0, sent, birth(1, 1));
    assert!(is_doubted(&bench, NODE));
}

#[test]
fn what_was_refused_unread_may_be_newer_than_what_is_judged_behind_it() {
    let mut bench = Bench::new(ALL);
    bench.node("NBIRTH", birth(1, 0));
    // The second message is refused, and comes before the first one: its number isn't known until the
    // third one comes.
    bench.pipeline.shed("spBv1.0/G/NDATA/E", 1, "G/E");
    bench.tick();
    bench.node("NDATA", vec![by_name("x", Value::Int(1))]);
    bench.lose();
    bench.node("NDATA", vec![by_name("other", Value::Int(3))]);
    let told = keyframed(&bench.tick());
    let losses = told.iter().map(|keyframe| keyframe.losses).collect::<Vec<_>>();
    assert_eq!(losses, [2], "x is doubted once more");
}

#[test]
fn messages_with_one_number_are_judged_as_they_came() {
    let mut bench = Bench::new(ALL);
    bench.node("NBIRTH", birth(1, 0));
    let data = |value: u32| Payload { seq: Some(7), metrics: x(value), ..Payload::default() };
    assert!(bench.send("spBv1.0/G/NDATA/E", &data(1)).is_empty());
    let told = bench.send("spBv1.0/G/NDATA/E", &data(2));
    let values: Vec<_> = told.iter().map(|told| value_of(&payload(told), "x")).collect();
    assert_eq!(values, [Some(Value::Int(1)), Some(Value::Int(2))]);
}

#[test]
fn a_value_that_waits_for_a_limit_is_in_the_birth_under_another_name() {
    let mut bench = Bench::new(SLOW);
    let sent = bench.now.wall_ms;
    send(&mut bench, "NBIRTH", 0, sent, birth(1, 0));
    for value in 1..4 {
        bench.node("NDATA", x(value));
    }
    let renamed = format!("{SLOW}\n[rename.edge-node]\n\"G/E\" = \"Other\"\n");
    let told = bench.reload(&renamed);
    let born = told.iter().find(|told| told.topic == "spBv1.0/G/NBIRTH/Other").unwrap();
    assert_eq!(value_of(&payload(born), "x"), Some(Value::Int(3)));
}

#[test]
fn births_and_deaths_of_a_device_in_the_order_count_though_the_clock_was_set_back() {
    for ms in [1, 500, 2_000, 2_001, 60_000] {
        let mut bench = Bench::new(ALL);
        let sent = bench.now.wall_ms;
        send(&mut bench, "NBIRTH", 0, sent, birth(1, 0));
        send(&mut bench, "DBIRTH/D", 1, sent, x(1));
        assert_eq!(send(&mut bench, "DDEATH/D", 2, sent - ms, vec![]), "DDEATH", "{ms}");
        assert_eq!(send(&mut bench, "DBIRTH/D", 3, sent - ms, x(2)), "DBIRTH", "{ms}");
        assert_eq!(send(&mut bench, "DBIRTH/D", 4, sent - ms - 1, x(3)), "DBIRTH", "{ms}");
        assert_eq!(bench.dropped(Reason::Late), 0);
    }
}

/// Nobody can tell them from what comes next of a node whose clock was set back: neither is shown as
/// good, and nothing is set back.
#[test]
fn what_was_sent_before_a_birth_and_has_the_number_that_is_due_makes_nothing_good() {
    for number in [2, 3] {
        let mut bench = Bench::new(ALL);
        let sent = bench.now.wall_ms;
        send(&mut bench, "NBIRTH", 0, sent, birth(1, 1));
        send(&mut bench, "NBIRTH", 0, sent + 20, birth(number, 2));
        // Of the session before, and what goes on behind the birth.
        send(&mut bench, "DBIRTH/D", 1, sent + 10, x(3));
        send(&mut bench, "DBIRTH/E", 2, sent + 20, x(4));
        assert!(is_doubted(&bench, NODE) && is_doubted(&bench, DEVICE), "{number}");
        let other = "spBv1.0/G/DBIRTH/E/E";
        assert!(!keyframe(&bench, other).unwrap().uncertain, "born behind it");

        let mut bench = Bench::new(ALL);
        send(&mut bench, "NBIRTH", 0, sent, birth(1, 1));
        send(&mut bench, "NBIRTH", 0, sent + 20, birth(number, 2));
        send(&mut bench, "NDATA", 1, sent + 10, x(3));
        assert!(is_doubted(&bench, NODE), "{number}");
        let frame = keyframe(&bench, NODE).unwrap();
        let shown = Payload::decode(&*frame.payload).unwrap();
        assert_eq!(value_of(&shown, "x"), Some(Value::Int(2)), "nothing is set back");
    }
}

/// A shared subscription of a cluster, or a broker that repeats at QoS 1, may do so.
#[test]
fn all_births_that_a_message_overtook_are_in_doubt() {
    let mut bench = Bench::new(ALL);
    let sent = bench.now.wall_ms;
    send(&mut bench, "NBIRTH", 0, sent, birth(1, 1));
    // Of the last of the sessions that follow.
    send(&mut bench, "NDATA", 1, sent + 40, x(9));
    for (number, ms) in [(2, 10), (3, 20), (4, 30)] {
        assert_eq!(send(&mut bench, "NBIRTH", 0, sent + ms, birth(number, 2)), "NBIRTH");
        assert!(is_doubted(&bench, NODE), "{number}");
        send(&mut bench, "DBIRTH/D", 1, sent + ms, x(1));
        assert!(is_doubted(&bench, DEVICE), "{number}");
    }
    send(&mut bench, "NBIRTH", 0, sent + 41, birth(5, 2));
    send(&mut bench, "DBIRTH/D", 1, sent + 41, x(1));
    assert!(!is_doubted(&bench, NODE) && !is_doubted(&bench, DEVICE));
}

#[test]
fn a_birth_behind_a_newer_one_that_was_refused_is_in_doubt() {
    let caps = Caps { metrics: 4, ..Caps::default() };
    let mut bench = Bench::with(PipelineSettings { caps, ..settings() }, ALL);
    let sent = bench.now.wall_ms;
    send(&mut bench, "NBIRTH", 0, sent, birth(1, 1));
    let refused: Vec<Metric> =
        (0..5).map(|number| by_name(&number.to_string(), Value::Int(2))).collect();
    assert_eq!(send(&mut bench, "NBIRTH", 0, sent + 20, refused), "NDEATH");
    assert_eq!(send(&mut bench, "NBIRTH", 0, sent + 10, birth(1, 3)), "NBIRTH");
    assert!(is_doubted(&bench, NODE));
    assert_eq!(send(&mut bench, "NBIRTH", 0, sent + 30, birth(1, 4)), "NBIRTH");
    assert!(!is_doubted(&bench, NODE));
}
