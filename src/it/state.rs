//! Files of the IT half's own state directory: the mirror's snapshot (with the journal position
//! and what IT isn't known to hold) and the next bdSeq of every node. Each is replaced
//! atomically and carries a checksum.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 8 | magic: `SPKDMIR1` (snapshot) or `SPKDBDS1` (bdSeq) |
//! | 8 | 4 | CRC-32C of the rest, little endian |
//! | 12 | … | protobuf message |

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use prost::Message;

use crate::it::mirror::MirrorSnapshot;

const SNAPSHOT: Kind = Kind { name: "mirror.state", magic: *b"SPKDMIR1" };
const BD_SEQS: Kind = Kind { name: "bdseq.state", magic: *b"SPKDBDS1" };
const HEADER_BYTES: usize = 12;
/// 10,000 nodes with 50 metrics each are some 30 MB; what is larger isn't ours.
const MAX_STATE_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// Why state couldn't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The operating system refused.
    #[error("cannot {verb} `{path}`: {source}")]
    Os { verb: &'static str, path: PathBuf, source: io::Error },
    /// Another process runs with this state directory.
    #[error("another `sparkdiode it` uses the state directory `{path}`")]
    InUse { path: PathBuf },
}

/// The state directory, claimed by this process.
#[derive(Debug)]
pub(super) struct StateDir {
    path: PathBuf,
    _claim: File,
    last_bd_seqs: Vec<u8>,
}

/// What a state file held.
#[derive(Debug)]
pub(super) enum Stored<T> {
    /// There is none: the first start.
    Absent,
    /// It was damaged and is now beside its old place, under this name.
    Damaged {
        moved_to: PathBuf,
    },
    Found(T),
}

struct Kind {
    name: &'static str,
    magic: [u8; 8],
}

/// The next bdSeq of every node that ever had a session.
#[derive(Clone, PartialEq, Message)]
struct BdSeqs {
    #[prost(message, repeated, tag = "1")]
    nodes: Vec<BdSeq>,
}

#[derive(Clone, PartialEq, Message)]
struct BdSeq {
    /// `group/edge_node`.
    #[prost(string, tag = "1")]
    node: String,
    #[prost(uint32, tag = "2")]
    next: u32,
}

