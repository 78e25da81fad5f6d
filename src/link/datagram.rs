//! The layout of a datagram: bytes to parts and back. Nothing in here says that a datagram is
//! authentic; `protect` does, before a body is looked at.
//!
//! | offset | bytes | field | |
//! |---|---|---|---|
//! | 0 | 3 | magic `SDL` | in clear, authenticated |
//! | 3 | 1 | version, 1 | |
//! | 4 | 8 | hash of the link's name | |
//! | 12 | 4 | id of the link key, big endian as all numbers here | |
//! | 16 | 8 | session number | |
//! | 24 | 8 | random of the session | |
//! | 32 | 8 | counter of the session, from 0 on; the nonce | |
//! | 40 | 1 | kind | encrypted |
//! | 41 | … | body | |
//! | end − 16 | 16 | tag | |
//!
//! | kind | body |
//! |---|---|
//! | 0 source symbol, 1 of the second pass | number of the symbol (8), its index in its block (2), bytes |
//! | 2 repair symbol, 3 of the second pass | number of the block's first symbol (8), source symbols (2), repair symbols (2), index among these (2), bytes |
//! | 4 announcement | [`Announcement`]: bytes of a datagram (2), symbols of a block (2), close-after (4) and spread (4) in milliseconds, overhead in thousandths (2), least repair symbols (2) |
//! | 5 heartbeat | [`Heartbeat`]: milliseconds since the session's start (8), wall clock in milliseconds (8), highest frame number sent (8), symbols sent (8), first frame number that may go again (8) |
//!
//! Symbols of a lane (what is sent first, and the second pass) are numbered from 0 on in each
//! session, over all blocks, so that the symbol behind another is known without its block. A later
//! version has another version byte: nothing here may be longer or shorter than it says.

use std::fmt;

use crate::reader::Reader;

/// First bytes of each datagram, with the version.
pub const MAGIC: [u8; 4] = *b"SDL\x01";
/// What is in clear.
pub const HEADER_BYTES: usize = 40;
/// AES-GCM's.
pub const TAG_BYTES: usize = 16;
/// The shortest datagram: a kind and nothing else.
pub const MIN_BYTES: usize = HEADER_BYTES + 1 + TAG_BYTES;
/// The longest UDP payload over IPv4.
pub const MAX_BYTES: usize = 65_507;
/// What a repair symbol takes of a datagram besides its bytes; more than a source symbol does.
const REPAIR_BYTES: usize = MIN_BYTES + 8 + 2 + 2 + 2;

/// Bytes of a source symbol in datagrams of so many bytes: with its length before it and an even
/// number of bytes, as the repair code wants them, it fits into a repair symbol.
pub fn symbol_bytes(datagram_bytes: usize) -> usize {
    let coded = datagram_bytes.saturating_sub(REPAIR_BYTES) & !1;
    coded.saturating_sub(2)
}

/// Which of two streams of symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// What is sent for the first time.
    Live,
    /// The second pass, and what an operator has sent again.
    Again,
}

/// What is in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Hash of the link's name.
    pub link: [u8; 8],
    /// Id of the link key.
    pub key: u32,
    pub session: SessionId,
    /// Of the session; never used twice.
    pub counter: u64,
}

/// A start of the sender.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionId {
    /// Never goes back.
    pub number: u64,
    /// So that two senders with the same number (a state that was copied) don't share a key.
    pub random: [u8; 8],
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {}", self.number)
    }
}

/// Why bytes aren't a datagram of this link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Foreign {
    #[error("shorter than a datagram of the link")]
    Short,
    #[error("longer than a datagram of the link")]
    Long,
    #[error("not a datagram of this protocol")]
    Magic,
    #[error("another version of the protocol")]
    Version,
    #[error("another link's name")]
    Link,
    #[error("a key that isn't configured")]
    Key,
    #[error("not sealed with the link key, or damaged")]
    Forged,
}

/// An authentic body that isn't as the table says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an authentic datagram that makes no sense")]
pub struct Malformed;

impl Header {
    /// Appends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&self.link);
        out.extend_from_slice(&self.key.to_be_bytes());
        out.extend_from_slice(&self.session.number.to_be_bytes());
        out.extend_from_slice(&self.session.random);
        out.extend_from_slice(&self.counter.to_be_bytes());
    }

    /// The header of a datagram; its length is looked at, its link and key aren't.
    pub fn decode(datagram: &[u8]) -> Result<Header, Foreign> {
        if datagram.len() < MIN_BYTES {
            return Err(Foreign::Short);
        }
        if datagram.len() > MAX_BYTES {
            return Err(Foreign::Long);
        }
        let mut reader = Reader::new(datagram);
        let start: [u8; 4] = reader.array().ok_or(Foreign::Short)?;
        if start != MAGIC {
            let same_protocol = start.starts_with(b"SDL");
            return Err(if same_protocol { Foreign::Version } else { Foreign::Magic });
        }
        let read = |reader: &mut Reader<'_>| {
            Some(Header {
                link: reader.array()?,
                key: reader.u32()?,
                session: SessionId { number: reader.u64()?, random: reader.array()? },
                counter: reader.u64()?,
            })
        };
        read(&mut reader).ok_or(Foreign::Short)
    }
}

/// What a datagram says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    Source(Source<'a>),
    Repair(Repair<'a>),
    Announcement(Announcement),
    Heartbeat(Heartbeat),
}

/// A symbol as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source<'a> {
    pub lane: Lane,
    /// From the session's start on, in its lane.
    pub number: u64,
    /// In its block; at most `number`.
    pub index: u16,
    pub bytes: &'a [u8],
}

