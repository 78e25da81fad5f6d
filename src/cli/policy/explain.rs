//! `sparkdiode policy explain`: what becomes of one message, or of a recording, and why.

mod entity;
mod metric;

use std::path::PathBuf;

use account::RuleId;
use clap::Args;
use entity::output_entity;
use metric::{Found, output_metric, output_metric_json};
use policy::{Policy, Rule};
use serde_json::{Value as Json, json};
use sparkplug::{DataType, Entity, EntityTopic, Topic};
use text::{Paint, escape};
use tools::cases::{Case, Given, parse_value};
use tools::dry_run::case::{self, Check, Got};
use tools::explain::relations;

use super::lines::line;
use super::recording::{self, RecordingArgs};
use super::say_at;
use crate::cli::{Exit, Failure, report, units};

/// Columns of the output.
const WIDTH: usize = 100;

/// Show what becomes of a message, or of a recording, and which rule says so.
///
/// With a topic alone: which rules select the edge node or device, and what they do. With a
/// metric: what is left of it, which rule decided, and what every other rule has to say. With
/// `--capture`: the same for every metric of a recording that `sparkdiode capture` made.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                        sparkdiode policy explain -p policies spBv1.0/Plant1/+/Line4/Oven1\n  \
                        sparkdiode policy explain -p policies spBv1.0/Plant1/DDATA/Line4/Oven1 \\\n      \
                        --metric Temperature/Oil --datatype Float --value 61.5\n  \
                        sparkdiode policy explain -p policies --capture plant.capture --topic Line4")]
pub(super) struct ExplainArgs {
    /// Policy files and directories; together they are one policy.
    #[arg(long = "policy", short, required = true, value_name = "PATH")]
    policy: Vec<PathBuf>,
    /// Topic of a message; the message type may be `+`.
    #[arg(required_unless_present = "capture", conflicts_with = "capture", value_name = "TOPIC")]
    message: Option<String>,
    /// A metric of the message.
    #[arg(long, value_name = "NAME")]
    metric: Option<String>,
    /// Its value, as in a policy file; without one it is null.
    #[arg(long, value_name = "VALUE", requires = "message", requires = "metric")]
    value: Option<String>,
    /// Its datatype; without one that of the value is taken, and without both every datatype.
    #[arg(long, value_name = "DATATYPE", requires = "message", requires = "metric")]
    datatype: Option<String>,
    /// When the message comes, for rules with a schedule: `2026-12-24T17:00` in UTC,
    /// `2026-12-24T18:00+01:00`, or so long ago: `90s`, `10m`, `2h`, `1d`. A date alone is its midnight
    /// in UTC.
    #[arg(long, value_name = "TIME", requires = "message", value_parser = units::moment)]
    at: Option<u64>,
    #[command(flatten)]
    recording: RecordingArgs,
    /// List the rules about other devices of the edge node as well.
    #[arg(long, requires = "message")]
    all: bool,
    /// JSON: one object, or of a recording one object a message and one with the counts.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &ExplainArgs) -> Result<Exit, Failure> {
    let mut policy = super::read(&arguments.policy)?;
    let paint = report::paint();
    let Some(topic) = &arguments.message else {
        let metric = arguments.metric.as_deref();
        return recording::explain(&policy, &arguments.recording, metric, arguments.json, paint);
    };
    let topic = whole_topic(topic);
    let at_ms = arguments.at.unwrap_or_else(clock::wall_ms);
    let _ = policy.set_time(at_ms);
    if !arguments.json {
        say_at(arguments.at)?;
    }
    let entity = match Topic::parse(&topic) {
        Ok(Topic::Entity(parsed)) => Some(parsed),
        Ok(_) => None,
        Err(error) => {
            let message = format!("{error}: `{}`", escape(&topic));
            let hint = "a topic reads `spBv1.0/group/DDATA/edge-node/device`";
            return Err(Failure::new(Exit::Usage, message).hint(hint));
        }
    };
    match (entity, &arguments.metric) {
        (Some(parsed), Some(metric)) if !parsed.message_type.is_death() => {
            let found = find_out(&policy, arguments, &topic, parsed, metric, at_ms)?;
            if arguments.json {
                return output_metric_json(&policy, &topic, parsed.entity, metric, &found);
            }
            output_metric(&policy, &topic, parsed.entity, metric, &found, arguments.all, paint)
        }
        (_, Some(_)) => {
            let message = "only births and data have metrics that cross";
            Err(Failure::new(Exit::Usage, message).hint("leave `--metric` out"))
        }
        (Some(parsed), None) => output_entity(&policy, &topic, parsed, arguments.json, paint),
        (None, None) => output_other(&policy, &topic, at_ms, arguments.json, paint),
    }?;
    Ok(Exit::Ok)
}

