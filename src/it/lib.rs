//! The IT half: tails the journal and is, on the enterprise broker, a faithful mirror of every
//! allowed edge node. It can read the journal and not write it, and it knows nothing of the OT
//! broker.
//!
//! ```text
//! journal ─> driver ──items──> mirror ──outgoing──> connection (one session per node) ─> broker
//!              │                  ▲ │                    │
//!              └── backfill ──────┘ │ <──session events──┘
//!                                   └──snapshots──> state
//! ```

mod births_under_way;
mod broker_watch;
mod connect_queue;
mod connection;
mod driver;
mod failover;
mod link_pace;
pub mod memory;
pub mod mirror;
mod notices;
#[cfg(any(test, feature = "testing"))]
mod place_teller;
mod pool;
mod relay_node;
mod session_failure;
mod state;
mod status_reporter;
#[cfg(feature = "testing")]
pub mod testing;

use std::io;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::state::StateError;
use broker::BrokerSettings;
use broker_watch::BrokerWatch;
pub use clock::Now;
use driver::{Driver, DriverSettings};
use failover::Failover;
use journal_read::JournalError;
use mirror::{Mirror, MirrorSettings, NodeId, SessionEvent};
use policy::Policy;
pub use relay_node::HealthSettings;
use relay_node::RelayNode;
use sandbox::Confined;
use session_failure::SessionFailure;
use signature::SignedPolicy;
use state::state_writer::{Saved, StateWriter};
use status_reporter::StatusReporter;
use telemetry::status::{ReportError, StatusEmitter, StatusSettings};
use telemetry::{Notifier, event, take_up};
use tls::{Certificates, Look};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::UnboundedSender;

/// Sessions that do something before the driver has its next turn, of those that have something
/// to do: as good as all of them.
const SESSIONS_PER_TURN: u32 = 4_096;
/// What a frame of the journal has around a payload: a topic of 64 KiB, names of devices, and more.
const AROUND_PAYLOAD: usize = 256 * 1024;

/// Reads the policies again; an error goes to the operator, and the old policy stays.
pub type PolicyLoader = Box<dyn Fn() -> Result<SignedPolicy, String> + Send>;

/// Reads something again, and tells what came of it.
pub type LookAgain = Box<dyn Fn() + Send>;

/// Everything that the IT half needs.
pub struct Settings {
    pub broker: BrokerSettings,
    /// Directory of the journal; only ever read.
    pub journal_dir: PathBuf,
    /// Directory of the IT half's own state.
    pub state_dir: PathBuf,
    pub mirror: MirrorSettings,
    /// Where a first start begins.
    pub first_start: FirstStart,
    /// `None`: as fast as the broker takes them.
    pub connects_per_s: Option<NonZeroU32>,
    /// What all sessions together may send; `None`: as much as the link takes.
    pub bytes_per_s: Option<NonZeroU32>,
    /// Pace of historical messages.
    pub backfill_per_s: NonZeroU32,
    /// How long messages gather before they are sent together; zero: half a millisecond at most;
    /// `None`: by the rate at which they come.
    pub gather: Option<Duration>,
    /// A copy of the policy to check frames against, and how to read it again on SIGHUP.
    pub policy: Option<(Policy, PolicyLoader)>,
    /// What else is read again on SIGHUP, beside certificates.
    pub look_again: Option<LookAgain>,
    pub status: StatusSettings,
    /// The relay's own edge node.
    pub health: Option<HealthSettings>,
    pub notifier: Notifier,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("broker", &self.broker)
            .field("journal_dir", &self.journal_dir)
            .field("state_dir", &self.state_dir)
            .finish_non_exhaustive()
    }
}

/// What a mirror without stored state publishes of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstStart {
    /// Everything: what came before the newest segment as history.
    Oldest,
    /// What comes from now on.
    Newest,
}

/// Something that the driver waits for besides the journal.
#[derive(Debug)]
enum DriverEvent {
    Session {
        node: NodeId,
        generation: u64,
        event: SessionEvent,
    },
    /// What the broker has said of itself to a session, for people.
    Offered(String),
    /// The broker has answered the subscription of a session; `refused`: not all of it is granted.
    Subscribed {
        node: NodeId,
        refused: bool,
    },
    /// A session ended with this; thousands may end at once.
    SessionFailed(Box<SessionFailure>),
    /// The broker says nothing to somebody who waits for a session, in words.
    BrokerSilent(String),
    /// No password can be had for the next session.
    SecretUnreadable(String),
    /// The state was written, or couldn't be.
    Saved {
        what: Saved,
        result: Result<(), StateError>,
    },
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGHUP.
    Reload,
    /// The first server of the broker could be reached for long enough.
    ReturnToFirst,
    /// A sign of life is due.
    WatchdogRequested,
}

/// Why the IT half ended.
#[derive(Debug, thiserror::Error)]
pub enum ItError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// What this half says of itself can't be written where it should.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The operating system refused a thread, a timer or a signal handler.
    #[error("cannot start: {0}")]
    Start(#[from] io::Error),
}