/// A symbol that stands for any that is missing of its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repair<'a> {
    pub lane: Lane,
    /// Number of the block's first source symbol.
    pub first: u64,
    /// How many source symbols the block has, at least one.
    pub source: u16,
    /// How many repair symbols were made, at least one.
    pub repair: u16,
    /// Which of these; less than `repair`.
    pub index: u16,
    pub bytes: &'a [u8],
}

/// How the sender makes blocks: so that a receiver that is set up otherwise can say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// UDP payload, in bytes.
    pub datagram_bytes: u16,
    /// Source symbols after which a block closes.
    pub symbols: u16,
    /// Milliseconds after which a block closes.
    pub close_after_ms: u32,
    /// Milliseconds over which repair symbols are spread.
    pub spread_ms: u32,
    /// Repair symbols per thousand source symbols.
    pub overhead_permille: u16,
    /// Repair symbols of the smallest block.
    pub min_repair: u16,
}

/// The sender is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Milliseconds since the start of its session.
    pub mono_ms: u64,
    /// Its wall clock, in milliseconds since the epoch (UTC).
    pub wall_ms: u64,
    /// The highest number of a frame that was sent; 0: none yet.
    pub highest_frame: u64,
    /// Source symbols that were sent for the first time.
    pub symbols: u64,
    /// Frames below this number don't go again by themselves.
    pub again_from: u64,
}

const SOURCE: u8 = 0;
const SOURCE_AGAIN: u8 = 1;
const REPAIR: u8 = 2;
const REPAIR_AGAIN: u8 = 3;
const ANNOUNCEMENT: u8 = 4;
const HEARTBEAT: u8 = 5;

impl<'a> Body<'a> {
    /// Appends kind and body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Body::Source(source) => {
                out.push(if source.lane == Lane::Live { SOURCE } else { SOURCE_AGAIN });
                out.extend_from_slice(&source.number.to_be_bytes());
                out.extend_from_slice(&source.index.to_be_bytes());
                out.extend_from_slice(source.bytes);
            }
            Body::Repair(repair) => {
                out.push(if repair.lane == Lane::Live { REPAIR } else { REPAIR_AGAIN });
                out.extend_from_slice(&repair.first.to_be_bytes());
                out.extend_from_slice(&repair.source.to_be_bytes());
                out.extend_from_slice(&repair.repair.to_be_bytes());
                out.extend_from_slice(&repair.index.to_be_bytes());
                out.extend_from_slice(repair.bytes);
            }
            Body::Announcement(announcement) => {
                out.push(ANNOUNCEMENT);
                out.extend_from_slice(&announcement.datagram_bytes.to_be_bytes());
                out.extend_from_slice(&announcement.symbols.to_be_bytes());
                out.extend_from_slice(&announcement.close_after_ms.to_be_bytes());
                out.extend_from_slice(&announcement.spread_ms.to_be_bytes());
                out.extend_from_slice(&announcement.overhead_permille.to_be_bytes());
                out.extend_from_slice(&announcement.min_repair.to_be_bytes());
            }
            Body::Heartbeat(heartbeat) => {
                out.push(HEARTBEAT);
                out.extend_from_slice(&heartbeat.mono_ms.to_be_bytes());
                out.extend_from_slice(&heartbeat.wall_ms.to_be_bytes());
                out.extend_from_slice(&heartbeat.highest_frame.to_be_bytes());
                out.extend_from_slice(&heartbeat.symbols.to_be_bytes());
                out.extend_from_slice(&heartbeat.again_from.to_be_bytes());
            }
        }
    }

    /// What was encrypted, once it is known to be authentic.
    pub fn decode(plain: &'a [u8]) -> Result<Body<'a>, Malformed> {
        let mut reader = Reader::new(plain);
        Self::read(&mut reader).ok_or(Malformed)
    }

    fn read(reader: &mut Reader<'a>) -> Option<Body<'a>> {
        let kind = reader.u8()?;
        match kind {
            SOURCE | SOURCE_AGAIN => {
                let source = Source {
                    lane: if kind == SOURCE { Lane::Live } else { Lane::Again },
                    number: reader.u64()?,
                    index: reader.u16()?,
                    bytes: reader.rest(),
                };
                let is_sound = u64::from(source.index) <= source.number && !source.bytes.is_empty();
                is_sound.then_some(Body::Source(source))
            }
            REPAIR | REPAIR_AGAIN => {
                let repair = Repair {
                    lane: if kind == REPAIR { Lane::Live } else { Lane::Again },
                    first: reader.u64()?,
                    source: reader.u16()?,
                    repair: reader.u16()?,
                    index: reader.u16()?,
                    bytes: reader.rest(),
                };
                let is_sound = repair.source > 0
                    && repair.index < repair.repair
                    && !repair.bytes.is_empty()
                    && repair.bytes.len().is_multiple_of(2);
                is_sound.then_some(Body::Repair(repair))
            }
            ANNOUNCEMENT => {
                let announcement = Announcement {
                    datagram_bytes: reader.u16()?,
                    symbols: reader.u16()?,
                    close_after_ms: reader.u32()?,
                    spread_ms: reader.u32()?,
                    overhead_permille: reader.u16()?,
                    min_repair: reader.u16()?,
                };
                reader.is_empty().then_some(Body::Announcement(announcement))
            }
            HEARTBEAT => {
                let heartbeat = Heartbeat {
                    mono_ms: reader.u64()?,
                    wall_ms: reader.u64()?,
                    highest_frame: reader.u64()?,
                    symbols: reader.u64()?,
                    again_from: reader.u64()?,
                };
                reader.is_empty().then_some(Body::Heartbeat(heartbeat))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
