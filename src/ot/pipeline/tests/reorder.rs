//! The reorder stage: messages that overtook each other, come late, or have no order at all.

use std::ops::Range;

use account::Reason;
use journal_format::Relayed;
use sparkplug::{DataType, Metric, Payload, Value};
use telemetry::Event;
use telemetry::capture::{capture, triggered};

use super::bench::{
    ALL, Bench, aliased, bd_seq, by_alias, by_name, keyframed, payload, relayed, settings, typed,
    value_of, verbs,
};
use crate::{PipelineSettings, Received};

fn x(value: u32) -> Vec<Metric> {
    vec![typed("x", DataType::Int32, Value::Int(value))]
}

/// Sends a message of G/E with this `seq`.
fn send(bench: &mut Bench, what: &str, seq: u64, metrics: Vec<Metric>) -> Vec<Relayed> {
    bench.seq = seq;
    let (verb, _) = what.split_once('/').unwrap_or((what, ""));
    if verb == "NBIRTH" {
        assert_eq!(seq, 0);
    }
    bench.node(what, metrics)
}

fn born() -> Bench {
    let mut bench = Bench::new(ALL);
    let mut metrics = x(0);
    metrics.insert(0, bd_seq(0));
    bench.node("NBIRTH", metrics);
    bench
}

/// The devices of G/E that a keyframe has, with their `x`.
fn devices(bench: &Bench) -> Vec<(String, Option<Value>)> {
    let bodies: Vec<_> =
        bench.pipeline.keyframes(bench.now).map(journal_format::Body::from).collect();
    let devices = keyframed(&bodies).into_iter().filter_map(|keyframe| {
        let device = keyframe.topic.split('/').nth(4)?.to_owned();
        let birth: Payload = prost::Message::decode(keyframe.payload.as_slice()).unwrap();
        Some((device, value_of(&birth, "x")))
    });
    devices.collect()
}

fn wait(bench: &mut Bench) -> Vec<Relayed> {
    bench.pass(2000);
    relayed(&bench.tick())
}

#[test]
fn births_data_and_deaths_are_judged_in_the_order_of_seq() {
    let mut bench = born();
    send(&mut bench, "DDATA/late birth", 2, x(2));
    send(&mut bench, "DBIRTH/late birth", 1, x(1));
    send(&mut bench, "DBIRTH/dies", 3, x(1));
    send(&mut bench, "DBIRTH/comes back", 4, x(1));
    send(&mut bench, "DDEATH/dies", 6, vec![]);
    send(&mut bench, "DBIRTH/dies", 5, x(1));
    send(&mut bench, "DBIRTH/comes back", 8, x(3));
    send(&mut bench, "DDEATH/comes back", 7, vec![]);
    let wanted = [("comes back", 3), ("late birth", 2)];
    let wanted = wanted.map(|(name, value)| (name.to_owned(), Some(Value::Int(value))));
    assert_eq!(devices(&bench), wanted);
    assert_eq!((bench.pipeline.account().waiting, bench.pipeline.counters().gaps), (0, 0));
}

#[test]
fn data_that_overtook_sixty_births_waits_for_all_of_them() {
    let settings = PipelineSettings { max_devices_per_node: 60, ..settings() };
    let mut bench = Bench::with(settings, ALL);
    bench.node("NBIRTH", vec![bd_seq(0)]);
    let device = |number: u64| format!("d{number:02}");
    for number in 0..60 {
        assert!(
            send(&mut bench, &format!("DDATA/{}", device(number)), 61 + number, x(7)).is_empty()
        );
    }
    // Births come as acknowledgements let them, and longer than one timeout all in all.
    for number in 0..60 {
        bench.pass(100);
        bench.tick();
        send(&mut bench, &format!("DBIRTH/{}", device(number)), 1 + number, x(1));
    }
    let devices = devices(&bench);
    assert_eq!(devices.len(), 60);
    assert!(devices.iter().all(|(_, value)| *value == Some(Value::Int(7))), "{devices:?}");
    assert_eq!((bench.pipeline.account().waiting, bench.pipeline.counters().gaps), (0, 0));
}

