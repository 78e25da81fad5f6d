//! Client identifiers: the form that people can read, and the form that every broker must take.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};

/// Brokers must take identifiers of up to so many letters and digits (MQTT 3.1.1 §3.1.3.1,
/// MQTT-3.1.3-5); whatever else they may refuse.
const UNIVERSAL_BYTES: usize = 23;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Begins every short identifier; what follows are 125 bits of a hash.
const SHORT_PREFIX: &str = "sd";

/// `client-id-form`: what the client identifiers of a half look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientIdForm {
    /// The readable form as long as the broker takes it, else the short one.
    #[default]
    Auto,
    /// 1 to 23 letters and digits, which every broker must take.
    Short,
    /// As it is configured, with the names of group and edge node on IT.
    Readable,
}

/// The identifier of one session, in both forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientId {
    pub readable: Arc<str>,
    /// The same as `readable`, if that is one that every broker takes.
    pub short: Arc<str>,
}

impl ClientId {
    /// Two different readable identifiers have different short ones: they differ in 125 bits of
    /// SHA-256.
    pub fn new(readable: &str) -> ClientId {
        let readable: Arc<str> = readable.into();
        let short = if is_universal(&readable) { Arc::clone(&readable) } else { short(&readable) };
        ClientId { readable, short }
    }

    /// Whether there are two of them.
    pub fn has_two_forms(&self) -> bool {
        self.readable != self.short
    }
}

/// Whether every broker must take `id`.
fn is_universal(id: &str) -> bool {
    (1..=UNIVERSAL_BYTES).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn short(readable: &str) -> Arc<str> {
    let hash = digest(&SHA256, readable.as_bytes());
    let mut number = hash
        .as_ref()
        .iter()
        .take(16)
        .fold(0_u128, |number, byte| number.wrapping_shl(8) | u128::from(*byte));
    let mut id = SHORT_PREFIX.to_owned();
    while id.len() < UNIVERSAL_BYTES {
        let place = usize::try_from(number % 62).unwrap_or(0);
        id.push(DIGITS.get(place).copied().unwrap_or(b'0').into());
        number /= 62;
    }
    id.into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_short_identifier_is_one_that_every_broker_must_take_and_no_two_are_alike() {
        let mut seen = HashSet::new();
        let long = "n".repeat(250);
        for node in 0..10_000 {
            for id in [format!("sparkdiode/G/E{node}"), format!("relay {node} ä {long}")] {
                let both = ClientId::new(&id);
                assert!(is_universal(&both.short), "{}", both.short);
                assert_eq!(both.short.len(), UNIVERSAL_BYTES);
                assert!(seen.insert(both.short.clone()), "{id}");
                assert_eq!(ClientId::new(&id), both, "it is the same after a restart");
            }
        }
    }

    #[test]
    fn what_every_broker_takes_stays_as_it_is() {
        assert!(!ClientId::new("relay1").has_two_forms());
        let longest = "a".repeat(23);
        assert_eq!(&*ClientId::new(&longest).short, longest);
        for other in ["sparkdiode-ot-relay", "a/b", "ä", "", &"a".repeat(24)] {
            assert!(ClientId::new(other).has_two_forms(), "{other}");
        }
    }
}
