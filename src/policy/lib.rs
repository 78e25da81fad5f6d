//! Forward policies: what may leave the plant. The judging core alone, without I/O and without a
//! clock: files come in as text, time as an argument. It knows no journal, no half and none of the
//! tools that test, explain and compare policies.
//!
//! ```text
//!  files ── language ──> rule (filter, glob, schedule) ──> plan ──> Verdict ──> Permit ──> Admitted
//!              │            names (on IT)                  (tables,     │
//!              │            limits, limiter                 scope,      └─ shape: what of a value
//!              │                                            subscribe)     crosses
//!              └─ Annotations: what doesn't judge (cases) is read by whoever loads the policy
//! ```
//!
//! # The language
//!
//! A policy is one or more TOML files with `[[rule]]` tables:
//!
//! ```toml
//! [[rule]]
//! name = "line4-temperatures"           # unique over all files
//! action = "forward"                    # or "deny"
//! group = "Plant1"                      # names with globs, or lists of them
//! edge-node = ["Line4", "Line5?"]
//! device = "Press*"                     # absent: the node and all its devices
//! allow-metrics = ["Temperature/**"]    # absent: all
//! deny-metrics = ["**/Setpoint*"]       # wins over every forward rule
//! datatypes = ["Float", "Double"]       # absent: all
//! [rule.rate]                           # data only
//! messages-per-s = 10
//! ```
//!
//! - **Default deny**: what no forward rule matches doesn't cross.
//! - **Deny wins** over forward, whatever the order or the file.
//! - A rule **selects** edge nodes and devices by `topic` (MQTT filters with `+` for the message
//!   type), `group`, `edge-node`, `device` and `node-only`; all that are given must match.
//!   Births, data and deaths of what is selected travel together.
//! - `deny-metrics` of a forward rule denies for everything the rule selects, whatever the
//!   rule's `allow-metrics` and `datatypes` say.
//! - A metric whose datatype isn't known is not forwarded by a rule with `datatypes`, and is
//!   denied by a deny rule with `datatypes`.
//! - The **order** of rules (which one is named, which one's rate applies) is that of the file
//!   names, then that within the file.
//! - A rule with a **schedule** acts while it is open ([`Policy::set_time`]); one that only
//!   **observes** never acts, and [`EntityPlan::observe`] tells what it would decide.
//! - **Limits** of rules, of every edge node and of the link hold data back, never births and
//!   deaths ([`Limiter`]).
//! - **Names**: rules name things as the plant does; [`Renames`] and [`Prefixes`] say what they
//!   are called on IT.
//! - Commands, STATE and other namespaces can't be allowed; a rule that names them is an error.

mod admitted;
mod contrast;
mod digest;
mod language;
mod limiter;
mod limits;
mod manner;
mod names;
mod plan;
pub mod rule;
pub mod shape;
#[cfg(test)]
mod tests;

use std::ops::Range;

use account::RuleId;
use diagnostic::{Diagnostics, SourceFile};
use sparkplug::{DataType, Entity};

pub use self::admitted::{Admitted, AdmittedKind, AdmittedParts, MessageFlags, Permit};
pub use self::contrast::{Contrast, Matter, Shows};
pub use self::digest::digest_of;
pub use self::language::{Annotations, PolicyFile, read_datatype};
pub use self::limiter::{Limiter, NodeBuckets, Share};
pub use self::limits::Limits;
pub use self::manner::contrasts;
pub use self::names::{Collision, Prefixes, Renames, ReservedNameUse, fold, is_reserved};
pub use self::plan::{EntityPlan, Judged, Verdict};
pub use self::rule::{Action, Bucket, Mode, OnExcess, Per, Priority, Rate, Rule, Schedule, glob};

/// A policy that was read without an error.
#[derive(Clone, Debug)]
pub struct Policy {
    rules: Vec<Rule>,
    limits: Limits,
    renames: Renames,
    renames_metrics: bool,
    digest: String,
    index: plan::RuleIndex,
    rule_groups: plan::RuleGroups,
    /// The rules that stand for themselves or for their groups.
    standing: plan::RuleIndex,
    /// The rules for which the relay subscribes.
    subscribing: plan::RuleIndex,
    /// For which moments, in milliseconds since the epoch, the schedules are as they are now.
    settled: Option<Range<u64>>,
    /// Makes pseudonyms; the IT half has none.
    pseudonym_key: Option<shape::PseudonymKey>,
}

impl Policy {
    /// Reads a policy from its files. The order of `sources` doesn't matter: they are taken in
    /// the order of their file names, so that both halves agree on rule numbers and digest.
    /// Without any file the policy forwards nothing.
    ///
    /// # Errors
    /// Everything that is wrong in any of the files, and the warnings with it. On success the
    /// warnings alone are returned.
    pub fn parse(sources: &[SourceFile]) -> Result<(Policy, Diagnostics), Diagnostics> {
        Policy::parse_annotated(sources, &mut language::RulesAlone)
    }

