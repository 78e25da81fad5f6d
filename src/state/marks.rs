//! The mark of a half, shared by what works and by what asks it about one edge node.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{InWork, Leave, WorkId};

/// One mark in the hands of several.
#[derive(Clone, Debug)]
pub struct Marks(Arc<Mutex<InWork>>);

impl Marks {
    pub fn new(in_work: InWork) -> Marks {
        Marks(Arc::new(Mutex::new(in_work)))
    }

    pub fn in_work(&self) -> MutexGuard<'_, InWork> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks a stored state, which is read as a whole; false: it is set aside, and the next one is
    /// another.
    pub fn begin_stored(&self, id: WorkId) -> bool {
        let mut in_work = self.in_work();
        let leave = in_work.begin(id, usize::MAX, std::iter::empty());
        if leave == Leave::SetAside {
            in_work.clear(id);
        }
        leave == Leave::Work
    }

    /// Nothing is worked on any more; why it couldn't be marked, if so, once.
    pub fn work_done(&self) -> Option<io::Error> {
        let mut in_work = self.in_work();
        in_work.end();
        in_work.take_trouble()
    }
}
