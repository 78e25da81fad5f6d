//! `sparkdiode demo`: the whole thing on one machine.

use std::io::{self, IsTerminal};
use std::time::Duration;

use clap::Args;
use demo::{DemoError, Options};
use telemetry::logging::colours;
use text::parse_time;

use super::{Exit, Failure, report};

/// Below this the script of the demo has no room.
const SHORTEST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Show the relay at work: a plant, two brokers, both halves, and a strict host on IT.
///
/// Everything runs on this machine, on loopback ports that the operating system chooses; nothing
/// has to be installed or set up. The table shows side by side what the plant publishes and what
/// IT sees, what was dropped and why, and what becomes of three things that are tried from IT.
/// At the end there is a summary of checks; the exit code is 0 only if all of them hold.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  sparkdiode demo              until Ctrl-C\n  \
                        sparkdiode demo --for 20s    unattended\n  \
                        sparkdiode demo --two-boxes  a link between two boxes, with a cable to cut")]
pub(super) struct DemoArgs {
    /// End after this time (`20s`, `2m`); otherwise Ctrl-C ends it.
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    run_for: Option<Duration>,
    /// Put two boxes with a cable that goes one way between both halves; needs root.
    ///
    /// Each box is a network of its own, without a name: the plant, its broker, `ot` and `send` are in
    /// one, `receive`, `it` and IT's broker in the other, and nothing is left of them at the end. The
    /// key `c` cuts the cable and plugs it in; where there is no keyboard, it is out from 70 to 86 %
    /// of the time (of 30 s, where there is no end).
    #[arg(long)]
    two_boxes: bool,
    /// End the halves of a demo that was killed.
    #[arg(long, hide = true)]
    reap: bool,
}

pub(super) fn run(arguments: &DemoArgs) -> Result<Exit, Failure> {
    if arguments.reap {
        demo::reap(io::stdin().lock());
        return Ok(Exit::Ok);
    }
    let stdout = io::stdout();
    let options = Options {
        run_for: arguments.run_for,
        screen: stdout.is_terminal(),
        colour: colours(&stdout),
        two_boxes: arguments.two_boxes,
    };
    let mut say = |line: &str| {
        // Nobody listens any more: the summary will say.
        let _ = report::output(&format!("{line}\n"));
    };
    let outcome = demo::run(options, &mut say).map_err(|error| {
        let exit = match error {
            DemoError::Half { .. } => Exit::Failed,
            _ => Exit::Io,
        };
        Failure::new(exit, error.to_string())
    })?;
    report::output(&outcome.summary)?;
    Ok(if outcome.passed { Exit::Ok } else { Exit::Failed })
}

/// `20s`, `2m`.
fn time(text: &str) -> Result<Duration, String> {
    let Some(time) = parse_time(text, "sm") else {
        return Err("wanted: a number of seconds or minutes, such as `20s` or `2m`".to_owned());
    };
    if time < SHORTEST || time > LONGEST {
        return Err("wanted: from 5 s to 24 h (1440m)".to_owned());
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_and_a_range() {
        assert_eq!(time("20s"), Ok(Duration::from_secs(20)));
        assert_eq!(time("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["20", "s", "-1s", "4s", "1.5m", "1441m", "99999999999999999999m", "1h", ""] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
