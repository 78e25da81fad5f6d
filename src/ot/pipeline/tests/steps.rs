//! What messages cost, counted in steps: whatever a plant sends, and however much of it there was
//! before, no message takes more steps than its size allows.

use prost::Message;
use sparkplug::{
    Cell, CellValue, DataSet, DataType, Metric, Parameter, ParameterValue, Payload, Property,
    PropertySet, PropertyValue, Row, Template, Value, steps,
};

use super::bench::{Bench, bd_seq, by_alias, by_name, settings, typed};
use crate::{PipelineSettings, Received};

/// Steps that a message may take for each of its bytes: a property of some twelve bytes is compared
/// with as many as a metric may have, and a name of four bytes of alias is written out.
const STEPS_PER_BYTE: u64 = 32;

/// What any message may take: there are so many devices in a node.
const STEPS_AT_ALL: u64 = 250;

/// Every way to shape values that looks at what was told before, names with a prefix, and denied
/// metrics beside those that cross.
pub(super) const SHAPED: &str = r#"
    [[rule]]
    name = "shaped"
    action = "forward"
    group = "G"
    allow-metrics = ["shaped/**"]
    [rule.shape]
    deadband = 0.5
    max-bytes = 60000
    properties = ["**"]
    [[rule]]
    name = "renamed"
    action = "forward"
    group = "G"
    allow-metrics = ["new/**"]
    add-prefix = "site/"
    [[rule]]
    name = "all"
    action = "forward"
    group = "G"
    deny-metrics = ["denied/**"]
    [rule.shape]
    max-bytes = 60000
    columns = ["**"]
    parameters = ["**"]
"#;

/// A message: its topic behind `spBv1.0/G/`, and its metrics.
pub(super) type Sent = (String, Vec<Metric>);

fn sent(what: &str, metrics: Vec<Metric>) -> Sent {
    (what.to_owned(), metrics)
}

fn birth(metrics: Vec<Metric>) -> Sent {
    let mut all = vec![bd_seq(0)];
    all.extend(metrics);
    sent("NBIRTH/E", all)
}

fn number(name: &str, value: u32) -> Metric {
    typed(name, DataType::UInt32, Value::Int(value))
}

fn numbers(prefix: &str, count: usize) -> Vec<Metric> {
    (0..count).map(|number| self::number(&format!("{prefix}{number}"), 1)).collect()
}

fn with_alias(alias: u64, metric: Metric) -> Metric {
    Metric { alias: Some(alias), ..metric }
}

fn template(metrics: Vec<Metric>, of: Option<&str>) -> Value {
    Value::Template(Box::new(Template {
        metrics,
        template_ref: of.map(Into::into),
        is_definition: Some(of.is_none()),
        ..Template::default()
    }))
}

fn definition(name: &str, members: Vec<Metric>) -> Metric {
    typed(name, DataType::Template, template(members, None))
}

fn instance(name: &str, of: &str, members: Vec<Metric>) -> Metric {
    typed(name, DataType::Template, template(members, Some(of)))
}

fn properties(count: usize) -> PropertySet {
    let value = |value| PropertyValue {
        r#type: Some(DataType::UInt32.code()),
        value: Some(Property::Int(value)),
        ..PropertyValue::default()
    };
    PropertySet {
        keys: (0..count).map(|key| format!("k{key}")).collect(),
        values: (0..count).map(|_| value(1)).collect(),
    }
}

fn with_properties(metric: Metric, set: PropertySet) -> Metric {
    Metric { properties: Some(Box::new(set)), ..metric }
}

/// A set in a set in a set, each with a long name.
fn nested_properties(count: usize) -> PropertySet {
    let mut set = properties(count);
    for _ in 0..3 {
        let value = PropertyValue {
            r#type: Some(DataType::PropertySet.code()),
            value: Some(Property::Set(set)),
            ..PropertyValue::default()
        };
        set = PropertySet { keys: vec!["s".repeat(count * 8)], values: vec![value] };
    }
    set
}

fn table(count: usize) -> Value {
    let cell = || Cell { value: Some(CellValue::Int(1)) };
    let columns = 32.min(count);
    Value::DataSet(Box::new(DataSet {
        num_of_columns: u64::try_from(columns).ok(),
        columns: (0..columns).map(|column| format!("c{column}")).collect(),
        types: vec![DataType::UInt32.code(); columns],
        rows: (0..count / columns)
            .map(|_| Row { elements: (0..columns).map(|_| cell()).collect() })
            .collect(),
    }))
}

