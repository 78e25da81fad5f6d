//! `sparkdiode policy diff`: what another policy would let through.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use policy::Policy;
use serde_json::{Value as Json, json};
use sparkplug::DataType;
use text::{Paint, counted, escape_to};
use tools::compare::{Comparison, Difference, Outcome, Types, Witness, compare};
use tools::dry_run::tally::{MetricTally, Tally};

use super::lines::{line, wrap};
use super::recording::{self, Event};
use super::{at_ms, json as machine};
use crate::cli::{Exit, Failure, report};

/// Columns of the output.
const WIDTH: usize = 100;
/// Characters of a name in an example.
const MAX_NAME_CHARS: usize = 60;
/// Differences that are printed of each kind; `--json` has all.
const MAX_DIFFERENCES: usize = 25;
/// Metrics of a recording that are named.
const MAX_NAMED: usize = 40;

/// Say what newly crosses under policy B, and what no longer does.
///
/// By what the policies mean, whatever rules they are written with: each difference comes with
/// examples, made up from the patterns of the rules. That there is no difference is only said
/// when it is proved. With `--capture` also by a recording of real traffic, which both policies
/// are tried on. Exits with 0 if there is no difference, with 1 if there is one, or if it isn't
/// known, and with more if something is wrong.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                        sparkdiode policy diff /etc/sparkdiode/policies draft\n  \
                        sparkdiode policy diff old.toml new.toml --capture plant.capture\n  \
                        sparkdiode policy diff old.toml new.toml --json")]
pub(super) struct DiffArgs {
    /// The policy before: a file, or a directory.
    #[arg(value_name = "A")]
    before: PathBuf,
    /// The policy after.
    #[arg(value_name = "B")]
    after: PathBuf,
    /// A recording that `sparkdiode capture` made.
    #[arg(long, value_name = "FILE")]
    capture: Option<PathBuf>,
    /// The time at which rules with a schedule are compared: `2026-12-24T17:00:00Z`; now.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// What became of one metric of a recording under both policies.
struct Changed {
    entity: String,
    metric: String,
    datatype: Option<DataType>,
    sent: u64,
    /// Values that crossed, before and after.
    crossed: (u64, u64),
    /// Why it didn't, or by which rule it did, before and after.
    why: (String, String),
}

pub(super) fn run(arguments: &DiffArgs) -> Result<Exit, Failure> {
    let at_ms = at_ms(arguments.at.as_deref())?;
    let read = |path: &PathBuf| -> Result<Policy, Failure> {
        let mut policy = super::read(std::slice::from_ref(path))?;
        let _ = policy.set_time(at_ms);
        Ok(policy)
    };
    let (before, after) = (read(&arguments.before)?, read(&arguments.after)?);
    let comparison = compare(&before, &after);
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
        view.describe(&mut text, arguments, &comparison);
        if let (Some(path), Some((messages, changes))) = (&arguments.capture, &recorded) {
            view.describe_recording(&mut text, path, *messages, changes);
        }
        report::output(text.trim_start_matches('\n'))?;
    }
    Ok(if differs { Exit::Failed } else { Exit::Ok })
}

/// Runs a recording through both policies: the number of messages, and the metrics of which not
/// as many values cross.
fn changes(before: &Policy, after: &Policy, path: &Path) -> Result<(u64, Vec<Changed>), Failure> {
    let tally = |policy: &Policy| -> Result<Tally, Failure> {
        let mut tally = Tally::default();
        recording::run(policy, path, |event| {
            match event {
                Event::Late(passed) => tally.add_late(passed),
                Event::Message(_, topic, outcome) => tally.add(topic, outcome),
            }
            Ok(())
        })?;
        Ok(tally)
    };
    let (left, right) = (tally(before)?, tally(after)?);
    let mut changes = Vec::new();
    for (entity, was) in &left.entities {
        for (name, was) in &was.metrics {
            let is = right.entities.get(entity).and_then(|entity| entity.metrics.get(name));
            let Some(is) = is else { continue };
            // Equal counts with other values are a difference too.
            let same = was.crossed() == is.crossed()
                && was.altered == is.altered
                && was.told_as == is.told_as
                && was.last_arrived == is.last_arrived;
            if !same {
                changes.push(Changed {
                    entity: entity.clone(),
                    metric: name.clone(),
                    datatype: was.datatype.or(is.datatype),
                    sent: was.sent,
                    crossed: (was.crossed(), is.crossed()),
                    why: (why(before, was), why(after, is)),
                });
            }
        }
    }
    Ok((left.messages, changes))
}

