//! The rules that select one entity, chosen once when its birth arrives, so that each of its
//! metrics is judged by these alone, however many rules the policy has.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use super::glob::Glob;
use super::rule::{DataTypes, Mode, Prefixes, Rule, RuleId};
use crate::sparkplug::{DataType, Entity};
use crate::telemetry::Reason;

/// Globs up to which trying each one is as fast as a table of them.
const MAX_SCANNED: usize = 16;

/// What happens to a metric, why, and which rule says so.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It crosses.
    Forward { rule: RuleId },
    /// It doesn't: [`Reason::Denied`], [`Reason::Datatype`], or [`Reason::NoRule`] (then
    /// without a rule).
    Drop { reason: Reason, rule: Option<RuleId> },
}

/// The rules that select one entity. See [`super::Policy::plan`].
#[derive(Debug)]
pub struct EntityPlan<'a> {
    acting: Sides<'a>,
    /// The same if the observing rules acted; `None` where there are none.
    observed: Option<Sides<'a>>,
    /// What the rules do with the names of metrics.
    prefixes: Vec<&'a Prefixes>,
}

impl<'a> EntityPlan<'a> {
    /// Chooses among `candidates`, which are in the order of their numbers.
    pub(super) fn new(
        candidates: impl Iterator<Item = (RuleId, &'a Rule)>,
        entity: Entity<'_>,
    ) -> EntityPlan<'a> {
        let mut denies = Vec::new();
        let mut forwards = Vec::new();
        let mut prefixes: Vec<&Prefixes> = Vec::new();
        for (rule, candidate) in candidates {
            if !candidate.open || !candidate.selectors.select(entity) {
                continue;
            }
            let observes = candidate.mode == Mode::Observe;
            if let Some(globs) = candidate.denied() {
                let datatypes = candidate.denied_datatypes();
                denies.push(Clause { rule, globs, datatypes, observes });
            }
            prefixes.extend(candidate.prefixes.as_ref().filter(|new| !prefixes.contains(new)));
            if let Some(globs) = candidate.forwarded() {
                let datatypes = candidate.datatypes;
                forwards.push(Clause { rule, globs, datatypes, observes });
            }
        }
        let observes = denies.iter().chain(&forwards).any(|clause| clause.observes);
        if !observes {
            return EntityPlan { acting: Sides::new(denies, forwards), observed: None, prefixes };
        }
        let acting = |clauses: &[Clause<'a>]| {
            clauses.iter().filter(|clause| !clause.observes).copied().collect()
        };
        EntityPlan {
            acting: Sides::new(acting(&denies), acting(&forwards)),
            observed: Some(Sides::new(denies, forwards)),
            prefixes,
        }
    }

    /// Judges the metric `metric`. Its `datatype` is `None` where it isn't known; doubt is
    /// taken against the metric: rules that forward certain datatypes only don't forward it,
    /// rules that deny certain datatypes deny it.
    ///
    /// The first denying rule decides, then the first forwarding one, in the order of
    /// [`super::Policy::rules`].
    pub fn judge(&self, metric: &str, datatype: Option<DataType>) -> Verdict {
        self.acting.judge(metric, datatype)
    }

    /// The observing rule that would decide about the metric if it acted, and all other
    /// observing rules too. Its action tells what it would do.
    pub fn observe(&self, metric: &str, datatype: Option<DataType>) -> Option<RuleId> {
        let sides = self.observed.as_ref()?;
        let rule = match sides.judge(metric, datatype) {
            Verdict::Forward { rule } => rule,
            Verdict::Drop { reason: Reason::Denied, rule } => rule?,
            Verdict::Drop { .. } => return None,
        };
        sides.observes(rule).then_some(rule)
    }

