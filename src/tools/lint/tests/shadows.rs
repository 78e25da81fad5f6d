//! Rules that come first and show more: when that is said, and that what is said is what the pipeline does.

use std::collections::BTreeSet;

use ot::Received;
use policy::Shows;
use proptest::prelude::*;
use proptest::sample::select;
use prost::Message as _;
use sparkplug::{Metric, Payload, Value, names};

use super::*;
use crate::compare::compare;
use crate::compare::tests::traffic::{BEGIN_MS, pairs, read};
use crate::dry_run::{DryRun, MetricFate};
use crate::explain::{Relation, relations};

/// What is said of two rules: in whose favour, and what is lost.
fn shown(earlier: &str, later: &str) -> Vec<String> {
    let text = format!("{}{}", rule("first", "forward", earlier), rule("second", "forward", later));
    let (policy, _) = policy(&text);
    let found = shadow::find(&policy, BEGIN_MS);
    assert!(!found.gave_up, "{text}");
    found.all().iter().flat_map(|one| one.lost.iter().map(|lost| lost.now.clone())).collect()
}

#[test]
fn an_earlier_rule_that_shows_more_is_told_with_what_it_shows() {
    let oven = "topic = 'spBv1.0/plant/+/oven1/#'";
    let all = "topic = 'spBv1.0/plant/+/+/#'";
    let line = "group = 'plant'\nedge-node = 'oven1'";
    let temperatures = "group = 'plant'\nallow-metrics = 'Temperature/**'";
    let hours = "weekly = { days = ['mon'], from-utc = '06:00', to-utc = '14:00' }";
    let texts = "[rule.shape]\npseudonym = true";
    let slow = "[rule.rate]\nmessages-per-s = 1";
    let with = |selectors: &str, rest: &str| format!("{selectors}\n{rest}");
    for (earlier, later, wanted) in [
        // What is forgotten in a special case.
        (oven.to_owned(), with(all, texts), vec!["texts as they are"]),
        (with(oven, "[rule.shape]\nmax-age-s = 60"), with(all, texts), vec!["texts as they are"]),
        (
            oven.to_owned(),
            with(all, "[rule.shape]\nproperties = []"),
            vec!["engineering properties"],
        ),
        (
            oven.to_owned(),
            with(all, "[[rule.metric]]\nnames = 'T*'\nmax = 50"),
            vec!["every number"],
        ),
        (
            oven.to_owned(),
            with(all, "[rule.shape]\nmin-interval-ms = 1000"),
            vec!["values as often as they come"],
        ),
        (oven.to_owned(), with(all, slow), vec!["as much as comes"]),
        (oven.to_owned(), with(all, "strip-prefix = 'secret/'"), vec!["named as in the plant"]),
        // In what two rules share.
        (line.to_owned(), with(temperatures, texts), vec!["texts as they are"]),
        (line.to_owned(), with(temperatures, hours), vec!["at all times"]),
        (
            with(line, "[[rule.metric]]\nnames = '**/x'\nmax = 90"),
            with(temperatures, "[[rule.metric]]\nnames = '**'\nmax = 50"),
            vec!["every number", "numbers up to 90 (others are dropped)"],
        ),
        (
            with(line, "[rule.rate]\nmessages-per-s = 5"),
            with(temperatures, slow),
            vec!["at most 5 messages/s (burst 5) of data for all that `first` forwards together"],
        ),
        // What is over at some time is no hours of the week.
        (line.to_owned(), with(temperatures, "not-after = 2030-01-01T00:00:00Z"), vec![]),
        // While it is in force.
        (with(line, hours), with(temperatures, texts), vec!["texts as they are"]),
        // Nothing of this is odd: special cases that say themselves what crosses, …
        (with(oven, "[rule.rate]\nmessages-per-s = 5"), with(all, slow), vec![]),
        (
            with(oven, "[[rule.metric]]\nnames = 'x'\nmax = 90"),
            with(all, "[[rule.metric]]\nnames = 'x'\nmax = 50"),
            vec![],
        ),
        (with(oven, texts), all.to_owned(), vec![]),
        (with(oven, texts), with(all, texts), vec![]),
        (with(oven, slow), all.to_owned(), vec![]),
        // … what goes first on purpose, or at all times beside what is in force at some, …
        (with(oven, "priority = 'high'"), with(all, slow), vec![]),
        (oven.to_owned(), with(all, hours), vec![]),
        (with(line, "priority = 'high'"), with(temperatures, hours), vec![]),
        // … and rules that have nothing in common.
        (oven.to_owned(), with("topic = 'spBv1.0/plant/+/oven2/#'", texts), vec![]),
        (
            with(oven, "allow-metrics = 'a/*'"),
            with(all, &format!("allow-metrics = 'b/*'\n{texts}")),
            vec![],
        ),
        (
            with(oven, "datatypes = 'Float'"),
            with(all, &format!("datatypes = 'String'\n{texts}")),
            vec![],
        ),
        (with(oven, "datatypes = 'Float'"), with(all, texts), vec![]),
        (with(oven, "mode = 'observe'"), with(all, texts), vec![]),
        (oven.to_owned(), with(all, &format!("mode = 'observe'\n{texts}")), vec![]),
        (with(oven, "not-after = 2020-01-01T00:00:00Z"), with(all, texts), vec![]),
    ] {
        let found = shown(&earlier, &later);
        assert_eq!(found, wanted, "{earlier}\n---\n{later}");
    }
}

