//! What is remembered of the plant, in bytes: no birth, no value and no invented node goes beyond the
//! budget, what never crosses is hardly remembered, and strangers aren't.

use account::Reason;
use sparkplug::{
    Budget, DataType, Metric, Payload, Property, PropertySet, PropertyValue, Template, Value,
};

use super::bench::{
    ALL, Bench, aliased, bd_seq, by_alias, by_name, payload, relayed, settings, topics, typed,
    value_of, verbs,
};
use crate::PipelineSettings;
use crate::plant::StoredPlant;

const KIB: usize = 1024;

fn bench(node_bytes: usize, plant_bytes: usize, policy: &str) -> Bench {
    let budget = Budget { node_bytes, plant_bytes };
    Bench::with(PipelineSettings { budget, ..settings() }, policy)
}

fn number(name: &str) -> Metric {
    typed(name, DataType::Int32, Value::Int(1))
}

fn text(name: &str, bytes: usize) -> Metric {
    typed(name, DataType::String, Value::String("x".repeat(bytes)))
}

fn birth(metrics: Vec<Metric>) -> Payload {
    Payload { timestamp: Some(1), seq: Some(0), metrics, ..Payload::default() }
}

/// Births that take much in very different ways.
fn large_births() -> Vec<(&'static str, Vec<Metric>)> {
    let many = (0..3_000).map(|at| number(&format!("m{at}"))).collect();
    let long = (0..20).map(|at| number(&format!("{at}{}", "n".repeat(30_000)))).collect();
    let texts = (0..20).map(|at| text(&format!("t{at}"), 30_000)).collect();
    let property = || PropertyValue { value: Some(Property::Int(1)), ..PropertyValue::default() };
    let with_properties = (0..100).map(|at| {
        let keys: Vec<String> = (0..60).map(|key| format!("k{key}")).collect();
        let values = keys.iter().map(|_| property()).collect();
        let properties = Some(Box::new(PropertySet { keys, values }));
        Metric { properties, ..number(&format!("p{at}")) }
    });
    let member = |at: usize| number(&format!("member{at}"));
    let definition = Template {
        metrics: (0..2_000).map(member).collect(),
        is_definition: Some(true),
        ..Template::default()
    };
    let definition = typed("T", DataType::Template, Value::Template(Box::new(definition)));
    let aliases =
        (0..3_000).map(|at| aliased(&format!("a{at}"), at, DataType::Int32, Value::Int(1)));
    vec![
        ("many metrics", many),
        ("long names", long),
        ("long texts", texts),
        ("properties", with_properties.collect()),
        ("a large definition", vec![definition]),
        ("aliases", aliases.collect()),
    ]
}

#[test]
fn a_birth_beyond_the_budget_of_its_node_is_refused_and_its_node_is_dead() {
    for (what, metrics) in large_births() {
        let mut bench = bench(400 * KIB, usize::MAX, ALL);
        assert_eq!(verbs(&bench.node("NBIRTH", vec![bd_seq(0), number("x")])), "NBIRTH");
        let births = [vec![bd_seq(1)], metrics.clone()].concat();
        assert_eq!(verbs(&bench.node("NBIRTH", births)), "NDEATH", "{what}");
        assert_eq!(bench.dropped(Reason::OverMemory), 1, "{what}");
        assert!(bench.pipeline.remembered_bytes() < 20 * KIB, "{what}");
        assert!(bench.node("NDATA", vec![by_name("x", Value::Int(2))]).is_empty());
        // It may have overtaken a birth.
        bench.pass(3_000);
        bench.tick();
        assert_eq!(bench.dropped(Reason::DataBeforeBirth), 1);
        // One that fits is born as ever.
        assert_eq!(verbs(&bench.node("NBIRTH", vec![bd_seq(2), number("x")])), "NBIRTH");
        // With a budget that is large enough it crosses.
        let mut large = self::bench(4_000 * KIB, usize::MAX, ALL);
        let births = [vec![bd_seq(1)], metrics].concat();
        assert_eq!(verbs(&large.node("NBIRTH", births)), "NBIRTH", "{what}");
    }
}

