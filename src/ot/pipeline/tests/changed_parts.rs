//! Data that has only what changed: some members of an instance, some properties. What it doesn't
//! have stays known, also where a value waits for its turn and a newer one takes its place.

use account::Reason;
use sparkplug::{
    Caps, DataType, Metric, Property, PropertySet, PropertyValue, Template, Value, names,
};
use telemetry::Event;
use telemetry::capture::{capture, triggered};

use super::bench::{ALL, Bench, bd_seq, payload, relayed, settings, typed};
use crate::PipelineSettings;

/// All properties may be seen.
const OPEN: &str = "[[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"G\"\n\
                    [rule.shape]\nproperties = [\"**\"]\n";

/// One message a second.
const SLOW: &str = "[[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"G\"\n\
                    [rule.rate]\nmessages-per-s = 1\n[rule.shape]\nproperties = [\"**\"]\n";

fn number(name: &str, value: u32) -> Metric {
    typed(name, DataType::Int32, Value::Int(value))
}

fn text(text: &str) -> PropertyValue {
    let value = Some(Property::String(text.into()));
    PropertyValue { r#type: Some(DataType::String.code()), is_null: None, value }
}

fn quality(quality: u32) -> PropertyValue {
    let value = Some(Property::Int(quality));
    PropertyValue { r#type: Some(DataType::Int32.code()), is_null: None, value }
}

fn with(metric: Metric, properties: &[(&str, PropertyValue)]) -> Metric {
    let (keys, values) =
        properties.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).unzip();
    Metric { properties: Some(Box::new(PropertySet { keys, values })), ..metric }
}

/// Of a metric `x`: its properties by name.
fn shown(metrics: &[Metric]) -> Vec<(String, Option<Property>)> {
    let x = metrics.iter().find(|metric| metric.name.as_deref() == Some("x")).unwrap();
    let set = x.properties.as_deref().unwrap();
    set.keys.iter().cloned().zip(set.values.iter().map(|value| value.value.clone())).collect()
}

/// What the next birth has that the relay makes by itself.
fn next_birth(bench: &mut Bench) -> Vec<Metric> {
    bench.pass(31_000);
    // New beside what was born: readers have to be told by a birth.
    let mut frames = bench.node("NDATA", vec![number("new", 1)]);
    bench.pass(2_000);
    frames.extend(relayed(&bench.tick()));
    let birth = frames.iter().rfind(|frame| frame.topic.contains("NBIRTH")).unwrap();
    payload(birth).metrics
}

#[test]
fn properties_that_data_does_not_have_are_in_the_next_birth() {
    let mut bench = Bench::new(ALL);
    let born = with(number("x", 1), &[("engUnit", text("°C")), ("engHigh", text("150"))]);
    bench.node("NBIRTH", vec![bd_seq(0), born]);
    let bad = with(number("x", 2), &[(names::QUALITY, quality(0)), ("engHigh", text("160"))]);
    bench.node("NDATA", vec![bad]);
    let told = shown(&next_birth(&mut bench));
    assert_eq!(
        told,
        [
            ("engUnit".into(), Some(Property::String("°C".into()))),
            ("engHigh".into(), Some(Property::String("160".into()))),
            (names::QUALITY.into(), Some(Property::Int(0))),
        ]
    );
}

#[test]
fn no_more_properties_come_together_than_a_metric_may_have_and_the_quality_stays() {
    let caps = Caps { metric_properties: 3, ..Caps::default() };
    let mut bench = Bench::with(PipelineSettings { caps, ..settings() }, OPEN);
    bench.node("NBIRTH", vec![bd_seq(0), with(number("x", 1), &[("a", text("1"))])]);
    let others = [("b", text("2")), ("c", text("3"))];
    bench.node("NDATA", vec![with(number("x", 2), &others)]);
    assert_eq!(bench.dropped_metrics(Reason::OverCap), 0);
    let told = capture(|| {
        let more = [("d", text("4")), ("b", text("5")), (names::QUALITY, quality(500))];
        let frames = bench.node("NDATA", vec![with(number("x", 3), &more)]);
        let crossed = shown(&payload(&frames[0]).metrics);
        let keys: Vec<&str> = crossed.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["b", names::QUALITY]);
    });
    triggered(&told, Event::MetricRefused);
    assert!(format!("{told:?}").contains("limits.properties-per-metric"), "{told:?}");
    assert_eq!(bench.dropped_metrics(Reason::OverCap), 1);
    let keys: Vec<String> =
        shown(&next_birth(&mut bench)).into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["a", "b", "c", names::QUALITY]);
}

#[test]
fn a_property_that_waits_is_not_lost_with_the_value_that_a_newer_one_replaces() {
    let mut bench = Bench::new(SLOW);
    bench.node("NBIRTH", vec![bd_seq(0), with(number("x", 1), &[("engUnit", text("°C"))])]);
    // The first one goes at once, the others wait.
    bench.node("NDATA", vec![number("x", 2)]);
    assert!(bench.node("NDATA", vec![with(number("x", 3), &[("engUnit", text("°F"))])]).is_empty());
    assert!(bench.node("NDATA", vec![number("x", 4)]).is_empty());
    assert_eq!(bench.dropped_metrics(Reason::Conflated), 1);
    bench.pass(1_100);
    let frames = relayed(&bench.tick());
    let data = payload(&frames[0]);
    assert_eq!(data.metrics[0].value, Some(Value::Int(4)));
    assert_eq!(shown(&data.metrics), [("engUnit".into(), Some(Property::String("°F".into())))]);
    assert_eq!(bench.pipeline.check_account(), Ok(()));
}

