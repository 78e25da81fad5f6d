//! Bytes of a broker into both sessions, as they come from the network.

use std::collections::BTreeSet;
use std::sync::Arc;

use broker::Protocol;
use it::mirror::{Qos, SessionEvent, SessionSpec};
use ot::testing::Told;
use tokio::task::LocalSet;

use crate::broker::{Broker, HANGS, MAX_PACKET_BYTES};
use crate::input::Input;
use crate::mqtt::{Packet, Publish, kind, packets};

/// Says any bytes to the OT session.
///
/// - The session sends nothing but what it may: no PUBLISH and no will above all.
/// - It hands on what a plain reading of the bytes finds, in order, up to where it gives up, and
///   all of it where nothing is wrong.
/// - It acknowledges nothing that it didn't get.
/// - It ends when the broker has said everything.
pub fn ot_connection(input: &[u8]) {
    let Conversation { told, said, is_whole, heard } = ot_session(input, Protocol::Three);
    let messages: Vec<HandedOn> = told.iter().filter_map(message).collect();
    hands_on(&messages, &said, is_whole, MAX_PACKET_BYTES);
    for (at, packet) in heard.iter().enumerate() {
        match packet.kind {
            kind::CONNECT if at == 0 => {
                assert_eq!(connect_flags(packet, 4), 0, "no will, no clean start")
            }
            kind::SUBSCRIBE => {
                let filters = packet.filters();
                assert!(
                    filters.iter().all(|filter| OT_SUBSCRIBES.contains(&&**filter)),
                    "{filters:?}"
                );
            }
            kind::PINGREQ | kind::DISCONNECT => {}
            _ => acknowledges(packet, &messages, &said),
        }
    }
}

/// A message as a session handed it on.
#[derive(Clone, Debug)]
struct HandedOn {
    topic: Vec<u8>,
    /// `None`: it was too large, or not what MQTT allows, and only its topic is left.
    content: Option<(Vec<u8>, bool)>,
    /// QoS and the mark of a repetition, where the session tells.
    delivery: Option<(u8, bool)>,
}

fn message(told: &Told) -> Option<HandedOn> {
    let Told::Message { topic, payload, retain, dup, qos, is_unread } = told else {
        return None;
    };
    assert!(!is_unread || payload.is_empty(), "part of a message that nobody can read");
    Some(HandedOn {
        topic: topic.to_vec(),
        content: (!is_unread).then(|| (payload.to_vec(), *retain)),
        delivery: Some((*qos, *dup)),
    })
}

/// Says any bytes to a session of a mirrored node.
///
/// - The session sends the will, the subscriptions and the publications that it was given, in
///   order, and nothing else that isn't an acknowledgement.
/// - It hands on what hosts published, as a plain reading of the bytes finds it.
/// - It is closed only if the broker acknowledged the NDEATH.
/// - It ends when the broker has said everything.
pub fn it_connection(input: &[u8]) {
    let (spec, data_qos) = (it_spec(), data_qos(input));
    let publications: Vec<Publication> = vec![
        ("spBv1.0/g/NBIRTH/e".into(), vec![1; 10], data_qos),
        ("spBv1.0/g/NDATA/e".into(), vec![2; 200], data_qos),
        ("spBv1.0/g/NDEATH/e".into(), vec![3; 5], Qos::AtLeastOnce),
    ];
    let Conversation { told, said, is_whole, heard } =
        it_session(input, Protocol::Three, &spec, &publications);
    let received: Vec<HandedOn> = told.iter().filter_map(received).collect();
    hands_on(&received, &said, is_whole, it::testing::MAX_INCOMING_BYTES);
    let mut next = publications.iter();
    for (at, packet) in heard.iter().enumerate() {
        match packet.kind {
            kind::CONNECT if at == 0 => {
                // A will at QoS 1, not retained, and a clean start.
                assert_eq!(connect_flags(packet, 4), 0b0000_1110);
                assert!(packet.body.ends_with(&[0, 3, 1, 2, 3]), "the will: {packet:?}");
            }
            kind::SUBSCRIBE => {
                assert!(packet.filters().iter().all(|filter| spec.subscriptions.contains(filter)));
            }
            kind::UNSUBSCRIBE => assert_eq!(packet.filters(), ["sparkdiode/barrier"]),
            kind::PUBLISH => {
                let publish = packet.publish().expect("a sound PUBLISH");
                let (topic, payload, qos) = next.next().expect("a publication that was asked for");
                let wanted_qos = u8::from(*qos == Qos::AtLeastOnce);
                assert_eq!((publish.topic.as_slice(), publish.qos), (topic.as_bytes(), wanted_qos));
                assert_eq!((&publish.payload, publish.retain), (payload, false));
            }
            kind::PINGREQ | kind::DISCONNECT => {}
            _ => acknowledges(packet, &received, &said),
        }
    }
}

