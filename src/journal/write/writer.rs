//! Appends to a journal. One writer per journal; it never waits for a reader and has no call
//! that could tell it whether one exists.

use std::fs::{self, File};
use std::marker::PhantomData;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use journal_format::header::{FRAMES_OFFSET, Header};
use journal_format::{Body, TooLarge, frame};
use journal_segment::JournalError;
use journal_segment::files as segment;

use crate::directory::{
    Claim, MAX_KEPT_SEGMENTS, claim, create, delete, make, random_salt, sync_dir, write_batch,
};
use crate::options::{Durability, WriterOptions};
use crate::recovery::{self, Recovered};

/// Heads are written in pieces of this size.
const HEAD_CHUNK_BYTES: usize = 256 << 10;
/// A segment holds at least this many times its head: heads stay below 5 % of the bytes.
const SEGMENT_PER_HEAD: u64 = 20;
/// Where retention is so small that the line above doesn't fit, at least as much again as the
/// head: a journal that consists of heads alone would never get on.
const LEAST_SEGMENT_PER_HEAD: u64 = 2;
/// Retention goes by whole segments; a segment over this part of it would make it coarse.
const RETAIN_PER_SEGMENT: u64 = 4;

/// A segment is at least this part of what is retained, which keeps their number far below that.
const MOST_SEGMENTS: u64 = 1 << 16;

/// What a head took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    pub frames: u32,
    pub bytes: u64,
    /// Bodies left out since they are over [`MAX_BODY_BYTES`](journal_format::MAX_BODY_BYTES).
    pub oversized: u32,
}

/// What retention deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    pub segments: u64,
    pub frames: u64,
    pub bytes: u64,
}

/// The one writer of a journal.
#[derive(Debug)]
pub struct Writer<E = Body> {
    pub(crate) options: WriterOptions,
    epoch: u64,
    /// Number of the next frame that is pushed.
    next_seq: u64,
    /// Segments that aren't written any more, oldest first.
    pub(crate) old: Vec<OldSegment>,
    pub(crate) current: Option<CurrentSegment>,
    /// Encoded frames of the current segment that aren't committed yet.
    batch: Vec<u8>,
    /// The directory has entries that a loss of power would take away.
    dir_unsynced: bool,
    max_kept_segments: usize,
    recovered: Recovered,
    /// Held for the life of the writer.
    _claim: Claim,
    takes: PhantomData<fn(E)>,
}

#[derive(Debug)]
pub(crate) struct OldSegment {
    pub(crate) first_seq: u64,
    bytes: u64,
    /// Time of the newest frame; `None`: not known yet, it takes a walk through the segment.
    newest_ms: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct CurrentSegment {
    file: File,
    path: PathBuf,
    first_seq: u64,
    salt: u32,
    head_bytes: u64,
    /// Everything before this offset is committed.
    committed: u64,
    newest_ms: u64,
}

impl Writer {
    /// Claims the journal and recovers it: deletes heads that were never completed and files
    /// that can't hold a frame, cuts the torn tail of the last segment. What is damaged
    /// elsewhere stays as it is, for the reader to count.
    ///
    /// The epoch is the last one + 1, or `now_ms` if that is more: so that a journal that was
    /// made anew (on tmpfs, after a reboot) doesn't repeat the epochs of its predecessor.
    ///
    /// # Errors
    /// The operating system refuses; another writer holds the claim; the last segment has
    /// another format version; the sequence numbers are used up.
    pub fn open(options: WriterOptions, now_ms: u64) -> Result<Writer, JournalError> {
        let dir = &options.dir;
        make(dir)?;
        let claim = claim(dir)?;
        let recovered = recovery::recover(dir, options.durability)?;
        let mut old = Vec::new();
        for first_seq in segment::list(dir)? {
            let path = segment::path(dir, first_seq);
            let metadata = fs::symlink_metadata(&path).map_err(JournalError::os("stat", &path))?;
            old.push(OldSegment { first_seq, bytes: metadata.len(), newest_ms: None });
        }
        Ok(Writer {
            epoch: recovered.last_epoch.saturating_add(1).max(now_ms),
            next_seq: recovered.next_seq,
            old,
            current: None,
            batch: Vec::new(),
            dir_unsynced: options.durability == Durability::Power,
            max_kept_segments: MAX_KEPT_SEGMENTS,
            recovered,
            options,
            _claim: claim,
            takes: PhantomData,
        })
    }

    /// A writer that takes nothing but `E` from now on. What `E` is made of is what the journal
    /// can say: a half whose plant data has to be admitted has a writer of such entries alone.
    pub fn only<E: Into<Body>>(self) -> Writer<E> {
        Writer {
            options: self.options,
            epoch: self.epoch,
            next_seq: self.next_seq,
            old: self.old,
            current: self.current,
            batch: self.batch,
            dir_unsynced: self.dir_unsynced,
            max_kept_segments: self.max_kept_segments,
            recovered: self.recovered,
            _claim: self._claim,
            takes: PhantomData,
        }
    }

