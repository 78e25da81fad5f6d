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
use crate::kind::{KEYS, Kind};
use crate::material::Material;
use crate::verify::NamedPeer;
use crate::x509::{X509, validity_of};
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
    let own = material.own.iter().map(|(file, own)| (*file, &own.cert, true));
    let mut ends = Vec::new();
    let authorities = [(&*material.config.ca_file, &material.authorities, false)];
    for (file, read, is_own) in own.chain(authorities) {
        for (index, certificate) in read.iter().enumerate() {
            let Some(validity) = validity_of(certificate) else { continue };
            let certificate = match which(read, index, is_own) {
                Some(which) => format!("{}, {which}", file.display()),
                None => file.display().to_string(),
            };
            ends.push(CertificateEnd {
                certificate,
                is_peers: false,
                is_behind_own: is_own && index > 0,
                not_after: validity.not_after,
            });
        }
    }
    ends
}

/// Which certificate of a file it is; `None`: the only one, or our own.
fn which(read: &[CertificateDer<'_>], index: usize, is_own: bool) -> Option<String> {
    if read.len() < 2 || is_own && index == 0 {
        return None;
    }
    let number = index.saturating_add(1);
    let name = X509::read(read.get(index)?).map(|read| format!(" (`{}`)", read.name()));
    Some(format!("certificate {number}{}", name.unwrap_or_default()))
}

/// Something about a certificate that people should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub path: PathBuf,
    pub text: String,
}

/// Authorities whose signatures nobody here can check.
fn unusable(config: &TlsConfig, authorities: &[CertificateDer<'_>]) -> Vec<Finding> {
    let refused = |certificate: &CertificateDer<'_>| {
        Some(Kind::of_public(X509::read(certificate)?.key)?.refused(None)?.0)
    };
    let found = authorities.iter().enumerate().filter_map(|(index, certificate)| {
        let what = refused(certificate)?;
        let which =
            which(authorities, index, false).unwrap_or_else(|| "the certificate".to_owned());
        let path = config.ca_file.clone();
        let text = format!(
            "{which} in `{}` is of an authority with {what}: what it signs is refused; {KEYS}",
            path.display()
        );
        Some(Finding { path, text })
    });
    found.collect()
}

/// Builds the TLS configuration once, and looks at the validity of every certificate.
///
/// # Errors
/// As [`client_config`], and where our own certificate has expired. What stands behind it in its file
/// is only told: whether somebody needs that, the broker knows alone.
pub fn inspect(config: &TlsConfig, now: SystemTime) -> Result<Vec<Finding>, TlsError> {
    let peer = peer_of(config)?;
    let material = Material::read(config)?;
    build(&material, |_, _, _| {}, &peer)?;
    let mut findings = unusable(config, &material.authorities);
    let mut look = |path: &Path, read: &[CertificateDer<'_>], own: bool| -> Result<(), TlsError> {
        for (index, certificate) in read.iter().enumerate() {
            let Some(validity) = validity_of(certificate) else { continue };
            let which = which(read, index, own).unwrap_or_else(|| "certificate".to_owned());
            let shown = format!("{which} in `{}`", path.display());
            let until = format_date(validity.not_after);
            let text = if now > validity.not_after {
                match (own, index) {
                    // No broker takes it.
                    (true, 0) => {
                        return Err(TlsError::Expired { path: path.to_owned(), on: until });
                    }
                    // Those that know its authority some other way don't look at it.
                    (true, _) => {
                        format!("{shown} expired on {until}: a broker that needs it refuses ours")
                    }
                    (false, _) => format!("{shown} expired on {until}"),
                }
            } else if now < validity.not_before {
                let from = format_date(validity.not_before);
                format!("{shown} is not valid before {from}; is the clock right?")
            } else if days_left(validity.not_after, now) < EXPIRY_WARNING_DAYS {
                format!("{shown} expires on {until}")
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
