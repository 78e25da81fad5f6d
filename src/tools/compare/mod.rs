//! Two policies, compared by what they mean: which metrics of which entities cross under one of
//! them and not under the other, each difference with witnesses, and where they let the same
//! things through in another manner.
//!
//! What becomes of a metric depends only on the rules that select its entity. So everything that
//! differs is selected by a rule that isn't the same in both policies, and it is enough to look
//! at what such rules select. There, names fall into finitely many [classes] that no rule tells
//! apart, and one witness of each is judged by both policies. Where that takes too long, it is
//! said that nothing is known: equality is never claimed without having been proved.

mod classes;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use account::{Reason, RuleId};
use policy::glob::Glob;
use policy::rule::Selectors;
use policy::rule::filter::{Level, Reach};
use policy::shape::{Kinship, kinship};
use policy::{Policy, Rate, Rule, Verdict};
use sparkplug::{DataType, Entity, names};

use self::classes::{Kind, Pattern, witnesses};
use crate::explain::selecting;

/// States of one automaton over names.
const MAX_STATES: usize = 20_000;
/// Metrics that are judged by both policies for one rule that changed.
const MAX_JUDGED: usize = 2_000_000;
/// Witnesses that are kept of one difference.
const MAX_WITNESSES: usize = 3;
/// Entities that are named of which only births and deaths differ.
const MAX_BIRTHS: usize = 20;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// What crosses under the second policy and not under the first.
    pub newly: Vec<Difference>,
    /// What crosses under the first policy and not under the second.
    pub no_longer: Vec<Difference>,
    /// What crosses under both, but by rules that forward it in another manner: other limits,
    /// values, names.
    pub otherwise: Vec<Difference>,
    /// Rules that changed and about which nothing could be found out, and why.
    pub undecided: Vec<(String, &'static str)>,
    /// Edge nodes and devices of which births and deaths cross under one policy alone, though
    /// no metric does: what crosses newly (`true`), or no longer.
    pub births: Vec<(bool, String)>,
    /// What belongs to no rule: names on IT, limits of all rules together. Before and after.
    pub whole: Vec<(String, String)>,
    /// Rules with schedules, or that only observe, of which the first or the second policy has
    /// others than the other one.
    pub dormant: Vec<String>,
}

impl Comparison {
    /// Whether it is proved that both let the same things through, in the same manner.
    pub fn is_equal(&self) -> bool {
        self.newly.is_empty()
            && self.no_longer.is_empty()
            && self.otherwise.is_empty()
            && self.undecided.is_empty()
            && self.births.is_empty()
            && self.whole.is_empty()
            && self.dormant.is_empty()
    }
}

/// Metrics that come to the same under either policy.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Under the first policy.
    pub before: Outcome,
    /// Under the second policy.
    pub after: Outcome,
    /// Some of them, the shortest names first.
    pub witnesses: Vec<Witness>,
}

/// What a policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    Forward(RuleId),
    /// Births have it without a value: its name crosses.
    Redact {
        rule: RuleId,
        forward: RuleId,
    },
    Drop(Reason, Option<RuleId>),
}

impl Outcome {
    /// How much crosses: nothing, the name, or the value as well.
    fn crosses(self) -> u8 {
        match self {
            Outcome::Drop(..) => 0,
            Outcome::Redact { .. } => 1,
            Outcome::Forward(_) => 2,
        }
    }

    /// The rule by which something crosses.
    fn forward(self) -> Option<RuleId> {
        match self {
            Outcome::Drop(..) => None,
            Outcome::Forward(rule) | Outcome::Redact { forward: rule, .. } => Some(rule),
        }
    }
}

/// A metric that could be.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Witness {
    pub group: String,
    pub edge_node: String,
    pub device: Option<String>,
    pub metric: String,
    pub datatypes: Types,
}

/// The datatypes for which a difference holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Types {
    Every,
    /// Every one whose values aren't opaque: those take a rule that opens them.
    EveryPlain,
    Some(Vec<DataType>),
    /// Only where the datatype isn't known.
    Unknown,
}

