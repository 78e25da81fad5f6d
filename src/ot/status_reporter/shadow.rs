//! What the status says of a policy in shadow.

use std::collections::BTreeSet;

use policy::Policy;
use telemetry::status::{
    DecisionStatus, DifferenceStatus, PolicyStatus, ReloadRefused, ShadowStatus,
};

use super::{count, hits};
use crate::connection::Subscribed;
use crate::pipeline::Pipeline;
use crate::shadow::{Crossing, Decision, Difference, Kind};

/// Differences that are shown.
const MAX_DIFFERENCES: usize = 200;
/// Filters that are named.
const MAX_FILTERS: usize = 200;
/// What health says of a refused policy: characters of the error.
const ERROR_CHARACTERS: usize = 200;

/// The status of the policy in shadow; none, where there is to be none.
pub(super) fn status(
    pipeline: &Pipeline,
    refused: Option<&ReloadRefused>,
    now_ms: u64,
    subscribed: &Subscribed,
) -> Option<ShadowStatus> {
    if let Some(refused) = refused {
        return Some(ShadowStatus { refused: Some(refused.clone()), ..ShadowStatus::default() });
    }
    let (shadow, in_force) = (pipeline.shadow()?, pipeline.policy());
    let policy = shadow.policy();
    let totals = shadow.totals();
    let differences = shadow.differences();
    let more = differences.len().saturating_sub(MAX_DIFFERENCES);
    let shown = differences.into_iter().take(MAX_DIFFERENCES);
    // Before the broker has answered nobody knows.
    let is_known = !subscribed.granted.is_empty() || !subscribed.refused.is_empty();
    let granted: BTreeSet<&String> = subscribed.granted.iter().collect();
    let unseen = shadow.filters().iter().filter(|filter| !granted.contains(filter));
    Some(ShadowStatus {
        policy: Some(PolicyStatus {
            digest: policy.digest().to_owned(),
            rules: count(policy.rules().len()),
        }),
        refused: None,
        since_ms: shadow.since_ms(),
        same: totals.same,
        newly_crosses: totals.newly,
        no_longer_crosses: totals.no_longer,
        otherwise: totals.otherwise,
        unknown: totals.unknown,
        limits_differ: policy.limits() != in_force.limits(),
        unseen: unseen.take(if is_known { MAX_FILTERS } else { 0 }).cloned().collect(),
        differences: shown.map(|one| difference(one, in_force, policy)).collect(),
        more: count(more),
        rules: hits(policy, shadow.hits(), now_ms),
    })
}

/// For people: that the policy in force isn't concerned.
pub(super) fn refused(refused: &ReloadRefused) -> String {
    let error = refused.error.lines().next().unwrap_or_default();
    let error: String = error.chars().take(ERROR_CHARACTERS).collect();
    let at = text::format_utc_ms(refused.at_ms);
    format!(
        "the policy in shadow that was read at {at} is refused, so nothing is compared; the policy in \
         force isn't concerned: {error}"
    )
}

fn difference(found: Difference, in_force: &Policy, shadow: &Policy) -> DifferenceStatus {
    let difference = match found.kind {
        Kind::Newly => "newly_crosses",
        Kind::NoLonger => "no_longer_crosses",
        Kind::Otherwise => "otherwise",
        Kind::Unknown | Kind::Same => "unknown",
    };
    DifferenceStatus {
        difference: difference.to_owned(),
        shadow: decision(found.after, shadow),
        in_force: decision(found.before, in_force),
        manner: found.lines,
        example: found.example,
        metrics: found.metrics,
        first_ms: found.first_ms,
        last_ms: found.last_ms,
    }
}

fn decision(decision: Decision, policy: &Policy) -> DecisionStatus {
    let crosses = match decision.crossing {
        Crossing::Values => "values",
        Crossing::Name => "name",
        Crossing::Nothing => "nothing",
    };
    let rule = decision.rule.and_then(|id| policy.rule(id));
    DecisionStatus {
        crosses: crosses.to_owned(),
        reason: decision.reason.map(|reason| reason.name().to_owned()),
        rule: rule.map(|rule| rule.name().to_owned()),
    }
}
