//! Thread that writes the OT half's state, so that no message waits for the disk.

use std::io;
#[cfg(any(test, feature = "testing"))]
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use prost::Message;
use state::{SnapshotParts, StateDir, StateError, StateFile};

use crate::decisions::Decisions;
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
    end: End,
}

/// Who does the jobs.
#[derive(Debug)]
enum End {
    Thread(JoinHandle<()>),
    /// A test does, one by one.
    #[cfg(any(test, feature = "testing"))]
    Test(Arc<Mutex<Jobs>>),
}

#[derive(Debug)]
enum Job {
    Plant(SnapshotPart),
    RuleCounts(RuleCounts),
    Decisions(Decisions),
}

impl StateWriter {
    /// Starts the thread.
    ///
    /// # Errors
    /// No thread can be had.
    pub(crate) fn start(state: StateDir) -> io::Result<StateWriter> {
        let (sender, jobs) = bounded(MAX_WAITING);
        let (results, saved) = unbounded();
        let jobs = Jobs { state, nodes: SnapshotParts::default(), jobs, results };
        let thread = std::thread::Builder::new().name("state".into()).spawn(move || jobs.run())?;
        Ok(StateWriter { jobs: sender, saved, end: End::Thread(thread) })
    }

    /// Without a thread: a test does the jobs.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn by_hand(state: StateDir) -> (StateWriter, Arc<Mutex<Jobs>>) {
        // Nobody would make room for one who waits.
        let (sender, jobs) = unbounded();
        let (results, saved) = unbounded();
        let jobs = Jobs { state, nodes: SnapshotParts::default(), jobs, results };
        let jobs = Arc::new(Mutex::new(jobs));
        (StateWriter { jobs: sender, saved, end: End::Test(Arc::clone(&jobs)) }, jobs)
    }

    /// Whether a job can be given without waiting.
    pub(crate) fn has_room(&self) -> bool {
        self.jobs.len() < MAX_WAITING
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

    /// The same for what became of metrics lately.
    pub(crate) fn save_decisions(&self, decisions: Decisions) {
        let _ = self.jobs.send(Job::Decisions(decisions));
    }

    /// How the writing of each snapshot ended.
    pub(crate) fn saved(&self) -> &Receiver<Result<(), StateError>> {
        &self.saved
    }

    /// Waits until all is written; how the last writing ended.
    pub(crate) fn finish(self) -> Option<Result<(), StateError>> {
        drop(self.jobs);
        match self.end {
            End::Thread(thread) => drop(thread.join()),
            #[cfg(any(test, feature = "testing"))]
            End::Test(jobs) => while jobs.lock().is_ok_and(|mut jobs| jobs.do_one()) {},
        }
        self.saved.try_iter().last()
    }
}

/// The jobs, and what they are done with.
#[derive(Debug)]
pub(crate) struct Jobs {
    state: StateDir,
    /// Every node as it is in the file, by its place in the plant.
    nodes: SnapshotParts,
    jobs: Receiver<Job>,
    results: Sender<Result<(), StateError>>,
}

impl Jobs {
    fn run(mut self) {
        while let Ok(job) = self.jobs.recv() {
            self.carry_out(job);
        }
    }

    /// Does the next job, if there is one.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn do_one(&mut self) -> bool {
        let Ok(job) = self.jobs.try_recv() else { return false };
        self.carry_out(job);
        true
    }

    fn carry_out(&mut self, job: Job) {
        match job {
            Job::Plant(SnapshotPart { nodes: pieces, head }) => {
                pieces.into_iter().for_each(|(place, piece)| self.nodes.put(place, piece));
                if let Some(head) = head {
                    let saved = self.nodes.save(&self.state, PLANT, &head.encode_to_vec());
                    let _ = self.results.send(saved.map(|_| ()));
                }
            }
            Job::RuleCounts(counts) => {
                let _ = counts.save(&self.state);
            }
            Job::Decisions(decisions) => {
                let _ = decisions.save(&self.state);
            }
        }
    }
}
