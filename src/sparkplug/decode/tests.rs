//! Payloads at and beyond each cap, damaged ones, and compressed ones.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};
use prost::Message;

use super::super::value::fits;
use super::super::{DataSet, DataType, Metric, PropertyValue, Topic, arbitrary, captures};
use super::{
    COMPRESSED_UUID, Cap, Caps, DecodeError, Decoded, Outer, Payload, Value, algorithm, decode,
};

mod caps;
mod parts;

fn good(bytes: &[u8]) -> Decoded {
    decode(bytes, &Caps::default()).unwrap()
}

fn bad(bytes: &[u8]) -> DecodeError {
    decode(bytes, &Caps::default()).unwrap_err()
}

/// Field `number` with wire type 2.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    prost::encoding::encode_varint(content.len() as u64, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

fn metric(content: &[u8]) -> Vec<u8> {
    field(2, content)
}

fn first(bytes: &[u8]) -> Metric {
    good(bytes).payload.metrics.remove(0)
}

#[test]
fn every_captured_payload_decodes_and_its_births_fit_their_datatypes() {
    let mut births = 0;
    for (file, messages) in captures::all() {
        assert!(!messages.is_empty());
        for message in messages {
            let topic = Topic::parse(&message.topic).unwrap();
            if let Topic::State { .. } = topic {
                continue;
            }
            assert!(!message.retain);
            let decoded = good(&message.payload);
            assert_eq!(decoded.unknown_fields, 0, "{file} {}", message.topic);
            assert_eq!((decoded.payload.uuid, decoded.payload.body), (None, None));
            let Topic::Entity(topic) = topic else { continue };
            if !topic.message_type.is_birth() {
                continue;
            }
            births += 1;
            for metric in decoded.payload.metrics {
                let name = metric.name.unwrap();
                let datatype = metric.datatype.and_then(DataType::from_code).unwrap();
                match metric.value {
                    Some(value) => assert!(fits(datatype, &value), "{file} {name} {value:?}"),
                    None => assert_eq!(metric.is_null, Some(true), "{file} {name}"),
                }
            }
        }
    }
    assert_eq!(births, 8);
}

#[test]
fn compressed_captures_have_the_inner_seq_and_no_uuid() {
    let captured = captures::all().pop().unwrap().1;
    let birth = captured.iter().find(|message| message.topic.contains("NBIRTH")).unwrap();
    let decoded = good(&birth.payload);
    assert!(decoded.was_compressed);
    assert_eq!(decoded.payload.seq, Some(0));
    assert!(!decoded.payload.metrics.is_empty());
}

fn compressed(inner: &[u8], gzip: bool) -> Payload {
    let body = if gzip {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(inner).unwrap();
        encoder.finish().unwrap()
    } else {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(inner).unwrap();
        encoder.finish().unwrap()
    };
    Payload { uuid: Some(COMPRESSED_UUID.into()), body: Some(body), ..Payload::default() }
}

fn with_algorithm(mut payload: Payload, name: &str) -> Payload {
    payload.metrics.push(Metric {
        name: Some("algorithm".into()),
        value: Some(Value::String(name.into())),
        ..Metric::default()
    });
    payload
}

#[test]
fn outer_seq_and_timestamp_stand_in_where_the_inner_payload_has_none() {
    let inner = Payload { seq: Some(3), ..Payload::default() }.encode_to_vec();
    let outer = with_algorithm(compressed(&inner, true), "GZIP");
    let outer = Payload { seq: Some(9), timestamp: Some(77), ..outer };
    let decoded = good(&outer.encode_to_vec());
    assert_eq!((decoded.payload.seq, decoded.payload.timestamp), (Some(3), Some(77)));
    // The `algorithm` metric belongs to the wrapping, not to the plant.
    assert!(decoded.payload.metrics.is_empty());
}