#[test]
fn what_a_rule_denies_is_in_nobodys_shadow() {
    let first = rule("first", "forward", "group = 'G'\nedge-node = 'E'\nallow-metrics = 'x'");
    let second = rule("second", "forward", "group = 'G'\n[rule.shape]\npseudonym = true");
    let deny = rule("deny", "deny", "group = 'G'\ndeny-metrics = 'x'");
    let codes_of = |text: &str| -> BTreeSet<String> {
        codes(text).into_iter().map(|code| code[..4].to_owned()).collect()
    };
    assert!(codes_of(&format!("{first}{second}")).contains("P118"));
    assert!(!codes_of(&format!("{first}{second}{deny}")).contains("P118"));
    // A narrower deny before a wide rule is how policies are written.
    let wide = rule("wide", "forward", "group = 'G'");
    assert!(codes(&format!("{deny}{wide}")).is_empty());
    // A rule that never decides is told once, with what is shown instead.
    let all = rule("all", "forward", "group = 'G'");
    let (policy, sources) = policy(&format!("{all}{second}"));
    let found = lint(&policy, &sources, BEGIN_MS);
    assert_eq!(found.len(), 1, "{found}");
    assert!(found.to_string().contains("more is shown: texts as they are"), "{found}");
}

#[test]
fn a_warning_names_both_rules_and_what_becomes_of_a_metric() {
    let sources = vec![
        SourceFile::new("a.toml", rule("oven1", "forward", "topic = 'spBv1.0/plant/+/oven1/#'")),
        SourceFile::new(
            "b.toml",
            rule(
                "texts",
                "forward",
                "topic = 'spBv1.0/plant/+/+/#'\n[rule.shape]\npseudonym = true",
            ),
        ),
    ];
    let (policy, _) = Policy::parse(&sources).unwrap();
    let found = lint(&policy, &sources, BEGIN_MS).to_string();
    for wanted in [
        "warning[P118]: rule `oven1` comes before `texts` and shows more of what both are about",
        "b.toml:1:1",
        "a.toml:1:1",
        "`texts`: texts replaced by pseudonyms",
        "`oven1`: texts as they are",
        "such as metric `x` (String) of `spBv1.0/plant/NDATA/oven1`",
        "put `texts` in front",
    ] {
        assert!(found.contains(wanted), "{wanted}\n{found}");
    }
}

