//! `sparkdiode policy explain`: what becomes of one message, or of a recording, and why.

use std::fmt::Write;
use std::path::PathBuf;

use account::RuleId;
use clap::Args;
use policy::{Action, Policy, Rule};
use serde_json::{Value as Json, json};
use sparkplug::{DataType, Entity, EntityTopic, Topic, value};
use text::{escape, escape_to};
use tools::cases::{Case, Given, parse_value};
use tools::dry_run::case::{self, Check, Got};
use tools::explain::{self, Considered, Relation};

use super::at_ms;
use super::paint::Paint;
use super::recording::{self, RecordingArgs};
use crate::cli::{Exit, Failure, report};

/// Columns of the output.
const WIDTH: usize = 100;
/// Columns up to which names of rules are aligned.
const MAX_NAME_COLUMNS: usize = 40;
/// Characters of a value that are shown.
const MAX_VALUE_CHARS: usize = 60;

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
    /// When the message comes, for rules with a schedule: `2026-12-24T17:00:00Z`.
    #[arg(long, value_name = "TIME", requires = "message")]
    at: Option<String>,
    #[command(flatten)]
    recording: RecordingArgs,
    /// List the rules about other devices of the edge node as well.
    #[arg(long, requires = "message")]
    all: bool,
    /// JSON: one object, or of a recording one object a message and one with the counts.
    #[arg(long)]
    json: bool,
}

/// What was found out about one metric.
struct Found {
    datatype: DataType,
    sent: Option<sparkplug::Value>,
    check: Check,
    considered: Vec<Considered>,
}

pub(super) fn run(arguments: &ExplainArgs) -> Result<Exit, Failure> {
    let mut policy = super::read(&arguments.policy)?;
    let paint = Paint::for_stdout();
    let Some(topic) = &arguments.message else {
        let metric = arguments.metric.as_deref();
        return recording::explain(&policy, &arguments.recording, metric, arguments.json, paint);
    };
    let topic = whole_topic(topic);
    let at_ms = at_ms(arguments.at.as_deref())?;
    let _ = policy.set_time(at_ms);
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
        let considered = explain::consider(policy, parsed.entity, metric, Some(datatype));
        // There is one expectation in it.
        report.checks.into_iter().next().map(|check| Found { datatype, sent, check, considered })
    };
    Ok(given.into_iter().filter_map(find).collect())
}

fn output_metric_json(
    policy: &Policy,
    topic: &str,
    entity: Entity<'_>,
    metric: &str,
    found: &[Found],
) -> Result<Exit, Failure> {
    let found = found.iter().map(|found| found.json(policy));
    let object = json!({
        "topic": topic,
        "entity": entity_json(entity),
        "metric": metric,
        "results": found.collect::<Vec<_>>(),
    });
    report::output(&format!("{object}\n"))?;
    Ok(Exit::Ok)
}

/// What becomes of one metric.
fn output_metric(
    policy: &Policy,
    topic: &str,
    entity: Entity<'_>,
    metric: &str,
    found: &[Found],
    all: bool,
    paint: Paint,
) -> Result<(), Failure> {
    let mut text = String::new();
    line(&mut text, &paint.strong(escape(topic)));
    // Datatypes for which everything is the same are told together.
    let mut groups: Vec<Vec<&Found>> = Vec::new();
    for found in found {
        let same = |known: &&mut Vec<&Found>| {
            let first = known.first().map(|first| first.check.got_in_words(policy));
            first == Some(found.check.got_in_words(policy))
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(found),
            None => groups.push(vec![found]),
        }
    }
    groups.sort_by_key(Vec::len);
    let several = groups.len() > 1;
    for (place, group) in groups.iter().enumerate() {
        let Some(found) = group.first() else { continue };
        let datatypes: Vec<DataType> = group.iter().map(|found| found.datatype).collect();
        let named = match (datatypes.as_slice(), several, place.saturating_add(1) == groups.len()) {
            ([only], _, _) => only.name().to_owned(),
            (_, false, _) => "of any datatype".to_owned(),
            (_, true, true) => "of any other datatype".to_owned(),
            (many, true, false) => {
                many.iter().map(|datatype| datatype.name()).collect::<Vec<_>>().join(", ")
            }
        };
        if place > 0 {
            line(&mut text, "");
        }
        let sent = found
            .sent
            .as_ref()
            .map(|sent| format!(" = {}", value::show(Some(found.datatype), sent, MAX_VALUE_CHARS)));
        let metric = paint.strong(escape(metric));
        line(&mut text, &format!("  {metric}  {named}{}", sent.unwrap_or_default()));
        found.describe(&mut text, policy, entity, (group, all), paint);
    }
    report::output(&text)
}

