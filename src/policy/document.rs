//! Reads a TOML document with the places of its keys and values, and collects every problem
//! instead of stopping at the first, which serde would do. [`Section`] is a table whose keys are
//! taken one by one; what is left at the end is an unknown key.

use std::collections::HashMap;
use std::ops::Range;

use diagnostic::{Diagnostic, Diagnostics, SourceFile};
use toml::Spanned;
use toml::de::{DeArray, DeString, DeTable, DeValue};

/// A value with its place in the file.
#[derive(Clone, Debug)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

/// Names of one kind, each of which may be given once in all files, with their first places.
#[derive(Debug, Default)]
pub(super) struct UniqueNames<'s>(HashMap<String, (&'s SourceFile, Range<usize>)>);

impl<'s> UniqueNames<'s> {
    /// Takes a name of a thing called `things` in the plural. `None`: it was given before, which
    /// is reported under `code`.
    pub(super) fn claim(
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

/// A number as it was written: whole numbers are exact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Numeral {
    Whole(i128),
    Decimal(f64),
}

impl Numeral {
    /// The nearest number with a fraction.
    pub(super) fn to_f64(self) -> f64 {
        match self {
            Numeral::Whole(whole) => whole as f64,
            Numeral::Decimal(decimal) => decimal,
        }
    }
}

/// A value that may be one of several kinds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Text(String),
    Boolean(bool),
    Whole(i128),
}

/// A table that is being read.
pub(super) struct Section<'a, 'i> {
    file: &'a SourceFile,
    /// What it is called in messages: `a rule`, `[rule.rate]`.
    noun: &'static str,
    header: Range<usize>,
    table: &'a DeTable<'i>,
    known: Vec<&'static str>,
}

impl<'a, 'i> Section<'a, 'i> {
    /// Reads `table`, which has this `header`.
    pub(super) fn new(
        file: &'a SourceFile,
        noun: &'static str,
        header: Range<usize>,
        table: &'a DeTable<'i>,
    ) -> Self {
        Section { file, noun, header, table, known: Vec::new() }
    }

    /// Where the table begins.
    pub(super) fn header(&self) -> Range<usize> {
        self.header.clone()
    }

    /// The place of the key `key`, if it is there.
    pub(super) fn key_span(&self, key: &str) -> Option<Range<usize>> {
        self.entry(key).map(|(key, _)| key.span())
    }

    /// The string under `key`.
    pub(super) fn string(
        &mut self,
        key: &'static str,
        problems: &mut Diagnostics,
    ) -> Option<Placed<String>> {
        let value = self.take(key)?;
        match value.get_ref() {
            DeValue::String(string) => Some(place(value.span(), string.clone().into_owned())),
            _ => self.wrong_type(key, value, "a string", problems),
        }
    }

    /// The string, or the list of strings, under `key`. An empty list is an error: it would
    /// select nothing, or everything, depending on who reads it.
    pub(super) fn strings(
        &mut self,
        key: &'static str,
        problems: &mut Diagnostics,
    ) -> Option<Vec<Placed<String>>> {
        let value = self.take(key)?;
        match value.get_ref() {
            DeValue::String(string) => Some(vec![place(value.span(), string.clone().into_owned())]),
            DeValue::Array(array) => self.elements(key, value.span(), array, problems),
            _ => self.wrong_type(key, value, "a string or a list of strings", problems),
        }
    }

    /// The boolean under `key`.
    pub(super) fn boolean(
        &mut self,
        key: &'static str,
        problems: &mut Diagnostics,
    ) -> Option<Placed<bool>> {
        let value = self.take(key)?;
        match value.get_ref() {
            DeValue::Boolean(boolean) => Some(place(value.span(), *boolean)),
            _ => self.wrong_type(key, value, "`true` or `false`", problems),
        }
    }

