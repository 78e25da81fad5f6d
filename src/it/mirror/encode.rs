//! Payloads of the sessions on IT, as bytes: the only place where births, data and deaths are
//! written.

use std::borrow::Borrow;

use sparkplug::{DataType, Metric, PayloadWriter, Scalar, Value, names, steps};

use super::fold::told;
use super::layout::{Layout, is_definition};

/// Room for timestamp and sequence number.
const FRAME_BYTES: usize = 16;
/// What a metric takes beside its name and a text.
const METRIC_BYTES: usize = 24;
/// Room for one metric of a birth.
const BIRTH_METRIC_BYTES: usize = 64;

/// News of one metric of a layout.
#[derive(Debug)]
pub(super) struct Update {
    /// Its place in the layout.
    pub(super) slot: usize,
    /// In milliseconds since the epoch.
    pub(super) timestamp: u64,
    /// `Some(false)` or `None`.
    pub(super) is_historical: Option<bool>,
    pub(super) is_transient: Option<bool>,
    pub(super) value: Scalar,
}

/// NBIRTH with the current values: bdSeq, which may have an alias, and `Node Control/Rebirth`, which
/// never has one (operational-behavior-data-commands-rebirth-name-aliases), first.
pub(super) fn node_birth(
    bd_seq: u8,
    alias: Option<u64>,
    layout: &Layout,
    stamp: u64,
    seq: u8,
) -> Vec<u8> {
    let rebirth = Metric {
        timestamp: Some(stamp),
        datatype: Some(DataType::Boolean.code()),
        value: Some(Value::Boolean(false)),
        ..Metric::default()
    };
    let mut payload = birth(layout, stamp);
    put_bd_seq(&mut payload, bd_seq, alias, stamp);
    payload.metric(Some(names::REBIRTH), &rebirth);
    put_layout(&mut payload, layout);
    payload.finish(Some(seq.into()))
}

/// What a birth with this layout takes, in bytes, roughly.
pub(super) fn birth_bytes(layout: &Layout) -> usize {
    let metrics = layout.slots().map(|(metric, _)| {
        let name = metric.name.as_ref().map_or(0, String::len);
        let value = match &metric.value {
            Some(Value::String(text)) => text.len(),
            Some(Value::Bytes(bytes)) => bytes.len(),
            _ => 0,
        };
        name.saturating_add(value).saturating_add(METRIC_BYTES)
    });
    metrics.fold(FRAME_BYTES, usize::saturating_add)
}

/// DBIRTH with the current values. `member`: the device is of a member of a fold, or is it, which has
/// no template definitions of its own; what its instances refer to begins with that, if anything.
pub(super) fn device_birth(
    layout: &Layout,
    member: Option<Option<&str>>,
    stamp: u64,
    seq: u8,
) -> Vec<u8> {
    let mut payload = birth(layout, stamp);
    match member {
        None => put_layout(&mut payload, layout),
        Some(prefix) => put_member_layout(&mut payload, layout, prefix),
    }
    payload.finish(Some(seq.into()))
}

/// NDATA or DDATA of these metrics, each by its alias, or with its name where it has none. `room`: bytes that they take, roughly.
pub(super) fn data<'a, M: Borrow<Metric>>(
    stamp: u64,
    seq: u8,
    room: usize,
    metrics: impl Iterator<Item = (Option<&'a str>, M)>,
) -> Vec<u8> {
    let mut payload = PayloadWriter::new(Some(stamp), room.saturating_add(FRAME_BYTES));
    for (name, metric) in metrics {
        let metric = metric.borrow();
        payload.metric(name.filter(|_| metric.alias.is_none()), metric);
    }
    payload.finish(Some(seq.into()))
}

/// The same of metrics that are on the wire already, with their keys and lengths.
pub(super) fn data_as_it_is(stamp: u64, seq: u8, metrics: &[u8]) -> Vec<u8> {
    let room = metrics.len().saturating_add(FRAME_BYTES);
    let mut payload = PayloadWriter::new(Some(stamp), room);
    payload.metrics(metrics);
    payload.finish(Some(seq.into()))
}

/// NDATA or DDATA of numbers and truth values, each by its alias, or with its name where it has none.
pub(super) fn scalars(stamp: u64, seq: u8, layout: &Layout, updates: &[Update]) -> Vec<u8> {
    // Names are mostly as long as that of the first.
    let first = updates.first().filter(|update| layout.alias(update.slot).is_none());
    let name = first.and_then(|update| layout.name_at(update.slot)).map_or(0, str::len);
    let metric = METRIC_BYTES.saturating_add(name);
    let room = updates.len().saturating_mul(metric).saturating_add(FRAME_BYTES);
    let mut payload = PayloadWriter::new(Some(stamp), room);
    for &Update { slot, timestamp, is_historical, is_transient, value } in updates {
        let flags = [is_historical, is_transient];
        if let Some(alias) = layout.alias(slot) {
            payload.scalar_by_alias(alias, timestamp, flags, value);
            continue;
        }
        payload.scalar_by_name(layout.name_at(slot).unwrap_or_default(), timestamp, flags, value);
    }
    payload.finish(Some(seq.into()))
}

/// NDEATH: exactly one metric, no `seq` (payloads-ndeath-seq, topics-ndeath-payload).
pub(super) fn node_death(bd_seq: u8, wall_ms: u64) -> Vec<u8> {
    let mut payload = PayloadWriter::new(Some(wall_ms), BIRTH_METRIC_BYTES);
    put_bd_seq(&mut payload, bd_seq, None, wall_ms);
    payload.finish(None)
}

/// DDEATH: no metric.
pub(super) fn device_death(stamp: u64, seq: u8) -> Vec<u8> {
    PayloadWriter::new(Some(stamp), FRAME_BYTES).finish(Some(seq.into()))
}

fn birth(layout: &Layout, stamp: u64) -> PayloadWriter {
    let metrics = layout.len().saturating_add(2);
    PayloadWriter::new(Some(stamp), metrics.saturating_mul(BIRTH_METRIC_BYTES))
}

fn put_layout(payload: &mut PayloadWriter, layout: &Layout) {
    steps::take(layout.len());
    for (place, metric) in layout.birth_metrics().enumerate() {
        payload.metric_as(metric.name.as_deref(), layout.alias(place), &metric);
    }
}

fn put_member_layout(payload: &mut PayloadWriter, layout: &Layout, prefix: Option<&str>) {
    steps::take(layout.len());
    for (place, metric) in layout.birth_metrics().enumerate() {
        if !is_definition(&metric) {
            let metric = told(&metric, prefix);
            payload.metric_as(metric.name.as_deref(), layout.alias(place), &metric);
        }
    }
}

fn put_bd_seq(payload: &mut PayloadWriter, bd_seq: u8, alias: Option<u64>, wall_ms: u64) {
    let metric = Metric {
        alias,
        timestamp: Some(wall_ms),
        datatype: Some(DataType::Int64.code()),
        value: Some(Value::Long(bd_seq.into())),
        ..Metric::default()
    };
    payload.metric(Some(names::BD_SEQ), &metric);
}
