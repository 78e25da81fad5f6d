//! What is told of nodes whose numbers are no sequence, and that a 0 may be left out.

use prost::Message;
use sparkplug::{DataType, Payload, Value};
use telemetry::capture::{capture, triggered};
use telemetry::{Event, Record};

use super::bench::{ALL, Bench, bd_seq, by_name, payload, relayed, typed, value_of};

const NAMES: [Event; 3] = [Event::SeqNotCounted, Event::NameShared, Event::SeqRepeats];

fn born() -> Bench {
    let mut bench = Bench::new(ALL);
    bench.node("NBIRTH", vec![bd_seq(0), typed("x", DataType::UInt32, Value::Int(0))]);
    bench
}

fn data(bench: &mut Bench, what: &str, seq: Option<u64>, value: u32) {
    bench.pass(100);
    let metrics = vec![by_name("x", Value::Int(value))];
    let timestamp = Some(bench.now.wall_ms);
    bench.send(
        &format!("spBv1.0/G/{what}"),
        &Payload { timestamp, metrics, seq, ..Payload::default() },
    );
    bench.tick();
}

fn told(records: &[Record]) -> Vec<Event> {
    records.iter().map(|record| record.event).filter(|event| NAMES.contains(event)).collect()
}

#[test]
fn a_node_whose_seq_stands_still_is_told_once_and_makes_no_births_from_then_on() {
    let mut bench = born();
    let records = capture(|| {
        for value in 1..=100 {
            data(&mut bench, "NDATA/E", Some(0), value);
        }
    });
    assert_eq!(told(&records), [Event::SeqNotCounted]);
    triggered(&records, Event::SeqNotCounted);
    let gaps = bench.pipeline.counters().gaps;
    assert!(gaps <= 8, "{gaps}");
    // Another birth, and it still doesn't count: told already.
    bench.node("NBIRTH", vec![bd_seq(1), typed("x", DataType::UInt32, Value::Int(0))]);
    let records =
        capture(|| (1..=100).for_each(|value| data(&mut bench, "NDATA/E", Some(0), value)));
    assert_eq!(told(&records), []);
}

#[test]
fn two_publishers_under_one_name_are_told_once() {
    let mut bench = born();
    let records = capture(|| {
        for number in 1..=100_u32 {
            let seq = u64::from(number);
            data(&mut bench, "NDATA/E", Some(seq % 256), number);
            data(&mut bench, "NDATA/E", Some((seq + 70) % 256), 1_000 + number);
        }
    });
    assert_eq!(told(&records), [Event::NameShared]);
    triggered(&records, Event::NameShared);
}

#[test]
fn numbers_that_come_twice_are_told_with_all_that_may_be_the_cause() {
    let mut bench = born();
    let device = || vec![typed("x", DataType::UInt32, Value::Int(0))];
    bench.node("DBIRTH/A", device());
    bench.node("DBIRTH/B", device());
    let records = capture(|| {
        for number in 1..=50_u32 {
            data(&mut bench, "DDATA/E/A", Some(number.into()), number);
            data(&mut bench, "DDATA/E/B", Some(number.into()), number);
        }
    });
    assert_eq!(told(&records), [Event::SeqRepeats]);
    triggered(&records, Event::SeqRepeats);
}

#[test]
fn a_zero_that_is_left_out_is_no_gap() {
    let mut bench = born();
    for number in 1..=1_000_u64 {
        let seq = Some(number % 256).filter(|seq| *seq != 0);
        data(&mut bench, "NDATA/E", seq, number as u32);
    }
    assert_eq!(bench.pipeline.counters().gaps, 0);
    bench.pass(5_000);
    bench.tick();
    assert_eq!(bench.pipeline.counters().gaps, 0);
    // And a message that is lost there still is one.
    data(&mut bench, "NDATA/E", Some(1_002 % 256), 1);
    bench.pass(5_000);
    bench.tick();
    assert_eq!(bench.pipeline.counters().gaps, 1);
}

#[test]
fn a_stream_that_was_sent_twice_says_nothing() {
    let mut bench = born();
    let records = capture(|| {
        for number in 1..=200_u32 {
            bench.pass(100);
            let metrics = vec![by_name("x", Value::Int(number))];
            let timestamp = Some(bench.now.wall_ms);
            let seq = Some(u64::from(number) % 256);
            let payload = Payload { timestamp, metrics, seq, ..Payload::default() };
            assert!(payload.encoded_len() > 0);
            // A broker that sends a copy for each subscription that matches.
            bench.send("spBv1.0/G/NDATA/E", &payload);
            bench.send("spBv1.0/G/NDATA/E", &payload);
        }
    });
    assert_eq!(told(&records), []);
}

/// As rumqttd does, which reads a log for each filter in turn.
#[test]
fn what_comes_topic_by_topic_counts_although_the_session_before_had_the_same_numbers() {
    let mut bench = Bench::new(ALL);
    let said = |bench: &mut Bench, what: &str, seq: u64, metrics| {
        bench.seq = seq;
        bench.node(what, metrics)
    };
    let x = || vec![typed("x", DataType::UInt32, Value::Int(0))];
    let records = capture(|| {
        for session in 0..4_u32 {
            said(&mut bench, "NBIRTH", 0, [vec![bd_seq(session.into())], x()].concat());
            said(&mut bench, "DBIRTH/D", 1, x());
            for seq in (3..43).step_by(2).chain((2..42).step_by(2)) {
                let what = if seq % 2 == 1 { "DDATA/D" } else { "NDATA" };
                let value = Value::Int(session * 100 + seq);
                said(&mut bench, what, seq.into(), vec![by_name("x", value)]);
            }
        }
    });
    assert_eq!(told(&records), []);
    let relayed = relayed(&bench.journal);
    let data = relayed.iter().filter(|relayed| relayed.topic.contains("DATA"));
    let values: Vec<_> = data.map(|data| value_of(&payload(data), "x")).collect();
    let sent =
        (0..4).flat_map(|session| (2..42).map(move |seq| Some(Value::Int(session * 100 + seq))));
    assert_eq!(values, sent.collect::<Vec<_>>());
}
