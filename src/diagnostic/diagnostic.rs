//! Compiler-grade diagnostics for files that people write: file, line, column, the offending
//! text underlined, what is wrong with it, and a hint. Used for policies and for `ot.toml` and
//! `it.toml` alike, so that every mistake reads the same.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annotate_snippets::{
    Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet, normalize_untrusted_str,
};

/// Columns at which a rendered source line is cut. Fixed, so that the same mistake gives the
/// same text in a terminal, in a log and in a test.
const RENDER_WIDTH: usize = 140;

/// Problems that are rendered at most. A file of another kind, given by mistake, can have
/// thousands; nobody reads more than a few screens of them, and the rest is counted.
const MAX_RENDERED: usize = 200;

/// One file as it was read: the text that spans point into.
#[derive(Clone, Debug)]
pub struct SourceFile {
    pub path: PathBuf,
    pub text: Arc<str>,
}

impl SourceFile {
    /// A file called `path` that contains `text`.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<Arc<str>>) -> SourceFile {
        SourceFile { path: path.into(), text: text.into() }
    }
}

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

    /// An error of the TOML parser, or of serde behind it.
    pub fn from_toml(code: &'static str, file: &SourceFile, error: &toml::de::Error) -> Diagnostic {
        let span = error.span().unwrap_or(0..0);
        let title = error.message().lines().next().unwrap_or("not TOML").to_owned();
        let mut diagnostic = Diagnostic::error(code, file, span, title);
        diagnostic.help.extend(error.message().lines().skip(1).map(str::to_owned));
        diagnostic
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

    /// The diagnostic as text of several lines, with ANSI colours if `coloured`. Control
    /// characters of the source are made visible, so that a file can't drive the terminal.
    pub fn render(&self, coloured: bool) -> String {
        let renderer = if coloured { Renderer::styled() } else { Renderer::plain() };
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let path = self.path.display().to_string();
        let mut group = Group::with_title(level.primary_title(self.title.as_str()).id(self.code));
        match &self.span {
            None => group = group.element(Origin::path(path)),
            Some(span) => {
                let also = self.also.iter().map(|(span, label)| (span, label.as_str()));
                let primary = Some((span, self.label.as_str()));
                group = group.element(excerpt(&self.source, path, primary, also));
            }
        }
        for (file, span, label) in &self.elsewhere {
            let path = file.path.display().to_string();
            let place = [(span, label.as_str())];
            group = group.element(excerpt(&file.text, path, None, place));
        }
        for help in &self.help {
            let help = normalize_untrusted_str(help);
            group = group.element(Level::HELP.with_name("hint").message(help));
        }
        renderer.term_width(RENDER_WIDTH).render(&[group])
    }
}

