//! All problems of one run, and how they are shown together.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use crate::{Diagnostic, Severity, SourceFile};

/// Problems that are rendered at most. A file of another kind, given by mistake, can have
/// thousands; nobody reads more than a few screens of them, and the rest is counted.
const MAX_RENDERED: usize = 200;

/// All problems of one run over any number of files, in the order in which they were found.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    problems: Vec<Diagnostic>,
}

impl Diagnostics {
    /// No problem yet.
    pub fn new() -> Diagnostics {
        Diagnostics::default()
    }

    /// Adds one problem.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.problems.push(diagnostic);
    }

    /// Adds a hint to the problem that was added last.
    pub fn help_last(&mut self, help: impl Into<String>) {
        if let Some(problem) = self.problems.last_mut() {
            problem.help.push(help.into());
        }
    }

    /// Whether any of them is an error.
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// Whether there is neither error nor warning.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// Number of errors and warnings.
    pub fn len(&self) -> usize {
        self.problems.len()
    }

    /// The problems in the order in which they were found.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.problems.iter()
    }

    /// Leaves out what is the same as what was found before: a policy that both halves read has its
    /// mistakes once.
    pub fn once(&mut self) {
        let mut seen = HashSet::new();
        self.problems.retain(|problem| {
            let Diagnostic { path, span, code, title, .. } = problem;
            seen.insert((path.clone(), span.clone(), *code, title.clone()))
        });
    }

    /// Sorts by file (in the order of `files`) and position, keeping the order of equals.
    pub fn sort_by_position<'f>(&mut self, files: impl IntoIterator<Item = &'f SourceFile>) {
        let files: Vec<&SourceFile> = files.into_iter().collect();
        let rank = |path: &Path| files.iter().position(|file| file.path == path);
        self.problems.sort_by_cached_key(|problem| {
            (rank(&problem.path), problem.span.as_ref().map(|span| span.start))
        });
    }

    /// All problems as text, an empty line between two of them, with ANSI colours if
    /// `coloured`. Beyond a few hundred the rest is only counted.
    pub fn render(&self, coloured: bool) -> String {
        let mut text = String::new();
        for problem in self.problems.iter().take(MAX_RENDERED) {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&problem.render(coloured));
            text.push('\n');
        }
        let rest = self.problems.len().saturating_sub(MAX_RENDERED);
        if rest > 0 {
            text.push_str(&format!("\nand {rest} more problems\n"));
        }
        text
    }
}

/// The plain rendering; each problem ends with a line feed.
impl fmt::Display for Diagnostics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Diagnostics {
        Diagnostics { problems: vec![diagnostic] }
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, diagnostics: I) {
        self.problems.extend(diagnostics);
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.problems.into_iter()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> SourceFile {
        SourceFile::new("policies/line4.toml", "[[rule]]\nname = \"line4\"\nacton = \"deny\"\n")
    }

    #[test]
    fn collection_reports_all_and_says_how_many_it_left_out() {
        let mut problems = Diagnostics::new();
        assert!(!problems.has_errors() && problems.is_empty());
        problems.push(Diagnostic::warning("P100", &file(), 0..1, "odd"));
        assert!(!problems.has_errors());
        problems.extend((0..MAX_RENDERED).map(|_| Diagnostic::error("P1", &file(), 9..13, "bad")));
        assert!(problems.has_errors());
        problems.sort_by_position(&[file()]);
        let text = problems.to_string();
        assert!(text.starts_with("warning[P100]: odd"), "{text}");
        assert!(text.ends_with("\nand 1 more problems\n"), "{text}");
    }
}
