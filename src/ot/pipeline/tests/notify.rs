//! What the pipeline tells the people who watch it.

use sparkplug::{DataType, Metric, Value};
use telemetry::capture::{capture, triggered};
use telemetry::{Event, Record};

use super::bench::{ALL, Bench, bd_seq, by_name, typed};
use crate::pipeline::{PipelineSettings, Received};

fn number(name: &str) -> Metric {
    typed(name, DataType::Int32, Value::Int(1))
}

fn received<'a>(topic: &'a str, payload: &'a [u8]) -> Received<'a> {
    Received { topic, payload, retain: false, dup: false, assured: false }
}

#[test]
fn a_message_that_is_dropped_is_told_as_what_it_is() {
    const ONE: &str =
        "[[rule]]\nname = \"one\"\naction = \"forward\"\ngroup = \"G\"\nedge-node = \"E\"\n";
    let mut bench = Bench::new(ONE);
    let told = capture(|| {
        bench.node("NBIRTH", vec![bd_seq(0), number("a")]);
        bench.receive(received("spBv1.0/G/NBIRTH/Lab", b"\x18\x01"));
    });
    triggered(&told, Event::PolicyDrop);
    let line = told.last().unwrap().message();
    assert!(line.contains("node=G/Lab topic=spBv1.0/G/NBIRTH/Lab reason=no_rule"), "{line}");

    let told = capture(|| {
        bench.receive(received("spBv2.0/G/NDATA/E", b"\x18\x01"));
    });
    triggered(&told, Event::TopicRefused);
    let told = capture(|| {
        bench.receive(received("spBv1.0/G/NDATA/E", b"\xff\xff"));
    });
    triggered(&told, Event::PayloadRefused);
    let line = told[0].message();
    assert!(
        line.contains("node=G/E") && line.contains("reason=malformed_payload bytes=2 problem="),
        "{line}"
    );
    let told = capture(|| {
        bench.receive(received("spBv1.0/G/NDATA/Ghost", b"\x18\x01"));
    });
    triggered(&told, Event::BirthMissing);
    let told = capture(|| {
        bench.receive(received("spBv1.0/G/NCMD/E", b"\x18\x01"));
    });
    triggered(&told, Event::PolicyDrop);
    assert!(told[0].message().contains("node=G/E topic=spBv1.0/G/NCMD/E reason=command"));
}

#[test]
fn a_value_that_a_rule_refuses_is_told_where_the_rest_of_its_message_crosses() {
    const RANGE: &str = "[[rule]]\nname = \"one\"\naction = \"forward\"\ngroup = \"G\"\n\
                         [[rule.metric]]\nnames = \"a\"\nmin = 0\nmax = 1\n";
    let mut bench = Bench::new(RANGE);
    bench.node("NBIRTH", vec![bd_seq(0), number("a"), number("b")]);
    let mut told = |metrics| capture(|| assert_eq!(bench.node("NDATA", metrics).len(), 1));
    let beyond = || by_name("a", Value::Int(2));
    let lines = told(vec![by_name("b", Value::Int(2)), beyond()]);
    triggered(&lines, Event::PolicyDrop);
    let line = lines[0].message();
    let expected = "node=G/E topic=spBv1.0/G/NDATA/E reason=out_of_range rule=one metric=a";
    assert!(line.contains(expected), "{line}");
    assert!(told(vec![by_name("b", Value::Int(3))]).is_empty());
    // Of a message of which nothing crosses there is one line, of all of it.
    let lines = capture(|| assert!(bench.node("NDATA", vec![beyond()]).is_empty()));
    triggered(&lines, Event::PolicyDrop);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(!lines[0].message().contains("metric="), "{lines:?}");
    // A birth has the metric without its value.
    let lines = capture(|| {
        let metrics = vec![bd_seq(1), typed("a", DataType::Int32, Value::Int(2)), number("b")];
        assert_eq!(bench.node("NBIRTH", metrics).len(), 1);
    });
    triggered(&lines, Event::PolicyDrop);
    let line = lines.last().unwrap().message();
    let expected = "node=G/E topic=spBv1.0/G/NBIRTH/E reason=out_of_range rule=one metric=a";
    assert!(line.contains(expected), "{lines:?}");
}

