//! The end of a connection: what it says, and with which server of the broker the next one is made.

use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use broker::{Next, Refusal};
use telemetry::event;

use super::pauses::Pauses;
use super::{End, Session, telling};

/// Why another server is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Moved {
    before: String,
    why: &'static str,
}

impl Session {
    /// Tells why there is no session, and draws conclusions; when the next attempt is made.
    pub(super) fn ended(&mut self, end: &End, pauses: &mut Pauses) -> Duration {
        let now = clock::steady();
        let stood = take(&mut self.stands);
        let by_broker = matches!(end, End::Failed(error) if error.is_ended_by_broker());
        let said = self.common.subscriptions.borrow_mut().ended(by_broker);
        if stood && by_broker && said.is_none() {
            self.endings.ended(now);
        } else {
            self.endings.other();
        }
        let client_id = Arc::clone(self.identity.current());
        let is_short = !stood && self.learn_of_identity(end);
        let (next, pause) = self.next_server(end, stood, pauses);
        let settings = (&self.broker, &*self.way.server());
        let unheard = !stood && by_broker && self.way.is_unheard();
        telling::tell_end(settings, &client_id, (end, unheard), said.as_ref(), pause);
        if is_short {
            let client_id = &**self.identity.current();
            event!(ClientIdShort, client_id, broker = self.way.address());
        }
        if next.is_some() {
            // Whoever ends it there has nothing to do with who takes it here.
            self.endings.other();
        }
        self.tell_server(next.as_ref());
        pause
    }

    /// What an attempt without a session says of the client identifier; true: it is the short one from
    /// now on.
    fn learn_of_identity(&mut self, end: &End) -> bool {
        let refusal = match end {
            End::Failed(error) => error.refusal(self.way.was_spoken_to()),
            End::Unanswered | End::Left => Refusal::Other,
        };
        self.identity.refused(refusal)
    }

    /// Decides it, and when that is. `stood`: there was a session.
    fn next_server(
        &mut self,
        end: &End,
        stood: bool,
        pauses: &mut Pauses,
    ) -> (Option<Moved>, Duration) {
        let (servers, in_use) = (&self.broker.servers, self.way.in_use());
        let before = in_use.server.address();
        if matches!(end, End::Left) {
            let moved = servers.return_to_first();
            let why = "the first server has been reachable for long enough";
            pauses.left();
            return (moved.then_some(Moved { before, why }), Duration::ZERO);
        }
        if !stood {
            in_use.server.addresses.turn();
        }
        // A broken connection isn't a broken server, and what it keeps for us is worth an attempt.
        if stood && pauses.has_lasted() {
            servers.lasted(in_use.stay);
            return (None, pauses.ended());
        }
        // What was learnt of the client identifier was learnt with this server.
        if self.identity.is_deciding() {
            return (None, pauses.ended());
        }
        match servers.failed(in_use.stay) {
            Next::Same => (None, pauses.ended()),
            Next::Other { round_over, .. } => {
                let why = if stood { "its sessions end soon" } else { "it can't be used" };
                let pause = if round_over { pauses.ended() } else { pauses.left() };
                (Some(Moved { before, why }), pause)
            }
        }
    }

    fn tell_server(&self, moved: Option<&Moved>) {
        let Some(Moved { before, why }) = moved else { return };
        event!(ServerChanged, broker = self.broker.address(), before, why = *why);
    }

    /// From now on something of ours is kept with this server.
    pub(super) fn remember_server(&mut self) {
        let address = self.way.address();
        if let Some(kept) = &mut self.kept {
            kept.is_at(address);
        }
    }
}