impl StateDir {
    /// Creates the directory if needed (mode 0700) and claims it for this process.
    pub(super) fn open(path: &Path) -> Result<StateDir, StateError> {
        let os = |verb, path: &Path| {
            let path = path.to_owned();
            move |source| StateError::Os { verb, path, source }
        };
        if !path.is_dir() {
            let mut builder = fs::DirBuilder::new();
            std::os::unix::fs::DirBuilderExt::mode(builder.recursive(true), 0o700);
            builder.create(path).map_err(os("create directory", path))?;
        }
        let lock = path.join("it.lock");
        let claim = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock)
            .map_err(os("open", &lock))?;
        match claim.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(StateError::InUse { path: path.to_owned() });
            }
            Err(fs::TryLockError::Error(source)) => return Err(os("lock", &lock)(source)),
        }
        Ok(StateDir { path: path.to_owned(), _claim: claim, last_bd_seqs: Vec::new() })
    }

    /// The mirror as it was stored last.
    pub(super) fn load_snapshot(&self) -> Result<Stored<MirrorSnapshot>, StateError> {
        self.load(&SNAPSHOT)
    }

    /// The next bdSeq of every node.
    pub(super) fn load_bd_seqs(&self) -> Result<Stored<Vec<(String, u8)>>, StateError> {
        Ok(match self.load::<BdSeqs>(&BD_SEQS)? {
            Stored::Absent => Stored::Absent,
            Stored::Damaged { moved_to } => Stored::Damaged { moved_to },
            Stored::Found(stored) => {
                let nodes = stored.nodes.into_iter();
                // Counts modulo 256 (Sparkplug 3.0 §6.4.30); a larger number can't be ours.
                Stored::Found(
                    nodes.map(|node| (node.node, node.next.try_into().unwrap_or(0))).collect(),
                )
            }
        })
    }

    pub(super) fn save_snapshot(&self, snapshot: &MirrorSnapshot) -> Result<(), StateError> {
        self.save(&SNAPSHOT, &snapshot.encode_to_vec())
    }

    /// Stores the next bdSeq of every node, unless that is on disk already.
    pub(super) fn save_bd_seqs(
        &mut self,
        nodes: impl Iterator<Item = (String, u8)>,
    ) -> Result<(), StateError> {
        let mut nodes: Vec<BdSeq> =
            nodes.map(|(node, next)| BdSeq { node, next: next.into() }).collect();
        nodes.sort_by(|left, right| left.node.cmp(&right.node));
        let bytes = BdSeqs { nodes }.encode_to_vec();
        if bytes != self.last_bd_seqs {
            self.save(&BD_SEQS, &bytes)?;
            self.last_bd_seqs = bytes;
        }
        Ok(())
    }

    fn load<T: Message + Default>(&self, kind: &Kind) -> Result<Stored<T>, StateError> {
        let path = self.path.join(kind.name);
        let os = |verb| {
            let path = path.clone();
            move |source| StateError::Os { verb, path, source }
        };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Stored::Absent),
            Err(source) => return Err(os("open")(source)),
        };
        let mut bytes = Vec::new();
        file.take(MAX_STATE_BYTES).read_to_end(&mut bytes).map_err(os("read"))?;
        if let Some(stored) = parse(kind, &bytes) {
            return Ok(Stored::Found(stored));
        }
        let moved_to = self.path.join(format!("{}.damaged", kind.name));
        fs::rename(&path, &moved_to).map_err(os("move aside"))?;
        Ok(Stored::Damaged { moved_to })
    }

    fn save(&self, kind: &Kind, message: &[u8]) -> Result<(), StateError> {
        let path = self.path.join(kind.name);
        let new = self.path.join(format!("{}.new", kind.name));
        let os = |verb| {
            let path = new.clone();
            move |source| StateError::Os { verb, path, source }
        };
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&new)
            .map_err(os("create"))?;
        file.write_all(&kind.magic).map_err(os("write"))?;
        file.write_all(&crc32c::crc32c(message).to_le_bytes()).map_err(os("write"))?;
        file.write_all(message).map_err(os("write"))?;
        file.sync_all().map_err(os("sync"))?;
        fs::rename(&new, &path).map_err(os("rename"))?;
        let directory = File::open(&self.path).map_err(os("open the directory of"))?;
        directory.sync_all().map_err(os("sync the directory of"))
    }
}

fn parse<T: Message + Default>(kind: &Kind, bytes: &[u8]) -> Option<T> {
    let (header, message) = bytes.split_at_checked(HEADER_BYTES)?;
    let (magic, checksum) = header.split_at_checked(kind.magic.len())?;
    let intact = magic == kind.magic && checksum == crc32c::crc32c(message).to_le_bytes();
    intact.then(|| T::decode(message).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_survives_and_damage_is_moved_aside() {
        let dir = tempfile::tempdir().unwrap();
        let mut state = StateDir::open(dir.path()).unwrap();
        assert!(matches!(state.load_snapshot().unwrap(), Stored::Absent));
        let snapshot = MirrorSnapshot { epoch: 3, position: 77, nodes: Vec::new() };
        state.save_snapshot(&snapshot).unwrap();
        state.save_bd_seqs([("g/e".to_owned(), 255)].into_iter()).unwrap();
        match state.load_snapshot().unwrap() {
            Stored::Found(found) => assert_eq!(found, snapshot),
            other => panic!("{other:?}"),
        }
        match state.load_bd_seqs().unwrap() {
            Stored::Found(found) => assert_eq!(found, [("g/e".to_owned(), 255)]),
            other => panic!("{other:?}"),
        }
        let path = dir.path().join("mirror.state");
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(matches!(state.load_snapshot().unwrap(), Stored::Damaged { .. }));
        assert!(dir.path().join("mirror.state.damaged").exists());
        assert!(matches!(state.load_snapshot().unwrap(), Stored::Absent));
    }

    #[test]
    fn a_second_process_on_the_same_state_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let _first = StateDir::open(dir.path()).unwrap();
        assert!(matches!(StateDir::open(dir.path()), Err(StateError::InUse { .. })));
    }
}
