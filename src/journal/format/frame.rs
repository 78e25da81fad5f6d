//! The codec of one frame.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 3 | length of the envelope, little endian: below 2^23 in bytes; above, what is beyond 2^23 is in units of 32 bytes |
//! | 3 | 1 | check of the length: low byte of the CRC-32C over salt and length |
//! | 4 | 4 | CRC-32C, little endian, over salt, length and envelope |
//! | 8 | length | [`Envelope`], protobuf; its first field is the sequence number |
//!
//! The length is under the checksum, so that a stretch of zeros isn't a frame. It has a check of
//! its own, so that an append that was interrupted (a sound length, too few bytes) differs from
//! a frame whose length was damaged: the first was never acknowledged, the second counts as
//! lost. The salt is a
//! random number in the header of the segment. It makes frames of other segments (in recycled
//! disk blocks) and frame look-alikes inside of payloads (made by somebody in the plant who
//! hopes that a reader loses its place) fail the checksum.
//!
//! An envelope of 8 MiB and more is filled up to a whole number of units by a field that readers
//! skip. Versions before large births could cross take it for damage of one frame, and go on
//! behind it.

use alloc::sync::Arc;

use prost::Message;
use prost::encoding::decode_varint;

pub use crate::encode::{append, append_envelope};
use crate::header::Header;
use crate::layouts::{Layout, Layouts};
use crate::prefix::{LONG, UNIT, low_byte};
pub use crate::prefix::{MAX_BODY_BYTES, PREFIX_BYTES, TooLarge};
use crate::{Body, Envelope};

/// The shortest envelope: a sequence number and nothing else.
const MIN_BODY_BYTES: usize = 2;
/// The shortest frame; bounds how many frames a damaged stretch can have held.
pub const MIN_FRAME_BYTES: u64 = (PREFIX_BYTES + MIN_BODY_BYTES) as u64;
/// Prefix, key and the longest varint of the sequence number.
pub const PEEK_BYTES: usize = PREFIX_BYTES + 1 + 10;
/// Key of `Envelope.seq`: field 1, varint.
const SEQ_KEY: u8 = 0x08;
/// Envelopes up to this size are decoded without counting their elements first: what prost
/// allocates for them is bounded by some 20 times their size.
const UNCOUNTED_BYTES: usize = 64 << 10;
/// Cap of the elements (devices of a keyframe, lines of an account) in a larger envelope.
const MAX_ELEMENTS: usize = 65_536;

/// One frame as a reader gets it.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Its number in the journal.
    pub seq: u64,
    /// The writer's start that wrote it; from the header of its segment.
    pub epoch: u64,
    /// Wall clock of the writer at the append, in milliseconds since the epoch (UTC). Of a reader by
    /// its own clock: the same moment by the clock of this machine, 0 where that isn't known.
    pub appended_ms: u64,
    /// `None`: a kind of body that this version doesn't know; skip and count it.
    pub body: Option<Body>,
    /// Part of the run of `Start` and keyframes that leads its segment.
    pub in_head: bool,
    /// The layout that its data refers to.
    pub layout: Option<Arc<Layout>>,
}

impl Frame {
    /// Topic and payload of what it says of the plant, if it does.
    pub fn message(&self) -> Option<(&str, &[u8])> {
        match &self.body {
            Some(Body::Relayed(relayed)) => Some((&relayed.topic, &relayed.payload)),
            Some(Body::Keyframe(keyframe)) => Some((&keyframe.topic, &keyframe.payload)),
            Some(Body::Data(data)) => Some((self.layout.as_ref()?.topic(), &data.metrics)),
            _ => None,
        }
    }

    /// Whether it is a message of the plant, and no word of this program about it.
    pub fn is_relayed(&self) -> bool {
        matches!(self.body, Some(Body::Relayed(_) | Body::Data(_)))
    }

