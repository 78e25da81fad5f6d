//! Frames as they stand in the journal, for whoever hands them on or compares them.

use std::ops::Range;
use std::path::Path;

use journal_format::frame;
use journal_format::header::Header;
use journal_format::note::{Late, Note, NoteEnvelope};
use journal_segment::JournalError;
use mistake::mistake;

use crate::item::{From, Lost, Position};
use crate::reader::{Reader, SETTLED_POLLS, Taken};

/// A frame, undecoded.
#[derive(Clone, Debug, PartialEq)]
pub struct RawFrame<'a> {
    pub seq: u64,
    /// Of the segment that it stands in.
    pub header: &'a Header,
    /// Its [`Envelope`](journal_format::Envelope).
    pub envelope: &'a [u8],
}

/// What a reader gets of a journal, undecoded.
#[derive(Clone, Debug, PartialEq)]
pub enum RawItem<'a> {
    Frame(RawFrame<'a>),
    Lost(Lost),
    /// A frame that came late over a link.
    Late {
        seq: u64,
        epoch: u64,
        envelope: Vec<u8>,
    },
}

/// The same, with the place of the envelope in the cursor's buffer.
enum TakenRaw {
    Frame { seq: u64, envelope: Range<usize> },
    Lost(Lost),
    Late { seq: u64, epoch: u64, envelope: Vec<u8> },
}

impl Reader {
    /// As [`Reader::next`], undecoded. Whoever uses this doesn't use that.
    ///
    /// # Errors
    /// As there.
    pub fn next_raw(&mut self) -> Result<Option<RawItem<'_>>, JournalError> {
        let taken = self.take_raw()?;
        Ok(taken.and_then(|taken| self.raw(taken)))
    }

    /// Where a reader that starts at `from` finds its first frame; `None`: nowhere yet.
    ///
    /// # Errors
    /// As [`Reader::open`] and [`Reader::next_raw_settled`].
    pub fn first_frame(dir: &Path, from: From) -> Result<Option<Position>, JournalError> {
        let mut reader = Reader::open(dir, from)?;
        Ok(reader.next_raw_settled()?.map(|item| match item {
            RawItem::Frame(frame) => Position { epoch: frame.header.epoch, seq: frame.seq },
            RawItem::Late { seq, epoch, .. } => Position { epoch, seq },
            RawItem::Lost(lost) => Position { epoch: 0, seq: lost.first },
        }))
    }

    /// As [`Reader::next_settled`], undecoded.
    ///
    /// # Errors
    /// As there.
    pub fn next_raw_settled(&mut self) -> Result<Option<RawItem<'_>>, JournalError> {
        for _ in 0..SETTLED_POLLS {
            if let Some(taken) = self.take_raw()? {
                return Ok(self.raw(taken));
            }
        }
        Ok(None)
    }

    fn take_raw(&mut self) -> Result<Option<TakenRaw>, JournalError> {
        // Terminates: a note is taken in each turn.
        loop {
            match self.advance()? {
                None => return Ok(None),
                Some(Taken::Lost(lost)) => return Ok(Some(TakenRaw::Lost(lost))),
                Some(Taken::Frame { seq, envelope }) => {
                    return Ok(Some(TakenRaw::Frame { seq, envelope }));
                }
                Some(Taken::Note { envelope }) => {
                    let Some(cursor) = &self.cursor else { continue };
                    let note = NoteEnvelope::decode_envelope(cursor.envelope(envelope));
                    let is_new = cursor.expected() >= self.want.seq;
                    if let Some(Note::Late(Late { epoch, envelope })) =
                        note.and_then(|note| note.note)
                        && is_new
                        && let Some(seq) = frame::peek_seq(&envelope)
                    {
                        return Ok(Some(TakenRaw::Late { seq, epoch, envelope }));
                    }
                }
            }
        }
    }

    fn raw(&self, taken: TakenRaw) -> Option<RawItem<'_>> {
        Some(match taken {
            TakenRaw::Lost(lost) => RawItem::Lost(lost),
            TakenRaw::Late { seq, epoch, envelope } => RawItem::Late { seq, epoch, envelope },
            TakenRaw::Frame { seq, envelope } => {
                let Some(cursor) = &self.cursor else {
                    mistake!("a frame was read from no segment");
                    return None;
                };
                let envelope = cursor.envelope(envelope);
                RawItem::Frame(RawFrame { seq, header: cursor.header(), envelope })
            }
        })
    }
}
