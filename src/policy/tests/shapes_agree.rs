//! Compiled shapes do what the reference does: same outcome, same reason, same value for every
//! metric of random traffic.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "plain arithmetic; what overflows fails the test"
)]

use std::time::Duration;

use diagnostic::SourceFile;
use proptest::collection::vec;
use proptest::prelude::{BoxedStrategy, Just, ProptestConfig, Strategy, any};
use proptest::sample::{select, subsequence};
use proptest::{option, prop_assert, prop_assert_eq, prop_assert_ne, prop_oneof, proptest};
use sparkplug::value::{fits, same};
use sparkplug::{DataType, Entity, MetaData, Metric, Property, PropertySet, PropertyValue, Value};

use super::reference::rules::Names;
use super::reference::shape_steps::{
    Crossing, Forwarded, SECRET, crossing_properties, expected, number_after, pseudonym,
};
use super::reference::shapes::{Allowed, Draft, Shapes, Table, Word, is_text};
use crate::shape::{Last, PseudonymKey, Pseudonyms, Shape, ShapeState, Shaped, is_bad_null};
use crate::{Policy, Verdict};

const NAMES: [(&str, DataType); 15] = [
    ("a/i8", DataType::Int8),
    ("a/i32", DataType::Int32),
    ("a/u8", DataType::UInt8),
    ("a/u32", DataType::UInt32),
    ("b/i64", DataType::Int64),
    ("b/u64", DataType::UInt64),
    ("b/float", DataType::Float),
    ("b/double", DataType::Double),
    ("c/text", DataType::String),
    ("c/file", DataType::File),
    ("c/bytes", DataType::Bytes),
    ("c/flag", DataType::Boolean),
    ("c/texts", DataType::StringArray),
    ("b/doubles", DataType::DoubleArray),
    ("b/time", DataType::DateTime),
];

/// Among those that are opened.
const OPENED: [DataType; 6] = [
    DataType::Boolean,
    DataType::StringArray,
    DataType::Float,
    DataType::Template,
    DataType::Bytes,
    DataType::DateTimeArray,
];

const TEXTS: [&str; 6] = ["", "a", "12", "12345", "äöüéèà", "a12"];

fn draft() -> impl Strategy<Value = Draft> {
    let half = |most: i32| (-most..most).prop_map(|number| f64::from(number) / 2.0);
    let numbers = (
        option::weighted(0.3, select(vec![1.0, 5.0, 0.5, 10.0, 2.5])),
        option::weighted(0.3, half(200)),
        option::weighted(0.3, half(200)),
        select(vec!["drop", "clamp", "null"]),
        option::weighted(0.3, select(vec![0.0, 0.5, 3.0])),
        option::weighted(0.2, select(vec![0.0, 10.0, 50.0])),
    );
    let texts = (
        option::weighted(0.2, 0_usize..6),
        option::weighted(0.4, 1_usize..6),
        option::weighted(0.5, Just(vec!["image/png".to_owned()])),
        select(vec!["drop", "null"]),
        option::weighted(
            0.2,
            prop_oneof![
                Just(Allowed::Texts(vec!["a".into(), "12".into()])),
                vec(-20_i64..20, 1..8).prop_map(Allowed::Numbers),
                Just(Allowed::Digits),
            ],
        ),
        select(vec!["drop", "null"]),
        proptest::bool::weighted(0.1),
        option::weighted(0.2, subsequence(OPENED.to_vec(), 1..4)),
    );
    let times = (
        option::weighted(0.2, select(vec![10_u64, 100])),
        option::weighted(0.2, select(vec![10_u64, 100])),
        option::weighted(0.2, select(vec![0_u64, 500, 5_000])),
    );
    let keys = ["Vendor", "engUnit", "*"].map(str::to_owned).to_vec();
    let disarm = (
        option::weighted(0.2, subsequence(keys, 0..3)),
        option::weighted(0.2, Just(vec!["*".to_owned()])),
    );
    (numbers, texts, times, disarm).prop_map(|(numbers, texts, times, disarm)| {
        let (step, low, high, out_of_range, deadband, deadband_percent) = numbers;
        let (max_length, max_bytes, types, too_long, allowed, not_allowed, pseudonym, open) = texts;
        let (max_age_s, max_future_s, min_interval_ms) = times;
        let (properties, columns) = disarm;
        let (min, max) = match (low, high) {
            (Some(low), Some(high)) if low > high => (Some(high), Some(low)),
            ends => ends,
        };
        Draft {
            max_age_s,
            max_future_s,
            step,
            min,
            max,
            out_of_range,
            max_length,
            max_bytes,
            content_types: types.filter(|_| max_bytes.is_some()),
            too_long,
            allowed,
            not_allowed,
            pseudonym,
            open,
            deadband,
            deadband_percent,
            min_interval_ms,
            properties,
            columns,
            parameters: None,
        }
    })
}

