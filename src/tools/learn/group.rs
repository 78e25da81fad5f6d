//! Puts entities with the same metrics together, and metrics under globs, so that a plant of ten
//! equal lines is one rule and not ten.
//!
//! Entities are merged only where the names in a rule select exactly those that were seen: lists
//! of edge nodes and devices, whose product is what was seen. A glob over metrics stands only
//! where every metric that it matches, of these entities and with the rule's datatypes, is meant.

use std::collections::{BTreeMap, BTreeSet};

use mistake::mistake;
use policy::glob::Glob;
use sparkplug::{DataType, Entity};

use super::kind::{Kind, is_alarm, kind_of};
use super::observe::{MetricSeen, NodeSeen, Numbers, Observation};

/// Names that a glob must cover at least; below that they are spelled out.
pub(super) const MIN_COVERED: usize = 3;

/// Entities with the same metrics: one selection of a rule.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) group: String,
    pub(super) edge_nodes: Vec<String>,
    /// `None`: the edge nodes' own metrics.
    pub(super) devices: Option<Vec<String>>,
    /// What of them is proposed, over all entities.
    pub(super) metrics: BTreeMap<String, MetricSeen>,
    /// All that they have, with datatypes, proposed or not.
    pub(super) all: BTreeMap<String, BTreeSet<DataType>>,
    pub(super) data: u64,
    /// Sum of the busiest seconds of the entities.
    pub(super) peak_per_s: u64,
}

/// One entry of `allow-metrics`, and what it covers of what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) pattern: String,
    pub(super) names: Vec<String>,
}

/// What entities have in common: their metrics, with whether they are proposed.
type Signature = Vec<(String, BTreeSet<DataType>, bool)>;

/// The classes of what was seen, in the order of their names. `proposed` says what isn't
/// dealt with by an earlier policy.
pub(super) fn classes(
    seen: &Observation,
    proposed: &dyn Fn(Entity<'_>, &str, &MetricSeen) -> bool,
) -> Vec<Class> {
    let mut by_entity: BTreeMap<(&str, &str, Option<&str>), Signature> = BTreeMap::new();
    for (entity, name, metric) in seen.metrics() {
        let key = (entity.group, entity.edge_node, entity.device);
        let meant = proposed(entity, name, metric);
        let signature = by_entity.entry(key).or_default();
        signature.push((name.to_owned(), metric.datatypes.clone(), meant));
    }
    by_entity.retain(|_, signature| signature.iter().any(|(_, _, meant)| *meant));
    // Equal entities of one node, then equal nodes.
    type ByDevices<'a> = BTreeMap<(&'a str, Signature, Option<Vec<&'a str>>), Vec<&'a str>>;
    let mut merged = ByDevices::new();
    let mut of_node: BTreeMap<(&str, &str, Signature, bool), Vec<&str>> = BTreeMap::new();
    for ((group, edge_node, device), signature) in by_entity {
        let devices = of_node.entry((group, edge_node, signature, device.is_some())).or_default();
        devices.extend(device);
    }
    for ((group, edge_node, signature, is_device), devices) in of_node {
        let devices = is_device.then_some(devices);
        merged.entry((group, signature, devices)).or_default().push(edge_node);
    }
    let mut classes: Vec<Class> = merged
        .into_iter()
        .map(|((group, signature, devices), edge_nodes)| {
            class(seen, group, &signature, devices, edge_nodes)
        })
        .collect();
    classes.sort_by(|left, right| {
        (&left.group, &left.edge_nodes, &left.devices).cmp(&(
            &right.group,
            &right.edge_nodes,
            &right.devices,
        ))
    });
    classes
}

fn class(
    seen: &Observation,
    group: &str,
    signature: &Signature,
    devices: Option<Vec<&str>>,
    mut edge_nodes: Vec<&str>,
) -> Class {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    edge_nodes.sort_by(|left, right| natural(left, right));
    let devices = devices.map(|mut devices| {
        devices.sort_by(|left, right| natural(left, right));
        owned(&devices)
    });
    let mut class = Class {
        group: group.to_owned(),
        edge_nodes: owned(&edge_nodes),
        devices,
        metrics: BTreeMap::new(),
        all: signature.iter().map(|(name, types, _)| (name.clone(), types.clone())).collect(),
        data: 0,
        peak_per_s: 0,
    };
    for edge_node in edge_nodes {
        let Some(node) = seen.nodes.get(&(group.to_owned(), edge_node.to_owned())) else {
            continue;
        };
        let keys: Vec<Option<String>> = match &class.devices {
            None => vec![None],
            Some(devices) => devices.iter().cloned().map(Some).collect(),
        };
        for key in keys {
            class.take(node, &key, signature);
        }
    }
    class
}

impl Class {
    fn take(&mut self, node: &NodeSeen, device: &Option<String>, signature: &Signature) {
        let Some(entity) = node.entities.get(device) else {
            return mistake!("a class of an entity that its node hasn't");
        };
        self.data = self.data.saturating_add(entity.data);
        self.peak_per_s = self.peak_per_s.saturating_add(entity.peak_per_s);
        for (name, _, meant) in signature {
            let Some(metric) = entity.metrics.get(name).filter(|_| *meant) else { continue };
            if let Some(merged) = self.metrics.get_mut(name) {
                merge(merged, metric);
            } else {
                self.metrics.insert(name.clone(), metric.clone());
            }
        }
    }

    /// How many edge nodes and devices it selects.
    pub(super) fn entities(&self) -> usize {
        let devices = self.devices.as_ref().map_or(1, Vec::len);
        self.edge_nodes.len().saturating_mul(devices)
    }

    /// The entities.
    pub(super) fn each(&self) -> impl Iterator<Item = Entity<'_>> {
        self.edge_nodes.iter().flat_map(move |edge_node| {
            let devices: Vec<Option<&str>> = match &self.devices {
                None => vec![None],
                Some(devices) => devices.iter().map(|device| Some(device.as_str())).collect(),
            };
            devices.into_iter().map(move |device| Entity { group: &self.group, edge_node, device })
        })
    }

    /// The metrics of a kind, flagged for a person's decision or not, alarms or others.
    pub(super) fn of_kind(
        &self,
        kind: Kind,
        flagged: bool,
        alarms: bool,
    ) -> BTreeMap<&str, &MetricSeen> {
        let metrics = self.metrics.iter().map(|(name, seen)| (name.as_str(), seen));
        let meant = |name: &str, seen: &MetricSeen| {
            kind_of(name, seen) == (kind, flagged) && is_alarm(name, seen) == alarms
        };
        metrics.filter(|(name, seen)| meant(name, seen)).collect()
    }
}

