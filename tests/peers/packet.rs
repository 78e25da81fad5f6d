//! A small MQTT codec of the suite's own, so that nothing which the product uses to speak MQTT also
//! judges it. MQTT 5 is read and not written: its packets come out as those of MQTT 3.1.1, with their
//! topics in full, and what a test may ask for besides is kept.
//!
//! ```text
//! fixed header: type<<4 | flags (1 byte), remaining length (1..=4 bytes, 7 bits each)
//! strings and binary data: u16 length, bytes
//! ```

mod five;

pub use five::Decoder;

/// The largest packet that the suite takes; real births are far smaller.
const MAX_PACKET_BYTES: usize = 16 * 1024 * 1024;

#[derive(Clone, Debug, PartialEq)]
pub enum Packet {
    Connect(Connect),
    ConnAck { session_present: bool, code: u8 },
    Publish(Publish),
    PubAck(u16),
    PubRec(u16),
    PubRel(u16),
    PubComp(u16),
    Subscribe { id: u16, filters: Vec<(String, u8)> },
    SubAck { id: u16, codes: Vec<u8> },
    Unsubscribe { id: u16, filters: Vec<String> },
    UnsubAck(u16),
    PingReq,
    PingResp,
    Disconnect,
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct Connect {
    /// Protocol level: 4 is MQTT 3.1.1, 5 is MQTT 5.
    pub level: Level,
    /// Seconds, in MQTT 5.
    pub session_expiry: Option<u32>,
    pub client_id: String,
    pub clean_session: bool,
    pub keep_alive_s: u16,
    pub will: Option<Will>,
    pub user: Option<String>,
    pub password: Option<Vec<u8>>,
}

/// MQTT 3.1.1 unless it is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(pub u8);

impl Default for Level {
    fn default() -> Level {
        Level(4)
    }
}

impl Level {
    fn is_five(self) -> bool {
        self.0 == 5
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Will {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: u8,
    pub retain: bool,
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct Publish {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: u8,
    pub retain: bool,
    pub dup: bool,
    /// Packet identifier; `None` for QoS 0.
    pub id: Option<u16>,
}

impl Packet {
    /// The specification's name, for messages to people.
    pub fn name(&self) -> &'static str {
        match self {
            Packet::Connect(_) => "CONNECT",
            Packet::ConnAck { .. } => "CONNACK",
            Packet::Publish(_) => "PUBLISH",
            Packet::PubAck(_) => "PUBACK",
            Packet::PubRec(_) => "PUBREC",
            Packet::PubRel(_) => "PUBREL",
            Packet::PubComp(_) => "PUBCOMP",
            Packet::Subscribe { .. } => "SUBSCRIBE",
            Packet::SubAck { .. } => "SUBACK",
            Packet::Unsubscribe { .. } => "UNSUBSCRIBE",
            Packet::UnsubAck(_) => "UNSUBACK",
            Packet::PingReq => "PINGREQ",
            Packet::PingResp => "PINGRESP",
            Packet::Disconnect => "DISCONNECT",
        }
    }
}

/// The first packet of `bytes` and how many bytes it takes; `None` when more bytes are needed.
pub fn decode(bytes: &[u8]) -> Result<Option<(Packet, usize)>, String> {
    Decoder::default().decode_in(bytes, true)
}

type Frame<'a> = (u8, &'a [u8], usize);

/// The first packet of `bytes`: its first byte, what is behind its fixed header, and how many bytes it takes.
fn frame(bytes: &[u8]) -> Result<Option<Frame<'_>>, String> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    let mut length = 0usize;
    let mut header = 1;
    loop {
        let Some(&byte) = bytes.get(header) else { return Ok(None) };
        length |= usize::from(byte & 0x7f) << (7 * (header - 1));
        header += 1;
        if byte & 0x80 == 0 {
            break;
        }
        if header == 5 {
            return Err("remaining length of more than 4 bytes".into());
        }
    }
    if length > MAX_PACKET_BYTES {
        return Err(format!("packet of {length} bytes"));
    }
    let Some(body) = bytes.get(header..header + length) else { return Ok(None) };
    Ok(Some((first, body, header + length)))
}

pub fn encode(packet: &Packet) -> Vec<u8> {
    let mut body = Vec::new();
    let first = match packet {
        Packet::Connect(connect) => {
            put_bytes(&mut body, b"MQTT");
            body.push(4);
            let mut flags = u8::from(connect.clean_session) << 1;
            if let Some(will) = &connect.will {
                flags |= 0x04 | will.qos << 3 | u8::from(will.retain) << 5;
            }
            flags |= u8::from(connect.password.is_some()) << 6;
            flags |= u8::from(connect.user.is_some()) << 7;
            body.push(flags);
            body.extend(connect.keep_alive_s.to_be_bytes());
            put_bytes(&mut body, connect.client_id.as_bytes());
            if let Some(will) = &connect.will {
                put_bytes(&mut body, will.topic.as_bytes());
                put_bytes(&mut body, &will.payload);
            }
            if let Some(user) = &connect.user {
                put_bytes(&mut body, user.as_bytes());
            }
            if let Some(password) = &connect.password {
                put_bytes(&mut body, password);
            }
            0x10
        }
        Packet::ConnAck { session_present, code } => {
            body.extend([u8::from(*session_present), *code]);
            0x20
        }
        Packet::Publish(publish) => {
            put_bytes(&mut body, publish.topic.as_bytes());
            if let Some(id) = publish.id {
                body.extend(id.to_be_bytes());
            }
            body.extend(&publish.payload);
            0x30 | u8::from(publish.dup) << 3 | publish.qos << 1 | u8::from(publish.retain)
        }
        Packet::PubAck(id) => put_id(&mut body, *id, 0x40),
        Packet::PubRec(id) => put_id(&mut body, *id, 0x50),
        Packet::PubRel(id) => put_id(&mut body, *id, 0x62),
        Packet::PubComp(id) => put_id(&mut body, *id, 0x70),
        Packet::Subscribe { id, filters } => {
            put_id(&mut body, *id, 0);
            for (filter, qos) in filters {
                put_bytes(&mut body, filter.as_bytes());
                body.push(*qos);
            }
            0x82
        }
        Packet::SubAck { id, codes } => {
            put_id(&mut body, *id, 0);
            body.extend(codes);
            0x90
        }
        Packet::Unsubscribe { id, filters } => {
            put_id(&mut body, *id, 0);
            for filter in filters {
                put_bytes(&mut body, filter.as_bytes());
            }
            0xa2
        }
        Packet::UnsubAck(id) => put_id(&mut body, *id, 0xb0),
        Packet::PingReq => 0xc0,
        Packet::PingResp => 0xd0,
        Packet::Disconnect => 0xe0,
    };
    let mut bytes = vec![first];
    let mut length = body.len();
    loop {
        let low = (length & 0x7f) as u8;
        length >>= 7;
        bytes.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            break;
        }
    }
    bytes.extend(body);
    bytes
}

