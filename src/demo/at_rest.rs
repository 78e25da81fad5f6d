//! Both sides at rest: what the plant published beside what the host knows.

use std::collections::BTreeMap;

use sparkplug::Value;

use super::host::{Host, NodeView};
use super::plant::{COUNT, NodeReport, NodeSpec, Reports, Treatment};

/// Both sides compared while nothing moves.
#[derive(Debug, Default)]
pub(super) struct AtRest {
    /// Edge nodes and devices whose births aren't what the policy lets through.
    pub(super) births_wrong: Vec<String>,
    pub(super) births: usize,
    /// Data messages: published by nodes without a limit, and seen of them.
    pub(super) data: (u64, u64),
    /// Of these: neither seen nor part of a birth; seen twice.
    pub(super) lost: u64,
    pub(super) repeated: u64,
    /// Not seen in their turn, and as history later.
    pub(super) made_up: u64,
    /// The same of nodes with a limit.
    pub(super) limited: (u64, u64),
    pub(super) values_wrong: Vec<String>,
    pub(super) values: usize,
}

/// Whether IT has seen what it will see: everything alive, every value reported.
pub(super) fn is_at_rest(
    nodes: &[NodeSpec],
    reports: &Reports,
    seen: &BTreeMap<String, NodeView>,
) -> bool {
    nodes.iter().filter(|node| node.treatment != Treatment::Denied).all(|node| {
        let (Some(report), Some(view)) = (reports.get(node.name), seen.get(node.name)) else {
            return false;
        };
        let Some(values) = &report.values else { return false };
        // The counts are the last that a message changes.
        let complete = node.treatment == Treatment::Limited
            || values
                .iter()
                .filter(|((_, name), _)| name == COUNT)
                .all(|((device, _), count)| view.value(*device, COUNT) == Some(count));
        report.alive && view.alive && view.devices() == node.devices.len() && complete
    })
}

/// Compares what the plant published with what the host knows.
pub(super) fn compare(nodes: &[NodeSpec], reports: &Reports, host: &Host) -> AtRest {
    let mut rest = AtRest::default();
    let nothing = NodeReport::default();
    for node in nodes.iter().filter(|node| node.treatment != Treatment::Denied) {
        let report = reports.get(node.name).unwrap_or(&nothing);
        let seen = host.nodes().get(node.name);
        let data = match node.treatment {
            Treatment::Limited => &mut rest.limited,
            _ => &mut rest.data,
        };
        data.0 = data.0.saturating_add(report.data);
        data.1 = data.1.saturating_add(seen.map_or(0, |view| view.data));
        if node.treatment == Treatment::Forwarded {
            rest.lost = rest.lost.saturating_add(seen.map_or(0, |view| view.lost()));
            rest.made_up = rest.made_up.saturating_add(seen.map_or(0, NodeView::made_up));
            rest.repeated = rest.repeated.saturating_add(seen.map_or(0, |view| view.repeated));
        }
        for (device, names) in node.visible() {
            rest.births = rest.births.saturating_add(1);
            let born = seen.and_then(|view| view.names(device));
            if born.as_ref() != Some(&names) {
                let name =
                    device.map_or(node.name.to_owned(), |device| format!("{}/{device}", node.name));
                let count = born.map_or("not born".to_owned(), |born| born.len().to_string());
                rest.births_wrong.push(format!("{name}: {count} instead of {}", names.len()));
            }
        }
        // Of a node with a limit the last values may be among what was dropped.
        if node.treatment == Treatment::Limited {
            continue;
        }
        for ((device, name), value) in report.values.iter().flat_map(|values| values.iter()) {
            let visible = node.visible();
            if !visible.get(device).is_some_and(|names| names.contains(name.as_str())) {
                continue;
            }
            rest.values = rest.values.saturating_add(1);
            let shown = seen.and_then(|view| view.value(*device, name));
            if !shown.is_some_and(|shown| same(shown, value)) {
                let device = device.unwrap_or_default();
                rest.values_wrong
                    .push(format!("{}/{device} {name}: plant {value:?}, IT {shown:?}", node.name));
            }
        }
    }
    rest
}

/// Whether both are the same value; of templates, whether the members are.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Template(left), Value::Template(right)) => {
            let members = |template: &sparkplug::Template| -> Vec<_> {
                let members = template.metrics.iter();
                members.map(|member| (member.name.clone(), member.value.clone())).collect()
            };
            members(left) == members(right)
        }
        _ => left == right,
    }
}
