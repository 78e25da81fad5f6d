//! Reads the `[[case]]` tables of policy files and says everything that is wrong with them.
//!
//! | code | problem |
//! |---|---|
//! | P201 | bad or repeated name of a case |
//! | P202 | bad topic of a case |
//! | P203 | keys of a case that contradict each other |
//! | P204 | a value that isn't one of its datatype, or out of range |
//! | P205 | unknown expectation or reason |
//! | P251 | warning: a case names a rule that doesn't exist |
//! | P252 | warning: a case expects a rule to observe that acts |
//! | P253 | warning: the topic of a case has names on IT |
//!
//! Beside them the codes of every table: P002 to P004, P014, P016 ([`policy`]).

mod keys;
mod probe;

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::time::Duration;

use diagnostic::{Diagnostic, Diagnostics, Placed, Section, SourceFile, UniqueNames};
use policy::rule::moment;
use policy::{Annotations, Mode, PolicyFile, Renames, Rule};
use sparkplug::{DataType, MessageType, Topic};
use toml::de::DeValue;

use self::keys::Keys;
use super::{Case, Step};

/// Cases of one policy, over all files.
const MAX_CASES: usize = 100_000;
/// Bytes of a case's name; it is a line in the output of `policy test`.
const MAX_NAME_BYTES: usize = 200;
/// Wall clock at the start of a case that doesn't say when it happens: 2026-01-01T00:00:00Z.
const DEFAULT_AT_MS: u64 = 1_767_225_600_000;
/// Longest time of one step: 31 days.
const MAX_AFTER_MS: f64 = 2_678_400_000.0;

/// The keys of a case, for hints about misplaced ones.
const CASE_KEYS: [&str; 7] = ["about", "at", "step", "expect", "metric", "arrives", "retain"];
/// The cases of all files of a policy.
#[derive(Debug, Default)]
pub(super) struct CasesReader<'s> {
    pub(super) cases: Vec<Case>,
    /// Where each case name was first used.
    names: UniqueNames<'s>,
    /// Where the names of rules stand in cases: whether they exist is known when all files are
    /// read.
    rule_names: Vec<(&'s SourceFile, Placed<String>)>,
    /// The same of rules that a case expects to observe.
    observing: Vec<(&'s SourceFile, Placed<String>)>,
    /// The topics of cases: which names are those of IT is known when all files are read.
    topics: Vec<(&'s SourceFile, Placed<String>)>,
}

impl<'s> Annotations<'s> for CasesReader<'s> {
    fn read(
        &mut self,
        file: &PolicyFile<'s>,
        section: &mut Section<'_, '_>,
        problems: &mut Diagnostics,
    ) {
        for table in section.tables("case", "a case", problems) {
            if self.cases.len() >= MAX_CASES {
                let title = format!("a policy can't have more than {MAX_CASES} cases");
                problems.push(Diagnostic::file_error("P016", &file.source.path, title));
                break;
            }
            let mut reader = CaseReader {
                file: file.source,
                lines: file,
                problems,
                names: &mut self.names,
                rule_names: &mut self.rule_names,
                observing: &mut self.observing,
                topics: &mut self.topics,
                datatypes: HashMap::new(),
            };
            self.cases.extend(reader.read(table));
        }
    }

    fn misplaced(&self, key: &str) -> Option<String> {
        CASE_KEYS.contains(&key).then(|| "it belongs below a `[[case]]`".to_owned())
    }

    /// Warns of rules that cases name and that don't exist or don't observe, and of names on IT.
    fn finish(&mut self, rules: &[Rule], renames: &Renames, problems: &mut Diagnostics) {
        let known: HashSet<&str> = rules.iter().map(Rule::name).collect();
        for (file, name) in self.rule_names.iter().chain(&self.observing) {
            if known.contains(name.value.as_str()) {
                continue;
            }
            let title = format!("no rule is called `{}`", name.value);
            problems.push(
                Diagnostic::warning("P251", file, name.span.clone(), title)
                    .label("named by this case")
                    .did_you_mean(&name.value, rules.iter().map(Rule::name)),
            );
        }
        for (file, name) in &self.observing {
            let acts = |rule: &Rule| rule.name() == name.value && rule.mode() == Mode::Enforce;
            if rules.iter().any(acts) {
                let title = format!("`{}` acts, and doesn't only observe", name.value);
                problems.push(
                    Diagnostic::warning("P252", file, name.span.clone(), title)
                        .label("no rule in `mode = \"observe\"`")
                        .help("what a rule does that acts is `expect`, with `rule`"),
                );
            }
        }
        for (file, topic) in &self.topics {
            let Ok(Topic::Entity(parsed)) = Topic::parse(&topic.value) else { continue };
            for (noun, name, original) in renames.names_on_it(parsed.entity) {
                let title = format!("`{name}` is a name on IT: that of the {noun} `{original}`");
                problems.push(
                    Diagnostic::warning("P253", file, topic.span.clone(), title)
                        .label("a case is about messages of the plant, by the plant's names")
                        .help(format!(
                            "did you mean `{original}`? Under which topic it arrives is \
                             `arrives.topic`"
                        )),
                );
            }
        }
    }
}

/// Reads one case.
struct CaseReader<'s, 'p> {
    file: &'s SourceFile,
    lines: &'p PolicyFile<'s>,
    problems: &'p mut Diagnostics,
    names: &'p mut UniqueNames<'s>,
    rule_names: &'p mut Vec<(&'s SourceFile, Placed<String>)>,
    observing: &'p mut Vec<(&'s SourceFile, Placed<String>)>,
    topics: &'p mut Vec<(&'s SourceFile, Placed<String>)>,
    /// Datatypes of this case's metrics by topic and name, and whether the case spells them out.
    datatypes: HashMap<(String, String), (DataType, bool)>,
}

