//! The OT half: subscribes, judges, and appends to the journal. It can't publish, and it reads
//! nothing that the IT half writes.
//!
//! ```text
//!  OT broker ──> connection ──> admission ──> worker ── entries ──> journal
//!            <── receipts ─────────────────────  │ pipeline: decode, plant, policy, encode
//!                                                └─── snapshots ──> storing ──> state
//! ```

mod admission;
mod connection;
mod decisions;
mod entry;
mod handoff;
pub mod memory;
mod pipeline;
mod plant;
mod rule_counters;
mod shadow;
mod shed;
mod socket;
mod status_reporter;
mod storing;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod unborn;
mod watch;
mod worker;

use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ::clock::Clock;
pub use ::clock::Now;
use broker::BrokerSettings;
use journal_write::{JournalError, Writer, WriterOptions};
use policy::Policy;
use sandbox::Confined;
use signature::SignedPolicy;
use sparkplug::Shard;
use state::{StateDir, StateError};
use telemetry::status::{ReloadRefused, ReportError, StatusEmitter, StatusSettings};
use telemetry::{Notifier, event, take_up};
use tls::Look;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

use self::admission::Queue;
use self::connection::Kept;
use self::connection::SessionHandle;
pub use self::decisions::{Decision, Decisions};
pub use self::entry::Entry;
use self::entry::Journal;
use self::handoff::{Shared, Work};
pub use self::pipeline::{Counters, Judged, Pipeline, PipelineSettings, Received, WatchedOrder};
pub use self::rule_counters::{RuleCount, RuleCounts, RuleMatches};
use self::status_reporter::StatusReporter;
use self::storing::state_writer::StateWriter;
pub use self::watch::{OpenedWatch, WatchEnd, WatchError, WatchSettings, Watched, watch};
pub use self::worker::WorkerError;
use self::worker::{Worker, WorkerSettings};

/// How long a stop waits for the journal.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// How long a stop waits for the broker to take acknowledgements and DISCONNECT.
const GOODBYE_WITHIN: Duration = Duration::from_secs(2);

/// Reads the policies again; an error is told to the operator, and the old policy stays.
pub type PolicyLoader = Box<dyn Fn() -> Result<Loaded, String>>;

/// The policies as they were read.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The one that is in force from now on.
    pub policy: SignedPolicy,
    /// The one that looks on, if there is to be one, or what is wrong with it.
    pub observed: Option<Result<Policy, String>>,
}

impl Loaded {
    /// What the broker is asked for: what the policy in force needs, and beside it what the other one
    /// would. Where signatures are required, a policy that has none widens nothing.
    fn filters(&self) -> Vec<String> {
        let SignedPolicy { policy, signed } = &self.policy;
        let mut filters = policy.subscriptions();
        if let (None, Some(Ok(observed))) = (signed, &self.observed) {
            filters.extend(policy.subscriptions_beside(observed));
        }
        filters
    }

    /// The policies apart: in force, in shadow, and why there is none in shadow.
    fn apart(self) -> (SignedPolicy, Option<Policy>, Option<ReloadRefused>) {
        let at_ms = ::clock::wall_ms();
        match self.observed {
            None => (self.policy, None, None),
            Some(Ok(observed)) => (self.policy, Some(observed), None),
            Some(Err(error)) => (self.policy, None, Some(ReloadRefused { at_ms, error })),
        }
    }
}

impl From<Policy> for Loaded {
    fn from(policy: Policy) -> Loaded {
        SignedPolicy::from(policy).into()
    }
}

impl From<SignedPolicy> for Loaded {
    fn from(policy: SignedPolicy) -> Loaded {
        Loaded { policy, observed: None }
    }
}

/// Reads something again, and tells what came of it.
pub type LookAgain = Box<dyn Fn() + Send>;

