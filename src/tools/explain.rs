//! How each rule of a policy relates to a metric: what `explain` shows beside the verdict. The
//! verdict itself is [`policy::EntityPlan::judge`]'s.

use account::RuleId;
use policy::glob::Glob;
use policy::rule::{Selectors, any_matches};
use policy::{Action, Mode, Policy, Rule};
use sparkplug::{DataType, Entity};

/// A rule, and how it relates to a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleRelation {
    pub rule: RuleId,
    pub relation: Relation,
}

/// How a rule relates to a metric of an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// It selects other entities; the key by which it does so.
    OtherEntity(&'static str),
    /// It selects the entity, but names other metrics.
    OtherMetric,
    /// It names the metric, but not with its datatype.
    OtherDatatype,
    /// It forwards the metric, unless another one denies it or comes first.
    Forwards,
    /// It denies the metric; no other rule can undo that.
    Denies,
    /// It redacts the metric: births have it without a value.
    Redacts,
    /// It would forward or deny the metric, but its schedule is closed at this time.
    Closed,
    /// It would forward or deny the metric, but only observes.
    Observes,
}

/// The rules that can concern the edge node of `entity`, in order, and how each relates to
/// `metric`. Rules that name other groups or edge nodes are left out.
pub fn relations(
    policy: &Policy,
    entity: Entity<'_>,
    metric: &str,
    datatype: Option<DataType>,
) -> Vec<RuleRelation> {
    policy
        .candidates(entity.group, entity.edge_node)
        .map(|(id, rule)| RuleRelation {
            rule: id,
            relation: relation(rule, entity, metric, datatype),
        })
        .collect()
}

/// The rules that select `entity`, in order.
pub fn selecting(policy: &Policy, entity: Entity<'_>) -> Vec<RuleId> {
    let candidates = policy.candidates(entity.group, entity.edge_node);
    candidates.filter(|(_, rule)| rule.selectors().select(entity)).map(|(id, _)| id).collect()
}

fn relation(rule: &Rule, entity: Entity<'_>, metric: &str, datatype: Option<DataType>) -> Relation {
    if !rule.selectors().select(entity) {
        return Relation::OtherEntity(first_difference(rule.selectors(), entity));
    }
    let acting = |relation| match (rule.is_open(), rule.mode()) {
        (false, _) => Relation::Closed,
        (true, Mode::Observe) => Relation::Observes,
        (true, Mode::Enforce) => relation,
    };
    let names = |globs: Option<&[Glob]>| match globs {
        None => false,
        Some([]) => true,
        Some(globs) => globs.iter().any(|glob| glob.matches(metric)),
    };
    let denied = names(rule.denied());
    // In doubt about the datatype a deny rule denies and a forward rule doesn't forward.
    let by_type = |doubt: bool| {
        rule.datatypes().is_none_or(|types| datatype.map_or(doubt, |one| types.contains(one)))
    };
    if denied && (rule.denied_datatypes().is_none() || by_type(true)) {
        return acting(Relation::Denies);
    }
    let redacted = names(rule.redacted());
    if redacted && (rule.denied_datatypes().is_none() || by_type(true)) {
        return acting(Relation::Redacts);
    }
    match rule.action() {
        Action::Deny | Action::Redact if denied || redacted => Relation::OtherDatatype,
        Action::Forward if names(rule.forwarded()) => {
            if by_type(false) {
                acting(Relation::Forwards)
            } else {
                Relation::OtherDatatype
            }
        }
        Action::Deny | Action::Redact | Action::Forward => Relation::OtherMetric,
    }
}

/// The first key by which selectors that don't select `entity` don't.
fn first_difference(selectors: &Selectors, entity: Entity<'_>) -> &'static str {
    if !any_matches(selectors.groups.as_deref(), entity.group) {
        return "group";
    }
    if !any_matches(selectors.edge_nodes.as_deref(), entity.edge_node) {
        return "edge-node";
    }
    match entity.device {
        None if selectors.devices.is_some() => return "device",
        Some(_) if selectors.node_only => return "node-only",
        Some(device) if !any_matches(selectors.devices.as_deref(), device) => return "device",
        _ => {}
    }
    "topic"
}
