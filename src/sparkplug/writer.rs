//! Writer of data payloads, metric by metric, without a model of the whole: the bytes are those
//! that prost would make of it, which a property test holds.

use alloc::vec::Vec;

use prost::encoding::{encode_varint, message};

use super::{Metric, Scalar, ScalarMetric, Value};

/// A payload under construction.
#[derive(Debug)]
pub struct PayloadWriter {
    bytes: Vec<u8>,
}

impl PayloadWriter {
    /// A payload with this timestamp (milliseconds since the epoch) and without metrics, with
    /// room for `capacity` bytes.
    pub fn new(timestamp: Option<u64>, capacity: usize) -> PayloadWriter {
        let mut bytes = Vec::with_capacity(capacity);
        if let Some(timestamp) = timestamp {
            number(&mut bytes, 0x08, timestamp);
        }
        PayloadWriter { bytes }
    }

    /// Appends `metric` with this name, whatever its own is.
    pub fn metric(&mut self, name: Option<&str>, metric: &Metric) {
        self.metric_as(name, metric.alias, metric);
    }

    /// Appends `metric` with this name and this alias, whatever its own are.
    pub fn metric_as(&mut self, name: Option<&str>, alias: Option<u64>, metric: &Metric) {
        let bytes = &mut self.bytes;
        bytes.push(0x12);
        let length_at = bytes.len();
        bytes.push(0);
        let begin = bytes.len();
        if let Some(name) = name {
            text(bytes, 0x0a, name.as_bytes());
        }
        put_fields(bytes, alias, metric);
        let length = bytes.len().saturating_sub(begin);
        match (u8::try_from(length), bytes.get_mut(length_at)) {
            (Ok(length @ 0..0x80), Some(place)) => *place = length,
            _ => {
                let mut longer = Vec::with_capacity(10);
                encode_varint(length as u64, &mut longer);
                bytes.splice(length_at..begin, longer);
            }
        }
    }

    /// Appends what data tells of a metric by its name: `metric` without alias, datatype and
    /// null flag, dated `timestamp`.
    #[inline]
    pub fn scalar(&mut self, name: &str, timestamp: u64, metric: &ScalarMetric<'_>) {
        let flags = [metric.is_historical, metric.is_transient];
        self.scalar_by_name(name, timestamp, flags, metric.value);
    }

    /// The same of a value. `flags`: whether it is historical, and whether it is transient.
    #[inline]
    pub fn scalar_by_name(
        &mut self,
        name: &str,
        timestamp: u64,
        flags: [Option<bool>; 2],
        value: Scalar,
    ) {
        let mut tail = Tail::new();
        tail.news(timestamp, flags, value);
        let tail = tail.written();
        let mut head = Tail::new();
        head.key(0x0a);
        head.varint(name.len() as u64);
        let head = head.written();
        let length = head.len().saturating_add(name.len()).saturating_add(tail.len());
        let mut outer = Tail::new();
        outer.key(0x12);
        outer.varint(length as u64);
        self.bytes.extend_from_slice(outer.written());
        self.bytes.extend_from_slice(head);
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(tail);
    }

    /// The same by alias, without a name.
    #[inline]
    pub fn scalar_by_alias(
        &mut self,
        alias: u64,
        timestamp: u64,
        flags: [Option<bool>; 2],
        value: Scalar,
    ) {
        let mut metric = Tail::new();
        metric.key(0x10);
        metric.varint(alias);
        metric.news(timestamp, flags, value);
        let metric = metric.written();
        let mut outer = Tail::new();
        outer.key(0x12);
        outer.varint(metric.len() as u64);
        self.bytes.extend_from_slice(outer.written());
        self.bytes.extend_from_slice(metric);
    }

    /// Appends metrics as they are on the wire, with their keys and lengths.
    pub fn metrics(&mut self, wire: &[u8]) {
        self.bytes.extend_from_slice(wire);
    }

    /// Bytes so far.
    pub fn written(&self) -> usize {
        self.bytes.len()
    }

    /// Takes back what was appended since it had `written` bytes.
    pub fn take_back(&mut self, written: usize) {
        self.bytes.truncate(written);
    }

    /// The payload, with this `seq`, and with this body that `uuid` is about.
    pub fn finish_with_body(mut self, seq: u64, uuid: &str, body: &[u8]) -> Vec<u8> {
        number(&mut self.bytes, 0x18, seq);
        text(&mut self.bytes, 0x22, uuid.as_bytes());
        text(&mut self.bytes, 0x2a, body);
        self.bytes
    }

