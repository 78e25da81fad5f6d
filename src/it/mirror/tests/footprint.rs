//! What is counted of the mirrored nodes is what the process takes: each kind of plant is made in a
//! process of its own, up to the budget, and the kernel is asked what that has grown by.

use std::fs;
use std::process::Command;
use std::time::Duration;

use account::Reason;
use journal_format::{Body, Frame, Relayed};
use journal_read::Item;
use prost::Message;
use sparkplug::{
    Budget, Cell, CellValue, DataSet, DataType, Metric, Payload, Property, PropertySet,
    PropertyValue, Row, Template, Value,
};

use super::world::{WALL, bd_seq, settings};
use crate::mirror::{Mirror, MirrorSettings, Now, Outgoing, SessionEvent};

const MIB: usize = 1024 * 1024;
/// What is remembered at most.
const BUDGET: usize = 32 * MIB;
/// What the process may have grown by beyond what is counted, in hundredths of it …
const FRAGMENTS_PERCENT: usize = 10;
/// … and what one frame takes while it is handled, which the allocator keeps.
const FRAME: usize = 8 * MIB;

const KIND: &str = "SPARKDIODE_TEST_FOOTPRINT_IT";

/// A birth that takes much in one way, and data for it.
type Kind = fn(usize) -> (Vec<Metric>, Vec<Metric>);

const KINDS: [(&str, Kind); 9] = [
    ("tiny metrics", |_| (many(5_000, |at| number(&format!("{at}"))), vec![])),
    ("long names", |_| (many(800, |at| number(&format!("{at}{}", "n".repeat(1_000)))), vec![])),
    ("long texts", |_| (many(16, |at| text(&format!("{at}"), 50_000)), vec![])),
    ("short texts", |_| (many(5_000, |at| text(&format!("{at}"), 9)), vec![])),
    ("properties", |_| (many(100, with_properties), vec![])),
    ("tables", |_| (many(20, table), vec![])),
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

fn typed(name: &str, datatype: DataType, value: Value) -> Metric {
    Metric {
        name: Some(name.into()),
        datatype: Some(datatype.code()),
        value: Some(value),
        ..Metric::default()
    }
}

fn by_name(name: &str, value: Value) -> Metric {
    Metric { name: Some(name.into()), value: Some(value), ..Metric::default() }
}

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

fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Bytes that are counted, and by which the process has grown.
fn fill(kind: Kind) -> (usize, usize) {
    let budget = Budget { node_bytes: BUDGET, plant_bytes: BUDGET };
    let settings = MirrorSettings { budget, max_nodes: 100_000, backfill: false, ..settings() };
    let now = Now { mono: Duration::from_secs(1), wall_ms: WALL };
    let mut mirror = Mirror::new(settings, None);
    mirror.caught_up();
    let before = resident();
    let mut seq = 0;
    for node in 0..100_000 {
        let (born, data) = kind(node);
        let messages = [("NBIRTH", [vec![bd_seq(0)], born].concat()), ("NDATA", data)];
        for (verb, metrics) in messages {
            let payload = Payload { timestamp: Some(WALL), metrics, ..Payload::default() };
            let body = Some(Body::Relayed(Relayed {
                topic: format!("spBv1.0/G/{verb}/N{node}"),
                payload: payload.encode_to_vec(),
                received_ms: WALL,
                ..Relayed::default()
            }));
            let frame =
                Frame { seq, epoch: 1, appended_ms: WALL, body, in_head: false, layout: None };
            seq += 1;
            mirror.handle_item(now, Item::Frame(frame));
            while let Some(outgoing) = mirror.poll_outgoing() {
                if let Outgoing::Open { node, .. } = outgoing {
                    mirror.handle_session(now, node, SessionEvent::Ready);
                }
            }
            while mirror.poll_notice().is_some() {}
        }
        if mirror.account().dropped(Reason::OverMemory) > 0 {
            break;
        }
    }
    (mirror.nodes.bytes, resident().saturating_sub(before))
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
        child.args(["--exact", "mirror::tests::footprint::fill_one_kind"]);
        let output = child.args(["--ignored", "--nocapture"]).env(KIND, name).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        let found = printed.lines().find_map(|line| line.strip_prefix("footprint "));
        let found = found.unwrap_or_else(|| panic!("{name}: {printed}"));
        let mut found = found.split(' ').map(|number| number.parse::<usize>().unwrap());
        let (counted, grown) = (found.next().unwrap(), found.next().unwrap());
        text += &format!("{name}: {} KiB counted, {} KiB grown\n", counted >> 10, grown >> 10);
        assert!(counted <= BUDGET && counted > BUDGET / 2, "{name} fills the budget: {counted}");
        if grown > counted + counted / 100 * FRAGMENTS_PERCENT + FRAME {
            too_much.push(name);
        }
    }
    println!("{text}");
    assert!(too_much.is_empty(), "{too_much:?} take more than is counted\n{text}");
}
