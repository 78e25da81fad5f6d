//! Steps on numbers: quantise, range, deadband. Integers of all widths are computed with exactly.

use diagnostic::Numeral;
use sparkplug::value::{self, Typed};
use sparkplug::{DataType, Value};

use super::{is_integer, is_number};

/// Multiples of a step from here on are no finer than the datatype's own precision, and rounding
/// to them again could move the value: they are left as they are.
const LARGEST_F32_MULTIPLE: f64 = (1_u64 << 22) as f64;
const LARGEST_F64_MULTIPLE: f64 = (1_u64 << 51) as f64;

/// A number, exact where it is whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Whole(i128),
    Float(f32),
    Double(f64),
}

/// `step`: values are rounded to its nearest multiple, halves away from zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Step {
    pub(super) size: f64,
    /// If it is a whole number.
    pub(super) whole: Option<i128>,
}

/// `min`, `max` and `out-of-range`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Range {
    pub(super) min: Option<Bound>,
    pub(super) max: Option<Bound>,
    pub(super) otherwise: OutOfRange,
}

/// One end of a range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bound {
    pub(super) written: Numeral,
    decimal: f64,
    /// The whole number next to it, inside of the range.
    whole: i128,
}

/// What a number outside of its range becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum OutOfRange {
    #[default]
    Drop,
    Clamp,
    Null,
}

/// `deadband` and `deadband-percent`: a value that is no farther from the one forwarded last than
/// the larger of both doesn't cross.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Deadband {
    pub(super) absolute: Option<f64>,
    /// Of the value that was forwarded last.
    pub(super) percent: Option<f64>,
}

/// Reads a number of a numeric datatype; `None` of any other, or where the value doesn't fit.
pub(super) fn number(datatype: DataType, value: &Value) -> Option<Number> {
    if !is_number(datatype) {
        return None;
    }
    match value::read(datatype, value)? {
        Typed::Signed(number) => Some(Number::Whole(number.into())),
        Typed::Unsigned(number) => Some(Number::Whole(number.into())),
        Typed::Float(number) => Some(Number::Float(number)),
        Typed::Double(number) => Some(Number::Double(number)),
        _ => None,
    }
}

/// The number as a value of the datatype, in the field that `like` uses; `None` if it doesn't fit.
pub(super) fn to_value(datatype: DataType, number: Number, like: &Value) -> Option<Value> {
    match (number, like) {
        (Number::Float(number), _) => Some(Value::Float(number)),
        (Number::Double(number), _) => Some(Value::Double(number)),
        (Number::Whole(number), _) if !fits_datatype(datatype, number) => None,
        (Number::Whole(number), Value::Int(_)) => {
            // Negative numbers are extended to 32 bits, as most libraries write them.
            let bits = i32::try_from(number).map(i32::cast_unsigned);
            bits.or_else(|_| u32::try_from(number)).ok().map(Value::Int)
        }
        (Number::Whole(number), _) => {
            let bits = i64::try_from(number).map(i64::cast_unsigned);
            bits.or_else(|_| u64::try_from(number)).ok().map(Value::Long)
        }
    }
}

fn fits_datatype(datatype: DataType, number: i128) -> bool {
    match datatype {
        DataType::Int8 => i8::try_from(number).is_ok(),
        DataType::Int16 => i16::try_from(number).is_ok(),
        DataType::Int32 => i32::try_from(number).is_ok(),
        DataType::Int64 => i64::try_from(number).is_ok(),
        DataType::UInt8 => u8::try_from(number).is_ok(),
        DataType::UInt16 => u16::try_from(number).is_ok(),
        DataType::UInt32 => u32::try_from(number).is_ok(),
        DataType::UInt64 => u64::try_from(number).is_ok(),
        _ => false,
    }
}

impl Number {
    /// The same number, bit for bit: NaN is itself, and 0 isn't -0.
    pub(super) fn is(self, other: Number) -> bool {
        match (self, other) {
            (Number::Float(left), Number::Float(right)) => left.to_bits() == right.to_bits(),
            (Number::Double(left), Number::Double(right)) => left.to_bits() == right.to_bits(),
            (left, right) => left == right,
        }
    }

    fn to_f64(self) -> f64 {
        match self {
            Number::Whole(whole) => whole as f64,
            Number::Float(float) => f64::from(float),
            Number::Double(double) => double,
        }
    }
}

impl Step {
    /// The nearest multiple. NaN, infinities, and whole numbers under a step that isn't whole,
    /// stay as they are.
    pub(super) fn round(self, datatype: DataType, number: Number) -> Number {
        match number {
            Number::Whole(whole) => match self.whole {
                Some(size) => Number::Whole(round_whole(datatype, whole, size)),
                None => number,
            },
            Number::Float(float) => {
                let rounded = self.round_f64(f64::from(float), LARGEST_F32_MULTIPLE);
                let rounded =
                    rounded.map(|rounded| rounded as f32).filter(|float| float.is_finite());
                rounded.map_or(number, Number::Float)
            }
            Number::Double(double) => {
                self.round_f64(double, LARGEST_F64_MULTIPLE).map_or(number, Number::Double)
            }
        }
    }

    /// The multiple next to `end` on the side of it that is above or below; the end itself where
    /// multiples are too fine to tell.
    fn next(self, end: Number, above: bool) -> Number {
        let next_f64 = |end: f64, largest: f64| {
            let multiple = end / self.size;
            let multiple = if above { multiple.ceil() } else { multiple.floor() };
            if multiple.abs() < largest { multiple * self.size } else { end }
        };
        match (end, self.whole) {
            (Number::Whole(end), Some(size)) => {
                let below = end.saturating_sub(end.checked_rem_euclid(size).unwrap_or(0));
                let next = below.saturating_add(size);
                Number::Whole(if above && below < end { next } else { below })
            }
            (Number::Whole(_), None) => end,
            (Number::Float(float), _) => {
                Number::Float(next_f64(f64::from(float), LARGEST_F32_MULTIPLE) as f32)
            }
            (Number::Double(double), _) => Number::Double(next_f64(double, LARGEST_F64_MULTIPLE)),
        }
    }