/// Compares two policies. Schedules are taken as they are: see [`Policy::set_time`].
pub fn compare(before: &Policy, after: &Policy) -> Comparison {
    let mut comparison = Comparison {
        whole: whole(before, after),
        dormant: dormant(before, after),
        ..Comparison::default()
    };
    let changed = changed(before, after);
    let mut found = Found::default();
    for (policy, id) in &changed {
        let rules = if *policy == Side::Before { before } else { after };
        let Some(rule) = rules.rule(*id).filter(|rule| rule.acts()) else { continue };
        if let Err(why) = look(before, after, rule, &mut found) {
            comparison.undecided.push((rule.name().to_owned(), why));
        }
    }
    // Where metrics differ, births do with them.
    comparison.births = found.births.into_iter().collect();
    comparison.undecided.sort_unstable();
    comparison.undecided.dedup();
    for ((was, is), witnesses) in found.differences {
        let difference = Difference { before: was, after: is, witnesses };
        match was.crosses().cmp(&is.crosses()) {
            Ordering::Less => comparison.newly.push(difference),
            Ordering::Greater => comparison.no_longer.push(difference),
            Ordering::Equal => comparison.otherwise.push(difference),
        }
    }
    comparison
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

#[derive(Default)]
struct Found {
    differences: BTreeMap<(Outcome, Outcome), Vec<Witness>>,
    births: BTreeSet<(bool, String)>,
    /// Entities that were looked at for an earlier rule.
    seen: HashSet<(String, String, Option<String>)>,
}

/// The rules that aren't the same in both policies, and all of those in common if their order
/// isn't.
fn changed(before: &Policy, after: &Policy) -> Vec<(Side, RuleId)> {
    let fingerprints =
        |policy: &Policy| policy.rules().iter().map(Rule::fingerprint).collect::<Vec<_>>();
    let (left, right) = (fingerprints(before), fingerprints(after));
    let in_left: HashSet<&String> = left.iter().collect();
    let in_right: HashSet<&String> = right.iter().collect();
    let common = |list: &[String], other: &HashSet<&String>| -> Vec<String> {
        list.iter().filter(|one| other.contains(one)).cloned().collect()
    };
    let reordered = common(&left, &in_right) != common(&right, &in_left);
    let pick = |side, list: &[String], other: &HashSet<&String>| {
        (0_u32..)
            .zip(list)
            .filter(|(_, one)| reordered || !other.contains(one))
            .map(|(number, _)| (side, RuleId(number)))
            .collect::<Vec<_>>()
    };
    let mut changed = pick(Side::Before, &left, &in_right);
    changed.extend(pick(Side::After, &right, &in_left));
    changed
}

/// Looks at all that one rule selects.
fn look(
    before: &Policy,
    after: &Policy,
    rule: &Rule,
    found: &mut Found,
) -> Result<(), &'static str> {
    let relevant: Vec<&Rule> = before
        .rules()
        .iter()
        .chain(after.rules())
        .filter(|other| other.acts() && can_meet(rule.selectors(), other.selectors()))
        .collect();
    let too_many = "its patterns can meet in too many ways";
    let level = |patterns: Vec<Pattern>| witnesses(&patterns, Kind::Level, MAX_STATES);
    let groups = level(group_patterns(&relevant)).ok_or(too_many)?;
    let edge_nodes = level(edge_node_patterns(&relevant)).ok_or(too_many)?;
    let devices = level(device_patterns(&relevant)).ok_or(too_many)?;
    let metrics = witnesses(&metric_patterns(&relevant), Kind::Metric, MAX_STATES);
    let metrics = metrics.ok_or(too_many)?;
    let datatypes = datatype_classes(&relevant);
    let devices: Vec<Option<&str>> =
        std::iter::once(None).chain(devices.iter().map(|device| Some(device.as_str()))).collect();

    let mut judged = 0_usize;
    // What was found for the entities that the same rules select is found for all of them.
    let mut known: HashMap<(Vec<RuleId>, Vec<RuleId>), usize> = HashMap::new();
    for group in &groups {
        for edge_node in &edge_nodes {
            if !rule.selectors().reach_node(group, edge_node) {
                judged = judged.saturating_add(1);
                continue;
            }
            for device in &devices {
                let entity = Entity { group, edge_node, device: *device };
                judged = judged.saturating_add(1);
                if judged > MAX_JUDGED {
                    return Err("it meets too many other rules");
                }
                if !rule.selectors().select(entity) {
                    continue;
                }
                let selecting = (selecting(before, entity), selecting(after, entity));
                let times = known.entry(selecting).or_default();
                *times = times.saturating_add(1);
                // A few examples are enough of what is the same.
                if *times > MAX_WITNESSES || !found.seen.insert(owned(entity)) {
                    continue;
                }
                judged =
                    judged.saturating_add(metrics.len().saturating_mul(datatypes.len().max(1)));
                judge(before, after, entity, &metrics, &datatypes, found);
                let crosses = |policy: &Policy| match entity.device {
                    Some(_) => policy.device_in_scope(entity),
                    None => policy.node_in_scope(entity.group, entity.edge_node),
                };
                if crosses(before) != crosses(after) && found.births.len() < MAX_BIRTHS {
                    found.births.insert((crosses(after), entity.to_string()));
                }
            }
        }
    }
    Ok(())
}

