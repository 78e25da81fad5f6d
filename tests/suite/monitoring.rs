//! Alert rules and dashboard in `systemd/monitoring`: every metric that they name exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use sparkdiode::telemetry::status::FAMILIES;

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