/// By which rule a metric crossed, or why it didn't.
fn why(policy: &Policy, tally: &MetricTally) -> String {
    let forwarded = tally.forwarded.keys().filter_map(|rule| machine::name(policy, *rule));
    let mut words: Vec<String> = forwarded.map(str::to_owned).collect();
    words.extend(tally.dropped.keys().map(|cause| recording::cause(policy, *cause)));
    words.join(", ")
}

struct View<'a> {
    before: &'a Policy,
    after: &'a Policy,
    paint: Paint,
}

impl View<'_> {
    fn describe(&self, text: &mut String, arguments: &DiffArgs, comparison: &Comparison) {
        let paint = self.paint;
        let (a, b) = (arguments.before.display(), arguments.after.display());
        if comparison.is_equal() {
            line(text, &paint.good("no difference"));
            line(text, &format!("  {a} and {b} let the same things through, in the same manner;"));
            line(text, "  this is proved from what their rules mean");
            return;
        }
        let sections = [
            ("newly crosses", &comparison.newly),
            ("no longer crosses", &comparison.no_longer),
            ("crosses in another manner", &comparison.otherwise),
        ];
        for (place, (title, differences)) in sections.into_iter().enumerate() {
            if differences.is_empty() {
                continue;
            }
            line(text, "");
            line(text, &paint.strong(title));
            for difference in differences.iter().take(MAX_DIFFERENCES) {
                self.difference(text, difference, place);
            }
            let rest = differences.len().saturating_sub(MAX_DIFFERENCES);
            if rest > 0 {
                line(
                    text,
                    &format!(
                        "  and {} by other rules (`--json` has all)",
                        counted(rest, "difference")
                    ),
                );
            }
        }
        // Where metrics differ, that births do says nothing more.
        let told = |newly: bool| {
            if newly { comparison.newly.is_empty() } else { comparison.no_longer.is_empty() }
        };
        let births: Vec<_> = comparison.births.iter().filter(|(newly, _)| told(*newly)).collect();
        if !births.is_empty() {
            line(text, "");
            line(text, &paint.strong("births and deaths alone"));
            for (newly, entity) in &births {
                let verb = if *newly { "newly cross" } else { "no longer cross" };
                line(text, &format!("  of {} {verb}", escape_to(entity, MAX_NAME_CHARS)));
            }
        }
        if !comparison.whole.is_empty() {
            line(text, "");
            line(text, &paint.strong("for all rules together"));
            for (was, is) in &comparison.whole {
                if !was.is_empty() {
                    line(text, &format!("  {}", paint.bad(format!("- {was}"))));
                }
                if !is.is_empty() {
                    line(text, &format!("  {}", paint.good(format!("+ {is}"))));
                }
            }
        }
        if !comparison.dormant.is_empty() {
            line(text, "");
            line(text, &paint.strong("compared as of one time only (see --at)"));
            line(text, "  rules with a schedule, or that only observe, which aren't the same:");
            for name in &comparison.dormant {
                line(text, &format!("  {name}"));
            }
        }
        if !comparison.undecided.is_empty() {
            line(text, "");
            line(text, &paint.odd("not known"));
            for (rule, why) in &comparison.undecided {
                line(text, &format!("  what differs by `{rule}`: {why}"));
            }
            line(text, "  what isn't listed here may differ all the same; a recording may tell");
        } else if comparison.newly.is_empty() && !births.iter().any(|(newly, _)| *newly) {
            line(text, "");
            line(text, "nothing newly crosses: this is proved from what the rules mean");
        }
    }

    fn difference(&self, text: &mut String, difference: &Difference, place: usize) {
        let paint = self.paint;
        let was = self.outcome(self.before, difference.before);
        let is = self.outcome(self.after, difference.after);
        let painted = match place {
            0 => paint.good(&is),
            1 => paint.bad(&is),
            _ => paint.odd(&is),
        };
        line(text, &format!("  {painted}; before {was}"));
        // What the deciding rules say, where that isn't the same.
        let words = |policy: &Policy, outcome| match outcome {
            Outcome::Forward(rule)
            | Outcome::Redact { rule, .. }
            | Outcome::Drop(_, Some(rule)) => policy.rule(rule).map(policy::Rule::describe),
            Outcome::Drop(_, None) => None,
        };
        let (old, new) =
            (words(self.before, difference.before), words(self.after, difference.after));
        for (label, words, other) in [("now", &new, &old), ("before", &old, &new)] {
            let Some(words) = words.as_ref().filter(|_| words != other) else { continue };
            for (number, row) in wrap(words, WIDTH.saturating_sub(14)).iter().enumerate() {
                let label = if number == 0 { label } else { "" };
                line(text, &format!("    {label:<7} {row}"));
            }
        }
        for (number, witness) in difference.witnesses.iter().enumerate() {
            let label = if number == 0 { "such as" } else { "" };
            line(text, &format!("    {label:<7} {}", shown(witness)));
        }
    }

    fn outcome(&self, policy: &Policy, outcome: Outcome) -> String {
        let name = |rule| machine::name(policy, Some(rule)).unwrap_or_default();
        match outcome {
            Outcome::Forward(rule) => format!("forwarded by `{}`", name(rule)),
            Outcome::Redact { rule, .. } => {
                format!("kept in births without a value by `{}`", name(rule))
            }
            Outcome::Drop(reason, Some(rule)) => format!("dropped by `{}` ({reason})", name(rule)),
            Outcome::Drop(reason, None) => format!("dropped ({reason})"),
        }
    }

    fn describe_recording(
        &self,
        text: &mut String,
        path: &Path,
        messages: u64,
        changes: &[Changed],
    ) {
        let paint = self.paint;
        let messages = counted(messages, "message");
        line(text, "");
        line(text, &paint.strong(format!("on recorded traffic: {}, {messages}", path.display())));
        if changes.is_empty() {
            line(text, "  no difference");
            return;
        }
        let name = |changed: &Changed| {
            let metric = escape_to(&changed.metric, MAX_NAME_CHARS);
            format!("{}  {metric}", escape_to(&changed.entity, MAX_NAME_CHARS))
        };
        let width = changes.iter().take(MAX_NAMED).map(|one| name(one).chars().count()).max();
        let width = width.unwrap_or(0).min(WIDTH.saturating_sub(30));
        let head = format!("  {:<width$} {:>7} {:>7} {:>7}", "metric", "sent", "before", "now");
        line(text, &paint.faint(head));
        for changed in changes.iter().take(MAX_NAMED) {
            let (was, is) = changed.crossed;
            let row = format!("  {:<width$} {:>7} {was:>7} {is:>7}", name(changed), changed.sent);
            let row = match was.cmp(&is) {
                std::cmp::Ordering::Less => paint.good(row),
                std::cmp::Ordering::Greater => paint.bad(row),
                std::cmp::Ordering::Equal => paint.odd(row),
            };
            line(text, &row);
            line(text, &paint.faint(format!("      {} → {}", changed.why.0, changed.why.1)));
        }
        let rest = changes.len().saturating_sub(MAX_NAMED);
        if rest > 0 {
            line(text, &format!("  and {}", counted(rest, "more metric")));
        }
    }

    fn json(
        &self,
        comparison: &Comparison,
        recorded: Option<&(u64, Vec<Changed>)>,
        differs: bool,
    ) -> Json {
        let list = |differences: &[Difference]| -> Vec<Json> {
            let one = |difference: &Difference| {
                json!({
                    "before": self.outcome_json(self.before, difference.before),
                    "after": self.outcome_json(self.after, difference.after),
                    "examples": difference.witnesses.iter().map(witness_json).collect::<Vec<_>>(),
                })
            };
            differences.iter().map(one).collect()
        };
        let births = comparison
            .births
            .iter()
            .map(|(newly, entity)| json!({ "entity": entity, "crosses": newly }));
        let undecided: BTreeMap<&str, &str> =
            comparison.undecided.iter().map(|(rule, why)| (rule.as_str(), *why)).collect();
        let recorded = recorded.map(|(messages, changes)| {
            let changes = changes.iter().map(|changed| {
                json!({
                    "entity": changed.entity,
                    "metric": changed.metric,
                    "datatype": changed.datatype.map(DataType::name),
                    "sent": changed.sent,
                    "crossed_before": changed.crossed.0,
                    "crossed_after": changed.crossed.1,
                    "before": changed.why.0,
                    "after": changed.why.1,
                })
            });
            json!({ "messages": messages, "changed": changes.collect::<Vec<_>>() })
        });
        json!({
            "differs": differs,
            "proved": comparison.undecided.is_empty(),
            "newly_crosses": list(&comparison.newly),
            "no_longer_crosses": list(&comparison.no_longer),
            "crosses_in_another_manner": list(&comparison.otherwise),
            "births": births.collect::<Vec<_>>(),
            "for_all_rules": comparison.whole,
            "dormant_rules": comparison.dormant,
            "undecided": undecided,
            "recorded": recorded,
        })
    }

    fn outcome_json(&self, policy: &Policy, outcome: Outcome) -> Json {
        match outcome {
            Outcome::Forward(rule) => {
                json!({ "outcome": "forward", "rule": machine::name(policy, Some(rule)) })
            }
            Outcome::Redact { rule, forward } => json!({
                "outcome": "redact",
                "rule": machine::name(policy, Some(rule)),
                "forwarded_by": machine::name(policy, Some(forward)),
            }),
            Outcome::Drop(reason, rule) => json!({
                "outcome": "drop",
                "reason": reason.name(),
                "rule": machine::name(policy, rule),
            }),
        }
    }
}

