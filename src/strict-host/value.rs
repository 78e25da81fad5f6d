//! Values: whether they fit their datatypes, property sets and data sets.

use alloc::format;
use alloc::string::String;

use sparkplug::{CellValue, DataSet, Metric, Property, PropertySet, Value};

use crate::findings::Findings;

pub(crate) const TEMPLATE: u32 = 19;

/// Whether a metric of this datatype may have this value. UInt32 is seen as either integer.
pub(crate) fn fits(code: u32, value: &Value) -> bool {
    match value {
        Value::Int(value) => match code {
            1 | 5 => *value <= 0xff || (code == 1 && *value >= 0xffff_ff80),
            2 | 6 => *value <= 0xffff || (code == 2 && *value >= 0xffff_8000),
            _ => matches!(code, 3 | 7),
        },
        Value::Long(value) => {
            matches!(code, 4 | 8 | 13) || (code == 7 && *value <= u64::from(u32::MAX))
        }
        Value::Float(_) => code == 9,
        Value::Double(_) => code == 10,
        Value::Boolean(_) => code == 11,
        Value::String(_) => matches!(code, 12 | 14 | 15),
        Value::Bytes(_) => matches!(code, 17 | 18 | 22..=34),
        Value::DataSet(_) => code == 16,
        Value::Template(_) => code == TEMPLATE,
    }
}

pub(crate) fn check_properties(metric: &Metric, findings: &mut Findings) {
    if let Some(set) = &metric.properties {
        property_set(metric.name(), set, findings);
    }
}

fn property_set(name: &str, set: &PropertySet, findings: &mut Findings) {
    let mut add = |rule: &str, text: String| findings.add(rule, format!("`{name}`: {text}"));
    if set.keys.len() != set.values.len() {
        let text = format!("{} keys, {} values", set.keys.len(), set.values.len());
        add("payloads-propertyset-keys-array-size", text);
    }
    for (key, property) in set.keys.iter().zip(&set.values) {
        let mut add = |rule: &str, text: String| {
            findings.add(rule, format!("`{name}`, `{key}`: {text}"));
        };
        let Some(code) = property.r#type else {
            add("payloads-metric-propertyvalue-type-req", "no type".into());
            continue;
        };
        let fitting = match &property.value {
            None => property.is_null(),
            Some(value) => property_fits(code, value),
        };
        if !fitting {
            add("payloads-metric-propertyvalue-type-value", format!("{property:?}"));
        }
        if key == "Quality" {
            if code != 3 {
                add("payloads-propertyset-quality-value-type", format!("type {code}"));
            } else if !matches!(property.value, Some(Property::Int(0 | 192 | 500))) {
                add("payloads-propertyset-quality-value-value", format!("{property:?}"));
            }
        }
        match &property.value {
            Some(Property::Set(set)) => property_set(name, set, findings),
            Some(Property::SetList(list)) => {
                list.sets.iter().for_each(|set| property_set(name, set, findings));
            }
            _ => {}
        }
    }
}

fn property_fits(code: u32, property: &Property) -> bool {
    match property {
        Property::Int(value) => code <= 14 && fits(code, &Value::Int(*value)),
        Property::Long(value) => code <= 14 && fits(code, &Value::Long(*value)),
        Property::Float(_) => code == 9,
        Property::Double(_) => code == 10,
        Property::Boolean(_) => code == 11,
        Property::String(_) => matches!(code, 12 | 14),
        Property::Set(_) => code == 20,
        Property::SetList(_) => code == 21,
    }
}

pub(crate) fn data_set(name: &str, set: &DataSet, findings: &mut Findings) {
    let mut add = |rule: &str, text: String| findings.add(rule, format!("`{name}`: {text}"));
    let columns = set.columns.len();
    match set.num_of_columns {
        None => add("payloads-dataset-column-size", "no num_of_columns".into()),
        Some(count) if usize::try_from(count) != Ok(columns) => {
            add("payloads-dataset-column-num-headers", format!("{count}, {columns} headers"));
        }
        Some(_) => {}
    }
    if set.types.len() != columns {
        let text = format!("{} types, {columns} columns", set.types.len());
        add("payloads-dataset-types-num", text);
    }
    for code in set.types.iter().filter(|code| !(1..=14).contains(*code)) {
        add("payloads-dataset-types-value", format!("type {code}"));
    }
    for row in &set.rows {
        let fitting = row.elements.len() == columns
            && row.elements.iter().zip(&set.types).all(|(cell, code)| {
                cell.value.as_ref().is_some_and(|value| cell_fits(*code, value))
            });
        if !fitting {
            add("payloads-template-dataset-value", format!("row {row:?}"));
        }
    }
}

fn cell_fits(code: u32, cell: &CellValue) -> bool {
    match cell {
        CellValue::Int(value) => fits(code, &Value::Int(*value)),
        CellValue::Long(value) => fits(code, &Value::Long(*value)),
        CellValue::Float(_) => code == 9,
        CellValue::Double(_) => code == 10,
        CellValue::Boolean(_) => code == 11,
        CellValue::String(_) => matches!(code, 12 | 14),
    }
}
