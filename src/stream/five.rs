//! Answers of MQTT 5 in the shape that those of MQTT 3.1.1 have, and back: so both are judged, stepped over
//! and mended by the same code. What they say besides (reasons, and what the broker offers) is taken
//! out here, and the client gets what it needs of it and nothing that it could end the session for.
//!
//! | packet | as it comes (MQTT 5) | as it is judged | as it goes on |
//! |---|---|---|---|
//! | CONNACK | flags, code, properties | flags, code | flags, code, three limits |
//! | PUBACK, PUBREC, PUBCOMP | identifier [, code [, properties]] | identifier | identifier |
//! | SUBACK | identifier, properties, codes | identifier, codes | identifier, 0, codes |
//! | UNSUBACK | identifier, properties, codes | identifier | identifier, 0, a code per filter |
//! | DISCONNECT | [code [, properties]] | ends the session | |

use crate::answers::{CONNACK, Codes, DISCONNECT, Disconnect, NoSession};
use crate::message::{packet, varint};
use crate::offers::Offers;
use crate::owed::{PUBACK, PUBCOMP, PUBREC, SUBACK, UNSUBACK};
use crate::properties::Properties;

/// Server Reference (MQTT 5 §3.2.2.3.16).
const SERVER_REFERENCE: u8 = 0x1c;

/// An answer in the shape of MQTT 3.1.1, with what it says besides.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plain {
    pub(crate) packet: Vec<u8>,
    /// Of its fixed header.
    pub(crate) header: usize,
    pub(crate) said: Said,
}

/// What an answer says besides.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Nothing,
    Offers(Box<Offers>),
    /// In words of the broker's own.
    Text(String),
    /// The code by which it refuses what was published, and its words.
    Refusal(u8, Option<String>),
}

/// Looks at a whole answer, of which so many bytes are its fixed header.
///
/// # Errors
/// It ends the session.
pub(crate) fn plain(whole: Vec<u8>, header: usize) -> Result<Plain, NoSession> {
    let first = whole.first().copied().unwrap_or_default();
    let body = whole.get(header..).unwrap_or_default();
    let shaped = |body: &[u8], said| {
        let packet = packet(first, body.len(), body);
        let header = packet.len().saturating_sub(body.len());
        Ok(Plain { packet, header, said })
    };
    match (first >> 4, body) {
        (CONNACK, body) => connack(body).and_then(|(plain, said)| shaped(&plain, said)),
        (DISCONNECT, body) => Err(disconnect(body)),
        (PUBACK | PUBREC | PUBCOMP, [high, low, code, rest @ ..]) => {
            let text = Properties::read(rest).and_then(|properties| told(&properties));
            let said = match code {
                0x80.. => Said::Refusal(*code, text),
                _ => Said::Nothing,
            };
            shaped(&[*high, *low], said)
        }
        (SUBACK, [high, low, rest @ ..]) => {
            // One whose properties can't be read has no codes, and so refuses.
            let (text, codes) = match Properties::split(rest) {
                Some((properties, codes)) => (told(&properties), codes),
                None => (None, &[][..]),
            };
            let said = text.map_or(Said::Nothing, Said::Text);
            shaped(&[&[*high, *low], codes].concat(), said)
        }
        (UNSUBACK, [high, low, ..]) => shaped(&[*high, *low], Said::Nothing),
        _ => Ok(Plain { packet: whole, header, said: Said::Nothing }),
    }
}

/// Flags and code; what is offered.
fn connack(body: &[u8]) -> Result<(Vec<u8>, Said), NoSession> {
    match body {
        // Without the properties that MQTT 5 has in each: a broker of MQTT 3.1.1, and in one session of it
        // nobody would be.
        [_, 0] => Err(NoSession::Three),
        [_, code] => Err(NoSession::Refused { code: *code, text: None }),
        [flags, code, rest @ ..] => {
            let Some(properties) = Properties::read(rest) else {
                return Err(NoSession::Unreadable("CONNACK"));
            };
            if *code != 0 {
                return Err(NoSession::Refused { code: *code, text: told(&properties) });
            }
            let offers = Offers::of(&properties)?;
            Ok((vec![*flags, *code], Said::Offers(Box::new(offers))))
        }
        _ => Err(NoSession::Unreadable("CONNACK")),
    }
}

fn disconnect(body: &[u8]) -> NoSession {
    let code = body.first().copied();
    let properties = Properties::read(body.get(1..).unwrap_or_default());
    let text = properties.and_then(|properties| told(&properties));
    NoSession::Disconnect(Disconnect { code, text })
}

/// What the broker says in words of its own, and where it sends us.
fn told(properties: &Properties<'_>) -> Option<String> {
    match (properties.reason(), properties.text(SERVER_REFERENCE)) {
        (Some(text), Some(server)) => Some(format!("{text}; {server}")),
        (text, server) => text.or(server),
    }
}

/// What a SUBACK in the shape of MQTT 3.1.1 has besides its codes.
pub(crate) fn codes(plain: &[u8], text: String) -> Option<Codes> {
    let lengths = plain.iter().skip(1).take_while(|byte| *byte & 0x80 != 0).count();
    let (id, codes) = plain.get(lengths.saturating_add(2)..)?.split_first_chunk::<2>()?;
    Some(Codes { id: u16::from_be_bytes(*id), codes: codes.to_vec(), text: Some(text) })
}

/// The packet in the shape that a client of MQTT 5 takes. `filters`: of the UNSUBSCRIBE that it answers.
pub(crate) fn again(plain: Vec<u8>, said: &Said, filters: usize) -> Vec<u8> {
    let first = plain.first().copied().unwrap_or_default();
    // Shorter than any answer whose length takes more than a byte, but for SUBACK.
    let lengths = plain.iter().skip(1).take_while(|byte| *byte & 0x80 != 0).count();
    let body = plain.get(lengths.saturating_add(2)..).unwrap_or_default();
    let shaped = |parts: &[&[u8]]| {
        let body = parts.concat();
        packet(first, body.len(), &body)
    };
    match (first >> 4, body) {
        (CONNACK, body) => {
            let limits = match said {
                Said::Offers(offers) => offers.limits(),
                _ => Vec::new(),
            };
            shaped(&[body, &varint(limits.len()), &limits])
        }
        (SUBACK, [high, low, codes @ ..]) => shaped(&[&[*high, *low, 0], codes]),
        (UNSUBACK, body) => shaped(&[body, &[0], &vec![0; filters]]),
        _ => plain,
    }
}

#[cfg(test)]
mod tests;
