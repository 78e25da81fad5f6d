//! One problem in a file that people write: file, line, column, what is wrong with it, and a
//! hint. Used for policies and for `ot.toml` and `it.toml` alike, so that every mistake reads the
//! same.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use crate::source::on_boundary;
use crate::{SourceFile, closest};

/// How bad it is. An error means that the file is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Error,
    Warning,
}

/// One problem in one file.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    pub severity: Severity,
    /// Stable code, such as `P012`; documented where it is made.
    pub code: &'static str,
    pub path: PathBuf,
    /// The whole text of the file; empty where the file couldn't be read.
    pub source: Arc<str>,
    /// Byte range in `source`, or `None` where the problem is the file itself.
    pub span: Option<Range<usize>>,
    /// What is wrong; lower case, no final period, literals in backticks.
    pub title: String,
    /// What is written under the underlined text; may be empty.
    pub label: String,
    /// What to do about it, one hint a line.
    pub help: Vec<String>,
    /// Other places in the same file that belong to the problem.
    pub also: Vec<(Range<usize>, String)>,
    /// Places in other files that belong to the problem.
    pub elsewhere: Vec<(SourceFile, Range<usize>, String)>,
}

impl Diagnostic {
    /// An error about `span` (a byte range) of `file`.
    pub fn error(
        code: &'static str,
        file: &SourceFile,
        span: Range<usize>,
        title: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            code,
            path: file.path.clone(),
            source: Arc::clone(&file.text),
            span: Some(span),
            title: title.into(),
            label: String::new(),
            help: Vec::new(),
            also: Vec::new(),
            elsewhere: Vec::new(),
        }
    }

    /// A warning about `span` (a byte range) of `file`.
    pub fn warning(
        code: &'static str,
        file: &SourceFile,
        span: Range<usize>,
        title: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, file, span, title) }
    }

    /// An error about a file as such: it can't be read, is writable by others, and the like.
    pub fn file_error(
        code: &'static str,
        path: impl Into<PathBuf>,
        title: impl Into<String>,
    ) -> Diagnostic {
        let file = SourceFile::new(path, "");
        Diagnostic { span: None, ..Diagnostic::error(code, &file, 0..0, title) }
    }

    /// A warning about a file as such.
    pub fn file_warning(
        code: &'static str,
        path: impl Into<PathBuf>,
        title: impl Into<String>,
    ) -> Diagnostic {
        let problem = Diagnostic::file_error(code, path, title);
        Diagnostic { severity: Severity::Warning, ..problem }
    }

    /// With this text under the underlined span.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Diagnostic {
        self.label = label.into();
        self
    }

    /// With one more hint.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help.push(help.into());
        self
    }

    /// With a "did you mean" hint if one of `candidates` is close to `word`.
    #[must_use]
    pub fn did_you_mean<'a>(
        self,
        word: &str,
        candidates: impl IntoIterator<Item = &'a str>,
    ) -> Diagnostic {
        match closest(word, candidates) {
            Some(candidate) => self.help(format!("did you mean `{candidate}`?")),
            None => self,
        }
    }

    /// With another place in the same file.
    #[must_use]
    pub fn also(mut self, span: Range<usize>, label: impl Into<String>) -> Diagnostic {
        self.also.push((span, label.into()));
        self
    }

    /// With a place in `file`, which may be the same file or another one.
    #[must_use]
    pub fn at(
        mut self,
        file: &SourceFile,
        span: Range<usize>,
        label: impl Into<String>,
    ) -> Diagnostic {
        if file.path == self.path {
            return self.also(span, label);
        }
        self.elsewhere.push((file.clone(), span, label.into()));
        self
    }

    /// Line and column (both from 1, in characters) where the problem starts.
    pub fn position(&self) -> Option<(usize, usize)> {
        let start = on_boundary(&self.source, self.span.as_ref()?.start);
        let before = self.source.get(..start)?;
        let line = before.matches('\n').count().saturating_add(1);
        let column = before.rsplit('\n').next().unwrap_or(before).chars().count();
        Some((line, column.saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_counts_lines_and_characters_from_one() {
        let file = SourceFile::new("a.toml", "a = 1\nü = \"ä\" x\n");
        let at = file.text.find('x').unwrap();
        let diagnostic = Diagnostic::error("C001", &file, at..at + 1, "");
        assert_eq!(diagnostic.position(), Some((2, 9)));
        assert!(diagnostic.to_string().contains("a.toml:2:9"), "{diagnostic}");
    }
}
