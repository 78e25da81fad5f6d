//! Births that evade limits: a node that is born again and again tells by births what it may not tell
//! by data.

use std::collections::BTreeSet;

use account::Reason;
use journal_format::Relayed;
use sparkplug::{DataType, Metric, Template, Value};

use super::bench::{Bench, bd_seq, by_name, names_of, payload, relayed, typed, value_of, verbs};
use crate::Received;

fn rule(limit: &str) -> String {
    format!("[[rule]]\nname = \"r\"\naction = \"forward\"\ngroup = \"G\"\n{limit}\n")
}

const SLOW: &str = "[rule.rate]\nmessages-per-s = 0.1\nburst-messages = 1";

fn number(name: &str, value: u32) -> Metric {
    typed(name, DataType::UInt32, Value::Int(value))
}

/// The values above 0 that crossed, by births and by data.
fn told(frames: &[Relayed]) -> BTreeSet<u32> {
    let metrics = frames.iter().flat_map(|frame| match frame.payload.as_slice() {
        [] => Vec::new(),
        _ => payload(frame).metrics,
    });
    let value = |metric: Metric| match metric.value {
        Some(Value::Int(value)) if value > 0 => Some(value),
        _ => None,
    };
    metrics.filter_map(value).collect()
}

/// Ways to be born again with another value.
const WAYS: [&str; 4] = ["NBIRTH", "DBIRTH", "NDEATH NBIRTH", "new names"];

fn bear(bench: &mut Bench, way: &str, value: u32) -> Vec<Relayed> {
    let mut frames = Vec::new();
    match way {
        "NBIRTH" => frames.extend(bench.node("NBIRTH", vec![bd_seq(0), number("x", value)])),
        "DBIRTH" => frames.extend(bench.node("DBIRTH/D", vec![number("x", value)])),
        "NDEATH NBIRTH" => {
            frames.extend(bench.node("NDEATH", vec![bd_seq(0)]));
            frames.extend(bench.node("NBIRTH", vec![bd_seq(0), number("x", value)]));
        }
        _ => {
            let name = format!("x{value}");
            frames.extend(bench.node("NBIRTH", vec![bd_seq(0), number(&name, value)]));
        }
    }
    frames
}

#[test]
fn a_node_that_is_born_again_and_again_tells_no_more_than_its_limits_and_one_birth_a_second() {
    let limits = [
        SLOW.to_owned(),
        format!("{SLOW}\nper = \"metric\""),
        format!("{SLOW}\non-excess = \"drop\""),
        "[rule.shape]\nmin-interval-ms = 10000".to_owned(),
        "[limits.node]\nmessages-per-s = 0.1\nburst-messages = 1".to_owned(),
        "[limits.link]\nmessages-per-s = 0.1\nburst-messages = 1".to_owned(),
    ];
    for limit in limits {
        for way in WAYS {
            let mut bench = Bench::new(&rule(&limit));
            bench.node("NBIRTH", vec![bd_seq(0), number("x", 0)]);
            let mut values = BTreeSet::new();
            // Ten seconds, fifty births a second.
            for value in 1..=500 {
                values.extend(told(&bear(&mut bench, way, value)));
                bench.pass(20);
                if value % 5 == 0 {
                    values.extend(told(&relayed(&bench.tick())));
                }
            }
            // One birth a second, what the rates let through, and new metrics' first values.
            let most = match way {
                "new names" if !limit.contains("limits") => 120,
                _ => 14,
            };
            assert!(values.len() <= most, "{limit} {way}: {} of 500", values.len());
            assert!(values.len() >= 9, "{limit} {way}: {} of 500", values.len());
        }
    }
}

