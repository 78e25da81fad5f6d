//! Bytes of a broker into both sessions that speak MQTT 5, read beside by a plain reader of its own
//! (MQTT 5 §2 and §3).

use std::collections::{BTreeMap, BTreeSet};

use broker::Protocol;
use it::mirror::{Qos, SessionEvent};
use ot::testing::Told;

use crate::broker::MAX_PACKET_BYTES;
use crate::connections::{
    Conversation, OT_SUBSCRIBES, Publication, connect_flags, data_qos, is_topic, it_session,
    it_spec, ot_session,
};
use crate::mqtt::{Packet, kind, text};

/// The kind of a step of a login (§3.15).
const AUTH: u8 = 15;
/// The property Topic Alias (§3.3.2.3.4).
const TOPIC_ALIAS: u8 = 0x23;

/// Says any bytes to the OT session.
///
/// - The session sends nothing but what it may: no PUBLISH, no will, and no step of a login.
/// - What it hands on was published, in that order; where nothing is wrong, all of it.
/// - It acknowledges nothing that wasn't published at that quality of service.
/// - It ends when the broker has said everything.
pub fn ot_connection_five(input: &[u8]) {
    let Conversation { told, said, is_whole, heard } = ot_session(input, Protocol::Five);
    let messages = told.iter().filter_map(|told| {
        let Told::Message { topic, payload, retain, is_unread, .. } = told else { return None };
        let content = (!is_unread).then(|| (payload.to_vec(), *retain));
        Some((String::from_utf8_lossy(topic).into_owned(), content))
    });
    hands_on(&messages.collect::<Vec<_>>(), &said, is_whole);
    for (at, packet) in heard.iter().enumerate() {
        match packet.kind {
            kind::CONNECT if at == 0 => {
                assert_eq!(connect_flags(packet, 5), 0, "no will, no clean start");
            }
            kind::SUBSCRIBE => {
                let filters = filters_of(packet);
                assert!(
                    filters.iter().all(|filter| OT_SUBSCRIBES.contains(&&**filter)),
                    "{filters:?}"
                );
            }
            kind::PINGREQ | kind::DISCONNECT => {}
            _ => acknowledges(packet, &said),
        }
    }
}

/// Says any bytes to a session of a mirrored node.
///
/// - The session sends the will, the subscriptions and the publications that it was given, in order,
///   and nothing else that isn't an acknowledgement. A number stands for a topic only once it was said
///   which, and never for a birth or a death.
/// - What it hands on was published by hosts.
/// - It is closed only if the broker acknowledged the NDEATH.
/// - It ends when the broker has said everything.
pub fn it_connection_five(input: &[u8]) {
    let (spec, data_qos) = (it_spec(), data_qos(input));
    let publications: Vec<Publication> = vec![
        ("spBv1.0/g/NBIRTH/e".into(), vec![1; 10], data_qos),
        ("spBv1.0/g/NDATA/e".into(), vec![2; 200], data_qos),
        ("spBv1.0/g/NDATA/e".into(), vec![3; 20], data_qos),
        ("spBv1.0/g/NDEATH/e".into(), vec![4; 5], Qos::AtLeastOnce),
    ];
    let Conversation { told, said, heard, .. } =
        it_session(input, Protocol::Five, &spec, &publications);
    let received = told.iter().filter_map(|event| match event {
        SessionEvent::Received { topic, payload, retain } => {
            Some((topic.clone(), Some((payload.to_vec(), *retain))))
        }
        SessionEvent::TooLarge { topic } | SessionEvent::Impossible { topic } => {
            Some((topic.clone(), None))
        }
        _ => None,
    });
    hands_on(&received.collect::<Vec<_>>(), &said, false);
    let mut next = publications.iter();
    let mut names = BTreeMap::new();
    for (at, packet) in heard.iter().enumerate() {
        match packet.kind {
            kind::CONNECT if at == 0 => {
                // A will at QoS 1, not retained, and a clean start.
                assert_eq!(connect_flags(packet, 5), 0b0000_1110);
                assert!(packet.body.ends_with(&[0, 3, 1, 2, 3]), "the will: {packet:?}");
            }
            kind::SUBSCRIBE => {
                let filters = filters_of(packet);
                assert!(filters.iter().all(|filter| spec.subscriptions.contains(filter)));
            }
            kind::UNSUBSCRIBE => assert_eq!(filters_of(packet), ["sparkdiode/barrier"]),
            kind::PUBLISH => {
                let publish = Published::of(packet).expect("a sound PUBLISH");
                let (topic, payload, qos) = next.next().expect("a publication that was asked for");
                let alias = match publish.properties[..] {
                    [] => None,
                    [TOPIC_ALIAS, high, low] => Some(u16::from_be_bytes([high, low])),
                    _ => panic!("properties that nobody asked for: {publish:?}"),
                };
                let name = match alias {
                    Some(alias) if publish.topic.is_empty() => names.get(&alias).cloned(),
                    _ => Some(publish.topic.clone()),
                };
                assert_eq!(name.as_deref(), Some(topic.as_bytes()), "{publish:?}");
                assert!(alias.is_none() || topic.contains("DATA"), "{publish:?}");
                alias.map(|alias| names.insert(alias, topic.as_bytes().to_vec()));
                let wanted = (u8::from(*qos == Qos::AtLeastOnce), &payload[..], false);
                assert_eq!((publish.qos, &publish.payload[..], publish.retain), wanted);
            }
            kind::PINGREQ | kind::DISCONNECT => {}
            _ => acknowledges(packet, &said),
        }
    }
}

