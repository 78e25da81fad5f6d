//! One turn of the receiving end: what came, what is given up, what has to be stored, what comes out;
//! then it says when to come again.

use std::io;
use std::time::Duration;

use journal_write::JournalError;
use link::{Receiver, ReceiverState};

use crate::landing::Landing;
use crate::ports::Ports;

/// Datagrams of a path in one turn.
const TURN_DATAGRAMS: usize = 512;
/// Bytes that the journal hasn't written; above, nothing more is read.
const MOST_PENDING_BYTES: usize = 32 << 20;

/// Why a turn didn't come to its end. It may be taken again.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    #[error("cannot store what was seen of the link: {0}")]
    State(#[source] io::Error),
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Everything that a turn needs.
#[derive(Debug)]
pub struct Turn {
    pub receiver: Receiver,
    pub ports: Ports,
    pub landing: Landing,
}

impl Turn {
    /// A receiver that begins: it is told what the journal has.
    pub fn new(mut receiver: Receiver, ports: Ports, landing: Landing) -> Turn {
        if let Some((known, missing)) = landing.known() {
            receiver.resume(landing.writer().epoch(), known, missing, []);
        }
        Turn { receiver, ports, landing }
    }

    /// Does what there is to do at `now`; when to come again at the latest, if nothing comes before.
    /// `store` stores a state so that a receiver that begins again finds it.
    ///
    /// # Errors
    /// The state or the journal can't be written. What came is kept, and nothing more is read until
    /// the call, repeated, gets on.
    pub fn take(
        &mut self,
        now: Duration,
        wall_ms: u64,
        mut store: impl FnMut(&ReceiverState) -> io::Result<()>,
    ) -> Result<Option<Duration>, ReceiveError> {
        let is_blocked = self.landing.is_blocked()
            || self.landing.writer().pending_bytes() > MOST_PENDING_BYTES
            || self.receiver.state_to_store(now).is_some();
        let receiver = &mut self.receiver;
        let is_more = !is_blocked
            && self.ports.read(TURN_DATAGRAMS, |path, datagram| {
                receiver.handle_datagram(now, wall_ms, path, datagram);
            });
        receiver.tick(now);
        if let Some(state) = receiver.state_to_store(now) {
            store(&state).map_err(ReceiveError::State)?;
            receiver.state_stored(now, state);
        }
        self.landing.note_clock(wall_ms, receiver.freshness().ahead_ms());
        self.landing.land(wall_ms, || receiver.poll_output())?;
        self.landing.note_clock(wall_ms, receiver.freshness().ahead_ms());
        self.landing.commit()?;
        Ok(if is_more { Some(now) } else { self.receiver.next_due() })
    }
}

#[cfg(test)]
mod tests;
