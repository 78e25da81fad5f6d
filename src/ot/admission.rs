//! Admission: the bounded way from the session to the worker. While it is full nothing is read
//! from the broker, and while it is nearly full no node may take more than its share.

mod shares;

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, TrySendError};

use self::shares::Shares;
use super::connection::{Delivered, SessionEvent, Sink};
use super::handoff::{QUEUED_BYTES, Shared, Work};

/// Bursts of messages on their way to the worker. When they or [`QUEUED_BYTES`] are reached,
/// nothing is read from the broker until there is room.
const QUEUED_BURSTS: usize = 64;
/// From here on no node may take more than its share.
const CROWDED_BURSTS: usize = QUEUED_BURSTS / 4 * 3;
const CROWDED_BYTES: usize = QUEUED_BYTES / 4 * 3;
/// Topics of refused messages that are told apart until the worker counts them.
const MAX_SHED_TOPICS: usize = 10_000;
/// Pause of the network while the worker has no room.
const FULL_PAUSE: Duration = Duration::from_millis(1);
/// The way to the worker, bounded by messages and bytes.
pub(super) struct Queue {
    work: Sender<Work>,
    pub(super) shared: Arc<Shared>,
    shares: RefCell<Shares>,
}

impl Queue {
    /// The end of the network, and that of the worker.
    pub(super) fn new(shared: Arc<Shared>) -> (Queue, Receiver<Work>) {
        let (work, queue) = crossbeam_channel::bounded(QUEUED_BURSTS);
        (Queue { work, shared, shares: RefCell::default() }, queue)
    }

    /// Leaves out what a node sends beyond its share while the way is nearly full; the worker
    /// counts and acknowledges it.
    fn share(&self, messages: &mut Vec<Delivered>) {
        let bytes = self.shared.queued_bytes.load(Ordering::Relaxed);
        let crowded = self.work.len() >= CROWDED_BURSTS || bytes >= CROWDED_BYTES;
        let taken = self.shared.taken.load(Ordering::Relaxed);
        let mut shares = self.shares.borrow_mut();
        let admit = |message: &mut Delivered| {
            !shares.admit(taken, &message.topic, message.bytes(), crowded)
        };
        let shed: Vec<Delivered> = messages.extract_if(.., admit).collect();
        if !shed.is_empty()
            && let Ok(mut waiting) = self.shared.shed.lock()
        {
            for Delivered { topic, receipt, .. } in shed {
                // Beyond some thousand topics it is only counted.
                let is_known = waiting.len() < MAX_SHED_TOPICS || waiting.contains_key(&topic);
                let topic = if is_known { topic } else { Bytes::new() };
                let (count, receipts) = waiting.entry(topic).or_default();
                *count = count.saturating_add(1);
                receipts.extend(receipt);
            }
        }
    }

    /// Hands something over, however long that takes.
    pub(super) async fn put_work(&self, mut work: Work) {
        loop {
            match self.work.try_send(work) {
                Ok(()) => {
                    if let Some(worker) = self.shared.worker.get() {
                        worker.unpark();
                    }
                    return;
                }
                // Without a worker the process is about to end.
                Err(TrySendError::Disconnected(_)) => return,
                Err(TrySendError::Full(back)) => work = back,
            }
            tokio::time::sleep(FULL_PAUSE).await;
        }
    }
}

impl Sink for Queue {
    async fn put(&self, event: SessionEvent) {
        let work = match event {
            SessionEvent::Connected { present } => Work::Connected { present },
            SessionEvent::Lost => Work::Lost,
            SessionEvent::Trouble(trouble) => Work::Trouble(trouble),
            SessionEvent::Messages(_) if self.shared.stopping.load(Ordering::Relaxed) => return,
            SessionEvent::Messages(mut messages) => {
                self.share(&mut messages);
                if messages.is_empty() {
                    return;
                }
                while self.shared.queued_bytes.load(Ordering::Relaxed) >= QUEUED_BYTES {
                    tokio::time::sleep(FULL_PAUSE).await;
                }
                let bytes = messages.iter().map(Delivered::bytes).sum();
                self.shared.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
                Work::Messages(messages)
            }
        };
        self.put_work(work).await;
    }
}
