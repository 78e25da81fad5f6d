//! What the status says of a policy in shadow: how it is, and what it would decide otherwise.

use serde::{Deserialize, Serialize};

use super::{PolicyStatus, ReloadRefused, RuleStatus};

/// A policy that looks on, beside the one in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowStatus {
    /// Absent where it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyStatus>,
    /// It was read and is no policy; nothing is compared until it is mended and read again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<ReloadRefused>,
    /// Since when both are compared.
    pub since_ms: u64,
    /// Metrics of births and data since then: about which both decide the same, …
    pub same: u64,
    /// … that would cross and don't, or whose values would, …
    pub newly_crosses: u64,
    /// … that cross and would not, or whose values would not, …
    pub no_longer_crosses: u64,
    /// … that cross under both in another manner, …
    pub otherwise: u64,
    /// … and of which it can't be said.
    pub unknown: u64,
    /// Limits of edge nodes, link or births differ. What they would hold back isn't counted.
    pub limits_differ: bool,
    /// Filters that it would need and to which the half isn't subscribed: the broker refuses them, or
    /// signatures are required, and a policy without one widens nothing. At most 200. What would come by
    /// them isn't seen.
    #[serde(default)]
    pub unseen: Vec<String>,
    /// By rule of both: those that would newly cross first, those with most metrics first; at most 200.
    #[serde(default)]
    pub differences: Vec<DifferenceStatus>,
    /// So many differences more.
    #[serde(default)]
    pub more: u64,
    /// What each of its rules would have decided, in its order, the first 1,000 of them.
    #[serde(default)]
    pub rules: Vec<RuleStatus>,
}

/// Metrics about which both policies decide otherwise in the same way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferenceStatus {
    /// `newly_crosses`, `no_longer_crosses`, `otherwise` or `unknown`.
    pub difference: String,
    /// What the policy in shadow would do.
    pub shadow: DecisionStatus,
    /// What the policy in force does.
    pub in_force: DecisionStatus,
    /// In words, of what crosses under both.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub manner: Vec<String>,
    /// The metric that was met first: `group/edge_node/device  metric`.
    pub example: String,
    pub metrics: u64,
    pub first_ms: u64,
    pub last_ms: u64,
}

/// What a policy does with a metric.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionStatus {
    /// `values`: they cross; `name`: births have it without a value; `nothing`.
    pub crosses: String,
    /// Why no values do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The rule that decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

impl ShadowStatus {
    /// Metrics that were compared.
    pub fn compared(&self) -> u64 {
        let ShadowStatus { same, newly_crosses, no_longer_crosses, otherwise, unknown, .. } = self;
        [same, newly_crosses, no_longer_crosses, otherwise, unknown]
            .into_iter()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// For the summary: `newly_crosses=1 no_longer_crosses=0 otherwise=0 unknown=0 same=7`, or that it is
    /// refused.
    pub(super) fn words(&self) -> String {
        if self.refused.is_some() {
            return "refused".to_owned();
        }
        let ShadowStatus { same, newly_crosses, no_longer_crosses, otherwise, unknown, .. } = self;
        format!(
            "newly_crosses={newly_crosses} no_longer_crosses={no_longer_crosses} \
             otherwise={otherwise} unknown={unknown} same={same}"
        )
    }
}
