//! The definition of shaping once more, as directly as it can be written, and property tests that
//! compare the compiled shapes with it: same outcome, same reason, same value for every metric of
//! random traffic. Nothing here uses the code under test but through [`Policy`].

#![expect(
    clippy::arithmetic_side_effects,
    reason = "the definition in plain arithmetic; what overflows fails the test"
)]

use std::time::Duration;

use account::Reason;
use aws_lc_rs::hmac;
use diagnostic::SourceFile;
use proptest::collection::vec;
use proptest::prelude::{BoxedStrategy, Just, ProptestConfig, Strategy, any};
use proptest::sample::{select, subsequence};
use proptest::{option, prop_assert, prop_assert_eq, prop_oneof, proptest};
use sparkplug::value::{fits, same};
use sparkplug::{DataType, Entity, MetaData, Metric, Property, PropertySet, PropertyValue, Value};

use super::reference::listed;
use crate::shape::{Last, PseudonymKey, Pseudonyms, ShapeState, Shaped};
use crate::{Policy, Verdict};

type Names = Option<Vec<String>>;

/// The tables of a rule as their author wrote them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shapes {
    base: Option<Draft>,
    tables: Vec<Table>,
}

#[derive(Clone, Debug)]
struct Table {
    names: Vec<String>,
    inherit: bool,
    own: Draft,
}

/// The keys of one table.
#[derive(Clone, Debug, Default)]
struct Draft {
    max_age_s: Option<u64>,
    max_future_s: Option<u64>,
    step: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    out_of_range: &'static str,
    max_length: Option<usize>,
    max_bytes: Option<usize>,
    content_types: Names,
    too_long: &'static str,
    allowed: Option<Allowed>,
    not_allowed: &'static str,
    pseudonym: bool,
    deadband: Option<f64>,
    deadband_percent: Option<f64>,
    min_interval_ms: Option<u64>,
    properties: Names,
    columns: Names,
    parameters: Names,
}

#[derive(Clone, Debug)]
enum Allowed {
    Texts(Vec<String>),
    Numbers(Vec<i64>),
    /// Texts of digits alone, and no other.
    Digits,
}

