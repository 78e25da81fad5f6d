//! Syslog: targets that events are sent to, each with a bounded queue and a thread of its own, so
//! that whoever has something to say never waits for a network, and one target that stalls
//! doesn't hold up another.
//!
//! ```text
//!  hub ──offer──> queue ──> worker ──> carrier: journald, /dev/log, UDP, TCP, TLS
//!        (counts what doesn't fit)  (connects again, reports what was lost)
//! ```
//!
//! `transport` says which carrier a target has: `local`, `udp` or `stream`.

mod carrier;
mod line;
mod local;
mod queue;
mod stream;
mod transport;
mod udp;
mod worker;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

pub use line::{Facility, Identity};
pub(super) use queue::Queue;
use rustls_pki_types::ServerName;
pub use worker::Shortfall;
pub(super) use worker::{EmitToOthers, Worker};

use super::event::{Event, Severity};

/// Where syslog daemons listen for programs of their own machine.
pub const DEV_LOG: &str = "/dev/log";
/// Where journald takes entries with fields.
pub const JOURNALD: &str = "/run/systemd/journal/socket";
/// IANA's private enterprise number for examples (RFC 5612): nobody else's.
pub const EXAMPLE_ENTERPRISE: u32 = 32_473;

/// One target of events. Everything that it needs was looked up and read before.
#[derive(Clone)]
pub struct Target {
    /// Names the target in events about it.
    pub name: String,
    pub transport: Transport,
    /// Only events of this severity, or worse.
    pub min_severity: Severity,
    pub selection: Selection,
    pub facility: Facility,
    /// Of the structured data's SD-ID, `sparkdiode@NUMBER`.
    pub enterprise: u32,
    /// Whether the clock is synchronised, as far as the operator knows (`timeQuality`).
    pub time_synced: bool,
    /// Lines that may wait for the target.
    pub queue_lines: usize,
}

/// How a target is reached.
#[derive(Clone, Debug)]
pub enum Transport {
    /// journald's own protocol, with a field for each field.
    Journald { path: PathBuf },
    /// A local syslog daemon.
    Local { path: PathBuf, format: LocalFormat },
    /// RFC 5426: a datagram a line; what is lost on the way, nobody knows.
    Udp { addresses: Vec<SocketAddr> },
    /// RFC 6587 with octet counting, plain.
    Tcp { addresses: Vec<SocketAddr> },
    /// RFC 5425.
    Tls { addresses: Vec<SocketAddr>, source: Arc<tls::Source>, server_name: ServerName<'static> },
}

/// What is written to `/dev/log`. rsyslog's default parser there doesn't know RFC 5424.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalFormat {
    Rfc3164,
    Rfc5424,
}

/// Which events a target gets, besides their severity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    All,
    Only(Vec<Event>),
    Except(Vec<Event>),
}

impl Target {
    /// Whether the target is to have this event.
    pub fn wants(&self, event: Event) -> bool {
        event.entry().severity <= self.min_severity
            && match &self.selection {
                Selection::All => true,
                Selection::Only(events) => events.contains(&event),
                Selection::Except(events) => !events.contains(&event),
            }
    }

    /// Where it connects to over the network, for whoever limits that.
    pub fn addresses(&self) -> &[SocketAddr] {
        match &self.transport {
            Transport::Journald { .. } | Transport::Local { .. } => &[],
            Transport::Udp { addresses }
            | Transport::Tcp { addresses }
            | Transport::Tls { addresses, .. } => addresses,
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Target")
            .field("name", &self.name)
            .field("transport", &self.transport)
            .field("min_severity", &self.min_severity)
            .finish_non_exhaustive()
    }
}
