//! What the policy tools show is what the pipeline does, and an expectation that doesn't hold
//! fails.

mod expectations;

use std::time::Duration;

use diagnostic::SourceFile;
use proptest::prelude::*;
use prost::Message;
use sparkplug::captures;

use super::case::{self, Got};
use super::coverage::coverage;
use super::tally::Tally;
use super::*;
use crate::cases::{self, Case, Given};

fn policy(text: &str) -> Policy {
    with_cases(text).0
}

fn with_cases(text: &str) -> (Policy, Vec<Case>) {
    match cases::read(&[SourceFile::new("test.toml", text)]) {
        Ok((policy, cases, _)) => (policy, cases),
        Err(problems) => panic!("{problems}"),
    }
}

const RULES: &str = r#"
    [[rule]]
    name = "ovens"
    action = "forward"
    group = "G"
    device = "Oven*"
    allow-metrics = ["Temp/**", "State"]
    deny-metrics = ["**/Secret"]
    datatypes = ["Float", "String"]

    [[rule]]
    name = "slow"
    action = "forward"
    group = "Slow"
    [rule.rate]
    messages-per-s = 1
    burst-messages = 1

    [[rule]]
    name = "no-recipes"
    action = "deny"
    group = "*"
    deny-metrics = "**/Recipe*"
"#;

/// Which cases of `text` pass, by name.
fn results(text: &str) -> Vec<(String, bool)> {
    let (policy, cases) = with_cases(&format!("{RULES}\n{text}"));
    let run = |one: &Case| (one.name().to_owned(), case::run(&policy, one).passed());
    cases.iter().map(run).collect()
}

#[test]
fn an_expectation_that_holds_passes_and_one_that_does_not_fails() {
    let oven = "topic = \"spBv1.0/G/DDATA/E/Oven1\"";
    let temp = format!("{oven}\nmetric = \"Temp/1\"\ndatatype = \"Float\"\nvalue = 61.5");
    let secret = format!("{oven}\nmetric = \"Temp/Secret\"\ndatatype = \"Float\"\nvalue = 1");
    let recipe = format!("{oven}\nmetric = \"Temp/Recipe\"\ndatatype = \"Float\"\nvalue = 1");
    for (passes, given, expected) in [
        (true, &temp, "expect = \"forward\""),
        (false, &temp, "expect = \"drop\""),
        (false, &temp, "expect = \"wait\""),
        (true, &temp, "expect = \"forward\"\nrule = \"ovens\""),
        (false, &temp, "expect = \"forward\"\nrule = \"slow\""),
        (true, &temp, "expect = \"forward\"\narrives.value = 61.5"),
        (false, &temp, "expect = \"forward\"\narrives.value = 61.6"),
        (false, &temp, "expect = \"forward\"\narrives.null = true"),
        (true, &temp, "expect = \"forward\"\narrives.null = false"),
        (true, &temp, "expect = \"forward\"\narrives.metric = \"Temp/1\""),
        (false, &temp, "expect = \"forward\"\narrives.metric = \"Temp/2\""),
        (true, &temp, "expect = \"forward\"\narrives.topic = \"spBv1.0/G/DDATA/E/Oven1\""),
        (false, &temp, "expect = \"forward\"\narrives.topic = \"spBv1.0/H/DDATA/E/Oven1\""),
        (true, &temp, "expect = \"forward\"\narrives.properties = []"),
        (false, &temp, "expect = \"forward\"\narrives.properties = [\"engUnit\"]"),
        (false, &temp, "expect = \"forward\"\narrives.quality = 192"),
        (true, &secret, "expect = \"drop\"\nreason = \"denied\"\nrule = \"ovens\""),
        (false, &secret, "expect = \"drop\"\nreason = \"denied\"\nrule = \"no-recipes\""),
        (false, &secret, "expect = \"drop\"\nreason = \"no_rule\""),
        (false, &secret, "expect = \"forward\""),
        (true, &recipe, "expect = \"drop\"\nrule = \"no-recipes\""),
    ] {
        let text = format!("[[case]]\nname = \"x\"\n{given}\n{expected}\n");
        assert_eq!(results(&text), [("x".to_owned(), passes)], "{text}");
    }
}

