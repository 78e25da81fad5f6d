//! Limits beyond single rules: for each edge node, and for the whole link. They stand in the
//! policy, since they decide what crosses as rules do. A policy has each of them once.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use diagnostic::{Diagnostic, Diagnostics, Section, SourceFile};

use crate::language::rate_reader;
use crate::rule::Rate;

/// What the rules together may let through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// For every edge node with its devices.
    pub node: Option<Rate>,
    /// For everything together.
    pub link: Option<Rate>,
    /// Least time between two births of an edge node's own metrics, or of a device, that bring values
    /// which limits, intervals or deadbands hold back in data.
    pub births: Duration,
}

/// Nobody looks more often, and edge nodes that restart take longer.
const BIRTHS_MS: u64 = 1_000;
/// A day.
const MAX_BIRTHS_MS: f64 = 86_400_000.0;

impl Default for Limits {
    fn default() -> Limits {
        Limits { node: None, link: None, births: Duration::from_millis(BIRTHS_MS) }
    }
}

/// Reads `[limits.node]` and `[limits.link]` of all files.
#[derive(Debug, Default)]
pub(super) struct LimitsReader<'s> {
    limits: Limits,
    places: HashMap<&'static str, (&'s SourceFile, Range<usize>)>,
}

impl<'s> LimitsReader<'s> {
    /// Reads those of `file`.
    pub(super) fn read(
        &mut self,
        file: &'s SourceFile,
        document: &mut Section<'_, '_>,
        problems: &mut Diagnostics,
    ) {
        let Some(mut section) = document.table("limits", "`[limits]`", problems) else { return };
        for (key, noun) in [("node", "`[limits.node]`"), ("link", "`[limits.link]`")] {
            let Some(rates) = section.table(key, noun, problems) else { continue };
            let header = rates.header();
            if let Some((first, place)) = self.places.get(key) {
                let title = format!("`[limits.{key}]` is given twice");
                problems.push(
                    Diagnostic::error("P031", file, header, title)
                        .label("and here again")
                        .at(first, place.clone(), "given here")
                        .help("a policy has each limit once, in whichever of its files"),
                );
                continue;
            }
            self.places.insert(key, (file, header));
            let rate = rate_reader::read_table(file, rates, problems);
            match key {
                "node" => self.limits.node = Some(rate),
                _ => self.limits.link = Some(rate),
            }
        }
        self.births(file, &mut section, problems);
        let rule_key = |key: &str| {
            rate_reader::RATE_KEYS
                .contains(&key)
                .then(|| "it belongs below `[limits.node]` or `[limits.link]`".to_owned())
        };
        section.finish(rule_key, problems);
    }

    fn births(
        &mut self,
        file: &'s SourceFile,
        limits: &mut Section<'_, '_>,
        problems: &mut Diagnostics,
    ) {
        const KEY: &str = "min-interval-ms";
        let Some(mut section) = limits.table("births", "`[limits.births]`", problems) else {
            return;
        };
        let header = section.header();
        if let Some((first, place)) = self.places.insert("births", (file, header.clone())) {
            problems.push(
                Diagnostic::error("P031", file, header, "`[limits.births]` is given twice")
                    .label("and here again")
                    .at(first, place, "given here")
                    .help("a policy has each limit once, in whichever of its files"),
            );
            return;
        }
        match section.number(KEY, problems) {
            Some(ms) if (0.0..=MAX_BIRTHS_MS).contains(&ms.value) => {
                self.limits.births = Duration::from_secs_f64(ms.value / 1_000.0);
            }
            Some(ms) => problems.push(
                Diagnostic::error("P015", file, ms.span, format!("`{KEY}` out of range")).label(
                    format!("from 0 (births bring values however often) to {MAX_BIRTHS_MS}"),
                ),
            ),
            None if section.key_span(KEY).is_none() => section.missing(
                KEY,
                "least time between two births of an edge node or device that bring values which \
                 limits hold back in data",
                problems,
            ),
            None => {}
        }
        section.finish(|_| None, problems);
    }

    /// What was read.
    pub(super) fn finish(self) -> Limits {
        self.limits
    }
}
