//! Values of metrics: read by their datatype, checked, compared and shown to people.
//!
//! Reading never changes what is forwarded: the relay re-encodes the original bits, since
//! libraries differ in how they encode a negative Int8 (255 or 4294967295) and a UInt32
//! (`int_value` or `long_value`).

mod same;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use text::escape_to;

use super::scalar::{Scalar, sign_extend};
use super::{Cell, CellValue, DataSet, DataType, Template, Value};

pub use same::same;

/// A value read by its datatype (Sparkplug 3.0 §6.4.16).
#[derive(Clone, Debug, PartialEq)]
pub enum Typed<'a> {
    /// Int8, Int16, Int32, Int64.
    Signed(i64),
    /// UInt8, UInt16, UInt32, UInt64.
    Unsigned(u64),
    Float(f32),
    Double(f64),
    Boolean(bool),
    /// String, Text, UUID.
    String(&'a str),
    /// Milliseconds since the epoch (UTC).
    DateTime(i64),
    DataSet(&'a DataSet),
    /// Bytes, File.
    Bytes(&'a [u8]),
    Template(&'a Template),
    SignedArray(Vec<i64>),
    UnsignedArray(Vec<u64>),
    FloatArray(Vec<f32>),
    DoubleArray(Vec<f64>),
    BooleanArray(Vec<bool>),
    StringArray(Vec<&'a str>),
    /// Milliseconds since the epoch (UTC).
    DateTimeArray(Vec<i64>),
}

/// Reads `value` as `datatype`, or `None` where it [doesn't fit](fits) or where the bytes of an
/// array aren't one.
pub fn read(datatype: DataType, value: &Value) -> Option<Typed<'_>> {
    if !fits(datatype, value) {
        return None;
    }
    let typed = match (datatype, value) {
        (DataType::Int8 | DataType::Int16 | DataType::Int32, Value::Int(bits)) => {
            Typed::Signed(sign_extend(u64::from(*bits), width(datatype)?))
        }
        (DataType::Int64, Value::Long(bits)) => Typed::Signed(bits.cast_signed()),
        (DataType::UInt8 | DataType::UInt16 | DataType::UInt32, Value::Int(bits)) => {
            Typed::Unsigned(u64::from(*bits))
        }
        (DataType::UInt32 | DataType::UInt64, Value::Long(bits)) => Typed::Unsigned(*bits),
        (DataType::DateTime, Value::Long(bits)) => Typed::DateTime(bits.cast_signed()),
        (_, Value::Float(value)) => Typed::Float(*value),
        (_, Value::Double(value)) => Typed::Double(*value),
        (_, Value::Boolean(value)) => Typed::Boolean(*value),
        (_, Value::String(value)) => Typed::String(value),
        (_, Value::DataSet(value)) => Typed::DataSet(value),
        (_, Value::Template(value)) => Typed::Template(value),
        (DataType::Bytes | DataType::File, Value::Bytes(bytes)) => Typed::Bytes(bytes),
        (_, Value::Bytes(bytes)) => return read_array(datatype, bytes),
        _ => return None,
    };
    Some(typed)
}

/// Whether `value` is a value of `datatype`: the right field, and no bits beyond its width.
/// Arrays are taken as opaque bytes, since libraries differ in how they pack them; data sets
/// must be rectangular with columns of basic types, and their cells of these.
pub fn fits(datatype: DataType, value: &Value) -> bool {
    let scalar = match value {
        Value::Int(value) => Scalar::Int(*value),
        Value::Long(value) => Scalar::Long(*value),
        Value::Float(value) => Scalar::Float(*value),
        Value::Double(value) => Scalar::Double(*value),
        Value::Boolean(value) => Scalar::Boolean(*value),
        Value::String(_) => {
            return matches!(datatype, DataType::String | DataType::Text | DataType::UUID);
        }
        Value::DataSet(table) => return datatype == DataType::DataSet && is_rectangular(table),
        Value::Template(_) => return datatype == DataType::Template,
        Value::Bytes(_) => {
            return matches!(datatype, DataType::Bytes | DataType::File)
                || datatype >= DataType::Int8Array;
        }
    };
    scalar.fits(datatype)
}

/// The datatype that a value must have where a birth doesn't say it, or `None` where several
/// are possible (integers, bytes).
pub fn evident_datatype(value: &Value) -> Option<DataType> {
    match value {
        Value::Float(_) => Some(DataType::Float),
        Value::Double(_) => Some(DataType::Double),
        Value::Boolean(_) => Some(DataType::Boolean),
        Value::String(_) => Some(DataType::String),
        Value::DataSet(_) => Some(DataType::DataSet),
        Value::Template(_) => Some(DataType::Template),
        Value::Int(_) | Value::Long(_) | Value::Bytes(_) => None,
    }
}

/// Shows a value to people: one line of at most `max_chars` characters (and an ellipsis), with
/// control characters escaped. Without a datatype, or where the value doesn't fit it, the raw
/// field is shown.
pub fn show(datatype: Option<DataType>, value: &Value, max_chars: usize) -> String {
    let mut line = Line { text: String::new(), left: max_chars };
    // An error means that the line is full, which is no error.
    let _ = match datatype.and_then(|datatype| read(datatype, value)) {
        Some(typed) => show_typed(&mut line, &typed),
        None => show_raw(&mut line, value),
    };
    line.text
}

fn width(datatype: DataType) -> Option<u32> {
    match datatype {
        DataType::Int8 => Some(8),
        DataType::Int16 => Some(16),
        DataType::Int32 => Some(32),
        _ => None,
    }
}

fn is_rectangular(table: &DataSet) -> bool {
    let columns = table.columns.len();
    table.types.len() == columns
        && table.num_of_columns.is_none_or(|count| usize::try_from(count) == Ok(columns))
        && table.types.iter().all(|code| (1..=14).contains(code))
        && table.rows.iter().all(|row| {
            row.elements.len() == columns
                && row.elements.iter().zip(&table.types).all(|(cell, code)| cell_fits(*code, cell))
        })
}

/// Whether a cell is null or of its column's type.
fn cell_fits(code: u32, cell: &Cell) -> bool {
    let Some(datatype) = DataType::from_code(code) else { return false };
    let scalar = match &cell.value {
        None => return true,
        Some(CellValue::Int(value)) => Scalar::Int(*value),
        Some(CellValue::Long(value)) => Scalar::Long(*value),
        Some(CellValue::Float(value)) => Scalar::Float(*value),
        Some(CellValue::Double(value)) => Scalar::Double(*value),
        Some(CellValue::Boolean(value)) => Scalar::Boolean(*value),
        Some(CellValue::String(_)) => {
            return matches!(datatype, DataType::String | DataType::Text);
        }
    };
    scalar.fits(datatype)
}

fn read_array(datatype: DataType, bytes: &[u8]) -> Option<Typed<'_>> {
    let typed = match datatype {
        DataType::Int8Array => {
            Typed::SignedArray(elements(bytes, |b| i64::from(i8::from_le_bytes(b)))?)
        }
        DataType::Int16Array => {
            Typed::SignedArray(elements(bytes, |b| i64::from(i16::from_le_bytes(b)))?)
        }
        DataType::Int32Array => {
            Typed::SignedArray(elements(bytes, |b| i64::from(i32::from_le_bytes(b)))?)
        }
        DataType::Int64Array => Typed::SignedArray(elements(bytes, i64::from_le_bytes)?),
        DataType::UInt8Array => {
            Typed::UnsignedArray(elements(bytes, |b| u64::from(u8::from_le_bytes(b)))?)
        }
        DataType::UInt16Array => {
            Typed::UnsignedArray(elements(bytes, |b| u64::from(u16::from_le_bytes(b)))?)
        }
        DataType::UInt32Array => {
            Typed::UnsignedArray(elements(bytes, |b| u64::from(u32::from_le_bytes(b)))?)
        }
        DataType::UInt64Array => Typed::UnsignedArray(elements(bytes, u64::from_le_bytes)?),
        DataType::FloatArray => Typed::FloatArray(elements(bytes, f32::from_le_bytes)?),
        DataType::DoubleArray => Typed::DoubleArray(elements(bytes, f64::from_le_bytes)?),
        DataType::BooleanArray => Typed::BooleanArray(booleans(bytes)?),
        DataType::StringArray => Typed::StringArray(strings(bytes)?),
        DataType::DateTimeArray => Typed::DateTimeArray(elements(bytes, i64::from_le_bytes)?),
        _ => return None,
    };
    Some(typed)
}

/// Little-endian elements of `N` bytes each, without a rest.
fn elements<T, const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Option<Vec<T>> {
    let (chunks, rest) = bytes.as_chunks::<N>();
    rest.is_empty().then(|| chunks.iter().map(|chunk| read(*chunk)).collect())
}

/// A little-endian u32 count, then the bits, most significant first, padded to whole bytes.
fn booleans(bytes: &[u8]) -> Option<Vec<bool>> {
    let (count, packed) = bytes.split_first_chunk::<4>()?;
    let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
    // Also bounds the allocation: `count` is at most eight per byte that is there.
    if packed.len() != count.div_ceil(8) {
        return None;
    }
    let bits = packed.iter().flat_map(|byte| (0..8).map(move |bit| byte << bit & 0x80 != 0));
    Some(bits.take(count).collect())
}

/// UTF-8 strings, each ended by a NUL.
fn strings(bytes: &[u8]) -> Option<Vec<&str>> {
    let text = core::str::from_utf8(bytes).ok()?;
    if text.is_empty() {
        return Some(Vec::new());
    }
    Some(text.strip_suffix('\0')?.split('\0').collect())
}

/// A line that takes so many characters and then no more.
struct Line {
    text: String,
    left: usize,
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match self.left.checked_sub(1) {
                Some(left) => self.left = left,
                None => {
                    self.text.push('…');
                    return Err(fmt::Error);
                }
            }
            self.text.push(character);
        }
        Ok(())
    }
}

