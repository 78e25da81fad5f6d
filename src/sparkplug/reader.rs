//! Bounded reader of the payload's messages: the same fields as in `payload.rs`, in one pass
//! that counts towards the [`Caps`] before it builds anything, counts unknown fields, and
//! borrows the names of metrics from its input.
//!
//! A payload of 1 MiB can hold half a million empty metrics of two bytes each, which would
//! become some 60 MiB: so everything that is repeated is counted before it is kept. What was
//! built when a cap stops the reader is no more than what an allowed payload could have had.
//!
//! A fault inside of a value, of a property or of metadata is one of that part, which is left out:
//! its length says where the next part begins. A fault in a name or in the framing around it is one
//! of the payload.
//!
//! As prost does it, and a property test holds against prost: of a field given twice the last
//! one counts, messages given twice are merged, numbers too wide are cut.

mod beside;
mod values;

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::value::evident_datatype;
use super::wire::{Cursor, Fault, WRONG_WIRE_TYPE};
use super::{BadPart, Cap, Caps, DataType, Exceeded, Metric, Part, Value};

/// Metrics for which there is room at first.
const FIRST_ROOM: usize = 16;

/// A metric whose name is still in the bytes that it was read from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NamedMetric<'a> {
    pub name: Option<&'a str>,
    /// The rest of it; its own `name` is `None`.
    pub metric: Metric,
}

impl NamedMetric<'_> {
    /// The metric with its name.
    pub fn into_metric(self) -> Metric {
        Metric { name: self.name.map(str::to_owned), ..self.metric }
    }
}

/// A payload as it was read.
#[derive(Debug, Default)]
pub(super) struct Outer<'a> {
    pub(super) timestamp: Option<u64>,
    pub(super) metrics: Vec<NamedMetric<'a>>,
    pub(super) seq: Option<u64>,
    pub(super) uuid: Option<&'a str>,
    pub(super) body: Option<&'a [u8]>,
    pub(super) unknown_fields: u64,
    pub(super) bad: Vec<BadPart>,
}

/// Reads a whole payload of at most `limit` bytes.
pub(super) fn read<'a>(bytes: &'a [u8], caps: &Caps, limit: usize) -> Result<Outer<'a>, Fault> {
    if bytes.len() > limit {
        return Err(Fault::OverCap(Cap::PayloadBytes.exceeded(limit, bytes.len())));
    }
    let mut reader = Reader {
        caps,
        metrics: 0,
        cells: 0,
        properties: 0,
        unknown: 0,
        beside: None,
        bad: Vec::new(),
    };
    let mut outer = Outer::default();
    let mut cursor = Cursor::new(bytes);
    while !cursor.is_empty() {
        match cursor.key()? {
            0x08 => outer.timestamp = Some(cursor.varint()?),
            0x12 => {
                let metric = cursor.bytes()?;
                if reader.count_metric().is_err() {
                    return Err(Fault::OverCap(too_many_metrics(bytes, caps.metrics)));
                }
                if outer.metrics.capacity() == 0 {
                    outer.metrics.reserve(FIRST_ROOM);
                }
                let place = outer.metrics.len();
                outer.metrics.push(reader.outer_metric(metric, place)?);
            }
            0x18 => outer.seq = Some(cursor.varint()?),
            0x22 => outer.uuid = Some(reader.text(&mut cursor)?),
            0x2a => outer.body = Some(cursor.bytes()?),
            key => reader.skip(&mut cursor, key, 5)?,
        }
    }
    outer.unknown_fields = reader.unknown;
    outer.bad = reader.bad;
    Ok(outer)
}

/// How many metrics there are in a payload that has too many, if that can be told.
#[cold]
fn too_many_metrics(bytes: &[u8], limit: usize) -> Exceeded {
    let mut cursor = Cursor::new(bytes);
    let mut metrics = 0_usize;
    while !cursor.is_empty() {
        let Ok(key) = cursor.key() else { return Cap::Metrics.passed(limit) };
        metrics = metrics.saturating_add(usize::from(key == 0x12));
        if cursor.step_over(key).is_err() {
            return Cap::Metrics.passed(limit);
        }
    }
    if metrics > limit { Cap::Metrics.exceeded(limit, metrics) } else { Cap::Metrics.passed(limit) }
}

