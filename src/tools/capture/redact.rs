//! Takes the values out of a recording and leaves what policy tools need.
//!
//! | remains | is replaced |
//! |---|---|
//! | topics: group, edge node, device | |
//! | `seq`, `bdSeq`, all timestamps | |
//! | names and aliases of metrics, datatypes, `is_null`, `is_historical`, `is_transient` | numbers by 0, booleans by `false` |
//! | the size of strings and bytes, rounded down to a power of two | strings by `x`, bytes (with files and arrays) by 0 |
//! | keys and types of properties, the value of `Quality` | the values of all others |
//! | of metadata `is_multi_part`, `seq`, `content_type` | the rest: file name and type, MD5, description, size |
//! | columns and column types of data sets, the number of rows rounded down to a power of two | every cell |
//! | of templates name, version, members, names and types of parameters | the values of members and parameters |
//!
//! Unknown fields go, and compressed payloads are inflated. A payload that can't be decoded, such
//! as a STATE message, becomes empty, since nobody knows what in it is a value.

use prost::Message;
use sparkplug::names::BD_SEQ;
use sparkplug::{
    Caps, CellValue, DataSet, MetaData, Metric, ParameterValue, Payload, Property, PropertySet,
    Template, Value, decode,
};

/// Property that carries the quality of a value (Sparkplug 3.0 §6.4.9): a code, not a value.
const QUALITY: &str = "Quality";

/// What was done to a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redacted {
    /// Its values were replaced.
    Values,
    /// It couldn't be decoded, and is empty now.
    Emptied,
}

/// Replaces the values in `payload`.
pub fn redact(payload: &[u8], caps: &Caps) -> (Vec<u8>, Redacted) {
    match decode(payload, caps) {
        Ok(decoded) => {
            let mut payload = decoded.payload;
            redact_payload(&mut payload);
            (payload.encode_to_vec(), Redacted::Values)
        }
        Err(_) => (Vec::new(), Redacted::Emptied),
    }
}

/// Recursion below here is bounded by the depth that [`decode`] lets through.
fn redact_payload(payload: &mut Payload) {
    // Taken out by `decode` already.
    (payload.uuid, payload.body) = (None, None);
    for metric in &mut payload.metrics {
        let counter = metric.name.as_deref() == Some(BD_SEQ)
            && matches!(metric.value, Some(Value::Int(_) | Value::Long(_)));
        redact_metric(metric, counter);
    }
}

fn redact_metric(metric: &mut Metric, keep_value: bool) {
    if let Some(metadata) = &mut metric.metadata {
        redact_metadata(metadata);
    }
    if let Some(properties) = &mut metric.properties {
        redact_properties(properties);
    }
    if keep_value {
        return;
    }
    match &mut metric.value {
        None => {}
        Some(Value::Int(value)) => *value = 0,
        Some(Value::Long(value)) => *value = 0,
        Some(Value::Float(value)) => *value = 0.0,
        Some(Value::Double(value)) => *value = 0.0,
        Some(Value::Boolean(value)) => *value = false,
        Some(Value::String(value)) => redact_string(value),
        Some(Value::Bytes(value)) => *value = vec![0; size_class(value.len())],
        Some(Value::DataSet(value)) => redact_data_set(value),
        Some(Value::Template(value)) => redact_template(value),
    }
}

fn redact_metadata(metadata: &mut MetaData) {
    let MetaData {
        is_multi_part: _,
        content_type: _,
        size,
        seq: _,
        file_name,
        file_type,
        md5,
        description,
    } = metadata;
    if let Some(size) = size {
        *size = size.checked_ilog2().map_or(0, |power| 1_u64.wrapping_shl(power));
    }
    for text in [file_name, file_type, md5, description].into_iter().flatten() {
        redact_string(text);
    }
}

