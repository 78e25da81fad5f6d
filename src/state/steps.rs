//! A state that is stored many times in a second: each step survives the end of the process, and one
//! every so often a loss of power as well. So two files, the newer and the safer; whoever begins reads
//! both, and goes on with the one that is further.

use std::path::PathBuf;
use std::time::Duration;

use prost::Message;

use crate::{StateDir, StateError, StateFile, Stored};

/// How often a step waits for the disk.
const SYNC_EVERY: Duration = Duration::from_secs(10);

/// Where such a state is stored.
#[derive(Debug)]
pub struct Steps {
    each: StateFile,
    safe: StateFile,
    /// When the safer one is written next; `None`: with the next step.
    next: Option<Duration>,
}

/// What was stored.
#[derive(Debug)]
pub struct Found<T> {
    /// The newer one and the safer one, as far as they can be read.
    pub states: Vec<T>,
    /// Files that were damaged, and where they are now.
    pub damaged: Vec<PathBuf>,
}

impl Steps {
    /// In these files, of which each step replaces the first.
    pub const fn new(each: StateFile, safe: StateFile) -> Steps {
        Steps { each, safe, next: None }
    }

    /// What both files have. A damaged one is moved aside.
    ///
    /// # Errors
    /// The operating system refuses, or something else lies in a file's place.
    pub fn load<T: Message + Default>(&self, directory: &StateDir) -> Result<Found<T>, StateError> {
        let mut found = Found { states: Vec::new(), damaged: Vec::new() };
        for file in [self.each, self.safe] {
            match directory.load::<T>(file)? {
                Stored::Absent => {}
                Stored::Damaged { moved_to } => found.damaged.push(moved_to),
                Stored::Found(state) => found.states.push(state),
            }
        }
        Ok(found)
    }

    /// Stores a step; `now` since any fixed start.
    ///
    /// # Errors
    /// The operating system refuses (a full disk); what was stored before is still there.
    pub fn step(
        &mut self,
        directory: &StateDir,
        now: Duration,
        state: &impl Message,
    ) -> Result<(), StateError> {
        directory.save_for_process(self.each, state)?;
        if self.next.is_none_or(|next| next <= now) {
            directory.save(self.safe, state)?;
            self.next = Some(now.saturating_add(SYNC_EVERY));
        }
        Ok(())
    }

    /// Stores the last step, or one that has to survive a loss of power.
    ///
    /// # Errors
    /// As [`Steps::step`].
    pub fn settle(&mut self, directory: &StateDir, state: &impl Message) -> Result<(), StateError> {
        directory.save(self.safe, state)?;
        directory.save_for_process(self.each, state)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const EACH: StateFile = StateFile { name: "each.state", magic: *b"SPKDEACH" };
    const SAFE: StateFile = StateFile { name: "safe.state", magic: *b"SPKDSAFE" };

    fn found(directory: &StateDir) -> (Vec<u64>, usize) {
        let found = Steps::new(EACH, SAFE).load::<u64>(directory).unwrap();
        (found.states, found.damaged.len())
    }

    #[test]
    fn each_step_is_stored_and_the_safe_one_now_and_then() {
        let dir = tempfile::tempdir().unwrap();
        let directory = StateDir::open(dir.path()).unwrap();
        assert_eq!(found(&directory), (vec![], 0));
        let mut steps = Steps::new(EACH, SAFE);
        for second in 1..=25_u64 {
            steps.step(&directory, Duration::from_secs(second), &second).unwrap();
        }
        assert_eq!(found(&directory), (vec![25, 21], 0));
        // The newer one is what a loss of power takes; the safer one is there.
        fs::write(dir.path().join(EACH.name), b"").unwrap();
        assert_eq!(found(&directory), (vec![21], 1));
        assert_eq!(found(&directory), (vec![21], 0));
        steps.settle(&directory, &26_u64).unwrap();
        assert_eq!(found(&directory), (vec![26, 26], 0));
    }
}