    /// The payload, with this `seq`.
    pub fn finish(mut self, seq: Option<u64>) -> Vec<u8> {
        if let Some(seq) = seq {
            number(&mut self.bytes, 0x18, seq);
        }
        self.bytes
    }
}

/// Appends the fields of a metric, with this alias, but for its name.
pub fn put_fields(bytes: &mut Vec<u8>, alias: Option<u64>, metric: &Metric) {
    if let Some(alias) = alias {
        number(bytes, 0x10, alias);
    }
    if let Some(timestamp) = metric.timestamp {
        number(bytes, 0x18, timestamp);
    }
    if let Some(datatype) = metric.datatype {
        number(bytes, 0x20, datatype.into());
    }
    for (key, flag) in
        [(0x28, metric.is_historical), (0x30, metric.is_transient), (0x38, metric.is_null)]
    {
        if let Some(flag) = flag {
            bytes.extend_from_slice(&[key, flag.into()]);
        }
    }
    if let Some(metadata) = metric.metadata.as_deref() {
        message::encode(8, metadata, bytes);
    }
    if let Some(properties) = metric.properties.as_deref() {
        message::encode(9, properties, bytes);
    }
    if let Some(value) = &metric.value {
        put_value(bytes, value);
    }
}

/// Keys are written as `number << 3 | wire type`, as on the wire.
fn put_value(bytes: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Int(value) => number(bytes, 0x50, u64::from(*value)),
        Value::Long(value) => number(bytes, 0x58, *value),
        Value::Float(value) => {
            bytes.push(0x65);
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        Value::Double(value) => {
            bytes.push(0x69);
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        Value::Boolean(value) => bytes.extend_from_slice(&[0x70, u8::from(*value)]),
        Value::String(value) => text(bytes, 0x7a, value.as_bytes()),
        // Field 16 has a key of two bytes.
        Value::Bytes(value) => {
            bytes.push(0x82);
            text(bytes, 0x01, value);
        }
        Value::DataSet(table) => message::encode(17, table.as_ref(), bytes),
        Value::Template(template) => message::encode(18, template.as_ref(), bytes),
    }
}

#[inline]
fn number(bytes: &mut Vec<u8>, key: u8, number: u64) {
    bytes.push(key);
    varint(bytes, number);
}

#[inline]
fn text(bytes: &mut Vec<u8>, key: u8, text: &[u8]) {
    bytes.push(key);
    varint(bytes, text.len() as u64);
    bytes.extend_from_slice(text);
}

/// Through a buffer of its own: one check of the room for the whole number.
#[inline]
fn varint(bytes: &mut Vec<u8>, number: u64) {
    let mut buffer = Tail::new();
    buffer.varint(number);
    bytes.extend_from_slice(buffer.written());
}

/// A few small fields on the stack. Whole words are written, of which as much counts as is
/// meant.
struct Tail {
    bytes: [u8; Tail::ROOM],
    length: usize,
}

impl Tail {
    /// A key and the longest number, three times; two flags; and a word beyond.
    const ROOM: usize = 3 * 11 + 2 * 2 + 8;

    #[inline]
    fn new() -> Tail {
        Tail { bytes: [0; Tail::ROOM], length: 0 }
    }

    /// Time, whether it is historical and whether it is transient, and value.
    #[inline]
    fn news(&mut self, timestamp: u64, flags: [Option<bool>; 2], value: Scalar) {
        self.key(0x18);
        self.varint(timestamp);
        for (key, flag) in [0x28, 0x30].into_iter().zip(flags) {
            if let Some(flag) = flag {
                self.bytes([key, flag.into()]);
            }
        }
        match value {
            Scalar::Int(value) => {
                self.key(0x50);
                self.varint(value.into());
            }
            Scalar::Long(value) => {
                self.key(0x58);
                self.varint(value);
            }
            Scalar::Float(value) => {
                self.key(0x65);
                self.bytes(value.to_le_bytes());
            }
            Scalar::Double(value) => {
                self.key(0x69);
                self.bytes(value.to_le_bytes());
            }
            Scalar::Boolean(value) => self.bytes([0x70, value.into()]),
        }
    }

    #[inline]
    fn key(&mut self, key: u8) {
        self.bytes([key]);
    }

    #[inline]
    fn bytes<const N: usize>(&mut self, bytes: [u8; N]) {
        self.put(bytes, N);
    }

    #[inline]
    fn put<const N: usize>(&mut self, bytes: [u8; N], length: usize) {
        let room = self.bytes.get_mut(self.length..).and_then(<[u8]>::first_chunk_mut::<N>);
        if let Some(room) = room {
            *room = bytes;
            self.length = self.length.saturating_add(length);
        }
    }

    #[inline]
    fn varint(&mut self, number: u64) {
        match number {
            0..0x80 => {
                let [low, ..] = number.to_le_bytes();
                self.key(low);
            }
            0x80..0x0100_0000_0000_0000 => self.word(number),
            _ => self.long_varint(number),
        }
    }

    /// A varint of two to eight bytes: the bits are drawn apart, seven to a byte.
    #[inline]
    fn word(&mut self, number: u64) {
        let bits = (number & 0x0fff_ffff) | ((number & 0x00ff_ffff_f000_0000) << 4);
        let bits = (bits & 0x0000_3fff_0000_3fff) | ((bits & 0x0fff_c000_0fff_c000) << 2);
        let bits = (bits & 0x007f_007f_007f_007f) | ((bits & 0x3f80_3f80_3f80_3f80) << 1);
        let last = 7_u32.saturating_sub(bits.leading_zeros() >> 3);
        let more =
            0x0080_8080_8080_8080_u64 & 1_u64.wrapping_shl(last.saturating_mul(8)).wrapping_sub(1);
        let length = usize::try_from(last).unwrap_or(7).saturating_add(1);
        self.put((bits | more).to_le_bytes(), length);
    }

    #[cold]
    fn long_varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            let [low, ..] = number.to_le_bytes();
            self.key(low | 0x80);
            number >>= 7;
        }
        let [low, ..] = number.to_le_bytes();
        self.key(low);
    }

    #[inline]
    fn written(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop_assert_eq, prop_oneof, proptest};
    use prost::Message;

    use super::super::{Payload, arbitrary};
    use super::*;

    proptest! {
        #[test]
        fn the_bytes_are_those_of_prost(payload in arbitrary::payload()) {
            let mut writer = PayloadWriter::new(payload.timestamp, 0);
            for metric in &payload.metrics {
                writer.metric(metric.name.as_deref(), metric);
            }
            prop_assert_eq!(writer.finish(payload.seq), payload.encode_to_vec());
        }
    }

    #[test]
    fn numbers_of_every_length_are_written_as_prost_does() {
        for bits in 0..64 {
            let power = 1_u64 << bits;
            for number in [power - 1, power, power + 1, power | 0x5555_5555_5555_5555 & (power - 1)]
            {
                let (mut ours, mut wanted) = (Vec::new(), Vec::new());
                varint(&mut ours, number);
                encode_varint(number, &mut wanted);
                assert_eq!(ours, wanted, "{number:#x}");
            }
        }
        let mut ours = Vec::new();
        varint(&mut ours, u64::MAX);
        assert_eq!(ours, [[0xff; 9].as_slice(), &[1]].concat());
    }

    proptest! {
        #[test]
        fn scalars_by_alias_are_those_of_prost(
            (alias, timestamp) in (any::<u64>(), any::<u64>()),
            flags in any::<[Option<bool>; 2]>(),
            value in prop_oneof![
                any::<u32>().prop_map(Scalar::Int), any::<u64>().prop_map(Scalar::Long),
                any::<u32>().prop_map(|bits| Scalar::Float(f32::from_bits(bits))),
                any::<u64>().prop_map(|bits| Scalar::Double(f64::from_bits(bits))),
                any::<bool>().prop_map(Scalar::Boolean),
            ],
        ) {
            let [is_historical, is_transient] = flags;
            let mut writer = PayloadWriter::new(None, 0);
            writer.scalar_by_alias(alias, timestamp, flags, value);
            let metric = Metric {
                alias: Some(alias),
                timestamp: Some(timestamp),
                is_historical,
                is_transient,
                value: Some(value.into()),
                ..Metric::default()
            };
            let payload = Payload { metrics: vec![metric], ..Payload::default() };
            prop_assert_eq!(writer.finish(None), payload.encode_to_vec());
        }
    }

    #[test]
    fn what_is_taken_back_leaves_no_trace() {
        let metric = Metric { value: Some(Value::Bytes(vec![7; 300])), ..Metric::default() };
        let mut writer = PayloadWriter::new(Some(5), 16);
        writer.metric(Some("a"), &metric);
        let written = writer.written();
        writer.metric(Some("b"), &metric);
        writer.take_back(written);
        let mut wanted = PayloadWriter::new(Some(5), 16);
        wanted.metric(Some("a"), &metric);
        assert_eq!(writer.finish(Some(1)), wanted.finish(Some(1)));
    }
}
