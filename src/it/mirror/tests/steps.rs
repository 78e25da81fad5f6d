//! What frames of the journal cost, counted in steps: whatever is in it, and however much of it there
//! was before, no frame takes more steps than its size allows.

use std::sync::Arc;

use journal_format::{Body, Relayed};
use prost::Message;
use sparkplug::{
    DataType, Metric, Parameter, ParameterValue, Payload, Property, PropertySet, PropertyValue,
    Template, Value, steps,
};

use super::both::Both;
use super::world::{WALL, World, bd_seq, data, metric, settings};

/// Steps that a frame may take for each of its bytes.
const STEPS_PER_BYTE: u64 = 16;

/// What any frame may take: there are so many devices in a node.
const STEPS_AT_ALL: u64 = 1_000;

/// A frame: its topic behind `spBv1.0/g/`, its metrics, and how many losses it reports.
type Written = (String, Vec<Metric>, u64);

fn written(what: &str, metrics: Vec<Metric>) -> Written {
    (what.to_owned(), metrics, 0)
}

fn birth(metrics: Vec<Metric>) -> Written {
    let mut all = vec![bd_seq(0)];
    all.extend(metrics);
    written("NBIRTH/e", all)
}

fn numbers(count: usize) -> Vec<Metric> {
    (0..count).map(|number| metric(&format!("m{number}"), 1)).collect()
}

fn with_value(name: &str, value: Value) -> Metric {
    let datatype = Some(DataType::Template.code());
    Metric { datatype, value: Some(value), ..metric(name, 1) }
}

fn instance(members: Vec<Metric>) -> Value {
    Value::Template(Box::new(Template {
        metrics: members,
        template_ref: Some("T".into()),
        is_definition: Some(false),
        ..Template::default()
    }))
}

fn definition() -> Metric {
    let template = Template { is_definition: Some(true), ..Template::default() };
    with_value("T", Value::Template(Box::new(template)))
}

fn parameters(count: usize) -> Value {
    let parameter = |number: usize| Parameter {
        name: Some(format!("p{number}")),
        r#type: Some(DataType::UInt32.code()),
        value: Some(ParameterValue::Int(1)),
    };
    Value::Template(Box::new(Template {
        parameters: (0..count).map(parameter).collect(),
        template_ref: Some("T".into()),
        is_definition: Some(false),
        ..Template::default()
    }))
}

fn with_properties(metric: Metric, keys: std::ops::Range<usize>) -> Metric {
    let value = PropertyValue {
        r#type: Some(DataType::UInt32.code()),
        value: Some(Property::Int(1)),
        ..PropertyValue::default()
    };
    let set = PropertySet {
        values: keys.clone().map(|_| value.clone()).collect(),
        keys: keys.map(|key| format!("k{key}")).collect(),
    };
    Metric { properties: Some(Box::new(set)), ..metric }
}

