//! `sparkdiode capture`: a recording of the plant's traffic, for the policy tools.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use broker::BrokerSettings;
use clap::Args;
use config::OtConfig;
use ot::{WatchEnd, WatchError, WatchSettings, Watched, watch};
use sparkplug::{Caps, MessageType, NAMESPACE, Topic};
use text::{counted, escape, grouped, show_time};
use tools::capture::redact::{Redacted, redact};
use tools::capture::{CaptureError, Header, Limit, Record, Writer};

use super::startup::{self, HalfArgs};
use super::{Exit, Failure, report, units};

/// Without `--max-bytes`.
pub(super) const DEFAULT_MAX_BYTES: &str = "1GiB";
/// Edge nodes and devices that are counted apart. More are invented.
const MAX_ENTITIES: usize = 100_000;
/// Nodes without a birth that are named; the rest is counted.
const MAX_NAMED: usize = 5;

/// Record the plant's traffic, for `sparkdiode policy`.
///
/// Connects to the OT broker of an `ot.toml` as the OT half does, but under a client identifier
/// of its own and without a lasting session: a relay that runs beside it isn't disturbed. Nothing
/// is published. By default the births, data and deaths of all groups are recorded, whatever the
/// policy allows, and neither commands nor STATE. FILE has mode 0600, and is never written over.
/// Ctrl-C ends the recording; what was recorded until then is whole.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  sparkdiode capture --config /etc/sparkdiode/ot.toml -o plant.capture \
                  --for 10m\n  sparkdiode capture --config ot.toml -o line4.capture \
                  --filter 'spBv1.0/Plant1/+/Line4/#'\n  sparkdiode capture --config ot.toml -o \
                  shareable.capture --for 1h --redact\n\nWith --redact every value is replaced: \
                  numbers by 0, booleans by false, strings by as many `x`, and bytes by as many 0, \
                  with their length rounded down to a power of two. Names of groups, edge nodes, \
                  devices, metrics, properties and templates, datatypes, times and sequence numbers \
                  remain."
)]
pub(super) struct CaptureArgs {
    #[command(flatten)]
    half: HalfArgs,
    /// The recording; it must not exist.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// End after this time (`90s`, `10m`, `1h`); otherwise Ctrl-C ends it.
    #[arg(long = "for", value_name = "TIME", value_parser = units::time)]
    run_for: Option<Duration>,
    /// MQTT topic filter, instead of all births, data and deaths. May be given several times.
    #[arg(long = "filter", value_name = "FILTER", value_parser = filter)]
    filters: Vec<String>,
    /// Replace every value.
    #[arg(long)]
    redact: bool,
    /// End before the file becomes larger than this (`64MiB`, `1GiB`).
    #[arg(long, value_name = "SIZE", default_value = DEFAULT_MAX_BYTES, value_parser = units::size)]
    max_bytes: u64,
    /// MQTT client identifier, where a broker admits only certain ones.
    #[arg(long, value_name = "ID", value_parser = client_id)]
    client_id: Option<String>,
}

pub(super) fn run(arguments: &CaptureArgs) -> Result<Exit, Failure> {
    let (config, warnings) = OtConfig::load(&arguments.half.config)?;
    let broker = watching_broker(&config, arguments.client_id.as_deref(), "capture")?;
    let mut logging = startup::begin("capture", &arguments.half, &config.broker, &[], warnings)?;
    startup::start_log(&mut logging)?;
    let filters = match arguments.filters.as_slice() {
        [] => all_entities(),
        filters => filters.to_vec(),
    };
    let recording = Recording {
        path: &arguments.output,
        run_for: arguments.run_for,
        redact: arguments.redact,
        max_bytes: arguments.max_bytes,
    };
    let (tally, bytes, ended) = record(&config, broker, filters, &recording)?;
    let ended = match (ended, arguments.run_for) {
        (WatchEnd::Time, Some(time)) => format!("after {}", show_time(time)),
        (WatchEnd::Enough, _) => {
            format!("at the largest size, {} bytes (--max-bytes)", grouped(arguments.max_bytes))
        }
        _ => "by a signal".to_owned(),
    };
    let mut text = format!(
        "recorded {} in {} ({} bytes)\n  ended        {ended}\n",
        tally.counted(),
        arguments.output.display(),
        grouped(bytes)
    );
    tally.describe(&mut text);
    if arguments.redact {
        text.push_str(
            "  redacted     every value is replaced; names, structure and times remain\n",
        );
    }
    report::output(&text)?;
    Ok(Exit::Ok)
}

