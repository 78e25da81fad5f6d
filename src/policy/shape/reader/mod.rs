//! Reads `[rule.shape]` and the `[[rule.metric]]` tables of a rule.

mod disarm;
mod numbers;
mod open;
mod texts;

use std::ops::Range as Span;
use std::sync::Arc;
use std::time::Duration;

use diagnostic::{Diagnostic, Diagnostics, Numeral, Placed, Section, SourceFile, closest, inside};
use sparkplug::DataType;

use super::disarm::Disarm;
use super::{MetricTable, Refusal, RuleShapes, Shape};
use crate::language::RULE_KEYS;
use crate::language::foreign::{foreign, warn_of_foreign};
use crate::rule::DataTypes;
use crate::rule::glob::Glob;

/// Tables of one rule.
const MAX_TABLES: usize = 1_000;
/// Ages and futures are typing errors below this and above ten years.
const MIN_TIME_S: f64 = 0.001;
const MAX_TIME_S: f64 = 315_360_000.0;
/// Longest interval between two values: a day.
const MAX_INTERVAL_MS: f64 = 86_400_000.0;

/// The keys of both kinds of tables.
pub(crate) const SHAPE_KEYS: [&str; 24] = [
    "max-age-s",
    "max-future-s",
    "step",
    "min",
    "max",
    "out-of-range",
    "max-length",
    "max-bytes",
    "content-types",
    "too-long",
    "allowed",
    "pattern",
    "not-allowed",
    "pseudonym",
    "open-datatypes",
    "properties",
    "metadata",
    "columns",
    "members",
    "parameters",
    "deadband",
    "deadband-percent",
    "min-interval-ms",
    "inherit",
];

/// Reads the shapes of the rule `rule`, which forwards `datatypes`.
pub(crate) fn read(
    file: &SourceFile,
    rule: &mut Section<'_, '_>,
    datatypes: Option<DataTypes>,
    problems: &mut Diagnostics,
) -> RuleShapes {
    let mut reader = Reader { file, datatypes, problems };
    let base = rule.table("shape", "`[rule.shape]`", reader.problems);
    let has_base = base.is_some();
    let read_base = |section: Section<'_, '_>| {
        let header = section.header();
        let shape = reader.base(section);
        reader.crosses(None, &shape, header, "[rule.shape]");
        shape
    };
    let base = base.map(read_base).unwrap_or_default();
    let mut tables = Vec::new();
    for section in rule.tables("metric", "`[[rule.metric]]`", reader.problems) {
        if tables.len() >= MAX_TABLES {
            let title =
                format!("a rule can't have more than {MAX_TABLES} `[[rule.metric]]` tables");
            reader.error("P016", section.header(), title, "").help("make several rules");
            break;
        }
        let header = section.header();
        let (names, own, inherits) = reader.metric(section);
        let shape = if inherits { own.clone().or(&base) } else { own.clone() };
        reader.crosses(Some(&own), &shape, header, "[[rule.metric]]");
        tables.push(MetricTable { names, shape: Arc::new(shape), own });
    }
    let looking = tables.iter().filter(|table| table.own.looks_at_values());
    let members = looking.flat_map(|table| table.names.iter().cloned()).collect();
    RuleShapes { base: Arc::new(base), tables, members, has_base }
}

struct Reader<'f, 'p> {
    file: &'f SourceFile,
    /// Datatypes that the rule forwards.
    datatypes: Option<DataTypes>,
    problems: &'p mut Diagnostics,
}

/// The last problem, to which a hint can be added.
struct Reported<'r>(&'r mut Diagnostics);

impl Reported<'_> {
    fn help(self, help: impl Into<String>) {
        self.0.help_last(help);
    }
}

impl Reader<'_, '_> {
    fn base(&mut self, mut section: Section<'_, '_>) -> Shape {
        let shape = self.shape(&mut section);
        if section.keys().next().is_none() {
            self.nothing(&section);
        }
        section.finish(|key| misplaced(key, "[rule.shape]"), self.problems);
        shape
    }

