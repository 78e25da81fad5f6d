//! Metrics that data brings first: they extend the birth that is known of their entity.

use account::Reason;
use policy::Verdict;
use sparkplug::footprint::value_bytes;
use sparkplug::{DataType, Metric};

use super::data::Cause;
use super::judge::judge;
use super::step::StepContext;
use super::{notify, shape};
use crate::plant::Parts;

/// More than what a metric that is born late takes beside its value: its shape, its name on IT.
const LATE_BYTES: usize = 512;

impl StepContext<'_> {
    /// Extends a birth by a metric that data brought first.
    pub(super) fn born_late(
        &mut self,
        parts: &mut Parts<'_>,
        metric: &Metric,
        datatype: DataType,
        timestamp: u64,
    ) -> Result<usize, Cause> {
        let Parts { entity, definitions, losses, .. } = parts;
        let losses = *losses;
        let plan = self.policy.plan(*entity);
        let name = metric.name.as_deref().unwrap_or_default();
        if entity.device.is_none() && definitions.contains(name) {
            // The NBIRTH has a definition by this name.
            return Err((Reason::TypeMismatch, None));
        }
        let judged = judge(&plan, name, Some(datatype));
        let rule = match judged.verdict {
            Verdict::Forward { rule, .. } | Verdict::Redact { forward: rule, .. } => rule,
            // Not remembered: names that no rule forwards would only take memory.
            Verdict::Drop { reason, rule } => {
                self.rule_counters.decided(judged.verdict);
                self.rule_counters.observed(plan.observe(name, Some(datatype)));
                self.count_beside(self.mark_late(*entity, name, datatype, &judged));
                return Err((reason, rule));
            }
        };
        if self.collides(*entity) {
            return Err((Reason::NameCollision, None));
        }
        if parts.state.layout.slots.len() >= self.settings.caps.metrics {
            return Err((Reason::OverCapacity, None));
        }
        let more = parts.state.layout.growth_by_another().saturating_add(LATE_BYTES);
        let more = more.saturating_add(value_bytes(metric));
        if let Err(shortage) = self.room.check(parts.bytes_with(more)) {
            notify::memory(parts.entity, shortage);
            return Err((Reason::OverMemory, Some(rule)));
        }
        let Parts { entity, state, definitions, .. } = parts;
        let own_definitions = entity.device.is_none().then_some(&**definitions);
        let exported_as = self
            .name_late(state, own_definitions, name, rule)
            .map_err(|reason| (reason, Some(rule)))?;
        // Born without a value: what this message says about it is entered like any data.
        let born = Metric {
            value: None,
            timestamp: metric.timestamp.or(Some(timestamp)),
            ..metric.clone()
        };
        let slot = state.layout.insert(born, datatype).ok_or((Reason::OverCapacity, None))?;
        let beside = self.mark_late(*entity, name, datatype, &judged);
        let keeps = shape::keeps(&plan, name, Some(datatype), judged.verdict);
        state.layout.change(slot, |target| {
            shape::enter(target, &judged, keeps, losses, self.limiter);
            target.observed = plan.observe(name, Some(datatype));
            target.exported_as = exported_as;
            target.beside = beside;
        });
        Ok(slot)
    }
}
