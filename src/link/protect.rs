//! Encryption and authenticity of datagrams: AES-256-GCM with the header as associated data.
//!
//! ```text
//! link key (32 bytes, shared beforehand)
//!   └─ HKDF-SHA-256, salt "sparkdiode link 1"
//!        ├─ "key id"                                              → 4 bytes in each header
//!        └─ "datagrams" · link's hash · session · random · generation → AES-256 key
//! ```
//!
//! The nonce is the counter of the session, in the last eight of twelve bytes: never used twice under
//! a key, since a session counts up, a session's number never comes again (`session`), and a copy of
//! the sender's state has another random. A key is used for 2^28 datagrams, its generation, which is
//! what QUIC allows AES-GCM (RFC 9001, appendix B); the counter ends at 2^48 with an error.
//!
//! Whoever can't make a tag learns and changes nothing: [`Opener::open`] looks at a link's name and a
//! key's id to choose a key, and keeps nothing of a datagram that isn't authentic, derived keys
//! included.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};

use crate::datagram::{Body, Foreign, HEADER_BYTES, Header, SessionId};

/// Datagrams under one key, as a power of two.
const GENERATION_BITS: u32 = 28;
/// Datagrams of one session: 50 years of a million a second.
pub const MAX_COUNTER: u64 = 1 << 48;
/// Keys that an [`Opener`] keeps: of two link keys, a session that ends and one that begins, two
/// generations.
const KEPT_KEYS: usize = 8;
/// Of a link's name, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// The name of a link: both ends are given the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkName(String);

/// A name that can't be a link's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a link's name has 1 to {MAX_NAME_BYTES} bytes, not {0}")]
pub struct InvalidName(usize);

impl LinkName {
    /// 1 to 64 bytes.
    pub fn new(name: &str) -> Result<LinkName, InvalidName> {
        match name.len() {
            1..=MAX_NAME_BYTES => Ok(LinkName(name.to_owned())),
            bytes => Err(InvalidName(bytes)),
        }
    }

    /// What stands in each header.
    fn hash(&self) -> [u8; 8] {
        let whole = digest(&SHA256, &[b"sparkdiode link name ", self.0.as_bytes()].concat());
        whole.as_ref().first_chunk().copied().unwrap_or_default()
    }
}

impl fmt::Display for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A key that both ends share. Its bytes can't be asked for, nor printed.
#[derive(Clone)]
pub struct LinkKey {
    id: u32,
    key: Prk,
}

impl LinkKey {
    /// Of 32 random bytes.
    pub fn new(secret: &[u8; 32]) -> LinkKey {
        let key = Salt::new(HKDF_SHA256, b"sparkdiode link 1").extract(secret);
        let mut id = [0; 4];
        let is_derived = key.expand(&[b"key id"], Id).and_then(|okm| okm.fill(&mut id)).is_ok();
        if !is_derived {
            mistake::mistake!("HKDF refuses four bytes");
        }
        LinkKey { id: u32::from_be_bytes(id), key }
    }

    /// Says which key it is without saying the key.
    pub fn id(&self) -> u32 {
        self.id
    }

    fn derive(&self, link: [u8; 8], session: SessionId, generation: u64) -> Option<LessSafeKey> {
        let number = session.number.to_be_bytes();
        let generation = generation.to_be_bytes();
        let info: [&[u8]; 5] = [b"datagrams", &link, &number, &session.random, &generation];
        let derived = self.key.expand(&info, &AES_256_GCM).map(UnboundKey::from);
        match derived {
            Ok(key) => Some(LessSafeKey::new(key)),
            Err(_) => {
                mistake::mistake!("HKDF refuses the length of a key");
                None
            }
        }
    }
}

impl fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link key {:08x}", self.id)
    }
}

/// Length of a key's id.
#[derive(Debug)]
struct Id;

impl KeyType for Id {
    fn len(&self) -> usize {
        4
    }
}

/// Keys that a receiver takes: two while they are changed.
#[derive(Clone, Debug)]
pub struct Keys(Vec<LinkKey>);

/// The second key is the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("both link keys have the id {0:08x}: they are the same, or one has to be made anew")]
pub struct SameKey(u32);

impl Keys {
    /// One key, or two.
    pub fn new(first: LinkKey, second: Option<LinkKey>) -> Result<Keys, SameKey> {
        match second {
            Some(second) if second.id == first.id => Err(SameKey(first.id)),
            second => Ok(Keys(std::iter::once(first).chain(second).collect())),
        }
    }

    /// Their ids.
    pub fn ids(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().map(LinkKey::id)
    }

    /// Whether it has one with this id.
    pub fn has(&self, id: u32) -> bool {
        self.find(id).is_some()
    }

    fn find(&self, id: u32) -> Option<&LinkKey> {
        self.0.iter().find(|key| key.id == id)
    }
}

/// A session has used all of its nonces: the sender has to start again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session has sent {MAX_COUNTER} datagrams, and no nonce is left: start again")]
pub struct CounterExhausted;

