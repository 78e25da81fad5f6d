//! What rumqttc says of a connection in MQTT 5, in the operator's words: each of its errors, so that none of
//! its own words reaches a person.

use rumqttc_five::mqttbytes::Error as PacketError;
use rumqttc_five::{ConnectionError, StateError};

use crate::error::{Error, LOOK};

/// Unspecified error (MQTT 5 §2.4).
const UNSPECIFIED: u8 = 0x80;

/// What it comes to.
pub(crate) fn error(error: ConnectionError) -> Error {
    let text = match error {
        ConnectionError::MqttState(state) => return of_state(state),
        ConnectionError::Io(error) => return Error::of_io(error),
        // The stream has the code, and ends such a connection before.
        ConnectionError::ConnectionRefused(_) => {
            return Error::Refused { code: UNSPECIFIED, text: None };
        }
        ConnectionError::RequestsDone => return Error::Done,
        ConnectionError::Timeout(_) => "the network took nothing of what we send for too long",
        ConnectionError::DisconnectTimeout => "the broker didn't take our farewell in time",
        ConnectionError::NotConnAck(_) => {
            "what came first is no CONNACK, with which every MQTT broker begins: what listens there?"
        }
        ConnectionError::SessionStateMismatch { .. } => {
            "the broker says that it has kept a session, where we asked for a new one"
        }
        // Of what we don't use: logins in several steps, other transports.
        _ => "the connection failed within this program: please report it",
    };
    Error::Other(text.to_owned())
}

fn of_state(error: StateError) -> Error {
    let text = match error {
        StateError::Io(error) => return Error::of_io(error),
        StateError::Deserialization(packet) => return of_packet(packet),
        StateError::ConnectionAborted => return Error::Ended,
        StateError::ConnFail { .. } => return Error::Refused { code: UNSPECIFIED, text: None },
        StateError::ServerDisconnect { reason_code, reason_string } => {
            let said = broker::reason_said(reason_code as u8, reason_string.as_deref());
            format!("the broker ended the session by a DISCONNECT ({said})")
        }
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
        StateError::OutgoingPacketTooLarge { pkt_size, max } => too_large(pkt_size, max),
        StateError::InvalidState
        | StateError::EmptySubscription
        | StateError::InvalidAlias { .. }
        | StateError::RetainNotSupported => {
            "the connection failed within this program: please report it".to_owned()
        }
        _ => "the connection failed within the MQTT client: please report it".to_owned(),
    };
    Error::Other(text)
}

fn too_large(bytes: u32, most: u32) -> String {
    format!(
        "a packet of ours has {bytes} bytes, more than the {most} that the broker says it takes (its Maximum \
         Packet Size): raise that above the plant's largest birth"
    )
}

fn of_packet(error: PacketError) -> Error {
    let broken = |what: &str| format!("the broker sent {what}: {LOOK}");
    let text = match error {
        PacketError::Io(error) => return Error::of_io(error),
        PacketError::InvalidConnectReturnCode(code) => {
            return Error::Refused { code, text: None };
        }
        PacketError::OutgoingPacketTooLarge { pkt_size, max } => too_large(pkt_size, max),
        PacketError::TopicNotUtf8 { .. } | PacketError::PayloadNotUtf8(_) => {
            broken("a text that isn't UTF-8")
        }
        PacketError::PacketIdZero => {
            broken("a packet with the identifier 0, which MQTT doesn't have")
        }
        PacketError::InvalidReason(code) | PacketError::InvalidSubscribeReasonCode(code) => {
            broken(&format!("an answer with the code {code:#04x}, which MQTT doesn't have there"))
        }
        PacketError::InvalidPacketType(kind) => {
            broken(&format!("a packet of type {kind}, which MQTT doesn't have"))
        }
        PacketError::InvalidPropertyType(kind) => {
            broken(&format!("a property of type {kind:#04x}, which MQTT doesn't have there"))
        }
        PacketError::PayloadSizeLimitExceeded { pkt_size, .. } => broken(&format!(
            "a packet of {pkt_size} bytes, more than is taken (`max-packet-bytes`)"
        )),
        PacketError::PayloadTooLong | PacketError::EmptySubscription => {
            "a packet of ours can't be written as MQTT: please report it".to_owned()
        }
        PacketError::PayloadRequired
        | PacketError::BoundaryCrossed(_)
        | PacketError::InsufficientBytes(_) => {
            broken("a packet that is shorter than its own parts")
        }
        PacketError::ProtocolError | PacketError::ProtocolViolation(_) => {
            broken("a packet that MQTT doesn't allow there")
        }
        PacketError::InvalidProtocol
        | PacketError::InvalidProtocolLevel(_)
        | PacketError::InvalidRetainForwardRule(_) => broken("a packet that only a client sends"),
        _ => broken("a packet that isn't as MQTT has it"),
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
            of(PacketError::ProtocolError),
            of(PacketError::InvalidSubscribeReasonCode(9)),
            of(PacketError::OutgoingPacketTooLarge { pkt_size: 9, max: 8 }),
            error(ConnectionError::MqttState(StateError::Unsolicited(30_583))).to_string(),
            error(ConnectionError::MqttState(StateError::InvalidState)).to_string(),
        ];
        for text in texts {
            for word in
                ["Payload", "ncorrect", "alformed", "nsolicited", "pkid", "Packet ", "Invalid"]
            {
                assert!(!text.replace("Packet Size", "").contains(word), "{text}");
            }
        }
    }

    #[test]
    fn why_the_broker_ends_a_session_is_told_with_its_own_words() {
        let ended = StateError::ServerDisconnect {
            reason_code: rumqttc_five::DisconnectReasonCode::ServerShuttingDown,
            reason_string: Some("at six".to_owned()),
        };
        let text = error(ConnectionError::MqttState(ended)).to_string();
        assert!(text.contains("0x8b: it is shutting down (\"at six\", it says)"), "{text}");
    }

    #[test]
    fn a_refusal_that_the_stream_did_not_see_is_one() {
        let code = rumqttc_five::ConnectReturnCode::NotAuthorized;
        let refused = error(ConnectionError::ConnectionRefused(code));
        assert!(matches!(refused, Error::Refused { code: 0x80, .. }), "{refused}");
    }
}
