//! What `policy hits`, `policy why` and `policy explain` say, against what the pipeline does: random
//! policies, random traffic, and every statement compared with what became of each metric.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "plain arithmetic; what overflows fails the test"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use account::RuleId;
use ot::{Decision, Received, RuleMatches};
use policy::Policy;
use prost::Message as _;
use sparkplug::{Metric, Payload, Value};

use super::traffic::{BEGIN_MS, Data, definition, metric, pairs, read, traffic};
use super::*;
use crate::dry_run::{DryRun, MessageFate, MetricFate, MetricOutcome, Outcome};
use crate::explain::{Relation, RuleRelation, relations};

/// What is known of drops: how often, and when first and last, in milliseconds since the epoch.
pub(crate) type Times = (u64, u64, u64);

/// What really happened.
#[derive(Default)]
pub(crate) struct Truth {
    /// By rule.
    pub(crate) decided: BTreeMap<u32, Times>,
    /// By entity, metric (empty: the whole message), reason and rule.
    pub(crate) dropped: BTreeMap<(String, String, &'static str, Option<String>), Times>,
}

fn note(times: &mut Times, at_ms: u64) {
    let (count, first, last) = times;
    if *count == 0 {
        *first = at_ms;
    }
    *count += 1;
    *last = at_ms;
}

impl Truth {
    fn decided(&mut self, rule: RuleId, at_ms: u64) {
        note(self.decided.entry(rule.0).or_default(), at_ms);
    }

    fn drop(
        &mut self,
        policy: &Policy,
        of: (&str, &str),
        (reason, rule): (Reason, Option<RuleId>),
        at_ms: u64,
    ) {
        let rule = rule.and_then(|rule| policy.rule(rule)).map(|rule| rule.name().to_owned());
        let key = (of.0.to_owned(), of.1.to_owned(), reason.name(), rule);
        note(self.dropped.entry(key).or_default(), at_ms);
    }
}

/// A policy with the traffic that it judges.
pub(crate) struct World {
    pub(crate) dry_run: DryRun,
    pub(crate) truth: Truth,
    seq: u64,
}

impl World {
    pub(crate) fn new(policy: &Policy) -> World {
        World { dry_run: DryRun::new(policy.clone(), BEGIN_MS), truth: Truth::default(), seq: 0 }
    }

    pub(crate) fn bear(&mut self, templates: bool) {
        let _ = self.bear_with(templates, &[]);
    }

    /// With more metrics; what becomes of the births of node and device.
    pub(crate) fn bear_with(&mut self, templates: bool, more: &[Metric]) -> [Outcome; 2] {
        let count = if templates { 5 } else { 3 };
        let born =
            |at_ms: u64| (0..count).map(move |which| metric(which, 0, at_ms + which as u64, false));
        let number = Metric {
            name: Some(names::BD_SEQ.to_owned()),
            datatype: Some(DataType::Int64.code()),
            value: Some(Value::Long(0)),
            ..Metric::default()
        };
        let definition = templates.then(|| definition(BEGIN_MS - 50));
        let metrics = [number].into_iter().chain(definition).chain(born(BEGIN_MS - 20));
        let metrics = metrics.chain(more.iter().cloned()).collect();
        let node = self.send("spBv1.0/g/NBIRTH/n", metrics);
        self.take(Entity::node("g", "n"), node.clone());
        let metrics = born(BEGIN_MS - 10).chain(more.iter().cloned()).collect();
        let device = self.send("spBv1.0/g/DBIRTH/n/d", metrics);
        self.take(Entity::device("g", "n", "d"), device.clone());
        [node, device]
    }

    pub(crate) fn data(&mut self, data: &Data, templates: bool) -> Outcome {
        let _ = self.dry_run.pass(Duration::from_millis(data.after_ms));
        let at_ms = self.dry_run.now_ms();
        let metrics = data.values.iter().filter(|(which, _)| templates || *which < 3).zip(0..);
        let metrics = metrics
            .map(|((which, number), place)| metric(*which, *number, at_ms + place, true))
            .collect();
        let (topic, entity) = match data.device {
            true => ("spBv1.0/g/DDATA/n/d", Entity::device("g", "n", "d")),
            false => ("spBv1.0/g/NDATA/n", Entity::node("g", "n")),
        };
        let outcome = self.send(topic, metrics);
        self.take(entity, outcome.clone());
        outcome
    }

    pub(crate) fn send(&mut self, topic: &str, metrics: Vec<Metric>) -> Outcome {
        let timestamp = Some(self.dry_run.now_ms());
        let payload = Payload { timestamp, seq: Some(self.seq), metrics, ..Payload::default() };
        self.seq = (self.seq + 1) % 256;
        let payload = payload.encode_to_vec();
        let received =
            Received { topic, payload: &payload, retain: false, dup: false, assured: false };
        self.dry_run.receive(received)
    }