#[test]
fn many_rules_are_told_in_few_words() {
    let mut text = String::new();
    for number in 0..20 {
        text += &rule(
            &format!("r{number}"),
            "forward",
            &format!("group = 'G'\nedge-node = 'E{number}'"),
        );
    }
    text += &rule("texts", "forward", "group = 'G'\n[rule.shape]\npseudonym = true");
    let (policy, sources) = policy(&text);
    let found = lint(&policy, &sources, BEGIN_MS);
    let told: Vec<_> = found.iter().filter(|problem| problem.code == "P118").collect();
    assert_eq!(told.len(), 5, "{found}");
    assert!(found.to_string().contains("and so do 15 more rules"), "{found}");
    assert!(found.iter().all(|problem| problem.code != "P114"), "{found}");
}

/// A policy without those of its rules that stand before `until` and forward, but for one.
fn alone(text: &str, until: usize, but: Option<usize>) -> Option<String> {
    let limits = text.find("[limits").unwrap_or(text.len());
    let (rules, limits) = text.split_at(limits);
    let mut kept = String::new();
    for (place, block) in rules.split("[[rule]]\n").filter(|block| !block.is_empty()).enumerate() {
        let forwards = block.contains("action = 'forward'");
        if forwards && place < until && Some(place) != but {
            // What it denies and redacts it would no more.
            if block.contains("deny-metrics") || block.contains("redact-metrics") {
                return None;
            }
            continue;
        }
        kept.push_str("[[rule]]\n");
        kept.push_str(block);
    }
    Some(kept + limits)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// Whatever rule is said to show more: with it the comparison of policies finds more than without.
    #[test]
    fn a_rule_that_is_said_to_show_more_does((text, other) in pairs()) {
        for text in [text, other] {
            let Some(policy) = read(&text) else { continue };
            let found = shadow::find(&policy, BEGIN_MS);
            prop_assert!(!found.gave_up, "{}", text);
            for shadow in found.all() {
                let (earlier, later) = (shadow.earlier.index(), shadow.later.index());
                let without = alone(&text, later, None);
                let with = alone(&text, later, Some(earlier));
                let (Some(without), Some(with)) = (without, with) else { continue };
                let (without, with) = (read(&without).unwrap(), read(&with).unwrap());
                let comparison = compare(&without, &with, BEGIN_MS);
                prop_assert!(!comparison.shows_no_more(), "{:?}\n{}", shadow, text);
                let contrasts = comparison.otherwise.iter().flat_map(|one| &one.contrasts);
                let said: BTreeSet<(&str, &str)> = contrasts
                    .filter(|one| one.shows != Shows::Less)
                    .map(|one| (&*one.now, &*one.before))
                    .collect();
                for lost in shadow.lost.iter().filter(|lost| lost.now != "at all times") {
                    prop_assert!(said.contains(&(&*lost.now, &*lost.before)), "{:?}\n{}", lost, text);
                }
            }
        }
    }

    /// A text that crosses as it is, and would not by a later rule: that is told; and what is told is so.
    #[test]
    fn texts_that_cross_by_an_earlier_rule_are_told(rules in proptest::collection::vec(texts(), 2..5)) {
        let text: String = rules
            .iter()
            .enumerate()
            .map(|(number, keys)| rule(&format!("r{number}"), if keys.starts_with("deny") { "deny" } else { "forward" }, keys))
            .collect();
        let Some(policy) = read(&text) else { return Err(TestCaseError::reject("not a policy")) };
        let found = shadow::find(&policy, BEGIN_MS);
        let told = |earlier: RuleId, later: RuleId| {
            found.all().iter().any(|one| {
                (one.earlier, one.later) == (earlier, later)
                    && one.lost.iter().any(|lost| lost.now == "texts as they are")
            })
        };
        for shadow in found.all() {
            for lost in shadow.lost.iter().filter(|lost| lost.now == "texts as they are") {
                let witness = &lost.witness;
                let of = (&*witness.group, &*witness.edge_node, witness.device.as_deref(), &*witness.metric);
                let (by, is_clear) = crosses(&policy, of).unwrap();
                prop_assert!(by == shadow.earlier && is_clear, "{:?}\n{}", shadow, text);
                prop_assert!(later_pseudonyms(&policy, of, by).contains(&shadow.later), "{:?}\n{}", shadow, text);
            }
        }
        for edge_node in ["n", "m"] {
            for device in [None, Some("d")] {
                for metric in ["a", "a/b", "q", "q/b", "a/q"] {
                    let of = ("g", edge_node, device, metric);
                    let Some((by, true)) = crosses(&policy, of) else { continue };
                    for later in later_pseudonyms(&policy, of, by) {
                        prop_assert!(told(by, later), "{:?} by {:?}, {:?}\n{}", of, by, later, text);
                    }
                }
            }
        }
    }
}