#[test]
fn a_device_beyond_the_budget_dies_alone() {
    for (what, metrics) in large_births() {
        if what == "a large definition" {
            continue;
        }
        let mut bench = bench(400 * KIB, usize::MAX, ALL);
        bench.node("NBIRTH", vec![bd_seq(0), number("x")]);
        assert_eq!(verbs(&bench.node("DBIRTH/C", vec![number("c")])), "DBIRTH");
        assert_eq!(verbs(&bench.node("DBIRTH/D", vec![number("d")])), "DBIRTH");
        let frames = bench.node("DBIRTH/D", metrics);
        assert_eq!(topics(&frames), ["spBv1.0/G/DDEATH/E/D"], "{what}");
        assert_eq!(bench.dropped(Reason::OverMemory), 1);
        assert_eq!(verbs(&bench.node("DDATA/C", vec![by_name("c", Value::Int(2))])), "DDATA");
        assert_eq!(verbs(&bench.node("DBIRTH/D", vec![number("d")])), "DBIRTH");
    }
}

#[test]
fn dead_devices_give_way() {
    let mut bench = bench(400 * KIB, usize::MAX, ALL);
    bench.node("NBIRTH", vec![bd_seq(0), number("x")]);
    let large = || (0..8).map(|at| text(&format!("t{at}"), 30_000)).collect::<Vec<_>>();
    assert_eq!(verbs(&bench.node("DBIRTH/C", large())), "DBIRTH");
    assert_eq!(verbs(&bench.node("DBIRTH/D", large())), "", "both are too much");
    assert_eq!(verbs(&bench.node("DDEATH/C", vec![])), "DDEATH");
    assert_eq!(verbs(&bench.node("DBIRTH/D", large())), "DBIRTH");
}

#[test]
fn values_that_grow_stay_within_the_budget_and_leave_the_node_in_doubt() {
    let mut bench = bench(400 * KIB, usize::MAX, ALL);
    let texts: Vec<Metric> = (0..20).map(|at| text(&format!("t{at}"), 10)).collect();
    bench.node("NBIRTH", [vec![bd_seq(0)], texts].concat());
    for at in 0..20 {
        let grown = Value::String("y".repeat(30_000));
        bench.node("NDATA", vec![by_name(&format!("t{at}"), grown)]);
        assert!(bench.pipeline.remembered_bytes() <= 400 * KIB);
    }
    let refused = bench.dropped_metrics(Reason::OverMemory);
    assert!((5..=12).contains(&refused), "{refused} values are refused");
    assert_eq!(bench.dropped(Reason::OverMemory), refused);
    bench.pass(31_000);
    let keyframes = super::bench::keyframed(&bench.tick());
    assert!(keyframes[0].uncertain, "what readers have is out of date");
    // A value that takes less than the one before finds room.
    let shorter = Value::String("z".repeat(20_000));
    assert_eq!(verbs(&bench.node("NDATA", vec![by_name("t0", shorter)])), "NDATA");
}

#[test]
fn properties_and_members_that_data_brings_stay_within_the_budget() {
    let mut bench = bench(400 * KIB, usize::MAX, ALL);
    let member = |at: usize, value: &str| {
        typed(&format!("m{at}"), DataType::String, Value::String(value.into()))
    };
    let template = |members: Vec<Metric>, is_definition: bool| {
        let template = Template {
            metrics: members,
            template_ref: (!is_definition).then(|| "T".into()),
            is_definition: Some(is_definition),
            ..Template::default()
        };
        Value::Template(Box::new(template))
    };
    let all = (0..50).map(|at| member(at, "")).collect();
    let definition = typed("T", DataType::Template, template(all, true));
    let born = typed("i", DataType::Template, template(vec![], false));
    bench.node("NBIRTH", vec![bd_seq(0), definition, born, number("x")]);
    for at in 0..50 {
        let members = vec![member(at, &"v".repeat(20_000))];
        bench.node("NDATA", vec![by_name("i", template(members, false))]);
        assert!(bench.pipeline.remembered_bytes() <= 400 * KIB, "{at}");
    }
    assert!(bench.dropped_metrics(Reason::OverMemory) > 20);
    for at in 0..50 {
        let value = PropertyValue {
            value: Some(Property::String("p".repeat(20_000 + 100 * at))),
            ..PropertyValue::default()
        };
        let set = PropertySet { keys: vec!["k".into()], values: vec![value] };
        let properties = Some(Box::new(set));
        bench.node("NDATA", vec![Metric { properties, ..by_name("x", Value::Int(1)) }]);
        assert!(bench.pipeline.remembered_bytes() <= 400 * KIB, "{at}");
    }
}

