//! What an operator asks of a process that has no socket to be asked over: a small file in its state
//! directory, where nobody but its own user and root can put one.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::{FILE_MODE, StateDir, StateError, os, read};

/// A request is a line or a few.
const MAX_BYTES: u64 = 4_096;

impl StateDir {
    /// Takes the request of this name up, if there is one: it is moved to `name.taken` first, so that
    /// none is taken twice.
    ///
    /// # Errors
    /// The operating system refuses, or what lies there isn't a file of this directory's owner.
    pub fn take_request(&self, name: &str) -> Result<Option<Vec<u8>>, StateError> {
        let path = self.path.join(name);
        let taken = format!("{name}.taken");
        match fs::rename(&path, self.path.join(&taken)) {
            Ok(()) => read(&self.path, taken.as_ref(), &[self.user], MAX_BYTES),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(os("take up", &path)(error)),
        }
    }
}

/// Puts a request of this name into a state directory, for the process whose it is. `false`: an earlier
/// one hasn't been taken up yet.
///
/// # Errors
/// The operating system refuses.
pub fn request(directory: &Path, name: &str, content: &[u8]) -> Result<bool, StateError> {
    let path = directory.join(name);
    if fs::symlink_metadata(&path).is_ok() {
        return Ok(false);
    }
    let owner = fs::metadata(directory).map_err(os("look at", directory))?;
    // In a directory of somebody else: nothing that lies there is followed or written to.
    let new = directory.join(format!("{name}.{}", std::process::id()));
    let written = write_new(&new, &owner, content).and_then(|()| fs::rename(&new, &path));
    written.map_err(|error| {
        let _ = fs::remove_file(&new);
        os("put a request to", &path)(error)
    })?;
    Ok(true)
}

fn write_new(new: &PathBuf, owner: &fs::Metadata, content: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.create_new(true).write(true).mode(FILE_MODE).custom_flags(libc::O_NOFOLLOW);
    let mut file = options.open(new)?;
    file.write_all(content)?;
    if file.metadata()?.uid() != owner.uid() {
        std::os::unix::fs::fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_taken_up_once_and_the_next_one_waits_for_that() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        assert_eq!(state.take_request("again").unwrap(), None);
        assert!(request(dir.path(), "again", b"1 2\n").unwrap());
        assert!(!request(dir.path(), "again", b"3 4\n").unwrap());
        assert_eq!(state.take_request("again").unwrap().unwrap(), b"1 2\n");
        assert_eq!(state.take_request("again").unwrap(), None);
        assert!(request(dir.path(), "again", b"3 4\n").unwrap());
        assert_eq!(state.take_request("again").unwrap().unwrap(), b"3 4\n");
    }

    #[test]
    fn what_is_no_request_is_moved_aside_and_told() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("again")).unwrap();
        assert!(state.take_request("again").is_err());
        assert_eq!(state.take_request("again").unwrap(), None);
        std::fs::write(dir.path().join("again"), vec![b'1'; 5_000]).unwrap();
        assert!(state.take_request("again").is_err());
        assert_eq!(state.take_request("again").unwrap(), None);
    }
}
