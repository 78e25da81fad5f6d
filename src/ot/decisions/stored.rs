//! What became of metrics lately, stored so that `sparkdiode policy why` can tell. It is this half's
//! own: nothing of it reaches the journal.

use std::path::Path;

use prost::Message;
use sparkplug::Entity;
use state::{StateDir, StateError, StateFile, Stored};

use super::shown;
use crate::pipeline::Pipeline;

/// The table, replaced as a whole every few seconds while something is dropped.
const DECISIONS: StateFile = StateFile { name: "decisions.state", magic: *b"SPKDDEC1" };

/// The drops that are remembered.
#[derive(Clone, PartialEq, Message)]
pub struct Decisions {
    /// Digest of the policy.
    #[prost(string, tag = "1")]
    pub policy_digest: String,
    /// Since when they are counted: since the policy is in force. In milliseconds since the epoch, as
    /// all times here.
    #[prost(uint64, tag = "2")]
    pub since_ms: u64,
    /// When this was stored.
    #[prost(uint64, tag = "3")]
    pub until_ms: u64,
    #[prost(message, repeated, tag = "4")]
    pub drops: Vec<Decision>,
}

/// Drops of one metric for one reason by one rule.
#[derive(Clone, PartialEq, Message)]
pub struct Decision {
    /// `group/edge node` or `group/edge node/device`, cut after 200 characters.
    #[prost(string, tag = "1")]
    pub entity: String,
    /// Cut likewise; empty where whole messages were dropped.
    #[prost(string, tag = "2")]
    pub metric: String,
    /// A name of the closed list of reasons.
    #[prost(string, tag = "3")]
    pub reason: String,
    /// Name of the rule, where one decided.
    #[prost(string, optional, tag = "4")]
    pub rule: Option<String>,
    #[prost(uint64, tag = "5")]
    pub times: u64,
    #[prost(uint64, tag = "6")]
    pub first_ms: u64,
    #[prost(uint64, tag = "7")]
    pub last_ms: u64,
}

impl Decisions {
    /// Those of a pipeline.
    pub(crate) fn of(pipeline: &Pipeline, now_ms: u64) -> Decisions {
        let policy = pipeline.policy();
        let entries = pipeline.recent_drops().places.iter().flatten();
        let drops = entries.flat_map(|entry| {
            entry.outcomes.iter().map(|outcome| Decision {
                entity: entry.entity.clone(),
                metric: entry.metric.clone(),
                reason: outcome.reason.name().to_owned(),
                rule: outcome
                    .rule
                    .and_then(|rule| policy.rule(rule))
                    .map(|rule| rule.name().to_owned()),
                times: outcome.times,
                first_ms: outcome.first_ms,
                last_ms: outcome.last_ms,
            })
        });
        Decisions {
            policy_digest: policy.digest().to_owned(),
            since_ms: pipeline.rule_matches().0,
            until_ms: now_ms,
            drops: drops.collect(),
        }
    }

    /// What is remembered of an entity: of this metric and of messages that were dropped as a whole,
    /// which had it or may have; without a metric, of all.
    pub fn about(
        &self,
        entity: Entity<'_>,
        metric: Option<&str>,
    ) -> impl Iterator<Item = &Decision> {
        let (entity, metric) = (shown(&entity.to_string()), metric.map(shown));
        self.drops.iter().filter(move |drop| {
            let is_whole = drop.metric.is_empty();
            let is_asked = metric.as_ref().is_none_or(|metric| is_whole || drop.metric == *metric);
            drop.entity == entity && is_asked
        })
    }

    pub(crate) fn save(&self, state: &StateDir) -> Result<(), StateError> {
        state.save(DECISIONS, self)
    }

    /// What was stored last in the state directory of an OT half, which may be running; `None`
    /// where there is nothing, or it is damaged.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn read(state_dir: &Path) -> Result<Option<Decisions>, StateError> {
        StateDir::peek(state_dir, DECISIONS).map(Stored::found)
    }
}