fn received(event: &SessionEvent) -> Option<HandedOn> {
    let (topic, content) = match event {
        SessionEvent::Received { topic, payload, retain } => {
            (topic, Some((payload.to_vec(), *retain)))
        }
        SessionEvent::TooLarge { topic } | SessionEvent::Impossible { topic } => (topic, None),
        _ => return None,
    };
    Some(HandedOn { topic: topic.clone().into_bytes(), content, delivery: None })
}

/// What was handed on is the beginning of what was said. Whole packets are lost with a broken one
/// right behind them: at QoS 1 they aren't acknowledged.
fn hands_on(messages: &[HandedOn], said: &[Packet], is_whole: bool, limit: usize) {
    let publications = said.iter().filter_map(published);
    let mut packets = once_only(said);
    for message in messages {
        let (packet, publish) = packets.next().expect("more than was said");
        let text = |topic: &[u8]| String::from_utf8_lossy(topic).into_owned();
        assert_eq!(text(&message.topic), text(&publish.topic));
        let is_unread = packet.encode().len() > limit
            || packet.publish().is_none()
            || !is_topic(&publish.topic);
        assert_eq!(message.content.is_none(), is_unread, "{} bytes", packet.body.len());
        if let Some(content) = &message.content {
            assert_eq!(*content, (publish.payload, publish.retain));
        }
        if let Some(delivery) = message.delivery {
            assert_eq!(delivery, (publish.qos, publish.dup));
        }
    }
    let count = publications.count();
    let answers = |wanted: u8| said.iter().filter(|packet| packet.kind == wanted).count();
    let is_answered = answers(kind::CONNACK) == 1 && answers(kind::SUBACK) == 1;
    let begins = said.first().is_some_and(|packet| packet.kind == kind::CONNACK);
    if is_whole && is_answered && begins && said.iter().all(is_plain) {
        assert_eq!(messages.len(), count, "less than was said");
    }
}

/// A publication as it is handed on, also one that MQTT doesn't allow: nothing repeats itself at QoS 0,
/// and what has no identifier, or 0, isn't acknowledged.
fn published(packet: &Packet) -> Option<Publish> {
    if packet.kind != kind::PUBLISH || packet.flags & 6 == 6 {
        return None;
    }
    let unacknowledged = |publish| Publish { qos: 0, dup: false, packet_id: 0, ..publish };
    match packet.publish() {
        Some(publish) if publish.packet_id == 0 => Some(unacknowledged(publish)),
        Some(publish) => Some(publish),
        None => {
            let (length, rest) = packet.body.split_first_chunk::<2>().unwrap_or((&[0, 0], &[]));
            let topic = rest.get(..u16::from_be_bytes(*length).into()).unwrap_or(rest).to_vec();
            let retain = packet.flags & 1 == 1;
            let payload = Vec::new();
            let publish = Publish { topic, payload, qos: 0, retain, dup: false, packet_id: 0 };
            Some(publish)
        }
    }
}

/// A topic that MQTT allows.
pub(crate) fn is_topic(topic: &[u8]) -> bool {
    std::str::from_utf8(topic)
        .is_ok_and(|topic| !topic.is_empty() && !topic.contains(['+', '#', '\0']))
}

