//! The recorded traffic of real edge libraries under `tests/data/captures`, for tests.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "for tests: a failure is a panic")]

use alloc::string::String;
use alloc::vec::Vec;

use serde::Deserialize;

/// One recorded MQTT message.
#[derive(Clone, Debug)]
pub struct Captured {
    pub topic: String,
    pub payload: Vec<u8>,
    pub retain: bool,
}

/// Every recording, by file name.
pub fn all() -> Vec<(&'static str, Vec<Captured>)> {
    [
        ("pysparkplug", include_str!("../../tests/data/captures/pysparkplug-edge.json")),
        ("srad", include_str!("../../tests/data/captures/srad-edge-aliases-rebirth.json")),
        ("javascript", include_str!("../../tests/data/captures/javascript-edge-deflate.json")),
    ]
    .into_iter()
    .map(|(name, text)| (name, parse(text)))
    .collect()
}

#[derive(Deserialize)]
struct File {
    messages: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    topic: String,
    payload_b64: String,
    retain: bool,
}

fn parse(text: &str) -> Vec<Captured> {
    let file: File = serde_json::from_str(text).unwrap();
    let message = |message: Message| Captured {
        payload: base64(&message.payload_b64),
        topic: message.topic,
        retain: message.retain,
    };
    file.messages.into_iter().map(message).collect()
}

fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0_u32);
    for character in text.bytes().filter(|byte| *byte != b'=') {
        let value = ALPHABET.iter().position(|byte| *byte == character).expect("base64");
        bits = bits << 6 | u32::try_from(value).unwrap();
        held = held.wrapping_add(6);
        if held >= 8 {
            held = held.wrapping_sub(8);
            bytes.push(u8::try_from(bits >> held & 0xff).unwrap());
        }
    }
    bytes
}
