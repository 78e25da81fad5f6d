//! Verifies what a server shows as rustls does, but against the configured name: an appliance dials
//! an address, and the broker's certificate carries a name. What is refused is looked at again, to
//! say what is wrong with it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::certificates::{PeerCertificate, PeerShown};
use crate::refused::{Shown, weak_key, why_refused};
use crate::x509::validity_of;

#[derive(Debug)]
pub(crate) struct NamedPeer {
    pub(crate) verifier: Arc<WebPkiServerVerifier>,
    pub(crate) roots: Arc<RootCertStore>,
    pub(crate) name: ServerName<'static>,
    /// What the server has shown.
    pub(crate) shown: Arc<PeerCertificate>,
    pub(crate) peer_shown: PeerShown,
}

/// What is wrong with a server's certificate: what comes behind `the broker's certificate`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadPeer(pub(crate) String);

impl BadPeer {
    fn error(self) -> Error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(self))))
    }
}

impl ServerCertVerifier for NamedPeer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _dialled: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let name = &self.name;
        let end = validity_of(end_entity).map(|validity| validity.not_after);
        if let Some(end) = end
            && let Some(now) =
                SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(now.as_secs()))
        {
            // Before it is verified: an expired one is named before it is refused.
            (self.peer_shown)(&self.shown, end, now);
        }
        let verified =
            self.verifier.verify_server_cert(end_entity, intermediates, name, ocsp_response, now);
        if let (Some(end), Ok(_)) = (end, &verified) {
            self.shown.accept(end);
        }
        verified.map_err(|error| {
            let shown = Shown { end_entity, intermediates, roots: &self.roots };
            let why = match &error {
                Error::InvalidCertificate(why) => why_refused(why, &shown),
                _ => None,
            };
            why.map_or(error, |why| BadPeer(why).error())
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls12_signature(message, certificate, signature)
            .map_err(|error| signature_refused(error, certificate))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls13_signature(message, certificate, signature)
            .map_err(|error| signature_refused(error, certificate))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// The server can't prove that the certificate is its own.
fn signature_refused(error: Error, certificate: &CertificateDer<'_>) -> Error {
    weak_key(certificate).map_or(error, |why| BadPeer(why).error())
}
