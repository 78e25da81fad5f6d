//! Admission: the bounded way from the session to the worker. While it is full nothing is read
//! from the broker, and while it is nearly full no node may take more than its share.

pub(crate) mod shares;

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clock::Clock;
use crossbeam_channel::{Receiver, Sender, TrySendError};

use self::shares::{Room, Shares, Wanting};
use super::connection::{Delivered, SessionEvent, Sink};
use super::handoff::{QUEUED_BYTES, Shared, Work};

/// Bursts of messages on their way to the worker. When they or [`QUEUED_BYTES`] are reached,
/// nothing is read from the broker until there is room.
const QUEUED_BURSTS: usize = 64;
/// Pause of the network while the worker has no room.
const FULL_PAUSE: Duration = Duration::from_millis(1);
/// The way to the worker, bounded by messages and bytes.
pub(super) struct Queue {
    work: Sender<Work>,
    pub(super) shared: Arc<Shared>,
    shares: RefCell<Shares>,
    clock: Clock,
}

impl Queue {
    /// The end of the network, and that of the worker.
    pub(super) fn new(shared: Arc<Shared>, clock: Clock) -> (Queue, Receiver<Work>) {
        let (work, queue) = crossbeam_channel::bounded(QUEUED_BURSTS);
        let shares = RefCell::new(Shares::new(shared.hasher.clone()));
        (Queue { work, shared, shares, clock }, queue)
    }

    /// Leaves out what a node sends beyond its share while the way is nearly full; the worker
    /// counts and acknowledges it.
    fn share(&self, messages: &mut Vec<Delivered>) {
        let bytes = self.shared.queued_bytes.load(Ordering::Relaxed);
        let room = Room {
            taken: self.shared.taken.load(Ordering::Relaxed),
            messages: percent(self.work.len(), QUEUED_BURSTS),
            bytes: percent(bytes, QUEUED_BYTES),
        };
        let mut shares = self.shares.borrow_mut();
        if let Ok(born) = self.shared.born.lock() {
            shares.set_born(Arc::clone(&born));
        }
        let is_refused = |message: &mut Delivered| {
            if message.of_other_shard {
                return false;
            }
            let (topic, assured) = (&message.topic, message.receipt.is_some());
            !shares.admit(room, Wanting { topic, bytes: message.bytes(), assured })
        };
        let refused: Vec<Delivered> = messages.extract_if(.., is_refused).collect();
        if !refused.is_empty()
            && let Ok(mut shed) = self.shared.shed.lock()
        {
            // Once, until the worker has told it.
            if shed.is_empty() {
                shed.most = shares.most();
            }
            for Delivered { topic, receipt, .. } in refused {
                shed.enter(&topic, shares.is_born(&topic), receipt);
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
            SessionEvent::Subscribed(subscribed) => Work::Subscribed(subscribed),
            SessionEvent::Messages(_) if self.shared.stopping.load(Ordering::Relaxed) => return,
            SessionEvent::Messages(mut messages) => {
                // Before the clock is read: who sees neither this nor them is earlier than they.
                self.shared.arriving.store(true, Ordering::SeqCst);
                let arrived = self.clock.now();
                self.share(&mut messages);
                if messages.is_empty() {
                    self.shared.arriving.store(false, Ordering::SeqCst);
                    return;
                }
                while self.shared.queued_bytes.load(Ordering::Relaxed) >= QUEUED_BYTES {
                    tokio::time::sleep(FULL_PAUSE).await;
                }
                let bytes = messages.iter().map(Delivered::bytes).sum();
                self.shared.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
                Work::Messages { arrived, messages }
            }
        };
        self.put_work(work).await;
        self.shared.arriving.store(false, Ordering::SeqCst);
    }
}

fn percent(part: usize, of: usize) -> u64 {
    let percent = part.saturating_mul(100).checked_div(of).unwrap_or(0);
    u64::try_from(percent).unwrap_or(u64::MAX)
}