    /// [`Writer::append`] of a body.
    ///
    /// # Errors
    /// As there.
    pub fn push(&mut self, now_ms: u64, body: &Body) -> Result<u64, JournalError> {
        self.append_body(now_ms, body)
    }
}

impl<E: Into<Body>> Writer<E> {
    /// This start of the writer; higher than every earlier one.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Number of the frame that will be pushed next; the first frame of a journal has 1.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Bytes above which the oldest segments are deleted.
    pub fn retain_bytes(&self) -> u64 {
        self.options.retain_bytes
    }

    /// What was found and done when the journal was opened.
    pub fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    /// Whether it is time for [`begin_segment`](Writer::begin_segment): right after the start,
    /// and when the segment is full.
    pub fn wants_segment(&self) -> bool {
        let Some(current) = &self.current else { return true };
        let full = self
            .options
            .segment_bytes
            .max(current.head_bytes.saturating_mul(SEGMENT_PER_HEAD))
            .max(self.options.retain_bytes / MOST_SEGMENTS)
            .min(self.options.retain_bytes / RETAIN_PER_SEGMENT)
            .max(current.head_bytes.saturating_mul(LEAST_SEGMENT_PER_HEAD))
            .saturating_add(FRAMES_OFFSET);
        current.committed.saturating_add(self.batch.len() as u64) >= full
    }

    /// Begins a segment with `head`: a `Start` and the keyframes of all live nodes; or with nothing,
    /// where the head is [spread](journal_format::Start::spread) over what is appended. What is
    /// pending is committed to the old segment first. The segment appears to readers when its
    /// head is complete, and not at all if it fails before that.
    ///
    /// # Errors
    /// The operating system refuses (a full disk). Ask [`wants_segment`](Writer::wants_segment)
    /// again: if it still says yes, nothing has changed and the old segment goes on; if not,
    /// only the last step failed and the next [`commit`](Writer::commit) repeats it.
    pub fn begin_segment(
        &mut self,
        now_ms: u64,
        head: impl Iterator<Item = E>,
    ) -> Result<Head, JournalError> {
        self.commit()?;
        let first_seq = self.next_seq;
        let unfinished = segment::unfinished_path(&self.options.dir, first_seq);
        let path = segment::path(&self.options.dir, first_seq);
        let made = self.write_head(&unfinished, now_ms, head.map(E::into)).and_then(|made| {
            fs::rename(&unfinished, &path).map_err(JournalError::os("rename", &unfinished))?;
            Ok(made)
        });
        let (file, header, oversized) = match made {
            Ok(made) => made,
            Err(error) => {
                // Best effort: the disk may be what fails. Recovery deletes it otherwise.
                let _ = fs::remove_file(&unfinished);
                return Err(error);
            }
        };
        let head = Head { frames: header.head_frames, bytes: header.head_bytes, oversized };
        // A segment that never got a frame has been replaced by the one of the same name.
        if let Some(last) = self.current.take().filter(|last| last.first_seq != first_seq) {
            self.old.push(OldSegment {
                first_seq: last.first_seq,
                bytes: last.committed,
                newest_ms: Some(last.newest_ms),
            });
        }
        self.next_seq = first_seq.saturating_add(u64::from(header.head_frames));
        self.current = Some(CurrentSegment {
            file,
            path,
            first_seq,
            salt: header.salt,
            head_bytes: header.head_bytes,
            committed: FRAMES_OFFSET.saturating_add(header.head_bytes),
            newest_ms: now_ms,
        });
        self.dir_unsynced = self.options.durability == Durability::Power;
        self.commit()?;
        Ok(head)
    }

    /// Adds one frame to the batch and returns its number. Nothing is written yet.
    ///
    /// # Errors
    /// The body is over [`MAX_BODY_BYTES`](journal_format::MAX_BODY_BYTES), or no segment has been begun.
    /// The batch is as before and no number is used.
    pub fn append(&mut self, now_ms: u64, entry: E) -> Result<u64, JournalError> {
        self.append_body(now_ms, &entry.into())
    }

    fn append_body(&mut self, now_ms: u64, body: &Body) -> Result<u64, JournalError> {
        let current = self.current.as_mut().ok_or(JournalError::NoSegment)?;
        let seq = self.next_seq;
        let next = seq
            .checked_add(1)
            .ok_or_else(|| JournalError::Exhausted { dir: self.options.dir.clone() })?;
        frame::append(current.salt, seq, now_ms, body, &mut self.batch)?;
        current.newest_ms = current.newest_ms.max(now_ms);
        self.next_seq = next;
        Ok(seq)
    }

    /// So many bytes of what was appended belong to the head of the segment, which is spread: the
    /// segment grows with it.
    pub fn count_to_head(&mut self, bytes: usize) {
        if let Some(current) = &mut self.current {
            current.head_bytes = current.head_bytes.saturating_add(bytes as u64);
        }
    }

