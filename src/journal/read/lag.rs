//! How far a reader is behind the end of the journal.

use journal_segment::JournalError;
use journal_segment::files as segment;

use crate::reader::Reader;

impl Reader {
    /// Bytes between this position and the end of the journal, roughly: for people and lag
    /// displays.
    ///
    /// # Errors
    /// The directory can't be listed.
    pub fn backlog_bytes(&self) -> Result<u64, JournalError> {
        let mut bytes = 0_u64;
        let mut after = self.want.seq;
        if let Some(cursor) = &self.cursor {
            bytes = cursor.stat()?.bytes.saturating_sub(cursor.offset());
            after = cursor.header().first_seq.saturating_add(1);
        }
        for first_seq in segment::list(&self.dir)?.into_iter().filter(|first| *first >= after) {
            let metadata = std::fs::symlink_metadata(segment::path(&self.dir, first_seq));
            bytes = bytes.saturating_add(metadata.map_or(0, |metadata| metadata.len()));
        }
        Ok(bytes)
    }
}
