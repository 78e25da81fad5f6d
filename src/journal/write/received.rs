//! The writer of a journal that is received over a link: the sender's frames with the number, epoch
//! and time that they had there, in segments that begin where the sender's begin.
//!
//! Frames come in the order of their numbers, and where some are missing there is a hole. What comes
//! later than that is noted as late, under its own number and once: a frame that is there already is
//! refused. Which numbers are missing stands at the beginning of each segment, so that a start reads
//! no more than the last one.

mod recovery;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

use journal_format::header::Header;
use journal_format::note::{Clock, Ends, Late, MAX_MISSING, Missing, Note, NoteEnvelope};
use journal_format::{MissingNumbers, frame};
use journal_segment::JournalError;
use journal_segment::files as segment;

use self::recovery::Found;
use crate::directory::{
    Claim, MAX_KEPT_SEGMENTS, claim, create, delete, make, random_salt, sync_dir, write_batch,
};
use crate::options::Durability;
use crate::writer::Retained;

/// How to write a journal that is received.
#[derive(Clone, Debug)]
pub struct ReceivedOptions {
    /// Made with mode 0750 if it doesn't exist.
    pub dir: PathBuf,
    /// Retention by size of all segments.
    pub retain_bytes: u64,
    /// Retention by age of a segment, since it was written last.
    pub retain_age: Option<Duration>,
    pub durability: Durability,
}

/// The segment of the sender that a frame stands in, as its header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub epoch: u64,
    pub first_seq: u64,
    pub created_ms: u64,
    pub head_frames: u32,
    pub head_bytes: u64,
    pub relay_name: String,
}

impl From<&Header> for Origin {
    fn from(header: &Header) -> Origin {
        Origin {
            epoch: header.epoch,
            first_seq: header.first_seq,
            created_ms: header.created_ms,
            head_frames: header.head_frames,
            head_bytes: header.head_bytes,
            relay_name: header.relay_name.clone(),
        }
    }
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It is the last one now; so many before it are missing.
    InOrder {
        missing: u64,
    },
    /// The sender's journal was made anew, or has lost its end: frames from the segment's first on
    /// are replaced.
    Rewound,
    /// It was missing, and stands among those that came late.
    Late,
    Refused(Refusal),
}

/// Why a frame isn't taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is in the journal, or was, or nobody knows any more.
    Known,
    /// An earlier start of the sender wrote it, with a number that is still to come.
    OldEpoch,
    /// It isn't what a sender sends.
    Malformed,
    /// Larger than a frame may be.
    TooLarge,
}

/// The one writer of a journal that is received.
#[derive(Debug)]
pub struct ReceivedWriter {
    options: ReceivedOptions,
    /// Segments that aren't written any more, oldest first.
    old: Vec<OldSegment>,
    current: Option<CurrentSegment>,
    /// Number of the next frame in order; 0 before the first one.
    next_seq: u64,
    missing: MissingNumbers,
    /// Missing numbers that nobody waits for any more, since there were too many ranges.
    given_up: u64,
    /// Since the sender's journal was rewound to this number, frames from there on are of this epoch
    /// or later.
    rewound: Option<(u64, u64)>,
    ahead_ms: Option<i64>,
    /// Encoded frames and notes of the current segment that aren't committed yet.
    batch: Vec<u8>,
    dir_unsynced: bool,
    recovered: ReceivedFound,
    _claim: Claim,
}

/// What was found when the journal was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceivedFound {
    /// Bytes cut from the end of the last segment: frames that never were complete, or that the disk
    /// never got. Their numbers are missing.
    pub cut_bytes: u64,
    /// Files deleted: segments that were never completed.
    pub deleted_files: u64,
}

#[derive(Debug)]
struct OldSegment {
    first_seq: u64,
    bytes: u64,
    /// When it was written last.
    newest_ms: u64,
}

#[derive(Debug)]
struct CurrentSegment {
    file: File,
    path: PathBuf,
    epoch: u64,
    first_seq: u64,
    salt: u32,
    /// Everything before this offset is committed.
    committed: u64,
    newest_ms: u64,
}