    /// Bytes pushed and not committed. They grow while commits fail: stop pushing then.
    pub fn pending_bytes(&self) -> usize {
        self.batch.len()
    }

    /// Writes the batch, in one write at the end of the segment, and with
    /// [`Durability::Power`] waits for the disk. After `Ok` all frames pushed so far are in the
    /// journal and what they carry may be acknowledged.
    ///
    /// # Errors
    /// The operating system refuses (a full disk, a quota, a failed sync). The batch is kept
    /// and the call may be repeated at any time.
    pub fn commit(&mut self) -> Result<(), JournalError> {
        if self.batch.is_empty() && !self.dir_unsynced {
            return Ok(());
        }
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

    /// Deletes whole segments, oldest first, while all of them together are over
    /// `retain_bytes`, the oldest is over `retain_age`, or there are more than 131,072; never
    /// the current one.
    ///
    /// # Errors
    /// A segment can't be deleted or read. What was deleted before stays deleted, and isn't
    /// counted again by the next call.
    pub fn retain(&mut self, now_ms: u64) -> Result<Retained, JournalError> {
        let mut retained = Retained::default();
        while let Some(oldest) = self.old.first() {
            let (first_seq, bytes) = (oldest.first_seq, oldest.bytes);
            let too_much =
                self.bytes() > self.options.retain_bytes || self.old.len() > self.max_kept_segments;
            if !too_much && !self.oldest_is_too_old(now_ms)? {
                break;
            }
            let path = segment::path(&self.options.dir, first_seq);
            delete(&path)?;
            self.old.remove(0);
            let next = self
                .old
                .first()
                .map(|next| next.first_seq)
                .or(self.current.as_ref().map(|current| current.first_seq))
                .unwrap_or(self.next_seq);
            retained.segments = retained.segments.saturating_add(1);
            retained.frames = retained.frames.saturating_add(next.saturating_sub(first_seq));
            retained.bytes = retained.bytes.saturating_add(bytes);
        }
        Ok(retained)
    }

    /// Bytes of all segments, without what is pending.
    pub fn bytes(&self) -> u64 {
        let current = self.current.as_ref().map_or(0, |current| current.committed);
        self.old.iter().fold(current, |sum, old| sum.saturating_add(old.bytes))
    }

    /// Writes header and head into a file that no reader looks at.
    fn write_head(
        &mut self,
        path: &Path,
        now_ms: u64,
        head: impl Iterator<Item = Body>,
    ) -> Result<(File, Header, u32), JournalError> {
        let file = create(path)?;
        let mut header = Header {
            salt: random_salt(),
            epoch: self.epoch,
            first_seq: self.next_seq,
            created_ms: now_ms,
            head_bytes: 0,
            head_frames: 0,
            relay_name: self.options.relay_name.clone(),
            received: false,
        };
        let mut oversized = 0_u32;
        let mut chunk = Vec::new();
        let mut offset = FRAMES_OFFSET;
        let mut next_seq = self.next_seq;
        for body in head {
            if let Err(TooLarge { .. }) =
                frame::append(header.salt, next_seq, now_ms, &body, &mut chunk)
            {
                oversized = oversized.saturating_add(1);
                continue;
            }
            next_seq = next_seq
                .checked_add(1)
                .ok_or_else(|| JournalError::Exhausted { dir: self.options.dir.clone() })?;
            header.head_frames = header.head_frames.saturating_add(1);
            if chunk.len() >= HEAD_CHUNK_BYTES {
                file.write_all_at(&chunk, offset).map_err(JournalError::os("write", path))?;
                offset = offset.saturating_add(chunk.len() as u64);
                chunk.clear();
            }
        }
        file.write_all_at(&chunk, offset).map_err(JournalError::os("write", path))?;
        offset = offset.saturating_add(chunk.len() as u64);
        header.head_bytes = offset.saturating_sub(FRAMES_OFFSET);
        file.write_all_at(&header.encode(), 0).map_err(JournalError::os("write", path))?;
        if self.options.durability == Durability::Power {
            file.sync_all().map_err(JournalError::os("sync", path))?;
        }
        Ok((file, header, oversized))
    }

    fn oldest_is_too_old(&mut self, now_ms: u64) -> Result<bool, JournalError> {
        let Some(age) = self.options.retain_age else { return Ok(false) };
        let Some(oldest) = self.old.first_mut() else { return Ok(false) };
        let newest_ms = match oldest.newest_ms {
            Some(newest_ms) => newest_ms,
            None => {
                // Once per segment of an earlier start, when it is the oldest.
                let newest_ms = recovery::newest_ms(&self.options.dir, oldest.first_seq)?;
                // Nothing readable in it: as old as can be.
                *oldest.newest_ms.insert(newest_ms.unwrap_or(0))
            }
        };
        let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        Ok(now_ms.saturating_sub(newest_ms) > age_ms)
    }
}

#[cfg(test)]
mod tests;
