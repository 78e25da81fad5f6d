//! What the worker has stored, and the receipts that wait for it.

use std::time::Duration;

use super::{Now, RuleCounts, Worker};
use crate::decisions::Decisions;
use crate::storing::STORE_EVERY;

/// What became of metrics lately is stored so often at most.
const DECISIONS_EVERY: Duration = Duration::from_secs(5);

impl Worker {
    /// Stores the plant where that is due, and releases the receipts that it isn't owed.
    pub(super) fn store(&mut self, now: Now) {
        self.storing.tick(now, &mut self.pipeline, self.writer.next_seq());
        // For people, so not with every birth.
        if self.next_counts <= now.mono && self.storing.state_writer().has_room() {
            self.next_counts = now.mono.saturating_add(STORE_EVERY);
            self.storing
                .state_writer()
                .save_rule_counts(RuleCounts::of(&self.pipeline, now.wall_ms));
        }
        if self.next_decisions <= now.mono
            && self.storing.state_writer().has_room()
            && self.pipeline.take_drops_changed()
        {
            self.next_decisions = now.mono.saturating_add(DECISIONS_EVERY);
            let decisions = Decisions::of(&self.pipeline, now.wall_ms);
            self.storing.state_writer().save_decisions(decisions);
        }
        let released = self.storing.released();
        if !released.is_empty() {
            // The network is gone only when the process ends.
            let _ = self.receipts.send(released);
        }
    }
}