impl ReceivedWriter {
    /// Claims the journal and goes on where it ended: what was never completed is cut.
    ///
    /// # Errors
    /// The operating system refuses; another writer holds the claim; the last segment was written by
    /// something else than a receiver, or in another format.
    pub fn open(options: ReceivedOptions) -> Result<ReceivedWriter, JournalError> {
        make(&options.dir)?;
        let claim = claim(&options.dir)?;
        let Found { old, current, next_seq, missing, ahead_ms, recovered } =
            recovery::recover(&options.dir, options.durability)?;
        Ok(ReceivedWriter {
            dir_unsynced: options.durability == Durability::Power,
            options,
            old,
            current,
            next_seq,
            missing,
            given_up: 0,
            rewound: None,
            ahead_ms,
            batch: Vec::new(),
            recovered,
            _claim: claim,
        })
    }

    /// What was found and done when the journal was opened.
    pub fn recovered(&self) -> &ReceivedFound {
        &self.recovered
    }

    /// Number of the next frame in order; 0 before the first one.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// The sender's start whose frames came last; 0 before the first one.
    pub fn epoch(&self) -> u64 {
        self.current.as_ref().map_or(0, |current| current.epoch)
    }

    /// The numbers that are missing, and may still come.
    pub fn missing(&self) -> &MissingNumbers {
        &self.missing
    }

    /// From which number on frames are others since the sender's journal was made anew or lost its end, and
    /// of which start of the sender they are; `None`: it wasn't since this writer began.
    pub fn rewound(&self) -> Option<(u64, u64)> {
        self.rewound
    }

    /// Missing numbers that aren't waited for any more, since too many ranges were missing.
    pub fn given_up(&self) -> u64 {
        self.given_up
    }

    /// Bytes pushed and not committed. They grow while commits fail: stop pushing then.
    pub fn pending_bytes(&self) -> usize {
        self.batch.len()
    }

    /// Bytes of all segments, without what is pending.
    pub fn bytes(&self) -> u64 {
        let current = self.current.as_ref().map_or(0, |current| current.committed);
        self.old.iter().fold(current, |sum, old| sum.saturating_add(old.bytes))
    }

    /// Adds one frame of the sender, with its envelope as it was there. Nothing is written yet,
    /// unless a segment begins.
    ///
    /// # Errors
    /// A segment begins, and the operating system refuses. Nothing has changed, and the call may be
    /// repeated.
    pub fn push(
        &mut self,
        now_ms: u64,
        origin: &Origin,
        seq: u64,
        envelope: &[u8],
    ) -> Result<Pushed, JournalError> {
        let epoch = self.epoch();
        let is_sound = seq > 0
            && seq < u64::MAX
            && (1..=seq).contains(&origin.first_seq)
            && frame::peek_seq(envelope) == Some(seq);
        if !is_sound {
            return Ok(Pushed::Refused(Refusal::Malformed));
        }
        if self.rewound.is_some_and(|(from, epoch)| seq >= from && origin.epoch < epoch) {
            return Ok(Pushed::Refused(Refusal::OldEpoch));
        }
        if seq < self.next_seq && origin.epoch > epoch {
            return self.rewind(now_ms, origin, seq, envelope);
        }
        if seq < self.next_seq {
            return Ok(self.push_late(now_ms, origin.epoch, seq, envelope));
        }
        if origin.epoch < epoch {
            return Ok(Pushed::Refused(Refusal::OldEpoch));
        }
        let of_current = self.current.as_ref().map(|current| (current.first_seq, current.epoch));
        match of_current {
            Some(current) if current == (origin.first_seq, origin.epoch) => {}
            // The segment begins before frames that are in an earlier one.
            Some(_) if origin.first_seq < self.next_seq => {
                return Ok(Pushed::Refused(Refusal::Malformed));
            }
            _ => self.begin_segment(now_ms, origin)?,
        }
        Ok(self.append(now_ms, seq, envelope))
    }

    /// Notes how the sender's clock stands to ours, if that isn't known yet.
    ///
    /// Returns whether anything was noted: nothing is before the first frame.
    pub fn set_clock(&mut self, now_ms: u64, ahead_ms: Option<i64>) -> bool {
        if self.ahead_ms == ahead_ms {
            return false;
        }
        self.ahead_ms = ahead_ms;
        let note = Note::Clock(Clock { ahead_ms });
        self.append_note(now_ms, note)
    }

