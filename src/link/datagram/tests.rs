//! Tests of `datagram`.
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

use super::{
    Announcement, Body, Foreign, HEADER_BYTES, Header, Heartbeat, Lane, MAX_BYTES, MIN_BYTES,
    Malformed, Repair, SessionId, Source, TAG_BYTES, symbol_bytes,
};

fn header() -> Header {
    Header {
        link: *b"linkhash",
        key: 7,
        session: SessionId { number: 9, random: *b"randomly" },
        counter: 11,
    }
}

fn datagram() -> Vec<u8> {
    let mut bytes = Vec::new();
    header().encode(&mut bytes);
    bytes.resize(MIN_BYTES, 0);
    bytes
}

fn lanes() -> impl Strategy<Value = Lane> {
    prop_oneof![Just(Lane::Live), Just(Lane::Again)]
}

#[test]
fn a_header_is_read_as_it_was_written() {
    assert_eq!(Header::decode(&datagram()), Ok(header()));
    let mut bytes = Vec::new();
    header().encode(&mut bytes);
    assert_eq!(bytes.len(), HEADER_BYTES);
}

#[test]
fn what_is_not_of_this_protocol_says_why() {
    let mut other = datagram();
    other[0] = b'X';
    assert_eq!(Header::decode(&other), Err(Foreign::Magic));
    let mut later = datagram();
    later[3] = 2;
    assert_eq!(Header::decode(&later), Err(Foreign::Version));
    assert_eq!(Header::decode(&datagram()[..MIN_BYTES - 1]), Err(Foreign::Short));
    assert_eq!(Header::decode(&[]), Err(Foreign::Short));
    let mut long = datagram();
    long.resize(MAX_BYTES + 1, 0);
    assert_eq!(Header::decode(&long), Err(Foreign::Long));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let encoded = |body: Body<'_>| {
        let mut bytes = Vec::new();
        body.encode(&mut bytes);
        bytes
    };
    let source = Source { lane: Lane::Live, number: 4, index: 5, bytes: b"x" };
    assert_eq!(Body::decode(&encoded(Body::Source(source))), Err(Malformed), "before the first");
    let source = Source { index: 4, bytes: b"", ..source };
    assert_eq!(Body::decode(&encoded(Body::Source(source))), Err(Malformed), "empty");
    let sound =
        Repair { lane: Lane::Live, first: 0, source: 1, repair: 1, index: 0, bytes: b"even" };
    assert!(Body::decode(&encoded(Body::Repair(sound))).is_ok());
    for repair in [
        Repair { source: 0, ..sound },
        Repair { index: 1, ..sound },
        Repair { repair: 0, ..sound },
        Repair { bytes: b"odd", ..sound },
        Repair { bytes: b"", ..sound },
    ] {
        assert_eq!(Body::decode(&encoded(Body::Repair(repair))), Err(Malformed), "{repair:?}");
    }
    for kind in 6..=255_u8 {
        assert_eq!(Body::decode(&[kind; 40]), Err(Malformed));
    }
    assert_eq!(Body::decode(&[]), Err(Malformed));
}

#[test]
fn announcements_and_heartbeats_have_one_length() {
    let announcement = Announcement {
        datagram_bytes: 1_472,
        symbols: 1_024,
        close_after_ms: 250,
        spread_ms: 100,
        overhead_permille: 250,
        min_repair: 2,
    };
    let heartbeat =
        Heartbeat { mono_ms: 1, wall_ms: 2, highest_frame: 3, symbols: 4, again_from: 5 };
    for body in [Body::Announcement(announcement), Body::Heartbeat(heartbeat)] {
        let mut bytes = Vec::new();
        body.encode(&mut bytes);
        assert_eq!(Body::decode(&bytes), Ok(body));
        assert_eq!(Body::decode(&bytes[..bytes.len() - 1]), Err(Malformed));
        bytes.push(0);
        assert_eq!(Body::decode(&bytes), Err(Malformed));
    }
}

#[test]
fn a_symbol_fits_into_a_repair_symbol() {
    for datagram_bytes in [0, 71, 72, 73, 74, 75, 576, 1_472, 1_473, 8_972, MAX_BYTES] {
        let bytes = symbol_bytes(datagram_bytes);
        if bytes > 0 {
            let coded = vec![0; (2 + bytes).next_multiple_of(2)];
            let repair = Repair {
                lane: Lane::Live,
                first: 0,
                source: 1,
                repair: 1,
                index: 0,
                bytes: &coded,
            };
            let mut out = vec![0; HEADER_BYTES];
            Body::Repair(repair).encode(&mut out);
            assert!(out.len() + TAG_BYTES <= datagram_bytes, "{datagram_bytes}: {}", out.len());
        }
    }
    assert_eq!(symbol_bytes(1_472), 1_398);
}

proptest! {
    #[test]
    fn symbols_are_read_as_they_were_written(
        lane in lanes(),
        first in 0..u64::MAX - 70_000,
        index: u16,
        (source, repair) in (1..=u16::MAX, 1..=u16::MAX),
        mut bytes in proptest::collection::vec(any::<u8>(), 1..100),
    ) {
        let number = first + u64::from(index);
        let body = Body::Source(Source { lane, number, index, bytes: &bytes });
        let mut out = Vec::new();
        body.encode(&mut out);
        assert_eq!(Body::decode(&out), Ok(body));
        bytes.extend_from_within(..);
        let index = index % repair;
        let body = Body::Repair(Repair { lane, first, source, repair, index, bytes: &bytes });
        out.clear();
        body.encode(&mut out);
        assert_eq!(Body::decode(&out), Ok(body));
    }

    #[test]
    fn any_bytes_are_refused_or_the_same_when_written(
        bytes in proptest::collection::vec(any::<u8>(), 0..80),
        kind in 0..8_u8,
    ) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = kind;
        }
        if let Ok(body) = Body::decode(&bytes) {
            let mut out = Vec::new();
            body.encode(&mut out);
            assert_eq!(out, bytes);
        }
        if let Ok(header) = Header::decode(&bytes) {
            let mut out = Vec::new();
            header.encode(&mut out);
            assert!(bytes.starts_with(&out));
        }
    }
}
