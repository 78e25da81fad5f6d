//! MQTT 3.1.1 as the specification has it, read from bytes: what a client may say, and what a
//! broker said.

/// One control packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The upper half of the first byte.
    pub kind: u8,
    /// The lower half.
    pub flags: u8,
    /// Everything behind the length.
    pub body: Vec<u8>,
}

/// A publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    pub topic: Vec<u8>,
    pub payload: Vec<u8>,
    pub qos: u8,
    pub retain: bool,
    pub dup: bool,
    /// 0 at QoS 0.
    pub packet_id: u16,
}

/// Kinds of packets (§2.2.1).
pub mod kind {
    pub const CONNECT: u8 = 1;
    pub const CONNACK: u8 = 2;
    pub const PUBLISH: u8 = 3;
    pub const PUBACK: u8 = 4;
    pub const PUBREC: u8 = 5;
    pub const PUBREL: u8 = 6;
    pub const PUBCOMP: u8 = 7;
    pub const SUBSCRIBE: u8 = 8;
    pub const SUBACK: u8 = 9;
    pub const UNSUBSCRIBE: u8 = 10;
    pub const UNSUBACK: u8 = 11;
    pub const PINGREQ: u8 = 12;
    pub const DISCONNECT: u8 = 14;
}

/// The packets at the beginning of `bytes`, and what is left behind the last whole one.
pub fn packets(mut bytes: &[u8]) -> (Vec<Packet>, &[u8]) {
    let mut packets = Vec::new();
    while let Some((packet, rest)) = first(bytes) {
        packets.push(packet);
        bytes = rest;
    }
    (packets, bytes)
}

fn first(bytes: &[u8]) -> Option<(Packet, &[u8])> {
    let (head, mut rest) = bytes.split_first()?;
    let mut length = 0_usize;
    for shift in [0, 7, 14, 21] {
        let (byte, behind) = rest.split_first()?;
        rest = behind;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            let (body, rest) = rest.split_at_checked(length)?;
            return Some((Packet { kind: head >> 4, flags: head & 15, body: body.to_vec() }, rest));
        }
    }
    None
}

impl Packet {
    /// The packet as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.kind << 4 | self.flags];
        let mut length = self.body.len();
        loop {
            let low = (length & 0x7f) as u8;
            length >>= 7;
            bytes.push(if length > 0 { low | 0x80 } else { low });
            if length == 0 {
                break;
            }
        }
        bytes.extend(&self.body);
        bytes
    }

    /// A packet of a broker or client with these flags and this body.
    pub fn new(kind: u8, flags: u8, body: &[u8]) -> Packet {
        Packet { kind, flags, body: body.to_vec() }
    }

    /// The packet identifier at the beginning of the body.
    pub fn packet_id(&self) -> Option<u16> {
        self.body.first_chunk().map(|id| u16::from_be_bytes(*id))
    }

    /// A PUBLISH that is well formed.
    pub fn publish(&self) -> Option<Publish> {
        let qos = self.flags >> 1 & 3;
        if self.kind != kind::PUBLISH || qos == 3 {
            return None;
        }
        let (topic, rest) = text(&self.body)?;
        let (packet_id, payload) = match qos {
            0 => (0, rest),
            _ => {
                let (id, payload) = rest.split_first_chunk::<2>()?;
                (u16::from_be_bytes(*id), payload)
            }
        };
        Some(Publish {
            topic: topic.to_vec(),
            payload: payload.to_vec(),
            qos,
            retain: self.flags & 1 == 1,
            dup: self.flags & 8 == 8,
            packet_id,
        })
    }

    /// The filters of a SUBSCRIBE or UNSUBSCRIBE.
    pub fn filters(&self) -> Vec<String> {
        let mut filters = Vec::new();
        let mut rest = self.body.get(2..).unwrap_or_default();
        while let Some((filter, behind)) = text(rest) {
            filters.push(String::from_utf8_lossy(filter).into_owned());
            let options = usize::from(self.kind == kind::SUBSCRIBE);
            rest = behind.get(options..).unwrap_or_default();
        }
        filters
    }
}

/// A PUBLISH as a broker sends it.
pub fn publish(topic: &str, payload: &[u8], flags: u8, packet_id: u16) -> Packet {
    let mut body = (topic.len() as u16).to_be_bytes().to_vec();
    body.extend(topic.as_bytes());
    if flags & 6 != 0 {
        body.extend(packet_id.to_be_bytes());
    }
    body.extend(payload);
    Packet { kind: kind::PUBLISH, flags, body }
}

/// A text with its length before it, and what is behind it.
pub fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}
