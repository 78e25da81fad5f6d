//! Logging to stderr: one line per event, for people first.
//!
//! ```text
//! 2026-11-22T13:27:23.123Z  INFO ot: BROKER_UP connected broker=10.10.0.5:8883
//! ```
//!
//! Every value is escaped, whatever it is and whoever logged it: a topic with a line feed in it
//! stays on its line.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write as _};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{RecvTimeoutError, Sender};
use tracing::Level;
use tracing::field::{Field, Visit};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;

use super::escape::{clean, escape};
use super::hub::{Clock, Hub, HubLayer};
use super::record::{Quoted, Record, with_causes};
use super::timestamp::format_utc;

/// Names the variable that is asked where `--log` isn't given.
pub const LOG_VARIABLE: &str = "SPARKDIODE_LOG";

/// Without `--log` and variable: what an operator needs, and of the MQTT client only what went
/// wrong, since it logs every reconnect attempt.
const DEFAULT_FILTER: &str = "info,rumqttc=error";

/// Bytes of a message or a value that isn't an event's. Ours are far shorter; those that quote
/// an error may not be.
const MAX_MESSAGE_BYTES: usize = 900;

/// How often it is looked whether something is to be summarised.
const TICK: Duration = Duration::from_secs(1);

/// Prefix of every target of this crate.
const OWN_TARGET: &str = "sparkdiode";

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

/// Sends events of this process, the half called `half`, to stderr. `filter` is a level
/// (`error`, `warn`, `info`, `debug`, `trace`) or a list such as `info,rumqttc=debug`; without it
/// the variable `SPARKDIODE_LOG` is asked, then `info` taken.
///
/// # Errors
/// The filter can't be parsed, or logging is set up already.
pub fn init(half: &'static str, filter: Option<&str>) -> Result<Logging, LoggingError> {
    let variable = std::env::var(LOG_VARIABLE).ok().filter(|value| !value.is_empty());
    let filter = filter.or(variable.as_deref()).unwrap_or(DEFAULT_FILTER);
    let parsed = EnvFilter::builder().parse(filter).map_err(|error| LoggingError::Filter {
        filter: filter.to_owned(),
        detail: error.to_string(),
    })?;
    let style = Style { half, ansi: colours(&io::stderr()) };
    let hub = Arc::new(Hub::new(style, wall_and_steady(), Box::new(to_stderr), &parsed));
    let subscriber = tracing_subscriber::registry().with(HubLayer::new(Arc::clone(&hub), parsed));
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LoggingError::Twice)?;
    Ok(Logging { hub, clock: None })
}

/// Logging that was set up. Its end tells what is still to be told.
#[derive(Debug)]
#[must_use]
pub struct Logging {
    hub: Arc<Hub>,
    clock: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Logging {
    /// Starts the thread that summarises what was too much for a line each. Its system calls are
    /// those of any thread that waits and writes, so that it may be started before the process
    /// seals itself, or after.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start(&mut self) -> io::Result<()> {
        let hub = Arc::clone(&self.hub);
        let (stop, stopped) = crossbeam_channel::bounded(0);
        let thread = std::thread::Builder::new().name("log".into()).spawn(move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                hub.tick();
            }
        })?;
        self.clock = Some((stop, thread));
        Ok(())
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.clock.take() {
            drop(stop);
            let _ = thread.join();
        }
        self.hub.finish();
    }
}

