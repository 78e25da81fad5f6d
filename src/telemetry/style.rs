//! Lines for people: how an event looks on stderr.
//!
//! ```text
//! 2026-11-22T13:27:23.123Z  INFO ot: BROKER_UP connected broker=10.10.0.5:8883
//! ```
//!
//! Every value is escaped, whatever it is and whoever logged it: a topic with a line feed in it
//! stays on its line.

use std::fmt::{self, Write as _};
use std::time::SystemTime;

use text::{Paint, Tone, clean, escape, format_utc};
use tracing::Level;
use tracing::field::{Field, Visit};

use super::record::{Quoted, Record, with_causes};

/// Bytes of a message or a value that isn't an event's. Ours are far shorter; those that quote
/// an error may not be.
const MAX_MESSAGE_BYTES: usize = 900;

/// Prefix of the targets of our own crates.
pub(super) const OWN_TARGET: &str = "sparkdiode";

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
        let paint = Paint::new(self.ansi);
        let time = paint.faint(format_utc(at));
        let level = paint.paint(tone_of(level), format_args!("{level:>5}"));
        format!("{time} {level} {}", self.half)
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

fn tone_of(level: Level) -> Tone {
    match level {
        Level::ERROR => Tone::Bad,
        Level::WARN => Tone::Odd,
        Level::INFO => Tone::Good,
        _ => Tone::Faint,
    }
}
