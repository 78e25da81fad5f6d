//! The rules that select one entity, chosen once when its birth arrives, so that each of its
//! metrics is judged by these alone, however many rules the policy has.

mod effects;
mod groups;
mod scope;
mod subscribe;
mod table;
#[cfg(test)]
mod tests;
mod verdict;

use std::borrow::Cow;
use std::cell::RefCell;

use account::{Reason, RuleId};
use sparkplug::{DataType, Entity};

use self::effects::Effects;
pub(crate) use self::groups::RuleGroups;
pub(crate) use self::scope::{
    By, EntityEffect, RuleIndex, covers_node, entity_in_scope, node_in_scope,
};
pub(crate) use self::subscribe::{beside, sees_every_message, subscriptions};
pub(crate) use self::table::choose_grams;
pub use self::verdict::{Judged, Verdict};
use crate::names::Prefixes;
use crate::rule::{Mode, Rule};

/// RuleGroups whose tables are asked one after the other at most.
const MAX_RULE_GROUPS: usize = 4;

/// The rules that select one entity. See [`crate::Policy::plan`].
#[derive(Debug)]
pub struct EntityPlan<'a> {
    rules: &'a [Rule],
    acting: Effects<'a>,
    /// The same if the observing rules acted; `None` where there are none.
    observed: Option<Effects<'a>>,
    /// The same if every rule that forwards at some time did so now, and what denies or redacts at
    /// some times only didn't; `None` where no rule has a schedule.
    at_best: Option<Effects<'a>>,
    /// What the rules do with the names of metrics.
    prefixes: Vec<&'a Prefixes>,
    /// Rules that denied members of templates, since that was asked last.
    member_denials: RefCell<Vec<RuleId>>,
}

impl<'a> EntityPlan<'a> {
    /// Chooses among the `candidates`, which stand for themselves or for their groups.
    pub(crate) fn new(
        rules: &'a [Rule],
        rule_groups: &'a RuleGroups,
        candidates: impl Iterator<Item = (RuleId, &'a Rule)>,
        entity: Entity<'_>,
    ) -> EntityPlan<'a> {
        let mut selected = Vec::new();
        let mut ungrouped = Vec::new();
        let mut observing = false;
        let mut scheduled = Vec::new();
        for (id, candidate) in candidates {
            if !candidate.selectors.select(entity) {
                continue;
            }
            if candidate.schedule.is_some() && candidate.mode == Mode::Enforce {
                scheduled.push(id.0);
            }
            if !candidate.open {
                continue;
            }
            match rule_groups.of(id) {
                Some(rule_group) => selected.push(rule_group),
                None => {
                    observing |= candidate.mode == Mode::Observe;
                    ungrouped.push(id.0);
                }
            }
        }
        if selected.len() > MAX_RULE_GROUPS {
            // One table of all is better than asking many.
            let all = selected.drain(..).flat_map(|rule_group| rule_group.rules.iter().copied());
            ungrouped.extend(all);
            ungrouped.sort_unstable();
        }
        let mut prefixes: Vec<&Prefixes> = Vec::new();
        let of_ungrouped = ungrouped.iter().filter_map(|number| rules.get(*number as usize));
        let of_rule_groups = selected.iter().flat_map(|rule_group| rule_group.with_prefixes(rules));
        for rule in of_ungrouped.chain(of_rule_groups) {
            prefixes.extend(rule.prefixes.as_ref().filter(|new| !prefixes.contains(new)));
        }
        let acts = |number: &u32| {
            rules.get(*number as usize).is_some_and(|rule| rule.mode == Mode::Enforce)
        };
        let acting: Vec<u32> = ungrouped.iter().copied().filter(|number| acts(number)).collect();
        let at_best = (!scheduled.is_empty()).then(|| {
            let is_always = |number: &u32| !scheduled.contains(number);
            let always: Vec<u32> = acting.iter().copied().filter(is_always).collect();
            let mut any = [always.as_slice(), &scheduled].concat();
            any.sort_unstable();
            Effects::at_best(rules, &always, &any, &selected)
        });
        EntityPlan {
            rules,
            at_best,
            acting: Effects::new(rules, acting, selected.clone()),
            observed: observing.then(|| Effects::new(rules, ungrouped, selected)),
            prefixes,
            member_denials: RefCell::default(),
        }
    }

