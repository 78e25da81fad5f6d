//! `[[syslog]]` of both halves: where events go besides stderr.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use diagnostic::{Placed, Section};
use telemetry::syslog::{DEV_LOG, EXAMPLE_ENTERPRISE, Facility, JOURNALD, LocalFormat, Selection};
use telemetry::{Event, Severity};
use tls::TlsConfig;

use super::address::Address;
use super::broker_tls::read_tls;
use super::code;
use super::reader::Reader;
use super::servers::read_address;

/// `queue-lines`: with the limits of events, minutes of an incident while a server restarts.
const DEFAULT_QUEUE_LINES: u64 = 2_048;

const KEYS: &[&str] = &[
    "name",
    "to",
    "address",
    "path",
    "format",
    "tls",
    "min-severity",
    "events",
    "except-events",
    "facility",
    "enterprise-number",
    "time-synced",
    "queue-lines",
];

/// Without those of targets in a network.
const KEYS_LOCAL: &[&str] = &[
    "name",
    "to",
    "path",
    "format",
    "min-severity",
    "events",
    "except-events",
    "facility",
    "enterprise-number",
    "time-synced",
    "queue-lines",
];

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

/// Those of a half, and those of an end of a link, whose only network is the link.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    All,
    Local,
}

impl SyslogConfig {
    /// Types every `[[syslog]]`; `None` if something in one of them was reported.
    pub(super) fn read_all(
        reader: &mut Reader,
        top: &mut Section<'_, '_>,
    ) -> Option<Vec<SyslogConfig>> {
        SyslogConfig::read_within(reader, top, Reach::All)
    }

    /// The same, of an end of a link.
    pub(super) fn read_local(
        reader: &mut Reader,
        top: &mut Section<'_, '_>,
    ) -> Option<Vec<SyslogConfig>> {
        SyslogConfig::read_within(reader, top, Reach::Local)
    }

