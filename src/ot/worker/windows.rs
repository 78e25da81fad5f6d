//! Windows of rules: each message is judged by those in which it came, however long it had to wait for
//! the disk.

use std::sync::atomic::Ordering;

use super::{Now, Worker};

impl Worker {
    /// The windows of rules are those of now, unless messages that came earlier are yet to be judged.
    pub(super) fn turn_windows(&mut self, now: Now) {
        if !self.shared.arriving.load(Ordering::SeqCst) && self.work.is_empty() {
            self.judge_as_of(now);
        }
    }

    /// The windows of rules are those of this time.
    pub(super) fn judge_as_of(&mut self, at: Now) {
        // The wall clock may be set back, and then is believed.
        if at.mono >= self.windows_at.mono {
            self.windows_at = at;
        }
        self.pipeline.judge_as_of(self.windows_at.wall_ms);
    }
}