    fn metric(&mut self, mut section: Section<'_, '_>) -> (Vec<Glob>, Shape, bool) {
        if section.key_span("names").is_none() {
            let help = "`names` says which metrics the table is about; for all of the rule there \
                        is `[rule.shape]`";
            section.missing("names", help, self.problems);
        }
        let names = section.strings("names", self.problems).unwrap_or_default();
        let names = self.globs(&names);
        let inherit = section.boolean("inherit", self.problems);
        let shape = self.shape(&mut section);
        if section.keys().all(|key| key == "names") {
            self.nothing(&section);
        }
        section.finish(|key| misplaced(key, "[[rule.metric]]"), self.problems);
        (names, shape, inherit.is_none_or(|inherit| inherit.value))
    }

    fn nothing(&mut self, section: &Section<'_, '_>) {
        let keys = "`min`, `max`, `allowed`, `pattern`, `max-length`, `max-bytes`, `step`, \
                    `deadband`, `min-interval-ms`, `max-age-s`, `pseudonym`, `properties`, …";
        self.error("P040", section.header(), "a table that shapes nothing", "no key in it")
            .help(format!("give one or more of {keys}"));
    }

    fn shape(&mut self, section: &mut Section<'_, '_>) -> Shape {
        let max_age = self.time(section, "max-age-s");
        let max_future = self.time(section, "max-future-s");
        let step = self.step(section);
        let range = self.range(section);
        let length = self.length(section);
        let allowed = self.allowed(section);
        let pseudonym = self.pseudonym(section);
        let open = self.open(section);
        let properties = self.names(section, "properties");
        let metadata = self.metadata(section);
        let columns = self.names(section, "columns");
        let members = self.names(section, "members");
        let parameters = self.names(section, "parameters");
        let disarm = Disarm::new(properties, metadata, columns, members, parameters);
        let deadband = self.deadband(section);
        let min_interval = self.interval(section);
        Shape {
            max_age,
            max_future,
            step,
            range,
            length,
            allowed,
            pseudonym,
            open,
            disarm,
            deadband,
            min_interval,
        }
    }

    fn time(&mut self, section: &mut Section<'_, '_>, key: &'static str) -> Option<Duration> {
        let seconds = self.number(section, key, MIN_TIME_S, MAX_TIME_S)?;
        Some(Duration::from_secs_f64(seconds.value.to_f64()))
    }

    fn interval(&mut self, section: &mut Section<'_, '_>) -> Option<Duration> {
        let interval = self.number(section, "min-interval-ms", 0.0, MAX_INTERVAL_MS)?;
        self.usable(section, "min-interval-ms", |datatype| {
            !matches!(datatype, DataType::Template | DataType::File)
        });
        Some(Duration::from_secs_f64(interval.value.to_f64() / 1_000.0))
    }

    fn number(
        &mut self,
        section: &mut Section<'_, '_>,
        key: &'static str,
        min: f64,
        max: f64,
    ) -> Option<Placed<Numeral>> {
        let number = section.numeral(key, self.problems)?;
        let value = number.value.to_f64();
        if !(min..=max).contains(&value) {
            let title = format!("`{key}` out of range: {}", self.written(&number.span));
            let label = match max {
                f64::MAX => format!("from {min} on"),
                _ => format!("from {min} to {max}"),
            };
            self.error("P040", number.span, title, label);
            return None;
        }
        Some(number)
    }

    fn whole(
        &mut self,
        section: &mut Section<'_, '_>,
        key: &'static str,
        min: u64,
        max: usize,
    ) -> Option<u64> {
        let number = section.numeral(key, self.problems)?;
        let max = u64::try_from(max).unwrap_or(u64::MAX);
        if let Numeral::Whole(whole) = number.value
            && let Ok(whole) = u64::try_from(whole)
            && (min..=max).contains(&whole)
        {
            return Some(whole);
        }
        let title = format!("`{key}` out of range: {}", self.written(&number.span));
        self.error("P040", number.span, title, format!("a whole number from {min} to {max}"));
        None
    }

    fn refusal(&mut self, section: &mut Section<'_, '_>, key: &'static str) -> Refusal {
        let choices = [("drop", Refusal::Drop), ("null", Refusal::Null)];
        self.choice(section, key, &choices).unwrap_or_default()
    }