    /// Notes how the link is.
    ///
    /// Returns whether anything was noted: nothing is before the first frame.
    pub fn note_ends(&mut self, now_ms: u64, ends: Ends) -> bool {
        self.append_note(now_ms, Note::Ends(ends))
    }

    /// Writes the batch, in one write at the end of the segment, and with
    /// [`Durability::Power`] waits for the disk.
    ///
    /// # Errors
    /// The operating system refuses (a full disk, a quota, a failed sync). The batch is kept
    /// and the call may be repeated at any time.
    pub fn commit(&mut self) -> Result<(), JournalError> {
        let Some(current) = &mut self.current else { return Ok(()) };
        if !self.batch.is_empty() {
            let CurrentSegment { file, path, committed, .. } = current;
            write_batch((file, path), committed, &mut self.batch, self.options.durability)?;
        }
        if self.dir_unsynced {
            sync_dir(&self.options.dir)?;
            self.dir_unsynced = false;
        }
        Ok(())
    }

    /// Deletes whole segments, oldest first, while all of them together are over `retain_bytes`, the
    /// oldest is over `retain_age`, or there are too many; never the current one. What was missing in
    /// them isn't waited for any more.
    ///
    /// # Errors
    /// A segment can't be deleted. What was deleted before stays deleted, and isn't counted again by
    /// the next call.
    pub fn retain(&mut self, now_ms: u64) -> Result<Retained, JournalError> {
        let mut retained = Retained::default();
        let age_ms = self.options.retain_age.map(|age| u64::try_from(age.as_millis()));
        let age_ms = age_ms.map(|age_ms| age_ms.unwrap_or(u64::MAX));
        while let Some(oldest) = self.old.first() {
            let age = now_ms.saturating_sub(oldest.newest_ms);
            let goes = self.bytes() > self.options.retain_bytes
                || self.old.len() > MAX_KEPT_SEGMENTS
                || age_ms.is_some_and(|age_ms| age > age_ms);
            if !goes {
                break;
            }
            delete(&segment::path(&self.options.dir, oldest.first_seq))?;
            let OldSegment { first_seq, bytes, .. } = self.old.remove(0);
            let next = self
                .old
                .first()
                .map(|next| next.first_seq)
                .or(self.current.as_ref().map(|current| current.first_seq))
                .unwrap_or(self.next_seq);
            self.missing.forget_below(next);
            retained.segments = retained.segments.saturating_add(1);
            retained.frames = retained.frames.saturating_add(next.saturating_sub(first_seq));
            retained.bytes = retained.bytes.saturating_add(bytes);
        }
        Ok(retained)
    }

    /// Appends the next frame in order.
    fn append(&mut self, now_ms: u64, seq: u64, envelope: &[u8]) -> Pushed {
        let Some(current) = &mut self.current else { return Pushed::Refused(Refusal::Malformed) };
        if frame::append_envelope(current.salt, envelope, &mut self.batch).is_err() {
            return Pushed::Refused(Refusal::TooLarge);
        }
        current.newest_ms = now_ms;
        let missing = seq.saturating_sub(self.next_seq);
        self.miss_to(seq);
        self.next_seq = seq.saturating_add(1);
        Pushed::InOrder { missing }
    }

    /// What comes before `seq` and wasn't there is missing.
    fn miss_to(&mut self, seq: u64) {
        if seq > self.next_seq {
            self.missing.push(self.next_seq, seq.saturating_sub(1));
            let given_up = self.missing.forget_beyond(MAX_MISSING);
            self.given_up = self.given_up.saturating_add(given_up);
        }
    }

    fn push_late(&mut self, now_ms: u64, epoch: u64, seq: u64, envelope: &[u8]) -> Pushed {
        if !self.missing.has(seq) {
            return Pushed::Refused(Refusal::Known);
        }
        if !self.append_note(now_ms, Note::Late(Late { epoch, envelope: envelope.to_vec() })) {
            return Pushed::Refused(Refusal::TooLarge);
        }
        self.missing.take(seq);
        Pushed::Late
    }

