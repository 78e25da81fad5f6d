//! A table of a TOML document that is read key by key, with the places of its keys and values.
//! Every problem is collected instead of stopping at the first, which serde would do. What is
//! left when all keys were asked for is an unknown key. A [`Wording`] says how the language that
//! the file is written in names its problems.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeInteger, DeTable, DeValue};

use crate::{Diagnostic, Diagnostics, Numeral, Placed, Scalar, SourceFile, closest};

/// A key that a language knows.
type Key = &'static str;

/// What stands under a key, as far as messages tell it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    String,
    /// A list of strings.
    Strings,
    StringOrStrings,
    Boolean,
    BooleanOrString,
    Integer,
    Number,
    FiniteNumber,
    /// A list of strings or of whole numbers.
    Scalars,
    Moment,
    Table,
    /// `[[name]]`.
    Tables,
}

/// Codes and words of a language of files for what can be wrong with any table.
pub trait Wording: fmt::Debug + Sync {
    /// The table has no key `key`; `hint` is what its reader knows about such a key.
    fn unknown_key(
        &self,
        section: &Section<'_, '_>,
        key: Placed<&str>,
        hint: Option<String>,
    ) -> Diagnostic;

    /// Under `key` stands, at `span`, something else than what is `wanted`.
    fn wrong_type(
        &self,
        section: &Section<'_, '_>,
        key: &str,
        value: Placed<&DeValue<'_>>,
        wanted: Kind,
    ) -> Diagnostic;

    /// The table needs a key `key`.
    fn missing(&self, section: &Section<'_, '_>, key: &str, help: &str) -> Diagnostic;

    /// The list under `key` is empty; `None`: lists may be.
    fn empty_list(&self, list: Placed<&str>, file: &SourceFile) -> Option<Diagnostic> {
        let _ = (list, file);
        None
    }
}

/// A table that is being read.
#[derive(Clone, Debug)]
pub struct Section<'a, 'i> {
    file: &'a SourceFile,
    wording: &'static dyn Wording,
    noun: &'static str,
    /// `None`: there is no such table in the file, or it is the file.
    header: Option<Range<usize>>,
    table: Option<&'a DeTable<'i>>,
    announced: &'static [&'static str],
    asked: Vec<&'static str>,
    /// Whoever wrote this table made a mistake in its name or its type, which was reported.
    excused: bool,
}

impl<'a, 'i> Section<'a, 'i> {
    /// Reads a whole file, which is called `noun` in messages.
    pub fn top(
        file: &'a SourceFile,
        noun: &'static str,
        table: &'a DeTable<'i>,
        wording: &'static dyn Wording,
    ) -> Self {
        Section {
            file,
            wording,
            noun,
            header: None,
            table: Some(table),
            announced: &[],
            asked: Vec::new(),
            excused: false,
        }
    }

