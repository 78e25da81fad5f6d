//! The rules that select one entity, chosen once when its birth arrives, so that each of its
//! metrics is judged by these alone, however many rules the policy has.

mod scope;
mod subscribe;
mod table;

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use account::{Reason, RuleId};
use sparkplug::{DataType, Entity};

pub(crate) use self::scope::{By, RuleIndex, Stance, covers_node, entity_in_scope, node_in_scope};
pub(crate) use self::subscribe::{sees_every_message, subscriptions};
pub(crate) use self::table::choose_grams;
use self::table::{Side, Table};
use crate::rule::glob::Glob;
use crate::rule::{Action, Mode, Prefixes, Rule};
use crate::shape::{Fit, Shape};

/// Globs up to which trying each one is as fast as a table of them.
const MAX_SCANNED: usize = 16;

/// Families whose tables are asked one after the other at most.
const MAX_FAMILIES: usize = 4;

/// What happens to a metric, why, and which rule says so. Other crates can't make one by which
/// anything crosses: it is the evidence for a [`Permit`](super::Permit).
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It crosses.
    #[non_exhaustive]
    Forward { rule: RuleId },
    /// Births have it without a value, data never ([`Reason::Redacted`]). `forward` is the rule
    /// that would forward it, and names it.
    #[non_exhaustive]
    Redact { rule: RuleId, forward: RuleId },
    /// It doesn't: [`Reason::Denied`], [`Reason::Datatype`], [`Reason::Opaque`],
    /// [`Reason::Unshapeable`], or [`Reason::NoRule`] (then without a rule).
    Drop { reason: Reason, rule: Option<RuleId> },
}

/// A verdict with what becomes of the values.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    pub verdict: Verdict,
    /// Of the rule that forwards it; `None` where the rule has none, and where nothing crosses.
    pub shape: Option<&'a Arc<Shape>>,
}

/// The rules that select one entity. See [`crate::Policy::plan`].
#[derive(Debug)]
pub struct EntityPlan<'a> {
    rules: &'a [Rule],
    acting: Sides<'a>,
    /// The same if the observing rules acted; `None` where there are none.
    observed: Option<Sides<'a>>,
    /// What the rules do with the names of metrics.
    prefixes: Vec<&'a Prefixes>,
    /// Rules that denied members of templates, since that was asked last.
    member_denials: RefCell<Vec<RuleId>>,
}

impl<'a> EntityPlan<'a> {
    /// Chooses among the `candidates`, which stand for themselves or for their families.
    pub(crate) fn new(
        rules: &'a [Rule],
        families: &'a Families,
        candidates: impl Iterator<Item = (RuleId, &'a Rule)>,
        entity: Entity<'_>,
    ) -> EntityPlan<'a> {
        let mut selected = Vec::new();
        let mut loose = Vec::new();
        let mut observing = false;
        for (id, candidate) in candidates {
            if !candidate.open || !candidate.selectors.select(entity) {
                continue;
            }
            match families.of(id) {
                Some(family) => selected.push(family),
                None => {
                    observing |= candidate.mode == Mode::Observe;
                    loose.push(id.0);
                }
            }
        }
        if selected.len() > MAX_FAMILIES {
            // One table of all is better than asking many.
            let all = selected.drain(..).flat_map(|family| family.rules.iter().copied());
            loose.extend(all);
            loose.sort_unstable();
        }
        let mut prefixes: Vec<&Prefixes> = Vec::new();
        let of_loose = loose.iter().filter_map(|number| rules.get(*number as usize));
        let of_families = selected.iter().flat_map(|family| family.with_prefixes(rules));
        for rule in of_loose.chain(of_families) {
            prefixes.extend(rule.prefixes.as_ref().filter(|new| !prefixes.contains(new)));
        }
        let acts = |number: &u32| {
            rules.get(*number as usize).is_some_and(|rule| rule.mode == Mode::Enforce)
        };
        let acting: Vec<u32> = loose.iter().copied().filter(|number| acts(number)).collect();
        EntityPlan {
            rules,
            acting: Sides::new(rules, acting, selected.clone()),
            observed: observing.then(|| Sides::new(rules, loose, selected)),
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
        self.acting.judge(self.rules, metric, datatype)
    }

    /// The observing rule that would decide about the metric if it acted, and all other
    /// observing rules too. Its action tells what it would do.
    pub fn observe(&self, metric: &str, datatype: Option<DataType>) -> Option<RuleId> {
        let sides = self.observed.as_ref()?;
        let rule = match sides.judge(self.rules, metric, datatype).verdict {
            Verdict::Forward { rule } | Verdict::Redact { rule, .. } => rule,
            Verdict::Drop { reason: Reason::Denied, rule } => rule?,
            Verdict::Drop { .. } => return None,
        };
        let observes = self.rules.get(rule.index()).is_some_and(|rule| rule.mode == Mode::Observe);
        observes.then_some(rule)
    }

    /// The metric of the plant that crosses under the name `told`, if one does. Where there are
    /// several, only one of them can be in a birth, and any of them may cross.
    pub fn original<'n>(&self, told: &'n str, datatype: Option<DataType>) -> Option<Cow<'n, str>> {
        let crosses = |name: &str| {
            let rule = match self.judge(name, datatype) {
                Verdict::Forward { rule } | Verdict::Redact { forward: rule, .. } => rule,
                Verdict::Drop { .. } => return false,
            };
            let prefixes = self.rules.get(rule.index()).and_then(|rule| rule.prefixes.as_ref());
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

    /// Whether no rule forwards anything of the entity, or one denies all of it.
    pub fn drops_everything(&self) -> bool {
        let Sides { denies, forwards, .. } = &self.acting;
        let loose = |clauses: &Clauses<'a>, says: fn(&Rule) -> bool| {
            let mut rules =
                clauses.loose.iter().filter_map(|number| self.rules.get(*number as usize));
            rules.any(says)
        };
        let forwards = loose(forwards, |rule| rule.action == Action::Forward)
            || forwards.families.iter().any(|family| family.stance.forwards);
        let denies = loose(denies, Rule::denies_whole_entities)
            || denies.families.iter().any(|family| family.stance.denies_whole_entities);
        !forwards || denies
    }
}

