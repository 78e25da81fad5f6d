//! Sessions that wait for their turn to connect: until their bdSeq is on disk, and within a pace.
//! Sans-IO: the driver writes and connects.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::it::mirror::{NodeId, SessionSpec};

/// Between two writes of the bdSeq of all nodes; sessions that come meanwhile share the next.
const SAVE_EVERY: Duration = Duration::from_millis(50);
/// Pause after a write that failed.
const ERROR_PAUSE: Duration = Duration::from_secs(1);
/// Sessions opened in one turn of the driver: each takes it some 30 µs.
const OPENS_PER_TURN: usize = 32;
/// Time whose connects may be made at once after a pause of as much.
const BURST: Duration = Duration::from_millis(100);

/// The sessions that wait.
#[derive(Debug)]
pub(super) struct Opens {
    waiting: VecDeque<Waiting>,
    /// The next one's ticket.
    ticket: u64,
    /// Everything with a lower ticket has its bdSeq on disk.
    covered: u64,
    /// A write is under way, which covers all lower tickets.
    saving: Option<u64>,
    save_after: Duration,
    pace: Pace,
}

#[derive(Debug)]
struct Waiting {
    ticket: u64,
    node: NodeId,
    spec: SessionSpec,
}

impl Opens {
    pub(super) fn new(per_s: NonZeroU32) -> Opens {
        Opens {
            waiting: VecDeque::new(),
            ticket: 0,
            covered: 0,
            saving: None,
            save_after: Duration::ZERO,
            pace: Pace::fixed(per_s),
        }
    }

    /// Takes a session in, whose bdSeq has just been taken.
    pub(super) fn push(&mut self, node: NodeId, spec: SessionSpec) {
        self.waiting.push_back(Waiting { ticket: self.ticket, node, spec });
        self.ticket = self.ticket.saturating_add(1);
    }

    /// Gives up a session that waits; whether there was one.
    pub(super) fn cancel(&mut self, node: NodeId) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|waiting| waiting.node != node);
        self.waiting.len() < before
    }

    /// Gives up all of them.
    pub(super) fn cancel_all(&mut self) -> Vec<NodeId> {
        self.waiting.drain(..).map(|waiting| waiting.node).collect()
    }

    /// Whether the bdSeq of every node is to be written now; [`Opens::saved`] says how that ended.
    pub(super) fn begin_save(&mut self, now: Duration) -> bool {
        let wanted = self.waiting.back().is_some_and(|last| last.ticket >= self.covered);
        if !wanted || self.saving.is_some() || now < self.save_after {
            return false;
        }
        self.saving = Some(self.ticket);
        self.save_after = now.saturating_add(SAVE_EVERY);
        true
    }

    pub(super) fn saved(&mut self, now: Duration, written: bool) {
        let Some(saving) = self.saving.take() else { return };
        if written {
            self.covered = saving;
        } else {
            self.save_after = now.saturating_add(ERROR_PAUSE);
        }
    }

    /// The sessions whose turn it is.
    pub(super) fn take(&mut self, now: Duration) -> Vec<(NodeId, SessionSpec)> {
        let mut turn = Vec::new();
        while turn.len() < OPENS_PER_TURN
            && self.waiting.front().is_some_and(|first| first.ticket < self.covered)
            && self.pace.take(now)
        {
            turn.extend(self.waiting.pop_front().map(|first| (first.node, first.spec)));
        }
        turn
    }
}

/// So many connects per second, as evenly as the turns of the driver come.
#[derive(Debug)]
struct Pace {
    interval: Duration,
    /// When the next one is due.
    next: Duration,
}

impl Pace {
    fn fixed(per_s: NonZeroU32) -> Pace {
        let interval = Duration::from_secs(1).checked_div(per_s.get()).unwrap_or_default();
        Pace { interval, next: Duration::ZERO }
    }

    /// Whether one may connect now.
    fn take(&mut self, now: Duration) -> bool {
        if now < self.next {
            return false;
        }
        self.next = self.next.max(now.saturating_sub(BURST)).saturating_add(self.interval);
        true
    }
}
