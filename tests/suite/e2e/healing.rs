//! Loss, before the relay and inside it: it is seen, counted and healed.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use prost::Message;
use sparkplug::{DataType, Metric, Payload, Property, Value};
use telemetry::Event;

use crate::checker::Excuse;
use crate::metrics::{int, metric, string, untyped};
use crate::peers::raw_edge::RawEdge;
use crate::peers::srad_host::SradHost;
use crate::relay::Half;
use crate::rig::{EVERYTHING, Rig, Variation};
use crate::waiting::{now_ms, wait_until};

#[test]
fn what_retention_deleted_before_it_was_read_is_counted_with_its_sequence_numbers() {
    let variation = Variation {
        journal: "segment-bytes = 65536\nretain-bytes = 262144".into(),
        ..Variation::default()
    };
    let Some(mut rig) = Rig::prepare(EVERYTHING, &variation) else { return };
    rig.start_both();
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.qos = 1;
    edge.nbirth(&[int("count", 0), string("filler", "")]).unwrap();
    rig.wait_for("spBv1.0/Plant/NBIRTH/E", 1);
    assert!(rig.relay.terminate(Half::It).success());
    let frames = |rig: &Rig| -> Vec<u64> {
        let cat = rig.relay.run(&["journal", "cat", "--json", "journal"]);
        let lines = String::from_utf8(cat.stdout).unwrap();
        // A line about frames that are deleted while they are read has no number.
        let seq =
            |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["seq"].as_u64();
        lines.lines().filter_map(seq).collect()
    };
    let read = *frames(&rig).last().unwrap();

    let filler = "x".repeat(1_000);
    for value in 1..=1_000 {
        let data = [untyped(int("count", value)), untyped(string("filler", &filler))];
        edge.ndata(&data).unwrap();
    }
    wait_until("the OT half deletes old segments", || frames(&rig)[0] > read + 1);
    rig.relay.start(Half::It);
    rig.wait_for_value("Plant/E", "count", 1_000);

    rig.relay.wait_for_event(Half::It, Event::FramesLost, &["cause=retention"]);
    let log = rig.relay.log(Half::It);
    let lost: Vec<&str> = log.lines().filter(|line| line.contains("frames lost")).collect();
    let number = |key: &str| -> u64 {
        let word = lost[0].split_whitespace().find_map(|word| word.strip_prefix(key)).unwrap();
        word.parse().unwrap()
    };
    // The first frame that is gone is one that the IT half hadn't read; a heartbeat may have
    // come between its end and the look at the journal.
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert!((read - 1..=read + 1).contains(&number("first=")), "{read}: {lost:?}");
    assert!(number("last=") < frames(&rig)[0] + 1, "{lost:?}");
    assert_eq!(number("count="), number("last=") - number("first=") + 1, "{lost:?}");
    rig.judge(Excuse::default());
}

#[test]
fn a_gap_before_the_relay_marks_what_was_not_seen_since() {
    let variation = Variation {
        ot_extra: "[relay]\nreorder-timeout-ms = 200\n".into(),
        ..Variation::default()
    };
    let Some(mut rig) = Rig::prepare(EVERYTHING, &variation) else { return };
    rig.start_both();
    let host = SradHost::start(rig.it_address(), "enterprise");
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.nbirth(&[int("seen", 1), int("unseen", 1)]).unwrap();
    rig.wait_for("spBv1.0/Plant/NBIRTH/E", 1);
    edge.skip_seq();
    edge.ndata(&[untyped(int("seen", 2))]).unwrap();
    rig.wait_for("spBv1.0/Plant/NBIRTH/E", 2);
    let quality = |name: &str| -> Option<u32> {
        let metric = rig.it.last("spBv1.0/Plant/NBIRTH/E", name)?;
        let properties = metric.properties?;
        let place = properties.keys.iter().position(|key| key == "Quality")?;
        match properties.values[place].value {
            Some(Property::Int(code)) => Some(code),
            _ => None,
        }
    };
    assert_eq!(quality("unseen"), Some(500), "stale");
    rig.relay.wait_for_event(Half::Ot, Event::SequenceGap, &["node=Plant/E"]);
    rig.relay.wait_for_event(Half::It, Event::ValuesDoubted, &["node=Plant/E"]);
    edge.ndata(&[untyped(int("unseen", 3))]).unwrap();
    rig.wait_for_value("Plant/E", "unseen", 3);
    assert_eq!(rig.it.count("spBv1.0/Plant/NBIRTH/E"), 2, "one loss is told once");
    // A real birth clears the doubt.
    edge.nbirth(&[int("seen", 4), int("unseen", 4)]).unwrap();
    rig.wait_for_value("Plant/E", "unseen", 4);
    assert_ne!(quality("unseen"), Some(500));
    assert_eq!(host.stale(), 0, "the host saw a gap");
    rig.judge(Excuse::default());
}