impl Draft {
    fn toml(&self) -> String {
        let mut text = String::new();
        let mut line = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                text.push_str(&format!("{key} = {value}\n"));
            }
        };
        let number = |number: f64| {
            if number.fract() == 0.0 { format!("{number:.0}") } else { format!("{number:?}") }
        };
        let list = |names: &Vec<String>| {
            let names: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
            format!("[{}]", names.join(", "))
        };
        let word = |word: &str, used: bool| used.then(|| format!("\"{word}\""));
        line("max-age-s", self.max_age_s.map(|age| age.to_string()));
        line("max-future-s", self.max_future_s.map(|future| future.to_string()));
        line("step", self.step.map(number));
        line("min", self.min.map(number));
        line("max", self.max.map(number));
        line("out-of-range", word(self.out_of_range, self.has_range()));
        line("max-length", self.max_length.map(|length| length.to_string()));
        line("max-bytes", self.max_bytes.map(|bytes| bytes.to_string()));
        line("content-types", self.content_types.as_ref().map(list));
        line("too-long", word(self.too_long, self.has_length()));
        line(
            "allowed",
            match &self.allowed {
                Some(Allowed::Texts(texts)) => Some(list(texts)),
                Some(Allowed::Numbers(numbers)) => Some(format!("{numbers:?}")),
                _ => None,
            },
        );
        let digits = matches!(self.allowed, Some(Allowed::Digits));
        line("pattern", digits.then(|| "'[0-9]*'".to_owned()));
        line("not-allowed", word(self.not_allowed, self.allowed.is_some()));
        line("pseudonym", self.pseudonym.then(|| "true".to_owned()));
        line("deadband", self.deadband.map(number));
        line("deadband-percent", self.deadband_percent.map(number));
        line("min-interval-ms", self.min_interval_ms.map(|interval| interval.to_string()));
        line("properties", self.properties.as_ref().map(list));
        line("columns", self.columns.as_ref().map(list));
        line("parameters", self.parameters.as_ref().map(list));
        text
    }

    fn has_range(&self) -> bool {
        self.min.is_some() || self.max.is_some()
    }

    fn has_length(&self) -> bool {
        self.max_length.is_some() || self.max_bytes.is_some()
    }

    fn has_deadband(&self) -> bool {
        self.deadband.is_some() || self.deadband_percent.is_some()
    }

    /// Step by step, what is mentioned here replaces what `base` has.
    fn over(&self, base: &Draft) -> Draft {
        let mut all = base.clone();
        let own = self.clone();
        all.max_age_s = own.max_age_s.or(all.max_age_s);
        all.max_future_s = own.max_future_s.or(all.max_future_s);
        all.step = own.step.or(all.step);
        if own.has_range() {
            (all.min, all.max, all.out_of_range) = (own.min, own.max, own.out_of_range);
        }
        if own.has_length() {
            (all.max_length, all.max_bytes) = (own.max_length, own.max_bytes);
            all.content_types = own.content_types;
            all.too_long = own.too_long;
        }
        if own.allowed.is_some() {
            (all.allowed, all.not_allowed) = (own.allowed, own.not_allowed);
        }
        all.pseudonym |= own.pseudonym;
        if own.deadband.is_some() || own.deadband_percent.is_some() {
            (all.deadband, all.deadband_percent) = (own.deadband, own.deadband_percent);
        }
        all.min_interval_ms = own.min_interval_ms.or(all.min_interval_ms);
        all.properties = own.properties.or(all.properties);
        all.columns = own.columns.or(all.columns);
        all.parameters = own.parameters.or(all.parameters);
        all
    }

    /// Whether there is a multiple of the step next to `end`.
    fn has_multiple(&self, end: f64, min: f64, max: f64) -> bool {
        self.step.is_none_or(|step| {
            let multiples = [(end / step).floor() * step, (end / step).ceil() * step];
            multiples.iter().any(|multiple| (min..=max).contains(multiple))
        })
    }

    fn opens(&self, datatype: DataType) -> bool {
        match datatype {
            DataType::Bytes => self.max_bytes.is_some(),
            DataType::File => self.max_bytes.is_some() && self.content_types.is_some(),
            DataType::DataSet => self.columns.as_ref().is_some_and(|list| !list.is_empty()),
            _ => true,
        }
    }

    fn looks_at_values(&self) -> bool {
        self.has_range()
            || self.has_length()
            || self.allowed.is_some()
            || self.pseudonym
            || self.step.is_some()
            || self.has_deadband()
            || self.min_interval_ms.is_some()
    }

    fn can_shape(&self, datatype: DataType) -> bool {
        if matches!(datatype, DataType::Template | DataType::DataSet) {
            return !self.looks_at_values();
        }
        let checks = [
            (self.has_range(), is_number(datatype)),
            (self.max_length.is_some(), is_text(datatype)),
            (self.max_bytes.is_some(), is_bytes(datatype)),
            (matches!(self.allowed, Some(Allowed::Numbers(_))), is_integer(datatype)),
            (matches!(self.allowed, Some(Allowed::Texts(_) | Allowed::Digits)), is_text(datatype)),
            (self.pseudonym, is_text(datatype)),
        ];
        let said: Vec<bool> =
            checks.into_iter().filter(|(said, _)| *said).map(|(_, fits)| fits).collect();
        said.is_empty() || said.contains(&true)
    }
}

impl Shapes {
    pub(crate) fn toml(&self) -> String {
        let mut text = String::new();
        if let Some(base) = &self.base {
            text.push_str(&format!("[rule.shape]\n{}", base.toml()));
        }
        for Table { names, inherit, own } in &self.tables {
            let names: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
            text.push_str(&format!(
                "[[rule.metric]]\nnames = [{}]\ninherit = {inherit}\n{}",
                names.join(", "),
                own.toml()
            ));
        }
        text
    }

    fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| listed(&Some(table.names.clone()), name))
    }

    fn of(&self, name: &str) -> Draft {
        let base = self.base.clone().unwrap_or_default();
        match self.table(name) {
            Some(table) if table.inherit => table.own.over(&base),
            Some(table) => table.own.clone(),
            None => base,
        }
    }

    pub(crate) fn opens(&self, name: &str, datatype: DataType) -> bool {
        self.of(name).opens(datatype)
    }

    pub(crate) fn can_shape(&self, name: &str, datatype: DataType) -> bool {
        self.table(name).is_none_or(|table| table.own.can_shape(datatype))
    }

    pub(crate) fn shapes_member(&self, path: &str) -> bool {
        self.tables
            .iter()
            .any(|table| table.own.looks_at_values() && listed(&Some(table.names.clone()), path))
    }
}

fn is_integer(datatype: DataType) -> bool {
    width(datatype).is_some()
}

fn is_number(datatype: DataType) -> bool {
    is_integer(datatype) || matches!(datatype, DataType::Float | DataType::Double)
}

fn is_text(datatype: DataType) -> bool {
    matches!(datatype, DataType::String | DataType::Text | DataType::UUID)
}

fn is_bytes(datatype: DataType) -> bool {
    matches!(datatype, DataType::Bytes | DataType::File) || datatype.code() >= 22
}

