//! What is asked of the IT broker before a session with it is given up.

use std::time::Duration;

/// Longest wait for the PUBACK of the NDEATH, once that has left; then the socket is dropped, and the broker sends
/// the will, which says the same. Shorter than a stop of the relay waits.
const CLOSE_WITHIN: Duration = Duration::from_secs(4);
/// Publications waiting for the network, of all sessions, above which the journal isn't read on:
/// the journal is the buffer, not our memory.
pub(crate) const MAX_QUEUED_BYTES: usize = 64 * 1024 * 1024;
/// Publications of one session that may wait for the network. A quarter of what all of them
/// may hold, so that one session that doesn't move can't stop the others.
pub(crate) const MAX_SESSION_BYTES: usize = 16 * 1024 * 1024;
/// What a publication takes in the queues of the client beside topic and payload.
pub(super) const PUBLICATION_BYTES: usize = 256;
/// Commands of IT hosts that may wait for the driver; further ones are dropped unread, which
/// bounds what a flood from IT can occupy.
pub(crate) const WAITING_COMMANDS_BYTES: usize = 8 * 1024 * 1024;
/// What a session takes: its task, its names and topics, the client's queues and buffers, TLS.
pub(crate) const SESSION_BYTES: usize = 80 * 1024;

/// What is asked of the broker before a session is given up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) close_within: Duration,
    /// Longest wait for an answer that the broker owes (SUBACK, UNSUBACK, PUBACK): one that owes it and
    /// answers pings all the while has forgotten it.
    pub(super) answer_within: Duration,
    pub(super) session_bytes: usize,
}

impl Limits {
    /// Those of a half whose largest publications have so many bytes: a birth and what follows it
    /// may wait.
    pub(super) fn of(packet_bytes: usize, answer_within: Duration) -> Limits {
        Limits {
            close_within: CLOSE_WITHIN,
            answer_within,
            session_bytes: MAX_SESSION_BYTES.max(packet_bytes.saturating_mul(2)),
        }
    }
}
