//! What rumqttc says of a connection, in the operator's words: each of its errors, so that none of its own
//! words reaches a person.

use rumqttc::mqttbytes::Error as PacketError;
use rumqttc::{ConnectReturnCode, ConnectionError, StateError};

use crate::error::{Error, LOOK};

/// What it comes to.
pub(crate) fn error(error: ConnectionError) -> Error {
    let text = match error {
        ConnectionError::MqttState(state) => return of_state(state),
        ConnectionError::Io(error) => return Error::of_io(error),
        ConnectionError::ConnectionRefused(code) => {
            return Error::Refused { code: code_of(code), text: None };
        }
        ConnectionError::RequestsDone => return Error::Done,
        ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => {
            "the network took nothing of what we send for too long"
        }
        ConnectionError::DisconnectTimeout => "the broker didn't take our farewell in time",
        ConnectionError::NotConnAck(_) => {
            "what came first is no CONNACK, with which every MQTT broker begins: what listens there?"
        }
        ConnectionError::SessionStateMismatch { .. } => {
            "the broker says that it has kept a session, where we asked for a new one"
        }
        // Of what we don't use: TLS and stores of sessions of its own, other transports.
        _ => "the connection failed within this program: please report it",
    };
    Error::Other(text.to_owned())
}

/// MQTT 3.1.1 §3.2.2.3.
fn code_of(code: ConnectReturnCode) -> u8 {
    match code {
        ConnectReturnCode::Success => 0,
        ConnectReturnCode::RefusedProtocolVersion => 1,
        ConnectReturnCode::BadClientId => 2,
        ConnectReturnCode::ServiceUnavailable => 3,
        ConnectReturnCode::BadUserNamePassword => 4,
        ConnectReturnCode::NotAuthorized => 5,
    }
}

fn of_state(error: StateError) -> Error {
    let text = match error {
        StateError::Io(error) => return Error::of_io(error),
        StateError::Deserialization(packet) => return of_packet(packet),
        StateError::ConnectionAborted => return Error::Ended,
        StateError::Unsolicited(id) => {
            format!("the broker answers a packet that we didn't send (identifier {id}): {LOOK}")
        }
        StateError::AwaitPingResp => "the broker doesn't answer our PINGREQ".to_owned(),
        StateError::CollisionTimeout => {
            "the broker left an older publication without an answer for too long".to_owned()
        }
        StateError::ProtocolViolation(_) => format!(
            "the broker sent a packet that MQTT doesn't allow there, or an answer to our SUBSCRIBE for \
             another number of filters: {LOOK}"
        ),
        StateError::InvalidState | StateError::EmptySubscription => {
            "the connection failed within this program: please report it".to_owned()
        }
        _ => "the connection failed within the MQTT client: please report it".to_owned(),
    };
    Error::Other(text)
}

fn of_packet(error: PacketError) -> Error {
    let broken = |what: &str| format!("the broker sent {what}: {LOOK}");
    let text = match error {
        PacketError::Io(error) => return Error::of_io(error),
        PacketError::InvalidConnectReturnCode(code) => {
            return Error::Refused { code, text: None };
        }
        PacketError::TopicNotUtf8 { .. } => {
            broken("a message whose topic isn't UTF-8, which ends the session each time it comes")
        }
        PacketError::IncorrectPacketFormat => broken(
            "a packet that isn't as MQTT has it (flags of a CONNACK, or a message whose topic is empty \
             or has a wildcard, which ends the session each time it comes)",
        ),
        PacketError::PacketIdZero => {
            broken("a packet with the identifier 0, which MQTT doesn't have")
        }
        PacketError::PayloadSizeIncorrect => broken("an answer of another length than MQTT's"),
        PacketError::InvalidSubscribeReasonCode(code) => broken(&format!(
            "an answer to our SUBSCRIBE with the code {code:#04x}, which MQTT doesn't have"
        )),
        PacketError::InvalidQoS(_) => {
            broken("a message with a quality of service that MQTT doesn't have")
        }
        PacketError::InvalidPacketType(kind) => {
            broken(&format!("a packet of type {kind}, which MQTT doesn't have"))
        }
        PacketError::PayloadSizeLimitExceeded(bytes) => {
            broken(&format!("a packet of {bytes} bytes, more than is taken (`max-packet-bytes`)"))
        }
        PacketError::OutgoingPacketTooLarge { pkt_size, max } => format!(
            "a packet of ours has {pkt_size} bytes, more than the {max} that may be sent \
             (`max-packet-bytes`)"
        ),
        PacketError::NotConnect(_)
        | PacketError::UnexpectedConnect
        | PacketError::InvalidProtocol
        | PacketError::InvalidProtocolLevel(_) => broken("a packet that only a client sends"),
        PacketError::InvalidPropertyType(_) => broken("a packet of MQTT 5"),
        PacketError::PayloadTooLong | PacketError::EmptySubscription => {
            "a packet of ours can't be written as MQTT: please report it".to_owned()
        }
        PacketError::PayloadRequired
        | PacketError::BoundaryCrossed(_)
        | PacketError::MalformedPacket
        | PacketError::MalformedRemainingLength
        | PacketError::InsufficientBytes(_) => {
            broken("a packet that is shorter than its own parts")
        }
        _ => broken("something that is no MQTT"),
    };
    Error::Other(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(packet: PacketError) -> String {
        error(ConnectionError::MqttState(StateError::Deserialization(packet))).to_string()
    }

    #[test]
    fn no_word_of_the_client_is_told() {
        let texts = [
            of(PacketError::PayloadSizeIncorrect),
            of(PacketError::IncorrectPacketFormat),
            of(PacketError::MalformedPacket),
            of(PacketError::PacketIdZero),
            of(PacketError::InvalidSubscribeReasonCode(9)),
            error(ConnectionError::MqttState(StateError::Unsolicited(30_583))).to_string(),
            error(ConnectionError::FlushTimeout).to_string(),
            error(ConnectionError::MqttState(StateError::InvalidState)).to_string(),
        ];
        for text in texts {
            for word in
                ["Payload", "ncorrect", "alformed", "nsolicited", "pkid", "Packet", "Invalid"]
            {
                assert!(!text.contains(word), "{text}");
            }
        }
    }

    #[test]
    fn what_the_network_says_is_kept_however_deep_it_is() {
        let io = || std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        for deep in [
            ConnectionError::Io(io()),
            ConnectionError::MqttState(StateError::Io(io())),
            ConnectionError::MqttState(StateError::Deserialization(PacketError::Io(io()))),
        ] {
            let error = error(deep);
            assert!(matches!(error, Error::Io(_)) && error.is_ended_by_broker(), "{error}");
        }
    }

    #[test]
    fn codes_of_mqtt_and_others_are_refusals() {
        let refused = |code| error(ConnectionError::ConnectionRefused(code));
        assert!(matches!(
            refused(ConnectReturnCode::NotAuthorized),
            Error::Refused { code: 5, .. }
        ));
        let odd = StateError::Deserialization(PacketError::InvalidConnectReturnCode(0x87));
        assert!(matches!(
            error(ConnectionError::MqttState(odd)),
            Error::Refused { code: 0x87, .. }
        ));
    }
}
