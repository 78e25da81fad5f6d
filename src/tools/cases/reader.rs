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
//!
//! Beside them the codes of every table: P002 to P004, P014, P016 ([`policy`]).

use std::collections::HashSet;
use std::ops::Range;
use std::time::Duration;

use account::Reason;
use diagnostic::{Diagnostic, Diagnostics, Placed, Section, SourceFile, UniqueNames};
use policy::rule::moment;
use policy::{Annotations, PolicyFile, Rule, read_datatype};
use sparkplug::{DataType, MessageType, MetaData, PropertySet, Topic, Value};
use toml::Spanned;
use toml::de::DeValue;

use super::{Arrives, Case, Expected, Given, Probe, Step, value};

/// Cases of one policy, over all files.
const MAX_CASES: usize = 100_000;
/// Bytes of a case's name; it is a line in the output of `policy test`.
const MAX_NAME_BYTES: usize = 200;
/// Wall clock at the start of a case that doesn't say when it happens: 2026-01-01T00:00:00Z.
const DEFAULT_AT_MS: u64 = 1_767_225_600_000;
/// Longest time of one step: 31 days.
const MAX_AFTER_MS: f64 = 2_678_400_000.0;
/// Oldest and youngest timestamp: ten years from now.
const MAX_AGE_MS: f64 = 315_576_000_000.0;
/// Longest value that is made by `length`.
const MAX_LENGTH: f64 = 1_000_000.0;

const METRIC_KEYS: [&str; 14] = [
    "metric",
    "datatype",
    "value",
    "null",
    "length",
    "properties",
    "metadata",
    "age-ms",
    "historical",
    "expect",
    "reason",
    "rule",
    "arrives",
    "metrics",
];
/// The keys of a case, for hints about misplaced ones.
const CASE_KEYS: [&str; 7] = ["about", "at", "step", "expect", "metric", "arrives", "retain"];
const ARRIVES_KEYS: [&str; 6] = ["value", "null", "metric", "topic", "properties", "quality"];
const METADATA_KEYS: [&str; 6] =
    ["content-type", "description", "file-name", "file-type", "md5", "size"];

/// The cases of all files of a policy.
#[derive(Debug, Default)]
pub(super) struct CasesReader<'s> {
    pub(super) cases: Vec<Case>,
    /// Where each case name was first used.
    names: UniqueNames<'s>,
    /// Where the names of rules stand in cases: whether they exist is known when all files are
    /// read.
    rule_names: Vec<(&'s SourceFile, Placed<String>)>,
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
            };
            self.cases.extend(reader.read(table));
        }
    }

    fn misplaced(&self, key: &str) -> Option<String> {
        CASE_KEYS.contains(&key).then(|| "it belongs below a `[[case]]`".to_owned())
    }

    /// Warns of rules that cases name and that don't exist.
    fn finish(&mut self, rules: &[Rule], problems: &mut Diagnostics) {
        let known: HashSet<&str> = rules.iter().map(Rule::name).collect();
        for (file, name) in &self.rule_names {
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
    }
}

/// Reads one case.
struct CaseReader<'s, 'p> {
    file: &'s SourceFile,
    lines: &'p PolicyFile<'s>,
    problems: &'p mut Diagnostics,
    names: &'p mut UniqueNames<'s>,
    rule_names: &'p mut Vec<(&'s SourceFile, Placed<String>)>,
}

/// The keys of a metric, of a step, or those of a case that its steps and metrics inherit.
#[derive(Clone, Default)]
struct Keys<'a, 'i> {
    topic: Option<Placed<String>>,
    retain: Option<bool>,
    metric: Option<Placed<String>>,
    datatype: Option<DataType>,
    value: Option<&'a Spanned<DeValue<'i>>>,
    null: Option<Placed<bool>>,
    length: Option<Placed<f64>>,
    properties: Option<PropertySet>,
    metadata: Option<MetaData>,
    age_ms: Option<i64>,
    historical: Option<bool>,
    expect: Option<Placed<String>>,
    reason: Option<Placed<String>>,
    rule: Option<Placed<String>>,
    arrives: Option<ArrivesKeys<'a, 'i>>,
}

#[derive(Clone)]
struct ArrivesKeys<'a, 'i> {
    header: Range<usize>,
    value: Option<&'a Spanned<DeValue<'i>>>,
    known: Arrives,
}

