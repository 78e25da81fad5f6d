//! What each rule decided since the policy was loaded: rules that decide nothing are mistakes
//! more often than not, and rules that only observe exist to be counted.

use std::cell::Cell;

use account::RuleId;
use mistake::mistake;
use policy::{EntityPlan, Policy, Verdict};

/// What one rule decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleMatches {
    /// Metrics of births and data that it forwarded or denied.
    pub metrics: u64,
    /// Metrics of births and data that it would have forwarded or denied, were it not only to
    /// observe.
    pub observed: u64,
    /// When it decided, or would have decided, for the first time and last, in milliseconds since
    /// the epoch; 0: never.
    pub first_ms: u64,
    pub last_ms: u64,
    /// It decides about metrics that are known from births before the policy came into force.
    pub known: bool,
}

/// The counters of all rules, in their order. Counted where the plant is only looked at too.
#[derive(Debug, Default)]
pub(crate) struct RuleCounters {
    rules: Vec<Cell<RuleMatches>>,
    now_ms: Cell<u64>,
    /// What is judged is no message of the plant.
    is_quiet: Cell<bool>,
}

impl RuleCounters {
    /// Counters at zero.
    pub(crate) fn new(policy: &Policy) -> RuleCounters {
        let rules = policy.rules().iter().map(|_| Cell::default()).collect();
        RuleCounters { rules, now_ms: Cell::default(), is_quiet: Cell::default() }
    }

    /// What is counted from now on happens at this time, in milliseconds since the epoch.
    pub(crate) fn at(&self, now_ms: u64) {
        self.now_ms.set(now_ms);
    }

    /// No hit is counted from now on, until it is asked to count again: what is known is judged anew, and
    /// no birth and no data came.
    pub(crate) fn be_quiet(&self, is_quiet: bool) {
        self.is_quiet.set(is_quiet);
    }

    /// Whether nothing is counted.
    pub(crate) fn is_quiet(&self) -> bool {
        self.is_quiet.get()
    }

    /// Counts a verdict.
    pub(crate) fn decided(&self, verdict: Verdict) {
        let (Verdict::Forward { rule, .. }
        | Verdict::Redact { rule, .. }
        | Verdict::Drop { rule: Some(rule), .. }) = verdict
        else {
            return;
        };
        self.add(rule, 1, 0);
    }

    /// Counts what an observing rule would have decided.
    pub(crate) fn observed(&self, rule: Option<RuleId>) {
        if let Some(rule) = rule {
            self.add(rule, 0, 1);
        }
    }

    /// Counts the rules that denied members of templates; how many members isn't known.
    pub(crate) fn members(&self, plan: &EntityPlan<'_>) {
        plan.take_member_denials().into_iter().for_each(|rule| self.add(rule, 1, 0));
    }

    /// The counters in the order of the rules.
    pub(crate) fn all(&self) -> impl Iterator<Item = RuleMatches> + '_ {
        self.rules.iter().map(Cell::get)
    }

    fn add(&self, rule: RuleId, metrics: u64, observed: u64) {
        let Some(counters) = self.rules.get(rule.index()) else {
            return mistake!("a rule that the policy hasn't");
        };
        let RuleMatches { metrics: decided, observed: seen, first_ms, known, .. } = counters.get();
        if self.is_quiet() {
            return counters.set(RuleMatches { known: true, ..counters.get() });
        }
        let last_ms = self.now_ms.get();
        counters.set(RuleMatches {
            metrics: decided.wrapping_add(metrics),
            observed: seen.wrapping_add(observed),
            first_ms: if first_ms == 0 { last_ms } else { first_ms },
            last_ms,
            known,
        });
    }
}