/// A publication as MQTT 5 has it (§3.3).
#[derive(Clone, Debug)]
struct Published {
    topic: Vec<u8>,
    properties: Vec<u8>,
    payload: Vec<u8>,
    qos: u8,
    retain: bool,
}

impl Published {
    fn of(packet: &Packet) -> Option<Published> {
        let qos = packet.flags >> 1 & 3;
        if packet.kind != kind::PUBLISH || qos == 3 {
            return None;
        }
        let (topic, rest) = text(&packet.body)?;
        let rest = if qos > 0 { rest.get(2..)? } else { rest };
        let (properties, payload) = properties(rest)?;
        Some(Published {
            topic: topic.to_vec(),
            properties: properties.to_vec(),
            payload: payload.to_vec(),
            qos,
            retain: packet.flags & 1 == 1,
        })
    }
}

/// The properties at the beginning of `bytes`, and what is behind them (§2.2.2).
fn properties(mut bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut length = 0_usize;
    for shift in [0, 7, 14, 21] {
        let (byte, rest) = bytes.split_first()?;
        bytes = rest;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return bytes.split_at_checked(length);
        }
    }
    None
}

/// The filters of a SUBSCRIBE or UNSUBSCRIBE (§3.8, §3.10).
fn filters_of(packet: &Packet) -> Vec<String> {
    let behind = packet.body.get(2..).and_then(properties);
    let (_, rest) = behind.expect("a sound list of filters");
    // As MQTT 3.1.1 has it without the properties.
    Packet::new(packet.kind, packet.flags, &[&[0, 0], rest].concat()).filters()
}

/// Topic, and payload and mark of a retained message, unless nothing but the topic is left.
type HandedOn = (String, Option<(Vec<u8>, bool)>);

/// What was handed on was said, in that order; all of it, if nothing that was said is anything but plain.
fn hands_on(messages: &[HandedOn], said: &[Packet], is_whole: bool) {
    let mut packets = said.iter().filter(|packet| packet.kind == kind::PUBLISH);
    for (topic, content) in messages {
        let is_it = |packet: &Packet| match (Published::of(packet), content) {
            (Some(publish), Some(content)) => {
                String::from_utf8_lossy(&publish.topic) == *topic
                    && *content == (publish.payload, publish.retain)
                    && is_topic(&publish.topic)
            }
            // What isn't read has what stands where a topic should.
            (_, None) => true,
            (None, Some(_)) => false,
        };
        assert!(packets.any(is_it), "it wasn't said: {topic:?}, {content:?}");
    }
    let is_answered = [kind::CONNACK, kind::SUBACK]
        .into_iter()
        .all(|wanted| said.iter().filter(|packet| packet.kind == wanted).count() == 1);
    let begins = said.first().is_some_and(|packet| packet.kind == kind::CONNACK);
    if is_whole && is_answered && begins && said.iter().all(is_plain) {
        let count = said.iter().filter(|packet| packet.kind == kind::PUBLISH).count();
        assert_eq!(messages.len(), count, "less than was said");
    }
}

/// A packet that no session can have anything against.
fn is_plain(packet: &Packet) -> bool {
    match packet.kind {
        kind::CONNACK => packet.flags == 0 && packet.body == [0, 0, 0],
        kind::SUBACK => packet.flags == 0 && packet.body == [0, 1, 0, 1, 1],
        kind::PUBLISH => Published::of(packet).is_some_and(|publish| {
            packet.flags & 0x0e == 0
                && publish.properties.is_empty()
                && packet.body.len() <= MAX_PACKET_BYTES / 2
                && is_topic(&publish.topic)
        }),
        _ => false,
    }
}

/// An acknowledgement of something that came.
fn acknowledges(packet: &Packet, said: &[Packet]) {
    assert_ne!(packet.kind, AUTH, "a step of a login");
    let id = packet.packet_id().expect("the number of a packet");
    let with_qos = |qos: u8| -> BTreeSet<u16> {
        let of_qos = said
            .iter()
            .filter(|packet| packet.kind == kind::PUBLISH && packet.flags >> 1 & 3 == qos);
        of_qos
            .filter_map(|packet| {
                let (_, rest) = text(&packet.body)?;
                rest.first_chunk().map(|id| u16::from_be_bytes(*id))
            })
            .collect()
    };
    let was_said =
        |kind: u8| said.iter().any(|said| said.kind == kind && said.packet_id() == Some(id));
    let is_owed = match packet.kind {
        kind::PUBACK => with_qos(1).contains(&id),
        kind::PUBREC => with_qos(2).contains(&id),
        kind::PUBCOMP => was_said(kind::PUBREL),
        kind::PUBREL => was_said(kind::PUBREC),
        _ => false,
    };
    assert!(is_owed, "{packet:?} is none of this session's business");
}
