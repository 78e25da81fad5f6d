//! What the lint says, against what the pipeline does: random policies, random traffic, and every
//! statement about traffic compared with what became of each metric.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "plain arithmetic; what overflows fails the test"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use account::Reason;
use ot::Received;
use policy::{Limiter, Share};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use prost::Message as _;
use sparkplug::{Metric, Payload, Value, names};

use super::*;
use crate::compare::tests::statements::World;
use crate::compare::tests::traffic::{BEGIN_MS, pairs, traffic};
use crate::dry_run::{DryRun, MetricFate, Outcome};

/// A policy, and all that is said of it.
fn read(text: &str) -> Option<(Policy, Diagnostics)> {
    let sources = [SourceFile::new("a.toml", text)];
    let (policy, mut found) = Policy::parse(&sources).ok()?;
    found.extend(lint(&policy, &sources, BEGIN_MS));
    Some((policy, found))
}

/// The rule that a diagnostic stands at.
fn rule_of(policy: &Policy, problem: &Diagnostic) -> Option<RuleId> {
    let start = problem.span.clone()?.start;
    let at = (0..).zip(policy.rules()).filter(|(_, rule)| rule.place().start <= start);
    at.last().map(|(number, _)| RuleId(number))
}

/// What rules did, by their numbers.
#[derive(Default)]
struct Done {
    forwarded: BTreeSet<u32>,
    /// Values of these datatypes, of metrics of these names.
    values: BTreeSet<(u32, String, DataType)>,
    arrived: bool,
}

impl Done {
    fn take(&mut self, outcome: Outcome) {
        self.arrived |= !outcome.arrived.is_empty();
        for metric in outcome.metrics {
            let (rule, value) = match metric.fate {
                MetricFate::Forwarded { rule: Some(rule), arrives } => {
                    (rule, arrives.value.is_some())
                }
                MetricFate::Waiting { rule: Some(rule) } => (rule, true),
                _ => continue,
            };
            self.forwarded.insert(rule.0);
            if let Some(datatype) = metric.datatype.filter(|_| value) {
                self.values.insert((rule.0, metric.name, datatype));
            }
        }
    }
}