fn show_typed(line: &mut Line, typed: &Typed<'_>) -> fmt::Result {
    match typed {
        Typed::Signed(value) | Typed::DateTime(value) => write!(line, "{value}"),
        Typed::Unsigned(value) => write!(line, "{value}"),
        Typed::Float(value) => write!(line, "{value}"),
        Typed::Double(value) => write!(line, "{value}"),
        Typed::Boolean(value) => write!(line, "{value}"),
        Typed::String(value) => quoted(line, value),
        Typed::DataSet(table) => show_table(line, table),
        Typed::Bytes(bytes) => show_bytes(line, bytes),
        Typed::Template(template) => show_template(line, template),
        Typed::SignedArray(values) | Typed::DateTimeArray(values) => {
            list(line, values, |line, value| write!(line, "{value}"))
        }
        Typed::UnsignedArray(values) => list(line, values, |line, value| write!(line, "{value}")),
        Typed::FloatArray(values) => list(line, values, |line, value| write!(line, "{value}")),
        Typed::DoubleArray(values) => list(line, values, |line, value| write!(line, "{value}")),
        Typed::BooleanArray(values) => list(line, values, |line, value| write!(line, "{value}")),
        Typed::StringArray(values) => list(line, values, |line, value| quoted(line, value)),
    }
}

