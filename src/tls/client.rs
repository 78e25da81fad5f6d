//! TLS configuration from the files that the configuration names: rustls with aws-lc-rs, the
//! operator's own authorities and no others, TLS 1.2 and 1.3.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use text::format_date;

use crate::certificates::{EXPIRY_WARNING_DAYS, PeerShown, days_left};
use crate::error::TlsError;
use crate::material::{authorities, chain, private_key};
use crate::verify::NamedPeer;
use crate::x509::{X509, validity_of};
use crate::{CertificateEnd, PeerCertificate, TlsConfig, TlsIdentity};

/// What a key must be.
const KEYS: &str = "wanted RSA of 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, or Ed25519";

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
    let peer = peer_of(config)?;
    Ok((build(config, peer_shown, &peer)?, peer))
}

/// Where the end of the certificate can be read that the server shows.
pub(crate) fn peer_of(config: &TlsConfig) -> Result<Arc<PeerCertificate>, TlsError> {
    Ok(Arc::new(PeerCertificate::new(&server_name(config)?.to_str())))
}

fn server_name(config: &TlsConfig) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(config.server_name.clone())
        .map_err(|_| TlsError::ServerName { name: config.server_name.clone() })
}

/// Builds the client's side from what is in the files now.
pub(crate) fn build(
    config: &TlsConfig,
    peer_shown: PeerShown,
    peer: &Arc<PeerCertificate>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let internal = |error: &dyn std::fmt::Display| TlsError::Internal { detail: error.to_string() };
    let mut roots = RootCertStore::empty();
    for (index, certificate) in authorities(&config.ca_file)?.into_iter().enumerate() {
        roots.add(certificate).map_err(|_| TlsError::BadCertificate {
            path: config.ca_file.clone(),
            number: index.saturating_add(1),
            detail: "it can't be an authority: damaged, or of a form that isn't known".to_owned(),
        })?;
    }
    let roots = Arc::new(roots);
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
            .build()
            .map_err(|error| internal(&error))?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| internal(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(NamedPeer {
            verifier,
            roots,
            name: server_name(config)?,
            shown: Arc::clone(peer),
            peer_shown,
        }));
    let Some(identity) = &config.identity else {
        return Ok(Arc::new(builder.with_no_client_auth()));
    };
    let own = SingleCertAndKey::from(identity_of(identity, &provider)?);
    Ok(Arc::new(builder.with_client_cert_resolver(Arc::new(own))))
}

/// Our own certificate with its key, which are checked to be a pair here: rustls would do so for
/// certificates of version 3 alone, and brokers take others.
fn identity_of(
    identity: &TlsIdentity,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let certificates = chain(&identity.certificate_file)?;
    let path = identity.key_file.path();
    let key = private_key(&identity.key_file)?;
    // The library's words say which parsers it has tried.
    let key = provider.key_provider.load_private_key(key).map_err(|_| TlsError::BadKey {
        path: path.to_owned(),
        detail: format!("damaged, or of another kind or size; {KEYS}"),
    })?;
    if let Some(public) = key.public_key() {
        let fits = |certificate: &CertificateDer<'_>| {
            X509::read(certificate).is_some_and(|read| read.key == public.as_ref())
        };
        let belongs_to = certificates.iter().position(fits);
        if belongs_to != Some(0) {
            return Err(TlsError::KeyMismatch {
                path: path.to_owned(),
                certificate: identity.certificate_file.clone(),
                belongs_to: belongs_to.map(|index| index.saturating_add(1)),
            });
        }
    }
    Ok(CertifiedKey::new(certificates, key))
}

/// The certificates of each file, our own first.
pub(crate) fn certificates_of(
    config: &TlsConfig,
) -> Result<Vec<(&Path, Vec<CertificateDer<'static>>)>, TlsError> {
    let mut all = Vec::new();
    if let Some(identity) = &config.identity {
        all.push((&*identity.certificate_file, chain(&identity.certificate_file)?));
    }
    all.push((&*config.ca_file, authorities(&config.ca_file)?));
    Ok(all)
}

/// When our own certificate and those of the authorities end, as far as that can be read.
///
/// # Errors
/// A file that can't be used.
pub fn ends(config: &TlsConfig) -> Result<Vec<CertificateEnd>, TlsError> {
    let mut ends = Vec::new();
    for (file, read) in certificates_of(config)? {
        let read = read.iter().filter_map(|certificate| validity_of(certificate));
        ends.extend(read.map(|validity| CertificateEnd {
            certificate: file.display().to_string(),
            is_peers: false,
            not_after: validity.not_after,
        }));
    }
    Ok(ends)
}

/// Our own certificate must be valid: no broker takes another.
pub(crate) fn require_valid(config: &TlsConfig, now: SystemTime) -> Result<(), TlsError> {
    let Some(identity) = &config.identity else { return Ok(()) };
    let path = &identity.certificate_file;
    let own = chain(path)?;
    let Some(validity) = own.first().and_then(|own| validity_of(own)) else { return Ok(()) };
    if now > validity.not_after {
        return Err(TlsError::Expired { path: path.clone(), on: format_date(validity.not_after) });
    }
    if now < validity.not_before {
        let from = format_date(validity.not_before);
        return Err(TlsError::NotYet { path: path.clone(), from });
    }
    Ok(())
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
        for certificate in if own { chain(path)? } else { authorities(path)? } {
            let Some(validity) = validity_of(&certificate) else { continue };
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

#[cfg(test)]
mod tests;