    /// The same for files that may also have what `annotations` read.
    ///
    /// # Errors
    /// Everything that is wrong in any of the files, and the warnings with it.
    pub fn parse_annotated<'s>(
        sources: &'s [SourceFile],
        annotations: &mut dyn Annotations<'s>,
    ) -> Result<(Policy, Diagnostics), Diagnostics> {
        let sources = digest::in_order(sources);
        let (content, problems) = language::read(&sources, annotations);
        if problems.has_errors() {
            return Err(problems);
        }
        let language::Content { mut rules, limits, renames } = content;
        plan::choose_grams(&mut rules);
        let index = plan::RuleIndex::new((0..).zip(&rules), plan::By::Matching);
        let subscribing = plan::RuleIndex::new((0..).zip(&rules), plan::By::Subscription);
        let rule_groups = plan::RuleGroups::new(&rules);
        let standing = (0..).zip(&rules).filter(|(number, _)| rule_groups.stands(*number));
        let standing = plan::RuleIndex::new(standing, plan::By::Matching);
        let renames_metrics = rules.iter().any(|rule| rule.prefixes.is_some());
        let digest = digest::digest(&sources);
        Ok((
            Policy {
                rules,
                limits,
                renames,
                renames_metrics,
                digest,
                index,
                rule_groups,
                standing,
                subscribing,
                settled: None,
                pseudonym_key: None,
            },
            problems,
        ))
    }

    /// Hands it the key for pseudonyms.
    pub fn set_pseudonym_key(&mut self, key: shape::PseudonymKey) {
        self.pseudonym_key = Some(key);
    }

    /// The first rule that asks for pseudonyms, which can't be made without a key.
    pub fn needs_pseudonym_key(&self) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.shapes.uses_pseudonyms())
    }

    /// How texts become pseudonyms: without a key they can only be known by their form.
    pub fn pseudonyms(&self) -> shape::Pseudonyms<'_> {
        match &self.pseudonym_key {
            Some(key) => shape::Pseudonyms::Make(key),
            None => shape::Pseudonyms::Check,
        }
    }

    /// SHA-256 over names and contents of the files, 64 hexadecimal digits. The directories in
    /// which the files lie don't count.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The names of the rules, in order.
    pub fn rule_names(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(Rule::name)
    }

    /// Whether it surely lets cross all that `before` does, as it does: it has the same rules but for
    /// forward rules behind them, and for names that these may forward beside others. Rules that
    /// only observe don't count, and limits hold data back and forbid none.
    pub fn keeps_all_of(&self, before: &Policy) -> bool {
        if self.digest == before.digest {
            return true;
        }
        let acting = |policy: &Policy| -> Vec<Rule> {
            let acting = policy.rules.iter().filter(|rule| rule.mode == Mode::Enforce).cloned();
            // How fast it forwards is no matter.
            acting.map(|rule| Rule { rate: None, ..rule }).collect()
        };
        let (mut own, known) = (acting(self), acting(before));
        let renames = |policy: &Policy| policy.renames.describe();
        if own.len() < known.len() || renames(self) != renames(before) {
            return false;
        }
        let added = own.split_off(known.len());
        let only_forwards = |rule: &Rule| {
            rule.action == Action::Forward && rule.deny.is_none() && rule.redact.is_none()
        };
        added.iter().all(only_forwards)
            && own.into_iter().zip(known).all(|(own, known)| {
                let is_wider = match (&own.allow, &known.allow) {
                    (None, _) => true,
                    (Some(own), Some(known)) => {
                        let own: Vec<String> = own.iter().map(ToString::to_string).collect();
                        known.iter().all(|glob| own.contains(&glob.to_string()))
                    }
                    (Some(_), None) => false,
                };
                let others = |rule: Rule| Rule { allow: None, ..rule }.fingerprint();
                is_wider && others(own) == others(known)
            })
    }

    /// The rules in order; a [`RuleId`] is a place in this list.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What all rules together may let through.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The names of things on IT.
    pub fn renames(&self) -> &Renames {
        &self.renames
    }

    /// Opens and closes the rules with schedules as it has to be at `now_ms`, in milliseconds
    /// since the epoch; those that changed. Until this is called for the first time, none of
    /// them forwards, and all of them deny.
    pub fn set_time(&mut self, now_ms: u64) -> Vec<RuleId> {
        let mut changed = Vec::new();
        if self.is_settled(now_ms) {
            return changed;
        }
        let mut until = u64::MAX;
        for (number, rule) in (0_u32..).zip(&mut self.rules) {
            let Some(schedule) = rule.schedule else { continue };
            let open = schedule.is_open(now_ms);
            if std::mem::replace(&mut rule.open, open) != open {
                changed.push(RuleId(number));
            }
            until = until.min(schedule.next_change_ms(now_ms).unwrap_or(u64::MAX));
        }
        // A clock that is set back asks again.
        self.settled = Some(now_ms..until);
        changed
    }

    /// Whether [`Policy::set_time`] would open or close a rule at `now_ms`; where
    /// [it is settled](Policy::is_settled), it wouldn't.
    pub fn turns_at(&self, now_ms: u64) -> bool {
        let turns = |rule: &Rule| {
            rule.schedule.is_some_and(|schedule| schedule.is_open(now_ms) != rule.open)
        };
        self.rules.iter().any(turns)
    }

    /// Whether a rule changes the names of metrics.
    pub fn renames_metrics(&self) -> bool {
        self.renames_metrics
    }

    /// Whether [`Policy::set_time`] has nothing to do at `now_ms`.
    pub fn is_settled(&self, now_ms: u64) -> bool {
        self.settled.as_ref().is_some_and(|settled| settled.contains(&now_ms))
    }

    /// The rule with this number.
    pub fn rule(&self, id: RuleId) -> Option<&Rule> {
        self.rules.get(id.index())
    }

    /// The MQTT topic filters that the forward rules need, none of which another one covers.
    /// Globs in names become `+`; commands and STATE are never subscribed to.
    pub fn subscriptions(&self) -> Vec<String> {
        plan::subscriptions(&self.rules)
    }

    /// What [`Policy::subscriptions`] of `other` let in beyond those of this policy. These stay as they
    /// are, whatever the broker says to the others.
    pub fn subscriptions_beside(&self, other: &Policy) -> Vec<String> {
        plan::beside(&self.subscriptions(), other.subscriptions())
    }

    /// Whether [`Policy::subscriptions`] let in every message that counts in the sequence
    /// numbers of the edge node. Where they don't (rules that name single devices, or the node
    /// only), a gap in `seq` says nothing.
    pub fn sees_every_message_of(&self, group: &str, edge_node: &str) -> bool {
        let related = self.subscribing.related(&self.rules, group, edge_node);
        plan::sees_every_message(related.map(|(_, rule)| rule), group, edge_node)
    }

    /// Whether a forward rule could match the edge node or a device of it, and no deny rule
    /// denies the node with all its devices.
    pub fn node_in_scope(&self, group: &str, edge_node: &str) -> bool {
        plan::node_in_scope(self.effects(group, edge_node), group, edge_node)
    }

    /// Whether a forward rule spells group and name of the edge node out.
    pub fn spells_out(&self, group: &str, edge_node: &str) -> bool {
        self.effects(group, edge_node)
            .any(|(rule, effect)| effect.forwards && rule.selectors.spell_out(group, edge_node))
    }

    /// Whether a forward rule selects the entity (a device, or the edge node's own metrics),
    /// and no deny rule denies all of it.
    pub fn device_in_scope(&self, entity: Entity<'_>) -> bool {
        plan::entity_in_scope(self.effects(entity.group, entity.edge_node), entity)
    }

    /// [`Policy::node_in_scope`] at some time: now, or when the schedules of rules say so.
    pub fn node_ever_in_scope(&self, group: &str, edge_node: &str) -> bool {
        plan::node_in_scope(self.effects_at_best(group, edge_node), group, edge_node)
    }

    /// [`Policy::device_in_scope`] at some time: now, or when the schedules of rules say so.
    pub fn device_ever_in_scope(&self, entity: Entity<'_>) -> bool {
        plan::entity_in_scope(self.effects_at_best(entity.group, entity.edge_node), entity)
    }

    fn effects_at_best(
        &self,
        group: &str,
        edge_node: &str,
    ) -> impl Iterator<Item = (&Rule, plan::EntityEffect)> {
        let related = self.standing.related(&self.rules, group, edge_node);
        related.filter_map(|(id, rule)| Some((rule, self.rule_groups.effect_at_best(id, rule)?)))
    }

    /// The rules that can concern the edge node and act, each for all of its group.
    fn effects(
        &self,
        group: &str,
        edge_node: &str,
    ) -> impl Iterator<Item = (&Rule, plan::EntityEffect)> {
        let related = self.standing.related(&self.rules, group, edge_node);
        related.filter_map(|(id, rule)| Some((rule, self.rule_groups.effect(id, rule)?)))
    }

    /// The rules that can concern the edge node or its devices, in order; some may not.
    pub fn candidates(
        &self,
        group: &str,
        edge_node: &str,
    ) -> impl Iterator<Item = (RuleId, &Rule)> {
        self.index.candidates(&self.rules, group, edge_node)
    }

    /// Judges one metric. For more than one of the same entity, make a [`Policy::plan`].
    pub fn judge(&self, entity: Entity<'_>, metric: &str, datatype: Option<DataType>) -> Verdict {
        self.plan(entity).judge(metric, datatype)
    }

    /// Chooses the rules that select `entity`.
    pub fn plan(&self, entity: Entity<'_>) -> EntityPlan<'_> {
        let candidates = self.standing.candidates(&self.rules, entity.group, entity.edge_node);
        EntityPlan::new(&self.rules, &self.rule_groups, candidates, entity)
    }
}
