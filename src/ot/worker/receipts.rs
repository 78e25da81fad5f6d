//! Receipts of messages that wait for their turn, and of those behind them: they go out in the order of
//! their messages.

use super::{Receipt, TICK_EVERY, Worker};
use crate::Now;
use crate::entry::Entry;

/// So many receipts that wait for a message which waits for its turn may be all that the broker sends
/// before it has some: mosquitto sends 20 by default.
const MANY_WAITING: usize = 10;

impl Worker {
    /// Takes the receipts of the message at hand: they go out behind those of messages before it.
    pub(super) fn take_receipts(&mut self, receipts: impl IntoIterator<Item = Receipt>) {
        let number = self.pipeline.last_number();
        self.waiting.extend(receipts.into_iter().map(|receipt| (number, receipt)));
    }

    /// Lets go of the receipts whose messages, and those before them, don't wait for their turn.
    pub(super) fn release_waiting(&mut self) {
        let oldest = self.pipeline.oldest_waiting();
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
        if silent && self.waiting.len() >= MANY_WAITING {
            self.pipeline.hurry(now, out);
        }
    }
}