#[test]
fn metrics_that_are_born_late_stay_within_the_budget() {
    let mut bench = bench(300 * KIB, usize::MAX, ALL);
    bench.node("NBIRTH", vec![bd_seq(0), number("x")]);
    for at in 0..100 {
        let metrics = (0..50).map(|metric| number(&format!("{at}/{metric}"))).collect();
        bench.node("NDATA", metrics);
        bench.pass(1_100);
        bench.tick();
        assert!(bench.pipeline.remembered_bytes() <= 300 * KIB, "{at}");
    }
    let refused = bench.dropped_metrics(Reason::OverMemory);
    assert!(refused > 3_000, "{refused}");
}

#[test]
fn values_that_wait_stay_within_the_budget() {
    let slow = r#"
        [[rule]]
        name = "slow"
        action = "forward"
        group = "G"
        [rule.rate]
        messages-per-s = 0.001
    "#;
    let mut bench = bench(250 * KIB, usize::MAX, slow);
    let numbers: Vec<Metric> = (0..400).map(|at| number(&format!("m{at}"))).collect();
    bench.node("NBIRTH", [vec![bd_seq(0), text("t", 10)], numbers].concat());
    for round in 0..10 {
        let numbers = (0..400).map(|at| by_name(&format!("m{at}"), Value::Int(round))).collect();
        bench.node("NDATA", numbers);
        let long = Value::String("y".repeat(60_000));
        bench.node("NDATA", vec![by_name("t", long)]);
        assert!(bench.pipeline.remembered_bytes() <= 250 * KIB);
    }
    assert!(bench.dropped_metrics(Reason::OverMemory) > 0);
    assert!(bench.pipeline.account().waiting > 0);
}

#[test]
fn what_readers_do_not_know_gives_way_to_births_and_they_never_exceed_the_budget_of_all() {
    let policy = r#"
        [[rule]]
        name = "e"
        action = "forward"
        group = "G"
        edge-node = ["E", "F"]
    "#;
    let mut bench = bench(400 * KIB, 500 * KIB, policy);
    let large = || (0..10).map(|at| text(&format!("t{at}"), 20_000)).collect::<Vec<_>>();
    // Names are kept of what no rule forwards, and no more.
    let long = |at: usize| {
        (0..3).map(move |metric| number(&format!("{at}{metric}{}", "n".repeat(30_000))))
    };
    for at in 0..6 {
        let birth = birth([vec![bd_seq(0)], long(at).collect()].concat());
        assert!(bench.send(&format!("spBv1.0/G/NBIRTH/X{at}"), &birth).is_empty());
    }
    let strangers = bench.pipeline.remembered_bytes();
    assert!(strangers > 400 * KIB && strangers <= 500 * KIB, "{strangers}");
    assert_eq!(verbs(&bench.node("NBIRTH", [vec![bd_seq(0)], large()].concat())), "NBIRTH");
    assert_eq!(bench.dropped(Reason::OverMemory), 0);
    assert!(bench.pipeline.remembered_bytes() <= 500 * KIB);
    // What readers know stays: the next one finds what is left, and what strangers have.
    let second = birth([vec![bd_seq(0)], large()].concat());
    assert_eq!(verbs(&bench.send("spBv1.0/G/NBIRTH/F", &second)), "NBIRTH");
    assert!(bench.pipeline.remembered_bytes() <= 500 * KIB);
    let more = [large(), (0..5).map(|at| text(&format!("u{at}"), 20_000)).collect()].concat();
    let third = birth([vec![bd_seq(1)], more].concat());
    assert_eq!(verbs(&bench.send("spBv1.0/G/NBIRTH/F", &third)), "NDEATH");
    assert_eq!(bench.dropped(Reason::OverMemory), 1);
    assert_eq!(
        verbs(&bench.node("NDATA", vec![by_name("t0", Value::String("a".into()))])),
        "NDATA"
    );
}