    /// False: it is too large, or there is no segment yet.
    fn append_note(&mut self, now_ms: u64, note: Note) -> bool {
        let Some(current) = &mut self.current else { return false };
        let note = NoteEnvelope { written_ms: now_ms, note: Some(note) }.encode_envelope();
        let appended = frame::append_envelope(current.salt, &note, &mut self.batch).is_ok();
        if appended {
            current.newest_ms = now_ms;
        }
        appended
    }

    /// The sender goes on with numbers that it had given before.
    fn rewind(
        &mut self,
        now_ms: u64,
        origin: &Origin,
        seq: u64,
        envelope: &[u8],
    ) -> Result<Pushed, JournalError> {
        self.commit()?;
        // What is replaced goes first: no two segments have the same numbers in them from their
        // beginning on.
        while let Some(last) = self.newest().filter(|first| *first >= origin.first_seq) {
            delete(&segment::path(&self.options.dir, last))?;
            if self.current.take_if(|current| current.first_seq == last).is_none() {
                self.old.pop();
            }
        }
        self.missing.forget_from(origin.first_seq);
        self.next_seq = origin.first_seq;
        self.begin_segment(now_ms, origin)?;
        self.rewound = Some((origin.first_seq, origin.epoch));
        match self.append(now_ms, seq, envelope) {
            Pushed::InOrder { .. } => Ok(Pushed::Rewound),
            refused => Ok(refused),
        }
    }

    fn newest(&self) -> Option<u64> {
        let current = self.current.as_ref().map(|current| current.first_seq);
        current.or(self.old.last().map(|old| old.first_seq))
    }

    /// Begins a segment where the sender's begins. It appears to readers with its first notes.
    fn begin_segment(&mut self, now_ms: u64, origin: &Origin) -> Result<(), JournalError> {
        self.commit()?;
        let first_seq = origin.first_seq;
        let header = Header {
            salt: random_salt(),
            epoch: origin.epoch,
            first_seq,
            created_ms: origin.created_ms,
            head_bytes: origin.head_bytes,
            head_frames: origin.head_frames,
            relay_name: origin.relay_name.clone(),
            received: true,
        };
        // Nothing is missing before the first frame of all.
        let gap = (self.next_seq > 0 && first_seq > self.next_seq)
            .then(|| (self.next_seq, first_seq.saturating_sub(1)));
        let mut bytes = header.encode();
        let notes = [
            Note::Missing(Missing::of(self.missing.ranges().chain(gap), first_seq)),
            Note::Clock(Clock { ahead_ms: self.ahead_ms }),
        ];
        for note in notes {
            let note = NoteEnvelope { written_ms: now_ms, note: Some(note) }.encode_envelope();
            frame::append_envelope(header.salt, &note, &mut bytes)?;
        }
        let unfinished = segment::unfinished_path(&self.options.dir, first_seq);
        let path = segment::path(&self.options.dir, first_seq);
        let made = create(&unfinished).and_then(|file| {
            file.write_all_at(&bytes, 0).map_err(JournalError::os("write", &unfinished))?;
            if self.options.durability == Durability::Power {
                file.sync_all().map_err(JournalError::os("sync", &unfinished))?;
            }
            fs::rename(&unfinished, &path).map_err(JournalError::os("rename", &unfinished))?;
            Ok(file)
        });
        let file = match made {
            Ok(file) => file,
            Err(error) => {
                // Best effort: the disk may be what fails.
                let _ = fs::remove_file(&unfinished);
                return Err(error);
            }
        };
        if let Some(last) = self.current.take() {
            self.old.push(OldSegment {
                first_seq: last.first_seq,
                bytes: last.committed,
                newest_ms: last.newest_ms,
            });
        }
        if self.next_seq > 0 {
            self.miss_to(first_seq);
        }
        self.next_seq = first_seq;
        self.current = Some(CurrentSegment {
            file,
            path,
            epoch: origin.epoch,
            first_seq,
            salt: header.salt,
            committed: bytes.len() as u64,
            newest_ms: now_ms,
        });
        self.dir_unsynced = self.options.durability == Durability::Power;
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]
mod tests;
