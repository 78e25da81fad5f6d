//! Reads the keys that a case, a step and a metric have in common.

use std::ops::Range;

use diagnostic::{Diagnostic, Placed, Section};
use policy::read_datatype;
use policy::shape::Pattern;
use sparkplug::{DataType, MetaData, PropertySet};
use toml::Spanned;
use toml::de::DeValue;

use super::CaseReader;
use crate::cases::{Arrives, value};

/// Oldest and youngest timestamp: ten years from now.
const MAX_AGE_MS: f64 = 315_576_000_000.0;
const METRIC_KEYS: [&str; 15] = [
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
    "observed-by",
    "metrics",
];
const ARRIVES_KEYS: [&str; 8] =
    ["value", "pseudonym", "pattern", "null", "metric", "topic", "properties", "quality"];
const METADATA_KEYS: [&str; 6] =
    ["content-type", "description", "file-name", "file-type", "md5", "size"];

/// The keys of a metric, of a step, or those of a case that its steps and metrics inherit.
#[derive(Clone, Default)]
pub(super) struct Keys<'a, 'i> {
    pub(super) topic: Option<Placed<String>>,
    pub(super) retain: Option<bool>,
    pub(super) metric: Option<Placed<String>>,
    pub(super) datatype: Option<DataType>,
    pub(super) value: Option<&'a Spanned<DeValue<'i>>>,
    pub(super) null: Option<Placed<bool>>,
    pub(super) length: Option<Placed<f64>>,
    pub(super) properties: Option<PropertySet>,
    pub(super) metadata: Option<MetaData>,
    pub(super) age_ms: Option<i64>,
    pub(super) historical: Option<bool>,
    pub(super) expect: Option<Placed<String>>,
    pub(super) reason: Option<Placed<String>>,
    pub(super) rule: Option<Placed<String>>,
    pub(super) arrives: Option<ArrivesKeys<'a, 'i>>,
    pub(super) observed_by: Option<Placed<Option<String>>>,
}

#[derive(Clone)]
pub(super) struct ArrivesKeys<'a, 'i> {
    pub(super) header: Range<usize>,
    pub(super) value: Option<&'a Spanned<DeValue<'i>>>,
    pub(super) known: Arrives,
}

impl<'a, 'i> Keys<'a, 'i> {
    /// These keys, and those of `outer` that aren't among them. What is sent and what is
    /// expected of it isn't taken apart.
    pub(super) fn within(self, outer: &Keys<'a, 'i>) -> Keys<'a, 'i> {
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
            observed_by: self
                .observed_by
                .or_else(|| outer.observed_by.clone().filter(|_| !expects)),
            value: self.value,
            null: self.null,
            length: self.length,
        }
    }

    pub(super) fn has_value(&self) -> bool {
        self.value.is_some() || self.null.is_some() || self.length.is_some()
    }
}

impl CaseReader<'_, '_> {
    /// The keys that a case, a step and a metric have in common.
    pub(super) fn keys<'a, 'i>(&mut self, section: &mut Section<'a, 'i>) -> Keys<'a, 'i> {
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
        let observed = section.strings_or_none("observed-by", problems);
        let observed_span = section.key_span("observed-by").unwrap_or_default();
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
            observed_by: observed.and_then(|rules| self.observed_by(rules, observed_span)),
            metric: metric.filter(|metric| {
                if metric.value.is_empty() {
                    let title = "a metric without a name";
                    self.error("P204", metric.span.clone(), title, "no metric is called that");
                }
                !metric.value.is_empty()
            }),
        }
    }

    /// One rule, or none.
    fn observed_by(
        &mut self,
        mut rules: Vec<Placed<String>>,
        span: Range<usize>,
    ) -> Option<Placed<Option<String>>> {
        let Some(rule) = rules.pop() else { return Some(Placed { value: None, span }) };
        if !rules.is_empty() {
            let title = "`observed-by` names several rules";
            self.error("P203", span, title, "one decides, if all that observe acted");
            self.problems.help_last("name that one, or `[]` for none");
            return None;
        }
        self.observing.push((self.file, rule.clone()));
        Some(Placed { value: Some(rule.value), span: rule.span })
    }

    fn arrives_keys<'a, 'i>(&mut self, mut section: Section<'a, 'i>) -> ArrivesKeys<'a, 'i> {
        let header = section.header();
        let value = section.any("value");
        let null = section.boolean("null", self.problems);
        let pseudonym = section.boolean("pseudonym", self.problems);
        let pattern = section.string("pattern", self.problems);
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
            pseudonym: pseudonym.map(|pseudonym| pseudonym.value),
            pattern: pattern.and_then(|pattern| self.pattern(&pattern)),
            null: null.map(|null| null.value),
            metric: metric.map(|metric| metric.value),
            topic: topic.map(|topic| topic.value),
            properties: properties.and_then(|list| self.names(list)),
            quality,
        };
        ArrivesKeys { header, value, known }
    }

    fn pattern(&mut self, pattern: &Placed<String>) -> Option<Pattern> {
        let read = Pattern::anchored(&pattern.value);
        read.map_err(|error| {
            self.error("P041", pattern.span.clone(), error.to_string(), "of the whole text");
            self.problems.help_last(error.help());
        })
        .ok()
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
}
