//! A half's own state directory: claimed by one process, its files replaced atomically and
//! carrying a checksum. A leaf; neither half can name the other's directory.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 8 | magic of the file's kind |
//! | 8 | 4 | CRC-32C of the rest, little endian |
//! | 12 | … | protobuf message |

mod changes;
mod in_work;
mod marks;
mod requests;
mod set_aside;
mod snapshot_parts;
mod steps;

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub use changes::Changes;
use foreign::ForeignError;
pub use in_work::{InWork, Leave, TOGETHER, WorkId};
pub use marks::Marks;
use prost::Message;
pub use requests::request;
pub use set_aside::SetAside;
pub use snapshot_parts::SnapshotParts;
pub use steps::{Found, Steps};

/// 10,000 nodes with 1,000 metrics of 100 bytes each are 1 GB; what is larger isn't ours.
const MAX_STATE_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// What somebody who only looks reads of a half's state: counters of rules and numbers of versions.
const MAX_PEEKED_BYTES: u64 = 8 * 1024 * 1024;
/// Bytes of one call of the system: a state has thousands of small pieces.
const WRITE_BYTES: usize = 256 * 1024;
/// Only the half's own user may look at its state.
const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// One kind of state file.
#[derive(Clone, Copy, Debug)]
pub struct StateFile {
    pub name: &'static str,
    pub magic: [u8; 8],
}

/// What a state file held.
#[derive(Debug)]
pub enum Stored<T> {
    /// There is none: the first start.
    Absent,
    /// It was damaged and is now beside its old place, under this name; [`StateDir::peek`] leaves
    /// it in its place.
    Damaged {
        moved_to: PathBuf,
    },
    Found(T),
}

impl<T> Stored<T> {
    /// What can be read, for somebody to whom a damaged file is as good as none.
    pub fn found(self) -> Option<T> {
        match self {
            Stored::Found(stored) => Some(stored),
            Stored::Absent | Stored::Damaged { .. } => None,
        }
    }
}

/// Why state couldn't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The operating system refused.
    #[error("cannot {verb} `{path}`: {source}")]
    Os { verb: &'static str, path: PathBuf, source: io::Error },
    /// What lies where a state file should isn't one that this half has made.
    #[error(transparent)]
    Foreign(ForeignError),
    /// Another process runs with this state directory.
    #[error("another `sparkdiode` process uses the state directory `{path}`")]
    InUse { path: PathBuf },
}

/// A state directory, claimed by this process for as long as the value lives.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    /// Who makes its files.
    user: u32,
    _claim: File,
}

