//! Payloads for the journal, made from the model: datatypes in births only, no aliases, no `seq`, and
//! nothing that the policy doesn't forward, shaped as it says.

mod data;

use std::collections::BTreeSet;

use journal_format::GivenAliases;
use policy::shape::Pseudonyms;
use prost::Message;
use sparkplug::{DataType, Metric, PayloadWriter, Value, names, steps};

use super::shape;
use crate::plant::{EntityState, Node, Slot, Unfit, allowance};
pub(super) use data::{DataPayload, DataWriter, Form, METRIC_BYTES, scalar};

/// What a metric takes in a birth, mostly; only the first guess of a payload's size.
const BORN_METRIC_BYTES: usize = 40;

/// Which metrics and definitions a birth has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BirthScope {
    /// Those that the policy forwards now: readers are told what there is.
    Current,
    /// Those of the birth that was journalled last: a keyframe repeats it.
    Announced,
}

/// A birth for the journal.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Birth {
    pub(super) payload: Vec<u8>,
    /// How many metrics it has before those of the layout.
    pub(super) others: usize,
    /// Which of its metrics have an alias in the plant.
    pub(super) given_aliases: Vec<u8>,
}

/// The birth of `device`, or of the node itself. `timestamp` is in milliseconds since the epoch.
///
/// Numbers are written from where they are, without a model of the birth: the head of a segment
/// has the metrics of the whole plant, and nothing else happens meanwhile.
pub(super) fn birth(
    node: &Node,
    device: Option<&EntityState>,
    scope: BirthScope,
    timestamp: u64,
    how: Pseudonyms<'_>,
) -> Birth {
    let slots = &device.unwrap_or(&node.own).layout.slots;
    let room = slots.len().saturating_add(2).saturating_mul(BORN_METRIC_BYTES);
    let mut payload = PayloadWriter::new(Some(timestamp), room);
    let mut given = GivenAliases::default();
    let types = match scope {
        BirthScope::Current => &node.types.needed,
        BirthScope::Announced => &node.announced_types,
    };
    let mut others = 0_usize;
    if device.is_none() {
        let definitions = node.definitions.emit(types, &node.types.removed, how);
        let head = node.bd_seq.as_ref().and_then(names::bd_seq_as_it_crosses);
        let head = head.into_iter().chain(node.rebirth.as_ref().map(rebirth)).chain(definitions);
        for metric in head {
            payload.metric(metric.name.as_deref(), &metric);
            others = others.saturating_add(1);
            given.note(false);
        }
    }
    steps::take(slots.len());
    let mut left = None;
    for slot in slots {
        let is_chosen = match scope {
            BirthScope::Current => slot.is_exported(),
            BirthScope::Announced => slot.is_born(),
        };
        if !is_chosen {
            continue;
        }
        given.note(slot.has_alias);
        if is_plain(slot) {
            payload.metric(Some(slot.exported_name()), &slot.current);
        } else {
            let mut metric = slot.current.clone();
            complete(&mut metric, node, types);
            if let Some(Value::Template(instance)) = &mut metric.value {
                let left = left.get_or_insert_with(|| allowance(instance_bytes(slots)));
                if !node.definitions.fill(instance, &node.types.removed, left) {
                    (metric.value, metric.is_null) = (None, Some(true));
                }
            }
            shape::emit_in_birth(slot, &mut metric, timestamp, how);
            payload.metric(Some(slot.exported_name()), &metric);
        }
    }
    Birth { payload: payload.finish(None), others, given_aliases: given.into_bytes() }
}

/// A number without anything about it that a policy could have a word on.
fn is_plain(slot: &Slot) -> bool {
    use Value::{Boolean, Double, Float, Int, Long};
    let Metric { value, properties, metadata, is_null, .. } = &slot.current;
    matches!(value, Some(Int(_) | Long(_) | Float(_) | Double(_) | Boolean(_)))
        && (properties, metadata, is_null) == (&None, &None, &None)
        && slot.is_forwarded()
        && slot.shaper().is_none()
        && !slot.is_nulled()
}

/// Makes a metric of a data message what crosses of it, but for its name.
pub(super) fn data_metric(metric: &mut Metric, node: &Node) {
    metric.alias = None;
    metric.datatype = None;
    complete(metric, node, &node.announced_types);
}

/// Value or `is_null`, instances of `types` as far as these go, tables with their
/// number of columns.
fn complete(metric: &mut Metric, node: &Node, types: &BTreeSet<String>) {
    match &mut metric.value {
        Some(Value::Template(instance)) => {
            match node.definitions.usable(instance.template_ref.as_deref()) {
                Ok(name) if types.contains(name) => {
                    let removed = &node.types.removed;
                    node.definitions.conform(instance, name, removed, &mut Unfit::default());
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

/// What is known of all instances takes on the wire.
pub(super) fn instance_bytes(slots: &[Slot]) -> usize {
    let bytes = slots.iter().map(|slot| match &slot.current.value {
        Some(Value::Template(instance)) => instance.encoded_len(),
        _ => 0,
    });
    bytes.fold(0, usize::saturating_add)
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