fn instance(members: &[(&str, u32)]) -> Metric {
    let metrics = members.iter().map(|(name, value)| number(name, *value)).collect();
    let template = Template {
        template_ref: Some("T".into()),
        is_definition: Some(false),
        metrics,
        ..Template::default()
    };
    typed("i", DataType::Template, Value::Template(Box::new(template)))
}

fn definition() -> Metric {
    let definition = Template {
        is_definition: Some(true),
        metrics: vec![number("a", 0), number("b", 0), number("c", 0)],
        ..Template::default()
    };
    typed("T", DataType::Template, Value::Template(Box::new(definition)))
}

/// Of the instance: its members, and `None` for those without a value.
fn members(metrics: &[Metric]) -> Vec<(String, Option<Value>)> {
    let instance = metrics.iter().find(|metric| metric.name.as_deref() == Some("i")).unwrap();
    let Some(Value::Template(instance)) = &instance.value else { panic!("{instance:?}") };
    let member = |one: &Metric| (one.name.clone().unwrap_or_default(), one.value.clone());
    instance.metrics.iter().map(member).collect()
}

fn data(members: &[(&str, u32)]) -> Metric {
    Metric { datatype: None, ..instance(members) }
}

fn null() -> Metric {
    Metric { name: Some("i".into()), is_null: Some(true), ..Metric::default() }
}

#[test]
fn an_instance_that_was_null_is_born_with_all_members_of_its_definition() {
    let mut bench = Bench::new(ALL);
    let born = instance(&[("a", 1), ("b", 1), ("c", 1)]);
    bench.node("NBIRTH", vec![bd_seq(0), definition(), born]);
    bench.pass(2_000);
    bench.node("NDATA", vec![null()]);
    bench.pass(2_000);
    let frames = bench.node("NDATA", vec![data(&[("b", 2)])]);
    let birth = frames.iter().find(|frame| frame.topic.contains("NBIRTH")).unwrap();
    let told = members(&payload(birth).metrics);
    let expected = [("b", Some(Value::Int(2))), ("a", None), ("c", None)];
    assert_eq!(told, expected.map(|(name, value)| (name.to_owned(), value)));
    // One that is whole says all by itself.
    bench.node("NDATA", vec![null()]);
    let frames = bench.node("NDATA", vec![data(&[("a", 3), ("b", 3), ("c", 3)])]);
    assert_eq!(frames.len(), 1);
    assert!(frames[0].topic.contains("NDATA"), "{frames:?}");
}

#[test]
fn a_null_that_waits_is_not_forgotten_with_members_that_take_its_place() {
    let mut bench = Bench::new(SLOW);
    let born = instance(&[("a", 1), ("b", 1), ("c", 1)]);
    bench.node("NBIRTH", vec![bd_seq(0), definition(), born]);
    bench.node("NDATA", vec![data(&[("a", 2)])]);
    assert!(bench.node("NDATA", vec![null()]).is_empty());
    assert!(bench.node("NDATA", vec![data(&[("b", 3)])]).is_empty());
    bench.pass(1_100);
    let told = members(&payload(&relayed(&bench.tick())[0]).metrics);
    let expected = [("b", Some(Value::Int(3))), ("a", None), ("c", None)];
    assert_eq!(told, expected.map(|(name, value)| (name.to_owned(), value)));
}

#[test]
fn members_that_wait_go_with_those_that_need_not() {
    let mut bench = Bench::new(SLOW);
    let born = instance(&[("a", 1), ("b", 1), ("c", 1)]);
    bench.node("NBIRTH", vec![bd_seq(0), definition(), born]);
    bench.node("NDATA", vec![data(&[("a", 2)])]);
    assert!(bench.node("NDATA", vec![data(&[("b", 3)])]).is_empty());
    // Its turn has come, and nothing had it go yet.
    bench.pass(1_100);
    let frames = bench.node("NDATA", vec![data(&[("c", 4)])]);
    let mut told: Vec<_> =
        frames.iter().flat_map(|frame| members(&payload(frame).metrics)).collect();
    told.sort_by(|one, other| one.0.cmp(&other.0));
    let expected = [("b", Some(Value::Int(3))), ("c", Some(Value::Int(4)))];
    assert_eq!(told, expected.map(|(name, value)| (name.to_owned(), value)));
}

#[test]
fn members_that_wait_are_not_lost_with_the_value_that_a_newer_one_replaces() {
    let mut bench = Bench::new(SLOW);
    let born = instance(&[("a", 1), ("b", 1), ("c", 1)]);
    bench.node("NBIRTH", vec![bd_seq(0), definition(), born]);
    bench.node("NDATA", vec![data(&[("a", 2)])]);
    for (members, conflated) in [(&[("a", 3)], 0), (&[("b", 3)], 1), (&[("a", 4)], 2)] {
        assert!(bench.node("NDATA", vec![data(members)]).is_empty());
        assert_eq!(bench.dropped_metrics(Reason::Conflated), conflated);
    }
    bench.pass(1_100);
    let frames = relayed(&bench.tick());
    let told = members(&payload(&frames[0]).metrics);
    let expected = [("a", Some(Value::Int(4))), ("b", Some(Value::Int(3)))];
    assert_eq!(told, expected.map(|(name, value)| (name.to_owned(), value)));
    assert_eq!(bench.pipeline.check_account(), Ok(()));
}