    /// A frame of the segment with this header.
    pub fn new(header: &Header, envelope: Envelope) -> Frame {
        let place = envelope.seq.saturating_sub(header.first_seq);
        Frame {
            seq: envelope.seq,
            epoch: header.epoch,
            appended_ms: envelope.appended_ms,
            body: envelope.body,
            in_head: place < u64::from(header.head_frames),
            layout: None,
        }
    }

    /// The frame after those that `layouts` has learned from, which learn from it. `by_names`: its data
    /// by names, of at most so many bytes; otherwise as it was written, with its layout if that is
    /// known. `None`: nobody can know its names.
    pub fn after(mut self, layouts: &mut Layouts, by_names: Option<usize>) -> Option<Frame> {
        if let Some(most_bytes) = by_names {
            if let Some(body) = self.body.take() {
                self.body = Some(layouts.by_names(body, most_bytes)?);
            }
            return Some(self);
        }
        match &self.body {
            Some(Body::Data(data)) => self.layout = layouts.of(data).cloned(),
            Some(body) => layouts.learn(body),
            None => {}
        }
        Some(self)
    }
}

/// What the bytes at the place of a frame are.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A frame of `bytes` bytes with a good checksum.
    Frame {
        seq: u64,
        bytes: usize,
    },
    /// The beginning of what may be a frame of `bytes` bytes.
    Incomplete {
        bytes: usize,
    },
    Invalid,
}

/// Looks at the frame at the beginning of `bytes`, without decoding its body.
pub fn parse(salt: u32, bytes: &[u8]) -> Parsed {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
        return Parsed::Incomplete { bytes: PREFIX_BYTES };
    };
    let Some((total, length_crc)) = checked_length(salt, *length) else {
        return Parsed::Invalid;
    };
    let Some((crc, rest)) = rest.split_first_chunk::<4>() else {
        return Parsed::Incomplete { bytes: total };
    };
    let Some(envelope) = rest.get(..total.saturating_sub(PREFIX_BYTES)) else {
        return Parsed::Incomplete { bytes: total };
    };
    if u32::from_le_bytes(*crc) != crc32c::crc32c_append(length_crc, envelope) {
        return Parsed::Invalid;
    }
    match peek_seq(envelope) {
        Some(seq) => Parsed::Frame { seq, bytes: total },
        None => Parsed::Invalid,
    }
}

/// Whether a frame could begin here, judged by its first bytes alone: its sequence number and
/// its size. `bytes` should be [`PEEK_BYTES`] long; with fewer the answer may be a false `None`.
pub fn peek(salt: u32, bytes: &[u8]) -> Option<(u64, usize)> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    // Before the check of the length, since it refuses nearly everything at less cost.
    let seq = peek_seq(rest.get(4..)?)?;
    Some((seq, length_at(salt, *length)?))
}

/// Size of the frame that begins with these bytes, sound or not; `None`: its length is damaged.
pub fn length_at(salt: u32, length: [u8; 4]) -> Option<usize> {
    checked_length(salt, length).map(|(total, _)| total)
}

/// Decodes the envelope of a frame that [`parse`] accepted with this sequence number. `None`:
/// it isn't what our writers write, or decoding it would take an absurd amount of memory.
pub fn decode(envelope: &[u8], seq: u64) -> Option<Envelope> {
    if envelope.len() > UNCOUNTED_BYTES && !elements_within_cap(envelope) {
        return None;
    }
    Envelope::decode(envelope).ok().filter(|envelope| envelope.seq == seq)
}

/// Whether a layout may be given in this envelope, judged by its first bytes alone: it has a message
/// by names, or a keyframe. True also where that can't be seen.
pub fn may_give_layout(envelope: &[u8]) -> bool {
    const TIME_KEY: u64 = 2 << 3;
    const RELAYED_KEY: u64 = 11 << 3 | 2;
    const KEYFRAME_KEY: u64 = 12 << 3 | 2;
    let mut rest = envelope;
    loop {
        match decode_varint(&mut rest) {
            Ok(key) if key == u64::from(SEQ_KEY) || key == TIME_KEY => {
                if decode_varint(&mut rest).is_err() {
                    return true;
                }
            }
            Ok(key) => return matches!(key, RELAYED_KEY | KEYFRAME_KEY),
            Err(_) => return true,
        }
    }
}

