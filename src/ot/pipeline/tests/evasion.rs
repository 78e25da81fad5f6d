//! A node that wants to evade the checks of its rule: by another datatype, by what stands beside a
//! value, by what is inside of it. Nothing of it is in the journal.

use std::collections::BTreeSet;

use account::Reason;
use policy::shape::PseudonymKey;
use sparkplug::{
    Cell, CellValue, DataSet, DataType, MetaData, Metric, Parameter, ParameterValue, Property,
    PropertySet, PropertyValue, Row, Template, Value,
};

use super::bench::{Bench, by_name, names_of, payload, policy, typed, value_of};

/// A policy of one rule, with a key for pseudonyms.
fn bench(rest: &str) -> Bench {
    let text = format!("[[rule]]\nname = \"r\"\naction = \"forward\"\ngroup = \"G\"\n{rest}\n");
    let mut keyed = policy(&text);
    keyed.set_pseudonym_key(PseudonymKey::new(&[5; 32]).unwrap());
    let mut bench = Bench::new(&text);
    bench.pipeline.reload(bench.now, keyed, &mut Vec::new());
    bench
}

fn text(text: &str) -> PropertyValue {
    PropertyValue { r#type: Some(12), is_null: None, value: Some(Property::String(text.into())) }
}

/// A value of this datatype that no check would let cross, and that says so where it can.
fn value(datatype: DataType) -> Value {
    match datatype {
        DataType::Int8 | DataType::Int16 | DataType::Int32 => Value::Int(120),
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => Value::Int(120),
        DataType::Int64 | DataType::UInt64 | DataType::DateTime => Value::Long(1 << 40),
        DataType::Float => Value::Float(1e9),
        DataType::Double => Value::Double(1e9),
        DataType::Boolean => Value::Boolean(true),
        DataType::String | DataType::Text | DataType::UUID => Value::String("SecretText".into()),
        DataType::DataSet => Value::DataSet(Box::new(DataSet {
            num_of_columns: Some(1),
            columns: vec!["c".into()],
            types: vec![12],
            rows: vec![Row {
                elements: vec![Cell { value: Some(CellValue::String("SecretCell".into())) }],
            }],
        })),
        DataType::Template => Value::Template(Box::new(template(Some("Type")))),
        DataType::StringArray => Value::Bytes(b"SecretArray\0".to_vec()),
        DataType::BooleanArray => Value::Bytes([&[64, 0, 0, 0][..], b"SecretBl"].concat()),
        _ => Value::Bytes(b"SecretBytesInIt!".to_vec()),
    }
}

fn template(of: Option<&str>) -> Template {
    Template {
        metrics: vec![
            typed("Number", DataType::Int32, Value::Int(99_999)),
            typed("Text", DataType::String, Value::String("SecretMember".into())),
            typed("Texts", DataType::StringArray, Value::Bytes(b"SecretMembers\0".to_vec())),
        ],
        parameters: vec![Parameter {
            name: Some("Parameter".into()),
            r#type: Some(12),
            value: Some(ParameterValue::String("SecretParameter".into())),
        }],
        template_ref: of.map(str::to_owned),
        is_definition: Some(of.is_none()),
        ..Template::default()
    }
}

/// A metric of every datatype, called like it, with a file's content type and the definition of the
/// template.
fn of_all_types() -> Vec<Metric> {
    let metric = |datatype: DataType| {
        let content_type =
            MetaData { content_type: Some("text/csv".into()), ..MetaData::default() };
        let is_file = datatype == DataType::File;
        Metric {
            metadata: is_file.then(|| Box::new(content_type)),
            ..typed(datatype.name(), datatype, value(datatype))
        }
    };
    let definition = typed("Type", DataType::Template, Value::Template(Box::new(template(None))));
    let types = DataType::of_metrics().map(metric);
    [definition].into_iter().chain(types).collect()
}

const INTEGERS: [&str; 8] =
    ["Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64"];
const DECIMALS: [&str; 2] = ["Float", "Double"];
const TEXTS: [&str; 3] = ["String", "Text", "UUID"];
const NUMBER_ARRAYS: [&str; 10] = [
    "Int8Array",
    "Int16Array",
    "Int32Array",
    "Int64Array",
    "UInt8Array",
    "UInt16Array",
    "UInt32Array",
    "UInt64Array",
    "FloatArray",
    "DoubleArray",
];
const OTHER_ARRAYS: [&str; 2] = ["BooleanArray", "DateTimeArray"];

#[test]
fn only_what_a_check_looks_at_crosses_whatever_the_datatype() {
    let numbers = [&INTEGERS[..], &DECIMALS].concat();
    let texts = TEXTS.to_vec();
    // Of a fixed size, they are never too long; but a table that names them isn't about them.
    let short = [&texts[..], &numbers, &["Boolean", "DateTime"]].concat();
    let files = "max-bytes = 4\ncontent-types = [\"text/csv\"]\ncolumns = [\"c\"]";
    let sized = [&NUMBER_ARRAYS[..], &OTHER_ARRAYS, &["StringArray", "Bytes", "File"]].concat();
    let base = "[rule.shape]\n";
    let table = "[[rule.metric]]\nnames = \"**\"\n";
    let both = |checks: &str, crossing: Vec<&'static str>| {
        [base, table].map(|head| (format!("{head}{checks}"), crossing.clone())).to_vec()
    };
    let cases = [
        both("max = 100", numbers.clone()),
        both("min = 1000000", numbers.clone()),
        both("allowed = [1, 2]", INTEGERS.to_vec()),
        both("allowed = [\"RUN\"]", texts.clone()),
        both("pattern = 'RUN|STOP'", texts.clone()),
        both("pseudonym = true", texts.clone()),
        both("pseudonym = '[A-Z][A-Za-z]+'", texts.clone()),
        vec![
            (format!("{base}max-length = 5"), short),
            (format!("{table}max-length = 5"), texts.clone()),
            (format!("{table}{files}"), sized),
        ],
        // What two checks are about, both have to look at.
        both(
            "max = 100\nmax-bytes = 4\ncolumns = [\"c\"]",
            [&numbers[..], &OTHER_ARRAYS, &["StringArray", "Bytes"]].concat(),
        ),
        both(
            "pseudonym = true\nmax-bytes = 4\ncolumns = [\"c\"]",
            [&texts[..], &NUMBER_ARRAYS, &OTHER_ARRAYS].concat(),
        ),
    ];
    for (rest, crossing) in cases.into_iter().flatten() {
        let mut bench = bench(&rest);
        let born = payload(&bench.node("NBIRTH", of_all_types())[0]);
        let names: BTreeSet<&str> = names_of(&born).into_iter().collect();
        assert_eq!(names, crossing.iter().copied().collect(), "{rest}");
        let dropped = bench.dropped_metrics(Reason::Unshapeable);
        let opaque = bench.dropped_metrics(Reason::Opaque);
        let all = u64::try_from(DataType::of_metrics().count()).unwrap();
        let crossed = u64::try_from(crossing.len()).unwrap();
        assert!(dropped + opaque >= all - crossed, "{rest}: {dropped}, {opaque}");
        bench.node("NDATA", of_all_types().into_iter().skip(1).collect());
        bench.pass(61_000);
        bench.tick();
        assert!(!bench.leaks("Secret"), "{rest}");
    }
}

