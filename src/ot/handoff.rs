//! What the network's thread and the worker hand to each other.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Mutex, OnceLock};
use std::thread::Thread;

use bytes::Bytes;
use signature::SignedPolicy;

use super::connection::{Delivered, Receipt, Trouble};

/// Bytes of messages on their way to the worker. When they are reached, nothing is read from the
/// broker until there is room.
pub(super) const QUEUED_BYTES: usize = 64 * 1024 * 1024;

/// Work for the worker.
#[derive(Debug)]
pub(super) enum Work {
    Messages(Vec<Delivered>),
    Connected {
        present: bool,
    },
    Lost,
    /// Why somebody should look at the session, from now on.
    Trouble(Option<Trouble>),
    Policy(Box<SignedPolicy>),
    /// The network thread asks for a sign of life.
    WatchdogRequest,
    /// Everything before it is to be journalled, then the worker ends.
    Stop,
}

/// What worker and network share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Bytes on their way to the worker.
    pub(super) queued_bytes: AtomicUsize,
    /// Messages that the worker took since the start.
    pub(super) taken: AtomicU64,
    /// Messages that were refused on their way to the worker, by topic: how many, and their
    /// receipts.
    pub(super) shed: Mutex<HashMap<Bytes, (u64, Vec<Receipt>)>>,
    /// The worker's thread, to be woken when there is work.
    pub(super) worker: OnceLock<Thread>,
    /// A stop is under way: what comes now isn't taken any more.
    pub(super) stopping: AtomicBool,
    /// No more time: end even if the journal refuses.
    pub(super) give_up: AtomicBool,
}
