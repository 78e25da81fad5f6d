//! What a receiver does with a journal that it finds: it reads the last segment, and cuts what was
//! never completed.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use journal_format::header::{FRAMES_OFFSET, Header};
use journal_format::note::{Note, NoteEnvelope};
use journal_format::{MissingNumbers, frame};
use journal_segment::JournalError;
use journal_segment::cursor::{Cursor, Leftover, Step};
use journal_segment::files::{self as segment, Opened};

use super::{CurrentSegment, OldSegment, ReceivedFound};
use crate::options::Durability;

/// Where the journal ended.
pub(super) struct Found {
    pub(super) old: Vec<OldSegment>,
    pub(super) current: Option<CurrentSegment>,
    pub(super) next_seq: u64,
    pub(super) missing: MissingNumbers,
    pub(super) ahead_ms: Option<i64>,
    pub(super) recovered: ReceivedFound,
}

/// Brings the end of the journal in order.
pub(super) fn recover(dir: &Path, durability: Durability) -> Result<Found, JournalError> {
    let mut found = Found {
        old: Vec::new(),
        current: None,
        next_seq: 0,
        missing: MissingNumbers::default(),
        ahead_ms: None,
        recovered: ReceivedFound::default(),
    };
    for first_seq in segment::list_unfinished(dir)? {
        remove(&segment::unfinished_path(dir, first_seq), &mut found.recovered)?;
    }
    for first_seq in segment::list(dir)?.into_iter().rev() {
        let path = segment::path(dir, first_seq);
        match segment::open(dir, first_seq)? {
            Opened::Absent => continue,
            Opened::Unreadable { bytes, .. } if bytes < FRAMES_OFFSET => {
                remove(&path, &mut found.recovered)?;
                continue;
            }
            Opened::Segment { header, .. } if !header.received => {
                return Err(JournalError::NotReceived { path });
            }
            Opened::Segment { file, header, .. } if found.next_seq == 0 => {
                let cursor = Cursor::new(file, path.clone(), header);
                go_on(cursor, &path, durability, &mut found)?;
                continue;
            }
            Opened::Segment { .. } | Opened::Unreadable { .. } => {}
        }
        let metadata = fs::symlink_metadata(&path).map_err(JournalError::os("stat", &path))?;
        let newest_ms = modified_ms(&metadata);
        found.old.push(OldSegment { first_seq, bytes: metadata.len(), newest_ms });
    }
    found.old.reverse();
    Ok(found)
}

/// Walks over the last segment that can be read, and makes it the current one.
fn go_on(
    mut cursor: Cursor,
    path: &Path,
    durability: Durability,
    found: &mut Found,
) -> Result<(), JournalError> {
    let leftover = loop {
        match cursor.step()? {
            Step::Frame { .. } | Step::TooLarge { .. } => {}
            // Some of them were there, and readers may have had them: none is taken again.
            Step::Damaged { .. } => {}
            Step::Hole { first, last } => found.missing.push(first, last),
            Step::Note { envelope, .. } => {
                let note = NoteEnvelope::decode_envelope(cursor.envelope(envelope));
                learn(note.and_then(|note| note.note), found);
            }
            Step::End { leftover } => break leftover,
        }
    };
    let Header { epoch, first_seq, salt, .. } = *cursor.header();
    found.next_seq = cursor.expected();
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = options.open(path).map_err(JournalError::os("open", path))?;
    if let Leftover::Torn { bytes } | Leftover::Garbage { bytes } = leftover {
        found.recovered.cut_bytes = bytes;
        file.set_len(cursor.offset()).map_err(JournalError::os("cut", path))?;
    }
    if durability == Durability::Power {
        file.sync_all().map_err(JournalError::os("sync", path))?;
    }
    let metadata = file.metadata().map_err(JournalError::os("stat", path))?;
    found.current = Some(CurrentSegment {
        file,
        path: path.to_path_buf(),
        epoch,
        first_seq,
        salt,
        committed: cursor.offset(),
        newest_ms: modified_ms(&metadata),
    });
    Ok(())
}

fn learn(note: Option<Note>, found: &mut Found) {
    match note {
        None | Some(Note::Ends(_)) => {}
        Some(Note::Clock(clock)) => found.ahead_ms = clock.ahead_ms,
        Some(Note::Late(late)) => {
            if let Some(seq) = frame::peek_seq(&late.envelope) {
                found.missing.take(seq);
            }
        }
        Some(Note::Missing(missing)) => {
            found.missing = MissingNumbers::default();
            for (first, last) in missing.ranges().unwrap_or_default() {
                found.missing.push(first, last);
            }
        }
    }
}

fn remove(path: &Path, recovered: &mut ReceivedFound) -> Result<(), JournalError> {
    fs::remove_file(path).map_err(JournalError::os("delete", path))?;
    recovered.deleted_files = recovered.deleted_files.saturating_add(1);
    Ok(())
}

fn modified_ms(metadata: &fs::Metadata) -> u64 {
    let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
