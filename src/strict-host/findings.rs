//! What was found broken, and where.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::{fmt, mem};

use crate::rules::{Level, level};

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub rule: String,
    pub level: Level,
    /// The connection or topic on which it was found.
    pub place: String,
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}: {}", self.place, self.rule, self.text)
    }
}

/// Collects findings in the order in which they are made.
#[derive(Debug, Default)]
pub struct Findings {
    place: String,
    found: Vec<Finding>,
}

impl Findings {
    /// What is found from now on is found at `place`.
    pub fn look_at(&mut self, place: impl Into<String>) {
        self.place = place.into();
    }

    /// Adds a broken rule of the table.
    pub fn add(&mut self, rule: impl Into<String>, text: impl Into<String>) {
        let rule = rule.into();
        let known = level(&rule);
        debug_assert!(known.is_some(), "`{rule}` isn't in the table");
        let level = known.unwrap_or(Level::Error);
        self.found.push(Finding { rule, level, place: self.place.clone(), text: text.into() });
    }

    /// What was found since the last call.
    pub fn take(&mut self) -> Vec<Finding> {
        mem::take(&mut self.found)
    }
}

/// Reports every pair of different names that are equal in lower case.
pub fn report_equal_in_lower_case<'a>(
    names: impl Iterator<Item = &'a str>,
    mut report: impl FnMut(String),
) {
    let mut folded: BTreeMap<String, &str> = BTreeMap::new();
    for name in names {
        if let Some(other) = folded.insert(name.to_lowercase(), name)
            && other != name
        {
            report(format!("`{other}` and `{name}`"));
        }
    }
}