/// A topic with `+` for the message type becomes that of data.
fn whole_topic(topic: &str) -> String {
    let levels: Vec<&str> = topic.split('/').collect();
    match levels[..] {
        [space, group, "+", node] => format!("{space}/{group}/NDATA/{node}"),
        [space, group, "+", node, device] => format!("{space}/{group}/DDATA/{node}/{device}"),
        _ => topic.to_owned(),
    }
}

fn find_out(
    policy: &Policy,
    arguments: &ExplainArgs,
    topic: &str,
    parsed: EntityTopic<'_>,
    metric: &str,
    at_ms: u64,
) -> Result<Vec<Found>, Failure> {
    let datatype = match arguments.datatype.as_deref() {
        None => None,
        Some(name) => Some(DataType::from_name(name).ok_or_else(|| {
            let message = format!("unknown datatype: `{}`", escape(name));
            Failure::new(Exit::Usage, message)
                .hint("such as `Float`, `Double`, `Int32`, `Boolean`, `String`")
        })?),
    };
    let given: Vec<(DataType, Option<sparkplug::Value>)> = match (&arguments.value, datatype) {
        (Some(text), datatype) => {
            let (datatype, value) = parse_value(text, datatype).map_err(|wanted| {
                let what = datatype.map(|datatype| format!(" of datatype `{datatype}`"));
                let what = what.unwrap_or_default();
                let message = format!("not a value{what}: `{}`", escape(text));
                Failure::new(Exit::Usage, message).hint(format!("wanted {wanted}"))
            })?;
            vec![(datatype, Some(value))]
        }
        (None, Some(datatype)) => vec![(datatype, None)],
        (None, None) => DataType::of_metrics().map(|datatype| (datatype, None)).collect(),
    };
    let find = |(datatype, sent): (DataType, Option<sparkplug::Value>)| {
        let given = Given::new(metric, datatype, sent.clone());
        let report = case::run(policy, &Case::of_message(topic, Some(given), at_ms));
        let relations = relations(policy, parsed.entity, metric, Some(datatype));
        // There is one expectation in it.
        report.checks.into_iter().next().map(|check| Found { datatype, sent, check, relations })
    };
    Ok(given.into_iter().filter_map(find).collect())
}

/// The place of a rule stands at the right, or where there is no room for it below.
fn rule_line(
    text: &mut String,
    rule: &Rule,
    painted: &str,
    columns: usize,
    says: &str,
    paint: Paint,
) {
    let place = format!("{}:{}", rule.path().display(), rule.line());
    let name = rule.name().chars().count().max(columns);
    let used = name.saturating_add(says.chars().count()).saturating_add(8);
    let room = WIDTH.saturating_sub(used);
    let length = place.chars().count();
    if length.saturating_add(2) <= room {
        let gap = " ".repeat(room.saturating_sub(length));
        line(text, &format!("{painted}{gap}{}", paint.faint(&place)));
    } else {
        line(text, painted);
        line(text, &format!("        {}", paint.faint(&place)));
    }
}

/// The verdict in a sentence.
fn verdict(policy: &Policy, check: &Check, has_value: bool, paint: Paint) -> String {
    let rule = |rule: &Option<RuleId>| {
        let rule = rule.and_then(|rule| policy.rule(rule));
        rule.map(|rule| format!(" by `{}`", rule.name())).unwrap_or_default()
    };
    match &check.got {
        Got::Forwarded { rule: by, .. } => {
            let arrives = check.arrives_in_words();
            // Without a value, that it is null says nothing.
            let says = !arrives.is_empty() && (has_value || arrives != ["null"]);
            let arrives = match says {
                true => format!("; arrives as {}", arrives.join(", ")),
                false => String::new(),
            };
            format!("{}{}{arrives}", paint.good("crosses"), rule(by))
        }
        Got::Waiting { rule: by } => {
            format!("{}{} for its turn, or for a birth", paint.odd("waits"), rule(by))
        }
        Got::Dropped { reason, rule: by } => {
            let meaning = reason.meaning().trim_end_matches('.');
            format!("{}{}: {reason} ({meaning})", paint.bad("dropped"), rule(by))
        }
        Got::Nothing => "the relay tells its own in its place".to_owned(),
    }
}

/// What is said about a message of no edge node or device.
fn output_other(
    policy: &Policy,
    topic: &str,
    at_ms: u64,
    as_json: bool,
    paint: Paint,
) -> Result<(), Failure> {
    let report = case::run(policy, &Case::of_message(topic, None, at_ms));
    let Some(check) = report.checks.first() else { return Ok(()) };
    if as_json {
        let object = json!({ "topic": topic, "result": super::json::got(policy, check) });
        return report::json(&object);
    }
    let mut text = String::new();
    line(&mut text, &paint.strong(escape(topic)));
    line(&mut text, &format!("  {}", verdict(policy, check, true, paint)));
    line(&mut text, "  no rule has a say in this");
    report::output(&text)
}

fn entity_json(entity: Entity<'_>) -> Json {
    json!({
        "group": entity.group,
        "edge_node": entity.edge_node,
        "device": entity.device,
    })
}
