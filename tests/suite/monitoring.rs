//! Alert rules and dashboard in `systemd/monitoring`: every metric and label that they name exists in
//! what node_exporter makes of a running relay's textfiles, and every expression can be parsed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use telemetry::status::FAMILIES;

use crate::broker::skipped;

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/monitoring").join(name)
}

/// The names of sparkdiode's metrics in an expression.
fn metrics(text: &str) -> BTreeSet<String> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let words = text.split(|letter| !is_part(letter));
    words.filter(|word| word.starts_with("sparkdiode_")).map(str::to_owned).collect()
}

fn known() -> BTreeSet<String> {
    FAMILIES.iter().map(|family| family.name.to_owned()).collect()
}

/// An expression of a panel or an alert, and the labels that are shown beside its values.
struct Expression {
    place: String,
    text: String,
    shown: BTreeSet<String>,
}

/// Names after `before` in templates such as `{{half}}`, up to what isn't part of a name.
fn names_after(text: &str, before: &str) -> BTreeSet<String> {
    let is_part = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '_';
    let parts = text.split(before).skip(1);
    parts.map(|part| part.trim_start().chars().take_while(is_part).collect()).collect()
}

/// All of the dashboard, its variables put in, and of the alert rules.
fn expressions() -> Vec<Expression> {
    let text = fs::read_to_string(shipped("sparkdiode.dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let mut all = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let text = target["expr"].as_str().unwrap();
            let legend = target["legendFormat"].as_str().unwrap_or_default();
            all.push(Expression {
                place: format!("panel `{}`", panel["title"].as_str().unwrap()),
                text: text.replace("$__rate_interval", "5m").replace("$relay", "relay"),
                shown: names_after(legend, "{{"),
            });
        }
    }
    let rules = fs::read_to_string(shipped("sparkdiode.rules.yml")).unwrap();
    for alert in rules.split("- alert: ").skip(1) {
        let (name, rest) = alert.split_once('\n').unwrap();
        let expr = rest.lines().find_map(|line| line.trim().strip_prefix("expr: ")).unwrap();
        let shown = names_after(rest, "$labels.");
        all.push(Expression { place: format!("alert {name}"), text: expr.to_owned(), shown });
    }
    assert!(all.len() > 30, "{}", all.len());
    all
}

/// The labels that an expression names, each with the metric that must have it; for those of an
/// aggregation any metric of the expression will do.
fn labels(expression: &Expression) -> Vec<(BTreeSet<String>, String)> {
    let Expression { text, shown, .. } = expression;
    let mut named = Vec::new();
    for metric in metrics(text) {
        for (at, _) in text.match_indices(&metric) {
            let rest = &text[at + metric.len()..];
            let Some(matchers) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'))
            else {
                continue;
            };
            for matcher in matchers.0.split(',') {
                let label = matcher.split(['=', '!']).next().unwrap_or_default().trim();
                named.push((BTreeSet::from([metric.clone()]), label.to_owned()));
            }
        }
    }
    let mut kept = BTreeSet::new();
    for word in ["by (", "on (", "on(", "by("] {
        for part in text.split(word).skip(1) {
            let list = part.split(')').next().unwrap_or_default();
            kept.extend(list.split(',').map(|label| label.trim().to_owned()));
        }
    }
    if !kept.is_empty() {
        let lost: Vec<&String> = shown.difference(&kept).collect();
        assert!(lost.is_empty(), "{}: {lost:?} aren't kept by {text}", expression.place);
    }
    named.extend(kept.union(shown).map(|label| (metrics(text), label.clone())));
    named
}

/// Asserts that all metrics and labels that are named exist in `exposed`, by metric.
#[track_caller]
pub(crate) fn all_named_in(exposed: &BTreeMap<String, BTreeSet<String>>) {
    for expression in &expressions() {
        let Expression { place, text, .. } = expression;
        for metric in metrics(text) {
            assert!(exposed.contains_key(&metric), "{place}: no {metric}: {text}");
        }
        for (of, label) in labels(expression) {
            let has = of.iter().any(|metric| exposed[metric].contains(&label));
            assert!(has, "{place}: no label `{label}` on any of {of:?}: {text}");
        }
    }
}

#[test]
fn promtool_parses_every_expression_of_the_dashboard() {
    use std::fmt::Write;
    let mut rules = String::from("groups:\n- name: dashboard\n  rules:\n");
    for (at, Expression { text, .. }) in expressions().iter().enumerate() {
        writeln!(rules, "  - record: d:{at}\n    expr: '{}'", text.replace('\'', "''")).unwrap();
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), rules).unwrap();
    let output = Command::new("promtool").args(["check", "rules"]).arg(file.path()).output();
    let Ok(output) = output else {
        return skipped("no promtool; install `prometheus`");
    };
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn every_metric_of_the_alert_rules_exists_and_promtool_takes_them() {
    let path = shipped("sparkdiode.rules.yml");
    let text = fs::read_to_string(&path).unwrap();
    let expressions = text.lines().filter_map(|line| line.trim().strip_prefix("expr: "));
    let named: BTreeSet<String> = expressions.flat_map(metrics).collect();
    assert!(named.len() > 10, "{named:?}");
    assert!(named.is_subset(&known()), "{:?}", named.difference(&known()));
    let Ok(output) = Command::new("promtool").args(["check", "rules"]).arg(&path).output() else {
        skipped("no promtool; install `prometheus`");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_metric_of_the_dashboard_exists_and_every_metric_is_watched() {
    let text = fs::read_to_string(shipped("sparkdiode.dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut named = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            let of_target = metrics(expression);
            assert!(!of_target.is_empty(), "{expression}");
            named.extend(of_target);
        }
    }
    assert!(named.is_subset(&known()), "{:?}", named.difference(&known()));
    // What no panel and no alert shows is of no use in the textfile.
    let rules = fs::read_to_string(shipped("sparkdiode.rules.yml")).unwrap();
    named.extend(metrics(&rules));
    let detail =
        ["start_time_seconds", "policy_rules", "unknown_fields_total", "journal_next_frame"]
            .into_iter()
            .chain(["healed_total", "ot_broker_connected", "ot_report_time_seconds"])
            .map(|name| format!("sparkdiode_{name}"));
    let shown: BTreeSet<String> = named.into_iter().chain(detail).collect();
    assert_eq!(shown, known());
}
