//! Why a connection ended, or never came to be, and what can be concluded from that. No word of the crates
//! that speak MQTT reaches a person.

use std::io;

use broker::{ConnectFailure, Refusal, Refused, explain, refusal};
use stream::{FramingError, NoSession};

/// Said where the broker, or something before it, doesn't keep to MQTT.
pub(crate) const LOOK: &str =
    "look in its log, and whether something between us changes what it sends";

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Of the network, of TLS, or of the stream below the client.
    #[error(transparent)]
    Io(io::Error),
    /// The code by which the broker refuses the session, and what it says in its own words.
    #[error("the broker refuses the session ({code:#04x})")]
    Refused { code: u8, text: Option<String> },
    #[error("the broker ended the connection")]
    Ended,
    /// By a DISCONNECT, or since nobody is left who could ask for anything.
    #[error("we ended the connection")]
    Done,
    /// What else the client couldn't go on with, in the operator's words.
    #[error("{0}")]
    Other(String),
}

/// A request that the client can't take: its connection is over, or it isn't one of MQTT.
#[derive(Debug, thiserror::Error)]
#[error("the client takes no request: {0}")]
pub struct NotTaken(pub(crate) String);

impl Error {
    pub(crate) fn of_io(error: io::Error) -> Error {
        let framing = error.get_ref().and_then(|inner| inner.downcast_ref());
        match framing {
            Some(FramingError::Answer(NoSession::Refused { code, text })) => {
                Error::Refused { code: *code, text: text.clone() }
            }
            _ => Error::Io(error),
        }
    }

    /// In words. `refused`: whose session it was.
    pub fn failure(&self, refused: Refused<'_>) -> ConnectFailure {
        match self {
            Error::Refused { code, text } => refusal(*code, text.as_deref(), refused),
            Error::Io(error) => explain(error),
            Error::Ended | Error::Done | Error::Other(_) => ConnectFailure::other(self.to_string()),
        }
    }

    /// Whether it was the other end that ended the connection, and not the network or we.
    pub fn is_ended_by_broker(&self) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
        match self {
            Error::Ended => true,
            Error::Io(error) => {
                matches!(error.kind(), ConnectionReset | BrokenPipe | UnexpectedEof)
            }
            Error::Refused { .. } | Error::Done | Error::Other(_) => false,
        }
    }

    /// What an attempt without a session says of the client identifier; `spoken`: the CONNECT left.
    pub fn refusal(&self, spoken: bool) -> Refusal {
        match self {
            Error::Refused { code: 2 | 0x85, .. } => Refusal::Identifier,
            Error::Refused { .. } => Refusal::Other,
            _ if spoken && self.is_ended_by_broker() => Refusal::Ended,
            _ => Refusal::Other,
        }
    }
}
