//! Symbols of a lane in their order: what overtook others waits for them, for a time. Then the hole
//! is a hole, and what fills it later is late.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::account::length;

/// Symbols that may wait.
const MAX_WAITING: usize = 1 << 16;
/// A receiver that sees one of so many first symbols has seen the session begin: what overtook others
/// doesn't make it forget them.
const NEAR_START: u64 = 4_096;
/// Holes that are remembered, so that what fills them is told from what is there already.
const MAX_HOLES: usize = 4_096;

/// What becomes of a symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It comes out in its turn.
    InOrder,
    /// Its hole was given up; it hasn't come out.
    Late,
    /// It came out, or waits already.
    Known,
}

/// Symbols that wait for others.
#[derive(Debug)]
pub(crate) struct Order {
    patience: Duration,
    max_bytes: usize,
    /// The next that comes out; `None` before the first came.
    next: Option<u64>,
    waiting: BTreeMap<u64, Arc<[u8]>>,
    waiting_bytes: usize,
    /// When what waits came, in that order; some of it doesn't wait any more.
    arrivals: VecDeque<(Duration, u64)>,
    /// Numbers that were given up, ascending.
    holes: VecDeque<Range<u64>>,
}

impl Order {
    /// A hole is given up after `patience`, or when more waits behind it than `max_bytes`.
    pub(crate) fn new(patience: Duration, max_bytes: usize) -> Order {
        Order {
            patience,
            max_bytes,
            next: None,
            waiting: BTreeMap::new(),
            waiting_bytes: 0,
            arrivals: VecDeque::new(),
            holes: VecDeque::new(),
        }
    }

    /// Takes a symbol. If it is the very first that comes, symbols are expected from the session's
    /// start on, or from `first`, that of its block, where that is long ago.
    pub(crate) fn place(
        &mut self,
        now: Duration,
        first: u64,
        number: u64,
        bytes: Arc<[u8]>,
    ) -> Place {
        let begin = if number < NEAR_START { 0 } else { first.min(number) };
        let next = *self.next.get_or_insert(begin);
        if number < next {
            return if self.fill(number) { Place::Late } else { Place::Known };
        }
        if self.waiting.contains_key(&number) {
            return Place::Known;
        }
        self.waiting_bytes = self.waiting_bytes.saturating_add(bytes.len());
        self.waiting.insert(number, bytes);
        self.arrivals.push_back((now, number));
        Place::InOrder
    }

    /// Takes a number out of the holes, if it is in one.
    fn fill(&mut self, number: u64) -> bool {
        let at = self.holes.partition_point(|hole| hole.end <= number);
        let Some(hole) = self.holes.get_mut(at).filter(|hole| hole.start <= number) else {
            return false;
        };
        let behind = number.saturating_add(1)..hole.end;
        hole.end = number;
        let is_empty = hole.is_empty();
        if !behind.is_empty() {
            self.holes.insert(at.saturating_add(1), behind);
        }
        if is_empty {
            self.holes.remove(at);
        }
        self.bound_holes();
        true
    }

    fn bound_holes(&mut self) {
        while self.holes.len() > MAX_HOLES {
            self.holes.pop_front();
        }
    }

    /// The symbol whose turn it is.
    pub(crate) fn poll(&mut self) -> Option<Arc<[u8]>> {
        let next = self.next.as_mut()?;
        let bytes = self.waiting.remove(next)?;
        *next = next.saturating_add(1);
        self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes.len());
        self.forget_arrivals();
        Some(bytes)
    }

    fn forget_arrivals(&mut self) {
        let next = self.next.unwrap_or(0);
        while self.arrivals.front().is_some_and(|(_, number)| *number < next) {
            self.arrivals.pop_front();
        }
        // What came out from behind one that still waits.
        let kept = self.waiting.len().saturating_mul(2).saturating_add(1_024);
        if self.arrivals.len() > kept {
            self.arrivals.retain(|(_, number)| *number >= next);
        }
    }

    /// When the first hole is given up.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let (came, _) = self.arrivals.front()?;
        (!self.waiting.is_empty()).then(|| came.saturating_add(self.patience))
    }

    /// Gives up the first hole if its time is over, or too much waits behind it. Then what is behind
    /// it can be polled.
    pub(crate) fn give_up(&mut self, now: Duration) -> Option<Range<u64>> {
        let is_over = self.deadline()? <= now;
        let is_too_much = self.waiting_bytes > self.max_bytes || self.waiting.len() > MAX_WAITING;
        if is_over || is_too_much { self.skip() } else { None }
    }

    /// Gives up the first hole.
    pub(crate) fn skip(&mut self) -> Option<Range<u64>> {
        let (lowest, _) = self.waiting.first_key_value()?;
        let hole = self.next.replace(*lowest)?..*lowest;
        if length(&hole) == 0 {
            // It can be polled as it is.
            return None;
        }
        self.holes.push_back(hole.clone());
        self.bound_holes();
        Some(hole)
    }
}

#[cfg(test)]
mod tests;