    /// The metric of the plant that crosses under the name `told`, if one does. Where there are
    /// several, only one of them can be in a birth, and any of them may cross.
    pub fn original<'n>(
        &self,
        rules: &[Rule],
        told: &'n str,
        datatype: Option<DataType>,
    ) -> Option<Cow<'n, str>> {
        let crosses = |name: &str| {
            let Verdict::Forward { rule } = self.judge(name, datatype) else { return false };
            let prefixes = rules.get(rule.index()).and_then(|rule| rule.prefixes.as_ref());
            prefixes.map_or(name == told, |prefixes| prefixes.tell(name) == told)
        };
        if crosses(told) {
            return Some(Cow::Borrowed(told));
        }
        self.prefixes.iter().find_map(|Prefixes { strip, add }| {
            let rest = told.strip_prefix(add.as_deref().unwrap_or_default())?;
            let stripped = strip.as_ref().map(|strip| Cow::Owned(format!("{strip}{rest}")));
            [stripped, Some(Cow::Borrowed(rest))].into_iter().flatten().find(|name| crosses(name))
        })
    }

    /// The rule that denies a template member at `path` (`metric/member[/member]`) by its name,
    /// its datatype, or both. A member whose datatype isn't known is denied by every rule that
    /// denies some datatype of that name. Ask from the metric downwards: what is in a denied
    /// metric or member is gone with it, though a glob may not match the longer path.
    pub fn denies_member(&self, path: &str, datatype: Option<DataType>) -> Option<RuleId> {
        self.acting.denied_by(path, datatype)
    }

    /// Whether no rule forwards anything of the entity, or one denies all of it.
    pub fn drops_everything(&self) -> bool {
        let whole = |clause: &Clause<'_>| clause.globs.is_empty() && clause.datatypes.is_none();
        self.acting.forwards.list.is_empty() || self.acting.denies.list.iter().any(whole)
    }
}

/// What denies and what forwards.
#[derive(Debug)]
struct Sides<'a> {
    denies: Clauses<'a>,
    forwards: Clauses<'a>,
}

impl<'a> Sides<'a> {
    fn new(denies: Vec<Clause<'a>>, forwards: Vec<Clause<'a>>) -> Sides<'a> {
        Sides { denies: Clauses::new(denies), forwards: Clauses::new(forwards) }
    }

    fn judge(&self, metric: &str, datatype: Option<DataType>) -> Verdict {
        if let Some(rule) = self.denied_by(metric, datatype) {
            return Verdict::Drop { reason: Reason::Denied, rule: Some(rule) };
        }
        let admits = |clause: &Clause<'_>| match (clause.datatypes, datatype) {
            (None, _) => true,
            (Some(datatypes), Some(datatype)) => datatypes.contains(datatype),
            (Some(_), None) => false,
        };
        if let Some(rule) = self.forwards.first(metric, admits) {
            return Verdict::Forward { rule };
        }
        match self.forwards.first(metric, |_| true) {
            Some(rule) => Verdict::Drop { reason: Reason::Datatype, rule: Some(rule) },
            None => Verdict::Drop { reason: Reason::NoRule, rule: None },
        }
    }

    fn denied_by(&self, name: &str, datatype: Option<DataType>) -> Option<RuleId> {
        self.denies.first(name, |clause| match (clause.datatypes, datatype) {
            (Some(datatypes), Some(datatype)) => datatypes.contains(datatype),
            _ => true,
        })
    }

    fn observes(&self, rule: RuleId) -> bool {
        let mut clauses = self.denies.list.iter().chain(&self.forwards.list);
        clauses.any(|clause| clause.rule == rule && clause.observes)
    }
}

/// What one rule says about metrics.
#[derive(Clone, Copy, Debug)]
struct Clause<'a> {
    rule: RuleId,
    /// Empty: every name.
    globs: &'a [Glob],
    /// `None`: every datatype.
    datatypes: Option<DataTypes>,
    /// It only counts.
    observes: bool,
}

/// Clauses in the order of their rules, with a table of their globs if they are many.
#[derive(Debug)]
struct Clauses<'a> {
    list: Vec<Clause<'a>>,
    table: Option<Table<'a>>,
}

impl<'a> Clauses<'a> {
    fn new(list: Vec<Clause<'a>>) -> Clauses<'a> {
        let globs: usize = list.iter().map(|clause| clause.globs.len()).sum();
        let table = (globs > MAX_SCANNED).then(|| Table::new(&list));
        Clauses { list, table }
    }

    /// The rule of the first clause that matches `name` and that `admits` accepts.
    fn first(&self, name: &str, admits: impl Fn(&Clause<'_>) -> bool) -> Option<RuleId> {
        let clause = match &self.table {
            None => self.list.iter().find(|clause| {
                admits(clause)
                    && (clause.globs.is_empty()
                        || clause.globs.iter().any(|glob| glob.matches(name)))
            }),
            Some(table) => {
                let admits = |clause: usize| self.list.get(clause).is_some_and(&admits);
                table.first(name, admits).and_then(|clause| self.list.get(clause))
            }
        };
        clause.map(|clause| clause.rule)
    }
}

/// Globs by what a matching name must begin or end with. Numbers are places in the list of
/// clauses; every list is in ascending order of them.
#[derive(Debug, Default)]
struct Table<'a> {
    /// Clauses for every name.
    every: Vec<usize>,
    /// Globs without wildcards.
    exact: HashMap<&'a str, Vec<usize>, foldhash::fast::RandomState>,
    by_prefix: Ends<'a>,
    by_suffix: Ends<'a>,
    /// Globs that begin and end with a wildcard.
    rest: Vec<(usize, &'a Glob)>,
}

/// Globs by a literal end, with the lengths that occur among these ends.
#[derive(Debug, Default)]
struct Ends<'a> {
    globs: HashMap<&'a str, Vec<(usize, &'a Glob)>, foldhash::fast::RandomState>,
    lengths: BTreeSet<usize>,
}