/// An IT half that has claimed its state, before it is sealed: what takes a lock is done here,
/// and a sealed half can't.
#[derive(Debug)]
pub struct Opened {
    settings: Settings,
    runtime: tokio::runtime::Runtime,
    state: state::ItState,
}

/// Claims the state.
///
/// # Errors
/// Another process has it, or the operating system refuses.
pub fn open(settings: Settings) -> Result<Opened, ItError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(SESSIONS_PER_TURN)
        .build()?;
    let state = state::ItState::open(&settings.state_dir)?;
    settings.status.check(&settings.state_dir)?;
    Ok(Opened { settings, runtime, state })
}

/// Runs until SIGTERM or SIGINT: then every mirrored node dies in order (NDEATH before
/// DISCONNECT). SIGHUP reads the policies again.
///
/// # Errors
/// [`ItError`]; what wasn't confirmed until then is published again by the next start.
pub fn run(opened: Opened, _sealed: &Confined) -> Result<(), ItError> {
    let Opened { settings, runtime, state } = opened;
    let (sender, events) = tokio::sync::mpsc::unbounded_channel();
    let data_qos = settings.mirror.data_qos;
    // A payload that is taken, its topic, and what else is around it; and the news of a half with
    // many nodes.
    let most_frame_bytes = settings
        .mirror
        .caps
        .payload_bytes
        .max(sparkplug::Caps::LEAST_RELAYED)
        .saturating_add(AROUND_PAYLOAD);
    let most_layout_bytes = memory::layout_bytes(settings.mirror.budget);
    let (policy, policy_loader) = settings.policy.unzip();
    let digest = policy.as_ref().map(|policy| policy.digest().to_owned());
    let mirror = Mirror::new(settings.mirror, policy.map(Arc::new));
    let watch = BrokerWatch::new(settings.broker.address());
    let servers = Arc::clone(&settings.broker.servers);
    let failover = Failover::new(Arc::clone(&servers));
    let (return_after, within) = (settings.broker.return_after, settings.broker.connect_within);
    let handle = runtime.handle().clone();
    let sessions =
        connection::Sessions::new(settings.broker, settings.bytes_per_s, handle, sender.clone());
    let driver_settings = DriverSettings {
        journal_dir: settings.journal_dir,
        most_frame_bytes,
        most_layout_bytes,
        first_start: settings.first_start,
        data_qos,
        connects_per_s: settings.connects_per_s,
        bytes_per_s: settings.bytes_per_s,
        backfill_per_s: settings.backfill_per_s,
        gather: settings.gather,
        policy_loader,
        reloads_else: settings.look_again.is_some()
            || !settings.status.certificates.sources.is_empty(),
    };
    let Settings { status, state_dir, notifier, health, look_again, .. } = settings;
    let certificates = status.certificates.clone();
    let own = notifier.clone();
    let make_status_reporter = |now: mirror::Now| {
        let emitter =
            StatusEmitter::start("it", status, state_dir, own.clone(), now.mono, now.wall_ms)?;
        let health = health.map(|health| RelayNode::new(health, now.mono));
        Ok(Some(StatusReporter::new(emitter, own, health)))
    };
    let make_writer = {
        let sender = sender.clone();
        |state| StateWriter::start(state, sender)
    };
    let driver = Driver::new(
        driver_settings,
        mirror,
        sessions,
        (state, make_writer),
        events,
        (watch, failover),
        make_status_reporter,
    )?;
    let result = runtime.block_on(async move {
        let signals = Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        };
        if let Some(after) = return_after {
            let sender = sender.clone();
            // The driver is gone only when the process ends.
            let ask = move || drop(sender.send(DriverEvent::ReturnToFirst));
            tokio::spawn(stream::watch_first(servers, after, within, ask));
        }
        tokio::spawn(signals.forward(sender, notifier.clone(), certificates, look_again));
        event!(Started, version = env!("CARGO_PKG_VERSION"), policy = digest.as_deref());
        notifier.ready();
        driver.run().await
    });
    // What is left of the sessions ends without farewell: the broker sends their wills.
    drop(runtime);
    result
}

/// Signals of the process, and the time for a sign of life.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Forwards them to the driver, for ever.
    async fn forward(
        mut self,
        sender: UnboundedSender<DriverEvent>,
        notifier: Notifier,
        certificates: Certificates,
        look_again: Option<LookAgain>,
    ) {
        let feed_every = notifier.feed_every();
        loop {
            let event = tokio::select! {
                _ = self.terminate.recv() => DriverEvent::Stop,
                _ = self.interrupt.recv() => DriverEvent::Stop,
                _ = self.hang_up.recv() => DriverEvent::Reload,
                () = pause(feed_every) => DriverEvent::WatchdogRequested,
            };
            match event {
                DriverEvent::Stop => notifier.stopping(),
                DriverEvent::Reload => {
                    notifier.reloading();
                    take_up(&certificates, Look::Asked);
                    if let Some(look_again) = &look_again {
                        look_again();
                    }
                }
                _ => {}
            }
            let _ = sender.send(event);
        }
    }
}

/// Until a sign of life is due; for ever where nobody watches.
async fn pause(every: Option<Duration>) {
    match every {
        Some(every) => tokio::time::sleep(every).await,
        None => std::future::pending().await,
    }
}
