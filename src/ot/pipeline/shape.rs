//! Shaping at its two places: what becomes of a value that data brings, and as what a metric is
//! told. The plant's state keeps values as they came, so that another policy can tell them
//! otherwise; the current one is always the one that was forwarded last.

use std::sync::Arc;

use account::Reason;
use policy::shape::{
    Last, Pseudonyms, ShapeState, Shaped, is_bad_null, is_part, restore_quality, set_bad,
};
use policy::{EntityPlan, Judged, Limiter, Verdict};
use sparkplug::{DataType, Metric, steps};

use super::Now;
use crate::plant::{EntityState, Layout, Shaper, Slot};

/// Stands for a number of losses that no node has: the next value crosses, however near it is.
const IN_DOUBT: u64 = u64::MAX;

/// What becomes of a value of data, as far as its shape says.
pub(super) enum Decided {
    /// It crosses. `restores`: readers have null with Quality 0 for it, so it has to say that it
    /// is good again.
    Forward {
        restores: bool,
    },
    /// It waits for its turn.
    Hold,
    Drop(Reason),
}

/// Takes over the policy's word on the metrics of an entity. `losses` are those of its node.
pub(super) fn judge<'a>(
    plan: &EntityPlan<'a>,
    state: &mut EntityState,
    losses: u64,
    now: Now,
    limiter: &Limiter,
    judge: impl Fn(&EntityPlan<'a>, &str, Option<DataType>) -> Judged<'a>,
) {
    let losses = if state.life.is_uncertain() { IN_DOUBT } else { losses };
    steps::take(state.layout.slots.len());
    for slot in &mut state.layout.slots {
        let judged = judge(plan, slot.name(), slot.judged_datatype());
        state.reshaped |= slot.is_born() && reshapes(slot, &judged);
        let keeps = keeps(plan, slot.name(), slot.judged_datatype(), judged.verdict);
        enter(slot, &judged, keeps, losses, limiter);
        let refuses = |shaper: &Shaper| {
            shaper.shape().refuses_birth_time(slot.current.timestamp, now.wall_ms).is_some()
        };
        if slot.shaper().is_some_and(refuses) {
            // Told as it is, it would seem newer than all that follows.
            slot.current.value = None;
            slot.current.is_null = Some(true);
            slot.current.timestamp = Some(now.wall_ms);
            slot.mark_nulled();
        }
    }
}

/// Whether values of a metric are remembered: they cross, or will when it is time.
pub(super) fn keeps(
    plan: &EntityPlan<'_>,
    name: &str,
    datatype: Option<DataType>,
    verdict: Verdict,
) -> bool {
    match verdict {
        Verdict::Forward { .. } => true,
        Verdict::Drop { reason: Reason::ControlMetric, .. } => false,
        Verdict::Drop { .. } | Verdict::Redact { .. } => plan.ever_forwards(name, datatype),
    }
}

/// Takes over the policy's word on one metric. `keeps`: its values are remembered.
pub(super) fn enter(
    slot: &mut Slot,
    judged: &Judged<'_>,
    keeps: bool,
    losses: u64,
    limiter: &Limiter,
) {
    let is_limited = match judged.verdict {
        Verdict::Forward { rule, .. } => limiter.limits(rule),
        Verdict::Redact { .. } | Verdict::Drop { .. } => false,
    };
    let shaper = judged.shape.map(|shape| {
        let state = slot.shaper().map_or_else(|| ShapeState::new(losses), |before| before.state);
        Box::new(Shaper::new(Arc::clone(shape), slot.datatype, state))
    });
    slot.judge(judged.verdict, keeps, is_limited, shaper);
}

/// Whether the metric has to be announced anew, though it stays in the birth.
fn reshapes(slot: &Slot, judged: &Judged<'_>) -> bool {
    match (slot.verdict(), judged.verdict) {
        (Verdict::Forward { .. }, Verdict::Forward { .. }) => {
            let before = slot.shaper().map(Shaper::shape);
            before != judged.shape
        }
        (Verdict::Redact { .. }, Verdict::Redact { .. }) => false,
        // Not judged yet: what readers have is in the journal.
        (Verdict::Drop { .. }, _) => false,
        _ => true,
    }
}

