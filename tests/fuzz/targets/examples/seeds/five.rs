//! Seeds of the sessions that speak MQTT 5.

use sparkplug::captures::Captured;
use targets::mqtt::{Packet, kind, publish};

use super::write;

/// A PUBLISH of MQTT 5 with these properties, which have a length of one byte.
fn publish_five(topic: &str, payload: &[u8], flags: u8, id: u16, properties: &[u8]) -> Packet {
    let head = publish(topic, &[], flags, id).body;
    let length = [u8::try_from(properties.len()).unwrap()];
    Packet::new(kind::PUBLISH, flags, &[&head, &length[..], properties, payload].concat())
}

/// What a broker says by MQTT 5.
pub(super) fn packets(captures: &[(&str, Vec<Captured>)]) {
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    for (library, messages) in captures {
        for qos in 0..3_u8 {
            let packets = (1..).zip(messages).flat_map(|(id, message)| {
                let flags = qos << 1 | u8::from(message.retain);
                // Message Expiry Interval and a User Property, which nobody reads.
                let properties = [2, 0, 0, 0, 9, 0x26, 0, 1, b'k', 0, 1, b'v'];
                let properties = if id % 2 == 0 { &properties[..] } else { &[] };
                publish_five(&message.topic, &message.payload, flags, id, properties).encode()
            });
            all.push((format!("{library}-qos{qos}"), packets.collect()));
        }
    }
    let command = publish_five("spBv1.0/g/NCMD/e", b"\x12\x00", 2, 9, &[]).encode();
    let disconnect = |code: u8, text: &str| {
        let length = u8::try_from(text.len()).unwrap();
        let body = [&[code, length + 3, 0x1f, 0, length], text.as_bytes()].concat();
        Packet::new(kind::DISCONNECT, 0, &body).encode()
    };
    all.push(("command".into(), command.clone()));
    all.push(("disconnect".into(), [command.clone(), disconnect(0x8b, "at six")].concat()));
    all.push(("aliased".into(), publish_five("", b"x", 0, 0, &[0x23, 0, 1]).encode()));
    all.push(("too-large".into(), publish_five("t", &[0; 5_000], 0, 0, &[]).encode()));
    all.push(("endless-properties".into(), vec![0x30, 8, 0, 1, b't', 0xff, 0xff, 0xff, 0xff, 1]));
    all.push(("auth".into(), Packet::new(15, 0, &[0x18, 0]).encode()));
    all.push(("nothing".into(), Vec::new()));
    for target in ["ot_connection_five", "it_connection_five"] {
        for (name, bytes) in &all {
            write(target, name, &[&[0], bytes.as_slice()].concat());
        }
        let connack = |properties: &[u8]| {
            let length = [u8::try_from(properties.len()).unwrap()];
            Packet::new(kind::CONNACK, 0, &[&[0, 0], &length[..], properties].concat()).encode()
        };
        let suback = Packet::new(kind::SUBACK, 0, &[0, 1, 0, 1, 1]).encode();
        // Limits of every kind: five topics with a number, packets of 100 bytes, one at a time.
        for (name, properties) in [
            ("aliases", &[0x22, 0, 5][..]),
            ("small-packets", &[0x27, 0, 0, 0, 100]),
            ("receive-one", &[0x21, 0, 1, 0x13, 0, 9, 0x11, 0, 0, 0, 9]),
            ("no-wildcards", &[0x28, 0, 0x25, 0, 0x2a, 0]),
            ("qos-0", &[0x24, 0]),
            ("assigned", &[0x12, 0, 1, b'x', 0x1f, 0, 2, b'h', b'i']),
        ] {
            let input = [&[0x25], &connack(properties)[..], &suback, &command].concat();
            write(target, name, &input);
        }
        let refused = Packet::new(kind::CONNACK, 0, &[0, 0x88, 0]).encode();
        write(target, "refused", &[&[5], &refused[..]].concat());
    }
    // The broker waits for what it answers: the births at either QoS, then all that follows.
    for (flags, name) in [(0x20, "qos0"), (0x60, "qos1"), (0xa0, "open")] {
        let answers = (2..=6_u16).flat_map(|id| {
            let acknowledged = Packet::new(kind::PUBACK, 0, &id.to_be_bytes()).encode();
            let body = [&id.to_be_bytes()[..], &[0, 0x11]].concat();
            [acknowledged, Packet::new(kind::UNSUBACK, 0, &body).encode()].concat()
        });
        let input: Vec<u8> = std::iter::once(flags).chain(answers).collect();
        write("it_connection_five", &format!("answers-{name}"), &input);
    }
}
