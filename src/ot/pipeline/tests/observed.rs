//! Rules that only observe, and what all rules are known to have decided.

use sparkplug::{DataType, Metric, Template, Value};

use super::bench::{Bench, aliased, bd_seq, by_alias, names_of, payload, typed};
use crate::{Decisions, RuleMatches};

fn number(name: &str, alias: u64) -> Metric {
    aliased(name, alias, DataType::Int32, Value::Int(1))
}

fn matches(bench: &Bench) -> Vec<(u64, u64)> {
    let (_, matches) = bench.pipeline.rule_matches();
    matches.map(|RuleMatches { metrics, observed, .. }| (metrics, observed)).collect()
}

fn remembered(bench: &Bench) -> usize {
    Decisions::of(&bench.pipeline, bench.now.wall_ms).drops.len()
}

#[test]
fn an_observing_rule_counts_and_changes_nothing() {
    let mut bench = Bench::new(
        r#"
        [[rule]]
        name = "first"
        action = "forward"
        group = "G"
        allow-metrics = "a"

        [[rule]]
        name = "would-forward"
        action = "forward"
        group = "G"
        allow-metrics = ["a", "b", "c"]
        mode = "observe"

        [[rule]]
        name = "would-deny"
        action = "deny"
        group = "G"
        deny-metrics = ["a", "c"]
        mode = "observe"

        [[rule]]
        name = "idle"
        action = "deny"
        group = "G"
        deny-metrics = "z"
    "#,
    );
    let frames =
        bench.node("NBIRTH", vec![bd_seq(0), number("a", 1), number("b", 2), number("c", 3)]);
    assert_eq!(names_of(&payload(&frames[0])), ["bdSeq", "a"]);
    assert_eq!(matches(&bench), [(1, 0), (0, 1), (0, 2), (0, 0)]);
    let data = (1..=3).map(|alias| by_alias(alias, Value::Int(7))).collect();
    let frames = bench.node("NDATA", data);
    assert_eq!(names_of(&payload(&frames[0])), ["a"]);
    assert_eq!(matches(&bench), [(2, 0), (0, 2), (0, 4), (0, 0)]);
    // A metric that no birth has and no rule forwards.
    bench.node("NDATA", vec![typed("z", DataType::Int8, Value::Int(1))]);
    assert_eq!(matches(&bench)[3], (1, 0));
    let digest = bench.pipeline.policy().digest().to_owned();
    bench.reload("");
    assert!(matches(&bench).is_empty());
    assert_ne!(bench.pipeline.policy().digest(), digest);
}

#[test]
fn a_reload_of_the_same_files_forgets_nothing() {
    let text =
        "[[rule]]\nname = \"r\"\naction = \"forward\"\ngroup = \"G\"\nallow-metrics = \"a\"\n";
    let mut bench = Bench::new(text);
    bench.node("NBIRTH", vec![bd_seq(0), number("a", 1), number("b", 2)]);
    bench.node("NDATA", vec![by_alias(1, Value::Int(7))]);
    let since = bench.pipeline.rule_matches().0;
    let drops = remembered(&bench);
    assert!(drops > 0);
    bench.pass(1_000);
    bench.reload(text);
    assert_eq!(matches(&bench), [(2, 0)]);
    assert_eq!(bench.pipeline.rule_matches().0, since);
    assert_eq!(remembered(&bench), drops);
    bench.reload(&format!("{text}# other files\n"));
    assert_eq!(matches(&bench), [(0, 0)]);
    assert!(bench.pipeline.rule_matches().0 > since);
    assert_eq!(remembered(&bench), 0);
}

#[test]
fn a_rule_that_denies_members_of_templates_decides_something() {
    let mut bench = Bench::new(
        r#"
        [[rule]]
        name = "all"
        action = "forward"
        group = "G"

        [[rule]]
        name = "members"
        action = "deny"
        group = "G"
        deny-metrics = "*/Secret"
    "#,
    );
    let member = typed("Secret", DataType::Int32, Value::Int(0));
    let template =
        Template { metrics: vec![member], is_definition: Some(true), ..Template::default() };
    let definition = typed("T", DataType::Template, Value::Template(Box::new(template)));
    bench.node("NBIRTH", vec![bd_seq(0), definition]);
    assert_eq!(matches(&bench)[1], (1, 0));
}
