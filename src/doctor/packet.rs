//! The few MQTT packets of a visit, as bytes. A PUBLISH is read and never made.

use broker::Protocol;

/// CONNECT, SUBSCRIBE, DISCONNECT.
const CONNECT: u8 = 0x10;
const SUBSCRIBE: u8 = 0x82;
pub(crate) const DISCONNECT: [u8; 2] = [0xe0, 0x00];
/// Types of packets, in the upper half of their first byte.
const CONNACK: u8 = 2;
const PUBLISH: u8 = 3;
const SUBACK: u8 = 9;
/// CONNECT flags: clean session, password, user.
const CLEAN: u8 = 0x02;
const PASSWORD: u8 = 0x40;
const USER: u8 = 0x80;
/// A return code of SUBACK from here on refuses.
pub(crate) const REFUSED: u8 = 0x80;
/// Bytes of a length, at most (§2.2.3).
const MAX_LENGTH_BYTES: usize = 4;

/// A packet that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// The return code; 0 is a session.
    ConnAck(u8),
    /// Return codes of the filters, in their order.
    SubAck {
        id: u16,
        codes: &'a [u8],
    },
    Publish {
        topic: &'a [u8],
        payload: &'a [u8],
        retain: bool,
    },
    Other,
}

/// A clean session without a will; in MQTT 5 it ends with the connection, too.
pub(crate) fn connect(
    protocol: Protocol,
    client_id: &str,
    keep_alive_s: u16,
    credentials: Option<(&str, Option<&[u8]>)>,
) -> Vec<u8> {
    let mut body = Vec::new();
    put(&mut body, b"MQTT");
    let mut flags = CLEAN;
    if let Some((_, password)) = credentials {
        flags |= USER;
        if password.is_some() {
            flags |= PASSWORD;
        }
    }
    body.extend([protocol.level(), flags]);
    body.extend(keep_alive_s.to_be_bytes());
    body.extend(no_properties(protocol));
    put(&mut body, client_id.as_bytes());
    if let Some((user, password)) = credentials {
        put(&mut body, user.as_bytes());
        if let Some(password) = password {
            put(&mut body, password);
        }
    }
    framed(CONNECT, &body)
}

/// Asks for all of these at QoS 1.
pub(crate) fn subscribe(protocol: Protocol, id: u16, filters: &[String]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.extend(no_properties(protocol));
    for filter in filters {
        put(&mut body, filter.as_bytes());
        body.push(1);
    }
    framed(SUBSCRIBE, &body)
}

/// The length of properties that aren't there.
fn no_properties(protocol: Protocol) -> &'static [u8] {
    match protocol {
        Protocol::Three => &[],
        Protocol::Five => &[0],
    }
}

/// The packet at the beginning of `bytes`, and how many they are; `None`: not all of it is there.
///
/// # Errors
/// No MQTT.
pub(crate) fn read(
    protocol: Protocol,
    bytes: &[u8],
) -> Result<Option<(Packet<'_>, usize)>, &'static str> {
    let Some((first, rest)) = bytes.split_first() else { return Ok(None) };
    let mut length = 0_usize;
    let mut used = 0_usize;
    loop {
        let Some(byte) = rest.get(used) else { return Ok(None) };
        let shift = u32::try_from(used.saturating_mul(7)).unwrap_or(u32::MAX);
        length |= usize::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        used = used.saturating_add(1);
        if byte & 0x80 == 0 {
            break;
        }
        if used >= MAX_LENGTH_BYTES {
            return Err("a packet came whose length is not MQTT's");
        }
    }
    let Some(body) = rest.get(used..used.saturating_add(length)) else { return Ok(None) };
    let short = "a packet came that is shorter than its own parts";
    let packet = match first >> 4 {
        CONNACK => Packet::ConnAck(*body.get(1).ok_or(short)?),
        SUBACK => {
            let (id, rest) = number(body).ok_or(short)?;
            let codes = behind_properties(protocol, rest).ok_or(short)?;
            Packet::SubAck { id, codes }
        }
        PUBLISH => {
            let (length, rest) = number(body).ok_or(short)?;
            let topic = rest.get(..length.into()).ok_or(short)?;
            let mut payload = rest.get(length.into()..).ok_or(short)?;
            if first & 0x06 != 0 {
                (_, payload) = number(payload).ok_or(short)?;
            }
            payload = behind_properties(protocol, payload).ok_or(short)?;
            Packet::Publish { topic, payload, retain: first & 1 != 0 }
        }
        _ => Packet::Other,
    };
    Ok(Some((packet, used.saturating_add(length).saturating_add(1))))
}

/// What is behind the properties; the stream leaves none but their length.
fn behind_properties(protocol: Protocol, bytes: &[u8]) -> Option<&[u8]> {
    bytes.strip_prefix(no_properties(protocol))
}

/// Two bytes, and what comes behind them.
fn number(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u16::from_be_bytes(*number), rest))
}

