//! Rules that select the same, with tables of their globs that are made once.

use std::collections::HashMap;

use account::RuleId;

use super::scope::EntityEffect;
use super::table::{Effect, MAX_SCANNED, Table};
use crate::rule::glob::Glob;
use crate::rule::{Action, Mode, Rule};

/// Rules that select the same, always act, and have many globs together: their tables are made
/// once, when the policy is loaded.
#[derive(Clone, Debug)]
pub(crate) struct RuleGroup {
    /// In ascending order.
    pub(super) rules: Vec<u32>,
    pub(super) denied: Table,
    pub(super) redacted: Table,
    pub(super) forwarded: Table,
    pub(super) unshapeable: Table,
    pub(super) effect: EntityEffect,
    /// Those of its rules that change names.
    with_prefixes: Vec<u32>,
}

impl RuleGroup {
    pub(super) fn with_prefixes<'r>(&self, rules: &'r [Rule]) -> impl Iterator<Item = &'r Rule> {
        self.with_prefixes.iter().filter_map(|number| rules.get(*number as usize))
    }
}

/// The groups of a policy, each by the first of its rules.
#[derive(Clone, Debug, Default)]
pub(crate) struct RuleGroups {
    list: HashMap<u32, RuleGroup, foldhash::fast::RandomState>,
    /// Rules that the first of their group stands for.
    represented: Vec<bool>,
}

impl RuleGroups {
    /// Finds the groups among `rules`.
    pub(crate) fn new(rules: &[Rule]) -> RuleGroups {
        let mut alike: HashMap<String, Vec<u32>> = HashMap::new();
        for (number, rule) in (0_u32..).zip(rules) {
            if rule.mode == Mode::Enforce && rule.schedule.is_none() {
                alike.entry(rule.selectors.key()).or_default().push(number);
            }
        }
        let mut rule_groups =
            RuleGroups { represented: vec![false; rules.len()], ..RuleGroups::default() };
        for numbers in alike.into_values() {
            let of = || numbers.iter().filter_map(|number| rules.get(*number as usize));
            let globs = |effect: Effect| {
                of().filter_map(|rule| effect.globs(rule)).map(<[Glob]>::len).sum::<usize>()
            };
            let (Some((first, others)), true) = (
                numbers.split_first(),
                Effect::ALL.into_iter().any(|effect| globs(effect) > MAX_SCANNED),
            ) else {
                continue;
            };
            for other in others {
                if let Some(represented) = rule_groups.represented.get_mut(*other as usize) {
                    *represented = true;
                }
            }
            let table = |effect: Effect| {
                let says = |number: &&u32| {
                    rules.get(**number as usize).is_some_and(|rule| effect.globs(rule).is_some())
                };
                let numbers: Vec<u32> = numbers.iter().filter(says).copied().collect();
                Table::new(rules, effect, &numbers)
            };
            let renames = |number: &&u32| {
                rules.get(**number as usize).is_some_and(|rule| rule.prefixes.is_some())
            };
            let rule_group = RuleGroup {
                denied: table(Effect::Denies),
                redacted: table(Effect::Redacts),
                forwarded: table(Effect::Forwards),
                unshapeable: table(Effect::Unshapeable),
                effect: EntityEffect {
                    forwards: of().any(|rule| rule.action == Action::Forward),
                    denies_whole_entities: of().any(Rule::denies_whole_entities),
                },
                with_prefixes: numbers.iter().filter(renames).copied().collect(),
                rules: numbers.clone(),
            };
            rule_groups.list.insert(*first, rule_group);
        }
        rule_groups
    }

    /// Whether the rule stands for itself or for its group.
    pub(crate) fn stands(&self, number: u32) -> bool {
        !self.represented.get(number as usize).copied().unwrap_or(false)
    }

    /// What a rule that stands for itself or for its group says now, if anything.
    pub(crate) fn effect(&self, id: RuleId, rule: &Rule) -> Option<EntityEffect> {
        // The rules of groups always act.
        let own = || EntityEffect {
            forwards: rule.action == Action::Forward,
            denies_whole_entities: rule.denies_whole_entities(),
        };
        self.of(id).map(|rule_group| rule_group.effect).or_else(|| rule.acts().then(own))
    }

    /// What it says at the best of times: it forwards when its schedule lets it, and denies only
    /// what it denies at all times. Nothing where it only observes.
    pub(crate) fn effect_at_best(&self, id: RuleId, rule: &Rule) -> Option<EntityEffect> {
        let own = || EntityEffect {
            forwards: rule.action == Action::Forward,
            denies_whole_entities: rule.schedule.is_none() && rule.denies_whole_entities(),
        };
        let acts = rule.mode == Mode::Enforce;
        self.of(id).map(|rule_group| rule_group.effect).or_else(|| acts.then(own))
    }

    pub(super) fn of(&self, first: RuleId) -> Option<&RuleGroup> {
        self.list.get(&first.0)
    }
}
