//! Whatever the lint says is true.

mod shadows;
mod statements;

use std::collections::BTreeSet;

use policy::Verdict;
use sparkplug::{DataType, Entity};

use super::*;

fn policy(text: &str) -> (Policy, Vec<SourceFile>) {
    let sources = vec![SourceFile::new("a.toml", text)];
    match Policy::parse(&sources) {
        Ok((policy, _)) => (policy, sources),
        Err(problems) => panic!("{problems}"),
    }
}

fn codes(text: &str) -> Vec<String> {
    let (policy, sources) = policy(text);
    let found = lint(&policy, &sources, 1_700_000_000_000);
    found.iter().map(|problem| format!("{} {}", problem.code, problem.title)).collect()
}

fn rule(name: &str, action: &str, rest: &str) -> String {
    format!("[[rule]]\nname = \"{name}\"\naction = \"{action}\"\n{rest}\n")
}

#[test]
fn a_rule_that_forwards_everything_is_remarked() {
    for (action, rest, is_remarked) in [
        ("forward", "group = \"*\"", true),
        ("forward", "topic = \"spBv1.0/+/+/#\"", true),
        ("forward", "group = [\"a\", \"**\"]\nallow-metrics = \"**\"", true),
        ("forward", "edge-node = \"*\"\npriority = \"high\"", true),
        ("forward", "topic = \"spBv1.0/G/+/#\"", false),
        ("forward", "group = \"G\"", false),
        ("forward", "group = \"*\"\nallow-metrics = \"*\"", false),
        ("forward", "group = \"*\"\ndatatypes = \"Float\"", false),
        ("forward", "group = \"*\"\nnode-only = true", false),
        ("forward", "group = \"*\"\ndevice = \"*\"", false),
        ("forward", "group = [\"?\", \"??*\"]", true),
        ("forward", "group = [\"?\", \"???*\"]", false),
        ("forward", "group = \"*\"\nallow-metrics = [\"*\", \"**/*\"]", true),
        ("forward", "topic = [\"spBv1.0/+/+/+\", \"spBv1.0/+/+/+/+\"]", true),
        ("forward", "topic = [\"spBv1.0/+/+/+\"]", false),
        ("forward", "group = \"*\"\nmode = \"observe\"", false),
        ("deny", "group = \"*\"", false),
    ] {
        let found = codes(&rule("r", action, rest));
        let remarked = found.iter().any(|code| code.starts_with("P116"));
        assert_eq!(remarked, is_remarked, "{action} {rest}: {found:?}");
    }
}

#[test]
fn rules_that_forward_everything_together_are_remarked() {
    let own = rule("own", "forward", "group = \"*\"\nnode-only = true");
    let devices = rule("devices", "forward", "group = \"*\"\ndevice = \"*\"");
    let some = rule("some", "forward", "group = \"*\"\ndevice = \"A*\"");
    let flat = rule("flat", "forward", "group = \"*\"\nallow-metrics = \"*\"");
    let deep = rule("deep", "forward", "group = \"*\"\nallow-metrics = \"**/*\"");
    let remarks = |text: String| -> Vec<String> {
        codes(&text).into_iter().filter(|code| code.starts_with("P116")).collect()
    };
    assert_eq!(
        remarks(format!("{own}{devices}")),
        ["P116 rules `own`, `devices` together forward everything of every edge node"]
    );
    assert!(remarks(format!("{own}{some}")).is_empty());
    assert_eq!(remarks(format!("{flat}{deep}")).len(), 1);
    assert!(remarks(own).is_empty() && remarks(devices).is_empty());
}

#[test]
fn a_rule_that_never_comes_into_force_is_told() {
    let weekly = "weekly = { days = [\"sat\"], from-utc = \"06:00\", to-utc = \"14:00\" }";
    for (keys, is_told) in [
        // Monday to Friday.
        (
            format!(
                "{weekly}\nnot-before = 2026-11-30T00:00:00Z\nnot-after = 2026-12-04T00:00:00Z"
            ),
            true,
        ),
        (
            format!(
                "{weekly}\nnot-before = 2026-11-30T00:00:00Z\nnot-after = 2026-12-06T00:00:00Z"
            ),
            false,
        ),
        (weekly.to_owned(), false),
        ("not-before = 2026-11-30T00:00:00Z".to_owned(), false),
    ] {
        let found = codes(&rule("r", "forward", &format!("group = \"G\"\n{keys}")));
        assert_eq!(found.iter().any(|code| code.starts_with("P117")), is_told, "{keys} {found:?}");
    }
}

