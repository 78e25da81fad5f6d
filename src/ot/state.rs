//! The OT half's own state directory: `plant.state`, replaced atomically and with a checksum.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 8 | magic: `SPKDPLT1` |
//! | 8 | 4 | CRC-32C of the rest, little endian |
//! | 12 | … | protobuf message |

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use prost::Message;

use super::plant::StoredPlant;

const NAME: &str = "plant.state";
const MAGIC: [u8; 8] = *b"SPKDPLT1";
/// 10,000 nodes with 1,000 metrics of 100 bytes each are 1 GB; what is larger isn't ours.
const MAX_STATE_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// Why the state couldn't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The operating system refused.
    #[error("cannot {verb} `{path}`: {source}")]
    Os { verb: &'static str, path: PathBuf, source: io::Error },
    /// Another process runs with this state directory.
    #[error("another `sparkdiode ot` uses the state directory `{path}`")]
    InUse { path: PathBuf },
}

/// The state directory, claimed by this process.
#[derive(Debug)]
pub(super) struct StateDir {
    path: PathBuf,
    _claim: File,
}

/// What the state file held.
#[derive(Debug)]
pub(super) enum Stored {
    /// There is none: the first start.
    Absent,
    /// It was damaged and is now beside its old place, under this name.
    Damaged {
        moved_to: PathBuf,
    },
    Found(StoredPlant),
}

impl StateDir {
    /// Creates the directory if needed (mode 0700) and claims it for this process.
    pub(super) fn open(path: &Path) -> Result<StateDir, StateError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(os("create directory", path))?;
        let lock = path.join("ot.lock");
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let claim = options.open(&lock).map_err(os("open", &lock))?;
        match claim.try_lock() {
            Ok(()) => Ok(StateDir { path: path.to_owned(), _claim: claim }),
            Err(fs::TryLockError::WouldBlock) => Err(StateError::InUse { path: path.to_owned() }),
            Err(fs::TryLockError::Error(source)) => Err(os("lock", &lock)(source)),
        }
    }

    /// The plant as it was stored last.
    pub(super) fn load(&self) -> Result<Stored, StateError> {
        let path = self.path.join(NAME);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Stored::Absent),
            Err(source) => return Err(os("open", &path)(source)),
        };
        let mut bytes = Vec::new();
        file.take(MAX_STATE_BYTES).read_to_end(&mut bytes).map_err(os("read", &path))?;
        if let Some(stored) = parse(&bytes) {
            return Ok(Stored::Found(stored));
        }
        let moved_to = self.path.join("plant.state.damaged");
        fs::rename(&path, &moved_to).map_err(os("move aside", &path))?;
        Ok(Stored::Damaged { moved_to })
    }

    /// Replaces the stored plant.
    pub(super) fn save(&self, plant: &StoredPlant) -> Result<(), StateError> {
        let (path, new) = (self.path.join(NAME), self.path.join("plant.state.new"));
        let message = plant.encode_to_vec();
        let mut options = OpenOptions::new();
        options.create(true).truncate(true).write(true).mode(0o600);
        let mut file = options.open(&new).map_err(os("create", &new))?;
        file.write_all(&MAGIC).map_err(os("write", &new))?;
        let checksum = crc32c::crc32c(&message).to_le_bytes();
        file.write_all(&checksum).map_err(os("write", &new))?;
        file.write_all(&message).map_err(os("write", &new))?;
        file.sync_all().map_err(os("sync", &new))?;
        fs::rename(&new, &path).map_err(os("rename", &new))?;
        let directory = File::open(&self.path).map_err(os("open directory", &self.path))?;
        directory.sync_all().map_err(os("sync directory", &self.path))
    }
}

fn parse(bytes: &[u8]) -> Option<StoredPlant> {
    let (magic, rest) = bytes.split_first_chunk::<8>()?;
    let (checksum, message) = rest.split_first_chunk::<4>()?;
    let intact = *magic == MAGIC && *checksum == crc32c::crc32c(message).to_le_bytes();
    intact.then(|| StoredPlant::decode(message).ok()).flatten()
}

fn os(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_owned();
    move |source| StateError::Os { verb, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plant_survives_and_damage_is_moved_aside() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        assert!(matches!(state.load().unwrap(), Stored::Absent));
        let mut plant = StoredPlant::default();
        plant.journal_seq = 77;
        state.save(&plant).unwrap();
        let Stored::Found(found) = state.load().unwrap() else { panic!() };
        assert_eq!(found, plant);
        let path = dir.path().join(NAME);
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(matches!(state.load().unwrap(), Stored::Damaged { .. }));
        assert!(dir.path().join("plant.state.damaged").exists());
    }

    #[test]
    fn a_second_process_on_the_same_state_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let _first = StateDir::open(dir.path()).unwrap();
        assert!(matches!(StateDir::open(dir.path()), Err(StateError::InUse { .. })));
    }
}
