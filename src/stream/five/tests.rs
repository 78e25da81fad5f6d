//! A connection in MQTT 5, from the broker's bytes to the client's.

use broker::Protocol;
use proptest::prelude::*;

use crate::answers::{Codes, Disconnect, NoSession};
use crate::framing::{Framing, FramingError, Portion};
use crate::mark::{Fault, Mark};
use crate::message::{packet, varint};

const CONNECT: &[u8] = &[0x10, 14, 0, 4, b'M', b'Q', b'T', b'T', 5, 0, 0, 60, 0, 0, 1, b'x'];
const SUBSCRIBE_TWO: &[u8] = &[0x82, 11, 0, 7, 0, 0, 1, b'a', 1, 0, 1, b'b', 1];
const UNSUBSCRIBE_TWO: &[u8] = &[0xa2, 9, 0, 8, 0, 0, 1, b'a', 0, 1, b'b'];
const PUBLISH: &[u8] = &[0x32, 7, 0, 1, b't', 0, 9, 0, b'!'];

fn framing(mark: &Mark) -> Framing {
    let mut framing = Framing::new(1_000, mark.clone()).speaking(Protocol::Five);
    framing.owed().watch();
    framing.owed().wrote(&[CONNECT, SUBSCRIBE_TWO, UNSUBSCRIBE_TWO, PUBLISH].concat());
    framing
}

/// What comes out where the bytes come in pieces of so many.
fn run(framing: &mut Framing, bytes: &[u8], piece: usize) -> Result<Vec<u8>, FramingError> {
    let mut out = Vec::new();
    for mut piece in bytes.chunks(piece) {
        while !piece.is_empty() {
            match framing.next(piece)? {
                Portion::Pass(passed) => {
                    out.extend_from_slice(&piece[..passed]);
                    piece = &piece[passed..];
                }
                Portion::Drop(dropped) => piece = &piece[dropped..],
            }
            out.append(framing.insert());
        }
    }
    Ok(out)
}

/// The same wherever it is cut.
#[track_caller]
fn goes_on(bytes: &[u8]) -> Vec<u8> {
    let mark = Mark::new();
    let whole = run(&mut framing(&mark), bytes, bytes.len()).unwrap();
    for piece in 1..bytes.len() {
        assert_eq!(run(&mut framing(&mark), bytes, piece).unwrap(), whole, "in pieces of {piece}");
    }
    whole
}

fn ends(bytes: &[u8]) -> NoSession {
    match run(&mut framing(&Mark::new()), bytes, 1) {
        Err(FramingError::Answer(why)) => why,
        other => panic!("{other:?}"),
    }
}

fn answer(first: u8, body: &[&[u8]]) -> Vec<u8> {
    let body = body.concat();
    packet(first, body.len(), &body)
}

#[test]
fn of_a_connack_the_client_gets_the_limits_and_the_half_all_that_is_offered() {
    let properties: &[u8] = &[0x21, 0, 20, 0x13, 0, 9, 0x12, 0, 1, b'z', 0x22, 0, 10, 0x28, 0];
    let length = [u8::try_from(properties.len()).unwrap()];
    let connack = answer(0x20, &[&[1, 0], &length, properties]);
    assert_eq!(goes_on(&connack), answer(0x20, &[&[1, 0, 6, 0x21, 0, 20, 0x22, 0, 10]]));
    let mut framing = framing(&Mark::new());
    run(&mut framing, &connack, 7).unwrap();
    let offers = framing.take_offers().unwrap();
    assert_eq!((offers.keep_alive_s, offers.has_wildcards), (Some(9), false));
    assert_eq!(offers.client_id.as_deref(), Some("z"));
    assert_eq!(goes_on(&answer(0x20, &[&[0, 0, 0]])), [0x20, 3, 0, 0, 0]);
}

