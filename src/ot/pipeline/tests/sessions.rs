//! Births, deaths, aliases, order.

use account::Reason;
use sparkplug::{DataType, Metric, Payload, Value, names};
use telemetry::Event;
use telemetry::capture::{capture, triggered};

use super::bench::{
    ALL, Bench, aliased, bd_seq, by_alias, by_name, keyframed, names_of, payload, relayed,
    settings, topics, typed, value_of, verbs,
};
use crate::{PipelineSettings, Received};

fn born() -> Bench {
    let mut bench = Bench::new(ALL);
    let frames = bench.node(
        "NBIRTH",
        vec![
            bd_seq(5),
            typed(names::REBIRTH, DataType::Boolean, Value::Boolean(false)),
            aliased("temp", 1, DataType::Double, Value::Double(20.0)),
        ],
    );
    assert_eq!(verbs(&frames), "NBIRTH");
    bench
}

fn with_devices() -> Bench {
    let mut bench = born();
    for device in ["D1", "D2"] {
        let metrics = vec![aliased(device, 1, DataType::Int8, Value::Int(1))];
        assert_eq!(verbs(&bench.node(&format!("DBIRTH/{device}"), metrics)), "DBIRTH");
    }
    bench
}

#[test]
fn aliases_are_those_of_their_own_entity() {
    let mut bench = with_devices();
    let frames = bench.node("DDATA/D2", vec![by_alias(1, Value::Int(7))]);
    assert_eq!(names_of(&payload(&frames[0])), ["D2"]);
    let frames = bench.node("NDATA", vec![by_alias(1, Value::Double(7.0))]);
    assert_eq!(names_of(&payload(&frames[0])), ["temp"]);
    bench.node("DBIRTH/D1", vec![aliased("other", 1, DataType::Int8, Value::Int(1))]);
    let frames = bench.node("DDATA/D1", vec![by_alias(1, Value::Int(7))]);
    assert_eq!(names_of(&payload(&frames[0])), ["other"]);
}

#[test]
fn aliases_die_with_the_next_birth() {
    let mut bench = born();
    bench.node("NBIRTH", vec![bd_seq(5), aliased("temp", 9, DataType::Double, Value::Double(1.0))]);
    assert!(bench.node("NDATA", vec![by_alias(1, Value::Double(1.0))]).is_empty());
    assert_eq!(bench.dropped(Reason::UnknownMetric), 1);
}

#[test]
fn data_before_birth_is_dropped() {
    let mut bench = Bench::new(ALL);
    assert!(bench.node("NDATA", vec![by_name("x", Value::Int(1))]).is_empty());
    assert!(bench.node("DDATA/D", vec![by_name("x", Value::Int(1))]).is_empty());
    assert!(bench.node("DBIRTH/D", vec![]).is_empty());
    assert!(bench.node("NDEATH", vec![bd_seq(0)]).is_empty());
    // What may have overtaken the birth waits for it.
    assert_eq!(bench.pipeline.account().waiting, 2);
    bench.pass(2000);
    bench.tick();
    assert_eq!(bench.dropped(Reason::DataBeforeBirth), 4);
    bench.node("NBIRTH", vec![bd_seq(0)]);
    assert!(bench.node("DDATA/D", vec![by_name("x", Value::Int(1))]).is_empty());
    assert!(bench.node("DDEATH/D", vec![]).is_empty());
    assert_eq!(bench.dropped(Reason::DataBeforeBirth), 6);
}

#[test]
fn a_node_birth_kills_its_devices_until_they_are_born() {
    let mut bench = with_devices();
    bench.node("NBIRTH", vec![bd_seq(5)]);
    assert!(bench.node("DDATA/D1", vec![by_alias(1, Value::Int(7))]).is_empty());
    assert_eq!(bench.dropped(Reason::DataBeforeBirth), 1);
    bench.node("DBIRTH/D1", vec![aliased("D1", 1, DataType::Int8, Value::Int(1))]);
    assert_eq!(verbs(&bench.node("DDATA/D1", vec![by_alias(1, Value::Int(7))])), "DDATA");
}

