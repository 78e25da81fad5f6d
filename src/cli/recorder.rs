//! Records what the OT broker sends, for `capture` and `policy learn`. These stand in the plant's network
//! as the OT half does, and are sealed as it is before they connect: what they write is open by then.

mod tally;

use std::fs::File;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use broker::BrokerSettings;
use config::OtConfig;
use ot::{OpenedWatch, WatchEnd, WatchError, WatchSettings, Watched, watch};
use sandbox::{Confined, Start};
use sparkplug::{Caps, MessageType, NAMESPACE};
use telemetry::logging::Logging;
use tools::capture::redact::{Redacted, redact};
use tools::capture::{CaptureError, Header, Limit, Record, Writer};

pub(super) use self::tally::Tally;
use super::outputs::Outputs;
use super::startup::{self, HalfArgs};
use super::{Exit, Failure, sealing};

/// What is watched, for which tool.
pub(super) struct Watching<'a> {
    pub(super) tool: &'static str,
    pub(super) client_id: Option<&'a str>,
    pub(super) filters: Vec<String>,
    /// `None`: until it is ended.
    pub(super) run_for: Option<Duration>,
}

/// What is recorded where.
pub(super) struct Recording<'a> {
    pub(super) path: &'a Path,
    pub(super) redact: bool,
    pub(super) max_bytes: u64,
    /// Of the file among those that the tool writes.
    pub(super) place: usize,
}

/// What was recorded: what it was, how many bytes it takes, and why it ended.
pub(super) struct Recorded {
    pub(super) tally: Tally,
    pub(super) bytes: u64,
    pub(super) ended: WatchEnd,
}

/// A tool that is sealed, and about to connect.
pub(super) struct Recorder {
    config: OtConfig,
    filters: Vec<String>,
    caps: Caps,
    watch: OpenedWatch,
    sealed: Confined,
    _logging: Logging,
}

impl Recorder {
    /// Reads what is needed, and seals the process: to one port, and to files that are open.
    pub(super) fn seal(
        start: Start,
        half: &HalfArgs,
        watching: Watching<'_>,
    ) -> Result<Recorder, Failure> {
        let Watching { tool, client_id, filters, run_for } = watching;
        let (config, warnings) = OtConfig::load(&half.config)?;
        let broker = watching_broker(&config, client_id, tool)?;
        let mut logging = startup::begin(tool, half, Some(&broker), &[], warnings)?;
        let caps = config.limits.clone();
        let demoted = sealing::demote_tool(start, &half.config, &config.broker, &config.sandbox)?;
        let secrets = sealing::secrets(&config.broker, &[], None, None);
        sealing::guard(&demoted, &config.sandbox, logging.certificates(), &secrets);
        let settings = WatchSettings { broker, filters: filters.clone(), run_for };
        let watch = OpenedWatch::new(settings)?;
        let sealed = sealing::seal(demoted, &sealing::tool_grants(&config.broker))?;
        startup::start_log(&mut logging)?;
        Ok(Recorder { config, filters, caps, watch, sealed, _logging: logging })
    }

    /// Records what the filters let in. A file in which there is something is kept.
    pub(super) fn record(
        self,
        recording: &Recording<'_>,
        outputs: &mut Outputs,
    ) -> Result<Recorded, Failure> {
        let header = header(&self.config, &self.filters, recording.redact);
        let (ended, flushed, tally, failed, bytes) = {
            let file = outputs.file(recording.place)?;
            let writer = Writer::new(recording.path, file, &header, recording.max_bytes)?;
            let redact = recording.redact.then_some(self.caps);
            let mut taker = Taker { writer, redact, tally: Tally::default(), failed: None };
            let ended = watch(self.watch, &self.sealed, &mut |watched| taker.take(watched));
            let flushed = taker.writer.flush();
            (ended, flushed, taker.tally, taker.failed, taker.writer.bytes())
        };
        if ended.is_ok() || tally.messages > 0 {
            outputs.keep(recording.place);
        }
        let ended = ended?;
        match failed.or(flushed.err()) {
            Some(error) => Err(error.into()),
            None => Ok(Recorded { tally, bytes, ended }),
        }
    }
}

/// How to reach the OT broker beside a relay that runs, for the tool called `tool`.
fn watching_broker(
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
        broker: config.broker.servers.to_string(),
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
struct Taker<'a> {
    writer: Writer<&'a File>,
    /// Caps of decoding, where values are replaced.
    redact: Option<Caps>,
    tally: Tally,
    failed: Option<CaptureError>,
}

impl Taker<'_> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_filters_take_in_births_data_and_deaths_alone() {
        let filters = all_entities();
        assert_eq!(filters.len(), 6);
        assert!(filters.contains(&"spBv1.0/+/DDATA/+/+".to_owned()));
        assert!(!filters.iter().any(|filter| filter.contains("CMD") || filter.contains('#')));
    }
}
