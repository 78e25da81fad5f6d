//! No error shows the library's own words.

use rustls::{InvalidMessage, PeerMisbehaved};

use super::*;

#[test]
fn every_alert_and_every_refusal_is_said_in_words() {
    let told = |error| explain(&error, "the broker");
    for number in 0..=u8::MAX {
        let text = told(Error::AlertReceived(AlertDescription::from(number)));
        assert!(text.starts_with("the broker "), "{text}");
        assert!(!text.contains("::") && !text.contains("Unknown("), "{text}");
    }
    let alert = |alert| told(Error::AlertReceived(alert));
    assert!(alert(AlertDescription::UnknownCA).contains("doesn't accept our certificate"));
    assert!(alert(AlertDescription::ProtocolVersion).contains("neither TLS 1.2 nor 1.3"));
    assert!(alert(AlertDescription::HandshakeFailure).contains("cipher"));
    assert!(alert(AlertDescription::CertificateRequired).contains("`certificate-file`"));
    let old = told(Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13));
    assert!(old.contains("TLS 1.1"), "{old}");
    let none = told(Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon));
    assert!(none.contains("no common cipher"), "{none}");
    assert!(
        told(Error::InvalidMessage(InvalidMessage::InvalidContentType)).contains("no TLS there")
    );
    let odd = told(Error::PeerMisbehaved(PeerMisbehaved::IllegalMiddleboxChangeCipherSpec));
    assert_eq!(odd, "the broker doesn't keep to TLS: illegal middlebox change cipher spec");
}

#[test]
fn certificates_are_told_with_dates_and_names() {
    let time = |days: u64| UnixTime::since_unix_epoch(Duration::from_secs(days * 86_400));
    let told = |why| explain(&Error::InvalidCertificate(why), "the broker");
    let expired = CertificateError::ExpiredContext { time: time(366), not_after: time(1) };
    assert_eq!(
        told(expired),
        "the broker's certificate expired on 1970-01-02; by this machine's clock it is 1971-01-02"
    );
    let other = CertificateError::NotValidForNameContext {
        expected: rustls_pki_types::ServerName::try_from("broker.plant").unwrap(),
        presented: vec!["DnsName(\"a\")".to_owned(), "odd".to_owned()],
    };
    assert_eq!(told(other), "the broker's certificate is of `a`, `odd`, wanted: `broker.plant`");
    assert!(told(CertificateError::UnknownIssuer).ends_with("in `ca-file` has signed it"));
    assert!(!told(CertificateError::ApplicationVerificationFailure).contains("Failure"));
}
