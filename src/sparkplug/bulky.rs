//! Edge nodes that take much memory, each in a way of its own, and what a process takes for as many of them
//! as a budget lets in: for the tests of what both halves count of their own memory.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    reason = "for tests: a failure is a panic, and what was found is printed"
)]

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};
use std::process::Command;
use std::{fs, println};

use crate::{
    Cell, CellValue, DataSet, DataType, Metric, Property, PropertySet, PropertyValue, Row,
    Template, Value,
};

/// What the process may have grown by beyond what is counted, in hundredths of it …
const FRAGMENTS_PERCENT: usize = 10;
/// … and what one message takes while it is handled, which the allocator keeps.
const MESSAGE: usize = 8 * 1024 * 1024;
/// Tells the process that is started which kind is its own.
const KIND: &str = "SPARKDIODE_TEST_BULKY";

/// A birth that takes much in one way, and data for it.
pub type Kind = fn(usize) -> (Vec<Metric>, Vec<Metric>);

const KINDS: [(&str, Kind); 11] = [
    ("tiny metrics", |_| (many(5_000, |at| number(&format!("{at}"))), vec![])),
    ("aliases", |_| {
        (many(5_000, |at| Metric { alias: Some(at as u64), ..number(&format!("{at}")) }), vec![])
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

/// Bytes of the process that are in memory.
pub fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// In a test that is run by [`is_what_the_process_takes`] alone: has the kind filled that it is started
/// for, and tells the bytes that are counted and those by which the process has grown.
pub fn fill_one_kind(fill: impl FnOnce(Kind) -> (usize, usize)) {
    let Ok(name) = std::env::var(KIND) else { return };
    let (_, kind) = KINDS.iter().find(|(kind, _)| *kind == name).unwrap();
    let (counted, grown) = fill(*kind);
    println!("\nfootprint {counted} {grown}");
}

/// Runs `test`, which calls [`fill_one_kind`], for each kind in a process of its own.
///
/// # Panics
/// A kind doesn't fill the budget, or takes more than is counted.
pub fn is_what_the_process_takes(test: &str, budget: usize) {
    let mut text = String::new();
    let mut too_much = Vec::new();
    for (name, _) in KINDS {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", test, "--ignored", "--nocapture"]);
        let output = child.env(KIND, name).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        let found = printed.lines().find_map(|line| line.strip_prefix("footprint "));
        let found = found.unwrap_or_else(|| panic!("{name}: {printed}"));
        let mut found = found.split(' ').map(|number| number.parse::<usize>().unwrap());
        let (counted, grown) = (found.next().unwrap(), found.next().unwrap());
        text += &format!("{name}: {} KiB counted, {} KiB grown\n", counted >> 10, grown >> 10);
        assert!(counted <= budget && counted > budget / 2, "{name} fills the budget: {counted}");
        if grown > counted + counted / 100 * FRAGMENTS_PERCENT + MESSAGE {
            too_much.push(name);
        }
    }
    println!("{text}");
    assert!(too_much.is_empty(), "{too_much:?} take more than is counted\n{text}");
}
