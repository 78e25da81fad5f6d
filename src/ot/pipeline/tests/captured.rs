//! Recorded traffic of real edge libraries.

use account::Reason;
use sparkplug::{Value, captures, names};

use super::bench::{ALL, Bench, names_of, payload, relayed, value_of, verbs};
use crate::Received;

fn replay(name: &str, text: &str) -> Bench {
    let mut bench = Bench::new(text);
    let (_, messages) = captures::all().into_iter().find(|(file, _)| *file == name).unwrap();
    for message in messages {
        let received = Received {
            topic: &message.topic,
            payload: &message.payload,
            retain: message.retain,
            dup: false,
            assured: false,
        };
        let _ = bench.receive(received);
    }
    bench
}

#[test]
fn pysparkplug_traffic_crosses_and_its_early_death_counts() {
    let bench = replay("pysparkplug", ALL);
    let relayed = relayed(&bench.journal);
    assert_eq!(verbs(&relayed), "NBIRTH DBIRTH NDATA DDATA NDATA DDATA NDATA DDATA NDEATH");
    let birth = payload(&relayed[0]);
    assert_eq!(value_of(&birth, "neg8"), Some(Value::Int(255)));
    assert_eq!(value_of(&birth, names::REBIRTH), Some(Value::Boolean(false)));
    assert_eq!(bench.pipeline.account().dropped_total(), 0);
    assert_eq!(bench.pipeline.counters().gaps, 0);
    // Its clean disconnect sends the next session's number.
    assert_eq!(names::bd_seq(&birth), Some(0));
    assert_eq!(names::bd_seq(&payload(relayed.last().unwrap())), Some(1));
}

#[test]
fn srad_traffic_crosses_with_names_for_its_aliases() {
    let bench = replay("srad", ALL);
    let relayed = relayed(&bench.journal);
    let data = relayed.iter().filter(|relayed| relayed.topic.contains("DATA")).count();
    assert_eq!(data, 24);
    assert_eq!(relayed.iter().filter(|relayed| relayed.topic.contains("BIRTH")).count(), 4);
    for frame in relayed.iter().filter(|relayed| relayed.topic.contains("NDATA")) {
        assert!(!names_of(&payload(frame)).is_empty());
    }
    assert_eq!(bench.dropped(Reason::Command), 1);
    assert_eq!(bench.dropped(Reason::State), 4);
    assert_eq!(bench.pipeline.account().dropped_total(), 5);
    assert_eq!(bench.pipeline.counters().gaps, 0);
}

#[test]
fn compressed_traffic_crosses_plain() {
    let bench = replay("javascript", ALL);
    let relayed = relayed(&bench.journal);
    assert_eq!(verbs(&relayed), "NBIRTH DBIRTH DDATA DDATA DDATA DDEATH NDEATH");
    assert!(bench.pipeline.counters().compressed > 0);
    assert!(!bench.leaks(names::COMPRESSED_UUID));
    assert_eq!(payload(&relayed[0]).metrics.iter().filter(|m| m.is_null == Some(true)).count(), 1);
}

#[test]
fn captured_traffic_without_a_rule_leaves_no_trace() {
    let text = r#"
        [[rule]]
        name = "another"
        action = "forward"
        group = "Other"
    "#;
    for file in ["pysparkplug", "srad", "javascript"] {
        let bench = replay(file, text);
        assert!(bench.journal.is_empty());
        assert!(bench.dropped(Reason::NoRule) > 0);
    }
}