fn owned(entity: Entity<'_>) -> (String, String, Option<String>) {
    (entity.group.to_owned(), entity.edge_node.to_owned(), entity.device.map(str::to_owned))
}

/// Judges every class of metrics of one entity by both policies.
fn judge(
    before: &Policy,
    after: &Policy,
    entity: Entity<'_>,
    metrics: &[String],
    datatypes: &[Vec<Option<DataType>>],
    found: &mut Found,
) {
    let (left, right) = (before.plan(entity), after.plan(entity));
    for metric in metrics {
        let never =
            names::is_control(metric) || metric == names::BD_SEQ || metric == names::REBIRTH;
        if never {
            continue;
        }
        let mut differing: BTreeMap<(Outcome, Outcome), Vec<DataType>> = BTreeMap::new();
        for class in datatypes {
            let datatype = class.first().copied().flatten();
            let was = outcome(left.judge(metric, datatype));
            let is = outcome(right.judge(metric, datatype));
            if differs(before, after, was, is) {
                differing.entry((was, is)).or_default().extend(class.iter().flatten());
            }
        }
        for ((was, is), mut types) in differing {
            types.sort_unstable();
            let types = match types.len() {
                0 => Types::Unknown,
                all if all >= DataType::of_metrics().count() => Types::Every,
                _ if DataType::of_metrics().filter(is_plain).eq(types.iter().copied()) => {
                    Types::EveryPlain
                }
                _ => Types::Some(types),
            };
            let witness = Witness {
                group: entity.group.to_owned(),
                edge_node: entity.edge_node.to_owned(),
                device: entity.device.map(str::to_owned),
                metric: metric.clone(),
                datatypes: types,
            };
            let list = found.differences.entry((was, is)).or_default();
            list.push(witness);
            list.sort_by_key(|witness| {
                let device = witness.device.as_deref().unwrap_or_default();
                let names = [&*witness.group, &*witness.edge_node, device, &*witness.metric];
                // Widest first, then the shortest names.
                (
                    !matches!(witness.datatypes, Types::Every | Types::EveryPlain),
                    names.iter().map(|name| name.len()).sum::<usize>(),
                )
            });
            list.truncate(MAX_WITNESSES);
        }
    }
}

fn outcome(verdict: Verdict) -> Outcome {
    match verdict {
        Verdict::Forward { rule, .. } => Outcome::Forward(rule),
        Verdict::Redact { rule, forward, .. } => Outcome::Redact { rule, forward },
        Verdict::Drop { reason, rule } => Outcome::Drop(reason, rule),
    }
}

/// Whether more crosses under one than under the other, or as much in another manner.
fn differs(before: &Policy, after: &Policy, was: Outcome, is: Outcome) -> bool {
    let manner = |policy: &Policy, outcome: Outcome| {
        outcome.forward().and_then(|rule| policy.rule(rule)).map(Rule::manner)
    };
    was.crosses() != is.crosses() || manner(before, was) != manner(after, is)
}

