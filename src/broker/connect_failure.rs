//! Connection errors in the operator's words.

use std::error::Error;
use std::io;

use rustls::Error as TlsError;

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
    let mut source = Some(error);
    while let Some(cause) = source {
        let within = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let tls = within
            .and_then(|within| within.downcast_ref::<TlsError>())
            .or_else(|| cause.downcast_ref::<TlsError>());
        if let Some(error) = tls {
            return ConnectFailure {
                kind: FailureKind::Tls,
                text: tls::explain(error, "the broker"),
            };
        }
        // What our own stream says, without the layers that it came through.
        let ours = |error: &io::Error| {
            matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::TimedOut)
        };
        if let Some(within) = within
            && cause.downcast_ref::<io::Error>().is_some_and(ours)
        {
            return ConnectFailure::other(within.to_string());
        }
        source = cause.source();
    }
    ConnectFailure::other(plain(&error.to_string()))
}

/// The words of the MQTT library without the layers that an error came through:
/// `connection reset by peer (104)`.
fn plain(text: &str) -> String {
    let text = text.strip_prefix("Mqtt state: ").unwrap_or(text);
    let Some((words, number)) = text.split_once(" (os error ") else { return text.to_owned() };
    let words = words.rsplit(": ").next().unwrap_or(words);
    let mut letters = words.chars();
    let first = letters.next().map(|letter| letter.to_lowercase().to_string());
    format!("{}{} ({number}", first.unwrap_or_default(), letters.as_str())
}

#[cfg(test)]
mod tests {
    use rustls::AlertDescription;

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
        let ours = io::Error::new(io::ErrorKind::InvalidData, "what came is no MQTT packet");
        assert_eq!(explain(&ours), ConnectFailure::other("what came is no MQTT packet"));
        let late = io::Error::new(io::ErrorKind::TimedOut, "no CONNACK within 30 s");
        assert_eq!(explain(&late), ConnectFailure::other("no CONNACK within 30 s"));
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(explain(&refused), ConnectFailure::other(refused.to_string()));
    }
}
