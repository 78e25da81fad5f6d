//! What doesn't fit where it stands: members that a definition doesn't have, definitions that can't
//! be used, what stands beside values and can't be read, metrics of deaths. It is taken out,
//! counted by its name, and told.

use account::{Origin, Reason, What};
use policy::Verdict;
use prost::Message;
use sparkplug::{Metric, Value};

use super::meaning::Beside;
use super::notify;
use super::step::StepContext;
use crate::plant::{
    Fault, Node, Parts, RefusedMetrics, Removed, Slot, Survey, Unfit, allowance, reason_of,
};

/// What an instance came to when it was reduced to what its definition has.
pub(super) enum Conformed {
    /// It can be used. `lacks`: the journalled births lack its definition, or members of it.
    Whole { lacks: bool },
    /// Nothing is left of it.
    Nothing,
}

impl StepContext<'_> {
    /// Reduces a template instance to what its definition has. The first instance of a metric
    /// that was null in its birth is surveyed like one of a birth. `left` is what the metrics of the
    /// message may have surveyed yet, `unfit` takes what is taken out.
    pub(super) fn conform(
        &mut self,
        parts: &mut Parts<'_>,
        place: usize,
        metric: &mut Metric,
        left: &mut Option<usize>,
        unfit: &mut Unfit,
    ) -> Result<Conformed, Reason> {
        let Some(Value::Template(instance)) = &mut metric.value else {
            return Ok(Conformed::Whole { lacks: false });
        };
        let Parts { entity, state, definitions, types, announced_types, types_due, .. } = parts;
        let name: Box<str> = definitions.usable(instance.template_ref.as_deref())?.into();
        let slot = state.layout.slot_mut(place).ok_or(Reason::UnknownMetric)?;
        if slot.definition.as_ref().is_some_and(|definition| *definition != name) {
            return Err(Reason::TypeMismatch);
        }
        let before = unfit.count();
        unfit.begin(slot.name());
        definitions.conform(instance, &name, &Removed::new(), unfit);
        if unfit.count() > before && instance.metrics.is_empty() && instance.parameters.is_empty() {
            return Ok(Conformed::Nothing);
        }
        if let Some(Value::Template(current)) = &slot.current.value
            && definitions.usable(current.template_ref.as_deref()) == Ok(&*name)
        {
            // Both spellings mean the same.
            instance.template_ref.clone_from(&current.template_ref);
        }
        if slot.definition.is_none() && slot.is_forwarded() {
            let plan = self.policy.plan(*entity);
            let budget = left.unwrap_or_else(|| allowance(instance.encoded_len()));
            let mut survey = Survey::new(definitions, &plan, budget);
            let asked = survey.instance(slot.name(), &name, slot.shape());
            *left = Some(survey.budget());
            self.rule_counters.members(&plan);
            match asked {
                Ok(asked) => **types_due |= types.extend(asked),
                Err(reason) => {
                    // Asking again would give the same answer.
                    slot.refuse(reason, None);
                    return Err(reason);
                }
            }
        }
        let lacks_type = !announced_types.contains(&*name);
        **types_due |= lacks_type && slot.is_forwarded();
        let lacks_members = match &slot.current.value {
            Some(Value::Template(_)) => slot.lacks_members_of(instance),
            // Readers have no instance that these members could be of.
            _ => slot.is_born() && !definitions.is_whole(instance, &name),
        };
        state.layout.define(place, name);
        Ok(Conformed::Whole { lacks: lacks_type || lacks_members })
    }

    /// Counts and notes what was taken out of templates.
    pub(super) fn drop_unfit(
        &mut self,
        origin: Origin<'_>,
        unfit: &mut Unfit,
        told: &mut RefusedMetrics,
    ) {
        let (named, others) = unfit.take();
        for (path, misfit) in named {
            let fault = || Fault::of_misfit(misfit);
            self.refuse_metric(origin, &path, misfit.reason(), told, fault);
        }
        for (reason, others) in others {
            self.drop(origin, What::Metrics(others), reason, None);
            told.note_others(others);
        }
    }

    /// Counts and tells the definitions of an NBIRTH that can't be used, and what was taken out of
    /// the others.
    pub(super) fn drop_definitions(&mut self, node: &Node, unfit: &mut Unfit) {
        let (origin, mut told) = (node.origin(None), RefusedMetrics::default());
        let nesting = self.settings.caps.nesting();
        for (name, reason) in node.definitions.faulty() {
            if reason == Reason::ControlMetric {
                self.drop(origin, What::Metric(name), reason, None);
            } else {
                let fault = || Fault::of_template(reason, false, nesting);
                self.refuse_metric(origin, name, reason, &mut told, fault);
            }
        }
        self.drop_unfit(origin, unfit, &mut told);
        notify::metrics_refused(origin, true, &told);
    }

    /// Takes note of a metric that doesn't cross for what it is, and not for what the policy says.
    pub(super) fn note_refused(&self, slot: &Slot, told: &mut RefusedMetrics) {
        let Verdict::Drop { reason, rule: None } = slot.verdict() else { return };
        if matches!(reason, Reason::TypeMismatch | Reason::OverCap | Reason::MalformedPayload) {
            let nesting = self.settings.caps.nesting();
            let is_defined = slot.definition.is_some();
            told.note(slot.name(), reason, || Fault::of_template(reason, is_defined, nesting));
        }
    }

    /// Counts and notes what couldn't be read beside the values of a data message.
    pub(super) fn drop_beside(
        &mut self,
        node: &Node,
        device: Option<&str>,
        beside: &[Beside<'_>],
        told: &mut RefusedMetrics,
    ) {
        let layout = node.state(device).map(|state| &state.layout);
        for beside in beside {
            let slot = beside.slot.and_then(|place| layout?.slot(place));
            let name = slot.map(Slot::name).or(beside.name).unwrap_or_default();
            let (reason, fault) = (reason_of(beside.bad.fault), || Fault::of_part(&beside.bad));
            self.refuse_metric(node.origin(device), name, reason, told, fault);
        }
    }

    /// Counts and tells the metrics of a death that deaths don't have. `own`: how many it may have.
    pub(super) fn drop_of_death(&mut self, origin: Origin<'_>, metrics: &[Metric], own: usize) {
        let others = metrics.len().saturating_sub(own);
        if others == 0 {
            return;
        }
        let count = u64::try_from(others).unwrap_or(u64::MAX);
        self.drop(origin, What::Metrics(count), Reason::UnknownMetric, None);
        let of_session =
            |metric: &&Metric| metric.name.as_deref() != Some(sparkplug::names::BD_SEQ);
        let name = metrics.iter().find(of_session).and_then(|metric| metric.name.as_deref());
        let mut told = RefusedMetrics::default();
        told.note(name.unwrap_or_default(), Reason::UnknownMetric, Fault::of_death);
        told.note_others(count.saturating_sub(1));
        notify::refused_of_death(origin, &told);
    }
}