/// Covers `meant` with globs where they match nothing else of `all` with one of `datatypes`.
pub(super) fn items(
    meant: &BTreeMap<&str, &MetricSeen>,
    all: &BTreeMap<String, BTreeSet<DataType>>,
    datatypes: &BTreeSet<DataType>,
) -> Vec<Item> {
    let mut rest: BTreeSet<&str> = meant.keys().copied().collect();
    let mut items = Vec::new();
    let covers_only_meant = |glob: &Glob| {
        let strangers = all.iter().filter(|(name, types)| {
            !meant.contains_key(name.as_str()) && !types.is_disjoint(datatypes)
        });
        !strangers.into_iter().any(|(name, _)| glob.matches(name))
    };
    // What lies directly under the same path, then what differs in numbers only.
    let by_path = |name: &str| {
        let path = literal(name.rsplit_once('/')?.0);
        path.contains(char::is_alphabetic).then(|| format!("{path}/*"))
    };
    let by_number = |name: &str| {
        let pattern = without_numbers(name);
        let has_number = name.contains(|letter: char| letter.is_ascii_digit());
        (has_number && says_something(&pattern)).then_some(pattern)
    };
    for way in [&by_path as &dyn Fn(&str) -> Option<String>, &by_number] {
        let mut candidates: BTreeMap<String, usize> = BTreeMap::new();
        for name in &rest {
            if let Some(pattern) = way(name) {
                let count = candidates.entry(pattern).or_default();
                *count = count.saturating_add(1);
            }
        }
        candidates.retain(|_, count| *count >= MIN_COVERED);
        for (pattern, _) in candidates {
            let Ok(glob) = Glob::parse(&pattern) else { continue };
            // Another one may have taken some of its names.
            let covered: Vec<&str> =
                rest.iter().copied().filter(|name| glob.matches(name)).collect();
            if covered.len() >= MIN_COVERED && covers_only_meant(&glob) {
                rest.retain(|name| !covered.contains(name));
                let names = covered.into_iter().map(str::to_owned).collect();
                items.push(Item { pattern, names });
            }
        }
    }
    fold_paths(&mut items, &covers_only_meant);
    let spelled_out = |name: &str| Item { pattern: literal(name), names: vec![name.to_owned()] };
    items.extend(rest.into_iter().map(spelled_out));
    items.sort_by(|left, right| natural(&left.pattern, &right.pattern));
    items
}

