//! Packets of MQTT 5, as those of MQTT 3.1.1.

use std::collections::HashMap;

use super::{Cursor, Level, Packet, Publish, decode_body, decode_connect, frame};

/// One direction of a connection, whichever MQTT is spoken on it.
#[derive(Debug, Default)]
pub struct Decoder {
    /// As the client's CONNECT has it.
    pub level: Level,
    /// Topics by their aliases.
    topics: HashMap<u16, String>,
    /// The last packet's properties.
    pub properties: Vec<u8>,
}

impl Decoder {
    /// The same, in the MQTT that is spoken here.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<Option<(Packet, usize)>, String> {
        self.decode_in(bytes, false)
    }

    pub(super) fn decode_in(
        &mut self,
        bytes: &[u8],
        only_three: bool,
    ) -> Result<Option<(Packet, usize)>, String> {
        let Some((first, body, used)) = frame(bytes)? else { return Ok(None) };
        let mut body = Cursor { bytes: body };
        let packet = if first >> 4 == 1 {
            Packet::Connect(decode_connect(&mut body, only_three)?)
        } else if self.level.is_five() {
            self.decode_five(first, &mut body)?
        } else {
            return Ok(Some((decode_body(first, &mut body)?, used)));
        };
        if let Packet::Connect(connect) = &packet {
            self.level = connect.level;
        }
        if body.bytes.is_empty() {
            Ok(Some((packet, used)))
        } else {
            Err(format!("{} bytes after a {}", body.bytes.len(), packet.name()))
        }
    }

    /// A packet of MQTT 5.
    fn decode_five(&mut self, first: u8, body: &mut Cursor<'_>) -> Result<Packet, String> {
        // Reason and properties may be left out.
        let ending = |body: &mut Cursor<'_>| {
            if !body.bytes.is_empty() {
                body.byte()?;
            }
            if !body.bytes.is_empty() {
                body.properties()?;
            }
            Ok::<(), String>(())
        };
        Ok(match first >> 4 {
            2 => {
                let (session_present, code) = (body.byte()? & 1 == 1, body.byte()?);
                self.properties = body.properties()?;
                Packet::ConnAck { session_present, code }
            }
            3 => {
                let qos = first >> 1 & 3;
                let mut topic = body.string()?;
                let id = if qos > 0 { Some(body.number()?) } else { None };
                self.properties = body.properties()?;
                if let [0x23, high, low] = self.properties[..] {
                    let alias = u16::from_be_bytes([high, low]);
                    if topic.is_empty() {
                        let known = self.topics.get(&alias);
                        topic = known.cloned().ok_or("an alias that has no topic")?;
                    } else {
                        self.topics.insert(alias, topic.clone());
                    }
                }
                if topic.is_empty() {
                    return Err("neither a topic nor an alias".into());
                }
                let payload = body.rest();
                let (retain, dup) = (first & 1 == 1, first & 8 == 8);
                Packet::Publish(Publish { topic, payload, qos, retain, dup, id })
            }
            kind @ 4..=7 => {
                let id = body.number()?;
                ending(body)?;
                match kind {
                    4 => Packet::PubAck(id),
                    5 => Packet::PubRec(id),
                    6 => Packet::PubRel(id),
                    _ => Packet::PubComp(id),
                }
            }
            8 => {
                let id = body.number()?;
                body.properties()?;
                let mut filters = Vec::new();
                while !body.bytes.is_empty() {
                    filters.push((body.string()?, body.byte()?));
                }
                Packet::Subscribe { id, filters }
            }
            9 | 11 => {
                let id = body.number()?;
                body.properties()?;
                let codes = body.rest();
                if first >> 4 == 9 { Packet::SubAck { id, codes } } else { Packet::UnsubAck(id) }
            }
            10 => {
                let id = body.number()?;
                body.properties()?;
                let mut filters = Vec::new();
                while !body.bytes.is_empty() {
                    filters.push(body.string()?);
                }
                Packet::Unsubscribe { id, filters }
            }
            14 => {
                ending(body)?;
                Packet::Disconnect
            }
            _ => decode_body(first, body)?,
        })
    }
}

#[test]
fn packets_of_mqtt_5_come_out_as_those_of_mqtt_3_1_1() {
    let mut decoder = Decoder::default();
    let connect =
        [
            &[
                0x10, 34, 0, 4, b'M', b'Q', b'T', b'T', 5, 6, 0, 30, 5, 0x11, 0, 0, 14, 16, 0, 1,
                b'c',
            ][..],
            &[0, 0, 4, b'w', b'i', b'l', b'l', 0, 5, b'g', b'o', b'n', b'e', b'!', 0],
        ]
        .concat();
    let connect = &connect[..connect.len() - 1];
    let connect = [&[0x10, u8::try_from(connect.len() - 2).unwrap()], &connect[2..]].concat();
    let Ok(Some((Packet::Connect(came), _))) = decoder.decode(&connect) else {
        panic!("no CONNECT")
    };
    assert_eq!((came.level, came.session_expiry), (Level(5), Some(3_600)));
    assert_eq!(came.will.unwrap().payload, b"gone!");
    let publish = |topic: &str| {
        let payload = b"x".to_vec();
        Packet::Publish(Publish { topic: topic.into(), payload, ..Publish::default() })
    };
    for (bytes, packet) in [
        (&[0x20, 6, 1, 0, 3, 0x22, 0, 9][..], Packet::ConnAck { session_present: true, code: 0 }),
        (&[0x30, 8, 0, 1, b't', 3, 0x23, 0, 1, b'x'], publish("t")),
        (&[0x30, 7, 0, 0, 3, 0x23, 0, 1, b'x'], publish("t")),
        (&[0x40, 2, 0, 7], Packet::PubAck(7)),
        (&[0x40, 4, 0, 7, 0x10, 0], Packet::PubAck(7)),
        (&[0x90, 5, 0, 5, 0, 1, 0x87], Packet::SubAck { id: 5, codes: vec![1, 0x87] }),
        (&[0xb0, 4, 0, 6, 0, 0x11], Packet::UnsubAck(6)),
        (&[0xe0, 1, 4], Packet::Disconnect),
        (&[0xe0, 0], Packet::Disconnect),
    ] {
        let bytes = if bytes[0] == 0x30 {
            [&[0x30, u8::try_from(bytes.len() - 2).unwrap()], &bytes[2..]].concat()
        } else {
            bytes.to_vec()
        };
        assert_eq!(decoder.decode(&bytes), Ok(Some((packet, bytes.len()))), "{bytes:?}");
    }
    assert!(decoder.decode(&[0x30, 7, 0, 0, 3, 0x23, 0, 2, b'x']).is_err(), "an alias of nothing");
    // What is asked for in MQTT 3.1.1 alone stays so.
    assert!(super::decode(&connect).unwrap_err().contains("level 5"));
}