/// What denies and what forwards.
#[derive(Debug)]
struct Sides<'a> {
    denies: Clauses<'a>,
    redacts: Clauses<'a>,
    forwards: Clauses<'a>,
    /// Names of template members that a rule shapes, which can't be done.
    unshapeable: Clauses<'a>,
}

impl<'a> Sides<'a> {
    fn new(rules: &[Rule], loose: Vec<u32>, families: Vec<&'a Family>) -> Sides<'a> {
        let clauses = |side: Side| Clauses::new(rules, side, &loose, families.clone());
        Sides {
            denies: clauses(Side::Denies),
            redacts: clauses(Side::Redacts),
            forwards: clauses(Side::Forwards),
            unshapeable: clauses(Side::Unshapeable),
        }
    }

    fn judge<'r>(&self, rules: &'r [Rule], metric: &str, datatype: Option<DataType>) -> Judged<'r> {
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

    fn denies_member(
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
struct Clauses<'a> {
    side: Side,
    /// Rules that are in no family, in ascending order; only those that say something.
    loose: Vec<u32>,
    /// Their globs, if they are many.
    table: Option<Table>,
    families: Vec<&'a Family>,
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

/// Rules that select the same, always act, and have many globs together: their tables are made
/// once, when the policy is loaded.
#[derive(Clone, Debug)]
pub(crate) struct Family {
    /// In ascending order.
    rules: Vec<u32>,
    denied: Table,
    redacted: Table,
    forwarded: Table,
    unshapeable: Table,
    stance: Stance,
    /// Those of its rules that change names.
    with_prefixes: Vec<u32>,
}

impl Family {
    fn with_prefixes<'r>(&self, rules: &'r [Rule]) -> impl Iterator<Item = &'r Rule> {
        self.with_prefixes.iter().filter_map(|number| rules.get(*number as usize))
    }
}

/// The families of a policy, each by the first of its rules.
#[derive(Clone, Debug, Default)]
pub(crate) struct Families {
    list: HashMap<u32, Family, foldhash::fast::RandomState>,
    /// Rules that the first of their family stands for.
    represented: Vec<bool>,
}

impl Families {
    /// Finds the families among `rules`.
    pub(crate) fn new(rules: &[Rule]) -> Families {
        let mut alike: HashMap<String, Vec<u32>> = HashMap::new();
        for (number, rule) in (0_u32..).zip(rules) {
            if rule.mode == Mode::Enforce && rule.schedule.is_none() {
                alike.entry(rule.selectors.key()).or_default().push(number);
            }
        }
        let mut families =
            Families { represented: vec![false; rules.len()], ..Families::default() };
        for numbers in alike.into_values() {
            let of = || numbers.iter().filter_map(|number| rules.get(*number as usize));
            let globs = |side: Side| {
                of().filter_map(|rule| side.globs(rule)).map(<[Glob]>::len).sum::<usize>()
            };
            let (Some((first, others)), true) = (
                numbers.split_first(),
                Side::ALL.into_iter().any(|side| globs(side) > MAX_SCANNED),
            ) else {
                continue;
            };
            for other in others {
                if let Some(represented) = families.represented.get_mut(*other as usize) {
                    *represented = true;
                }
            }
            let table = |side: Side| {
                let says = |number: &&u32| {
                    rules.get(**number as usize).is_some_and(|rule| side.globs(rule).is_some())
                };
                let numbers: Vec<u32> = numbers.iter().filter(says).copied().collect();
                Table::new(rules, side, &numbers)
            };
            let renames = |number: &&u32| {
                rules.get(**number as usize).is_some_and(|rule| rule.prefixes.is_some())
            };
            let family = Family {
                denied: table(Side::Denies),
                redacted: table(Side::Redacts),
                forwarded: table(Side::Forwards),
                unshapeable: table(Side::Unshapeable),
                stance: Stance {
                    forwards: of().any(|rule| rule.action == Action::Forward),
                    denies_whole_entities: of().any(Rule::denies_whole_entities),
                },
                with_prefixes: numbers.iter().filter(renames).copied().collect(),
                rules: numbers.clone(),
            };
            families.list.insert(*first, family);
        }
        families
    }

