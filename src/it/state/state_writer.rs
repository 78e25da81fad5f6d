//! Thread that writes the IT half's state, so that nobody waits for the disk. It makes bytes of
//! the snapshots of the mirror, and holds those of every node: a snapshot has only what changed.

use std::io;
#[cfg(feature = "testing")]
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use state::SnapshotParts;
use tokio::sync::mpsc::UnboundedSender;

use crate::DriverEvent;
use crate::mirror::{NodePart, SnapshotPart};
use crate::state::ItState;

/// Jobs that may wait; the driver holds the next ones back until there is room.
const MAX_WAITING: usize = 2;

/// The driver's end.
#[derive(Debug)]
pub(crate) struct StateWriter {
    jobs: Sender<Job>,
    end: End,
}

/// Who does the jobs.
#[derive(Debug)]
enum End {
    Thread(JoinHandle<()>),
    /// A test does, one by one.
    #[cfg(feature = "testing")]
    Test(Arc<Mutex<Jobs>>),
}

#[derive(Debug)]
enum Job {
    Snapshot(SnapshotPart),
    BdSeqs(Vec<(String, u8)>),
}

/// What was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Saved {
    /// A snapshot of the mirror, of so many bytes.
    Snapshot {
        bytes: u64,
    },
    BdSeqs,
}

impl StateWriter {
    /// Starts the thread. How each job ended comes back as [`DriverEvent::Saved`].
    ///
    /// # Errors
    /// No thread can be had.
    pub(crate) fn start(
        state: ItState,
        events: UnboundedSender<DriverEvent>,
    ) -> io::Result<StateWriter> {
        let (sender, jobs) = bounded(MAX_WAITING);
        let jobs = Jobs { state, nodes: SnapshotParts::default(), jobs, events };
        let thread = std::thread::Builder::new().name("state".into()).spawn(move || jobs.run())?;
        Ok(StateWriter { jobs: sender, end: End::Thread(thread) })
    }

    /// Without a thread: a test does the jobs.
    #[cfg(feature = "testing")]
    pub(crate) fn by_hand(
        state: ItState,
        events: UnboundedSender<DriverEvent>,
    ) -> (StateWriter, Arc<Mutex<Jobs>>) {
        // Nobody would make room for one who waits.
        let (sender, jobs) = crossbeam_channel::unbounded();
        let jobs = Jobs { state, nodes: SnapshotParts::default(), jobs, events };
        let jobs = Arc::new(Mutex::new(jobs));
        (StateWriter { jobs: sender, end: End::Test(Arc::clone(&jobs)) }, jobs)
    }

    /// Whether a job can be given without waiting.
    pub(crate) fn has_room(&self) -> bool {
        self.jobs.len() < MAX_WAITING
    }

    /// Hands a part of a snapshot over; with the last one the snapshot is written.
    pub(crate) fn write_part(&self, part: SnapshotPart) {
        // The thread is gone only when the process ends.
        let _ = self.jobs.send(Job::Snapshot(part));
    }

    /// Has the next bdSeq of every node written.
    pub(crate) fn save_bd_seqs(&self, bd_seqs: Vec<(String, u8)>) {
        let _ = self.jobs.send(Job::BdSeqs(bd_seqs));
    }

    /// Waits until all is written.
    pub(crate) fn finish(self) {
        drop(self.jobs);
        match self.end {
            End::Thread(thread) => drop(thread.join()),
            #[cfg(feature = "testing")]
            End::Test(jobs) => while jobs.lock().is_ok_and(|mut jobs| jobs.do_one()) {},
        }
    }
}

/// The jobs, and what they are done with.
#[derive(Debug)]
pub(crate) struct Jobs {
    state: ItState,
    /// Every node as it is in a snapshot, by its place in the mirror's list.
    nodes: SnapshotParts,
    jobs: Receiver<Job>,
    events: UnboundedSender<DriverEvent>,
}

impl Jobs {
    fn run(mut self) {
        while let Ok(job) = self.jobs.recv() {
            self.carry_out(job);
        }
    }

    /// Does the next job, if there is one.
    #[cfg(feature = "testing")]
    pub(crate) fn do_one(&mut self) -> bool {
        let Ok(job) = self.jobs.try_recv() else { return false };
        self.carry_out(job);
        true
    }

    fn carry_out(&mut self, job: Job) {
        let (what, result) = match job {
            Job::Snapshot(SnapshotPart { nodes, head }) => {
                nodes.iter().for_each(|node| self.put(node));
                // The rest is still to come.
                let Some(head) = head else { return };
                let saved = self.state.save_parts(&head, &self.nodes);
                let bytes = *saved.as_ref().unwrap_or(&0);
                (Saved::Snapshot { bytes }, saved.map(|_| ()))
            }
            Job::BdSeqs(bd_seqs) => (Saved::BdSeqs, self.state.save_bd_seqs(bd_seqs.into_iter())),
        };
        let _ = self.events.send(DriverEvent::Saved { what, result });
    }

    fn put(&mut self, node: &NodePart) {
        if let Ok(place) = usize::try_from(node.id().0) {
            self.nodes.put(place, node.encode());
        }
    }
}
