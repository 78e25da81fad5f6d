//! What a policy file may have beside rules: tables that don't judge, such as the examples of
//! whoever wrote it. A policy is refused for a mistake in them as for any other, but what they
//! mean is no business of the judging code: whoever loads a policy brings their reader along.

use std::ops::Range;

use diagnostic::{Diagnostics, Section, SourceFile};

use crate::names::Renames;
use crate::rule::Rule;

/// Reads the tables of policy files that don't judge. [`crate::Policy::parse_annotated`] calls
/// [`Annotations::read`] once for each file that is TOML, in the order of their names, and at the
/// end [`Annotations::finish`].
pub trait Annotations<'s> {
    /// Takes its tables out of the file, whose top level is `section`. Keys that it doesn't take
    /// are unknown ones.
    fn read(
        &mut self,
        file: &PolicyFile<'s>,
        section: &mut Section<'_, '_>,
        problems: &mut Diagnostics,
    );

    /// The hint for a key that stands at the top level of a file, and belongs into one of its
    /// tables.
    fn misplaced(&self, key: &str) -> Option<String>;

    /// Checks what needs all files, when no file has an error.
    fn finish(&mut self, rules: &[Rule], renames: &Renames, problems: &mut Diagnostics);
}

/// A policy file that is being read.
#[derive(Debug)]
pub struct PolicyFile<'s> {
    pub source: &'s SourceFile,
    /// Ends of its lines, ascending.
    line_ends: Vec<usize>,
}

impl<'s> PolicyFile<'s> {
    pub(crate) fn new(source: &'s SourceFile) -> PolicyFile<'s> {
        let line_ends = source.text.match_indices('\n').map(|(end, _)| end).collect();
        PolicyFile { source, line_ends }
    }

    /// The line (from 1) at which `span` begins.
    pub fn line(&self, span: &Range<usize>) -> usize {
        self.line_ends.partition_point(|end| *end < span.start).saturating_add(1)
    }
}

/// No annotations: every table that isn't a rule's, a limit's or a name's is an error.
pub(crate) struct RulesAlone;

impl Annotations<'_> for RulesAlone {
    fn read(&mut self, _: &PolicyFile<'_>, _: &mut Section<'_, '_>, _: &mut Diagnostics) {}

    fn misplaced(&self, _: &str) -> Option<String> {
        None
    }

    fn finish(&mut self, _: &[Rule], _: &Renames, _: &mut Diagnostics) {}
}