#[test]
fn what_overtook_the_birth_of_its_node_waits_for_it() {
    // A node that nobody knows, one that is dead, and one whose death was lost.
    for before in ["", "NDEATH", "alive"] {
        let mut bench = Bench::new(ALL);
        if !before.is_empty() {
            bench.node("NBIRTH", vec![bd_seq(0), aliased("old", 1, DataType::Int8, Value::Int(0))]);
            for number in 0..40 {
                bench.node("NDATA", vec![by_alias(1, Value::Int(number))]);
            }
        }
        if before == "NDEATH" {
            bench.node("NDEATH", vec![bd_seq(0)]);
        }
        bench.pass(10);
        let ahead = send(&mut bench, "NDATA", 1, vec![by_alias(1, Value::Int(2))]);
        assert!(ahead.is_empty(), "{before}");
        send(&mut bench, "DDATA/D", 3, x(3));
        send(&mut bench, "DBIRTH/D", 2, x(1));
        bench.now.wall_ms -= 5;
        let frames =
            bench.node("NBIRTH", vec![bd_seq(1), aliased("x", 1, DataType::Int8, Value::Int(1))]);
        assert_eq!(verbs(&frames), "NBIRTH NDATA DBIRTH DDATA", "{before}");
        assert_eq!(value_of(&payload(&frames[1]), "x"), Some(Value::Int(2)));
        assert_eq!((bench.pipeline.account().waiting, bench.pipeline.counters().gaps), (0, 0));
    }
}

#[test]
fn what_a_node_sent_before_a_new_birth_is_judged_before_it() {
    let mut bench = born();
    bench.pass(10);
    assert!(send(&mut bench, "NDATA", 3, x(3)).is_empty());
    bench.pass(10);
    let mut metrics = x(9);
    metrics.insert(0, bd_seq(0));
    let frames = bench.node("NBIRTH", metrics);
    assert_eq!(verbs(&frames), "NDATA NBIRTH");
    assert_eq!(bench.pipeline.counters().gaps, 1);
    assert_eq!(verbs(&send(&mut bench, "NDATA", 1, x(10))), "NDATA");
}

#[test]
fn one_late_message_is_one_gap_and_sets_nothing_back() {
    let mut bench = born();
    bench.pass(10);
    for seq in [1, 2] {
        send(&mut bench, "NDATA", seq, x(1));
    }
    let old = bench.now.wall_ms;
    bench.pass(10);
    assert!(send(&mut bench, "NDATA", 4, x(4)).is_empty());
    let told = capture(|| {
        let told = wait(&mut bench);
        assert_eq!((told.len(), told[0].loss_before), (1, true));
        let late =
            Payload { timestamp: Some(old), seq: Some(3), metrics: x(3), ..Payload::default() };
        let late = bench.send("spBv1.0/G/NDATA/E", &late);
        let late = payload(&late[0]).metrics.remove(0);
        assert_eq!((late.value, late.is_historical), (Some(Value::Int(3)), Some(true)));
        for seq in 5..8 {
            assert_eq!(send(&mut bench, "NDATA", seq, x(4)).len(), 1);
            wait(&mut bench);
        }
    });
    triggered(&told, Event::SequenceGap);
    assert_eq!(told.iter().filter(|line| line.event == Event::SequenceGap).count(), 1);
    assert_eq!(bench.pipeline.counters().gaps, 1);
    let repeated = bench.pipeline.keyframes(bench.now).map(journal_format::Body::from).next();
    let repeated = keyframed(&repeated.into_iter().collect::<Vec<_>>()).remove(0);
    let repeated: Payload = prost::Message::decode(repeated.payload.as_slice()).unwrap();
    assert_eq!(value_of(&repeated, "x"), Some(Value::Int(4)));
}

#[test]
fn a_late_message_without_times_is_no_newer_than_what_is_known() {
    let mut bench = born();
    assert!(send(&mut bench, "NDATA", 2, x(2)).is_empty());
    wait(&mut bench);
    let late = Payload { seq: Some(1), metrics: x(1), ..Payload::default() };
    let late = bench.send("spBv1.0/G/NDATA/E", &late);
    assert_eq!(payload(&late[0]).metrics[0].is_historical, Some(true));
}

#[test]
fn a_late_birth_or_death_does_not_undo_a_newer_one() {
    let mut bench = born();
    send(&mut bench, "DBIRTH/D", 1, x(1));
    // 2 is missing, and D dies; then it comes: the birth before that death.
    send(&mut bench, "DDEATH/D", 3, vec![]);
    wait(&mut bench);
    assert!(send(&mut bench, "DBIRTH/D", 2, x(2)).is_empty());
    assert_eq!((devices(&bench), bench.dropped(Reason::Late)), (vec![], 1));
    // 4 is missing, and D is born; then it comes: the death before that birth.
    send(&mut bench, "DBIRTH/D", 5, x(5));
    wait(&mut bench);
    assert!(send(&mut bench, "DDEATH/D", 4, vec![]).is_empty());
    assert_eq!(devices(&bench), [("D".to_owned(), Some(Value::Int(5)))]);
    // 6 is missing: a birth of D, whose data was judged by the birth before.
    bench.pass(10);
    send(&mut bench, "DDATA/D", 7, x(7));
    wait(&mut bench);
    let birth = Payload { timestamp: Some(1), seq: Some(6), metrics: x(6), ..Payload::default() };
    bench.send("spBv1.0/G/DBIRTH/E/D", &birth);
    assert_eq!(devices(&bench), [("D".to_owned(), Some(Value::Int(7)))]);
}

