//! What happens when there is more data than the limits let through: who waits, and whose turn
//! it is.
//!
//! ```text
//!  data ──> rule's limit ──> node's limit ──> link's limit ──> forwarded
//!               │                 │                │
//!               └─────────────────┴── refused ─────┘
//!                                       │
//!            on-excess = "drop": gone   └── "conflate": held in the metric's slot
//!
//!  tick ──> high priority, then the rest: node by node in turn, as far as the limits let them
//! ```
//!
//! Values that come before the interval of their metric is over wait in the same way, and so that
//! the newest is never lost.
//!
//! Births and deaths never come here; what they take of the limits that nodes share, data has
//! to do without.
//!
//! Where the link is full, nodes take turns (deficit round robin): in each round a node may forward
//! one message and `QUANTUM_BYTES` bytes more. A node that has nothing waiting takes what room
//! there is at once, so that who sends little isn't delayed by who floods. Each metric holds one
//! value at most, so that no flood fills the memory.

use account::{Fate, Origin, Reason, RuleId, What};
use mistake::mistake;
use policy::{OnExcess, Priority, Share};
use prost::Message;
use sparkplug::{Entity, Value};

use super::encode::METRIC_BYTES;
use super::item::{Item, Passage};
use super::notify;
use super::step::StepContext;
use crate::plant::{Definitions, EntityState, Held, Node, Removed, Slot, allowance, held_bytes};