    /// The number, whole or decimal, under `key`.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        problems: &mut Diagnostics,
    ) -> Option<Placed<f64>> {
        let value = self.take(key)?;
        let number = match value.get_ref() {
            // Rates are far below 2^53, beyond which this conversion rounds. What is too large
            // for it is no less out of range.
            DeValue::Integer(integer) => {
                let integer = i64::from_str_radix(integer.as_str(), integer.radix());
                Some(integer.map_or(f64::INFINITY, |integer| integer as f64))
            }
            DeValue::Float(float) => float.as_str().parse().ok(),
            _ => None,
        };
        match number {
            Some(number) => Some(place(value.span(), number)),
            None => self.wrong_type(key, value, "a number", problems),
        }
    }

    /// The number under `key`, exact if it is whole. NaN and infinities are no numbers.
    pub(super) fn numeral(
        &mut self,
        key: &'static str,
        problems: &mut Diagnostics,
    ) -> Option<Placed<Numeral>> {
        let value = self.take(key)?;
        let numeral = match value.get_ref() {
            DeValue::Integer(integer) => {
                i128::from_str_radix(integer.as_str(), integer.radix()).ok().map(Numeral::Whole)
            }
            DeValue::Float(float) => {
                let decimal = float.as_str().parse().ok().filter(|float: &f64| float.is_finite());
                decimal.map(Numeral::Decimal)
            }
            _ => None,
        };
        match numeral {
            Some(numeral) => Some(place(value.span(), numeral)),
            None => self.wrong_type(key, value, "a finite number", problems),
        }
    }

    /// The boolean or string under `key`.
    pub(super) fn boolean_or_string(
        &mut self,
        key: &'static str,
        problems: &mut Diagnostics,
    ) -> Option<Placed<Scalar>> {
        let value = self.take(key)?;
        match value.get_ref() {
            DeValue::Boolean(boolean) => Some(place(value.span(), Scalar::Boolean(*boolean))),
            DeValue::String(string) => {
                Some(place(value.span(), Scalar::Text(string.clone().into_owned())))
            }
            _ => self.wrong_type(key, value, "`true` or a string", problems),
        }
    }

    /// The strings and whole numbers in the list under `key`, with the place of the list.
    pub(super) fn scalars(
        &mut self,
        key: &'static str,
        problems: &mut Diagnostics,
    ) -> Option<Placed<Vec<Placed<Scalar>>>> {
        let value = self.take(key)?;
        let DeValue::Array(array) = value.get_ref() else {
            return self.wrong_type(key, value, "a list of strings or of whole numbers", problems);
        };
        let mut scalars = Vec::new();
        for element in array {
            let scalar = match element.get_ref() {
                DeValue::String(string) => Some(Scalar::Text(string.clone().into_owned())),
                DeValue::Integer(integer) => {
                    let whole = i128::from_str_radix(integer.as_str(), integer.radix());
                    whole.ok().map(Scalar::Whole)
                }
                _ => None,
            };
            match scalar {
                Some(scalar) => scalars.push(place(element.span(), scalar)),
                None => {
                    let wanted = "a list of strings or of whole numbers";
                    let _: Option<()> = self.wrong_type(key, element, wanted, problems);
                }
            }
        }
        (scalars.len() == array.len()).then(|| place(value.span(), scalars))
    }

    /// The string, or the list of strings, under `key`, for a list of what may cross: an empty
    /// one says that nothing may.
    pub(super) fn strings_or_none(
        &mut self,
        key: &'static str,
        problems: &mut Diagnostics,
    ) -> Option<Vec<Placed<String>>> {
        match self.entry(key).map(|(_, value)| value.get_ref()) {
            Some(DeValue::Array(array)) if array.is_empty() => {
                self.known.push(key);
                Some(Vec::new())
            }
            _ => self.strings(key, problems),
        }
    }

    /// Whatever stands under `key`.
    pub(super) fn any(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'i>>> {
        self.take(key)
    }

    /// The date and time under `key`, as it was written: a TOML datetime or a string.
    pub(super) fn moment(
        &mut self,
        key: &'static str,
        problems: &mut Diagnostics,
    ) -> Option<Placed<String>> {
        let value = self.take(key)?;
        match value.get_ref() {
            DeValue::String(string) => Some(place(value.span(), string.clone().into_owned())),
            DeValue::Datetime(moment) => Some(place(value.span(), moment.to_string())),
            _ => self.wrong_type(key, value, "a date with time and zone", problems),
        }
    }

    /// Every key of the table with its string: a table whose keys are the operator's own.
    pub(super) fn pairs(self, problems: &mut Diagnostics) -> Vec<(Placed<String>, Placed<String>)> {
        let mut pairs = Vec::new();
        for (key, value) in self.table {
            let name = key.get_ref().as_ref();
            match value.get_ref() {
                DeValue::String(string) => pairs.push((
                    place(key.span(), name.to_owned()),
                    place(value.span(), string.clone().into_owned()),
                )),
                _ => {
                    let _: Option<()> = self.wrong_type(name, value, "a string", problems);
                }
            }
        }
        pairs
    }

    /// The table under `key`, with the place of its header.
    pub(super) fn table(
        &mut self,
        key: &'static str,
        problems: &mut Diagnostics,
    ) -> Option<(Range<usize>, &'a DeTable<'i>)> {
        let value = self.take(key)?;
        match value.get_ref() {
            DeValue::Table(table) => Some((self.table_header(key, value), table)),
            _ => self.wrong_type(key, value, "a table", problems),
        }
    }

    /// The tables `[[key]]`, each with the place of its header.
    pub(super) fn tables(
        &mut self,
        key: &'static str,
        problems: &mut Diagnostics,
    ) -> Vec<(Range<usize>, &'a DeTable<'i>)> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let mut tables = Vec::new();
        match value.get_ref() {
            DeValue::Array(array) => {
                for value in array {
                    match value.get_ref() {
                        DeValue::Table(table) => tables.push((value.span(), table)),
                        _ => {
                            let _: Option<()> = self.wrong_type(key, value, "a table", problems);
                        }
                    }
                }
            }
            DeValue::Table(_) => problems.push(
                Diagnostic::error(
                    "P003",
                    self.file,
                    value.span(),
                    format!("`{key}` must be a list of tables"),
                )
                .label("this is one table")
                .help(format!("write `[[{key}]]`, with two brackets")),
            ),
            _ => {
                let _: Option<()> = self.wrong_type(key, value, "a list of tables", problems);
            }
        }
        tables
    }

    /// Reports every key that was not asked for. `misplaced` gives the hint for keys that have
    /// their place elsewhere.
    pub(super) fn finish(
        self,
        misplaced: impl Fn(&str) -> Option<String>,
        problems: &mut Diagnostics,
    ) {
        for (key, _) in self.table {
            let name = key.get_ref().as_ref();
            if self.known.contains(&name) {
                continue;
            }
            let title = format!("unknown key: `{name}`");
            let known = self.known.iter().map(|known| format!("`{known}`"));
            let known = known.collect::<Vec<_>>().join(", ");
            let diagnostic = Diagnostic::error("P002", self.file, key.span(), title)
                .label(format!("not a key of {}", self.noun));
            let diagnostic = match misplaced(name) {
                Some(help) => diagnostic.help(help),
                None => diagnostic.did_you_mean(name, self.known.iter().copied()),
            };
            problems.push(match diagnostic.help.is_empty() {
                true => diagnostic.help(format!("the keys of {} are {known}", self.noun)),
                false => diagnostic,
            });
        }
    }

    /// Reports that `key` is missing.
    pub(super) fn missing(&self, key: &str, help: &str, problems: &mut Diagnostics) {
        let title = format!("missing key: `{key}`");
        problems.push(
            Diagnostic::error("P004", self.file, self.header(), title)
                .label(format!("{} needs it", self.noun))
                .help(help),
        );
    }

    fn entry(&self, key: &str) -> Option<(&'a Spanned<DeString<'i>>, &'a Spanned<DeValue<'i>>)> {
        self.table.get_key_value(key)
    }

    fn take(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'i>>> {
        self.known.push(key);
        self.entry(key).map(|(_, value)| value)
    }

    /// The header of a table that has one; a table made by dotted keys, or an inline table, is
    /// found by its key or its value.
    fn table_header(&self, key: &str, value: &Spanned<DeValue<'i>>) -> Range<usize> {
        match value.span() {
            span if span.is_empty() => self.key_span(key).unwrap_or(span),
            span => span,
        }
    }

    fn elements(
        &self,
        key: &'static str,
        span: Range<usize>,
        array: &DeArray<'i>,
        problems: &mut Diagnostics,
    ) -> Option<Vec<Placed<String>>> {
        if array.is_empty() {
            problems.push(
                Diagnostic::error("P017", self.file, span, format!("`{key}` is an empty list"))
                    .help(format!("leave `{key}` out if it isn't meant to limit anything")),
            );
            return None;
        }
        let mut strings = Vec::new();
        for value in array {
            match value.get_ref() {
                DeValue::String(string) => {
                    strings.push(place(value.span(), string.clone().into_owned()));
                }
                _ => {
                    let _: Option<()> = self.wrong_type(key, value, "a string", problems);
                }
            }
        }
        Some(strings)
    }

    fn wrong_type<T>(
        &self,
        key: &str,
        value: &Spanned<DeValue<'i>>,
        wanted: &str,
        problems: &mut Diagnostics,
    ) -> Option<T> {
        let got = match value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let title = format!("`{key}` must be {wanted}");
        let span = match value.span() {
            span if span.is_empty() => self.key_span(key).unwrap_or(span),
            span => span,
        };
        problems.push(
            Diagnostic::error("P003", self.file, span, title).label(format!("this is {got}")),
        );
        None
    }
}

/// The place of `part` (byte range of the value) inside a string that stands at `span`, or the
/// whole string where escapes make the two differ.
pub(super) fn inside(
    file: &SourceFile,
    string: &Placed<String>,
    part: &Range<usize>,
) -> Range<usize> {
    let start = string.span.start.saturating_add(1);
    let end = string.span.end.saturating_sub(1);
    if file.text.get(start..end) != Some(string.value.as_str()) || part.start >= part.end {
        return string.span.clone();
    }
    start.saturating_add(part.start)..start.saturating_add(part.end).min(end)
}

fn place<T>(span: Range<usize>, value: T) -> Placed<T> {
    Placed { value, span }
}