#[test]
fn a_death_of_an_earlier_birth_is_not_believed() {
    // A gateway that doesn't store its number, and one that counts it at births.
    for births in [[5, 0], [0, 1]] {
        let mut bench = Bench::new(ALL);
        let birth = |number| vec![bd_seq(number), typed("x", DataType::Int8, Value::Int(1))];
        births.into_iter().for_each(|number| {
            bench.node("NBIRTH", birth(number));
        });
        let told = capture(|| assert!(bench.node("NDEATH", vec![bd_seq(births[0])]).is_empty()));
        triggered(&told, Event::DeathIgnored);
        assert_eq!(bench.dropped(Reason::StaleDeath), 1);
        assert_eq!(verbs(&bench.node("NDATA", vec![by_name("x", Value::Int(2))])), "NDATA");
        let told = capture(|| {
            assert_eq!(verbs(&bench.node("NDEATH", vec![bd_seq(births[1])])), "NDEATH");
        });
        triggered(&told, Event::NodeDied);
    }
}

#[test]
fn a_death_with_an_unknown_number_is_one_until_the_node_is_heard() {
    // The will says 0 and the birth 1; or the next number at a disconnect.
    for (birth, death) in [(1, 0), (5, 4), (5, 6), (0, 255)] {
        let mut bench = Bench::new(ALL);
        bench.node("NBIRTH", vec![bd_seq(birth), aliased("x", 7, DataType::Int8, Value::Int(1))]);
        bench.node("DBIRTH/D", vec![aliased("y", 8, DataType::Int8, Value::Int(1))]);
        let told = capture(|| {
            assert_eq!(verbs(&bench.node("NDEATH", vec![bd_seq(death)])), "NDEATH");
        });
        triggered(&told, Event::DeathUnmatched);
        assert_eq!(bench.pipeline.keyframes(bench.now).count(), 0);
        // It lives all the same: what was known of it still holds, and is in doubt.
        let frames = bench.node("DDATA/D", vec![by_alias(8, Value::Int(2))]);
        assert_eq!(verbs(&frames), "NBIRTH DBIRTH DDATA");
        assert!(frames[2].loss_before);
        // A real death, by the number of the birth.
        assert_eq!(verbs(&bench.node("NDEATH", vec![bd_seq(birth)])), "NDEATH");
        assert!(bench.node("NDATA", vec![by_alias(7, Value::Int(3))]).is_empty());
    }
    // Without a number nothing can be compared.
    let mut bench = born();
    assert_eq!(verbs(&bench.node("NDEATH", vec![])), "NDEATH");
    assert!(bench.node("NDATA", vec![by_alias(1, Value::Double(1.0))]).is_empty());
}

#[test]
fn the_number_of_a_death_may_come_by_its_alias_alone() {
    let mut bench = Bench::new(ALL);
    for number in [3, 4] {
        let metrics = vec![Metric { alias: Some(9), ..bd_seq(number) }];
        bench.node("NBIRTH", metrics);
    }
    assert!(bench.node("NDEATH", vec![by_alias(9, Value::Long(3))]).is_empty());
    assert_eq!(bench.dropped(Reason::StaleDeath), 1);
    assert_eq!(verbs(&bench.node("NDEATH", vec![by_alias(9, Value::Long(4))])), "NDEATH");
}

#[test]
fn what_is_dead_dies_once_and_without_a_warning() {
    let mut bench = with_devices();
    assert_eq!(verbs(&bench.node("DDEATH/D1", vec![])), "DDEATH");
    let told = capture(|| {
        assert!(bench.node("DDEATH/D1", vec![]).is_empty());
        assert_eq!(verbs(&bench.node("NDEATH", vec![bd_seq(5)])), "NDEATH");
        assert!(bench.node("NDEATH", vec![bd_seq(5)]).is_empty());
        bench.node("DDEATH/D1", vec![]);
        bench.node("DDEATH/D2", vec![]);
        bench.pass(2000);
        bench.tick();
    });
    assert!(told.iter().all(|line| line.event == Event::NodeDied), "{told:?}");
    assert_eq!(bench.dropped(Reason::StaleDeath), 4);
}

#[test]
fn a_death_of_no_bytes_and_one_that_cannot_be_read_are_deaths() {
    for payload in [b"".as_slice(), b"\xff"] {
        let mut bench = with_devices();
        let mut receive = |topic| {
            let received = Received { topic, payload, retain: false, dup: false, assured: false };
            relayed(&bench.receive(received))
        };
        assert_eq!(verbs(&receive("spBv1.0/G/DDEATH/E/D1")), "DDEATH");
        assert_eq!(verbs(&receive("spBv1.0/G/NDEATH/E")), "NDEATH");
        assert!(bench.node("NDATA", vec![by_alias(1, Value::Double(1.0))]).is_empty());
        // Where the broker has it stored, it says nothing.
        let mut bench = with_devices();
        for topic in ["spBv1.0/G/DDEATH/E/D1", "spBv1.0/G/NDEATH/E"] {
            bench.receive(Received { topic, payload, retain: true, dup: false, assured: false });
        }
        assert_eq!(bench.pipeline.keyframes(bench.now).count(), 3);
        assert_eq!(bench.dropped(Reason::MalformedPayload), 2);
    }
}