#[test]
fn a_connack_that_refuses_is_told_with_the_brokers_own_words() {
    let refused = |code, text: &str| NoSession::Refused {
        code,
        text: (!text.is_empty()).then(|| text.to_owned()),
    };
    assert_eq!(ends(&[0x20, 3, 0, 0x87, 0]), refused(0x87, ""));
    assert_eq!(ends(&[0x20, 8, 0, 0x89, 5, 0x1f, 0, 2, b'n', b'o']), refused(0x89, "no"));
    let moved = [0x20, 12, 0, 0x9d, 9, 0x1f, 0, 1, b'm', 0x1c, 0, 2, b'b', b'2'];
    assert_eq!(ends(&moved), refused(0x9d, "m; b2"));
    // A broker of MQTT 3.1.1 has no properties.
    assert_eq!(ends(&[0x20, 2, 0, 1]), refused(1, ""));
    assert_eq!(ends(&[0x20, 2, 0, 0]), NoSession::Three);
    for unreadable in [&[0x20, 4, 0, 0, 1, 0x7f][..], &[0x20, 3, 0, 0, 9], &[0x20, 0]] {
        assert_eq!(ends(unreadable), NoSession::Unreadable("CONNACK"), "{unreadable:?}");
    }
}

#[test]
fn a_disconnect_is_told_with_the_brokers_own_words() {
    let said = |bytes: &[u8]| match ends(bytes) {
        NoSession::Disconnect(disconnect) => disconnect.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(said(&[0xe0, 0]), "without a reason");
    assert_eq!(said(&[0xe0, 2, 0x8b, 0]), "0x8b: it is shutting down");
    let text = [0xe0, 7, 0x97, 5, 0x1f, 0, 2, b'n', b'o'];
    assert_eq!(said(&text), "0x97: quota exceeded: it allows no more (\"no\", it says)");
    let unknown = NoSession::Disconnect(Disconnect { code: Some(0x77), text: None });
    assert_eq!(ends(&[0xe0, 1, 0x77]), unknown);
}

#[test]
fn a_suback_goes_on_without_its_properties_and_its_codes_are_kept() {
    let suback = [0x90, 10, 0, 7, 5, 0x1f, 0, 2, b'n', b'o', 1, 0x87];
    assert_eq!(goes_on(&suback), [0x90, 5, 0, 7, 0, 1, 0x80]);
    let mut framing = framing(&Mark::new());
    run(&mut framing, &suback, 3).unwrap();
    let kept = Codes { id: 7, codes: vec![1, 0x87], text: Some("no".to_owned()) };
    assert_eq!(framing.take_codes(), Some(kept));
    // Words are kept where MQTT 3.1.1 has the code, too.
    let plain = [0x90, 9, 0, 7, 4, 0x1f, 0, 1, b'x', 0, 0x80];
    let mut framing = self::framing(&Mark::new());
    assert_eq!(run(&mut framing, &plain, 4).unwrap(), [0x90, 5, 0, 7, 0, 0, 0x80]);
    let kept = Codes { id: 7, codes: vec![0, 0x80], text: Some("x".to_owned()) };
    assert_eq!(framing.take_codes(), Some(kept));
    // Mended, as in MQTT 3.1.1.
    assert_eq!(goes_on(&[0x90, 4, 0, 7, 0, 1]), [0x90, 5, 0, 7, 0, 1, 0x80]);
    assert_eq!(goes_on(&[0x90, 4, 0, 7, 9, 1]), [0x90, 5, 0, 7, 0, 0x80, 0x80], "unreadable");
}

#[test]
fn an_unsuback_has_a_code_per_filter_whatever_came() {
    let wanted = [0xb0, 5, 0, 8, 0, 0, 0];
    assert_eq!(goes_on(&[0xb0, 5, 0, 8, 0, 0x11, 0x11]), wanted);
    assert_eq!(goes_on(&[0xb0, 4, 0, 8, 0, 0x87]), wanted);
    assert_eq!(goes_on(&[0xb0, 2, 0, 8]), wanted);
    assert_eq!(goes_on(&[0xb0, 5, 0, 9, 0, 0, 0]), [] as [u8; 0], "nobody asked");
}

#[test]
fn a_puback_that_refuses_is_one_and_its_code_is_kept() {
    let plain = [0x40, 2, 0, 9];
    for (puback, refusal) in [
        (&plain[..], None),
        (&[0x40, 3, 0, 9, 0x10], None),
        (&[0x40, 4, 0, 9, 0x87, 0], Some((0x87, None))),
        (&[0x40, 9, 0, 9, 0x97, 5, 0x1f, 0, 2, b'n', b'o'], Some((0x97, Some("no".to_owned())))),
    ] {
        assert_eq!(goes_on(puback), plain);
        let mut framing = framing(&Mark::new());
        run(&mut framing, puback, 2).unwrap();
        assert_eq!(framing.take_refusal(), refusal);
        assert_eq!(framing.take_refusal(), None);
    }
}

fn message(first: u8, topic: &str, properties: &[u8], payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(topic.len()).unwrap().to_be_bytes();
    let identifier: &[u8] = if first & 0b110 == 0 { &[] } else { &[0x12, 0x34] };
    answer(
        first,
        &[&length, topic.as_bytes(), identifier, &varint(properties.len()), properties, payload],
    )
}

#[test]
fn a_message_goes_on_without_its_properties() {
    // An alias, a subscription identifier, one that MQTT doesn't have.
    for properties in [&[0x23, 0, 1][..], &[0x0b, 7], &[0xff; 300], &[]] {
        for first in [0x30, 0x31, 0x32, 0x3b] {
            for payload in [&b""[..], b"payload", &[b'p'; 300]] {
                let came = message(first, "a/b", properties, payload);
                assert_eq!(goes_on(&came), message(first, "a/b", &[], payload));
            }
        }
    }
    let odd = message(0x38, "a", &[0x0b, 7], b"repeated at QoS 0");
    assert_eq!(goes_on(&odd), message(0x30, "a", &[], b"repeated at QoS 0"));
    let none = answer(0x32, &[&[0, 1, b'a', 0, 0, 0], b"the identifier 0"]);
    assert_eq!(goes_on(&none), message(0x30, "a", &[], b"the identifier 0"));
}

#[test]
fn what_nobody_can_read_is_replaced_by_what_is_acknowledged_alike() {
    let mark = Mark::new();
    let through = |bytes: &[u8]| run(&mut framing(&mark), bytes, 5).unwrap();
    let large = message(0x32, "a", &[0x0b, 7], &[1; 2_000]);
    assert_eq!(through(&large), message(0x32, "a", &[], &mark.of(2_008)));
    let cut: &[u8] = &[0x32, 6, 0, 1, b'a', 0x12, 0x34, 9];
    let replaced = message(0x32, "-", &[], &mark.of_unfit(Fault::EndsInProperties, 6, b"a"));
    assert_eq!(through(cut), replaced);
    let without: &[u8] = &[0x30, 3, 0, 1, b'a'];
    let replaced = message(0x30, "-", &[], &mark.of_unfit(Fault::EndsInProperties, 3, b"a"));
    assert_eq!(through(without), replaced);
    let alias_alone = message(0x30, "", &[0x23, 0, 1], b"x");
    let bytes = alias_alone.len() - 2;
    let replaced = message(0x30, "-", &[], &mark.of_unfit(Fault::Empty, bytes, b""));
    assert_eq!(through(&alias_alone), replaced);
}

proptest! {
    /// Whatever comes, wherever it is cut: what goes on is the same, and nothing panics.
    #[test]
    fn what_goes_on_does_not_hang_on_where_the_bytes_are_cut(
        packets in prop::collection::vec(
            (prop::sample::select(vec![0x30_u8, 0x32, 0x3b, 0x40, 0x90, 0xb0, 0xd0]),
             prop::collection::vec(any::<u8>(), 0..40)), 1..12),
        piece in 1..20_usize,
    ) {
        let mark = Mark::new();
        let bytes: Vec<u8> =
            packets.iter().flat_map(|(first, body)| answer(*first, &[body])).collect();
        let whole = run(&mut framing(&mark), &bytes, bytes.len());
        prop_assert_eq!(run(&mut framing(&mark), &bytes, piece), whole);
    }

    /// The head of a message is kept, and no more than its limit.
    #[test]
    fn anything_at_all_keeps_no_more_than_a_head(bytes in prop::collection::vec(any::<u8>(), 1..2_000)) {
        let mut framing = Framing::new(20, Mark::new()).speaking(Protocol::Five);
        let _ = run(&mut framing, &bytes, 7);
    }
}
