//! Ranges with head-room, in round numbers.

use std::collections::BTreeSet;
use std::time::Duration;

use sparkplug::DataType;

use super::kind::{is_called_counter, is_integer};
use super::observe::{MetricSeen, Numbers};

/// Values from which a range can be guessed at.
pub(super) const MIN_VALUES: u64 = 10;
/// A number that only rose, so often at least, counts something.
const MIN_RISES: u64 = 5;
/// A value that changed less often than this may be set by somebody.
const MIN_CHANGES: u64 = 5;
/// Falls that a counter may have for so many rises: it begins again now and then.
const RISES_TO_A_FALL: u64 = 10;
/// What a counter begins again with, as a part of what it reached.
const NEAR_ZERO: f64 = 0.01;
/// What was seen for less than this says nothing about the next shift.
pub(super) const MIN_SPAN: Duration = Duration::from_secs(3_600);
/// Head-room on each side, as a part of what was seen between the smallest and the largest.
const HEADROOM: f64 = 0.5;
/// Digits after the point that a person still reads.
const MAX_DECIMALS: i32 = 9;

/// A proposed range: as it is written, `120.0` or `7`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Range {
    pub(super) min: String,
    /// `None`: a counter, of which nobody knows how far it counts.
    pub(super) max: Option<String>,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRange {
    FewValues,
    NotPlain,
}

/// Why a range isn't proposed but stands behind `#`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Doubt {
    Short,
    Counter,
    Setting,
}

impl Doubt {
    pub(super) fn words(self) -> &'static str {
        match self {
            Doubt::Short => "DECIDE: seen for less than an hour: the next value may be out of it",
            Doubt::Counter => "DECIDE: a counter: it goes on, and what is out of range is null",
            Doubt::Setting => {
                "DECIDE: hardly changed, as what somebody sets: the next value may be any"
            }
        }
    }
}

/// Whether a range of metrics, with their names, has to be decided on.
pub(super) fn doubt<'a>(seen: impl Iterator<Item = (&'a str, &'a MetricSeen)>) -> Option<Doubt> {
    let of_one = |(name, metric): (&str, &MetricSeen)| {
        if is_short(metric.span) {
            return Some(Doubt::Short);
        }
        let numbers = metric.numbers?;
        if is_counter(&numbers) || is_called_counter(name) {
            return Some(Doubt::Counter);
        }
        let changes = numbers.rises.saturating_add(numbers.falls);
        (changes < MIN_CHANGES).then_some(Doubt::Setting)
    };
    seen.filter_map(of_one).min()
}

/// Whether something was seen for so short a time that nothing follows from it.
pub(super) fn is_short(span: Option<(u64, u64)>) -> bool {
    let seen = span.map_or(0, |(first, last)| last.saturating_sub(first));
    Duration::from_millis(seen) < MIN_SPAN
}

/// Whether a number goes one way only, but for beginning again.
fn is_counter(numbers: &Numbers) -> bool {
    let (many, few) = (numbers.rises.max(numbers.falls), numbers.rises.min(numbers.falls));
    let begins_at_zero = numbers.min >= 0.0 && numbers.min <= numbers.max * NEAR_ZERO;
    many >= MIN_RISES
        && (few == 0 || (begins_at_zero && few.saturating_mul(RISES_TO_A_FALL) <= many))
}

