//! Why a session ended, in words, and what can be concluded from it.

use std::time::Duration;

use broker::{ConnectFailure, Refused, explain, refusal};
use rumqttc::mqttbytes::Error as PacketError;
use rumqttc::{ConnectReturnCode, ConnectionError, StateError};

use super::identities::Refusal;

/// Whose session it was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whose<'a> {
    pub(super) client_id: &'a str,
    pub(super) keep_alive: Duration,
    pub(super) user: Option<&'a str>,
}

pub(super) fn failure(error: &ConnectionError, whose: Whose<'_>) -> ConnectFailure {
    let Whose { client_id, keep_alive, user } = whose;
    match connack_code(error) {
        Some(code) => refusal(code, Refused { client_id, keep_alive, user }),
        None if matches!(error, ConnectionError::MqttState(StateError::ConnectionAborted)) => {
            ConnectFailure::other("the broker ended the connection")
        }
        None => explain(error),
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
pub(super) fn is_ended_by_broker(error: &ConnectionError) -> bool {
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
pub(super) fn refusal_of(error: &ConnectionError, spoken: bool) -> Refusal {
    match connack_code(error) {
        Some(2 | 0x85) => Refusal::Identifier,
        Some(_) => Refusal::Other,
        None if spoken && is_ended_by_broker(error) => Refusal::Ended,
        None => Refusal::Other,
    }
}
