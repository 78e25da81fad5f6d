//! The forms of a line: RFC 5424, RFC 3164 as `/dev/log` has it, and journald's fields. Values
//! come clean from the record; what is added here is each form's own escaping.

use std::fmt::{self, Write};

use syslog_fmt::v5424::{Config, Formatter, Timestamp, write_data, write_msg};
use text::format_utc;

use super::Target;
use crate::event::Severity;
use crate::record::Record;

/// Bytes of a line that every receiver should take (RFC 5424 §6.1). The message for people is cut
/// to fit; the structured data is within it whatever the values are, by the record's bounds.
pub const MAX_LINE_BYTES: usize = 2_048;

/// Facilities of RFC 5424 §6.2.1 that make sense for a relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Facility {
    User,
    #[default]
    Daemon,
    Auth,
    Authpriv,
    Local0,
    Local1,
    Local2,
    Local3,
    Local4,
    Local5,
    Local6,
    Local7,
}

impl Facility {
    /// With the words of configurations.
    pub const ALL: [(&'static str, Facility); 12] = [
        ("user", Facility::User),
        ("daemon", Facility::Daemon),
        ("auth", Facility::Auth),
        ("authpriv", Facility::Authpriv),
        ("local0", Facility::Local0),
        ("local1", Facility::Local1),
        ("local2", Facility::Local2),
        ("local3", Facility::Local3),
        ("local4", Facility::Local4),
        ("local5", Facility::Local5),
        ("local6", Facility::Local6),
        ("local7", Facility::Local7),
    ];

    const fn of_syslog(self) -> syslog_fmt::Facility {
        match self {
            Facility::User => syslog_fmt::Facility::User,
            Facility::Daemon => syslog_fmt::Facility::Daemon,
            Facility::Auth => syslog_fmt::Facility::Auth,
            Facility::Authpriv => syslog_fmt::Facility::Authpriv,
            Facility::Local0 => syslog_fmt::Facility::Local0,
            Facility::Local1 => syslog_fmt::Facility::Local1,
            Facility::Local2 => syslog_fmt::Facility::Local2,
            Facility::Local3 => syslog_fmt::Facility::Local3,
            Facility::Local4 => syslog_fmt::Facility::Local4,
            Facility::Local5 => syslog_fmt::Facility::Local5,
            Facility::Local6 => syslog_fmt::Facility::Local6,
            Facility::Local7 => syslog_fmt::Facility::Local7,
        }
    }
}

impl Severity {
    const fn of_syslog(self) -> syslog_fmt::Severity {
        match self {
            Severity::Critical => syslog_fmt::Severity::Crit,
            Severity::Error => syslog_fmt::Severity::Err,
            Severity::Warning => syslog_fmt::Severity::Warning,
            Severity::Notice => syslog_fmt::Severity::Notice,
            Severity::Info => syslog_fmt::Severity::Info,
        }
    }
}

/// Who speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub hostname: String,
    pub half: &'static str,
    pub process_id: u32,
}

impl Identity {
    /// APP-NAME: it distinguishes the halves.
    pub fn app_name(&self) -> String {
        format!("sparkdiode-{}", self.half)
    }
}

/// One event on its way to one target.
#[derive(Clone, Copy, Debug)]
pub struct Numbered<'a> {
    pub record: &'a Record,
    /// `sequenceId` of RFC 5424 §7.3.1. Lines that were lost before they were sent have numbers
    /// too, so that a receiver sees every hole.
    pub sequence: u32,
    /// The target may have it already.
    pub resent: bool,
}

/// Writes lines for one target.
pub struct Lines {
    formatter: Formatter,
    facility: syslog_fmt::Facility,
    identity: Identity,
    app_name: String,
    own_id: String,
    enterprise: String,
    time_synced: bool,
}

