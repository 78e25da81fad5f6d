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
