//! What was seen of the link, stored ahead of use: so a start refuses what the one before it has taken.
//!
//! Each step survives the end of the process; a loss of power may take the steps of the last seconds,
//! and with them the memory of what was seen then. The journal knows which frames it has all the same.

use std::path::{Path, PathBuf};
use std::time::Duration;

use link::ReceiverState;
use state::{StateDir, StateError, StateFile, Steps, Stored};

use crate::losses::Told;

const SEEN: StateFile = StateFile { name: "seen.state", magic: *b"SPKDSEEN" };
const TOLD: StateFile = StateFile { name: "told.state", magic: *b"SPKDTOLD" };
const SAFE: StateFile = StateFile { name: "seen-safe.state", magic: *b"SPKDSEEN" };

/// The state of the receiving end.
#[derive(Debug)]
pub(crate) struct Kept {
    directory: StateDir,
    steps: Steps,
    /// Each step has to survive a loss of power.
    is_safe: bool,
}

impl Kept {
    /// Claims the directory and reads what is stored; what was damaged is moved aside.
    pub(crate) fn open(
        directory: &Path,
        is_safe: bool,
    ) -> Result<(Kept, ReceiverState, Vec<PathBuf>), StateError> {
        let directory = StateDir::open(directory)?;
        let steps = Steps::new(SEEN, SAFE);
        let found = steps.load::<Vec<u8>>(&directory)?;
        let mut damaged = found.damaged;
        let mut states = Vec::new();
        for bytes in found.states {
            match ReceiverState::decode(&bytes) {
                Ok(state) => states.push(state),
                Err(_) => damaged.push(directory.path().join(SEEN.name)),
            }
        }
        let further = |state: &ReceiverState| {
            state.highest().map(|highest| (highest.session.number, highest.edge))
        };
        let state = states.into_iter().max_by_key(further).unwrap_or_default();
        Ok((Kept { directory, steps, is_safe }, state, damaged))
    }

    /// Stores what has been seen from now on.
    pub(crate) fn store(&mut self, now: Duration, state: &ReceiverState) -> Result<(), StateError> {
        let bytes = state.encode();
        match self.is_safe {
            true => self.steps.settle(&self.directory, &bytes),
            false => self.steps.step(&self.directory, now, &bytes),
        }
    }

    /// Up to where losses were told; what was damaged is moved aside.
    pub(crate) fn told(&self, damaged: &mut Vec<PathBuf>) -> Result<Told, StateError> {
        Ok(match self.directory.load(TOLD)? {
            Stored::Absent => Told::default(),
            Stored::Found(told) => told,
            Stored::Damaged { moved_to } => {
                damaged.push(moved_to);
                Told::default()
            }
        })
    }

    /// Stores that losses were told.
    pub(crate) fn store_told(&self, told: Told) -> Result<(), StateError> {
        self.directory.save(TOLD, &told)
    }

    /// Stores it for good.
    pub(crate) fn settle(&mut self, state: &ReceiverState) -> Result<(), StateError> {
        self.steps.settle(&self.directory, &state.encode())
    }
}
