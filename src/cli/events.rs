//! `sparkdiode events`: the catalogue of events.

use clap::Args;

use super::{Exit, Failure, report};
use crate::telemetry::{events_json, events_manual};

/// Print the catalogue of events: what the relay tells the people who watch it.
///
/// As a page in Markdown, with MSGID, severity, meaning, fields and what to do, or as JSON for
/// the rules of a SIEM.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  sparkdiode events\n  sparkdiode events --json")]
pub(super) struct EventsArgs {
    /// JSON: an array with one object for each event.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &EventsArgs) -> Result<Exit, Failure> {
    report::output(&if arguments.json { events_json() } else { events_manual() })?;
    Ok(Exit::Ok)
}
