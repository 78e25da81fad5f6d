//! Values of every datatype: read, fitted, compared and shown.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use prost::Message;
use text::escape_to;

use super::super::{Cell, Metric, Row, arbitrary, steps};
use super::{
    CellValue, DataSet, DataType, Template, Typed, Value, evident_datatype, fits, read, same, show,
};

#[test]
fn what_is_short_is_compared_in_few_steps_with_what_is_long() {
    let template = |members: usize| {
        let metrics = (0..members).map(|_| Metric::default()).collect();
        Value::Template(Box::new(Template { metrics, ..Template::default() }))
    };
    let table = |rows: usize| {
        let rows = (0..rows).map(|_| Row::default()).collect();
        Value::DataSet(Box::new(DataSet { rows, ..DataSet::default() }))
    };
    for (long, short) in [(template(10_000), template(3)), (table(10_000), table(3))] {
        let before = steps::taken();
        assert!(!same(&long, &short) && !same(&short, &long));
        assert!(steps::taken() - before < 20, "{}", steps::taken() - before);
    }
}

fn bytes(hex: &str) -> Value {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap() as u8;
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    Value::Bytes(digits.chunks(2).map(|pair| digit(&pair[0]) << 4 | digit(&pair[1])).collect())
}

#[test]
fn signed_integers_are_read_from_both_conventions() {
    let cases = [
        (DataType::Int8, 255, -1),
        (DataType::Int8, 0xffff_ffff, -1),
        (DataType::Int8, 0x80, -128),
        (DataType::Int8, 127, 127),
        (DataType::Int16, 0xfffe, -2),
        (DataType::Int16, 0xffff_fffe, -2),
        (DataType::Int32, 0xffff_fffd, -3),
    ];
    for (datatype, bits, expected) in cases {
        assert_eq!(read(datatype, &Value::Int(bits)), Some(Typed::Signed(expected)), "{datatype}");
    }
    assert_eq!(read(DataType::Int64, &Value::Long(u64::MAX)), Some(Typed::Signed(-1)));
}

#[test]
fn unsigned_32_is_read_from_both_fields() {
    for value in [Value::Int(u32::MAX), Value::Long(u64::from(u32::MAX))] {
        let expected = Typed::Unsigned(u64::from(u32::MAX));
        assert_eq!(read(DataType::UInt32, &value), Some(expected));
    }
    assert!(!fits(DataType::UInt32, &Value::Long(1 << 32)));
}

#[test]
fn values_with_bits_beyond_their_width_do_not_fit() {
    assert!(!fits(DataType::Int8, &Value::Int(256)));
    assert!(!fits(DataType::Int8, &Value::Int(0xffff_ff7f)));
    assert!(!fits(DataType::Int8, &Value::Int(0x0000_ffff)));
    assert!(!fits(DataType::Int16, &Value::Int(0x1_0000)));
    assert!(!fits(DataType::UInt8, &Value::Int(256)));
    assert!(!fits(DataType::UInt16, &Value::Int(0x1_0000)));
}

#[test]
fn values_in_the_wrong_field_do_not_fit() {
    assert!(!fits(DataType::Float, &Value::Double(1.0)));
    assert!(!fits(DataType::Int64, &Value::Int(1)));
    assert!(!fits(DataType::String, &Value::Bytes(vec![])));
    assert!(!fits(DataType::Bytes, &Value::String(String::new())));
    assert!(!fits(DataType::PropertySet, &Value::Bytes(vec![])));
    assert!(!fits(DataType::DataSet, &Value::Template(Box::default())));
}

