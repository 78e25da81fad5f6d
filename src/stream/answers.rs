//! Short answers of a broker that are looked at as a whole before they go on: CONNACK, SUBACK and
//! DISCONNECT. Brokers that speak MQTT 5 as well give codes of it to a client of MQTT 3.1.1, which
//! that client takes for the end of the session.

/// Packet types.
const CONNACK: u8 = 2;
const SUBACK: u8 = 9;
const DISCONNECT: u8 = 14;
/// An answer that is larger goes on as it is.
const LONGEST: usize = 65_535;
/// Of a SUBACK: granted with quality of service 0 to 2; and what MQTT 3.1.1 has for all refusals.
const GRANTED: std::ops::RangeInclusive<u8> = 0..=2;
const REFUSED: u8 = 0x80;

/// Reasons of a DISCONNECT (MQTT 5 §3.14.2.1).
const REASONS: &[(u8, &str)] = &[
    (0x00, "without a reason"),
    (0x80, "without a reason"),
    (0x81, "what we sent is malformed, it says"),
    (0x82, "what we sent is against the protocol, it says"),
    (0x83, "for a reason of its own"),
    (0x87, "not authorised"),
    (0x89, "it is busy"),
    (0x8b, "it is shutting down"),
    (0x8d, "it heard nothing within the keep alive (`keep-alive-s`)"),
    (0x8e, "the session was taken over by another client with this identifier"),
    (0x8f, "a topic filter is invalid"),
    (0x90, "a topic name is invalid"),
    (0x93, "more publications without an answer than it takes"),
    (0x95, "a packet of ours is larger than it takes"),
    (0x96, "the rate of messages is too high"),
    (0x97, "quota exceeded"),
    (0x98, "ended by its administrator"),
    (0x99, "the form of a payload is invalid"),
    (0x9a, "it keeps no retained messages"),
    (0x9b, "it doesn't take this quality of service"),
    (0x9c, "use another server"),
    (0x9d, "use another server"),
    (0x9f, "connection rate exceeded"),
    (0xa0, "its longest time for a connection is over"),
];

/// An answer while it comes.
#[derive(Debug)]
pub(crate) struct Held {
    bytes: Vec<u8>,
    /// Bytes of its fixed header.
    header: usize,
    rest: usize,
}

/// The codes of a SUBACK: its packet identifier, and what was in it, as it came.
pub(crate) type Codes = (u16, Vec<u8>);

impl Held {
    /// Whether a packet is held that begins with this byte.
    pub(crate) fn wants(first: u8, length: usize) -> bool {
        [CONNACK, SUBACK, DISCONNECT].contains(&(first >> 4)) && length <= LONGEST
    }

    /// Of the packet with this fixed header, with so many bytes behind it.
    pub(crate) fn new(header: &[u8], length: usize) -> Held {
        Held { bytes: header.to_vec(), header: header.len(), rest: length }
    }

    /// A packet that is all there.
    pub(crate) fn whole(bytes: Vec<u8>) -> Held {
        let lengths = bytes.iter().skip(1).take_while(|byte| *byte & 0x80 != 0).count();
        Held { bytes, header: lengths.saturating_add(2), rest: 0 }
    }

    /// Takes what of `bytes` belongs to it; how many that are.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> usize {
        let own = bytes.get(..self.rest.min(bytes.len())).unwrap_or_default();
        self.bytes.extend_from_slice(own);
        self.rest = self.rest.saturating_sub(own.len());
        own.len()
    }

    /// All of it, and how much of that is its fixed header.
    pub(crate) fn into_parts(self) -> (Vec<u8>, usize) {
        (self.bytes, self.header)
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.rest == 0
    }

    /// What goes on in its place, and the codes that the client doesn't get to see.
    ///
    /// # Errors
    /// The session can't go on.
    pub(crate) fn answer(self) -> Result<(Vec<u8>, Option<Codes>), NoSession> {
        let Held { mut bytes, header, .. } = self;
        let kind = bytes.first().map_or(0, |first| first >> 4);
        let body = bytes.get_mut(header..).unwrap_or_default();
        match (kind, body) {
            (DISCONNECT, body) => Err(NoSession::Disconnect(Disconnect(body.first().copied()))),
            // Flags, code, properties. What follows such a session is MQTT 5, too.
            (CONNACK, [_, 0, _, ..]) => Err(NoSession::Five),
            (CONNACK, [flags, code, _, ..]) => Ok((vec![CONNACK << 4, 2, *flags & 1, *code], None)),
            (SUBACK, [high, low, codes @ ..]) => {
                let id = u16::from_be_bytes([*high, *low]);
                let is_known = |code: &u8| GRANTED.contains(code) || *code == REFUSED;
                let unknown = !codes.iter().all(is_known);
                let kept = unknown.then(|| (id, codes.to_vec()));
                codes.iter_mut().filter(|code| !is_known(code)).for_each(|code| *code = REFUSED);
                Ok((bytes, kept))
            }
            _ => Ok((bytes, None)),
        }
    }
}

