//! The fast path of data: scalars that a rule forwards as they are, from what was read to the
//! payload that crosses, without a model between them.
//!
//! It is a shortcut of [`super::data`] and nothing else. A message takes it if all of its metrics
//! may ([`Slot::is_eligible`](crate::plant::Slot::is_eligible)); otherwise the whole message
//! goes the long way. A property test drives plants through both, and expects the same journal,
//! the same account and the same state.

use account::Fate;
use mistake::mistake;
use policy::{Permit, Verdict};
use sparkplug::{DataType, NotScalars, ScalarMetric};

use super::decode::ScalarPayload;
use super::encode::{DataPayload, Form, METRIC_BYTES, scalar};
use super::step::{DataSource, StepContext};
use crate::plant::{EntityState, Node, Slot};

/// What becomes of a data message on the fast path.
struct Plan {
    permit: Permit,
    payload: DataPayload,
    /// The slot of each metric.
    places: Vec<usize>,
}

impl StepContext<'_> {
    /// Takes a message that isn't late the fast way; `None`: it has to go the long way, and
    /// nothing was done.
    pub(super) fn fast_path(
        &mut self,
        node: &mut Node,
        device: Option<&str>,
        data: &ScalarPayload<'_>,
    ) -> Option<Fate> {
        if !node.own.life.is_alive() || node.types_due || self.limiter.is_shared() {
            return None;
        }
        let timestamp = data.timestamp.unwrap_or(self.now.wall_ms);
        let state = node.state_mut(device)?;
        state.is_typed = data.metrics.first().is_some_and(|metric| metric.datatype.is_some());
        let most_bytes = self.settings.caps.relayed_bytes();
        let layout = state.layout.given(self.given);
        let Plan { permit, payload, places } =
            plan(state, data, timestamp, most_bytes, layout).ok()?;
        if !node.output.affords(payload.named_bytes()) {
            return None;
        }
        let state = node.state_mut(device)?;
        let mut urgent = false;
        for (metric, place) in data.metrics.iter().zip(places) {
            let Some(slot) = state.layout.slot_mut(place) else {
                mistake!("a planned metric without a slot");
                continue;
            };
            let timestamp = metric.timestamp.unwrap_or(timestamp);
            slot.set(timestamp, metric.is_transient, metric.value);
            self.rule_counters.decided(slot.verdict());
            if let Verdict::Forward { rule, .. } = slot.verdict() {
                urgent |= self.limiter.is_urgent(rule);
            }
            self.rule_counters.observed(slot.observed);
            self.count_beside(slot.beside);
        }
        self.relay_data(node, device, permit, payload, DataSource::Plant, urgent);
        Some(Fate::Forwarded)
    }
}

/// Looks at each metric; nothing is changed.
fn plan(
    state: &EntityState,
    data: &ScalarPayload<'_>,
    timestamp: u64,
    most_bytes: usize,
    layout: Option<u64>,
) -> Result<Plan, NotScalars> {
    if !state.life.is_alive() {
        return Err(NotScalars);
    }
    // About twice what names take is enough where aliases come in, too.
    let room = data.bytes.saturating_mul(2).saturating_add(METRIC_BYTES);
    let mut payload = Form::new(layout, timestamp, data.metrics.len(), room);
    let mut places = Vec::with_capacity(data.metrics.len());
    let (mut likely, mut permit) = (0, None);
    // The place behind all so far, and the latest time.
    let (mut behind, mut latest) = (0, 0);
    for metric in &data.metrics {
        let place = state.layout.find_bytes(metric.name, metric.alias, likely);
        let place = place.ok_or(NotScalars)?;
        likely = place.saturating_add(1);
        let slot = state.layout.slot(place).ok_or(NotScalars)?;
        debug_assert_eq!(slot.is_eligible(), slot.computes_eligible());
        if !slot.is_eligible() || !agrees(metric, slot.datatype) {
            return Err(NotScalars);
        }
        permit = permit.or_else(|| slot.verdict().permit());
        let dated = metric.timestamp.unwrap_or(timestamp);
        if place < behind && dated < latest {
            // It may be a second value of its metric, and an older one.
            return Err(NotScalars);
        }
        (behind, latest) = (behind.max(likely), latest.max(dated));
        let written = put(&mut payload, slot, dated, metric)?;
        places.push(place);
        // At once: a few bytes of alias become a name each time.
        if written > most_bytes {
            return Err(NotScalars);
        }
    }
    let permit = permit.ok_or(NotScalars)?;
    Ok(Plan { permit, payload: payload.finish(), places })
}

/// Appends a metric; what the payload takes by names so far.
#[inline]
fn put(
    payload: &mut Form,
    slot: &Slot,
    timestamp: u64,
    metric: &ScalarMetric<'_>,
) -> Result<usize, NotScalars> {
    match payload {
        Form::Named(payload) => {
            payload.scalar(slot.exported_name(), timestamp, metric);
            Ok(payload.written())
        }
        Form::Compact(places) => {
            let place = slot.place().ok_or(NotScalars)?;
            Ok(places.put(place, slot.exported_name(), &scalar(timestamp, metric)))
        }
    }
}

/// Whether the value is one of the birth's datatype, and claims no other.
fn agrees(metric: &ScalarMetric<'_>, born: DataType) -> bool {
    metric.datatype.is_none_or(|code| code == born.code()) && metric.value.fits(born)
}
