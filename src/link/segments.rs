//! What frames are of: the segment of the sender's journal that they stand in. It goes as a note before
//! the first frame of each block, wherever another begins, and again after 20 ms; each frame has the
//! note's tag.
//!
//! | offset | bytes | a note |
//! |---|---|---|
//! | 0 | 8 | the writer's start (epoch) |
//! | 8 | 8 | number of the segment's first frame |
//! | 16 | 8 | when it was made, in milliseconds since the epoch (UTC) |
//! | 24 | 4 | frames of its head |
//! | 28 | 8 | bytes of its head |
//! | 36 | … | name of the relay, at most 128 bytes of UTF-8 |
//!
//! The tag is the start of the note's SHA-256: so a frame is never taken for one of another segment,
//! whatever was lost, overtaken or sent again between.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

use crate::datagram::Malformed;
use crate::reader::Reader;

/// Cap of a relay's name, in bytes; the journal's.
pub const MAX_RELAY_NAME_BYTES: usize = 128;
/// After so long a note goes again: who comes later understands frames from then on.
const NOTE_EVERY: Duration = Duration::from_millis(20);
/// Segments that a receiver knows: of live frames and those of the second pass.
const MAX_KNOWN: usize = 256;

/// A segment of the sender's journal, as its header says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// The writer's start.
    pub epoch: u64,
    /// Number of its first frame.
    pub first_seq: u64,
    /// In milliseconds since the epoch (UTC).
    pub created_ms: u64,
    pub head_frames: u32,
    pub head_bytes: u64,
    pub relay_name: String,
}

impl Segment {
    /// The note; a name that is too long is cut.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        out.extend_from_slice(&self.epoch.to_be_bytes());
        out.extend_from_slice(&self.first_seq.to_be_bytes());
        out.extend_from_slice(&self.created_ms.to_be_bytes());
        out.extend_from_slice(&self.head_frames.to_be_bytes());
        out.extend_from_slice(&self.head_bytes.to_be_bytes());
        let end = self.relay_name.floor_char_boundary(MAX_RELAY_NAME_BYTES);
        out.extend_from_slice(self.relay_name.get(..end).unwrap_or_default().as_bytes());
        out
    }

    pub(crate) fn decode(note: &[u8]) -> Result<Segment, Malformed> {
        let mut reader = Reader::new(note);
        let mut read = || {
            Some(Segment {
                epoch: reader.u64()?,
                first_seq: reader.u64()?,
                created_ms: reader.u64()?,
                head_frames: reader.u32()?,
                head_bytes: reader.u64()?,
                relay_name: str::from_utf8(reader.rest()).ok()?.to_owned(),
            })
        };
        let segment = read().ok_or(Malformed)?;
        let is_sound = segment.relay_name.len() <= MAX_RELAY_NAME_BYTES;
        if is_sound { Ok(segment) } else { Err(Malformed) }
    }
}

/// What stands before each frame of a note's segment.
pub(crate) fn tag(note: &[u8]) -> u32 {
    let digest = digest(&SHA256, note);
    digest.as_ref().first_chunk().copied().map_or(0, u32::from_be_bytes)
}

/// What a lane of the sender said last.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    last: Option<(Segment, Vec<u8>, u32)>,
    due: Duration,
}

impl Noted {
    /// The tag of a segment, and its note, if that has to go first.
    pub(crate) fn note(
        &mut self,
        now: Duration,
        segment: &Segment,
        begins_block: bool,
    ) -> (u32, Option<&[u8]>) {
        let is_other = self.last.as_ref().is_none_or(|(last, ..)| last != segment);
        if is_other {
            let note = segment.encode();
            let tag = tag(&note);
            self.last = Some((segment.clone(), note, tag));
        }
        let Some((_, note, tag)) = &self.last else {
            mistake::mistake!("a segment that isn't there");
            return (0, None);
        };
        let goes = is_other || begins_block || self.due <= now;
        if goes {
            self.due = now.saturating_add(NOTE_EVERY);
        }
        (*tag, goes.then_some(note))
    }
}

/// Segments that a receiver was told of, by tag; those that were named last.
#[derive(Debug, Default)]
pub(crate) struct Known(VecDeque<(u32, Arc<Segment>)>);

impl Known {
    /// A note came.
    pub(crate) fn note(&mut self, note: &[u8]) -> Result<(), Malformed> {
        let tag = tag(note);
        if let Some(at) = self.0.iter().position(|(known, _)| *known == tag) {
            if at > 0
                && let Some(known) = self.0.remove(at)
            {
                self.0.push_front(known);
            }
            return Ok(());
        }
        let segment = Segment::decode(note)?;
        self.0.push_front((tag, Arc::new(segment)));
        self.0.truncate(MAX_KNOWN);
        Ok(())
    }

    /// The segment with this tag.
    pub(crate) fn find(&self, tag: u32) -> Option<&Arc<Segment>> {
        self.0.iter().find(|(known, _)| *known == tag).map(|(_, segment)| segment)
    }
}

#[cfg(test)]
mod tests;
