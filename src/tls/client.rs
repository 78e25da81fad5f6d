//! TLS configuration from the files that the configuration names: rustls with aws-lc-rs, the
//! operator's own authorities and no others, TLS 1.2 and 1.3.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::ClientConfig;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::aws_lc_rs;
use rustls::sign::SingleCertAndKey;
use rustls_pki_types::{CertificateDer, ServerName};
use text::format_date;

use crate::certificates::{EXPIRY_WARNING_DAYS, PeerShown, days_left};
use crate::error::TlsError;
use crate::material::Material;
use crate::verify::NamedPeer;
use crate::x509::validity_of;
use crate::{CertificateEnd, PeerCertificate, TlsConfig};

/// Reads the files and builds the client's side of TLS. The broker's certificate must be signed
/// by an authority in `ca_file` and carry `server_name`, whatever name was dialled.
///
/// # Errors
/// A file that can't be used, with its name and what is wrong with it. An expired certificate is
/// no error here, since the clock may be wrong: the peer decides.
pub fn client_config(config: &TlsConfig) -> Result<Arc<ClientConfig>, TlsError> {
    let peer = peer_of(config)?;
    build(&Material::read(config)?, |_, _, _| {}, &peer)
}

/// Where the end of the certificate can be read that the server shows.
pub(crate) fn peer_of(config: &TlsConfig) -> Result<Arc<PeerCertificate>, TlsError> {
    Ok(Arc::new(PeerCertificate::new(&server_name(config)?.to_str())))
}

fn server_name(config: &TlsConfig) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(config.server_name.clone())
        .map_err(|_| TlsError::ServerName { name: config.server_name.clone() })
}

/// Builds the client's side from what was in the files.
pub(crate) fn build(
    material: &Material<'_>,
    peer_shown: PeerShown,
    peer: &Arc<PeerCertificate>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let internal = |error: &dyn std::fmt::Display| TlsError::Internal { detail: error.to_string() };
    let roots = Arc::clone(&material.roots);
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
            name: server_name(material.config)?,
            shown: Arc::clone(peer),
            peer_shown,
        }));
    Ok(Arc::new(match &material.own {
        Some((_, own)) => {
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own.clone())))
        }
        None => builder.with_no_client_auth(),
    }))
}

/// When our own certificate and those of the authorities end, as far as that can be read.
pub(crate) fn ends(material: &Material<'_>) -> Vec<CertificateEnd> {
    let own = material.own.iter().map(|(file, own)| (*file, &own.cert));
    let mut ends = Vec::new();
    for (file, read) in own.chain([(&*material.config.ca_file, &material.authorities)]) {
        let read = read.iter().filter_map(|certificate| validity_of(certificate));
        ends.extend(read.map(|validity| CertificateEnd {
            certificate: file.display().to_string(),
            is_peers: false,
            not_after: validity.not_after,
        }));
    }
    ends
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
    let peer = peer_of(config)?;
    let material = Material::read(config)?;
    build(&material, |_, _, _| {}, &peer)?;
    let mut findings = Vec::new();
    let mut look = |path: &Path, read: &[CertificateDer<'_>], own: bool| -> Result<(), TlsError> {
        for certificate in read {
            let Some(validity) = validity_of(certificate) else { continue };
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
    look(&config.ca_file, &material.authorities, false)?;
    if let Some((path, own)) = &material.own {
        look(path, &own.cert, true)?;
    }
    Ok(findings)
}

#[cfg(test)]
mod tests;
