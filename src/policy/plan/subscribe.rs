//! Least privilege: the MQTT topic filters that the forward rules need, and no other. Commands
//! and STATE are never among them.

use std::collections::BTreeSet;

use crate::rule::filter::{Level, Reach};
use crate::rule::glob::Glob;
use crate::rule::{Action, Rule, Selectors};

/// Types whose topics end with the edge node.
const NODE_TYPES: [&str; 3] = ["NBIRTH", "NDEATH", "NDATA"];
/// Types whose topics end with the device.
const DEVICE_TYPES: [&str; 3] = ["DBIRTH", "DDEATH", "DDATA"];

/// What a subscription is about: group, edge node, and device if it is about devices.
type Names = (Level, Level, Option<Level>);

/// The filters for `rules`, in a fixed order.
pub(crate) fn subscriptions(rules: &[Rule]) -> Vec<String> {
    let forwards = rules.iter().filter(|rule| rule.action == Action::Forward);
    let needed: BTreeSet<Names> = forwards.flat_map(|rule| needs(&rule.selectors)).collect();
    let uncovered = needed.iter().filter(|names| !is_covered(names, &needed));
    uncovered.flat_map(filters).collect()
}

/// Whether the filters for `rules` let in every message that carries a sequence number of the
/// edge node.
pub(crate) fn sees_every_message<'a>(
    rules: impl Iterator<Item = &'a Rule>,
    group: &str,
    edge_node: &str,
) -> bool {
    rules.filter(|rule| rule.action == Action::Forward).any(|rule| {
        let Selectors { topics, groups, edge_nodes, devices, node_only } = &rule.selectors;
        let (groups, edge_nodes) = (groups.as_deref(), edge_nodes.as_deref());
        let every_device = !node_only
            && devices
                .as_ref()
                .is_none_or(|globs| globs.iter().any(|glob| glob.literal().is_none()));
        let by_names =
            || lets_in(&Level::Any, groups, group) && lets_in(&Level::Any, edge_nodes, edge_node);
        every_device
            && topics.as_ref().map_or_else(by_names, |topics| {
                topics.iter().any(|topic| {
                    matches!(topic.reach, Reach::All | Reach::Devices(Level::Any))
                        && lets_in(&topic.group, groups, group)
                        && lets_in(&topic.edge_node, edge_nodes, edge_node)
                })
            })
    })
}

/// Whether one of the levels that [`narrowed`] gives lets in `name`.
fn lets_in(level: &Level, globs: Option<&[Glob]>, name: &str) -> bool {
    match (level, globs) {
        (level, None) => level.matches(name),
        (Level::Name(own), Some(globs)) => {
            own == name && globs.iter().any(|glob| glob.matches(name))
        }
        (Level::Any, Some(globs)) => {
            globs.iter().any(|glob| glob.literal().is_none_or(|literal| literal == name))
        }
    }
}

/// What a rule with `selectors` needs. A device can't be used without its edge node's births
/// and deaths, so that the node itself is always among it.
fn needs(selectors: &Selectors) -> Vec<Names> {
    let mut needs = Vec::new();
    for (group, edge_node, reach) in coordinates(selectors) {
        let of_node = selectors.devices.is_none() && !matches!(reach, Reach::Devices(_));
        let devices = match &reach {
            _ if selectors.node_only => Vec::new(),
            Reach::Node => Vec::new(),
            Reach::All => narrowed(&Level::Any, selectors.devices.as_deref()),
            Reach::Devices(level) => narrowed(level, selectors.devices.as_deref()),
        };
        if of_node || !devices.is_empty() {
            needs.push((group.clone(), edge_node.clone(), None));
        }
        let of_device = |device| (group.clone(), edge_node.clone(), Some(device));
        needs.extend(devices.into_iter().map(of_device));
    }
    needs
}

/// Group, edge node and reach of everything that selectors name.
fn coordinates(selectors: &Selectors) -> Vec<(Level, Level, Reach)> {
    let everything = [(Level::Any, Level::Any, Reach::All)];
    let by_topic: Vec<(Level, Level, Reach)> = match &selectors.topics {
        None => everything.to_vec(),
        Some(topics) => topics
            .iter()
            .map(|topic| (topic.group.clone(), topic.edge_node.clone(), topic.reach.clone()))
            .collect(),
    };
    let mut coordinates = Vec::new();
    for (group, edge_node, reach) in by_topic {
        let edge_nodes = narrowed(&edge_node, selectors.edge_nodes.as_deref());
        for group in narrowed(&group, selectors.groups.as_deref()) {
            for edge_node in &edge_nodes {
                coordinates.push((group.clone(), edge_node.clone(), reach.clone()));
            }
        }
    }
    coordinates
}

/// The levels that select what both `level` and `globs` select, as narrow as MQTT can say it.
fn narrowed(level: &Level, globs: Option<&[Glob]>) -> Vec<Level> {
    let Some(globs) = globs else { return vec![level.clone()] };
    if let Level::Name(name) = level {
        let selected = globs.iter().any(|glob| glob.matches(name));
        return selected.then(|| level.clone()).into_iter().collect();
    }
    let literals: Option<Vec<&str>> = globs.iter().map(Glob::literal).collect();
    match literals {
        Some(names) => names.into_iter().map(|name| Level::Name(name.to_owned())).collect(),
        None => vec![Level::Any],
    }
}

/// Whether another of `needed` takes in all that `names` does: the same with `+` for some name.
fn is_covered(names: &Names, needed: &BTreeSet<Names>) -> bool {
    let (group, edge_node, device) = names;
    let wider = |level: &Level| [level.clone(), Level::Any];
    let devices = match device {
        None => vec![None],
        Some(device) => wider(device).map(Some).to_vec(),
    };
    wider(group).iter().any(|group| {
        wider(edge_node).iter().any(|edge_node| {
            devices.iter().any(|device| {
                let other = (group.clone(), edge_node.clone(), device.clone());
                other != *names && needed.contains(&other)
            })
        })
    })
}

fn filters((group, edge_node, device): &Names) -> Vec<String> {
    let group = text(group);
    let edge_node = text(edge_node);
    match device {
        None => NODE_TYPES.map(|kind| format!("spBv1.0/{group}/{kind}/{edge_node}")).to_vec(),
        Some(device) => {
            let device = text(device);
            DEVICE_TYPES.map(|kind| format!("spBv1.0/{group}/{kind}/{edge_node}/{device}")).to_vec()
        }
    }
}

fn text(level: &Level) -> &str {
    level.name().unwrap_or("+")
}

/// Those of `others` that no filter of `own` takes in. Filters are as [`subscriptions`] makes them.
pub(crate) fn beside(own: &[String], others: Vec<String>) -> Vec<String> {
    let own: BTreeSet<&str> = own.iter().map(String::as_str).collect();
    let is_taken_in = |filter: &String| {
        // Namespace and message type are as they are.
        let is_name = |level: usize| level != 0 && level != 2;
        let mut wider = vec![String::new()];
        for (level, name) in filter.split('/').enumerate() {
            let names: &[&str] = if is_name(level) { &[name, "+"] } else { &[name] };
            let longer = |begin: &String| {
                let begin = if level == 0 { String::new() } else { format!("{begin}/") };
                names.iter().map(move |name| format!("{begin}{name}")).collect::<Vec<String>>()
            };
            wider = wider.iter().flat_map(longer).collect();
        }
        wider.iter().any(|filter| own.contains(filter.as_str()))
    };
    others.into_iter().filter(|other| !is_taken_in(other)).collect()
}