#[test]
fn arrays_are_read_as_the_errata_print_them() {
    let cases = [
        (DataType::Int8Array, "E9 7B", Typed::SignedArray(vec![-23, 123])),
        (
            DataType::Int32Array,
            "15 CD 5B 07 B1 68 DE 3A",
            Typed::SignedArray(vec![123_456_789, 987_654_321]),
        ),
        (DataType::FloatArray, "A4 70 9D 3F 98 AE B2 42", Typed::FloatArray(vec![1.23, 89.341])),
        (
            DataType::DoubleArray,
            "D7 A2 05 68 5B B5 28 40 8E 17 1C 6F 4C F7 8F 40",
            Typed::DoubleArray(vec![12.354213, 1022.9123213]),
        ),
        (
            DataType::DateTimeArray,
            "C7 D0 90 75 24 01 00 00 B8 BA B8 97 81 01 00 00",
            Typed::DateTimeArray(vec![1_256_102_875_335, 1_656_107_875_000]),
        ),
        (
            DataType::BooleanArray,
            "0C 00 00 00 34 D0",
            Typed::BooleanArray([0, 0, 1, 1, 0, 1, 0, 0, 1, 1, 0, 1].map(|bit| bit == 1).to_vec()),
        ),
        (
            DataType::StringArray,
            "41 42 43 00 68 65 6C 6C 6F 00",
            Typed::StringArray(vec!["ABC", "hello"]),
        ),
        (DataType::StringArray, "", Typed::StringArray(vec![])),
        (DataType::StringArray, "00", Typed::StringArray(vec![""])),
        (DataType::UInt16Array, "01 00 FF FF", Typed::UnsignedArray(vec![1, 0xffff])),
    ];
    for (datatype, hex, expected) in cases {
        assert_eq!(read(datatype, &bytes(hex)), Some(expected), "{datatype}");
    }
}

#[test]
fn arrays_that_are_none_fit_as_bytes_but_cannot_be_read() {
    let cases = [
        (DataType::BooleanArray, "FF FF FF FF 01"),
        (DataType::BooleanArray, "01 00 00"),
        (DataType::StringArray, "41 42"),
        (DataType::StringArray, "FF 00"),
        (DataType::Int16Array, "01 02 03"),
    ];
    for (datatype, hex) in cases {
        assert_eq!(read(datatype, &bytes(hex)), None, "{datatype}");
        assert!(fits(datatype, &bytes(hex)));
    }
}

#[test]
fn data_sets_fit_when_they_are_rectangular() {
    let cell = Cell { value: Some(CellValue::Int(1)) };
    let table = DataSet {
        num_of_columns: Some(1),
        columns: vec!["a".into()],
        types: vec![3],
        rows: vec![Row { elements: vec![cell.clone()] }],
    };
    let check = |table: DataSet| fits(DataType::DataSet, &Value::DataSet(Box::new(table)));
    assert!(check(table.clone()));
    assert!(check(DataSet { num_of_columns: None, ..table.clone() }));
    assert!(!check(DataSet { num_of_columns: Some(2), ..table.clone() }));
    assert!(!check(DataSet { types: vec![], ..table.clone() }));
    assert!(!check(DataSet { types: vec![19], ..table.clone() }));
    assert!(!check(DataSet { rows: vec![Row { elements: vec![cell.clone(), cell] }], ..table }));
}

#[test]
fn only_fields_with_one_datatype_are_evident() {
    assert_eq!(evident_datatype(&Value::Boolean(true)), Some(DataType::Boolean));
    assert_eq!(evident_datatype(&Value::Double(1.0)), Some(DataType::Double));
    assert_eq!(evident_datatype(&Value::Int(1)), None);
    assert_eq!(evident_datatype(&Value::Bytes(vec![])), None);
}

#[test]
fn sameness_is_that_of_bits() {
    assert!(same(&Value::Float(f32::NAN), &Value::Float(f32::NAN)));
    assert!(!same(&Value::Double(0.0), &Value::Double(-0.0)));
    assert!(!same(&Value::Int(1), &Value::Long(1)));
    let table = |value| {
        let cell = Cell { value: Some(CellValue::Double(value)) };
        let rows = vec![Row { elements: vec![cell] }];
        Value::DataSet(Box::new(DataSet { rows, ..DataSet::default() }))
    };
    assert!(same(&table(f64::NAN), &table(f64::NAN)));
    assert!(!same(&table(0.0), &table(-0.0)));
}

