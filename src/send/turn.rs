//! One turn of the sending end: what is new, what goes again, what is due; then it says when to come
//! again.

use std::time::Duration;

use journal_read::JournalError;
use link::{CounterExhausted, Sender};

use crate::feed::Feed;
use crate::paths::Paths;

/// Datagrams of a turn: signs of life and a stop wait for no more.
const TURN_DATAGRAMS: usize = 1_024;
/// The journal is looked at after so long, if it had nothing: twice as long each time, up to the most. A look
/// costs some microseconds; the most is what the IT half has for its journal, too.
const LOOK_FIRST: Duration = Duration::from_micros(200);
const LOOK_MOST: Duration = Duration::from_millis(10);

/// Why nothing more can be sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Counter(#[from] CounterExhausted),
}

/// Everything that a turn needs.
#[derive(Debug)]
pub struct Turn {
    pub sender: Sender,
    pub feed: Feed,
    pub paths: Paths,
    look_after: Duration,
    datagram: Vec<u8>,
}

impl Turn {
    /// For a session that begins.
    pub fn new(sender: Sender, feed: Feed, paths: Paths) -> Turn {
        Turn { sender, feed, paths, look_after: LOOK_FIRST, datagram: Vec::new() }
    }

    /// Does what there is to do at `now`; when to come again at the latest.
    ///
    /// # Errors
    /// The journal can't be read, and the call may be repeated; or the session has no nonce left.
    pub fn take(&mut self, now: Duration, wall_ms: u64) -> Result<Duration, SendError> {
        let read = self.feed.read_new(now, &mut self.sender);
        let again = self.feed.read_again(now, &mut self.sender);
        // What was read, and signs of life, leave even where the journal fails.
        let due = self.send(now, wall_ms)?;
        let (has_new, has_again) = (read?, again?);
        self.look_after =
            if has_new { LOOK_FIRST } else { self.look_after.saturating_mul(2).min(LOOK_MOST) };
        if has_again {
            return Ok(now);
        }
        Ok(due.min(now.saturating_add(self.look_after)))
    }

    /// Sends what is due, and reads nothing; when to come again at the latest.
    ///
    /// # Errors
    /// The session has no nonce left.
    pub fn send(&mut self, now: Duration, wall_ms: u64) -> Result<Duration, CounterExhausted> {
        let mut due = Ok(now);
        for _ in 0..TURN_DATAGRAMS {
            match self.sender.poll_datagram(now, wall_ms, &mut self.datagram) {
                Ok(true) => self.paths.send(&self.datagram),
                Ok(false) => {
                    due = Ok(self.sender.next_due());
                    break;
                }
                Err(exhausted) => {
                    due = Err(exhausted);
                    break;
                }
            }
        }
        self.paths.flush();
        due
    }
}

#[cfg(test)]
mod tests;