/// Size of the whole frame and the checksum so far, if the length is sound.
fn checked_length(salt: u32, length: [u8; 4]) -> Option<(usize, u32)> {
    let [low, middle, high, check] = length;
    let length_crc = crc32c::crc32c_append(salt, &[low, middle, high]);
    let length = usize::try_from(u32::from_le_bytes([low, middle, high, 0])).ok()?;
    let bytes = match length & !LONG {
        bytes if length < LONG => bytes,
        units => units.checked_mul(UNIT).filter(|bytes| *bytes >= LONG)?,
    };
    let sound = check == low_byte(length_crc) && (MIN_BODY_BYTES..=MAX_BODY_BYTES).contains(&bytes);
    sound.then(|| (bytes.saturating_add(PREFIX_BYTES), length_crc))
}

/// The sequence number of an envelope.
pub fn peek_seq(envelope: &[u8]) -> Option<u64> {
    let (key, mut rest) = envelope.split_first()?;
    if *key != SEQ_KEY {
        return None;
    }
    decode_varint(&mut rest).ok()
}

/// Whether the submessages of a large envelope hold at most [`MAX_ELEMENTS`] fields. Our bodies
/// have elements on their first level only (strings and small messages of fixed shape), where
/// a few bytes on disk become a few dozen in memory; deeper repetition isn't in the format.
fn elements_within_cap(envelope: &[u8]) -> bool {
    let mut elements = 0_usize;
    let mut rest = envelope;
    while let Some((field, after)) = next_field(rest) {
        elements = elements.saturating_add(1);
        let mut inner = field;
        while let Some((_, after_inner)) = next_field(inner) {
            elements = elements.saturating_add(1);
            if elements > MAX_ELEMENTS {
                return false;
            }
            inner = after_inner;
        }
        rest = after;
    }
    elements <= MAX_ELEMENTS
}

