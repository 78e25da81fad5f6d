//! Values with their places in the files that they were read from.

use std::collections::HashMap;
use std::ops::Range;

use crate::{Diagnostic, Diagnostics, SourceFile};

/// A value with its place in the file.
#[derive(Clone, Debug)]
pub struct Placed<T> {
    pub value: T,
    pub span: Range<usize>,
}

/// A number as it was written: whole numbers are exact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Numeral {
    Whole(i128),
    Decimal(f64),
}

impl Numeral {
    /// The nearest number with a fraction.
    pub fn to_f64(self) -> f64 {
        match self {
            Numeral::Whole(whole) => whole as f64,
            Numeral::Decimal(decimal) => decimal,
        }
    }
}

/// A value that may be one of several kinds.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    Text(String),
    Boolean(bool),
    Whole(i128),
}

/// Names of one kind, each of which may be given once in all files, with their first places.
#[derive(Debug, Default)]
pub struct UniqueNames<'s>(HashMap<String, (&'s SourceFile, Range<usize>)>);

impl<'s> UniqueNames<'s> {
    /// Takes a name of a thing called `things` in the plural. `None`: it was given before, which
    /// is reported under `code`.
    pub fn claim(
        &mut self,
        file: &'s SourceFile,
        name: Placed<String>,
        (code, things): (&'static str, &str),
        problems: &mut Diagnostics,
    ) -> Option<String> {
        let Placed { value, span } = name;
        if let Some((first, place)) = self.0.get(&value) {
            let title = format!("two {things} are called `{value}`");
            let problem = Diagnostic::error(code, file, span, title).label("used again here").at(
                first,
                place.clone(),
                "first used here",
            );
            problems.push(problem);
            return None;
        }
        self.0.insert(value.clone(), (file, span));
        Some(value)
    }
}

/// The place of `part` (byte range of the value) inside a string that stands at `span`, or the
/// whole string where escapes make the two differ.
pub fn inside(file: &SourceFile, string: &Placed<String>, part: &Range<usize>) -> Range<usize> {
    let start = string.span.start.saturating_add(1);
    let end = string.span.end.saturating_sub(1);
    if file.text.get(start..end) != Some(string.value.as_str()) || part.start >= part.end {
        return string.span.clone();
    }
    start.saturating_add(part.start)..start.saturating_add(part.end).min(end)
}