    /// Judges the metric `metric`. Its `datatype` is `None` where it isn't known but for that it
    /// is some kind of text; doubt is taken against the metric: rules that forward certain
    /// datatypes only don't forward it, rules that deny or redact certain datatypes do so.
    ///
    /// The first denying rule decides, then the first redacting, then the first forwarding one,
    /// in the order of [`crate::Policy::rules`]. What no rule would forward isn't redacted either:
    /// it is absent.
    pub fn judge(&self, metric: &str, datatype: Option<DataType>) -> Verdict {
        self.judge_and_shape(metric, datatype).verdict
    }

    /// The same, with what becomes of its values.
    pub fn judge_and_shape(&self, metric: &str, datatype: Option<DataType>) -> Judged<'a> {
        self.acting.judge(self.rules, metric, datatype, &[])
    }

    /// The same if the rules `without` forwarded nothing: what they deny and redact they still do.
    pub fn judge_without(
        &self,
        metric: &str,
        datatype: Option<DataType>,
        without: &[RuleId],
    ) -> Verdict {
        self.acting.judge(self.rules, metric, datatype, without).verdict
    }

    /// Whether values of the metric may cross at some time under this policy: now, or when the
    /// schedules of rules say so.
    pub fn ever_forwards(&self, metric: &str, datatype: Option<DataType>) -> bool {
        let forwards = |effects: &Effects<'a>| {
            let judged = effects.judge(self.rules, metric, datatype, &[]);
            matches!(judged.verdict, Verdict::Forward { .. })
        };
        forwards(&self.acting) || self.at_best.as_ref().is_some_and(forwards)
    }

    /// The observing rule that would decide about the metric if it acted, and all other
    /// observing rules too. Its action tells what it would do.
    pub fn observe(&self, metric: &str, datatype: Option<DataType>) -> Option<RuleId> {
        let effects = self.observed.as_ref()?;
        let rule = match effects.judge(self.rules, metric, datatype, &[]).verdict {
            Verdict::Forward { rule } | Verdict::Redact { rule, .. } => rule,
            Verdict::Drop { reason: Reason::Denied, rule } => rule?,
            Verdict::Drop { .. } => return None,
        };
        let observes = self.rules.get(rule.index()).is_some_and(|rule| rule.mode == Mode::Observe);
        observes.then_some(rule)
    }

    /// The metric of the plant that crosses under the name `exported`, if one does. Where there are
    /// several, only one of them can be in a birth, and any of them may cross.
    pub fn original<'n>(
        &self,
        exported: &'n str,
        datatype: Option<DataType>,
    ) -> Option<Cow<'n, str>> {
        let crosses = |name: &str| {
            let rule = match self.judge(name, datatype) {
                Verdict::Forward { rule } | Verdict::Redact { forward: rule, .. } => rule,
                Verdict::Drop { .. } => return false,
            };
            let prefixes = self.rules.get(rule.index()).and_then(|rule| rule.prefixes.as_ref());
            prefixes.map_or(name == exported, |prefixes| prefixes.exported_name(name) == exported)
        };
        if crosses(exported) {
            return Some(Cow::Borrowed(exported));
        }
        self.prefixes.iter().find_map(|Prefixes { strip, add }| {
            let rest = exported.strip_prefix(add.as_deref().unwrap_or_default())?;
            let stripped = strip.as_ref().map(|strip| Cow::Owned(format!("{strip}{rest}")));
            [stripped, Some(Cow::Borrowed(rest))].into_iter().flatten().find(|name| crosses(name))
        })
    }

    /// Why a template member at `path` (`metric/member[/member]`) can't cross, with the rule that
    /// says so: a rule denies or redacts it by its name, its datatype, or both; it is opaque; or
    /// a rule shapes it. A member whose datatype isn't known is denied by every rule that denies
    /// some datatype of that name. Ask from the metric downwards: what is in a denied metric or
    /// member is gone with it, though a glob may not match the longer path.
    pub fn denies_member(
        &self,
        path: &str,
        datatype: Option<DataType>,
    ) -> Option<(Reason, Option<RuleId>)> {
        let denied = self.acting.denies_member(self.rules, path, datatype)?;
        if let (_, Some(rule)) = denied {
            let mut denials = self.member_denials.borrow_mut();
            if !denials.contains(&rule) {
                denials.push(rule);
            }
        }
        Some(denied)
    }

    /// The rules that denied members of templates since this was asked last.
    pub fn take_member_denials(&self) -> Vec<RuleId> {
        self.member_denials.take()
    }
}
