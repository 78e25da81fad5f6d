//! Connection errors in the operator's words.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, Error as TlsError};

/// Why there is no session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub kind: TroubleKind,
    pub text: String,
}

/// Which of the events it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TroubleKind {
    /// The TLS handshake, or a certificate.
    Tls,
    /// The broker doesn't let us in.
    Login,
    /// A secret can't be read.
    Secret,
    /// The network, or the broker's behaviour.
    Other,
}

impl Trouble {
    /// A trouble of the network, or of the broker's behaviour.
    pub fn other(text: impl Into<String>) -> Trouble {
        Trouble { kind: TroubleKind::Other, text: text.into() }
    }
}

/// Says what went wrong: the cause that an operator can do something about, where one is known
/// among the sources of `error`, else the error's own words.
pub fn explain(error: &(dyn Error + 'static)) -> Trouble {
    let mut source = Some(error);
    while let Some(cause) = source {
        let within = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let tls = within
            .and_then(|within| within.downcast_ref::<TlsError>())
            .or_else(|| cause.downcast_ref::<TlsError>());
        if let Some(tls) = tls {
            return Trouble { kind: TroubleKind::Tls, text: explain_tls(tls) };
        }
        source = cause.source();
    }
    Trouble::other(error.to_string())
}

fn explain_tls(error: &TlsError) -> String {
    match error {
        TlsError::InvalidCertificate(why) => {
            format!("the broker's certificate isn't trusted: {why}")
        }
        TlsError::AlertReceived(alert) => match alert {
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::AccessDenied => {
                format!("the broker doesn't accept our certificate: {alert:?}")
            }
            AlertDescription::CertificateRequired => {
                "the broker asks for a client certificate".to_owned()
            }
            _ => format!("the broker ended the TLS handshake: {alert:?}"),
        },
        _ => format!("no TLS connection: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_causes_are_found_however_deep_they_are() {
        let tls = TlsError::AlertReceived(AlertDescription::UnknownCA);
        let io = io::Error::other(tls.clone());
        assert!(explain(&io).text.contains("doesn't accept our certificate"));
        assert!(explain(&tls).text.contains("doesn't accept our certificate"));
        assert_eq!(explain(&tls).kind, TroubleKind::Tls);
        let expired = TlsError::InvalidCertificate(rustls::CertificateError::Expired);
        assert!(explain(&io::Error::other(expired)).text.contains("the broker's certificate"));
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(explain(&refused), Trouble::other(refused.to_string()));
    }
}