#[test]
fn invented_nodes_take_no_more_than_the_budget_of_all() {
    let budget = Budget { node_bytes: 400 * KIB, plant_bytes: 200 * KIB };
    let settings = PipelineSettings { budget, max_nodes: 1_000, ..settings() };
    let mut bench = Bench::with(settings, ALL);
    for at in 0..1_000 {
        let birth = birth(vec![bd_seq(0), number("x")]);
        bench.send(&format!("spBv1.0/G/NBIRTH/X{at}"), &birth);
    }
    assert!(bench.pipeline.remembered_bytes() <= 200 * KIB);
    assert!(bench.dropped(Reason::OverMemory) > 900);
    assert!(bench.pipeline.nodes().count() > 5);
}

#[test]
fn of_denied_metrics_only_names_and_types_are_kept() {
    let policy = r#"
        [[rule]]
        name = "x"
        action = "forward"
        group = "G"
        allow-metrics = "x"
        redact-metrics = "r*"
        [[rule]]
        name = "all-but-r"
        action = "forward"
        group = "G"
        allow-metrics = "r*"
    "#;
    let mut bench = Bench::new(policy);
    let secret = "secret sauce".repeat(100);
    let property =
        PropertyValue { value: Some(Property::String(secret.clone())), ..PropertyValue::default() };
    let set = PropertySet { keys: vec!["recipe".into()], values: vec![property] };
    let metrics = (0..50).map(|at| Metric {
        alias: Some(at),
        properties: Some(Box::new(set.clone())),
        ..typed(&format!("r{at}"), DataType::String, Value::String(secret.clone()))
    });
    let metrics = metrics.chain((50..99).map(|at| Metric {
        alias: Some(at),
        properties: Some(Box::new(set.clone())),
        ..typed(&format!("denied{at}"), DataType::String, Value::String(secret.clone()))
    }));
    bench.node("NBIRTH", [vec![bd_seq(0), number("x")], metrics.clone().collect()].concat());
    bench.node("DBIRTH/D", metrics.collect());
    let born = bench.pipeline.remembered_bytes();
    assert!((20 * KIB..150 * KIB).contains(&born), "{born}");
    for at in 0..99 {
        bench.node("NDATA", vec![by_alias(at, Value::String(secret.clone()))]);
        bench.node("DDATA/D", vec![by_alias(at, Value::String(secret.clone()))]);
    }
    // The hashes of the last messages, and nothing else.
    assert!(bench.pipeline.remembered_bytes() < born + 2 * KIB);
    let stored = format!("{:?}", bench.pipeline.store(0));
    assert!(!stored.contains("secret sauce"), "{stored}");
    assert!(stored.contains("denied98"));
}

#[test]
fn a_metric_that_another_policy_forwards_is_null_until_its_next_value() {
    let some = r#"
        [[rule]]
        name = "x"
        action = "forward"
        group = "G"
        allow-metrics = "x"
    "#;
    let mut bench = Bench::new(some);
    let second = aliased("second", 2, DataType::Int32, Value::Int(2));
    bench.node("NBIRTH", vec![bd_seq(0), number("x"), second]);
    bench.node("NDATA", vec![by_alias(2, Value::Int(3))]);
    let frames = bench.reload(ALL);
    assert_eq!(verbs(&frames), "NBIRTH");
    let birth = payload(&frames[0]);
    let shown = birth.metrics.iter().find(|metric| metric.name.as_deref() == Some("second"));
    let shown = shown.unwrap();
    assert_eq!((shown.value.as_ref(), shown.is_null), (None, Some(true)));
    assert_eq!(shown.timestamp, Some(bench.now.wall_ms));
    let quality = |metric: &Metric| {
        let set = metric.properties.as_ref()?;
        let at = set.keys.iter().position(|key| key == "Quality")?;
        set.values.get(at)?.value.clone()
    };
    assert_eq!(quality(shown), Some(Property::Int(0)));
    // The next value says that it is good.
    let frames = bench.node("NDATA", vec![by_alias(2, Value::Int(4))]);
    let data = payload(&frames[0]);
    assert_eq!(data.metrics[0].value, Some(Value::Int(4)));
    assert_eq!(quality(&data.metrics[0]), Some(Property::Int(192)));
    let frames = bench.node("NDATA", vec![by_alias(2, Value::Int(5))]);
    assert_eq!(quality(&payload(&frames[0]).metrics[0]), None);
    assert_eq!(value_of(&payload(&frames[0]), "second"), Some(Value::Int(5)));
}