/// Metrics of datatypes that the usual traffic hasn't.
fn others(at_ms: u64) -> Vec<Metric> {
    let metric = |name: &str, datatype: DataType, value: Value| Metric {
        name: Some(name.to_owned()),
        datatype: Some(datatype.code()),
        timestamp: Some(at_ms),
        value: Some(value),
        ..Metric::default()
    };
    vec![
        metric("a/c", DataType::Boolean, Value::Boolean(true)),
        metric("c", DataType::Bytes, Value::Bytes(b"x".to_vec())),
        metric("a/d", DataType::Bytes, Value::Bytes(b"x".to_vec())),
        metric("d", DataType::Double, Value::Double(70.0)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    #[test]
    fn whatever_is_said_of_rules_is_what_they_do(
        (text, other) in pairs(),
        traffic in traffic(),
        more in select(vec![
            "",
            "[[rule]]\nname='all'\ngroup='g'\naction='forward'\n",
            "[[rule]]\nname='none'\ngroup='g'\nedge-node='n'\naction='deny'\n",
            "[[rule]]\nname='none'\ngroup='*'\naction='deny'\ndeny-metrics=['a','**/b']\n",
            "[[rule]]\nname='last'\ngroup='g'\naction='forward'\nallow-metrics='c'\n[[rule.metric]]\nnames='c'\nmax=1\n",
            "[[rule]]\nname='null'\ngroup='*'\naction='redact'\n",
            "[[rule]]\nname='null'\ngroup='*'\naction='redact'\nredact-metrics=['a','**/b']\n",
        ]),
        first in any::<bool>(),
    ) {
        for text in [text, other] {
            let limits = text.find("[limits").unwrap_or(text.len());
            let (rules, limits) = text.split_at(limits);
            let text = match first {
                true => format!("{more}{rules}{limits}"),
                false => format!("{rules}{more}{limits}"),
            };
            let Some((policy, found)) = read(&text) else { continue };
            let mut world = World::new(&policy);
            let mut done = Done::default();
            for outcome in world.bear_with(true, &others(BEGIN_MS - 30)) {
                done.take(outcome);
            }
            for data in &traffic {
                let outcome = world.data(data, true);
                done.take(outcome);
            }
            let hits = world.hits();
            // What `check` says of rules that decided nothing (P115) goes by these.
            for (rule, hit) in (0..).zip(&hits) {
                let is_idle = hit.metrics == 0 && !hit.known;
                prop_assert!(!(is_idle && world.truth.decided.contains_key(&rule)), "{rule}\n{text}");
            }
            for problem in found.iter() {
                let words = || format!("{problem}\n{text}");
                if problem.code == "P103" {
                    prop_assert!(done.forwarded.is_empty(), "{}", words());
                }
                let Some(rule) = rule_of(&policy, problem) else { continue };
                let hit = hits[rule.index()];
                let decided = hit.metrics + hit.observed;
                match problem.code {
                    "P110" | "P117" => prop_assert_eq!(decided, 0, "{}", words()),
                    "P112" if problem.title.contains("never decides") => {
                        prop_assert_eq!(decided, 0, "{}", words());
                    }
                    "P104" | "P112" => prop_assert!(!done.forwarded.contains(&rule.0), "{}", words()),
                    "P111" if problem.title.contains("forwards nothing") => {
                        prop_assert!(!done.forwarded.contains(&rule.0), "{}", words());
                    }
                    "P111" => {
                        let of = done.values.iter().filter(|(of, ..)| *of == rule.0);
                        prop_assert_eq!(of.count(), 0, "{}", words());
                    }
                    "P120" => {
                        let (kept, table) = problem.title.split_once(" crosses under this ").unwrap();
                        // Where there is but one table, it is that of all metrics or of those that it names.
                        if policy.rules()[rule.index()].describe_shapes().len() == 1 && table.contains("shape") {
                            let of_base = done.values.iter().filter(|(of, _, datatype)| {
                                *of == rule.0 && kept["nothing of ".len()..].split(", ").any(|one| one == datatype.name())
                            });
                            prop_assert_eq!(of_base.count(), 0, "{}", words());
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// Of two plain rules, one that the other covers is told, and whatever is told decides nothing.
    #[test]
    fn a_rule_that_could_decide_is_not_called_idle_and_one_that_could_not_is(
        first in plain(), second in plain(),
    ) {
        let text = format!("{}{}", first.text("x"), second.text("y"));
        let Some((policy, found)) = read(&text) else {
            return Err(TestCaseError::reject("not a policy"));
        };
        let idle: BTreeSet<u32> = found
            .iter()
            .filter(|problem| matches!(problem.code, "P111" | "P112"))
            .filter_map(|problem| rule_of(&policy, problem).map(|rule| rule.0))
            .collect();
        let (mut decided, mut about) = (BTreeSet::new(), BTreeSet::new());
        let levels = ["a", "b", "ab", "bb", "q", "qq"];
        let metrics = ["a", "b", "q", "a/b", "a/a", "q/b", "q/q", "b/a/q", "a/b/b", "aq", "q/a/q/b"];
        for group in levels {
            for edge_node in levels {
                for device in levels.iter().map(Some).chain([None]) {
                    let entity = Entity { group, edge_node, device: device.copied() };
                    let plan = policy.plan(entity);
                    for metric in metrics {
                        for datatype in [Some(DataType::Float), Some(DataType::Int8), None] {
                            match plan.judge(metric, datatype) {
                                Verdict::Forward { rule, .. }
                                | Verdict::Drop { reason: Reason::Denied, rule: Some(rule) } => {
                                    decided.insert(rule.0);
                                }
                                _ => {}
                            }
                            let relations = crate::explain::relations(&policy, entity, metric, datatype);
                            about.extend(relations.iter().filter(|one| matches!(
                                one.relation,
                                crate::explain::Relation::Forwards | crate::explain::Relation::Denies
                            )).map(|one| one.rule.0));
                        }
                    }
                }
            }
        }
        for rule in 0..2 {
            prop_assert!(!(idle.contains(&rule) && decided.contains(&rule)), "{rule}\n{text}\n{found}");
            // One that is about something, and never decides: the other one takes all of it.
            if about.contains(&rule) && !decided.contains(&rule) {
                prop_assert!(idle.contains(&rule), "{rule} isn't told\n{text}");
            }
        }
    }

    /// A limit that is said to be never reached might as well not be there.
    #[test]
    fn a_limit_that_is_never_reached_changes_nothing(
        (rates, limits) in rates(),
        sizes in vec((select(vec![50_u64, 200, 900, 2_500]), vec((0..3_usize, 1..3_000_usize), 1..4)), 4..24),
    ) {
        let text = |with: &dyn Fn(usize) -> bool, node: bool| -> String {
            let mut text = String::new();
            for (number, (rate, metric)) in rates.iter().zip(["['a', 'c']", "'b'"]).enumerate() {
                text.push_str(&format!(
                    "[[rule]]\nname = 'r{number}'\ngroup = 'g'\nedge-node = 'n'\naction = 'forward'\n\
                     allow-metrics = {metric}\n"
                ));
                if with(number) {
                    text.push_str(&format!("[rule.rate]\n{rate}\n"));
                }
            }
            let limits = limits.iter().filter(|(name, _)| node || *name != "node");
            text + &limits.map(|(name, limit)| format!("[limits.{name}]\n{limit}\n")).collect::<String>()
        };
        let all = text(&|_| true, true);
        let Some((_, found)) = read(&all) else { return Err(TestCaseError::reject("no policy")) };
        let never: BTreeSet<usize> = found
            .iter()
            .filter(|problem| problem.code == "P113" && problem.title.contains("never reached"))
            .filter_map(|problem| problem.title.split("rule `r").nth(1)?.get(..1)?.parse().ok())
            .collect();
        let nodes = found.iter().any(|problem| problem.title == "`[limits.node]` is never reached");
        // What a rule whose limit goes by that of its node has, is no question without that.
        let left_out = text(&|rule| !never.contains(&rule), true);
        let (with, without) = (arrived(&all, &sizes), arrived(&left_out, &sizes));
        prop_assert_eq!(with, without, "{}\n{:?}", all, never);
        if nodes {
            let (with, without) = (arrived(&left_out, &sizes), arrived(&text(&|rule| !never.contains(&rule), false), &sizes));
            prop_assert_eq!(with, without, "{}", all);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    /// Of a limit that is no smaller than that of the link: whatever passes the link has passed it.
    #[test]
    fn what_passes_the_link_passes_a_limit_that_is_no_smaller(
        (rates, limits) in rates(),
        asked in vec((select(vec![0_u64, 100, 900, 5_000, 20_000]), 1..8_000_u32), 1..64),
    ) {
        let rate = &rates[0];
        let (name, limit) = match limits.last() {
            Some((name, limit)) if *name == "link" => (name, limit),
            _ => return Ok(()),
        };
        let rate = rate.replace("per = 'edge-node'\n", "").replace("per = 'device'\n", "").replace("per = 'metric'\n", "");
        let text = format!(
            "[[rule]]\nname = 'r'\ngroup = 'g'\naction = 'forward'\n[rule.rate]\n{rate}\n[limits.{name}]\n{limit}\n"
        );
        let (policy, found) = read(&text).unwrap();
        if !found.iter().any(|problem| problem.code == "P113") {
            return Ok(());
        }
        let (mut of_rule, mut of_link) = (Limiter::new(&policy), Limiter::new(&policy));
        let share = Share { node: 0, device: None, metric: "a" };
        let mut now = Duration::from_secs(1);
        for (after_ms, bytes) in asked {
            now += Duration::from_millis(after_ms);
            of_rule.begin(now);
            of_link.begin(now);
            if of_link.ask_link(1, bytes).is_ok() {
                prop_assert!(of_rule.ask_rule(RuleId(0), share, bytes).is_ok(), "{} bytes at {:?}\n{}", bytes, now, text);
            }
        }
    }
}

/// A rule that forwards much.
fn wide() -> impl Strategy<Value = String> {
    let who = select(vec![
        "group = '*'\n",
        "group = ['?', '??*']\n",
        "group = ['?', '???*']\n",
        "edge-node = '*'\n",
        "edge-node = 'q'\n",
        "topic = 'spBv1.0/+/+/#'\n",
        "topic = ['spBv1.0/+/+/+', 'spBv1.0/+/+/+/+']\n",
        "topic = 'spBv1.0/+/+/+'\n",
    ]);
    let part =
        select(vec!["", "", "node-only = true\n", "device = '*'\n", "device = ['q*', '*']\n"]);
    let metrics = select(vec!["", "'**'", "'*'", "'**/*'", "['*', '*/**']", "['?', '??*']"]);
    let rest = select(vec![
        "",
        "",
        "datatypes = 'Float'\n",
        "mode = 'observe'\n",
        "not-after = 2026-01-05T02:30:00Z\n",
        "not-after = 2020-01-05T02:30:00Z\n",
        "not-before = 2026-01-05T02:30:00Z\n",
        "weekly = { days = ['tue'], from-utc = '01:00', to-utc = '02:00' }\n",
        "[rule.shape]\nmax = 60\n",
    ]);
    (who, part, metrics, rest).prop_map(|(who, part, metrics, rest)| {
        let part = if who.contains("topic") { "" } else { part };
        let metrics =
            if metrics.is_empty() { String::new() } else { format!("allow-metrics = {metrics}\n") };
        format!("{who}{part}{metrics}{rest}")
    })
}

/// The first moment at which the rule is in force.
fn first_open(rule: &Rule) -> u64 {
    match rule.schedule() {
        Some(schedule) if !schedule.is_open(BEGIN_MS) => schedule.next_turn_ms(BEGIN_MS).unwrap(),
        _ => BEGIN_MS,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// What is said to forward everything forwards what it is asked for, but what can't be looked at.
    #[test]
    fn rules_that_are_said_to_forward_everything_do(drafts in vec(wide(), 1..4)) {
        let texts = drafts.iter().enumerate();
        let text: String = texts.map(|(number, keys)| rule(&format!("r{number}"), "forward", keys)).collect();
        let Some((mut policy, found)) = read(&text) else {
            return Err(TestCaseError::reject("not a policy"));
        };
        for problem in found.iter().filter(|problem| problem.code == "P116") {
            let of: Vec<&str> = problem.title.split('`').skip(1).step_by(2).collect();
            let named = policy.rules().iter().filter(|rule| of.contains(&rule.name()));
            let at_ms = named.map(first_open).max().unwrap();
            let _ = policy.set_time(at_ms);
            for group in ["q", "qq", "qqq", "Plant1"] {
                for edge_node in ["q", "x", "Line 4"] {
                    for device in [None, Some("q"), Some("Oven")] {
                        let plan = policy.plan(Entity { group, edge_node, device });
                        for metric in ["q", "xy", "a/b", "a/b/c", "/", "a/"] {
                            for datatype in DataType::of_metrics() {
                                let verdict = plan.judge(metric, Some(datatype));
                                let is_none = matches!(
                                    verdict,
                                    Verdict::Drop { reason: Reason::NoRule | Reason::Datatype, .. }
                                );
                                prop_assert!(!is_none, "{group} {edge_node} {device:?} {metric} {datatype:?}\n{text}\n{found}");
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A rule without shapes, as text by its name.
fn plain() -> impl Strategy<Value = PlainRule> {
    let level = || select(vec!["", "a", "b", "a*", "*", "?b", "*b*", "??"]);
    let metrics = || select(vec!["", "a", "a/**", "**/b", "*", "a*", "**/a/*", "?/b", "**"]);
    let types = select(vec!["", "Float", "Int8"]);
    (any::<bool>(), level(), level(), level(), metrics(), types).prop_map(
        |(forward, group, edge_node, device, metrics, types)| PlainRule {
            forward,
            keys: [
                ("group", if group.is_empty() { "*" } else { group }),
                ("edge-node", edge_node),
                ("device", device),
                (if forward { "allow-metrics" } else { "deny-metrics" }, metrics),
                ("datatypes", types),
            ],
        },
    )
}

#[derive(Clone, Debug)]
struct PlainRule {
    forward: bool,
    keys: [(&'static str, &'static str); 5],
}

impl PlainRule {
    fn text(&self, name: &str) -> String {
        let keys = self.keys.iter().filter(|(_, value)| !value.is_empty());
        let keys: String = keys.map(|(key, value)| format!("{key} = '{value}'\n")).collect();
        rule(name, if self.forward { "forward" } else { "deny" }, &keys)
    }
}

type Rates = (Vec<String>, Vec<(&'static str, String)>);

fn rates() -> impl Strategy<Value = Rates> {
    let bucket = |unit: &'static str, per_s: Vec<u32>, bursts: Vec<u32>| {
        let burst = if unit == "messages" { "burst-messages" } else { "burst-bytes" };
        proptest::option::weighted(0.6, (select(per_s), select(bursts))).prop_map(move |one| {
            one.map(|(per_s, amount)| format!("{unit}-per-s = {per_s}\n{burst} = {amount}\n"))
        })
    };
    let rate = move || {
        let messages = bucket("messages", vec![1, 2, 5], vec![1, 2, 3, 5]);
        let bytes = bucket("bytes", vec![200, 400, 1_000], vec![1_024, 2_000, 5_000]);
        let excess = select(vec!["", "on-excess = 'drop'\n"]);
        (messages, bytes, excess).prop_filter_map("limits nothing", |(messages, bytes, excess)| {
            let none = messages.is_none() && bytes.is_none();
            let text = messages.unwrap_or_default() + &bytes.unwrap_or_default() + excess;
            (!none).then_some(text)
        })
    };
    let per = select(vec!["", "per = 'edge-node'\n", "per = 'device'\n", "per = 'metric'\n"]);
    let of_rules = vec((rate(), per).prop_map(|(rate, per)| rate + per), 2);
    let limits = (proptest::option::of(rate()), proptest::option::weighted(0.8, rate()));
    (of_rules, limits).prop_map(|(of_rules, (node, link))| {
        let named = [("node", node), ("link", link)];
        let limits = named.into_iter().filter_map(|(name, one)| Some((name, one?)));
        (of_rules, limits.collect())
    })
}

/// Texts of so many bytes, so long after each other: all that arrives of them.
fn arrived(text: &str, sizes: &[(u64, Vec<(usize, usize)>)]) -> Vec<(u64, Payload)> {
    let (policy, _) = read(text).unwrap();
    let mut dry_run = DryRun::new(policy, BEGIN_MS);
    let mut found = Vec::new();
    let mut seq = 0;
    let metric = |which: usize, bytes: usize| Metric {
        name: Some(["a", "b", "c"][which].to_owned()),
        datatype: Some(DataType::String.code()),
        value: Some(Value::String("x".repeat(bytes))),
        ..Metric::default()
    };
    let mut send = |dry_run: &mut DryRun, topic: &str, metrics: Vec<Metric>| {
        let timestamp = Some(dry_run.now_ms());
        let payload = Payload { timestamp, seq: Some(seq), metrics, ..Payload::default() };
        seq = (seq + 1) % 256;
        let payload = payload.encode_to_vec();
        let outcome = dry_run.receive(Received {
            topic,
            payload: &payload,
            retain: false,
            dup: false,
            assured: false,
        });
        outcome.arrived
    };
    let number = Metric {
        name: Some(names::BD_SEQ.to_owned()),
        datatype: Some(DataType::Int64.code()),
        value: Some(Value::Long(0)),
        ..Metric::default()
    };
    let birth = vec![number, metric(0, 1), metric(1, 1), metric(2, 1)];
    found.extend(send(&mut dry_run, "spBv1.0/g/NBIRTH/n", birth));
    for (after_ms, metrics) in sizes {
        found.extend(dry_run.pass(Duration::from_millis(*after_ms)).arrived);
        let mut seen = BTreeSet::new();
        let metrics = metrics.iter().filter(|(which, _)| seen.insert(*which));
        let metrics = metrics.map(|(which, bytes)| metric(*which, *bytes)).collect();
        found.extend(send(&mut dry_run, "spBv1.0/g/NDATA/n", metrics));
    }
    found.extend(dry_run.pass(Duration::from_secs(30)).arrived);
    found.into_iter().map(|one| (one.at_ms, one.payload)).collect()
}