/// Makes one glob of those that differ in numbers only: `Zone1/*`, `Zone2/*`.
fn fold_paths(items: &mut Vec<Item>, covers_only_meant: &dyn Fn(&Glob) -> bool) {
    let mut folds: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, item) in items.iter().enumerate() {
        folds.entry(without_numbers_of_glob(&item.pattern)).or_default().push(at);
    }
    let mut gone = BTreeSet::new();
    let mut new = Vec::new();
    for (pattern, places) in folds {
        let Ok(glob) = Glob::parse(&pattern) else { continue };
        // Everything that it would match must be among what it replaces.
        let names: Vec<String> = places
            .iter()
            .filter_map(|at| items.get(*at))
            .flat_map(|item| item.names.iter().cloned())
            .collect();
        let mut others = items.iter().enumerate().filter(|(at, _)| !places.contains(at));
        let alone = !others.any(|(_, item)| item.names.iter().any(|name| glob.matches(name)));
        let parts = pattern.strip_suffix("/*").unwrap_or(&pattern);
        if places.len() > 1 && says_something(parts) && alone && covers_only_meant(&glob) {
            gone.extend(places);
            new.push(Item { pattern, names });
        }
    }
    let mut at = 0_usize;
    items.retain(|_| {
        let keep = !gone.contains(&at);
        at = at.saturating_add(1);
        keep
    });
    items.extend(new);
}

/// Whether a letter stands in every segment that has a `*`: one of stars alone would match
/// anything.
fn says_something(pattern: &str) -> bool {
    let mut segments = pattern.split('/');
    segments.all(|segment| !segment.contains('*') || segment.contains(char::is_alphabetic))
}

