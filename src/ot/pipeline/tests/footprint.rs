//! What is counted of the plant is what the process takes: each kind of plant is made in a process of
//! its own, up to the budget, and the kernel is asked what that has grown by.

use std::fs;
use std::process::Command;

use prost::Message;
use sparkplug::{
    Budget, Caps, Cell, CellValue, DataSet, DataType, Metric, Payload, Property, PropertySet,
    PropertyValue, Row, Template, Value,
};

use super::bench::{aliased, bd_seq, by_name, policy, settings, typed};
use crate::{Now, Pipeline, PipelineSettings, Received};

const MIB: usize = 1024 * 1024;
/// What is remembered at most.
const BUDGET: usize = 48 * MIB;
/// What the process may have grown by beyond what is counted, in hundredths of it …
const FRAGMENTS_PERCENT: usize = 10;
/// … and what one message takes while it is handled, which the allocator keeps.
const MESSAGE: usize = 8 * MIB;

const KIND: &str = "SPARKDIODE_TEST_FOOTPRINT";

/// A birth that takes much in one way, and data for it.
type Kind = fn(usize) -> (Vec<Metric>, Vec<Metric>);

const KINDS: [(&str, Kind); 11] = [
    ("tiny metrics", |_| (many(5_000, |at| number(&format!("{at}"))), vec![])),
    ("aliases", |_| {
        (
            many(5_000, |at| aliased(&format!("{at}"), at as u64, DataType::Int8, Value::Int(1))),
            vec![],
        )
    }),
    ("long names", |_| (many(800, |at| number(&format!("{at}{}", "n".repeat(1_000)))), vec![])),
    ("long texts", |_| (many(16, |at| text(&format!("{at}"), 50_000)), vec![])),
    ("short texts", |_| (many(5_000, |at| text(&format!("{at}"), 9)), vec![])),
    ("properties", |_| (many(100, with_properties), vec![])),
    ("tables", |_| (many(20, table), vec![])),
    ("definitions", |_| (vec![definition(3_000)], vec![])),
    ("instances", |_| {
        let instances = many(40, |at| instance(&format!("i{at}"), 50));
        ([vec![definition(50)], instances].concat(), many(40, |at| data_of(&format!("i{at}"))))
    }),
    ("one metric", |_| (vec![number("x")], vec![])),
    ("texts that grow", |_| {
        let texts = many(50, |at| text(&format!("t{at}"), 1));
        let grown = |at: usize| by_name(&format!("t{at}"), Value::String("y".repeat(9_999)));
        (texts, many(50, grown))
    }),
];

fn many(count: usize, one: impl Fn(usize) -> Metric) -> Vec<Metric> {
    (0..count).map(one).collect()
}

fn number(name: &str) -> Metric {
    typed(name, DataType::Int8, Value::Int(1))
}

fn text(name: &str, bytes: usize) -> Metric {
    typed(name, DataType::String, Value::String("x".repeat(bytes)))
}

fn with_properties(at: usize) -> Metric {
    let keys: Vec<String> = (0..200).map(|key| format!("{key}")).collect();
    let value =
        || PropertyValue { value: Some(Property::String("v".into())), ..PropertyValue::default() };
    let values = keys.iter().map(|_| value()).collect();
    Metric { properties: Some(Box::new(PropertySet { keys, values })), ..number(&format!("p{at}")) }
}

fn table(at: usize) -> Metric {
    let cell = || Cell { value: Some(CellValue::String("c".into())) };
    let row = || Row { elements: (0..10).map(|_| cell()).collect() };
    let table = DataSet {
        num_of_columns: Some(10),
        columns: (0..10).map(|column| format!("c{column}")).collect(),
        types: vec![DataType::String.code(); 10],
        rows: (0..200).map(|_| row()).collect(),
    };
    typed(&format!("d{at}"), DataType::DataSet, Value::DataSet(Box::new(table)))
}

