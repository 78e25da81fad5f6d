//! Receipts of messages that wait for their turn, and of those behind them: they go out in the order of
//! their messages.

use std::time::Duration;

use super::{Receipt, TICK_EVERY, Worker};
use crate::Now;
use crate::entry::Entry;

/// So many receipts that wait for a message which waits for its turn may be all that the broker sends
/// before it has some: mosquitto sends 20 by default.
const MANY_WAITING: usize = 10;

/// How many messages without a receipt the broker has on the way at most, as far as it shows. One that
/// has few (`max_inflight_messages 1` keeps the order) sends nothing while one waits, so that what is
/// missing can't come.
#[derive(Debug, Default)]
pub(super) struct Window {
    full_at: Option<usize>,
    /// When what waited was given up, after a silence, and how many receipts waited then.
    given_up: Option<(Duration, usize)>,
}

impl Window {
    /// A message came that wants a receipt, while so many waited.
    fn arrived(&mut self, now: Duration, waiting: usize) {
        let given_up = self.given_up.take();
        if self.full_at.is_some_and(|full| waiting >= full) {
            self.full_at = None;
        }
        // It was held up by that.
        if let Some((at, full)) = given_up
            && waiting == 0
            && now.saturating_sub(at) <= TICK_EVERY.saturating_mul(2)
        {
            self.full_at = Some(full);
        }
    }

    fn is_full(&self, waiting: usize) -> bool {
        self.full_at.is_some_and(|full| waiting >= full)
    }
}

impl Worker {
    /// A message came that wants a receipt.
    pub(super) fn assured(&mut self, now: Duration) {
        self.window.arrived(now, self.waiting.len());
        self.last_assured = now;
    }

    /// Takes the receipts of the message at hand: they go out behind those of messages before it.
    pub(super) fn take_receipts(&mut self, receipts: impl IntoIterator<Item = Receipt>) {
        let number = self.pipeline.last_number();
        self.waiting.extend(receipts.into_iter().map(|receipt| (number, receipt)));
    }

    /// Lets go of the receipts whose messages, and those before them, don't wait for their turn.
    pub(super) fn release_waiting(&mut self) {
        let oldest = self.pipeline.oldest_waiting();
        let waiting = self.waiting.len();
        if waiting > 0 && oldest.is_none() && std::mem::take(&mut self.waits) {
            let now = self.clock.now().mono;
            let silent = now.saturating_sub(self.last_assured) >= TICK_EVERY;
            self.window.given_up = silent.then_some((now, waiting));
        }
        self.waits = oldest.is_some();
        while let Some((number, receipt)) = self.waiting.pop_front() {
            if oldest.is_some_and(|oldest| oldest <= number) {
                self.waiting.push_front((number, receipt));
                return;
            }
            self.unreleased.push(receipt);
        }
    }

    /// Where the broker sends nothing more before it has receipts, nothing that is missing will
    /// come: what waits is judged.
    pub(super) fn hurry(&mut self, now: Now, out: &mut Vec<Entry>) {
        let silent = now.mono.saturating_sub(self.last_assured) >= TICK_EVERY;
        let waiting = self.waiting.len();
        if self.window.is_full(waiting) || (silent && waiting >= MANY_WAITING) {
            self.pipeline.hurry(now, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_broker_that_sends_on_as_soon_as_it_has_receipts_was_held_up_by_them() {
        let mut window = Window::default();
        window.arrived(at(0), 0);
        assert!(!window.is_full(1));
        window.given_up = Some((at(2_000), 1));
        window.arrived(at(2_050), 0);
        assert!(window.is_full(1) && window.is_full(2) && !window.is_full(0));
        // It sends more than that without a receipt.
        window.arrived(at(3_000), 1);
        assert!(!window.is_full(1));
    }

    #[test]
    fn a_message_that_comes_later_says_nothing() {
        let mut window = Window { full_at: None, given_up: Some((at(2_000), 1)) };
        window.arrived(at(2_500), 0);
        assert!(!window.is_full(1));
        window.given_up = Some((at(4_000), 1));
        window.arrived(at(4_050), 1);
        window.arrived(at(4_060), 0);
        assert!(!window.is_full(1), "one of the way before");
    }
}
