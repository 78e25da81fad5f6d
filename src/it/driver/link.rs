//! The link to the broker: whether the journal is read on, which sessions are opened, and what is said
//! of it.

use super::Driver;
use crate::mirror::{Now, SessionSpec};
use crate::pool::Pool;
use crate::status_reporter::{LinkView, ends_status};

impl<P: Pool> Driver<P> {
    /// Enough waits to be written. On a link that is full the journal is read no further ahead than
    /// what it takes in a while; where only one session is slow, that one is given up instead.
    pub(super) fn is_behind(&self) -> bool {
        let queued = self.sessions.queued_bytes();
        queued > 0 && self.link_pace.is_full(queued, self.sessions.queued_bytes_of_others())
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
            ends: self.reader.link_ends().map(|ends| ends_status(ends, now)),
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
        let (queued, births) = (self.sessions.queued_bytes(), &self.births);
        let mut opened = 0_usize;
        let fits = |spec: &SessionSpec| {
            let fits = births.has_room(opened, spec.birth_bytes, queued);
            if fits {
                opened = opened.saturating_add(spec.birth_bytes);
            }
            fits
        };
        for (node, spec) in self.connect_queue.take(now.mono, fits) {
            self.births.opened(node, spec.birth_bytes);
            self.failover.opened(node);
            self.sessions.open(node, spec);
        }
    }
}