impl<'s> CaseReader<'s, '_> {
    /// Reads one `[[case]]`. `None` is never returned without a problem.
    fn read(&mut self, mut section: Section<'_, '_>) -> Option<Case> {
        let header = section.header();
        let before = self.problems.len();
        let line = self.line(&header);
        let name = self.name(&mut section);
        let about = section.strings("about", self.problems).unwrap_or_default();
        for rule in &about {
            self.rule_names.push((self.file, rule.clone()));
        }
        let at_ms = self.at(&mut section);
        let outer = self.keys(&mut section);
        let metrics = section.tables("metrics", "a metric of a case", self.problems);
        let steps = section.tables("step", "a step", self.problems);
        let has_steps = section.key_span("step");
        let misplaced =
            |key: &str| (key == "after-ms").then(|| "it belongs to a `[[case.step]]`".to_owned());
        section.finish(misplaced, self.problems);

        let mut read = Vec::new();
        if let Some(span) = has_steps {
            if outer.has_value() || !metrics.is_empty() {
                let title = "a case with steps that has a message of its own";
                self.error("P203", span, title, "what is sent stands in the steps");
                self.problems.help_last("move `value` or `metrics` into a `[[case.step]]`");
            }
            for section in steps {
                read.extend(self.step(section, &outer));
            }
        } else {
            read.extend(self.message(header, &outer, metrics, Duration::ZERO, false));
        }
        if self.problems.len() > before {
            return None;
        }
        Some(Case {
            name: name?,
            about: about.into_iter().map(|rule| rule.value).collect(),
            at_ms,
            steps: read,
            path: self.file.path.clone(),
            line,
        })
    }

    fn step<'a, 'i>(&mut self, mut section: Section<'a, 'i>, outer: &Keys<'a, 'i>) -> Option<Step> {
        let after = section.number("after-ms", self.problems);
        let after = after.and_then(|after| self.whole("after-ms", after, 0.0, MAX_AFTER_MS));
        let after = Duration::from_millis(after.and_then(|ms| ms.try_into().ok()).unwrap_or(0));
        let keys = self.keys(&mut section);
        let metrics = section.tables("metrics", "a metric of a case", self.problems);
        let misplaced = |key: &str| {
            CASE_KEYS.contains(&key).then(|| {
                "it belongs to the case: write it above the first `[[case.step]]`".to_owned()
            })
        };
        section.finish(misplaced, self.problems);
        let sends = |metric: &Section<'_, '_>| {
            ["value", "null", "length"].iter().any(|key| metric.key_span(key).is_some())
        };
        let waits = !keys.has_value() && !metrics.iter().any(sends) && !after.is_zero();
        self.message(section.header(), &keys.within(outer), metrics, after, waits)
    }

    /// Reads a message with its metrics, or what is expected of a time that passes.
    fn message<'a, 'i>(
        &mut self,
        header: Range<usize>,
        keys: &Keys<'a, 'i>,
        metrics: Vec<Section<'a, 'i>>,
        after: Duration,
        waits: bool,
    ) -> Option<Step> {
        let Some(topic) = &keys.topic else {
            let help = "such as `topic = \"spBv1.0/Plant1/DDATA/Line4/Oven1\"`";
            self.missing("topic", &header, "a case", help);
            return None;
        };
        let takes_metrics = self.topic(topic)?;
        if self
            .topics
            .last()
            .is_none_or(|(file, last)| file.path != self.file.path || last.span != topic.span)
        {
            self.topics.push((self.file, topic.clone()));
        }
        let mut probes = Vec::new();
        for mut section in metrics {
            let own = self.keys(&mut section);
            for (key, present) in [("topic", own.topic.is_some()), ("retain", own.retain.is_some())]
            {
                if present {
                    let span = section.key_span(key).unwrap_or_default();
                    let title = format!("`{key}` in a metric");
                    self.error("P203", span, title, "it belongs to the whole message");
                }
            }
            section.finish(|_| None, self.problems);
            let own = own.within(&Keys { retain: None, ..keys.clone() });
            probes.extend(self.probe(section.header(), &own, waits, true));
        }
        if probes.is_empty() {
            probes.push(self.probe(header.clone(), keys, waits, takes_metrics)?);
        }
        Some(Step {
            after,
            topic: topic.value.clone(),
            waits,
            retain: keys.retain == Some(true),
            probes,
            line: self.line(&header),
        })
    }

    fn name(&mut self, section: &mut Section<'_, '_>) -> Option<String> {
        if section.key_span("name").is_none() {
            section.missing("name", "a sentence that says what the case shows", self.problems);
        }
        let name = section.string("name", self.problems)?;
        let bad = name.value.is_empty()
            || name.value.len() > MAX_NAME_BYTES
            || name.value.contains(char::is_control);
        if bad {
            let title = format!("a case's name is one line of 1 to {MAX_NAME_BYTES} bytes");
            self.error("P201", name.span, title, "");
            return None;
        }
        self.names.claim(self.file, name, ("P201", "cases"), self.problems)
    }

    fn at(&mut self, section: &mut Section<'_, '_>) -> u64 {
        let Some(at) = section.any("at") else { return DEFAULT_AT_MS };
        let ms = match at.get_ref() {
            // A date alone is its midnight.
            DeValue::Datetime(datetime) => moment::unix_ms_or_missing(datetime),
            _ => Err("such as `2026-01-31T08:00:00Z`, without quotes and with `Z` or an offset"
                .to_owned()),
        };
        ms.unwrap_or_else(|label| {
            self.error("P003", at.span(), "`at` must be a date and time", label);
            DEFAULT_AT_MS
        })
    }

    /// Checks a topic; whether a message under it has metrics.
    fn topic(&mut self, topic: &Placed<String>) -> Option<bool> {
        if topic.value.contains(['+', '#']) {
            let title = "a case is about one message: its topic has no wildcard";
            self.error("P202", topic.span.clone(), title, "this is a filter");
            let data = ["+", "#"].iter().fold(topic.value.clone(), |topic, wildcard| {
                topic.replacen(&format!("/{wildcard}/"), "/DDATA/", 1)
            });
            let help = if data.contains(['+', '#']) {
                "such as `spBv1.0/Plant1/DDATA/Line4/Oven1`".to_owned()
            } else {
                format!("such as `{data}`; `NDATA` for an edge node's own metrics")
            };
            self.problems.help_last(help);
            return None;
        }
        match Topic::parse(&topic.value) {
            Ok(Topic::Entity(parsed)) => Some(parsed.message_type.is_data()),
            Ok(_) => Some(false),
            Err(error) => {
                let levels: Vec<&str> = topic.value.split('/').collect();
                self.error("P202", topic.span.clone(), error.to_string(), "");
                let kind = levels.get(2).and_then(|name| MessageType::from_name(name));
                self.problems.help_last(match kind {
                    Some(kind) if kind.is_device() => {
                        format!(
                            "the topic of a device reads `spBv1.0/group/{kind}/edge-node/device`"
                        )
                    }
                    Some(kind) => {
                        format!("the topic of an edge node reads `spBv1.0/group/{kind}/edge-node`")
                    }
                    None => "a topic reads `spBv1.0/group/DDATA/edge-node/device`".to_owned(),
                });
                None
            }
        }
    }

    /// A whole number from `least` to `most`.
    fn whole(&mut self, key: &str, number: Placed<f64>, least: f64, most: f64) -> Option<i64> {
        if number.value >= least && number.value <= most && number.value.fract() == 0.0 {
            // All bounds are far below 2^53.
            return Some(number.value as i64);
        }
        let written = self.file.text.get(number.span.clone()).unwrap_or_default().to_owned();
        let title = format!("`{key}` out of range: {written}");
        self.error("P204", number.span, title, format!("a whole number from {least} to {most}"));
        None
    }

    fn missing(&mut self, key: &str, header: &Range<usize>, noun: &str, help: &str) {
        let title = format!("missing key: `{key}`");
        self.error("P004", header.clone(), title, format!("{noun} needs it"));
        self.problems.help_last(help);
    }

    fn error(
        &mut self,
        code: &'static str,
        span: Range<usize>,
        title: impl Into<String>,
        label: impl Into<String>,
    ) {
        self.problems.push(Diagnostic::error(code, self.file, span, title).label(label));
    }

    fn line(&self, header: &Range<usize>) -> usize {
        self.lines.line(header)
    }
}
