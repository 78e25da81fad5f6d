//! As much of MQTT 3.1.1 as attackers, the good node and the witness need.

use std::io::{self, Read, Write};

use crate::address::Stream;

/// Types of control packets, in their place.
pub(crate) const CONNACK: u8 = 0x20;
pub(crate) const PUBLISH: u8 = 0x30;
pub(crate) const PUBACK: u8 = 0x40;
pub(crate) const PUBREC: u8 = 0x50;
pub(crate) const PUBCOMP: u8 = 0x70;
pub(crate) const SUBACK: u8 = 0x90;
pub(crate) const PINGRESP: u8 = 0xd0;

pub(crate) const PINGREQ: [u8; 2] = [0xc0, 0];

/// What a connection leaves behind: topic and payload, at QoS 1.
#[derive(Clone, Debug)]
pub struct Will {
    /// Where it goes.
    pub topic: String,
    /// What it says.
    pub payload: Vec<u8>,
    /// Whether it is stored.
    pub retain: bool,
}

/// A CONNECT with a clean session.
pub(crate) fn connect(client_id: &str, will: Option<&Will>) -> Vec<u8> {
    let mut body = Vec::new();
    put_bytes(&mut body, b"MQTT");
    let flags = will.map_or(0, |will| 0x04 | 0x08 | u8::from(will.retain) << 5);
    // Level 4, clean session, no keep alive.
    body.extend([4, 0x02 | flags, 0, 0]);
    put_bytes(&mut body, client_id.as_bytes());
    if let Some(will) = will {
        put_bytes(&mut body, will.topic.as_bytes());
        put_bytes(&mut body, &will.payload);
    }
    packet(0x10, &body)
}

pub(crate) fn subscribe(filters: &[&str], qos: u8) -> Vec<u8> {
    let mut body = vec![0, 1];
    for filter in filters {
        put_bytes(&mut body, filter.as_bytes());
        body.push(qos);
    }
    packet(0x82, &body)
}

/// A PUBLISH; the topic is any bytes. At QoS 0 `id` isn't written.
pub(crate) fn publish(
    out: &mut Vec<u8>,
    topic: &[u8],
    payload: &[u8],
    (qos, retain, dup): (u8, bool, bool),
    id: u16,
) {
    let with_id = if qos > 0 { 2 } else { 0 };
    out.push(PUBLISH | u8::from(dup) << 3 | qos << 1 | u8::from(retain));
    put_length(out, 2 + topic.len() + with_id + payload.len());
    put_bytes(out, topic);
    if qos > 0 {
        out.extend(id.to_be_bytes());
    }
    out.extend_from_slice(payload);
}

/// The answer to a PUBREC, or to a PUBLISH at QoS 1.
pub(crate) fn answer(first: u8, id: [u8; 2]) -> [u8; 4] {
    [first, 2, id[0], id[1]]
}

/// A packet that came: its first byte, and what follows its length.
pub(crate) struct Came {
    pub(crate) first: u8,
    pub(crate) body: Vec<u8>,
}

impl Came {
    /// Topic, payload, and the identifier at QoS 1 and 2.
    pub(crate) fn publication(&self) -> Option<Publication<'_>> {
        if self.first & 0xf0 != PUBLISH {
            return None;
        }
        let (length, rest) = self.body.split_first_chunk::<2>()?;
        let (topic, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        if self.first & 0x06 == 0 {
            return Some((topic, rest, None));
        }
        let (id, payload) = rest.split_first_chunk::<2>()?;
        Some((topic, payload, Some(*id)))
    }
}

type Publication<'a> = (&'a [u8], &'a [u8], Option<[u8; 2]>);

/// Reads packets from a connection.
pub(crate) struct Reader {
    stream: Stream,
    buffer: Vec<u8>,
    read: usize,
    filled: usize,
}

impl Reader {
    pub(crate) fn new(stream: Stream) -> Reader {
        Reader { stream, buffer: vec![0; 64 * 1024], read: 0, filled: 0 }
    }

    /// Waits for the next packet.
    pub(crate) fn next(&mut self) -> io::Result<Came> {
        let first = self.byte()?;
        let (mut length, mut shift) = (0_usize, 0);
        loop {
            let byte = self.byte()?;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                break;
            }
        }
        let mut body = Vec::with_capacity(length);
        while body.len() < length {
            if self.read == self.filled {
                self.fill()?;
            }
            let take = (length - body.len()).min(self.filled - self.read);
            body.extend_from_slice(&self.buffer[self.read..self.read + take]);
            self.read += take;
        }
        Ok(Came { first, body })
    }

    fn byte(&mut self) -> io::Result<u8> {
        if self.read == self.filled {
            self.fill()?;
        }
        self.read += 1;
        Ok(self.buffer[self.read - 1])
    }

    fn fill(&mut self) -> io::Result<()> {
        let count = self.stream.read(&mut self.buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        (self.read, self.filled) = (0, count);
        Ok(())
    }
}

/// Sends what asks for an answer of this type, and waits for it.
pub(crate) fn ask(
    stream: &mut Stream,
    reader: &mut Reader,
    packet: &[u8],
    wanted: u8,
) -> io::Result<()> {
    stream.write_all(packet)?;
    let came = reader.next()?;
    if came.first & 0xf0 != wanted || came.body.last().is_some_and(|code| *code >= 0x80) {
        return Err(io::Error::other(format!("answered by {:#x} {:?}", came.first, came.body)));
    }
    if wanted == CONNACK && came.body.last() != Some(&0) {
        return Err(io::Error::other(format!("refused: {:?}", came.body)));
    }
    Ok(())
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    put_length(&mut bytes, body.len());
    bytes.extend_from_slice(body);
    bytes
}

fn put_length(out: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u16::try_from(bytes.len()).unwrap().to_be_bytes());
    out.extend_from_slice(bytes);
}
