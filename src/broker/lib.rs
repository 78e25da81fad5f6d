//! How to reach a broker: what each half's connection is made with, and its errors in the
//! operator's words. A leaf: it opens no connection.

mod address_file;
mod addresses;
mod client_id;
mod connect_failure;
mod protocol;
mod reason;
mod refusal;
mod returning;
mod servers;
mod session_end;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

pub use address_file::{AddressError, AddressFile, MAX_ADDRESSES, Outside, usable};
pub use addresses::{AddressChange, Addresses};
use bytes::Bytes;
pub use client_id::{ClientId, ClientIdForm};
pub use connect_failure::{ConnectFailure, FailureKind, explain, unanswered, unanswered_beside};
pub use protocol::Protocol;
pub use reason::{
    REASONS, Reason, reason_of, said as reason_said, with as with_text, words_of as reason_words,
};
pub use refusal::{Refused, filter_refusal, refusal};
pub use returning::Returning;
pub use servers::{InUse, Next, Order, Server, Servers, Stay};
pub use session_end::{ENDED_ATTEMPTS, Refusal};

/// One broker, and who we are to it.
#[derive(Clone)]
pub struct BrokerSettings {
    /// Where it is.
    pub servers: Arc<Servers>,
    /// MQTT client identifier; of the IT half, which has a session per mirrored node, what all
    /// of them begin with.
    pub client_id: String,
    pub client_id_form: ClientIdForm,
    /// Which MQTT is spoken with it.
    pub protocol: Protocol,
    pub credentials: Option<Credentials>,
    pub keep_alive: Duration,
    /// Longest wait for each of TCP connection, TLS handshake and CONNACK.
    pub connect_within: Duration,
    /// Longest wait for an answer that the broker owes to a request that has left.
    pub answer_within: Duration,
    /// Largest packet that is taken from the broker, in bytes.
    pub max_packet_bytes: usize,
    /// Of MQTT 5 alone.
    pub five: FiveSettings,
    /// Publications per second that the broker takes on one connection; `None`: as many as there are.
    pub publishes_per_s: Option<NonZeroU32>,
    /// How long the first server has to take connections until it is used again; `None`: it isn't, as long
    /// as another one can be.
    pub return_after: Option<Duration>,
}

impl BrokerSettings {
    /// `host:port` of the server that is used, as logs have it.
    pub fn address(&self) -> String {
        self.servers.in_use().server.address()
    }

    /// The same broker, as if it had this server alone.
    pub fn with_only(&self, server: &Arc<Server>) -> BrokerSettings {
        BrokerSettings { servers: Arc::new(Servers::alone(server)), ..self.clone() }
    }
}

/// What is asked of a broker in MQTT 5 alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FiveSettings {
    /// How long the broker is to keep a session whose connection is over.
    pub session_expiry: Duration,
    /// Whether the broker is told how large a packet may be: it drops larger ones without a word.
    pub announces_max_packet: bool,
    /// Whether topics that are published to often have a number in place of their name.
    pub has_topic_aliases: bool,
}

/// MQTT user, and where the password comes from.
#[derive(Clone)]
pub struct Credentials {
    pub user: String,
    /// Asked before every connection, so that the password can be exchanged meanwhile. An error
    /// is told to the operator, and the connection attempted with the earlier password. `None`:
    /// the user name goes alone.
    pub password: Option<ReadPassword>,
}

/// Reads the password, or says why it can't.
pub type ReadPassword = Arc<dyn Fn() -> Result<Bytes, String> + Send + Sync>;

/// Without the password.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// TLS towards a broker.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// The files, and what is made of them: asked for each connection.
    pub source: Arc<tls::Source>,
    /// Name that the broker's certificate must have.
    pub server_name: String,
}

impl TlsSettings {
    /// What a connection is made with now.
    pub fn now(&self) -> (Arc<rustls::ClientConfig>, String) {
        (self.source.client(), self.server_name.clone())
    }
}

/// Without the password.
impl std::fmt::Debug for BrokerSettings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("BrokerSettings")
            .field("servers", &self.servers)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}
