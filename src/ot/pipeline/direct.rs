//! The short way of data: numbers, times and truth values that a rule forwards as they are, from
//! one buffer of bytes to the next without a model between them.
//!
//! It is a shortcut of [`super::data`] and nothing else: what isn't clear at the first look (a
//! metric that is unknown, shaped, limited, held back, null, late, text, …) goes the long way with
//! all of its message, from the beginning. A property test drives plants through both, and
//! expects the same journal, the same account and the same state.

use account::{Fate, RuleId};
use journal_format::{Body, Relayed};
use policy::{Limiter, Verdict};
use sparkplug::{
    Caps, DataType, EntityTopic, NotScalars, PayloadWriter, Scalar, ScalarMetric, Scalars,
};

use super::data::METRIC_BYTES;
use super::matches::Matches;
use super::turn::{MAX_PAYLOAD_BYTES, Turn};
use crate::plant::{EntityState, Life, Node};

/// A data message whose way is clear; nothing was done yet.
#[derive(Debug)]
pub(super) struct Direct {
    seq: Option<u64>,
    payload: Vec<u8>,
    updates: Vec<Update>,
}

/// News of the metric in a slot.
#[derive(Clone, Copy, Debug)]
struct Update {
    slot: usize,
    timestamp: u64,
    is_transient: Option<bool>,
    value: Scalar,
    rule: RuleId,
    observed: Option<RuleId>,
}

impl Direct {
    /// Of the payload.
    pub(super) fn seq(&self) -> Option<u64> {
        self.seq
    }

    /// Looks at a payload; `None`: it has to go the long way.
    pub(super) fn prepare(
        node: &Node,
        device: Option<&str>,
        bytes: &[u8],
        wall_ms: u64,
        limiter: &Limiter,
        caps: &Caps,
    ) -> Option<Direct> {
        let state = node.state(device)?;
        let lives = state.life == Life::Alive && node.own.life == Life::Alive;
        if !lives || node.types_due || limiter.is_shared() {
            return None;
        }
        Direct::read(state, bytes, wall_ms, limiter, caps).ok()
    }

    fn read(
        state: &EntityState,
        bytes: &[u8],
        wall_ms: u64,
        limiter: &Limiter,
        caps: &Caps,
    ) -> Result<Direct, NotScalars> {
        let mut scalars = Scalars::new(bytes, caps)?;
        let timestamp = scalars.timestamp().unwrap_or(wall_ms);
        // About twice what names take is enough where aliases come in, too.
        let room = bytes.len().saturating_mul(2).saturating_add(METRIC_BYTES);
        let mut payload = PayloadWriter::new(Some(timestamp), room);
        let mut updates = Vec::with_capacity(bytes.len() / METRIC_BYTES);
        let mut likely = 0;
        while let Some(metric) = scalars.next()? {
            let place = state.layout.find_bytes(metric.name, metric.alias, likely);
            let place = place.ok_or(NotScalars)?;
            likely = place.saturating_add(1);
            let slot = state.layout.slot(place).ok_or(NotScalars)?;
            let Verdict::Forward { rule } = slot.verdict else { return Err(NotScalars) };
            let is_clear = slot.born
                && slot.held.is_none()
                && !slot.nulled
                && slot.shaper.as_ref().is_none_or(|shaper| !shaper.looks)
                && !limiter.limits(rule);
            if !is_clear || !agrees(&metric, slot.datatype) {
                return Err(NotScalars);
            }
            let timestamp = metric.timestamp.unwrap_or(timestamp);
            payload.scalar(slot.told_name(), timestamp, &metric);
            updates.push(Update {
                slot: place,
                timestamp,
                is_transient: metric.is_transient,
                value: metric.value,
                rule,
                observed: slot.observed,
            });
        }
        if updates.is_empty() || payload.written() > MAX_PAYLOAD_BYTES {
            return Err(NotScalars);
        }
        Ok(Direct { seq: scalars.seq(), payload: payload.finish(None), updates })
    }

    fn update(&self, state: &mut EntityState, matches: &Matches) {
        for update in &self.updates {
            let Some(slot) = state.layout.slot_mut(update.slot) else { continue };
            slot.set(update.timestamp, update.is_transient, update.value);
            matches.decided(Verdict::Forward { rule: update.rule });
            matches.observed(update.observed);
        }
    }
}

impl Turn<'_> {
    /// Enters and journals what was prepared, and that nothing has happened to since.
    pub(super) fn direct(&mut self, node: &mut Node, device: Option<&str>, direct: Direct) -> Fate {
        if let Some(state) = node.state_mut(device) {
            direct.update(state, self.matches);
        }
        let topic = EntityTopic::data(node.told(device)).to_string();
        self.out.push(Body::Relayed(Relayed {
            source: self.settings.source.clone(),
            topic,
            payload: direct.payload,
            received_ms: self.now.wall_ms,
            loss_before: std::mem::take(&mut node.loss),
            synthetic: false,
            aliased: false,
            losses: node.losses,
        }));
        Fate::Forwarded
    }
}

/// Whether the value is one of the birth's datatype, and claims no other.
fn agrees(metric: &ScalarMetric<'_>, born: DataType) -> bool {
    metric.datatype.is_none_or(|code| code == born.code()) && metric.value.fits(born)
}
