//! As much of MQTT 3.1.1 as a load generator and a sink need, over blocking or non-blocking
//! sockets; nothing of what the relay or a broker speaks it with.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Types of control packets, shifted into their place.
pub(crate) const CONNACK: u8 = 0x20;
pub(crate) const PUBLISH: u8 = 0x30;
pub(crate) const SUBACK: u8 = 0x90;

/// How long a broker may take for a CONNACK or SUBACK.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Connects with a clean session; blocks until the CONNACK.
pub(crate) fn connect(address: SocketAddr, client_id: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(ANSWER_WITHIN)).unwrap();
    let mut body = Vec::new();
    put_bytes(&mut body, b"MQTT");
    // Level 4, clean session, no keep alive.
    body.extend([4, 0x02, 0, 0]);
    put_bytes(&mut body, client_id.as_bytes());
    stream.write_all(&packet(0x10, &body)).unwrap();
    expect(&mut stream, CONNACK);
    stream
}

/// Subscribes; blocks until the SUBACK.
pub(crate) fn subscribe(stream: &mut TcpStream, filter: &str, qos: u8) {
    let mut body = vec![0, 1];
    put_bytes(&mut body, filter.as_bytes());
    body.push(qos);
    stream.write_all(&packet(0x82, &body)).unwrap();
    expect(stream, SUBACK);
}

/// A whole PUBLISH packet. `id` is for QoS 1; `None` is QoS 0.
pub(crate) fn publish(out: &mut Vec<u8>, topic: &str, payload: &[u8], id: Option<u16>) {
    let length = 2 + topic.len() + id.map_or(0, |_| 2) + payload.len();
    out.push(PUBLISH | id.map_or(0, |_| 2));
    put_length(out, length);
    put_bytes(out, topic.as_bytes());
    if let Some(id) = id {
        out.extend(id.to_be_bytes());
    }
    out.extend(payload);
}

pub(crate) fn puback(out: &mut Vec<u8>, id: [u8; 2]) {
    out.extend([0x40, 2, id[0], id[1]]);
}

/// What a broker answers to a packet that isn't a PUBLISH; nothing where nothing is due.
pub(crate) fn answer(out: &mut Vec<u8>, packet: &Packet<'_>) {
    match (packet.first & 0xf0, packet.body) {
        // CONNECT: no session was kept.
        (0x10, _) => out.extend([CONNACK, 2, 0, 0]),
        // SUBSCRIBE: granted as it is asked for.
        (0x80, [first, second, rest @ ..]) => {
            let (mut granted, mut rest) = (Vec::new(), rest);
            while let Some((length, behind)) = rest.split_first_chunk::<2>()
                && let Some((_, [qos, behind @ ..])) =
                    behind.split_at_checked(u16::from_be_bytes(*length).into())
            {
                granted.push(*qos);
                rest = behind;
            }
            out.push(SUBACK);
            put_length(out, 2 + granted.len());
            out.extend([*first, *second]);
            out.extend(granted);
        }
        // UNSUBSCRIBE, PINGREQ.
        (0xa0, [first, second, ..]) => out.extend([0xb0, 2, *first, *second]),
        (0xc0, _) => out.extend([0xd0, 0]),
        _ => {}
    }
}

/// A control packet: the first byte, and what follows the remaining length.
pub(crate) struct Packet<'a> {
    pub(crate) first: u8,
    pub(crate) body: &'a [u8],
    /// Bytes of the whole packet.
    pub(crate) bytes: usize,
}

/// The parts of a PUBLISH.
pub(crate) struct Publish<'a> {
    pub(crate) topic: &'a [u8],
    pub(crate) id: Option<[u8; 2]>,
    pub(crate) payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// The packet at the beginning of `bytes`; `None`: it isn't complete.
    pub(crate) fn first_of(bytes: &'a [u8]) -> Option<Packet<'a>> {
        let (mut length, mut at) = (0, 1);
        loop {
            let byte = *bytes.get(at)?;
            length |= usize::from(byte & 0x7f) << (7 * (at - 1));
            at += 1;
            if byte < 0x80 {
                break;
            }
        }
        let body = bytes.get(at..at + length)?;
        Some(Packet { first: bytes[0], body, bytes: at + length })
    }

    pub(crate) fn publish(&self) -> Option<Publish<'a>> {
        if self.first & 0xf0 != PUBLISH {
            return None;
        }
        let (length, rest) = self.body.split_first_chunk::<2>()?;
        let (topic, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        if self.first & 0x06 == 0 {
            return Some(Publish { topic, id: None, payload: rest });
        }
        let (id, payload) = rest.split_first_chunk::<2>()?;
        Some(Publish { topic, id: Some(*id), payload })
    }
}

fn expect(stream: &mut TcpStream, wanted: u8) {
    let mut bytes = Vec::new();
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
        if let Some(packet) = Packet::first_of(&bytes) {
            assert_eq!(packet.first & 0xf0, wanted, "an unexpected answer: {bytes:?}");
            assert!(packet.body.last().is_some_and(|code| *code < 0x80), "refused: {bytes:?}");
            return;
        }
    }
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    put_length(&mut bytes, body.len());
    bytes.extend(body);
    bytes
}

fn put_length(bytes: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        bytes.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
}

fn put_bytes(body: &mut Vec<u8>, bytes: &[u8]) {
    body.extend(u16::try_from(bytes.len()).unwrap().to_be_bytes());
    body.extend(bytes);
}