/// A glob that matches this name alone.
pub(super) fn literal(name: &str) -> String {
    let mut pattern = String::with_capacity(name.len());
    for letter in name.chars() {
        if matches!(letter, '*' | '?' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern
}

/// A glob for the name in which every number may be another one.
pub(super) fn without_numbers(name: &str) -> String {
    without_numbers_of_glob(&literal(name))
}

fn without_numbers_of_glob(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    for letter in pattern.chars() {
        match letter {
            digit if digit.is_ascii_digit() => {
                // A run of digits is one number. `\*` ends with a star that is none.
                if !out.ends_with('*') || out.ends_with("\\*") {
                    out.push('*');
                }
            }
            letter => out.push(letter),
        }
    }
    out
}

/// `Line2` before `Line10`.
pub(super) fn natural(left: &str, right: &str) -> std::cmp::Ordering {
    let parts = |text: &str| -> Vec<(u64, String)> {
        let mut parts: Vec<(u64, String)> = vec![(0, String::new())];
        let mut in_number = false;
        for letter in text.chars() {
            match (letter.to_digit(10), in_number) {
                (Some(digit), _) => {
                    if !in_number {
                        parts.push((0, String::new()));
                    }
                    if let Some((number, _)) = parts.last_mut() {
                        *number = number.saturating_mul(10).saturating_add(u64::from(digit));
                    }
                    in_number = true;
                }
                (None, _) => {
                    if let Some((_, text)) = parts.last_mut() {
                        text.push(letter);
                    }
                    in_number = false;
                }
            }
        }
        parts
    };
    parts(left).cmp(&parts(right)).then_with(|| left.cmp(right))
}

/// Adds what the same metric of another entity had.
fn merge(merged: &mut MetricSeen, other: &MetricSeen) {
    merged.datatypes.extend(&other.datatypes);
    merged.values = merged.values.saturating_add(other.values);
    merged.nulls = merged.nulls.saturating_add(other.nulls);
    merged.span = match (merged.span, other.span) {
        (Some((first, last)), Some((from, to))) => Some((first.min(from), last.max(to))),
        (span, None) | (None, span) => span,
    };
    merged.numbers = match (merged.numbers, other.numbers) {
        (Some(left), Some(right)) => Some(Numbers {
            min: left.min.min(right.min),
            max: left.max.max(right.max),
            last: left.last,
            rises: left.rises.saturating_add(right.rises),
            falls: left.falls.saturating_add(right.falls),
            plain: left.plain && right.plain,
        }),
        (numbers, None) | (None, numbers) => numbers,
    };
    merged.texts.longest = merged.texts.longest.max(other.texts.longest);
    merged.texts.many |= other.texts.many;
    merged.texts.distinct.extend(other.texts.distinct.iter().cloned());
    if merged.texts.many || merged.texts.distinct.len() > super::observe::MAX_TEXTS {
        merged.texts.many = true;
        merged.texts.distinct.clear();
    }
    merged.longest_bytes = merged.longest_bytes.max(other.longest_bytes);
    merged.content_types.extend(other.content_types.iter().cloned());
    merged.columns.extend(other.columns.iter().cloned());
    merged.writable |= other.writable;
    if merged.unit.is_none() {
        merged.unit.clone_from(&other.unit);
    }
    if merged.sample.is_none() {
        merged.sample.clone_from(&other.sample);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covered(meant: &[&str], others: &[&str]) -> Vec<(String, usize)> {
        let float: BTreeSet<DataType> = [DataType::Float].into();
        let seen = MetricSeen { datatypes: float.clone(), ..MetricSeen::default() };
        let map = meant.iter().map(|name| (*name, &seen)).collect();
        let all = meant.iter().chain(others);
        let all = all.map(|name| ((*name).to_owned(), float.clone())).collect();
        let items = items(&map, &all, &float);
        items.into_iter().map(|item| (item.pattern, item.names.len())).collect()
    }

    #[track_caller]
    fn assert_covered(meant: &[&str], others: &[&str], wanted: &[(&str, usize)]) {
        let wanted: Vec<(String, usize)> =
            wanted.iter().map(|(pattern, count)| ((*pattern).to_owned(), *count)).collect();
        assert_eq!(covered(meant, others), wanted);
    }

    #[test]
    fn three_names_under_one_path_are_a_glob_unless_it_would_match_another() {
        let names = ["Temperature/Oil", "Temperature/Air", "Temperature/Water", "Speed"];
        assert_covered(&names, &[], &[("Speed", 1), ("Temperature/*", 3)]);
        assert_covered(&names[..2], &[], &[("Temperature/Air", 1), ("Temperature/Oil", 1)]);
        let spelled = ["Speed", "Temperature/Air", "Temperature/Oil", "Temperature/Water"];
        assert_covered(&names, &["Temperature/Setpoint"], &spelled.map(|name| (name, 1)));
        assert_covered(&names, &["Temperature/Raw/X"], &[("Speed", 1), ("Temperature/*", 3)]);
    }

    #[test]
    fn names_that_differ_in_numbers_are_a_glob() {
        let zones = ["Zone1/Temp", "Zone2/Temp", "Zone10/Temp", "Zone1/Hum", "Zone2/Hum"];
        let wanted = [("Zone1/Hum", 1), ("Zone2/Hum", 1), ("Zone*/Temp", 3)];
        let found = covered(&zones, &[]);
        for (pattern, count) in wanted {
            assert!(found.contains(&(pattern.to_owned(), count)), "{found:?}");
        }
        // A stranger that it would match.
        assert_covered(
            &["Zone1/Temp", "Zone2/Temp", "Zone3/Temp"],
            &["ZoneX/Temp"],
            &[("Zone1/Temp", 1), ("Zone2/Temp", 1), ("Zone3/Temp", 1)],
        );
        let axes = ["A1/x", "A1/y", "A1/z", "A2/x", "A2/y", "A2/z"];
        assert_covered(&axes, &[], &[("A*/*", 6)]);
    }

    #[test]
    fn wildcards_in_names_are_names() {
        assert_eq!(literal("a*b?c\\d"), "a\\*b\\?c\\\\d");
        assert_covered(&["a*1", "a*2", "a*3"], &[], &[("a\\**", 3)]);
        assert_covered(&["a*1"], &[], &[("a\\*1", 1)]);
    }

    #[test]
    fn numbers_in_names_are_sorted_as_numbers() {
        let mut names = ["Line10", "Line2", "Line1", "Annex"];
        names.sort_by(|left, right| natural(left, right));
        assert_eq!(names, ["Annex", "Line1", "Line2", "Line10"]);
    }
}
