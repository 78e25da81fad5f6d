//! One event, ready to be emitted: every value cleaned and cut, here and nowhere else. What the
//! output forms add is only the escaping of their own quotes.

use std::fmt::{self, Write};
use std::time::SystemTime;

use text::{clean, format_utc, grouped};
use tracing::field::{Field, Visit};

use super::event::{Event, Limit};
use super::flood::Repeated;

/// Bytes of one value. Topics of usual plants have fewer than 100.
pub const MAX_VALUE_BYTES: usize = 256;
/// Bytes of the values of one record, so that a record fits into a datagram that every receiver
/// of RFC 5424 should take (2,048 bytes), in all forms.
pub const MAX_VALUES_BYTES: usize = 640;

/// Between the values of a cause of several fields; no value has it once it is clean.
pub(super) const BETWEEN: char = '\u{1f}';

/// An event with its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub at: SystemTime,
    pub event: Event,
    /// Clean: no control characters, no line ends.
    pub fields: Vec<(&'static str, String)>,
    /// What it says instead of the catalogue's words.
    text: Option<String>,
}

impl Record {
    /// An event that happened at `at`; its fields are added by [`Record::add`].
    pub fn new(at: SystemTime, event: Event) -> Record {
        Record { at, event, fields: Vec::new(), text: None }
    }

    /// The summary of events that had no line of their own.
    pub fn repeated(at: SystemTime, repeated: &Repeated) -> Record {
        let window_s = repeated.window.as_millis().div_ceil(1_000);
        let count = repeated.count.to_string();
        let (first, last) = (format_utc(repeated.first), format_utc(repeated.last));
        let text = format!(
            "repeated {} times in {window_s} s, first {first}, last {last}",
            grouped(repeated.count)
        );
        let mut record = Record::new(at, repeated.event);
        record.text = Some(text);
        match (&repeated.source, repeated.event.entry().limit) {
            (Some(source), Limit::PerSource(name)) => record.add(name, source),
            (Some(source), Limit::Begins(names)) => {
                let values = names.iter().zip(source.split(BETWEEN));
                values.filter(|(_, value)| !value.is_empty()).for_each(|(name, value)| {
                    record.add(name, value);
                });
            }
            _ if repeated.sources > 0 => record.add("sources", &repeated.sources.to_string()),
            _ => {}
        }
        record.add("repeated", &count);
        record.add("window_s", &window_s.to_string());
        record.add("first_at", &first);
        record.add("last_at", &last);
        record
    }

    /// Adds a field, cleaned and cut.
    pub fn add(&mut self, name: &'static str, value: &str) {
        let used: usize = self.fields.iter().map(|(_, value)| value.len()).sum();
        let room = MAX_VALUES_BYTES.saturating_sub(used).min(MAX_VALUE_BYTES);
        self.fields.push((name, clean(value, room)));
    }

    /// What the line says before its fields.
    pub fn text(&self) -> &str {
        self.text.as_deref().unwrap_or(self.event.entry().text)
    }

    /// `text name=value name="two words"`: what people read, in every output.
    pub fn message(&self) -> String {
        let mut message = self.text().to_owned();
        for (name, value) in &self.fields {
            // Writing to a `String` can't fail.
            let _ = write!(message, " {name}={}", Quoted(value));
        }
        message
    }
}

/// Takes the fields of a `tracing` event into a record.
impl Visit for Record {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() != EVENT_FIELD {
            self.add(field.name(), value);
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.record_str(field, &with_causes(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// An error, and what it was caused by.
pub(super) fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    // Terminates: a chain of sources is finite, and is cut at what is shown anyway.
    while let Some(cause) = source.filter(|_| text.len() < MAX_VALUE_BYTES) {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

/// The field that carries the event's number.
pub(super) const EVENT_FIELD: &str = "event";

/// A clean value, in quotes where it needs them.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.is_empty() && !self.0.contains([' ', '=', '"']) {
            return formatter.write_str(self.0);
        }
        formatter.write_char('"')?;
        for (at, part) in self.0.split('"').enumerate() {
            if at > 0 {
                formatter.write_str("\\\"")?;
            }
            formatter.write_str(part)?;
        }
        formatter.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_summary_says_how_often_since_when_and_until_when() {
        let at = UNIX_EPOCH + Duration::from_secs(1_795_354_043);
        let record = Record::repeated(
            at,
            &Repeated {
                event: Event::CommandRefused,
                source: Some("spBv1.0/P/NCMD/\nE".into()),
                sources: 1,
                count: 1_204,
                first: at,
                last: at + Duration::from_millis(1),
                window: Duration::from_millis(59_100),
            },
        );
        assert_eq!(
            record.message(),
            "repeated 1,204 times in 60 s, first 2026-11-22T13:27:23.000Z, \
             last 2026-11-22T13:27:23.001Z topic=spBv1.0/P/NCMD/\\nE repeated=1204 window_s=60 \
             first_at=2026-11-22T13:27:23.000Z last_at=2026-11-22T13:27:23.001Z"
        );
    }

    #[test]
    fn values_are_bounded_one_by_one_and_together() {
        let mut record = Record::new(UNIX_EPOCH, Event::CommandRefused);
        for name in ["topic", "metrics", "reason"] {
            record.add(name, &"\u{202e}".repeat(10_000));
        }
        assert!(record.fields.iter().all(|(_, value)| value.len() <= MAX_VALUE_BYTES));
        assert!(
            record.fields.iter().map(|(_, value)| value.len()).sum::<usize>() <= MAX_VALUES_BYTES
        );
    }
}