/// Keys of a rule about texts.
fn texts() -> impl Strategy<Value = String> {
    let node = select(vec!["", "edge-node = 'n'\n", "edge-node = '?'\n", "edge-node = 'm'\n"]);
    let device = select(vec!["", "device = 'd'\n", "node-only = true\n"]);
    let metrics = select(vec!["", "'a'", "'a/*'", "'**/b'", "'*'", "['a', 'q/b']"]);
    let kind = select(vec![
        "",
        "",
        "[rule.shape]\npseudonym = true\n",
        "[rule.shape]\npseudonym = true\n",
        "deny",
    ]);
    (node, device, metrics, kind).prop_map(|(node, device, metrics, kind)| {
        let key = if kind == "deny" { "deny-metrics" } else { "allow-metrics" };
        let metrics =
            if metrics.is_empty() { String::new() } else { format!("{key} = {metrics}\n") };
        match kind {
            "deny" if metrics.is_empty() => {
                format!("deny-metrics = 'z'\ngroup = 'g'\n{node}{device}")
            }
            "deny" => format!("{metrics}group = 'g'\n{node}{device}"),
            _ => format!("group = 'g'\n{node}{device}{metrics}{kind}"),
        }
    })
}

type Of<'a> = (&'a str, &'a str, Option<&'a str>, &'a str);

/// By which rule a text of the metric crosses in the pipeline, and whether it arrives as it is.
fn crosses(policy: &Policy, (group, edge_node, device, metric): Of<'_>) -> Option<(RuleId, bool)> {
    let mut dry_run = DryRun::new(policy.clone(), BEGIN_MS);
    let given = |name: &str, datatype: DataType, value: Value| Metric {
        name: Some(name.to_owned()),
        datatype: Some(datatype.code()),
        value: Some(value),
        ..Metric::default()
    };
    let number = given(names::BD_SEQ, DataType::Int64, Value::Long(0));
    let text = given(metric, DataType::String, Value::String("Müller".to_owned()));
    let mut of_node = vec![number];
    of_node.extend(device.is_none().then(|| text.clone()));
    let node = (format!("spBv1.0/{group}/NBIRTH/{edge_node}"), of_node);
    let device =
        device.map(|one| (format!("spBv1.0/{group}/DBIRTH/{edge_node}/{one}"), vec![text]));
    let mut found = None;
    for ((topic, metrics), seq) in [node].into_iter().chain(device).zip(0..) {
        let payload =
            Payload { timestamp: Some(BEGIN_MS), seq: Some(seq), metrics, ..Payload::default() };
        let payload = payload.encode_to_vec();
        let outcome = dry_run.receive(Received {
            topic: &topic,
            payload: &payload,
            retain: false,
            dup: false,
            assured: false,
        });
        for one in outcome.metrics.into_iter().filter(|one| one.name == metric) {
            if let MetricFate::Forwarded { rule: Some(rule), arrives } = one.fate {
                let is_clear = arrives.value == Some(Value::String("Müller".to_owned()));
                found = Some((rule, is_clear));
            }
        }
    }
    found
}

/// The later rules that forward a text of the metric under pseudonyms.
fn later_pseudonyms(
    policy: &Policy,
    (group, edge_node, device, metric): Of<'_>,
    by: RuleId,
) -> Vec<RuleId> {
    let entity = Entity { group, edge_node, device };
    let found = relations(policy, entity, metric, Some(DataType::String));
    let forwards = found.into_iter().filter(|one| one.relation == Relation::Forwards);
    let is_shaped = |one: &RuleId| !policy.rules()[one.index()].describe_shapes().is_empty();
    forwards.map(|one| one.rule).filter(|one| *one > by).filter(is_shaped).collect()
}
