//! Whether the session with the broker is up, and what of that which comes is a sign of life: what the
//! broker queued while the relay was away says nothing of the time since.

use std::time::Duration;

use super::news::News;
use super::{LASTING, Now, Pipeline, Received};

/// A session that the broker kept, and when it went on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queued {
    since: Duration,
    /// In milliseconds since the epoch (UTC).
    since_ms: u64,
}

impl Queued {
    /// Whether a message that comes now may have been sent before the session went on. A clock of its
    /// edge node that is ahead proves nothing.
    fn may_have(self, now: Now, sent_ms: Option<u64>) -> bool {
        let is_of_now = sent_ms.is_some_and(|sent| (self.since_ms..=now.wall_ms).contains(&sent));
        now.mono.saturating_sub(self.since) < LASTING && !is_of_now
    }
}

impl Pipeline {
    /// The connection is up and subscribed. `present`: the broker kept the session, so what it
    /// queued meanwhile is still coming. The next [`Pipeline::tick`] journals the doubt, and
    /// then that the half is connected.
    pub fn session(&mut self, now: Now, present: bool) {
        self.connected = true;
        self.session_since = now.mono;
        self.queued = present.then_some(Queued { since: now.mono, since_ms: now.wall_ms });
        self.hosts.connected(now.mono);
        // Readers wait for the news.
        self.next_heartbeat = now.mono;
        self.tell_all(News::Session { since: now.mono, present });
    }

    /// The connection was lost.
    pub fn disconnected(&mut self, now: Now) {
        if std::mem::replace(&mut self.connected, false) {
            // What waits came before whatever is missed now.
            self.end_waiting(now);
            // Sessions that don't last, one after the other, are no presence: the time away
            // goes on.
            let had_lasted = self.has_lasted(now);
            if had_lasted || !self.unsteady {
                self.away_since = now.mono;
            }
            self.unsteady = !had_lasted;
            self.next_heartbeat = now.mono;
        }
    }

    /// Whether a message shows that its edge node lives: it was sent since the relay is back.
    pub(super) fn is_sign_of_life(
        &self,
        now: Now,
        received: Received<'_>,
        sent_ms: Option<u64>,
    ) -> bool {
        !received.dup && !self.queued.is_some_and(|queued| queued.may_have(now, sent_ms))
    }

    /// Whether there is a session with the broker, however short it may be.
    pub(crate) fn has_session(&self) -> bool {
        self.connected
    }

    /// Whether the broker's session is up; after one that didn't last, the next one counts only
    /// once it has.
    pub fn is_connected(&self, now: Now) -> bool {
        self.connected && (!self.unsteady || self.has_lasted(now))
    }

    fn has_lasted(&self, now: Now) -> bool {
        now.mono.saturating_sub(self.session_since) >= LASTING
    }
}
