//! Values of metrics as the cases of a policy write them, by datatype.

use policy::rule::moment;
use sparkplug::{
    Cell, CellValue, DataSet, DataType, Metric, Property, PropertySet, PropertyValue, Row,
    Template, Value,
};
use toml::Spanned;
use toml::de::{DeArray, DeInteger, DeTable, DeValue};

/// What a value should have been, such as ``a whole number from 0 to 255``.
pub(super) type Wanted = String;

/// The datatype that a value has where the case doesn't say it: that of the TOML value.
pub(super) fn evident(value: &DeValue<'_>) -> Option<DataType> {
    match value {
        DeValue::String(_) => Some(DataType::String),
        DeValue::Integer(_) => Some(DataType::Int64),
        DeValue::Float(_) => Some(DataType::Double),
        DeValue::Boolean(_) => Some(DataType::Boolean),
        DeValue::Datetime(_) => Some(DataType::DateTime),
        DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// Reads a value from a command line: as in a policy file, but that text needs no quotes.
/// Without a `datatype` the value has the one that it has in a policy file without.
///
/// # Errors
/// What was wanted.
pub fn parse_value(text: &str, datatype: Option<DataType>) -> Result<(DataType, Value), Wanted> {
    let plain = |datatype| Ok((datatype, Value::String(text.to_owned())));
    let is_text = |datatype| matches!(datatype, DataType::String | DataType::Text | DataType::UUID);
    match DeValue::parse(text) {
        Ok(value) => {
            let datatype = match (datatype, value.get_ref()) {
                (Some(datatype), DeValue::String(_)) => datatype,
                (Some(datatype), _) if is_text(datatype) => return plain(datatype),
                (Some(datatype), _) => datatype,
                (None, value) => {
                    evident(value).ok_or("a datatype beside a list or table".to_owned())?
                }
            };
            Ok((datatype, read(datatype, value.get_ref())?))
        }
        Err(_) => match datatype {
            None => plain(DataType::String),
            Some(datatype) if is_text(datatype) => plain(datatype),
            Some(datatype) => {
                let value = DeValue::String(text.into());
                Ok((datatype, read(datatype, &value)?))
            }
        },
    }
}

/// Reads a value of `datatype`.
pub(super) fn read(datatype: DataType, value: &DeValue<'_>) -> Result<Value, Wanted> {
    match datatype {
        DataType::Int8 => signed(value, i64::from(i8::MIN), i64::from(i8::MAX)),
        DataType::Int16 => signed(value, i64::from(i16::MIN), i64::from(i16::MAX)),
        DataType::Int32 => signed(value, i64::from(i32::MIN), i64::from(i32::MAX)),
        DataType::Int64 => {
            let integer = whole(value, i64::MIN.into(), i64::MAX.into())?;
            Ok(Value::Long(i64::try_from(integer).unwrap_or_default().cast_unsigned()))
        }
        DataType::UInt8 => unsigned(value, u8::MAX.into()),
        DataType::UInt16 => unsigned(value, u16::MAX.into()),
        DataType::UInt32 => unsigned(value, u32::MAX),
        DataType::UInt64 => {
            let integer = whole(value, 0, u64::MAX.into())?;
            Ok(Value::Long(u64::try_from(integer).unwrap_or_default()))
        }
        // The nearest 32-bit number is what the plant would send.
        DataType::Float => Ok(Value::Float(number(value)? as f32)),
        DataType::Double => Ok(Value::Double(number(value)?)),
        DataType::Boolean => Ok(Value::Boolean(boolean(value)?)),
        DataType::String | DataType::Text | DataType::UUID => {
            Ok(Value::String(text(value)?.to_owned()))
        }
        DataType::DateTime => Ok(Value::Long(time(value)?.cast_unsigned())),
        DataType::Bytes | DataType::File => hexadecimal(text(value)?).map(Value::Bytes),
        DataType::DataSet => {
            table(value).and_then(data_set).map(|set| Value::DataSet(Box::new(set)))
        }
        DataType::Template => {
            table(value).and_then(template).map(|one| Value::Template(Box::new(one)))
        }
        DataType::PropertySet | DataType::PropertySetList => {
            Err("a value of a datatype that metrics have".to_owned())
        }
        array => array_bytes(array, value).map(Value::Bytes),
    }
}

/// A value of `datatype` that is `length` bytes long.
pub(super) fn of_length(datatype: DataType, length: usize) -> Option<Value> {
    match datatype {
        DataType::String | DataType::Text => Some(Value::String("x".repeat(length))),
        DataType::Bytes | DataType::File => Some(Value::Bytes(vec![0; length])),
        _ => None,
    }
}

/// Properties with the types that TOML gives them: strings, `Int32` or `Int64`, `Double`,
/// `Boolean`.
pub(super) fn properties(table: &DeTable<'_>) -> Result<PropertySet, Wanted> {
    let mut set = PropertySet::default();
    for (key, value) in table {
        let (datatype, property) = match value.get_ref() {
            DeValue::String(text) => {
                (DataType::String, Property::String(text.clone().into_owned()))
            }
            DeValue::Float(_) => (DataType::Double, Property::Double(number(value.get_ref())?)),
            DeValue::Boolean(boolean) => (DataType::Boolean, Property::Boolean(*boolean)),
            DeValue::Integer(integer) => {
                let integer = parse(integer).and_then(|integer| i64::try_from(integer).ok());
                let integer = integer.ok_or("a whole number of 64 bits")?;
                match i32::try_from(integer) {
                    Ok(small) => (DataType::Int32, Property::Int(small.cast_unsigned())),
                    Err(_) => (DataType::Int64, Property::Long(integer.cast_unsigned())),
                }
            }
            _ => return Err("strings, numbers and booleans".to_owned()),
        };
        set.keys.push(key.get_ref().clone().into_owned());
        set.values.push(PropertyValue {
            r#type: Some(datatype.code()),
            is_null: None,
            value: Some(property),
        });
    }
    Ok(set)
}

fn signed(value: &DeValue<'_>, least: i64, most: i64) -> Result<Value, Wanted> {
    let integer = whole(value, least.into(), most.into())?;
    // Two's complement in 32 bits, whatever the width: as most libraries send it.
    Ok(Value::Int(i32::try_from(integer).unwrap_or_default().cast_unsigned()))
}

fn unsigned(value: &DeValue<'_>, most: u32) -> Result<Value, Wanted> {
    Ok(Value::Int(u32::try_from(whole(value, 0, most.into())?).unwrap_or_default()))
}

fn whole(value: &DeValue<'_>, least: i128, most: i128) -> Result<i128, Wanted> {
    let integer = match value {
        DeValue::Integer(integer) => parse(integer),
        _ => None,
    };
    integer
        .filter(|integer| (least..=most).contains(integer))
        .ok_or_else(|| format!("a whole number from {least} to {most}"))
}

fn parse(integer: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn number(value: &DeValue<'_>) -> Result<f64, Wanted> {
    match value {
        DeValue::Float(float) => float.as_str().parse().ok(),
        // Beyond 2^53 this rounds, as the plant would have to.
        DeValue::Integer(integer) => parse(integer).map(|integer| integer as f64),
        _ => None,
    }
    .ok_or_else(|| "a number".to_owned())
}

fn boolean(value: &DeValue<'_>) -> Result<bool, Wanted> {
    match value {
        DeValue::Boolean(boolean) => Ok(*boolean),
        _ => Err("`true` or `false`".to_owned()),
    }
}

fn text<'v>(value: &'v DeValue<'_>) -> Result<&'v str, Wanted> {
    match value {
        DeValue::String(text) => Ok(text),
        _ => Err("a string".to_owned()),
    }
}

fn table<'v, 'i>(value: &'v DeValue<'i>) -> Result<&'v DeTable<'i>, Wanted> {
    match value {
        DeValue::Table(table) => Ok(table),
        _ => Err("a table".to_owned()),
    }
}

fn array<'v, 'i>(value: &'v DeValue<'i>) -> Result<&'v DeArray<'i>, Wanted> {
    match value {
        DeValue::Array(array) => Ok(array),
        _ => Err("a list".to_owned()),
    }
}

fn time(value: &DeValue<'_>) -> Result<i64, Wanted> {
    let wanted = "a time with `Z` or an offset, such as `2026-01-31T08:00:00Z`, or milliseconds \
                  since 1970";
    match value {
        DeValue::Datetime(datetime) => {
            let ms = moment::unix_ms_or_missing(datetime)
                .map_err(|missing| format!("{wanted}; this is {missing}"))?;
            i64::try_from(ms).ok()
        }
        DeValue::Integer(integer) => parse(integer).and_then(|ms| i64::try_from(ms).ok()),
        _ => None,
    }
    .ok_or_else(|| wanted.to_owned())
}

/// `"89504e47"`.
fn hexadecimal(text: &str) -> Result<Vec<u8>, Wanted> {
    let wanted = || "bytes as hexadecimal digits, such as `\"89504e47\"`".to_owned();
    let digits: Option<Vec<u8>> = text
        .chars()
        .filter(|character| !character.is_ascii_whitespace())
        .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits = digits.ok_or_else(wanted)?;
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(wanted());
    }
    Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// `{ columns = ["Id", "Name"], types = ["Int32", "String"], rows = [[1, "x"]] }`.
fn data_set(table: &DeTable<'_>) -> Result<DataSet, Wanted> {
    let wanted = || {
        "a table such as `{ columns = [\"Id\", \"Name\"], types = [\"Int32\", \"String\"], rows \
         = [[1, \"x\"]] }`"
            .to_owned()
    };
    only(table, &["columns", "types", "rows"]).map_err(|_| wanted())?;
    let list = |key: &str| {
        table
            .get(key)
            .map_or_else(|| Err(wanted()), |value| array(value.get_ref()))
            .map(|list| list.iter().map(Spanned::get_ref).collect::<Vec<_>>())
    };
    let columns: Result<Vec<String>, Wanted> =
        list("columns")?.into_iter().map(|name| Ok(text(name)?.to_owned())).collect();
    let columns = columns?;
    let types: Result<Vec<DataType>, Wanted> = list("types")?
        .into_iter()
        .map(|name| DataType::from_name(text(name)?).ok_or_else(wanted))
        .collect();
    let types = types?;
    if types.len() != columns.len() {
        return Err("as many `types` as `columns`".to_owned());
    }
    let mut rows = Vec::new();
    for row in list("rows")? {
        let cells = array(row)?;
        if cells.iter().count() != columns.len() {
            return Err("rows with a value for each column".to_owned());
        }
        let mut elements = Vec::new();
        for (datatype, cell) in types.iter().zip(cells) {
            let value = match read(*datatype, cell.get_ref())? {
                Value::Int(value) => CellValue::Int(value),
                Value::Long(value) => CellValue::Long(value),
                Value::Float(value) => CellValue::Float(value),
                Value::Double(value) => CellValue::Double(value),
                Value::Boolean(value) => CellValue::Boolean(value),
                Value::String(value) => CellValue::String(value),
                _ => return Err("columns of basic types".to_owned()),
            };
            elements.push(Cell { value: Some(value) });
        }
        rows.push(Row { elements });
    }
    Ok(DataSet {
        num_of_columns: u64::try_from(columns.len()).ok(),
        columns,
        types: types.iter().map(|datatype| datatype.code()).collect(),
        rows,
    })
}

/// `{ definition = "Motor", members = [{ name = "Speed", datatype = "Int32", value = 7 }] }`.
fn template(table: &DeTable<'_>) -> Result<Template, Wanted> {
    let wanted = || {
        "a table such as `{ definition = \"Motor\", members = [{ name = \"Speed\", datatype = \
         \"Int32\", value = 7 }] }`"
            .to_owned()
    };
    only(table, &["definition", "members"]).map_err(|_| wanted())?;
    let definition = table.get("definition").ok_or_else(wanted)?;
    let members = table.get("members").ok_or_else(wanted)?;
    let mut metrics = Vec::new();
    for member in array(members.get_ref())? {
        let member = self::table(member.get_ref())?;
        only(member, &["name", "datatype", "value"]).map_err(|_| wanted())?;
        let name = text(member.get("name").ok_or_else(wanted)?.get_ref())?;
        let value = member.get("value").ok_or_else(wanted)?.get_ref();
        let datatype = match member.get("datatype") {
            Some(datatype) => DataType::from_name(text(datatype.get_ref())?),
            None => evident(value),
        };
        let datatype = datatype.ok_or_else(wanted)?;
        metrics.push(Metric {
            name: Some(name.to_owned()),
            datatype: Some(datatype.code()),
            value: Some(read(datatype, value)?),
            ..Metric::default()
        });
    }
    Ok(Template {
        metrics,
        template_ref: Some(text(definition.get_ref())?.to_owned()),
        is_definition: Some(false),
        ..Template::default()
    })
}

fn only(table: &DeTable<'_>, keys: &[&str]) -> Result<(), ()> {
    let known = table.keys().all(|key| keys.contains(&key.get_ref().as_ref()));
    if known { Ok(()) } else { Err(()) }
}

/// The elements of an array packed little-endian; booleans and strings as Sparkplug 3.0
/// §6.4.17 has them.
fn array_bytes(datatype: DataType, value: &DeValue<'_>) -> Result<Vec<u8>, Wanted> {
    let items = array(value)?.iter().map(Spanned::get_ref);
    let mut bytes = Vec::new();
    if datatype == DataType::BooleanArray {
        let bits: Result<Vec<bool>, Wanted> = items.map(boolean).collect();
        let bits = bits?;
        bytes.extend(u32::try_from(bits.len()).unwrap_or(u32::MAX).to_le_bytes());
        for eight in bits.chunks(8) {
            let packed = eight.iter().zip([128_u8, 64, 32, 16, 8, 4, 2, 1]);
            bytes.push(packed.fold(0, |byte, (bit, mask)| if *bit { byte | mask } else { byte }));
        }
        return Ok(bytes);
    }
    for item in items {
        match datatype {
            DataType::StringArray => {
                bytes.extend(text(item)?.as_bytes());
                bytes.push(0);
            }
            DataType::FloatArray => bytes.extend((number(item)? as f32).to_le_bytes()),
            DataType::DoubleArray => bytes.extend(number(item)?.to_le_bytes()),
            DataType::DateTimeArray => bytes.extend(time(item)?.to_le_bytes()),
            _ => {
                let (width, least, most) = match datatype {
                    DataType::Int8Array => (1, i128::from(i8::MIN), i128::from(i8::MAX)),
                    DataType::Int16Array => (2, i128::from(i16::MIN), i128::from(i16::MAX)),
                    DataType::Int32Array => (4, i128::from(i32::MIN), i128::from(i32::MAX)),
                    DataType::Int64Array => (8, i128::from(i64::MIN), i128::from(i64::MAX)),
                    DataType::UInt8Array => (1, 0, i128::from(u8::MAX)),
                    DataType::UInt16Array => (2, 0, i128::from(u16::MAX)),
                    DataType::UInt32Array => (4, 0, i128::from(u32::MAX)),
                    _ => (8, 0, i128::from(u64::MAX)),
                };
                bytes.extend(whole(item, least, most)?.to_le_bytes().iter().take(width));
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use sparkplug::value::{fits, show};

    use super::*;

    fn parsed(datatype: DataType, text: &str) -> Result<Value, Wanted> {
        read(datatype, DeValue::parse(text).unwrap().get_ref())
    }

    #[test]
    fn values_of_every_datatype_fit_it_and_mean_what_was_written() {
        let motor = "{ definition = \"Motor\", members = [{ name = \"Speed\", value = 7 }] }";
        let data_set =
            "{ columns = [\"a\", \"b\"], types = [\"Int8\", \"Text\"], rows = [[-1, \"x\"]] }";
        for (datatype, text, shown) in [
            (DataType::Int8, "-128", "-128"),
            (DataType::Int16, "-2", "-2"),
            (DataType::Int32, "-3", "-3"),
            (DataType::Int64, "-9223372036854775808", "-9223372036854775808"),
            (DataType::UInt8, "255", "255"),
            (DataType::UInt16, "0xffff", "65535"),
            (DataType::UInt32, "4294967295", "4294967295"),
            (DataType::UInt64, "18446744073709551615", "18446744073709551615"),
            (DataType::Float, "1.5", "1.5"),
            (DataType::Double, "3", "3"),
            (DataType::Boolean, "true", "true"),
            (DataType::String, "\"x\"", "\"x\""),
            (DataType::DateTime, "1970-01-01T00:00:01Z", "1000"),
            (DataType::Text, "\"x\"", "\"x\""),
            (DataType::UUID, "\"x\"", "\"x\""),
            (DataType::DataSet, data_set, "[\"a\", \"b\"] [4294967295, \"x\"]"),
            (DataType::Bytes, "\"00 fF\"", "0x00ff"),
            (DataType::File, "\"89504e47\"", "0x89504e47"),
            (DataType::Template, motor, "\"Motor\" {Speed=7}"),
            (DataType::Int8Array, "[-1, 2]", "[-1, 2]"),
            (DataType::Int16Array, "[-1, 2]", "[-1, 2]"),
            (DataType::Int32Array, "[-1, 2]", "[-1, 2]"),
            (DataType::Int64Array, "[-1, 2]", "[-1, 2]"),
            (DataType::UInt8Array, "[1, 255]", "[1, 255]"),
            (DataType::UInt16Array, "[1, 65535]", "[1, 65535]"),
            (DataType::UInt32Array, "[1, 4294967295]", "[1, 4294967295]"),
            (DataType::UInt64Array, "[18446744073709551615]", "[18446744073709551615]"),
            (DataType::FloatArray, "[1.5, 2]", "[1.5, 2]"),
            (DataType::DoubleArray, "[1.5, 2]", "[1.5, 2]"),
            (
                DataType::BooleanArray,
                "[true, false, false, false, false, false, false, true, true]",
                "[true, false, false, false, false, false, false, true, true]",
            ),
            (DataType::StringArray, "[\"a\", \"\"]", "[\"a\", \"\"]"),
            (DataType::DateTimeArray, "[1970-01-01T00:00:01Z, 5]", "[1000, 5]"),
        ] {
            let value = parsed(datatype, text).unwrap_or_else(|wanted| panic!("{text}: {wanted}"));
            assert!(fits(datatype, &value), "{datatype}: {value:?}");
            assert_eq!(show(Some(datatype), &value, 100), shown, "{datatype}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_would() {
        for (datatype, text, wanted) in [
            (DataType::Int8, "128", "a whole number from -128 to 127"),
            (DataType::UInt64, "-1", "a whole number from 0 to 18446744073709551615"),
            (DataType::Float, "\"1\"", "a number"),
            (DataType::Bytes, "\"abc\"", "bytes as hexadecimal digits, such as `\"89504e47\"`"),
            (DataType::UInt8Array, "[256]", "a whole number from 0 to 255"),
            (DataType::PropertySet, "{}", "a value of a datatype that metrics have"),
        ] {
            assert_eq!(parsed(datatype, text).unwrap_err(), wanted);
        }
        assert!(parsed(DataType::DateTime, "2026-01-01T00:00:00").unwrap_err().contains("offset"));
        assert!(parsed(DataType::DataSet, "{ columns = [] }").unwrap_err().contains("columns ="));
        assert!(parsed(DataType::Template, "{ members = [] }").unwrap_err().contains("Motor"));
    }
}
