//! Framing: where MQTT packets begin and end, and what becomes of one that is too large.
//!
//! A message (PUBLISH) above the limit is dropped as it comes, byte by byte; only its topic and
//! its packet identifier are kept. When its last byte is there, a small message takes its place:
//! same topic, flags and packet identifier, with a payload by which [`Mark::read`] knows it. So
//! the client acknowledges it like any other, and the session goes on. Whatever else is too
//! large, or is no MQTT at all, ends the session. Some answers are held until they are whole.

use std::hash::{BuildHasher, RandomState};

use crate::answers::{Codes, Held, NoSession};

/// Packet type of a message.
const MESSAGE: u8 = 3;
/// Bytes of a length in a fixed header, at most (MQTT 3.1.1 §2.2.3), and what each counts.
const MAX_LENGTH_BYTES: usize = 4;
const SHIFTS: [u32; MAX_LENGTH_BYTES] = [0, 7, 14, 21];
/// What takes the place of a message is never larger than the longest topic, two lengths and a
/// mark.
const LONGEST_REPLACEMENT: usize = 65_535 + 64;
const SECRET_BYTES: usize = 16;
const MARK_BYTES: usize = SECRET_BYTES + 8;

/// What stands where a message was: a payload that nobody else can make.
#[derive(Clone)]
pub struct Mark([u8; SECRET_BYTES]);

/// A message that was too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge {
    /// The packet without its fixed header.
    pub bytes: u64,
}

/// Why a session can't go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// No MQTT server sends this.
    #[error("what came is no MQTT packet (its first byte is {0:#04x}): what listens there?")]
    NoPacket(u8),
    /// An answer of the broker that ends the session.
    #[error(transparent)]
    Answer(#[from] NoSession),
    /// More than MQTT's framing allows.
    #[error("a packet came whose length is not MQTT's: a broker doesn't send that")]
    Length,
    /// A message that contradicts its own length.
    #[error("a message of {0} bytes came whose topic is longer than all of it")]
    Topic(u64),
    /// Not a message, and still above the limit.
    #[error("a packet of type {kind} and {bytes} bytes came: only messages may be so large")]
    Large { kind: u8, bytes: u64 },
}

/// What becomes of the next bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Portion {
    /// So many go on as they are.
    Pass(usize),
    /// So many are gone.
    Drop(usize),
}

/// Watches one connection's packets.
#[derive(Debug)]
pub struct Framing {
    limit: usize,
    mark: Mark,
    state: State,
    /// Goes on before anything that comes later.
    insert: Vec<u8>,
    /// Of a SUBACK, as the client doesn't see them.
    codes: Option<Codes>,
}

#[derive(Debug)]
enum State {
    /// Between packets, or within a fixed header that came in parts.
    Header(Vec<u8>),
    /// Within a packet that goes on.
    Passing(usize),
    /// Within an answer that is held.
    Holding(Held),
    /// Within a message that is too large.
    Dropping(Dropping),
}

/// A message that is too large, while it comes.
#[derive(Debug)]
struct Dropping {
    first: u8,
    bytes: usize,
    rest: usize,
    /// Length of the topic, the topic, and the packet identifier.
    head: Vec<u8>,
}

impl Mark {
    /// Another one in every process.
    #[expect(clippy::new_without_default, reason = "no two are alike")]
    pub fn new() -> Mark {
        // The standard library's only source of randomness: keyed, and never shown to anybody.
        let random = RandomState::new();
        let (low, high) = (random.hash_one(0), random.hash_one(1));
        let mut secret = [0; SECRET_BYTES];
        let halves = low.to_be_bytes().into_iter().chain(high.to_be_bytes());
        secret.iter_mut().zip(halves).for_each(|(byte, random)| *byte = random);
        Mark(secret)
    }

    /// What was too large, if `payload` stands for it.
    pub fn read(&self, payload: &[u8]) -> Option<TooLarge> {
        let bytes = payload.strip_prefix(&self.0)?;
        Some(TooLarge { bytes: u64::from_be_bytes(bytes.try_into().ok()?) })
    }

    fn of(&self, bytes: usize) -> [u8; MARK_BYTES] {
        let size = u64::try_from(bytes).unwrap_or(u64::MAX).to_be_bytes();
        let mut mark = [0; MARK_BYTES];
        mark.iter_mut().zip(self.0.into_iter().chain(size)).for_each(|(byte, new)| *byte = new);
        mark
    }
}

