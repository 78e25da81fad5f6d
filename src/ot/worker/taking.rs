//! How the worker waits for work, and how much of it is a batch.

use std::collections::VecDeque;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, TryRecvError, select};

use super::{BATCH_BYTES, BATCH_MESSAGES, Work, Worker};

impl Worker {
    /// Something is to be done at once, whether anything comes or not.
    pub(super) fn is_behind(&self) -> bool {
        let takes_policy = self.next_policy.is_some() && !self.pipeline.has_news();
        takes_policy || self.pipeline.is_behind()
    }

    /// Waits for work. The channel's own wait spins and yields before it sleeps, which costs more
    /// than what a few messages cost otherwise; so whoever sends wakes this thread.
    fn next_work(&self, wait: Duration) -> Result<Work, RecvTimeoutError> {
        let next = self.work.try_recv().or_else(|error| match error {
            TryRecvError::Empty => {
                std::thread::park_timeout(wait);
                self.work.try_recv()
            }
            TryRecvError::Disconnected => Err(error),
        });
        next.map_err(|error| match error {
            TryRecvError::Empty => RecvTimeoutError::Timeout,
            TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
        })
    }

    /// Waits for work, and takes what there is, up to a batch. True: it is the last one.
    pub(super) fn take(&mut self, batch: &mut VecDeque<Work>) -> bool {
        let now = self.clock.now();
        let next_tick = if self.is_behind() { Duration::ZERO } else { self.next_tick };
        let due = self.storing.due().unwrap_or(next_tick).min(next_tick);
        let wait = due.saturating_sub(now.mono);
        let saved_by = self.storing.saved_by().cloned();
        let first = match saved_by {
            None => self.next_work(wait),
            Some(saved_by) => select! {
                recv(self.work) -> work => work.map_err(|_| RecvTimeoutError::Disconnected),
                recv(saved_by) -> saved => {
                    if let Ok(saved) = saved {
                        self.storing.saved(self.clock.now(), &saved);
                    }
                    Err(RecvTimeoutError::Timeout)
                }
                default(wait) => Err(RecvTimeoutError::Timeout),
            },
        };
        let mut next = match first {
            Ok(work) => Some(work),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return true,
        };
        let (mut messages, mut bytes) = (0_usize, 0_usize);
        while let Some(work) = next {
            match &work {
                Work::Stop => return true,
                Work::Messages { messages: burst, .. } => {
                    messages = messages.saturating_add(burst.len());
                    let of_burst = burst.iter().map(|one| one.payload.len());
                    bytes = of_burst.fold(bytes, usize::saturating_add);
                }
                _ => {}
            }
            batch.push_back(work);
            if messages >= BATCH_MESSAGES || bytes >= BATCH_BYTES {
                break;
            }
            next = self.work.try_recv().ok();
        }
        false
    }
}