#[test]
fn a_device_death_without_seq_is_a_death() {
    let mut bench = with_devices();
    let death = Payload { timestamp: Some(1), ..Payload::default() };
    let frames = bench.send("spBv1.0/G/DDEATH/E/D1", &death);
    assert_eq!(verbs(&frames), "DDEATH");
    assert!(!frames[0].loss_before);
    assert!(bench.node("DDATA/D1", vec![by_alias(1, Value::Int(7))]).is_empty());
    assert_eq!(verbs(&bench.node("DDATA/D2", vec![by_alias(1, Value::Int(7))])), "DDATA");
}

#[test]
fn births_are_completed() {
    let mut bench = Bench::new(ALL);
    let untimed = Metric { timestamp: None, ..typed("a", DataType::Int8, Value::Int(1)) };
    let null = Metric {
        name: Some("b".into()),
        datatype: Some(DataType::Float.code()),
        ..Metric::default()
    };
    let contradiction = Metric {
        is_null: Some(true),
        ..typed("c", DataType::String, Value::String("hidden".into()))
    };
    let frames = bench.node("NBIRTH", vec![untimed, null, contradiction]);
    let birth = payload(&frames[0]);
    assert_eq!(names_of(&birth), ["a", "b", "c"]);
    assert_eq!(birth.metrics[0].timestamp, Some(bench.now.wall_ms));
    assert_eq!((value_of(&birth, "b"), value_of(&birth, "c")), (None, None));
    assert!(!bench.leaks("hidden"));
}

#[test]
fn a_value_that_does_not_fit_the_birth_is_dropped() {
    let mut bench = born();
    let frames = bench.node("NDATA", vec![by_alias(1, Value::Int(1))]);
    // What readers had isn't the plant's value any more.
    assert!(frames[0].synthetic && payload(&frames[0]).metrics[0].value.is_none());
    assert_eq!(bench.dropped(Reason::TypeMismatch), 1);
    // A datatype that disagrees with the birth's, too.
    let disagreeing =
        Metric { datatype: Some(DataType::Float.code()), ..by_alias(1, Value::Double(1.0)) };
    assert!(bench.node("NDATA", vec![disagreeing]).is_empty());
    assert_eq!(bench.dropped_metrics(Reason::TypeMismatch), 2);
}

#[test]
fn lost_messages_are_told_once_after_the_reorder_timeout() {
    let mut bench = born();
    bench.lose();
    assert!(bench.node("NDATA", vec![by_alias(1, Value::Double(1.0))]).is_empty());
    bench.pass(2000);
    let told = bench.tick();
    assert!(relayed(&told)[0].loss_before);
    // By a keyframe too, for what was seen before.
    assert!(keyframed(&told)[0].uncertain);
    assert_eq!(bench.pipeline.counters().gaps, 1);
    let after = bench.node("NDATA", vec![by_alias(1, Value::Double(3.0))]);
    assert!(!after[0].loss_before);
    bench.pass(30_000);
    assert!(keyframed(&bench.tick())[0].uncertain);
    // A birth makes everything certain again.
    let birth = bench.node("NBIRTH", vec![bd_seq(5)]);
    assert!(!birth[0].loss_before);
    bench.pass(30_000);
    assert!(!keyframed(&bench.tick())[0].uncertain);
}