fn put_bytes(body: &mut Vec<u8>, bytes: &[u8]) {
    body.extend(u16::try_from(bytes.len()).unwrap().to_be_bytes());
    body.extend(bytes);
}

fn put_id(body: &mut Vec<u8>, id: u16, first: u8) -> u8 {
    body.extend(id.to_be_bytes());
    first
}

fn decode_body(first: u8, body: &mut Cursor<'_>) -> Result<Packet, String> {
    let packet = match first >> 4 {
        2 => Packet::ConnAck { session_present: body.byte()? & 1 == 1, code: body.byte()? },
        3 => {
            let qos = first >> 1 & 3;
            let topic = body.string()?;
            let id = if qos > 0 { Some(body.number()?) } else { None };
            let payload = body.rest();
            let (retain, dup) = (first & 1 == 1, first & 8 == 8);
            Packet::Publish(Publish { topic, payload, qos, retain, dup, id })
        }
        4 => Packet::PubAck(body.number()?),
        5 => Packet::PubRec(body.number()?),
        6 => Packet::PubRel(body.number()?),
        7 => Packet::PubComp(body.number()?),
        8 => {
            let id = body.number()?;
            let mut filters = Vec::new();
            while !body.bytes.is_empty() {
                filters.push((body.string()?, body.byte()?));
            }
            Packet::Subscribe { id, filters }
        }
        9 => Packet::SubAck { id: body.number()?, codes: body.rest() },
        10 => {
            let id = body.number()?;
            let mut filters = Vec::new();
            while !body.bytes.is_empty() {
                filters.push(body.string()?);
            }
            Packet::Unsubscribe { id, filters }
        }
        11 => Packet::UnsubAck(body.number()?),
        12 => Packet::PingReq,
        13 => Packet::PingResp,
        14 => Packet::Disconnect,
        other => return Err(format!("packet type {other}")),
    };
    if body.bytes.is_empty() {
        Ok(packet)
    } else {
        Err(format!("{} bytes after a {}", body.bytes.len(), packet.name()))
    }
}

