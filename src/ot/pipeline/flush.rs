//! Whose turn it is: values that limits and intervals held back, node by node, as far as the limits
//! let them.

use account::{Fate, Reason, RuleId};
use mistake::mistake;
use policy::{Permit, Priority, Share, Verdict};
use prost::Message;
use sparkplug::Value;

use super::encode::METRIC_BYTES;
use super::item::Item;
use super::limits::{clamp, set_waits};
use super::shape;
use super::step::{DataSource, StepContext};
use super::timers::TICK_WORK;
use crate::plant::{Held, Node, Plant, Removed, Slot, allowance};

/// Bytes that a node may forward beyond those of earlier turns, each time it is its turn.
const QUANTUM_BYTES: usize = 16 * 1024;

/// What came of a node's or an entity's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Nothing waits that could be forwarded.
    Done,
    /// Something was forwarded.
    Forwarded,
    /// What is next takes more credit.
    Poor,
    /// The limit of the node is reached.
    NodeFull,
    /// The limit of the link is reached.
    LinkFull,
}

impl StepContext<'_> {
    /// Journals the newest values that limits held back, as far as the limits let them, until enough
    /// was done; false: there is more to do at once.
    pub(super) fn flush(&mut self, plant: &mut Plant) -> bool {
        let end = self.work.saturating_add(TICK_WORK);
        let mut full = false;
        // Credit is not saved up for longer than one message of any size takes.
        let most_credit = self.settings.caps.relayed_bytes();
        for class in [Priority::High, Priority::Normal] {
            let mut ring = ring(plant, self.overload.next);
            // Ends: in every round a node forwards something of what it has, or saves for its next
            // message, or is left out.
            while !ring.is_empty() && !full {
                let mut next_ring = Vec::with_capacity(ring.len());
                for index in ring {
                    if *self.work >= end {
                        self.overload.next = index;
                        return false;
                    }
                    let Some(node) = plant.node_mut(index) else {
                        mistake!("a place without a node");
                        continue;
                    };
                    let credit = node.queue.credit.saturating_add(QUANTUM_BYTES);
                    node.queue.credit = credit.min(most_credit);
                    match self.flush_node(node, class) {
                        Step::Forwarded | Step::Poor => next_ring.push(index),
                        Step::Done => {
                            set_waits(node, class, false);
                            node.queue.credit = 0;
                        }
                        Step::NodeFull => set_waits(node, class, true),
                        Step::LinkFull => {
                            set_waits(node, class, true);
                            self.overload.next = index;
                            full = true;
                            break;
                        }
                    }
                }
                ring = next_ring;
            }
            if class == Priority::High {
                self.overload.alarms = full;
            }
        }
        true
    }

    /// Forwards one message of a node, of the entity whose turn it is.
    fn flush_node(&mut self, node: &mut Node, class: Priority) -> Step {
        if node.queue.buckets.is_none() {
            node.queue.buckets = self.limiter.node_buckets();
        }
        let own = node.own.holds.then_some(None);
        let devices = node.devices.iter().filter(|(_, state)| state.holds);
        let mut entities: Vec<Option<Box<str>>> =
            own.into_iter().chain(devices.map(|(name, _)| Some(name.clone()))).collect();
        if let Some(last) = &node.queue.last {
            let behind = entities.iter().position(|entity| entity > last).unwrap_or(0);
            entities.rotate_left(behind);
        }
        for entity in entities {
            match self.flush_entity(node, entity.as_deref(), class) {
                Step::Done => {}
                Step::Forwarded => {
                    node.queue.last = Some(entity);
                    return Step::Forwarded;
                }
                step => return step,
            }
        }
        Step::Done
    }

    fn flush_entity(&mut self, node: &mut Node, device: Option<&str>, class: Priority) -> Step {
        if !node.state(device).is_some_and(|state| state.life.is_announced()) {
            // Readers hold it for dead; its next birth has its values.
            return Step::Done;
        }
        let (mut chosen, mut left) = self.waiting_values(node, device, class);
        if chosen.is_empty() {
            if let Some(state) = node.state_mut(device) {
                state.holds = left > 0;
            }
            return Step::Done;
        }
        let all = chosen.len();
        node.output.pass(self.now.mono);
        let mut sum_of_all = METRIC_BYTES;
        let affordable = chosen.iter().take_while(|value| {
            sum_of_all = sum_of_all.saturating_add(value.bytes);
            node.output.affords(sum_of_all)
        });
        let affordable = affordable.count();
        if affordable == 0 {
            // Not even for the entity that is next: whatever it has would be too much.
            return Step::Done;
        }
        chosen.truncate(affordable);
        if self.limiter.limits_link() {
            let mut sum = 0_usize;
            let fits = chosen.iter().take_while(|value| {
                sum = sum.saturating_add(value.bytes);
                sum <= node.queue.credit
            });
            let fits = fits.count();
            if fits == 0 {
                return Step::Poor;
            }
            chosen.truncate(fits);
        }
        self.limiter.begin(self.now.mono);
        let mut rules: Vec<RuleId> = chosen.iter().map(|value| value.rule).collect();
        rules.sort_unstable();
        rules.dedup();
        let layout = node.state(device).map(|state| &state.layout);
        let name = |place: usize| {
            layout.and_then(|layout| layout.slot(place)).map(Slot::name).unwrap_or_default()
        };
        let share = |metric| Share { node: node.slot.0, device, metric };
        let limiter = &mut *self.limiter;
        for rule in rules {
            if limiter.limits_each_metric(rule) {
                chosen.retain(|value| {
                    let share = share(name(value.place));
                    value.rule != rule || limiter.ask_rule(rule, share, clamp(value.bytes)).is_ok()
                });
                continue;
            }
            let bytes = sum(chosen.iter().filter(|value| value.rule == rule));
            if limiter.ask_rule(rule, share(""), clamp(bytes)).is_err() {
                chosen.retain(|value| value.rule != rule);
            }
        }
        if chosen.is_empty() {
            return Step::Done;
        }
        let bytes = sum(chosen.iter());
        let buckets = node.queue.buckets.clone();
        if self.limiter.ask_node(buckets.as_ref(), 1, clamp(bytes)).is_err() {
            self.limiter.give_back();
            return Step::NodeFull;
        }
        if self.limiter.ask_link(1, clamp(bytes)).is_err() {
            self.limiter.give_back();
            return Step::LinkFull;
        }
        node.queue.credit = node.queue.credit.saturating_sub(bytes);
        left = left.saturating_add(all).saturating_sub(chosen.len());
        self.forward_waiting(node, device, &chosen);
        if let Some(state) = node.state_mut(device) {
            state.holds = left > 0;
        }
        Step::Forwarded
    }

    /// The values of an entity that wait and can be forwarded, and how many others wait. Those that
    /// don't cross any more are dropped.
    fn waiting_values(
        &mut self,
        node: &mut Node,
        device: Option<&str>,
        class: Priority,
    ) -> (Vec<Waiting>, usize) {
        let mut chosen = Vec::new();
        let mut left = 0_usize;
        let mut lost = Vec::new();
        let Some(parts) = node.parts(device) else {
            mistake!("a device with values that the node hasn't");
            return (chosen, left);
        };
        for (place, slot) in parts.state.layout.slots.iter().enumerate() {
            let Some(held) = slot.held() else { continue };
            let rule = match slot.verdict() {
                Verdict::Forward { rule, .. } => rule,
                Verdict::Redact { rule, .. } => {
                    lost.push((place, (Reason::Redacted, Some(rule))));
                    continue;
                }
                Verdict::Drop { reason, rule } => {
                    lost.push((place, (reason, rule)));
                    continue;
                }
            };
            let lacks_type = matches!(held.metric.value, Some(Value::Template(_)))
                && !slot
                    .definition
                    .as_ref()
                    .is_some_and(|name| parts.announced_types.contains(&**name));
            let due = shape::is_due(slot, self.now);
            if !slot.is_born() || lacks_type || !due || self.priority(rule) != class {
                left = left.saturating_add(1);
                continue;
            }
            let bytes = slot.name().len().saturating_add(held.metric.encoded_len());
            let Some(permit) = slot.verdict().permit() else {
                mistake!("a verdict that forwards without leave");
                continue;
            };
            chosen.push(Waiting { place, rule, permit, bytes });
        }
        for (place, cause) in lost {
            // It is the newest one, which the same policy at another time, or another one, may show.
            if let Some(held) = self.lose_held(parts.origin, parts.state, place, cause)
                && parts.state.layout.slot(place).is_some_and(Slot::keeps)
            {
                parts.state.layout.update(place, &held.metric);
            }
        }
        let next = parts.state.backlog.next;
        let behind = chosen.partition_point(|value| value.place < next);
        chosen.rotate_left(behind);
        (chosen, left)
    }

    fn forward_waiting(&mut self, node: &mut Node, device: Option<&str>, values: &[Waiting]) {
        let Some(parts) = node.parts(device) else {
            return mistake!("a device with values that the node hasn't");
        };
        let last = values.last().map_or(0, |value| value.place);
        parts.state.backlog.next = last.saturating_add(1);
        let is_uncertain = parts.state.life.is_uncertain();
        let (mut current, mut outdated) = (Vec::with_capacity(values.len()), Vec::new());
        for Waiting { place, rule, permit, .. } in values {
            let layout = &mut parts.state.layout;
            let Some(held) = layout.take_held(*place) else {
                mistake!("a chosen value that nothing holds");
                continue;
            };
            let Some(slot) = layout.slot_mut(*place) else {
                mistake!("a chosen value without a slot");
                continue;
            };
            let Held { mut metric, ticket, losses, .. } = *held;
            let restores = shape::restores(slot, &metric, self.policy.pseudonyms());
            let is_null = restores || slot.current.value.is_none();
            if let Some(Value::Template(instance)) = metric.value.as_mut().filter(|_| is_null) {
                // Readers have no instance that these members could be of: it has to be whole.
                let mut left = allowance(instance.encoded_len());
                if !parts.definitions.fill(instance, &Removed::new(), &mut left) {
                    (metric.value, metric.is_null) = (None, Some(true));
                }
            }
            shape::forwarded(slot, &metric, parts.losses, self.now);
            layout.update(*place, &metric);
            // What is newer may be among what was lost since it came.
            let is_outdated = is_uncertain && losses != Held::modulo(parts.losses);
            let items = if is_outdated { &mut outdated } else { &mut current };
            items.push(Item {
                slot: *place,
                metric,
                historical: false,
                rule: *rule,
                permit: *permit,
                restores,
                early: false,
                outdated: is_outdated,
                unborn: false,
            });
            if parts.state.backlog.forward(ticket) {
                self.ledger.settle_waiting(parts.origin, 1, Fate::Forwarded);
            }
        }
        node.count(device);
        let now_ms = self.now.wall_ms;
        for (items, source) in [(outdated, DataSource::Outdated), (current, DataSource::Relay)] {
            if !items.is_empty() {
                let _ = self.journal_data(node, device, items, now_ms, source);
            }
        }
    }
}

/// A value that waits and can be forwarded.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    place: usize,
    rule: RuleId,
    permit: Permit,
    bytes: usize,
}

/// The live nodes that hold something, from the one whose turn it is. A node that hasn't heard all
/// news hears them first.
fn ring(plant: &Plant, next: usize) -> Vec<usize> {
    let holds = |node: &Node| {
        node.own.life.is_alive()
            && node.news_heard == plant.told()
            && (node.own.holds || node.devices.values().any(|device| device.holds))
    };
    let holding = plant.nodes().iter().enumerate().filter(|(_, node)| holds(node));
    let mut ring: Vec<usize> = holding.map(|(index, _)| index).collect();
    let behind = ring.partition_point(|index| *index < next);
    ring.rotate_left(behind);
    ring
}

fn sum<'a>(values: impl Iterator<Item = &'a Waiting>) -> usize {
    values.fold(0, |sum, value| sum.saturating_add(value.bytes))
}