fn redact_properties(set: &mut PropertySet) {
    let keys = set.keys.iter().map(Some).chain(std::iter::repeat(None));
    for (value, key) in set.values.iter_mut().zip(keys) {
        match &mut value.value {
            Some(Property::Int(_)) if key.is_some_and(|key| key == QUALITY) => {}
            None => {}
            Some(Property::Int(value)) => *value = 0,
            Some(Property::Long(value)) => *value = 0,
            Some(Property::Float(value)) => *value = 0.0,
            Some(Property::Double(value)) => *value = 0.0,
            Some(Property::Boolean(value)) => *value = false,
            Some(Property::String(value)) => redact_string(value),
            Some(Property::Set(set)) => redact_properties(set),
            Some(Property::SetList(list)) => list.sets.iter_mut().for_each(redact_properties),
        }
    }
}

fn redact_data_set(table: &mut DataSet) {
    table.rows.truncate(size_class(table.rows.len()));
    for cell in table.rows.iter_mut().flat_map(|row| &mut row.elements) {
        match &mut cell.value {
            None => {}
            Some(CellValue::Int(value)) => *value = 0,
            Some(CellValue::Long(value)) => *value = 0,
            Some(CellValue::Float(value)) => *value = 0.0,
            Some(CellValue::Double(value)) => *value = 0.0,
            Some(CellValue::Boolean(value)) => *value = false,
            Some(CellValue::String(value)) => redact_string(value),
        }
    }
}

fn redact_template(template: &mut Template) {
    template.metrics.iter_mut().for_each(|member| redact_metric(member, false));
    for parameter in &mut template.parameters {
        match &mut parameter.value {
            None => {}
            Some(ParameterValue::Int(value)) => *value = 0,
            Some(ParameterValue::Long(value)) => *value = 0,
            Some(ParameterValue::Float(value)) => *value = 0.0,
            Some(ParameterValue::Double(value)) => *value = 0.0,
            Some(ParameterValue::Boolean(value)) => *value = false,
            Some(ParameterValue::String(value)) => redact_string(value),
        }
    }
}

fn redact_string(text: &mut String) {
    *text = "x".repeat(size_class(text.len()));
}