fn show_raw(line: &mut Line, value: &Value) -> fmt::Result {
    match value {
        Value::Int(value) => write!(line, "{value}"),
        Value::Long(value) => write!(line, "{value}"),
        Value::Float(value) => write!(line, "{value}"),
        Value::Double(value) => write!(line, "{value}"),
        Value::Boolean(value) => write!(line, "{value}"),
        Value::String(value) => quoted(line, value),
        Value::Bytes(bytes) => show_bytes(line, bytes),
        Value::DataSet(table) => show_table(line, table),
        Value::Template(template) => show_template(line, template),
    }
}

fn show_bytes(line: &mut Line, bytes: &[u8]) -> fmt::Result {
    line.write_str("0x")?;
    bytes.iter().try_for_each(|byte| write!(line, "{byte:02x}"))
}

fn show_table(line: &mut Line, table: &DataSet) -> fmt::Result {
    list(line, &table.columns, |line, column| quoted(line, column))?;
    for row in &table.rows {
        line.write_str(" ")?;
        list(line, &row.elements, |line, cell| match &cell.value {
            Some(CellValue::Int(value)) => write!(line, "{value}"),
            Some(CellValue::Long(value)) => write!(line, "{value}"),
            Some(CellValue::Float(value)) => write!(line, "{value}"),
            Some(CellValue::Double(value)) => write!(line, "{value}"),
            Some(CellValue::Boolean(value)) => write!(line, "{value}"),
            Some(CellValue::String(value)) => quoted(line, value),
            None => line.write_str("null"),
        })?;
    }
    Ok(())
}

/// Recursion is bounded by the depth that was decoded (at most [`super::Caps::MAX_DEPTH`]).
fn show_template(line: &mut Line, template: &Template) -> fmt::Result {
    match &template.template_ref {
        Some(name) => quoted(line, name)?,
        None => line.write_str("definition")?,
    }
    line.write_str(" {")?;
    for (index, metric) in template.metrics.iter().enumerate() {
        if index > 0 {
            line.write_str(", ")?;
        }
        write!(line, "{}=", escape_to(metric.name.as_deref().unwrap_or("?"), usize::MAX))?;
        let datatype = metric.datatype.and_then(DataType::from_code);
        match &metric.value {
            None => line.write_str("null")?,
            Some(value) => match datatype.and_then(|datatype| read(datatype, value)) {
                Some(typed) => show_typed(line, &typed)?,
                None => show_raw(line, value)?,
            },
        }
    }
    line.write_str("}")
}

fn list<T>(
    line: &mut Line,
    items: &[T],
    show: impl Fn(&mut Line, &T) -> fmt::Result,
) -> fmt::Result {
    line.write_str("[")?;
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            line.write_str(", ")?;
        }
        show(line, item)?;
    }
    line.write_str("]")
}

fn quoted(line: &mut Line, text: &str) -> fmt::Result {
    write!(line, "\"{}\"", escape_to(text, usize::MAX))
}

#[cfg(test)]
mod tests;