impl<'a> Table<'a> {
    fn new(clauses: &[Clause<'a>]) -> Table<'a> {
        let mut table = Table::default();
        // Growing step by step costs more than filling; which of them the globs go to isn't
        // known yet, and the plan is short-lived.
        let globs = clauses.iter().map(|clause| clause.globs.len()).sum();
        table.exact.reserve(globs);
        table.by_prefix.globs.reserve(globs);
        table.by_suffix.globs.reserve(globs);
        for (number, clause) in clauses.iter().enumerate() {
            if clause.globs.is_empty() {
                table.every.push(number);
            }
            for glob in clause.globs {
                if let Some(literal) = glob.literal() {
                    table.exact.entry(literal).or_default().push(number);
                } else if !glob.prefix().is_empty() {
                    table.by_prefix.insert(glob.prefix(), number, glob);
                } else if !glob.suffix().is_empty() {
                    table.by_suffix.insert(glob.suffix(), number, glob);
                } else {
                    table.rest.push((number, glob));
                }
            }
        }
        table
    }

    /// The first clause with a glob that matches `name`, of those that `admits` accepts.
    fn first(&self, name: &str, admits: impl Fn(usize) -> bool) -> Option<usize> {
        let mut best = None;
        let mut consider = |clause: usize, matches: &dyn Fn() -> bool| {
            let better = best.is_none_or(|best| clause < best);
            if better && admits(clause) && matches() {
                best = Some(clause);
            }
            // The lists ascend: once a clause isn't better, no later one is.
            better
        };
        for &clause in &self.every {
            if !consider(clause, &|| true) {
                break;
            }
        }
        for &clause in self.exact.get(name).into_iter().flatten() {
            if !consider(clause, &|| true) {
                break;
            }
        }
        let starts = self
            .by_prefix
            .lengths
            .iter()
            .map_while(|length| (*length <= name.len()).then(|| name.get(..*length)));
        let ends = self
            .by_suffix
            .lengths
            .iter()
            .map_while(|length| name.len().checked_sub(*length).map(|start| name.get(start..)));
        let prefixed = starts.flatten().filter_map(|start| self.by_prefix.globs.get(start));
        let suffixed = ends.flatten().filter_map(|end| self.by_suffix.globs.get(end));
        for list in prefixed.chain(suffixed).chain([&self.rest]) {
            for &(clause, glob) in list {
                if !consider(clause, &|| glob.matches(name)) {
                    break;
                }
            }
        }
        best
    }
}

impl<'a> Ends<'a> {
    fn insert(&mut self, end: &'a str, number: usize, glob: &'a Glob) {
        self.globs.entry(end).or_default().push((number, glob));
        self.lengths.insert(end.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_finds_the_same_first_clause_as_trying_each_glob() {
        let patterns: [&[&str]; 12] = [
            &["x"],
            &["Temp*"],
            &["**/c"],
            &["*Temp"],
            &["Größe*", "*größe"],
            &["?emp", "Temp"],
            &[],
            &["a/**", "b/**", "**b**"],
            &["Temp/1", "Temp/2", "Temp/?"],
            &["**"],
            &["*/c", "a/*"],
            &["a/b/c", "Temp/1"],
        ];
        let globs: Vec<Vec<Glob>> = patterns
            .iter()
            .map(|list| list.iter().map(|pattern| Glob::parse(pattern).unwrap()).collect())
            .collect();
        let list: Vec<Clause<'_>> = (0_u32..)
            .zip(&globs)
            .map(|(number, globs)| Clause {
                rule: RuleId(number),
                globs,
                datatypes: None,
                observes: false,
            })
            .collect();
        let scanned = Clauses { list: list.clone(), table: None };
        let looked_up = Clauses::new(list);
        assert!(looked_up.table.is_some());
        for name in
            ["", "x", "Temp", "Temp/1", "c", "a/c", "a/b/c", "Größe", "Übergröße", "ö", "Tem", "/c"]
        {
            for skipped in 0..12 {
                let admits = |clause: &Clause<'_>| clause.rule.0 >= skipped;
                assert_eq!(
                    looked_up.first(name, admits),
                    scanned.first(name, admits),
                    "{name} from {skipped}"
                );
            }
        }
    }
}
