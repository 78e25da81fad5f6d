//! Which files a TLS connection is made with.

use std::path::PathBuf;

use diagnostic::SecretFile;

/// Files of a TLS connection; [`crate::client_config`] reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// PEM certificates of the authorities that may have signed the broker's certificate. No
    /// other authority is trusted; the system's store is not asked.
    pub ca_file: PathBuf,
    /// Our own certificate, if the broker asks for one.
    pub identity: Option<TlsIdentity>,
    /// The name that the broker's certificate must carry.
    pub server_name: String,
}

/// A client certificate and its private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsIdentity {
    /// PEM: our certificate first, then intermediate ones.
    pub certificate_file: PathBuf,
    /// PEM: PKCS#8, PKCS#1 or SEC1, not encrypted.
    pub key_file: SecretFile,
}
