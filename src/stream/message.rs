//! A message (PUBLISH) whose head has to be seen as a whole before it is known what becomes of it: it goes
//! on, mended where that takes nothing from it, or it is dropped as it comes and a small one takes its
//! place.
//!
//! The client ends the session for a message that MQTT doesn't allow, and the broker sends it again with the
//! next one. So none of them gets there.

use broker::Protocol;

use crate::mark::{Fault, Mark};

const DUP: u8 = 0b1000;
const QOS: u8 = 0b0110;
const LENGTH_BYTES: usize = 2;
/// Of a variable byte integer, at most (MQTT 5 §1.5.5).
const VARINT_BYTES: usize = 4;
/// The topic of what stands for a message with an impossible one; it is read from the mark.
const STAND_IN: &[u8] = b"-";

/// A message of which not all of the head was there at once, or that doesn't go on as it is.
#[derive(Debug)]
pub(crate) struct Message {
    protocol: Protocol,
    first: u8,
    /// Without the fixed header.
    bytes: usize,
    rest: usize,
    /// Length of the topic, the topic, the packet identifier, and the properties.
    pub(crate) head: Vec<u8>,
    /// It is dropped, for this.
    dropped: Option<Dropped>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dropped {
    TooLarge,
    Unfit(Fault),
}

/// What a head comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// More of it has to be seen.
    Incomplete,
    Fits,
    /// MQTT has no repetition at QoS 0; brokers pass on that a publisher at QoS 1 repeated itself.
    Repetition,
    /// Nothing can be acknowledged with the identifier 0.
    NoIdentifier,
    /// It fits, but for its properties, which the client doesn't get: Sparkplug has no use for them, and one
    /// that MQTT 5 doesn't have would end the session.
    Properties,
    Unfit(Fault),
}

/// What becomes of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Not known yet, or it isn't gone yet.
    Pending,
    /// This goes on, and so many bytes behind it as they are.
    GoesOn(Vec<u8>, usize),
    /// It is gone, and this is in its place.
    Replaced(Vec<u8>),
}

/// Looks at the head of a message of so many bytes; `body`: those of them that are here.
pub(crate) fn look(protocol: Protocol, first: u8, bytes: usize, body: &[u8]) -> Head {
    let has_identifier = first & QOS != 0;
    let (topic, behind) = match body.split_first_chunk::<LENGTH_BYTES>() {
        None if bytes < LENGTH_BYTES => return Head::Unfit(Fault::EndsInTopic),
        None => return Head::Incomplete,
        Some((length, rest)) => {
            let length = usize::from(u16::from_be_bytes(*length));
            if length.saturating_add(LENGTH_BYTES) > bytes {
                return Head::Unfit(Fault::EndsInTopic);
            }
            match rest.split_at_checked(length) {
                Some(parts) => parts,
                None => return Head::Incomplete,
            }
        }
    };
    let head = topic.len().saturating_add(LENGTH_BYTES);
    if has_identifier && head.saturating_add(LENGTH_BYTES) > bytes {
        return Head::Unfit(Fault::EndsInIdentifier);
    }
    let identifier = behind.first_chunk::<LENGTH_BYTES>();
    if has_identifier && identifier.is_none() {
        return Head::Incomplete;
    }
    let properties = match protocol {
        Protocol::Three => Head::Fits,
        Protocol::Five => {
            let identifier = if has_identifier { LENGTH_BYTES } else { 0 };
            let before = head.saturating_add(identifier);
            properties(bytes.saturating_sub(before), behind.get(identifier..).unwrap_or_default())
        }
    };
    match Fault::of_topic(topic) {
        Some(fault) => Head::Unfit(fault),
        None if matches!(properties, Head::Incomplete | Head::Unfit(_)) => properties,
        None if has_identifier && identifier == Some(&[0, 0]) => Head::NoIdentifier,
        None if !has_identifier && first & DUP != 0 => Head::Repetition,
        None => properties,
    }
}