fn to_stderr(line: &str) {
    // Where not even that works there is nobody to tell.
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

/// Whether text for `stream` may be coloured: a terminal, and nobody said `NO_COLOR`.
pub fn colours(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// How lines for people look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) half: &'static str,
    pub(super) ansi: bool,
}

impl Style {
    /// The line of an event of the catalogue.
    pub(super) fn record(self, record: &Record) -> String {
        let entry = record.event.entry();
        let mut line = self.start(record.at, entry.severity.level());
        // Writing to a `String` can't fail.
        let _ = writeln!(line, ": {} {}", entry.msgid, record.message());
        line
    }

    /// The line of any other event: those of libraries, and what is for developers.
    pub(super) fn plain(self, at: SystemTime, event: &tracing::Event<'_>) -> String {
        let metadata = event.metadata();
        let mut line = self.start(at, *metadata.level());
        // Events of a library say whose they are.
        let root = metadata.target().split("::").next().unwrap_or_default();
        if root != OWN_TARGET && root != self.half {
            let _ = write!(line, " {}", escape(root));
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let _ = writeln!(line, ":{}{}", fields.message, fields.rest);
        line
    }

    fn start(self, at: SystemTime, level: Level) -> String {
        let (dim, colour, plain) =
            if self.ansi { ("\x1b[2m", colour_of(level), "\x1b[0m") } else { ("", "", "") };
        let (time, half) = (format_utc(at), self.half);
        format!("{dim}{time}{plain} {colour}{level:>5}{plain} {half}")
    }
}

/// The message and the other fields, escaped.
#[derive(Default)]
struct Fields {
    message: String,
    rest: String,
}

impl Fields {
    fn add(&mut self, field: &Field, value: &str) {
        let value = clean(value, MAX_MESSAGE_BYTES);
        // Writing to a `String` can't fail.
        let _ = match field.name() {
            "message" => write!(self.message, " {value}"),
            name => write!(self.rest, " {name}={}", Quoted(&value)),
        };
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.add(field, &with_causes(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, &format!("{value:?}"));
    }
}

fn colour_of(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        _ => "\x1b[2m",
    }
}

/// The wall clock, and one that never goes backwards.
#[expect(clippy::disallowed_methods, reason = "a log line carries the time at which it is written")]
fn wall_and_steady() -> Clock {
    let start = Instant::now();
    Box::new(move || (SystemTime::now(), start.elapsed()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::arithmetic_side_effects, reason = "numbers of a test")]

    use std::sync::Mutex;
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::event;

    fn logged(ansi: bool, log: impl FnOnce()) -> String {
        filtered("info", ansi, log)
    }

    fn filtered(filter: &str, ansi: bool, log: impl FnOnce()) -> String {
        let text = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&text);
        let now = UNIX_EPOCH + Duration::from_millis(1_795_354_043_123);
        let filter = EnvFilter::builder().parse(filter).unwrap();
        let hub = Arc::new(Hub::new(
            Style { half: "ot", ansi },
            Box::new(move || (now, Duration::ZERO)),
            Box::new(move |line| sink.lock().unwrap().push_str(line)),
            &filter,
        ));
        let subscriber =
            tracing_subscriber::registry().with(HubLayer::new(Arc::clone(&hub), filter));
        tracing::subscriber::with_default(subscriber, log);
        hub.finish();
        drop(hub);
        std::mem::take(&mut *text.lock().unwrap())
    }

    #[test]
    fn an_event_of_the_catalogue_shows_its_msgid() {
        let line = logged(false, || {
            event!(BrokerUp, broker = "10.10.0.5:8883", session_present = true);
        });
        assert_eq!(
            line,
            "2026-11-22T13:27:23.123Z  INFO ot: BROKER_UP connected broker=10.10.0.5:8883 \
             session_present=true\n"
        );
        let quiet = filtered("error", false, || {
            event!(BrokerUp, broker = "10.10.0.5:8883");
            event!(PolicyRefused, error = "bad");
        });
        assert!(quiet.contains("ERROR ot: POLICY_REFUSED"), "{quiet}");
        assert!(!quiet.contains("BROKER_UP"), "{quiet}");
    }

    #[test]
    fn a_flood_is_few_lines_with_the_right_total() {
        let lines = logged(false, || {
            for _ in 0..1_000 {
                event!(SequenceGap, node = "Plant/Line \n4");
            }
        });
        assert_eq!(lines.lines().count(), 11, "{lines}");
        assert!(lines.contains("SEQUENCE_GAP repeated 990 times in 0 s, first 2026"), "{lines}");
        assert!(lines.contains("node=\"Plant/Line \\n4\" repeated=990"), "{lines}");
    }

    #[test]
    fn an_event_is_one_readable_line() {
        let line = logged(false, || {
            tracing::info!(address = "10.10.0.5:8883", sessions = 3, name = "a b", "connected");
        });
        assert_eq!(
            line,
            "2026-11-22T13:27:23.123Z  INFO ot: connected address=10.10.0.5:8883 sessions=3 \
             name=\"a b\"\n"
        );
        let line = logged(false, || tracing::warn!(target: "rumqttc::state", "odd"));
        assert_eq!(line, "2026-11-22T13:27:23.123Z  WARN ot rumqttc: odd\n");
        let line = logged(false, || tracing::warn!(target: "ot", "odd"));
        assert_eq!(line, "2026-11-22T13:27:23.123Z  WARN ot: odd\n");
        assert!(logged(true, || tracing::error!("bad")).contains("\x1b[31mERROR\x1b[0m ot: bad"));
    }

    #[test]
    fn foreign_text_stays_on_its_line_and_in_its_field() {
        let topic = "a\n2026-11-22T13:27:23.123Z ERROR ot: forged x=\"1";
        let line = logged(false, || {
            tracing::info!(topic, debug = ?topic, display = %topic, "got {topic}");
        });
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        assert!(
            line.contains(r#"topic="a\n2026-11-22T13:27:23.123Z ERROR ot: forged x=\"1""#),
            "{line}"
        );
        let long = "x".repeat(100_000);
        assert!(logged(false, || tracing::info!(long, "{long}")).len() < 2_000);
    }

    #[test]
    fn errors_are_logged_with_their_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot connect")]
        struct Outer(#[source] io::Error);
        let error = Outer(io::Error::other("refused"));
        let line = logged(false, || {
            tracing::warn!(error = &error as &dyn std::error::Error, "retrying");
        });
        assert!(line.ends_with("retrying error=\"cannot connect: refused\"\n"), "{line}");
    }

    #[test]
    fn a_bad_filter_is_an_error_that_quotes_it() {
        let error = init("ot", Some("sparkdiode=loud")).unwrap_err();
        assert!(error.to_string().starts_with("bad log filter `sparkdiode=loud`: "), "{error}");
    }
}