/// Whether two rules can select the same entity, as far as their spelled-out names tell.
fn can_meet(left: &Selectors, right: &Selectors) -> bool {
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

fn group_patterns(rules: &[&Rule]) -> Vec<Pattern> {
    let mut patterns = Vec::new();
    for rule in rules {
        patterns.extend(rule.selectors().groups.iter().flatten().map(Pattern::of));
        let topics = rule.selectors().topics.iter().flatten();
        patterns.extend(topics.filter_map(|topic| level_pattern(&topic.group)));
    }
    patterns
}

fn edge_node_patterns(rules: &[&Rule]) -> Vec<Pattern> {
    let mut patterns = Vec::new();
    for rule in rules {
        patterns.extend(rule.selectors().edge_nodes.iter().flatten().map(Pattern::of));
        let topics = rule.selectors().topics.iter().flatten();
        patterns.extend(topics.filter_map(|topic| level_pattern(&topic.edge_node)));
    }
    patterns
}

fn device_patterns(rules: &[&Rule]) -> Vec<Pattern> {
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

/// With the names that never cross: a class may not mix them with others.
fn metric_patterns(rules: &[&Rule]) -> Vec<Pattern> {
    let never = ["Node Control/**", "Device Control/**", names::BD_SEQ, names::REBIRTH];
    let never = never.iter().filter_map(|glob| Glob::parse(glob).ok());
    let mut patterns: Vec<Pattern> = never.map(|glob| Pattern::of(&glob)).collect();
    for rule in rules {
        patterns.extend(rule.metric_globs().map(Pattern::of));
    }
    patterns
}

fn is_plain(datatype: &DataType) -> bool {
    !matches!(datatype, DataType::Bytes | DataType::File | DataType::DataSet)
}

/// Datatypes that no rule tells apart; with the unknown one.
fn datatype_classes(rules: &[&Rule]) -> Vec<Vec<Option<DataType>>> {
    let opened = rules.iter().flat_map(|rule| rule.shapes().open_datatypes());
    let sets: HashSet<_> = rules.iter().filter_map(|rule| rule.datatypes()).chain(opened).collect();
    let mut classes: BTreeMap<(Vec<bool>, Kinship), Vec<Option<DataType>>> = BTreeMap::new();
    for datatype in DataType::of_metrics() {
        let of = (sets.iter().map(|set| set.contains(datatype)).collect(), kinship(datatype));
        classes.entry(of).or_default().push(Some(datatype));
    }
    classes.into_values().chain([vec![None]]).collect()
}

/// What belongs to no rule.
fn whole(before: &Policy, after: &Policy) -> Vec<(String, String)> {
    let mut differences = Vec::new();
    let (left, right) = (before.renames().describe(), after.renames().describe());
    let only = |lines: &[String], others: &[String]| -> Vec<String> {
        lines.iter().filter(|line| !others.contains(line)).cloned().collect()
    };
    for line in only(&left, &right) {
        differences.push((line, String::new()));
    }
    for line in only(&right, &left) {
        differences.push((String::new(), line));
    }
    let (left, right) = (before.limits(), after.limits());
    for (noun, was, is) in
        [("each edge node", left.node, right.node), ("the link", left.link, right.link)]
    {
        if was != is {
            let say = |rate: Option<Rate>| match rate {
                Some(rate) => format!("{noun}: {}", rate.describe()),
                None => format!("{noun}: no limit"),
            };
            differences.push((say(was), say(is)));
        }
    }
    differences
}

/// Rules that don't act now and aren't the same in both.
fn dormant(before: &Policy, after: &Policy) -> Vec<String> {
    let sleeping = |policy: &Policy| -> BTreeMap<String, String> {
        let rules = policy.rules().iter();
        let rules = rules.filter(|rule| !rule.acts() || rule.schedule().is_some());
        rules.map(|rule| (rule.name().to_owned(), rule.fingerprint())).collect()
    };
    let (left, right) = (sleeping(before), sleeping(after));
    let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    names.into_iter().filter(|name| left.get(*name) != right.get(*name)).cloned().collect()
}