/// Everything that the OT half needs.
pub struct Settings {
    /// Name of this relay, in every segment's `Start`.
    pub relay_name: String,
    pub broker: BrokerSettings,
    /// What one server of the broker keeps of the session, all of them have.
    pub share_sessions: bool,
    pub pipeline: PipelineSettings,
    /// Which edge nodes are this relay's, where several relays share the plant.
    pub shard: Option<Shard>,
    pub journal: WriterOptions,
    /// How long messages gather before they are taken together; zero: 0.3 ms at most; `None`: by the
    /// rate at which they come.
    pub gather: Option<Duration>,
    /// Directory of the OT half's own state.
    pub state_dir: PathBuf,
    pub policy: Loaded,
    /// Called on SIGHUP.
    pub policy_loader: PolicyLoader,
    /// What else is read again on SIGHUP, beside certificates.
    pub look_again: Option<LookAgain>,
    pub status: StatusSettings,
    pub notifier: Notifier,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("relay_name", &self.relay_name)
            .field("broker", &self.broker)
            .field("pipeline", &self.pipeline)
            .field("journal", &self.journal)
            .field("state_dir", &self.state_dir)
            .finish_non_exhaustive()
    }
}

/// Why the OT half ended.
#[derive(Debug, thiserror::Error)]
pub enum OtError {
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
    /// The journal refused frames until the time for a stop was over. What isn't journalled
    /// isn't acknowledged.
    #[error("stopped while the journal refused frames")]
    StoppedShort,
    /// Our bug.
    #[error("the worker thread ended unexpectedly")]
    Panicked,
}

impl From<WorkerError> for OtError {
    fn from(error: WorkerError) -> Self {
        match error {
            WorkerError::State(error) => OtError::State(error),
            WorkerError::Journal(error) => OtError::Journal(error),
            WorkerError::Start(error) => OtError::Start(error),
        }
    }
}

/// An OT half that has claimed its journal and its state, before it is sealed: what takes a lock
/// is done here, and a sealed half can't.
#[derive(Debug)]
pub struct Opened {
    settings: Settings,
    runtime: tokio::runtime::Runtime,
    clock: Clock,
    state: StateDir,
    kept: Kept,
    writer: Journal,
}

/// Claims state and journal, and brings the journal's end in order.
///
/// # Errors
/// Another process has them, or the operating system refuses.
pub fn open(settings: Settings) -> Result<Opened, OtError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let clock = Clock::start();
    let state = StateDir::open(&settings.state_dir)?;
    settings.status.check(&settings.state_dir)?;
    let kept = Kept::open(state.another()?, settings.share_sessions)?;
    let writer = Writer::open(settings.journal.clone(), clock.now().wall_ms)?.only();
    Ok(Opened { settings, runtime, clock, state, kept, writer })
}

