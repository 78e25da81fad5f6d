//! Bounded reader of the payload's messages: the same fields as in `payload.rs`, in one pass
//! that counts towards the [`Caps`] before it builds anything, counts unknown fields, and
//! borrows the names of metrics from its input.
//!
//! A payload of 1 MiB can hold half a million empty metrics of two bytes each, which would
//! become some 60 MiB: so everything that is repeated is counted before it is kept. What was
//! built when a cap stops the reader is no more than what an allowed payload could have had.
//!
//! As prost does it, and a property test holds against prost: of a field given twice the last
//! one counts, messages given twice are merged, numbers too wide are cut.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::wire::{Cursor, Fault};
use super::{
    Caps, Cell, CellValue, DataSet, MetaData, Metric, Parameter, ParameterValue, Property,
    PropertySet, PropertySetList, PropertyValue, Row, Template, Value,
};

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
}

/// Reads a whole payload.
pub(super) fn read<'a>(bytes: &'a [u8], caps: &Caps) -> Result<Outer<'a>, Fault> {
    if bytes.len() > caps.payload_bytes {
        return Err(Fault::OverCap { what: "bytes", cap: caps.payload_bytes });
    }
    let mut reader = Reader { caps, metrics: 0, cells: 0, properties: 0, unknown: 0 };
    let mut outer = Outer::default();
    let mut cursor = Cursor::new(bytes);
    while !cursor.is_empty() {
        match cursor.key()? {
            0x08 => outer.timestamp = Some(cursor.varint()?),
            0x12 => {
                let metric = cursor.bytes()?;
                reader.count_metric()?;
                if outer.metrics.capacity() == 0 {
                    outer.metrics.reserve(FIRST_ROOM);
                }
                outer.metrics.push(reader.metric(metric, 0)?);
            }
            0x18 => outer.seq = Some(cursor.varint()?),
            0x22 => outer.uuid = Some(reader.text(&mut cursor)?),
            0x2a => outer.body = Some(cursor.bytes()?),
            key => reader.skip(&mut cursor, key, 5)?,
        }
    }
    outer.unknown_fields = reader.unknown;
    Ok(outer)
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
}