/// The range of metrics that share one.
pub(super) fn range<'a>(seen: impl Iterator<Item = &'a MetricSeen>) -> Result<Range, NoRange> {
    let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
    let mut counters = true;
    let mut datatypes = BTreeSet::new();
    for metric in seen {
        let numbers = metric.numbers.ok_or(NoRange::FewValues)?;
        if metric.values < MIN_VALUES {
            return Err(NoRange::FewValues);
        }
        if !numbers.plain {
            return Err(NoRange::NotPlain);
        }
        datatypes.extend(&metric.datatypes);
        counters &= is_counter(&numbers) && numbers.rises > numbers.falls;
        (min, max) = (min.min(numbers.min), max.max(numbers.max));
    }
    let whole = datatypes.iter().all(|datatype| is_integer(*datatype));
    let span = max - min;
    let room = if span > 0.0 { span * HEADROOM } else { (max.abs() * HEADROOM).max(1.0) };
    let mut low = min - room;
    if min >= 0.0 {
        // A counter begins again at 0 some day.
        low = if counters { 0.0 } else { low.max(0.0) };
    }
    let high = max + room;
    // Two digits of the width of what was seen.
    let exponent = floor_log10(span.max(room)).saturating_sub(1);
    let exponent = if whole { exponent.max(0) } else { exponent };
    let (mut low, mut high) =
        (outward(low, exponent, f64::floor), outward(high, exponent, f64::ceil));
    if whole {
        let (least, most) = bounds(&datatypes);
        (low, high) = (low.max(least), high.min(most));
    }
    let decimals = exponent.saturating_neg().clamp(0, MAX_DECIMALS);
    let (low, high) = (text(low, whole, decimals), text(high, whole, decimals));
    // What is written must hold what was seen, whatever rounding did.
    let holds = |text: &str, fits: &dyn Fn(f64) -> bool| text.parse().is_ok_and(fits);
    if !holds(&low, &|low| low <= min) || !holds(&high, &|high| high >= max) {
        return Err(NoRange::NotPlain);
    }
    Ok(Range { min: low, max: (!counters).then_some(high) })
}

fn floor_log10(number: f64) -> i32 {
    let exponent = number.log10().floor();
    // Of a finite number it is within ±400.
    if exponent.is_finite() { exponent as i32 } else { 0 }
}

fn outward(number: f64, exponent: i32, round: fn(f64) -> f64) -> f64 {
    // A power below one would be inexact itself.
    if exponent >= 0 {
        let unit = 10_f64.powi(exponent);
        round(number / unit) * unit
    } else {
        let parts = 10_f64.powi(exponent.saturating_neg());
        round(number * parts) / parts
    }
}

fn text(number: f64, whole: bool, decimals: i32) -> String {
    let decimals = usize::try_from(decimals).unwrap_or(0);
    // Not `-0`.
    let number = if number == 0.0 { 0.0 } else { number };
    match whole {
        true => format!("{number:.0}"),
        false => format!("{number:.*}", decimals.max(1)),
    }
}

/// The widest range that all of the integer types can hold, within what is exact.
fn bounds(datatypes: &BTreeSet<DataType>) -> (f64, f64) {
    let mut bounds = (0.0_f64, 0.0_f64);
    for datatype in datatypes {
        let (least, most) = match datatype {
            DataType::Int8 => (f64::from(i8::MIN), f64::from(i8::MAX)),
            DataType::Int16 => (f64::from(i16::MIN), f64::from(i16::MAX)),
            DataType::Int32 => (f64::from(i32::MIN), f64::from(i32::MAX)),
            DataType::UInt8 => (0.0, f64::from(u8::MAX)),
            DataType::UInt16 => (0.0, f64::from(u16::MAX)),
            DataType::UInt32 => (0.0, f64::from(u32::MAX)),
            DataType::UInt64 => (0.0, f64::INFINITY),
            _ => (f64::NEG_INFINITY, f64::INFINITY),
        };
        bounds = (bounds.0.min(least), bounds.1.max(most));
    }
    bounds
}

