//! What the notes of a journal that was received over a link must be: what came late was missing, and
//! what is missing was noted.

use journal_format::note::{Late, Note, NoteEnvelope};
use journal_format::{MissingNumbers, frame};

use super::{Defect, Verification};

/// What the notes have said so far.
#[derive(Debug, Default)]
pub(super) struct LinkNotes {
    missing: MissingNumbers,
    /// Some note has said what is missing: all that is older is known.
    is_known: bool,
    /// Numbers between the segment that is read and the one before.
    gap: Option<(u64, u64)>,
    /// The last segment with a hole, or behind one.
    holes_of: Option<u64>,
}

impl LinkNotes {
    /// Frames are missing before a segment: its first note is to say so.
    pub(super) fn gap_before_segment(&mut self, first: u64, last: u64) {
        self.missing.push(first, last);
        self.gap = Some((first, last));
    }

    pub(super) fn hole(&mut self, segment: u64, first: u64, last: u64) {
        self.missing.push(first, last);
        self.holes_of = Some(segment);
    }

    pub(super) fn has_holes(&self, segment: u64) -> bool {
        self.holes_of == Some(segment)
    }

    /// Numbers that no frame has.
    pub(super) fn missing(&self) -> u64 {
        self.missing.numbers()
    }

    /// What is wrong with a note.
    pub(super) fn note(&mut self, envelope: &[u8], found: &mut Verification) -> Option<Defect> {
        let Some(note) = NoteEnvelope::decode_envelope(envelope) else { return Some(Defect::Note) };
        match note.note {
            None => found.unknown_bodies = found.unknown_bodies.saturating_add(1),
            Some(Note::Clock(_) | Note::Ends(_)) => {}
            Some(Note::Late(late)) => return self.late(&late, found),
            Some(Note::Missing(missing)) => {
                let Some(ranges) = missing.ranges() else { return Some(Defect::Note) };
                let mut told = MissingNumbers::default();
                ranges.into_iter().for_each(|(first, last)| told.push(first, last));
                let gap = self.gap.take();
                if !std::mem::replace(&mut self.is_known, true) {
                    self.missing = told.clone();
                }
                return gap
                    .filter(|(first, last)| !told.has_all(*first, *last))
                    .map(|(first, last)| Defect::Missing { first, last });
            }
        }
        None
    }

    /// A gap that no note of the segment has spoken of.
    pub(super) fn end_segment(&mut self) -> Option<Defect> {
        let (first, last) = self.gap.take()?;
        Some(Defect::Missing { first, last })
    }

    fn late(&mut self, late: &Late, found: &mut Verification) -> Option<Defect> {
        let Some(seq) = frame::peek_seq(&late.envelope) else { return Some(Defect::Note) };
        if frame::decode(&late.envelope, seq).is_none() {
            return Some(Defect::Body { seq });
        }
        if !self.missing.take(seq) {
            return Some(Defect::NotMissing { seq });
        }
        found.frames = found.frames.saturating_add(1);
        found.late_frames = found.late_frames.saturating_add(1);
        None
    }
}
