//! `sparkdiode events`: the catalogue of events, and a trial of the targets that they go to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use config::{ItConfig, OtConfig, ReceiveConfig, SendConfig, SyslogConfig};
use telemetry::syslog::Shortfall;
use telemetry::{events_json, events_manual, logging};
use text::counted;

use super::check::{Kind, recognise};
use super::explain::{self, ExplainArgs};
use super::{Exit, Failure, report, syslog};

/// Print the catalogue of events: what the relay tells the people who watch it.
///
/// As a page in Markdown, with MSGID, severity, meaning, fields and what to do, or as JSON for
/// the rules of a SIEM. With --send, every event goes once to the syslog targets of a
/// configuration, marked by the field `test`, with characters in its values that tell whether
/// the receiver reads structured data well.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  sparkdiode events\n  sparkdiode events BROKER_DOWN\n  sparkdiode events --json\n  \
                        sparkdiode events --send /etc/sparkdiode/ot.toml"
)]
pub(super) struct EventsArgs {
    /// Only this event: its entry, as `sparkdiode explain` prints it.
    #[arg(value_name = "NAME", conflicts_with_all = ["json", "send"])]
    name: Option<String>,
    /// JSON: an array with one object for each event.
    #[arg(long, conflicts_with = "send")]
    json: bool,
    /// Send every event to the syslog targets of this `ot.toml` or `it.toml`, as a test.
    #[arg(long, value_name = "FILE")]
    send: Option<PathBuf>,
    /// How often every event is sent, without a pause.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "send",
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rounds: u32,
    /// Send so many events per second, to see what a server does in the meantime.
    #[arg(long, value_name = "N", requires = "send",
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    per_second: Option<u32>,
    /// Seconds to wait at the end for targets that don't take everything at once.
    #[arg(long, value_name = "SECONDS", default_value_t = 3, requires = "send",
        value_parser = clap::value_parser!(u32).range(1..=3_600))]
    wait: u32,
}

pub(super) fn run(arguments: &EventsArgs) -> Result<Exit, Failure> {
    if let Some(name) = &arguments.name {
        return explain::run(&ExplainArgs { code: vec![name.clone()] });
    }
    match &arguments.send {
        Some(file) => send(file, arguments),
        None => {
            match arguments.json {
                true => report::output_to_reader(&events_json()).map(drop)?,
                false => report::output(&events_manual())?,
            }
            Ok(Exit::Ok)
        }
    }
}

fn send(path: &Path, arguments: &EventsArgs) -> Result<Exit, Failure> {
    let (half, configs) = read(path)?;
    if configs.is_empty() {
        let message = format!("no `[[syslog]]` in `{}`", path.display());
        return Err(Failure::new(Exit::Config, message));
    }
    let (targets, _) = syslog::targets(&configs)?;
    let mut logging = logging::init(half, Some("off"), targets)
        .map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    logging.send_within(Duration::from_secs(arguments.wait.into()));
    logging
        .start()
        .map_err(|error| Failure::new(Exit::Io, format!("cannot start a thread: {error}")))?;
    let mut events = 0_u64;
    for _ in 0..arguments.rounds {
        let sent = logging.send_catalogue();
        events = events.saturating_add(sent);
        if let Some(rate) = arguments.per_second {
            std::thread::sleep(Duration::from_secs(sent).checked_div(rate).unwrap_or_default());
        }
    }
    report::output(&format!("{events} events for {}\n", counted(configs.len(), "target")))?;
    let mut text = String::new();
    let mut complete = true;
    for (name, shortfall) in logging.finish() {
        let state = match shortfall {
            Some(Shortfall { lost: 0, unconfirmed: 0 }) => "everything was sent".to_owned(),
            Some(Shortfall { lost: 0, unconfirmed }) => format!(
                "everything was sent, but the server didn't say whether it has read {}",
                counted(unconfirmed, "line")
            ),
            Some(Shortfall { lost, .. }) => format!("{} could not be sent", counted(lost, "line")),
            None => "not reached in time".to_owned(),
        };
        complete &= shortfall == Some(Shortfall::default());
        text.push_str(&format!("  {name}: {state}\n"));
    }
    report::output(&text)?;
    if complete {
        Ok(Exit::Ok)
    } else {
        Err(Failure::new(Exit::Io, "not every target is known to have got every event"))
    }
}

fn read(path: &Path) -> Result<(&'static str, Vec<SyslogConfig>), Failure> {
    match recognise(path)? {
        (Kind::Ot, _) => Ok(("ot", OtConfig::load(path)?.0.syslog)),
        (Kind::It, _) => Ok(("it", ItConfig::load(path)?.0.syslog)),
        (Kind::Send, _) => Ok(("send", SendConfig::load(path)?.0.syslog)),
        (Kind::Receive, _) => Ok(("receive", ReceiveConfig::load(path)?.0.syslog)),
        (Kind::Policy, _) => {
            let message =
                format!("`{}` is a policy: wanted `ot.toml` or `it.toml`", path.display());
            Err(Failure::new(Exit::Usage, message))
        }
    }
}