#[test]
fn zip_bombs_and_broken_bodies_are_bad_compression() {
    let bomb = compressed(&vec![0; Caps::PAYLOAD_BYTES + 1], false);
    let over = Cap::InflatedBytes.passed(Caps::PAYLOAD_BYTES);
    assert_eq!(bad(&bomb.encode_to_vec()), DecodeError::Bomb(over));
    let inner = Payload { seq: Some(3), ..Payload::default() }.encode_to_vec();
    let twice = compressed(&compressed(&inner, false).encode_to_vec(), false);
    assert_eq!(bad(&twice.encode_to_vec()), DecodeError::BadCompression("compressed twice"));
    let unknown = with_algorithm(compressed(&inner, false), "LZMA");
    assert_eq!(bad(&unknown.encode_to_vec()), DecodeError::BadCompression("unknown algorithm"));
    assert!(algorithm(&Outer::default()).is_ok());
    let wrong = with_algorithm(compressed(&inner, false), "GZIP");
    assert_eq!(
        bad(&wrong.encode_to_vec()),
        DecodeError::BadCompression("the body can't be inflated")
    );
    let empty = Payload { uuid: Some(COMPRESSED_UUID.into()), ..Payload::default() };
    assert_eq!(bad(&empty.encode_to_vec()), DecodeError::BadCompression("no body"));
    let cut = Payload { body: compressed(&inner, false).body.map(|b| b[..4].to_vec()), ..empty };
    assert!(matches!(bad(&cut.encode_to_vec()), DecodeError::BadCompression(_)));
}

#[test]
fn body_and_uuid_of_a_plain_payload_are_removed() {
    let payload = Payload { uuid: Some("other".into()), body: Some(vec![1]), ..Payload::default() };
    assert_eq!(good(&payload.encode_to_vec()).payload, Payload::default());
}

#[test]
fn unknown_fields_and_extensions_are_counted_and_gone() {
    let mut bytes = metric(&[0x08 | 2, 1, b'a']);
    bytes.extend(field(6, b"extension"));
    bytes.extend([0x39, 1, 2, 3, 4, 5, 6, 7, 8]); // field 7, 64 bits
    bytes.extend([0x45, 1, 2, 3, 4]); // field 8, 32 bits
    bytes.extend([0x4b, 0x08, 0x01, 0x4c]); // field 9, a group
    let decoded = good(&bytes);
    assert_eq!(decoded.unknown_fields, 4);
    assert_eq!(decoded.payload.encode_to_vec(), metric(&[0x0a, 1, b'a']));
    // A metric's extension value (field 19) leaves the metric without a value.
    let extended = metric(&[0x9a, 0x01, 0x02, 0x08, 0x01]);
    assert_eq!(good(&extended).unknown_fields, 1);
    assert_eq!(first(&extended).value, None);
}

#[test]
fn malformed_wire_formats_are_errors() {
    let cases: [(&str, Vec<u8>); 13] = [
        ("varint cut short", vec![0x08, 0xff]),
        ("varint of eleven bytes", [&[0x08][..], &[0xff; 10], &[0x01]].concat()),
        ("varint beyond 64 bits", [&[0x08][..], &[0xff; 9], &[0x02]].concat()),
        ("length beyond the end", vec![0x12, 0x05, 0x00]),
        ("length of u64::MAX", [&[0x12][..], &[0xff; 9], &[0x01]].concat()),
        ("field number 0", vec![0x00, 0x00]),
        ("wrong wire type", vec![0x10, 0x00]),
        ("unknown wire type", vec![0x3f]),
        ("group without end", vec![0x4b, 0x08, 0x01]),
        ("end without group", vec![0x4c]),
        ("group ended by another", vec![0x4b, 0x54]),
        ("name that isn't UTF-8", metric(&field(1, &[0xff, 0xfe]))),
        ("keys without values", metric(&field(9, &field(1, b"k")))),
    ];

    for (what, bytes) in cases {
        assert!(matches!(bad(&bytes), DecodeError::Malformed(_)), "{what}: {:?}", bad(&bytes));
    }
}

