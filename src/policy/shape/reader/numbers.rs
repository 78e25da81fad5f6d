//! Reads what a table says about numbers: `step`, `min`, `max` and the deadbands.

use diagnostic::{Diagnostic, Numeral, Section};

use super::Reader;
use crate::shape::is_number;
use crate::shape::numbers::{Bound, Deadband, OutOfRange, Range, Step, can_round};

impl Reader<'_, '_> {
    pub(super) fn step(&mut self, section: &mut Section<'_, '_>) -> Option<Step> {
        let step = section.numeral("step", self.problems)?;
        let size = step.value.to_f64();
        if !(size > 0.0 && size < 1e18) {
            let title = format!("`step` out of range: {}", self.written(&step.span));
            self.error("P040", step.span, title, "a number above 0 and below 10^18");
            return None;
        }
        let whole = match step.value {
            Numeral::Whole(whole) => Some(whole),
            // `10.0` is whole as well.
            Numeral::Decimal(decimal) => (decimal.fract() == 0.0).then_some(decimal as i128),
        };
        let step = Step { size, whole };
        self.usable(section, "step", |datatype| can_round(step, datatype));
        Some(step)
    }

    pub(super) fn range(&mut self, section: &mut Section<'_, '_>) -> Option<Range> {
        let min = section.numeral("min", self.problems);
        let max = section.numeral("max", self.problems);
        let otherwise = self.choice(
            section,
            "out-of-range",
            &[("drop", OutOfRange::Drop), ("clamp", OutOfRange::Clamp), ("null", OutOfRange::Null)],
        );
        if min.is_none() && max.is_none() {
            self.without(section, "out-of-range", &["min", "max"], "out of which range?");
            return None;
        }
        if let (Some(min), Some(max)) = (&min, &max)
            && exceeds(min.value, max.value)
        {
            let (lower, upper) = (self.written(&min.span), self.written(&max.span));
            let title = format!("`min` is above `max`: {lower} and {upper}");
            let problem = Diagnostic::error("P040", self.file, min.span.clone(), title)
                .label("no number is in this range")
                .also(max.span.clone(), "the upper end");
            self.problems.push(problem);
            return None;
        }
        let key = if min.is_some() { "min" } else { "max" };
        self.usable(section, key, is_number);
        Some(Range {
            min: min.map(|min| Bound::lower(min.value)),
            max: max.map(|max| Bound::upper(max.value)),
            otherwise: otherwise.unwrap_or_default(),
        })
    }

    pub(super) fn deadband(&mut self, section: &mut Section<'_, '_>) -> Option<Deadband> {
        let absolute = self.number(section, "deadband", 0.0, f64::MAX);
        let percent = self.number(section, "deadband-percent", 0.0, 100.0);
        let key = if absolute.is_some() { "deadband" } else { "deadband-percent" };
        if absolute.is_none() && percent.is_none() {
            return None;
        }
        self.usable(section, key, is_number);
        Some(Deadband {
            absolute: absolute.map(|absolute| absolute.value.to_f64()),
            percent: percent.map(|percent| percent.value.to_f64()),
        })
    }
}

fn exceeds(min: Numeral, max: Numeral) -> bool {
    match (min, max) {
        (Numeral::Whole(min), Numeral::Whole(max)) => min > max,
        (min, max) => min.to_f64() > max.to_f64(),
    }
}