#[test]
fn a_rate_that_the_limit_of_its_edge_node_never_lets_it_reach_is_told() {
    let node = "[limits.node]\nmessages-per-s = 20\n";
    for (keys, per, is_told) in [
        ("group = \"G\"", "edge-node", true),
        ("group = \"G\"", "device", true),
        ("group = \"G\"", "rule", false),
        ("group = \"G\"", "metric", false),
        ("group = \"G\"\nedge-node = \"E\"", "rule", true),
        ("group = \"G\"\nedge-node = [\"E\", \"F\"]", "rule", false),
    ] {
        let rate = format!("{keys}\n[rule.rate]\nmessages-per-s = 100\nper = \"{per}\"");
        let found = codes(&format!("{}{node}", rule("r", "forward", &rate)));
        assert_eq!(found.iter().any(|code| code.starts_with("P113")), is_told, "{keys} {per}");
    }
}

#[test]
fn rules_that_never_decide_are_told() {
    let forward = |rest: &str| rule("wide", "forward", rest);
    let deny = |rest: &str| rule("wide", "deny", rest);
    for (wide, narrow, is_reported) in [
        (forward("group = \"G\""), "group = \"G\"\nedge-node = \"E\"", true),
        (forward("group = \"G*\""), "group = \"G?\"", true),
        (forward("group = \"G?\""), "group = \"G*\"", false),
        (forward("group = \"G\""), "group = \"H\"", false),
        (
            forward("group = \"G\"\nallow-metrics = \"a/**\""),
            "group = \"G\"\nallow-metrics = [\"a/b\", \"a/*/c\"]",
            true,
        ),
        (
            forward("group = \"G\"\nallow-metrics = \"a/*\""),
            "group = \"G\"\nallow-metrics = [\"a/b\", \"a/*/c\"]",
            false,
        ),
        (forward("group = \"G\"\ndatatypes = \"Float\""), "group = \"G\"", false),
        (
            forward("group = \"G\"\ndatatypes = [\"Float\", \"Int8\"]"),
            "group = \"G\"\ndatatypes = \"Int8\"",
            true,
        ),
        (forward("group = \"G\""), "group = \"G\"\ndeny-metrics = \"x\"", false),
        (forward("group = \"G\"\nnode-only = true"), "group = \"G\"", false),
        (forward("group = \"G\""), "group = \"G\"\nnode-only = true", true),
        (forward("topic = \"spBv1.0/G/+/#\""), "group = \"G\"\ndevice = \"D\"", true),
        (
            forward("topic = \"spBv1.0/G/+/E/+\""),
            "group = \"G\"\nedge-node = \"E\"\ndevice = \"D\"",
            true,
        ),
        (forward("topic = \"spBv1.0/G/+/E/+\""), "group = \"G\"\nedge-node = \"E\"", false),
        (forward("group = \"G\"\nmode = \"observe\""), "group = \"G\"", false),
        (forward("group = \"G\"\nnot-after = 2030-01-01T00:00:00Z"), "group = \"G\"", false),
        (forward("group = \"G\"\nnot-before = 2020-01-01T00:00:00Z"), "group = \"G\"", true),
        (
            deny("group = \"*\"\ndeny-metrics = \"**/Recipe*\""),
            "group = \"G\"\nallow-metrics = \"a/Recipe1\"",
            true,
        ),
        (
            deny("group = \"*\"\ndeny-metrics = \"**/Recipe*\""),
            "group = \"G\"\nallow-metrics = \"a/Recipe/1\"",
            false,
        ),
        (deny("edge-node = \"E\""), "group = \"G\"\nedge-node = \"E\"", true),
        (deny("edge-node = \"E\""), "group = \"G\"", false),
    ] {
        let found = codes(&format!("{wide}{}", rule("narrow", "forward", narrow)));
        assert_eq!(!found.is_empty(), is_reported, "{wide} {narrow} {found:?}");
    }
    // A deny rule after the forward rule that it empties.
    let late =
        format!("{}{}", rule("f", "forward", "group = \"G\""), rule("d", "deny", "group = \"*\""));
    assert_eq!(codes(&late), ["P111 rule `f` forwards nothing: `d` denies all of it"]);
    // One that redacts what others forward, and what the deny rule doesn't deny.
    for (denied, is_told) in [
        ("", true),
        ("deny-metrics = [\"a\", \"t*\"]", true),
        ("deny-metrics = \"a\"", false),
        ("datatypes = \"Float\"", false),
    ] {
        let redacts = rule(
            "f",
            "forward",
            "group = \"G\"\nallow-metrics = \"a\"\nredact-metrics = \"t\"\ndatatypes = \"Float\"",
        );
        let deny = rule("d", "deny", &format!("group = \"G\"\n{denied}"));
        let found = codes(&format!("{redacts}{}{deny}", rule("all", "forward", "group = \"*\"")));
        assert_eq!(
            found.iter().any(|one| one.starts_with("P111 rule `f`")),
            is_told,
            "{denied} {found:?}"
        );
    }
    let twice =
        format!("{}{}", rule("d1", "deny", "group = \"G\""), rule("d2", "deny", "group = \"G\""));
    assert_eq!(codes(&twice), ["P112 rule `d2` never decides: `d1` denies all of it"]);
}