/// One attempt for each construct of the protocol: what is sent first, and what is looked at, whose
/// number of parts is `size`.
pub(super) fn attempts(size: usize) -> Vec<(&'static str, Vec<Sent>)> {
    let data = |metrics| sent("NDATA/E", metrics);
    let alias = |value: Value| by_alias(1, value);
    let empty = || template(Vec::new(), Some("T"));
    let members = || numbers("m", size);
    let device = |number: usize, metrics| sent(&format!("DBIRTH/E/d{number}"), metrics);
    let devices = |metrics: &dyn Fn(usize) -> Vec<Metric>| {
        let mut all = vec![birth(vec![definition("T", numbers("m", 8))])];
        all.extend((0..16).map(|number| device(number, metrics(number))));
        all
    };
    let then = |mut first: Vec<Sent>, last: Vec<Sent>| {
        first.extend(last);
        first
    };
    let partial = |size: usize| template(vec![number(&format!("m{}", size - 1), 2)], Some("T"));
    let big = |name: &str, members: Vec<Metric>| {
        birth(vec![
            definition("T", members),
            with_alias(1, instance(name, "T", numbers("m", size))),
        ])
    };
    let parameters = |count: usize| {
        let parameter = |number: usize| Parameter {
            name: Some(format!("p{number}")),
            r#type: Some(DataType::UInt32.code()),
            value: Some(ParameterValue::Int(1)),
        };
        (0..count).map(parameter).collect::<Vec<_>>()
    };
    let of_parameters = |is_definition: bool, count: usize| {
        Value::Template(Box::new(Template {
            parameters: parameters(count),
            template_ref: (!is_definition).then(|| "T".into()),
            is_definition: Some(is_definition),
            ..Template::default()
        }))
    };
    vec![
        ("numbers by name", vec![birth(members()), data(members())]),
        (
            "one number by alias, again and again",
            vec![
                birth(vec![with_alias(1, number("shaped/x", 0))]),
                data((0..size).map(|_| alias(Value::Int(5))).collect()),
            ],
        ),
        (
            "empty instances of a long template by alias",
            vec![big("x", members()), data((0..size).map(|_| alias(empty())).collect())],
        ),
        (
            "the same, denied",
            vec![big("denied/x", members()), data((0..size).map(|_| alias(empty())).collect())],
        ),
        (
            "one member of a long template by alias, again and again",
            vec![big("x", members()), data((0..size).map(|_| alias(partial(size))).collect())],
        ),
        (
            "small messages for a long template",
            then(
                vec![
                    big("x", members()),
                    // This one has to learn where what is.
                    data((0..size).map(|_| alias(partial(size))).collect()),
                ],
                (0..8).map(|_| data(vec![alias(partial(size))])).collect(),
            ),
        ),
        (
            "a template in a template",
            vec![
                birth(vec![
                    definition("I", members()),
                    definition("T", vec![instance("i", "I", Vec::new())]),
                    with_alias(1, instance("x", "T", vec![instance("i", "I", members())])),
                ]),
                data(
                    (0..size)
                        .map(|_| alias(template(vec![instance("i", "I", Vec::new())], Some("T"))))
                        .collect(),
                ),
            ],
        ),
        (
            "parameters of a template",
            vec![
                birth(vec![
                    typed("T", DataType::Template, of_parameters(true, size)),
                    with_alias(1, typed("x", DataType::Template, of_parameters(false, size))),
                ]),
                data((0..size).map(|_| alias(of_parameters(false, 1))).collect()),
            ],
        ),
        (
            "many instances of a long template, born and new",
            vec![
                birth(
                    std::iter::once(definition("T", members()))
                        .chain((0..size).map(|number| instance(&format!("x{number}"), "T", vec![])))
                        .collect(),
                ),
                data(
                    (0..size).map(|number| instance(&format!("y{number}"), "T", vec![])).collect(),
                ),
            ],
        ),
        (
            "many definitions",
            then(
                vec![birth(
                    (0..size).map(|n| definition(&format!("T{n}"), numbers("m", 2))).collect(),
                )],
                vec![device(0, numbers("m", 1)), device(1, numbers("m", 1))],
            ),
        ),
        (
            "definitions that all devices have instances of",
            then(
                devices(&|_| {
                    (0..size / 8).map(|n| instance(&format!("x{n}"), "T", vec![])).collect()
                }),
                vec![
                    birth(vec![definition("T", numbers("m", 9))]),
                    birth(vec![definition("T", numbers("m", 8))]),
                    birth(vec![definition("T", numbers("m", 9))]),
                ],
            ),
        ),
        (
            "births of devices, and of a node that has them",
            then(devices(&|_| numbers("m", size)), vec![birth(vec![]), birth(vec![])]),
        ),
        (
            "deaths of devices, and of their node",
            then(
                devices(&|_| numbers("m", size)),
                vec![
                    sent("DDEATH/E/d0", vec![]),
                    sent("DDEATH/E/d0", vec![]),
                    sent("NDEATH/E", vec![bd_seq(0)]),
                    sent("NDEATH/E", vec![bd_seq(0)]),
                ],
            ),
        ),
        (
            "many properties of one metric",
            vec![
                birth(vec![with_alias(
                    1,
                    with_properties(number("shaped/x", 0), properties(size)),
                )]),
                data(vec![with_properties(by_alias(1, Value::Int(9)), properties(size))]),
                data(
                    (0..size)
                        .map(|_| with_properties(by_alias(1, Value::Int(9)), properties(1)))
                        .collect(),
                ),
            ],
        ),
        (
            "property sets in property sets",
            vec![
                birth(vec![with_properties(number("shaped/x", 0), nested_properties(size))]),
                data(vec![with_properties(
                    by_name("shaped/x", Value::Int(9)),
                    nested_properties(size),
                )]),
            ],
        ),
        (
            "a long text beside many short ones",
            vec![
                birth(vec![with_alias(
                    1,
                    typed("shaped/x", DataType::String, Value::String("t".repeat(size * 8))),
                )]),
                data((0..size).map(|_| alias(Value::String("t".into()))).collect()),
            ],
        ),
        (
            "an array",
            vec![
                birth(vec![with_alias(
                    1,
                    typed("x", DataType::UInt8Array, Value::Bytes(vec![1; size * 8])),
                )]),
                data((0..size).map(|_| alias(Value::Bytes(vec![1]))).collect()),
            ],
        ),
        (
            "tables",
            vec![
                birth(vec![with_alias(1, typed("x", DataType::DataSet, table(size)))]),
                data((0..size / 8).map(|_| alias(table(8))).collect()),
            ],
        ),
        (
            "new names",
            vec![birth(members()), data(numbers("late", size)), data(numbers("later", 1))],
        ),
        (
            "new names with a prefix",
            vec![
                birth(numbers("new/a", size)),
                data(numbers("new/b", size)),
                data(numbers("new/c", 1)),
                data(numbers("new/d", 1)),
            ],
        ),
        (
            "new names that differ from plain ones by a prefix",
            vec![birth(numbers("site/new/a", size)), data(numbers("new/a", size))],
        ),
        ("denied names", vec![birth(numbers("denied/", size)), data(numbers("denied/", size))]),
        (
            "long names by alias",
            vec![
                birth(vec![with_alias(1, number(&"n".repeat(1024), 1))]),
                data((0..size).map(|_| alias(Value::Int(1))).collect()),
            ],
        ),
    ]
}

