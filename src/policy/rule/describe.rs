//! Rules and limits in words, as `check` and `explain` print them.

use super::glob::Glob;
use super::{Action, Bucket, Mode, OnExcess, Priority, Rate, Rule};
use crate::names::Prefixes;

impl Rate {
    /// Such as `at most 10 messages/s (burst 20) of data, what is more is dropped`; who has the limit
    /// is for the caller to say.
    pub fn describe(&self) -> String {
        self.describe_of("")
    }

    /// The same with who has the limit, behind the limit itself.
    pub fn describe_of(&self, whose: &str) -> String {
        let limits: Vec<String> = [(self.messages, "messages"), (self.bytes, "bytes")]
            .into_iter()
            .filter_map(|(bucket, unit)| {
                let Bucket { per_s, burst } = bucket?;
                Some(format!("{per_s} {unit}/s (burst {burst})"))
            })
            .collect();
        let excess = match self.on_excess {
            OnExcess::Conflate => "",
            OnExcess::Drop => ", what is more is dropped",
        };
        let space = if whose.is_empty() { "" } else { " " };
        format!("at most {} of data{space}{whose}{excess}", limits.join(" and "))
    }
}

impl Rule {
    /// The selectors in words, such as ``edge nodes `Line*` in group `Plant1` with all
    /// devices``.
    pub fn selection(&self) -> String {
        let selectors = &self.selectors;
        let mut words = match (&selectors.devices, selectors.node_only) {
            (Some(devices), _) => format!("{} of ", names("device", Some(devices))),
            (None, true) => "the own metrics of ".to_owned(),
            (None, false) => String::new(),
        };
        words.push_str(&names("edge node", selectors.edge_nodes.as_deref()));
        if let Some(groups) = &selectors.groups {
            words.push_str(&format!(" in {}", names("group", Some(groups))));
        }
        if selectors.devices.is_none() && !selectors.node_only && selectors.topics.is_none() {
            words.push_str(" with all devices");
        }
        if let Some(topics) = &selectors.topics {
            words.push_str(&format!(" under {}", quoted(topics, "or")));
        }
        words
    }

    /// The whole rule in words, one line.
    pub fn describe(&self) -> String {
        let mut words = match self.action {
            Action::Forward => "forwards ".to_owned(),
            Action::Deny => "denies ".to_owned(),
            Action::Redact => "redacts (null in births, never in data) ".to_owned(),
        };
        let named = match self.action {
            Action::Forward => self.allow.as_deref(),
            Action::Deny => self.deny.as_deref(),
            Action::Redact => self.redact.as_deref(),
        };
        match named {
            Some(globs) => words.push_str(&format!("metrics {}", quoted(globs, "and"))),
            None if self.datatypes.is_some() => words.push_str("metrics"),
            None => words.push_str("everything"),
        }
        if let (Action::Forward, Some(globs)) = (self.action, &self.deny) {
            words.push_str(&format!(" except {}", quoted(globs, "and")));
        }
        if let (Action::Forward, Some(globs)) = (self.action, &self.redact) {
            words.push_str(&format!(", as null {}", quoted(globs, "and")));
        }
        if let Some(datatypes) = self.datatypes {
            words.push_str(&format!(" of type {}", listed(&datatypes.names(), "or")));
        }
        words.push_str(&format!(" of {}", self.selection()));
        if let Some(rate) = &self.rate {
            words.push_str(&format!(", {}", rate.describe_of(rate.per.words())));
        }
        if self.priority == Priority::High {
            words.push_str(", before other data when limits are reached");
        }
        let Prefixes { strip, add } = self.prefixes.clone().unwrap_or_default();
        if let Some(strip) = strip {
            words.push_str(&format!(", with `{strip}` taken off their names"));
        }
        if let Some(add) = add {
            words.push_str(&format!(", with `{add}` in front of their names"));
        }
        if let Some(schedule) = &self.schedule {
            words.push_str(&format!("; in force {schedule}"));
        }
        match (self.mode, self.action) {
            (Mode::Enforce, _) => words,
            (Mode::Observe, Action::Forward) => {
                format!("only counts, and forwards nothing: it would be a rule that {words}")
            }
            (Mode::Observe, Action::Deny) => {
                format!("only counts, and denies nothing: it would be a rule that {words}")
            }
            (Mode::Observe, Action::Redact) => {
                format!("only counts, and redacts nothing: it would be a rule that {words}")
            }
        }
    }

    /// What becomes of the values that it forwards, a line for each of its tables.
    pub fn describe_shapes(&self) -> Vec<String> {
        self.shapes.describe()
    }
}

/// Such as ``edge node `Line1` ``, ``edge nodes `Line1` and `Line2` ``, `all edge nodes`.
fn names(noun: &str, globs: Option<&[Glob]>) -> String {
    match globs {
        Some([glob]) if glob.literal().is_some() => format!("{noun} `{glob}`"),
        Some(globs) if !globs.iter().any(Glob::matches_all_names) => {
            format!("{noun}s {}", quoted(globs, "and"))
        }
        _ => format!("all {noun}s"),
    }
}

fn quoted<T: ToString>(items: &[T], conjunction: &str) -> String {
    let items: Vec<String> = items.iter().map(|item| format!("`{}`", item.to_string())).collect();
    let items: Vec<&str> = items.iter().map(String::as_str).collect();
    listed(&items, conjunction)
}

/// `a`, `a and b`, `a, b and c`.
fn listed(items: &[&str], conjunction: &str) -> String {
    match items {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} {conjunction} {last}", first.join(", ")),
    }
}