impl StateDir {
    /// Creates the directory if needed (mode 0700) and claims it.
    ///
    /// # Errors
    /// The operating system refuses, or another process holds the claim.
    pub fn open(path: &Path) -> Result<StateDir, StateError> {
        DirBuilder::new()
            .recursive(true)
            .mode(DIR_MODE)
            .create(path)
            .map_err(os("create directory", path))?;
        let lock = path.join("claim.lock");
        let claim = writable().truncate(false).open(&lock).map_err(os("open", &lock))?;
        let metadata = claim.metadata().map_err(os("look at", &lock))?;
        if !metadata.is_file() {
            let not_one = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
            return Err(os("open", &lock)(not_one));
        }
        match claim.try_lock() {
            Ok(()) => Ok(StateDir { path: path.to_owned(), user: metadata.uid(), _claim: claim }),
            Err(TryLockError::WouldBlock) => Err(StateError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(os("lock", &lock)(source)),
        }
    }

    /// A second hold on the same directory, for somebody who has files of his own there.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn another(&self) -> Result<StateDir, StateError> {
        let claim = self._claim.try_clone().map_err(os("hold", &self.path))?;
        Ok(StateDir { path: self.path.clone(), user: self.user, _claim: claim })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was stored last. A damaged file is moved aside.
    ///
    /// # Errors
    /// The operating system refuses, or something else lies in the file's place.
    pub fn load<T: Message + Default>(&self, file: StateFile) -> Result<Stored<T>, StateError> {
        let path = self.path.join(file.name);
        match read(&self.path, file.name.as_ref(), &[self.user], MAX_STATE_BYTES)? {
            None => return Ok(Stored::Absent),
            Some(bytes) => {
                if let Some(stored) = parse(file.magic, &bytes) {
                    return Ok(Stored::Found(stored));
                }
            }
        }
        let moved_to = self.path.join(format!("{}.damaged", file.name));
        fs::rename(&path, &moved_to).map_err(os("move aside", &path))?;
        Ok(Stored::Damaged { moved_to })
    }

    /// Moves a state file out of the way, unread; where it is then. `None`: there is none.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn set_aside(&self, file: StateFile) -> Result<Option<PathBuf>, StateError> {
        let path = self.path.join(file.name);
        let moved_to = self.path.join(format!("{}.set-aside", file.name));
        match fs::rename(&path, &moved_to) {
            Ok(()) => Ok(Some(moved_to)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(os("move aside", &path)(error)),
        }
    }

    /// What is stored in the directory at `path`, for somebody who only looks and may be allowed
    /// more than the half whose directory it is: nothing is claimed, and a damaged file stays where
    /// it is.
    ///
    /// # Errors
    /// The operating system refuses, or something else lies in the file's place.
    pub fn peek<T: Message + Default>(
        path: &Path,
        file: StateFile,
    ) -> Result<Stored<T>, StateError> {
        StateDir::peek_below(path, Path::new(""), file)
    }

    /// The same of a directory `below` the half's directory at `path`.
    ///
    /// # Errors
    /// As [`StateDir::peek`].
    pub fn peek_below<T: Message + Default>(
        path: &Path,
        below: &Path,
        file: StateFile,
    ) -> Result<Stored<T>, StateError> {
        let name = below.join(file.name);
        Ok(match read(path, &name, &[], MAX_PEEKED_BYTES)? {
            None => Stored::Absent,
            Some(bytes) => match parse(file.magic, &bytes) {
                Some(stored) => Stored::Found(stored),
                None => Stored::Damaged { moved_to: path.join(name) },
            },
        })
    }

    /// Replaces what is stored; after `Ok` it survives a loss of power.
    ///
    /// # Errors
    /// The operating system refuses (a full disk); what was stored before is still there.
    pub fn save(&self, file: StateFile, message: &impl Message) -> Result<(), StateError> {
        self.save_pieces(file, std::iter::once(message.encode_to_vec().as_slice()))
    }

    /// Replaces what is stored; after `Ok` it survives the end of this process, and nothing waits for
    /// the disk.
    fn save_for_process(&self, file: StateFile, message: &impl Message) -> Result<(), StateError> {
        let bytes = message.encode_to_vec();
        self.write_new(file, std::iter::once(bytes.as_slice()), |_| Ok(()))?;
        self.rename_new(file)
    }

    /// The same as [`StateDir::save`] with the bytes of the message in pieces, none of which is copied
    /// into a whole.
    fn save_pieces<'a>(
        &self,
        file: StateFile,
        pieces: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Result<(), StateError> {
        self.write_new(file, pieces, File::sync_all)?;
        self.rename_new(file)?;
        let directory = File::open(&self.path).map_err(os("open directory", &self.path))?;
        directory.sync_all().map_err(os("sync directory", &self.path))
    }

    fn rename_new(&self, file: StateFile) -> Result<(), StateError> {
        let (path, new) = (self.path.join(file.name), self.path.join(format!("{}.new", file.name)));
        fs::rename(&new, &path).map_err(os("rename", &new))
    }

    /// Writes what will take the place of a file, beside it.
    fn write_new<'a>(
        &self,
        file: StateFile,
        pieces: impl Iterator<Item = &'a [u8]> + Clone,
        sync: impl FnOnce(&File) -> io::Result<()>,
    ) -> Result<(), StateError> {
        let new = self.path.join(format!("{}.new", file.name));
        let opened = writable().truncate(true).open(&new).map_err(os("create", &new))?;
        let checksum = pieces.clone().fold(0, crc32c::crc32c_append).to_le_bytes();
        let mut written = BufWriter::with_capacity(WRITE_BYTES, opened);
        let mut write = |piece: &[u8]| written.write_all(piece).map_err(os("write", &new));
        write(&file.magic)?;
        write(&checksum)?;
        pieces.into_iter().try_for_each(write)?;
        let opened = written.into_inner().map_err(|error| os("write", &new)(error.into_error()))?;
        sync(&opened).map_err(os("sync", &new))
    }
}

/// The bytes of a state file; `None`: there is none.
fn read(
    directory: &Path,
    name: &Path,
    also: &[u32],
    max_bytes: u64,
) -> Result<Option<Vec<u8>>, StateError> {
    match foreign::read(directory, name, also, max_bytes) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(ForeignError::Os { verb, path, source }) => Err(StateError::Os { verb, path, source }),
        Err(error) => Err(StateError::Foreign(error)),
    }
}

fn parse<T: Message + Default>(wanted: [u8; 8], bytes: &[u8]) -> Option<T> {
    let (magic, rest) = bytes.split_first_chunk::<8>()?;
    let (checksum, message) = rest.split_first_chunk::<4>()?;
    let intact = *magic == wanted && *checksum == crc32c::crc32c(message).to_le_bytes();
    intact.then(|| T::decode(message).ok()).flatten()
}