/// What is recorded where.
pub(super) struct Recording<'a> {
    pub(super) path: &'a Path,
    pub(super) run_for: Option<Duration>,
    pub(super) redact: bool,
    pub(super) max_bytes: u64,
}

/// Records what `filters` let in; what it was, how many bytes it takes, and why it ended.
pub(super) fn record(
    config: &OtConfig,
    broker: BrokerSettings,
    filters: Vec<String>,
    recording: &Recording<'_>,
) -> Result<(Tally, u64, WatchEnd), Failure> {
    let header = header(config, &filters, recording.redact);
    let writer = Writer::create(recording.path, &header, recording.max_bytes)?;
    let caps = Caps::of_payloads(broker.max_packet_bytes);
    let mut recorder = Recorder {
        writer,
        redact: recording.redact.then_some(caps),
        tally: Tally::default(),
        failed: None,
    };
    let settings = WatchSettings { broker, filters, run_for: recording.run_for };
    let ended = watch(settings, &mut |watched| recorder.take(watched));
    let ended = ended.inspect_err(|_| {
        // Nothing is in it.
        if recorder.tally.messages == 0 {
            let _ = std::fs::remove_file(recording.path);
        }
    })?;
    let Recorder { mut writer, tally, failed, .. } = recorder;
    let flushed = writer.flush();
    if let Some(error) = failed.or(flushed.err()) {
        return Err(error.into());
    }
    Ok((tally, writer.bytes(), ended))
}

/// How to reach the OT broker beside a relay that runs, for the tool called `tool`.
pub(super) fn watching_broker(
    config: &OtConfig,
    client_id: Option<&str>,
    tool: &str,
) -> Result<BrokerSettings, Failure> {
    // Another process of the same tool has another identifier: a broker ends the session of
    // whoever had it before.
    let own = || format!("{}-{tool}-{}", config.client_id, std::process::id());
    startup::broker_settings(&config.broker, client_id.map_or_else(own, str::to_owned))
}

/// Births, data and deaths of everybody; neither commands nor STATE.
pub(super) fn all_entities() -> Vec<String> {
    let filter = |message_type: MessageType| {
        let device = if message_type.is_device() { "/+" } else { "" };
        format!("{NAMESPACE}/+/{message_type}/+{device}")
    };
    MessageType::ALL.into_iter().map(filter).collect()
}

/// The header of a recording that begins now.
fn header(config: &OtConfig, filters: &[String], redacted: bool) -> Header {
    Header {
        made_by: concat!("sparkdiode ", env!("CARGO_PKG_VERSION")).to_owned(),
        relay: config.name.clone(),
        broker: config.broker.address.to_string(),
        started_ms: clock::wall_ms(),
        filters: filters.to_vec(),
        redacted,
    }
}

impl From<CaptureError> for Failure {
    fn from(error: CaptureError) -> Failure {
        let exit = if error.is_os_error() { Exit::Io } else { Exit::Data };
        let failure = Failure::new(exit, error.to_string());
        error.hint().into_iter().fold(failure, Failure::hint)
    }
}

impl From<WatchError> for Failure {
    fn from(error: WatchError) -> Failure {
        Failure::new(Exit::Io, error.to_string())
    }
}

/// Writes what the broker sends.
struct Recorder {
    writer: Writer,
    /// Caps of decoding, where values are replaced.
    redact: Option<Caps>,
    tally: Tally,
    failed: Option<CaptureError>,
}

