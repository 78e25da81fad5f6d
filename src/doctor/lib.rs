//! A visit to a broker, for `sparkdiode doctor`: it asks step by step what the broker would let a half
//! do, and leaves nothing behind.
//!
//! ```text
//!  TCP ──> TLS ──> CONNECT ──> SUBSCRIBE ──> listen ──> more sessions ──> DISCONNECT
//! ```
//!
//! What leaves is CONNECT (a clean session, without a will), SUBSCRIBE and DISCONNECT: a PUBLISH has no
//! representation here, and so there is no asking whether the broker would take one.

mod packet;
mod visitor;

use std::io;
use std::time::Duration;

use broker::{BrokerSettings, ConnectFailure};
use sandbox::Confined;

/// What is to be asked, of whom.
#[derive(Debug)]
pub struct Visit {
    /// With a client identifier of the visitor's own: a broker ends the session of whoever had it
    /// before.
    pub broker: BrokerSettings,
    /// Filters that the half would subscribe to.
    pub filters: Vec<String>,
    /// What is listened to besides, where the broker lets it.
    pub extras: Vec<String>,
    /// How long it is listened to what comes.
    pub listen: Duration,
    /// Sessions at once, the first one included.
    pub sessions: usize,
}

/// What the broker said. A step that failed has none after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The broker takes the connection; or why it doesn't.
    pub connection: Option<Result<(), String>>,
    /// The TLS handshake; `None` where none is wanted.
    pub handshake: Option<Result<(), String>>,
    /// CONNACK.
    pub session: Option<Result<(), ConnectFailure>>,
    /// What the broker says of its limits, in MQTT 5.
    pub offers: Vec<String>,
    /// The broker refuses readable client identifiers and takes short ones.
    pub needs_short_id: bool,
    pub granted: Vec<String>,
    pub refused: Vec<String>,
    /// The subscriptions weren't answered, or the connection ended at them.
    pub unsubscribed: Option<String>,
    /// Sessions that stood at once.
    pub sessions: usize,
    /// Why there were no more.
    pub no_more: Option<String>,
}

/// A message that came meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Heard<'a> {
    /// `None`: not UTF-8, which no topic may be.
    pub topic: Option<&'a str>,
    pub payload: &'a [u8],
    pub retain: bool,
}

/// What a visit needs, made before the process is sealed.
#[derive(Debug)]
pub struct OpenedVisit {
    visit: Visit,
    runtime: tokio::runtime::Runtime,
}

impl OpenedVisit {
    /// Makes it; nothing is connected yet.
    ///
    /// # Errors
    /// The operating system refuses a timer or a wake-up.
    pub fn new(visit: Visit) -> io::Result<OpenedVisit> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(OpenedVisit { visit, runtime })
    }
}

/// Pays the visit, and tells `hear` what comes.
pub fn visit(opened: OpenedVisit, _sealed: &Confined, hear: &mut dyn FnMut(Heard<'_>)) -> Found {
    let OpenedVisit { visit, runtime } = opened;
    runtime.block_on(visitor::pay(&visit, hear))
}