#[test]
fn stored_births_of_strangers_are_not_kept_now_and_after_a_restart() {
    let g = r#"
        [[rule]]
        name = "g"
        action = "forward"
        group = "G"
        device = "D*"
    "#;
    let mut bench = Bench::new(g);
    let large = || birth((0..10).map(|at| text(&format!("t{at}"), 20_000)).collect());
    for at in 0..100 {
        let of_other = format!("$sparkplug/certificates/spBv1.0/H{at}/NBIRTH/E");
        assert!(bench.send(&of_other, &large()).is_empty());
        bench.deliver(&format!("spBv1.0/H{at}/NBIRTH/E"), &large(), true, false);
        bench.deliver(&format!("spBv1.0/G/DBIRTH/E/X{at}"), &large(), true, false);
    }
    assert_eq!(bench.dropped(Reason::StoredBirth), 300);
    assert_eq!(bench.pipeline.remembered_bytes(), 0);
    assert_eq!(bench.pipeline.nodes().count(), 0);
    // Those of the policy's own are, but for what never crosses.
    bench.send("$sparkplug/certificates/spBv1.0/G/NBIRTH/E", &large());
    assert!(bench.pipeline.remembered_bytes() < 20 * KIB, "the node itself has nothing to tell");
    bench.send("$sparkplug/certificates/spBv1.0/G/DBIRTH/E/D", &large());
    assert!(bench.pipeline.remembered_bytes() > 200 * KIB);
    // An earlier version, or another policy, stored what is a stranger's now.
    let stored: StoredPlant = bench.pipeline.store(0);
    let frames = bench.restart(stored, 0, &g.replace("\"G\"", "\"H7\""));
    assert!(relayed(&bench.journal).is_empty() && frames.is_empty());
    assert!(bench.pipeline.remembered_bytes() < 20 * KIB);
    // A policy that selects them has to wait for their births, as for any plant.
    bench.reload(ALL);
    assert!(bench.node("DDATA/D", vec![by_name("t0", Value::String("x".into()))]).is_empty());
    assert_eq!(verbs(&bench.node("NBIRTH", vec![bd_seq(0)])), "NBIRTH");
    assert_eq!(verbs(&bench.node("DBIRTH/D", vec![number("x")])), "DBIRTH");
}

#[test]
fn stored_births_are_within_the_budget() {
    let mut bench = bench(400 * KIB, 500 * KIB, ALL);
    let large =
        |texts: usize| birth((0..texts).map(|at| text(&format!("t{at}"), 20_000)).collect());
    bench.send("$sparkplug/certificates/spBv1.0/G/NBIRTH/E", &large(30));
    assert!(bench.pipeline.remembered_bytes() < 20 * KIB);
    for at in 0..8 {
        bench.send(&format!("$sparkplug/certificates/spBv1.0/G/NBIRTH/E{at}"), &large(15));
        assert!(bench.pipeline.remembered_bytes() <= 500 * KIB);
    }
}

#[test]
fn a_policy_that_lets_more_through_than_may_be_remembered_buries_the_largest() {
    let mut bench = bench(usize::MAX, 600 * KIB, ALL);
    for (node, texts) in [("A", 5), ("B", 15)] {
        let metrics = (0..texts).map(|at| text(&format!("t{at}"), 20_000)).collect();
        bench.send(&format!("spBv1.0/G/NBIRTH/{node}"), &birth(metrics));
    }
    let before = bench.pipeline.remembered_bytes();
    assert!(before > 400 * KIB);
    // The same plant with less room.
    let stored = bench.pipeline.store(0);
    let at = bench.journal.len();
    let budget = Budget { node_bytes: usize::MAX, plant_bytes: 300 * KIB };
    let frames = bench.restart_with(PipelineSettings { budget, ..settings() }, stored, at, ALL);
    let deaths: Vec<&str> =
        topics(&frames).into_iter().filter(|topic| topic.contains("NDEATH")).collect();
    assert_eq!(deaths, ["spBv1.0/G/NDEATH/B"]);
    assert!(bench.pipeline.remembered_bytes() <= 300 * KIB);
}
