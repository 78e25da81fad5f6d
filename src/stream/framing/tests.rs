//! Framing against packets of every size, cut anywhere.

use proptest::prelude::*;

use super::*;
use crate::answers::{Codes, Disconnect};
use crate::mark::{Fault, TooLarge, Unfit};

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut length = body.len();
    loop {
        let low = (length & 0x7f) as u8;
        length >>= 7;
        if length == 0 {
            bytes.push(low);
            break;
        }
        bytes.push(low | 0x80);
    }
    bytes.extend_from_slice(body);
    bytes
}

fn message(first: u8, topic: &str, payload: &[u8]) -> Vec<u8> {
    let mut body = (topic.len() as u16).to_be_bytes().to_vec();
    body.extend_from_slice(topic.as_bytes());
    if first & 0b110 != 0 {
        body.extend_from_slice(&[0x12, 0x34]);
    }
    body.extend_from_slice(payload);
    packet(first, &body)
}

/// What comes out where the bytes come in these pieces.
fn run(framing: &mut Framing, pieces: &[&[u8]]) -> Result<Vec<u8>, FramingError> {
    let mut out = Vec::new();
    for mut piece in pieces.iter().copied() {
        while !piece.is_empty() {
            match framing.next(piece)? {
                Portion::Pass(bytes) => {
                    assert!(bytes > 0, "it stands still");
                    out.extend_from_slice(&piece[..bytes]);
                    piece = &piece[bytes..];
                }
                Portion::Drop(bytes) => piece = &piece[bytes..],
            }
            out.append(framing.insert());
        }
    }
    Ok(out)
}

fn error(bytes: &[u8]) -> FramingError {
    run(&mut Framing::new(1_000, Mark::new()), &[bytes]).unwrap_err()
}

#[test]
fn a_mark_is_read_by_its_maker_alone() {
    let mark = Mark::new();
    assert_eq!(mark.read(&mark.of(1_500_000)), Some(TooLarge { bytes: 1_500_000 }));
    assert_eq!(Mark::new().read(&mark.of(1)), None);
    assert_eq!(mark.read(&mark.0), None);
    assert_eq!(mark.read(b""), None);
}

#[test]
fn what_is_no_packet_ends_the_session_and_says_why() {
    assert_eq!(error(b"SSH-2.0-OpenSSH"), FramingError::NoPacket(b'S'));
    // TLS, where none is configured.
    assert_eq!(error(&[0x15, 0x03, 0x03]), FramingError::NoPacket(0x15));
    assert_eq!(error(&[0x36, 2, 0, 0]), FramingError::NoPacket(0x36), "quality of service 3");
    assert_eq!(error(&[0x30, 0xff, 0xff, 0xff, 0xff]), FramingError::Length);
    let large = packet(0x90, &[0; 1_001]);
    assert_eq!(error(&large), FramingError::Large { kind: 9, bytes: 1_001 });
}

#[test]
fn the_longest_replacement_is_within_the_limit_of_the_client() {
    let mark = Mark::new();
    let mut framing = Framing::new(16_384, mark.clone());
    let topic = "t".repeat(65_535);
    let out = run(&mut framing, &[&message(0x34, &topic, &[0; 100_000])]).unwrap();
    assert!(out.len() <= Framing::client_limit(16_384), "{}", out.len());
    assert_eq!(out, message(0x34, &topic, &mark.of(65_535 + 4 + 100_000)));
    assert_eq!(Framing::client_limit(1 << 20), 1 << 20);
}

