//! A whole policy in shadow: what it would decide about the metrics that the policy in force judges,
//! counted beside that. It is asked, and it counts; nothing that forwards reads a word of it.
//!
//! A metric that is judged has a mark from then on: the place where the pair of what both policies
//! decide about it is counted. So data costs one look-up for each metric, however many rules there are.

mod members;
mod pairs;
#[cfg(test)]
mod tests;

use std::cell::{Cell, OnceCell, RefCell};
use std::sync::Arc;

use account::Reason;
use policy::shape::Shape;
use policy::{EntityPlan, Policy, Verdict};
use sparkplug::{DataType, Entity, Value};

use self::members::Members;
pub(crate) use self::pairs::{Crossing, Decision, Difference, Kind, Mark, Totals};
use self::pairs::{Key, Pairs};
use crate::rule_counters::{RuleCounters, RuleMatches};

/// The policy, and what it would have decided.
#[derive(Debug)]
pub(crate) struct Shadow {
    policy: Policy,
    since_ms: u64,
    /// What it would have to be subscribed to, beside what the policy in force is.
    filters: Vec<String>,
    /// Marks of another stand of its windows are out of date. Never 0, and never used twice.
    stand: u32,
    pairs: RefCell<Pairs>,
    hits: RuleCounters,
    now_ms: Cell<u64>,
}

impl Shadow {
    /// Looks on beside the policy `in_force`, from `now_ms` on, in milliseconds since the epoch. No mark
    /// of before has this `stand`.
    pub(crate) fn new(in_force: &Policy, mut policy: Policy, now_ms: u64, stand: u32) -> Shadow {
        let _ = policy.set_time(now_ms);
        Shadow {
            filters: in_force.subscriptions_beside(&policy),
            hits: RuleCounters::new(&policy),
            pairs: RefCell::default(),
            policy,
            since_ms: now_ms,
            stand,
            now_ms: Cell::new(now_ms),
        }
    }

    /// Opens and closes its windows as of this time.
    pub(crate) fn set_time(&mut self, now_ms: u64) {
        if !self.policy.set_time(now_ms).is_empty() {
            self.stand = self.stand.wrapping_add(1).max(1);
        }
    }

    /// What is counted from now on happens at this time, in milliseconds since the epoch.
    pub(crate) fn at(&self, now_ms: u64) {
        self.now_ms.set(now_ms);
        self.hits.at(now_ms);
    }

    /// Marks that were made at another stand are to be made anew.
    pub(crate) fn stand(&self) -> u32 {
        self.stand
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What it would have to be subscribed to, beside what the policy in force is.
    pub(crate) fn filters(&self) -> &[String] {
        &self.filters
    }

    /// Since when it counts, in milliseconds since the epoch.
    pub(crate) fn since_ms(&self) -> u64 {
        self.since_ms
    }

    /// What each of its rules would have decided, in their order.
    pub(crate) fn hits(&self) -> impl Iterator<Item = RuleMatches> + '_ {
        self.hits.all()
    }

    /// How many metrics were compared, and with which outcome.
    pub(crate) fn totals(&self) -> Totals {
        self.pairs.borrow().totals()
    }

    /// Where both policies decide otherwise, those with most metrics first.
    pub(crate) fn differences(&self) -> Vec<Difference> {
        self.pairs.borrow().differences()
    }

    /// Looks at the metrics of one entity beside the policy in force.
    pub(crate) fn look<'a>(&'a self, in_force: &'a Policy, entity: Entity<'a>) -> Look<'a> {
        let names = (in_force.renames().exported(entity), self.policy.renames().exported(entity));
        Look {
            shadow: self,
            in_force,
            entity,
            plan: self.policy.plan(entity),
            plan_in_force: OnceCell::new(),
            collides: (names.0.is_err(), names.1.is_err()),
            is_renamed: names.0 != names.1,
        }
    }

    /// Takes note of a metric that is known, of which no birth and no data came.
    pub(crate) fn know(&self, mark: Option<Mark>) {
        let said = mark.and_then(|mark| self.pairs.borrow().said(mark));
        if let Some((verdict, observed)) = said {
            self.hits.be_quiet(true);
            self.hits.decided(verdict);
            self.hits.observed(observed);
            self.hits.be_quiet(false);
        }
    }

    /// Counts a metric of a birth or of data, by its mark. Without one it is none to be compared.
    pub(crate) fn count(&self, mark: Option<Mark>) {
        let Some(mark) = mark else { return };
        let said = self.pairs.borrow_mut().count(mark, self.now_ms.get());
        if let Some((verdict, observed)) = said {
            self.hits.decided(verdict);
            self.hits.observed(observed);
        }
    }
}