impl Recorder {
    fn take(&mut self, watched: Watched<'_>) -> ControlFlow<()> {
        let written = match watched {
            Watched::Connected { .. } if self.tally.losses == 0 => return ControlFlow::Continue(()),
            Watched::Connected { at_ms } => self.writer.note(at_ms, "connected again"),
            Watched::Lost { at_ms } => {
                self.tally.losses = self.tally.losses.saturating_add(1);
                self.writer.note(at_ms, "connection lost")
            }
            Watched::Message { at_ms, topic, payload, qos, retain, dup } => {
                let Some(topic) = topic else {
                    self.tally.not_text = self.tally.not_text.saturating_add(1);
                    return ControlFlow::Continue(());
                };
                let (payload, emptied) = match &self.redact {
                    None => (payload.to_vec(), false),
                    Some(caps) => {
                        let (payload, redacted) = redact(payload, caps);
                        (payload, redacted == Redacted::Emptied)
                    }
                };
                let topic = topic.to_owned();
                let record = Record { at_ms, topic, payload, qos, retain, dup };
                let written = self.writer.write(&record);
                if matches!(written, Ok(Limit::Below)) {
                    self.tally.count(&record, emptied);
                }
                written
            }
        };
        match written {
            Ok(Limit::Below) => ControlFlow::Continue(()),
            Ok(Limit::Reached) => ControlFlow::Break(()),
            Err(error) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
        }
    }
}

/// What a recording holds.
#[derive(Debug, Default)]
pub(super) struct Tally {
    messages: u64,
    /// By message type; and what isn't a birth, data or death.
    by_type: BTreeMap<MessageType, u64>,
    stored: u64,
    others: u64,
    emptied: u64,
    not_text: u64,
    losses: u64,
    /// Group and edge node, with whether a birth of it is in the recording.
    nodes: BTreeMap<(String, String), bool>,
    devices: BTreeSet<(String, String, String)>,
}

impl Tally {
    fn count(&mut self, record: &Record, emptied: bool) {
        let one_more = |number: &mut u64| *number = number.saturating_add(1);
        one_more(&mut self.messages);
        if emptied {
            one_more(&mut self.emptied);
        }
        let (topic, stored) = match Topic::parse(&record.topic) {
            Ok(Topic::Entity(topic)) => (topic, record.retain),
            Ok(Topic::StoredBirth(topic)) => (topic, true),
            _ => return one_more(&mut self.others),
        };
        if stored {
            one_more(&mut self.stored);
        } else {
            one_more(self.by_type.entry(topic.message_type).or_default());
        }
        if self.nodes.len().saturating_add(self.devices.len()) >= MAX_ENTITIES {
            return;
        }
        let (group, edge_node) = (topic.entity.group.to_owned(), topic.entity.edge_node.to_owned());
        let born = self.nodes.entry((group.clone(), edge_node.clone())).or_default();
        *born |= topic.message_type == MessageType::NBirth;
        if let Some(device) = topic.entity.device {
            self.devices.insert((group, edge_node, device.to_owned()));
        }
    }

    /// `1,234 messages of 3 edge nodes with 8 devices`.
    pub(super) fn counted(&self) -> String {
        let messages = match self.messages {
            1 => "1 message".to_owned(),
            number => format!("{} messages", grouped(number)),
        };
        format!(
            "{messages} of {} with {}",
            counted(self.nodes.len(), "edge node"),
            counted(self.devices.len(), "device")
        )
    }

