//! Values of data that couldn't be used: what readers have of those metrics isn't what the plant has
//! any more. They are told null with Quality 0 (bad), and the next value makes it good again.
//!
//! It is told by a message of the relay's own; the plant's is counted as what it is.

use std::collections::HashMap;

use account::{Reason, RuleId, What};
use foldhash::fast::RandomState;
use mistake::mistake;
use policy::shape::set_bad;
use sparkplug::Metric;

use super::encode::DataWriter;
use super::item::{Item, Passage};
use super::sequence::Late;
use super::shape;
use super::step::{DataSource, StepContext};
use crate::plant::{Node, RefusedMetrics, Unfit};

/// The metrics of one message whose values couldn't be used.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    /// Whether the message may be older than what is known.
    late: Late,
    /// The time of the message, where it has one.
    dated: Option<u64>,
    /// For the log.
    pub(super) told: RefusedMetrics,
    /// What was taken out of its templates.
    pub(super) unfit: Unfit,
    /// The first value whose content a rule refuses, for the log.
    pub(super) ruled_out: Option<(usize, Reason, RuleId)>,
    slots: Vec<Doubt>,
}

#[derive(Debug)]
struct Doubt {
    slot: usize,
    /// In milliseconds since the epoch, where it has one.
    timestamp: Option<u64>,
    reason: Reason,
    /// So many usable values came before it in the message.
    behind: usize,
}

impl Doubts {
    /// None yet, of a message with this time, if it has one.
    pub(super) fn new(late: Late, dated: Option<u64>) -> Doubts {
        Doubts { late, dated, ..Doubts::default() }
    }

    /// Doubts what is known of the metric in `slot`. `behind`: so many values of the message came
    /// before it.
    pub(super) fn add(&mut self, slot: usize, metric: &Metric, reason: Reason, behind: usize) {
        if !shape::passes_by(metric) {
            self.slots.push(Doubt { slot, timestamp: metric.timestamp, reason, behind });
        }
    }

    /// Leaves out the doubts behind which the same message had a value that can be used.
    pub(super) fn forget_superseded(&mut self, items: &[Item]) {
        if self.slots.is_empty() {
            return;
        }
        let current = items.iter().enumerate().filter(|(_, item)| !item.historical);
        let newest: HashMap<usize, usize, RandomState> =
            current.map(|(place, item)| (item.slot, place)).collect();
        let is_newest =
            |doubt: &Doubt| newest.get(&doubt.slot).is_none_or(|place| *place < doubt.behind);
        self.slots.retain(is_newest);
    }
}

impl StepContext<'_> {
    /// Takes the values back that readers have, if they are any.
    pub(super) fn tell_doubts(
        &mut self,
        node: &mut Node,
        device: Option<&str>,
        doubts: Doubts,
        timestamp: u64,
        passage: &mut Passage,
    ) {
        if doubts.slots.is_empty() {
            return;
        }
        let Some(parts) = node.parts(device) else {
            return mistake!("data of a device that the node hasn't");
        };
        let is_announced = parts.state.life.is_announced();
        let limit = self.settings.caps.relayed_bytes();
        let mut payload = DataWriter::new(timestamp, doubts.slots.len(), limit, None);
        let mut permit = None;
        for doubt in doubts.slots {
            let Some(slot) = parts.state.layout.slot(doubt.slot) else {
                mistake!("a metric that was found and has no slot");
                continue;
            };
            let dated = doubt.timestamp.or(doubts.dated);
            if doubts.late.is_older(dated, slot.current.timestamp) {
                continue;
            }
            let timestamp = doubt.timestamp.unwrap_or(timestamp);
            let is_told = is_announced && slot.is_born() && slot.is_forwarded();
            let has_value = slot.current.value.is_some();
            let mut metric =
                Metric { timestamp: Some(timestamp), is_null: Some(true), ..Metric::default() };
            let cause = (doubt.reason, None);
            match slot.held().map(|held| Some(held.ticket) == passage.ticket) {
                None => {}
                // Of this message, which isn't settled yet.
                Some(true) => {
                    let what = What::Metric(slot.name());
                    self.drop(parts.origin, what, doubt.reason, None);
                    let _ = parts.state.layout.take_held(doubt.slot);
                    passage.held = passage.held.saturating_sub(1);
                    passage.ticket = passage.ticket.filter(|_| passage.held > 0);
                }
                Some(false) => {
                    self.lose_held(parts.origin, parts.state, doubt.slot, cause);
                }
            }
            parts.state.layout.update(doubt.slot, &metric);
            let Some(slot) = parts.state.layout.slot_mut(doubt.slot) else { continue };
            slot.mark_nulled();
            if !is_told || !has_value {
                continue;
            }
            set_bad(&mut metric);
            if payload.metric((slot.exported_name(), None), &metric) {
                permit = permit.or_else(|| slot.verdict().permit());
            } else {
                // The birth that is due says it.
                parts.state.birth_due = true;
            }
        }
        if let (Some(permit), Some(payload)) = (permit, payload.finish()) {
            self.relay_data(node, device, permit, payload, DataSource::Relay, false);
        }
    }
}
