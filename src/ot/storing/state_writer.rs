//! Thread that writes the OT half's state, so that no message waits for the disk.

use std::io;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use prost::Message;
use state::{SnapshotParts, StateDir, StateError, StateFile};

use crate::plant::SnapshotPart;
use crate::rule_counters::RuleCounts;

/// The plant as it was last known, and up to which frame of the journal.
pub(crate) const PLANT: StateFile = StateFile { name: "plant.state", magic: *b"SPKDPLT1" };
/// Jobs that may wait; the worker holds the next ones back until there is room.
const MAX_WAITING: usize = 4;

/// The worker's end.
#[derive(Debug)]
pub(crate) struct StateWriter {
    jobs: Sender<Job>,
    /// How the writing of each snapshot ended.
    saved: Receiver<Result<(), StateError>>,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
enum Job {
    Plant(SnapshotPart),
    RuleCounts(RuleCounts),
}

impl StateWriter {
    /// Starts the thread.
    ///
    /// # Errors
    /// No thread can be had.
    pub(crate) fn start(state: StateDir) -> io::Result<StateWriter> {
        let (sender, jobs) = bounded(MAX_WAITING);
        let (results, saved) = unbounded();
        let thread = std::thread::Builder::new()
            .name("state".into())
            .spawn(move || run(&state, &jobs, &results))?;
        Ok(StateWriter { jobs: sender, saved, thread })
    }

    /// Whether a job can be given without waiting.
    pub(crate) fn has_room(&self) -> bool {
        !self.jobs.is_full()
    }

    /// Gives a part of a snapshot. With the last one the plant is written.
    pub(crate) fn write_part(&self, part: SnapshotPart) {
        // The thread is gone only when the process ends.
        let _ = self.jobs.send(Job::Plant(part));
    }

    /// Has the counters of the rules written; a disk that refuses is reported with the plant.
    pub(crate) fn save_rule_counts(&self, counts: RuleCounts) {
        let _ = self.jobs.send(Job::RuleCounts(counts));
    }

    /// How the writing of each snapshot ended.
    pub(crate) fn saved(&self) -> &Receiver<Result<(), StateError>> {
        &self.saved
    }

    /// Waits until all is written; how the last writing ended.
    pub(crate) fn finish(self) -> Option<Result<(), StateError>> {
        drop(self.jobs);
        let _ = self.thread.join();
        self.saved.try_iter().last()
    }
}

fn run(state: &StateDir, jobs: &Receiver<Job>, results: &Sender<Result<(), StateError>>) {
    // Every node as it is in the file, by its place in the plant.
    let mut nodes = SnapshotParts::default();
    for job in jobs {
        match job {
            Job::Plant(SnapshotPart { nodes: pieces, head }) => {
                pieces.into_iter().for_each(|(place, piece)| nodes.put(place, piece));
                if let Some(head) = head {
                    let saved = nodes.save(state, PLANT, &head.encode_to_vec());
                    let _ = results.send(saved.map(|_| ()));
                }
            }
            Job::RuleCounts(counts) => {
                let _ = counts.save(state);
            }
        }
    }
}