impl StepContext<'_> {
    /// Lets through what the limits have room for; the rest is held or dropped.
    pub(super) fn limit(
        &mut self,
        node: &mut Node,
        device: Option<&str>,
        items: Vec<Item>,
        passage: &mut Passage,
    ) -> Vec<Item> {
        let (early, items): (Vec<Item>, Vec<Item>) = if items.iter().any(|item| item.early) {
            items.into_iter().partition(|item| item.early)
        } else {
            (Vec::new(), items)
        };
        self.hold(node, device, early, passage);
        let items = self.within_output(node, device, items, passage);
        let limited =
            self.limiter.is_shared() || items.iter().any(|item| self.limiter.limits(item.rule));
        if !limited {
            return items;
        }
        let (high, normal): (Vec<Item>, Vec<Item>) =
            items.into_iter().partition(|item| self.priority(item.rule) == Priority::High);
        let mut passed = self.limit_class(node, device, Priority::High, high, passage);
        passed.extend(self.limit_class(node, device, Priority::Normal, normal, passage));
        passed
    }

    /// Lets through what may be written for the node; the rest is held.
    fn within_output(
        &mut self,
        node: &mut Node,
        device: Option<&str>,
        items: Vec<Item>,
        passage: &mut Passage,
    ) -> Vec<Item> {
        if node.output.affords(self.settings.caps.relayed_bytes()) {
            return items;
        }
        let mut sum = METRIC_BYTES;
        let (passed, refused) = items.into_iter().partition(|item| {
            let with = sum.saturating_add(written(node, device, item));
            let fits = node.output.affords(with);
            if fits {
                sum = with;
            }
            fits
        });
        self.refuse(node, device, refused, OnExcess::Conflate, Reason::Amplification, passage);
        passed
    }

    fn limit_class(
        &mut self,
        node: &mut Node,
        device: Option<&str>,
        class: Priority,
        items: Vec<Item>,
        passage: &mut Passage,
    ) -> Vec<Item> {
        if items.is_empty() {
            return items;
        }
        // No value overtakes what waits already.
        let [alarms, others] = node.queue.waits;
        let behind = match class {
            Priority::High => alarms,
            Priority::Normal => alarms || others || self.overload.alarms,
        };
        if behind {
            let reason =
                if self.limiter.limits_link() { Reason::LinkRate } else { Reason::NodeRate };
            self.refuse(node, device, items, OnExcess::Conflate, reason, passage);
            return Vec::new();
        }
        if node.queue.buckets.is_none() {
            node.queue.buckets = self.limiter.node_buckets();
        }
        self.limiter.begin(self.now.mono);
        let passed = self.within_rules(node, device, items, passage);
        if passed.is_empty() || !self.limiter.is_shared() {
            return passed;
        }
        let bytes = bytes(node, device, passed.iter());
        let messages = u32::from(!passage.counted);
        let node_buckets = node.queue.buckets.clone();
        let asked = self
            .limiter
            .ask_node(node_buckets.as_ref(), messages, bytes)
            .map_err(|excess| (excess, Reason::NodeRate))
            .and_then(|()| {
                let link = self.limiter.ask_link(messages, bytes);
                link.map_err(|excess| (excess, Reason::LinkRate))
            });
        let Err((excess, reason)) = asked else {
            passage.counted = true;
            return passed;
        };
        self.limiter.give_back();
        if excess == OnExcess::Conflate {
            set_waits(node, class, true);
            self.overload.alarms |= class == Priority::High && reason == Reason::LinkRate;
        }
        self.refuse(node, device, passed, excess, reason, passage);
        Vec::new()
    }

    /// Lets through what the limits of rules have room for: the values of a rule together, or one by
    /// one where each metric has a limit.
    fn within_rules(
        &mut self,
        node: &mut Node,
        device: Option<&str>,
        items: Vec<Item>,
        passage: &mut Passage,
    ) -> Vec<Item> {
        let mut answers: Vec<(RuleId, Result<(), OnExcess>)> = Vec::new();
        let (mut passed, mut held, mut dropped) = (Vec::new(), Vec::new(), Vec::new());
        let of_rules: Vec<(RuleId, u32)> =
            items.iter().map(|item| (item.rule, clamp(written(node, device, item)))).collect();
        for item in items {
            let rule = item.rule;
            let metric = node.state(device).and_then(|state| state.layout.slot(item.slot));
            let metric = metric.map(Slot::name).unwrap_or_default();
            let share = Share { node: node.slot.0, device, metric };
            let known = answers.iter().find(|(known, _)| *known == rule);
            let answer = match known {
                Some((_, answer)) => *answer,
                None if self.limiter.limits_each_metric(rule) => {
                    self.limiter.ask_rule(rule, share, clamp(written(node, device, &item)))
                }
                None => {
                    let of_rule = of_rules.iter().filter(|(other, _)| *other == rule);
                    let bytes = of_rule.fold(0_u32, |sum, (_, bytes)| sum.saturating_add(*bytes));
                    let answer = self.limiter.ask_rule(rule, share, bytes);
                    answers.push((rule, answer));
                    answer
                }
            };
            match answer {
                Ok(()) => passed.push(item),
                Err(OnExcess::Conflate) => held.push(item),
                Err(OnExcess::Drop) => dropped.push(item),
            }
        }
        for (refused, excess) in [(held, OnExcess::Conflate), (dropped, OnExcess::Drop)] {
            self.refuse(node, device, refused, excess, Reason::Rate, passage);
        }
        passed
    }

    /// Drops or holds what a limit refused.
    fn refuse(
        &mut self,
        node: &mut Node,
        device: Option<&str>,
        refused: Vec<Item>,
        excess: OnExcess,
        reason: Reason,
        passage: &mut Passage,
    ) {
        if refused.is_empty() {
            return;
        }
        let Some(parts) = node.parts(device) else {
            return mistake!("values of a device that the node hasn't");
        };
        let mut held = Vec::new();
        for item in refused {
            passage.refused = Some((reason, item.rule));
            // Late values are no news: there is nothing that they could be conflated with.
            if excess == OnExcess::Drop || item.historical {
                let name = parts.state.layout.slot(item.slot).map(|slot| slot.name());
                let what = What::Metric(name.unwrap_or_default());
                self.drop(parts.origin, what, reason, Some(item.rule));
            } else {
                held.push(item);
            }
        }
        self.hold(node, device, held, passage);
    }

    /// Keeps values until their turn.
    fn hold(
        &mut self,
        node: &mut Node,
        device: Option<&str>,
        items: Vec<Item>,
        passage: &mut Passage,
    ) {
        let Some(parts) = node.parts(device) else {
            return mistake!("values of a device that the node hasn't");
        };
        let mut shortage = None;
        for item in items {
            let layout = &parts.state.layout;
            let before = layout.slot(item.slot).and_then(Slot::held);
            let adds = before.is_some_and(|before| before.may_have_more_than(&item.metric));
            let lets_go = if adds { 0 } else { layout.held_bytes(item.slot) };
            let more = held_bytes(&item.metric).saturating_sub(lets_go);
            if let Err(short) = self.room.check(parts.bytes_with(more)) {
                let name = layout.slot(item.slot).map(Slot::name).unwrap_or_default();
                let (what, rule) = (What::Metric(name), Some(item.rule));
                self.drop(parts.origin, what, Reason::OverMemory, rule);
                shortage = Some(short);
                continue;
            }
            let ticket = *passage.ticket.get_or_insert_with(|| parts.state.backlog.ticket());
            if before.is_none_or(|before| before.ticket != ticket) {
                passage.held = passage.held.saturating_add(1);
            }
            let losses = item.losses(parts.losses);
            let held = Held::new(item.metric, ticket, item.early, losses);
            let held = match self.supersede(parts.origin, parts.state, item.slot, item.rule) {
                Some(earlier) if adds => follow(parts.definitions, *earlier, held),
                _ => held,
            };
            parts.state.layout.hold(item.slot, held);
            let Some(slot) = parts.state.layout.slot(item.slot) else {
                mistake!("a metric that was judged and has no slot");
                continue;
            };
            parts.state.holds = true;
            // No data can have a metric that isn't born; the birth that is due has its value.
            parts.state.birth_due |= !slot.is_born();
        }
        if let Some(shortage) = shortage {
            self.doubt_for(node, device, shortage);
        }
    }

    /// What became of the message, given what became of those of its values that passed.
    pub(super) fn settle_passage(
        &mut self,
        node: &mut Node,
        device: Option<&str>,
        passage: &Passage,
        fate: Fate,
    ) -> Fate {
        if let (Some((reason, rule)), Some(_)) = (passage.refused, passage.ticket) {
            let rule = self.policy.rule(rule);
            notify::limited(reason, rule, Entity { device, ..node.entity() });
        }
        match (fate, passage.ticket, node.state_mut(device)) {
            (Fate::Dropped(_) | Fate::DroppedBy(..), Some(ticket), Some(state)) => {
                state.backlog.wait(ticket, passage.held);
                Fate::Waiting
            }
            _ => fate,
        }
    }

    /// A newer value takes the place of the one that waits in this slot; that one.
    pub(super) fn supersede(
        &mut self,
        origin: Origin<'_>,
        state: &mut EntityState,
        place: usize,
        rule: RuleId,
    ) -> Option<Box<Held>> {
        let held = state.layout.slot(place).and_then(Slot::held)?;
        let reason = if held.early { Reason::Interval } else { Reason::Conflated };
        self.lose_held(origin, state, place, (reason, Some(rule)))
    }

    /// The value that waits in this slot won't be forwarded; that one.
    pub(super) fn lose_held(
        &mut self,
        origin: Origin<'_>,
        state: &mut EntityState,
        place: usize,
        (reason, rule): (Reason, Option<RuleId>),
    ) -> Option<Box<Held>> {
        let held = state.layout.take_held(place)?;
        let Some(slot) = state.layout.slot(place) else {
            mistake!("a held value without a slot");
            return None;
        };
        self.drop(origin, What::Metric(slot.name()), reason, rule);
        if state.backlog.lose(held.ticket) {
            self.ledger.settle_waiting(origin, 1, Fate::DroppedBy(reason, rule));
        }
        Some(held)
    }

    pub(super) fn priority(&self, rule: RuleId) -> Priority {
        self.policy.rule(rule).map(|rule| rule.priority()).unwrap_or_default()
    }
}

