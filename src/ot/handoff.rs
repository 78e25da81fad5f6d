//! What the network's thread and the worker hand to each other.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::Thread;

use foldhash::fast::RandomState;
use telemetry::status::ReloadRefused;

use super::admission::shares;
use super::connection::{Delivered, Subscribed};
use super::shed::Shed;
use crate::{Loaded, Now};

/// Bytes of messages on their way to the worker. When they are reached, nothing is read from the
/// broker until there is room.
pub(super) const QUEUED_BYTES: usize = 64 * 1024 * 1024;

/// Work for the worker.
#[derive(Debug)]
pub(super) enum Work {
    Messages {
        /// When they were read from the network: the windows of rules are those of then.
        arrived: Now,
        messages: Vec<Delivered>,
    },
    Connected {
        present: bool,
    },
    Lost,
    /// Why somebody should look at the session, from now on.
    Subscribed(Subscribed),
    Policy(Box<Loaded>),
    /// A policy was read again and refused; the one in force stays.
    PolicyRefused(Box<ReloadRefused>),
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
    /// Messages that have arrived are yet to be put on the way to the worker.
    pub(super) arriving: AtomicBool,
    /// Messages that the worker took since the start.
    pub(super) taken: AtomicU64,
    /// Messages that were refused on their way to the worker.
    pub(super) shed: Mutex<Shed>,
    /// What makes names of edge nodes, for the next.
    pub(super) hasher: RandomState,
    /// The edge nodes whose birth the worker knows.
    pub(super) born: Mutex<Arc<HashSet<u64, RandomState>>>,
    /// The worker's thread, to be woken when there is work.
    pub(super) worker: OnceLock<Thread>,
    /// A stop is under way: what comes now isn't taken any more.
    pub(super) stopping: AtomicBool,
    /// No more time: end even if the journal refuses.
    pub(super) give_up: AtomicBool,
}

impl Shared {
    /// Says whose births are known: group and edge node.
    pub(super) fn set_born<'a>(&self, nodes: impl Iterator<Item = (&'a str, &'a str)>) {
        let name = |(group, edge_node): (&str, &str)| {
            shares::name(&self.hasher, group.as_bytes(), edge_node.as_bytes())
        };
        let names = nodes.map(name).collect();
        if let Ok(mut born) = self.born.lock() {
            *born = Arc::new(names);
        }
    }
}