/// Without the secret.
impl std::fmt::Debug for Mark {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Mark")
    }
}

impl Framing {
    /// `limit`: the largest packet that goes on, without its fixed header.
    pub fn new(limit: usize, mark: Mark) -> Framing {
        let (state, insert) = (State::Header(Vec::new()), Vec::new());
        Framing { limit, mark, state, insert, codes: None }
    }

    /// What the MQTT client behind it has to take: packets up to `limit`, and what stands for
    /// larger ones.
    pub fn client_limit(limit: usize) -> usize {
        limit.max(LONGEST_REPLACEMENT)
    }

    /// What goes on before anything else.
    pub(crate) fn insert(&mut self) -> &mut Vec<u8> {
        &mut self.insert
    }

    /// The codes of the SUBACK that goes on next, where the client doesn't see them.
    pub(crate) fn take_codes(&mut self) -> Option<Codes> {
        self.codes.take()
    }

    /// Looks at the bytes that came; `bytes` isn't empty. [`Framing::insert`] is emptied before.
    pub(crate) fn next(&mut self, bytes: &[u8]) -> Result<Portion, FramingError> {
        match &mut self.state {
            State::Header(held) if held.is_empty() => self.packets(bytes),
            State::Header(_) => self.held_header(bytes),
            State::Passing(rest) => {
                let passed = bytes.len().min(*rest);
                *rest = rest.saturating_sub(passed);
                if *rest == 0 {
                    self.state = State::Header(Vec::new());
                }
                Ok(Portion::Pass(passed))
            }
            State::Holding(held) => {
                let taken = held.take(bytes);
                self.answer_if_whole()?;
                Ok(Portion::Drop(taken))
            }
            State::Dropping(dropping) => {
                let dropped = dropping.take(bytes)?;
                if dropping.rest == 0 {
                    self.insert = dropping.replacement(&self.mark);
                    self.state = State::Header(Vec::new());
                }
                Ok(Portion::Drop(dropped))
            }
        }
    }

    /// What is held goes on, once it is whole.
    fn answer_if_whole(&mut self) -> Result<(), FramingError> {
        if matches!(&self.state, State::Holding(held) if held.is_whole())
            && let State::Holding(held) =
                std::mem::replace(&mut self.state, State::Header(Vec::new()))
        {
            (self.insert, self.codes) = held.answer()?;
        }
        Ok(())
    }

    /// As many packets as are here in one piece, from the beginning of one.
    fn packets(&mut self, bytes: &[u8]) -> Result<Portion, FramingError> {
        let mut passed = 0_usize;
        while let Some(rest) = bytes.get(passed..).filter(|rest| !rest.is_empty()) {
            let header = match Header::read(rest).and_then(|header| self.judge(header)) {
                Ok(Fixed::Fits(header)) => header,
                // The next call's, once what is before it is gone.
                _ if passed > 0 => break,
                Ok(Fixed::TooLarge(header)) => {
                    self.state = State::Dropping(Dropping::new(&header));
                    return Ok(Portion::Drop(header.size));
                }
                Ok(Fixed::Answer(header)) => {
                    let head = rest.get(..header.size).unwrap_or_default();
                    self.state = State::Holding(Held::new(head, header.length));
                    self.answer_if_whole()?;
                    return Ok(Portion::Drop(header.size));
                }
                Ok(Fixed::Incomplete) => {
                    self.state = State::Header(rest.to_vec());
                    return Ok(Portion::Drop(rest.len()));
                }
                Err(error) => return Err(error),
            };
            let end = passed.saturating_add(header.size).saturating_add(header.length);
            passed = end.min(bytes.len());
            if end > passed {
                self.state = State::Passing(end.saturating_sub(passed));
                break;
            }
        }
        Ok(Portion::Pass(passed))
    }

    fn judge(&self, header: Option<Header>) -> Result<Fixed, FramingError> {
        let Some(header) = header else { return Ok(Fixed::Incomplete) };
        match (header.length > self.limit, header.first >> 4) {
            (false, _) if Held::wants(header.first, header.length) => Ok(Fixed::Answer(header)),
            (false, _) => Ok(Fixed::Fits(header)),
            (true, MESSAGE) => Ok(Fixed::TooLarge(header)),
            (true, kind) => {
                let bytes = header.length.try_into().unwrap_or(u64::MAX);
                Err(FramingError::Large { kind, bytes })
            }
        }
    }