/// Bits, and whether there is a sign.
fn width(datatype: DataType) -> Option<(u32, bool)> {
    match datatype {
        DataType::Int8 => Some((8, true)),
        DataType::Int16 => Some((16, true)),
        DataType::Int32 => Some((32, true)),
        DataType::Int64 => Some((64, true)),
        DataType::UInt8 => Some((8, false)),
        DataType::UInt16 => Some((16, false)),
        DataType::UInt32 => Some((32, false)),
        DataType::UInt64 => Some((64, false)),
        _ => None,
    }
}

/// What crosses of a number.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Crossing {
    Value,
    Whole(i128),
    Decimal(f64),
    Null(Reason),
    Drop(Reason),
}

fn refused(how: &str, reason: Reason) -> Crossing {
    if how == "null" { Crossing::Null(reason) } else { Crossing::Drop(reason) }
}

/// The steps from `step` to `allowed`.
fn content(draft: &Draft, datatype: DataType, metric: &Metric) -> Crossing {
    let Some(value) = &metric.value else { return Crossing::Value };
    match value {
        Value::Int(bits) if is_integer(datatype) => whole(draft, datatype, u64::from(*bits)),
        Value::Long(bits) if is_integer(datatype) => whole(draft, datatype, *bits),
        Value::Float(value) => decimal(draft, f64::from(*value), true),
        Value::Double(value) => decimal(draft, *value, false),
        Value::String(text) if is_text(datatype) => {
            if draft.max_length.is_some_and(|most| text.chars().count() > most) {
                return refused(draft.too_long, Reason::TooLong);
            }
            let allowed = match &draft.allowed {
                Some(Allowed::Texts(texts)) => texts.contains(text),
                Some(Allowed::Digits) => text.chars().all(|one| one.is_ascii_digit()),
                _ => true,
            };
            if allowed { Crossing::Value } else { refused(draft.not_allowed, Reason::NotAllowed) }
        }
        Value::Bytes(bytes) => {
            if draft.max_bytes.is_some_and(|most| bytes.len() > most) {
                return refused(draft.too_long, Reason::TooLong);
            }
            let content_type = metric.metadata.as_ref().and_then(|data| data.content_type.clone());
            let listed =
                draft.content_types.iter().flatten().any(|one| {
                    content_type.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(one))
                });
            if datatype == DataType::File && draft.has_length() && !listed {
                return refused(draft.too_long, Reason::NotAllowed);
            }
            Crossing::Value
        }
        _ => Crossing::Value,
    }
}

fn whole(draft: &Draft, datatype: DataType, bits: u64) -> Crossing {
    let (bits_wide, signed) = width(datatype).unwrap();
    let modulus = 1_i128 << bits_wide;
    let mut raw = i128::from(bits) & (modulus - 1);
    if signed && raw >= modulus / 2 {
        raw -= modulus;
    }
    let (least, most) = if signed { (-modulus / 2, modulus / 2 - 1) } else { (0, modulus - 1) };
    let mut number = raw;
    if let Some(size) = draft.step.filter(|step| step.fract() == 0.0) {
        let size = size as i128;
        // Of the multiples around it that fit, the nearest; the one farther from zero of two.
        let below = raw.div_euclid(size) * size;
        number = [below, below + size]
            .into_iter()
            .filter(|multiple| (least..=most).contains(multiple))
            .min_by_key(|multiple| ((multiple - raw).abs(), -multiple.abs()))
            .unwrap();
    }
    let under = draft.min.is_some_and(|min| (number as f64) < min);
    let over = draft.max.is_some_and(|max| (number as f64) > max);
    if under || over {
        let mut clamped = match (under, over) {
            (true, _) => draft.min.unwrap().ceil() as i128,
            _ => draft.max.unwrap().floor() as i128,
        };
        // On to the next multiple, away from the end.
        if let Some(size) = draft.step.filter(|step| step.fract() == 0.0) {
            while clamped % size as i128 != 0 {
                clamped += if under { 1 } else { -1 };
            }
        }
        let fits = (least..=most).contains(&clamped)
            && draft.min.is_none_or(|min| clamped as f64 >= min)
            && draft.max.is_none_or(|max| clamped as f64 <= max);
        match draft.out_of_range {
            "clamp" if fits => number = clamped,
            "drop" => return Crossing::Drop(Reason::OutOfRange),
            _ => return Crossing::Null(Reason::OutOfRange),
        }
    }
    if let Some(Allowed::Numbers(allowed)) = &draft.allowed
        && !allowed.iter().any(|one| i128::from(*one) == number)
    {
        return refused(draft.not_allowed, Reason::NotAllowed);
    }
    if number == raw { Crossing::Value } else { Crossing::Whole(number) }
}

