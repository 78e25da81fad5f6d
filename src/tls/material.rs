//! Certificates and keys as they are read from files.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use diagnostic::SecretFile;
use diagnostic::file::read_bytes;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
};
use text::format_date;

use crate::der::{OID, SEQUENCE, elements, next};
use crate::error::{Holds, MAX_CERTIFICATES, TlsError};
use crate::form::{self, Wanted};
use crate::kind::{Encoding, KEYS, Kind};
use crate::pem::{PemSection, sections};
use crate::x509::{X509, validity_of};
use crate::{TlsConfig, TlsIdentity};

const CERTIFICATE: &str = "a certificate";
const KEY: &str = "a private key";

/// Who is trusted for what, behind a certificate: openssl's own form (`openssl x509 -trustout`).
const TRUSTED: &str = "TRUSTED CERTIFICATE";
/// Of such a certificate: purposes that it isn't trusted for.
const REJECTED: u8 = 0xa0;
const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
const ANY_PURPOSE: &[u8] = &[0x55, 0x1d, 37, 0];

/// What the files of one connection hold. Each is read once, so that whatever is made of them is
/// made of the same content.
pub(crate) struct Material<'config> {
    pub(crate) config: &'config TlsConfig,
    pub(crate) authorities: Vec<CertificateDer<'static>>,
    /// The authorities, as those that may sign.
    pub(crate) roots: Arc<RootCertStore>,
    /// Our own certificate and its key, with the file of the former.
    pub(crate) own: Option<(&'config Path, CertifiedKey)>,
}

impl<'config> Material<'config> {
    /// Reads the files: authorities, our certificate, its key.
    pub(crate) fn read(config: &'config TlsConfig) -> Result<Material<'config>, TlsError> {
        let authorities = authorities(&config.ca_file)?;
        let roots = roots_of(&authorities, &config.ca_file)?;
        let own = match &config.identity {
            Some(identity) => Some(own_of(identity, chain(&identity.certificate_file)?)?),
            None => None,
        };
        Ok(Material { config, authorities, roots, own })
    }

    /// Reads the files: our certificate, which must be valid at `now`, authorities, our key.
    pub(crate) fn read_valid(
        config: &'config TlsConfig,
        now: SystemTime,
    ) -> Result<Material<'config>, TlsError> {
        let Some(identity) = &config.identity else { return Material::read(config) };
        let chain = chain(&identity.certificate_file)?;
        require_valid(&chain, &identity.certificate_file, now)?;
        let authorities = authorities(&config.ca_file)?;
        let roots = roots_of(&authorities, &config.ca_file)?;
        let own = Some(own_of(identity, chain)?);
        Ok(Material { config, authorities, roots, own })
    }

    /// The certificates of each file, our own first.
    pub(crate) fn into_certificates(self) -> Vec<Vec<CertificateDer<'static>>> {
        self.own.into_iter().map(|(_, own)| own.cert).chain([self.authorities]).collect()
    }
}

fn roots_of(
    authorities: &[CertificateDer<'static>],
    path: &Path,
) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for (index, certificate) in authorities.iter().enumerate() {
        roots.add(CertificateDer::from(&**certificate)).map_err(|_| TlsError::BadCertificate {
            path: path.to_owned(),
            number: index.saturating_add(1),
            detail: "it can't be an authority: damaged, or of a form that isn't known".to_owned(),
            remedy: None,
        })?;
    }
    Ok(Arc::new(roots))
}

/// Our own certificate with its key, which are checked to be a pair here: rustls would do so for
/// certificates of version 3 alone, and brokers take others.
fn own_of<'config>(
    identity: &'config TlsIdentity,
    chain: Vec<CertificateDer<'static>>,
) -> Result<(&'config Path, CertifiedKey), TlsError> {
    let path = identity.key_file.path();
    let key = private_key(&identity.key_file)?;
    let kind = kind_of(&key).and_then(|kind| kind.refused(Some(path)));
    let keys = aws_lc_rs::default_provider().key_provider;
    // The library's words say which parsers it has tried.
    let key = keys.load_private_key(key).map_err(|_| match kind {
        Some((what, remedy)) => TlsError::BadKey {
            path: path.to_owned(),
            detail: format!("it is {what}; {KEYS}"),
            remedy: Some(remedy),
        },
        None => TlsError::BadKey {
            path: path.to_owned(),
            detail: format!("damaged, or of another kind or size; {KEYS}"),
            remedy: None,
        },
    })?;
    let of_certificate = chain.first().and_then(|own| X509::read(own));
    let of_certificate = of_certificate.and_then(|own| Kind::of_public(own.key)?.refused(None));
    if let Some((what, remedy)) = of_certificate {
        return Err(TlsError::BadCertificate {
            path: identity.certificate_file.clone(),
            number: 1,
            detail: format!("it is for {what}; {KEYS}"),
            remedy: Some(remedy),
        });
    }
    if let Some(public) = key.public_key() {
        let fits = |certificate: &CertificateDer<'_>| {
            X509::read(certificate).is_some_and(|read| read.key == public.as_ref())
        };
        let belongs_to = chain.iter().position(fits);
        if belongs_to != Some(0) {
            return Err(TlsError::KeyMismatch {
                path: path.to_owned(),
                certificate: identity.certificate_file.clone(),
                belongs_to: belongs_to.map(|index| index.saturating_add(1)),
            });
        }
    }
    Ok((&identity.certificate_file, CertifiedKey::new(chain, key)))
}