impl Found {
    fn describe(
        &self,
        text: &mut String,
        policy: &Policy,
        entity: Entity<'_>,
        (group, all): (&[&Found], bool),
        paint: Paint,
    ) {
        line(text, &format!("    {}", verdict(policy, &self.check, self.sent.is_some(), paint)));
        let is_shown = |considered: &&Considered| {
            all || !matches!(considered.relation, Relation::OtherEntity(_))
        };
        let shown: Vec<&Considered> = self.considered.iter().filter(is_shown).collect();
        let decided = self.check.got.rule();
        let names = shown.iter().filter_map(|one| policy.rule(one.rule));
        let columns = names.map(|rule| rule.name().chars().count()).max().unwrap_or(0);
        let columns = columns.min(MAX_NAME_COLUMNS);
        if !shown.is_empty() {
            line(text, "");
        }
        for considered in &shown {
            let Some(rule) = policy.rule(considered.rule) else { continue };
            let decides = decided == Some(considered.rule);
            let mark = if decides { "→" } else { " " };
            let relation = considered.relation;
            // Of a rule that says the same of all these datatypes, no more is said.
            let others = group.iter().flat_map(|found| &found.considered);
            let others = others.filter(|other| other.rule == considered.rule);
            let strongest = others
                .clone()
                .map(|other| other.relation)
                .max_by_key(|relation| matches!(relation, Relation::Forwards | Relation::Denies));
            let mixed = others.clone().any(|other| other.relation != relation);
            let relation = strongest.unwrap_or(relation);
            let mut says = says(relation);
            if mixed {
                says.push_str(", with some datatypes");
            }
            let painted = match relation {
                Relation::Forwards => paint.good(&says),
                Relation::Denies => paint.bad(&says),
                _ => paint.faint(&says),
            };
            let name = format!("{:<columns$}", rule.name());
            let name = if decides { paint.strong(&name) } else { name };
            rule_line(text, rule, &format!("    {mark} {name}  {painted}"), columns, &says, paint);
        }
        let others = policy.rules().len().saturating_sub(shown.len());
        if others > 0 {
            let what = match entity.device {
                Some(device) if !all => format!("others than {}", escape_to(device, 60)),
                _ => format!("others than {}", escape_to(entity.edge_node, 60)),
            };
            let rules = report::counted(others, "rule");
            let verb = if others == 1 { "is" } else { "are" };
            line(text, &paint.faint(format!("      {rules} {verb} about {what}")));
        }
    }

    fn json(&self, policy: &Policy) -> Json {
        let decided = self.check.got.rule();
        let rules = self.considered.iter().filter_map(|considered| {
            let rule = policy.rule(considered.rule)?;
            Some(json!({
                "name": rule.name(),
                "file": rule.path().display().to_string(),
                "line": rule.line(),
                "action": rule.action().name(),
                "relation": relation_name(considered.relation),
                "decides": decided == Some(considered.rule),
            }))
        });
        let sent = self.sent.as_ref();
        json!({
            "datatype": self.datatype.name(),
            "sent": sent.map(|sent| value::show(Some(self.datatype), sent, usize::MAX)),
            "result": super::json::got(policy, &self.check),
            "rules": rules.collect::<Vec<_>>(),
        })
    }
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

fn says(relation: Relation) -> String {
    match relation {
        Relation::OtherEntity("node-only") => "is about edge nodes alone".to_owned(),
        Relation::OtherEntity(key) => format!("is about others, by its `{key}`"),
        Relation::OtherMetric => "is about other metrics".to_owned(),
        Relation::OtherDatatype => "is about other datatypes".to_owned(),
        Relation::Forwards => "forwards it".to_owned(),
        Relation::Denies => "denies it".to_owned(),
        Relation::Redacts => "keeps it in births without a value".to_owned(),
        Relation::Closed => "is about it, at other times".to_owned(),
        Relation::Observes => "is about it, but only observes".to_owned(),
    }
}

fn relation_name(relation: Relation) -> &'static str {
    match relation {
        Relation::OtherEntity(_) => "other_entity",
        Relation::OtherMetric => "other_metric",
        Relation::OtherDatatype => "other_datatype",
        Relation::Forwards => "forwards",
        Relation::Denies => "denies",
        Relation::Redacts => "redacts",
        Relation::Closed => "closed",
        Relation::Observes => "observes",
    }
}

