//! Whether two values are the same bits, found out in no more steps than the shorter one has parts:
//! a plant may send a template of many members once, and then thousands that are empty.

use crate::{
    Cell, CellValue, DataSet, Metric, Parameter, ParameterValue, Property, PropertySet,
    PropertyValue, Row, Template, Value, steps,
};

/// Whether two values are the same bits. Unlike `==`, NaN is the same as itself and 0.0 isn't
/// the same as -0.0.
pub fn same(left: &Value, right: &Value) -> bool {
    steps::take(1);
    match (left, right) {
        (Value::Float(left), Value::Float(right)) => left.to_bits() == right.to_bits(),
        (Value::Double(left), Value::Double(right)) => left.to_bits() == right.to_bits(),
        (Value::DataSet(left), Value::DataSet(right)) => same_table(left, right),
        (Value::Template(left), Value::Template(right)) => same_template(left, right),
        (left, right) => left == right,
    }
}

/// Whether there are as many of both, and each is the same as its other.
fn all<T>(left: &[T], right: &[T], is_same: fn(&T, &T) -> bool) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(left, right)| is_same(left, right))
}

fn both<T>(left: Option<&T>, right: Option<&T>, is_same: fn(&T, &T) -> bool) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => is_same(left, right),
        (left, right) => left.is_none() && right.is_none(),
    }
}

fn same_table(left: &DataSet, right: &DataSet) -> bool {
    fn cells(left: &Cell, right: &Cell) -> bool {
        steps::take(1);
        both(left.value.as_ref(), right.value.as_ref(), |left, right| match (left, right) {
            (CellValue::Float(left), CellValue::Float(right)) => left.to_bits() == right.to_bits(),
            (CellValue::Double(left), CellValue::Double(right)) => {
                left.to_bits() == right.to_bits()
            }
            (left, right) => left == right,
        })
    }
    fn rows(left: &Row, right: &Row) -> bool {
        steps::take(1);
        all(&left.elements, &right.elements, cells)
    }
    left.num_of_columns == right.num_of_columns
        && left.columns == right.columns
        && left.types == right.types
        && all(&left.rows, &right.rows, rows)
}

/// Recursion is bounded by the depth that was decoded (at most [`Caps::MAX_DEPTH`](crate::Caps)).
fn same_template(left: &Template, right: &Template) -> bool {
    fn parameters(left: &Parameter, right: &Parameter) -> bool {
        steps::take(1);
        left.name == right.name
            && left.r#type == right.r#type
            && both(left.value.as_ref(), right.value.as_ref(), |left, right| match (left, right) {
                (ParameterValue::Float(left), ParameterValue::Float(right)) => {
                    left.to_bits() == right.to_bits()
                }
                (ParameterValue::Double(left), ParameterValue::Double(right)) => {
                    left.to_bits() == right.to_bits()
                }
                (left, right) => left == right,
            })
    }
    left.version == right.version
        && left.template_ref == right.template_ref
        && left.is_definition == right.is_definition
        && all(&left.metrics, &right.metrics, same_metric)
        && all(&left.parameters, &right.parameters, parameters)
}

fn same_metric(left: &Metric, right: &Metric) -> bool {
    steps::take(1);
    let plain = |metric: &Metric| {
        (
            metric.alias,
            metric.timestamp,
            metric.datatype,
            metric.is_historical,
            metric.is_transient,
            metric.is_null,
        )
    };
    left.name == right.name
        && plain(left) == plain(right)
        && left.metadata == right.metadata
        && both(left.properties.as_deref(), right.properties.as_deref(), same_properties)
        && both(left.value.as_ref(), right.value.as_ref(), same)
}

fn same_properties(left: &PropertySet, right: &PropertySet) -> bool {
    fn values(left: &PropertyValue, right: &PropertyValue) -> bool {
        steps::take(1);
        left.r#type == right.r#type
            && left.is_null == right.is_null
            && both(left.value.as_ref(), right.value.as_ref(), |left, right| match (left, right) {
                (Property::Float(left), Property::Float(right)) => {
                    left.to_bits() == right.to_bits()
                }
                (Property::Double(left), Property::Double(right)) => {
                    left.to_bits() == right.to_bits()
                }
                (Property::Set(left), Property::Set(right)) => same_properties(left, right),
                (Property::SetList(left), Property::SetList(right)) => {
                    all(&left.sets, &right.sets, same_properties)
                }
                (left, right) => left == right,
            })
    }
    left.keys == right.keys && all(&left.values, &right.values, values)
}
