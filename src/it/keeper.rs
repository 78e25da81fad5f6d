//! Thread that writes the IT half's state, so that nobody waits for the disk. It makes bytes of
//! the pictures of the mirror, and holds those of every node: a picture has only what changed.

use std::io;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use state::Shelf;
use tokio::sync::mpsc::UnboundedSender;

use crate::Happened;
use crate::mirror::{NodePicture, PicturePart};
use crate::state::ItState;

/// Jobs that may wait; the driver holds the next ones back until there is room.
const MAX_WAITING: usize = 2;

/// The driver's end.
#[derive(Debug)]
pub(super) struct Keeper {
    jobs: Sender<Job>,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
enum Job {
    Picture(PicturePart),
    BdSeqs(Vec<(String, u8)>),
}

/// What was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// A snapshot of the mirror, of so many bytes.
    Snapshot {
        bytes: u64,
    },
    BdSeqs,
}

impl Keeper {
    /// Starts the thread. How each job ended is told as [`Happened::Kept`].
    ///
    /// # Errors
    /// No thread can be had.
    pub(super) fn start(state: ItState, happened: UnboundedSender<Happened>) -> io::Result<Keeper> {
        let (sender, jobs) = bounded(MAX_WAITING);
        let thread = std::thread::Builder::new()
            .name("state".into())
            .spawn(move || Clerk { state, nodes: Shelf::default() }.run(&jobs, &happened))?;
        Ok(Keeper { jobs: sender, thread })
    }

    /// Whether a job can be given without waiting.
    pub(super) fn has_room(&self) -> bool {
        !self.jobs.is_full()
    }

    /// Gives a part of a picture. With the last one the snapshot is written.
    pub(super) fn take_picture(&self, part: PicturePart) {
        // The thread is gone only when the process ends.
        let _ = self.jobs.send(Job::Picture(part));
    }

    /// Has the next bdSeq of every node written.
    pub(super) fn save_bd_seqs(&self, bd_seqs: Vec<(String, u8)>) {
        let _ = self.jobs.send(Job::BdSeqs(bd_seqs));
    }

    /// Waits until all is written.
    pub(super) fn finish(self) {
        drop(self.jobs);
        let _ = self.thread.join();
    }
}

/// The thread's end.
#[derive(Debug)]
struct Clerk {
    state: ItState,
    /// Every node as it is in a snapshot, by its place in the mirror's list.
    nodes: Shelf,
}

impl Clerk {
    fn run(mut self, jobs: &Receiver<Job>, happened: &UnboundedSender<Happened>) {
        for job in jobs {
            let (what, result) = match job {
                Job::Picture(PicturePart { nodes, head }) => {
                    nodes.iter().for_each(|node| self.put(node));
                    // The rest is still to come.
                    let Some(head) = head else { continue };
                    let saved = self.state.save_shelf(&head, &self.nodes);
                    let bytes = *saved.as_ref().unwrap_or(&0);
                    (Kept::Snapshot { bytes }, saved.map(|_| ()))
                }
                Job::BdSeqs(bd_seqs) => {
                    (Kept::BdSeqs, self.state.save_bd_seqs(bd_seqs.into_iter()))
                }
            };
            let _ = happened.send(Happened::Kept { what, result });
        }
    }

    fn put(&mut self, node: &NodePicture) {
        if let Ok(place) = usize::try_from(node.id().0) {
            self.nodes.put(place, node.encode());
        }
    }
}