/// One entity, as the policy in shadow looks at it.
#[derive(Debug)]
pub(crate) struct Look<'a> {
    shadow: &'a Shadow,
    in_force: &'a Policy,
    entity: Entity<'a>,
    plan: EntityPlan<'a>,
    plan_in_force: OnceCell<EntityPlan<'a>>,
    /// Its name is somebody else's on IT: in force, and in shadow.
    collides: (bool, bool),
    is_renamed: bool,
}

impl Look<'_> {
    /// The mark of a metric about which the policy in force says `verdict`, with the shape of its values.
    /// `value`: an instance of it, where it is a template. None where it isn't the policy that decides.
    pub(crate) fn mark(
        &self,
        name: &str,
        datatype: Option<DataType>,
        (verdict, shape): (Verdict, Option<&Arc<Shape>>),
        value: Option<&Value>,
    ) -> Option<Mark> {
        if !is_policys(verdict) {
            return None;
        }
        let judged = self.plan.judge_and_shape(name, datatype);
        let of = |verdict, collides| match collides {
            true => Decision::COLLIDES,
            false => Decision::from(verdict),
        };
        let before = of(verdict, self.collides.0);
        let after = of(judged.verdict, self.collides.1);
        let mut key = Key::new(before, after);
        key.observed = self.plan.observe(name, datatype);
        let rules = before
            .forward
            .and_then(|id| self.in_force.rule(id))
            .zip(after.forward.and_then(|id| self.shadow.policy.rule(id)));
        let both_cross = before.crossing == after.crossing && before.crossing != Crossing::Nothing;
        let rules = rules.filter(|_| both_cross);
        if let Some((before, after)) = rules {
            key.is_renamed = self.is_renamed || {
                let named = |rule: &policy::Rule| {
                    rule.prefixes().map(|prefixes| prefixes.exported_name(name).into_owned())
                };
                (before.prefixes().is_some() || after.prefixes().is_some())
                    && named(before).as_deref().unwrap_or(name)
                        != named(after).as_deref().unwrap_or(name)
            };
            if key.before.crossing == Crossing::Values {
                key.shapes = [shape, judged.shape]
                    .map(|shape| shape.map_or(0, |shape| Arc::as_ptr(shape).addr()));
                key.datatype = datatype.map(DataType::code);
                if datatype == Some(DataType::Template) {
                    let plan = || self.in_force.plan(self.entity);
                    let plans = (self.plan_in_force.get_or_init(plan), &self.plan);
                    key.members = Members::compare(plans, name, value);
                }
            }
        }
        let mut pairs = self.shadow.pairs.borrow_mut();
        Some(pairs.mark(key, judged.verdict, || {
            let values = key.before.crossing == Crossing::Values;
            let contrasts = rules
                .map(|(before, after)| policy::contrasts(before, after, name, datatype, values));
            let example = format!("{}  {name}", self.entity);
            (contrasts.unwrap_or_default(), self.is_renamed, example)
        }))
    }
}

/// Whether a verdict is the policy's: other reasons stop a metric under every policy.
fn is_policys(verdict: Verdict) -> bool {
    match verdict {
        Verdict::Forward { .. } | Verdict::Redact { .. } => true,
        Verdict::Drop { reason, rule } => match reason {
            Reason::NoRule => true,
            Reason::Denied | Reason::Datatype | Reason::Opaque | Reason::Unshapeable => {
                rule.is_some()
            }
            _ => false,
        },
    }
}