impl fmt::Debug for Lines {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Lines").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Lines {
    pub fn new(target: &Target, identity: &Identity) -> Lines {
        let app_name = identity.app_name();
        let facility = target.facility.of_syslog();
        let formatter = Config {
            facility,
            hostname: Some(&identity.hostname),
            app_name: Some(&app_name),
            proc_id: Some(&identity.process_id.to_string()),
        }
        .into_formatter();
        Lines {
            formatter,
            facility,
            identity: identity.clone(),
            app_name,
            own_id: format!("sparkdiode@{}", target.enterprise),
            enterprise: target.enterprise.to_string(),
            time_synced: target.time_synced,
        }
    }

    /// RFC 5424, without framing.
    pub fn rfc5424(&self, numbered: Numbered<'_>) -> Vec<u8> {
        let Numbered { record, sequence, resent } = numbered;
        let entry = record.event.entry();
        let sequence = sequence.to_string();
        let mut own = vec![("half", self.identity.half)];
        own.extend(record.fields.iter().map(|(name, value)| (*name, value.as_str())));
        if resent {
            own.push(("resent", "1"));
        }
        let synced = if self.time_synced { "1" } else { "0" };
        let data = [
            (self.own_id.as_str(), own),
            ("meta", vec![("sequenceId", sequence.as_str())]),
            ("timeQuality", vec![("tzKnown", "1"), ("isSynced", synced)]),
            (
                "origin",
                vec![
                    ("enterpriseId", self.enterprise.as_str()),
                    ("software", "sparkdiode"),
                    ("swVersion", env!("CARGO_PKG_VERSION")),
                ],
            ),
        ];
        let time = format_utc(record.at);
        let time = Timestamp::PreformattedStr(&time);
        let mut line = Vec::new();
        // Writing to a `Vec` can't fail.
        let _ = self.formatter.write_header(
            &mut line,
            entry.severity.of_syslog(),
            time,
            Some(entry.msgid),
        );
        let _ = write_data(&mut line, data);
        let room = MAX_LINE_BYTES.saturating_sub(line.len().saturating_add(1));
        let message = message(record);
        let _ = write_msg(&mut line, format_args!("{}", cut(&message, room)));
        line
    }

    /// RFC 3164, as programs write it to `/dev/log`: without a host name, and without a time,
    /// whose zone nobody knows; the daemon takes its own.
    pub fn rfc3164(&self, numbered: Numbered<'_>) -> Vec<u8> {
        let record = numbered.record;
        let severity = record.event.entry().severity.of_syslog() as u8;
        let priority = self.facility as u8 | severity;
        let (app, pid) = (self.app_name.as_str(), self.identity.process_id);
        let mut line = format!("<{priority}>{app}[{pid}]: {}", message(record));
        line.truncate(cut(&line, MAX_LINE_BYTES).len());
        line.into_bytes()
    }

    /// The native protocol of journald: `NAME=value` lines. No value has a line end in it.
    pub fn journald(&self, numbered: Numbered<'_>) -> Vec<u8> {
        let record = numbered.record;
        let entry = record.event.entry();
        let facility = self.facility as u8 >> 3;
        let mut line = format!(
            "MESSAGE={}\nPRIORITY={}\nSYSLOG_FACILITY={facility}\nSYSLOG_IDENTIFIER={}\n\
             SYSLOG_PID={}\nSPARKDIODE_MSGID={}\nSPARKDIODE_HALF={}\n",
            message(record),
            entry.severity as u8,
            self.app_name,
            self.identity.process_id,
            entry.msgid,
            self.identity.half,
        );
        for (name, value) in &record.fields {
            // Writing to a `String` can't fail.
            let _ = writeln!(line, "SPARKDIODE_{}={value}", name.to_ascii_uppercase());
        }
        line.into_bytes()
    }
}

/// What people read: with the MSGID, since many a syslog's file format leaves that of the header
/// out.
fn message(record: &Record) -> String {
    format!("{} {}", record.event.msgid(), record.message())
}

/// As much of `text` as fits into `bytes`, between characters.
fn cut(text: &str, bytes: usize) -> &str {
    let fits = text.char_indices().map(|(at, character)| at.saturating_add(character.len_utf8()));
    let end = if text.len() <= bytes {
        text.len()
    } else {
        fits.take_while(|end| *end <= bytes).last().unwrap_or(0)
    };
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests;
