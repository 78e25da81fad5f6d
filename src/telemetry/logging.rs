//! Logging of a process, from its set-up to its end: who writes where, on which threads, and how
//! long the end waits for them.

use std::io::{self, IsTerminal};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use text::{escape, format_date};
use tls::{Certificates, Look, Source};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;

use super::event::Event;
use super::expiry::{emit_expiry, emit_peer_expiry};
use super::hub::{Clock, Hub, HubLayer, Output};
use super::mistakes::report_mistakes;
use super::record::Record;
use super::renewal::take_up;
use super::stderr::{Stderr, StderrWriter};
use super::style::Style;
use super::syslog::{EmitToOthers, Identity, Shortfall, Target, Worker};

/// Names the variable that is asked where `--log` isn't given.
pub const LOG_VARIABLE: &str = "SPARKDIODE_LOG";

/// Without `--log` and variable: what an operator needs, and of the MQTT client only what went
/// wrong, since it logs every reconnect attempt.
const DEFAULT_FILTER: &str = "info,rumqttc=error";

/// How long the end of a half waits for its syslog targets to take what is left.
const SEND_WITHIN: Duration = Duration::from_secs(3);
/// And how much longer for the threads to end; a write that is under way may take longer still.
const END_AFTER: Duration = Duration::from_secs(1);
/// And for stderr after that.
const STDERR_WITHIN: Duration = Duration::from_secs(1);
/// How often it is looked whether something is to be summarised.
const TICK: Duration = Duration::from_secs(1);

/// Why logging can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// A filter that can't be parsed.
    #[error("bad log filter `{}`: {detail}", escape(filter))]
    Filter { filter: String, detail: String },
    /// Set up twice in one process; our mistake.
    #[error("logging was set up twice")]
    Twice,
}

/// Sends events of this process, the half called `half`, to stderr and to `targets`. `filter` says
/// what stderr shows: a level (`error`, `warn`, `info`, `debug`, `trace`) or a list such as
/// `info,rumqttc=debug`; without it the variable `SPARKDIODE_LOG` is asked, then `info` taken.
///
/// Nothing is written before [`Logging::start`]; until then events wait.
///
/// # Errors
/// The filter can't be parsed, or logging is set up already.
pub fn init(
    half: &'static str,
    filter: Option<&str>,
    targets: Vec<Target>,
) -> Result<Logging, LoggingError> {
    let variable = std::env::var(LOG_VARIABLE).ok().filter(|value| !value.is_empty());
    let filter = filter.or(variable.as_deref()).unwrap_or(DEFAULT_FILTER);
    let parsed = EnvFilter::builder().parse(filter).map_err(|error| LoggingError::Filter {
        filter: filter.to_owned(),
        detail: error.to_string(),
    })?;
    let style = Style { half, ansi: colours(&io::stderr()) };
    let identity = Identity { hostname: hostname(), half, process_id: std::process::id() };
    let (stderr, writer) = Stderr::new();
    let (stop, stopped) = crossbeam_channel::bounded(0);
    let (stderr_stop, stderr_stopped) = crossbeam_channel::bounded(0);
    // What happens to a target is sent to the others, through the hub, which is made after the
    // workers.
    let hub: Arc<OnceLock<Weak<Hub>>> = Arc::default();
    let mut outputs = Vec::new();
    let mut workers = Vec::new();
    for (number, target) in targets.into_iter().enumerate() {
        let way = Arc::clone(&hub);
        let emit_to_others: EmitToOthers = Box::new(move |record| {
            if let Some(hub) = way.get().and_then(Weak::upgrade) {
                hub.emit_to_others(number, record);
            }
        });
        let (queue, worker) = Worker::new(&target, &identity, stopped.clone(), emit_to_others);
        let local = target.addresses().is_empty();
        workers.push(Starting { name: target.name.clone(), local, worker });
        outputs.push(Output { target, queue });
    }
    let shared = Arc::new(Hub::new(
        style,
        wall_and_steady(),
        Box::new(move |line| stderr.offer(line)),
        &parsed,
        outputs,
    ));
    let _ = hub.set(Arc::downgrade(&shared));
    let subscriber =
        tracing_subscriber::registry().with(HubLayer::new(Arc::clone(&shared), parsed));
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LoggingError::Twice)?;
    Ok(Logging {
        hub: shared,
        style,
        waiting: Some((writer, workers)),
        stop: Some(stop),
        stopped,
        stderr_stop: Some(stderr_stop),
        stderr_stopped,
        stderr: None,
        clock: None,
        certificates: Certificates::default(),
        looks: Vec::new(),
        send_within: SEND_WITHIN,
        threads: Vec::new(),
    })
}