    fn read_within(
        reader: &mut Reader,
        top: &mut Section<'_, '_>,
        reach: Reach,
    ) -> Option<Vec<SyslogConfig>> {
        let mut targets: Vec<(SyslogConfig, Range<usize>)> = Vec::new();
        let mut complete = true;
        for section in top.tables("syslog", "syslog", &mut reader.problems) {
            let mut section =
                section.with_keys(if reach == Reach::All { KEYS } else { KEYS_LOCAL });
            let target = match reach == Reach::Local && is_remote(reader, &mut section) {
                true => None,
                false => SyslogConfig::read(reader, &mut section, reach),
            };
            reader.close(&section);
            let Some(target) = target else {
                complete = false;
                continue;
            };
            let span = section.header();
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

    fn read(
        reader: &mut Reader,
        section: &mut Section<'_, '_>,
        reach: Reach,
    ) -> Option<SyslogConfig> {
        reader.required(section, "to", "\"journald\"");
        let is_said = section.key_span("to").is_some();
        let [local @ .., _, _, _] = &WORDS;
        let words = if reach == Reach::All { &WORDS[..] } else { local };
        let to = reader.word(section, "to", words, To::Journald);
        let mut address = None;
        let mut tls = None;
        if reach == Reach::All {
            address = section.string("address", &mut reader.problems);
            tls = section.table("tls", "syslog.tls", &mut reader.problems);
        }
        let path = reader.path_under(section, "path").map(|path| path.path);
        let formats = [("rfc3164", LocalFormat::Rfc3164), ("rfc5424", LocalFormat::Rfc5424)];
        let format = reader.word(section, "format", &formats, LocalFormat::Rfc3164);
        let name = reader.text(section, "name", name_fault);
        let severities = Severity::ALL.map(|severity| (severity.name(), severity));
        let min_severity = reader.word(section, "min-severity", &severities, Severity::Info);
        let selection = read_selection(reader, section);
        let facility = reader.word(section, "facility", &Facility::ALL, Facility::default());
        let enterprise = reader.number(
            section,
            "enterprise-number",
            1..=u64::from(u32::MAX),
            u64::from(EXAMPLE_ENTERPRISE),
        );
        let time_synced = reader.boolean(section, "time-synced", false);
        let queue_lines = reader.number(section, "queue-lines", 16..=65_536, DEFAULT_QUEUE_LINES);
        if !is_said {
            return None;
        }
        report_strangers(reader, section, to);
        let place = match to {
            To::Journald => SyslogTo::Journald { path: path.unwrap_or_else(|| JOURNALD.into()) },
            To::Local => SyslogTo::Local { path: path.unwrap_or_else(|| DEV_LOG.into()), format },
            To::Udp | To::Tcp | To::Tls => read_remote(reader, section, to, address, tls)?,
        };
        Some(SyslogConfig {
            name: name.unwrap_or_else(|| match place.address() {
                Some(address) => format!("{}:{address}", to.word()),
                None => to.word().to_owned(),
            }),
            to: place,
            min_severity,
            selection: selection?,
            facility,
            enterprise: u32::try_from(enterprise).ok()?,
            time_synced,
            queue_lines: usize::try_from(queue_lines).ok()?,
        })
    }
}

/// Reports a target in a network, where none can be reached.
fn is_remote(reader: &mut Reader, section: &mut Section<'_, '_>) -> bool {
    let Some(to) = section.any("to") else { return false };
    let (span, Some(word)) = (to.span(), to.get_ref().as_str()) else { return false };
    if !matches!(word, "udp" | "tcp" | "tls") {
        return false;
    }
    // All of it falls with that.
    for key in KEYS {
        let _ = section.any(key);
    }
    let problem = reader
        .error(code::COMBINATION, span, format!("an end of a link can't log to `{word}`"))
        .label("wanted `journald` or `local`")
        .help("its only network is the link, which goes one way: the log daemon of this machine passes on what it gets");
    reader.push(problem);
    true
}

/// Reports the keys that have no meaning for this kind of target.
fn report_strangers(reader: &mut Reader, section: &Section<'_, '_>, to: To) {
    for (key, takes) in [
        ("address", &[To::Udp, To::Tcp, To::Tls][..]),
        ("path", &[To::Journald, To::Local][..]),
        ("format", &[To::Local][..]),
        ("tls", &[To::Tls][..]),
    ] {
        let Some(span) = section.value_span(key).filter(|_| !takes.contains(&to)) else { continue };
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

/// A target in the network.
fn read_remote(
    reader: &mut Reader,
    section: &Section<'_, '_>,
    to: To,
    address: Option<Placed<String>>,
    tls: Option<Section<'_, '_>>,
) -> Option<SyslogTo> {
    let example = if to == To::Tls { "\"10.10.0.9:6514\"" } else { "\"10.10.0.9:514\"" };
    reader.required(section, "address", example);
    let text = address?;
    let address = read_address(reader, "address", &text)?;
    if to == To::Tls {
        let host = Some(address.host.clone());
        reader.required(section, "tls", "{ ca-file = \"log-ca.pem\" }");
        return Some(SyslogTo::Tls(address, read_tls(reader, tls?, host)?));
    }
    let title = "what is logged is neither encrypted nor authenticated";
    let problem = reader
        .warning(code::PLAINTEXT, text.span, title)
        .help("use `to = \"tls\"` with `[syslog.tls]` wherever the log leaves the appliance");
    reader.push(problem);
    Some(if to == To::Udp { SyslogTo::Udp(address) } else { SyslogTo::Tcp(address) })
}

impl To {
    fn word(self) -> &'static str {
        WORDS.iter().find(|(_, to)| *to == self).map_or("", |(word, _)| word)
    }
}

fn read_selection(reader: &mut Reader, section: &mut Section<'_, '_>) -> Option<Selection> {
    let [only_key, except_key] = ["events", "except-events"];
    let only = section.list(only_key, &mut reader.problems);
    let except = section.list(except_key, &mut reader.problems);
    match (only, except) {
        (None, None) => Some(Selection::All),
        (Some(events), None) => Some(Selection::Only(read_events(reader, only_key, events)?)),
        (None, Some(events)) => Some(Selection::Except(read_events(reader, except_key, events)?)),
        (Some(only), Some(except)) => {
            if let (Some(only), Some(except)) = (only.value.first(), except.value.first()) {
                let title = "`events` and `except-events` exclude each other";
                let problem = reader
                    .error(code::COMBINATION, except.span.clone(), title)
                    .also(only.span.clone(), "`events` names all that are sent");
                reader.push(problem);
            }
            None
        }
    }
}

fn read_events(
    reader: &mut Reader,
    key: &'static str,
    names: Placed<Vec<Placed<String>>>,
) -> Option<Vec<Event>> {
    let mut events = Vec::new();
    let mut complete = true;
    for name in names.value {
        if let Some(event) = Event::from_msgid(&name.value) {
            events.push(event);
            continue;
        }
        complete = false;
        let title = format!("unknown event in `{key}`: `{}`", name.value);
        let problem = reader
            .error(code::VALUE, name.span, title)
            .label("no MSGID of the catalogue")
            .did_you_mean(&name.value, Event::ALL.iter().map(|event| event.msgid()))
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
mod tests;
