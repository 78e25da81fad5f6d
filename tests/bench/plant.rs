//! Sparkplug-shaped messages of simulated edge nodes: about 30 bytes per metric, as a plant's
//! are, so that 10 metrics are some 300 bytes and 100 metrics some 3 kB.

use prost::Message;
use sparkplug::{DataType, Metric, Payload, Value, names};

/// Group of every simulated edge node.
pub(crate) const GROUP: &str = "Plant1";

/// Keys of the protobuf fields that are written by hand.
mod key {
    pub(super) const PAYLOAD_TIMESTAMP: u8 = 0x08;
    pub(super) const PAYLOAD_METRIC: u8 = 0x12;
    pub(super) const PAYLOAD_SEQ: u8 = 0x18;
    pub(super) const METRIC_NAME: u8 = 0x0a;
    pub(super) const METRIC_ALIAS: u8 = 0x10;
    pub(super) const METRIC_TIMESTAMP: u8 = 0x18;
    pub(super) const METRIC_DOUBLE: u8 = 0x69;
}

/// Bytes of a varint that holds milliseconds since the epoch: until the year 2109.
const TIMESTAMP_BYTES: usize = 6;

/// `spBv1.0/Plant1/<kind>/<edge node>`.
pub(crate) fn topic(kind: &str, edge_node: &str) -> String {
    format!("spBv1.0/{GROUP}/{kind}/{edge_node}")
}

/// Name of an edge node.
pub(crate) fn edge_node(number: usize) -> String {
    format!("Line{number:05}")
}

fn metric_name(number: usize) -> String {
    format!("Zone{}/T{:03}", number / 10, number)
}

/// The payload of an NBIRTH with `metrics` metrics of type Double besides bdSeq and Rebirth.
pub(crate) fn birth(metrics: usize, aliases: bool, wall_ms: u64) -> Vec<u8> {
    let typed = |name: String, datatype: DataType, value: Value| Metric {
        name: Some(name),
        timestamp: Some(wall_ms),
        datatype: Some(datatype.code()),
        value: Some(value),
        ..Metric::default()
    };
    let mut list = vec![
        typed(names::BD_SEQ.to_owned(), DataType::Int64, Value::Long(0)),
        typed(names::REBIRTH.to_owned(), DataType::Boolean, Value::Boolean(false)),
    ];
    list.extend((0..metrics).map(|number| Metric {
        alias: aliases.then(|| alias(number)),
        ..typed(metric_name(number), DataType::Double, Value::Double(0.0))
    }));
    let payload =
        Payload { timestamp: Some(wall_ms), metrics: list, seq: Some(0), ..Payload::default() };
    payload.encode_to_vec()
}

fn alias(number: usize) -> u64 {
    // As edge libraries give them: small and dense, after the node's own.
    number as u64 + 3
}

/// The payload of an NDATA, whose times and values are written into the same bytes again and
/// again: a load generator that costs much measures itself.
#[derive(Clone, Debug)]
pub(crate) struct Data {
    bytes: Vec<u8>,
    /// Where the timestamps are, the payload's first.
    timestamps: Vec<usize>,
    /// Where the values are.
    values: Vec<usize>,
    /// Length without the sequence number.
    fixed: usize,
}

impl Data {
    pub(crate) fn new(metrics: usize, aliases: bool) -> Data {
        let mut bytes = vec![key::PAYLOAD_TIMESTAMP];
        let mut timestamps = vec![bytes.len()];
        let mut values = Vec::new();
        bytes.extend([0; TIMESTAMP_BYTES]);
        for number in 0..metrics {
            let mut metric = Vec::new();
            if aliases {
                metric.push(key::METRIC_ALIAS);
                put_varint(&mut metric, alias(number));
            } else {
                let name = metric_name(number);
                metric.push(key::METRIC_NAME);
                put_varint(&mut metric, name.len() as u64);
                metric.extend(name.as_bytes());
            }
            metric.push(key::METRIC_TIMESTAMP);
            let timestamp = metric.len();
            metric.extend([0; TIMESTAMP_BYTES]);
            metric.push(key::METRIC_DOUBLE);
            let value = metric.len();
            metric.extend([0; 8]);
            bytes.push(key::PAYLOAD_METRIC);
            put_varint(&mut bytes, metric.len() as u64);
            timestamps.push(bytes.len() + timestamp);
            values.push(bytes.len() + value);
            bytes.extend(metric);
        }
        bytes.push(key::PAYLOAD_SEQ);
        let fixed = bytes.len();
        Data { bytes, timestamps, values, fixed }
    }

    /// The next message: `stamp_us` is the value of its first metric, from which
    /// [`stamp_of`] reads it; the other values differ from message to message.
    pub(crate) fn fill(&mut self, wall_ms: u64, stamp_us: u64, seq: u8) -> &[u8] {
        let mut timestamp = [0; TIMESTAMP_BYTES];
        let mut rest = wall_ms;
        for byte in &mut timestamp {
            *byte = (rest & 0x7f) as u8 | 0x80;
            rest >>= 7;
        }
        timestamp[TIMESTAMP_BYTES - 1] &= 0x7f;
        for at in &self.timestamps {
            self.bytes[*at..*at + TIMESTAMP_BYTES].copy_from_slice(&timestamp);
        }
        let mut value = stamp_us as f64;
        for at in &self.values {
            self.bytes[*at..*at + 8].copy_from_slice(&value.to_le_bytes());
            value += 0.5;
        }
        self.bytes.truncate(self.fixed);
        put_varint(&mut self.bytes, seq.into());
        &self.bytes
    }
}

/// The stamp of a data message, whoever encoded it; `None` if its first metric has no double.
pub(crate) fn stamp_of(payload: &[u8]) -> Option<u64> {
    let metric = field(payload, 2)?;
    let value = field(metric, 13)?;
    Some(f64::from_le_bytes(value.try_into().ok()?) as u64)
}

/// The bytes of the first field with this number.
fn field(mut bytes: &[u8], wanted: u64) -> Option<&[u8]> {
    loop {
        let key = take_varint(&mut bytes)?;
        let length = match key & 7 {
            0 => {
                take_varint(&mut bytes)?;
                continue;
            }
            1 => 8,
            2 => usize::try_from(take_varint(&mut bytes)?).ok()?,
            5 => 4,
            _ => return None,
        };
        let (value, rest) = bytes.split_at_checked(length)?;
        if key >> 3 == wanted {
            return Some(value);
        }
        bytes = rest;
    }
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}