#[test]
fn devices_that_count_for_themselves_are_taken_as_they_come_and_told() {
    let mut bench = born();
    let told = capture(|| {
        for device in ["A", "B"] {
            assert_eq!(verbs(&send(&mut bench, &format!("DBIRTH/{device}"), 0, x(0))), "DBIRTH");
        }
        for number in 1..41 {
            for device in ["A", "B"] {
                let what = format!("DDATA/{device}");
                assert_eq!(send(&mut bench, &what, number, x(1)).len(), 1, "{number}");
            }
            bench.pass(100);
            bench.tick();
        }
    });
    triggered(&told, Event::SeqRepeats);
    assert_eq!(bench.pipeline.counters().gaps, 0);
}

#[test]
fn numbers_that_stand_still_or_are_missing_delay_nothing() {
    let mut bench = born();
    let told = capture(|| {
        for number in 1..21 {
            assert_eq!(send(&mut bench, "NDATA", 0, x(number)).len(), 1);
            bench.pass(100);
            bench.tick();
        }
    });
    triggered(&told, Event::SeqNotCounted);
    for number in 21..41 {
        let data = Payload { metrics: x(number), ..Payload::default() };
        assert_eq!(bench.send("spBv1.0/G/NDATA/E", &data).len(), 1);
    }
}

#[test]
fn a_number_of_zero_that_is_left_out_is_no_hole() {
    let mut bench = born();
    for seq in (1..256).chain(0..256).chain(0..3) {
        let seq = (seq > 0).then_some(seq);
        let data = Payload { seq, metrics: x(1), ..Payload::default() };
        assert_eq!(bench.send("spBv1.0/G/NDATA/E", &data).len(), 1, "{seq:?}");
    }
    assert_eq!(bench.pipeline.counters().gaps, 0);
}

#[test]
fn holes_that_nothing_ever_fills_end_the_waiting() {
    let mut bench = born();
    let mut waited = 0;
    let mut holes = |bench: &mut Bench, numbers: Range<u64>| {
        for number in numbers {
            if send(bench, "NDATA", number * 2 % 256, x(1)).is_empty() {
                waited += 1;
                assert_eq!(wait(bench).len(), 1);
            }
        }
    };
    // Whether it is so, or two publishers, or …, takes some messages more to say.
    let told = capture(|| holes(&mut bench, 1..40));
    assert!(told.iter().all(|record| record.event != Event::SeqNotCounted));
    let told = capture(|| holes(&mut bench, 40..200));
    triggered(&told, Event::SeqNotCounted);
    assert_eq!(told.iter().filter(|record| record.event == Event::SeqNotCounted).count(), 1);
    assert_eq!(waited, 3);
}

#[test]
fn a_node_that_counts_again_after_losses_is_not_said_not_to_count() {
    let mut bench = born();
    let told = capture(|| {
        for number in [2, 4, 6] {
            assert!(send(&mut bench, "NDATA", number, x(1)).is_empty());
            assert_eq!(wait(&mut bench).len(), 1);
        }
        for number in 7..200 {
            assert_eq!(send(&mut bench, "NDATA", number, x(1)).len(), 1);
        }
    });
    assert!(told.iter().all(|record| record.event != Event::SeqNotCounted));
    assert!(send(&mut bench, "NDATA", 201, x(1)).is_empty(), "its holes are waited for again");
}

