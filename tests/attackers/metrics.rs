//! Metrics and what is in them, without ceremony.

use crate::proto::Proto;

/// Codes of datatypes (Sparkplug 3.0 §6.4.16).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Type {
    Int32 = 3,
    Int64 = 4,
    Double = 10,
    Boolean = 11,
    String = 12,
    DateTime = 13,
    DataSet = 16,
    Bytes = 17,
    Template = 19,
    PropertySet = 20,
    PropertySetList = 21,
    Int8Array = 22,
    Int32Array = 24,
    BooleanArray = 32,
    StringArray = 33,
}

/// A metric with a name and a datatype, and no value yet.
pub(crate) fn typed(name: impl AsRef<[u8]>, datatype: Type) -> Proto {
    named(name).int(4, datatype as u64)
}

/// A metric with a name alone.
pub(crate) fn named(name: impl AsRef<[u8]>) -> Proto {
    Proto::new().bytes(1, name)
}

/// A metric with an alias alone.
pub(crate) fn alias(alias: u64) -> Proto {
    Proto::new().int(2, alias)
}

/// A number with a name.
pub(crate) fn number(name: impl AsRef<[u8]>, value: u64) -> Proto {
    typed(name, Type::Int32).int(10, value)
}

/// So many numbers of different names.
pub(crate) fn numbers(prefix: &str, count: usize) -> impl Iterator<Item = Proto> + '_ {
    (0..count).map(move |at| number(format!("{prefix}{at}"), 1))
}

/// A text of a metric.
pub(crate) fn text(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Proto {
    typed(name, Type::String).bytes(15, value)
}

/// Text of so many bytes in many metrics of 60 kB each.
pub(crate) fn texts(bytes: usize) -> impl Iterator<Item = Proto> {
    let one = 60_000;
    (0..bytes.div_ceil(one)).map(move |at| text(format!("text{at}"), vec![b't'; one]))
}

/// A template of a metric: its definition.
pub(crate) fn definition(name: &str, members: impl IntoIterator<Item = Proto>) -> Proto {
    typed(name, Type::Template).message(18, Proto::new().messages(2, members).int(5, 1))
}

/// An instance of a template.
pub(crate) fn instance(of: impl AsRef<[u8]>, members: impl IntoIterator<Item = Proto>) -> Proto {
    Proto::new().messages(2, members).bytes(4, of).int(5, 0)
}

/// A metric that is an instance of a template.
pub(crate) fn instance_metric(
    name: &str,
    of: &str,
    members: impl IntoIterator<Item = Proto>,
) -> Proto {
    typed(name, Type::Template).message(18, instance(of, members))
}

/// A property set of so many numbers.
pub(crate) fn properties(count: usize) -> Proto {
    let keys = (0..count).fold(Proto::new(), |set, at| set.bytes(1, format!("k{at}")));
    keys.messages(2, (0..count).map(|at| Proto::new().int(1, 3).int(3, at as u64)))
}

/// A value of a property that is a property set.
pub(crate) fn set_value(set: Proto) -> Proto {
    Proto::new().int(1, Type::PropertySet as u64).message(9, set)
}

/// A table of so many columns and rows of numbers.
pub(crate) fn table(columns: usize, rows: usize) -> Proto {
    let names = (0..columns)
        .fold(Proto::new().int(1, columns as u64), |table, at| table.bytes(2, format!("c{at}")));
    let types = (0..columns).fold(names, |table, _| table.int(3, Type::Int32 as u64));
    let row = Proto::new().repeated(1, Proto::new().int(1, 1).done(), columns).done();
    types.repeated(4, row, rows)
}

/// An empty message, so many times: two bytes each.
pub(crate) fn empties(field: u64, count: usize) -> Proto {
    Proto::new().repeated(field, [], count)
}
