//! TLS as a client: rustls with the operator's own authorities, when certificates end, their renewal
//! while the process runs, and what went wrong, in words. It knows no broker and no syslog server,
//! and says nothing by itself.

mod all;
mod certificates;
mod client;
mod der;
mod error;
mod form;
mod handshake;
mod kind;
#[cfg(test)]
mod lab;
mod material;
mod pem;
mod refused;
mod settings;
mod source;
mod validity;
mod verify;
mod words;
mod x509;

pub use all::Certificates;
pub use certificates::{
    CertificateEnd, EXPIRY_WARNING_DAYS, PeerCertificate, PeerShown, days_left,
};
pub use client::{Finding, client_config, inspect};
pub use error::TlsError;
pub use form::Form;
pub use handshake::{FIRST_BYTES, NotTls, Speaker, cause, in_handshake, not_tls, speaker};
pub use settings::{TlsConfig, TlsIdentity};
pub use source::{Change, Look, Source};
pub use words::explain;