#[test]
fn a_message_that_waits_is_not_to_be_acknowledged_and_a_lost_connection_judges_it() {
    let mut bench = born();
    let assured = |bench: &mut Bench, seq| {
        let data = Payload { seq: Some(seq), metrics: x(1), ..Payload::default() };
        let payload = prost::Message::encode_to_vec(&data);
        let topic = "spBv1.0/G/NDATA/E";
        bench.receive(Received {
            topic,
            payload: &payload,
            retain: false,
            dup: false,
            assured: true,
        });
        bench.pipeline.last_number()
    };
    let first = assured(&mut bench, 2);
    assert_eq!(bench.pipeline.oldest_waiting(), Some(first));
    assert_eq!(assured(&mut bench, 4), first + 1);
    assured(&mut bench, 1);
    assert_eq!(bench.pipeline.oldest_waiting(), Some(first + 1));
    // What is missed while the connection is away comes after it.
    bench.pipeline.disconnected(bench.now);
    assert_eq!(bench.pipeline.oldest_waiting(), None);
    bench.pipeline.session(bench.now, false);
    let told = relayed(&bench.tick());
    assert_eq!(told.len(), 1);
    let keyframe = bench.pipeline.keyframes(bench.now).map(journal_format::Body::from).next();
    assert!(keyframed(&keyframe.into_iter().collect::<Vec<_>>())[0].uncertain);
    assert!(send(&mut bench, "NDATA", 9, x(2))[0].loss_before, "of the loss behind it");
}

#[test]
fn what_waits_is_bounded_by_messages() {
    let mut bench = born();
    // 1 is missing, and all others come twice over, each time with another content.
    for number in 0..1000_u32 {
        let seq = u64::from(2 + number % 120);
        send(&mut bench, "NDATA", seq, x(number));
        assert!(bench.pipeline.account().waiting <= 256);
    }
    wait(&mut bench);
    assert_eq!(bench.pipeline.account().waiting, 0);
    // Nodes that nobody knows.
    for number in 0..3_000 {
        let data = Payload { seq: Some(7), metrics: x(1), ..Payload::default() };
        bench.send(&format!("spBv1.0/G/NDATA/invented{number}"), &data);
    }
    assert_eq!(bench.pipeline.account().waiting, 1_000);
    wait(&mut bench);
    assert_eq!(bench.dropped(Reason::DataBeforeBirth), 3_000);
}

#[test]
fn without_a_timeout_nothing_waits() {
    let settings = PipelineSettings { reorder_timeout: std::time::Duration::ZERO, ..settings() };
    let mut bench = Bench::with(settings, ALL);
    bench.node("NBIRTH", vec![bd_seq(0), typed("x", DataType::Int32, Value::Int(0))]);
    assert!(send(&mut bench, "NDATA", 3, vec![by_name("x", Value::Int(3))])[0].loss_before);
    assert_eq!(bench.pipeline.counters().gaps, 1);
}

/// An NBIRTH or NDEATH with this number of its session.
fn session(bench: &mut Bench, verb: &str, number: u64) -> Vec<Relayed> {
    let mut metrics = vec![bd_seq(number)];
    if verb == "NBIRTH" {
        metrics.extend(x(0));
    }
    bench.node(verb, metrics)
}

#[test]
fn a_death_that_overtook_its_birth_ends_it() {
    // Of a node that nobody knows, one that is dead, and one whose death was lost.
    for before in ["", "NDEATH", "alive"] {
        let mut bench = Bench::new(ALL);
        if !before.is_empty() {
            session(&mut bench, "NBIRTH", 1);
        }
        if before == "NDEATH" {
            session(&mut bench, "NDEATH", 1);
        }
        bench.pass(500);
        session(&mut bench, "NDEATH", 2);
        bench.pass(500);
        let told = capture(|| {
            assert_eq!(verbs(&session(&mut bench, "NBIRTH", 2)), "NBIRTH", "{before}");
            // What was sent in that session crosses.
            assert_eq!(verbs(&send(&mut bench, "DBIRTH/D", 1, x(1))), "DBIRTH");
            bench.pass(1_400);
            assert!(relayed(&bench.tick()).is_empty());
            bench.pass(200);
            assert_eq!(verbs(&relayed(&bench.tick())), "NDEATH", "{before}");
        });
        triggered(&told, Event::DeathOvertook);
        // It lives all the same.
        let heard = send(&mut bench, "DDATA/D", 2, x(2));
        assert_eq!(verbs(&heard), "NBIRTH DBIRTH DDATA");
        // Its library gives deaths the number of the session to come, then.
        session(&mut bench, "NDEATH", 3);
        session(&mut bench, "NBIRTH", 3);
        bench.pass(3_000);
        assert!(relayed(&bench.tick()).is_empty());
    }
}

#[test]
fn the_death_of_a_session_that_was_seen_ends_no_other() {
    for number in [1, 2] {
        let mut bench = Bench::new(ALL);
        session(&mut bench, "NBIRTH", 1);
        session(&mut bench, "NDEATH", 1);
        session(&mut bench, "NDEATH", 1);
        session(&mut bench, "NBIRTH", number);
        bench.pass(3_000);
        assert!(relayed(&bench.tick()).is_empty());
        assert_eq!(verbs(&send(&mut bench, "NDATA", 1, x(2))), "NDATA");
    }
}