/// Shapes with tables for metrics by `names`.
pub(crate) fn shapes(names: impl Strategy<Value = Names> + 'static) -> BoxedStrategy<Shapes> {
    let table = (names, any::<bool>(), draft()).prop_map(|(names, inherit, own)| Table {
        names: names.unwrap_or_else(|| vec!["**".to_owned()]),
        inherit,
        own,
    });
    let filled = |draft: Draft| !draft.toml().is_empty();
    (option::weighted(0.3, draft()), vec(table, 0..3))
        .prop_map(move |(base, tables)| Shapes {
            base: base.filter(|base| filled(base.clone())),
            tables,
        })
        .boxed()
}

/// One metric of data.
#[derive(Clone, Debug)]
struct Event {
    metric: usize,
    after_ms: u64,
    ahead_ms: i64,
    number: Option<i64>,
    text: &'static str,
    historical: bool,
    property: Option<(&'static str, Beside)>,
    content_type: Option<&'static str>,
    lost: bool,
}

/// The value of a property.
#[derive(Clone, Copy, Debug)]
enum Beside {
    Number(u32),
    Text(&'static str),
}

fn beside() -> impl Strategy<Value = Beside> {
    prop_oneof![(0_u32..3).prop_map(Beside::Number), select(TEXTS.to_vec()).prop_map(Beside::Text),]
}

fn event() -> impl Strategy<Value = Event> {
    let numbers = prop_oneof![
        6 => (-60_i64..60).prop_map(Some),
        2 => any::<i64>().prop_map(Some),
        1 => select(vec![i64::MIN, i64::MAX, 255, 128, 0]).prop_map(Some),
        1 => Just(None)
    ];
    let beside = (
        option::weighted(0.2, (select(vec!["Quality", "engUnit", "Vendor", "Eng_Low"]), beside())),
        option::weighted(0.7, select(vec!["image/png", "IMAGE/PNG", "text/html"])),
    );
    (
        0..NAMES.len(),
        select(vec![0_u64, 100, 600, 20_000]),
        select(vec![0_i64, -20_000, 20_000, -200_000, 200_000, 9_999, 10_000, 10_001]),
        numbers,
        select(TEXTS.to_vec()),
        proptest::bool::weighted(0.1),
        beside,
        proptest::bool::weighted(0.05),
    )
        .prop_map(|(metric, after_ms, ahead_ms, number, text, historical, beside, lost)| {
            Event {
                metric,
                after_ms,
                ahead_ms,
                number,
                text,
                historical,
                property: beside.0,
                content_type: beside.1,
                lost,
            }
        })
}

fn metric(event: &Event, wall_ms: u64) -> Metric {
    let (_, datatype) = NAMES[event.metric];
    let value = event.number.map(|number| match datatype {
        DataType::Int8 | DataType::UInt8 => Value::Int((number as u64 & 0xff) as u32),
        DataType::Int32 | DataType::UInt32 => Value::Int(number as u32),
        DataType::Int64 | DataType::UInt64 => Value::Long(number as u64),
        DataType::Float if number == 128 => Value::Float(f32::NAN),
        DataType::Float if number == 255 => Value::Float(f32::INFINITY),
        DataType::Float => Value::Float(number as f32 / 4.0),
        DataType::Double if number == 128 => Value::Double(f64::NEG_INFINITY),
        DataType::Double => Value::Double(number as f64 / 4.0),
        DataType::Boolean => Value::Boolean(number > 0),
        DataType::DateTime => Value::Long(number as u64),
        DataType::DoubleArray => Value::Bytes((number as f64).to_le_bytes().to_vec()),
        DataType::StringArray => Value::Bytes(format!("{}\0", event.text).into_bytes()),
        DataType::String => Value::String(event.text.to_owned()),
        _ => Value::Bytes(event.text.as_bytes().to_vec()),
    });
    let properties = event.property.map(|(key, value)| {
        let (datatype, value) = match value {
            Beside::Number(number) => (DataType::Int32, Property::Int(number)),
            Beside::Text(text) => (DataType::String, Property::String(text.to_owned())),
        };
        let value =
            PropertyValue { r#type: Some(datatype.code()), is_null: None, value: Some(value) };
        Box::new(PropertySet { keys: vec![key.to_owned()], values: vec![value] })
    });
    let metadata = event.content_type.map(|content_type| {
        Box::new(MetaData { content_type: Some(content_type.to_owned()), ..MetaData::default() })
    });
    Metric {
        timestamp: Some(wall_ms.saturating_add_signed(event.ahead_ms)),
        is_historical: event.historical.then_some(true),
        is_null: value.is_none().then_some(true),
        value,
        properties,
        metadata,
        ..Metric::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn compiled_shapes_agree_with_the_definition(
        shapes in shapes(option::of(vec(select(vec!["a/**", "**", "b/*", "c/text", "*/f*", "?/u*"]).prop_map(str::to_owned), 1..3))),
        events in vec(event(), 1..40),
    ) {
        let text = format!(
            "[[rule]]\nname = \"r\"\naction = \"forward\"\ngroup = \"G\"\n{}",
            shapes.toml()
        );
        let policy = match Policy::parse(&[SourceFile::new("a.toml", text.clone())]) {
            Ok((policy, _)) => policy,
            Err(problems) => panic!("{problems}"),
        };
        let key = PseudonymKey::new(&SECRET).unwrap();
        let plan = policy.plan(Entity::node("G", "E"));
        let mut forwarded: Vec<Option<Forwarded>> = vec![None; NAMES.len()];
        let mut newest_forwarded: Vec<Option<Metric>> = vec![None; NAMES.len()];
        let mut told_at = [None; NAMES.len()];
        let mut states = [ShapeState::default(); NAMES.len()];
        let (mut mono_ms, mut wall_ms, mut losses) = (0, 1_000_000_000, 0);
        for event in events {
            mono_ms += event.after_ms;
            wall_ms += event.after_ms;
            losses += u64::from(event.lost);
            let place = event.metric;
            let (name, datatype) = NAMES[place];
            let metric = metric(&event, wall_ms);
            if let Some(value) = &metric.value {
                prop_assert!(fits(datatype, value));
            }
            let draft = shapes.of(name);
            let judged = plan.judge_and_shape(name, Some(datatype));
            let Verdict::Forward { .. } = judged.verdict else {
                prop_assert_ne!(shapes.word(name, datatype), Word::Crosses);
                continue;
            };
            prop_assert_eq!(shapes.word(name, datatype), Word::Crosses);
            let doubted = states[place].losses != losses;
            let definition = expected(
                &draft,
                datatype,
                &metric,
                forwarded[place].as_ref().filter(|_| !doubted),
                told_at[place],
                mono_ms,
                wall_ms,
            );
            let shape = judged.shape.unwrap_or_else(|| Shape::unshaped());
            let last = Last {
                metric: newest_forwarded[place].as_ref(),
                losses,
                mono: Duration::from_millis(mono_ms),
                wall_ms,
            };
            let compiled = shape.data(datatype, &metric, &states[place], last);
            let crossing = match (definition, compiled) {
                (Err(reason), Shaped::Drop { reason: found }) => {
                    prop_assert_eq!(reason, found, "{} {:?} {}", name, metric, text);
                    continue;
                }
                (Ok(None), Shaped::Hold { until }) => {
                    let interval = draft.min_interval_ms.unwrap();
                    prop_assert_eq!(
                        until,
                        Duration::from_millis(told_at[place].unwrap() + interval)
                    );
                    continue;
                }
                (Ok(Some(crossing)), Shaped::Forward) => crossing,
                (definition, compiled) => {
                    panic!("{name}: {definition:?}, not {compiled:?}: {metric:?}\n{text}")
                }
            };
            let mut shaped = metric.clone();
            let changes = shape.apply(datatype, &mut shaped, Pseudonyms::Make(&key));
            let pseudonymised = draft.pseudonym && is_text(datatype);
            match (crossing, &shaped.value) {
                (Crossing::Value, Some(Value::String(new))) if pseudonymised => {
                    prop_assert_eq!(new, &pseudonym(&SECRET, event.text));
                }
                (Crossing::Value, new) => {
                    let unchanged = match (&metric.value, new) {
                        (Some(old), Some(new)) => same(old, new),
                        (old, new) => old.is_none() && new.is_none(),
                    };
                    prop_assert!(unchanged, "{} {:?} {:?}", name, metric, shaped);
                }
                (Crossing::Whole(number), Some(value)) => {
                    let bits = match value {
                        Value::Int(bits) if number < 0 => i128::from(bits.cast_signed()),
                        Value::Long(bits) if number < 0 => i128::from(bits.cast_signed()),
                        Value::Int(bits) => i128::from(*bits),
                        Value::Long(bits) => i128::from(*bits),
                        _ => panic!("{value:?}"),
                    };
                    prop_assert_eq!(bits, number);
                    prop_assert!(fits(datatype, value));
                }
                (Crossing::Decimal(number), Some(Value::Float(new))) => {
                    prop_assert_eq!(f64::from(*new), number);
                }
                (Crossing::Decimal(number), Some(Value::Double(new))) => {
                    prop_assert_eq!(*new, number);
                }
                (Crossing::Null(reason), None) => {
                    prop_assert_eq!(changes.null(), Some(reason));
                    prop_assert_eq!(shaped.is_null, Some(true));
                    prop_assert!(is_bad_null(&shaped));
                }
                (crossing, value) => panic!("{name}: {crossing:?}, not {value:?}\n{text}"),
            }
            let mut properties = crossing_properties(&draft, &metric);
            let crossed = shaped.properties.clone().unwrap_or_default();
            let mut pairs: Vec<_> =
                crossed.keys.iter().cloned().zip(crossed.values.iter().cloned()).collect();
            if matches!(crossing, Crossing::Null(_)) {
                properties.retain(|(key, _)| key != "Quality");
                pairs.retain(|(key, _)| key != "Quality");
            }
            prop_assert_eq!(&pairs, &properties, "{}", text);
            // The IT half finds nothing to do, and readers could be told again.
            prop_assert_eq!(shape.refuses_again(datatype, &shaped), None, "{:?} {}", shaped, text);
            let mut again = shaped.clone();
            let changes = shape.apply(datatype, &mut again, Pseudonyms::Check);
            prop_assert!(!changes.any(), "{:?} {:?} {}", changes, shaped, text);
            let changes = shape.apply(datatype, &mut again, Pseudonyms::Make(&key));
            prop_assert!(!changes.any(), "{:?} {:?} {}", changes, shaped, text);
            // A birth with this value tells the same.
            let mut born = metric.clone();
            shape.apply_to_birth(datatype, &mut born, Pseudonyms::Make(&key));
            prop_assert_eq!(born.is_null.unwrap_or(false), shaped.value.is_none());
            let same_value = match (&born.value, &shaped.value) {
                (Some(left), Some(right)) => same(left, right),
                (left, right) => left.is_none() && right.is_none(),
            };
            prop_assert!(same_value);

            shape.forwarded(&metric, &mut states[place], last);
            if metric.is_historical != Some(true) {
                told_at[place] = Some(mono_ms);
                let mut known = crossing_properties(&draft, &metric);
                let before = forwarded[place].take();
                for property in before.into_iter().flat_map(|before| before.properties) {
                    if metric.properties.is_none() && known.iter().all(|one| one.0 != property.0) {
                        known.push(property);
                    }
                }
                forwarded[place] = Some(Forwarded {
                    number: number_after(datatype, &metric, crossing),
                    properties: known,
                });
                let mut newest = metric;
                if newest.properties.is_none() {
                    let before = newest_forwarded[place].take().and_then(|metric| metric.properties);
                    newest.properties = before;
                }
                newest_forwarded[place] = Some(newest);
            }
        }
    }
}
