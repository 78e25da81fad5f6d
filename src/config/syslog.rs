//! `[[syslog]]` of both halves: where events go besides stderr.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use serde::Deserialize;
use telemetry::syslog::{DEV_LOG, EXAMPLE_ENTERPRISE, Facility, JOURNALD, LocalFormat, Selection};
use telemetry::{Event, Severity};
use tls::TlsConfig;
use toml::Spanned;

use super::broker::{Address, RawTls, read_address, read_tls};
use super::reader::{Reader, Section, code};

/// `queue-lines`: with the limits of events, minutes of an incident while a server restarts.
const DEFAULT_QUEUE_LINES: u64 = 2_048;

/// One target of events. A value that exists is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyslogConfig {
    /// Names it in events about it; unique.
    pub name: String,
    pub to: SyslogTo,
    pub min_severity: Severity,
    pub selection: Selection,
    pub facility: Facility,
    /// Private enterprise number of the SD-ID.
    pub enterprise: u32,
    /// Whether the operator vouches for the clock.
    pub time_synced: bool,
    /// Lines that may wait for it. 16 to 65,536.
    pub queue_lines: usize,
}

/// Where to, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyslogTo {
    Journald { path: PathBuf },
    Local { path: PathBuf, format: LocalFormat },
    Udp(Address),
    Tcp(Address),
    Tls(Address, TlsConfig),
}

impl SyslogTo {
    /// The network address, if it has one.
    pub fn address(&self) -> Option<&Address> {
        match self {
            SyslogTo::Journald { .. } | SyslogTo::Local { .. } => None,
            SyslogTo::Udp(address) | SyslogTo::Tcp(address) | SyslogTo::Tls(address, _) => {
                Some(address)
            }
        }
    }
}

/// As people say it: `10.10.0.9:6514 by TLS`.
impl fmt::Display for SyslogTo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SyslogTo::Journald { path } => write!(formatter, "journald at {}", path.display()),
            SyslogTo::Local { path, format } => {
                let format = match format {
                    LocalFormat::Rfc3164 => "RFC 3164",
                    LocalFormat::Rfc5424 => "RFC 5424",
                };
                write!(formatter, "the syslog daemon at {}, in {format}", path.display())
            }
            SyslogTo::Udp(address) => write!(formatter, "{address} by UDP"),
            SyslogTo::Tcp(address) => write!(formatter, "{address} by TCP"),
            SyslogTo::Tls(address, _) => write!(formatter, "{address} by TLS"),
        }
    }
}

/// `[[syslog]]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawSyslog {
    name: Option<Spanned<String>>,
    to: Option<Spanned<String>>,
    address: Option<Spanned<String>>,
    path: Option<Spanned<String>>,
    format: Option<Spanned<String>>,
    tls: Option<Spanned<RawTls>>,
    min_severity: Option<Spanned<String>>,
    events: Option<Vec<Spanned<String>>>,
    except_events: Option<Vec<Spanned<String>>>,
    facility: Option<Spanned<String>>,
    enterprise_number: Option<Spanned<i64>>,
    time_synced: Option<bool>,
    queue_lines: Option<Spanned<i64>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    Journald,
    Local,
    Udp,
    Tcp,
    Tls,
}

const WORDS: [(&str, To); 5] = [
    ("journald", To::Journald),
    ("local", To::Local),
    ("udp", To::Udp),
    ("tcp", To::Tcp),
    ("tls", To::Tls),
];

impl SyslogConfig {
    /// Types every `[[syslog]]`; `None` if something in one of them was reported.
    pub(super) fn read_all(
        reader: &mut Reader,
        raw: Option<Vec<Spanned<RawSyslog>>>,
    ) -> Option<Vec<SyslogConfig>> {
        let mut targets: Vec<(SyslogConfig, Range<usize>)> = Vec::new();
        let mut complete = true;
        for raw in raw.unwrap_or_default() {
            let span = raw.span();
            let Some(target) = SyslogConfig::read(reader, raw) else {
                complete = false;
                continue;
            };
            if let Some((_, first)) = targets.iter().find(|(known, _)| known.name == target.name) {
                let title = format!("two syslog targets are called `{}`", target.name);
                let problem = reader
                    .error(code::COMBINATION, span.clone(), title)
                    .also(first.clone(), "the first one")
                    .help("a target without `name` is called after what it sends to");
                reader.push(problem);
            }
            targets.push((target, span));
        }
        complete.then(|| targets.into_iter().map(|(target, _)| target).collect())
    }

