//! Which rules can concern an edge node: a table by the names that rules spell out, so that a
//! policy with thousands of rules, one for each machine, costs what its few relevant ones cost.

use std::collections::HashMap;

use super::filter::Reach;
use super::glob::Glob;
use super::rule::{Action, Rule, RuleId, Selectors};
use crate::sparkplug::Entity;

/// Pairs of group and edge node under which one rule is filed at most. A rule with long lists
/// of both is filed by group alone.
const MAX_PAIRS: usize = 1_000;

/// Rules by the group and edge node names that they spell out. Lists are in ascending order.
#[derive(Clone, Debug, Default)]
pub(super) struct RuleIndex {
    by_node: HashMap<String, HashMap<String, Vec<u32>>>,
    by_group: HashMap<String, Vec<u32>>,
    by_edge_node: HashMap<String, Vec<u32>>,
    others: Vec<u32>,
}

impl RuleIndex {
    pub(super) fn new<'r>(rules: impl Iterator<Item = (u32, &'r Rule)>) -> RuleIndex {
        let mut index = RuleIndex::default();
        for (number, rule) in rules {
            let groups = literal_groups(&rule.selectors);
            let edge_nodes = literal_edge_nodes(&rule.selectors);
            match (groups, edge_nodes) {
                (Some(groups), Some(edge_nodes))
                    if groups.len().saturating_mul(edge_nodes.len()) <= MAX_PAIRS =>
                {
                    for group in &groups {
                        let nodes = index.by_node.entry((*group).to_owned()).or_default();
                        for edge_node in &edge_nodes {
                            file(nodes, edge_node, number);
                        }
                    }
                }
                (Some(groups), _) => {
                    groups.iter().for_each(|group| file(&mut index.by_group, group, number));
                }
                (None, Some(edge_nodes)) => {
                    edge_nodes.iter().for_each(|node| file(&mut index.by_edge_node, node, number));
                }
                (None, None) => index.others.push(number),
            }
        }
        index
    }

    /// The rules that can concern the edge node or its devices, in no order; some may not.
    pub(super) fn related<'a>(
        &'a self,
        rules: &'a [Rule],
        group: &str,
        edge_node: &str,
    ) -> impl Iterator<Item = (RuleId, &'a Rule)> + use<'a> {
        let by_node = self.by_node.get(group).and_then(|nodes| nodes.get(edge_node));
        let lists = [by_node, self.by_group.get(group), self.by_edge_node.get(edge_node)];
        let numbers = lists.into_iter().flatten().chain([&self.others]).flatten();
        numbers.filter_map(|number| {
            let id = RuleId(*number);
            Some((id, rules.get(id.index())?))
        })
    }

    /// The same in the order of the rules.
    pub(super) fn candidates<'a>(
        &'a self,
        rules: &'a [Rule],
        group: &str,
        edge_node: &str,
    ) -> impl Iterator<Item = (RuleId, &'a Rule)> + use<'a> {
        let mut candidates: Vec<_> = self.related(rules, group, edge_node).collect();
        candidates.sort_unstable_by_key(|(id, _)| *id);
        candidates.into_iter()
    }
}

/// Whether a forward rule among `candidates` selects `entity`, and none denies all of it.
pub(super) fn entity_in_scope<'a>(
    candidates: impl Iterator<Item = (RuleId, &'a Rule)>,
    entity: Entity<'_>,
) -> bool {
    let mut forwarded = false;
    for (_, rule) in candidates.filter(|(_, rule)| rule.acts()) {
        if rule.selectors.select(entity) {
            if rule.denies_whole_entities() {
                return false;
            }
            forwarded |= rule.action == Action::Forward;
        }
    }
    forwarded
}