/// Looks at the properties of a message, behind whose identifier there are so many bytes; `behind`: those of
/// them that are here.
fn properties(bytes: usize, behind: &[u8]) -> Head {
    match read_varint(behind) {
        Some((0, 1)) => Head::Fits,
        Some((length, size)) => match length.saturating_add(size) {
            all if all > bytes => Head::Unfit(Fault::EndsInProperties),
            all if all > behind.len() => Head::Incomplete,
            _ => Head::Properties,
        },
        // It is longer than a length may be, or the packet ends in it.
        None if behind.len() >= VARINT_BYTES.min(bytes) => Head::Unfit(Fault::EndsInProperties),
        None => Head::Incomplete,
    }
}

impl Message {
    /// With this first byte and so many bytes behind the fixed header.
    pub(crate) fn new(protocol: Protocol, first: u8, bytes: usize, is_too_large: bool) -> Message {
        let dropped = is_too_large.then_some(Dropped::TooLarge);
        Message { protocol, first, bytes, rest: bytes, head: Vec::new(), dropped }
    }

    /// How much of the head there is to be, as far as that is known.
    fn head_wanted(&self) -> usize {
        let Some(length) = self.head.first_chunk::<LENGTH_BYTES>() else {
            return LENGTH_BYTES.min(self.bytes);
        };
        let identifier = if self.first & QOS == 0 { 0 } else { LENGTH_BYTES };
        let topic = usize::from(u16::from_be_bytes(*length));
        let plain = topic.saturating_add(LENGTH_BYTES).saturating_add(identifier);
        plain.saturating_add(self.properties_wanted(plain)).min(self.bytes)
    }

    /// How much of that are properties, as far as it is known; `plain`: what is before them. Of one that is too
    /// large nobody needs them.
    fn properties_wanted(&self, plain: usize) -> usize {
        if self.protocol == Protocol::Three || self.dropped.is_some() {
            return 0;
        }
        let here = self.head.get(plain..).unwrap_or_default();
        match read_varint(here) {
            Some((length, size)) => length.saturating_add(size),
            None => here.len().saturating_add(1).min(VARINT_BYTES),
        }
    }

    /// Takes what of `bytes` belongs to it; how many that are, and what becomes of it. A message that
    /// goes on leaves what is behind its head.
    pub(crate) fn take(&mut self, bytes: &[u8], mark: &Mark) -> (usize, Fate) {
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
        let of_head = own.len().saturating_sub(rest.len());
        if self.head.len() >= self.head_wanted() && !self.is_refused() {
            let behind = self.rest.saturating_sub(of_head);
            let head = look(self.protocol, self.first, self.bytes, &self.head);
            if let Head::Unfit(fault) = head {
                self.dropped = Some(Dropped::Unfit(fault));
            } else if self.dropped.is_none()
                && let Some(packet) = self.going_on(head)
            {
                return (of_head, Fate::GoesOn(packet, behind));
            }
        }
        self.rest = self.rest.saturating_sub(own.len());
        let fate =
            if self.rest == 0 { Fate::Replaced(self.replacement(mark)) } else { Fate::Pending };
        (own.len(), fate)
    }

    fn is_refused(&self) -> bool {
        matches!(self.dropped, Some(Dropped::Unfit(_)))
    }

    /// Head of the packet that goes on.
    fn going_on(&self, head: Head) -> Option<Vec<u8>> {
        if self.protocol == Protocol::Five {
            return self.without_properties(head);
        }
        match head {
            Head::Incomplete | Head::Unfit(_) | Head::Properties => None,
            Head::Fits => Some(packet(self.first, self.bytes, &self.head)),
            Head::Repetition => Some(packet(self.first & !DUP, self.bytes, &self.head)),
            Head::NoIdentifier => {
                let (topic, _) = self.head.split_last_chunk::<LENGTH_BYTES>()?;
                let bytes = self.bytes.saturating_sub(LENGTH_BYTES);
                Some(packet(self.first & !(QOS | DUP), bytes, topic))
            }
        }
    }

