//! Rules that let everything of every edge node cross, each by itself or several together.

use policy::glob::Glob;
use policy::rule::filter::Reach;
use policy::{Action, Mode, Rule};
use sparkplug::DataType;

use super::containment::take_all;
use super::never_opens;

/// The own metrics of every edge node, or those of every device: which of them some rules forward.
#[derive(Default)]
struct Taken<'a> {
    all: bool,
    globs: Vec<&'a Glob>,
    by: Vec<&'a Rule>,
}

impl<'a> Taken<'a> {
    fn add(&mut self, rule: &'a Rule) {
        let Some(globs) = rule.forwarded() else { return };
        self.all |= globs.is_empty();
        self.globs.extend(globs);
        self.by.push(rule);
    }

    fn is_everything(&self) -> bool {
        self.all || take_all(&self.globs, true)
    }
}

/// The rules that forward all metrics of all edge nodes and devices: each one that does by itself, or
/// the ones that do together.
pub(super) fn forward_everything(rules: &[Rule], now_ms: u64) -> Vec<Vec<&Rule>> {
    let alone: Vec<Vec<&Rule>> = rules
        .iter()
        .filter(|rule| !never_opens(rule, now_ms))
        .filter(|rule| takes_everything(std::iter::once(*rule)).is_some())
        .map(|rule| vec![rule])
        .collect();
    match alone.is_empty() {
        // At the same time: those that are in force from some time on for ever.
        true => takes_everything(rules.iter().filter(stays)).into_iter().collect(),
        false => alone,
    }
}

fn stays(rule: &&Rule) -> bool {
    rule.schedule().is_none_or(|one| one.not_after_ms.is_none() && one.weekly.is_none())
}

/// The rules that have a part in it, in their order.
fn takes_everything<'a>(rules: impl Iterator<Item = &'a Rule>) -> Option<Vec<&'a Rule>> {
    let (mut own, mut devices) = (Taken::default(), Taken::default());
    for rule in rules.filter(|rule| forwards_every_datatype(rule)) {
        let (of_nodes, of_devices) = reach(rule);
        if of_nodes {
            own.add(rule);
        }
        if of_devices {
            devices.add(rule);
        }
    }
    if !own.is_everything() || !devices.is_everything() {
        return None;
    }
    let mut by = own.by;
    by.extend(
        devices
            .by
            .into_iter()
            .filter(|rule| !by.iter().any(|one| one.name() == rule.name()))
            .collect::<Vec<_>>(),
    );
    Some(by)
}

fn forwards_every_datatype(rule: &Rule) -> bool {
    rule.action() == Action::Forward
        && rule.mode() == Mode::Enforce
        && rule
            .datatypes()
            .is_none_or(|types| DataType::of_metrics().all(|datatype| types.contains(datatype)))
}

/// Whether a rule is about the own metrics of every edge node, and about every device.
fn reach(rule: &Rule) -> (bool, bool) {
    let selectors = rule.selectors();
    let every = |globs: &Option<Vec<Glob>>| match globs {
        None => true,
        Some(globs) => take_all(&globs.iter().collect::<Vec<_>>(), false),
    };
    if !every(&selectors.groups) || !every(&selectors.edge_nodes) {
        return (false, false);
    }
    let (mut of_nodes, mut of_devices) = (selectors.topics.is_none(), selectors.topics.is_none());
    for topic in selectors.topics.iter().flatten() {
        if topic.group.name().is_some() || topic.edge_node.name().is_some() {
            continue;
        }
        match &topic.reach {
            Reach::Node => of_nodes = true,
            Reach::All => (of_nodes, of_devices) = (true, true),
            Reach::Devices(level) => of_devices |= level.name().is_none(),
        }
    }
    (
        of_nodes && selectors.devices.is_none(),
        of_devices && !selectors.node_only && every(&selectors.devices),
    )
}