#[test]
fn a_birth_of_an_earlier_session_that_comes_late_is_none() {
    let mut bench = Bench::new(ALL);
    let old = bench.now.wall_ms;
    bench.pass(10);
    session(&mut bench, "NBIRTH", 2);
    let metrics = vec![bd_seq(1), typed("other", DataType::Int32, Value::Int(9))];
    let late = Payload { timestamp: Some(old), seq: Some(0), metrics, ..Payload::default() };
    assert!(bench.send("spBv1.0/G/NBIRTH/E", &late).is_empty());
    assert_eq!(bench.dropped(Reason::Late), 1);
    // Nor does what was sent before a birth take a number behind it.
    let late = Payload { timestamp: Some(old), seq: Some(7), metrics: x(7), ..Payload::default() };
    assert!(bench.send("spBv1.0/G/NDATA/E", &late).is_empty());
    assert_eq!((bench.dropped(Reason::Late), bench.pipeline.account().waiting), (2, 0));
    assert_eq!(verbs(&send(&mut bench, "NDATA", 1, x(1))), "NDATA");
}

#[test]
fn a_birth_behind_data_that_nobody_could_read_is_doubted() {
    let uncertain = |bench: &Bench| {
        let bodies: Vec<_> =
            bench.pipeline.keyframes(bench.now).map(journal_format::Body::from).collect();
        keyframed(&bodies).iter().map(|keyframe| keyframe.uncertain).collect::<Vec<_>>()
    };
    // The node's.
    let mut bench = Bench::new(ALL);
    let old = bench.now.wall_ms;
    let birth = Payload { timestamp: Some(old), seq: Some(0), metrics: x(0), ..Payload::default() };
    bench.pass(10);
    send(&mut bench, "NDATA", 3, x(3));
    wait(&mut bench);
    assert_eq!(bench.dropped(Reason::DataBeforeBirth), 1);
    bench.send("spBv1.0/G/NBIRTH/E", &birth);
    assert_eq!(uncertain(&bench), [true]);
    // A device's.
    let mut bench = born();
    let old = bench.now.wall_ms;
    bench.pass(10);
    assert!(send(&mut bench, "DDATA/D", 2, x(2)).is_empty());
    wait(&mut bench);
    let birth = Payload { timestamp: Some(old), seq: Some(1), metrics: x(1), ..Payload::default() };
    bench.send("spBv1.0/G/DBIRTH/E/D", &birth);
    assert_eq!(uncertain(&bench), [true, true]);
}

#[test]
fn each_of_several_holes_is_doubted_and_people_hear_of_one_loss() {
    let mut bench = born();
    for seq in [2, 4, 6] {
        assert!(send(&mut bench, "NDATA", seq, x(1)).is_empty());
    }
    let told = wait(&mut bench);
    assert!(told.len() == 3 && told.iter().all(|frame| frame.loss_before));
    assert_eq!(bench.pipeline.counters().gaps, 1);
}

#[test]
fn a_way_that_loses_much_makes_no_node_that_does_not_count() {
    let mut bench = born();
    let mut waited = 0;
    for seq in (0..20).map(|round| 2 + round * 3) {
        waited += usize::from(send(&mut bench, "NDATA", seq, x(1)).is_empty());
        wait(&mut bench);
        assert_eq!(send(&mut bench, "NDATA", seq + 1, x(1)).len(), 1);
    }
    assert_eq!((waited, bench.pipeline.counters().gaps), (3, 20), "each hole is a loss");
}

/// Its births between them were lost, or it doesn't count: what was known may be out of date.
#[test]
fn messages_that_contradict_one_another_leave_what_was_known_in_doubt() {
    let mut bench = Bench::new(ALL);
    let y = |value| vec![typed("y", DataType::Int32, Value::Int(value))];
    bench.node("NBIRTH", [vec![bd_seq(0)], x(0), y(0)].concat());
    send(&mut bench, "NDATA", 1, x(1));
    assert!(send(&mut bench, "NDATA", 1, y(1)).is_empty());
    send(&mut bench, "NDATA", 1, y(2));
    let keyframes = keyframed(&bench.tick());
    assert!(keyframes[0].uncertain);
    bench.node("NBIRTH", [vec![bd_seq(0)], x(3), y(3)].concat());
    assert!(keyframed(&bench.tick()).iter().all(|keyframe| !keyframe.uncertain));
}