/// A value that takes the place of an earlier one, with what it doesn't have itself: data may have
/// only what changed. Of what came before a loss nothing is taken over.
pub(super) fn follow(definitions: &Definitions, earlier: Held, newer: Held) -> Held {
    if earlier.losses != newer.losses {
        return newer;
    }
    let was_null = earlier.metric.value.is_none();
    let mut held = newer.after(earlier);
    if let Some(Value::Template(instance)) = held.metric.value.as_mut().filter(|_| was_null) {
        // The members that it lacks are null, and readers have other values of them.
        let mut left = allowance(instance.encoded_len());
        if !definitions.fill(instance, &Removed::new(), &mut left) {
            (held.metric.value, held.metric.is_null) = (None, Some(true));
        }
        held.recount();
    }
    held
}

pub(super) fn set_waits(node: &mut Node, class: Priority, waits: bool) {
    let [high, normal] = &mut node.queue.waits;
    match class {
        Priority::High => *high = waits,
        Priority::Normal => *normal = waits,
    }
}

pub(super) fn clamp(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// What the metrics take with their names, by which they cross.
fn bytes<'a>(node: &Node, device: Option<&str>, items: impl Iterator<Item = &'a Item>) -> u32 {
    let sum = items.fold(0_usize, |sum, item| sum.saturating_add(written(node, device, item)));
    clamp(sum)
}

/// What one metric takes with its name.
fn written(node: &Node, device: Option<&str>, item: &Item) -> usize {
    let slot = node.state(device).and_then(|state| state.layout.slot(item.slot));
    let name = slot.map_or(0, |slot| slot.exported_name().len());
    name.saturating_add(item.metric.encoded_len())
}
