//! What becomes of one metric, and what each rule has to say about it.

use mistake::mistake;
use policy::{Action, Policy};
use serde_json::{Value as Json, json};
use sparkplug::{DataType, Entity, Topic, value};
use text::{Paint, counted, escape, escape_to};
use tools::dry_run::case::{Check, Got};
use tools::explain::{Relation, RuleRelation};

use super::super::json as machine;
use super::super::lines::{line, readable, wrap};
use super::{WIDTH, entity_json, rule_line, verdict};
use crate::cli::{Exit, Failure, report};

/// Columns up to which names of rules are aligned.
const MAX_NAME_COLUMNS: usize = 40;
/// Characters of a value that are shown.
const MAX_VALUE_CHARS: usize = 60;

/// What was found out about one metric.
pub(super) struct Found {
    pub(super) datatype: DataType,
    pub(super) sent: Option<sparkplug::Value>,
    pub(super) check: Check,
    pub(super) relations: Vec<RuleRelation>,
}

pub(super) fn output_metric_json(
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
    report::json(&object)?;
    Ok(Exit::Ok)
}

/// What becomes of one metric.
pub(super) fn output_metric(
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
    // Datatypes for which everything is the same are shown together.
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
        let Some(found) = group.first() else {
            mistake!("a group of datatypes without one");
            continue;
        };
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
        for words in limits(policy, &self.check).iter().chain(&self.check.notes) {
            for (number, row) in wrap(words, WIDTH.saturating_sub(8)).iter().enumerate() {
                let indent = if number == 0 { "" } else { "  " };
                line(text, &format!("    {indent}{}", readable(row)));
            }
        }
        if let Some(rule) = self.check.observed_by.and_then(|rule| policy.rule(rule)) {
            let would = match rule.action() {
                Action::Forward => "forward",
                Action::Deny => "deny",
                Action::Redact => "redact",
            };
            let words = format!("`{}` only observes: it would {would} it", rule.name());
            line(text, &format!("    {}", paint.odd(words)));
        }
        let is_shown =
            |related: &&RuleRelation| all || !matches!(related.relation, Relation::OtherEntity(_));
        let shown: Vec<&RuleRelation> = self.relations.iter().filter(is_shown).collect();
        let decided = self.check.got.rule();
        let names = shown.iter().filter_map(|one| policy.rule(one.rule));
        let columns = names.map(|rule| rule.name().chars().count()).max().unwrap_or(0);
        let columns = columns.min(MAX_NAME_COLUMNS);
        if !shown.is_empty() {
            line(text, "");
        }
        for related in &shown {
            let Some(rule) = policy.rule(related.rule) else {
                mistake!("a rule was looked at that the policy hasn't");
                continue;
            };
            let decides = decided == Some(related.rule);
            let mark = if decides { "→" } else { " " };
            let relation = related.relation;
            // Of a rule that says the same of all these datatypes, no more is said.
            let others = group.iter().flat_map(|found| &found.relations);
            let others = others.filter(|other| other.rule == related.rule);
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
                Some(_) if !all => escape_to(&entity.to_string(), 120).to_string(),
                _ => {
                    let node = Entity { device: None, ..entity };
                    format!("anything of {}", escape_to(&node.to_string(), 120))
                }
            };
            let rules = counted(others, "rule");
            let verb = if others == 1 { "doesn't" } else { "don't" };
            line(text, &paint.faint(format!("      {rules} {verb} select {what}")));
        }
    }

    fn json(&self, policy: &Policy) -> Json {
        let decided = self.check.got.rule();
        let rules = self.relations.iter().filter_map(|related| {
            let rule = policy.rule(related.rule)?;
            Some(json!({
                "name": rule.name(),
                "file": rule.path().display().to_string(),
                "line": rule.line(),
                "action": rule.action().name(),
                "relation": relation_name(related.relation),
                "decides": decided == Some(related.rule),
            }))
        });
        let sent = self.sent.as_ref();
        json!({
            "datatype": self.datatype.name(),
            "sent": sent.map(|sent| value::show(Some(self.datatype), sent, usize::MAX)),
            "result": machine::got(policy, &self.check),
            "rules": rules.collect::<Vec<_>>(),
        })
    }
}

/// The limits under which a metric crosses or waits: `explain` sends a single message, which none holds
/// back.
fn limits(policy: &Policy, check: &Check) -> Vec<String> {
    let (Got::Forwarded { rule, .. } | Got::Waiting { rule }) = &check.got else {
        return Vec::new();
    };
    let Some(rule) = rule.and_then(|rule| policy.rule(rule)) else { return Vec::new() };
    let is_data = matches!(
        Topic::parse(&check.topic),
        Ok(Topic::Entity(topic)) if topic.message_type.is_data()
    );
    if !is_data {
        return Vec::new();
    }
    let own = rule
        .rate()
        .map(|rate| format!("`{}`: {}", rule.name(), rate.describe_of(rate.per.words())));
    let all = policy.limits();
    let node = all.node.map(|rate| {
        rate.describe_of("for each edge node with its devices, whatever rules forward it")
    });
    let link = all.link.map(|rate| rate.describe_of("for everything together"));
    let named = [("[limits.node]", node), ("[limits.link]", link)];
    let whole = named.into_iter().filter_map(|(name, words)| Some(format!("`{name}`: {}", words?)));
    own.into_iter().chain(whole).map(|words| format!("limited by {words}")).collect()
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