#[test]
fn what_a_birth_may_not_bring_follows_as_data_when_its_time_has_come() {
    let mut bench = Bench::new(&rule(SLOW));
    bench.node("NBIRTH", vec![bd_seq(0), number("x", 1), number("y", 5)]);
    bench.pass(100);
    let frames =
        bench.node("NBIRTH", vec![bd_seq(0), number("x", 2), number("y", 5), number("z", 7)]);
    assert_eq!(verbs(&frames), "NBIRTH");
    let born = payload(&frames[0]);
    assert_eq!(value_of(&born, "x"), Some(Value::Int(1)), "as readers have it");
    assert_eq!(value_of(&born, "y"), Some(Value::Int(5)), "it is no news");
    assert_eq!(value_of(&born, "z"), None);
    let z = born.metrics.iter().find(|metric| metric.name.as_deref() == Some("z")).unwrap();
    assert!(z.is_null == Some(true) && policy::shape::is_bad_null(z), "{z:?}");
    assert!(!bench.leaks("\u{2}z"));
    // One message is free.
    let frames = relayed(&bench.tick());
    assert_eq!(verbs(&frames), "NDATA");
    let data = payload(&frames[0]);
    assert_eq!(value_of(&data, "x"), Some(Value::Int(2)));
    assert_eq!(value_of(&data, "z"), Some(Value::Int(7)));
    // A second later a birth may bring values again.
    bench.pass(1_000);
    let frames = bench.node("NBIRTH", vec![bd_seq(0), number("x", 3), number("y", 6)]);
    let born = payload(&frames[0]);
    assert_eq!(
        (value_of(&born, "x"), value_of(&born, "y")),
        (Some(Value::Int(3)), Some(Value::Int(6)))
    );
    bench.pass(20_000);
    assert!(relayed(&bench.tick()).iter().all(|frame| !frame.topic.contains("NDATA")));
    assert_eq!(bench.pipeline.account().waiting, 0);
}

#[test]
fn a_birth_that_comes_too_soon_passes_no_deadband() {
    let mut bench = Bench::new(&rule("[rule.shape]\ndeadband = 10"));
    bench.node("NBIRTH", vec![bd_seq(0), number("x", 100)]);
    bench.pass(10);
    let born = payload(&bench.node("NBIRTH", vec![bd_seq(0), number("x", 105)])[0]);
    assert_eq!(value_of(&born, "x"), Some(Value::Int(100)));
    assert_eq!(bench.dropped_metrics(Reason::Deadband), 1);
    bench.pass(100);
    assert!(relayed(&bench.tick()).is_empty());
    bench.pass(10);
    bench.node("NBIRTH", vec![bd_seq(0), number("x", 150)]);
    bench.pass(100);
    assert_eq!(told(&relayed(&bench.tick())), [150].into());
}

#[test]
fn births_bring_values_where_no_limit_holds_them_back_in_data_and_where_a_policy_says_so() {
    let free = "[limits.births]\nmin-interval-ms = 0";
    for limit in
        [String::new(), format!("{SLOW}\n{free}"), format!("[rule.shape]\nstep = 1\n{free}")]
    {
        let mut bench = Bench::new(&rule(&limit));
        bench.node("NBIRTH", vec![bd_seq(0), number("x", 0)]);
        for value in 1..50 {
            let frames = bear(&mut bench, "NBIRTH", value);
            assert_eq!(told(&frames), [value].into(), "{limit}");
        }
    }
    let mut bench = Bench::new(&rule(&format!("{SLOW}\n[limits.births]\nmin-interval-ms = 60000")));
    bench.node("NBIRTH", vec![bd_seq(0), number("x", 0)]);
    bench.node("NDATA", vec![number("x", 1)]);
    bench.pass(59_000);
    assert_eq!(told(&bear(&mut bench, "NBIRTH", 2)), [1].into());
    bench.pass(1_000);
    assert_eq!(told(&bear(&mut bench, "NBIRTH", 3)), [3].into());
}

#[test]
fn an_instance_whose_type_is_told_too_soon_follows_its_type_as_data() {
    let mut bench = Bench::new(&rule("[rule.rate]\nmessages-per-s = 1\nburst-messages = 1"));
    let motor = Template { is_definition: Some(true), ..Template::default() };
    let motor = Template { metrics: vec![number("speed", 0)], ..motor };
    let definition = typed("Motor", DataType::Template, Value::Template(Box::new(motor)));
    let mut null = by_name("Motor1", Value::Int(0));
    (null.datatype, null.value, null.is_null) = (Some(DataType::Template.code()), None, Some(true));
    bench.node("NBIRTH", vec![bd_seq(0), definition, number("x", 1), null]);
    bench.node("NDATA", vec![by_name("x", Value::Int(2))]);
    let template_ref = Some("Motor".to_owned());
    let metrics = vec![number("speed", 7)];
    let instance = Template { metrics, template_ref, ..Template::default() };
    let instance = Value::Template(Box::new(instance));
    assert!(bench.node("NDATA", vec![by_name("Motor1", instance)]).is_empty());
    let frames = relayed(&bench.tick());
    assert_eq!(verbs(&frames), "NBIRTH");
    let born = payload(&frames[0]);
    assert_eq!(names_of(&born), ["bdSeq", "Motor", "x", "Motor1"]);
    assert_eq!(value_of(&born, "Motor1"), None);
    bench.pass(1_500);
    let frames = relayed(&bench.tick());
    assert_eq!(verbs(&frames), "NDATA");
    let Some(Value::Template(instance)) = value_of(&payload(&frames[0]), "Motor1") else {
        panic!("no instance")
    };
    assert_eq!(instance.metrics[0].value, Some(Value::Int(7)));
    bench.pass(1_500);
    assert!(relayed(&bench.tick()).is_empty());
    assert_eq!(bench.pipeline.account().waiting, 0);
}

