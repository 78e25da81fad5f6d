//! TLS configuration from the files that the configuration names: rustls with aws-lc-rs, the
//! operator's own authorities and no others, TLS 1.2 and 1.3.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use diagnostic::SecretFile;
use diagnostic::file::{FileError, read_text};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::{
    ClientConfig, DigitallySignedStruct, InconsistentKeys, RootCertStore, SignatureScheme,
};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use text::format_date;

use crate::certificates::{EXPIRY_WARNING_DAYS, days_left};
use crate::validity::Validity;
use crate::{CertificateEnd, PeerCertificate, TlsConfig, TlsIdentity};

/// Called with the certificate that a server shows, its end and the time, before it is verified.
pub type PeerShown = fn(&PeerCertificate, SystemTime, SystemTime);

/// Certificates of an authority file or a chain. An operating system's whole store has about
/// 150.
const MAX_CERTIFICATES: usize = 1_000;

/// Why a connection can't be protected as the configuration asks.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be used at all.
    #[error(transparent)]
    File(#[from] FileError),
    /// A PEM file whose sections can't be read.
    #[error("not PEM: `{}`: {detail}", path.display())]
    NotPem { path: PathBuf, detail: String },
    /// A PEM file without what it is named for.
    #[error("no certificate in `{}`", path.display())]
    NoCertificate { path: PathBuf },
    /// Over the cap.
    #[error("more than {MAX_CERTIFICATES} certificates in `{}`", path.display())]
    TooMany { path: PathBuf },
    /// A section that says certificate and isn't one.
    #[error("certificate {number} in `{}` is unusable: {detail}", path.display())]
    BadCertificate { path: PathBuf, number: usize, detail: String },
    /// Our own certificate is of no use any more.
    #[error("certificate in `{}` expired on {on}", path.display())]
    Expired { path: PathBuf, on: String },
    /// A PEM file without a private key.
    #[error("no private key in `{}`", path.display())]
    NoKey { path: PathBuf },
    /// A key that would need a passphrase.
    #[error("private key in `{}` is encrypted", path.display())]
    EncryptedKey { path: PathBuf },
    /// A key of a kind or size that can't be used.
    #[error("private key in `{}` is unusable: {detail}", path.display())]
    BadKey { path: PathBuf, detail: String },
    /// The key belongs to another certificate.
    #[error(
        "private key in `{}` doesn't belong to the certificate in `{}`",
        path.display(), certificate.display()
    )]
    KeyMismatch { path: PathBuf, certificate: PathBuf },
    /// A name that no certificate can carry.
    #[error("not a DNS name or IP address: `{name}`")]
    ServerName { name: String },
    /// The crypto library refuses; this is our mistake, not the operator's.
    #[error("cannot set TLS up: {detail}")]
    Internal { detail: String },
}

impl TlsError {
    /// The file that is to blame, if one is.
    pub fn path(&self) -> Option<&Path> {
        match self {
            TlsError::File(error) => Some(error.path()),
            TlsError::NotPem { path, .. }
            | TlsError::NoCertificate { path }
            | TlsError::TooMany { path }
            | TlsError::BadCertificate { path, .. }
            | TlsError::Expired { path, .. }
            | TlsError::NoKey { path }
            | TlsError::EncryptedKey { path }
            | TlsError::BadKey { path, .. }
            | TlsError::KeyMismatch { path, .. } => Some(path),
            TlsError::ServerName { .. } | TlsError::Internal { .. } => None,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            TlsError::File(error) => error.hint(),
            TlsError::NotPem { .. } | TlsError::NoCertificate { .. } => Some(
                "wanted PEM (`-----BEGIN CERTIFICATE-----`); for DER: openssl x509 -inform der"
                    .to_owned(),
            ),
            TlsError::NoKey { .. } => Some("wanted PEM: PKCS#8, PKCS#1 or SEC1".to_owned()),
            TlsError::EncryptedKey { path } => Some(format!(
                "nobody types a passphrase at 3 a.m.: openssl pkey -in {} -out …, mode 0600",
                path.display()
            )),
            _ => None,
        }
    }
}

/// Reads the files and builds the client's side of TLS. The broker's certificate must be signed
/// by an authority in `ca_file` and carry `server_name`, whatever name was dialled.
///
/// # Errors
/// A file that can't be used, with its name and what is wrong with it. An expired certificate is
/// no error here, since the clock may be wrong: the peer decides.
pub fn client_config(config: &TlsConfig) -> Result<Arc<ClientConfig>, TlsError> {
    client(config, |_, _, _| {}).map(|(client, _)| client)
}