    fn read(reader: &mut Reader, raw: Spanned<RawSyslog>) -> Option<SyslogConfig> {
        let (section, raw) = Section::of("syslog", Some(raw));
        let word = reader.required(&section, "to", raw.to, "\"journald\"");
        let to = reader.word("to", word.as_ref(), &WORDS, To::Journald);
        word.as_ref()?;
        for (key, span, takes) in [
            ("address", raw.address.as_ref().map(Spanned::span), &[To::Udp, To::Tcp, To::Tls][..]),
            ("path", raw.path.as_ref().map(Spanned::span), &[To::Journald, To::Local][..]),
            ("format", raw.format.as_ref().map(Spanned::span), &[To::Local][..]),
            ("tls", raw.tls.as_ref().map(Spanned::span), &[To::Tls][..]),
        ] {
            if let Some(span) = span.filter(|_| !takes.contains(&to)) {
                let with: Vec<String> = WORDS
                    .iter()
                    .filter(|(_, to)| takes.contains(to))
                    .map(|(word, _)| format!("`{word}`"))
                    .collect();
                let title = format!("`{key}` doesn't go with `to = \"{}\"`", to.word());
                let problem = reader
                    .error(code::COMBINATION, span, title)
                    .label(format!("belongs to {}", with.join(", ")));
                reader.push(problem);
            }
        }
        let place = match to {
            To::Journald | To::Local => {
                let default = if to == To::Local { DEV_LOG } else { JOURNALD };
                let path = raw.path.as_ref().map(|path| reader.path("path", path).path);
                let path = path.unwrap_or_else(|| PathBuf::from(default));
                let formats =
                    [("rfc3164", LocalFormat::Rfc3164), ("rfc5424", LocalFormat::Rfc5424)];
                let format =
                    reader.word("format", raw.format.as_ref(), &formats, LocalFormat::Rfc3164);
                if to == To::Local {
                    SyslogTo::Local { path, format }
                } else {
                    SyslogTo::Journald { path }
                }
            }
            To::Udp | To::Tcp | To::Tls => {
                let example =
                    if to == To::Tls { "\"10.10.0.9:6514\"" } else { "\"10.10.0.9:514\"" };
                let text = reader.required(&section, "address", raw.address, example)?;
                let address = read_address(reader, &text)?;
                match to {
                    To::Tls => {
                        let host = Some(address.host.clone());
                        let example = "{ ca-file = \"log-ca.pem\" }";
                        let tls = reader.required(&section, "tls", raw.tls, example)?;
                        let tls = read_tls(reader, "syslog.tls", tls, host)?;
                        SyslogTo::Tls(address, tls)
                    }
                    _ => {
                        let title = "what is logged is neither encrypted nor authenticated";
                        let problem = reader
                            .warning(code::PLAINTEXT, text.span(), title)
                            .help("use `to = \"tls\"` with `[syslog.tls]` wherever the log leaves the appliance");
                        reader.push(problem);
                        if to == To::Udp { SyslogTo::Udp(address) } else { SyslogTo::Tcp(address) }
                    }
                }
            }
        };
        let name = reader.text("name", raw.name, name_fault);
        let severities = Severity::ALL.map(|severity| (severity.name(), severity));
        let min_severity =
            reader.word("min-severity", raw.min_severity.as_ref(), &severities, Severity::Info);
        let selection = read_selection(reader, raw.events, raw.except_events)?;
        let facility =
            reader.word("facility", raw.facility.as_ref(), &Facility::ALL, Facility::default());
        let enterprise = reader.number(
            "enterprise-number",
            raw.enterprise_number.as_ref(),
            1..=u64::from(u32::MAX),
            u64::from(EXAMPLE_ENTERPRISE),
        );
        let queue_lines = reader.number(
            "queue-lines",
            raw.queue_lines.as_ref(),
            16..=65_536,
            DEFAULT_QUEUE_LINES,
        );
        Some(SyslogConfig {
            name: name.unwrap_or_else(|| match place.address() {
                Some(address) => format!("{}:{address}", to.word()),
                None => to.word().to_owned(),
            }),
            to: place,
            min_severity,
            selection,
            facility,
            enterprise: u32::try_from(enterprise).ok()?,
            time_synced: raw.time_synced.unwrap_or(false),
            queue_lines: usize::try_from(queue_lines).ok()?,
        })
    }
}

impl To {
    fn word(self) -> &'static str {
        WORDS.iter().find(|(_, to)| *to == self).map_or("", |(word, _)| word)
    }
}

fn read_selection(
    reader: &mut Reader,
    only: Option<Vec<Spanned<String>>>,
    except: Option<Vec<Spanned<String>>>,
) -> Option<Selection> {
    match (only, except) {
        (None, None) => Some(Selection::All),
        (Some(events), None) => Some(Selection::Only(read_events(reader, "events", events)?)),
        (None, Some(events)) => {
            Some(Selection::Except(read_events(reader, "except-events", events)?))
        }
        (Some(only), Some(except)) => {
            if let (Some(only), Some(except)) = (only.first(), except.first()) {
                let title = "`events` and `except-events` exclude each other";
                let problem = reader
                    .error(code::COMBINATION, except.span(), title)
                    .also(only.span(), "`events` names all that are sent");
                reader.push(problem);
            }
            None
        }
    }
}

fn read_events(
    reader: &mut Reader,
    key: &'static str,
    names: Vec<Spanned<String>>,
) -> Option<Vec<Event>> {
    let mut events = Vec::new();
    let mut complete = true;
    for name in names {
        if let Some(event) = Event::from_msgid(name.get_ref()) {
            events.push(event);
            continue;
        }
        complete = false;
        let title = format!("unknown event in `{key}`: `{}`", name.get_ref());
        let problem = reader
            .error(code::VALUE, name.span(), title)
            .label("no MSGID of the catalogue")
            .did_you_mean(name.get_ref(), Event::ALL.iter().map(|event| event.msgid()))
            .help("`sparkdiode events` lists them");
        reader.push(problem);
    }
    complete.then_some(events)
}

fn name_fault(name: &str) -> Option<String> {
    let fits = (1..=32).contains(&name.len())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter));
    (!fits).then(|| "wanted 1 to 32 of `A-Z a-z 0-9 . _ -`".to_owned())
}

#[cfg(test)]
#[path = "syslog_tests.rs"]
mod tests;
