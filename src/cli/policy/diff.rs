//! `sparkdiode policy diff`: what another policy would let through.

mod changed;
mod json;
mod view;

use std::path::PathBuf;

use clap::Args;
use tools::cases;
use tools::compare::compare;

use self::changed::changes;
use self::view::View;
use super::{history, say_at};
use crate::cli::{Exit, Failure, report, units};

/// Say what newly crosses under policy B, and what no longer does.
///
/// By what the policies mean, whatever rules they are written with: each difference comes with
/// examples, made up from the patterns of the rules, and where something crosses under both, with
/// what it shows more, less or otherwise. Schedules are followed from now on, for ever. That there is
/// no difference, or that nothing newly crosses, is only said when it is proved. With `--capture` also by a recording of real traffic, which both policies
/// are tried on. Exits with 0 if there is no difference, with 1 if there is one, or if it isn't
/// known, and with more if something is wrong.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                        sparkdiode policy diff /etc/sparkdiode/policies draft\n  \
                        sparkdiode policy diff old.toml new.toml --capture plant.capture\n  \
                        sparkdiode policy diff old.toml new.toml --json\n  \
                        sparkdiode policy diff --in-force /etc/sparkdiode/ot.toml draft")]
pub(super) struct DiffArgs {
    /// The policy before, and the policy after: files or directories. With `--in-force` that after
    /// alone.
    #[arg(value_name = "A B", required = true, num_args = 1..=2)]
    paths: Vec<PathBuf>,
    /// The policy before is the one in force at this half: its `ot.toml`, `it.toml` or state directory.
    #[arg(long, value_name = "PATH")]
    in_force: Option<PathBuf>,
    /// A recording that `sparkdiode capture` made.
    #[arg(long, value_name = "FILE")]
    capture: Option<PathBuf>,
    /// The time from which on schedules are followed: `2026-12-24T17:00` in UTC,
    /// `2026-12-24T18:00+01:00`, or so long ago: `90s`, `10m`, `2h`, `1d`; now.
    #[arg(long, value_name = "TIME", value_parser = units::moment)]
    at: Option<u64>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &DiffArgs) -> Result<Exit, Failure> {
    let at_ms = arguments.at.unwrap_or_else(clock::wall_ms);
    let read = |path: &PathBuf| super::read(std::slice::from_ref(path));
    let (before, after) = match (&arguments.in_force, arguments.paths.as_slice()) {
        (None, [before, after]) => (read(before)?, read(after)?),
        (Some(half), [after]) => {
            let (policy, _) = cases::read_policy(&history::in_force(half)?)?;
            (policy, read(after)?)
        }
        (None, _) => {
            let message = "two policies are compared: A and B";
            return Err(Failure::new(Exit::Usage, message)
                .hint("`--in-force ot.toml B` compares with the one in force"));
        }
        (Some(_), _) => {
            return Err(Failure::new(Exit::Usage, "`--in-force` is A: name B alone"));
        }
    };
    let comparison = compare(&before, &after, at_ms);
    if !arguments.json {
        say_at(arguments.at)?;
    }
    let recorded = match &arguments.capture {
        Some(path) => Some(changes(&before, &after, path)?),
        None => None,
    };
    let view = View { before: &before, after: &after, paint: report::paint() };
    let differs =
        !comparison.is_equal() || recorded.as_ref().is_some_and(|(_, changes)| !changes.is_empty());
    if arguments.json {
        let object = view.json(&comparison, recorded.as_ref(), differs);
        report::json(&object)?;
    } else {
        let mut text = String::new();
        let name = |path: Option<&PathBuf>| {
            path.map(|path| path.display().to_string()).unwrap_or_default()
        };
        let first = match &arguments.in_force {
            Some(_) => "the policy in force".to_owned(),
            None => name(arguments.paths.first()),
        };
        view.describe(&mut text, (&first, &name(arguments.paths.last())), &comparison);
        if let (Some(path), Some((messages, changes))) = (&arguments.capture, &recorded) {
            view.describe_recording(&mut text, path, *messages, changes);
        }
        report::output(text.trim_start_matches('\n'))?;
    }
    Ok(if differs { Exit::Failed } else { Exit::Ok })
}