#[test]
fn a_host_that_is_offline_is_told_while_nodes_are_silent_and_its_state_never_crosses() {
    let mut bench = Bench::new(ALL);
    bench.node("NBIRTH", vec![bd_seq(0), number("a")]);
    let state: &[u8] = br#"{"online":false,"timestamp":1}"#;
    let before = bench.journal.len();
    let told = capture(|| {
        bench.receive(Received { retain: true, ..received("spBv1.0/STATE/scada", state) });
    });
    assert!(told.is_empty(), "it was asked for: {told:?}");
    assert_eq!(bench.journal.len(), before);
    let pass = |bench: &mut Bench| {
        capture(|| {
            bench.pass(11_000);
            bench.tick();
        })
    };
    assert!(pass(&mut bench).iter().all(|told| told.event != Event::HostOffline), "the node lives");
    bench.node("NDEATH", vec![bd_seq(0)]);
    let told = pass(&mut bench);
    let line = told.iter().find(|told| told.event == Event::HostOffline).unwrap().message();
    assert!(line.contains("host=scada topic=spBv1.0/STATE/scada silent=1 live=0"), "{line}");
    assert_eq!(bench.pipeline.absent_hosts(bench.now).unwrap().0, ["scada"]);
    // What can't be read is told as what isn't forwarded.
    let told = capture(|| {
        bench.receive(received("spBv1.0/STATE/other", b"\x08\x01"));
    });
    triggered(&told, Event::PolicyDrop);
    assert!(!bench.leaks("STATE"), "nothing of it is in the journal");
}

#[test]
fn a_hole_in_the_sequence_is_told_with_its_node() {
    let mut bench = Bench::new(ALL);
    bench.node("NBIRTH", vec![bd_seq(0), number("a")]);
    bench.lose();
    let told = capture(|| {
        bench.node("NDATA", vec![by_name("a", Value::Int(2))]);
        bench.pass(10_000);
        bench.tick();
    });
    triggered(&told, Event::SequenceGap);
    assert!(told[0].message().ends_with(" node=G/E"), "{told:?}");
}

#[test]
fn a_rate_that_is_exceeded_is_told_with_node_and_rule() {
    const RATED: &str = "[[rule]]\nname = \"slow\"\naction = \"forward\"\ngroup = \"G\"\n\
                         [rule.rate]\nmessages-per-s = 1\nburst-messages = 1\n";
    let mut bench = Bench::new(RATED);
    bench.node("NBIRTH", vec![bd_seq(0), number("a")]);
    let told = capture(|| {
        for _ in 0..5 {
            bench.node("NDATA", vec![by_name("a", Value::Int(2))]);
        }
    });
    triggered(&told, Event::RateExceeded);
    let line = told[0].message();
    assert!(line.contains("node=G/E") && line.contains("rule=slow"), "{line}");
}

#[test]
fn more_nodes_than_may_be_are_told() {
    let settings = PipelineSettings { max_nodes: 1, ..super::bench::settings() };
    let mut bench = Bench::with(settings, ALL);
    bench.node("NBIRTH", vec![bd_seq(0), number("a")]);
    let told = capture(|| {
        bench.receive(received("spBv1.0/G/NBIRTH/Other", b"\x18\x01"));
    });
    triggered(&told, Event::CapacityReached);
    assert!(told[0].message().contains("limit=relay.max-nodes"), "{told:?}");
}

#[test]
fn a_window_that_opens_or_closes_is_told_with_what_comes_next() {
    // The bench begins at 2023-11-14T22:13:20Z, a Tuesday.
    const WINDOWS: &str = r#"
        [[rule]]
        name = "vendor"
        action = "forward"
        group = "G"
        not-before = 2023-11-14T22:14:00Z
        not-after = 2023-11-14T22:15:00Z

        [[rule]]
        name = "not-at-night"
        action = "deny"
        group = "G"
        deny-metrics = "second"
        weekly = { days = "tue", from-utc = "22:14", to-utc = "04:00" }
    "#;
    let mut bench = Bench::new(WINDOWS);
    let told = capture(|| {
        bench.tick();
        bench.pass(40_000);
        bench.tick();
    });
    triggered(&told, Event::PolicyWindow);
    let lines = |told: &[Record]| told.iter().map(Record::message).collect::<Vec<_>>();
    let words = "a rule's window opened or closed";
    assert_eq!(
        lines(&told),
        [
            format!("{words} rule=vendor open=true action=forward until=2023-11-14T22:15:00.000Z"),
            format!(
                "{words} rule=not-at-night open=true action=deny until=2023-11-15T04:00:00.000Z"
            ),
        ]
    );
    let told = capture(|| {
        bench.pass(60_000);
        bench.tick();
        bench.tick();
    });
    assert_eq!(lines(&told), [format!("{words} rule=vendor open=false action=forward")]);
}
