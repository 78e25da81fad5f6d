//! Payloads for the journal, made from the model: names instead of aliases, datatypes in births
//! only, no `seq`, and nothing that the policy doesn't forward, shaped as it says.

use std::collections::BTreeSet;

use policy::shape::Pseudonyms;
use sparkplug::{DataType, Metric, Payload, PayloadWriter, Value, names};

use super::shape;
use crate::plant::{EntityState, Node, Slot};

/// Which metrics a birth has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Those that the policy forwards now.
    Forwarded,
    /// Those of the birth that was journalled last: a keyframe repeats it.
    Born,
}

/// The NBIRTH of a node. `timestamp` is in milliseconds since the epoch.
pub(super) fn node_birth(
    node: &Node,
    content: Content,
    timestamp: u64,
    how: Pseudonyms<'_>,
) -> Payload {
    let mut metrics = Vec::with_capacity(node.own.layout.slots.len().saturating_add(2));
    append_head(node, content, &mut metrics);
    append_slots(node, &node.own, content, timestamp, how, &mut metrics);
    Payload { timestamp: Some(timestamp), metrics, ..Payload::default() }
}

/// What an NBIRTH has before the node's own metrics.
fn append_head(node: &Node, content: Content, metrics: &mut Vec<Metric>) {
    metrics.extend(node.bd_seq.as_ref().and_then(bd_seq));
    metrics.extend(node.rebirth.as_ref().map(rebirth));
    metrics.extend(node.definitions.tell(definitions(node, content), &node.types.removed));
}

/// The bytes of the birth that was journalled last, with current values: of `device`, or of the
/// node itself. Numbers are written from where they are: the head of a segment has the metrics of
/// the whole plant, and nothing else happens meanwhile.
pub(super) fn keyframe(
    node: &Node,
    device: Option<&EntityState>,
    timestamp: u64,
    how: Pseudonyms<'_>,
) -> Vec<u8> {
    const METRIC_BYTES: usize = 40;
    let state = device.unwrap_or(&node.own);
    let room = state.layout.slots.len().saturating_add(2).saturating_mul(METRIC_BYTES);
    let mut payload = PayloadWriter::new(Some(timestamp), room);
    if device.is_none() {
        let mut head = Vec::new();
        append_head(node, Content::Born, &mut head);
        head.iter().for_each(|metric| payload.metric(metric.name.as_deref(), metric));
    }
    for slot in state.layout.slots.iter().filter(|slot| slot.born) {
        if is_told_as_it_is(slot) {
            payload.metric(Some(slot.told_name()), &slot.current);
        } else {
            let metric = slot_metric(node, slot, Content::Born, timestamp, how);
            payload.metric(metric.name.as_deref(), &metric);
        }
    }
    payload.finish(None)
}

/// A number without anything about it that a policy could have a word on.
fn is_told_as_it_is(slot: &Slot) -> bool {
    use Value::{Boolean, Double, Float, Int, Long};
    let Metric { value, properties, metadata, is_null, .. } = &slot.current;
    matches!(value, Some(Int(_) | Long(_) | Float(_) | Double(_) | Boolean(_)))
        && (properties, metadata, is_null) == (&None, &None, &None)
        && slot.is_forwarded()
        && slot.shaper.is_none()
        && !slot.nulled
}

/// The DBIRTH of a device. `timestamp` is in milliseconds since the epoch.
pub(super) fn device_birth(
    node: &Node,
    device: &EntityState,
    content: Content,
    timestamp: u64,
    how: Pseudonyms<'_>,
) -> Payload {
    let mut metrics = Vec::with_capacity(device.layout.slots.len());
    append_slots(node, device, content, timestamp, how, &mut metrics);
    Payload { timestamp: Some(timestamp), metrics, ..Payload::default() }
}

/// The death of a node or device. `bd_seq` is the metric of the death or of the last birth.
pub(super) fn death(bd_seq_metric: Option<&Metric>, timestamp: u64) -> Payload {
    let metrics = bd_seq_metric.and_then(bd_seq).into_iter().collect();
    Payload { timestamp: Some(timestamp), metrics, ..Payload::default() }
}

/// Makes a metric of a data message what crosses of it, but for its name.
pub(super) fn data_metric(metric: &mut Metric, node: &Node) {
    metric.alias = None;
    metric.datatype = None;
    complete(metric, node, &node.told);
}

fn append_slots(
    node: &Node,
    state: &EntityState,
    content: Content,
    timestamp: u64,
    how: Pseudonyms<'_>,
    metrics: &mut Vec<Metric>,
) {
    let chosen = state.layout.slots.iter().filter(|slot| match content {
        Content::Forwarded => slot.is_told(),
        Content::Born => slot.born,
    });
    metrics.extend(chosen.map(|slot| slot_metric(node, slot, content, timestamp, how)));
}

fn slot_metric(
    node: &Node,
    slot: &Slot,
    content: Content,
    timestamp: u64,
    how: Pseudonyms<'_>,
) -> Metric {
    let mut metric = slot.current.clone();
    if let Some(told) = &slot.told_as {
        metric.name = Some(told.to_string());
    }
    complete(&mut metric, node, definitions(node, content));
    shape::tell_in_birth(slot, &mut metric, timestamp, how);
    metric
}

/// The definitions that a birth has.
fn definitions(node: &Node, content: Content) -> &BTreeSet<String> {
    match content {
        Content::Forwarded => &node.types.needed,
        Content::Born => &node.told,
    }
}

/// Value or `is_null`, instances of `told` definitions as far as these go, tables with their
/// number of columns.
fn complete(metric: &mut Metric, node: &Node, told: &BTreeSet<String>) {
    match &mut metric.value {
        Some(Value::Template(instance)) => {
            match node.definitions.usable(instance.template_ref.as_deref()) {
                Ok(name) if told.contains(name) => {
                    node.definitions.conform(instance, name, &node.types.removed);
                }
                _ => metric.value = None,
            }
        }
        Some(Value::DataSet(table)) => {
            table.num_of_columns = Some(u64::try_from(table.columns.len()).unwrap_or(u64::MAX));
        }
        _ => {}
    }
    metric.is_null = metric.value.is_none().then_some(true);
}

/// Only the number and its time: the low eight bits, as a number modulo 256 has no more.
fn bd_seq(metric: &Metric) -> Option<Metric> {
    let number = names::bd_seq_of(metric)?;
    Some(Metric {
        name: Some(names::BD_SEQ.to_owned()),
        timestamp: metric.timestamp,
        datatype: Some(DataType::Int64.code()),
        value: Some(Value::Long(u64::from(number))),
        ..Metric::default()
    })
}

fn rebirth(metric: &Metric) -> Metric {
    Metric {
        name: Some(names::REBIRTH.to_owned()),
        timestamp: metric.timestamp,
        datatype: Some(DataType::Boolean.code()),
        value: Some(Value::Boolean(false)),
        ..Metric::default()
    }
}
