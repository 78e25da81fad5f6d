//! Changes of the policy: a new one is loaded, or the time of a rule has come. What readers know is
//! brought in line with it.

use account::{Fate, Reason};
use policy::{Limiter, Policy};

use super::memory::enforce;
use super::overload::Overload;
use super::step::StepContext;
use super::{Entry, Now, Pipeline, notify};
use crate::plant::{EntityState, Node, Numbering, Queue};
use crate::rule_counters::RuleCounters;

impl Pipeline {
    /// Takes over another policy: entities that it doesn't allow any more die, those that it
    /// allows now and those whose layout changes are born anew, with their current values.
    pub fn reload(&mut self, now: Now, mut policy: Policy, out: &mut Vec<Entry>) {
        // By the policy that was: readers haven't heard of it yet.
        out.append(&mut self.reorder.unsent);
        let _ = policy.set_time(self.judged_as_of(now));
        self.limiter = Limiter::new(&policy);
        self.overload = Overload::default();
        self.rule_counters = RuleCounters::new(&policy);
        self.matching_since_ms = now.wall_ms;
        self.ledger.set_rules(policy.rule_names());
        self.policy = policy;
        self.structure_changed = true;
        let (mut step, plant) = self.step(now, out);
        for node in plant.nodes_mut() {
            step.bury_renamed(node);
        }
        for node in plant.nodes_mut() {
            node.queue = Queue::default();
            adjust(&mut step, node);
        }
        enforce(&mut step, plant);
    }

    /// From now on what is handled counts as having come at this time, in milliseconds since the
    /// epoch: rules are open or closed as they were then. A message that had to wait for the disk is
    /// judged by the windows in which it came.
    pub(crate) fn judge_as_of(&mut self, wall_ms: u64) {
        self.as_of = Some(wall_ms);
    }

    fn judged_as_of(&self, now: Now) -> u64 {
        self.as_of.unwrap_or(now.wall_ms)
    }

    /// Opens and closes the rules whose time has come, as if the policy had been reloaded.
    pub(super) fn follow_schedules(&mut self, now: Now, out: &mut Vec<Entry>) {
        let wall_ms = self.judged_as_of(now);
        if self.policy.is_settled(wall_ms) {
            return;
        }
        if self.policy.turns_at(wall_ms) {
            // What waits for its turn came in the windows that were.
            self.finish_waiting(now, out);
        }
        let changed = self.policy.set_time(wall_ms);
        if changed.is_empty() {
            return;
        }
        self.structure_changed = true;
        let (mut step, plant) = self.step(now, out);
        for node in plant.nodes_mut() {
            adjust(&mut step, node);
        }
        enforce(&mut step, plant);
        for rule in changed.into_iter().filter_map(|id| self.policy.rule(id)) {
            notify::turned(rule, wall_ms);
        }
    }
}

/// Brings what readers know of a node in line with the policy in force.
pub(super) fn adjust(step: &mut StepContext<'_>, node: &mut Node) {
    node.numbering = Numbering::Unasked;
    step.forget_strangers(node);
    step.judge_all(node);
    let types_changed = step.refresh_types(node);
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
