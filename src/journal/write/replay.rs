//! What an earlier writer left, read once more at the start: the one thing that a writer reads.

use std::path::PathBuf;

use journal_format::{Body, Frame, Layouts, MAX_BODY_BYTES, frame};
use journal_segment::JournalError;
use journal_segment::cursor::{Cursor, Step};
use journal_segment::files::{self as segment, Opened};

use crate::writer::Writer;

impl<E: Into<Body>> Writer<E> {
    /// The frames that an earlier writer left, from the segment that holds frame `seq` on, each
    /// segment's head first: what a relay needs to know its plant again after a restart. From the
    /// oldest segment where none reaches back so far. Where `seq` is `None`, of the last one alone, or
    /// of the last two: if the head of the last one is spread, it may not be complete, and that of
    /// the one before is. Nothing after the first [`begin_segment`](Writer::begin_segment).
    pub fn replay(&self, seq: Option<u64>) -> Replay {
        let mut segments: Vec<u64> = Vec::new();
        if self.current.is_none() {
            let from = match seq {
                Some(seq) => self.old.iter().rposition(|old| old.first_seq <= seq).unwrap_or(0),
                None => self.old.len().saturating_sub(if self.last_has_head() { 1 } else { 2 }),
            };
            segments.extend(self.old.iter().skip(from).map(|old| old.first_seq));
        }
        segments.reverse();
        // What an earlier writer gave takes no more than the plant that it came from.
        let layouts = Layouts::new(usize::MAX);
        Replay { dir: self.options.dir.clone(), segments, cursor: None, layouts }
    }

    fn last_has_head(&self) -> bool {
        let last = self.old.last().map(|last| segment::open(&self.options.dir, last.first_seq));
        matches!(last, Some(Ok(Opened::Segment { header, .. })) if header.head_frames > 0)
    }
}

/// The frames that [`Writer::replay`] gives. What can't be read is left out: whoever needs all of
/// them looks at their numbers.
#[derive(Debug)]
pub struct Replay {
    dir: PathBuf,
    /// Those to come, the next one last.
    segments: Vec<u64>,
    cursor: Option<Cursor>,
    layouts: Layouts,
}

impl Replay {
    /// The next sound frame, by names; `None` at the end.
    ///
    /// # Errors
    /// A segment can't be read.
    #[expect(clippy::should_implement_trait, reason = "as of the reader, whose place it takes")]
    pub fn next(&mut self) -> Result<Option<Frame>, JournalError> {
        loop {
            let Some(cursor) = &mut self.cursor else {
                let Some(first_seq) = self.segments.pop() else { return Ok(None) };
                if let Opened::Segment { file, header, .. } = segment::open(&self.dir, first_seq)? {
                    let path = segment::path(&self.dir, first_seq);
                    self.layouts.begin_segment(header.epoch);
                    self.cursor = Some(Cursor::new(file, path, header));
                }
                continue;
            };
            match cursor.step()? {
                Step::Frame { seq, envelope, .. } => {
                    let frame = frame::decode(cursor.envelope(envelope), seq)
                        .map(|envelope| Frame::new(cursor.header(), envelope))
                        .and_then(|frame| frame.after(&mut self.layouts, Some(MAX_BODY_BYTES)));
                    if frame.is_some() {
                        return Ok(frame);
                    }
                }
                Step::Damaged { .. }
                | Step::TooLarge { .. }
                | Step::Hole { .. }
                | Step::Note { .. } => {}
                Step::End { .. } => self.cursor = None,
            }
        }
    }
}