impl<'a, 'i> Keys<'a, 'i> {
    /// These keys, and those of `outer` that aren't among them. What is sent and what is
    /// expected of it isn't taken apart.
    fn within(self, outer: &Keys<'a, 'i>) -> Keys<'a, 'i> {
        let expects = self.expect.is_some();
        Keys {
            topic: self.topic.or_else(|| outer.topic.clone()),
            retain: self.retain.or(outer.retain),
            metric: self.metric.or_else(|| outer.metric.clone()),
            datatype: self.datatype.or(outer.datatype),
            properties: self.properties.or_else(|| outer.properties.clone()),
            metadata: self.metadata.or_else(|| outer.metadata.clone()),
            age_ms: self.age_ms.or(outer.age_ms),
            historical: self.historical.or(outer.historical),
            expect: self.expect.or_else(|| outer.expect.clone()),
            reason: self.reason.or_else(|| outer.reason.clone().filter(|_| !expects)),
            rule: self.rule.or_else(|| outer.rule.clone().filter(|_| !expects)),
            arrives: self.arrives.or_else(|| outer.arrives.clone().filter(|_| !expects)),
            value: self.value,
            null: self.null,
            length: self.length,
        }
    }

    fn has_value(&self) -> bool {
        self.value.is_some() || self.null.is_some() || self.length.is_some()
    }
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
        let waits = !keys.has_value() && metrics.is_empty() && !after.is_zero();
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
            let own = own.within(&Keys { topic: None, retain: None, ..keys.clone() });
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

    fn probe(
        &mut self,
        header: Range<usize>,
        keys: &Keys<'_, '_>,
        waits: bool,
        needs_metric: bool,
    ) -> Option<Probe> {
        let line = self.line(&header);
        let metric = match &keys.metric {
            Some(name) => Some(self.given(&header, name, keys, waits)?),
            None if needs_metric || waits => {
                let help = "`metric = \"Temperature/Oil\"`, or a list of `metrics`";
                self.missing("metric", &header, "a message", help);
                return None;
            }
            None => {
                if keys.has_value() {
                    let help = "a value is that of a `metric`";
                    self.missing("metric", &header, "a value", help);
                }
                None
            }
        };
        let datatype = metric.as_ref().map(|metric| metric.datatype);
        let expected = self.expected(&header, keys, datatype, waits)?;
        Some(Probe { metric, expected, line })
    }

    fn given(
        &mut self,
        header: &Range<usize>,
        name: &Placed<String>,
        keys: &Keys<'_, '_>,
        waits: bool,
    ) -> Option<Given> {
        let said = [
            keys.value.map(|value| ("value", value.span())),
            keys.null.as_ref().map(|null| ("null", null.span.clone())),
            keys.length.as_ref().map(|length| ("length", length.span.clone())),
        ];
        let mut said = said.into_iter().flatten();
        let first = said.next();
        if let (Some((first, one)), Some((second, other))) = (first, said.next()) {
            let title = format!("`{first}` and `{second}` contradict each other");
            let problem = Diagnostic::error("P203", self.file, other, title)
                .label("which one is it?")
                .also(one, "this is a value too");
            self.problems.push(problem);
            return None;
        }
        let evident = keys.value.and_then(|value| value::evident(value.get_ref()));
        let Some(datatype) = keys.datatype.or(evident) else {
            let help = "such as `datatype = \"Float\"`; where `value` is text, a number, a boolean \
                        or a time, it is `String`, `Int64`, `Double`, `Boolean` or `DateTime` \
                        without";
            self.missing("datatype", header, "this metric", help);
            return None;
        };
        let value = match (keys.value, &keys.null, &keys.length) {
            (Some(value), ..) => Some(self.value("value", datatype, value)?),
            (None, Some(_), _) => None,
            (None, None, Some(length)) => {
                let bytes = self.whole("length", length.clone(), 0.0, MAX_LENGTH)?;
                let made = value::of_length(datatype, usize::try_from(bytes).ok()?);
                if made.is_none() {
                    let title = format!("`length` of a value of datatype `{datatype}`");
                    let label = "for `String`, `Text`, `Bytes` and `File`";
                    self.error("P203", length.span.clone(), title, label);
                }
                Some(made?)
            }
            (None, None, None) if waits => None,
            (None, None, None) => {
                let help = "or `null = true`; for text and bytes of some length, `length = 500`";
                self.missing("value", header, "this metric", help);
                return None;
            }
        };
        Some(Given {
            name: name.value.clone(),
            datatype,
            value,
            properties: keys.properties.clone(),
            metadata: keys.metadata.clone(),
            age_ms: keys.age_ms,
            historical: keys.historical == Some(true),
        })
    }

