//! Limits beyond single rules: for each edge node, and for the whole link. They stand in the
//! policy, since they decide what crosses as rules do. A policy has each of them once.

use std::collections::HashMap;
use std::ops::Range;

use diagnostic::{Diagnostic, Diagnostics, Section, SourceFile};

use crate::language::rate_reader;
use crate::rule::Rate;

/// What the rules together may let through.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// For every edge node with its devices.
    pub node: Option<Rate>,
    /// For everything together.
    pub link: Option<Rate>,
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
        let rule_key = |key: &str| {
            rate_reader::RATE_KEYS
                .contains(&key)
                .then(|| "it belongs below `[limits.node]` or `[limits.link]`".to_owned())
        };
        section.finish(rule_key, problems);
    }

    /// What was read.
    pub(super) fn finish(self) -> Limits {
        self.limits
    }
}
