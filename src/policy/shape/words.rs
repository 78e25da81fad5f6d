//! Shapes in words, for `sparkdiode check`: one line per table; and for comparisons step by step.

use super::disarm::Names;
use super::numbers::OutOfRange;
use super::pseudonym::Pseudonym;
use super::texts::AllowedValues;
use super::{Refusal, RuleShapes, Shape};
use crate::rule::glob::Glob;

/// Values of a list that are named.
const MAX_NAMED: usize = 5;

impl RuleShapes {
    /// What the shapes do, a line for each of their tables.
    pub(crate) fn describe(&self) -> Vec<String> {
        let base = self.has_base.then(|| format!("all of it: {}", self.base.describe()));
        let tables = self
            .tables
            .iter()
            .map(|table| format!("metrics {}: {}", globs(&table.names), table.shape.describe()));
        base.into_iter().chain(tables).collect()
    }
}

/// What a shape can say something about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aspect {
    Age,
    Future,
    Step,
    Range,
    Length,
    Allowed,
    Pseudonym,
    /// What becomes of datatypes that no check looks at: whether they cross is judged.
    Open,
    Properties,
    Metadata,
    Columns,
    Members,
    Parameters,
    Deadband,
    Interval,
}

impl Aspect {
    /// What holds where a shape says nothing about it.
    pub(super) const fn unsaid(self) -> &'static str {
        match self {
            Aspect::Age => "however old",
            Aspect::Future => "however far in the future",
            Aspect::Step => "numbers as they are",
            Aspect::Range => "every number",
            Aspect::Length => "however long",
            Aspect::Allowed => "every value",
            Aspect::Pseudonym => "texts as they are",
            Aspect::Open => "every datatype",
            Aspect::Properties => "engineering properties",
            Aspect::Metadata => "no metadata but a short description",
            Aspect::Columns => "no columns",
            Aspect::Members => "all members",
            Aspect::Parameters => "no parameters",
            Aspect::Deadband => "every change",
            Aspect::Interval => "values as often as they come",
        }
    }
}

impl Shape {
    /// The steps in words, in their order.
    pub(crate) fn describe(&self) -> String {
        let words: Vec<String> = self.aspects().into_iter().map(|(_, words)| words).collect();
        words.join("; ")
    }