/// Seals what a session sends. There is one for each session, and it can't be copied.
#[derive(Debug)]
pub struct Sealer {
    link: [u8; 8],
    key: LinkKey,
    session: SessionId,
    /// Of the next datagram.
    counter: u64,
    current: Option<(u64, LessSafeKey)>,
}

impl Sealer {
    /// For a session whose number is stored.
    pub fn new(name: &LinkName, key: &LinkKey, session: SessionId) -> Sealer {
        Sealer { link: name.hash(), key: key.clone(), session, counter: 0, current: None }
    }

    /// Datagrams so far.
    pub fn sealed(&self) -> u64 {
        self.counter
    }

    /// Makes `out` the datagram that says `body`.
    pub fn seal(&mut self, body: &Body<'_>, out: &mut Vec<u8>) -> Result<(), CounterExhausted> {
        self.seal_with(|plain| body.encode(plain), out)
    }

    /// The same with any bytes in the place of kind and body: what somebody with the key could send.
    #[cfg(any(test, feature = "testing"))]
    pub fn seal_raw(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), CounterExhausted> {
        self.seal_with(|body| body.extend_from_slice(plain), out)
    }

    fn seal_with(
        &mut self,
        encode: impl FnOnce(&mut Vec<u8>),
        out: &mut Vec<u8>,
    ) -> Result<(), CounterExhausted> {
        out.clear();
        if self.counter >= MAX_COUNTER {
            return Err(CounterExhausted);
        }
        let generation = self.counter >> GENERATION_BITS;
        if self.current.as_ref().is_none_or(|(current, _)| *current != generation) {
            let key = self.key.derive(self.link, self.session, generation);
            self.current = key.map(|key| (generation, key));
        }
        let header = Header {
            link: self.link,
            key: self.key.id,
            session: self.session,
            counter: self.counter,
        };
        header.encode(out);
        encode(out);
        let tag = out.split_at_mut_checked(HEADER_BYTES).zip(self.current.as_ref()).and_then(
            |((header, plain), (_, key))| {
                let aad = Aad::from(&*header);
                key.seal_in_place_separate_tag(nonce(self.counter), aad, plain).ok()
            },
        );
        let Some(tag) = tag else {
            // Nothing of it leaves in clear.
            out.clear();
            mistake::mistake!("AES-GCM refuses a datagram");
            return Err(CounterExhausted);
        };
        out.extend_from_slice(tag.as_ref());
        self.counter = self.counter.saturating_add(1);
        Ok(())
    }
}

/// Opens what comes from outside.
#[derive(Debug)]
pub struct Opener {
    link: [u8; 8],
    keys: Keys,
    /// Of datagrams that were authentic, the last used first.
    kept: Vec<(Purpose, LessSafeKey)>,
}

/// What a key is for.
type Purpose = (u32, SessionId, u64);

impl Opener {
    /// For one link.
    pub fn new(name: &LinkName, keys: Keys) -> Opener {
        Opener { link: name.hash(), keys, kept: Vec::new() }
    }

    /// Takes these keys, and no others any more.
    pub fn set_keys(&mut self, keys: Keys) {
        self.keys = keys;
        self.kept.retain(|((key, ..), _)| self.keys.has(*key));
    }

    /// Header and what was encrypted, in place, if it is authentic.
    pub fn open<'a>(&mut self, datagram: &'a mut [u8]) -> Result<(Header, &'a [u8]), Foreign> {
        let header = Header::decode(datagram)?;
        if header.link != self.link {
            return Err(Foreign::Link);
        }
        let key = self.keys.find(header.key).ok_or(Foreign::Key)?;
        if header.counter >= MAX_COUNTER {
            return Err(Foreign::Forged);
        }
        let purpose = (header.key, header.session, header.counter >> GENERATION_BITS);
        let kept = self.kept.iter().position(|(kept, _)| *kept == purpose);
        let derived = match kept {
            Some(_) => None,
            None => key.derive(self.link, header.session, purpose.2),
        };
        let key = match kept.and_then(|at| self.kept.get(at)) {
            Some((_, key)) => Some(key),
            None => derived.as_ref(),
        };
        let (clear, sealed) = datagram.split_at_mut_checked(HEADER_BYTES).ok_or(Foreign::Short)?;
        let opened = key.ok_or(Foreign::Forged)?.open_in_place(
            nonce(header.counter),
            Aad::from(&*clear),
            sealed,
        );
        let plain: &[u8] = opened.map_err(|_| Foreign::Forged)?;
        match (kept, derived) {
            (Some(at), _) if at > 0 => self.kept.swap(at, at.saturating_sub(1)),
            (None, Some(key)) => {
                self.kept.truncate(KEPT_KEYS.saturating_sub(1));
                self.kept.insert(0, (purpose, key));
            }
            _ => {}
        }
        Ok((header, plain))
    }
}

fn nonce(counter: u64) -> Nonce {
    let mut bytes = [0; 12];
    if let Some(last) = bytes.last_chunk_mut() {
        *last = counter.to_be_bytes();
    }
    Nonce::assume_unique_for_key(bytes)
}

#[cfg(test)]
mod tests;
