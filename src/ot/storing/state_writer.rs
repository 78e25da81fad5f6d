//! Thread that writes the OT half's state, so that no message waits for the disk.

use std::io;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use prost::Message;

use crate::plant::PlantPart;
use crate::rule_counters::RuleCounts;
use state::{Shelf, StateDir, StateError, StateFile};

/// The plant as it was last known, and up to which frame of the journal.
pub(crate) const PLANT: StateFile = StateFile { name: "plant.state", magic: *b"SPKDPLT1" };
/// Jobs that may wait; the worker holds the next ones back until there is room.
const MAX_WAITING: usize = 4;

/// The worker's end.
#[derive(Debug)]
pub(crate) struct Keeper {
    jobs: Sender<Job>,
    /// How the writing of each picture ended.
    kept: Receiver<Result<(), StateError>>,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
enum Job {
    Plant(PlantPart),
    RuleCounts(RuleCounts),
}

impl Keeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// No thread can be had.
    pub(crate) fn start(state: StateDir) -> io::Result<Keeper> {
        let (sender, jobs) = bounded(MAX_WAITING);
        let (results, kept) = unbounded();
        let thread = std::thread::Builder::new()
            .name("state".into())
            .spawn(move || run(&state, &jobs, &results))?;
        Ok(Keeper { jobs: sender, kept, thread })
    }

    /// Whether a job can be given without waiting.
    pub(crate) fn has_room(&self) -> bool {
        !self.jobs.is_full()
    }

    /// Gives a part of a picture. With the last one the plant is written.
    pub(crate) fn take_picture(&self, part: PlantPart) {
        // The thread is gone only when the process ends.
        let _ = self.jobs.send(Job::Plant(part));
    }

    /// Has the counters of the rules written; a disk that refuses is told with the plant.
    pub(crate) fn save_rule_counts(&self, counts: RuleCounts) {
        let _ = self.jobs.send(Job::RuleCounts(counts));
    }

    /// How the writing of each picture ended.
    pub(crate) fn kept(&self) -> &Receiver<Result<(), StateError>> {
        &self.kept
    }

    /// Waits until all is written; how the last writing ended.
    pub(crate) fn finish(self) -> Option<Result<(), StateError>> {
        drop(self.jobs);
        let _ = self.thread.join();
        self.kept.try_iter().last()
    }
}

fn run(state: &StateDir, jobs: &Receiver<Job>, results: &Sender<Result<(), StateError>>) {
    // Every node as it is in the file, by its place in the plant.
    let mut nodes = Shelf::default();
    for job in jobs {
        match job {
            Job::Plant(PlantPart { nodes: pieces, head }) => {
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