#[test]
fn tolerated_oddities_are_normalised_as_protobuf_says() {
    // A ten-byte varint in `int_value`: the low 32 bits.
    let wide = metric(&[&[0x50][..], &[0xff; 9], &[0x01]].concat());
    assert_eq!(first(&wide).value, Some(Value::Int(u32::MAX)));
    // A oneof given twice: the last one.
    assert_eq!(first(&metric(&[0x50, 1, 0x58, 2])).value, Some(Value::Long(2)));
    // A boolean that is neither 0 nor 1.
    assert_eq!(first(&metric(&[0x70, 7])).value, Some(Value::Boolean(true)));
    // `seq` beyond 255, alias 0 and the largest alias stay as they are.
    assert_eq!(good(&[0x18, 0x80, 0x02]).payload.seq, Some(256));
    assert_eq!(first(&metric(&[0x10, 0x00])).alias, Some(0));
    let largest = Metric { alias: Some(u64::MAX), ..Metric::default() };
    assert_eq!(first(&metric(&largest.encode_to_vec())).alias, Some(u64::MAX));
    // An explicit `seq` of 0 is told apart from none, and stays on the wire.
    assert_eq!(good(&[0x18, 0x00]).payload.encode_to_vec(), [0x18, 0x00]);
    // Null with a value, and a value without datatype, are the reader's matter.
    let odd = first(&metric(&[0x38, 1, 0x50, 1]));
    assert_eq!((odd.is_null, odd.value, odd.datatype), (Some(true), Some(Value::Int(1)), None));
}

#[test]
fn data_set_types_decode_packed_and_unpacked_and_are_written_unpacked() {
    let unpacked = [0x18, 1, 0x18, 2];
    let packed = [0x1a, 2, 1, 2];
    for types in [&unpacked[..], &packed[..]] {
        let mut content = vec![0x8a, 0x01];
        content.extend([types.len() as u8]);
        content.extend(types);
        let value = first(&metric(&content)).value;
        let Some(Value::DataSet(table)) = value else { panic!("{value:?}") };
        assert_eq!(table, Box::new(DataSet { types: vec![1, 2], ..DataSet::default() }));
        assert_eq!(table.encode_to_vec(), unpacked);
    }
}

/// Prost's word on the same bytes, for what the caps let through.
fn as_prost_has_it(bytes: &[u8]) -> Result<(), String> {
    let plain = |payload: Payload| Payload { uuid: None, body: None, ..payload };
    match (decode(bytes, &Caps::default()), Payload::decode(bytes)) {
        (Ok(ours), Ok(theirs)) if theirs.uuid.as_deref() == Some(COMPRESSED_UUID) => {
            if ours.was_compressed { Ok(()) } else { Err("not inflated".into()) }
        }
        // Compared as bytes, which makes NaN the same as itself.
        (Ok(ours), Ok(theirs)) => {
            let (ours, theirs) = (ours.payload, plain(theirs));
            if ours.encode_to_vec() == theirs.encode_to_vec() {
                Ok(())
            } else {
                Err(format!("{ours:?} is not {theirs:?}"))
            }
        }
        (Err(DecodeError::Malformed(what)), Ok(_)) => {
            // All that only this decoder refuses, beside what is over a cap.
            let stricter = what.contains("different numbers of keys and values");
            if stricter { Ok(()) } else { Err(format!("refused: {what}")) }
        }
        (Err(_), _) => Ok(()),
        (Ok(ours), Err(error)) => Err(format!("{ours:?}, but prost: {error}")),
    }
}