/// One attempt for each construct of the protocol; `size` is the number of its parts.
fn attempts(size: usize) -> Vec<(&'static str, Vec<Written>)> {
    let news = |metrics| written("NDATA/e", data(metrics));
    let device = |number: usize, metrics| written(&format!("DBIRTH/e/d{number}"), metrics);
    let again = |frame: &dyn Fn() -> Written| (0..8).map(|_| frame()).collect::<Vec<_>>();
    let then = |mut first: Vec<Written>, last: Vec<Written>| {
        first.extend(last);
        first
    };
    let last = format!("m{}", size - 1);
    let one = || with_value("x", instance(data(vec![metric(&last, 2)])));
    let long = |members| birth(vec![definition(), with_value("x", members)]);
    let within = |members| with_value("x", instance(vec![with_value("i", instance(members))]));
    let devices = || {
        let mut all = vec![birth(vec![metric("a", 1)])];
        all.extend((0..16).map(|number| device(number, numbers(size))));
        all
    };
    vec![
        ("numbers", vec![birth(numbers(size)), news(numbers(size))]),
        (
            "empty instances of a long template",
            vec![
                long(instance(numbers(size))),
                news((0..size).map(|_| with_value("x", instance(vec![]))).collect()),
            ],
        ),
        (
            "one member of a long template, again and again",
            vec![long(instance(numbers(size))), news((0..size).map(|_| one()).collect())],
        ),
        (
            "small frames for a long template",
            then(
                vec![long(instance(numbers(size))), news((0..size).map(|_| one()).collect())],
                again(&|| news(vec![one()])),
            ),
        ),
        (
            "a template in a template",
            vec![
                birth(vec![definition(), within(numbers(size))]),
                news((0..size).map(|_| within(data(vec![metric(&last, 2)]))).collect()),
            ],
        ),
        (
            "parameters of a template",
            vec![
                long(parameters(size)),
                news((0..size).map(|_| with_value("x", parameters(1))).collect()),
            ],
        ),
        (
            "births of a long template that differ",
            vec![
                device(0, numbers(1)),
                birth(vec![definition()]),
                device(0, vec![with_value("x", instance(numbers(size)))]),
                device(0, vec![with_value("x", instance(numbers(size)))]),
                device(
                    0,
                    vec![with_value("x", {
                        let mut members = numbers(size);
                        members.reverse();
                        instance(members)
                    })],
                ),
            ],
        ),
        (
            "many properties of one metric",
            vec![
                birth(vec![metric("x", 1)]),
                news(vec![with_properties(metric("x", 2), 0..size)]),
                news(vec![with_properties(metric("x", 3), 0..size)]),
                news((0..size).map(|key| with_properties(metric("x", 4), key..key + 1)).collect()),
            ],
        ),
        (
            "a small birth of a device in a large node",
            then(
                devices(),
                (0..8).map(|number| device(0, vec![metric(&format!("n{number}"), 1)])).collect(),
            ),
        ),
        (
            "losses reported with small messages of a large node",
            then(
                devices(),
                (1..9)
                    .map(|losses| {
                        (String::from("NDATA/e"), data(vec![metric("a", losses)]), losses)
                    })
                    .collect(),
            ),
        ),
        (
            "births and deaths of a large node",
            then(devices(), vec![birth(vec![]), birth(vec![]), written("NDEATH/e", vec![])]),
        ),
    ]
}

/// The most steps per byte of any frame, beyond what every frame may take, but for so many that
/// are `spared`. With `policy` the mirror has a copy of one.
fn worst(frames: &[Written], policy: bool, spared: usize) -> (u64, usize) {
    let mut world = World::live(settings());
    if policy {
        let policy = Both::policy(
            "[[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"*\"\n\
             [rule.shape]\nproperties = [\"**\"]\nparameters = [\"**\"]\n",
        );
        world.mirror.reload_policy(world.now, Some(Arc::new(policy)));
    }
    let (mut worst, mut spared) = ((0, 0), spared);
    for (what, metrics, losses) in frames {
        let payload =
            Payload { timestamp: Some(WALL), metrics: metrics.clone(), ..Payload::default() };
        let relayed = Relayed {
            source: "plant".into(),
            topic: format!("spBv1.0/g/{what}"),
            payload: payload.encode_to_vec(),
            received_ms: WALL,
            loss_before: *losses > 0,
            losses: *losses,
            ..Relayed::default()
        };
        let bytes = relayed.topic.len() + relayed.payload.len();
        world.frames.push(Body::Relayed(relayed));
        let item = world.item(world.read);
        world.read += 1;
        let before = steps::taken();
        world.mirror.handle_item(world.now, item);
        let taken = (steps::taken() - before).saturating_sub(STEPS_AT_ALL);
        world.carry_out();
        let of = (taken / u64::try_from(bytes).unwrap(), bytes);
        if of.0 > STEPS_PER_BYTE && spared > 0 {
            spared -= 1;
        } else {
            worst = worst.max(of);
        }
    }
    worst
}

#[test]
fn no_frame_takes_more_steps_than_its_size_allows() {
    let mut over = Vec::new();
    for size in [64, 1024] {
        for (construct, frames) in attempts(size) {
            // Some may have the births of all said again.
            let asks_births =
                ["a small birth", "losses"].iter().any(|one| construct.starts_with(one));
            let spared = if asks_births { 3 } else { 0 };
            for policy in [false, true] {
                let (steps, bytes) = worst(&frames, policy, spared);
                println!("{construct} ({size}, policy: {policy}): {steps} a byte of {bytes}");
                if steps > STEPS_PER_BYTE {
                    over.push(format!("{construct} ({size}): {steps} steps a byte of {bytes}"));
                }
            }
        }
    }
    assert!(over.is_empty(), "{over:#?}");
}
