//! The patterns by which rules tell names apart, and the datatypes that they tell apart.

use std::collections::{BTreeMap, HashSet};

use policy::glob::Glob;
use policy::rule::Selectors;
use policy::rule::filter::{Level, Reach};
use policy::shape::{Kinship, kinship};
use policy::{Action, Mode, Policy, Rule};
use sparkplug::{DataType, names};

use super::classes::Pattern;

/// Whether two rules can select the same entity, as far as their spelled-out names tell.
pub(crate) fn can_meet(left: &Selectors, right: &Selectors) -> bool {
    let share = |left: Option<Vec<&str>>, right: Option<Vec<&str>>| match (left, right) {
        (Some(left), Some(right)) => {
            let right: HashSet<&str> = right.into_iter().collect();
            left.iter().any(|name| right.contains(name))
        }
        _ => true,
    };
    share(left.literal_groups(), right.literal_groups())
        && share(left.literal_edge_nodes(), right.literal_edge_nodes())
}

pub(super) fn group_patterns(rules: &[&Rule]) -> Vec<Pattern> {
    let mut patterns = Vec::new();
    for rule in rules {
        patterns.extend(rule.selectors().groups.iter().flatten().map(Pattern::of));
        let topics = rule.selectors().topics.iter().flatten();
        patterns.extend(topics.filter_map(|topic| level_pattern(&topic.group)));
    }
    patterns
}

pub(super) fn edge_node_patterns(rules: &[&Rule]) -> Vec<Pattern> {
    let mut patterns = Vec::new();
    for rule in rules {
        patterns.extend(rule.selectors().edge_nodes.iter().flatten().map(Pattern::of));
        let topics = rule.selectors().topics.iter().flatten();
        patterns.extend(topics.filter_map(|topic| level_pattern(&topic.edge_node)));
    }
    patterns
}

pub(super) fn device_patterns(rules: &[&Rule]) -> Vec<Pattern> {
    let mut patterns = Vec::new();
    for rule in rules {
        patterns.extend(rule.selectors().devices.iter().flatten().map(Pattern::of));
        let topics = rule.selectors().topics.iter().flatten();
        patterns.extend(topics.filter_map(|topic| match &topic.reach {
            Reach::Devices(level) => level_pattern(level),
            Reach::Node | Reach::All => None,
        }));
    }
    patterns
}

fn level_pattern(level: &Level) -> Option<Pattern> {
    level.name().map(Pattern::literal)
}

/// With the names that never cross: a class may not mix them with others. And with the beginnings of
/// names that rules change: what isn't stripped of one has another name on IT.
pub(super) fn metric_patterns(rules: &[&Rule]) -> Vec<Pattern> {
    let never = ["Node Control/**", "Device Control/**", names::BD_SEQ, names::REBIRTH];
    let never = never.iter().filter_map(|glob| Glob::parse(glob).ok());
    let mut patterns: Vec<Pattern> = never.map(|glob| Pattern::of(&glob)).collect();
    for rule in rules {
        patterns.extend(rule.metric_globs().map(Pattern::of));
        let prefixes = rule.prefixes().and_then(|prefixes| prefixes.strip.as_deref());
        patterns.extend(prefixes.map(Pattern::beginning));
    }
    patterns
}

pub(super) fn is_plain(datatype: &DataType) -> bool {
    !matches!(datatype, DataType::Bytes | DataType::File | DataType::DataSet)
}

/// Datatypes that no rule tells apart; with the unknown one.
pub(super) fn datatype_classes(rules: &[&Rule]) -> Vec<Vec<Option<DataType>>> {
    let opened = rules.iter().flat_map(|rule| rule.shapes().open_datatypes());
    let sets: HashSet<_> = rules.iter().filter_map(|rule| rule.datatypes()).chain(opened).collect();
    let mut classes: BTreeMap<(Vec<bool>, Kinship), Vec<Option<DataType>>> = BTreeMap::new();
    for datatype in DataType::of_metrics() {
        let of = (sets.iter().map(|set| set.contains(datatype)).collect(), kinship(datatype));
        classes.entry(of).or_default().push(Some(datatype));
    }
    classes.into_values().chain([vec![None]]).collect()
}

/// Whether some rule forwards templates.
pub(super) fn forwards_templates(policy: &Policy) -> bool {
    policy.rules().iter().any(|rule| {
        rule.mode() == Mode::Enforce
            && rule.action() == Action::Forward
            && rule.datatypes().is_none_or(|types| types.contains(DataType::Template))
    })
}
