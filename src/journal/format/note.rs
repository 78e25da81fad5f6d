//! What stands between the frames of a journal that was received over a link, from whoever received
//! it: frames that came late, the sender's clock, and what is missing.
//!
//! A note is a frame with the number 0, which the sender gives to none. So the numbers of frames in
//! a segment grow, and notes stand anywhere between them.

use alloc::string::String;
use alloc::vec::Vec;

use prost::{Message, Oneof};

/// Number of every note.
pub const NOTE_SEQ: u64 = 0;
/// Cap of the ranges in one [`Missing`].
pub const MAX_MISSING: usize = 1 << 16;
/// Caps of [`Ends`]: paths, and characters of a path's name.
const MAX_PATHS: usize = 8;
const MAX_PATH_NAME: usize = 32;
/// The key of the number and the number: prost leaves out a 0.
const SEQ_FIELD: [u8; 2] = [0x08, 0];

/// One note.
#[derive(Clone, PartialEq, Message)]
pub struct NoteEnvelope {
    /// Wall clock of the receiver when it was written, in milliseconds since the epoch (UTC).
    #[prost(uint64, tag = "2")]
    pub written_ms: u64,
    #[prost(oneof = "Note", tags = "20, 21, 22, 23")]
    pub note: Option<Note>,
}

/// What a receiver notes.
#[derive(Clone, PartialEq, Oneof)]
pub enum Note {
    #[prost(message, tag = "20")]
    Late(Late),
    #[prost(message, tag = "21")]
    Clock(Clock),
    #[prost(message, tag = "22")]
    Missing(Missing),
    #[prost(message, tag = "23")]
    Ends(Ends),
}

/// A frame that was missing, and came after later ones.
#[derive(Clone, PartialEq, Message)]
pub struct Late {
    /// The sender's start that wrote it.
    #[prost(uint64, tag = "1")]
    pub epoch: u64,
    /// Its [`Envelope`](crate::Envelope), as it was.
    #[prost(bytes = "vec", tag = "2")]
    pub envelope: Vec<u8>,
}

/// How the sender's clock stands to the receiver's, by what the sender said of it lately.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Clock {
    /// The sender's clock is ahead by so many milliseconds; absent: nobody knows.
    #[prost(sint64, optional, tag = "1")]
    pub ahead_ms: Option<i64>,
}

/// How the link is, by whoever received it: when that has changed, and once in a while.
#[derive(Clone, PartialEq, Message)]
pub struct Ends {
    /// When the sender gave its last sign of life, by the receiver's clock, in milliseconds since the epoch
    /// (UTC); absent: it gave none since the receiver's start.
    #[prost(uint64, optional, tag = "1")]
    pub heard_ms: Option<u64>,
    /// That is longer ago than with a sender that lives.
    #[prost(bool, tag = "2")]
    pub is_silent: bool,
    /// Frames that are missing, and may still come by themselves.
    #[prost(uint64, tag = "3")]
    pub missing: u64,
    /// Frames that are missing, and don't: lost for good, unless somebody has them sent again.
    #[prost(uint64, tag = "4")]
    pub lost: u64,
    /// Frames that the sender has sent, and that are above all that came.
    #[prost(uint64, tag = "5")]
    pub behind: u64,
    #[prost(message, repeated, tag = "6")]
    pub paths: Vec<PathEnd>,
}

/// One path of a link.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct PathEnd {
    #[prost(string, tag = "1")]
    pub name: String,
    /// It brings nothing, and another one does.
    #[prost(bool, tag = "2")]
    pub is_down: bool,
}

/// Every number that no frame of the journal has, and that a late one may still have. Where a segment
/// begins, so that it says so without those before.
#[derive(Clone, PartialEq, Message)]
pub struct Missing {
    /// First number and length of each range, by turns: each first number is counted from the end
    /// of the range before.
    #[prost(uint64, repeated, tag = "1")]
    pub ranges: Vec<u64>,
    /// The number after the last frame that was written.
    #[prost(uint64, tag = "2")]
    pub next_seq: u64,
}