    fn expected(
        &mut self,
        header: &Range<usize>,
        keys: &Keys<'_, '_>,
        datatype: Option<DataType>,
        waits: bool,
    ) -> Option<Expected> {
        let Some(expect) = &keys.expect else {
            let help = if waits {
                "`expect = \"forward\"` if a value arrives in this time, `\"nothing\"` if not"
            } else {
                "`expect = \"forward\"` or `expect = \"drop\"`"
            };
            self.missing("expect", header, "a case", help);
            return None;
        };
        let reason = match &keys.reason {
            Some(reason) => Some(self.reason(reason)?),
            None => None,
        };
        let rule = keys.rule.as_ref().map(|rule| {
            self.rule_names.push((self.file, rule.clone()));
            rule.value.clone()
        });
        let place = keys.reason.as_ref().map(|reason| reason.span.clone());
        match (expect.value.as_str(), waits) {
            ("forward", _) => {
                if let Some(span) = place {
                    self.error("P203", span, "`reason` of what is forwarded", "of a drop only");
                    return None;
                }
                let arrives = match &keys.arrives {
                    Some(arrives) => self.arrives(arrives, datatype)?,
                    None => Arrives::default(),
                };
                Some(Expected::Forward { rule, arrives })
            }
            ("wait", false) | ("drop", false) | ("nothing", true) => {
                if let Some(arrives) = &keys.arrives {
                    let title = "`arrives` of what is dropped or waits";
                    self.error("P203", arrives.header.clone(), title, "nothing arrives");
                    return None;
                }
                if expect.value == "wait" {
                    if let Some(span) = place {
                        self.error("P203", span, "`reason` of what waits", "of a drop only");
                        return None;
                    }
                    return Some(Expected::Wait { rule });
                }
                Some(Expected::Drop { reason, rule })
            }
            (other, _) => {
                let (words, label) = match waits {
                    false => (&["forward", "drop", "wait"][..], "`forward`, `drop` or `wait`"),
                    true => (&["forward", "nothing"][..], "`forward` or `nothing`"),
                };
                let mut problem = Diagnostic::error(
                    "P205",
                    self.file,
                    expect.span.clone(),
                    format!("unknown expectation: `{other}`"),
                )
                .label(label);
                if waits {
                    problem = problem.help(
                        "nothing is sent in this step, since it has no `value`: either a value \
                         that was held back arrives, or nothing does",
                    );
                } else {
                    let meant = [
                        ("allow", "forward"),
                        ("admit", "forward"),
                        ("accept", "forward"),
                        ("pass", "forward"),
                        ("deny", "drop"),
                        ("reject", "drop"),
                        ("block", "drop"),
                        ("nothing", "drop"),
                    ];
                    let meant = meant.iter().find(|(word, _)| other.starts_with(word));
                    problem = match meant {
                        Some((_, meant)) => problem.help(format!("did you mean `{meant}`?")),
                        None => problem.did_you_mean(other, words.iter().copied()),
                    };
                }
                self.problems.push(problem);
                None
            }
        }
    }

    fn arrives(
        &mut self,
        keys: &ArrivesKeys<'_, '_>,
        datatype: Option<DataType>,
    ) -> Option<Arrives> {
        let mut arrives = keys.known.clone();
        match (keys.value, datatype) {
            (None, _) => {}
            (Some(value), Some(datatype)) => {
                arrives.value = Some(self.value("arrives.value", datatype, value)?);
            }
            (Some(value), None) => {
                let title = "`arrives.value` without a metric";
                self.error("P203", value.span(), title, "the value of what?");
                return None;
            }
        }
        Some(arrives)
    }

    /// The keys that a case, a step and a metric have in common.
    fn keys<'a, 'i>(&mut self, section: &mut Section<'a, 'i>) -> Keys<'a, 'i> {
        let problems = &mut *self.problems;
        let topic = section.string("topic", problems);
        let retain = section.boolean("retain", problems).map(|retain| retain.value);
        let metric = section.string("metric", problems);
        let datatype = section.string("datatype", problems);
        let datatype = datatype.and_then(|name| read_datatype(self.file, &name, problems));
        let value = section.any("value");
        let null = section.boolean("null", problems);
        let length = section.number("length", problems);
        let properties = section.table("properties", "`properties`", problems);
        let metadata = section.table("metadata", "`metadata`", problems);
        let age = section.number("age-ms", problems);
        let historical = section.boolean("historical", problems).map(|is| is.value);
        let expect = section.string("expect", problems);
        let reason = section.string("reason", problems);
        let rule = section.string("rule", problems);
        let arrives = section.table("arrives", "`arrives`", problems);
        let properties = properties.and_then(|section| {
            let header = section.header();
            let read = value::properties(section.content()?);
            let title = "`properties` of another kind";
            read.map_err(|wanted| self.error("P204", header, title, format!("wanted {wanted}")))
                .ok()
        });
        Keys {
            topic,
            retain,
            datatype,
            value,
            null: null.filter(|null| {
                if !null.value {
                    let title = "`null = false` says nothing";
                    self.error("P203", null.span.clone(), title, "give a `value` instead");
                }
                null.value
            }),
            length,
            properties,
            metadata: metadata.map(|section| self.metadata(section)),
            age_ms: age.and_then(|age| self.whole("age-ms", age, -MAX_AGE_MS, MAX_AGE_MS)),
            historical,
            expect,
            reason,
            rule,
            arrives: arrives.map(|section| self.arrives_keys(section)),
            metric: metric.filter(|metric| {
                if metric.value.is_empty() {
                    let title = "a metric without a name";
                    self.error("P204", metric.span.clone(), title, "no metric is called that");
                }
                !metric.value.is_empty()
            }),
        }
    }

