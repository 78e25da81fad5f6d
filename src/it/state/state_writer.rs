//! Thread that writes the IT half's state, so that nobody waits for the disk. It makes bytes of
//! the snapshots of the mirror, and holds those of every node: a snapshot has only what changed.

use std::io;
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
    thread: JoinHandle<()>,
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
        let thread = std::thread::Builder::new().name("state".into()).spawn(move || {
            WriterThread { state, nodes: SnapshotParts::default() }.run(&jobs, &events)
        })?;
        Ok(StateWriter { jobs: sender, thread })
    }

    /// Whether a job can be given without waiting.
    pub(crate) fn has_room(&self) -> bool {
        !self.jobs.is_full()
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
        let _ = self.thread.join();
    }
}

/// The thread's end.
#[derive(Debug)]
struct WriterThread {
    state: ItState,
    /// Every node as it is in a snapshot, by its place in the mirror's list.
    nodes: SnapshotParts,
}

impl WriterThread {
    fn run(mut self, jobs: &Receiver<Job>, events: &UnboundedSender<DriverEvent>) {
        for job in jobs {
            let (what, result) = match job {
                Job::Snapshot(SnapshotPart { nodes, head }) => {
                    nodes.iter().for_each(|node| self.put(node));
                    // The rest is still to come.
                    let Some(head) = head else { continue };
                    let saved = self.state.save_parts(&head, &self.nodes);
                    let bytes = *saved.as_ref().unwrap_or(&0);
                    (Saved::Snapshot { bytes }, saved.map(|_| ()))
                }
                Job::BdSeqs(bd_seqs) => {
                    (Saved::BdSeqs, self.state.save_bd_seqs(bd_seqs.into_iter()))
                }
            };
            let _ = events.send(DriverEvent::Saved { what, result });
        }
    }

    fn put(&mut self, node: &NodePart) {
        if let Ok(place) = usize::try_from(node.id().0) {
            self.nodes.put(place, node.encode());
        }
    }
}
