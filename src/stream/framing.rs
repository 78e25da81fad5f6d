//! Framing: where MQTT packets begin and end, and what becomes of one that the client can't take.
//!
//! A message (PUBLISH) above the limit, or one that MQTT doesn't allow, is dropped as it comes, byte
//! by byte; only its topic and its packet identifier are kept. When its last byte is there, a small
//! message takes its place: same flags and packet identifier, with a payload by which [`Mark::read`]
//! and [`Mark::read_unfit`] know it. So the client acknowledges it like any other, and the session
//! goes on. Whatever else is too large, or is no MQTT at all, ends the session. Some answers are held
//! until they are whole.

use broker::Protocol;

use crate::answers::{Codes, Held, NoSession};
use crate::five::{self, Said};
use crate::mark::{LONGEST_REPLACEMENT, Mark};
use crate::message::{Fate, Head, Message, look};
use crate::offers::Offers;
use crate::owed::{Answer, Odd, Owed};

/// Packet type of a message.
const MESSAGE: u8 = 3;
/// Bytes of a length in a fixed header, at most (MQTT 3.1.1 §2.2.3), and what each counts.
const MAX_LENGTH_BYTES: usize = 4;
const SHIFTS: [u32; MAX_LENGTH_BYTES] = [0, 7, 14, 21];
/// Why a session can't go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// No MQTT server sends this.
    #[error("{}", no_packet(*.0))]
    NoPacket(u8),
    /// An answer of the broker that ends the session.
    #[error(transparent)]
    Answer(#[from] NoSession),
    /// More than MQTT's framing allows.
    #[error("a packet came whose length is not MQTT's: a broker doesn't send that")]
    Length,
    /// Not a message, and still above the limit.
    #[error("a packet of type {kind} and {bytes} bytes came: only messages may be so large")]
    Large { kind: u8, bytes: u64 },
}

fn no_packet(first: u8) -> String {
    match first >> 4 {
        MESSAGE => {
            "a message with quality of service 3 came, which MQTT doesn't have, and for which it \
                    wants the connection to be ended: look in the broker's log who sent it"
                .to_owned()
        }
        _ => format!(
            "what came is no MQTT packet (its first byte is {first:#04x}): what listens there?"
        ),
    }
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
    owed: Owed,
    /// An answer that isn't as MQTT has it.
    odd: Option<Odd>,
    protocol: Protocol,
    /// What an answer said besides.
    said: Option<Said>,
}

#[derive(Debug)]
enum State {
    /// Between packets, or within a fixed header that came in parts.
    Header(Vec<u8>),
    /// Within a packet that goes on.
    Passing(usize),
    /// Within an answer that is held.
    Holding(Held),
    /// Within a message that isn't as it is to go on, as far as is known.
    Message(Message),
}

impl Framing {
    /// `limit`: the largest packet that goes on, without its fixed header.
    pub fn new(limit: usize, mark: Mark) -> Framing {
        Framing {
            limit,
            mark,
            state: State::Header(Vec::new()),
            insert: Vec::new(),
            codes: None,
            owed: Owed::default(),
            odd: None,
            protocol: Protocol::default(),
            said: None,
        }
    }

    /// Of this protocol.
    #[must_use]
    pub fn speaking(self, protocol: Protocol) -> Framing {
        Framing { protocol, ..self }
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

    /// What the client writes, from now on all of it.
    pub(crate) fn owed(&mut self) -> &mut Owed {
        &mut self.owed
    }

    /// What the broker offers, where the CONNACK that goes on next said so.
    pub(crate) fn take_offers(&mut self) -> Option<Offers> {
        match self.said.take() {
            Some(Said::Offers(offers)) => Some(*offers),
            said => {
                self.said = said;
                None
            }
        }
    }

    /// The code by which a publication was refused, and the broker's words.
    pub(crate) fn take_refusal(&mut self) -> Option<(u8, Option<String>)> {
        match self.said.take() {
            Some(Said::Refusal(code, text)) => Some((code, text)),
            said => {
                self.said = said;
                None
            }
        }
    }

    /// What was odd about an answer.
    pub(crate) fn take_odd(&mut self) -> Option<Odd> {
        self.odd.take()
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
            State::Message(_) => Ok(Portion::Drop(self.within_message(bytes))),
        }
    }

