//! Runs the cases of a policy: sends what each case gives through a plant of its own, and
//! compares what becomes of it with what is expected.

mod notes;
mod outcome;
mod stage;
mod words;

use std::collections::BTreeMap;
use std::time::Duration;

use account::{Reason, RuleId};
use policy::Policy;
use sparkplug::{DataType, Metric};

use self::notes::notes;
pub use self::outcome::quality;
use self::outcome::{is_observed, judged, matches, observed, waited};
use self::stage::{Stage, cast};
use self::words::expected_in_words;
use super::DryRun;
use crate::cases::Case;

/// The plant is born this long before a case begins: no interval, deadband or rate of a rule
/// remembers the births then.
const LEAD: Duration = Duration::from_secs(86_400);
/// What a case came to.
#[derive(Clone, Debug)]
pub struct CaseReport {
    /// Every expectation, in order.
    pub checks: Vec<Check>,
}

/// One expectation, and what happened.
#[derive(Clone, Debug)]
pub struct Check {
    /// Index of the step.
    pub step: usize,
    /// Time since the beginning of the case.
    pub at: Duration,
    pub topic: String,
    /// `None`: about the message.
    pub metric: Option<String>,
    pub datatype: Option<DataType>,
    /// The line (from 1) in the policy file.
    pub line: usize,
    pub expected: String,
    pub got: Got,
    /// The rule in `mode = "observe"` that would decide about the metric that was sent.
    pub observed_by: Option<RuleId>,
    /// Whether the case says something of that.
    pub asks_observed: bool,
    /// What whoever wrote the case may not have thought of, in sentences.
    pub notes: Vec<String>,
    pub passed: bool,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Got {
    Forwarded {
        rule: Option<RuleId>,
        arrives: Option<Box<Seen>>,
    },
    Waiting {
        rule: Option<RuleId>,
    },
    Dropped {
        reason: Reason,
        rule: Option<RuleId>,
    },
    /// Nothing was sent, and nothing came.
    Nothing,
}

/// What arrived of a metric, and under which topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub topic: String,
    pub metric: Metric,
}

impl CaseReport {
    /// Whether everything was as expected.
    pub fn passed(&self) -> bool {
        self.checks.iter().all(|check| check.passed)
    }
}

/// Runs one case of `policy`.
pub fn run(policy: &Policy, case: &Case) -> CaseReport {
    let lead_ms = u64::try_from(LEAD.as_millis()).unwrap_or(u64::MAX);
    let begin_ms = case.at_ms().saturating_sub(lead_ms);
    let mut stage = Stage {
        dry_run: DryRun::new(policy.clone(), begin_ms),
        nodes: BTreeMap::new(),
        cast: cast(case),
    };
    stage.set(case);
    stage.dry_run.pass(LEAD);
    let mut checks = Vec::new();
    let mut at = Duration::ZERO;
    for (index, step) in case.steps().iter().enumerate() {
        at = at.saturating_add(step.after);
        let passed = stage.dry_run.pass(step.after);
        let outcome = (!step.waits).then(|| stage.play(step));
        for probe in &step.probes {
            let got = match &outcome {
                Some(outcome) => judged(step, probe, outcome),
                None => waited(stage.dry_run.policy(), step, probe, &passed.arrived),
            };
            let policy = stage.dry_run.policy();
            let observed_by = outcome.as_ref().and_then(|outcome| observed(probe, outcome));
            checks.push(Check {
                step: index,
                at,
                topic: step.topic.clone(),
                metric: probe.metric.as_ref().map(|given| given.name.clone()),
                datatype: probe.metric.as_ref().map(|given| given.datatype),
                line: probe.line,
                expected: expected_in_words(probe, step.waits),
                passed: matches(policy, probe, &got) && is_observed(policy, probe, observed_by),
                notes: notes(policy, step, probe, &got),
                observed_by,
                asks_observed: probe.observed_by.is_some(),
                got,
            });
        }
    }
    CaseReport { checks }
}

impl Got {
    /// The rule that decided.
    pub fn rule(&self) -> Option<RuleId> {
        match self {
            Got::Forwarded { rule, .. } | Got::Waiting { rule } | Got::Dropped { rule, .. } => {
                *rule
            }
            Got::Nothing => None,
        }
    }
}
