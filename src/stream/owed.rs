//! Answers that the broker owes, by what the client has written. One that nobody waits for is stepped over,
//! and one that is nearly as MQTT has it is mended: the client would end the session for it, and with
//! the next one again, if the broker is like that.

use std::collections::HashSet;

use crate::message::{packet, read_varint};

const CONNECT: u8 = 1;
pub(crate) const CONNACK: u8 = 2;
const PUBLISH: u8 = 3;
pub(crate) const PUBACK: u8 = 4;
pub(crate) const PUBREC: u8 = 5;
pub(crate) const PUBCOMP: u8 = 7;
const SUBSCRIBE: u8 = 8;
pub(crate) const SUBACK: u8 = 9;
const UNSUBSCRIBE: u8 = 10;
pub(crate) const UNSUBACK: u8 = 11;
pub(crate) const PINGRESP: u8 = 13;
/// A code of a SUBACK: refused.
const REFUSED: u8 = 0x80;
/// Where the protocol level of a CONNECT is, MQTT 5's level, where its flags are, and the one of them that asks
/// for a new session.
const CONNECT_LEVEL: usize = 6;
const FIVE: u8 = 5;
const CONNECT_FLAGS: usize = 7;
const CLEAN: u8 = 0b10;

/// What is owed; nothing is known of that before [`Owed::watch`].
#[derive(Debug, Default)]
pub(crate) struct Owed(Option<Waits>);

#[derive(Debug, Default)]
struct Waits {
    connect: Option<Connect>,
    /// Requests have properties.
    is_five: bool,
    /// Packet identifiers, with their numbers of filters.
    subscribes: Vec<(u16, usize)>,
    unsubscribes: Vec<(u16, usize)>,
    /// At QoS 1.
    publications: HashSet<u16>,
    /// Something was published at QoS 2, whose answers go on as they are.
    exactly_once: bool,
}

#[derive(Debug)]
struct Connect {
    is_clean: bool,
    is_answered: bool,
}

/// An answer that isn't as MQTT has it; the session goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Odd {
    #[error("a second CONNACK")]
    SecondConnack,
    #[error("{0} for a packet that we didn't send (identifier {1})")]
    Unasked(&'static str, u16),
    #[error("{0} without an identifier")]
    WithoutIdentifier(&'static str),
    #[error(
        "a SUBACK with codes for {got} of {wanted} filters: those without one count as refused, codes \
         without a filter for nothing"
    )]
    Codes { wanted: usize, got: usize },
}

/// What becomes of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// This goes on.
    GoesOn(Vec<u8>, Option<Odd>),
    SteppedOver(Odd),
}

impl Owed {
    /// From now on all that is written is said, in whole packets.
    pub(crate) fn watch(&mut self) {
        self.0.get_or_insert_default();
    }

    /// Whether an answer of this kind and length is looked at as a whole.
    pub(crate) fn wants(&self, kind: u8, length: usize) -> bool {
        self.0.is_some()
            && match kind {
                PUBACK | PUBREC | PUBCOMP | UNSUBACK => true,
                PINGRESP => length > 0,
                _ => false,
            }
    }

    /// The client has written these packets.
    pub(crate) fn wrote(&mut self, bytes: &[u8]) {
        if let Some(waits) = &mut self.0
            && waits.wrote(bytes).is_none()
        {
            // Not whole packets: nobody knows any more what is owed, and all answers go on.
            self.0 = None;
        }
    }

    /// Filters of the UNSUBSCRIBE that a whole UNSUBACK answers, of which so many bytes are its fixed header.
    pub(crate) fn unsubscribed(&self, whole: &[u8], header: usize) -> usize {
        let asked = self.0.as_ref().zip(number(whole.get(header..).unwrap_or_default()));
        let found =
            asked.and_then(|(waits, id)| waits.unsubscribes.iter().find(|(asked, _)| *asked == id));
        found.map_or(1, |(_, filters)| *filters)
    }

    /// Whether this is a plain PUBACK that is owed, which settles it: by far most answers.
    pub(crate) fn settles(&mut self, packet: &[u8]) -> bool {
        match (packet, &mut self.0) {
            ([first, 2, high, low, ..], Some(waits)) if first >> 4 == PUBACK => {
                waits.publications.remove(&u16::from_be_bytes([*high, *low]))
            }
            _ => false,
        }
    }

    /// Looks at a whole answer, of which so many bytes are its fixed header.
    pub(crate) fn answered(&mut self, whole: Vec<u8>, header: usize) -> Answer {
        let Some(waits) = &mut self.0 else { return Answer::GoesOn(whole, None) };
        let first = whole.first().copied().unwrap_or_default();
        let body = whole.get(header..).unwrap_or_default();
        match waits.look(first, body) {
            Ok((None, odd)) => Answer::GoesOn(whole, odd),
            Ok((Some(mended), odd)) => Answer::GoesOn(mended, odd),
            Err(odd) => Answer::SteppedOver(odd),
        }
    }
}

/// The packet in its place, if there has to be one, and what is odd about it; or why it is stepped over.
type Looked = Result<(Option<Vec<u8>>, Option<Odd>), Odd>;