/// The largest power of two that isn't above `length`; 0 for 0. Rounded down, so that a payload
/// never grows beyond what a broker delivered.
fn size_class(length: usize) -> usize {
    length.checked_ilog2().map_or(0, |power| 1_usize.wrapping_shl(power))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, proptest};
    use proptest::{prop_assert, prop_assert_eq};
    use sparkplug::arbitrary;

    use super::*;

    #[test]
    fn sizes_are_rounded_down_to_powers_of_two() {
        let classes = [0, 1, 2, 3, 4, 7, 8, 1_000].map(size_class);
        assert_eq!(classes, [0, 1, 2, 2, 4, 4, 8, 512]);
    }

    #[test]
    fn what_cannot_be_decoded_becomes_empty() {
        let state = b"{\"online\":true,\"timestamp\":1}";
        assert_eq!(redact(state, &Caps::DEFAULT), (Vec::new(), Redacted::Emptied));
    }

    #[test]
    fn birth_and_death_sequence_numbers_and_quality_remain() {
        let metric = |name: &str, value| Metric {
            name: Some(name.into()),
            value: Some(value),
            properties: Some(Box::new(PropertySet {
                keys: vec!["Quality".into(), "q".into()],
                values: [192, 193]
                    .map(|code| sparkplug::PropertyValue {
                        r#type: Some(3),
                        is_null: None,
                        value: Some(Property::Int(code)),
                    })
                    .to_vec(),
            })),
            ..Metric::default()
        };
        let payload = Payload {
            metrics: vec![
                metric(BD_SEQ, Value::Long(7)),
                metric("x", Value::Long(7)),
                // Not the counter of the specification, so that nothing can hide under its name.
                metric(BD_SEQ, Value::String("seven".into())),
            ],
            ..Payload::default()
        };
        let (bytes, _) = redact(&payload.encode_to_vec(), &Caps::DEFAULT);
        let redacted = Payload::decode(bytes.as_slice()).unwrap();
        let values: Vec<_> = redacted.metrics.iter().map(|metric| metric.value.clone()).collect();
        let text = Value::String("xxxx".into());
        assert_eq!(values, [Some(Value::Long(7)), Some(Value::Long(0)), Some(text)]);
        let properties = redacted.metrics[0].properties.as_ref().unwrap();
        let codes: Vec<_> = properties.values.iter().map(|value| value.value.clone()).collect();
        assert_eq!(codes, [Some(Property::Int(192)), Some(Property::Int(0))]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        /// Every text of a random payload is replaced by a marker where it is a value, then the
        /// marker is searched for in the bytes.
        #[test]
        fn no_value_is_left_in_the_bytes(mut payload in arbitrary::payload()) {
            payload.metrics.iter_mut().for_each(mark_metric);
            let bytes = payload.encode_to_vec();
            let (redacted, done) = redact(&bytes, &Caps::DEFAULT);
            prop_assert_eq!(done, Redacted::Values);
            for marker in [MARK_TEXT.as_bytes(), &MARK_INT.to_le_bytes(), &MARK_VARINT] {
                let left = redacted.windows(marker.len()).any(|window| window == marker);
                prop_assert!(!left, "{:?} in {:?}", marker, redacted);
            }
            prop_assert!(redacted.len() <= bytes.len());
            // Names, structure and times are those of before.
            let after = Payload::decode(redacted.as_slice()).unwrap();
            prop_assert_eq!(after.seq, payload.seq);
            let layout = |payload: &Payload| -> Vec<_> {
                let metrics = payload.metrics.iter();
                metrics.map(|one| (one.name.clone(), one.alias, one.datatype, one.timestamp,
                    one.is_null, one.value.as_ref().map(std::mem::discriminant))).collect()
            };
            prop_assert_eq!(layout(&after), layout(&payload));
        }
    }

    const MARK_TEXT: &str = "SECRET-VALUE";
    /// As a fixed-width value and as a varint.
    const MARK_INT: u64 = 0x7a5a_5a5a_5a5a_5a7a;
    const MARK_VARINT: [u8; 9] = [0xfa, 0xb4, 0xe9, 0xd2, 0xa5, 0xcb, 0x96, 0xad, 0x7a];

    fn mark_metric(metric: &mut Metric) {
        if metric.name.as_deref() == Some(BD_SEQ) {
            return;
        }
        match &mut metric.value {
            Some(Value::Long(value)) => *value = MARK_INT,
            Some(Value::Double(value)) => *value = f64::from_bits(MARK_INT),
            Some(Value::String(value)) => *value = MARK_TEXT.into(),
            Some(Value::Bytes(value)) => *value = MARK_TEXT.into(),
            Some(Value::DataSet(table)) => {
                for cell in table.rows.iter_mut().flat_map(|row| &mut row.elements) {
                    match &mut cell.value {
                        Some(CellValue::Long(value)) => *value = MARK_INT,
                        Some(CellValue::Double(value)) => *value = f64::from_bits(MARK_INT),
                        Some(CellValue::String(value)) => *value = MARK_TEXT.into(),
                        _ => {}
                    }
                }
            }
            Some(Value::Template(template)) => {
                template.metrics.iter_mut().for_each(mark_metric);
                for parameter in &mut template.parameters {
                    match &mut parameter.value {
                        Some(ParameterValue::Long(value)) => *value = MARK_INT,
                        Some(ParameterValue::Double(value)) => *value = f64::from_bits(MARK_INT),
                        Some(ParameterValue::String(value)) => *value = MARK_TEXT.into(),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        if let Some(metadata) = &mut metric.metadata {
            let MetaData { file_name, file_type, md5, description, size, .. } = &mut **metadata;
            for text in [file_name, file_type, md5, description].into_iter().flatten() {
                *text = MARK_TEXT.into();
            }
            *size = size.map(|_| MARK_INT);
        }
        if let Some(properties) = &mut metric.properties {
            mark_properties(properties);
        }
    }

    fn mark_properties(set: &mut PropertySet) {
        for value in &mut set.values {
            match &mut value.value {
                Some(Property::Long(value)) => *value = MARK_INT,
                Some(Property::Double(value)) => *value = f64::from_bits(MARK_INT),
                Some(Property::String(value)) => *value = MARK_TEXT.into(),
                Some(Property::Set(set)) => mark_properties(set),
                Some(Property::SetList(list)) => list.sets.iter_mut().for_each(mark_properties),
                _ => {}
            }
        }
    }
}