impl NoteEnvelope {
    /// The envelope of a frame.
    pub fn encode_envelope(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.encoded_len().saturating_add(SEQ_FIELD.len()));
        bytes.extend_from_slice(&SEQ_FIELD);
        // A vector grows as it must.
        let _ = self.encode(&mut bytes);
        bytes
    }

    /// `None`: it isn't what our receivers write.
    pub fn decode_envelope(envelope: &[u8]) -> Option<NoteEnvelope> {
        let note = NoteEnvelope::decode(envelope.strip_prefix(&SEQ_FIELD)?).ok()?;
        match &note.note {
            Some(Note::Missing(missing))
                if missing.ranges.len() > MAX_MISSING.saturating_mul(2) =>
            {
                None
            }
            Some(Note::Ends(ends)) if !ends.is_bounded() => None,
            _ => Some(note),
        }
    }
}

impl Ends {
    /// As our receivers write it.
    fn is_bounded(&self) -> bool {
        let is_name = |path: &PathEnd| {
            let letters = path.name.bytes();
            path.name.len() <= MAX_PATH_NAME
                && letters.into_iter().all(|byte| byte.is_ascii_graphic())
        };
        self.paths.len() <= MAX_PATHS && self.paths.iter().all(is_name)
    }
}

impl Missing {
    /// Of ranges by first and last number, which ascend.
    pub fn of(ranges: impl Iterator<Item = (u64, u64)>, next_seq: u64) -> Missing {
        let mut end = 0_u64;
        let mut told = Vec::new();
        for (first, last) in ranges {
            let after = last.saturating_add(1);
            told.extend([first.saturating_sub(end), after.saturating_sub(first)]);
            end = after;
        }
        Missing { ranges: told, next_seq }
    }

    /// The ranges by first and last number. `None`: they don't ascend, or reach beyond the next
    /// number.
    pub fn ranges(&self) -> Option<Vec<(u64, u64)>> {
        let mut end = 0_u64;
        let mut ranges = Vec::new();
        let (pairs, rest) = self.ranges.as_chunks::<2>();
        if !rest.is_empty() {
            return None;
        }
        for [gap, length] in pairs {
            let first = end.checked_add(*gap)?;
            let last = first.checked_add(*length)?.checked_sub(1)?;
            if *length == 0 || last >= self.next_seq {
                return None;
            }
            ranges.push((first, last));
            end = last.saturating_add(1);
        }
        Some(ranges)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::frame::{self, Parsed};

    #[test]
    fn a_note_is_a_frame_with_number_0() {
        for note in [
            None,
            Some(Note::Clock(Clock { ahead_ms: Some(-7) })),
            Some(Note::Late(Late { epoch: 3, envelope: vec![8, 1] })),
        ] {
            let note = NoteEnvelope { written_ms: 9, note };
            let envelope = note.encode_envelope();
            let mut frame = Vec::new();
            frame::append_envelope(77, &envelope, &mut frame).unwrap();
            let bytes = frame.len();
            assert_eq!(frame::parse(77, &frame), Parsed::Frame { seq: NOTE_SEQ, bytes });
            assert_eq!(NoteEnvelope::decode_envelope(&envelope), Some(note));
        }
        assert_eq!(NoteEnvelope::decode_envelope(&[8, 1]), None);
    }

    #[test]
    fn paths_that_no_receiver_has_are_refused() {
        let path = |name: &str| PathEnd { name: name.into(), is_down: true };
        let is_taken = |paths: Vec<PathEnd>| {
            let ends = Ends { heard_ms: Some(7), lost: 3, paths, ..Ends::default() };
            let note = NoteEnvelope { written_ms: 9, note: Some(Note::Ends(ends)) };
            let read = NoteEnvelope::decode_envelope(&note.encode_envelope());
            assert!(read.is_none() || read == Some(note));
            read.is_some()
        };
        assert!(is_taken(vec![path("eth1.7"); MAX_PATHS]));
        assert!(!is_taken(vec![path("a"); MAX_PATHS + 1]));
        assert!(!is_taken(vec![path("a\u{1b}b")]) && !is_taken(vec![path(&"a".repeat(33))]));
    }

    #[test]
    fn what_is_missing_is_told_and_read_again() {
        let ranges = [(1, 1), (3, 9), (10, 10), (1 << 40, (1 << 40) + 5)];
        let missing = Missing::of(ranges.into_iter(), 1 << 41);
        assert_eq!(missing.ranges(), Some(ranges.to_vec()));
        assert_eq!(Missing::of([].into_iter(), 5).ranges(), Some(Vec::new()));
        for (ranges, next_seq) in
            [(vec![1], 9), (vec![1, 0], 9), (vec![1, u64::MAX], 9), (vec![1, 9], 9)]
        {
            let missing = Missing { ranges, next_seq };
            assert_eq!(missing.ranges(), None, "{missing:?}");
        }
    }
}
