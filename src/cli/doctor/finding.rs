//! What was found: one line each, with the remedy in it.

use diagnostic::{Diagnostic, Diagnostics, Severity};
use serde_json::{Value, json};
use text::{Paint, Tone, clean, is_treacherous};

/// Columns of the words and of what was looked at.
const WORD_WIDTH: usize = 6;
const SUBJECT_WIDTH: usize = 12;
/// Bytes of a text that are shown.
const MAX_BYTES: usize = 2_048;

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    Good,
    /// It works, and somebody should look; or it couldn't be asked.
    Odd,
    /// The half doesn't start, or nothing crosses.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    /// What was looked at, in a word.
    pub(super) subject: String,
    pub(super) words: String,
    /// What to do about it.
    pub(super) remedy: Option<String>,
}

impl Finding {
    pub(super) fn good(subject: &str, words: impl Into<String>) -> Finding {
        Finding::new(Verdict::Good, subject, words, None)
    }

    pub(super) fn odd(
        subject: &str,
        words: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Finding {
        Finding::new(Verdict::Odd, subject, words, Some(remedy.into()))
    }

    pub(super) fn bad(
        subject: &str,
        words: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Finding {
        Finding::new(Verdict::Bad, subject, words, Some(remedy.into()))
    }

    pub(super) fn is_bad(&self) -> bool {
        self.verdict == Verdict::Bad
    }

    /// The same, of one of several servers.
    pub(super) fn at(self, server: &str) -> Finding {
        Finding { words: format!("{server}: {}", self.words), ..self }
    }

    fn new(
        verdict: Verdict,
        subject: &str,
        words: impl Into<String>,
        remedy: Option<String>,
    ) -> Finding {
        // What is clean already stays as it is.
        let clean = |text: String| match text.chars().any(is_treacherous) || text.len() > MAX_BYTES
        {
            true => clean(&text, MAX_BYTES),
            false => text,
        };
        Finding {
            verdict,
            subject: subject.to_owned(),
            words: clean(words.into()),
            remedy: remedy.map(clean),
        }
    }

    /// `  FAULT  tls         no TLS there: …; do: …`.
    pub(super) fn line(&self, paint: Paint) -> String {
        let (word, tone) = match self.verdict {
            Verdict::Good => ("ok", Tone::Good),
            Verdict::Odd => ("look", Tone::Odd),
            Verdict::Bad => ("FAULT", Tone::Bad),
        };
        let word = paint.paint(tone, format!("{word:<WORD_WIDTH$}"));
        let remedy = self.remedy.as_ref().map(|remedy| format!("; do: {remedy}"));
        let remedy = remedy.unwrap_or_default();
        format!("  {word} {:<SUBJECT_WIDTH$} {}{remedy}\n", self.subject, self.words)
    }

    /// As one process tells it to another.
    pub(super) fn to_json(&self) -> Value {
        json!([self.verdict as u8, self.subject, self.words, self.remedy])
    }

    /// What another process told; it may be damaged.
    pub(super) fn from_json(value: &Value) -> Option<Finding> {
        let verdict = match value.get(0)?.as_u64()? {
            0 => Verdict::Good,
            1 => Verdict::Odd,
            2 => Verdict::Bad,
            _ => return None,
        };
        let text = |place: usize| Some(value.get(place)?.as_str()?.to_owned());
        Some(Finding::new(verdict, &clean(&text(1)?, SUBJECT_WIDTH), text(2)?, text(3)))
    }
}

/// Problems of files as findings: title and place, and the first hint.
pub(super) fn of_diagnostics(subject: &str, problems: &Diagnostics) -> Vec<Finding> {
    problems.iter().map(|problem| of_diagnostic(subject, problem)).collect()
}

fn of_diagnostic(subject: &str, problem: &Diagnostic) -> Finding {
    let path = problem.path.display();
    let place = match problem.position() {
        Some((line, column)) => format!("{path}:{line}:{column}: "),
        None => format!("{path}: "),
    };
    let label = if problem.label.is_empty() { "" } else { ": " };
    let words = format!("{place}{}{label}{}", problem.title, problem.label);
    let remedy = match problem.help.first() {
        Some(help) => help.clone(),
        None if problem.title.contains("(2)") => "make the file, or correct the path".to_owned(),
        None => "mend the file; `sparkdiode check` shows the place".to_owned(),
    };
    match problem.severity {
        Severity::Error => Finding::bad(subject, words, remedy),
        Severity::Warning => Finding::odd(subject, words, remedy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_and_goes_through_another_process_as_it_is() {
        let found = Finding::bad("tls", "no TLS there\n\x1b[31m", "look");
        assert_eq!(Finding::from_json(&found.to_json()), Some(found.clone()));
        let line = found.line(Paint::new(false));
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.starts_with("  FAULT  tls          no TLS there"), "{line:?}");
        assert!(line.ends_with("; do: look\n") && !line.contains('\x1b'), "{line:?}");
        for damaged in ["[]", "[7,\"a\",\"b\",null]", "{}", "[1,2,3,4]"] {
            assert_eq!(Finding::from_json(&serde_json::from_str(damaged).unwrap()), None);
        }
    }
}