#[test]
fn answers_go_on_in_their_place_wherever_they_are_cut_and_keep_their_codes() {
    let behind = message(0x30, "t", b"x");
    let sent = [&behind[..], &[0x90, 4, 0, 7, 1, 0x87], &behind].concat();
    let wanted = [&behind[..], &[0x90, 4, 0, 7, 1, 0x80], &behind].concat();
    for cut in 1..sent.len() {
        let mut framing = Framing::new(1_000, Mark::new());
        let (first, second) = sent.split_at(cut);
        assert_eq!(run(&mut framing, &[first, second]).unwrap(), wanted, "{cut}");
        let kept = Codes { id: 7, codes: vec![1, 0x87], text: None };
        assert_eq!(framing.take_codes(), Some(kept), "{cut}");
        assert_eq!(framing.take_codes(), None);
    }
    let ends = |code| FramingError::Answer(NoSession::Disconnect(Disconnect { code, text: None }));
    assert_eq!(error(&[0xe0, 2, 0x8e, 0]), ends(Some(0x8e)));
    assert_eq!(error(&[0xe0, 0]), ends(None));
    assert_eq!(error(&[0x20, 3, 0, 0, 0]), FramingError::Answer(NoSession::Five));
}

/// What comes out for `bad` between two good messages, whole and cut anywhere.
fn between(bad: &[u8], mark: &Mark) -> Vec<u8> {
    let good = message(0x30, "t", b"x");
    let sent = [&good[..], bad, &good].concat();
    let whole = run(&mut Framing::new(1_000, mark.clone()), &[&sent]).unwrap();
    for cut in 1..sent.len() {
        let (first, second) = sent.split_at(cut);
        let out = run(&mut Framing::new(1_000, mark.clone()), &[first, second]).unwrap();
        assert_eq!(out, whole, "{cut}");
    }
    let single: Vec<&[u8]> = sent.chunks(1).collect();
    assert_eq!(run(&mut Framing::new(1_000, mark.clone()), &single).unwrap(), whole);
    whole.strip_prefix(&good[..]).unwrap().strip_suffix(&good[..]).unwrap().to_vec()
}

fn raw(first: u8, topic: &[u8], behind: &[u8]) -> Vec<u8> {
    packet(first, &[&(topic.len() as u16).to_be_bytes(), topic, behind].concat())
}

#[test]
fn a_message_with_an_impossible_topic_is_replaced_by_one_that_is_acknowledged_alike() {
    let mark = Mark::new();
    for (topic, fault) in [
        (&b""[..], Fault::Empty),
        (b"spBv1.0/G/NDATA/+", Fault::Wildcard),
        (b"spBv1.0/G/#", Fault::Wildcard),
        (b"spBv1.0/G/ND\0", Fault::Nul),
        (b"spBv1.0/G/\xfc", Fault::NotUtf8),
        (&[b'#'; 500], Fault::Wildcard),
    ] {
        for (first, id) in [(0x30, &[][..]), (0x31, &[]), (0x32, &[1, 7]), (0x3d, &[0, 9])] {
            for size in [0, 40, 2_000] {
                let payload = vec![b'p'; size];
                let bytes = 2 + topic.len() + id.len() + size;
                let wanted = mark.of_unfit(fault, bytes, topic);
                let out = between(&raw(first, topic, &[id, &payload].concat()), &mark);
                assert_eq!(out, raw(first, b"-", &[id, &wanted].concat()), "{topic:?} {size}");
                let unfit = Unfit { fault, bytes: bytes as u64, topic };
                assert_eq!(mark.read_unfit(&wanted), Some(unfit));
            }
        }
    }
}

#[test]
fn a_message_that_ends_within_its_head_is_stepped_over() {
    let mark = Mark::new();
    for (bad, fault, topic) in [
        (packet(0x30, &[]), Fault::EndsInTopic, &b""[..]),
        (packet(0x32, &[0]), Fault::EndsInTopic, b""),
        (packet(0x34, &[0, 9, b't']), Fault::EndsInTopic, b"t"),
        (packet(0x39, &[0xff; 40]), Fault::EndsInTopic, &[0xff; 38]),
        (packet(0x32, &[0, 1, b't']), Fault::EndsInIdentifier, b"t"),
        (packet(0x3b, &[0, 1, b't', 1]), Fault::EndsInIdentifier, b"t"),
        // As it was before there was anything but a limit.
        (packet(0x30, &[0xff; 2_000]), Fault::EndsInTopic, &[0xff; 1_998]),
    ] {
        let bytes = bad.len() - if bad.len() > 128 { 3 } else { 2 };
        let wanted = mark.of_unfit(fault, bytes, topic);
        assert_eq!(between(&bad, &mark), raw(0x30 | bad[0] & 1, b"-", &wanted), "{bad:?}");
    }
}

