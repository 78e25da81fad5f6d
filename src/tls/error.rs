//! Why a connection can't be protected as the configuration asks, with what to do about it.

use std::path::{Path, PathBuf};

use diagnostic::file::FileError;

use crate::form::Form;

/// Certificates of an authority file or a chain. An operating system's whole store has about
/// 150.
pub(crate) const MAX_CERTIFICATES: usize = 1_000;

/// Why a connection can't be protected as the configuration asks.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be used at all.
    #[error(transparent)]
    File(#[from] FileError),
    /// A PEM file whose sections can't be read.
    #[error("not PEM: `{}`: {detail}", path.display())]
    NotPem { path: PathBuf, detail: String, wanted: &'static str },
    /// Another form of certificate or key.
    #[error("`{}` is {}, wanted: {wanted} in PEM", path.display(), form.is)]
    Form { path: PathBuf, form: Form, wanted: &'static str },
    /// A PEM file without what it is named for.
    #[error("no certificate in `{}`", path.display())]
    NoCertificate {
        path: PathBuf,
        /// What is there.
        holds: Holds,
    },
    /// Over the cap.
    #[error("more than {MAX_CERTIFICATES} certificates in `{}`", path.display())]
    TooMany { path: PathBuf },
    /// A section that says certificate and isn't one.
    #[error("certificate {number} in `{}` is unusable: {detail}", path.display())]
    BadCertificate { path: PathBuf, number: usize, detail: String, remedy: Option<String> },
    /// Our own certificate is of no use any more.
    #[error("certificate in `{}` expired on {on}", path.display())]
    Expired { path: PathBuf, on: String },
    /// Our own certificate is of no use yet.
    #[error("certificate in `{}` is not valid before {from}", path.display())]
    NotYet { path: PathBuf, from: String },
    /// A PEM file without a private key.
    #[error("no private key in `{}`", path.display())]
    NoKey { path: PathBuf, holds: Holds },
    /// A key that would need a passphrase.
    #[error("private key in `{}` is encrypted", path.display())]
    EncryptedKey { path: PathBuf },
    /// A key of a kind or size that can't be used.
    #[error("private key in `{}` is unusable: {detail}", path.display())]
    BadKey { path: PathBuf, detail: String, remedy: Option<String> },
    /// The key belongs to another certificate.
    #[error(
        "private key in `{}` doesn't belong to the certificate in `{}`",
        path.display(), certificate.display()
    )]
    KeyMismatch {
        path: PathBuf,
        certificate: PathBuf,
        /// Which certificate in the file it does belong to, counted from 1.
        belongs_to: Option<usize>,
    },
    /// A name that no certificate can carry.
    #[error("not a DNS name or IP address: `{name}`")]
    ServerName { name: String },
    /// The files aren't this half's alone.
    #[error("{detail}")]
    Guard { detail: String },
    /// The crypto library refuses; this is our mistake, not the operator's.
    #[error("cannot set TLS up: {detail}")]
    Internal { detail: String },
}

/// What a file holds in place of what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    Nothing,
    /// A key where a certificate is wanted, or a certificate where a key is.
    TheOther,
    Something,
}

impl TlsError {
    /// The file that is to blame, if one is.
    pub fn path(&self) -> Option<&Path> {
        match self {
            TlsError::File(error) => Some(error.path()),
            TlsError::NotPem { path, .. }
            | TlsError::Form { path, .. }
            | TlsError::NoCertificate { path, .. }
            | TlsError::TooMany { path }
            | TlsError::BadCertificate { path, .. }
            | TlsError::Expired { path, .. }
            | TlsError::NotYet { path, .. }
            | TlsError::NoKey { path, .. }
            | TlsError::EncryptedKey { path }
            | TlsError::BadKey { path, .. }
            | TlsError::KeyMismatch { path, .. } => Some(path),
            TlsError::ServerName { .. } | TlsError::Guard { .. } | TlsError::Internal { .. } => {
                None
            }
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            TlsError::File(error) => error.hint(),
            TlsError::Form { form, .. } => Some(form.remedy.clone()),
            TlsError::BadCertificate { remedy, .. } | TlsError::BadKey { remedy, .. } => {
                remedy.clone()
            }
            TlsError::NoCertificate { holds: Holds::Nothing, .. }
            | TlsError::NoKey { holds: Holds::Nothing, .. } => Some("the file is empty".to_owned()),
            TlsError::NoCertificate { holds: Holds::TheOther, .. } => Some(
                "it holds a private key: are `certificate-file` and `key-file` exchanged?"
                    .to_owned(),
            ),
            TlsError::NoKey { holds: Holds::TheOther, .. } => Some(
                "it holds a certificate: are `certificate-file` and `key-file` exchanged?"
                    .to_owned(),
            ),
            TlsError::NotPem { wanted: "a private key", .. } => {
                Some("wanted PEM, whole: PKCS#8, PKCS#1 or SEC1".to_owned())
            }
            TlsError::NotPem { .. } | TlsError::NoCertificate { .. } => Some(
                "wanted PEM (`-----BEGIN CERTIFICATE-----`); for DER: openssl x509 -inform der"
                    .to_owned(),
            ),
            TlsError::NoKey { .. } => Some("wanted PEM: PKCS#8, PKCS#1 or SEC1".to_owned()),
            TlsError::EncryptedKey { path } => Some(format!(
                "nobody types a passphrase at 3 a.m.: openssl pkey -in {} -out …, mode 0600",
                path.display()
            )),
            TlsError::NotYet { .. } => Some("is this machine's clock right?".to_owned()),
            TlsError::KeyMismatch { belongs_to: Some(number), .. } => Some(format!(
                "it belongs to certificate {number} of that file: our own comes first, then the \
                 authorities that signed it"
            )),
            TlsError::KeyMismatch { belongs_to: None, certificate, path } => Some(format!(
                "they are a pair if these print the same: openssl x509 -in {} -noout -pubkey, \
                 openssl pkey -in {} -pubout",
                certificate.display(),
                path.display()
            )),
            _ => None,
        }
    }
}
