//! What is said about an edge node or device, without a metric.

use account::RuleId;
use policy::{Action, Policy};
use serde_json::json;
use sparkplug::EntityTopic;
use text::{Paint, counted, escape, escape_to};
use tools::explain::selecting;

use super::super::lines::{line, readable, wrap};
use super::{WIDTH, entity_json, rule_line};
use crate::cli::{Failure, report};

pub(super) fn output_entity(
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
    let rules = selecting(policy, entity);
    let told = policy.renames().exported(entity).ok().filter(|told| *told != entity);
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
        return report::json(&object);
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
            for words in wrap(&readable(&shape), WIDTH.saturating_sub(8)) {
                line(&mut text, &format!("        {words}"));
            }
        }
    }
    let others = policy.rules().len().saturating_sub(rules.len());
    if others > 0 {
        line(&mut text, "");
        let verb = if others == 1 { "does" } else { "do" };
        let rules = counted(others, "rule");
        line(&mut text, &paint.faint(format!("    {rules} {verb} not select it")));
    }
    report::output(&text)
}

fn forwards(policy: &Policy, id: RuleId) -> bool {
    policy.rule(id).is_some_and(|rule| rule.action() == Action::Forward && rule.acts())
}
