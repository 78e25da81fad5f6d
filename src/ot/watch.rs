//! Watches the OT broker for the policy tools: the same connection as the relay's, with no way
//! to publish, under another client identifier and in a session that ends with it, so that the
//! relay's own session isn't disturbed.

use std::cell::RefCell;
use std::io;
use std::ops::ControlFlow;
use std::time::Duration;

use broker::BrokerSettings;
use sandbox::Confined;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::LocalSet;

use super::GOODBYE_WITHIN;
use super::connection::{self, Receipt, SessionEvent, Sink};

/// What is watched, and for how long.
#[derive(Debug)]
pub struct WatchSettings {
    /// With a client identifier of its own.
    pub broker: BrokerSettings,
    /// MQTT topic filters. The stored births of the broker come in any case.
    pub filters: Vec<String>,
    /// `None`: until it is ended.
    pub run_for: Option<Duration>,
}

/// What happened at the broker. Times are the wall clock, in milliseconds since the epoch (UTC).
#[derive(Clone, Copy, Debug)]
pub enum Watched<'a> {
    Connected {
        at_ms: u64,
    },
    Lost {
        at_ms: u64,
    },
    Message {
        at_ms: u64,
        /// `None`: not UTF-8, which no topic may be.
        topic: Option<&'a str>,
        payload: &'a [u8],
        qos: u8,
        retain: bool,
        dup: bool,
    },
}

/// Why watching ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchEnd {
    /// The time was over.
    Time,
    /// SIGINT or SIGTERM.
    Signal,
    /// Whoever was watching had enough.
    Enough,
}

/// Why nothing can be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The first attempt failed; its cause was logged.
    #[error("no connection to the OT broker `{0}`")]
    NotConnected(String),
    /// The operating system refused a timer or a signal handler.
    #[error("cannot start: {0}")]
    Start(#[from] io::Error),
}

/// What watching needs, made before the process is sealed.
#[derive(Debug)]
pub struct OpenedWatch {
    settings: WatchSettings,
    runtime: tokio::runtime::Runtime,
}

impl OpenedWatch {
    /// Makes it; nothing is connected yet.
    ///
    /// # Errors
    /// The operating system refuses a timer or a wake-up.
    pub fn new(settings: WatchSettings) -> Result<OpenedWatch, WatchError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(OpenedWatch { settings, runtime })
    }
}

/// Tells `take` what comes, until the time is over, a signal arrives, or `take` breaks. A
/// connection that is lost later is made again.
///
/// # Errors
/// [`WatchError`].
pub fn watch(
    opened: OpenedWatch,
    _sealed: &Confined,
    take: &mut dyn FnMut(Watched<'_>) -> ControlFlow<()>,
) -> Result<WatchEnd, WatchError> {
    let OpenedWatch { settings, runtime } = opened;
    let WatchSettings { broker, filters, run_for } = settings;
    let servers = broker.servers.iter();
    let addresses: Vec<String> = servers.map(|server| server.address()).collect();
    let watching = async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let (session, handle) = connection::passing_session(&broker, filters);
        let (receipts, taken) = tokio::sync::mpsc::unbounded_channel();
        let untried = addresses.len();
        let watching = Watching {
            take,
            receipts,
            was_connected: false,
            untried,
            failed: false,
            is_over: false,
        };
        let watching = RefCell::new(watching);
        let sink = Taker { watching, over: Notify::new() };
        let acknowledging = tokio::task::spawn_local(handle.clone().acknowledge(taken));
        let mut polling = std::pin::pin!(session.run(&sink));
        let time = async {
            match run_for {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        let end = tokio::select! {
            // Only after a DISCONNECT, which nobody has asked for yet.
            () = &mut polling => WatchEnd::Enough,
            () = sink.over.notified() => WatchEnd::Enough,
            () = time => WatchEnd::Time,
            _ = interrupt.recv() => WatchEnd::Signal,
            _ = terminate.recv() => WatchEnd::Signal,
        };
        sink.watching.borrow_mut().is_over = true;
        let (was_connected, failed) = {
            let watching = sink.watching.borrow();
            (watching.was_connected, watching.failed)
        };
        if was_connected {
            handle.disconnect();
            let _ = tokio::time::timeout(GOODBYE_WITHIN, polling).await;
        }
        acknowledging.abort();
        if failed || (!was_connected && end != WatchEnd::Signal) {
            return Err(WatchError::NotConnected(addresses.join("`, `")));
        }
        Ok(end)
    };
    runtime.block_on(LocalSet::new().run_until(watching))
}

/// Hands what comes over, and then acknowledges it.
struct Taker<'a> {
    watching: RefCell<Watching<'a>>,
    over: Notify,
}

struct Watching<'a> {
    take: &'a mut dyn FnMut(Watched<'_>) -> ControlFlow<()>,
    receipts: UnboundedSender<Vec<Receipt>>,
    was_connected: bool,
    /// Servers that weren't tried yet.
    untried: usize,
    /// The first attempt to connect failed, with each of them.
    failed: bool,
    /// Nothing more is handed over; what comes now is on its way to a closed door.
    is_over: bool,
}

impl Sink for Taker<'_> {
    async fn put(&self, event: SessionEvent) {
        let mut watching = self.watching.borrow_mut();
        if watching.is_over {
            return;
        }
        let at_ms = clock::wall_ms();
        let flow = match event {
            SessionEvent::Connected { .. } => {
                watching.was_connected = true;
                (watching.take)(Watched::Connected { at_ms })
            }
            SessionEvent::Lost if !watching.was_connected => {
                watching.untried = watching.untried.saturating_sub(1);
                watching.failed = watching.untried == 0;
                if watching.failed { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            }
            SessionEvent::Lost => (watching.take)(Watched::Lost { at_ms }),
            // The connection has told of it.
            SessionEvent::Subscribed(_) => ControlFlow::Continue(()),
            SessionEvent::Messages(messages) => {
                let mut flow = ControlFlow::Continue(());
                for delivered in messages {
                    // What nobody can read isn't here; the connection has told of it.
                    if delivered.unread.is_none() {
                        flow = (watching.take)(Watched::Message {
                            at_ms,
                            topic: std::str::from_utf8(&delivered.topic).ok(),
                            payload: &delivered.payload,
                            qos: delivered.qos(),
                            retain: delivered.retain,
                            dup: delivered.dup,
                        });
                    }
                    // The other end lives as long as the session.
                    let _ = watching.receipts.send(delivered.receipt.into_iter().collect());
                    if flow.is_break() {
                        break;
                    }
                }
                flow
            }
        };
        if flow.is_break() {
            watching.is_over = true;
            self.over.notify_one();
        }
    }
}
