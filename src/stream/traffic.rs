//! What went through a connection, for whoever waits for answers or makes bytes for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Bytes of one connection, counted before the encryption.
#[derive(Debug, Default)]
pub struct Traffic {
    accepted: AtomicU64,
    released: AtomicU64,
    heard: AtomicU64,
    /// Bytes of all connections that wait to be taken.
    waiting: Arc<AtomicUsize>,
    /// Bytes of all connections that were taken.
    taken: Arc<AtomicU64>,
}

impl Traffic {
    /// Beside its own bytes it counts, for many connections together, those that wait and those
    /// that the system took.
    pub fn new(waiting: Arc<AtomicUsize>, taken: Arc<AtomicU64>) -> Traffic {
        Traffic { waiting, taken, ..Traffic::default() }
    }

    /// Bytes that the client has written.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Bytes of them that the system has taken.
    pub fn released(&self) -> u64 {
        self.released.load(Ordering::Relaxed)
    }

    /// Bytes that came.
    pub fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    /// Bytes that the client has written, and that the system hasn't taken.
    pub fn waiting(&self) -> usize {
        usize::try_from(self.accepted().saturating_sub(self.released())).unwrap_or(usize::MAX)
    }

    pub(crate) fn accept(&self, bytes: usize) {
        self.accepted.fetch_add(wide(bytes), Ordering::Relaxed);
        self.waiting.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn release(&self, bytes: usize) {
        self.released.fetch_add(wide(bytes), Ordering::Relaxed);
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
        self.taken.fetch_add(wide(bytes), Ordering::Relaxed);
    }

    /// Bytes that wait will never be taken: the connection is over.
    pub(crate) fn forget(&self, bytes: usize) {
        self.released.fetch_add(wide(bytes), Ordering::Relaxed);
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn hear(&self, bytes: usize) {
        self.heard.fetch_add(wide(bytes), Ordering::Relaxed);
    }
}

fn wide(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