fn decode_connect(body: &mut Cursor<'_>, only_three: bool) -> Result<Connect, String> {
    let protocol = body.string()?;
    let level = body.byte()?;
    let level = Level(level);
    if protocol != "MQTT" || !(level == Level(4) || level.is_five() && !only_three) {
        return Err(format!("protocol `{protocol}` level {}, not MQTT 3.1.1", level.0));
    }
    let flags = body.byte()?;
    let keep_alive_s = body.number()?;
    let properties = if level.is_five() { body.properties()? } else { Vec::new() };
    // The first one that the relay writes.
    let session_expiry = match properties[..] {
        [0x11, a, b, c, d, ..] => Some(u32::from_be_bytes([a, b, c, d])),
        _ => None,
    };
    let client_id = body.string()?;
    let will = if flags & 0x04 != 0 {
        if level.is_five() {
            body.properties()?;
        }
        let topic = body.string()?;
        let payload = body.binary()?;
        Some(Will { topic, payload, qos: flags >> 3 & 3, retain: flags & 0x20 != 0 })
    } else {
        None
    };
    let user = if flags & 0x80 != 0 { Some(body.string()?) } else { None };
    let password = if flags & 0x40 != 0 { Some(body.binary()?) } else { None };
    let clean_session = flags & 0x02 != 0;
    Ok(Connect {
        level,
        session_expiry,
        client_id,
        clean_session,
        keep_alive_s,
        will,
        user,
        password,
    })
}

struct Cursor<'a> {
    bytes: &'a [u8],
}

impl Cursor<'_> {
    fn take(&mut self, count: usize) -> Result<Vec<u8>, String> {
        let Some((head, tail)) = self.bytes.split_at_checked(count) else {
            return Err(format!("{count} bytes wanted, {} left", self.bytes.len()));
        };
        self.bytes = tail;
        Ok(head.to_vec())
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    fn number(&mut self) -> Result<u16, String> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn binary(&mut self) -> Result<Vec<u8>, String> {
        let length = self.number()?;
        self.take(usize::from(length))
    }

    fn string(&mut self) -> Result<String, String> {
        String::from_utf8(self.binary()?).map_err(|_| "a string that isn't UTF-8".into())
    }

    /// Properties of MQTT 5, as they are.
    fn properties(&mut self) -> Result<Vec<u8>, String> {
        let (mut length, mut shift) = (0_usize, 0);
        loop {
            let byte = self.byte()?;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return self.take(length);
            }
            if shift == 28 {
                return Err("properties with a length of more than 4 bytes".into());
            }
        }
    }

    fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes).to_vec()
    }
}

#[test]
fn every_packet_decodes_to_what_was_encoded_at_every_split() {
    let will = Will { topic: "a/b".into(), payload: vec![0; 300], qos: 1, retain: true };
    let packets = [
        Packet::Connect(Connect {
            level: Level(4),
            session_expiry: None,
            client_id: "edge".into(),
            clean_session: true,
            keep_alive_s: 30,
            will: Some(will),
            user: Some("u".into()),
            password: Some(b"p".to_vec()),
        }),
        Packet::Connect(Connect::default()),
        Packet::ConnAck { session_present: true, code: 5 },
        Packet::Publish(Publish { topic: "t".into(), payload: vec![1; 200], ..Publish::default() }),
        Packet::Publish(Publish {
            topic: "t".into(),
            payload: vec![],
            qos: 1,
            retain: true,
            dup: true,
            id: Some(7),
        }),
        Packet::PubAck(1),
        Packet::PubRec(2),
        Packet::PubRel(3),
        Packet::PubComp(4),
        Packet::Subscribe { id: 5, filters: vec![("a/#".into(), 1), ("b/+".into(), 0)] },
        Packet::SubAck { id: 5, codes: vec![1, 0x80] },
        Packet::Unsubscribe { id: 6, filters: vec!["a".into()] },
        Packet::UnsubAck(6),
        Packet::PingReq,
        Packet::PingResp,
        Packet::Disconnect,
    ];
    for packet in packets {
        let bytes = encode(&packet);
        for split in 0..bytes.len() {
            assert_eq!(decode(&bytes[..split]), Ok(None), "{} cut at {split}", packet.name());
        }
        assert_eq!(decode(&bytes), Ok(Some((packet, bytes.len()))));
    }
}

#[test]
fn broken_packets_are_errors() {
    assert!(decode(&[0x00, 0]).is_err(), "reserved type");
    assert!(decode(&[0xc0, 1, 0]).is_err(), "bytes after a PINGREQ");
    assert!(decode(&[0x30, 0x80, 0x80, 0x80, 0x80, 1]).is_err(), "length of five bytes");
    assert!(decode(&[0x30, 3, 0, 9, b'x']).is_err(), "topic longer than the packet");
    let mut version_5 = encode(&Packet::Connect(Connect::default()));
    version_5[8] = 5;
    assert!(decode(&version_5).unwrap_err().contains("level 5"));
}
