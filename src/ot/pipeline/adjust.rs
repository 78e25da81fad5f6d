//! What readers know of a node is brought in line with the policy in force.

use account::{Fate, Reason};

use super::step::StepContext;
use crate::plant::{EntityState, Node, Numbering};

/// Brings what readers know of a node in line with the policy in force.
pub(super) fn adjust(step: &mut StepContext<'_>, node: &mut Node) {
    node.numbering = Numbering::Unasked;
    node.is_named = step.policy.spells_out(&node.group, &node.edge_node);
    step.forget_strangers(node);
    step.rule_counters.be_quiet(true);
    step.judge_all(node);
    let types_changed = step.refresh_types(node);
    step.rule_counters.be_quiet(false);
    let permit = step.permit_node(node).filter(|_| node.own.life.is_alive());
    let Some(permit) = permit else {
        step.bury_node(node, Fate::Dropped(Reason::NoRule));
        return;
    };
    node.own.life.renew(permit);
    let changes = |state: &EntityState| {
        state.reshaped || state.layout.slots.iter().any(|slot| slot.is_born() != slot.is_exported())
    };
    let devices: Vec<Box<str>> = node.devices.keys().cloned().collect();
    for device in &devices {
        match (step.permit_device(node, device), node.devices.get_mut(device)) {
            (Some(permit), Some(state)) => state.life.renew(permit),
            _ => step.bury_device(node, device, Fate::Dropped(Reason::NoRule)),
        }
    }
    let bears_all = !node.own.life.is_announced() || types_changed || changes(&node.own);
    let is_stale = |state: &EntityState| !state.life.is_announced() || changes(state);
    if node.own.life.is_uncertain()
        && (bears_all || node.devices.values().any(|state| is_stale(state)))
    {
        // Readers know which values they saw since the last loss, and see others now: for them it
        // is a loss of its own.
        node.losses = node.losses.saturating_add(1);
        node.next_keyframe = step.now.mono;
    }
    if bears_all {
        step.announce_all(node, permit, None);
    } else {
        for device in &devices {
            if node.state(Some(device)).is_some_and(is_stale)
                && let Some(permit) = step.permit_device(node, device)
            {
                step.announce_device(node, device, permit, true);
            }
        }
    }
}
