//! What the rules that select an entity say of a metric: which deny, redact, forward it.

use account::{Reason, RuleId};
use sparkplug::DataType;

use super::groups::Family;
use super::table::{MAX_SCANNED, Side, Table};
use super::verdict::{Judged, Verdict};
use crate::rule::Rule;
use crate::rule::glob::Glob;
use crate::shape::Fit;

/// What denies and what forwards.
#[derive(Debug)]
pub(super) struct Sides<'a> {
    pub(super) denies: Clauses<'a>,
    redacts: Clauses<'a>,
    pub(super) forwards: Clauses<'a>,
    /// Names of template members that a rule shapes, which can't be done.
    unshapeable: Clauses<'a>,
}

impl<'a> Sides<'a> {
    pub(super) fn new(rules: &[Rule], loose: Vec<u32>, families: Vec<&'a Family>) -> Sides<'a> {
        let clauses = |side: Side| Clauses::new(rules, side, &loose, families.clone());
        Sides {
            denies: clauses(Side::Denies),
            redacts: clauses(Side::Redacts),
            forwards: clauses(Side::Forwards),
            unshapeable: clauses(Side::Unshapeable),
        }
    }

    pub(super) fn judge<'r>(
        &self,
        rules: &'r [Rule],
        metric: &str,
        datatype: Option<DataType>,
    ) -> Judged<'r> {
        let drop = |reason, rule| Judged { verdict: Verdict::Drop { reason, rule }, shape: None };
        if let Some(rule) = self.denies.first_against(rules, metric, datatype) {
            return drop(Reason::Denied, Some(rule));
        }
        let typed = |rule: &Rule| match (rule.datatypes, datatype) {
            (None, _) => true,
            (Some(datatypes), Some(datatype)) => datatypes.contains(datatype),
            (Some(_), None) => false,
        };
        let fit = |rule: RuleId| {
            let shapes = rules.get(rule.index()).map(|rule| &rule.shapes);
            shapes.map_or(Fit::Opaque, |shapes| shapes.fit(metric, datatype))
        };
        // Whether it is opaque is asked only where a rule takes its datatype.
        let Some(first) = self.forwards.first(rules, metric, &typed) else {
            return match self.forwards.first(rules, metric, &|_| true) {
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

/// One side of the rules that select an entity.
#[derive(Debug)]
pub(super) struct Clauses<'a> {
    side: Side,
    /// Rules that are in no family, in ascending order; only those that say something.
    pub(super) loose: Vec<u32>,
    /// Their globs, if they are many.
    table: Option<Table>,
    pub(super) families: Vec<&'a Family>,
}

impl<'a> Clauses<'a> {
    fn new(rules: &[Rule], side: Side, loose: &[u32], families: Vec<&'a Family>) -> Clauses<'a> {
        let globs = |number: u32| rules.get(number as usize).and_then(|rule| side.globs(rule));
        let loose: Vec<u32> =
            loose.iter().copied().filter(|number| globs(*number).is_some()).collect();
        let count: usize =
            loose.iter().filter_map(|number| globs(*number)).map(<[Glob]>::len).sum();
        let table = (count > MAX_SCANNED).then(|| Table::new(rules, side, &loose));
        Clauses { side, loose, table, families }
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
                let globs = self.side.globs(rule).unwrap_or_default();
                admits(rule) && (globs.is_empty() || globs.iter().any(|glob| glob.matches(name)))
            })
        };
        let loose = match &self.table {
            None => self.loose.iter().find(matches).copied(),
            Some(table) => table.first(rules, self.side, name, admits),
        };
        let of_families = self.families.iter().filter_map(|family| {
            let table = match self.side {
                Side::Denies => &family.denied,
                Side::Redacts => &family.redacted,
                Side::Forwards => &family.forwarded,
                Side::Unshapeable => &family.unshapeable,
            };
            table.first(rules, self.side, name, admits)
        });
        loose.into_iter().chain(of_families).min().map(RuleId)
    }
}