impl Reader<'_> {
    fn metric<'a>(&mut self, bytes: &'a [u8], depth: usize) -> Result<NamedMetric<'a>, Fault> {
        let mut name = None;
        let mut metric = Metric::default();
        let mut cursor = Cursor::new(bytes);
        while !cursor.is_empty() {
            match cursor.key()? {
                0x0a => name = Some(self.text(&mut cursor)?),
                0x10 => metric.alias = Some(cursor.varint()?),
                0x18 => metric.timestamp = Some(cursor.varint()?),
                0x20 => metric.datatype = Some(cursor.varint32()?),
                0x28 => metric.is_historical = Some(cursor.boolean()?),
                0x30 => metric.is_transient = Some(cursor.boolean()?),
                0x38 => metric.is_null = Some(cursor.boolean()?),
                0x42 => {
                    let bytes = cursor.bytes()?;
                    self.metadata(bytes, metric.metadata.get_or_insert_default())?;
                }
                0x4a => {
                    let bytes = cursor.bytes()?;
                    let depth = self.enter_property(depth)?;
                    let set = metric.properties.get_or_insert_default();
                    self.property_set(bytes, set, depth)?;
                }
                0x50 => metric.value = Some(Value::Int(cursor.varint32()?)),
                0x58 => metric.value = Some(Value::Long(cursor.varint()?)),
                0x65 => metric.value = Some(Value::Float(f32::from_bits(cursor.fixed32()?))),
                0x69 => metric.value = Some(Value::Double(f64::from_bits(cursor.fixed64()?))),
                0x70 => metric.value = Some(Value::Boolean(cursor.boolean()?)),
                0x7a => metric.value = Some(Value::String(self.string(&mut cursor)?)),
                0x82 => metric.value = Some(Value::Bytes(cursor.bytes()?.to_vec())),
                0x8a => {
                    let bytes = cursor.bytes()?;
                    let mut table = match metric.value.take() {
                        Some(Value::DataSet(table)) => table,
                        _ => Box::default(),
                    };
                    self.data_set(bytes, &mut table)?;
                    metric.value = Some(Value::DataSet(table));
                }
                0x92 => {
                    let bytes = cursor.bytes()?;
                    let depth = self.enter(depth)?;
                    let mut template = match metric.value.take() {
                        Some(Value::Template(template)) => template,
                        _ => Box::default(),
                    };
                    self.template(bytes, &mut template, depth)?;
                    metric.value = Some(Value::Template(template));
                }
                key => self.skip(&mut cursor, key, 18)?,
            }
        }
        Ok(NamedMetric { name, metric })
    }

    fn metadata(&mut self, bytes: &[u8], metadata: &mut MetaData) -> Result<(), Fault> {
        let mut cursor = Cursor::new(bytes);
        while !cursor.is_empty() {
            match cursor.key()? {
                0x08 => metadata.is_multi_part = Some(cursor.boolean()?),
                0x12 => metadata.content_type = Some(self.string(&mut cursor)?),
                0x18 => metadata.size = Some(cursor.varint()?),
                0x20 => metadata.seq = Some(cursor.varint()?),
                0x2a => metadata.file_name = Some(self.string(&mut cursor)?),
                0x32 => metadata.file_type = Some(self.string(&mut cursor)?),
                0x3a => metadata.md5 = Some(self.string(&mut cursor)?),
                0x42 => metadata.description = Some(self.string(&mut cursor)?),
                key => self.skip(&mut cursor, key, 8)?,
            }
        }
        Ok(())
    }

    fn property_set(
        &mut self,
        bytes: &[u8],
        set: &mut PropertySet,
        depth: usize,
    ) -> Result<(), Fault> {
        let (keys, values) = (set.keys.len(), set.values.len());
        let mut cursor = Cursor::new(bytes);
        while !cursor.is_empty() {
            match cursor.key()? {
                0x0a => {
                    let key = self.text(&mut cursor)?;
                    self.count_property()?;
                    set.keys.push(key.to_owned());
                }
                0x12 => {
                    let bytes = cursor.bytes()?;
                    self.count_property()?;
                    set.values.push(self.property_value(bytes, depth)?);
                }
                key => self.skip(&mut cursor, key, 2)?,
            }
        }
        // Each time that it is given: merged, a key could get another's value.
        if set.keys.len().saturating_sub(keys) != set.values.len().saturating_sub(values) {
            return Err(cursor.fault("a property set with different numbers of keys and values"));
        }
        Ok(())
    }

    fn property_value(&mut self, bytes: &[u8], depth: usize) -> Result<PropertyValue, Fault> {
        let mut property = PropertyValue::default();
        let mut cursor = Cursor::new(bytes);
        while !cursor.is_empty() {
            match cursor.key()? {
                0x08 => property.r#type = Some(cursor.varint32()?),
                0x10 => property.is_null = Some(cursor.boolean()?),
                0x18 => property.value = Some(Property::Int(cursor.varint32()?)),
                0x20 => property.value = Some(Property::Long(cursor.varint()?)),
                0x2d => property.value = Some(Property::Float(f32::from_bits(cursor.fixed32()?))),
                0x31 => property.value = Some(Property::Double(f64::from_bits(cursor.fixed64()?))),
                0x38 => property.value = Some(Property::Boolean(cursor.boolean()?)),
                0x42 => property.value = Some(Property::String(self.string(&mut cursor)?)),
                0x4a => {
                    let bytes = cursor.bytes()?;
                    let depth = self.enter_property(depth)?;
                    let mut set = match property.value.take() {
                        Some(Property::Set(set)) => set,
                        _ => PropertySet::default(),
                    };
                    self.property_set(bytes, &mut set, depth)?;
                    property.value = Some(Property::Set(set));
                }
                0x52 => {
                    let bytes = cursor.bytes()?;
                    let depth = self.enter_property(depth)?;
                    let mut list = match property.value.take() {
                        Some(Property::SetList(list)) => list,
                        _ => PropertySetList::default(),
                    };
                    self.property_set_list(bytes, &mut list, depth)?;
                    property.value = Some(Property::SetList(list));
                }
                key => self.skip(&mut cursor, key, 10)?,
            }
        }
        Ok(property)
    }

    fn property_set_list(
        &mut self,
        bytes: &[u8],
        list: &mut PropertySetList,
        depth: usize,
    ) -> Result<(), Fault> {
        let mut cursor = Cursor::new(bytes);
        while !cursor.is_empty() {
            match cursor.key()? {
                0x0a => {
                    let bytes = cursor.bytes()?;
                    let depth = self.enter_property(depth)?;
                    let mut set = PropertySet::default();
                    self.property_set(bytes, &mut set, depth)?;
                    list.sets.push(set);
                }
                key => self.skip(&mut cursor, key, 1)?,
            }
        }
        Ok(())
    }

    fn data_set(&mut self, bytes: &[u8], table: &mut DataSet) -> Result<(), Fault> {
        let mut cursor = Cursor::new(bytes);
        while !cursor.is_empty() {
            match cursor.key()? {
                0x08 => table.num_of_columns = Some(cursor.varint()?),
                0x12 => {
                    let column = self.text(&mut cursor)?;
                    self.count_cell()?;
                    table.columns.push(column.to_owned());
                }
                0x18 => table.types.push(cursor.varint32()?),
                0x1a => {
                    // Packed. At most four bytes of memory for each one of the payload.
                    let mut types = Cursor::new(cursor.bytes()?);
                    while !types.is_empty() {
                        table.types.push(types.varint32()?);
                    }
                }
                0x22 => {
                    let bytes = cursor.bytes()?;
                    self.count_cell()?;
                    table.rows.push(self.row(bytes)?);
                }
                key => self.skip(&mut cursor, key, 4)?,
            }
        }
        Ok(())
    }

    fn row(&mut self, bytes: &[u8]) -> Result<Row, Fault> {
        let mut row = Row::default();
        let mut cursor = Cursor::new(bytes);
        while !cursor.is_empty() {
            match cursor.key()? {
                0x0a => {
                    let bytes = cursor.bytes()?;
                    self.count_cell()?;
                    row.elements.push(self.cell(bytes)?);
                }
                key => self.skip(&mut cursor, key, 1)?,
            }
        }
        Ok(row)
    }

    fn cell(&mut self, bytes: &[u8]) -> Result<Cell, Fault> {
        let mut cell = Cell::default();
        let mut cursor = Cursor::new(bytes);
        while !cursor.is_empty() {
            cell.value = Some(match cursor.key()? {
                0x08 => CellValue::Int(cursor.varint32()?),
                0x10 => CellValue::Long(cursor.varint()?),
                0x1d => CellValue::Float(f32::from_bits(cursor.fixed32()?)),
                0x21 => CellValue::Double(f64::from_bits(cursor.fixed64()?)),
                0x28 => CellValue::Boolean(cursor.boolean()?),
                0x32 => CellValue::String(self.string(&mut cursor)?),
                key => {
                    self.skip(&mut cursor, key, 6)?;
                    continue;
                }
            });
        }
        Ok(cell)
    }

    fn template(
        &mut self,
        bytes: &[u8],
        template: &mut Template,
        depth: usize,
    ) -> Result<(), Fault> {
        let mut cursor = Cursor::new(bytes);
        while !cursor.is_empty() {
            match cursor.key()? {
                0x0a => template.version = Some(self.string(&mut cursor)?),
                0x12 => {
                    let bytes = cursor.bytes()?;
                    self.count_metric()?;
                    template.metrics.push(self.metric(bytes, depth)?.into_metric());
                }
                0x1a => {
                    let bytes = cursor.bytes()?;
                    self.count_property()?;
                    template.parameters.push(self.parameter(bytes)?);
                }
                0x22 => template.template_ref = Some(self.string(&mut cursor)?),
                0x28 => template.is_definition = Some(cursor.boolean()?),
                key => self.skip(&mut cursor, key, 5)?,
            }
        }
        Ok(())
    }

    fn parameter(&mut self, bytes: &[u8]) -> Result<Parameter, Fault> {
        let mut parameter = Parameter::default();
        let mut cursor = Cursor::new(bytes);
        while !cursor.is_empty() {
            match cursor.key()? {
                0x0a => parameter.name = Some(self.string(&mut cursor)?),
                0x10 => parameter.r#type = Some(cursor.varint32()?),
                0x18 => parameter.value = Some(ParameterValue::Int(cursor.varint32()?)),
                0x20 => parameter.value = Some(ParameterValue::Long(cursor.varint()?)),
                0x2d => {
                    parameter.value =
                        Some(ParameterValue::Float(f32::from_bits(cursor.fixed32()?)));
                }
                0x31 => {
                    parameter.value =
                        Some(ParameterValue::Double(f64::from_bits(cursor.fixed64()?)));
                }
                0x38 => parameter.value = Some(ParameterValue::Boolean(cursor.boolean()?)),
                0x42 => parameter.value = Some(ParameterValue::String(self.string(&mut cursor)?)),
                key => self.skip(&mut cursor, key, 8)?,
            }
        }
        Ok(parameter)
    }

    #[inline]
    fn text<'a>(&self, cursor: &mut Cursor<'a>) -> Result<&'a str, Fault> {
        let bytes = cursor.bytes()?;
        if bytes.len() > self.caps.string_bytes {
            return Err(Fault::OverCap { what: "bytes in a string", cap: self.caps.string_bytes });
        }
        core::str::from_utf8(bytes).map_err(|_| cursor.fault("a string that isn't UTF-8"))
    }

    fn string(&self, cursor: &mut Cursor<'_>) -> Result<String, Fault> {
        self.text(cursor).map(str::to_owned)
    }

    #[cold]
    fn skip(&mut self, cursor: &mut Cursor<'_>, key: u64, known: u64) -> Result<(), Fault> {
        cursor.skip(key, known)?;
        self.unknown = self.unknown.saturating_add(1);
        Ok(())
    }

    /// The depth of what is inside of a template or of a set or list of properties.
    fn enter(&self, depth: usize) -> Result<usize, Fault> {
        let cap = self.caps.depth.min(Caps::MAX_DEPTH);
        let depth = depth.saturating_add(1);
        if depth > cap { Err(Fault::OverCap { what: "levels of nesting", cap }) } else { Ok(depth) }
    }

    fn enter_property(&mut self, depth: usize) -> Result<usize, Fault> {
        self.count_property()?;
        self.enter(depth)
    }

    #[inline]
    fn count_metric(&mut self) -> Result<(), Fault> {
        count(&mut self.metrics, self.caps.metrics, "metrics")
    }

    fn count_cell(&mut self) -> Result<(), Fault> {
        count(&mut self.cells, self.caps.cells, "data-set rows, cells and columns")
    }

    fn count_property(&mut self) -> Result<(), Fault> {
        count(&mut self.properties, self.caps.properties, "properties and parameters")
    }
}

#[inline]
fn count(counter: &mut usize, cap: usize, what: &'static str) -> Result<(), Fault> {
    *counter = counter.saturating_add(1);
    if *counter > cap { Err(Fault::OverCap { what, cap }) } else { Ok(()) }
}
