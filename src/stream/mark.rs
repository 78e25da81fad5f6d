//! What stands where a message was that the MQTT client doesn't get: a payload that nobody else can make.

use std::hash::{BuildHasher, RandomState};

const SECRET_BYTES: usize = 16;
const SIZE_BYTES: usize = 8;
const MARK_BYTES: usize = SECRET_BYTES + SIZE_BYTES;
/// What takes the place of a message is never larger than the longest topic, two lengths and a
/// mark.
pub(crate) const LONGEST_REPLACEMENT: usize = 65_535 + 64;

/// The maker of such payloads.
#[derive(Clone)]
pub struct Mark(pub(crate) [u8; SECRET_BYTES]);

/// A message that was too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge {
    /// The packet without its fixed header.
    pub bytes: u64,
}

/// A message that MQTT doesn't allow, and that the client would end the session for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfit<'a> {
    pub fault: Fault,
    /// The packet without its fixed header.
    pub bytes: u64,
    /// As it came; what there is of it, where the packet ends before it.
    pub topic: &'a [u8],
}

/// What is wrong with a message (MQTT 3.1.1 §1.5.3, §3.3.2, §4.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("its topic is empty")]
    Empty,
    #[error("its topic has a wildcard (`+` or `#`)")]
    Wildcard,
    #[error("its topic has U+0000")]
    Nul,
    #[error("its topic isn't UTF-8")]
    NotUtf8,
    /// Nothing can be acknowledged of it.
    #[error("the packet ends within its topic")]
    EndsInTopic,
    /// Nothing can be acknowledged of it.
    #[error("the packet ends before its identifier")]
    EndsInIdentifier,
    /// MQTT 5 §2.2.2.
    #[error("the packet ends within its properties")]
    EndsInProperties,
}

impl Fault {
    const ALL: [Fault; 7] = [
        Fault::Empty,
        Fault::Wildcard,
        Fault::Nul,
        Fault::NotUtf8,
        Fault::EndsInTopic,
        Fault::EndsInIdentifier,
        Fault::EndsInProperties,
    ];

    /// What is wrong with a topic, if anything is: what the client refuses, and nothing else.
    pub(crate) fn of_topic(topic: &[u8]) -> Option<Fault> {
        if topic.is_empty() {
            return Some(Fault::Empty);
        }
        let fault = topic.iter().find_map(|byte| match byte {
            b'+' | b'#' => Some(Fault::Wildcard),
            0 => Some(Fault::Nul),
            _ => None,
        });
        fault.or_else(|| std::str::from_utf8(topic).err().map(|_| Fault::NotUtf8))
    }

    /// It can be acknowledged.
    pub fn has_identifier(self) -> bool {
        !matches!(self, Fault::EndsInTopic | Fault::EndsInIdentifier)
    }

    /// It is known under which topic it was published.
    pub fn has_topic(self) -> bool {
        matches!(self, Fault::EndsInIdentifier | Fault::EndsInProperties)
    }
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

    /// What MQTT doesn't allow, if `payload` stands for it.
    pub fn read_unfit<'a>(&self, payload: &'a [u8]) -> Option<Unfit<'a>> {
        let (bytes, rest) = payload.strip_prefix(&self.0)?.split_first_chunk::<SIZE_BYTES>()?;
        let (number, topic) = rest.split_first()?;
        let fault = *Fault::ALL.get(usize::from(*number))?;
        Some(Unfit { fault, bytes: u64::from_be_bytes(*bytes), topic })
    }

    pub(crate) fn of(&self, bytes: usize) -> [u8; MARK_BYTES] {
        let size = u64::try_from(bytes).unwrap_or(u64::MAX).to_be_bytes();
        let mut mark = [0; MARK_BYTES];
        mark.iter_mut().zip(self.0.into_iter().chain(size)).for_each(|(byte, new)| *byte = new);
        mark
    }

    pub(crate) fn of_unfit(&self, fault: Fault, bytes: usize, topic: &[u8]) -> Vec<u8> {
        let number = Fault::ALL.iter().position(|known| *known == fault);
        let number = number.and_then(|number| u8::try_from(number).ok()).unwrap_or_default();
        [&self.of(bytes)[..], &[number], topic].concat()
    }
}

/// Without the secret.
impl std::fmt::Debug for Mark {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Mark")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_read_by_its_maker_alone_with_its_topic() {
        let mark = Mark::new();
        for fault in Fault::ALL {
            let payload = mark.of_unfit(fault, 70, b"a/+");
            assert_eq!(mark.read_unfit(&payload), Some(Unfit { fault, bytes: 70, topic: b"a/+" }));
            assert_eq!(mark.read(&payload), None, "it isn't too large");
            assert_eq!(Mark::new().read_unfit(&payload), None);
        }
        assert_eq!(mark.read_unfit(&mark.of(7)), None);
        assert_eq!(mark.read_unfit(&[&mark.of(7)[..], &[7]].concat()), None);
    }

    #[test]
    fn a_topic_is_refused_for_what_mqtt_forbids_and_nothing_else() {
        for (topic, fault) in [
            (&b""[..], Some(Fault::Empty)),
            (b"spBv1.0/G/NDATA/+", Some(Fault::Wildcard)),
            (b"a#b", Some(Fault::Wildcard)),
            (b"a\0b", Some(Fault::Nul)),
            (b"a\xffb", Some(Fault::NotUtf8)),
            (b"\xed\xa0\x80", Some(Fault::NotUtf8)),
            (b"\xc0\x80", Some(Fault::NotUtf8)),
            (b"/", None),
            (b"$SYS/\x01\x7f", None),
            ("Werk/Öl".as_bytes(), None),
        ] {
            assert_eq!(Fault::of_topic(topic), fault, "{topic:?}");
        }
    }
}
