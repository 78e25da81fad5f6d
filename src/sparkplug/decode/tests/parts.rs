//! Parts that can't be used, in payloads that can.

use alloc::borrow::ToOwned;
use alloc::vec::Vec;

use proptest::prelude::{Strategy, prop_assert, prop_assert_eq, proptest};
use prost::Message;

use super::super::super::{BadPart, Part, PartFault, PropertySet, arbitrary, names};
use super::super::{Cap, Caps, DecodeError, Payload, Value, decode, decode_parts};
use super::{field, metric};

fn parts(bytes: &[u8], caps: &Caps) -> Result<(Payload, Vec<BadPart>), DecodeError> {
    let mut inflated = Vec::new();
    let mut decoded = decode_parts(bytes, &mut inflated, caps)?;
    let bad = core::mem::take(&mut decoded.bad);
    Ok((decoded.into_payload(), bad))
}

/// A field with a key of two bytes.
fn long_field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![(number & 15) << 3 | 0x82, number >> 4];
    prost::encoding::encode_varint(content.len() as u64, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

const LATIN_1: &[u8] = b"K\xfchler";

/// A payload of two sound metrics around one called `bad` with these fields.
fn around(content: &[u8]) -> Vec<u8> {
    let sound = metric(&[&field(1, b"sound")[..], &[0x50, 7]].concat());
    let bad = metric(&[&field(1, b"bad"), content].concat());
    [&sound[..], &bad, &sound].concat()
}

/// What became of the metric with these fields, between two that stay as they are.
#[track_caller]
fn left_out(content: &[u8], part: Part) -> (super::Metric, PartFault) {
    let caps = Caps { text_bytes: 100, name_bytes: 50, cells: 4, members: 3, ..Caps::DEFAULT };
    let bytes = around(content);
    let (payload, bad) = parts(&bytes, &caps).unwrap();
    assert_eq!(payload.metrics.len(), 3);
    for sound in [0, 2] {
        assert_eq!(payload.metrics[sound].name.as_deref(), Some("sound"));
        assert_eq!(payload.metrics[sound].value, Some(Value::Int(7)));
    }
    assert_eq!(bad.len(), 1, "{bad:?}");
    assert_eq!((bad[0].metric, bad[0].part), (1, part));
    // Who reads what only a relay writes takes it for what it is.
    assert!(decode(&bytes, &caps).is_err());
    let metric = payload.metrics[1].clone();
    assert_eq!(metric.name.as_deref(), Some("bad"));
    (metric, bad[0].fault)
}

#[test]
fn a_value_that_cannot_be_read_is_absent_and_its_neighbours_stay() {
    let long = "x".repeat(101);
    let columns = field(2, LATIN_1);
    let cells = field(4, &field(1, &field(6, LATIN_1)));
    let many = field(4, &[]).repeat(5);
    let member = |content: &[u8]| long_field(18, &field(2, content));
    let cases: [(&str, Vec<u8>); 15] = [
        ("a text in Latin-1", field(15, LATIN_1)),
        ("a text that is too long", field(15, long.as_bytes())),
        ("a column's name", long_field(17, &columns)),
        ("a cell", long_field(17, &cells)),
        ("too many rows", long_field(17, &many)),
        ("a row cut short", long_field(17, &[0x22, 5])),
        ("a member's name", member(&field(1, LATIN_1))),
        ("a member's text", member(&field(15, LATIN_1))),
        ("a parameter's name", long_field(18, &field(3, &field(1, LATIN_1)))),
        ("a template's version", long_field(18, &field(1, LATIN_1))),
        ("too many members", long_field(18, &field(2, &[]).repeat(4))),
        ("a template's type", long_field(18, &[0x0d, 1, 2, 3, 4])),
        ("a number as bytes", vec![0x52, 1, 7]),
        ("a text as a number", vec![0x78, 7]),
        ("a time as bytes", vec![0x1a, 1, 7]),
    ];
    for (what, content) in cases {
        let (metric, fault) = left_out(&content, Part::Value);
        assert_eq!(metric.value, None, "{what}: {fault}");
    }
    // Also where a sound value follows: which of both is meant can't be told.
    let (metric, _) = left_out(&[&field(15, LATIN_1)[..], &[0x50, 7]].concat(), Part::Value);
    assert_eq!(metric.value, None);
}

#[test]
fn a_text_that_cannot_be_read_is_known_to_be_one() {
    assert_eq!(left_out(&field(15, LATIN_1), Part::Value).0.datatype, Some(12));
}

#[test]
fn what_was_over_a_cap_is_told_with_both_numbers() {
    let (_, fault) = left_out(&field(15, "x".repeat(123).as_bytes()), Part::Value);
    assert_eq!(fault, PartFault::OverCap(Cap::TextBytes.exceeded(100, 123)));
}

fn properties(pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
    let keys = pairs.iter().flat_map(|(key, _)| field(1, key));
    let values = pairs.iter().flat_map(|(_, value)| field(2, value));
    field(9, &keys.chain(values).collect::<Vec<u8>>())
}

fn keys(set: Option<&PropertySet>) -> Vec<&str> {
    set.map(|set| set.keys.iter().map(|key| &**key).collect()).unwrap_or_default()
}

#[test]
fn a_property_that_cannot_be_read_is_left_out_alone() {
    let good: &[u8] = &[0x08, 3, 0x18, 1];
    let text = field(8, LATIN_1);
    let long = field(8, "x".repeat(101).as_bytes());
    let inner = field(9, &field(1, b"k"));
    for bad in [&text[..], &long, &inner, &[0x18], &[0x19, 0, 0, 0, 0, 0, 0, 0, 0]] {
        let set = properties(&[(b"a", good), (b"b", bad), (b"c", good)]);
        let (metric, fault) = left_out(&[&set[..], &[0x50, 7]].concat(), Part::Beside);
        assert_eq!(keys(metric.properties.as_deref()), ["a", "c"], "{fault}");
        assert_eq!(metric.properties.unwrap().values.len(), 2);
        assert_eq!(metric.value, Some(Value::Int(7)));
    }
    for bad in [LATIN_1, &[b'x'; 51]] {
        let set = properties(&[(b"a", good), (bad, good), (b"c", good)]);
        let (metric, _) = left_out(&set, Part::Beside);
        assert_eq!(keys(metric.properties.as_deref()), ["a", "c"]);
    }
}

#[test]
fn an_uneven_set_is_left_out_and_metadata_too() {
    let uneven = field(9, &[field(1, b"a"), field(1, b"b"), field(2, &[0x18, 1])].concat());
    let (metric, _) = left_out(&[&uneven[..], &[0x50, 7]].concat(), Part::Beside);
    assert_eq!((metric.properties, metric.value), (None, Some(Value::Int(7))));
    let metadata = field(8, &field(2, LATIN_1));
    let (metric, _) = left_out(&metadata, Part::Beside);
    assert_eq!(metric.metadata, None);
}

#[test]
fn a_quality_that_goes_with_a_bad_set_is_bad() {
    let bad = PropertySet {
        keys: vec!["Quality".to_owned()],
        values: vec![super::PropertyValue {
            r#type: Some(3),
            is_null: None,
            value: Some(super::super::super::Property::Int(names::QUALITY_BAD)),
        }],
    };
    let uneven = field(9, &[field(1, b"Quality"), field(1, b"b"), field(2, &[0x18, 1])].concat());
    assert_eq!(left_out(&uneven, Part::Beside).0.properties.as_deref(), Some(&bad));
    let unreadable = properties(&[(b"Quality", &field(8, LATIN_1))]);
    assert_eq!(left_out(&unreadable, Part::Beside).0.properties.as_deref(), Some(&bad));
}

#[test]
fn a_bad_name_or_framing_is_one_of_the_whole_payload() {
    let cases: [(&str, Vec<u8>); 6] = [
        ("a name in Latin-1", around(&field(1, LATIN_1))),
        ("a name that is too long", around(&field(1, &[b'x'; 1025]))),
        ("a name as a number", around(&[0x08, 7])),
        ("an alias as bytes", around(&[0x12, 1, 7])),
        ("a metric cut short", around(&[0x50])),
        ("too many metrics", [0x12, 0].repeat(Caps::METRICS + 1)),
    ];
    for (what, bytes) in cases {
        assert!(parts(&bytes, &Caps::DEFAULT).is_err(), "{what}");
    }
}

proptest! {
    /// Both readers say the same of what has no bad part, and one of them refuses the rest.
    #[test]
    fn only_bad_parts_make_a_difference(
        bytes in arbitrary::mutated(arbitrary::payload().prop_map(|payload| payload.encode_to_vec())),
    ) {
        let strict = decode(&bytes, &Caps::DEFAULT);
        match parts(&bytes, &Caps::DEFAULT) {
            Ok((payload, bad)) if bad.is_empty() => {
                prop_assert_eq!(strict.unwrap().payload.encode_to_vec(), payload.encode_to_vec());
            }
            Ok((payload, bad)) => {
                prop_assert!(strict.is_err());
                prop_assert!(bad.is_sorted_by_key(|bad| bad.metric));
                // What is left has nothing bad in it.
                let encoded = payload.encode_to_vec();
                let again = parts(&encoded, &Caps::DEFAULT).unwrap();
                prop_assert_eq!(again.1, []);
                prop_assert_eq!(again.0.encode_to_vec(), encoded);
            }
            Err(_) => prop_assert!(strict.is_err()),
        }
    }
}
