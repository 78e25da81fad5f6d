//! A diagnostic as text: the offending lines with what is wrong underlined, as compilers do it.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use annotate_snippets::{
    Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet, normalize_untrusted_str,
};

use crate::source::on_boundary;
use crate::{Diagnostic, Severity};

/// Columns at which a rendered source line is cut. Fixed, so that the same mistake gives the
/// same text in a terminal, in a log and in a test.
const RENDER_WIDTH: usize = 140;

impl Diagnostic {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SourceFile;

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
}