/// `number` with head-room, rounded up to 1, 2 or 5 times a power of ten.
pub(super) fn round_up(number: u64) -> u64 {
    let mut unit = 1_u64;
    // Ends: the unit grows tenfold, to the largest number at most.
    loop {
        for factor in [1, 2, 5] {
            let candidate = unit.saturating_mul(factor);
            if candidate >= number {
                return candidate;
            }
        }
        unit = unit.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};
    use proptest::prop_assert;

    use super::*;

    fn seen(datatype: DataType, values: &[f64]) -> MetricSeen {
        let numbers = Numbers {
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            last: values[0],
            rises: 9,
            falls: 9,
            plain: values.iter().all(|value| value.is_finite()),
        };
        let datatypes = [datatype].into();
        MetricSeen { datatypes, values: 99, numbers: Some(numbers), ..MetricSeen::default() }
    }

    fn of(datatype: DataType, values: &[f64]) -> (String, String) {
        let range = range([seen(datatype, values)].iter()).unwrap();
        (range.min, range.max.unwrap())
    }

    #[test]
    fn ranges_have_head_room_and_round_ends() {
        let text = |low: &str, high: &str| (low.to_owned(), high.to_owned());
        assert_eq!(of(DataType::Float, &[55.1, 64.9]), text("50.2", "69.9"));
        assert_eq!(of(DataType::Double, &[0.0, 100.0]), text("0.0", "150.0"));
        assert_eq!(of(DataType::Double, &[-3.0, 3.0]), text("-6.0", "6.0"));
        assert_eq!(of(DataType::Int32, &[3.0, 3.0]), text("1", "5"));
        assert_eq!(of(DataType::Int8, &[-100.0, 100.0]), text("-128", "127"));
        assert_eq!(of(DataType::UInt8, &[0.0, 2.0]), text("0", "3"));
        assert_eq!(of(DataType::Double, &[0.0012, 0.0018]), text("0.00089", "0.00210"));
    }

    #[test]
    fn a_counter_has_no_upper_end_and_few_or_odd_values_have_no_range() {
        let mut counter = seen(DataType::UInt32, &[500.0, 570.0]);
        counter.numbers.as_mut().unwrap().falls = 0;
        let range_of = |seen: &MetricSeen| range([seen.clone()].iter());
        assert_eq!(range_of(&counter), Ok(Range { min: "0".into(), max: None }));
        // Of every datatype, and also where it begins again now and then.
        let mut energy = seen(DataType::Double, &[0.5, 570.25]);
        energy.numbers = energy.numbers.map(|numbers| Numbers { rises: 40, falls: 1, ..numbers });
        assert_eq!(range_of(&energy).unwrap().max, None);
        let hour = Some((0, 3_600_000));
        let of = |rises: u64, falls: u64, span| {
            let least = if rises == 50 { 0.0 } else { 1.0 };
            let mut seen = MetricSeen { span, ..seen(DataType::Float, &[least, 2.0]) };
            seen.numbers = seen.numbers.map(|numbers| Numbers { rises, falls, ..numbers });
            seen
        };
        for (name, seen, wanted) in [
            ("Temperature", of(9, 9, hour), None),
            ("Temperature", of(9, 9, Some((0, 40_000))), Some(Doubt::Short)),
            ("Temperature", of(9, 9, None), Some(Doubt::Short)),
            ("x", of(9, 0, hour), Some(Doubt::Counter)),
            ("x", of(0, 9, hour), Some(Doubt::Counter)),
            ("x", of(50, 4, hour), Some(Doubt::Counter)),
            // Heated up slowly, and cooled down at once, but not to zero.
            ("x", of(51, 4, hour), None),
            ("Energy/Total", of(9, 9, hour), Some(Doubt::Counter)),
            ("Speed", of(2, 2, hour), Some(Doubt::Setting)),
            ("Speed", of(0, 0, hour), Some(Doubt::Setting)),
        ] {
            assert_eq!(doubt([(name, &seen)].into_iter()), wanted, "{name} {seen:?}");
        }
        let few = MetricSeen { values: 9, ..seen(DataType::Float, &[1.0]) };
        assert_eq!(range_of(&few), Err(NoRange::FewValues));
        let nan = seen(DataType::Float, &[1.0, f64::INFINITY]);
        assert_eq!(range_of(&nan), Err(NoRange::NotPlain));
    }

    #[test]
    fn rates_are_rounded_up() {
        let rounded = [0, 1, 3, 10, 11, 99, 501].map(round_up);
        assert_eq!(rounded, [1, 1, 5, 10, 20, 100, 1_000]);
    }

    proptest! {
        #[test]
        fn what_was_seen_is_in_the_range(
            (left, right) in (any::<f32>(), any::<f32>()),
            (first, second) in (any::<i16>(), any::<i16>()),
        ) {
            for (datatype, values) in [
                (DataType::Float, [f64::from(left), f64::from(right)]),
                (DataType::Int16, [f64::from(first), f64::from(second)]),
            ] {
                if let Ok(Range { min, max: Some(max) }) = range([seen(datatype, &values)].iter()) {
                    let (min, max): (f64, f64) = (min.parse().unwrap(), max.parse().unwrap());
                    prop_assert!(values.iter().all(|value| (min..=max).contains(value)));
                }
            }
        }
    }
}