    /// The same one by one.
    pub(super) fn aspects(&self) -> Vec<(Aspect, String)> {
        let mut words: Vec<(Aspect, String)> = Vec::new();
        if let Some(age) = self.max_age {
            words.push((Aspect::Age, format!("no older than {}", seconds(age))));
        }
        if let Some(future) = self.max_future {
            words.push((Aspect::Future, format!("at most {} in the future", seconds(future))));
        }
        if let Some(step) = self.step {
            words.push((Aspect::Step, format!("numbers rounded to multiples of {}", step.size)));
        }
        if let Some(range) = self.range {
            let bound = |bound: super::numbers::Bound| match bound.written {
                diagnostic::Numeral::Whole(whole) => whole.to_string(),
                diagnostic::Numeral::Decimal(decimal) => decimal.to_string(),
            };
            let range_words = match (range.min.map(bound), range.max.map(bound)) {
                (Some(min), Some(max)) => format!("numbers from {min} to {max}"),
                (Some(min), None) => format!("numbers from {min} on"),
                (None, max) => format!("numbers up to {}", max.unwrap_or_default()),
            };
            let otherwise = match range.otherwise {
                OutOfRange::Drop => "others are dropped",
                OutOfRange::Clamp => "others are brought to the nearest end",
                OutOfRange::Null => "others become null with Quality 0",
            };
            words.push((Aspect::Range, format!("{range_words} ({otherwise})")));
        }
        if let Some(length) = &self.length {
            let mut caps = Vec::new();
            if let Some(characters) = length.max_length {
                caps.push(format!("texts of at most {characters} characters"));
            }
            if let Some(bytes) = length.max_bytes {
                caps.push(format!("Bytes and arrays of at most {bytes} bytes"));
                if let Some(types) = &length.content_types {
                    let types: Vec<&str> = types.iter().map(String::as_str).collect();
                    caps.push(format!("files of at most {bytes} bytes of {}", quoted(&types)));
                }
            }
            let refusal = refusal(length.otherwise);
            words.push((Aspect::Length, format!("{} ({refusal})", caps.join(", "))));
        }
        if let Some(allowed) = &self.allowed {
            let values = match &allowed.values {
                AllowedValues::Texts(texts) => {
                    let mut texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                    texts.sort_unstable();
                    format!("only the texts {}", quoted(&texts))
                }
                AllowedValues::Numbers(numbers) => {
                    let mut numbers: Vec<i128> = numbers.iter().copied().collect();
                    numbers.sort_unstable();
                    let numbers: Vec<String> = numbers.iter().map(i128::to_string).collect();
                    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
                    format!("only the numbers {}", quoted(&numbers))
                }
                AllowedValues::Pattern(pattern) => {
                    format!("only texts that match `{}`", pattern.source())
                }
            };
            let refusal = refusal(allowed.otherwise);
            words.push((Aspect::Allowed, format!("{values} ({refusal})")));
        }
        match &self.pseudonym {
            Some(Pseudonym::Whole) => {
                words.push((Aspect::Pseudonym, "texts replaced by pseudonyms".to_owned()));
            }
            Some(Pseudonym::Matches(pattern)) => {
                let source = pattern.source();
                let said = format!("what matches `{source}` in texts replaced by pseudonyms");
                words.push((Aspect::Pseudonym, said));
            }
            None => {}
        }
        if self.restricts() {
            let open = self.open.map(|open| open.names()).unwrap_or_default();
            let said = match open.as_slice() {
                [] => "what none of these checks can look at is dropped".to_owned(),
                open => format!(
                    "of what none of these checks can look at only {}, as it is",
                    quoted(open)
                ),
            };
            words.push((Aspect::Open, said));
        }
        let aspects = [Aspect::Properties, Aspect::Columns, Aspect::Members, Aspect::Parameters];
        for (aspect, (key, names)) in aspects.into_iter().zip(self.disarm.said()) {
            if let Some(names) = names {
                words.push((aspect, names_of(key, names)));
            }
        }
        if let Some(fields) = self.disarm.said_metadata() {
            let said = match fields.names().as_slice() {
                [] => "no metadata".to_owned(),
                names => format!("metadata {}", quoted(names)),
            };
            words.push((Aspect::Metadata, said));
        }
        if let Some(deadband) = self.deadband {
            let mut widths = Vec::new();
            widths.extend(deadband.absolute.map(|absolute| absolute.to_string()));
            widths.extend(deadband.percent.map(|percent| format!("{percent} %")));
            let said = format!("only changes of more than {}", widths.join(" and "));
            words.push((Aspect::Deadband, said));
        }
        if let Some(interval) = self.min_interval {
            let said = format!("at most one value in {} (the newest follows)", seconds(interval));
            words.push((Aspect::Interval, said));
        }
        words
    }
}

fn seconds(duration: std::time::Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

fn refusal(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Drop => "others are dropped",
        Refusal::Null => "others become null with Quality 0",
    }
}

fn names_of(key: &str, names: &Names) -> String {
    match names.is_empty() {
        true => format!("no {key}"),
        false => format!("{key} {}", globs(names)),
    }
}

fn globs(globs: &[Glob]) -> String {
    let globs: Vec<String> = globs.iter().map(Glob::to_string).collect();
    let globs: Vec<&str> = globs.iter().map(String::as_str).collect();
    quoted(&globs)
}

fn quoted(items: &[&str]) -> String {
    let named = items.get(..MAX_NAMED.min(items.len())).unwrap_or_default();
    let named: Vec<String> = named.iter().map(|item| format!("`{item}`")).collect();
    let more = items.len().saturating_sub(named.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", named.join(", "))
}