impl Waits {
    /// `None`: these aren't whole packets.
    fn wrote(&mut self, mut bytes: &[u8]) -> Option<()> {
        while let Some((first, mut rest)) = bytes.split_first() {
            let mut length = 0_usize;
            for shift in [0, 7, 14, 21] {
                let (byte, behind) = rest.split_first()?;
                rest = behind;
                length |= usize::from(byte & 0x7f) << shift;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            let (body, behind) = rest.split_at_checked(length)?;
            self.one(*first, body)?;
            bytes = behind;
        }
        Some(())
    }

    fn one(&mut self, first: u8, body: &[u8]) -> Option<()> {
        match first >> 4 {
            CONNECT => {
                self.is_five = *body.get(CONNECT_LEVEL)? == FIVE;
                let is_clean = body.get(CONNECT_FLAGS)? & CLEAN != 0;
                self.connect = Some(Connect { is_clean, is_answered: false });
            }
            PUBLISH => match first >> 1 & 3 {
                0 => {}
                1 => {
                    let (_, behind) = text(body)?;
                    self.publications.insert(number(behind)?);
                }
                _ => self.exactly_once = true,
            },
            SUBSCRIBE => {
                let (id, mut rest) = (number(body)?, self.behind_properties(body.get(2..)?)?);
                let mut filters = 0_usize;
                while !rest.is_empty() {
                    rest = text(rest)?.1.get(1..)?;
                    filters = filters.saturating_add(1);
                }
                self.subscribes.push((id, filters));
            }
            UNSUBSCRIBE => {
                let (id, mut rest) = (number(body)?, self.behind_properties(body.get(2..)?)?);
                let mut filters = 0_usize;
                while !rest.is_empty() {
                    rest = text(rest)?.1;
                    filters = filters.saturating_add(1);
                }
                self.unsubscribes.push((id, filters));
            }
            _ => {}
        }
        Some(())
    }

    /// What is behind the properties, where there are any.
    fn behind_properties<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        if !self.is_five {
            return Some(bytes);
        }
        let (length, size) = read_varint(bytes)?;
        bytes.get(length.saturating_add(size)..)
    }

    fn look(&mut self, first: u8, body: &[u8]) -> Looked {
        match first >> 4 {
            CONNACK => self.connack(first, body),
            PINGRESP => Ok((Some(packet(first, 0, &[])), None)),
            PUBREC | PUBCOMP if self.exactly_once => Ok((None, None)),
            PUBREC => self.numbered(first, body, "a PUBREC", |_, _| false),
            PUBCOMP => self.numbered(first, body, "a PUBCOMP", |_, _| false),
            PUBACK => {
                self.numbered(first, body, "a PUBACK", |waits, id| waits.publications.remove(&id))
            }
            UNSUBACK => self.numbered(first, body, "an UNSUBACK", |waits, id| {
                let place = waits.unsubscribes.iter().position(|(asked, _)| *asked == id);
                place.map(|place| waits.unsubscribes.remove(place)).is_some()
            }),
            SUBACK => self.suback(first, body),
            _ => Ok((None, None)),
        }
    }

    fn connack(&mut self, first: u8, body: &[u8]) -> Looked {
        // Before there is a CONNECT, and what has no code, the client judges.
        let (Some(connect), [flags, code, behind @ ..]) = (&mut self.connect, body) else {
            return Ok((None, None));
        };
        if std::mem::replace(&mut connect.is_answered, true) {
            return Err(Odd::SecondConnack);
        }
        // Nothing was kept where a new session was asked for, and where there is none (MQTT 3.1.1
        // §3.2.2.2); the other flags are reserved.
        let present = flags & u8::from(*code == 0 && !connect.is_clean);
        if present == *flags || !behind.is_empty() {
            return Ok((None, None));
        }
        Ok((Some(packet(first, 2, &[present, *code])), None))
    }

    fn suback(&mut self, first: u8, body: &[u8]) -> Looked {
        let id = number(body).ok_or(Odd::WithoutIdentifier("a SUBACK"))?;
        let place = self.subscribes.iter().position(|(asked, _)| *asked == id);
        let (_, wanted) =
            place.map(|place| self.subscribes.remove(place)).ok_or(Odd::Unasked("a SUBACK", id))?;
        let codes = body.get(2..).unwrap_or_default();
        if codes.len() == wanted {
            return Ok((None, None));
        }
        let odd = Odd::Codes { wanted, got: codes.len() };
        let mut mended = body.to_vec();
        mended.resize(wanted.saturating_add(2), REFUSED);
        Ok((Some(packet(first, mended.len(), &mended)), Some(odd)))
    }

    /// An answer that is no more than its packet identifier.
    fn numbered(
        &mut self,
        first: u8,
        body: &[u8],
        name: &'static str,
        settles: impl FnOnce(&mut Waits, u16) -> bool,
    ) -> Looked {
        let id = number(body).ok_or(Odd::WithoutIdentifier(name))?;
        if !settles(self, id) {
            return Err(Odd::Unasked(name, id));
        }
        // Behind it MQTT 5 has a reason, and refuses nothing by it that we could mend.
        let mended = (body.len() > 2).then(|| packet(first, 2, &id.to_be_bytes()));
        Ok((mended, None))
    }
}

fn number(bytes: &[u8]) -> Option<u16> {
    bytes.first_chunk().map(|number| u16::from_be_bytes(*number))
}

/// A text with its length, and what is behind it.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(u16::from_be_bytes(*length).into())
}

#[cfg(test)]
mod tests;