/// The publications without those that repeat one at QoS 2 before it is released (MQTT 3.1.1
/// §4.3.3).
fn once_only(said: &[Packet]) -> impl Iterator<Item = (&Packet, Publish)> {
    let mut unreleased = BTreeSet::new();
    said.iter().filter_map(move |packet| {
        if packet.kind == kind::PUBREL {
            packet.packet_id().map(|id| unreleased.remove(&id));
        }
        let publish = published(packet)?;
        let is_first = publish.qos < 2 || unreleased.insert(publish.packet_id);
        is_first.then_some((packet, publish))
    })
}

/// A packet that no session can have anything against: the answers at the beginning, and data at
/// QoS 0.
fn is_plain(packet: &Packet) -> bool {
    match packet.kind {
        kind::CONNACK => packet.flags == 0 && packet.body == [0, 0],
        kind::SUBACK => packet.flags == 0 && packet.body == [0, 1, 1, 1],
        kind::PUBLISH => {
            packet.body.len() <= MAX_PACKET_BYTES / 2
                && published(packet).is_some_and(|publish| publish.qos == 0)
        }
        _ => false,
    }
}

/// An acknowledgement of something that came.
fn acknowledges(packet: &Packet, messages: &[HandedOn], said: &[Packet]) {
    let id = packet.packet_id().expect("the number of a packet");
    let with_qos = |wanted: u8| {
        let publications = once_only(said).take(messages.len());
        let of_qos = publications.filter(|(_, publish)| publish.qos == wanted);
        of_qos.map(|(_, publish)| publish.packet_id).collect::<BTreeSet<u16>>()
    };
    let released =
        || said.iter().any(|said| said.kind == kind::PUBREL && said.packet_id() == Some(id));
    let is_owed = match packet.kind {
        kind::PUBACK => with_qos(1).contains(&id),
        kind::PUBREC => with_qos(2).contains(&id),
        kind::PUBCOMP => released(),
        // The other way round: the broker took a publication of ours at QoS 2.
        kind::PUBREL => {
            said.iter().any(|said| said.kind == kind::PUBREC && said.packet_id() == Some(id))
        }
        _ => false,
    };
    assert!(is_owed, "{packet:?} is none of this session's business");
}

/// User name, password, will and clean start (MQTT 3.1.1 §3.1.2.3).
pub(crate) fn connect_flags(packet: &Packet, level: u8) -> u8 {
    let head = packet.body.strip_prefix(b"\0\x04MQTT");
    assert_eq!(head.and_then(|rest| rest.first()), Some(&level), "{packet:?}");
    packet.body.get(7).copied().expect("flags")
}

/// A publication of a session of a mirrored node.
pub(crate) type Publication = (Arc<str>, Vec<u8>, Qos);

/// All that the OT session may subscribe to.
pub(crate) const OT_SUBSCRIBES: [&str; 5] =
    ["$sparkplug/certificates/#", "spBv1.0/STATE/+", "STATE/+", OT_FILTERS[0], OT_FILTERS[1]];
/// Those of the policy among them.
const OT_FILTERS: [&str; 2] = ["spBv1.0/G/+/E", "spBv1.0/G/+/F"];

/// What a session told, and the packets that the broker said to it and heard from it.
pub(crate) struct Conversation<T> {
    pub(crate) told: Vec<T>,
    pub(crate) said: Vec<Packet>,
    /// Nothing is behind the last packet that was said.
    pub(crate) is_whole: bool,
    pub(crate) heard: Vec<Packet>,
}

impl<T> Conversation<T> {
    fn new(told: Vec<T>, said: &[u8], heard: &[u8]) -> Conversation<T> {
        let (said, half) = packets(said);
        let is_whole = half.is_empty();
        let (heard, rest) = packets(heard);
        assert!(rest.is_empty(), "half a packet: {rest:?}");
        Conversation { told, said, is_whole, heard }
    }
}