#[test]
fn a_first_start_that_is_killed_loses_nothing_of_what_came_after_it() {
    for first_start in ["oldest", "newest"] {
        let variation = Variation {
            journal_source: format!("first-start = \"{first_start}\""),
            ..Variation::default()
        };
        let Some(mut rig) = Rig::prepare(EVERYTHING, &variation) else { return };
        rig.start_ot();
        let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
        edge.qos = 1;
        edge.nbirth(&[int("count", 0)]).unwrap();
        for value in 1..=20 {
            edge.ndata(&[untyped(int("count", value))]).unwrap();
        }
        rig.relay.start(Half::It);
        rig.wait_for_value("Plant/E", "count", 20);
        rig.relay.kill(Half::It);
        for value in 21..=40 {
            edge.ndata(&[untyped(int("count", value))]).unwrap();
        }
        // The next start of the OT half begins a segment.
        assert!(rig.relay.terminate(Half::Ot).success());
        rig.start_ot();
        // What the broker delivers again was sent before: a node is shown once it is heard anew.
        edge.ndata(&[untyped(int("count", 41))]).unwrap();
        rig.relay.start(Half::It);
        wait_until(&format!("{first_start}: every value is on IT"), || {
            let mut values = rig.it.numbers("spBv1.0/Plant/NDATA/E", "count");
            values.extend(rig.it.numbers("spBv1.0/Plant/NBIRTH/E", "count"));
            (1..=41).all(|value| values.contains(&value))
        });
        rig.judge(Excuse { kills: true });
    }
}

#[test]
fn compressed_payloads_are_relayed_plain() {
    let Some(rig) = Rig::start(EVERYTHING) else { return };
    let host = SradHost::start(rig.it_address(), "enterprise");
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    let birth = vec![
        metric("bdSeq", DataType::Int64, Value::Long(0)),
        metric("Node Control/Rebirth", DataType::Boolean, Value::Boolean(false)),
        int("count", 1),
    ];
    edge.publish("spBv1.0/Plant/NBIRTH/E", compressed(birth, 0), false);
    edge.publish("spBv1.0/Plant/NDATA/E", compressed(vec![untyped(int("count", 2))], 1), false);
    host.wait_for("Plant/E", "count", 2);
    assert!(rig.it.payloads("spBv1.0/Plant/NBIRTH/E").iter().all(|one| one.body.is_none()));
    rig.judge(Excuse::default());
}

/// A payload within a payload, as Tahu's `PayloadUtil` makes it.
fn compressed(metrics: Vec<Metric>, seq: u64) -> Vec<u8> {
    let inner =
        Payload { timestamp: Some(now_ms()), metrics, seq: Some(seq), ..Payload::default() };
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&inner.encode_to_vec()).unwrap();
    let outer = Payload {
        timestamp: Some(now_ms()),
        metrics: vec![string("algorithm", "DEFLATE")],
        seq: Some(seq),
        uuid: Some("SPBV1.0_COMPRESSED".into()),
        body: Some(encoder.finish().unwrap()),
    };
    outer.encode_to_vec()
}