#[test]
fn a_metric_that_changes_its_type_does_not_evade_the_check_on_it() {
    let mut bench = bench("[[rule.metric]]\nnames = \"Operator\"\npseudonym = true");
    let born = |datatype: DataType| vec![typed("Operator", datatype, value(datatype))];
    let first = payload(&bench.node("NBIRTH", born(DataType::String))[0]);
    assert!(
        matches!(value_of(&first, "Operator"), Some(Value::String(name)) if name.starts_with("pn-"))
    );
    for datatype in DataType::of_metrics().filter(|datatype| !TEXTS.contains(&datatype.name())) {
        for frame in bench.node("NBIRTH", born(datatype)) {
            assert_eq!(names_of(&payload(&frame)), [""; 0], "{datatype:?}");
        }
        // Born late, by data.
        let late = typed("Operator", datatype, value(datatype));
        for frame in bench.node("NDATA", vec![late]) {
            assert_eq!(names_of(&payload(&frame)), [""; 0], "{datatype:?}");
        }
    }
    assert!(!bench.leaks("Secret"));
}

#[test]
fn texts_beside_a_value_go_the_way_of_texts() {
    let beside = |metric: Metric| Metric {
        properties: Some(Box::new(PropertySet {
            keys: ["engUnit", "operator", "shift", "Quality"].map(str::to_owned).to_vec(),
            values: vec![
                text("SecretUnit"),
                text("SecretMiller"),
                PropertyValue {
                    r#type: Some(20),
                    is_null: None,
                    value: Some(Property::Set(PropertySet {
                        keys: vec!["leader".into()],
                        values: vec![text("SecretMeier")],
                    })),
                },
                PropertyValue { r#type: Some(3), is_null: None, value: Some(Property::Int(192)) },
            ],
        })),
        metadata: Some(Box::new(MetaData {
            description: Some("SecretDescription".into()),
            file_name: Some("SecretFile".into()),
            file_type: Some("SecretType".into()),
            content_type: Some("SecretContent".into()),
            ..MetaData::default()
        })),
        ..metric
    };
    let names = "properties = [\"**\"]\nmetadata = [\"description\", \"file-name\", \"file-type\", \"content-type\"]";
    for checks in [
        "pseudonym = true",
        "pseudonym = 'Secret[A-Za-z]+'",
        "max-length = 5",
        "allowed = [\"RUN\"]",
        "pattern = '[A-Z]+'",
    ] {
        for disarm in [names, "max-future-s = 60"] {
            let rest = format!("[rule.shape]\nopen-datatypes = [\"Float\"]\n{checks}\n{disarm}");
            let mut bench = bench(&rest);
            let metrics = || {
                vec![
                    beside(typed("Text", DataType::String, Value::String("RUN".into()))),
                    beside(typed("Number", DataType::Float, Value::Float(5.0))),
                ]
            };
            let born = payload(&bench.node("NBIRTH", metrics())[0]);
            assert_eq!(names_of(&born), ["Text", "Number"], "{checks}");
            let data = metrics().into_iter().map(|metric| Metric { datatype: None, ..metric });
            let data = payload(&bench.node("NDATA", data.collect())[0]);
            for metric in born.metrics.iter().chain(&data.metrics) {
                let properties = metric.properties.clone().unwrap_or_default();
                assert!(properties.keys.contains(&"Quality".to_owned()), "{checks}");
                let has_operator = properties.keys.contains(&"operator".to_owned());
                assert_eq!(has_operator, checks.starts_with("pseudonym") && disarm == names);
            }
            bench.pass(61_000);
            bench.tick();
            assert!(!bench.leaks("Secret"), "{checks} {disarm}");
        }
    }
    let mut bench = bench("[rule.shape]\npattern = 'deg[CF]|[0-9]+'");
    let unit = Metric {
        properties: Some(Box::new(PropertySet {
            keys: vec!["engUnit".into()],
            values: vec![text("degC")],
        })),
        ..typed("Text", DataType::String, Value::String("17".into()))
    };
    let born = payload(&bench.node("NBIRTH", vec![unit])[0]);
    let properties = born.metrics[0].properties.clone().unwrap();
    assert_eq!(properties.values, [text("degC")], "a text that the check lets through crosses");
}

#[test]
fn what_a_rule_opens_crosses_unlooked_at_and_templates_with_open_members_alone() {
    let mut bench = bench(
        "[rule.shape]\npseudonym = true\nparameters = [\"**\"]\n\
         open-datatypes = [\"Template\", \"Int32\", \"Boolean\"]",
    );
    let born = payload(&bench.node("NBIRTH", of_all_types())[0]);
    let names: BTreeSet<&str> = names_of(&born).into_iter().collect();
    let expected = ["Type", "Template", "Int32", "Boolean", "String", "Text", "UUID"];
    assert_eq!(names, expected.into());
    let Some(Value::Template(instance)) = value_of(&born, "Template") else { panic!("{born:?}") };
    let members: Vec<_> = instance.metrics.iter().filter_map(|one| one.name.as_deref()).collect();
    assert_eq!((members, instance.parameters.len()), (vec!["Number"], 0));
    let instance = Value::Template(Box::new(template(Some("Type"))));
    bench.node("NDATA", vec![by_name("Template", instance)]);
    bench.pass(61_000);
    bench.tick();
    assert!(!bench.leaks("Secret"));
}
