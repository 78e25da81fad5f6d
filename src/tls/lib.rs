//! TLS as a client: rustls with the operator's own authorities, and when certificates end. It
//! knows no broker and no syslog server, and says nothing by itself.

mod certificates;
mod client;
mod settings;
mod validity;

pub use certificates::{
    CertificateEnd, Certificates, EXPIRY_WARNING_DAYS, PeerCertificate, days_left,
};
pub use client::{Finding, PeerShown, TlsError, client, client_config, ends, inspect};
pub use settings::{TlsConfig, TlsIdentity};