    /// The next byte of a fixed header that came in parts.
    fn held_header(&mut self, bytes: &[u8]) -> Result<Portion, FramingError> {
        let State::Header(held) = &mut self.state else { return Ok(Portion::Drop(0)) };
        held.extend(bytes.first());
        let held = std::mem::take(held);
        match Header::read(&held).and_then(|header| self.judge(header))? {
            Fixed::Incomplete => self.state = State::Header(held),
            Fixed::TooLarge(header) => self.state = State::Dropping(Dropping::new(&header)),
            Fixed::Answer(header) => {
                self.state = State::Holding(Held::new(&held, header.length));
                self.answer_if_whole()?;
            }
            Fixed::Fits(header) => {
                self.insert = held;
                if header.length > 0 {
                    self.state = State::Passing(header.length);
                }
            }
        }
        Ok(Portion::Drop(1))
    }
}

/// What a fixed header comes to.
enum Fixed {
    Incomplete,
    Fits(Header),
    Answer(Header),
    TooLarge(Header),
}

/// A fixed header.
struct Header {
    first: u8,
    /// Its own bytes.
    size: usize,
    /// Those of the packet behind it.
    length: usize,
}

impl Header {
    /// `None`: it isn't complete.
    fn read(bytes: &[u8]) -> Result<Option<Header>, FramingError> {
        let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
        // What a server sends: CONNACK, PUBLISH and its acknowledgements, SUBACK, UNSUBACK,
        // PINGRESP, and in MQTT 5 DISCONNECT; the lower bits are flags with PUBLISH, and fixed with the others.
        let fits = match (first >> 4, first & 0x0f) {
            (MESSAGE, flags) => flags & 0b110 != 0b110,
            (2 | 4 | 5 | 7 | 9 | 11 | 13 | 14, 0) | (6, 2) => true,
            _ => false,
        };
        if !fits {
            return Err(FramingError::NoPacket(first));
        }
        let mut length = 0_usize;
        for (place, (byte, shift)) in rest.iter().zip(SHIFTS).enumerate() {
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(Some(Header { first, size: place.saturating_add(2), length }));
            }
        }
        if rest.len() >= MAX_LENGTH_BYTES {
            return Err(FramingError::Length);
        }
        Ok(None)
    }
}

impl Dropping {
    fn new(header: &Header) -> Dropping {
        let Header { first, length, .. } = *header;
        Dropping { first, bytes: length, rest: length, head: Vec::new() }
    }

    /// How long the head is, as far as that is known.
    fn head_wanted(&self) -> usize {
        let [high, low, ..] = self.head[..] else { return 2 };
        let topic = usize::from(u16::from_be_bytes([high, low]));
        let identifier = if self.first & 0b110 == 0 { 0 } else { 2 };
        topic.saturating_add(2).saturating_add(identifier)
    }

    /// Takes what of `bytes` belongs to the message; how many that are.
    fn take(&mut self, bytes: &[u8]) -> Result<usize, FramingError> {
        let own = bytes.get(..self.rest.min(bytes.len())).unwrap_or_default();
        let mut rest = own;
        while let missing = self.head_wanted().saturating_sub(self.head.len())
            && missing > 0
            && !rest.is_empty()
        {
            let (head, behind) = rest.split_at(missing.min(rest.len()));
            self.head.extend_from_slice(head);
            rest = behind;
        }
        if self.head_wanted() > self.bytes {
            return Err(FramingError::Topic(self.bytes.try_into().unwrap_or(u64::MAX)));
        }
        self.rest = self.rest.saturating_sub(own.len());
        Ok(own.len())
    }

    /// The small message that takes its place.
    fn replacement(&self, mark: &Mark) -> Vec<u8> {
        let mark = mark.of(self.bytes);
        let mut length = self.head.len().saturating_add(mark.len());
        let mut packet = vec![self.first];
        while let low = u8::try_from(length & 0x7f).unwrap_or(0)
            && length > 0x7f
        {
            packet.push(low | 0x80);
            length >>= 7;
        }
        packet.push(u8::try_from(length).unwrap_or(0));
        packet.extend_from_slice(&self.head);
        packet.extend_from_slice(&mark);
        packet
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests count small numbers")]
mod tests;