/// `Plant1/Line4/x  Temperature/x  (Float)`.
fn shown(witness: &Witness) -> String {
    let mut words = format!(
        "{}/{}",
        escape_to(&witness.group, MAX_NAME_CHARS),
        escape_to(&witness.edge_node, MAX_NAME_CHARS)
    );
    if let Some(device) = &witness.device {
        words.push_str(&format!("/{}", escape_to(device, MAX_NAME_CHARS)));
    }
    words.push_str(&format!("  {}", escape_to(&witness.metric, MAX_NAME_CHARS)));
    match &witness.datatypes {
        Types::Every | Types::EveryPlain => {}
        Types::Unknown => words.push_str("  of a text without a datatype"),
        Types::Some(types) => {
            let others = DataType::of_metrics().filter(|one| !types.contains(one));
            let others: Vec<&str> = others.map(DataType::name).collect();
            let types: Vec<&str> = types.iter().map(|datatype| datatype.name()).collect();
            if types.len() > others.len() {
                words.push_str(&format!("  (any datatype but {})", others.join(", ")));
            } else {
                words.push_str(&format!("  ({})", types.join(", ")));
            }
        }
    }
    words
}

fn witness_json(witness: &Witness) -> Json {
    let datatypes: Option<Vec<&str>> = match &witness.datatypes {
        Types::Every | Types::EveryPlain => None,
        Types::Unknown => Some(Vec::new()),
        Types::Some(types) => Some(types.iter().map(|datatype| datatype.name()).collect()),
    };
    json!({
        "group": witness.group,
        "edge_node": witness.edge_node,
        "device": witness.device,
        "metric": witness.metric,
        "datatypes": datatypes,
    })
}