    /// Says which keys will be asked for, in the order in which messages list them. Without it
    /// they list those that were asked for.
    #[must_use]
    pub fn with_keys(self, keys: &'static [&'static str]) -> Self {
        Section { announced: keys, ..self }
    }

    /// The file that it is part of.
    pub fn file(&self) -> &'a SourceFile {
        self.file
    }

    /// What it is called in messages: `a rule`, `[rule.rate]`.
    pub fn noun(&self) -> &'static str {
        self.noun
    }

    /// Where the table begins.
    pub fn header(&self) -> Range<usize> {
        self.header.clone().unwrap_or_default()
    }

    /// Where the table begins; `None` where there is no such table, or it is the file.
    pub fn place(&self) -> Option<Range<usize>> {
        self.header.clone()
    }

    /// The keys that messages list.
    pub fn known_keys(&self) -> &[&'static str] {
        if self.announced.is_empty() { &self.asked } else { self.announced }
    }

    /// The keys that are in the file.
    pub fn keys(&self) -> impl Iterator<Item = &'a str> + use<'a, 'i> {
        self.table.into_iter().flat_map(|table| table.keys()).map(|key| key.get_ref().as_ref())
    }

    /// The table as it is in the file.
    pub fn content(&self) -> Option<&'a DeTable<'i>> {
        self.table
    }

    /// The place of the key `key`, if it is there.
    pub fn key_span(&self, key: &str) -> Option<Range<usize>> {
        self.table?.get_key_value(key).map(|(key, _)| key.span())
    }

    /// The place of what stands under `key`, if it is there.
    pub fn value_span(&self, key: &str) -> Option<Range<usize>> {
        self.table?.get(key).map(Spanned::span)
    }

    /// Whether the lack of a value of `key` has a reason that is reported anyway: the key is
    /// there with another value, or misspelled; or so is the table.
    pub fn is_excused(&self, key: &str) -> bool {
        let misspelled = |name: &str| {
            !self.announced.contains(&name)
                && closest(name, self.announced.iter().copied()) == Some(key)
        };
        self.excused || self.key_span(key).is_some() || self.keys().any(misspelled)
    }

    /// The string under `key`.
    pub fn string(&mut self, key: Key, problems: &mut Diagnostics) -> Option<Placed<String>> {
        self.value(key, Kind::String, problems, text_of)
    }

    /// The string, or the list of strings, under `key`.
    pub fn strings(&mut self, key: Key, problems: &mut Diagnostics) -> Option<Vec<Placed<String>>> {
        let value = self.any(key)?;
        match value.get_ref() {
            DeValue::Array(array) => self.elements(key, value.span(), array, problems),
            one => match text_of(one) {
                Some(text) => Some(vec![Placed { value: text, span: value.span() }]),
                None => self.wrong_type(key, value, Kind::StringOrStrings, problems),
            },
        }
    }

    /// The list of strings under `key`, with the place of the list.
    pub fn list(
        &mut self,
        key: Key,
        problems: &mut Diagnostics,
    ) -> Option<Placed<Vec<Placed<String>>>> {
        let value = self.any(key)?;
        let DeValue::Array(array) = value.get_ref() else {
            return self.wrong_type(key, value, Kind::Strings, problems);
        };
        let strings = self.elements(key, value.span(), array, problems)?;
        (strings.len() == array.len()).then(|| Placed { value: strings, span: value.span() })
    }

    /// The string, or the list of strings, under `key`, for a list of what may cross: an empty
    /// one says that nothing may.
    pub fn strings_or_none(
        &mut self,
        key: Key,
        problems: &mut Diagnostics,
    ) -> Option<Vec<Placed<String>>> {
        match self.any(key)?.get_ref() {
            DeValue::Array(array) if array.is_empty() => Some(Vec::new()),
            _ => self.strings(key, problems),
        }
    }

    /// The boolean under `key`.
    pub fn boolean(&mut self, key: Key, problems: &mut Diagnostics) -> Option<Placed<bool>> {
        self.value(key, Kind::Boolean, problems, DeValue::as_bool)
    }

    /// The boolean or string under `key`.
    pub fn boolean_or_string(
        &mut self,
        key: Key,
        problems: &mut Diagnostics,
    ) -> Option<Placed<Scalar>> {
        self.value(key, Kind::BooleanOrString, problems, |value| match value {
            DeValue::Boolean(boolean) => Some(Scalar::Boolean(*boolean)),
            value => text_of(value).map(Scalar::Text),
        })
    }

    /// The whole number under `key`.
    pub fn integer(&mut self, key: Key, problems: &mut Diagnostics) -> Option<Placed<i128>> {
        self.value(key, Kind::Integer, problems, |value| value.as_integer().and_then(whole))
    }

    /// The number, whole or decimal, under `key`.
    pub fn number(&mut self, key: Key, problems: &mut Diagnostics) -> Option<Placed<f64>> {
        self.value(key, Kind::Number, problems, |value| match value {
            // Rates are far below 2^53, beyond which this conversion rounds. What is too large
            // for it is no less out of range.
            DeValue::Integer(integer) => {
                let integer = i64::from_str_radix(integer.as_str(), integer.radix());
                Some(integer.map_or(f64::INFINITY, |integer| integer as f64))
            }
            DeValue::Float(float) => float.as_str().parse().ok(),
            _ => None,
        })
    }

    /// The number under `key`, exact if it is whole. NaN and infinities are no numbers.
    pub fn numeral(&mut self, key: Key, problems: &mut Diagnostics) -> Option<Placed<Numeral>> {
        self.value(key, Kind::FiniteNumber, problems, |value| match value {
            DeValue::Integer(integer) => whole(integer).map(Numeral::Whole),
            DeValue::Float(float) => {
                let decimal = float.as_str().parse().ok().filter(|float: &f64| float.is_finite());
                decimal.map(Numeral::Decimal)
            }
            _ => None,
        })
    }

    /// The strings and whole numbers in the list under `key`, with the place of the list.
    pub fn scalars(
        &mut self,
        key: Key,
        problems: &mut Diagnostics,
    ) -> Option<Placed<Vec<Placed<Scalar>>>> {
        let value = self.any(key)?;
        let DeValue::Array(array) = value.get_ref() else {
            return self.wrong_type(key, value, Kind::Scalars, problems);
        };
        let read = |value: &DeValue<'_>| match value {
            DeValue::Integer(integer) => whole(integer).map(Scalar::Whole),
            value => text_of(value).map(Scalar::Text),
        };
        let scalars = self.each(key, array, Kind::Scalars, problems, read);
        (scalars.len() == array.len()).then(|| Placed { value: scalars, span: value.span() })
    }

    /// The date and time under `key`, as it was written: a TOML datetime or a string.
    pub fn moment(&mut self, key: Key, problems: &mut Diagnostics) -> Option<Placed<String>> {
        self.value(key, Kind::Moment, problems, |value| match value {
            DeValue::Datetime(moment) => Some(moment.to_string()),
            value => text_of(value),
        })
    }

    /// Every key of the table with its string: a table whose keys are the operator's own.
    pub fn pairs(self, problems: &mut Diagnostics) -> Vec<(Placed<String>, Placed<String>)> {
        let mut pairs = Vec::new();
        for (key, value) in self.table.into_iter().flat_map(|table| table.iter()) {
            let name = key.get_ref().as_ref();
            match text_of(value.get_ref()) {
                Some(text) => pairs.push((
                    Placed { value: name.to_owned(), span: key.span() },
                    Placed { value: text, span: value.span() },
                )),
                None => {
                    let _: Option<()> = self.wrong_type(name, value, Kind::String, problems);
                }
            }
        }
        pairs
    }

    /// The table under `key`, which is called `noun` in messages.
    pub fn table(
        &mut self,
        key: Key,
        noun: &'static str,
        problems: &mut Diagnostics,
    ) -> Option<Section<'a, 'i>> {
        let value = self.any(key)?;
        match value.get_ref() {
            DeValue::Table(table) => Some(self.child(noun, self.span_of(key, value), table)),
            _ => self.wrong_type(key, value, Kind::Table, problems),
        }
    }

    /// The same; a table without keys where there is none.
    pub fn table_or_empty(
        &mut self,
        key: Key,
        noun: &'static str,
        problems: &mut Diagnostics,
    ) -> Section<'a, 'i> {
        self.table(key, noun, problems).unwrap_or_else(|| Section {
            noun,
            header: None,
            table: None,
            announced: &[],
            asked: Vec::new(),
            excused: self.is_excused(key),
            ..*self
        })
    }

    /// The tables `[[key]]`, each of which is called `noun` in messages.
    pub fn tables(
        &mut self,
        key: Key,
        noun: &'static str,
        problems: &mut Diagnostics,
    ) -> Vec<Section<'a, 'i>> {
        let Some(value) = self.any(key) else { return Vec::new() };
        let mut tables = Vec::new();
        let DeValue::Array(array) = value.get_ref() else {
            let _: Option<()> = self.wrong_type(key, value, Kind::Tables, problems);
            return tables;
        };
        for value in array {
            match value.get_ref() {
                DeValue::Table(table) => tables.push(self.child(noun, value.span(), table)),
                _ => {
                    let _: Option<()> = self.wrong_type(key, value, Kind::Table, problems);
                }
            }
        }
        tables
    }

    /// Whatever stands under `key`.
    pub fn any(&mut self, key: Key) -> Option<&'a Spanned<DeValue<'i>>> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        self.table?.get(key)
    }

    /// Reports that `key` is missing.
    pub fn missing(&self, key: &str, help: &str, problems: &mut Diagnostics) {
        problems.push(self.wording.missing(self, key, help));
    }

    /// Reports every key that was not asked for. `hint` says what is known about keys that have
    /// their place elsewhere.
    pub fn finish(&self, hint: impl Fn(&str) -> Option<String>, problems: &mut Diagnostics) {
        for (key, _) in self.table.into_iter().flat_map(|table| table.iter()) {
            let name = key.get_ref().as_ref();
            if !self.asked.contains(&name) {
                let key = Placed { value: name, span: key.span() };
                problems.push(self.wording.unknown_key(self, key, hint(name)));
            }
        }
    }

    fn child(
        &self,
        noun: &'static str,
        header: Range<usize>,
        table: &'a DeTable<'i>,
    ) -> Section<'a, 'i> {
        Section { header: Some(header), ..Section::top(self.file, noun, table, self.wording) }
    }

    fn value<T>(
        &mut self,
        key: Key,
        wanted: Kind,
        problems: &mut Diagnostics,
        read: impl FnOnce(&DeValue<'i>) -> Option<T>,
    ) -> Option<Placed<T>> {
        let value = self.any(key)?;
        match read(value.get_ref()) {
            Some(read) => Some(Placed { value: read, span: value.span() }),
            None => self.wrong_type(key, value, wanted, problems),
        }
    }

    /// What `read` makes of the elements; the others are reported.
    fn each<T>(
        &self,
        key: &str,
        array: &DeArray<'i>,
        wanted: Kind,
        problems: &mut Diagnostics,
        read: impl Fn(&DeValue<'i>) -> Option<T>,
    ) -> Vec<Placed<T>> {
        let mut elements = Vec::new();
        for value in array {
            match read(value.get_ref()) {
                Some(read) => elements.push(Placed { value: read, span: value.span() }),
                None => {
                    let _: Option<()> = self.wrong_type(key, value, wanted, problems);
                }
            }
        }
        elements
    }

    fn elements(
        &self,
        key: Key,
        span: Range<usize>,
        array: &DeArray<'i>,
        problems: &mut Diagnostics,
    ) -> Option<Vec<Placed<String>>> {
        if array.is_empty()
            && let Some(problem) = self.wording.empty_list(Placed { value: key, span }, self.file)
        {
            problems.push(problem);
            return None;
        }
        Some(self.each(key, array, Kind::String, problems, text_of))
    }

    /// The place of a value. A table made by dotted keys has none and is found by its key.
    fn span_of(&self, key: &str, value: &Spanned<DeValue<'i>>) -> Range<usize> {
        match value.span() {
            span if span.is_empty() => self.key_span(key).unwrap_or(span),
            span => span,
        }
    }

    fn wrong_type<T>(
        &self,
        key: &str,
        value: &Spanned<DeValue<'i>>,
        wanted: Kind,
        problems: &mut Diagnostics,
    ) -> Option<T> {
        let value = Placed { value: value.get_ref(), span: self.span_of(key, value) };
        problems.push(self.wording.wrong_type(self, key, value, wanted));
        None
    }
}

fn text_of(value: &DeValue<'_>) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn whole(integer: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(integer.as_str(), integer.radix()).ok()
}
