//! What can be concluded from an attempt without a session.

/// Attempts in a row that the broker ended before its CONNACK, and the other form of client
/// identifier is tried.
pub const ENDED_ATTEMPTS: u32 = 2;

/// What an attempt came to that isn't a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// CONNACK 2.
    Identifier,
    /// The broker ended the connection between CONNECT and CONNACK.
    Ended,
    /// Anything else, which says nothing of the identifier.
    Other,
}
