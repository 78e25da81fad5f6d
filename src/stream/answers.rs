//! Short answers of a broker that are looked at as a whole before they go on: CONNACK, SUBACK and
//! DISCONNECT. Brokers that speak MQTT 5 as well give codes of it to a client of MQTT 3.1.1, which
//! that client takes for the end of the session. Answers of MQTT 5 come here in the shape of MQTT 3.1.1.

/// Packet types.
pub(crate) const CONNACK: u8 = 2;
const SUBACK: u8 = 9;
pub(crate) const DISCONNECT: u8 = 14;
/// An answer that is larger goes on as it is.
const LONGEST: usize = 65_535;
/// Of a SUBACK: granted with quality of service 0 to 2; and what MQTT 3.1.1 has for all refusals.
const GRANTED: std::ops::RangeInclusive<u8> = 0..=2;
const REFUSED: u8 = 0x80;

/// An answer while it comes.
#[derive(Debug)]
pub(crate) struct Held {
    bytes: Vec<u8>,
    /// Bytes of its fixed header.
    header: usize,
    rest: usize,
}

/// The codes of a SUBACK, as they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codes {
    /// Its packet identifier.
    pub(crate) id: u16,
    pub codes: Vec<u8>,
    /// What the broker says in its own words.
    pub text: Option<String>,
}

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
            (DISCONNECT, body) => {
                let code = body.first().copied();
                Err(NoSession::Disconnect(Disconnect { code, text: None }))
            }
            // Flags, code, properties. What follows such a session is MQTT 5, too.
            (CONNACK, [_, 0, _, ..]) => Err(NoSession::Five),
            (CONNACK, [flags, code, _, ..]) => Ok((vec![CONNACK << 4, 2, *flags & 1, *code], None)),
            (SUBACK, [high, low, codes @ ..]) => {
                let id = u16::from_be_bytes([*high, *low]);
                let is_known = |code: &u8| GRANTED.contains(code) || *code == REFUSED;
                let unknown = !codes.iter().all(is_known);
                let kept = unknown.then(|| Codes { id, codes: codes.to_vec(), text: None });
                codes.iter_mut().filter(|code| !is_known(code)).for_each(|code| *code = REFUSED);
                Ok((bytes, kept))
            }
            _ => Ok((bytes, None)),
        }
    }
}

/// Why an answer ends the session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSession {
    /// MQTT 3.1.1 has no such packet.
    #[error("the broker ended the session by a DISCONNECT ({0})")]
    Disconnect(Disconnect),
    /// A session that was asked for in MQTT 3.1.1.
    #[error(
        "the broker answers our CONNECT of MQTT 3.1.1 in MQTT 5, with a longer CONNACK: have it speak \
         MQTT 3.1.1, too, or set `protocol = \"5\"`"
    )]
    Five,
    /// A session that was asked for in MQTT 5.
    #[error(
        "the broker answers our CONNECT of MQTT 5 in MQTT 3.1.1, with a CONNACK without properties: set \
         `protocol = \"3.1.1\"`"
    )]
    Three,
    /// A CONNACK of MQTT 5, or one of MQTT 3.1.1 to our CONNECT of MQTT 5, with what the broker says in its
    /// own words.
    #[error("the broker refuses the session ({code:#04x})")]
    Refused { code: u8, text: Option<String> },
    #[error(
        "the broker sent a {0} whose properties aren't those of MQTT 5: look in its log, and whether something \
         between us changes what it sends"
    )]
    Unreadable(&'static str),
    #[error("the broker offers {0}, which MQTT doesn't have")]
    Offer(&'static str),
}

/// A DISCONNECT of the broker, with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect {
    pub(crate) code: Option<u8>,
    /// In the broker's own words.
    pub(crate) text: Option<String>,
}

impl std::fmt::Display for Disconnect {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (code, text) = (self.code.unwrap_or(0), self.text.as_deref());
        match broker::reason_of(code) {
            Some(reason) if code == 0 => {
                formatter.write_str(&broker::with_text(reason.words.to_owned(), text))
            }
            Some(_) => formatter.write_str(&broker::reason_said(code, text)),
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
            let kept = Some(Codes { id: 0x0102, codes: vec![1, code, 0x80], text: None });
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