fn decimal(draft: &Draft, raw: f64, is_float: bool) -> Crossing {
    let cut = |number: f64| if is_float { f64::from(number as f32) } else { number };
    let mut number = raw;
    if let Some(step) = draft.step.filter(|_| raw.is_finite()) {
        let multiples = (raw / step).round();
        let most = if is_float { 4_194_304.0 } else { 2_251_799_813_685_248.0 };
        if multiples.abs() < most {
            number = cut(multiples * step);
        }
    }
    if draft.has_range() {
        let min = draft.min.unwrap_or(f64::MIN);
        let max = draft.max.unwrap_or(f64::MAX);
        if !(number >= min && number <= max) {
            let end = if number < min { draft.min } else { draft.max };
            match (draft.out_of_range, end.filter(|_| !number.is_nan())) {
                ("drop", _) => return Crossing::Drop(Reason::OutOfRange),
                // The ends and steps that are used here are floats.
                ("clamp", Some(end)) if !draft.has_multiple(end, min, max) => {
                    return Crossing::Null(Reason::OutOfRange);
                }
                ("clamp", Some(end)) => {
                    let below = number < min;
                    number = end;
                    if let Some(step) = draft.step {
                        let multiple = end / step;
                        number = step * if below { multiple.ceil() } else { multiple.floor() };
                    }
                }
                _ => return Crossing::Null(Reason::OutOfRange),
            }
        }
    }
    if number.to_bits() == raw.to_bits() { Crossing::Value } else { Crossing::Decimal(number) }
}

/// What readers hold for a metric.
#[derive(Clone, Debug)]
struct Held {
    number: Option<Number>,
    properties: Vec<(String, PropertyValue)>,
}

#[derive(Clone, Copy, Debug)]
enum Number {
    Whole(i128),
    Decimal(f64),
}

const NAMES: [(&str, DataType); 12] = [
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
];

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
        let (max_length, max_bytes, types, too_long, allowed, not_allowed, pseudonym) = texts;
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
    property: Option<(&'static str, u32)>,
    content_type: Option<&'static str>,
    lost: bool,
}

