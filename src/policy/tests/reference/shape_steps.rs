//! What becomes of one metric, step by step.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "the definition in plain arithmetic; what overflows fails the test"
)]

use account::Reason;
use aws_lc_rs::hmac;
use sparkplug::{DataType, Metric, Property, PropertyValue, Value};

use super::rules::listed;
use super::shapes::{Allowed, Draft, is_integer, is_number, is_text, width};

/// What crosses of a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Crossing {
    Value,
    Whole(i128),
    Decimal(f64),
    Null(Reason),
    Drop(Reason),
}

pub(crate) fn refused(how: &str, reason: Reason) -> Crossing {
    if how == "null" { Crossing::Null(reason) } else { Crossing::Drop(reason) }
}

/// The steps from `step` to `allowed`.
pub(crate) fn content(draft: &Draft, datatype: DataType, metric: &Metric) -> Crossing {
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

pub(crate) fn whole(draft: &Draft, datatype: DataType, bits: u64) -> Crossing {
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

pub(crate) fn decimal(draft: &Draft, raw: f64, is_float: bool) -> Crossing {
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
pub(crate) struct Forwarded {
    pub(crate) number: Option<Number>,
    pub(crate) properties: Vec<(String, PropertyValue)>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    Whole(i128),
    Decimal(f64),
}

/// What the definition says of one metric: what crosses, or why it doesn't.
pub(crate) fn expected(
    draft: &Draft,
    datatype: DataType,
    metric: &Metric,
    forwarded: Option<&Forwarded>,
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
    if let Some(forwarded) = forwarded
        && draft.has_deadband()
        && is_number(datatype)
    {
        let new = number_after(datatype, metric, crossing);
        let near = match (forwarded.number, new) {
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
            .any(|property| !forwarded.properties.contains(property));
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

pub(crate) fn number_after(
    datatype: DataType,
    metric: &Metric,
    crossing: Crossing,
) -> Option<Number> {
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
            if !is_integer(datatype) {
                return None;
            }
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

/// The key of pseudonyms.
pub(crate) const SECRET: [u8; 32] = [9; 32];

pub(crate) fn crossing_properties(draft: &Draft, metric: &Metric) -> Vec<(String, PropertyValue)> {
    let Some(set) = &metric.properties else { return Vec::new() };
    let mut crossing = Vec::new();
    for (key, value) in set.keys.iter().zip(&set.values) {
        let listed = match &draft.properties {
            Some(names) => !names.is_empty() && listed(&Some(names.clone()), key),
            None => ["engUnit", "Eng_Low", "Quality"].contains(&key.as_str()),
        };
        let mut value = value.clone();
        match &mut value.value {
            Some(Property::Int(_)) if key == "Quality" => {}
            _ if !listed => continue,
            Some(Property::String(text)) => {
                // As a text metric under this draft.
                let as_text =
                    Metric { value: Some(Value::String(text.clone())), ..Metric::default() };
                if content(draft, DataType::String, &as_text) != Crossing::Value {
                    continue;
                }
                if draft.pseudonym {
                    *text = pseudonym(&SECRET, text);
                }
            }
            _ => {}
        }
        crossing.push((key.clone(), value));
    }
    crossing
}

pub(crate) fn pseudonym(secret: &[u8], text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let body = hmac::sign(&key, format!("\u{1}{text}").as_bytes()).as_ref()[..12].to_vec();
    let check = hmac::sign(&key, &[&[2], body.as_slice()].concat()).as_ref()[..4].to_vec();
    let hex: String = [body, check].concat().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("pn-{hex}")
}