/// What was counted so far. Keys are written as `number << 3 | wire type`, as on the wire.
///
/// Recursion is bounded: only templates and property sets can contain themselves, and both
/// count towards `depth`.
struct Reader<'c> {
    caps: &'c Caps,
    metrics: usize,
    cells: usize,
    properties: usize,
    unknown: u64,
    /// Why something beside the value of the metric that is read, or of a member, was left out.
    beside: Option<Fault>,
    bad: Vec<BadPart>,
}

impl Reader<'_> {
    /// A metric of the payload itself: what is wrong with it alone is left out.
    #[inline]
    fn outer_metric<'a>(
        &mut self,
        bytes: &'a [u8],
        place: usize,
    ) -> Result<NamedMetric<'a>, Fault> {
        let mut bad_value = None;
        let mut named = self.metric(bytes, 0, &mut bad_value)?;
        if bad_value.is_some() || self.beside.is_some() {
            if bad_value.is_some() {
                let evident = named.metric.value.take().as_ref().and_then(evident_datatype);
                named.metric.datatype = named.metric.datatype.or(evident.map(DataType::code));
            }
            let parts = [(Part::Value, bad_value), (Part::Beside, self.beside.take())];
            for (part, fault) in parts {
                let bad = |fault: Fault| BadPart { metric: place, part, fault: fault.into() };
                self.bad.extend(fault.map(bad));
            }
        }
        Ok(named)
    }

    /// A metric or member. `bad_value` becomes why its value can't be used, which it may hold in
    /// parts then.
    fn metric<'a>(
        &mut self,
        bytes: &'a [u8],
        depth: usize,
        bad_value: &mut Option<Fault>,
    ) -> Result<NamedMetric<'a>, Fault> {
        let mut name = None;
        let mut metric = Metric::default();
        let mut cursor = Cursor::new(bytes);
        while !cursor.is_empty() {
            match cursor.key()? {
                0x0a => name = Some(self.name(cursor.bytes()?)?),
                0x10 => metric.alias = Some(cursor.varint()?),
                0x18 => metric.timestamp = Some(cursor.varint()?),
                0x20 => metric.datatype = Some(cursor.varint32()?),
                0x28 => metric.is_historical = Some(cursor.boolean()?),
                0x30 => metric.is_transient = Some(cursor.boolean()?),
                0x38 => metric.is_null = Some(cursor.boolean()?),
                0x42 => self.read_metadata(cursor.bytes()?, &mut metric)?,
                0x4a => self.read_properties(cursor.bytes()?, &mut metric, depth)?,
                0x50 => metric.value = Some(Value::Int(cursor.varint32()?)),
                0x58 => metric.value = Some(Value::Long(cursor.varint()?)),
                0x65 => metric.value = Some(Value::Float(f32::from_bits(cursor.fixed32()?))),
                0x69 => metric.value = Some(Value::Double(f64::from_bits(cursor.fixed64()?))),
                0x70 => metric.value = Some(Value::Boolean(cursor.boolean()?)),
                0x7a => match self.text_of(cursor.bytes()?) {
                    Ok(text) => metric.value = Some(Value::String(text.to_owned())),
                    Err(fault) => {
                        // That it is a text is known all the same.
                        metric.value = Some(Value::String(String::new()));
                        bad_value.get_or_insert(fault);
                    }
                },
                0x82 => metric.value = Some(Value::Bytes(cursor.bytes()?.to_vec())),
                0x8a => {
                    let bytes = cursor.bytes()?;
                    let mut table = match metric.value.take() {
                        Some(Value::DataSet(table)) => table,
                        _ => Box::default(),
                    };
                    keep(self.data_set(bytes, &mut table), bad_value)?;
                    metric.value = Some(Value::DataSet(table));
                }
                0x92 => {
                    let bytes = cursor.bytes()?;
                    let mut template = match metric.value.take() {
                        Some(Value::Template(template)) => template,
                        _ => Box::default(),
                    };
                    let read = match self.enter(depth) {
                        Ok(depth) => self.template(bytes, &mut template, depth),
                        Err(fault) => Err(fault),
                    };
                    keep(read, bad_value)?;
                    metric.value = Some(Value::Template(template));
                }
                key if (3..=18).contains(&(key >> 3)) => {
                    // Name and alias say whose the rest is; this is of the metric alone.
                    bad_value.get_or_insert(cursor.fault(WRONG_WIRE_TYPE));
                    cursor.step_over(key)?;
                }
                key => self.skip(&mut cursor, key, 18)?,
            }
        }
        Ok(NamedMetric { name, metric })
    }

    /// A name: a bad one is refused with all that it names.
    #[inline]
    fn name<'a>(&self, bytes: &'a [u8]) -> Result<&'a str, Fault> {
        if bytes.len() > self.caps.name_bytes {
            let limit = self.caps.name_bytes;
            return Err(Fault::OverCap(Cap::NameBytes.exceeded(limit, bytes.len())));
        }
        utf8(bytes)
    }

    fn owned_name(&self, bytes: &[u8]) -> Result<String, Fault> {
        self.name(bytes).map(str::to_owned)
    }

    fn text_of<'a>(&self, bytes: &'a [u8]) -> Result<&'a str, Fault> {
        if bytes.len() > self.caps.text_bytes {
            let limit = self.caps.text_bytes;
            return Err(Fault::OverCap(Cap::TextBytes.exceeded(limit, bytes.len())));
        }
        utf8(bytes)
    }

    fn text<'a>(&self, cursor: &mut Cursor<'a>) -> Result<&'a str, Fault> {
        self.text_of(cursor.bytes()?)
    }

    fn string(&self, cursor: &mut Cursor<'_>) -> Result<String, Fault> {
        self.text(cursor).map(str::to_owned)
    }

    /// Something beside a value was left out.
    #[cold]
    fn leave_out(&mut self, fault: Fault) {
        self.beside.get_or_insert(fault);
    }

    #[cold]
    fn skip(&mut self, cursor: &mut Cursor<'_>, key: u64, known: u64) -> Result<(), Fault> {
        cursor.skip(key, known)?;
        self.unknown = self.unknown.saturating_add(1);
        Ok(())
    }

    /// The depth of what is inside of a template or of a set or list of properties.
    fn enter(&self, depth: usize) -> Result<usize, Fault> {
        let cap = self.caps.nesting();
        let depth = depth.saturating_add(1);
        if depth > cap { Err(Fault::OverCap(Cap::Depth.passed(cap))) } else { Ok(depth) }
    }

    fn enter_property(&mut self, depth: usize) -> Result<usize, Fault> {
        self.count_property()?;
        self.enter(depth)
    }

    #[inline]
    fn count_metric(&mut self) -> Result<(), Fault> {
        count(&mut self.metrics, self.caps.metrics, Cap::Metrics)
    }

    fn count_cell(&mut self) -> Result<(), Fault> {
        count(&mut self.cells, self.caps.cells, Cap::Cells)
    }

    fn count_property(&mut self) -> Result<(), Fault> {
        count(&mut self.properties, self.caps.properties, Cap::Properties)
    }
}

#[inline]
fn count(counter: &mut usize, limit: usize, cap: Cap) -> Result<(), Fault> {
    *counter = counter.saturating_add(1);
    if *counter > limit { Err(Fault::OverCap(cap.passed(limit))) } else { Ok(()) }
}

/// Takes note of a fault of the part that was read; one of the payload is an error.
fn keep(read: Result<(), Fault>, bad: &mut Option<Fault>) -> Result<(), Fault> {
    match read {
        Err(fault) if !fault.is_of_payload() => {
            bad.get_or_insert(fault);
            Ok(())
        }
        read => read,
    }
}

#[inline]
fn utf8(bytes: &[u8]) -> Result<&str, Fault> {
    let what = "a text that isn't UTF-8";
    core::str::from_utf8(bytes).map_err(|error| Fault::Malformed { what, at: error.valid_up_to() })
}