#[test]
fn an_instance_that_waits_and_was_null_follows_with_all_members_of_its_definition() {
    for limit in [SLOW, ""] {
        let mut bench = Bench::new(&rule(limit));
        let template = |name: &str, metrics, is_definition: bool| {
            let template_ref = (!is_definition).then(|| "Motor".to_owned());
            let is_definition = Some(is_definition);
            let template = Template { metrics, template_ref, is_definition, ..Template::default() };
            typed(name, DataType::Template, Value::Template(Box::new(template)))
        };
        let members = || vec![number("rpm", 0), number("amps", 0)];
        let defined = template("Motor", members(), true);
        let other = template("Motor2", members(), false);
        let null = Metric { value: None, is_null: Some(true), ..template("Motor1", vec![], false) };
        bench.node("NBIRTH", vec![bd_seq(0), defined, number("x", 1), null, other]);
        bench.node("NDATA", vec![by_name("x", Value::Int(2))]);
        let mut frames =
            bench.node("NDATA", vec![template("Motor1", vec![number("rpm", 7)], false)]);
        bench.pass(20_000);
        frames.extend(relayed(&bench.tick()));
        let Some(Value::Template(instance)) = value_of(&payload(&frames[0]), "Motor1") else {
            panic!("no instance: {frames:?}")
        };
        let told = instance.metrics.iter().map(|member| (member.name.as_deref(), &member.value));
        let wanted = [(Some("rpm"), &Some(Value::Int(7))), (Some("amps"), &None)];
        assert_eq!(told.collect::<Vec<_>>(), wanted, "{limit}");
        assert_eq!(bench.pipeline.account().waiting, 0);
    }
}

#[test]
fn a_birth_that_comes_too_soon_repeats_nothing_that_is_in_doubt() {
    // The broker kept the session, or didn't.
    let ways = [None, Some(true), Some(false)];
    for (away, is_refused) in ways.into_iter().flat_map(|away| [(away, false), (away, true)]) {
        let mut bench = Bench::new(&rule(SLOW));
        bench.node("NBIRTH", vec![bd_seq(0), number("x", 1)]);
        bench.node("DBIRTH/D", vec![number("x", 1)]);
        if let Some(present) = away {
            bench.pipeline.disconnected(bench.now);
            bench.pipeline.session(bench.now, present);
            bench.tick();
        }
        if is_refused {
            // What can't be read ends the node, and with it its devices.
            let topic = "spBv1.0/G/NBIRTH/E";
            let (retain, dup, assured) = (false, false, false);
            bench.receive(Received { topic, payload: b"\xff", retain, dup, assured });
        }
        bench.pass(1);
        let mut frames = bear(&mut bench, "NBIRTH", 2);
        frames.extend(bear(&mut bench, "DBIRTH", 2));
        assert_eq!(verbs(&frames), "NBIRTH DBIRTH");
        let known = if away.is_some() { None } else { Some(Value::Int(1)) };
        for frame in &frames {
            // Of a node that ended so nothing is known.
            let is_unknown = is_refused && frame.topic.contains("NBIRTH");
            let known = known.clone().filter(|_| !is_unknown);
            assert_eq!(value_of(&payload(frame), "x"), known, "{}", frame.topic);
        }
        bench.pass(30_000);
        assert_eq!(told(&relayed(&bench.tick())), [2].into());
    }
}