/// A text or bytes, behind their length. What is longer than any may be is cut: no configuration takes
/// it.
fn put(body: &mut Vec<u8>, content: &[u8]) {
    let length = u16::try_from(content.len()).unwrap_or(u16::MAX);
    body.extend(length.to_be_bytes());
    body.extend(content.iter().take(length.into()));
}

fn framed(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut length = body.len();
    loop {
        let byte = u8::try_from(length & 0x7f).unwrap_or(0);
        length >>= 7;
        packet.push(if length > 0 { byte | 0x80 } else { byte });
        if length == 0 {
            break;
        }
    }
    packet.extend(body);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_as_the_specification_has_it() {
        let three = Protocol::Three;
        let five = [0x10, 14, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 30, 0, 0, 1, b'a'];
        assert_eq!(connect(Protocol::Five, "a", 30, None), five);
        let subscribe_five = subscribe(Protocol::Five, 7, &["b".to_owned()]);
        assert_eq!(subscribe_five, [0x82, 7, 0, 7, 0, 0, 1, b'b', 1]);
        let plain = [0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 30, 0, 1, b'a'];
        assert_eq!(connect(three, "a", 30, None), plain);
        let secret = connect(three, "a", 30, Some(("u", Some(b"p"))));
        assert_eq!(secret[9], CLEAN | USER | PASSWORD);
        assert_eq!(secret[15..], [0, 1, b'u', 0, 1, b'p']);
        assert_eq!(connect(three, "a", 30, Some(("u", None)))[9], CLEAN | USER);
        assert_eq!(subscribe(three, 7, &["b".to_owned()]), [0x82, 6, 0, 7, 0, 1, b'b', 1]);
        let long = subscribe(three, 1, &["x".repeat(200)]);
        assert_eq!(long[..3], [0x82, 0xcd, 0x01]);
        assert_eq!(long.len(), 3 + 205);
    }

    #[test]
    fn what_comes_is_read_when_all_of_it_is_there() {
        let three = Protocol::Three;
        let bytes = [0x20, 2, 0, 5, 0x90, 4, 0, 7, 1, 0x80, 0x33, 7, 0, 1, b't', 0, 9, b'x', b'y'];
        let (packet, used) = read(three, &bytes).unwrap().unwrap();
        assert_eq!((packet, used), (Packet::ConnAck(5), 4));
        let (packet, used) = read(three, &bytes[4..]).unwrap().unwrap();
        assert_eq!((packet, used), (Packet::SubAck { id: 7, codes: &[1, 0x80] }, 6));
        let (packet, used) = read(three, &bytes[10..]).unwrap().unwrap();
        assert_eq!(used, 9);
        assert_eq!(packet, Packet::Publish { topic: b"t", payload: b"xy", retain: true });
        for cut in [0, 1, 3, 5, 9, 12] {
            let begin = [0, 4, 10].into_iter().rfind(|begin| *begin <= cut).unwrap();
            assert_eq!(read(three, &bytes[begin..cut]), Ok(None), "{cut}");
        }
        assert_eq!(read(three, &[0xd0, 0]), Ok(Some((Packet::Other, 2))));
    }

    #[test]
    fn what_comes_in_mqtt_5_has_its_properties_left_out() {
        let five = Protocol::Five;
        let bytes =
            [0x20, 3, 0, 0, 0, 0x90, 5, 0, 7, 0, 1, 0x87, 0x33, 8, 0, 1, b't', 0, 9, 0, b'x', b'y'];
        assert_eq!(read(five, &bytes), Ok(Some((Packet::ConnAck(0), 5))));
        let suback = Packet::SubAck { id: 7, codes: &[1, 0x87] };
        assert_eq!(read(five, &bytes[5..]), Ok(Some((suback, 7))));
        let publish = Packet::Publish { topic: b"t", payload: b"xy", retain: true };
        assert_eq!(read(five, &bytes[12..]), Ok(Some((publish, 10))));
        assert!(read(five, &[0x30, 3, 0, 1, b't']).is_err());
    }

    #[test]
    fn what_is_no_mqtt_is_refused_and_never_panics() {
        let three = Protocol::Three;
        assert!(read(three, &[0x30, 0xff, 0xff, 0xff, 0xff, 0x01]).is_err());
        assert!(read(three, &[0x20, 0]).is_err());
        assert!(read(three, &[0x30, 3, 0, 9, b'x']).is_err());
        assert!(read(three, &[0x32, 3, 0, 1, b'x']).is_err());
        for first in 0..=255_u8 {
            for second in 0..=255_u8 {
                for protocol in [Protocol::Three, Protocol::Five] {
                    let _ = read(protocol, &[first, second, 0xff, 0x7f, 0, 1]);
                }
            }
        }
    }
}
