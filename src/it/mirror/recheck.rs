//! The mirror's own copy of the policy, asked again about everything that the journal brings: what
//! the policy can say of a metric without what came before it. Times, deadbands and intervals are
//! the OT half's business alone; pseudonyms are known by their form, since this half has no key.
//! Whatever has to be changed or taken out is counted, as it shouldn't have crossed.

use std::sync::Arc;

use account::{Dropped, Origin, Reason, RuleId, What};
use policy::shape::{Pseudonyms, Shape};
use policy::{EntityPlan, Policy, Verdict};
use sparkplug::{DataType, Entity, Template, Value, steps};

use super::layout::{Layout, Slot};
use super::node::{Announced, Node};
use super::nodes::NodeRef;
use super::notice::Notice;
use super::policy_recheck::{LeftOut, PolicyRecheck, Refusals};
use super::step::StepContext;

/// Judging a metric takes as long as so many bytes of output.
const JUDGED_BYTES: usize = 64;

impl StepContext<'_> {
    /// Applies the copy of the policy to the layout of a birth that the journal brings, whose
    /// `origin` names its entity. What has to go shouldn't have crossed, and people are told.
    pub(super) fn recheck_birth(&mut self, origin: Origin<'_>, layout: &mut Layout) {
        let (_, refusals) = self.apply_policy(origin, layout);
        let _ = self.drop_refusals(origin, &refusals);
    }

    /// Applies the copy of the policy to a layout; whether that changed it, and what it refused.
    fn apply_policy(&self, origin: Origin<'_>, layout: &mut Layout) -> (bool, Refusals) {
        let mut refusals = Refusals::default();
        let (Some(policy), Some(exported)) = (self.policy, origin.entity) else {
            return (false, refusals);
        };
        // The policy names things as the plant does.
        let original = policy.renames().original(exported);
        let plan = original.map(|entity| policy.plan(entity));
        let mut any_altered = false;
        let judged = |slot: &mut Slot| match &plan {
            Some(plan) => judge(plan, slot),
            None => Err(None),
        };
        let any_gone = layout.retain(|slot| match judged(slot) {
            Ok(altered) => {
                if altered {
                    any_altered = true;
                    refusals.refuse(&slot.metric, slot.recheck().map(|recheck| recheck.rule));
                }
                true
            }
            Err(rule) => {
                refusals.refuse(&slot.metric, rule);
                false
            }
        });
        layout.count_bytes();
        (any_gone || any_altered, refusals)
    }

    fn count_refusals(&mut self, origin: Origin<'_>, refusals: &Refusals) {
        for (name, rule) in &refusals.0 {
            let what = What::Metric(name);
            self.ledger.drop(Dropped { origin, what, reason: Reason::Recheck, rule: *rule });
        }
    }

    /// Counts what was refused of the journal's, and tells people; whether there was anything.
    pub(super) fn drop_refusals(&mut self, origin: Origin<'_>, refusals: &Refusals) -> bool {
        self.count_refusals(origin, refusals);
        let refused = !refusals.0.is_empty();
        if refused && let Some(entity) = origin.entity {
            let entity = entity.to_string();
            let reason = Reason::Recheck.name();
            self.notify(Notice::FrameRefused { entity, reason, over: None });
        }
        self.drop_left_out(origin, &refusals.1);
        refused
    }

    /// Counts what can't be kept of metrics, and tells people.
    fn drop_left_out(&mut self, origin: Origin<'_>, left_out: &LeftOut) {
        self.drop_metrics(origin, left_out.over, Reason::OverCap);
        self.drop_metrics(origin, left_out.others, Reason::UnknownMetric);
        let Some(entity) = origin.entity else { return };
        if let Some((metric, over)) = &left_out.first_over {
            let (entity, reason) = (format!("{entity} metric {metric}"), Reason::OverCap.name());
            self.notify(Notice::FrameRefused { entity, reason, over: Some(*over) });
        }
        if let Some(member) = &left_out.first_other {
            let entity = format!("{entity} metric {member}");
            let reason = Reason::UnknownMetric.name();
            self.notify(Notice::FrameRefused { entity, reason, over: None });
        }
    }

    /// Applies a changed copy of the policy to what is mirrored of a node already.
    pub(super) fn recheck_node(&mut self, node: NodeRef<'_>) {
        if self.policy.is_none() || node.is_relay() {
            return;
        }
        self.work(node.metrics().saturating_mul(JUDGED_BYTES));
        let node = node.change();
        if !self.bury_nameless(node) && self.apply_policy_to_node(node) && node.publishes() {
            self.publish_births(node);
        }
        node.count_all();
    }

    /// Ends what the copy of the policy has no name for any more: the OT half gives it another one,
    /// and its death under this one is refused with the name. Whether the node ended.
    fn bury_nameless(&mut self, node: &mut Node) -> bool {
        let origin = node.origin(None);
        let Some(entity) = origin.entity else { return false };
        if self.check_names(entity).is_err() {
            if node.is_alive() {
                node.set_dead();
                node.unannounce_devices();
                self.reconcile(node, "the policy has another name for it");
            }
            return true;
        }
        let is_nameless = |device: &&String| {
            self.check_names(Entity { device: Some(device.as_str()), ..entity }).is_err()
        };
        let nameless: Vec<String> = node.devices.keys().filter(is_nameless).cloned().collect();
        for name in nameless {
            if let Some(device) = node.forget_device(&name)
                && device.announced == Announced::Born
                && node.is_born()
            {
                self.publish_device_death(node, device.topics.death);
            }
        }
        false
    }

    /// Applies the copy of the policy to a node and its devices; whether that changed anything.
    /// What has to go was allowed when it came: the policy or the hour is another one, and nobody
    /// is to be suspected.
    fn apply_policy_to_node(&mut self, node: &mut Node) -> bool {
        if self.policy.is_none() {
            return false;
        }
        let mut layout = std::mem::take(&mut node.layout);
        let mut devices = std::mem::take(&mut node.devices);
        let (mut changed, refusals) =
            self.apply_policy(node.origin(None), Arc::make_mut(&mut layout));
        self.count_refusals(node.origin(None), &refusals);
        for (name, device) in &mut devices {
            let origin = node.origin(Some(name));
            let (altered, refusals) = self.apply_policy(origin, Arc::make_mut(&mut device.layout));
            self.count_refusals(origin, &refusals);
            changed |= altered;
        }
        node.layout = layout;
        node.devices = devices;
        changed
    }

    /// Refuses names that the copy of the policy gives to nothing, or takes from what has them
    /// in the plant: the OT half doesn't write them.
    pub(super) fn check_names(&self, exported: Entity<'_>) -> Result<(), Reason> {
        let known = |policy: &Policy| policy.renames().original(exported).is_some();
        if self.policy.is_none_or(known) { Ok(()) } else { Err(Reason::Recheck) }
    }
}

