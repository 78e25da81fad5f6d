//! Takes the notes in a journal that was received over a link: frames that came late, the sender's clock, and
//! how the link is.

use std::ops::Range;

use journal_format::note::{Ends, Late, Note, NoteEnvelope};
use journal_format::{Frame, frame};

use crate::item::Item;
use crate::reader::Reader;

impl Reader {
    /// Takes a note; what it gives.
    pub(crate) fn take_note(&mut self, envelope: Range<usize>) -> Option<Item> {
        let cursor = self.cursor.as_ref()?;
        // One that was stepped over unread is empty.
        let note = NoteEnvelope::decode_envelope(cursor.envelope(envelope))?.note?;
        let late = match note {
            Note::Clock(clock) => {
                self.received.set_clock(clock);
                return None;
            }
            Note::Ends(ends) => {
                self.received.ends = Some(ends);
                return None;
            }
            Note::Missing(_) => return None,
            Note::Late(late) => late,
        };
        // Those before the last frame that was read were given with it, or before a restart.
        if cursor.expected() < self.want.seq {
            return None;
        }
        self.late(&late).map(Item::Late)
    }

    fn late(&mut self, late: &Late) -> Option<Frame> {
        let seq = frame::peek_seq(&late.envelope)?;
        if seq >= self.want.seq {
            // No receiver writes that.
            return None;
        }
        let envelope = frame::decode(&late.envelope, seq)?;
        let (Reader { received, layouts, most_body_bytes, .. }, epoch) = (self, late.epoch);
        let body = envelope
            .body
            .and_then(|body| received.by_names(body, epoch, layouts, *most_body_bytes));
        let appended_ms = envelope.appended_ms;
        Some(Frame { seq, epoch, appended_ms, body, in_head: false, layout: None })
    }

    /// How the link is by which this journal was received, as far as it was read; `None`: there is none, or
    /// nothing was noted.
    pub fn link_ends(&self) -> Option<&Ends> {
        let is_received = self.cursor.as_ref().is_some_and(|cursor| cursor.header().received);
        self.received.ends.as_ref().filter(|_| is_received)
    }

    /// Everything before this number was given, with all that came late before the frame after it: a
    /// reader that starts there misses nothing.
    pub fn settled_to(&self) -> u64 {
        let is_received = self.cursor.as_ref().is_some_and(|cursor| cursor.header().received);
        self.want.seq.saturating_sub(u64::from(is_received))
    }
}