    /// Head of the packet that goes on in MQTT 5, whose properties are left out.
    fn without_properties(&self, head: Head) -> Option<Vec<u8>> {
        let first = match head {
            Head::Incomplete | Head::Unfit(_) => return None,
            Head::Fits | Head::Properties => self.first,
            Head::Repetition => self.first & !DUP,
            Head::NoIdentifier => self.first & !(QOS | DUP),
        };
        let (topic, identifier) = self.parts();
        let identifier = if first & QOS == 0 { &[] } else { identifier };
        let length = u16::try_from(topic.len()).ok()?.to_be_bytes();
        let plain = [&length, topic, identifier, &[0]].concat();
        let payload = self.bytes.saturating_sub(self.head.len());
        // The first bit that may be wrong with both: a repetition at QoS 0.
        let first = if first & QOS == 0 { first & !DUP } else { first };
        Some(packet(first, plain.len().saturating_add(payload), &plain))
    }

    /// The small message that takes its place: with its flags and its packet identifier, so that it is
    /// acknowledged like any other.
    fn replacement(&self, mark: &Mark) -> Vec<u8> {
        let (topic, identifier) = self.parts();
        let (first, head, payload) = match self.dropped {
            Some(Dropped::Unfit(fault)) => {
                let mut head = stand_in();
                head.extend_from_slice(identifier);
                let first = if identifier.is_empty() { self.first & !QOS } else { self.first };
                (first, head, mark.of_unfit(fault, self.bytes, topic))
            }
            _ => (self.first, self.head.clone(), mark.of(self.bytes).to_vec()),
        };
        // A large one, too, may have flags or an identifier that MQTT doesn't have.
        let (first, head) = match identifier {
            [0, 0] => {
                let end = head.len().saturating_sub(LENGTH_BYTES);
                (first & !(QOS | DUP), head.get(..end).unwrap_or_default().to_vec())
            }
            [] => (first & !DUP, head),
            _ => (first, head),
        };
        let properties: &[u8] = if self.protocol == Protocol::Five { &[0] } else { &[] };
        let bytes = head.len().saturating_add(properties.len()).saturating_add(payload.len());
        let mut whole = packet(first, bytes, &head);
        whole.extend_from_slice(properties);
        whole.extend_from_slice(&payload);
        whole
    }

    /// Topic, or what there is of it, and packet identifier, which is empty where there is none.
    fn parts(&self) -> (&[u8], &[u8]) {
        let Some((length, rest)) = self.head.split_first_chunk::<LENGTH_BYTES>() else {
            return (&[], &[]);
        };
        let (topic, behind) =
            rest.split_at_checked(u16::from_be_bytes(*length).into()).unwrap_or((rest, &[]));
        let identifier = behind.get(..LENGTH_BYTES).filter(|_| self.first & QOS != 0);
        (topic, identifier.unwrap_or_default())
    }
}

fn stand_in() -> Vec<u8> {
    let length = u16::try_from(STAND_IN.len()).unwrap_or_default().to_be_bytes();
    [&length, STAND_IN].concat()
}

/// A fixed header, with what follows at once.
pub(crate) fn packet(first: u8, length: usize, head: &[u8]) -> Vec<u8> {
    [&[first], &varint(length)[..], head].concat()
}

/// A variable byte integer.
pub(crate) fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(VARINT_BYTES);
    while let low = u8::try_from(number & 0x7f).unwrap_or(0)
        && number > 0x7f
    {
        bytes.push(low | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap_or(0));
    bytes
}

/// A variable byte integer, and how many bytes it takes; `None`: it doesn't end here.
pub(crate) fn read_varint(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut number = 0_usize;
    for (byte, place) in bytes.iter().zip(0_u32..).take(VARINT_BYTES) {
        number |= usize::from(byte & 0x7f).checked_shl(place.saturating_mul(7))?;
        if byte & 0x80 == 0 {
            return Some((number, usize::try_from(place.saturating_add(1)).ok()?));
        }
    }
    None
}
