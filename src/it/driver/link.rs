//! The link to the broker: whether the journal is read on, which sessions are opened, and what is said
//! of it.

use super::Driver;
use crate::connection::MAX_QUEUED_BYTES;
use crate::mirror::{Now, SessionSpec};
use crate::pool::Pool;
use crate::status_reporter::LinkView;

impl<P: Pool> Driver<P> {
    /// Enough waits to be written. On a link that is full the journal is read no further ahead than
    /// what it takes in a while; where only one session is slow, that one is given up instead.
    pub(super) fn is_behind(&self) -> bool {
        let queued = self.sessions.queued_bytes();
        let most = self.link_pace.queue().unwrap_or(MAX_QUEUED_BYTES).min(MAX_QUEUED_BYTES);
        queued > MAX_QUEUED_BYTES
            || (queued > most && self.sessions.queued_bytes_of_others() > most / 2)
    }

    /// Shows people how it is.
    pub(super) fn show(&mut self, now: Now) {
        if self.status_reporter.as_ref().is_none_or(|reporter| !reporter.is_due(now)) {
            return;
        }
        let missing = self.mirror.sessionless();
        self.broker.tick(now.mono, missing);
        let queued_bytes = self.sessions.queued_bytes();
        let link = LinkView {
            queued_bytes,
            behind: self.link_pace.behind(queued_bytes),
            missing,
            reasons: self.broker.reasons(now.mono),
        };
        if let Some(status_reporter) = &mut self.status_reporter {
            status_reporter.tick(now, &mut self.mirror, link);
        }
    }

    /// Opens waiting sessions within the pace, after their bdSeq is on disk.
    pub(super) fn open_sessions(&mut self, now: Now) {
        if self.saving.has_room() && self.connect_queue.begin_save(now.mono) {
            self.saving.save_bd_seqs(&self.mirror);
        }
        // A session isn't opened before its birth can follow.
        let mut under_way =
            self.sessions.queued_bytes().saturating_add(self.sessions.expected_bytes());
        let most = self.link_pace.births();
        let fits = |spec: &SessionSpec| {
            let next = under_way.saturating_add(spec.birth_bytes);
            let fits = under_way == 0 || next <= most;
            if fits {
                under_way = next;
            }
            fits
        };
        for (node, spec) in self.connect_queue.take(now.mono, fits) {
            self.sessions.open(node, spec);
        }
    }
}