#[test]
fn messages_that_overtook_each_other_are_no_loss() {
    let mut bench = born();
    bench.seq = 2;
    let newer = Metric { timestamp: Some(20), ..by_alias(1, Value::Double(2.0)) };
    let older = Metric { timestamp: Some(10), ..by_alias(1, Value::Double(1.0)) };
    // The birth is older than both.
    bench.node(
        "NBIRTH",
        vec![Metric {
            timestamp: Some(5),
            ..aliased("temp", 1, DataType::Double, Value::Double(0.0))
        }],
    );
    bench.seq = 2;
    assert!(bench.node("NDATA", vec![newer]).is_empty());
    assert_eq!(bench.pipeline.account().waiting, 1);
    bench.seq = 1;
    let both = bench.node("NDATA", vec![older]);
    let values = both.iter().map(|data| payload(data).metrics[0].value.clone());
    let wanted = [Some(Value::Double(1.0)), Some(Value::Double(2.0))];
    assert_eq!(values.collect::<Vec<_>>(), wanted, "in the order of `seq`");
    assert!(both.iter().all(|data| payload(data).metrics[0].is_historical.is_none()));
    bench.seq = 3;
    bench.pass(5000);
    bench.tick();
    let next = bench.node("NDATA", vec![by_alias(1, Value::Double(3.0))]);
    assert!(!next[0].loss_before);
    assert_eq!(bench.pipeline.counters().gaps, 0);
}

#[test]
fn gaps_mean_nothing_where_only_a_part_of_the_node_is_subscribed() {
    let text = r#"
        [[rule]]
        name = "one-device"
        action = "forward"
        topic = "spBv1.0/G/+/E/D1"
    "#;
    let mut bench = Bench::new(text);
    bench.node("NBIRTH", vec![bd_seq(0)]);
    bench.node("DBIRTH/D1", vec![typed("x", DataType::Int8, Value::Int(1))]);
    bench.seq = 77;
    let frames = bench.node("DDATA/D1", vec![by_name("x", Value::Int(2))]);
    assert!(!frames[0].loss_before);
    bench.pass(5000);
    bench.tick();
    assert_eq!(bench.pipeline.counters().gaps, 0);
}

#[test]
fn redelivered_messages_are_dropped_and_new_ones_are_not() {
    let mut bench = born();
    let data = Payload {
        timestamp: Some(1),
        seq: Some(1),
        metrics: vec![by_alias(1, Value::Double(1.0))],
        ..Payload::default()
    };
    assert_eq!(bench.send("spBv1.0/G/NDATA/E", &data).len(), 1);
    assert!(bench.deliver("spBv1.0/G/NDATA/E", &data, false, true).is_empty());
    // A broker that sends a copy per matching subscription doesn't set DUP.
    assert!(bench.send("spBv1.0/G/NDATA/E", &data).is_empty());
    assert_eq!(bench.dropped(Reason::Duplicate), 2);
    let next = Payload { seq: Some(2), ..data };
    let frames = bench.deliver("spBv1.0/G/NDATA/E", &next, false, true);
    assert_eq!(frames.len(), 1);
    assert!(!frames[0].loss_before);
    let birth = Payload { timestamp: Some(9), seq: Some(0), ..Payload::default() };
    assert_eq!(bench.send("spBv1.0/G/NBIRTH/E", &birth).len(), 1);
    assert!(bench.deliver("spBv1.0/G/NBIRTH/E", &birth, false, true).is_empty());
}

#[test]
fn historical_data_crosses_and_leaves_the_current_value() {
    let mut bench = born();
    let old = Metric { is_historical: Some(true), ..by_alias(1, Value::Double(-1.0)) };
    let frames = bench.node("NDATA", vec![old]);
    assert_eq!(payload(&frames[0]).metrics[0].is_historical, Some(true));
    bench.pass(30_000);
    let keyframe = keyframed(&bench.tick()).remove(0);
    let birth = <Payload as prost::Message>::decode(keyframe.payload.as_slice()).unwrap();
    assert_eq!(value_of(&birth, "temp"), Some(Value::Double(20.0)));
}

#[test]
fn what_is_no_entity_message_never_crosses() {
    let mut bench = with_devices();
    let before = bench.journal.len();
    let cases = [
        ("spBv1.0/G/NCMD/E", Reason::Command),
        ("spBv1.0/G/DCMD/E/D1", Reason::Command),
        ("spBv1.0/STATE/h", Reason::State),
        ("STATE/h", Reason::State),
        ("spBv1.0/G/STATE/h", Reason::State),
        ("spBv1.0/G/NRECORD/E", Reason::UnknownType),
        ("spBv1.0/G/NDATA", Reason::MalformedTopic),
        ("other/topic", Reason::NotSparkplug),
        ("$sparkplug/certificates/spBv1.0/G/NDATA/E", Reason::MalformedTopic),
    ];
    for (topic, reason) in cases {
        let dropped = bench.dropped(reason);
        bench.receive(Received {
            topic,
            payload: b"\x08\x01",
            retain: false,
            dup: false,
            assured: false,
        });
        assert_eq!(bench.dropped(reason), dropped + 1, "{topic}");
    }
    bench.receive(Received {
        topic: "spBv1.0/G/NDEATH/E",
        payload: b"",
        retain: true,
        dup: false,
        assured: false,
    });
    assert_eq!(bench.dropped(Reason::MalformedPayload), 1);
    bench.receive(Received {
        topic: "spBv1.0/G/NDATA/E",
        payload: b"\xff",
        retain: false,
        dup: false,
        assured: false,
    });
    assert_eq!(bench.dropped(Reason::MalformedPayload), 2);
    assert_eq!(bench.journal.len(), before);
}