/// Judges one metric of a layout, and makes of it what may be published; whether it
/// changed.
///
/// # Errors
/// It may not be published at all, with the rule that says so.
fn judge(plan: &EntityPlan<'_>, slot: &mut Slot) -> Result<bool, Option<RuleId>> {
    let name = slot.metric.name.clone().unwrap_or_default();
    let datatype = slot.metric.datatype.and_then(DataType::from_code);
    let own = plan.original(&name, datatype);
    let path = own.as_deref().unwrap_or(&name);
    let judged = plan.judge_and_shape(path, datatype);
    let shape = judged.shape.unwrap_or_else(|| Shape::unshaped());
    match &slot.metric.value {
        // Definitions come along with their instances; the OT half has pruned them.
        Some(Value::Template(template)) if template.is_definition == Some(true) => {
            return Ok(shape.disarm_definition(&mut slot.metric, Pseudonyms::Check));
        }
        // A denied member takes its instance along: births must have exactly the members of the
        // definition, which other instances share.
        Some(Value::Template(template)) => {
            let instance = Instance { plan, name_bytes: path.len(), shape };
            instance.check(template, path)?;
        }
        _ => {}
    }
    let (rule, shape) = match (own.is_some(), judged.verdict) {
        (true, Verdict::Forward { rule, .. }) => (rule, Some(Arc::clone(shape))),
        (true, Verdict::Redact { rule, .. }) => (rule, None),
        (_, Verdict::Drop { rule, .. }) => return Err(rule),
        // It would cross under another name.
        (false, _) => return Err(None),
    };
    let checks_scalars = match (&shape, datatype) {
        (Some(shape), Some(datatype)) => shape.shapes(datatype),
        _ => true,
    };
    let recheck = PolicyRecheck { rule, shape, checks_scalars };
    let changed = recheck.recheck_birth(&mut slot.metric);
    slot.set_recheck(recheck);
    Ok(changed)
}

/// Bytes of the name of a member, with those of all that it is in: the OT half lets none cross
/// that is longer.
const MAX_PATH_BYTES: usize = 4 * 1024;

/// A template's instance that is looked at.
struct Instance<'a> {
    plan: &'a EntityPlan<'a>,
    /// Bytes of its metric's name, with which every path begins.
    name_bytes: usize,
    shape: &'a Shape,
}

impl Instance<'_> {
    /// Recursion is bounded by the depth that was decoded.
    ///
    /// # Errors
    /// A member or parameter that may not cross, with the rule that says so.
    fn check(&self, template: &Template, path: &str) -> Result<(), Option<RuleId>> {
        if path.len() > MAX_PATH_BYTES {
            return Err(None);
        }
        let names = template.metrics.len().saturating_add(template.parameters.len());
        steps::take(names.saturating_mul(path.len().div_ceil(64)));
        for parameter in &template.parameters {
            let path = format!("{path}/{}", parameter.name.as_deref().unwrap_or_default());
            let datatype = parameter.r#type.and_then(DataType::from_code);
            if let Some((_, rule)) = self.plan.denies_member(&path, datatype) {
                return Err(rule);
            }
            if !self.shape.takes_parameter(self.below(&path), datatype) {
                return Err(None);
            }
        }
        for member in &template.metrics {
            let path = format!("{path}/{}", member.name.as_deref().unwrap_or_default());
            let datatype = member.datatype.and_then(DataType::from_code);
            if let Some((_, rule)) = self.plan.denies_member(&path, datatype) {
                return Err(rule);
            }
            if !self.shape.takes_member(self.below(&path), datatype) {
                return Err(None);
            }
            if let Some(Value::Template(inner)) = &member.value {
                self.check(inner, &path)?;
            }
        }
        Ok(())
    }

    fn below<'p>(&self, path: &'p str) -> &'p str {
        path.get(self.name_bytes.saturating_add(1)..).unwrap_or_default()
    }
}
