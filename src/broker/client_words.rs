//! What the MQTT client says of a connection, in the operator's words: each of its errors, so that none
//! of its own words reaches a person.

use rumqttc::mqttbytes::Error as PacketError;
use rumqttc::{ConnectionError, StateError};

const LOOK: &str = "look in its log, and whether something between us changes what it sends";

/// `None`: an error of the network or of TLS, which has words elsewhere.
pub(crate) fn words(error: &ConnectionError) -> Option<String> {
    let text = match error {
        ConnectionError::MqttState(state) => return of_state(state),
        ConnectionError::Tls(_) | ConnectionError::Io(_) => return None,
        ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => {
            "the network took nothing of what we send for too long"
        }
        ConnectionError::DisconnectTimeout => "the broker didn't take our farewell in time",
        ConnectionError::ConnectionRefused(_) => "the broker refuses the session",
        ConnectionError::NotConnAck(_) => {
            "what came first is no CONNACK, with which every MQTT broker begins: what listens there?"
        }
        ConnectionError::SessionStateMismatch { .. } => {
            "the broker says that it has kept a session, where we asked for a new one"
        }
        ConnectionError::RequestsDone => "we ended the connection",
        // Of what we don't use: stores of sessions, other transports.
        _ => "the connection failed within this program: please report it",
    };
    Some(text.to_owned())
}

fn of_state(error: &StateError) -> Option<String> {
    let text = match error {
        StateError::Io(_) => return None,
        StateError::Deserialization(packet) => return of_packet(packet),
        StateError::ConnectionAborted => "the broker ended the connection".to_owned(),
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
    Some(text)
}

fn of_packet(error: &PacketError) -> Option<String> {
    let broken = |what: &str| format!("the broker sent {what}: {LOOK}");
    let text = match error {
        PacketError::Io(_) => return None,
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
        PacketError::InvalidConnectReturnCode(code) => {
            broken(&format!("a CONNACK with the code {code:#04x}, which MQTT doesn't have"))
        }
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
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(error: PacketError) -> String {
        words(&ConnectionError::MqttState(StateError::Deserialization(error))).unwrap()
    }

    #[test]
    fn no_word_of_the_client_is_told() {
        let texts = [
            of(PacketError::PayloadSizeIncorrect),
            of(PacketError::IncorrectPacketFormat),
            of(PacketError::MalformedPacket),
            of(PacketError::PacketIdZero),
            of(PacketError::InvalidSubscribeReasonCode(9)),
            words(&ConnectionError::MqttState(StateError::Unsolicited(30_583))).unwrap(),
            words(&ConnectionError::FlushTimeout).unwrap(),
            words(&ConnectionError::MqttState(StateError::InvalidState)).unwrap(),
        ];
        for text in texts {
            for word in
                ["Payload", "ncorrect", "alformed", "nsolicited", "pkid", "Packet", "Invalid"]
            {
                assert!(!text.contains(word), "{text}");
            }
        }
        let io = || std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert_eq!(words(&ConnectionError::Io(io())), None, "it has words of its own");
        assert_eq!(words(&ConnectionError::MqttState(StateError::Io(io()))), None);
    }
}
