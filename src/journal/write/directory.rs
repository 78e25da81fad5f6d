//! The directory of a journal: the writer's claim on it, and how files of it go.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use journal_segment::JournalError;

/// The writer's claim: only its owner may open it, so no reader can lock it or see the lock.
pub(super) const CLAIM_NAME: &str = "writer.lock";
const CLAIM_MODE: u32 = 0o600;

/// The claim: an advisory lock on a file that only the writer's user may open. It goes with the
/// process, however that ends.
#[derive(Debug)]
pub(super) struct Claim(File);

/// Closing the file isn't enough: a process that is being started at this moment may have a
/// copy of the descriptor until it executes its program.
impl Drop for Claim {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

pub(super) fn claim(dir: &Path) -> Result<Claim, JournalError> {
    let path = dir.join(CLAIM_NAME);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(CLAIM_MODE);
    options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = options.open(&path).map_err(JournalError::os("open", &path))?;
    if !file.metadata().map_err(JournalError::os("stat", &path))?.is_file() {
        return Err(JournalError::NotRegular { path });
    }
    match file.try_lock() {
        Ok(()) => Ok(Claim(file)),
        Err(TryLockError::WouldBlock) => Err(JournalError::Claimed { dir: dir.to_path_buf() }),
        Err(TryLockError::Error(error)) => Err(JournalError::os("lock", &path)(error)),
    }
}

/// Deletes a segment, and gives its blocks back even while readers have it open: a reader that
/// holds on to what was deleted could fill the writer's file system otherwise, and free space
/// that doesn't grow would tell the writer of it.
pub(super) fn delete(path: &Path) -> Result<(), JournalError> {
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(libc::O_NOFOLLOW);
    let file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(JournalError::os("open", path)(error)),
    };
    // First the name: nobody who comes now finds an empty segment.
    fs::remove_file(path).map_err(JournalError::os("delete", path))?;
    file.set_len(0).map_err(JournalError::os("truncate", path))
}

pub(super) fn sync_dir(dir: &Path) -> Result<(), JournalError> {
    let handle = File::open(dir).map_err(JournalError::os("open", dir))?;
    handle.sync_all().map_err(JournalError::os("sync", dir))
}