/// The OT session with a broker that says these bytes.
pub(crate) fn ot_session(input: &[u8], protocol: Protocol) -> Conversation<Told> {
    let pieces = pieces(input, protocol);
    let (told, heard) = block_on(async {
        let broker = Broker::new().await;
        let settings = broker.settings(protocol);
        let filters = OT_FILTERS.map(str::to_owned).to_vec();
        tokio::join!(
            ot::testing::converse(&settings, filters, HANGS),
            broker.serve(pieces.clone(), listens(input))
        )
    });
    let told = told.expect("the session hangs");
    assert_eq!(told.last(), Some(&Told::Lost));
    assert!(told.iter().filter(|told| matches!(told, Told::Connected { .. })).count() <= 1);
    Conversation::new(told, &pieces.concat(), &heard)
}

/// The session that the mirrored node has.
pub(crate) fn it_spec() -> SessionSpec {
    SessionSpec {
        group: "g".into(),
        edge_node: "e".into(),
        will_topic: "spBv1.0/g/NDEATH/e".into(),
        will_payload: vec![1, 2, 3],
        bd_seq: 0,
        birth_bytes: 0,
        subscriptions: vec!["spBv1.0/g/NCMD/e".into(), "spBv1.0/g/DCMD/e/+".into()],
    }
}

/// The first byte says with which quality of service births and data are published.
pub(crate) fn data_qos(input: &[u8]) -> Qos {
    let flags = input.first().copied().unwrap_or_default();
    if flags & 0x40 == 0 { Qos::AtMostOnce } else { Qos::AtLeastOnce }
}

/// A session of a mirrored node with a broker that says these bytes: it is ready, and closed, only when the
/// broker said so. The first byte says whether it closes by itself.
pub(crate) fn it_session(
    input: &[u8],
    protocol: Protocol,
    spec: &SessionSpec,
    publications: &[Publication],
) -> Conversation<SessionEvent> {
    let pieces = pieces(input, protocol);
    let closes = input.first().is_none_or(|flags| flags & 0x80 == 0);
    let (told, heard) = block_on(async {
        let broker = Broker::new().await;
        let settings = broker.settings(protocol);
        let (spec, publications) = (spec.clone(), publications.to_vec());
        let session = it::testing::converse(settings, spec, publications, closes, HANGS);
        tokio::join!(session, broker.serve(pieces.clone(), listens(input)))
    });
    let told = told.expect("the session hangs");
    let conversation = Conversation::new(told, &pieces.concat(), &heard);
    let Conversation { told, said, .. } = &conversation;
    let count = |wanted: u8| said.iter().filter(|packet| packet.kind == wanted).count();
    let readies = told.iter().filter(|event| matches!(event, SessionEvent::Ready)).count();
    assert!(readies <= count(kind::SUBACK), "ready before the broker said so");
    let acknowledged = count(kind::PUBACK) + count(kind::PUBCOMP);
    match told.last() {
        Some(SessionEvent::Closed) => assert!(closes && acknowledged > 0, "closed by itself"),
        Some(SessionEvent::Lost { connect_sent }) => assert!(connect_sent),
        other => panic!("{other:?}"),
    }
    conversation
}

/// Whether the broker lets the session speak before it goes on.
fn listens(input: &[u8]) -> bool {
    input.first().is_some_and(|flags| flags & 0x20 != 0)
}

/// The first byte says whether an honest answer comes first, and into how many writes the rest is
/// cut.
fn pieces(input: &[u8], protocol: Protocol) -> Vec<Vec<u8>> {
    let mut input = Input::new(input);
    let flags = input.byte();
    let mut honest = Vec::new();
    // With the length of no properties.
    let is_five = protocol == Protocol::Five;
    if flags & 1 == 0 {
        let present = flags >> 1 & 1;
        let body: &[u8] = if is_five { &[present, 0, 0] } else { &[present, 0] };
        honest.extend(Packet::new(kind::CONNACK, 0, body).encode());
    }
    if flags & 4 == 0 {
        let body: &[u8] = if is_five { &[0, 1, 0, 1, 1] } else { &[0, 1, 1, 1] };
        honest.extend(Packet::new(kind::SUBACK, 0, body).encode());
    }
    let rest = input.rest();
    let length = rest.len().div_ceil(1 + usize::from(flags >> 3 & 3)).max(1);
    std::iter::once(honest).chain(rest.chunks(length).map(<[u8]>::to_vec)).collect()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    LocalSet::new().block_on(&runtime.expect("a runtime"), future)
}