/// The same, and where the end of the certificate can be read that the server shows. Every
/// handshake calls `peer_shown`.
///
/// # Errors
/// As [`client_config`].
pub fn client(
    config: &TlsConfig,
    peer_shown: PeerShown,
) -> Result<(Arc<ClientConfig>, Arc<PeerCertificate>), TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let internal = |error: &dyn std::fmt::Display| TlsError::Internal { detail: error.to_string() };
    let mut roots = RootCertStore::empty();
    for (index, certificate) in certificates(&config.ca_file)?.into_iter().enumerate() {
        roots.add(certificate).map_err(|error| TlsError::BadCertificate {
            path: config.ca_file.clone(),
            number: index.saturating_add(1),
            detail: error.to_string(),
        })?;
    }
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| internal(&error))?;
    let name = ServerName::try_from(config.server_name.clone())
        .map_err(|_| TlsError::ServerName { name: config.server_name.clone() })?;
    let peer = Arc::new(PeerCertificate::new(&name.to_str()));
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| internal(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(NamedPeer {
            verifier,
            name,
            shown: Arc::clone(&peer),
            peer_shown,
        }));
    let Some(identity) = &config.identity else {
        return Ok((Arc::new(builder.with_no_client_auth()), peer));
    };
    let chain = certificates(&identity.certificate_file)?;
    let key = private_key(&identity.key_file)?;
    let client = builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| identity_error(identity, error))?;
    Ok((Arc::new(client), peer))
}

/// When our own certificate and those of the authorities end, as far as that can be read.
///
/// # Errors
/// A file that can't be used.
pub fn ends(config: &TlsConfig) -> Result<Vec<CertificateEnd>, TlsError> {
    let own = config.identity.as_ref().map(|identity| &identity.certificate_file);
    let mut ends = Vec::new();
    for file in own.into_iter().chain([&config.ca_file]) {
        let read = certificates(file)?;
        let read = read.iter().filter_map(|certificate| Validity::of(certificate));
        ends.extend(read.map(|validity| CertificateEnd {
            certificate: file.display().to_string(),
            is_peers: false,
            not_after: validity.not_after,
        }));
    }
    Ok(ends)
}

/// Something about a certificate that people should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub path: PathBuf,
    pub text: String,
}

/// Builds the TLS configuration once, and looks at the validity of every certificate.
///
/// # Errors
/// As [`client_config`], and where our own certificate has expired.
pub fn inspect(config: &TlsConfig, now: SystemTime) -> Result<Vec<Finding>, TlsError> {
    client_config(config)?;
    let mut findings = Vec::new();
    let mut look = |path: &Path, own: bool| -> Result<(), TlsError> {
        for certificate in certificates(path)? {
            let Some(validity) = Validity::of(&certificate) else { continue };
            let shown = path.display();
            let until = format_date(validity.not_after);
            let text = if now > validity.not_after {
                if own {
                    return Err(TlsError::Expired { path: path.to_owned(), on: until });
                }
                format!("certificate in `{shown}` expired on {until}")
            } else if now < validity.not_before {
                let from = format_date(validity.not_before);
                format!("certificate in `{shown}` is not valid before {from}; is the clock right?")
            } else if days_left(validity.not_after, now) < EXPIRY_WARNING_DAYS {
                format!("certificate in `{shown}` expires on {until}")
            } else {
                continue;
            };
            findings.push(Finding { path: path.to_owned(), text });
        }
        Ok(())
    };
    look(&config.ca_file, false)?;
    if let Some(identity) = &config.identity {
        look(&identity.certificate_file, true)?;
    }
    Ok(findings)
}

/// Verifies as rustls does, but against the configured name: an appliance dials an address, and
/// the broker's certificate carries a name.
#[derive(Debug)]
struct NamedPeer {
    verifier: Arc<WebPkiServerVerifier>,
    name: ServerName<'static>,
    /// What the server has shown.
    shown: Arc<PeerCertificate>,
    peer_shown: PeerShown,
}

impl ServerCertVerifier for NamedPeer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _dialled: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let name = &self.name;
        let end = Validity::of(end_entity).map(|validity| validity.not_after);
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
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read_text(path)?;
    let mut certificates = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
        certificates.push(certificate.map_err(|error| not_pem(path, &error))?);
        if certificates.len() > MAX_CERTIFICATES {
            return Err(TlsError::TooMany { path: path.to_owned() });
        }
    }
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate { path: path.to_owned() });
    }
    Ok(certificates)
}

fn private_key(file: &SecretFile) -> Result<PrivateKeyDer<'static>, TlsError> {
    const ENCRYPTED: &[u8] = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
    let bytes = file.read_bytes()?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| {
        let path = file.path().to_owned();
        match error {
            pem::Error::NoItemsFound
                if bytes.windows(ENCRYPTED.len()).any(|window| window == ENCRYPTED) =>
            {
                TlsError::EncryptedKey { path }
            }
            pem::Error::NoItemsFound => TlsError::NoKey { path },
            error => not_pem(file.path(), &error),
        }
    })
}

fn identity_error(identity: &TlsIdentity, error: rustls::Error) -> TlsError {
    let key = identity.key_file.path().to_owned();
    let certificate = identity.certificate_file.clone();
    match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            TlsError::KeyMismatch { path: key, certificate }
        }
        rustls::Error::InvalidCertificate(error) => {
            TlsError::BadCertificate { path: certificate, number: 1, detail: error.to_string() }
        }
        error => TlsError::BadKey { path: key, detail: error.to_string() },
    }
}

fn not_pem(path: &Path, error: &pem::Error) -> TlsError {
    // Without its data: a damaged key file would otherwise be quoted in a log.
    let detail = match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no end",
        pem::Error::IllegalSectionStart { .. } => "a section has a malformed first line",
        pem::Error::Base64Decode(_) => "a section is not base64",
        _ => "unreadable",
    };
    TlsError::NotPem { path: path.to_owned(), detail: detail.to_owned() }
}

#[cfg(test)]
mod tests;
