//! What the rules that select an entity say of a metric: which deny, redact, forward it.

use account::{Reason, RuleId};
use sparkplug::DataType;

use super::groups::RuleGroup;
use super::table::{Effect, MAX_SCANNED, Table};
use super::verdict::{Judged, Verdict};
use crate::rule::Rule;
use crate::rule::glob::Glob;
use crate::shape::Fit;

/// What denies and what forwards.
#[derive(Debug)]
pub(super) struct Effects<'a> {
    denies: RuleSet<'a>,
    redacts: RuleSet<'a>,
    forwards: RuleSet<'a>,
    /// Names of template members that a rule shapes, which can't be done.
    unshapeable: RuleSet<'a>,
}

impl<'a> Effects<'a> {
    pub(super) fn new(
        rules: &[Rule],
        ungrouped: Vec<u32>,
        rule_groups: Vec<&'a RuleGroup>,
    ) -> Effects<'a> {
        let rule_set =
            |effect: Effect| RuleSet::new(rules, effect, &ungrouped, rule_groups.clone());
        Effects {
            denies: rule_set(Effect::Denies),
            redacts: rule_set(Effect::Redacts),
            forwards: rule_set(Effect::Forwards),
            unshapeable: rule_set(Effect::Unshapeable),
        }
    }

    /// What the rules `any` forward, with the shapes that these have, of what those of them that
    /// `always` act neither deny nor redact.
    pub(super) fn at_best(
        rules: &[Rule],
        always: &[u32],
        any: &[u32],
        rule_groups: &[&'a RuleGroup],
    ) -> Effects<'a> {
        let rule_set = |effect: Effect, numbers: &[u32]| {
            RuleSet::new(rules, effect, numbers, rule_groups.to_vec())
        };
        Effects {
            denies: rule_set(Effect::Denies, always),
            redacts: rule_set(Effect::Redacts, always),
            forwards: rule_set(Effect::Forwards, any),
            unshapeable: rule_set(Effect::Unshapeable, any),
        }
    }

    pub(super) fn judge<'r>(
        &self,
        rules: &'r [Rule],
        metric: &str,
        datatype: Option<DataType>,
        without: &[RuleId],
    ) -> Judged<'r> {
        let drop = |reason, rule| Judged { verdict: Verdict::Drop { reason, rule }, shape: None };
        if let Some(rule) = self.denies.first_against(rules, metric, datatype) {
            return drop(Reason::Denied, Some(rule));
        }
        let counts = |rule: &Rule| {
            let is_same =
                |id: &RuleId| rules.get(id.index()).is_some_and(|one| one.name == rule.name);
            !without.iter().any(is_same)
        };
        let typed = |rule: &Rule| {
            let by_type = match (rule.datatypes, datatype) {
                (None, _) => true,
                (Some(datatypes), Some(datatype)) => datatypes.contains(datatype),
                (Some(_), None) => false,
            };
            by_type && counts(rule)
        };
        let fit = |rule: RuleId| {
            let shapes = rules.get(rule.index()).map(|rule| &rule.shapes);
            shapes.map_or(Fit::Opaque, |shapes| shapes.fit(metric, datatype))
        };
        // Whether it is opaque is asked only where a rule takes its datatype.
        let Some(first) = self.forwards.first(rules, metric, &typed) else {
            return match self.forwards.first(rules, metric, &counts) {
                Some(rule) => drop(Reason::Datatype, Some(rule)),
                None => drop(Reason::NoRule, None),
            };
        };
        if let Some(rule) = self.redacts.first_against(rules, metric, datatype) {
            return Judged { verdict: Verdict::Redact { rule, forward: first }, shape: None };
        }
        let rule = match fit(first) {
            Fit::Opaque => self.forwards.first(rules, metric, &|rule| {
                typed(rule) && rule.shapes.fit(metric, datatype) != Fit::Opaque
            }),
            Fit::Fits | Fit::Unshapeable => Some(first),
        };
        match rule {
            None => drop(Reason::Opaque, Some(first)),
            Some(rule) if fit(rule) == Fit::Unshapeable => drop(Reason::Unshapeable, Some(rule)),
            Some(rule) => {
                let shapes = rules.get(rule.index()).map(|rule| &rule.shapes);
                let shapes = shapes.filter(|shapes| !shapes.is_empty());
                let shape = shapes.map(|shapes| shapes.shape(metric));
                Judged { verdict: Verdict::Forward { rule }, shape }
            }
        }
    }

    pub(super) fn denies_member(
        &self,
        rules: &[Rule],
        path: &str,
        datatype: Option<DataType>,
    ) -> Option<(Reason, Option<RuleId>)> {
        if let Some(rule) = self.denies.first_against(rules, path, datatype) {
            return Some((Reason::Denied, Some(rule)));
        }
        if let Some(rule) = self.redacts.first_against(rules, path, datatype) {
            return Some((Reason::Redacted, Some(rule)));
        }
        if Fit::of_unshaped(datatype) == Fit::Opaque {
            return Some((Reason::Opaque, None));
        }
        let rule = self.unshapeable.first(rules, path, &|_| true)?;
        Some((Reason::Unshapeable, Some(rule)))
    }
}

