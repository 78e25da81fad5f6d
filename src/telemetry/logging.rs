//! Logging to stderr: one line per event, for people first.
//!
//! ```text
//! 2026-11-22T13:27:23.123Z  INFO ot: connected to the broker address=10.10.0.5:8883
//! ```
//!
//! Every value is escaped here, whatever it is and whoever logged it: a topic with a line feed
//! in it stays on its line.

use std::fmt::{self, Write};
use std::io::{self, IsTerminal};
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::escape::{escape, escape_to};
use super::timestamp::format_utc;

/// Names the variable that is asked where `--log` isn't given.
pub const LOG_VARIABLE: &str = "SPARKDIODE_LOG";

/// Without `--log` and variable: what an operator needs, and of the MQTT client only what went
/// wrong, since it logs every reconnect attempt.
const DEFAULT_FILTER: &str = "info,rumqttc=error";

/// Characters of a message. Ours are far shorter; those that quote an error may not be.
const MAX_MESSAGE: usize = 1_000;

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
pub fn init(half: &'static str, filter: Option<&str>) -> Result<(), LoggingError> {
    let variable = std::env::var(LOG_VARIABLE).ok().filter(|value| !value.is_empty());
    let filter = filter.or(variable.as_deref()).unwrap_or(DEFAULT_FILTER);
    let parsed = EnvFilter::builder().parse(filter).map_err(|error| LoggingError::Filter {
        filter: filter.to_owned(),
        detail: error.to_string(),
    })?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_ansi(colours(&io::stderr()))
        .event_format(Line { half, clock: wall_clock })
        .with_writer(io::stderr)
        .finish();
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LoggingError::Twice)
}

/// Whether text for `stream` may be coloured: a terminal, and nobody said `NO_COLOR`.
pub fn colours(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Formats one event as one line.
struct Line {
    half: &'static str,
    clock: fn() -> SystemTime,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let (dim, colour, plain) = if writer.has_ansi_escapes() {
            ("\x1b[2m", colour_of(*metadata.level()), "\x1b[0m")
        } else {
            ("", "", "")
        };
        let time = format_utc((self.clock)());
        write!(writer, "{dim}{time}{plain} {colour}{:>5}{plain}", metadata.level())?;
        write!(writer, " {}", self.half)?;
        // Events of a library say whose they are.
        let root = metadata.target().split("::").next().unwrap_or_default();
        if root != OWN_TARGET && root != self.half {
            write!(writer, " {}", escape(root))?;
        }
        writer.write_char(':')?;
        let mut fields = Fields { message: String::new(), rest: String::new() };
        event.record(&mut fields);
        writeln!(writer, "{}{}", fields.message, fields.rest)
    }
}

/// The message and the other fields, escaped.
struct Fields {
    message: String,
    rest: String,
}

impl Fields {
    fn add(&mut self, field: &Field, value: &str) {
        // Writing to a `String` can't fail.
        let _ = match field.name() {
            "message" => write!(self.message, " {}", Unquoted(value)),
            name if value.is_empty() || value.contains([' ', '=', '"']) => {
                write!(self.rest, " {name}=\"{}\"", escape(value))
            }
            name => write!(self.rest, " {name}={}", escape(value)),
        };
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        // Terminates: a chain of sources is finite, and is cut at what is shown anyway.
        while let Some(cause) = source.filter(|_| text.len() < MAX_MESSAGE) {
            let _ = write!(text, ": {cause}");
            source = cause.source();
        }
        self.add(field, &text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, &format!("{value:?}"));
    }
}

/// A message: escaped but for the quotes, which are our own more often than not, and harmless
/// outside of a value.
struct Unquoted<'a>(&'a str);

impl fmt::Display for Unquoted<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escaped = escape_to(self.0, MAX_MESSAGE).to_string();
        formatter.write_str(&escaped.replace("\\\"", "\""))
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

#[expect(clippy::disallowed_methods, reason = "a log line carries the time at which it is written")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(ansi: bool, log: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let clock = || UNIX_EPOCH.checked_add(Duration::from_millis(1_795_354_043_123)).unwrap();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(ansi)
            .event_format(Line { half: "ot", clock })
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
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