/// Logging that was set up. Its end emits what is still counted, and waits a moment until it is
/// written.
#[must_use]
pub struct Logging {
    hub: Arc<Hub>,
    style: Style,
    /// Not started yet.
    waiting: Option<(StderrWriter, Vec<Starting>)>,
    stop: Option<Sender<()>>,
    stopped: Receiver<()>,
    /// stderr ends last: the others may have something to say until then.
    stderr_stop: Option<Sender<()>>,
    stderr_stopped: Receiver<()>,
    stderr: Option<Receiver<()>>,
    clock: Option<Receiver<()>>,
    certificates: Certificates,
    /// What else is looked at every second.
    looks: Vec<Box<dyn Fn() + Send>>,
    /// How long the end waits for the targets.
    send_within: Duration,
    /// Name of the target, and when it is done: what it didn't get.
    threads: Vec<(String, Receiver<Shortfall>)>,
}

/// A target whose worker has no thread yet.
struct Starting {
    name: String,
    /// It is reached without a network.
    local: bool,
    worker: Worker,
}

impl std::fmt::Debug for Logging {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Logging").field("style", &self.style).finish_non_exhaustive()
    }
}

impl Logging {
    /// Certificates of a connection, whose end is announced in time, at the start and every day: of
    /// its files, which are taken up while the process runs, every second if they are others, and of
    /// its server, once that has shown it.
    pub fn watch_source(&mut self, source: Arc<Source>) {
        self.certificates.sources.push(source);
    }

    /// Something else that is looked at every second, by the same thread.
    pub fn watch(&mut self, look: impl Fn() + Send + 'static) {
        self.looks.push(Box::new(look));
    }

    /// All that are watched.
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// Waits this long at the end for the targets, instead of 3 s. Call it before the start.
    pub fn send_within(&mut self, limit: Duration) {
        self.send_within = limit;
    }

    /// Starts the threads that write, one for stderr, one for each target, and one that
    /// summarises what was too much for a line each. Call it after the process sealed itself,
    /// so that they are sealed too.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start(&mut self) -> io::Result<()> {
        self.start_targets(|_| true)
    }

    fn start_targets(&mut self, wanted: fn(&Starting) -> bool) -> io::Result<()> {
        let Some((writer, workers)) = self.waiting.take() else { return Ok(()) };
        let (stopped, style) = (self.stderr_stopped.clone(), self.style);
        self.stderr = Some(spawn("log-stderr", move || {
            writer.run(&stopped, &mut io::stderr(), |lost| style.record(&stderr_loss(lost)));
        })?);
        let send_within = self.send_within;
        for Starting { name, worker, .. } in workers.into_iter().filter(wanted) {
            let ended = spawn(&format!("log-{name}"), move || worker.run(send_within))?;
            self.threads.push((name, ended));
        }
        let (stopped, hub) = (self.stopped.clone(), Arc::clone(&self.hub));
        let certificates = std::mem::take(&mut self.certificates);
        let looks = std::mem::take(&mut self.looks);
        self.clock = Some(spawn("log-clock", move || {
            let mut day = None;
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                report_mistakes();
                hub.tick();
                let at = clock::wall();
                if take_up(&certificates, Look::Regular) {
                    day = None;
                }
                looks.iter().for_each(|look| look());
                if day.replace(format_date(at)) != Some(format_date(at)) {
                    let sources = &certificates.sources;
                    for end in sources.iter().flat_map(|source| source.ends()) {
                        emit_expiry(&end.certificate, end.not_after, at);
                    }
                    // A connection may last for years without another handshake.
                    for peer in sources.iter().map(|source| source.peer()) {
                        if let Some(end) = peer.end() {
                            emit_peer_expiry(peer, end.not_after, at);
                        }
                    }
                }
            }
        })?);
        Ok(())
    }
}

