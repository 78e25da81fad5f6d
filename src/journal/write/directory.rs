//! The directory of a journal: the writer's claim on it, how files of it come, and how they go.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use journal_segment::{JournalError, MAX_SEGMENTS};

use crate::options::Durability;

/// The writer's claim: only its owner may open it, so no reader can lock it or see the lock.
pub(super) const CLAIM_NAME: &str = "writer.lock";
const CLAIM_MODE: u32 = 0o600;
/// Mode of segments: the writer's user appends, the readers' group reads, nobody else.
const SEGMENT_MODE: u32 = 0o640;
/// Mode of a journal directory that the writer has to make.
const DIR_MODE: u32 = 0o750;
/// Cap of the segments that a writer keeps: half of what anybody reads, so that a relay that is
/// started again and again doesn't lock out itself and its readers.
pub(super) const MAX_KEPT_SEGMENTS: usize = MAX_SEGMENTS / 2;

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

/// The directory exists from now on.
pub(super) fn make(dir: &Path) -> Result<(), JournalError> {
    DirBuilder::new()
        .recursive(true)
        .mode(DIR_MODE)
        .create(dir)
        .map_err(JournalError::os("create", dir))
}

/// Makes the file of a segment, empty, in place of what an earlier attempt has left.
pub(super) fn create(path: &Path) -> Result<File, JournalError> {
    let _ = fs::remove_file(path);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(SEGMENT_MODE).custom_flags(libc::O_NOFOLLOW);
    let file = options.open(path).map_err(JournalError::os("create", path))?;
    let metadata = file.metadata().map_err(JournalError::os("stat", path))?;
    if metadata.mode() & 0o777 != SEGMENT_MODE {
        // The umask took something away that the readers' group needs.
        file.set_permissions(Permissions::from_mode(SEGMENT_MODE))
            .map_err(JournalError::os("set the mode of", path))?;
    }
    Ok(file)
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

/// A number that nobody outside of this machine can guess: the standard library seeds its
/// hash tables from the operating system's generator.
pub(super) fn random_salt() -> u32 {
    let random = RandomState::new().build_hasher().finish();
    u32::try_from(random >> 32).unwrap_or_default()
}

/// Writes a batch behind what is committed of a segment. Where that fails the batch is kept, and the call
/// may be repeated.
pub(super) fn write_batch(
    (file, path): (&File, &Path),
    committed: &mut u64,
    batch: &mut Vec<u8>,
    durability: Durability,
) -> Result<(), JournalError> {
    let mut written = file.write_all_at(batch, *committed).map_err(JournalError::os("write", path));
    if written.is_ok() && durability == Durability::Power {
        // After a failed sync the kernel may have dropped the data while it says that
        // all is well. The batch is still here and is written again, not only synced.
        written = file.sync_data().map_err(JournalError::os("sync", path));
    }
    if let Err(error) = written {
        // Best effort: readers take a partial batch for an append under way, and the
        // next commit overwrites it with the same bytes.
        let _ = file.set_len(*committed);
        return Err(error);
    }
    *committed = committed.saturating_add(batch.len() as u64);
    batch.clear();
    Ok(())
}