    /// Takes what of `bytes` belongs to the message; how many that are.
    fn within_message(&mut self, bytes: &[u8]) -> usize {
        let State::Message(message) = &mut self.state else { return 0 };
        let (taken, fate) = message.take(bytes, &self.mark);
        match fate {
            Fate::Pending => {}
            Fate::GoesOn(head, behind) => {
                self.insert = head;
                self.state =
                    if behind > 0 { State::Passing(behind) } else { State::Header(Vec::new()) };
            }
            Fate::Replaced(packet) => {
                self.insert = packet;
                self.state = State::Header(Vec::new());
            }
        }
        taken
    }

    /// A message begins that isn't as it is to go on, as far as is known.
    fn begin_message(&mut self, header: &Header) {
        let is_too_large = header.length > self.limit;
        self.state =
            State::Message(Message::new(self.protocol, header.first, header.length, is_too_large));
        // One without a byte is over with its header.
        self.within_message(&[]);
    }

    /// What is held goes on, once it is whole.
    fn answer_if_whole(&mut self) -> Result<(), FramingError> {
        if matches!(&self.state, State::Holding(held) if held.is_whole())
            && let State::Holding(held) =
                std::mem::replace(&mut self.state, State::Header(Vec::new()))
        {
            let (bytes, header) = held.into_parts();
            match self.protocol {
                Protocol::Three => self.answered(bytes, header)?,
                Protocol::Five => {
                    let filters = self.owed.unsubscribed(&bytes, header);
                    let plain = five::plain(bytes, header)?;
                    self.answered(plain.packet, plain.header)?;
                    if !self.insert.is_empty() {
                        let packet = std::mem::take(&mut self.insert);
                        match plain.said {
                            Said::Text(text) => match &mut self.codes {
                                Some(codes) => codes.text = Some(text),
                                None => self.codes = five::codes(&packet, text),
                            },
                            said => self.said = Some(said),
                        }
                        let said = self.said.as_ref().unwrap_or(&Said::Nothing);
                        self.insert = five::again(packet, said, filters);
                    }
                }
            }
        }
        Ok(())
    }

    /// An answer in the shape of MQTT 3.1.1.
    fn answered(&mut self, bytes: Vec<u8>, header: usize) -> Result<(), FramingError> {
        match self.owed.answered(bytes, header) {
            Answer::SteppedOver(odd) => self.odd = Some(odd),
            Answer::GoesOn(packet, odd) => {
                self.odd = odd;
                (self.insert, self.codes) = Held::whole(packet).answer()?;
            }
        }
        Ok(())
    }

    /// As many packets as are here in one piece, from the beginning of one.
    fn packets(&mut self, bytes: &[u8]) -> Result<Portion, FramingError> {
        let mut passed = 0_usize;
        while let Some(rest) = bytes.get(passed..).filter(|rest| !rest.is_empty()) {
            let header = match Header::read(rest).and_then(|header| self.judge(header)) {
                Ok(Fixed::Fits(header)) => header,
                Ok(Fixed::Message(header)) if header.fits(self.protocol, rest) => header,
                Ok(Fixed::Answer(header)) if self.owed.settles(rest) => header,
                // The next call's, once what is before it is gone.
                _ if passed > 0 => break,
                Ok(Fixed::Message(header) | Fixed::TooLarge(header)) => {
                    self.begin_message(&header);
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
            (false, kind)
                if Held::wants(header.first, header.length)
                    || self.owed.wants(kind, header.length) =>
            {
                Ok(Fixed::Answer(header))
            }
            (false, MESSAGE) => Ok(Fixed::Message(header)),
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
            Fixed::Message(header) | Fixed::TooLarge(header) => self.begin_message(&header),
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
    /// Not larger than it may be.
    Message(Header),
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

    /// Whether a message that begins with `bytes` has a head which the client takes, as it is and as
    /// far as it is known: all of it is.
    fn fits(&self, protocol: Protocol, bytes: &[u8]) -> bool {
        let end = self.size.saturating_add(self.length).min(bytes.len());
        let body = bytes.get(self.size..end).unwrap_or_default();
        look(protocol, self.first, self.length, body) == Head::Fits
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests count small numbers")]
mod tests;
