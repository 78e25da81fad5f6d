//! Rules that select the same, with tables of their globs that are made once.

use std::collections::HashMap;

use account::RuleId;

use super::scope::Stance;
use super::table::{MAX_SCANNED, Side, Table};
use crate::rule::glob::Glob;
use crate::rule::{Action, Mode, Rule};

/// Rules that select the same, always act, and have many globs together: their tables are made
/// once, when the policy is loaded.
#[derive(Clone, Debug)]
pub(crate) struct Family {
    /// In ascending order.
    pub(super) rules: Vec<u32>,
    pub(super) denied: Table,
    pub(super) redacted: Table,
    pub(super) forwarded: Table,
    pub(super) unshapeable: Table,
    pub(super) stance: Stance,
    /// Those of its rules that change names.
    with_prefixes: Vec<u32>,
}

impl Family {
    pub(super) fn with_prefixes<'r>(&self, rules: &'r [Rule]) -> impl Iterator<Item = &'r Rule> {
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

    pub(super) fn of(&self, first: RuleId) -> Option<&Family> {
        self.list.get(&first.0)
    }
}
