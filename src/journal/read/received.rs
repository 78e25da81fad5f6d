//! What a reader makes of the notes in a journal that was received over a link: frames that came late,
//! and the sender's clock.

use std::ops::Range;

use journal_format::header::Header;
use journal_format::note::{Late, Note, NoteEnvelope};
use journal_format::{Body, Frame, Layouts, frame};

use crate::item::Item;
use crate::reader::{MAX_LAYOUT_BYTES, Reader};

/// What a reader knows of whoever sent the journal.
#[derive(Debug)]
pub(crate) struct Received {
    /// Times are given by the clock of this machine.
    pub(crate) by_own_clock: bool,
    /// By how much the sender's clock is ahead, if anybody knows.
    ahead_ms: Option<i64>,
    /// Layouts that came late: they are good for data that came late.
    layouts: Layouts,
    epoch: u64,
}

impl Default for Received {
    fn default() -> Received {
        let layouts = Layouts::new(MAX_LAYOUT_BYTES);
        Received { by_own_clock: false, ahead_ms: None, layouts, epoch: 0 }
    }
}

impl Received {
    pub(crate) fn begin_segment(&mut self, epoch: u64) {
        self.layouts.begin_segment(epoch);
        self.epoch = epoch;
    }

    /// The frame with its time by the clock of this machine, if that is wanted.
    pub(crate) fn dated(&self, frame: Frame, header: &Header) -> Frame {
        if !self.by_own_clock || !header.received {
            return frame;
        }
        let here = self.ahead_ms.map(|ahead_ms| {
            let appended_ms = i64::try_from(frame.appended_ms).unwrap_or(i64::MAX);
            u64::try_from(appended_ms.saturating_sub(ahead_ms)).unwrap_or(0)
        });
        Frame { appended_ms: here.unwrap_or(0), ..frame }
    }

    /// By names, if its layout is known: a number means one layout for as long as the writer runs.
    fn by_names(&mut self, body: Body, epoch: u64, known: &Layouts, most: usize) -> Option<Body> {
        let Body::Data(data) = &body else {
            if epoch == self.epoch {
                self.layouts.learn(&body);
            }
            return Some(body);
        };
        if epoch != self.epoch {
            return None;
        }
        let layout = known.of(data).or_else(|| self.layouts.of(data))?;
        layout.by_names(data, most).map(Body::Relayed)
    }
}

impl Reader {
    /// Takes a note; what it gives.
    pub(crate) fn take_note(&mut self, envelope: Range<usize>) -> Option<Item> {
        let cursor = self.cursor.as_ref()?;
        // One that was stepped over unread is empty.
        let note = NoteEnvelope::decode_envelope(cursor.envelope(envelope))?.note?;
        let late = match note {
            Note::Clock(clock) => {
                self.received.ahead_ms = clock.ahead_ms;
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

    /// Everything before this number was given, with all that came late before the frame after it: a
    /// reader that starts there misses nothing.
    pub fn settled_to(&self) -> u64 {
        let is_received = self.cursor.as_ref().is_some_and(|cursor| cursor.header().received);
        self.want.seq.saturating_sub(u64::from(is_received))
    }
}