#[test]
fn what_is_only_odd_goes_on_without_what_mqtt_does_not_have() {
    let mark = Mark::new();
    for payload in [&b""[..], b"payload", &[b'p'; 300]] {
        let odd = message(0x39, "a/b", payload);
        assert_eq!(between(&odd, &mark), message(0x31, "a/b", payload), "repeated at QoS 0");
        for first in [0x32, 0x3a, 0x3c, 0x35] {
            let odd = raw(first, b"a/b", &[&[0, 0], payload].concat());
            let wanted = message(0x30 | first & 1, "a/b", payload);
            assert_eq!(between(&odd, &mark), wanted, "the identifier 0");
        }
    }
    // The same, and too large.
    let large = raw(0x3a, b"a", &[&[0, 0][..], &[1; 2_000]].concat());
    assert_eq!(between(&large, &mark), message(0x30, "a", &mark.of(2_005)));
    let large = message(0x38, "a", &[1; 2_000]);
    assert_eq!(between(&large, &mark), message(0x30, "a", &mark.of(2_003)));
}

#[test]
fn a_service_that_mqtt_does_not_have_is_told_as_that() {
    let told = error(&[0x36, 2, 0, 0]).to_string();
    assert!(told.contains("quality of service 3") && told.contains("the connection to be ended"));
    assert!(error(b"SSH-2.0-OpenSSH").to_string().contains("first byte is 0x53"));
}

proptest! {
    /// Whatever the sizes, and wherever the bytes are cut: packets up to the limit go on as they
    /// are, larger messages are replaced, and the order stays.
    #[test]
    fn packets_go_on_or_are_replaced_wherever_they_are_cut(
        sizes in prop::collection::vec((0..4_usize, 0..400_usize), 1..20),
        cuts in prop::collection::vec(1..300_usize, 1..40),
    ) {
        let mark = Mark::new();
        let (mut sent, mut wanted) = (Vec::new(), Vec::new());
        for (number, (kind, size)) in sizes.into_iter().enumerate() {
            let first = [0x30, 0x3b, 0x34, 0xb0][kind];
            let topic = format!("t/{number}");
            let payload: Vec<u8> = (0..size).map(|byte| byte as u8).collect();
            let (whole, length) = if first == 0xb0 {
                (packet(first, &payload[..size.min(150)]), 0)
            } else {
                let head = 2 + topic.len() + if first & 0b110 == 0 { 0 } else { 2 };
                (message(first, &topic, &payload), head + size)
            };
            sent.extend_from_slice(&whole);
            if length > 150 {
                wanted.extend(message(first, &topic, &mark.of(length)));
            } else {
                wanted.extend(whole);
            }
        }
        let mut pieces = Vec::new();
        let mut rest = &sent[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break }
            let (piece, behind) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        let out = run(&mut Framing::new(150, mark), &pieces).unwrap();
        prop_assert_eq!(out, wanted);
    }

    /// Whatever comes, no more is kept than a topic.
    #[test]
    fn anything_at_all_keeps_no_more_than_a_topic(bytes in prop::collection::vec(any::<u8>(), 1..2_000)) {
        let mut framing = Framing::new(20, Mark::new());
        let _ = run(&mut framing, &[&bytes]);
        if let State::Message(message) = &framing.state {
            prop_assert!(message.head.len() <= LONGEST_REPLACEMENT);
        }
    }
}