    /// Whether the rule stands for itself or for its family.
    pub(crate) fn stands(&self, number: u32) -> bool {
        !self.represented.get(number as usize).copied().unwrap_or(false)
    }

    /// What a rule that stands for itself or for its family says now, if anything.
    pub(crate) fn stance(&self, id: RuleId, rule: &Rule) -> Option<Stance> {
        // The rules of families always act.
        let own = || Stance {
            forwards: rule.action == Action::Forward,
            denies_whole_entities: rule.denies_whole_entities(),
        };
        self.of(id).map(|family| family.stance).or_else(|| rule.acts().then(own))
    }

    fn of(&self, first: RuleId) -> Option<&Family> {
        self.list.get(&first.0)
    }
}

#[cfg(test)]
mod tests {
    use diagnostic::SourceFile;

    use super::*;
    use crate::Policy;

    /// A policy in which every shape of glob meets every other, in families and out of them.
    fn policy(selectors: &dyn Fn(usize) -> String) -> Policy {
        let patterns: [&[&str]; 14] = [
            &["x"],
            &["Temp*"],
            &["**/c"],
            &["*Temp"],
            &["Größe*", "*größe"],
            &["?emp", "Temp"],
            &["*mp*"],
            &["a/**", "b/**", "**b**"],
            &["Temp/1", "Temp/2", "Temp/?"],
            &["*/c", "a/*"],
            &["a/b/c", "Temp/1"],
            &["**"],
            &["**/a very long name of a metric/**", "*long*metric"],
            &["?", "??", "*?*"],
        ];
        let text: String = patterns
            .iter()
            .enumerate()
            .map(|(number, globs)| {
                let globs: Vec<String> = globs.iter().map(|glob| format!("\"{glob}\"")).collect();
                let globs = globs.join(", ");
                let (action, key) = match number % 3 {
                    1 => ("deny", "deny-metrics"),
                    _ => ("forward", "allow-metrics"),
                };
                let datatypes = if number % 4 == 2 { "datatypes = \"Float\"" } else { "" };
                format!(
                    "[[rule]]\nname = \"r{number}\"\naction = \"{action}\"\n{}\n{key} = [{globs}]\n{datatypes}\n",
                    selectors(number)
                )
            })
            .collect();
        match Policy::parse(&[SourceFile::new("a.toml", text)]) {
            Ok((policy, _)) => policy,
            Err(problems) => panic!("{problems}"),
        }
    }

    #[test]
    fn tables_and_families_find_what_trying_each_glob_finds() {
        let entity = Entity::node("G", "E");
        let shapes: [&dyn Fn(usize) -> String; 4] = [
            &|_| "group = \"G\"".to_owned(),
            &|number| format!("group = [\"G\", \"{number}\"]"),
            &|number| format!("group = \"{}\"", if number % 2 == 0 { "G" } else { "*" }),
            &|number| {
                format!(
                    "group = \"G\"\nmode = \"{}\"",
                    if number % 5 == 4 { "observe" } else { "enforce" }
                )
            },
        ];
        for shape in shapes {
            let policy = policy(shape);
            let plan = policy.plan(entity);
            for name in [
                "",
                "x",
                "Temp",
                "Temp/1",
                "c",
                "a/c",
                "a/b/c",
                "Größe",
                "Übergröße",
                "ö",
                "Tem",
                "/c",
                "xx/a very long name of a metric/y",
                "long metric",
            ] {
                for datatype in [Some(DataType::Float), Some(DataType::Int8), None] {
                    let first = |action, type_counts: bool| {
                        policy
                            .rules()
                            .iter()
                            .position(|rule| {
                                let globs = rule.allow.as_ref().or(rule.deny.as_ref()).unwrap();
                                rule.action == action
                                    && rule.acts()
                                    && globs.iter().any(|glob| glob.matches(name))
                                    && (!type_counts
                                        || rule.datatypes.is_none_or(|types| match datatype {
                                            Some(datatype) => types.contains(datatype),
                                            None => action == Action::Deny,
                                        }))
                            })
                            .map(|number| RuleId(number as u32))
                    };
                    let expected = match (
                        first(Action::Deny, true),
                        first(Action::Forward, true),
                        first(Action::Forward, false),
                    ) {
                        (Some(rule), ..) => {
                            Verdict::Drop { reason: Reason::Denied, rule: Some(rule) }
                        }
                        (None, Some(rule), _) => Verdict::Forward { rule },
                        (None, None, Some(rule)) => {
                            Verdict::Drop { reason: Reason::Datatype, rule: Some(rule) }
                        }
                        (None, None, None) => Verdict::Drop { reason: Reason::NoRule, rule: None },
                    };
                    assert_eq!(plan.judge(name, datatype), expected, "{name} {datatype:?}");
                }
            }
        }
    }
}