/// The most steps per byte of any message, beyond what every message may take. Births that are
/// `stored` are paid for by what wakes them: then it is the steps of all by the bytes of all.
fn worst(messages: &[Sent], stored: bool) -> (u64, usize) {
    let settings = PipelineSettings { max_devices_per_node: 32, ..settings() };
    let mut bench = Bench::with(settings, SHAPED);
    let (mut worst, mut all, mut seq) = ((0, 0), (0, 0), 0);
    for (what, metrics) in messages {
        if what.starts_with("NBIRTH") {
            seq = 0;
        }
        let payload = Payload {
            timestamp: Some(bench.now.wall_ms),
            metrics: metrics.clone(),
            seq: Some(seq),
            ..Payload::default()
        };
        seq = (seq + 1) % 256;
        let (topic, payload) = (format!("spBv1.0/G/{what}"), payload.encode_to_vec());
        let received = Received {
            topic: &topic,
            payload: &payload,
            retain: stored && what.contains("BIRTH"),
            dup: false,
            assured: false,
        };
        let (before, mut out) = (steps::taken(), Vec::new());
        bench.pipeline.handle(bench.now, received, &mut out);
        let taken = (steps::taken() - before).saturating_sub(STEPS_AT_ALL);
        let bytes = topic.len() + payload.len();
        worst = worst.max((taken / u64::try_from(bytes).unwrap(), bytes));
        all = (all.0 + taken, all.1 + bytes);
    }
    if stored { (all.0 / u64::try_from(all.1).unwrap(), all.1) } else { worst }
}

#[test]
fn no_message_takes_more_steps_than_its_size_allows() {
    let mut over = Vec::new();
    for size in [64, 2048] {
        for (construct, messages) in attempts(size) {
            for stored in [false, true] {
                let (steps, bytes) = worst(&messages, stored);
                println!("{construct} ({size}, stored: {stored}): {steps} a byte of {bytes}");
                if steps > STEPS_PER_BYTE {
                    over.push(format!("{construct} ({size}): {steps} steps a byte of {bytes}"));
                }
            }
        }
    }
    assert!(over.is_empty(), "{over:#?}");
}
