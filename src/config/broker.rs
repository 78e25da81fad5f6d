//! `[broker]` of both halves: where the broker is, who we are there, and how the connection is
//! protected.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::SecretFile;

/// `keep-alive-s`: a dead connection is noticed after one and a half times this. 30 s keeps NAT
/// and firewall tables warm (their shortest usual timeout is 60 s).
const DEFAULT_KEEP_ALIVE_S: u64 = 30;
/// `max-packet-bytes` of the OT half: births of a few thousand metrics reach some hundred
/// kilobytes; the MQTT client's own default of 10 KiB would cut the connection on them.
const DEFAULT_OT_MAX_PACKET_BYTES: u64 = 1024 * 1024;
/// `max-packet-bytes` of the IT half: aliases become names on their way, so that a packet can
/// leave larger than it came.
const DEFAULT_IT_MAX_PACKET_BYTES: u64 = 4 * 1024 * 1024;

/// How one half reaches its broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerConfig {
    /// Host and port; the relay only ever connects outwards.
    pub address: Address,
    /// User and password, if the broker asks for them.
    pub credentials: Option<Credentials>,
    /// MQTT keep alive. 5 s to 1 h.
    pub keep_alive: Duration,
    /// Largest MQTT packet in either direction. 16 KiB to 64 MiB.
    pub max_packet_bytes: u32,
    /// `None`: plain TCP, which the operator has asked for by `plaintext = true`.
    pub tls: Option<TlsConfig>,
}

/// `host:port`; the host is a name or an IP address (IPv6 in brackets in the file, without
/// them here).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

/// MQTT user name and where its password is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub user: String,
    /// Read by [`SecretFile::read`] before every connection, so that it can be exchanged.
    pub password: SecretFile,
}

/// Files of a TLS connection; [`super::tls::client_config`] reads them.
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