/// What kind of key it is, as far as that can be read.
fn kind_of<'a>(key: &'a PrivateKeyDer<'_>) -> Option<Kind<'a>> {
    let encoding = match key {
        PrivateKeyDer::Pkcs1(_) => Encoding::Pkcs1,
        PrivateKeyDer::Sec1(_) => Encoding::Sec1,
        PrivateKeyDer::Pkcs8(_) => Encoding::Pkcs8,
        _ => return None,
    };
    Kind::of_private(key.secret_der(), encoding)
}

/// Our own certificate must be valid: no broker takes another.
fn require_valid(
    chain: &[CertificateDer<'_>],
    path: &Path,
    now: SystemTime,
) -> Result<(), TlsError> {
    let Some(validity) = chain.first().and_then(|own| validity_of(own)) else { return Ok(()) };
    if now > validity.not_after {
        let on = format_date(validity.not_after);
        return Err(TlsError::Expired { path: path.to_owned(), on });
    }
    if now < validity.not_before {
        let from = format_date(validity.not_before);
        return Err(TlsError::NotYet { path: path.to_owned(), from });
    }
    Ok(())
}

/// The certificates of a file, each of them a certificate: our own chain, whoever it is trusted by.
fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    certificates(path, false)
}

/// The same of a file of authorities.
fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    certificates(path, true)
}

fn certificates(path: &Path, trusted: bool) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read_bytes(path)?;
    let sections = read_sections(&bytes, path, Wanted::Certificate)?;
    let mut certificates = Vec::new();
    let mut other = None;
    let holds = holds(&bytes, &sections, |label| label.ends_with("PRIVATE KEY"));
    for PemSection { label, content, .. } in sections {
        if !["CERTIFICATE", "X509 CERTIFICATE", TRUSTED].contains(&label.as_str()) {
            other = other.or_else(|| form::of_section(&label, path, Wanted::Certificate));
            continue;
        }
        let number = certificates.len().saturating_add(1);
        let bad = |detail: &str| TlsError::BadCertificate {
            path: path.to_owned(),
            number,
            detail: detail.to_owned(),
            remedy: None,
        };
        let content = content.map_err(|detail| not_pem(path, detail, CERTIFICATE))?;
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
            Err(TlsError::Form { path: path.to_owned(), form, wanted: CERTIFICATE })
        }
        (true, None) => Err(TlsError::NoCertificate { path: path.to_owned(), holds }),
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
fn private_key(file: &SecretFile) -> Result<PrivateKeyDer<'static>, TlsError> {
    let path = file.path();
    let bytes = file.read_bytes()?;
    let mut other = None;
    let sections = read_sections(&bytes, path, Wanted::Key)?;
    let holds = holds(&bytes, &sections, |label| label.ends_with("CERTIFICATE"));
    for PemSection { label, is_encrypted, content } in sections {
        let is_key = label.ends_with("PRIVATE KEY");
        if label == "ENCRYPTED PRIVATE KEY" || is_key && is_encrypted {
            return Err(TlsError::EncryptedKey { path: path.to_owned() });
        }
        let make: fn(Vec<u8>) -> PrivateKeyDer<'static> = match label.as_str() {
            "PRIVATE KEY" => |der| PrivatePkcs8KeyDer::from(der).into(),
            "RSA PRIVATE KEY" => |der| PrivatePkcs1KeyDer::from(der).into(),
            "EC PRIVATE KEY" => |der| PrivateSec1KeyDer::from(der).into(),
            label => {
                other = other.or_else(|| form::of_section(label, path, Wanted::Key));
                continue;
            }
        };
        return content.map(make).map_err(|detail| not_pem(path, detail, KEY));
    }
    match other {
        Some(form) => Err(TlsError::Form { path: path.to_owned(), form, wanted: KEY }),
        None => Err(TlsError::NoKey { path: path.to_owned(), holds }),
    }
}

fn read_sections(bytes: &[u8], path: &Path, wanted: Wanted) -> Result<Vec<PemSection>, TlsError> {
    let name = match wanted {
        Wanted::Certificate => CERTIFICATE,
        Wanted::Key => KEY,
    };
    let sections = sections(bytes).map_err(|detail| not_pem(path, detail, name))?;
    let form = if sections.is_empty() { form::of_file(bytes, path, wanted) } else { None };
    match form {
        Some(form) => Err(TlsError::Form { path: path.to_owned(), form, wanted: name }),
        None => Ok(sections),
    }
}

/// What a file holds that isn't what is wanted.
fn holds(bytes: &[u8], sections: &[PemSection], is_other: fn(&str) -> bool) -> Holds {
    if bytes.trim_ascii().is_empty() {
        return Holds::Nothing;
    }
    match sections.iter().any(|section| is_other(&section.label)) {
        true => Holds::TheOther,
        false => Holds::Something,
    }
}

fn not_pem(path: &Path, detail: &str, wanted: &'static str) -> TlsError {
    TlsError::NotPem { path: path.to_owned(), detail: detail.to_owned(), wanted }
}
