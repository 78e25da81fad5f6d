//! The header of a segment file.
//!
//! A segment is named by the sequence number of its first frame, `{first_seq:020}.sdj`, so that
//! names sort as numbers do. It begins with two equal copies of its header, so that one bad
//! sector doesn't cost the segment, and goes on with frames to its end. One copy:
//!
//! | offset | bytes | field (numbers are little endian) |
//! |---|---|---|
//! | 0 | 8 | magic `89 53 44 4A 0D 0A 1A 0A` |
//! | 8 | 2 | format version: 2 as the plant's side writes it, 1 before data was told against layouts; 3 as it was received over a link |
//! | 10 | 2 | header length: both copies; where the first frame begins |
//! | 12 | 4 | salt of the frames' checksums, random |
//! | 16 | 8 | epoch: the writer's start |
//! | 24 | 8 | sequence number of the first frame; equal to the name |
//! | 32 | 8 | time created, milliseconds since the epoch (UTC) |
//! | 40 | 8 | bytes of the frames of the head |
//! | 48 | 4 | frames of the head: `Start` and keyframes |
//! | 52 | 2 | length of the relay's name, at most 128 |
//! | 54 | … | the relay's name, UTF-8; zeros up to 252 |
//! | 252 | 4 | CRC-32C of the 252 bytes before |

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

/// Both copies of the header.
pub const HEADER_BYTES: usize = 512;
/// Where the first frame begins.
pub const FRAMES_OFFSET: u64 = HEADER_BYTES as u64;
/// Cap of the relay's name in a header, in bytes; longer names are cut.
pub const MAX_RELAY_NAME_BYTES: usize = 128;

/// One of them.
pub const COPY_BYTES: usize = HEADER_BYTES / 2;
/// What the checksum of one copy is over.
pub const CHECKED_BYTES: usize = COPY_BYTES - 4;
const MAGIC: [u8; 8] = *b"\x89SDJ\r\n\x1a\n";
/// Version of the format, as the plant's side writes it.
pub const FORMAT: u16 = 2;
/// Version of a segment that was received over a link: frames may be missing at any place, and
/// [notes](crate::note) stand between them.
pub const RECEIVED_FORMAT: u16 = 3;
/// The oldest version that is read.
pub const OLDEST_FORMAT: u16 = 1;
const HEADER_LENGTH: u16 = HEADER_BYTES as u16;

/// What the header of a segment says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub salt: u32,
    pub epoch: u64,
    pub first_seq: u64,
    pub created_ms: u64,
    pub head_bytes: u64,
    pub head_frames: u32,
    pub relay_name: String,
    /// It was received over a link. What is above is as in the segment of the sender, but for the
    /// salt.
    pub received: bool,
}

impl Header {
    /// Both copies, ready to be written at offset 0.
    pub fn encode(&self) -> Vec<u8> {
        let name = cut(&self.relay_name, MAX_RELAY_NAME_BYTES);
        let mut copy = Vec::with_capacity(HEADER_BYTES);
        copy.extend_from_slice(&MAGIC);
        let format = if self.received { RECEIVED_FORMAT } else { FORMAT };
        copy.extend_from_slice(&format.to_le_bytes());
        copy.extend_from_slice(&HEADER_LENGTH.to_le_bytes());
        copy.extend_from_slice(&self.salt.to_le_bytes());
        copy.extend_from_slice(&self.epoch.to_le_bytes());
        copy.extend_from_slice(&self.first_seq.to_le_bytes());
        copy.extend_from_slice(&self.created_ms.to_le_bytes());
        copy.extend_from_slice(&self.head_bytes.to_le_bytes());
        copy.extend_from_slice(&self.head_frames.to_le_bytes());
        copy.extend_from_slice(&u16::try_from(name.len()).unwrap_or_default().to_le_bytes());
        copy.extend_from_slice(name.as_bytes());
        copy.resize(CHECKED_BYTES, 0);
        copy.extend_from_slice(&crc32c::crc32c(&copy).to_le_bytes());
        copy.extend_from_within(..);
        copy
    }

    /// Parses one copy. `Err(Some(version))`: sound, but of another format version.
    ///
    /// # Errors
    /// `None`: damaged.
    pub fn parse(copy: &[u8]) -> Result<Header, Option<u16>> {
        let (checked, crc) = copy.split_at_checked(CHECKED_BYTES).ok_or(None)?;
        let (crc, _) = crc.split_first_chunk::<4>().ok_or(None)?;
        if u32::from_le_bytes(*crc) != crc32c::crc32c(checked) {
            return Err(None);
        }
        let mut fields = Fields(checked);
        if fields.take::<8>()? != MAGIC {
            return Err(None);
        }
        let version = u16::from_le_bytes(fields.take()?);
        if !(OLDEST_FORMAT..=RECEIVED_FORMAT).contains(&version) {
            return Err(Some(version));
        }
        if fields.take()? != HEADER_LENGTH.to_le_bytes() {
            return Err(None);
        }
        let salt = u32::from_le_bytes(fields.take()?);
        let epoch = u64::from_le_bytes(fields.take()?);
        let first_seq = u64::from_le_bytes(fields.take()?);
        let created_ms = u64::from_le_bytes(fields.take()?);
        let head_bytes = u64::from_le_bytes(fields.take()?);
        let head_frames = u32::from_le_bytes(fields.take()?);
        let name_bytes = usize::from(u16::from_le_bytes(fields.take()?));
        let relay_name = fields
            .0
            .get(..name_bytes)
            .filter(|name| name.len() <= MAX_RELAY_NAME_BYTES)
            .and_then(|name| core::str::from_utf8(name).ok())
            .ok_or(None)?
            .to_owned();
        let received = version == RECEIVED_FORMAT;
        Ok(Header {
            salt,
            epoch,
            first_seq,
            created_ms,
            head_bytes,
            head_frames,
            relay_name,
            received,
        })
    }
}

/// Cuts `text` to at most `bytes` bytes, between two characters.
fn cut(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    // Terminates: 0 is always a boundary.
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default()
}

/// The fields of a header that are still to be read.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Option<u16>> {
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or(None)?;
        self.0 = rest;
        Ok(*field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            salt: 77,
            epoch: 5,
            first_seq: 42,
            created_ms: 1_700_000_000_000,
            head_bytes: 1000,
            head_frames: 3,
            relay_name: "line 4 ü".into(),
            received: false,
        }
    }

    #[test]
    fn a_received_segment_is_of_another_version() {
        for received in [false, true] {
            let header = Header { received, ..header() };
            let copy = header.encode();
            assert_eq!(copy[8], if received { 3 } else { 2 });
            assert_eq!(Header::parse(&copy[..COPY_BYTES]), Ok(header));
        }
    }

    #[test]
    fn a_long_relay_name_is_cut_between_characters() {
        assert_eq!(cut("aü", 2), "a");
        let long = Header { relay_name: "ü".repeat(100), ..header() };
        let parsed = Header::parse(&long.encode()[..COPY_BYTES]).unwrap();
        assert_eq!(parsed.relay_name, "ü".repeat(64));
    }
}