#[test]
fn values_are_shown_by_their_datatype_and_never_break_the_line() {
    assert_eq!(show(Some(DataType::Int8), &Value::Int(255), 80), "-1");
    assert_eq!(show(None, &Value::Int(255), 80), "255");
    assert_eq!(show(Some(DataType::Float), &Value::Int(255), 80), "255");
    let text = Value::String("a\n\u{1b}[31m\u{202e}\"é".into());
    assert_eq!(show(Some(DataType::Text), &text, 80), r#""a\n\u{1b}[31m\u{202e}\"é""#);
    assert_eq!(show(Some(DataType::Bytes), &bytes("00 FF"), 80), "0x00ff");
    assert_eq!(show(Some(DataType::Int8Array), &bytes("E9 7B"), 80), "[-23, 123]");
    let member = Metric {
        name: Some("speed".into()),
        datatype: Some(DataType::Int16.code()),
        value: Some(Value::Int(0xffff)),
        ..Metric::default()
    };
    let template = Template {
        template_ref: Some("Motor".into()),
        metrics: vec![member, Metric::default()],
        ..Template::default()
    };
    let shown = show(Some(DataType::Template), &Value::Template(Box::new(template)), 80);
    assert_eq!(shown, r#""Motor" {speed=-1, ?=null}"#);
    assert_eq!(escape_to("a\tb\u{7f}", 80).to_string(), "a\\tb\\u{7f}");
}

#[test]
fn what_is_shown_is_cut() {
    assert_eq!(show(None, &Value::String("é".repeat(1000)), 4), "\"ééé…");
    assert_eq!(show(Some(DataType::Bytes), &Value::Bytes(vec![0; 1000]), 6), "0x0000…");
    assert_eq!(escape_to("abc", 3).to_string(), "abc");
    assert_eq!(escape_to("abcd", 3).to_string(), "abc…");
}

proptest! {
    #[test]
    fn what_fits_can_be_read_and_what_cannot_be_read_is_an_array(
        code in 1_u32..35, value in arbitrary::plain_value(),
    ) {
        let datatype = DataType::from_code(code).unwrap();
        let typed = read(datatype, &value);
        prop_assert!(typed.is_none() || fits(datatype, &value));
        if fits(datatype, &value) && typed.is_none() {
            prop_assert!(datatype >= DataType::Int8Array);
        }
        prop_assert!(same(&value, &value.clone()));
    }

    /// Compared with the bytes that both are written as, for equal ones and such that differ in a bit.
    #[test]
    fn sameness_is_that_of_what_is_written(
        metric in arbitrary::metric(), at in any::<usize>(), bit in 0_u32..8,
    ) {
        let mut bytes = metric.encode_to_vec();
        if let Some(place) = at.checked_rem(bytes.len()) {
            bytes[place] ^= 1 << bit;
        }
        let changed = Metric::decode(bytes.as_slice()).unwrap_or_default();
        for other in [changed, metric.clone()] {
            if let (Some(one), Some(other)) = (&metric.value, &other.value) {
                let written = |value: &Value| {
                    Metric { value: Some(value.clone()), ..Metric::default() }.encode_to_vec()
                };
                prop_assert_eq!(same(one, other), written(one) == written(other));
            }
        }
    }

    #[test]
    fn shown_values_keep_their_length_and_hold_no_control_character(
        metric in arbitrary::metric(), max_chars in 0_usize..40, code in 0_u32..35,
    ) {
        if let Some(value) = metric.value {
            let shown = show(DataType::from_code(code), &value, max_chars);
            prop_assert!(shown.chars().count() <= max_chars.saturating_add(1));
            prop_assert!(!shown.chars().any(char::is_control));
        }
    }

    #[test]
    fn both_conventions_of_a_signed_value_read_the_same(number in any::<i8>()) {
        let masked = Value::Int(u32::from(number.cast_unsigned()));
        let extended = Value::Int(i32::from(number).cast_unsigned());
        prop_assert_eq!(read(DataType::Int8, &masked), read(DataType::Int8, &extended));
        prop_assert_eq!(read(DataType::Int8, &masked), Some(Typed::Signed(i64::from(number))));
    }
}