    pub(super) fn describe(&self, text: &mut String) {
        let of = |types: [MessageType; 2]| {
            let numbers = types.iter().filter_map(|one| self.by_type.get(one));
            numbers.fold(0_u64, |sum, number| sum.saturating_add(*number))
        };
        let mut parts = vec![
            format!("{} births", grouped(of([MessageType::NBirth, MessageType::DBirth]))),
            format!("{} data", grouped(of([MessageType::NData, MessageType::DData]))),
            format!("{} deaths", grouped(of([MessageType::NDeath, MessageType::DDeath]))),
        ];
        for (number, what) in [
            (self.stored, "stored births"),
            (self.others, "others"),
            (self.emptied, "not decodable, recorded without their content"),
        ] {
            if number > 0 {
                parts.push(format!("{} {what}", grouped(number)));
            }
        }
        // Writing to a `String` can't fail.
        let _ = writeln!(text, "  messages     {}", parts.join(", "));
        if self.not_text > 0 {
            let _ =
                writeln!(text, "  left out     {} with a topic that isn't UTF-8", self.not_text);
        }
        let unborn: Vec<String> = self
            .nodes
            .iter()
            .filter(|(_, born)| !**born)
            .map(|((group, edge_node), _)| escape(&format!("{group}/{edge_node}")).to_string())
            .collect();
        if !unborn.is_empty() {
            let more = unborn.len().saturating_sub(MAX_NAMED);
            let named = unborn.into_iter().take(MAX_NAMED).collect::<Vec<_>>().join(", ");
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let _ = writeln!(
                text,
                "  no birth of  {named}{more}: their data can't be read without one; record until \
                 the nodes are born again, or have a host request it"
            );
        }
        if self.losses > 0 {
            let times = counted(self.losses, "time");
            let _ = writeln!(text, "  connection   lost {times}; messages are missing");
        }
    }
}

/// A topic filter that an MQTT broker takes, and that disturbs nobody.
fn filter(text: &str) -> Result<String, String> {
    if text.starts_with("$share/") {
        let title = "a shared subscription would take messages away from other subscribers";
        return Err(title.to_owned());
    }
    if text.is_empty() || text.len() > usize::from(u16::MAX) || text.contains('\0') {
        return Err("wanted: a topic filter, such as `spBv1.0/Plant1/+/Line4/#`".to_owned());
    }
    let levels: Vec<&str> = text.split('/').collect();
    let last = levels.len().saturating_sub(1);
    for (at, level) in levels.iter().enumerate() {
        if level.contains('#') && (*level != "#" || at != last) {
            return Err("`#` stands alone, as the last level".to_owned());
        }
        if level.contains('+') && *level != "+" {
            return Err("`+` stands alone in its level".to_owned());
        }
    }
    Ok(text.to_owned())
}

pub(super) fn client_id(text: &str) -> Result<String, String> {
    let fits = (1..=128).contains(&text.len()) && text.chars().all(|one| one.is_ascii_graphic());
    if fits {
        Ok(text.to_owned())
    } else {
        Err("wanted: 1 to 128 visible ASCII characters".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_filters_that_disturb_nobody_are_taken() {
        for good in ["#", "spBv1.0/#", "spBv1.0/+/NBIRTH/+", "STATE/+", "a b/ü"] {
            assert_eq!(filter(good), Ok(good.to_owned()));
        }
        for bad in ["", "$share/g/spBv1.0/#", "spBv1.0/#/x", "spBv1.0/a+", "a#", "a\0"] {
            assert!(filter(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_usual_filters_take_in_births_data_and_deaths_alone() {
        let filters = all_entities();
        assert_eq!(filters.len(), 6);
        assert!(filters.contains(&"spBv1.0/+/DDATA/+/+".to_owned()));
        assert!(!filters.iter().any(|filter| filter.contains("CMD") || filter.contains('#')));
    }

    #[test]
    fn a_tally_names_the_nodes_whose_birth_is_missing() {
        let mut tally = Tally::default();
        for topic in
            ["spBv1.0/G/NBIRTH/A", "spBv1.0/G/DBIRTH/A/D", "spBv1.0/G/NDATA/B", "spBv1.0/G/NCMD/B"]
        {
            let record = Record { topic: topic.into(), ..Record::default() };
            tally.count(&record, false);
        }
        let mut text = String::new();
        tally.describe(&mut text);
        assert_eq!(tally.counted(), "4 messages of 2 edge nodes with 1 device");
        assert!(text.contains("2 births, 1 data, 0 deaths, 1 others\n"), "{text}");
        assert!(text.contains("no birth of  G/B: "), "{text}");
    }
}