/// Decides about a value that data brings, before it is entered.
pub(super) fn decide(
    slot: &mut Slot,
    metric: &Metric,
    losses: u64,
    now: Now,
    how: Pseudonyms<'_>,
) -> Decided {
    let Some(shaper) = slot.shaper().filter(|shaper| shaper.looks()) else {
        return Decided::Forward { restores: slot.is_nulled() && metric.value.is_some() };
    };
    let announced = (slot.is_born() && slot.held().is_none()).then_some(&slot.current);
    let last = Last { metric: announced, losses, mono: now.mono, wall_ms: now.wall_ms };
    match shaper.shape().data(slot.datatype, metric, &shaper.state, last) {
        Shaped::Forward => {
            if metric.is_historical != Some(true)
                && let Some((_, state)) = slot.shape_state_mut()
            {
                state.forwarded = Some(now.mono);
            }
            Decided::Forward { restores: restores(slot, metric, how) }
        }
        Shaped::Hold { .. } => Decided::Hold,
        Shaped::Drop { reason } => Decided::Drop(reason),
    }
}

/// Whether a value ends a null that was the relay's own.
pub(super) fn restores(slot: &mut Slot, metric: &Metric, how: Pseudonyms<'_>) -> bool {
    metric.value.is_some() && metric.is_historical != Some(true) && slot.is_told_null(how)
}

/// Enters that a value was forwarded.
pub(super) fn forwarded(slot: &mut Slot, metric: &Metric, losses: u64, now: Now) {
    if let Some((shape, state)) = slot.shape_state_mut() {
        let last = Last { metric: None, losses, mono: now.mono, wall_ms: now.wall_ms };
        shape.forwarded(metric, state, last);
    }
}

/// Whether a value that was held back may go, as far as the interval of its metric says.
pub(super) fn is_due(slot: &Slot, now: Now) -> bool {
    let due = |shaper: &Shaper| shaper.shape().is_due(slot.datatype, &shaper.state, now.mono);
    slot.shaper().is_none_or(due)
}

/// Whether the value doesn't become the metric's current one: it is late, or a part of a file.
pub(super) fn passes_by(metric: &Metric) -> bool {
    metric.is_historical == Some(true) || is_part(metric)
}

/// Makes of an admitted value what crosses; why it is null, if it became that.
pub(super) fn emit(
    slot: &Slot,
    metric: &mut Metric,
    restores: bool,
    how: Pseudonyms<'_>,
) -> Option<Reason> {
    let changes = slot.shape().apply(slot.datatype, metric, how);
    if restores && changes.null().is_none() && metric.value.is_some() {
        restore_quality(metric, &slot.current);
    }
    changes.null()
}

/// Makes of a metric what a birth has of it. `dated`: its time where nothing else has one.
pub(super) fn emit_in_birth(slot: &Slot, metric: &mut Metric, dated: u64, how: Pseudonyms<'_>) {
    if let Verdict::Redact { .. } = slot.verdict() {
        // Nothing moves with its values, not even a time.
        *metric = Metric {
            name: metric.name.take(),
            datatype: metric.datatype,
            timestamp: Some(dated),
            is_null: Some(true),
            ..Metric::default()
        };
        return;
    }
    let _ = slot.shape().apply_to_birth(slot.datatype, metric, how);
    // Nothing is known of a metric that no rule let through until now.
    metric.timestamp.get_or_insert(dated);
    if slot.is_nulled() {
        set_bad(metric);
    }
}

/// Why a birth has the metric without the value that it has in the plant.
pub(super) fn withheld(slot: &Slot, how: Pseudonyms<'_>) -> Option<Reason> {
    match slot.verdict() {
        Verdict::Redact { .. } => Some(Reason::Redacted),
        Verdict::Forward { .. } if slot.is_blank() => None,
        Verdict::Forward { .. } if slot.is_nulled() => Some(Reason::Future),
        Verdict::Forward { .. } => {
            let shaper = slot.shaper().filter(|shaper| shaper.looks())?;
            shaper.shape().nulls(slot.datatype, &slot.current, how)
        }
        Verdict::Drop { .. } => None,
    }
}

/// Takes a null that the journal has for one that the relay made, where the plant tells no
/// quality of the metric: the next value has to restore it.
pub(super) fn take_back_null(layout: &mut Layout, place: usize, metric: &mut Metric) {
    let Some(slot) = layout.slot(place) else { return };
    let tells_quality = slot
        .current
        .properties
        .as_ref()
        .is_some_and(|set| set.keys.iter().any(|key| key == "Quality"));
    if is_bad_null(metric) && !tells_quality {
        metric.properties = None;
        layout.update(place, metric);
        if let Some(slot) = layout.slot_mut(place) {
            slot.mark_nulled();
        }
    } else {
        layout.update(place, metric);
    }
}