    fn arrives_keys<'a, 'i>(&mut self, mut section: Section<'a, 'i>) -> ArrivesKeys<'a, 'i> {
        let header = section.header();
        let value = section.any("value");
        let null = section.boolean("null", self.problems);
        let metric = section.string("metric", self.problems);
        let topic = section.string("topic", self.problems);
        let properties = section.any("properties");
        let quality = section.number("quality", self.problems);
        let misplaced =
            |key: &str| METRIC_KEYS.contains(&key).then(|| "it belongs above `arrives`".to_owned());
        section.finish(misplaced, self.problems);
        if let (Some(value), Some(null)) = (value, &null) {
            let problem = Diagnostic::error(
                "P203",
                self.file,
                null.span.clone(),
                "`value` and `null` contradict each other",
            )
            .label("a value, or null?")
            .also(value.span(), "this is a value");
            self.problems.push(problem);
        }
        if section.keys().next().is_none() {
            let title = "`arrives` that says nothing";
            self.error("P203", header.clone(), title, "what arrives?");
            let keys = ARRIVES_KEYS.map(|key| format!("`{key}`")).join(", ");
            self.problems.help_last(format!("its keys are {keys}"));
        }
        let quality =
            quality.and_then(|quality| self.whole("quality", quality, 0.0, f64::from(i32::MAX)));
        let known = Arrives {
            value: None,
            null: null.map(|null| null.value),
            metric: metric.map(|metric| metric.value),
            topic: topic.map(|topic| topic.value),
            properties: properties.and_then(|list| self.names(list)),
            quality,
        };
        ArrivesKeys { header, value, known }
    }

    /// A list of strings that may be empty.
    fn names(&mut self, list: &Spanned<DeValue<'_>>) -> Option<Vec<String>> {
        let names = match list.get_ref() {
            DeValue::Array(array) => array
                .iter()
                .map(|name| match name.get_ref() {
                    DeValue::String(name) => Some(name.clone().into_owned()),
                    _ => None,
                })
                .collect(),
            _ => None,
        };
        if names.is_none() {
            let title = "`arrives.properties` must be a list of names";
            let label = "such as `[\"engUnit\"]`, or `[]` for none";
            self.error("P003", list.span(), title, label);
        }
        names
    }

    fn metadata(&mut self, mut section: Section<'_, '_>) -> MetaData {
        let mut text = |key| section.string(key, self.problems).map(|text| text.value);
        let [content_type, description, file_name, file_type, md5, _] = METADATA_KEYS;
        let mut metadata = MetaData {
            content_type: text(content_type),
            description: text(description),
            file_name: text(file_name),
            file_type: text(file_type),
            md5: text(md5),
            ..MetaData::default()
        };
        let size = section.number("size", self.problems);
        section.finish(|_| None, self.problems);
        let size = size.and_then(|size| self.whole("size", size, 0.0, f64::from(u32::MAX)));
        metadata.size = size.and_then(|size| size.try_into().ok());
        metadata
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
            DeValue::Datetime(datetime) => moment::unix_ms(datetime),
            _ => None,
        };
        if ms.is_none() {
            let label = "such as `2026-01-31T08:00:00Z`, without quotes and with `Z` or an offset";
            self.error("P003", at.span(), "`at` must be a date and time", label);
        }
        ms.unwrap_or(DEFAULT_AT_MS)
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

    fn reason(&mut self, reason: &Placed<String>) -> Option<Reason> {
        let known = Reason::ALL.iter().copied();
        let found = known.clone().find(|known| known.name() == reason.value);
        if found.is_none() {
            let title = format!("unknown reason: `{}`", reason.value);
            let problem = Diagnostic::error("P205", self.file, reason.span.clone(), title)
                .label("not one of the reasons for a drop")
                .did_you_mean(&reason.value, known.map(Reason::name));
            self.problems.push(match problem.help.is_empty() {
                true => problem.help("such as `no_rule`, `denied`, `datatype`"),
                false => problem,
            });
        }
        found
    }

    fn value(
        &mut self,
        key: &str,
        datatype: DataType,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<Value> {
        match value::read(datatype, value.get_ref()) {
            Ok(value) => Some(value),
            Err(wanted) => {
                let title = format!("`{key}` isn't a value of datatype `{datatype}`");
                self.error("P204", value.span(), title, format!("wanted {wanted}"));
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
