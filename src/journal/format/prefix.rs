//! What the prefix of a frame says, and how large a frame may be.

/// Cap of an encoded envelope, in bytes: twice the largest MQTT packet that can be configured, so
/// that a birth can grow when names replace aliases, and room for topic and the rest.
pub const MAX_BODY_BYTES: usize = (128 << 20) + (256 << 10);
/// Envelopes of so many bytes are long: their length is in units.
pub(crate) const LONG: usize = 1 << 23;
/// Bytes that the length of a long envelope counts.
pub(crate) const UNIT: usize = 32;
/// Key of the field that fills a long envelope up: field 15, bytes. Never given to anything else.
pub(crate) const FILLER_KEY: u8 = 15 << 3 | 2;
/// Length and checksum.
pub const PREFIX_BYTES: usize = 8;
/// A body over [`MAX_BODY_BYTES`]; it wasn't appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("frame body of {bytes} bytes is over the cap of {cap}")]
pub struct TooLarge {
    pub bytes: usize,
    pub cap: usize,
}

pub(crate) fn low_byte(crc: u32) -> u8 {
    let [low, ..] = crc.to_le_bytes();
    low
}