#[test]
fn messages_of_every_kind_can_be_cases() {
    let passing = r#"
        [[case]]
        name = "births"
        topic = "spBv1.0/G/DBIRTH/E/Oven1"
        metrics = [
            { metric = "Temp/1", datatype = "Float", value = 1, expect = "forward" },
            { metric = "Temp/2", datatype = "Double", value = 1, expect = "drop", reason = "datatype" },
            { metric = "Temp/Secret", datatype = "Float", null = true, expect = "drop", rule = "ovens" },
        ]
        [[case]]
        name = "deaths"
        topic = "spBv1.0/G/DDEATH/E/Oven1"
        expect = "forward"
        [[case]]
        name = "births without a metric"
        topic = "spBv1.0/Slow/NBIRTH/E"
        expect = "forward"
        [[case]]
        name = "commands"
        topic = "spBv1.0/G/NCMD/E"
        expect = "drop"
        reason = "command"
        [[case]]
        name = "states of hosts"
        topic = "spBv1.0/STATE/host"
        expect = "drop"
        reason = "state"
        [[case]]
        name = "something else"
        topic = "plant/temperature"
        expect = "drop"
        reason = "not_sparkplug"
        [[case]]
        name = "stored births"
        topic = "spBv1.0/G/DBIRTH/E/Oven1"
        retain = true
        metric = "Temp/1"
        datatype = "Float"
        value = 1
        expect = "drop"
        reason = "stored_birth"
        [[case]]
        name = "a text of some length"
        topic = "spBv1.0/G/DDATA/E/Oven1"
        metric = "State"
        datatype = "String"
        length = 5
        expect = "forward"
        arrives.value = "xxxxx"
    "#;
    let failed: Vec<_> = results(passing).into_iter().filter(|(_, passed)| !passed).collect();
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn time_passes_between_steps_and_what_was_held_back_arrives() {
    let steps = |last: &str| {
        format!(
            r#"
            [[case]]
            name = "x"
            topic = "spBv1.0/Slow/NDATA/E"
            metric = "M"
            datatype = "Int32"
            [[case.step]]
            value = 1
            expect = "forward"
            [[case.step]]
            after-ms = 100
            value = 2
            expect = "wait"
            [[case.step]]
            after-ms = 100
            value = 3
            expect = "wait"
            {last}
            "#
        )
    };
    for (passes, last) in [
        (true, "[[case.step]]\nafter-ms = 700\nexpect = \"nothing\""),
        (false, "[[case.step]]\nafter-ms = 700\nexpect = \"forward\""),
        (true, "[[case.step]]\nafter-ms = 1000\nexpect = \"forward\"\narrives.value = 3"),
        (false, "[[case.step]]\nafter-ms = 1000\nexpect = \"forward\"\narrives.value = 2"),
        (false, "[[case.step]]\nafter-ms = 1000\nexpect = \"nothing\""),
        (true, "[[case.step]]\nafter-ms = 3_600_000\nexpect = \"forward\""),
    ] {
        assert_eq!(results(&steps(last)), [("x".to_owned(), passes)], "{last}");
    }
}

#[test]
fn templates_of_cases_have_their_definitions() {
    let text = r#"
        [[case]]
        name = "x"
        topic = "spBv1.0/Slow/DDATA/E/D"
        metric = "Motor1"
        datatype = "Template"
        value = { definition = "Motor", members = [{ name = "Speed", value = 7 }, { name = "Recipe", value = "A" }] }
        expect = "forward"
        arrives.value = { definition = "Motor", members = [{ name = "Speed", value = 7 }] }
    "#;
    // Members are compared as they are on the wire: this one says that the denied one is gone.
    let (policy, cases) = with_cases(&format!("{RULES}\n{text}"));
    let report = case::run(&policy, &cases[0]);
    let Got::Forwarded { arrives: Some(seen), .. } = &report.checks[0].got else {
        panic!("{report:?}")
    };
    let Some(Value::Template(instance)) = &seen.metric.value else { panic!("{seen:?}") };
    let names: Vec<_> = instance.metrics.iter().map(|member| member.name.as_deref()).collect();
    assert_eq!(names, [Some("Speed")]);
}

#[test]
fn coverage_counts_what_decides_and_what_a_case_is_about() {
    let text = r#"
        [[case]]
        name = "a temperature"
        topic = "spBv1.0/G/DDATA/E/Oven1"
        metric = "Temp/1"
        datatype = "Float"
        value = 1
        expect = "forward"
    "#;
    let covered = |text: &str| {
        let (policy, cases) = with_cases(&format!("{RULES}\n{text}"));
        let reports: Vec<_> = cases.iter().map(|one| (one, case::run(&policy, one))).collect();
        let reports = reports.iter().map(|(one, report)| (*one, report));
        let covered = coverage(&policy, reports);
        covered.iter().map(|one| (one.admits, one.drops)).collect::<Vec<_>>()
    };
    assert_eq!(covered(text), [(true, false), (false, false), (true, false)]);
    let other = r#"
        [[case]]
        name = "another group"
        about = "slow"
        topic = "spBv1.0/H/NDATA/E"
        metric = "Recipe"
        value = 1
        expect = "drop"
    "#;
    let both = format!("{text}{other}");
    assert_eq!(covered(&both), [(true, false), (false, true), (true, true)]);
}

#[test]
fn every_metric_of_real_traffic_has_one_fate() {
    for text in [
        "[[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"*\"",
        "[[rule]]\nname = \"some\"\naction = \"forward\"\ngroup = \"*\"\nallow-metrics = \"*a*\"",
        "",
    ] {
        for (name, messages) in captures::all() {
            let mut dry_run = DryRun::new(policy(text), 1_700_000_000_000);
            let mut tally = Tally::default();
            for message in &messages {
                tally.add_late(&dry_run.pass(Duration::from_millis(700)));
                let outcome = dry_run.receive(Received {
                    topic: &message.topic,
                    payload: &message.payload,
                    retain: message.retain,
                    dup: false,
                    assured: false,
                });
                assert!(outcome.early.is_none(), "{name}: captures are in order");
                for metric in &outcome.metrics {
                    // Aliases are resolved, or the metric says why not.
                    let known = !metric.name.is_empty()
                        || matches!(metric.fate, MetricFate::Dropped { .. });
                    assert!(known, "{name}: {metric:?}");
                    if let MetricFate::Forwarded { arrives, .. } = &metric.fate {
                        assert_eq!(arrives.name.as_ref(), Some(&metric.name), "{name}");
                    }
                }
                tally.add(&message.topic, &outcome);
            }
            let dropped: u64 = tally.dropped.values().sum();
            assert_eq!(tally.messages, tally.forwarded + tally.waiting + dropped, "{name}");
            if text.is_empty() {
                assert_eq!(tally.forwarded, 0, "{name}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What the pipeline does is what the policy says, metric for metric.
    #[test]
    fn fates_are_verdicts(
        allow in prop::sample::select(vec!["**", "a/**", "*", "**/b"]),
        deny in prop::sample::select(vec!["none", "a/*", "**/b", "b"]),
        names in prop::collection::btree_set(prop::sample::select(vec!["a", "b", "a/b", "a/c", "c/b", "d"]), 1..6),
        float in any::<bool>(),
    ) {
        let text = format!(
            "[[rule]]\nname = \"f\"\naction = \"forward\"\ngroup = \"G\"\nallow-metrics = \"{allow}\"\n\
             datatypes = \"Float\"\n[[rule]]\nname = \"d\"\naction = \"deny\"\ngroup = \"*\"\n\
             deny-metrics = \"{deny}\"\n"
        );
        let policy = policy(&text);
        let datatype = if float { DataType::Float } else { DataType::Int32 };
        let value = if float { Value::Float(1.5) } else { Value::Int(3) };
        for name in names {
            let given = Given::new(name, datatype, Some(value.clone()));
            let one = Case::of_message("spBv1.0/G/NDATA/E", Some(given), 1_700_000_000_000);
            let got = case::run(&policy, &one).checks.remove(0).got;
            match policy.judge(Entity::node("G", "E"), name, Some(datatype)) {
                Verdict::Forward { rule, .. } => {
                    let Got::Forwarded { rule: by, arrives: Some(seen) } = got else {
                        return Err(TestCaseError::fail(format!("{name}: {got:?}")));
                    };
                    prop_assert_eq!(by, Some(rule));
                    prop_assert_eq!(seen.metric.value.as_ref(), Some(&value));
                }
                Verdict::Redact { .. } => return Err(TestCaseError::fail("nothing is redacted")),
                Verdict::Drop { reason, rule } => {
                    prop_assert_eq!(got, Got::Dropped { reason, rule });
                }
            }
        }
    }
}

#[test]
fn an_unreadable_payload_has_no_metrics_and_a_reason() {
    let mut dry_run = DryRun::new(policy(RULES), 0);
    let payload = Payload { seq: Some(0), ..Payload::default() }.encode_to_vec();
    let received = |payload| Received {
        topic: "spBv1.0/G/NDATA/E",
        payload,
        retain: false,
        dup: false,
        assured: false,
    };
    let outcome = dry_run.receive(received(b"\xff\xff\xff"));
    assert!(outcome.metrics.is_empty());
    let reason = |outcome: &Outcome| match outcome.fate {
        MessageFate::Dropped { reason, .. } => Some(reason),
        _ => None,
    };
    assert_eq!(reason(&outcome), Some(Reason::MalformedPayload));
    assert_eq!(reason(&dry_run.receive(received(&payload))), Some(Reason::DataBeforeBirth));
}

/// What comes before its turn has the fate that the relay gives it, at the time when it does.
#[test]
fn a_message_before_its_turn_is_told_when_it_is_judged() {
    let rules = "[[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"*\"";
    let mut dry_run = DryRun::new(policy(rules), 1_700_000_000_000);
    let send = |dry_run: &mut DryRun, kind: &str, node: &str, seq: u64| {
        let mut metrics = vec![Metric {
            name: Some("a".to_owned()),
            datatype: Some(DataType::Int32.code()),
            value: Some(Value::Int(u32::try_from(seq).unwrap())),
            ..Metric::default()
        }];
        if kind == "NBIRTH" {
            metrics.push(Metric {
                name: Some("bdSeq".to_owned()),
                datatype: Some(DataType::Int64.code()),
                value: Some(Value::Long(0)),
                ..Metric::default()
            });
        }
        let timestamp = Some(1_700_000_000_000 + seq);
        let payload = Payload { timestamp, seq: Some(seq), metrics, ..Payload::default() };
        dry_run.receive(Received {
            topic: &format!("spBv1.0/G/{kind}/{node}"),
            payload: &payload.encode_to_vec(),
            retain: false,
            dup: false,
            assured: false,
        })
    };
    let numbers = |judged: &[Judged]| -> Vec<(u64, MessageFate, usize)> {
        let one = |it: &Judged| (it.number, it.outcome.fate, it.outcome.metrics.len());
        judged.iter().map(one).collect()
    };
    assert_eq!(send(&mut dry_run, "NBIRTH", "E", 0).early, None);
    // 3 waits for 1 and 2, which come.
    let early = send(&mut dry_run, "NDATA", "E", 3);
    assert_eq!((early.early, early.arrived.len()), (Some(2), 0));
    assert_eq!(numbers(&send(&mut dry_run, "NDATA", "E", 1).judged), []);
    let last = send(&mut dry_run, "NDATA", "E", 2);
    assert_eq!((last.fate, last.arrived.len()), (MessageFate::Forwarded, 1));
    assert_eq!(numbers(&last.judged), [(2, MessageFate::Forwarded, 1)]);
    assert_eq!(last.judged[0].outcome.arrived.len(), 1);
    // The birth comes after its data, which have its names then.
    assert_eq!(send(&mut dry_run, "NDATA", "F", 1).early, Some(5));
    assert_eq!(
        numbers(&send(&mut dry_run, "NBIRTH", "F", 0).judged),
        [(5, MessageFate::Forwarded, 1)]
    );
    // It never comes.
    assert_eq!(send(&mut dry_run, "NDATA", "H", 1).early, Some(7));
    let dropped = MessageFate::Dropped { reason: Reason::DataBeforeBirth, rule: None };
    let passed = dry_run.pass(Duration::from_secs(10));
    assert_eq!(numbers(&passed.judged), [(7, dropped, 1)]);
    assert_eq!(
        passed.judged[0].outcome.metrics[0].fate,
        MetricFate::Dropped { reason: Reason::DataBeforeBirth, rule: None }
    );
    assert!(dry_run.early.is_empty());
}

/// Metrics that were dropped: entity, metric, why and by which rule, and when.
pub(super) type Record = Vec<(String, String, (Reason, Option<RuleId>), u64)>;

/// What tests of other modules ask.
impl DryRun {
    pub(crate) fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Has another policy look on.
    pub(crate) fn observe(&mut self, policy: &Policy) {
        self.pipeline.observe(self.now, Some(policy.clone()));
    }

    /// Records drops from now on.
    pub(crate) fn record(&mut self) {
        self.record = Some(Record::new());
    }

    pub(crate) fn recorded(&mut self) -> Record {
        self.record.take().unwrap_or_default()
    }

    pub(super) fn note(&mut self, entries: &[LedgerEntry]) {
        let at_ms = self.now.wall_ms;
        let Some(record) = &mut self.record else { return };
        for entry in entries {
            if let LedgerEntry::Dropped { entity, metric, reason, rule } = entry {
                record.push((entity.clone(), metric.clone(), (*reason, *rule), at_ms));
            }
        }
    }
}
