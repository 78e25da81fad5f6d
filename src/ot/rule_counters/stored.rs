//! What the rules of the policy decided, stored so that `sparkdiode check` can tell which of them
//! decided nothing. It is this half's own: nothing of it reaches the journal.

use std::path::Path;

use prost::Message;
use state::{StateDir, StateError, StateFile, Stored};

use super::RuleMatches;
use crate::pipeline::Pipeline;

/// The counters, replaced as a whole every half minute.
const RULES: StateFile = StateFile { name: "rules.state", magic: *b"SPKDRUL1" };

/// Counters of the rules of one policy.
#[derive(Clone, PartialEq, Message)]
pub struct RuleCounts {
    /// Digest of the policy.
    #[prost(string, tag = "1")]
    pub policy_digest: String,
    /// When the relay began to count: when it started, or the policy was loaded. In milliseconds
    /// since the epoch, as the other one.
    #[prost(uint64, tag = "2")]
    pub since_ms: u64,
    /// When this was stored.
    #[prost(uint64, tag = "3")]
    pub until_ms: u64,
    /// In the order of the rules.
    #[prost(message, repeated, tag = "4")]
    pub rules: Vec<RuleCount>,
}

/// Counters of one rule.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct RuleCount {
    /// Metrics of births and data that it forwarded or denied.
    #[prost(uint64, tag = "1")]
    pub metrics: u64,
    /// What it would have, were it not only to observe.
    #[prost(uint64, tag = "2")]
    pub observed: u64,
    /// When it did so first and last, in milliseconds since the epoch; 0: never.
    #[prost(uint64, tag = "3")]
    pub first_ms: u64,
    #[prost(uint64, tag = "4")]
    pub last_ms: u64,
    /// It decides about metrics that are known from births before.
    #[prost(bool, tag = "5")]
    pub known: bool,
}

impl RuleCounts {
    /// The counters of a pipeline.
    pub(crate) fn of(pipeline: &Pipeline, now_ms: u64) -> RuleCounts {
        let (since_ms, matches) = pipeline.rule_matches();
        RuleCounts {
            policy_digest: pipeline.policy().digest().to_owned(),
            since_ms,
            until_ms: now_ms,
            rules: matches
                .map(|RuleMatches { metrics, observed, first_ms, last_ms, known }| RuleCount {
                    metrics,
                    observed,
                    first_ms,
                    last_ms,
                    known,
                })
                .collect(),
        }
    }

    pub(crate) fn save(&self, state: &StateDir) -> Result<(), StateError> {
        state.save(RULES, self)
    }

    /// What was stored last in the state directory of an OT half, which may be running; `None`
    /// where there is nothing, or it is damaged.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn read(state_dir: &Path) -> Result<Option<RuleCounts>, StateError> {
        StateDir::peek(state_dir, RULES).map(Stored::found)
    }
}