    fn choice<T: Copy>(
        &mut self,
        section: &mut Section<'_, '_>,
        key: &'static str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let word = section.string(key, self.problems)?;
        let found = choices.iter().find(|(name, _)| *name == word.value);
        if found.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            let title = format!("unknown value of `{key}`: `{}`", word.value);
            let problem = Diagnostic::error("P040", self.file, word.span, title)
                .label(format!("one of {}", quoted(&names)));
            let meant = match word.value.as_str() {
                "discard" | "reject" | "deny" => Some("drop"),
                "limit" | "saturate" | "clip" => Some("clamp"),
                "bad" | "none" => Some("null"),
                other => closest(other, names.iter().copied()),
            };
            self.problems.push(match meant.filter(|meant| names.contains(meant)) {
                Some(meant) => problem.help(format!("did you mean `{meant}`?")),
                None => problem,
            });
        }
        found.map(|(_, choice)| *choice)
    }

    fn globs(&mut self, patterns: &[Placed<String>]) -> Vec<Glob> {
        let mut globs = Vec::new();
        for pattern in patterns {
            match Glob::parse(&pattern.value) {
                Ok(glob) => {
                    if let Some(found) = foreign(&pattern.value, true) {
                        self.problems.push(warn_of_foreign(self.file, pattern, &found));
                    }
                    globs.push(glob);
                }
                Err(error) => {
                    let span = inside(self.file, pattern, &(0..pattern.value.len()));
                    self.error("P012", span, error.to_string(), "");
                }
            }
        }
        globs
    }

    /// Reports `key` if none of `others`, which it belongs to, is there.
    fn without(&mut self, section: &Section<'_, '_>, key: &str, others: &[&str], label: &str) {
        if let Some(span) = section.key_span(key)
            && others.iter().all(|other| section.key_span(other).is_none())
        {
            let others = others.iter().map(|other| format!("`{other}`"));
            let others = others.collect::<Vec<_>>().join(" or ");
            self.error("P040", span, format!("`{key}` without {others}"), label);
        }
    }

    /// Reports `key` if no datatype that the rule forwards has any use for it.
    fn usable(
        &mut self,
        section: &Section<'_, '_>,
        key: &str,
        looks_at: impl Fn(DataType) -> bool,
    ) {
        let Some(datatypes) = self.datatypes else { return };
        let mut named =
            DataType::ALL.iter().copied().filter(|datatype| datatypes.contains(*datatype));
        if named.any(&looks_at) {
            return;
        }
        let of = DataType::ALL.iter().filter(|datatype| looks_at(**datatype));
        let of: Vec<&str> = of.map(|datatype| datatype.name()).collect();
        let title = format!("`{key}` can't be used with the rule's `datatypes`");
        let span = section.key_span(key).unwrap_or_default();
        self.error("P040", span, title, "none of them has what it looks at")
            .help(format!("it is about {}", listed(&of)));
    }

    fn written(&self, span: &Span<usize>) -> String {
        self.file.text.get(span.clone()).unwrap_or_default().to_owned()
    }

    fn error(
        &mut self,
        code: &'static str,
        span: Span<usize>,
        title: impl Into<String>,
        label: impl Into<String>,
    ) -> Reported<'_> {
        self.problems.push(Diagnostic::error(code, self.file, span, title).label(label));
        Reported(self.problems)
    }
}

fn misplaced(key: &str, table: &str) -> Option<String> {
    let help = format!(
        "it belongs to the rule: write it above `{table}`, since what follows a `[…]` line \
         belongs to that table"
    );
    match key {
        "names" => {
            Some("`[rule.shape]` is about all metrics of the rule; write `[[rule.metric]]`".into())
        }
        "quantise" | "quantize" | "resolution" => Some("did you mean `step`?".into()),
        "regex" => Some("did you mean `pattern`?".into()),
        "range" => Some("write `min` and `max`".into()),
        "open" | "open-types" | "unchecked" => Some("did you mean `open-datatypes`?".into()),
        _ => RULE_KEYS.contains(&key).then_some(help),
    }
}

fn quoted(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

fn listed(names: &[&str]) -> String {
    const MOST: usize = 12;
    let shown = names.get(..MOST.min(names.len())).unwrap_or_default().join(", ");
    if names.len() > MOST { format!("{shown}, …") } else { shown }
}