/// The content of the first field (empty for numbers) and what follows it; `None` at the end
/// and where the bytes aren't protobuf, which the real decoder then refuses.
fn next_field(mut bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    if bytes.is_empty() {
        return None;
    }
    let key = decode_varint(&mut bytes).ok()?;
    match key & 7 {
        0 => {
            decode_varint(&mut bytes).ok()?;
            Some((&[], bytes))
        }
        1 => bytes.split_at_checked(8).map(|(_, rest)| (Default::default(), rest)),
        2 => {
            let length = usize::try_from(decode_varint(&mut bytes).ok()?).ok()?;
            bytes.split_at_checked(length)
        }
        5 => bytes.split_at_checked(4).map(|(_, rest)| (Default::default(), rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;
    use crate::{Heartbeat, Keyframe, Relayed};

    const SALT: u32 = 0x1234_5678;

    fn relayed(payload_bytes: usize) -> Body {
        Body::Relayed(Relayed {
            source: "line4".into(),
            topic: "spBv1.0/g/NDATA/n".into(),
            payload: vec![0x5a; payload_bytes],
            ..Relayed::default()
        })
    }

    fn encoded(seq: u64, body: &Body) -> Vec<u8> {
        let mut out = Vec::new();
        append(SALT, seq, 1_700_000_000_000, body, &mut out).unwrap();
        out
    }

    #[test]
    fn a_frame_is_what_prost_makes_of_the_envelope() {
        for seq in [1, 127, 128, u64::MAX] {
            let body = relayed(300);
            let frame = encoded(seq, &body);
            let envelope = Envelope { seq, appended_ms: 1_700_000_000_000, body: Some(body) };
            assert_eq!(&frame[PREFIX_BYTES..], envelope.encode_to_vec());
            assert_eq!(parse(SALT, &frame), Parsed::Frame { seq, bytes: frame.len() });
            assert_eq!(peek(SALT, &frame[..PEEK_BYTES]), Some((seq, frame.len())));
            assert_eq!(decode(&frame[PREFIX_BYTES..], seq), Some(envelope));
        }
    }

    #[test]
    fn every_flipped_bit_and_every_other_salt_is_refused() {
        let frame = encoded(7, &relayed(20));
        for bit in 0..frame.len() * 8 {
            let mut flipped = frame.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // Never `Incomplete` either: that would be an append that nobody acknowledged.
            assert_eq!(parse(SALT, &flipped), Parsed::Invalid, "bit {bit}");
        }
        assert_eq!(parse(SALT + 1, &frame), Parsed::Invalid);
    }

    #[test]
    fn every_prefix_of_a_frame_is_incomplete() {
        let frame = encoded(7, &relayed(20));
        for end in 0..frame.len() {
            assert!(matches!(parse(SALT, &frame[..end]), Parsed::Incomplete { .. }), "{end}");
        }
    }

    #[test]
    fn zeros_and_absurd_lengths_are_invalid() {
        assert_eq!(parse(0, &[0; 64]), Parsed::Invalid);
        let mut frame = encoded(7, &relayed(20));
        let length = [0xff; 3];
        frame[..3].copy_from_slice(&length);
        frame[3] = low_byte(crc32c::crc32c_append(SALT, &length));
        assert_eq!(parse(SALT, &frame), Parsed::Invalid);
    }

    #[test]
    fn long_frames_are_filled_up_to_whole_units() {
        for bytes in [LONG - 60, LONG - 40, LONG, LONG + 1, 17 << 20] {
            for more in 0..UNIT {
                let body = relayed(bytes + more);
                let frame = encoded(7, &body);
                assert_eq!(parse(SALT, &frame), Parsed::Frame { seq: 7, bytes: frame.len() });
                if more % 8 == 0 {
                    let envelope = decode(&frame[PREFIX_BYTES..], 7).unwrap();
                    assert_eq!(envelope.body, Some(body));
                    assert_eq!(
                        parse(SALT, &frame[..frame.len() - 1]),
                        Parsed::Incomplete { bytes: frame.len() }
                    );
                }
            }
        }
        // A long length of less than what is long isn't written, and isn't read.
        let length = [1, 0, 0x80];
        let check = low_byte(crc32c::crc32c_append(SALT, &length));
        assert_eq!(length_at(SALT, [1, 0, 0x80, check]), None);
    }

    #[test]
    fn a_body_over_the_cap_is_refused_and_leaves_no_trace() {
        let mut out = vec![1, 2, 3];
        let error = append(SALT, 1, 0, &relayed(MAX_BODY_BYTES), &mut out).unwrap_err();
        assert!(matches!(error, TooLarge { .. }), "{error}");
        assert_eq!(out, [1, 2, 3]);
    }

    #[test]
    fn a_large_envelope_of_countless_elements_is_not_decoded() {
        let many = |devices| Envelope {
            seq: 1,
            appended_ms: 1,
            body: Some(Body::Keyframe(Keyframe {
                devices: vec![String::new(); devices],
                ..Keyframe::default()
            })),
        };
        assert!(decode(&many(MAX_ELEMENTS + 1).encode_to_vec(), 1).is_none());
        assert!(decode(&many(MAX_ELEMENTS / 2).encode_to_vec(), 1).is_some());
    }

    #[test]
    fn an_envelope_whose_number_is_given_twice_is_refused() {
        let mut envelope = encoded(7, &Body::Heartbeat(Heartbeat::default()));
        envelope.drain(..PREFIX_BYTES);
        envelope.extend_from_slice(&[SEQ_KEY, 9]);
        assert!(decode(&envelope, 7).is_none());
    }
}