/// Runs until SIGTERM or SIGINT: then what was received is journalled and acknowledged, the
/// plant is stored, and the session with the broker ends with DISCONNECT. SIGHUP reads the
/// policies again.
///
/// # Errors
/// [`OtError`]; what was acknowledged until then is in the journal.
pub fn run(opened: Opened, _sealed: &Confined) -> Result<(), OtError> {
    let Opened { settings, runtime, clock, state, kept, writer } = opened;
    let Settings { relay_name, broker, pipeline, policy, policy_loader, status, .. } = settings;
    let Settings { state_dir, notifier, look_again, shard, gather, .. } = settings;
    let now = clock.now();
    let certificates = status.certificates.clone();
    let emitter =
        StatusEmitter::start("ot", status, state_dir, notifier.clone(), now.mono, now.wall_ms)?;
    let status_reporter = StatusReporter::new(relay_name.clone(), emitter, notifier.clone());
    let (receipts, released) = tokio::sync::mpsc::unbounded_channel();
    let shared = Arc::new(Shared::default());
    let (admission, queue) = Queue::new(Arc::clone(&shared), clock);
    let filters = policy.filters();
    let (SignedPolicy { policy, signed }, shadow, shadow_refused) = policy.apart();
    tell_shadow(shadow.as_ref(), shadow_refused.as_ref());
    let digest = policy.digest().to_owned();
    let worker_settings =
        WorkerSettings { relay_name, keyframe_every: pipeline.keyframe_every, signed };
    let make_pipeline = |now| {
        let mut pipeline = Pipeline::new(pipeline, policy, now);
        pipeline.set_shard(shard);
        pipeline.observe(now, shadow);
        pipeline
    };
    let worker = Worker::new(
        worker_settings,
        make_pipeline,
        writer,
        (state, StateWriter::start),
        queue,
        receipts,
        shared,
        clock,
    )?
    .with_status_reporter(status_reporter.observing(shadow_refused));
    let (done, ended) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("worker".into()).spawn(move || {
        worker.run();
        let _ = done.send(());
    })?;

    let network = async move {
        // Something is kept there.
        kept.address().into_iter().for_each(|address| broker.servers.begin_with(address));
        let (session, handle) = connection::session(&broker, filters, shard, Some(kept));
        let session = session.gathering(gather);
        let returning = broker.return_after.map(|after| {
            let (handle, within) = (handle.clone(), broker.connect_within);
            let ask = move || handle.return_to_first();
            tokio::task::spawn_local(stream::watch_first(
                broker.servers.clone(),
                after,
                within,
                ask,
            ))
        });
        let queue = Rc::new(admission);
        let sink = Rc::clone(&queue);
        let mut polling = tokio::task::spawn_local(async move { session.run(&*sink).await });
        let mut acknowledging = tokio::task::spawn_local(handle.clone().acknowledge(released));
        let pulsing = notifier.feed_every().map(|every| {
            let queue = Rc::clone(&queue);
            tokio::task::spawn_local(async move { pulse(&queue, every).await })
        });
        let load: PolicyLoader = Box::new(move || {
            take_up(&certificates, Look::Asked);
            if let Some(look_again) = &look_again {
                look_again();
            }
            policy_loader()
        });
        let result = supervise(&queue, &handle, load, (&digest, shard), &notifier, ended).await;
        pulsing.into_iter().chain(returning).for_each(|task| task.abort());
        // The worker dropped its end of the receipts: when the task ends, all are handed over.
        let _ = tokio::time::timeout(GOODBYE_WITHIN, &mut acknowledging).await;
        handle.disconnect();
        let _ = tokio::time::timeout(GOODBYE_WITHIN, &mut polling).await;
        acknowledging.abort();
        polling.abort();
        result
    };
    runtime.block_on(LocalSet::new().run_until(network))
}

/// Says which policy looks on from now on, or why none does.
fn tell_shadow(shadow: Option<&Policy>, refused: Option<&ReloadRefused>) {
    if let Some(shadow) = shadow {
        event!(ShadowLoaded, policy = shadow.digest(), rules = shadow.rules().len());
    }
    if let Some(ReloadRefused { error, .. }) = refused {
        event!(ShadowRefused, error = error.as_str());
    }
}

/// Waits for signals, and for the worker's end.
async fn supervise(
    queue: &Queue,
    handle: &SessionHandle,
    load: PolicyLoader,
    (digest, shard): (&str, Option<Shard>),
    notifier: &Notifier,
    mut ended: tokio::sync::oneshot::Receiver<()>,
) -> Result<(), OtError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let shard = shard.map(|shard| shard.to_string());
    event!(Started, version = env!("CARGO_PKG_VERSION"), policy = digest, shard);
    notifier.ready();
    loop {
        tokio::select! {
            _ = &mut ended => return Err(OtError::Panicked),
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => {
                notifier.reloading();
                match load() {
                Ok(policy) => {
                    let filters = policy.filters();
                    queue.put_work(Work::Policy(Box::new(policy))).await;
                    handle.refilter(filters);
                }
                Err(error) => {
                    event!(PolicyRefused, error = error.as_str());
                    let refused = ReloadRefused { at_ms: ::clock::wall_ms(), error };
                    queue.put_work(Work::PolicyRefused(Box::new(refused))).await;
                }
                }
            }
        }
    }
    tracing::debug!(target: "ot", "stopping");
    notifier.stopping();
    queue.shared.stopping.store(true, Ordering::Relaxed);
    let stopped = async {
        queue.put_work(Work::Stop).await;
        (&mut ended).await
    };
    match tokio::time::timeout(STOP_WITHIN, stopped).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(OtError::Panicked),
        Err(_) => {
            queue.shared.give_up.store(true, Ordering::Relaxed);
            Err(OtError::StoppedShort)
        }
    }
}

/// Sends pulses through the way that messages take. Where they can't get through, because the
/// worker stands still, the watchdog isn't fed.
async fn pulse(queue: &Queue, every: Duration) {
    loop {
        queue.put_work(Work::WatchdogRequest).await;
        tokio::time::sleep(every).await;
    }
}
