//! Topics and payloads of journal frames out of fuzzed bytes: mostly as an honest OT half writes
//! them, and now and then not.

use prost::Message;
use sparkplug::{DataType, Metric, Payload, Template, Value, names};

use crate::input::Input;

/// When the virtual clock begins, in milliseconds since the epoch (UTC).
pub const WALL_MS: u64 = 1_700_000_000_000;

const VERBS: [&str; 6] = ["NBIRTH", "NDEATH", "DBIRTH", "DDEATH", "NDATA", "DDATA"];
/// Edge nodes of the journal.
pub const NODES: [&str; 3] = ["E0", "E1", "E2"];
/// Devices of each of them.
pub const DEVICES: [&str; 3] = ["D0", "D1", "D2"];
/// Metrics by number, with the datatypes that births give them.
const METRICS: [(&str, DataType); 9] = [
    ("int", DataType::Int8),
    ("double", DataType::Double),
    ("switch", DataType::Boolean),
    ("text", DataType::String),
    ("denied", DataType::Int64),
    ("t1", DataType::Template),
    ("Type", DataType::Template),
    (names::BD_SEQ, DataType::Int64),
    (names::REBIRTH, DataType::Boolean),
];

/// The topic of an entity of the journal.
pub fn topic(input: &mut Input<'_>) -> String {
    let verb = input.one_of(&VERBS);
    let place = input.byte();
    let group = if place >= 240 { "H" } else { "G" };
    let node = NODES[usize::from(place >> 5) % NODES.len()];
    match verb.starts_with('D') {
        true => format!("spBv1.0/{group}/{verb}/{node}/{}", DEVICES[usize::from(place) % 3]),
        false => format!("spBv1.0/{group}/{verb}/{node}"),
    }
}

/// A payload with a few metrics.
pub fn payload(input: &mut Input<'_>, is_birth: bool, flags: u8) -> Vec<u8> {
    let metrics = (0..input.below(7)).map(|_| metric(input, is_birth)).collect();
    let timestamp = (flags & 1 == 0).then_some(WALL_MS);
    Payload { timestamp, metrics, ..Payload::default() }.encode_to_vec()
}

/// Mostly as an honest OT half writes it.
fn metric(input: &mut Input<'_>, is_birth: bool) -> Metric {
    let place = input.below(METRICS.len() + 1);
    let flags = input.byte();
    let bits = input.word();
    let (name, datatype) = METRICS.get(place).copied().unwrap_or(("unborn", DataType::Int32));
    let value = match datatype {
        _ if flags & 0xf0 == 0xf0 => Value::Long(bits.into()),
        DataType::Int8 => Value::Int(bits % 128),
        DataType::Int64 => Value::Long(u64::from(bits) % 256),
        DataType::Double => Value::Double(f64::from(bits % 600)),
        DataType::Boolean => Value::Boolean(bits.is_multiple_of(2)),
        DataType::Template => template(name, bits),
        _ => Value::String(bits.to_string()),
    };
    let is_null = flags & 0x30 == 0x30;
    Metric {
        name: (flags & 0x1f != 0x1f).then(|| name.into()),
        alias: (flags & 0x17 == 0x17).then_some(place as u64),
        datatype: (is_birth != (flags & 0x0f == 0x0f)).then_some(datatype.code()),
        timestamp: (flags & 0x0b != 0x0b).then_some(WALL_MS - u64::from(bits % 20_000)),
        is_null: is_null.then_some(true),
        is_historical: (flags & 0x50 == 0x50).then_some(bits.is_multiple_of(2)),
        is_transient: (flags & 0x60 == 0x60).then_some(bits.is_multiple_of(2)),
        value: (!is_null).then_some(value),
        ..Metric::default()
    }
}

fn template(name: &str, bits: u32) -> Value {
    let member = Metric {
        name: Some("a".into()),
        datatype: Some(DataType::Int32.code()),
        value: Some(Value::Int(bits)),
        ..Metric::default()
    };
    let is_definition = name == "Type";
    Value::Template(Box::new(Template {
        metrics: vec![member],
        template_ref: (!is_definition).then(|| "Type".to_owned()),
        is_definition: Some(is_definition),
        ..Template::default()
    }))
}