/// Starts a thread; what it returns comes through the channel.
fn spawn<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Receiver<T>> {
    let (done, ended) = crossbeam_channel::bounded(1);
    // The kernel keeps 15 bytes of a thread's name; a target's name is ASCII.
    let name = name.get(..15).unwrap_or(name).to_owned();
    std::thread::Builder::new().name(name).spawn(move || {
        let _ = done.send(run());
    })?;
    Ok(ended)
}

impl Logging {
    /// Sends every event of the catalogue to every target that wants it, as a test; returns how
    /// many.
    pub fn send_catalogue(&self) -> u64 {
        self.hub.send_catalogue()
    }

    /// Emits what is still counted, and waits a moment until it is written. Returns for each
    /// target what it didn't get, if that is known by then.
    pub fn finish(mut self) -> Vec<(String, Option<Shortfall>)> {
        self.end()
    }

    fn end(&mut self) -> Vec<(String, Option<Shortfall>)> {
        report_mistakes();
        self.hub.finish();
        if self.waiting.is_some() {
            // The half failed before it was sealed: it may not use the network, but it can
            // log on this machine.
            let _ = self.start_targets(|starting| starting.local);
        }
        drop(self.stop.take());
        let within = self.send_within.saturating_add(END_AFTER);
        let by = clock::steady().checked_add(within).unwrap_or_else(clock::steady);
        let mut ends = Vec::new();
        for (target, ended) in std::mem::take(&mut self.threads) {
            let shortfall = ended.recv_deadline(by).ok();
            match shortfall {
                Some(Shortfall { lost, unconfirmed }) => {
                    if lost > 0 {
                        self.hub.emit_to_stderr(&loss(&target, &lost.to_string()));
                    }
                    if unconfirmed > 0 {
                        self.hub.emit_to_stderr(&unconfirmed_record(&target, unconfirmed));
                    }
                }
                None => self.hub.emit_to_stderr(&loss(&target, "unknown")),
            }
            ends.push((target, shortfall));
        }
        if let Some(ended) = self.clock.take() {
            let _ = ended.recv_deadline(by);
        }
        drop(self.stderr_stop.take());
        if let Some(ended) = self.stderr.take() {
            let _ = ended.recv_timeout(STDERR_WITHIN);
        }
        ends
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        self.end();
    }
}

/// The name under which this machine is known to itself.
fn hostname() -> String {
    let name = ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())
        .unwrap_or_default();
    let name = name.trim();
    // RFC 5424 §6.2.4: 1 to 255 of PRINTUSASCII, or nothing.
    let fits = (1..=255).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { name.to_owned() } else { "-".to_owned() }
}

fn stderr_loss(lost: u64) -> Record {
    loss("stderr", &lost.to_string())
}

fn loss(target: &str, lost: &str) -> Record {
    let mut record = Record::new(clock::wall(), Event::LogLost);
    record.add("target", target);
    record.add("lost", lost);
    record
}

fn unconfirmed_record(target: &str, lines: u64) -> Record {
    let mut record = Record::new(clock::wall(), Event::LogUnconfirmed);
    record.add("target", target);
    record.add("lines", &lines.to_string());
    record
}

/// Whether text for `stream` may be coloured: a terminal, and nobody said `NO_COLOR`.
pub fn colours(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The wall clock, and one that never goes backwards.
fn wall_and_steady() -> Clock {
    let steady = clock::Clock::start();
    Box::new(move || (clock::wall(), steady.elapsed()))
}

#[cfg(test)]
mod tests;
