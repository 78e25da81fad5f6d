//! Judging: what the policy says of the metrics and templates of an entity, taken over by its
//! slots.

use std::collections::BTreeSet;

use account::{Origin, Reason, RuleId, What};
use policy::{EntityPlan, Judged, Rule, Verdict};
use sparkplug::{DataType, Entity, EntityTopic, Value, names, steps};

use super::encode::instance_bytes;
use super::step::StepContext;
use super::{notify, shape};
use crate::plant::{
    Definitions, EntityState, Node, RefusedMetrics, Removed, SURVEY_BYTES, Slot, Survey, Types,
    Unfit, allowance, repeated_allowance,
};

/// Judging a metric takes as long as so many bytes of output.
pub(super) const JUDGED_BYTES: usize = 64;
/// What it takes of a survey's budget to walk over a metric.
const SLOT_BYTES: usize = 64;

impl StepContext<'_> {
    /// Judges every metric of one entity by the policy. `losses` are those of its node.
    pub(super) fn judge(
        &self,
        entity: Entity<'_>,
        definitions: Option<&Definitions>,
        state: &mut EntityState,
        losses: u64,
    ) {
        let plan = self.policy.plan(entity);
        let losses = state.losses(losses);
        shape::judge(&plan, state, losses, self.now, self.limiter, judge);
        state.judged = true;
        for slot in &mut state.layout.slots {
            slot.observed = plan.observe(slot.name(), slot.judged_datatype());
            self.rule_counters.decided(slot.verdict());
            self.rule_counters.observed(slot.observed);
        }
        self.judge_beside(entity, state);
        self.name_metrics(entity, definitions, state);
        state.layout.count_bytes();
    }

    /// Drops the metrics of a birth that don't cross; the cause of the first one.
    pub(super) fn drop_denied(
        &mut self,
        origin: Origin<'_>,
        state: &EntityState,
    ) -> Option<(Reason, Option<RuleId>)> {
        let (mut first, mut told) = (None, RefusedMetrics::default());
        let mut ruled_out = None;
        steps::take(state.layout.slots.len());
        for slot in &state.layout.slots {
            match slot.verdict() {
                Verdict::Drop { reason, rule } => {
                    self.drop(origin, What::Metric(slot.name()), reason, rule);
                    self.note_refused(slot, &mut told);
                    first = first.or(Some((reason, rule)));
                }
                // The metric is in the birth, its value isn't.
                Verdict::Forward { rule, .. } | Verdict::Redact { rule, .. } => {
                    if let Some(reason) = shape::withheld(slot, self.policy.pseudonyms()) {
                        if reason != Reason::Redacted {
                            ruled_out.get_or_insert((slot.name(), reason, rule));
                        }
                        self.drop(origin, What::Metric(slot.name()), reason, Some(rule));
                    }
                }
            }
        }
        notify::metrics_refused(origin, true, &told);
        if let (Some((name, reason, rule)), Some(entity)) = (ruled_out, origin.entity) {
            let rule = self.policy.rule(rule).map(Rule::name);
            notify::value_ruled_out(EntityTopic::birth(entity), name, reason, rule);
        }
        first
    }

    /// Surveys the template instances of node and devices from scratch, and refuses those that
    /// can't be forwarded. Devices that died count too: an NBIRTH comes before its DBIRTHs, and those
    /// devices most likely come back with the same types.
    pub(super) fn survey(&mut self, node: &mut Node) {
        let types = self.judge_definitions(node);
        node.take_types(types);
        self.survey_entity(node, None, SURVEY_BYTES);
        let devices: Vec<Box<str>> = node.devices.keys().cloned().collect();
        for device in devices {
            self.survey_entity(node, Some(&device), SURVEY_BYTES);
        }
        node.count_all();
    }

    /// The same after an NBIRTH. `changed`: its definitions aren't those of the last one. Each
    /// birth of a device is surveyed once for what it brought itself; to survey those that died
    /// again there is what the NBIRTH brought: their own births say it anyway.
    pub(super) fn survey_birth(&mut self, node: &mut Node, changed: bool) {
        let types = self.judge_definitions(node);
        if changed {
            node.take_types(types);
        } else {
            node.types.extend(types);
        }
        self.survey_entity(node, None, SURVEY_BYTES);
        if changed {
            let mut left = repeated_allowance(node.definitions.bytes());
            let devices: Vec<Box<str>> = node.devices.keys().cloned().collect();
            for device in devices {
                let is_new = node.devices.get(&device).is_some_and(|state| !state.surveyed);
                if is_new {
                    self.survey_entity(node, Some(&device), SURVEY_BYTES);
                } else if left > 0 {
                    left = self.survey_entity(node, Some(&device), left);
                }
            }
        }
        node.count_all();
    }

    fn judge_definitions(&self, node: &mut Node) -> Types {
        let Node { group, edge_node, definitions, .. } = node;
        let plan = self.policy.plan(Entity::node(group, edge_node));
        definitions.judge(&plan);
        self.rule_counters.members(&plan);
        Types::of(BTreeSet::new(), definitions.denied().clone())
    }

    /// Surveys the template instances of one entity, within the `limit` that earlier ones left.
    /// What is left of it now.
    pub(super) fn survey_entity(
        &mut self,
        node: &mut Node,
        device: Option<&str>,
        limit: usize,
    ) -> usize {
        let Node { group, edge_node, slot, own, devices, definitions, types, .. } = node;
        let entity = Entity { group, edge_node, device };
        let origin = Origin { entity: Some(entity), node: Some(*slot) };
        let plan = self.policy.plan(entity);
        let mut unfit = Unfit::default();
        let state = match device {
            None => Some(own),
            Some(device) => devices.get_mut(device).map(|state| &mut **state),
        };
        let Some(state) = state else { return limit };
        state.surveyed = true;
        let slots = &mut state.layout.slots;
        steps::take(slots.len());
        let walked = slots.len();
        let is_instance = |slot: &&mut Slot| slot.datatype == DataType::Template;
        let bytes = instance_bytes(slots);
        let budget = allowance(bytes).min(limit);
        let mut survey = Survey::new(definitions, &plan, budget);
        for slot in slots.iter_mut().filter(is_instance) {
            let found = match &mut slot.current.value {
                Some(Value::Template(instance)) => {
                    let found = definitions.usable(instance.template_ref.as_deref());
                    if let Ok(definition) = found {
                        unfit.begin(slot.current.name.as_deref().unwrap_or_default());
                        definitions.conform(instance, definition, &Removed::new(), &mut unfit);
                    }
                    found
                }
                _ => match slot.definition.as_deref() {
                    Some(definition) if definitions.contains(definition) => Ok(definition),
                    _ => {
                        slot.definition = None;
                        continue;
                    }
                },
            };
            let definition = found.map(Box::<str>::from);
            slot.definition = definition.as_ref().ok().cloned();
            if !slot.is_forwarded() {
                continue;
            }
            let surveyed = definition
                .and_then(|definition| survey.instance(slot.name(), &definition, slot.shape()));
            match surveyed {
                Ok(asked) => {
                    types.extend(asked);
                }
                Err(reason) => slot.refuse(reason, None),
            }
        }
        let left = survey.budget();
        self.rule_counters.members(&plan);
        state.layout.count_bytes();
        let mut told = RefusedMetrics::default();
        self.drop_unfit(origin, &mut unfit, &mut told);
        notify::metrics_refused(origin, true, &told);
        let looked_at = walked.saturating_mul(SLOT_BYTES).saturating_add(bytes);
        limit.saturating_sub(budget.saturating_sub(left)).saturating_sub(looked_at)
    }
}

/// The policy's word on a metric of a birth or data message.
pub(super) fn judge<'a>(
    plan: &EntityPlan<'a>,
    name: &str,
    datatype: Option<DataType>,
) -> Judged<'a> {
    if names::is_control(name) || name == names::BD_SEQ || name == names::REBIRTH {
        let verdict = Verdict::Drop { reason: Reason::ControlMetric, rule: None };
        return Judged { verdict, shape: None };
    }
    plan.judge_and_shape(name, datatype)
}