/// One effect of the rules that select an entity.
#[derive(Debug)]
struct RuleSet<'a> {
    effect: Effect,
    /// Rules that are in no group, in ascending order; only those that say something.
    ungrouped: Vec<u32>,
    /// Their globs, if they are many.
    table: Option<Table>,
    rule_groups: Vec<&'a RuleGroup>,
}

impl<'a> RuleSet<'a> {
    fn new(
        rules: &[Rule],
        effect: Effect,
        ungrouped: &[u32],
        rule_groups: Vec<&'a RuleGroup>,
    ) -> RuleSet<'a> {
        let globs = |number: u32| rules.get(number as usize).and_then(|rule| effect.globs(rule));
        let ungrouped: Vec<u32> =
            ungrouped.iter().copied().filter(|number| globs(*number).is_some()).collect();
        let count: usize =
            ungrouped.iter().filter_map(|number| globs(*number)).map(<[Glob]>::len).sum();
        let table = (count > MAX_SCANNED).then(|| Table::new(rules, effect, &ungrouped));
        RuleSet { effect, ungrouped, table, rule_groups }
    }

    /// The first rule about `name` and the datatype, in doubt about the datatype too.
    fn first_against(
        &self,
        rules: &[Rule],
        name: &str,
        datatype: Option<DataType>,
    ) -> Option<RuleId> {
        self.first(rules, name, &|rule| match (rule.denied_datatypes(), datatype) {
            (Some(datatypes), Some(datatype)) => datatypes.contains(datatype),
            _ => true,
        })
    }

    /// The first rule that matches `name` and that `admits` accepts.
    fn first(&self, rules: &[Rule], name: &str, admits: &dyn Fn(&Rule) -> bool) -> Option<RuleId> {
        let matches = |number: &&u32| {
            rules.get(**number as usize).is_some_and(|rule| {
                let globs = self.effect.globs(rule).unwrap_or_default();
                admits(rule) && (globs.is_empty() || globs.iter().any(|glob| glob.matches(name)))
            })
        };
        let ungrouped = match &self.table {
            None => self.ungrouped.iter().find(matches).copied(),
            Some(table) => table.first(rules, self.effect, name, admits),
        };
        let of_rule_groups = self.rule_groups.iter().filter_map(|rule_group| {
            let table = match self.effect {
                Effect::Denies => &rule_group.denied,
                Effect::Redacts => &rule_group.redacted,
                Effect::Forwards => &rule_group.forwarded,
                Effect::Unshapeable => &rule_group.unshapeable,
            };
            table.first(rules, self.effect, name, admits)
        });
        ungrouped.into_iter().chain(of_rule_groups).min().map(RuleId)
    }
}