#[test]
fn captured_payloads_decode_as_prost_has_them() {
    for (file, messages) in captures::all() {
        for message in messages {
            as_prost_has_it(&message.payload).unwrap_or_else(|error| panic!("{file}: {error}"));
            // Cut at every byte, and with every byte changed.
            for at in 0..message.payload.len().min(600) {
                as_prost_has_it(&message.payload[..at]).unwrap();
                for byte in [0x00, 0x7f, 0x80, 0xff, message.payload[at].wrapping_add(1)] {
                    let mut mutated = message.payload.clone();
                    mutated[at] = byte;
                    as_prost_has_it(&mutated).unwrap_or_else(|error| panic!("{file}: {error}"));
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn payloads_decode_as_prost_has_them(payload in arbitrary::payload()) {
        let bytes = payload.encode_to_vec();
        prop_assert_eq!(as_prost_has_it(&bytes), Ok(()));
        prop_assert_eq!(good(&bytes).payload.encode_to_vec(), bytes);
    }

    /// Messages and fields twice, of which protobuf merges the one and takes the last of the
    /// other.
    #[test]
    fn payloads_in_pieces_decode_as_prost_has_them(
        metrics in vec((arbitrary::metric(), arbitrary::metric()), 1..3),
    ) {
        let mut bytes = Vec::new();
        for (first, second) in metrics {
            bytes.extend(metric(&[first.encode_to_vec(), second.encode_to_vec()].concat()));
        }
        prop_assert_eq!(as_prost_has_it(&bytes), Ok(()));
    }

    #[test]
    fn mutated_payloads_decode_as_prost_has_them(
        bytes in arbitrary::mutated(arbitrary::payload().prop_map(|payload| payload.encode_to_vec())),
    ) {
        prop_assert_eq!(as_prost_has_it(&bytes), Ok(()));
    }

    #[test]
    fn random_bytes_decode_as_prost_has_them(bytes in vec(any::<u8>(), 0..60)) {
        prop_assert_eq!(as_prost_has_it(&bytes), Ok(()));
        prop_assert_eq!(as_prost_has_it(&metric(&bytes)), Ok(()));
        for number in [8, 9] {
            prop_assert_eq!(as_prost_has_it(&metric(&field(number, &bytes))), Ok(()));
        }
        for key in [0x8a, 0x92] {
            let mut content = vec![key, 0x01, bytes.len() as u8];
            content.extend(&bytes);
            prop_assert_eq!(as_prost_has_it(&metric(&content)), Ok(()));
        }
    }

    /// Also proves that the reader knows every field that prost knows.
    #[test]
    fn what_was_encoded_decodes_without_loss(payload in arbitrary::payload()) {
        let bytes = payload.encode_to_vec();
        let decoded = good(&bytes);
        prop_assert_eq!(decoded.unknown_fields, 0);
        prop_assert_eq!(decoded.payload.encode_to_vec(), bytes);
    }

    #[test]
    fn decoding_again_what_was_decoded_from_mutated_bytes_is_the_same(
        payload in arbitrary::payload(),
        flips in vec((any::<usize>(), any::<u8>()), 0..4),
    ) {
        let mut bytes = payload.encode_to_vec();
        for (at, byte) in flips {
            let length = bytes.len().max(1);
            if let Some(slot) = bytes.get_mut(at.checked_rem(length).unwrap_or(0)) {
                *slot = byte;
            }
        }
        if let Ok(decoded) = decode(&bytes, &Caps::default()) {
            let encoded = decoded.payload.encode_to_vec();
            let again = good(&encoded);
            prop_assert_eq!(again.unknown_fields, 0);
            prop_assert_eq!(again.payload.encode_to_vec(), encoded);
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..200)) {
        let small = Caps { metrics: 3, depth: 2, cells: 3, properties: 3, ..Caps::default() };
        let _ = decode(&bytes, &small);
        let _ = decode(&metric(&bytes), &Caps::default());
        let body = Payload {
            uuid: Some(COMPRESSED_UUID.into()), body: Some(bytes), ..Payload::default()
        };
        let _ = decode(&body.encode_to_vec(), &small);
    }
}