fn definition(members: usize) -> Metric {
    let template = Template {
        metrics: many(members, |at| number(&format!("m{at}"))),
        is_definition: Some(true),
        ..Template::default()
    };
    typed("T", DataType::Template, Value::Template(Box::new(template)))
}

fn instance(name: &str, members: usize) -> Metric {
    let template = Template {
        metrics: many(members, |at| number(&format!("m{at}"))),
        template_ref: Some("T".into()),
        ..Template::default()
    };
    typed(name, DataType::Template, Value::Template(Box::new(template)))
}

/// One member, so that the places of all are looked for.
fn data_of(name: &str) -> Metric {
    let template = Template {
        metrics: vec![by_name("m49", Value::Int(2))],
        template_ref: Some("T".into()),
        ..Template::default()
    };
    by_name(name, Value::Template(Box::new(template)))
}

/// Opens tables, too.
const TABLES: &str = r#"
    [[rule]]
    name = "all"
    action = "forward"
    topic = "spBv1.0/+/+/#"
    [rule.shape]
    columns = ["*"]
"#;

fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn fill(kind: Kind) -> (usize, usize) {
    let budget = Budget { node_bytes: BUDGET, plant_bytes: BUDGET };
    let settings =
        PipelineSettings { budget, max_nodes: 100_000, caps: Caps::default(), ..settings() };
    let now = Now::default();
    let mut pipeline = Pipeline::new(settings, policy(TABLES), now);
    pipeline.session(now, false);
    let before = resident();
    let mut out = Vec::new();
    for node in 0..100_000 {
        let (born, data) = kind(node);
        let messages = [("NBIRTH", [vec![bd_seq(0)], born].concat(), 0), ("NDATA", data, 1)];
        for (verb, metrics, seq) in messages {
            let payload =
                Payload { timestamp: Some(1), seq: Some(seq), metrics, ..Payload::default() };
            let (topic, payload) = (format!("spBv1.0/G/{verb}/N{node}"), payload.encode_to_vec());
            let received = Received {
                topic: &topic,
                payload: &payload,
                retain: false,
                dup: false,
                assured: false,
            };
            pipeline.handle(now, received, &mut out);
            out.clear();
        }
        if pipeline.account().dropped(account::Reason::OverMemory) > 0 {
            break;
        }
    }
    (pipeline.remembered_bytes(), resident().saturating_sub(before))
}

/// Not a test: it is run in a process of its own, and tells what it found.
#[test]
#[ignore = "run by the one below"]
fn fill_one_kind() {
    let Ok(name) = std::env::var(KIND) else { return };
    let (_, kind) = KINDS.iter().find(|(kind, _)| *kind == name).unwrap();
    let (counted, grown) = fill(*kind);
    println!("\nfootprint {counted} {grown}");
}

#[test]
fn what_is_counted_is_what_the_process_takes() {
    let mut text = String::new();
    let mut too_much = Vec::new();
    for (name, _) in KINDS {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "pipeline::tests::footprint::fill_one_kind"]);
        let output = child.args(["--ignored", "--nocapture"]).env(KIND, name).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        let found = printed.lines().find_map(|line| line.strip_prefix("footprint "));
        let found = found.unwrap_or_else(|| panic!("{name}: {printed}"));
        let mut found = found.split(' ').map(|number| number.parse::<usize>().unwrap());
        let (counted, grown) = (found.next().unwrap(), found.next().unwrap());
        text += &format!("{name}: {} KiB counted, {} KiB grown\n", counted >> 10, grown >> 10);
        assert!(counted <= BUDGET && counted > BUDGET / 2, "{name} fills the budget: {counted}");
        if grown > counted + counted / 100 * FRAGMENTS_PERCENT + MESSAGE {
            too_much.push(name);
        }
    }
    println!("{text}");
    assert!(too_much.is_empty(), "{too_much:?} take more than is counted\n{text}");
}
