//! What ended a TLS handshake, in the operator's words.

use std::time::{Duration, UNIX_EPOCH};

use rustls::{AlertDescription, CertificateError, Error, OtherError, PeerIncompatible};
use rustls_pki_types::UnixTime;
use text::{escape, format_date};

use crate::verify::BadPeer;

/// Says what went wrong with `server`, such as `the broker`.
pub fn explain(error: &Error, server: &str) -> String {
    match error {
        Error::InvalidCertificate(why) => format!("{server}'s certificate {}", certificate(why)),
        Error::NoCertificatesPresented => format!("{server} shows no certificate"),
        Error::AlertReceived(alert) => explain_alert(*alert, server),
        Error::PeerIncompatible(why) => incompatible(why, server),
        Error::InvalidMessage(_) | Error::InappropriateMessage { .. } => {
            format!("no TLS there: what came from {server}'s port is no TLS handshake")
        }
        Error::PeerMisbehaved(why) => {
            format!("{server} doesn't keep to TLS: {}", plainly(&format!("{why:?}")))
        }
        Error::DecryptError => {
            format!("what came from {server} was changed on its way, or isn't TLS")
        }
        other => format!("no TLS connection: {other}"),
    }
}

fn explain_alert(alert: AlertDescription, server: &str) -> String {
    let ours = |why: &str| format!("{server} doesn't accept our certificate: {why}");
    match alert {
        AlertDescription::UnknownCA => ours(
            "no authority that it trusts has signed it (UnknownCA); compare its `cafile`, and put \
             intermediate authorities behind our own in `certificate-file`",
        ),
        AlertDescription::BadCertificate => ours(
            "damaged, not valid yet by its clock, or it lacks what that side wants \
             (BadCertificate); its log says more",
        ),
        AlertDescription::UnsupportedCertificate => ours(
            "not for clients, or of a kind that it doesn't take (UnsupportedCertificate); ask the \
             authority for X.509 version 3 with extendedKeyUsage=clientAuth",
        ),
        AlertDescription::CertificateRevoked => ours("revoked (CertificateRevoked)"),
        AlertDescription::CertificateExpired => {
            ours("expired, or not valid yet by its clock (CertificateExpired)")
        }
        AlertDescription::CertificateUnknown => {
            ours("for a reason that it doesn't give (CertificateUnknown); its log says more")
        }
        AlertDescription::AccessDenied => ours("access denied (AccessDenied)"),
        AlertDescription::CertificateRequired => format!(
            "{server} asks for a client certificate: `certificate-file` and `key-file` name it"
        ),
        AlertDescription::ProtocolVersion => format!(
            "{server} speaks neither TLS 1.2 nor 1.3, which alone are taken: TLS 1.1 and older are \
             broken"
        ),
        AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => format!(
            "{server} finds no cipher, curve or signature in common with us ({alert:?}), or asks for \
             a client certificate (`certificate-file`, `key-file`) and got none that suits; we have AES-GCM and ChaCha20 with ECDHE"
        ),
        AlertDescription::UnrecognisedName => format!(
            "{server} doesn't know the name that we ask for (`server-name`, else the host of \
             `address`)"
        ),
        AlertDescription::NoApplicationProtocol => {
            format!("{server} wants a protocol named in the handshake (ALPN), as web servers do")
        }
        AlertDescription::InternalError => {
            format!("{server} has an error of its own in the TLS handshake; its log says more")
        }
        AlertDescription::DecryptError => format!(
            "{server} can't verify what we signed: is its copy of our authority or certificate \
             another one? (DecryptError)"
        ),
        AlertDescription::CloseNotify | AlertDescription::UserCanceled => {
            format!("{server} ended the TLS handshake in good order; its log may say why")
        }
        _ => format!("{server} ended the TLS handshake: {}", plainly(&format!("{alert:?}"))),
    }
}

