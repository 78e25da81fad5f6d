//! Expectations and outcomes in words, for reports.

use account::RuleId;
use policy::Policy;
use sparkplug::{DataType, value};
use text::escape_to;

use super::outcome::quality;
use super::{Check, Got};
use crate::cases::{Arrives, Expected, Probe};

/// Characters of a value in a report.
const MAX_VALUE_CHARS: usize = 60;
/// Characters of a topic or a name.
const MAX_NAME_CHARS: usize = 200;

pub(super) fn expected_in_words(probe: &Probe, waits: bool) -> String {
    let words = decided_in_words(probe, waits);
    match &probe.observed_by {
        None => words,
        Some(rule) => format!("{words}, {}", observed_in_words(rule.as_deref())),
    }
}

fn observed_in_words(rule: Option<&str>) -> String {
    match rule {
        Some(rule) => format!("observed by `{rule}`"),
        None => "observed by no rule".to_owned(),
    }
}

fn decided_in_words(probe: &Probe, waits: bool) -> String {
    match &probe.expected {
        Expected::Forward { rule, arrives } => {
            let mut words = "forward".to_owned();
            if let Some(rule) = rule {
                words.push_str(&format!(" by `{rule}`"));
            }
            let datatype = probe.metric.as_ref().map(|given| given.datatype);
            let arrives = arrives_in_words(arrives, datatype);
            if !arrives.is_empty() {
                words.push_str(&format!(", arriving as {}", arrives.join(", ")));
            }
            words
        }
        Expected::Wait { rule } => match rule {
            Some(rule) => format!("wait by `{rule}`"),
            None => "wait".to_owned(),
        },
        Expected::Drop { .. } if waits => "nothing".to_owned(),
        Expected::Drop { reason, rule } => {
            let mut words = "drop".to_owned();
            if let Some(reason) = reason {
                words.push_str(&format!(", {reason}"));
            }
            if let Some(rule) = rule {
                words.push_str(&format!(", by `{rule}`"));
            }
            words
        }
    }
}

fn arrives_in_words(arrives: &Arrives, datatype: Option<DataType>) -> Vec<String> {
    let mut words = Vec::new();
    if let Some(value) = &arrives.value {
        words.push(value::show(datatype, value, MAX_VALUE_CHARS));
    }
    match arrives.pseudonym {
        Some(true) => words.push("a pseudonym".to_owned()),
        Some(false) => words.push("no pseudonym".to_owned()),
        None => {}
    }
    if let Some(pattern) = &arrives.pattern {
        words.push(format!("a text that `{}` matches", pattern.source()));
    }
    match arrives.null {
        Some(true) => words.push("null".to_owned()),
        Some(false) => words.push("a value".to_owned()),
        None => {}
    }
    if let Some(quality) = arrives.quality {
        words.push(format!("Quality {quality}"));
    }
    match arrives.properties.as_deref() {
        None => {}
        Some([]) => words.push("no properties".to_owned()),
        Some(keys) => words.push(format!("properties {}", keys.join(", "))),
    }
    if let Some(metric) = &arrives.metric {
        words.push(format!("metric `{metric}`"));
    }
    if let Some(topic) = &arrives.topic {
        words.push(format!("under {topic}"));
    }
    words
}

impl Check {
    /// What arrived, in words: topic and name where they aren't those that were sent.
    pub fn arrives_in_words(&self) -> Vec<String> {
        let Got::Forwarded { arrives: Some(seen), .. } = &self.got else { return Vec::new() };
        let mut words = Vec::new();
        let metric = &seen.metric;
        if let Some(name) = &metric.name {
            words.push(match &metric.value {
                Some(value) => value::show(self.datatype, value, MAX_VALUE_CHARS),
                None => "null".to_owned(),
            });
            if let Some(quality) = quality(metric) {
                words.push(format!("Quality {quality}"));
            }
            let keys = metric.properties.iter().flat_map(|set| &set.keys);
            let keys: Vec<&str> = keys.map(String::as_str).collect();
            if !keys.is_empty() {
                words.push(format!("properties {}", keys.join(", ")));
            }
            if self.metric.as_ref() != Some(name) {
                words.push(format!("metric `{}`", escape_to(name, MAX_NAME_CHARS)));
            }
        }
        if seen.topic != self.topic {
            words.push(format!("under {}", escape_to(&seen.topic, MAX_NAME_CHARS)));
        }
        words
    }

    /// What happened, in words.
    pub fn got_in_words(&self, policy: &Policy) -> String {
        let words = self.fate_in_words(policy);
        if !self.asks_observed {
            return words;
        }
        let rule = self.observed_by.and_then(|rule| policy.rule(rule)).map(|rule| rule.name());
        format!("{words}, {}", observed_in_words(rule))
    }

    fn fate_in_words(&self, policy: &Policy) -> String {
        let by = |rule: &Option<RuleId>| {
            let rule = rule.and_then(|rule| policy.rule(rule));
            rule.map(|rule| format!(" by `{}`", rule.name())).unwrap_or_default()
        };
        match &self.got {
            Got::Forwarded { rule, .. } => {
                let words = self.arrives_in_words();
                match words.is_empty() {
                    true => format!("forward{}", by(rule)),
                    false => format!("forward{}, arriving as {}", by(rule), words.join(", ")),
                }
            }
            Got::Waiting { rule } => format!("wait{}", by(rule)),
            Got::Dropped { reason, rule } => {
                let by = by(rule);
                let comma = if by.is_empty() { "" } else { "," };
                format!("drop, {reason}{comma}{by}")
            }
            Got::Nothing => "nothing".to_owned(),
        }
    }
}