#[test]
fn what_is_over_and_what_is_never_reached_is_told() {
    let text = format!(
        "{}{}[limits.link]\nmessages-per-s = 10\n[limits.node]\nmessages-per-s = 10\n",
        rule("old", "forward", "group = \"G\"\nnot-after = 2020-01-01T00:00:00Z"),
        rule("fast", "forward", "group = \"G\"\nrate = { messages-per-s = 20 }"),
    );
    assert_eq!(
        codes(&text),
        [
            "P113 `[limits.node]` is no smaller limit than `[limits.link]`",
            "P110 rule `old` is over",
            "P113 the rate of rule `fast` is never reached"
        ]
    );
}

#[test]
fn a_rule_that_is_said_to_decide_nothing_decides_nothing() {
    // The sum of all shapes: whatever is told holds for every entity and metric tried.
    let selectors = [
        "group = \"G\"",
        "group = \"*\"",
        "edge-node = \"E*\"",
        "topic = \"spBv1.0/G/+/E\"",
        "device = [\"D\", \"X\"]",
    ];
    let metrics = ["", "= \"a/**\"", "= [\"a/b\", \"**/c\"]", "= \"*\""];
    let mut text = String::new();
    let mut number = 0;
    for selector in selectors {
        for metric in metrics {
            for action in ["forward", "deny"] {
                let key = if action == "deny" { "deny-metrics" } else { "allow-metrics" };
                let metric =
                    if metric.is_empty() { String::new() } else { format!("{key} {metric}") };
                text.push_str(&rule(
                    &format!("r{number}"),
                    action,
                    &format!("{selector}\n{metric}"),
                ));
                number += 1;
            }
        }
    }
    let (policy, sources) = policy(&text);
    let found_names: BTreeSet<String> = lint(&policy, &sources, 0)
        .iter()
        .map(|problem| problem.title.split('`').nth(1).unwrap().to_owned())
        .collect();
    assert!(found_names.len() > 10);
    for group in ["G", "H"] {
        for edge_node in ["E", "E2", "F"] {
            for device in [None, Some("D"), Some("Y")] {
                let entity = Entity { group, edge_node, device };
                for metric in ["a/b", "c", "x/c", "a", "x", "x/y"] {
                    let verdict = policy.judge(entity, metric, Some(DataType::Float));
                    let (Verdict::Forward { rule, .. } | Verdict::Drop { rule: Some(rule), .. }) =
                        verdict
                    else {
                        continue;
                    };
                    let name = policy.rules()[rule.index()].name();
                    assert!(!found_names.contains(name), "{name} decides about {entity} {metric}");
                }
            }
        }
    }
}

#[test]
fn what_is_said_of_a_covered_rule_is_no_more_than_what_is_so() {
    let all = rule("all", "forward", "group = \"G\"");
    let checks = "group = \"G\"\n[[rule.metric]]\nnames = \"x\"\nmax = 1";
    let numbers = format!("datatypes = \"Float\"\n{checks}");
    let redact = rule("r", "redact", "group = \"G\"");
    for (text, said) in [
        // It drops Bytes, which the first rule passes over: that is a decision.
        (
            format!("{all}{}", rule("f", "forward", checks)),
            "P112 rule `f` never lets anything cross: `all` comes first",
        ),
        (
            format!("{all}{}", rule("f", "forward", &numbers)),
            "P112 rule `f` never decides: `all` comes first",
        ),
        (format!("{all}{redact}"), "P111 rule `all` lets no value cross: `r` redacts all of it"),
        (
            format!("{redact}{}", rule("r2", "redact", "group = \"G\"")),
            "P112 rule `r2` never decides: `r` redacts all of it",
        ),
    ] {
        assert_eq!(codes(&text), [said], "{text}");
    }
    let (policy, _) = policy(&format!("{all}{}", rule("f", "forward", checks)));
    let verdict = policy.judge(Entity::node("G", "E"), "x", Some(DataType::Bytes));
    assert!(matches!(verdict, Verdict::Drop { rule: Some(RuleId(1)), .. }), "{verdict:?}");
}

#[test]
fn forward_rules_that_only_observe_forward_nothing() {
    let observing = rule("o", "forward", "group = \"G\"\nmode = \"observe\"");
    let deny = rule("d", "deny", "group = \"H\"");
    assert_eq!(codes(&format!("{observing}{deny}")), ["P103 nothing is forwarded"]);
    let acting = rule("f", "forward", "group = \"G\"");
    assert!(codes(&format!("{observing}{acting}")).iter().all(|code| !code.starts_with("P103")));
}