    /// Enters what became of a message.
    fn take(&mut self, entity: Entity<'_>, outcome: Outcome) {
        let policy = self.dry_run.policy().clone();
        let at_ms = self.dry_run.now_ms();
        assert!(outcome.judged.is_empty(), "all of it is in order");
        if let MessageFate::Dropped { reason, rule } = outcome.fate {
            self.truth.drop(&policy, (&entity.to_string(), ""), (reason, rule), at_ms);
        }
        for MetricOutcome { fate, .. } in outcome.metrics {
            let rule = match fate {
                MetricFate::Forwarded { rule, .. }
                | MetricFate::Waiting { rule }
                | MetricFate::Dropped { rule, .. } => rule,
                MetricFate::Replaced | MetricFate::Unneeded => None,
            };
            if let Some(rule) = rule {
                self.truth.decided(rule, at_ms);
            }
        }
    }

    pub(crate) fn hits(&self) -> Vec<RuleMatches> {
        self.dry_run.pipeline().rule_matches().1.collect()
    }
}

/// What the relations of rules to a metric come to: nothing where a rule's shapes decide.
fn verdict_of(
    policy: &Policy,
    (metric, datatype): (&str, Option<DataType>),
    found: &[RuleRelation],
) -> (Option<Reason>, Vec<RuleId>) {
    let with = |relation: Relation| -> Vec<RuleId> {
        found.iter().filter(|one| one.relation == relation).map(|one| one.rule).collect()
    };
    let (denies, redacts, forwards) =
        (with(Relation::Denies), with(Relation::Redacts), with(Relation::Forwards));
    // A rule that redacts what it names to be forwarded says that alone.
    let also = |typed: bool| {
        redacts.iter().copied().filter(move |rule| {
            policy.rule(*rule).is_some_and(|rule| {
                let types = rule.datatypes();
                let is_typed =
                    types.is_none_or(|types| datatype.is_some_and(|one| types.contains(one)));
                let named = |globs: &[policy::glob::Glob]| {
                    globs.is_empty() || globs.iter().any(|glob| glob.matches(metric))
                };
                is_typed == typed && rule.forwarded().is_some_and(named)
            })
        })
    };
    let forwards: Vec<RuleId> = forwards.into_iter().chain(also(true)).collect();
    if let Some(first) = denies.first() {
        return (Some(Reason::Denied), vec![*first]);
    }
    if forwards.is_empty() {
        let is_forward = |rule: &RuleId| {
            let forwards = |rule: &policy::Rule| rule.action() == policy::Action::Forward;
            policy.rule(*rule).is_some_and(|rule| forwards(rule) && rule.acts())
        };
        let others = with(Relation::OtherDatatype).into_iter().filter(is_forward);
        let mut typed: Vec<RuleId> = others.chain(also(false)).collect();
        typed.sort();
        return match typed.first() {
            Some(first) => (Some(Reason::Datatype), vec![*first]),
            None => (Some(Reason::NoRule), Vec::new()),
        };
    }
    if let Some(first) = redacts.first() {
        return (Some(Reason::Redacted), vec![*first]);
    }
    (None, forwards)
}

/// Whether metrics are refused for names that collide, about which a rule has decided before.
fn counts_more(text: &str) -> bool {
    text.contains("-prefix")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// A hit is a metric of a birth or of data about which the rule decided; first and last are when.
    #[test]
    fn hits_are_the_metrics_about_which_a_rule_decided(
        (text, other) in pairs(),
        traffic in traffic(),
    ) {
        for text in [text, other] {
            let Some(policy) = read(&text) else { continue };
            let mut world = World::new(&policy);
            world.bear(false);
            for data in &traffic {
                world.data(data, false);
            }
            for (rule, hits) in (0_u32..).zip(world.hits()) {
                let truth = world.truth.decided.get(&rule).copied().unwrap_or_default();
                let observes = policy.rules()[rule as usize].mode() == policy::Mode::Observe;
                if observes {
                    prop_assert_eq!(hits.metrics, 0, "{}", text);
                } else if !counts_more(&text) {
                    prop_assert_eq!((hits.metrics, hits.first_ms, hits.last_ms), truth, "rule {} of\n{}", rule, text);
                } else {
                    prop_assert!(hits.metrics >= truth.0, "rule {rule} of\n{text}");
                }
            }
        }
    }

    /// What is told of a policy in shadow is what the policy does where it is in force.
    #[test]
    fn hits_in_shadow_are_those_in_force(
        (before, after) in pairs(),
        traffic in traffic(),
    ) {
        // Names that collide under one of both are refused there.
        let plain = |text: String| -> String {
            text.lines().filter(|line| !counts_more(line)).map(|line| format!("{line}\n")).collect()
        };
        let (before, after) = (plain(before), plain(after));
        let (Some(left), Some(right)) = (read(&before), read(&after)) else {
            return Err(TestCaseError::reject("not a policy"));
        };
        let (mut beside, mut real) = (World::new(&left), World::new(&right));
        beside.dry_run.observe(&right);
        let mut plain = World::new(&left);
        for world in [&mut beside, &mut real, &mut plain] {
            world.bear(false);
        }
        for data in &traffic {
            let (looked, alone) = (beside.data(data, false), plain.data(data, false));
            prop_assert_eq!(looked.arrived, alone.arrived, "it changes what crosses");
            real.data(data, false);
        }
        let counted = |hits: &RuleMatches| (hits.metrics, hits.first_ms, hits.last_ms);
        let hits = ot::testing::shadow_hits(beside.dry_run.pipeline());
        let hits: Vec<_> = hits.iter().map(counted).collect();
        let real: Vec<_> = real.hits().iter().map(counted).collect();
        prop_assert_eq!(hits, real, "\n{}\n---\n{}", before, after);
    }

    /// Whatever `why` says of a metric happened: for that reason, by that rule, no more often, then.
    #[test]
    fn what_why_says_happened(
        (text, _) in pairs(),
        traffic in traffic(),
    ) {
        let Some(policy) = read(&text) else { return Err(TestCaseError::reject("not a policy")) };
        let mut world = World::new(&policy);
        world.dry_run.record();
        world.bear(true);
        for data in &traffic {
            world.data(data, true);
        }
        let at_ms = world.dry_run.now_ms();
        for (entity, metric, cause, at_ms) in world.dry_run.recorded() {
            world.truth.drop(&policy, (&entity, &metric), cause, at_ms);
        }
        let told = ot::testing::decisions(world.dry_run.pipeline(), at_ms);
        for Decision { entity, metric, reason, rule, times, first_ms, last_ms } in told.drops {
            let of: Vec<(&_, &Times)> = world
                .truth
                .dropped
                .iter()
                .filter(|((of, name, why, by), _)| {
                    (of, name, *why, by) == (&entity, &metric, &*reason, &rule)
                })
                .collect();
            prop_assert_eq!(of.len(), 1, "{} {} {} {:?}\n{}", entity, metric, reason, rule, text);
            let (count, first, last) = *of[0].1;
            prop_assert!(times <= count && first_ms >= first, "{entity} {metric}\n{text}");
            prop_assert_eq!(last_ms, last, "{} {}\n{}", entity, metric, text);
        }
    }

    /// What `explain` says of each rule comes to what becomes of the metric, and the rule that it marks is
    /// the one that decided.
    #[test]
    fn what_explain_says_of_rules_comes_to_what_happens(
        (text, other) in pairs(),
        traffic in traffic(),
    ) {
        for text in [text, other] {
            let Some(policy) = read(&text) else { continue };
            let mut world = World::new(&policy);
            world.bear(false);
            for data in &traffic {
                let outcome = world.data(data, false);
                let entity = match data.device {
                    true => Entity::device("g", "n", "d"),
                    false => Entity::node("g", "n"),
                };
                // As the windows stand now.
                let policy = world.dry_run.policy();
                for MetricOutcome { name, datatype, fate, .. } in outcome.metrics {
                    let found = relations(policy, entity, &name, datatype);
                    let (reason, rules) = verdict_of(policy, (&name, datatype), &found);
                    let words = format!("{entity} {name} {fate:?} {found:?}\n{text}");
                    match (fate, reason) {
                        (MetricFate::Dropped { reason: Reason::NameCollision, .. }, _) => {}
                        (MetricFate::Dropped { reason: is, rule }, Some(reason)) => {
                            prop_assert_eq!((is, rule), (reason, rules.first().copied()), "{}", words);
                        }
                        (_, Some(_)) => prop_assert!(false, "it isn't dropped: {words}"),
                        (
                            MetricFate::Forwarded { rule: Some(rule), .. }
                            | MetricFate::Waiting { rule: Some(rule) }
                            | MetricFate::Dropped { rule: Some(rule), .. },
                            None,
                        ) => prop_assert!(rules.contains(&rule), "{words}"),
                        (_, None) => prop_assert!(false, "no rule decided: {words}"),
                    }
                }
            }
        }
    }
}
