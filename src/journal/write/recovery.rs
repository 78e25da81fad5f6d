//! What a writer does with a journal that it finds: nothing that was acknowledged is touched.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use journal_format::frame::{self, MIN_FRAME_BYTES};
use journal_format::header::FRAMES_OFFSET;
use journal_segment::JournalError;
use journal_segment::cursor::{Cursor, Leftover, Step};
use journal_segment::files::{self as segment, Opened};

use crate::options::Durability;

/// What was found when the journal was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Highest epoch found; 0 in an empty journal.
    pub last_epoch: u64,
    /// Number of the next frame.
    pub next_seq: u64,
    /// Bytes cut from the end of the last segment: frames that never were complete, or, after
    /// a loss of power, that the disk never got.
    pub cut_bytes: u64,
    /// Sequence numbers that were left out, since unreadable bytes at the end may have used
    /// them. Readers report them as damage.
    pub skipped_numbers: u64,
    /// Files deleted: heads that were never completed, segments without a frame.
    pub deleted_files: u64,
}

/// Brings the end of the journal in order.
pub(super) fn recover(dir: &Path, durability: Durability) -> Result<Recovered, JournalError> {
    let mut recovered = Recovered::default();
    for first_seq in segment::list_unfinished(dir)? {
        let path = segment::unfinished_path(dir, first_seq);
        fs::remove_file(&path).map_err(JournalError::os("delete", &path))?;
        recovered.deleted_files = recovered.deleted_files.saturating_add(1);
    }
    let exhausted = || JournalError::Exhausted { dir: dir.to_path_buf() };
    let mut next_seq = None;
    // Of segments whose header is lost the epoch isn't known; each may have had its own.
    let mut unknown_epochs = 0_u64;
    for first_seq in segment::list(dir)?.into_iter().rev() {
        match segment::open(dir, first_seq)? {
            Opened::Absent => {}
            Opened::Unreadable { bytes, .. } if bytes < FRAMES_OFFSET => {
                let path = segment::path(dir, first_seq);
                fs::remove_file(&path).map_err(JournalError::os("delete", &path))?;
                recovered.deleted_files = recovered.deleted_files.saturating_add(1);
            }
            Opened::Unreadable { bytes, .. } => {
                // The salt of its frames is lost and so are they, even how many: the numbers
                // go on behind as many as it can have held.
                unknown_epochs = unknown_epochs.saturating_add(1);
                if next_seq.is_none() {
                    let most = bytes / MIN_FRAME_BYTES;
                    recovered.skipped_numbers = most;
                    next_seq = Some(first_seq.checked_add(most).ok_or_else(exhausted)?);
                }
            }
            Opened::Segment { header, .. } if header.received => {
                return Err(JournalError::IsReceived { path: segment::path(dir, first_seq) });
            }
            Opened::Segment { file, header, .. } => {
                recovered.last_epoch = header.epoch.saturating_add(unknown_epochs);
                if next_seq.is_some() {
                    break;
                }
                let path = segment::path(dir, first_seq);
                let mut cursor = Cursor::new(file, path.clone(), header);
                let leftover = walk(&mut cursor)?;
                let mut next = cursor.expected();
                match leftover {
                    Leftover::Nothing => {}
                    Leftover::Torn { bytes } => recovered.cut_bytes = bytes,
                    Leftover::Garbage { bytes } => {
                        // Not how an interrupted append looks: frames were there, maybe
                        // acknowledged, that can't be read any more. Their numbers aren't
                        // given again, so that readers count them.
                        recovered.cut_bytes = bytes;
                        recovered.skipped_numbers = cursor.frames_in_leftover()?;
                        next = next.checked_add(recovered.skipped_numbers).ok_or_else(exhausted)?;
                    }
                }
                if next == first_seq {
                    // Nothing is left in it, and the next segment gets its name.
                    fs::remove_file(&path).map_err(JournalError::os("delete", &path))?;
                    recovered.deleted_files = recovered.deleted_files.saturating_add(1);
                } else {
                    finish(&cursor, dir, first_seq, recovered.cut_bytes > 0, durability)?;
                }
                next_seq = Some(next);
                break;
            }
        }
    }
    // Number 0 is never given, so that it can stand for "before everything".
    recovered.next_seq = next_seq.unwrap_or(1).max(1);
    Ok(recovered)
}

/// Time of the newest frame of a segment, in milliseconds since the epoch (UTC); `None`: it has
/// no readable frame.
pub(super) fn newest_ms(dir: &Path, first_seq: u64) -> Result<Option<u64>, JournalError> {
    let Opened::Segment { file, header, .. } = segment::open(dir, first_seq)? else {
        return Ok(None);
    };
    let mut cursor = Cursor::new(file, segment::path(dir, first_seq), header);
    let mut newest_ms = None;
    loop {
        match cursor.step()? {
            Step::Frame { seq, envelope, .. } => {
                if let Some(envelope) = frame::decode(cursor.envelope(envelope), seq) {
                    newest_ms = newest_ms.max(Some(envelope.appended_ms));
                }
            }
            Step::Damaged { .. }
            | Step::TooLarge { .. }
            | Step::Hole { .. }
            | Step::Note { .. } => {}
            Step::End { .. } => return Ok(newest_ms),
        }
    }
}

/// Goes to the end of a segment, over damage in its middle, and says what follows the last
/// sound frame.
fn walk(cursor: &mut Cursor) -> Result<Leftover, JournalError> {
    loop {
        if let Step::End { leftover } = cursor.step()? {
            return Ok(leftover);
        }
    }
}

/// Cuts what follows the last sound frame, and with [`Durability::Power`] makes sure that what
/// precedes it is on the disk: readers may have had it.
fn finish(
    cursor: &Cursor,
    dir: &Path,
    first_seq: u64,
    cut: bool,
    durability: Durability,
) -> Result<(), JournalError> {
    if !cut && durability == Durability::Process {
        return Ok(());
    }
    let path = segment::path(dir, first_seq);
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = options.open(&path).map_err(JournalError::os("open", &path))?;
    if cut {
        file.set_len(cursor.offset()).map_err(JournalError::os("cut", &path))?;
    }
    if durability == Durability::Power {
        file.sync_all().map_err(JournalError::os("sync", &path))?;
    }
    Ok(())
}
