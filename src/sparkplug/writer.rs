//! Writer of data payloads, metric by metric, without a model of the whole: the bytes are those
//! that prost would make of it, which a property test holds.

use prost::encoding::{encode_varint, message};

use super::{Metric, Value};

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
        let bytes = &mut self.bytes;
        bytes.push(0x12);
        let length_at = bytes.len();
        bytes.push(0);
        let begin = bytes.len();
        if let Some(name) = name {
            text(bytes, 0x0a, name.as_bytes());
        }
        if let Some(alias) = metric.alias {
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

    /// Bytes so far.
    pub fn written(&self) -> usize {
        self.bytes.len()
    }

    /// Takes back what was appended since it had `written` bytes.
    pub fn take_back(&mut self, written: usize) {
        self.bytes.truncate(written);
    }

    /// The payload, with this `seq`.
    pub fn finish(mut self, seq: Option<u64>) -> Vec<u8> {
        if let Some(seq) = seq {
            number(&mut self.bytes, 0x18, seq);
        }
        self.bytes
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
fn varint(bytes: &mut Vec<u8>, mut number: u64) {
    let mut buffer = [0_u8; 10];
    let mut length = 0_usize;
    for byte in &mut buffer {
        length = length.saturating_add(1);
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            *byte = low;
            break;
        }
        *byte = low | 0x80;
    }
    bytes.extend_from_slice(buffer.get(..length).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};
    use prost::Message;

    use super::super::arbitrary;
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