fn event() -> impl Strategy<Value = Event> {
    let numbers = prop_oneof![
        6 => (-60_i64..60).prop_map(Some),
        2 => any::<i64>().prop_map(Some),
        1 => select(vec![i64::MIN, i64::MAX, 255, 128, 0]).prop_map(Some),
        1 => Just(None)
    ];
    let beside = (
        option::weighted(0.2, (select(vec!["Quality", "engUnit", "Vendor", "Eng_Low"]), 0_u32..3)),
        option::weighted(0.7, select(vec!["image/png", "IMAGE/PNG", "text/html"])),
    );
    (
        0..NAMES.len(),
        select(vec![0_u64, 100, 600, 20_000]),
        select(vec![0_i64, -20_000, 20_000, -200_000, 200_000, 9_999, 10_000, 10_001]),
        numbers,
        select(vec!["", "a", "12", "12345", "äöüéèà", "a12"]),
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
        DataType::String => Value::String(event.text.to_owned()),
        _ => Value::Bytes(event.text.as_bytes().to_vec()),
    });
    let properties = event.property.map(|(key, value)| {
        let value =
            PropertyValue { r#type: Some(3), is_null: None, value: Some(Property::Int(value)) };
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

/// What the definition says of one metric: what crosses, or why it doesn't.
fn expected(
    draft: &Draft,
    datatype: DataType,
    metric: &Metric,
    held: Option<&Held>,
    told_at: Option<u64>,
    mono_ms: u64,
    wall_ms: u64,
) -> Result<Option<Crossing>, Reason> {
    let timestamp = metric.timestamp.unwrap();
    if draft.max_age_s.is_some_and(|age| timestamp + age * 1_000 < wall_ms) {
        return Err(Reason::TooOld);
    }
    if draft.max_future_s.is_some_and(|future| timestamp > wall_ms + future * 1_000) {
        return Err(Reason::Future);
    }
    let crossing = content(draft, datatype, metric);
    if let Crossing::Drop(reason) = crossing {
        return Err(reason);
    }
    if metric.is_historical == Some(true) {
        return Ok(Some(crossing));
    }
    if let Some(held) = held
        && draft.has_deadband()
        && is_number(datatype)
    {
        let new = number_after(datatype, metric, crossing);
        let near = match (held.number, new) {
            (None, None) => true,
            (Some(Number::Whole(old)), Some(Number::Whole(new))) => {
                let percent = draft.deadband_percent.unwrap_or(0.0) / 100.0;
                let wide = draft.deadband.unwrap_or(0.0).max(old.abs() as f64 * percent);
                (new - old).abs() <= wide as i128
            }
            (Some(Number::Decimal(old)), Some(Number::Decimal(new))) => {
                let percent = draft.deadband_percent.unwrap_or(0.0) / 100.0;
                let wide = draft.deadband.unwrap_or(0.0).max(old.abs() * percent);
                old.to_bits() == new.to_bits()
                    || (old.is_finite() && new.is_finite() && (new - old).abs() <= wide)
            }
            _ => false,
        };
        let news = crossing_properties(draft, metric)
            .iter()
            .any(|property| !held.properties.contains(property));
        if near && !news {
            return Err(Reason::Deadband);
        }
    }
    let interval = draft.min_interval_ms.filter(|_| datatype != DataType::File);
    if let (Some(interval), Some(told_at)) = (interval, told_at)
        && mono_ms < told_at + interval
    {
        return Ok(None);
    }
    Ok(Some(crossing))
}

fn number_after(datatype: DataType, metric: &Metric, crossing: Crossing) -> Option<Number> {
    match (crossing, metric.value.as_ref()?) {
        (Crossing::Whole(number), _) => Some(Number::Whole(number)),
        (Crossing::Decimal(number), _) => Some(Number::Decimal(number)),
        (Crossing::Null(_) | Crossing::Drop(_), _) => None,
        (Crossing::Value, Value::Float(number)) => Some(Number::Decimal(f64::from(*number))),
        (Crossing::Value, Value::Double(number)) => Some(Number::Decimal(*number)),
        (Crossing::Value, value) => {
            let bits = match value {
                Value::Int(bits) => u64::from(*bits),
                Value::Long(bits) => *bits,
                _ => return None,
            };
            match whole(&Draft { step: Some(1.0), ..Draft::default() }, datatype, bits) {
                Crossing::Value => {
                    let (wide, signed) = width(datatype).unwrap();
                    let modulus = 1_i128 << wide;
                    let mut raw = i128::from(bits) & (modulus - 1);
                    if signed && raw >= modulus / 2 {
                        raw -= modulus;
                    }
                    Some(Number::Whole(raw))
                }
                _ => unreachable!("every whole number is a multiple of one"),
            }
        }
    }
}

fn crossing_properties(draft: &Draft, metric: &Metric) -> Vec<(String, PropertyValue)> {
    let Some(set) = &metric.properties else { return Vec::new() };
    let pairs = set.keys.iter().cloned().zip(set.values.iter().cloned());
    pairs
        .filter(|(key, _)| match &draft.properties {
            _ if key == "Quality" => true,
            Some(names) => listed(&Some(names.clone()), key) && !names.is_empty(),
            None => key == "engUnit" || key == "Eng_Low",
        })
        .collect()
}

fn pseudonym(secret: &[u8], text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let body = hmac::sign(&key, format!("\u{1}{text}").as_bytes()).as_ref()[..12].to_vec();
    let check = hmac::sign(&key, &[&[2], body.as_slice()].concat()).as_ref()[..4].to_vec();
    let hex: String = [body, check].concat().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("pn-{hex}")
}

const SECRET: [u8; 32] = [9; 32];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

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
        let mut held: Vec<Option<Held>> = vec![None; NAMES.len()];
        let mut told: Vec<Option<Metric>> = vec![None; NAMES.len()];
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
                prop_assert!(!draft.opens(datatype) || !shapes.can_shape(name, datatype));
                continue;
            };
            let doubted = states[place].losses != losses;
            let definition = expected(
                &draft,
                datatype,
                &metric,
                held[place].as_ref().filter(|_| !doubted),
                told_at[place],
                mono_ms,
                wall_ms,
            );
            let shape = judged.shape.unwrap_or_else(|| crate::shape::Shape::unshaped());
            let last = Last {
                metric: told[place].as_ref(),
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
                    prop_assert!(crate::shape::is_bad_null(&shaped));
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
                let before = held[place].take();
                for property in before.into_iter().flat_map(|held| held.properties) {
                    if metric.properties.is_none() && known.iter().all(|one| one.0 != property.0) {
                        known.push(property);
                    }
                }
                held[place] = Some(Held {
                    number: number_after(datatype, &metric, crossing),
                    properties: known,
                });
                let mut newest = metric;
                if newest.properties.is_none() {
                    let before = told[place].take().and_then(|told| told.properties);
                    newest.properties = before;
                }
                told[place] = Some(newest);
            }
        }
    }
}