fn os(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_owned();
    move |source| StateError::Os { verb, path, source }
}

/// How a file of this directory is opened to be written: made if it isn't there, for its owner alone,
/// and where nobody has put a link or a pipe in its place.
fn writable() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).write(true).mode(FILE_MODE);
    options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: StateFile = StateFile { name: "test.state", magic: *b"SPKDTEST" };

    #[test]
    fn state_survives_and_damage_is_moved_aside() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        assert!(matches!(state.load::<String>(FILE).unwrap(), Stored::Absent));
        state.save(FILE, &"seventy-seven".to_owned()).unwrap();
        let Stored::Found(found) = state.load::<String>(FILE).unwrap() else { panic!() };
        assert_eq!(found, "seventy-seven");
        let path = dir.path().join(FILE.name);
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(matches!(state.load::<String>(FILE).unwrap(), Stored::Damaged { .. }));
        assert!(dir.path().join("test.state.damaged").exists());
        assert!(matches!(state.load::<String>(FILE).unwrap(), Stored::Absent));
    }

    #[test]
    fn a_file_of_another_kind_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        state.save(FILE, &"x".to_owned()).unwrap();
        let other = StateFile { magic: *b"SPKDELSE", ..FILE };
        assert!(matches!(state.load::<String>(other).unwrap(), Stored::Damaged { .. }));
    }

    #[test]
    fn whoever_looks_follows_no_link_waits_for_nobody_and_reads_no_more_than_it_can_hold() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(&dir.path().join("policy")).unwrap();
        let look = || StateDir::peek_below::<String>(dir.path(), Path::new("policy"), FILE);
        assert!(matches!(look().unwrap(), Stored::Absent));
        state.save(FILE, &"seventy-seven".to_owned()).unwrap();
        assert!(matches!(look().unwrap(), Stored::Found(found) if found == "seventy-seven"));
        let path = dir.path().join("policy/test.state");
        let aside = dir.path().join("aside");
        fs::rename(&path, &aside).unwrap();
        std::os::unix::fs::symlink(&aside, &path).unwrap();
        assert!(matches!(look(), Err(StateError::Foreign(ForeignError::Link { .. }))));
        assert!(matches!(state.load::<String>(FILE), Err(StateError::Foreign(_))));
        fs::remove_file(&path).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert!(matches!(look(), Err(StateError::Foreign(ForeignError::NotRegular { .. }))));
        fs::remove_file(&path).unwrap();
        File::create(&path).unwrap().set_len(1 << 42).unwrap();
        assert!(matches!(look(), Err(StateError::Foreign(ForeignError::TooLarge { .. }))));
        fs::remove_file(&path).unwrap();
        fs::rename(dir.path().join("policy"), dir.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("elsewhere", dir.path().join("policy")).unwrap();
        assert!(matches!(look(), Err(StateError::Foreign(ForeignError::Link { .. }))));
    }

    /// What is written goes to no place that a link chose before.
    #[test]
    fn a_link_in_the_place_of_a_file_that_is_written_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(&dir.path().join("state")).unwrap();
        let outside = dir.path().join("outside");
        fs::write(&outside, "whole").unwrap();
        std::os::unix::fs::symlink(&outside, dir.path().join("state/test.state.new")).unwrap();
        assert!(state.save(FILE, &"x".to_owned()).is_err());
        assert_eq!(fs::read(&outside).unwrap(), b"whole");
        std::os::unix::fs::symlink(&outside, dir.path().join("state/in-work.state")).unwrap();
        assert!(state.in_work().is_err());
        fs::remove_file(dir.path().join("state/in-work.state")).unwrap();
        let aside = dir.path().join("state/set-aside.capture");
        std::os::unix::fs::symlink(&outside, aside).unwrap();
        let (note, topic, payload) = ("x", "t", [].as_slice());
        let (at_ms, qos, retain, dup) = (1, 0, false, false);
        let nothing = SetAside { at_ms, note, topic, payload, qos, retain, dup };
        assert!(state.in_work().unwrap().keep(&nothing).is_err());
        assert_eq!(fs::read(&outside).unwrap(), b"whole");
        drop(state);
        fs::remove_file(dir.path().join("state/claim.lock")).unwrap();
        std::os::unix::fs::symlink(&outside, dir.path().join("state/claim.lock")).unwrap();
        assert!(StateDir::open(&dir.path().join("state")).is_err());
    }

    #[test]
    fn a_second_process_on_the_same_state_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let _first = StateDir::open(dir.path()).unwrap();
        assert!(matches!(StateDir::open(dir.path()), Err(StateError::InUse { .. })));
    }
}