/// What is said about an edge node or device, without a metric.
fn output_entity(
    policy: &Policy,
    topic: &str,
    parsed: EntityTopic<'_>,
    as_json: bool,
    paint: Paint,
) -> Result<(), Failure> {
    let entity = parsed.entity;
    let crosses = match entity.device {
        Some(_) => policy.device_in_scope(entity),
        None => policy.node_in_scope(entity.group, entity.edge_node),
    };
    let rules = explain::selecting(policy, entity);
    let told = policy.renames().tell(entity).ok().filter(|told| *told != entity);
    if as_json {
        let rules = rules.iter().filter_map(|rule| policy.rule(*rule)).map(|rule| {
            json!({
                "name": rule.name(),
                "file": rule.path().display().to_string(),
                "line": rule.line(),
                "action": rule.action().name(),
                "acts": rule.acts(),
                "in_words": rule.describe(),
            })
        });
        let object = json!({
            "topic": topic,
            "entity": entity_json(entity),
            "crosses": crosses,
            "told_as": told.map(entity_json),
            "rules": rules.collect::<Vec<_>>(),
        });
        return report::output(&format!("{object}\n"));
    }
    let mut text = String::new();
    let node = format!(
        "edge node `{}` in group `{}`",
        escape_to(entity.edge_node, 60),
        escape_to(entity.group, 60)
    );
    let what = match entity.device {
        Some(device) => format!("device `{}` of {node}", escape_to(device, 60)),
        None => node,
    };
    line(&mut text, &paint.strong(escape(topic)));
    line(&mut text, &format!("  {what}"));
    if crosses {
        let words = if entity.device.is_none() && !rules.iter().any(|id| forwards(policy, *id)) {
            "for its devices alone: births and deaths, none of its own metrics"
        } else {
            "births and deaths, and the metrics that these rules let through"
        };
        line(&mut text, &format!("  {}: {words}", paint.good("crosses")));
    } else {
        let why = match rules.iter().any(|id| forwards(policy, *id)) {
            true => "a rule denies all of it",
            false => "no rule forwards anything of it (default deny)",
        };
        line(&mut text, &format!("  {}: {why}", paint.bad("nothing of it crosses")));
    }
    if let Some(told) = told {
        line(&mut text, &format!("  it is called {} on IT", escape(&told.to_string())));
    }
    for rule in rules.iter().filter_map(|rule| policy.rule(*rule)) {
        line(&mut text, "");
        let (says, painted) = match rule.action() {
            Action::Forward => ("forwards", paint.good("forwards")),
            Action::Redact => ("redacts", paint.odd("redacts")),
            Action::Deny => ("denies", paint.bad("denies")),
        };
        let columns = rule.name().chars().count();
        let name = paint.strong(rule.name());
        rule_line(&mut text, rule, &format!("    {name}  {painted}"), columns, says, paint);
        if !rule.acts() {
            let why = if rule.is_open() { "it only observes" } else { "not at this time" };
            line(&mut text, &format!("      {}", paint.odd(why)));
        }
        for words in wrap(&rule.describe(), WIDTH.saturating_sub(6)) {
            line(&mut text, &format!("      {words}"));
        }
        for shape in rule.describe_shapes() {
            for words in wrap(&escape(&shape).to_string(), WIDTH.saturating_sub(8)) {
                line(&mut text, &format!("        {words}"));
            }
        }
    }
    let others = policy.rules().len().saturating_sub(rules.len());
    if others > 0 {
        line(&mut text, "");
        let verb = if others == 1 { "does" } else { "do" };
        let rules = report::counted(others, "rule");
        line(&mut text, &paint.faint(format!("    {rules} {verb} not select it")));
    }
    report::output(&text)
}

fn forwards(policy: &Policy, id: RuleId) -> bool {
    policy.rule(id).is_some_and(|rule| rule.action() == Action::Forward && rule.acts())
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
        return report::output(&format!("{object}\n"));
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

/// Breaks words into lines of `width` columns at most, where they have spaces.
pub(super) fn wrap(words: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words.split(' ') {
        match lines.last_mut() {
            Some(last) if last.chars().count().saturating_add(word.chars().count()) < width => {
                last.push(' ');
                last.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

pub(super) fn line(text: &mut String, content: &str) {
    // Writing to a `String` can't fail.
    let _ = writeln!(text, "{}", content.trim_end());
}
