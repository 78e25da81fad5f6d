//! Payloads at and beyond each cap.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use prost::Message;

use super::super::super::{Metric, Property, PropertySet, PropertyValue, Template};
use super::super::{Cap, Caps, DecodeError, Exceeded, Payload, Value, decode};
use super::{bad, field, good, metric};

fn over(exceeded: Exceeded) -> DecodeError {
    DecodeError::OverCap(exceeded)
}

#[test]
fn a_megabyte_of_empty_metrics_is_stopped_by_the_cap_and_counted() {
    let bytes = [0x12, 0x00].repeat(Caps::PAYLOAD_BYTES / 2);
    let counted = Cap::Metrics.exceeded(Caps::METRICS, Caps::PAYLOAD_BYTES / 2);
    assert_eq!(bad(&bytes), over(counted));
    // Nothing behind the cap is looked at but for the number, which can't be told here.
    let mut broken = [0x12, 0x00].repeat(Caps::METRICS + 1);
    broken.push(0x12);
    assert_eq!(bad(&broken), over(Cap::Metrics.passed(Caps::METRICS)));
}

#[test]
fn caps_are_enforced_up_to_their_last_unit() {
    let metrics = |count| Payload { metrics: vec![Metric::default(); count], ..Payload::default() };
    good(&metrics(Caps::METRICS).encode_to_vec());
    let counted = Cap::Metrics.exceeded(Caps::METRICS, Caps::METRICS + 1);
    assert_eq!(bad(&metrics(Caps::METRICS + 1).encode_to_vec()), over(counted));

    let named = |length| Metric { name: Some("x".repeat(length)), ..Metric::default() };
    good(&metric(&named(Caps::NAME_BYTES).encode_to_vec()));
    let long = metric(&named(Caps::NAME_BYTES + 1).encode_to_vec());
    assert_eq!(bad(&long), over(Cap::NameBytes.exceeded(Caps::NAME_BYTES, Caps::NAME_BYTES + 1)));

    let text = |length| metric(&field(15, "x".repeat(length).as_bytes()));
    good(&text(Caps::TEXT_BYTES));
    let long = Cap::TextBytes.exceeded(Caps::TEXT_BYTES, Caps::TEXT_BYTES + 1);
    assert_eq!(bad(&text(Caps::TEXT_BYTES + 1)), over(long));

    let too_long = vec![0; Caps::PAYLOAD_BYTES + 1];
    let counted = Cap::PayloadBytes.exceeded(Caps::PAYLOAD_BYTES, Caps::PAYLOAD_BYTES + 1);
    assert_eq!(bad(&too_long), over(counted));

    let rows = |count| field(1, &[]).repeat(count);
    let data_set = |count| {
        let row = field(4, &rows(count));
        // Field 17 has a two-byte key.
        let mut bytes = vec![0x8a, 0x01];
        prost::encoding::encode_varint(row.len() as u64, &mut bytes);
        bytes.extend(row);
        metric(&bytes)
    };
    good(&data_set(Caps::CELLS - 1));
    assert_eq!(bad(&data_set(Caps::CELLS)), over(Cap::Cells.passed(Caps::CELLS)));

    let properties = |count| {
        let mut set = field(1, &[]).repeat(count);
        set.extend(field(2, &[]).repeat(count));
        metric(&field(9, &set))
    };
    let roomy = Caps { payload_bytes: usize::MAX, ..Caps::DEFAULT };
    decode(&properties(Caps::PROPERTIES / 2 - 1), &roomy).unwrap();
    let passed = over(Cap::Properties.passed(Caps::PROPERTIES));
    assert_eq!(decode(&properties(Caps::PROPERTIES / 2), &roomy).unwrap_err(), passed);
}

#[test]
fn members_of_one_template_are_capped() {
    let caps = Caps { members: 10, ..Caps::DEFAULT };
    let payload = |members| {
        let template =
            Template { metrics: vec![Metric::default(); members], ..Template::default() };
        let value = Some(Value::Template(Box::new(template)));
        let metrics = vec![Metric { value, ..Metric::default() }; 2];
        Payload { metrics, ..Payload::default() }.encode_to_vec()
    };
    decode(&payload(10), &caps).unwrap();
    assert_eq!(decode(&payload(11), &caps).unwrap_err(), over(Cap::Members.passed(10)));
}

#[test]
fn nesting_is_capped_for_templates_and_property_sets() {
    let nested = |depth| {
        let mut metric = Metric::default();
        for _ in 0..depth {
            let template = Template { metrics: vec![metric], ..Template::default() };
            metric =
                Metric { value: Some(Value::Template(Box::new(template))), ..Metric::default() };
        }
        Payload { metrics: vec![metric], ..Payload::default() }.encode_to_vec()
    };
    good(&nested(Caps::DEPTH));
    let passed = over(Cap::Depth.passed(Caps::DEPTH));
    assert_eq!(bad(&nested(Caps::DEPTH + 1)), passed);
    // The deepest setting is still within prost's recursion limit.
    let deep = Caps { depth: usize::MAX, ..Caps::default() };
    decode(&nested(Caps::MAX_DEPTH), &deep).unwrap();
    assert!(decode(&nested(Caps::MAX_DEPTH + 1), &deep).is_err());

    let mut set = PropertySet::default();
    for _ in 0..Caps::DEPTH {
        let value = Some(Property::Set(set));
        set = PropertySet {
            keys: vec![String::new()],
            values: vec![PropertyValue { value, ..PropertyValue::default() }],
        };
    }
    let payload: Vec<u8> = metric(&field(9, &set.encode_to_vec()));
    assert_eq!(bad(&payload), passed);
}