/// Whether a forward rule among `candidates` could match the edge node or a device of it, of
/// what no deny rule denies as a whole.
pub(super) fn node_in_scope<'a>(
    candidates: impl Iterator<Item = (RuleId, &'a Rule)>,
    group: &str,
    edge_node: &str,
) -> bool {
    let (mut forwards, mut denies) = (Vec::new(), Vec::new());
    for (_, rule) in candidates.filter(|(_, rule)| rule.acts()) {
        if !rule.selectors.reach_node(group, edge_node) {
            continue;
        }
        if rule.denies_whole_entities() {
            denies.push(&rule.selectors);
        }
        if rule.action == Action::Forward {
            forwards.push(&rule.selectors);
        }
    }
    let denied = |entity| denies.iter().any(|selectors| selectors.select(entity));
    let any_device_denied =
        denies.iter().any(|selectors| devices_of(selectors, group, edge_node).every);
    forwards.iter().any(|selectors| {
        let node = Entity::node(group, edge_node);
        if selectors.select(node) && !denied(node) {
            return true;
        }
        let devices = devices_of(selectors, group, edge_node);
        let named = devices.named.iter().any(|device| {
            let device = Entity::device(group, edge_node, device);
            selectors.select(device) && !denied(device)
        });
        named || (devices.open && !any_device_denied)
    })
}

/// Whether selectors select the edge node and every device of it.
pub(super) fn covers_node(selectors: &Selectors, group: &str, edge_node: &str) -> bool {
    selectors.select(Entity::node(group, edge_node))
        && devices_of(selectors, group, edge_node).every
}

/// Which devices of one edge node selectors can select.
struct Devices<'a> {
    /// Every one, whatever its name.
    every: bool,
    /// Some that can't be listed, since a wildcard selects them.
    open: bool,
    /// Those that are spelled out; each still has to be asked about.
    named: Vec<&'a str>,
}

fn devices_of<'a>(selectors: &'a Selectors, group: &str, edge_node: &str) -> Devices<'a> {
    let mut devices = Devices { every: false, open: false, named: Vec::new() };
    if selectors.node_only || !selectors.reach_node(group, edge_node) {
        return devices;
    }
    let mut topics_take_any = selectors.topics.is_none();
    for topic in selectors.topics.iter().flatten() {
        if !topic.matches_node(group, edge_node) {
            continue;
        }
        match &topic.reach {
            Reach::Node => {}
            Reach::All => topics_take_any = true,
            Reach::Devices(level) => match level.name() {
                Some(name) => devices.named.push(name),
                None => topics_take_any = true,
            },
        }
    }
    if !topics_take_any {
        return devices;
    }
    match &selectors.devices {
        None => (devices.open, devices.every) = (true, true),
        Some(globs) => {
            devices.every = globs.iter().any(Glob::matches_all_names);
            devices.open = globs.iter().any(|glob| glob.literal().is_none());
            devices.named.extend(globs.iter().filter_map(Glob::literal));
        }
    }
    devices
}

/// The groups that the selectors spell out, if they select no others.
pub(super) fn literal_groups(selectors: &Selectors) -> Option<Vec<&str>> {
    literals(selectors.groups.as_deref())
        .or_else(|| selectors.topics.as_ref()?.iter().map(|topic| topic.group.name()).collect())
}

/// The edge nodes that the selectors spell out, if they select no others.
pub(super) fn literal_edge_nodes(selectors: &Selectors) -> Option<Vec<&str>> {
    literals(selectors.edge_nodes.as_deref())
        .or_else(|| selectors.topics.as_ref()?.iter().map(|topic| topic.edge_node.name()).collect())
}

fn literals(globs: Option<&[Glob]>) -> Option<Vec<&str>> {
    globs?.iter().map(Glob::literal).collect()
}

/// Files a rule once under `name`, even if the rule spells it twice.
fn file(table: &mut HashMap<String, Vec<u32>>, name: &str, number: u32) {
    let list = table.entry(name.to_owned()).or_default();
    if list.last() != Some(&number) {
        list.push(number);
    }
}
