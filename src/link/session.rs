//! What must be stored before it is used: the number of the sender's session, and what a receiver has
//! seen. Values with their bytes; the driver stores them.
//!
//! | offset | bytes | the sender's | the receiver's |
//! |---|---|---|---|
//! | 0 | 4 | magic `SDS1` | magic `SDR1` |
//! | 4 | 8 | number of the session | for each key (28 bytes): id (4), session (8), random (8), edge (8) |
//! | end − 8 | 8 | start of the SHA-256 of all before | the same |
//!
//! A sender counts its session up, and stores it, before it sends a byte: so no number, and with it no
//! nonce, is used twice. A receiver stores the edge of its window *ahead* of what it has seen, before
//! anything of what it has seen leaves it: so its successor, which refuses all up to the edge, refuses
//! whatever was seen. What lies between is lost for the successor, and a second pass brings it; so the
//! edge is no further ahead than 50 milliseconds, and not ahead at all where a receiver ends in order.

use aws_lc_rs::digest::{SHA256, digest};

use crate::datagram::SessionId;
use crate::reader::Reader;

const SENDER: [u8; 4] = *b"SDS1";
const RECEIVER: [u8; 4] = *b"SDR1";
/// Bytes of the checksum.
const CHECK_BYTES: usize = 8;
/// Keys of which a receiver's state knows something: two, and as many that were taken away.
const MAX_KEYS: usize = 4;

/// Stored bytes that can't be what was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    #[error("not a state of this version")]
    Magic,
    #[error("too short or too long")]
    Length,
    #[error("damaged: the checksum differs")]
    Check,
    #[error("two entries of one key, or a session numbered 0")]
    Content,
}

/// No session number is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the last session number has been used: give the link another key")]
pub struct SessionsExhausted;

/// The number of the sender's session. Store it before [`Sender::new`](crate::Sender::new).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SenderState {
    /// From 1 on.
    pub session: u64,
}

impl SenderState {
    /// The session after the stored one. The wall clock (milliseconds since the epoch, UTC) is a floor
    /// and nothing else: a state that was lost, or came back from a backup, goes on above what the
    /// receiver knows. A clock that is wrong harms nothing, as long as the state is kept.
    pub fn next(
        stored: Option<SenderState>,
        wall_ms: u64,
    ) -> Result<SenderState, SessionsExhausted> {
        let before = stored.map_or(0, |stored| stored.session);
        let next = before.checked_add(1).ok_or(SessionsExhausted)?;
        Ok(SenderState { session: next.max(wall_ms) })
    }

    /// As the table says.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = SENDER.to_vec();
        out.extend_from_slice(&self.session.to_be_bytes());
        checked(out)
    }

    /// What [`encode`](Self::encode) made.
    pub fn decode(bytes: &[u8]) -> Result<SenderState, StateError> {
        let mut reader = Reader::new(unchecked(bytes, SENDER)?);
        let session = reader.u64().ok_or(StateError::Length)?;
        if !reader.is_empty() {
            return Err(StateError::Length);
        }
        if session == 0 {
            return Err(StateError::Content);
        }
        Ok(SenderState { session })
    }
}

/// The highest session of a key, and up to which counter all of it counts as seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Id of the key.
    pub key: u32,
    pub session: SessionId,
    /// Counters up to this one are refused by a receiver that begins with it.
    pub edge: u64,
}

/// What a receiver has seen. The default has seen nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceiverState(Vec<Edge>);

impl ReceiverState {
    /// What is known of each key.
    pub fn edges(&self) -> &[Edge] {
        &self.0
    }

    /// The highest session of all keys.
    pub fn highest(&self) -> Option<Edge> {
        self.0.iter().max_by_key(|edge| edge.session.number).copied()
    }

    /// Replaces what is known of the key.
    pub(crate) fn set(&mut self, edge: Edge) {
        self.0.retain(|known| known.key != edge.key);
        self.0.push(edge);
    }

    /// Forgets keys that aren't valid any more.
    pub(crate) fn retain(&mut self, is_valid: impl Fn(u32) -> bool) {
        self.0.retain(|known| is_valid(known.key));
    }

    /// As the table says.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = RECEIVER.to_vec();
        for edge in &self.0 {
            out.extend_from_slice(&edge.key.to_be_bytes());
            out.extend_from_slice(&edge.session.number.to_be_bytes());
            out.extend_from_slice(&edge.session.random);
            out.extend_from_slice(&edge.edge.to_be_bytes());
        }
        checked(out)
    }

    /// What [`encode`](Self::encode) made.
    pub fn decode(bytes: &[u8]) -> Result<ReceiverState, StateError> {
        let mut reader = Reader::new(unchecked(bytes, RECEIVER)?);
        let mut state = ReceiverState::default();
        while !reader.is_empty() {
            let mut read = || {
                Some(Edge {
                    key: reader.u32()?,
                    session: SessionId { number: reader.u64()?, random: reader.array()? },
                    edge: reader.u64()?,
                })
            };
            let edge = read().ok_or(StateError::Length)?;
            if state.0.len() == MAX_KEYS {
                return Err(StateError::Length);
            }
            if state.0.iter().any(|known| known.key == edge.key) {
                return Err(StateError::Content);
            }
            state.0.push(edge);
        }
        Ok(state)
    }
}

fn checksum(bytes: &[u8]) -> [u8; CHECK_BYTES] {
    digest(&SHA256, bytes).as_ref().first_chunk().copied().unwrap_or_default()
}

fn checked(mut bytes: Vec<u8>) -> Vec<u8> {
    let check = checksum(&bytes);
    bytes.extend_from_slice(&check);
    bytes
}

/// What is between magic and checksum.
fn unchecked(bytes: &[u8], magic: [u8; 4]) -> Result<&[u8], StateError> {
    let (content, check) = bytes.split_last_chunk::<CHECK_BYTES>().ok_or(StateError::Length)?;
    let rest = content.strip_prefix(&magic).ok_or(StateError::Magic)?;
    if *check == checksum(content) { Ok(rest) } else { Err(StateError::Check) }
}

#[cfg(test)]
mod tests;
