//! Tables and groups find what trying each glob finds.

use diagnostic::SourceFile;

use super::*;
use crate::{Action, Policy};

/// A policy in which every shape of glob meets every other, in groups and out of them.
fn policy(selectors: &dyn Fn(usize) -> String) -> Policy {
    let patterns: [&[&str]; 14] = [
        &["x"],
        &["Temp*"],
        &["**/c"],
        &["*Temp"],
        &["Größe*", "*größe"],
        &["?emp", "Temp"],
        &["*mp*"],
        &["a/**", "b/**", "**b**"],
        &["Temp/1", "Temp/2", "Temp/?"],
        &["*/c", "a/*"],
        &["a/b/c", "Temp/1"],
        &["**"],
        &["**/a very long name of a metric/**", "*long*metric"],
        &["?", "??", "*?*"],
    ];
    let text: String = patterns
        .iter()
        .enumerate()
        .map(|(number, globs)| {
            let globs: Vec<String> = globs.iter().map(|glob| format!("\"{glob}\"")).collect();
            let globs = globs.join(", ");
            let (action, key) = match number % 3 {
                1 => ("deny", "deny-metrics"),
                _ => ("forward", "allow-metrics"),
            };
            let datatypes = if number % 4 == 2 { "datatypes = \"Float\"" } else { "" };
            format!(
                "[[rule]]\nname = \"r{number}\"\naction = \"{action}\"\n{}\n{key} = [{globs}]\n{datatypes}\n",
                selectors(number)
            )
        })
        .collect();
    match Policy::parse(&[SourceFile::new("a.toml", text)]) {
        Ok((policy, _)) => policy,
        Err(problems) => panic!("{problems}"),
    }
}

#[test]
fn tables_and_families_find_what_trying_each_glob_finds() {
    let entity = Entity::node("G", "E");
    let shapes: [&dyn Fn(usize) -> String; 4] = [
        &|_| "group = \"G\"".to_owned(),
        &|number| format!("group = [\"G\", \"{number}\"]"),
        &|number| format!("group = \"{}\"", if number % 2 == 0 { "G" } else { "*" }),
        &|number| {
            format!(
                "group = \"G\"\nmode = \"{}\"",
                if number % 5 == 4 { "observe" } else { "enforce" }
            )
        },
    ];
    for shape in shapes {
        let policy = policy(shape);
        let plan = policy.plan(entity);
        for name in [
            "",
            "x",
            "Temp",
            "Temp/1",
            "c",
            "a/c",
            "a/b/c",
            "Größe",
            "Übergröße",
            "ö",
            "Tem",
            "/c",
            "xx/a very long name of a metric/y",
            "long metric",
        ] {
            for datatype in [Some(DataType::Float), Some(DataType::Int8), None] {
                let first = |action, type_counts: bool| {
                    policy
                        .rules()
                        .iter()
                        .position(|rule| {
                            let globs = rule.allow.as_ref().or(rule.deny.as_ref()).unwrap();
                            rule.action == action
                                && rule.acts()
                                && globs.iter().any(|glob| glob.matches(name))
                                && (!type_counts
                                    || rule.datatypes.is_none_or(|types| match datatype {
                                        Some(datatype) => types.contains(datatype),
                                        None => action == Action::Deny,
                                    }))
                        })
                        .map(|number| RuleId(number as u32))
                };
                let expected = match (
                    first(Action::Deny, true),
                    first(Action::Forward, true),
                    first(Action::Forward, false),
                ) {
                    (Some(rule), ..) => Verdict::Drop { reason: Reason::Denied, rule: Some(rule) },
                    (None, Some(rule), _) => Verdict::Forward { rule },
                    (None, None, Some(rule)) => {
                        Verdict::Drop { reason: Reason::Datatype, rule: Some(rule) }
                    }
                    (None, None, None) => Verdict::Drop { reason: Reason::NoRule, rule: None },
                };
                assert_eq!(plan.judge(name, datatype), expected, "{name} {datatype:?}");
            }
        }
    }
}

#[test]
fn what_may_cross_at_some_time_is_told_from_what_never_does() {
    let text = r#"
        [[rule]]
        name = "later"
        action = "forward"
        group = "G"
        allow-metrics = ["a", "b", "c", "s"]
        deny-metrics = "s"
        not-before = 2030-01-01T00:00:00Z
        [[rule]]
        name = "now"
        action = "forward"
        group = "G"
        allow-metrics = ["n", "s"]
        [[rule]]
        name = "at-night"
        action = "deny"
        group = "G"
        deny-metrics = ["b", "n"]
        weekly = { days = "tue", from-utc = "00:00", to-utc = "23:59" }
        [[rule]]
        name = "always-denied"
        action = "deny"
        group = "G"
        deny-metrics = "c"
        [[rule]]
        name = "only-looks"
        action = "forward"
        group = "G"
        allow-metrics = "o"
        mode = "observe"
        [[rule]]
        name = "other-group"
        action = "forward"
        group = "H"
        not-before = 2030-01-01T00:00:00Z
        [[rule]]
        name = "dark-at-night"
        action = "deny"
        group = "H"
        edge-node = "Dark"
        weekly = { days = "tue", from-utc = "00:00", to-utc = "23:59" }
        [[rule]]
        name = "dark-for-ever"
        action = "deny"
        group = "H"
        edge-node = "Darker"
    "#;
    let (mut policy, _) = Policy::parse(&[SourceFile::new("a.toml", text)]).unwrap();
    // A Tuesday.
    let _ = policy.set_time(1_700_000_000_000);
    let plan = policy.plan(Entity::node("G", "E"));
    let crosses = |name| matches!(plan.judge(name, None), Verdict::Forward { .. });
    for (name, now, ever) in [
        ("a", false, true),
        ("b", false, true),
        ("c", false, false),
        ("n", false, true),
        ("o", false, false),
        // The rule that denies it does so at times.
        ("s", true, true),
        ("x", false, false),
    ] {
        assert_eq!((crosses(name), plan.ever_forwards(name, None)), (now, ever), "{name}");
    }
    for (group, node, now, ever) in [
        ("G", "E", true, true),
        ("H", "E", false, true),
        ("H", "Dark", false, true),
        ("H", "Darker", false, false),
        ("I", "E", false, false),
    ] {
        let entity = Entity::device(group, node, "D");
        assert_eq!(policy.node_in_scope(group, node), now, "{group}/{node}");
        assert_eq!(policy.node_ever_in_scope(group, node), ever, "{group}/{node}");
        assert_eq!(policy.device_ever_in_scope(entity), ever, "{group}/{node}");
    }
}
