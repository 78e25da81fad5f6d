//! Tries a draft on the recording that it was learnt from, through the relay's own pipeline.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use account::Reason;
use ot::Received;
use policy::{Policy, Verdict};
use sparkplug::{Topic, names};

use crate::capture::Record;
use crate::dry_run::{DryRun, Judged, MetricFate, MetricOutcome, Outcome};

/// Findings that are told; the rest is counted.
const MAX_FINDINGS: usize = 20;
/// After the last message, as long as any message waits for its turn.
const LAST_WAIT: Duration = Duration::from_secs(10);

/// A draft that is being tried.
#[derive(Debug)]
pub struct Trial<'a> {
    policy: Option<Policy>,
    dry_run: Option<DryRun>,
    promised: &'a BTreeSet<(String, String)>,
    /// What may cross without having been promised: by an earlier policy.
    known: Option<&'a Policy>,
    report: TrialReport,
}

/// What became of the recording.
#[derive(Debug, Default)]
pub struct TrialReport {
    /// Values of what was promised that cross.
    pub crossed: u64,
    /// Metrics of them.
    pub metrics: BTreeSet<(String, String)>,
    /// `entity metric: reason`, with how often.
    pub held_back: BTreeMap<String, u64>,
    /// `entity metric` that cross and shouldn't, with how often.
    pub unmeant: BTreeMap<String, u64>,
}

impl<'a> Trial<'a> {
    /// Tries `policy`, by which exactly `promised` is to cross, and what `known` forwards.
    pub fn new(
        policy: Policy,
        promised: &'a BTreeSet<(String, String)>,
        known: Option<&'a Policy>,
    ) -> Trial<'a> {
        let report = TrialReport::default();
        Trial { policy: Some(policy), dry_run: None, promised, known, report }
    }

    /// Takes in one message of the recording.
    pub fn learn(&mut self, record: &Record) {
        if let Some(policy) = self.policy.take() {
            self.dry_run = Some(DryRun::new(policy, record.at_ms));
        }
        let Some(dry_run) = &mut self.dry_run else { return };
        let passed = dry_run.pass_until(record.at_ms);
        let outcome = dry_run.receive(Received {
            topic: &record.topic,
            payload: &record.payload,
            retain: record.retain,
            dup: record.dup,
            assured: record.qos > 0,
        });
        self.judged(passed.judged);
        let Outcome { metrics, judged, early, .. } = outcome;
        if early.is_none() {
            self.judge(&record.topic, metrics);
        }
        self.judged(judged);
    }

    /// Messages that had come before their turn.
    fn judged(&mut self, judged: Vec<Judged>) {
        for it in judged {
            self.judge(&it.topic, it.outcome.metrics);
        }
    }

    /// Compares what became of a message with what was promised.
    fn judge(&mut self, topic: &str, metrics: Vec<MetricOutcome>) {
        let Ok(Topic::Entity(topic)) = Topic::parse(topic) else { return };
        let entity = topic.entity.to_string();
        for metric in metrics {
            let key = (entity.clone(), metric.name.clone());
            let promised = self.promised.contains(&key);
            let what = || format!("{} {}", key.0, key.1);
            match metric.fate {
                MetricFate::Forwarded { arrives, .. } if promised => {
                    // A range that doesn't hold makes a value null.
                    if metric.sent.is_some() && arrives.value.is_none() {
                        self.report.hold_back(format!("{}: out of range", what()));
                    } else {
                        self.report.crossed = self.report.crossed.saturating_add(1);
                        self.report.metrics.insert(key);
                    }
                }
                MetricFate::Waiting { .. } if promised => {}
                MetricFate::Dropped { reason, .. } if promised => {
                    if is_of_the_policy(reason) {
                        self.report.hold_back(format!("{}: {}", what(), reason.name()));
                    }
                }
                MetricFate::Forwarded { .. } | MetricFate::Waiting { .. } => {
                    let judge = |policy: &Policy| {
                        let verdict = policy.judge(topic.entity, &metric.name, metric.datatype);
                        matches!(verdict, Verdict::Forward { .. } | Verdict::Redact { .. })
                    };
                    let own = names::is_own(topic, &metric.name);
                    if !own && !self.known.is_some_and(judge) {
                        count(&mut self.report.unmeant, what());
                    }
                }
                MetricFate::Dropped { .. } | MetricFate::Replaced | MetricFate::Unneeded => {}
            }
        }
    }

    /// What became of it.
    pub fn report(mut self) -> TrialReport {
        let last = self.dry_run.as_mut().map(|dry_run| dry_run.pass(LAST_WAIT));
        self.judged(last.unwrap_or_default().judged);
        self.report
    }
}

impl TrialReport {
    fn hold_back(&mut self, what: String) {
        count(&mut self.held_back, what);
    }

    /// Whether what was promised crosses, and nothing else.
    pub fn is_sound(&self) -> bool {
        self.held_back.is_empty() && self.unmeant.is_empty()
    }
}

fn count(findings: &mut BTreeMap<String, u64>, what: String) {
    if findings.len() < MAX_FINDINGS || findings.contains_key(&what) {
        let count = findings.entry(what).or_default();
        *count = count.saturating_add(1);
    }
}

/// Whether a policy, and not the state of the plant, is the reason.
const fn is_of_the_policy(reason: Reason) -> bool {
    !matches!(
        reason,
        Reason::NotSparkplug
            | Reason::MalformedTopic
            | Reason::UnknownType
            | Reason::Command
            | Reason::State
            | Reason::StoredBirth
            | Reason::MalformedPayload
            | Reason::OverCap
            | Reason::BadCompression
            | Reason::ControlMetric
            | Reason::DataBeforeBirth
            | Reason::UnknownMetric
            | Reason::TypeMismatch
            | Reason::StaleDeath
            | Reason::Duplicate
            | Reason::Late
            | Reason::OverCapacity
            | Reason::OverMemory
    )
}