#[test]
fn nodes_and_devices_are_bounded() {
    let mut bench =
        Bench::with(PipelineSettings { max_nodes: 1, max_devices_per_node: 1, ..settings() }, ALL);
    bench.node("NBIRTH", vec![bd_seq(0)]);
    let birth = Payload { seq: Some(0), ..Payload::default() };
    assert!(bench.send("spBv1.0/G/NBIRTH/F", &birth).is_empty());
    bench.node("DBIRTH/D1", vec![typed("x", DataType::Int8, Value::Int(1))]);
    assert!(bench.node("DBIRTH/D2", vec![typed("x", DataType::Int8, Value::Int(1))]).is_empty());
    assert_eq!(bench.dropped(Reason::OverCapacity), 2);
    bench.node("DDEATH/D1", vec![]);
    let frames = bench.node("DBIRTH/D2", vec![typed("x", DataType::Int8, Value::Int(1))]);
    assert_eq!(topics(&frames), ["spBv1.0/G/DBIRTH/E/D2"]);
}

#[test]
fn a_birth_behind_what_was_refused_unread_says_all_anew() {
    let born = |bench: &mut Bench, number: u64| {
        let x = typed("x", DataType::Int32, Value::Int(1));
        assert_eq!(verbs(&bench.node("NBIRTH", vec![bd_seq(number), x.clone()])), "NBIRTH");
        assert_eq!(verbs(&bench.node("DBIRTH/D", vec![x])), "DBIRTH");
    };
    for topic in ["NBIRTH/E", "NDATA/E", "NDEATH/E", "DBIRTH/E/D", "DDATA/E/D", "DDEATH/E/D"] {
        let mut bench = Bench::new(ALL);
        born(&mut bench, 0);
        // As one batch: what is refused is told with the next tick.
        bench.pipeline.unread(&format!("spBv1.0/G/{topic}"), false, Reason::TooLarge);
        born(&mut bench, 1);
        assert_eq!(relayed(&bench.tick()), [], "{topic}");
        assert_eq!(verbs(&bench.node("DDATA/D", vec![by_name("x", Value::Int(2))])), "DDATA");
        assert_eq!(bench.dropped(Reason::TooLarge), 1);
    }
}

#[test]
fn a_device_whose_death_was_set_aside_lives_by_the_birth_that_is_delivered_again_behind_it() {
    let birth = |seq, value| Payload {
        timestamp: Some(1_700_000_000_000),
        metrics: vec![typed("x", DataType::Int32, Value::Int(value))],
        seq,
        ..Payload::default()
    };
    for (seq, reason) in [
        (Some(3), Reason::SetAside),
        (None, Reason::SetAside),
        // A death that was never delivered before may be newer than that birth.
        (Some(3), Reason::TooLarge),
    ] {
        let mut bench = Bench::new(ALL);
        bench.node("NBIRTH", vec![bd_seq(0)]);
        bench.deliver("spBv1.0/G/DBIRTH/E/D", &birth(seq.map(|_| 1), 1), false, false);
        match reason {
            Reason::SetAside => {
                bench.pipeline.unread("spBv1.0/G/DDEATH/E/D", false, Reason::SetAside)
            }
            _ => bench.pipeline.unread("spBv1.0/G/DDEATH/E/D", false, Reason::TooLarge),
        }
        let frames = bench.deliver("spBv1.0/G/DBIRTH/E/D", &birth(seq, 2), false, true);
        assert_eq!(verbs(&frames), "DBIRTH");
        let told = relayed(&bench.tick());
        let wanted = if reason == Reason::SetAside { "" } else { "DDEATH" };
        assert_eq!(verbs(&told), wanted, "{seq:?} {reason}");
    }
}
