//! A message (PUBLISH) whose head has to be seen as a whole before it is known what becomes of it: it goes
//! on, mended where that takes nothing from it, or it is dropped as it comes and a small one takes its
//! place.
//!
//! The client ends the session for a message that MQTT doesn't allow, and the broker sends it again with the
//! next one. So none of them gets there.

use crate::mark::{Fault, Mark};

const DUP: u8 = 0b1000;
const QOS: u8 = 0b0110;
const LENGTH_BYTES: usize = 2;
/// The topic of what stands for a message with an impossible one; it is read from the mark.
const STAND_IN: &[u8] = b"-";

/// A message of which not all of the head was there at once, or that doesn't go on as it is.
#[derive(Debug)]
pub(crate) struct Message {
    first: u8,
    /// Without the fixed header.
    bytes: usize,
    rest: usize,
    /// Length of the topic, the topic, and the packet identifier.
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
pub(crate) fn look(first: u8, bytes: usize, body: &[u8]) -> Head {
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
    match Fault::of_topic(topic) {
        Some(fault) => Head::Unfit(fault),
        None if has_identifier && identifier == Some(&[0, 0]) => Head::NoIdentifier,
        None if !has_identifier && first & DUP != 0 => Head::Repetition,
        None => Head::Fits,
    }
}

impl Message {
    /// With this first byte and so many bytes behind the fixed header.
    pub(crate) fn new(first: u8, bytes: usize, is_too_large: bool) -> Message {
        let dropped = is_too_large.then_some(Dropped::TooLarge);
        Message { first, bytes, rest: bytes, head: Vec::new(), dropped }
    }

    /// How much of the head there is to be, as far as that is known.
    fn head_wanted(&self) -> usize {
        let Some(length) = self.head.first_chunk::<LENGTH_BYTES>() else {
            return LENGTH_BYTES.min(self.bytes);
        };
        let identifier = if self.first & QOS == 0 { 0 } else { LENGTH_BYTES };
        let topic = usize::from(u16::from_be_bytes(*length));
        topic.saturating_add(LENGTH_BYTES).saturating_add(identifier).min(self.bytes)
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
            let head = look(self.first, self.bytes, &self.head);
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
        match head {
            Head::Incomplete | Head::Unfit(_) => None,
            Head::Fits => Some(packet(self.first, self.bytes, &self.head)),
            Head::Repetition => Some(packet(self.first & !DUP, self.bytes, &self.head)),
            Head::NoIdentifier => {
                let (topic, _) = self.head.split_last_chunk::<LENGTH_BYTES>()?;
                let bytes = self.bytes.saturating_sub(LENGTH_BYTES);
                Some(packet(self.first & !(QOS | DUP), bytes, topic))
            }
        }
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
        let mut whole = packet(first, head.len().saturating_add(payload.len()), &head);
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
        let has_identifier = self.first & QOS != 0 && behind.len() == LENGTH_BYTES;
        (topic, if has_identifier { behind } else { &[] })
    }
}

fn stand_in() -> Vec<u8> {
    let length = u16::try_from(STAND_IN.len()).unwrap_or_default().to_be_bytes();
    [&length, STAND_IN].concat()
}

/// A fixed header, with what follows at once.
pub(crate) fn packet(first: u8, mut length: usize, head: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    while let low = u8::try_from(length & 0x7f).unwrap_or(0)
        && length > 0x7f
    {
        packet.push(low | 0x80);
        length >>= 7;
    }
    packet.push(u8::try_from(length).unwrap_or(0));
    packet.extend_from_slice(head);
    packet
}
