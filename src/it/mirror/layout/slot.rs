//! One metric of a layout: whether its value is stale, and what data of it needs a closer look.

use sparkplug::{Metric, Value, value};

use super::Slot;
use super::metric::is_definition;
use crate::mirror::policy_recheck::PolicyRecheck;

impl Slot {
    /// Whether it wasn't seen since one of these losses. A definition is no value: it has no
    /// quality, and data could never take it back.
    pub(super) fn is_stale(&self, losses: u64) -> bool {
        if self.as_of == losses { self.stale } else { !is_definition(&self.metric) }
    }

    pub(super) fn set_stale(&mut self, stale: bool, losses: u64) {
        (self.stale, self.as_of) = (stale, losses);
        self.is_eligible = !stale && self.passes_scalars();
    }

    /// Notes what the copy of the policy says of the metric.
    pub(in crate::mirror) fn set_recheck(&mut self, recheck: PolicyRecheck) {
        self.recheck = Some(Box::new(recheck));
        self.is_eligible = !self.stale && self.passes_scalars();
    }

    /// What the copy of the policy says of the metric.
    pub(in crate::mirror) fn recheck(&self) -> Option<&PolicyRecheck> {
        self.recheck.as_deref()
    }

    /// The copy of the policy lets every number and truth value of the metric through as it is.
    pub(super) fn passes_scalars(&self) -> bool {
        self.recheck.as_ref().is_none_or(|recheck| !recheck.checks_scalars())
    }

    /// Whether a birth with this metric changes nothing but its time. `false` also for
    /// what the copy of the policy has to look at.
    pub(super) fn is_repeated_by(&self, metric: &Metric) -> bool {
        use Value::{Boolean, Double, Float, Int, Long};
        let ours = &self.metric;
        let same = match (&ours.value, &metric.value) {
            (Some(Int(_) | Long(_) | Float(_) | Double(_) | Boolean(_)), Some(theirs)) => {
                metric.is_null != Some(true)
                    && ours.value.as_ref().is_some_and(|ours| value::same(ours, theirs))
                    && self.passes_scalars()
            }
            (Some(Value::String(ours)), Some(Value::String(theirs))) => {
                metric.is_null != Some(true) && ours == theirs && self.recheck.is_none()
            }
            (None, None) => ours.is_null == Some(true) && self.recheck.is_none(),
            _ => false,
        };
        same && ours.properties == metric.properties
    }
}