/// The plain rendering, without a final line feed.
impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.render(false))
    }
}

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

    /// Sorts by file (in the order of `files`) and position, keeping the order of equals.
    pub fn sort_by_position(&mut self, files: &[SourceFile]) {
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

/// The candidate that `word` was probably meant to be: the same but for case and for `-`
/// against `_`, or at most a third of its letters away.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('_', "-");
    let wanted = plain(word);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &plain(candidate)), candidate))
        .filter(|(distance, candidate)| {
            let longer = candidate.chars().count().max(wanted.chars().count());
            *distance <= longer.div_ceil(3) && *distance < longer
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The lines of `source` from the first to the last marked one, with their marks. Only those
/// lines are handed to the renderer, so that a long file with many problems stays cheap.
fn excerpt<'a>(
    source: &'a str,
    path: String,
    primary: Option<(&Range<usize>, &'a str)>,
    context: impl IntoIterator<Item = (&'a Range<usize>, &'a str)>,
) -> Snippet<'a, Annotation<'a>> {
    let primary = primary.map(|(span, label)| (AnnotationKind::Primary, span, label));
    let context = context.into_iter().map(|(span, label)| (AnnotationKind::Context, span, label));
    let marks: Vec<_> = primary
        .into_iter()
        .chain(context)
        .map(|(kind, span, label)| {
            let start = on_boundary(source, span.start);
            (kind, start..on_boundary(source, span.end).max(start), label)
        })
        .collect();
    let first = marks.iter().map(|(_, span, _)| span.start).min().unwrap_or(0);
    let last = marks.iter().map(|(_, span, _)| span.end).max().unwrap_or(0);
    let before = source.get(..first).unwrap_or("");
    let from = before.rfind('\n').map_or(0, |index| index.saturating_add(1));
    let after = source.get(last..).unwrap_or("");
    let to = after.find('\n').map_or(source.len(), |index| last.saturating_add(index));
    let line = before.matches('\n').count().saturating_add(1);
    Snippet::source(Cow::Borrowed(source.get(from..to).unwrap_or(source)))
        .path(path)
        .line_start(line)
        .annotations(marks.into_iter().map(|(kind, span, label)| {
            let span = span.start.saturating_sub(from)..span.end.saturating_sub(from);
            // The renderer makes control characters visible everywhere but in labels.
            let label = (!label.is_empty()).then(|| Cow::Owned(normalize_untrusted_str(label)));
            kind.span(span).label(label)
        }))
}

/// The last character boundary of `text` at or before `index`.
fn on_boundary(text: &str, index: usize) -> usize {
    let mut index = index.min(text.len());
    // Terminates: 0 is a boundary of every string.
    while !text.is_char_boundary(index) {
        index = index.saturating_sub(1);
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> SourceFile {
        SourceFile::new("policies/line4.toml", "[[rule]]\nname = \"line4\"\nacton = \"deny\"\n")
    }

    #[test]
    fn diagnostic_names_file_line_column_and_underlines_the_text() {
        let text = Diagnostic::error("P001", &file(), 24..29, "unknown key: `acton`")
            .label("not a key of a rule")
            .also(9..13, "in this rule")
            .did_you_mean("acton", ["name", "action"])
            .to_string();
        assert!(text.starts_with("error[P001]: unknown key: `acton`\n"), "{text}");
        assert!(text.contains("--> policies/line4.toml:3:1\n"), "{text}");
        assert!(text.contains("^^^^^ not a key of a rule"), "{text}");
        assert!(text.contains("---- in this rule"), "{text}");
        assert!(text.contains("hint: did you mean `action`?"), "{text}");
    }

    #[test]
    fn position_counts_lines_and_characters_from_one() {
        let file = SourceFile::new("a.toml", "a = 1\nü = \"ä\" x\n");
        let at = file.text.find('x').unwrap();
        let diagnostic = Diagnostic::error("C001", &file, at..at + 1, "");
        assert_eq!(diagnostic.position(), Some((2, 9)));
        assert!(diagnostic.to_string().contains("a.toml:2:9"), "{diagnostic}");
    }

    #[test]
    fn spans_outside_the_text_or_inside_a_character_are_rendered_nearby() {
        let file = SourceFile::new("a.toml", "ü = 1");
        for span in [1..2, 0..1, 90..99, Range { start: 3, end: 1 }, 5..5] {
            let diagnostic = Diagnostic::error("C001", &file, span, "odd");
            assert!(diagnostic.to_string().contains("a.toml:1:"), "{diagnostic}");
            assert!(diagnostic.position().is_some());
        }
        let empty = SourceFile::new("b.toml", "");
        assert!(Diagnostic::error("C001", &empty, 0..0, "empty").to_string().contains("b.toml"));
    }

    #[test]
    fn line_numbers_are_those_of_the_whole_file_though_only_an_excerpt_is_rendered() {
        let text = format!("{}bad = 1\n", "good = 1\n".repeat(5_000));
        let file = SourceFile::new("long.toml", text);
        let at = file.text.find("bad").unwrap();
        let text = Diagnostic::error("C001", &file, at..at + 3, "bad").to_string();
        assert!(text.contains("long.toml:5001:1"), "{text}");
        assert!(text.contains("5001 | bad = 1"), "{text}");
    }

    #[test]
    fn a_place_in_another_file_is_shown_with_its_own_path() {
        let other = SourceFile::new("other.toml", "\nname = \"line4\"\n");
        let text = Diagnostic::error("P002", &file(), 16..23, "defined twice")
            .at(&other, 8..15, "first defined here")
            .to_string();
        assert!(text.contains("policies/line4.toml:2:8"), "{text}");
        assert!(text.contains("other.toml:2:8"), "{text}");
        assert!(text.contains("first defined here"), "{text}");
    }

    #[test]
    fn control_characters_of_a_file_never_reach_the_terminal() {
        let file = SourceFile::new("a.toml", "x = \"\u{1b}[31m\"");
        let text = Diagnostic::error("C001", &file, 0..1, "bad \u{1b}[2J")
            .help("try \u{1b}[2J")
            .label("\u{1b}[2J")
            .to_string();
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert!(Diagnostic::error("C001", &file, 0..1, "x").render(true).contains('\u{1b}'));
    }

    #[test]
    fn a_problem_of_the_file_itself_is_rendered_without_an_excerpt() {
        let text = Diagnostic::file_error("C002", "ot.toml", "cannot read").to_string();
        assert_eq!(text, "error[C002]: cannot read\n--> ot.toml");
    }

    #[test]
    fn closest_forgives_case_underscores_and_a_third_of_the_letters() {
        let keys = ["edge-node", "device", "deny-metrics"];
        assert_eq!(closest("edge_node", keys), Some("edge-node"));
        assert_eq!(closest("Device", keys), Some("device"));
        assert_eq!(closest("deny-metric", keys), Some("deny-metrics"));
        assert_eq!(closest("colour", keys), None);
        assert_eq!(closest("x", ["y"]), None);
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
