//! Connection errors in the operator's words.

use std::error::Error;
use std::io;

use crate::Protocol;

/// Why there is no session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectFailure {
    pub kind: FailureKind,
    pub text: String,
}

/// Which of the events it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The TLS handshake, or a certificate.
    Tls,
    /// The broker doesn't let us in.
    Login,
    /// It doesn't take our identifier, or our keep alive.
    Identifier,
    /// It asks to come back later.
    Later,
    /// The network, or the broker's behaviour.
    Other,
}

impl ConnectFailure {
    /// A failure of the network, or of the broker's behaviour.
    pub fn other(text: impl Into<String>) -> ConnectFailure {
        ConnectFailure { kind: FailureKind::Other, text: text.into() }
    }
}

/// Says what went wrong: the cause that an operator can do something about, where one is known
/// among the sources of `error`, else the error's own words.
pub fn explain(error: &(dyn Error + 'static)) -> ConnectFailure {
    let tls = tls::cause(error).map(|error| tls::explain(error, "the broker"));
    if let Some(text) = tls.or_else(|| tls::not_tls(error).map(ToString::to_string)) {
        return ConnectFailure { kind: FailureKind::Tls, text };
    }
    let mut source = Some(error);
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            match (error.kind(), error.get_ref()) {
                // What our own stream says, without the layers that it came through.
                (
                    io::ErrorKind::InvalidData
                    | io::ErrorKind::TimedOut
                    | io::ErrorKind::ConnectionReset,
                    Some(ours),
                ) => {
                    return ConnectFailure::other(ours.to_string());
                }
                // Of TLS: behind an end in good order there would be none.
                (io::ErrorKind::UnexpectedEof, _) => {
                    return ConnectFailure::other(
                        "the connection ended without a farewell, as when the broker is killed",
                    );
                }
                _ => {}
            }
        }
        source = cause.source();
    }
    ConnectFailure::other(plain(&error.to_string()))
}

/// What is said of a connection that the broker ended, without a word, behind our CONNECT.
pub fn unanswered(error: &str, protocol: Protocol, tls: bool) -> String {
    let port = if tls {
        "that may be no port for MQTT"
    } else {
        "that may be a port for TLS (`[broker.tls]`), or for WebSocket"
    };
    let five = match protocol {
        Protocol::Three => "",
        Protocol::Five => "a broker that doesn't speak MQTT 5 (`protocol`), or ",
    };
    format!(
        "{error}, before any answer to our CONNECT: {port}, or {five}a broker that refuses us without a word, \
         whose log says why"
    )
}

/// The same where other sessions stand at that port.
pub fn unanswered_beside(error: &str) -> String {
    format!(
        "{error}, before any answer to our CONNECT: brokers end so whom they refuse without a word \
         (client identifier, access list, too many connections); its log says why"
    )
}

/// The words of the MQTT library without the layers that an error came through:
/// `connection reset by peer (104)`.
fn plain(text: &str) -> String {
    let layers = ["Mqtt state: ", "Mqtt serialization/deserialization error: ", "IO: ", "I/O: "];
    let mut text = text;
    while let Some(rest) = layers.iter().find_map(|layer| text.strip_prefix(layer)) {
        text = rest;
    }
    let Some((words, number)) = text.split_once(" (os error ") else { return text.to_owned() };
    let words = words.rsplit(": ").next().unwrap_or(words);
    let mut letters = words.chars();
    let first = letters.next().map(|letter| letter.to_lowercase().to_string());
    format!("{}{} ({number}", first.unwrap_or_default(), letters.as_str())
}

#[cfg(test)]
mod tests {
    use rustls::{AlertDescription, Error as TlsError};

    use super::*;

    #[test]
    fn tls_causes_are_found_however_deep_they_are() {
        let tls = TlsError::AlertReceived(AlertDescription::UnknownCA);
        let io = io::Error::other(tls.clone());
        assert!(explain(&io).text.contains("doesn't accept our certificate"));
        assert!(explain(&tls).text.contains("doesn't accept our certificate"));
        assert_eq!(explain(&tls).kind, FailureKind::Tls);
        let expired = TlsError::InvalidCertificate(rustls::CertificateError::Expired);
        assert!(explain(&io::Error::other(expired)).text.contains("the broker's certificate"));
        let layers = "Mqtt state: Mqtt serialization/deserialization error: IO: Connection reset by \
                      peer (os error 104)";
        assert_eq!(plain(layers), "connection reset by peer (104)");
        assert_eq!(plain("Mqtt state: Connection closed"), "Connection closed");
        let end = io::Error::from(io::ErrorKind::UnexpectedEof);
        let other = io::Error::other(tls::in_handshake(end, b"HTTP/1.1 400", "the broker"));
        assert_eq!(explain(&other).kind, FailureKind::Tls);
        assert!(explain(&other).text.contains("from the broker's port is HTTP"));
        let ours = io::Error::new(io::ErrorKind::InvalidData, "what came is no MQTT packet");
        assert_eq!(explain(&ours), ConnectFailure::other("what came is no MQTT packet"));
        let late = io::Error::new(io::ErrorKind::TimedOut, "no CONNACK within 30 s");
        assert_eq!(explain(&late), ConnectFailure::other("no CONNACK within 30 s"));
        let killed = io::Error::new(io::ErrorKind::UnexpectedEof, "see https://docs.rs/rustls");
        assert!(explain(&killed).text.contains("as when the broker is killed"));
        assert_eq!(plain("Mqtt state: Mqtt serialization/deserialization error: x y"), "x y");
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(explain(&refused), ConnectFailure::other(refused.to_string()));
    }
}
