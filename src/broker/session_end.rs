//! Why a session ended, from what the MQTT client says of it, and what can be concluded from that.

use rumqttc::mqttbytes::Error as PacketError;
use rumqttc::{ConnectReturnCode, ConnectionError, StateError};

use crate::client_words::words;
use crate::{ConnectFailure, Refused, explain, refusal};

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

/// In words. `refused`: whose session it was.
pub fn failure(error: &ConnectionError, refused: Refused<'_>) -> ConnectFailure {
    match connack_code(error) {
        Some(code) => refusal(code, refused),
        None => words(error).map_or_else(|| explain(error), ConnectFailure::other),
    }
}

/// The code by which the broker refuses a session.
fn connack_code(error: &ConnectionError) -> Option<u8> {
    match error {
        ConnectionError::ConnectionRefused(code) => Some(match code {
            ConnectReturnCode::Success => 0,
            ConnectReturnCode::RefusedProtocolVersion => 1,
            ConnectReturnCode::BadClientId => 2,
            ConnectReturnCode::ServiceUnavailable => 3,
            ConnectReturnCode::BadUserNamePassword => 4,
            ConnectReturnCode::NotAuthorized => 5,
        }),
        ConnectionError::MqttState(StateError::Deserialization(
            PacketError::InvalidConnectReturnCode(code),
        )) => Some(*code),
        _ => None,
    }
}

/// Whether it was the other end that ended the connection, and not the network or we.
pub fn is_ended_by_broker(error: &ConnectionError) -> bool {
    match error {
        ConnectionError::MqttState(StateError::ConnectionAborted) => true,
        ConnectionError::MqttState(
            StateError::Deserialization(PacketError::Io(error)) | StateError::Io(error),
        )
        | ConnectionError::Io(error) => {
            use std::io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
            matches!(error.kind(), ConnectionReset | BrokenPipe | UnexpectedEof)
        }
        _ => false,
    }
}

/// What an attempt without a session says of the client identifier; `spoken`: the CONNECT left.
pub fn refusal_of(error: &ConnectionError, spoken: bool) -> Refusal {
    match connack_code(error) {
        Some(2 | 0x85) => Refusal::Identifier,
        Some(_) => Refusal::Other,
        None if spoken && is_ended_by_broker(error) => Refusal::Ended,
        None => Refusal::Other,
    }
}
