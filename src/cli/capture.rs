//! `sparkdiode capture`: a recording of the plant's traffic, for the policy tools.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use ot::WatchEnd;
use sandbox::Role;
use text::{counted_grouped, grouped, show_time};
use tools::capture::create_file;

use super::outputs::Outputs;
use super::recorder::{Recorded, Recorder, Recording, Watching, all_entities};
use super::startup::HalfArgs;
use super::{Exit, Failure, report, sealing, units};

/// Without `--max-bytes`.
pub(super) const DEFAULT_MAX_BYTES: &str = "1GiB";

/// Record the plant's traffic, for `sparkdiode policy`.
///
/// Connects to the OT broker of an `ot.toml` as the OT half does, but under a client identifier
/// of its own and without a lasting session: a relay that runs beside it isn't disturbed. Nothing
/// is published. By default the births, data and deaths of all groups are recorded, whatever the
/// policy allows, and neither commands nor STATE. FILE has mode 0600, and is never written over.
/// Before it connects it is sealed as the OT half is, and root becomes that half's user.
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
    let start = sealing::start(Role::Ot)?;
    let path = &arguments.output;
    let mut outputs = Outputs::of(&start, vec![(path.clone(), create_file(path)?)])?;
    let filters = match arguments.filters.as_slice() {
        [] => all_entities(),
        filters => filters.to_vec(),
    };
    let watching = Watching {
        tool: "capture",
        client_id: arguments.client_id.as_deref(),
        filters,
        run_for: arguments.run_for,
    };
    let recorder = Recorder::seal(start, &arguments.half, watching)?;
    let recording =
        Recording { path, redact: arguments.redact, max_bytes: arguments.max_bytes, place: 0 };
    let Recorded { tally, bytes, ended } = recorder.record(&recording, &mut outputs)?;
    let ended = match (ended, arguments.run_for) {
        (WatchEnd::Time, Some(time)) => format!("after {}", show_time(time)),
        (WatchEnd::Enough, _) => {
            format!("at the largest size, {} bytes (--max-bytes)", grouped(arguments.max_bytes))
        }
        _ => "by a signal".to_owned(),
    };
    let mut text = format!(
        "recorded {} in {} ({})\n  ended        {ended}\n",
        tally.counted(),
        arguments.output.display(),
        counted_grouped(bytes, "byte")
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
}