fn incompatible(why: &PeerIncompatible, server: &str) -> String {
    match why {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig => format!(
            "{server} speaks neither TLS 1.2 nor 1.3, which alone are taken: TLS 1.1 and older are \
             broken"
        ),
        PeerIncompatible::NoCipherSuitesInCommon
        | PeerIncompatible::NoKxGroupsInCommon
        | PeerIncompatible::NoSignatureSchemesInCommon
        | PeerIncompatible::NoEcPointFormatsInCommon
        | PeerIncompatible::ExtendedMasterSecretExtensionRequired => format!(
            "{server} and we have no common {}; we have AES-GCM and ChaCha20 with ECDHE on X25519, \
             P-256 and P-384",
            match why {
                PeerIncompatible::NoKxGroupsInCommon => "curve",
                PeerIncompatible::NoSignatureSchemesInCommon => "signature algorithm",
                PeerIncompatible::NoEcPointFormatsInCommon => "form of points on curves",
                PeerIncompatible::ExtendedMasterSecretExtensionRequired =>
                    "master secret (RFC 7627)",
                _ => "cipher",
            }
        ),
        PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon => format!(
            "{server} takes no signature that our key can make: another kind of key is needed (ECDSA \
             on P-256, or RSA)"
        ),
        other => format!("{server} wants what we don't have: {}", plainly(&format!("{other:?}"))),
    }
}

/// What is wrong with a certificate; with dates, not seconds.
fn certificate(why: &CertificateError) -> String {
    let date = |time: &UnixTime| {
        let since = Duration::from_secs(time.as_secs());
        UNIX_EPOCH.checked_add(since).map(format_date).unwrap_or_default()
    };
    match why {
        CertificateError::ExpiredContext { time, not_after } => {
            format!("expired on {}; by this machine's clock it is {}", date(not_after), date(time))
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            let (from, now) = (date(not_before), date(time));
            format!("is not valid before {from}; by this machine's clock it is {now}")
        }
        CertificateError::Expired => "has expired".to_owned(),
        CertificateError::NotValidYet => "is not valid yet".to_owned(),
        CertificateError::UnknownIssuer => {
            "isn't trusted: no authority in `ca-file` has signed it".to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented }
            if presented.is_empty() =>
        {
            format!("names no host, wanted: `{}`", expected.to_str())
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            // Names of other kinds are no hosts.
            let odd = |name: &&String| {
                !["Unsupported", "DirectoryName", "UniformRes"]
                    .iter()
                    .any(|odd| name.starts_with(odd))
            };
            let names: Vec<String> =
                presented.iter().filter(odd).map(|name| plain_name(name)).collect();
            format!("is of `{}`, wanted: `{}`", names.join("`, `"), expected.to_str())
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "isn't for servers, or an authority that signed it isn't".to_owned()
        }
        CertificateError::BadSignature => {
            "isn't proved to be its own: a signature is wrong".to_owned()
        }
        CertificateError::Other(OtherError(inner)) => match inner.downcast_ref::<BadPeer>() {
            Some(BadPeer(text)) => text.clone(),
            None => "isn't trusted, for a reason that isn't known".to_owned(),
        },
        other => format!("isn't trusted: {}", plainly(&format!("{other:?}"))),
    }
}

/// `localhost` of `DnsName("localhost")`, `10.0.0.1` of `IpAddress(10.0.0.1)`.
fn plain_name(presented: &str) -> String {
    let inner = presented.split_once("(\"").and_then(|(_, rest)| rest.strip_suffix("\")"));
    let inner = inner.or_else(|| presented.strip_prefix("IpAddress(")?.strip_suffix(')'));
    escape(inner.unwrap_or(presented)).to_string()
}

/// `illegal middlebox change cipher spec` of `IllegalMiddleboxChangeCipherSpec`; nothing of what is
/// in brackets behind it.
fn plainly(word: &str) -> String {
    let word = word.split(['(', '{', ' ']).next().unwrap_or(word);
    let mut text = String::new();
    let mut before = ' ';
    for letter in word.chars() {
        if letter.is_ascii_uppercase() && before.is_ascii_lowercase() {
            text.push(' ');
        }
        text.push(letter.to_ascii_lowercase());
        before = letter;
    }
    text
}

#[cfg(test)]
mod tests;