    fn round_f64(self, number: f64, largest: f64) -> Option<f64> {
        let multiple = (number / self.size).round();
        let rounded = multiple * self.size;
        (multiple.abs() < largest && rounded.is_finite()).then_some(rounded)
    }
}

/// The nearest multiple of `size` (above 0) that fits the datatype.
fn round_whole(datatype: DataType, number: i128, size: i128) -> i128 {
    // Numbers have 64 bits, and so has a step: nothing here comes near 127 bits.
    let rest = number.checked_rem(size).unwrap_or(0);
    let towards_zero = number.saturating_sub(rest);
    if rest.saturating_abs().saturating_mul(2) < size {
        return towards_zero;
    }
    let away = towards_zero.saturating_add(size.saturating_mul(number.signum()));
    if fits_datatype(datatype, away) { away } else { towards_zero }
}

impl Bound {
    /// The lower end of a range.
    pub(super) fn lower(written: Numeral) -> Bound {
        let whole = match written {
            Numeral::Whole(whole) => whole,
            // The cast saturates.
            Numeral::Decimal(decimal) => decimal.ceil() as i128,
        };
        Bound { written, decimal: written.to_f64(), whole }
    }

    /// The upper end of a range.
    pub(super) fn upper(written: Numeral) -> Bound {
        let whole = match written {
            Numeral::Whole(whole) => whole,
            Numeral::Decimal(decimal) => decimal.floor() as i128,
        };
        Bound { written, decimal: written.to_f64(), whole }
    }
}

/// Where a number lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Placed {
    Inside,
    /// Outside, with the nearest number inside of its kind, a multiple of the step.
    Outside {
        nearest: Option<Number>,
    },
}

impl Range {
    /// Whether every number inside of it is inside of `other`.
    pub(super) fn is_within(&self, other: &Range) -> bool {
        let above = |own: Option<Bound>, other: Option<Bound>| match (own, other) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(own), Some(other)) => own.decimal >= other.decimal && own.whole >= other.whole,
        };
        let below = |own: Option<Bound>, other: Option<Bound>| match (own, other) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(own), Some(other)) => own.decimal <= other.decimal && own.whole <= other.whole,
        };
        above(self.min, other.min) && below(self.max, other.max)
    }

    pub(super) fn place(&self, number: Number, step: Option<Step>) -> Placed {
        let Range { min, max, .. } = self;
        let (below, above) = match number {
            Number::Whole(whole) => {
                (min.is_some_and(|min| whole < min.whole), max.is_some_and(|max| whole > max.whole))
            }
            other => {
                let number = other.to_f64();
                if number.is_nan() {
                    return Placed::Outside { nearest: None };
                }
                (
                    number == f64::NEG_INFINITY || min.is_some_and(|min| number < min.decimal),
                    number == f64::INFINITY || max.is_some_and(|max| number > max.decimal),
                )
            }
        };
        let bound = match (below, above) {
            (false, false) => return Placed::Inside,
            (true, _) => *min,
            (_, true) => *max,
        };
        let nearest = bound.map(|bound| match number {
            Number::Whole(_) => Number::Whole(bound.whole),
            Number::Double(_) => Number::Double(bound.decimal),
            // The nearest float may lie just outside.
            Number::Float(_) => Number::Float(match bound.decimal as f32 {
                float if below && f64::from(float) < bound.decimal => float.next_up(),
                float if above && f64::from(float) > bound.decimal => float.next_down(),
                float => float,
            }),
        });
        let nearest = nearest.map(|nearest| match step {
            Some(step) => step.next(nearest, below),
            None => nearest,
        });
        // A range that has no number of this kind in it.
        let inside = |nearest: &Number| match *nearest {
            Number::Whole(whole) => {
                min.is_none_or(|min| whole >= min.whole) && max.is_none_or(|max| whole <= max.whole)
            }
            other => {
                let number = other.to_f64();
                number.is_finite()
                    && min.is_none_or(|min| number >= min.decimal)
                    && max.is_none_or(|max| number <= max.decimal)
            }
        };
        Placed::Outside { nearest: nearest.filter(inside) }
    }
}

impl Deadband {
    /// Whether `number` is too near to `last` to tell.
    pub(super) fn holds_back(&self, last: Number, number: Number) -> bool {
        if last.is(number) {
            return true;
        }
        let near = self.absolute.unwrap_or(0.0);
        let share = self.percent.map_or(0.0, |percent| percent / 100.0);
        if let (Number::Whole(last), Number::Whole(number)) = (last, number) {
            // Exact: beyond 2^53 decimals would take different numbers for the same.
            let distance = number.saturating_sub(last).unsigned_abs();
            let wide = near.max(last.unsigned_abs() as f64 * share);
            return distance <= wide as u128;
        }
        let (last, number) = (last.to_f64(), number.to_f64());
        // Comparisons with NaN fail, so that it crosses; so does the way from and to infinity.
        let wide = near.max(last.abs() * share);
        (number - last).abs() <= wide && last.is_finite() && number.is_finite()
    }
}

/// Whether a step of this size can round values of the datatype.
pub(super) fn can_round(step: Step, datatype: DataType) -> bool {
    is_number(datatype) && (step.whole.is_some() || !is_integer(datatype))
}
