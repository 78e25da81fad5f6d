//! What the IT half keeps on disk: the mirror's snapshot (with the journal position and what IT
//! isn't known to hold) and the next bdSeq of every node.

pub(crate) mod saving;
pub(crate) mod state_writer;

use std::path::{Path, PathBuf};

use prost::Message;
use state::{InWork, SnapshotParts, StateDir, StateError, StateFile, Stored};

use crate::mirror::MirrorSnapshot;

const SNAPSHOT: StateFile = StateFile { name: "mirror.state", magic: *b"SPKDMIR1" };
const BD_SEQS: StateFile = StateFile { name: "bdseq.state", magic: *b"SPKDBDS1" };

/// The state of the IT half, claimed by this process.
#[derive(Debug)]
pub(super) struct ItState {
    dir: StateDir,
    last_bd_seqs: BdSeqs,
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

impl ItState {
    /// Claims the directory, which is made if need be.
    pub(super) fn open(path: &Path) -> Result<ItState, StateError> {
        Ok(ItState { dir: StateDir::open(path)?, last_bd_seqs: BdSeqs::default() })
    }

    /// What this half is working on, for the next start.
    pub(super) fn in_work(&self) -> Result<InWork, StateError> {
        self.dir.in_work()
    }

    /// Moves the stored mirror out of the way, unread; where it is then.
    pub(super) fn set_snapshot_aside(&self) -> Result<Option<PathBuf>, StateError> {
        self.dir.set_aside(SNAPSHOT)
    }

    /// The mirror as it was stored last.
    pub(super) fn load_snapshot(&self) -> Result<Stored<MirrorSnapshot>, StateError> {
        self.dir.load(SNAPSHOT)
    }

    pub(super) fn save_snapshot(&self, snapshot: &MirrorSnapshot) -> Result<(), StateError> {
        self.dir.save(SNAPSHOT, snapshot)
    }

    /// Stores a snapshot that has its nodes in parts; returns its bytes.
    pub(super) fn save_parts(
        &self,
        head: &MirrorSnapshot,
        nodes: &SnapshotParts,
    ) -> Result<u64, StateError> {
        nodes.save(&self.dir, SNAPSHOT, &head.encode_to_vec())
    }

    /// The next bdSeq of every node.
    pub(super) fn load_bd_seqs(&self) -> Result<Stored<Vec<(String, u8)>>, StateError> {
        Ok(match self.dir.load::<BdSeqs>(BD_SEQS)? {
            Stored::Absent => Stored::Absent,
            Stored::Damaged { moved_to } => Stored::Damaged { moved_to },
            Stored::Found(stored) => {
                let nodes = stored.nodes.into_iter();
                // Counts modulo 256; a larger number can't be ours.
                Stored::Found(
                    nodes.map(|node| (node.node, node.next.try_into().unwrap_or(0))).collect(),
                )
            }
        })
    }

    /// Stores the next bdSeq of every node, unless that is on disk already.
    pub(super) fn save_bd_seqs(
        &mut self,
        nodes: impl Iterator<Item = (String, u8)>,
    ) -> Result<(), StateError> {
        let mut nodes: Vec<BdSeq> =
            nodes.map(|(node, next)| BdSeq { node, next: next.into() }).collect();
        nodes.sort_by(|left, right| left.node.cmp(&right.node));
        let bd_seqs = BdSeqs { nodes };
        if bd_seqs != self.last_bd_seqs {
            self.dir.save(BD_SEQS, &bd_seqs)?;
            self.last_bd_seqs = bd_seqs;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshot_and_bd_seqs_survive() {
        let dir = tempfile::tempdir().unwrap();
        let mut state = ItState::open(dir.path()).unwrap();
        let snapshot = MirrorSnapshot { epoch: 3, position: 77, ..MirrorSnapshot::default() };
        state.save_snapshot(&snapshot).unwrap();
        state.save_bd_seqs([("g/e".to_owned(), 255)].into_iter()).unwrap();
        let Stored::Found(found) = state.load_snapshot().unwrap() else { panic!() };
        assert_eq!(found, snapshot);
        let Stored::Found(found) = state.load_bd_seqs().unwrap() else { panic!() };
        assert_eq!(found, [("g/e".to_owned(), 255)]);
    }
}
