//! What the driver and the task of one session share.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use stream::Traffic;
use tokio::sync::Notify;

/// What the driver and the task of one session share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) queue: Mutex<Queue>,
    /// With QoS 1 data: a barrier is passed once this many publications are acknowledged; 0
    /// while no barrier waits.
    pub(super) acks_wanted: AtomicU64,
    /// Publications acknowledged so far.
    pub(super) acked: AtomicU64,
    /// What went through the connection.
    pub(super) traffic: Arc<Traffic>,
    /// The driver asked for the end, behind `acks_to_close` acknowledgements.
    pub(super) closing: AtomicBool,
    pub(super) acks_to_close: AtomicU64,
    /// It isn't the mirror that wants the end, but another server that is to be used.
    pub(super) leaving: AtomicBool,
    /// The driver gave the session up.
    pub(super) given_up: AtomicBool,
    /// What the broker has refused is to be asked for again.
    pub(super) ask_again: AtomicBool,
    /// SUBSCRIBEs that have no answer, in order.
    subscribes: Mutex<VecDeque<Asked>>,
    /// Wakes the task after `closing`, `given_up` or `ask_again` was set.
    pub(super) wake: Notify,
}

/// What a SUBSCRIBE is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Commands,
    Barrier,
}

/// Publications that aren't written yet.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Their sizes, in order.
    pub(super) sizes: VecDeque<usize>,
    pub(super) bytes: usize,
    /// So many of them are urgent, the first ones.
    pub(super) urgent: usize,
    /// The task has ended: nothing is written any more.
    pub(super) ended: bool,
}

impl Shared {
    pub(super) fn new(traffic: Arc<Traffic>) -> Shared {
        Shared { traffic, ..Shared::default() }
    }

    /// A SUBSCRIBE goes out for this.
    pub(super) fn subscribes(&self, asked: Asked) {
        if let Ok(mut subscribes) = self.subscribes.lock() {
            subscribes.push_back(asked);
        }
    }

    /// A SUBACK came: for what.
    pub(super) fn suback(&self) -> Asked {
        let asked = self.subscribes.lock().ok().and_then(|mut waiting| waiting.pop_front());
        asked.unwrap_or(Asked::Commands)
    }

    /// Bytes of this session that aren't written to the network yet.
    pub(super) fn queued_bytes(&self) -> usize {
        let queued = self.queue.lock().map(|queue| queue.bytes).unwrap_or(0);
        queued.saturating_add(self.traffic.waiting())
    }

    /// Whether the waiting barrier is passed; true once per barrier, on whichever side sees it.
    pub(super) fn passes_barrier(&self) -> bool {
        let wanted = self.acks_wanted.load(Ordering::SeqCst);
        wanted > 0
            && self.acked.load(Ordering::SeqCst) >= wanted
            && self
                .acks_wanted
                .compare_exchange(wanted, 0, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok()
    }

    /// Whether everything is acknowledged that a DISCONNECT must not overtake.
    pub(super) fn may_disconnect(&self) -> bool {
        self.acked.load(Ordering::SeqCst) >= self.acks_to_close.load(Ordering::Acquire)
    }
}