/// Why an answer ends the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSession {
    /// MQTT 3.1.1 has no such packet.
    #[error("the broker ended the session by a DISCONNECT ({0})")]
    Disconnect(Disconnect),
    /// A session that was asked for in MQTT 3.1.1.
    #[error(
        "the broker answers our CONNECT of MQTT 3.1.1 in MQTT 5, with a longer CONNACK: have it speak \
         MQTT 3.1.1, too"
    )]
    Five,
}

/// A DISCONNECT of the broker, with its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnect(pub(crate) Option<u8>);

impl std::fmt::Display for Disconnect {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let code = self.0.unwrap_or(0);
        match REASONS.iter().find(|(known, _)| *known == code) {
            Some((0, words)) => formatter.write_str(words),
            Some((_, words)) => write!(formatter, "{code:#04x}: {words}"),
            None => write!(formatter, "{code:#04x}, which MQTT doesn't have"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(bytes: &[u8]) -> Result<(Vec<u8>, Option<Codes>), NoSession> {
        let (header, body) = bytes.split_at(2);
        let mut held = Held::new(header, body.len());
        assert_eq!(held.take(body), body.len());
        assert!(held.is_whole());
        held.answer()
    }

    #[test]
    fn what_refuses_a_filter_in_whatever_words_is_a_refusal_and_its_code_is_kept() {
        let plain = [0x90, 6, 0, 9, 0, 1, 2, 0x80];
        assert_eq!(answer(&plain), Ok((plain.to_vec(), None)));
        for code in (3..=0xff).filter(|code| *code != 0x80) {
            let mut came = [0x90, 5, 1, 2, 1, code, 0x80];
            let kept = Some((0x0102, vec![1, code, 0x80]));
            let Ok((goes_on, codes)) = answer(&came) else { panic!("{code:#x}") };
            came[5] = 0x80;
            assert_eq!((goes_on.as_slice(), codes), (&came[..], kept));
        }
        // The client says what it thinks of those.
        for short in [&[0x90, 1, 0][..], &[0x90, 2, 0, 1], &[0x90, 0], &[0x20, 1, 0], &[0x20, 0]] {
            assert_eq!(answer(short), Ok((short.to_vec(), None)));
        }
    }

    #[test]
    fn a_connack_of_mqtt_5_refuses_by_its_code_and_makes_no_session() {
        assert_eq!(answer(&[0x20, 2, 1, 0]), Ok((vec![0x20, 2, 1, 0], None)));
        assert_eq!(answer(&[0x20, 3, 0, 0x87, 0]), Ok((vec![0x20, 2, 0, 0x87], None)));
        assert_eq!(answer(&[0x20, 3, 0, 0, 0]), Err(NoSession::Five));
    }

    #[test]
    fn a_broker_that_says_why_it_ends_the_session_is_told_with_that() {
        let said = |bytes: &[u8]| answer(bytes).unwrap_err().to_string();
        let taken = said(&[0xe0, 2, 0x8e, 0]);
        assert!(taken.contains("DISCONNECT") && taken.contains("0x8e: the session was taken over"));
        assert!(said(&[0xe0, 0]).contains("without a reason"));
        assert!(said(&[0xe0, 1, 0x77]).contains("0x77, which MQTT doesn't have"));
    }
}
