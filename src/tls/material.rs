//! Certificates and keys as they are read from files.

use std::path::Path;

use diagnostic::SecretFile;
use diagnostic::file::read_bytes;
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
};

use crate::der::{OID, SEQUENCE, elements, next};
use crate::error::{MAX_CERTIFICATES, TlsError};
use crate::form::{self, Wanted};
use crate::pem::{PemSection, sections};
use crate::x509::X509;

/// Who is trusted for what, behind a certificate: openssl's own form (`openssl x509 -trustout`).
const TRUSTED: &str = "TRUSTED CERTIFICATE";
/// Of such a certificate: purposes that it isn't trusted for.
const REJECTED: u8 = 0xa0;
const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
const ANY_PURPOSE: &[u8] = &[0x55, 0x1d, 37, 0];

/// The certificates of a file, each of them a certificate: our own chain, whoever it is trusted by.
pub(crate) fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    certificates(path, false)
}

/// The same of a file of authorities.
pub(crate) fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    certificates(path, true)
}

fn certificates(path: &Path, trusted: bool) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read_bytes(path)?;
    let sections = read_sections(&bytes, path, Wanted::Certificate)?;
    let mut certificates = Vec::new();
    let mut other = None;
    for PemSection { label, content, .. } in sections {
        if !["CERTIFICATE", "X509 CERTIFICATE", TRUSTED].contains(&label.as_str()) {
            other = other.or_else(|| form::of_section(&label, path));
            continue;
        }
        let number = certificates.len().saturating_add(1);
        let bad = |detail: &str| TlsError::BadCertificate {
            path: path.to_owned(),
            number,
            detail: detail.to_owned(),
        };
        let content = content.map_err(|detail| not_pem(path, detail))?;
        let whole = next(&content).filter(|whole| whole.tag == SEQUENCE);
        let whole = whole.ok_or_else(|| bad("it is no certificate"))?;
        if X509::read(whole.whole).is_none() {
            return Err(bad("it is no certificate, or damaged"));
        }
        if label == TRUSTED {
            if trusted && !is_for_servers(whole.rest) {
                return Err(bad("openssl's trust settings in it don't trust it for servers"));
            }
        } else if !whole.rest.is_empty() {
            return Err(bad("something comes behind it in its section"));
        }
        certificates.push(CertificateDer::from(whole.whole.to_vec()));
        if certificates.len() > MAX_CERTIFICATES {
            return Err(TlsError::TooMany { path: path.to_owned() });
        }
    }
    match (certificates.is_empty(), other) {
        (false, _) => Ok(certificates),
        (true, Some(form)) => {
            Err(TlsError::Form { path: path.to_owned(), form, wanted: "a certificate" })
        }
        (true, None) => Err(TlsError::NoCertificate { path: path.to_owned() }),
    }
}

/// Whether trust settings (`X509_CERT_AUX`) let an authority sign for servers.
///
/// ```text
/// SEQUENCE { trust SEQUENCE OF OID OPTIONAL, reject [0] SEQUENCE OF OID OPTIONAL, alias, … }
/// ```
fn is_for_servers(settings: &[u8]) -> bool {
    if settings.is_empty() {
        return true;
    }
    let Some(settings) = next(settings).filter(|one| one.tag == SEQUENCE) else { return false };
    let has = |list: &[u8]| {
        elements(list)
            .any(|one| one.tag == OID && [SERVER_AUTH, ANY_PURPOSE].contains(&one.content))
    };
    let list = |tag: u8| elements(settings.content).find(|one| one.tag == tag);
    list(SEQUENCE).is_none_or(|trusted| has(trusted.content))
        && list(REJECTED).is_none_or(|rejected| !has(rejected.content))
}

/// The first private key of a file.
pub(crate) fn private_key(file: &SecretFile) -> Result<PrivateKeyDer<'static>, TlsError> {
    let path = file.path();
    let bytes = file.read_bytes()?;
    let mut other = None;
    for PemSection { label, is_encrypted, content } in read_sections(&bytes, path, Wanted::Key)? {
        let is_key = label.ends_with("PRIVATE KEY");
        if label == "ENCRYPTED PRIVATE KEY" || is_key && is_encrypted {
            return Err(TlsError::EncryptedKey { path: path.to_owned() });
        }
        let make: fn(Vec<u8>) -> PrivateKeyDer<'static> = match label.as_str() {
            "PRIVATE KEY" => |der| PrivatePkcs8KeyDer::from(der).into(),
            "RSA PRIVATE KEY" => |der| PrivatePkcs1KeyDer::from(der).into(),
            "EC PRIVATE KEY" => |der| PrivateSec1KeyDer::from(der).into(),
            label => {
                other = other.or_else(|| form::of_section(label, path));
                continue;
            }
        };
        return content.map(make).map_err(|detail| not_pem(path, detail));
    }
    match other {
        Some(form) => Err(TlsError::Form { path: path.to_owned(), form, wanted: "a private key" }),
        None => Err(TlsError::NoKey { path: path.to_owned() }),
    }
}

fn read_sections(bytes: &[u8], path: &Path, wanted: Wanted) -> Result<Vec<PemSection>, TlsError> {
    let sections = sections(bytes).map_err(|detail| not_pem(path, detail))?;
    let form = if sections.is_empty() { form::of_file(bytes, path, wanted) } else { None };
    let wanted = match wanted {
        Wanted::Certificate => "a certificate",
        Wanted::Key => "a private key",
    };
    match form {
        Some(form) => Err(TlsError::Form { path: path.to_owned(), form, wanted }),
        None => Ok(sections),
    }
}

fn not_pem(path: &Path, detail: &str) -> TlsError {
    TlsError::NotPem { path: path.to_owned(), detail: detail.to_owned() }
}
