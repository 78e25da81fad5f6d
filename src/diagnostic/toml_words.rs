//! What the TOML parser says, with what it leaves out: which key, and what people mean who write that.

mod habits;

use std::ops::Range;

use crate::{Diagnostic, SourceFile};
use habits::{hint, line_at};

/// More of them don't help: a file with so many is none of TOML.
const MOST: usize = 5;
/// By these the parser says that it reads on within a list or a table that isn't closed.
const WITHIN: [&str; 5] = [
    "missing comma between array elements",
    "missing assignment between key-value pairs",
    "extra comma in inline table",
    "unclosed",
    "invalid multi-line",
];

impl Diagnostic {
    /// An error of serde behind the TOML parser.
    pub fn from_toml(code: &'static str, file: &SourceFile, error: &toml::de::Error) -> Diagnostic {
        let span = error.span().unwrap_or(0..0);
        let title = error.message().lines().next().unwrap_or("not TOML").to_owned();
        let mut diagnostic = Diagnostic::error(code, file, span, title);
        diagnostic.help.extend(error.message().lines().skip(1).map(str::to_owned));
        complete(diagnostic, file)
    }

    /// The errors of the TOML parser without those that follow from one before: the first of each line,
    /// none behind a bracket that isn't closed, and not more than anybody reads. `quotes`: what
    /// is said of text without quotes.
    pub fn syntax(
        code: &'static str,
        file: &SourceFile,
        errors: &[toml::de::Error],
        quotes: &str,
    ) -> Vec<Diagnostic> {
        let mut said: Vec<Diagnostic> = Vec::new();
        let mut last_line = None;
        let mut left_out = 0_usize;
        // The parser reads a file in several passes.
        let mut errors: Vec<&toml::de::Error> = errors.iter().collect();
        errors.sort_by_key(|error| error.span().map_or(0, |span| span.start));
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            let line = file.text.get(..at).map(|above| above.matches('\n').count());
            if line.is_some() && line == last_line {
                continue;
            }
            last_line = line;
            if said.len() == MOST {
                left_out = left_out.saturating_add(1);
                continue;
            }
            let mut problem = Diagnostic::from_toml(code, file, error);
            if problem.help.is_empty() && problem.title.contains("must be quoted") {
                problem = problem.help(quotes);
            }
            let within = WITHIN.iter().any(|title| error.message().starts_with(title));
            said.push(problem);
            if within {
                break;
            }
        }
        if left_out > 0
            && let Some(last) = said.pop()
        {
            let lines = if left_out == 1 { "line" } else { "lines" };
            said.push(last.help(format!("and {left_out} more {lines} that aren't TOML")));
        }
        said
    }
}

/// Adds to what the parser says.
fn complete(mut problem: Diagnostic, file: &SourceFile) -> Diagnostic {
    let text = &*file.text;
    let span = problem.span.clone().unwrap_or(0..0);
    let at = text.get(span.clone()).unwrap_or("");
    if problem.title.starts_with("duplicate key") && !at.is_empty() {
        problem.title = format!("duplicate key: `{at}`");
        let line = line_at(text, span.start).0.trim_start();
        let first = earlier(text, &span, at);
        let is_list = line.starts_with("[[");
        let help = match (is_list, line.starts_with('[')) {
            (true, _) => {
                format!("above it is a table in one bracket; each of a list is `[[{at}]]`")
            }
            (_, true) => format!("a table is there once: its keys belong below the first `[{at}]`"),
            _ => "a key is there once in its table: keep one of the two".to_owned(),
        };
        problem.also.extend(first.map(|first| (first, "the first one is here".to_owned())));
        return problem.help(help);
    }
    if problem.title.starts_with("missing comma between array elements")
        && let Some(open) = open_list(text, span.start)
    {
        problem.title = "a list that isn't closed, or lacks a comma".to_owned();
        problem.also.push((open, "it begins here".to_owned()));
        return problem.help("a list ends with `]`, also one over several lines");
    }
    match hint(text, span.start, &problem.title) {
        Some(hint) => problem.help(hint),
        None => problem,
    }
}

/// The bracket of the list in which a line begins that isn't a part of it.
fn open_list(text: &str, at: usize) -> Option<Range<usize>> {
    let (line, column) = line_at(text, at);
    if !line.get(..column)?.trim().is_empty() {
        return None;
    }
    let above = text.get(..at)?;
    let bracket = above.rfind("= [").map(|at| at.saturating_add(2));
    let bracket = bracket.or_else(|| above.rfind("=[").map(|at| at.saturating_add(1)))?;
    Some(bracket..bracket.saturating_add(1))
}

/// Where the same key, or the head of the same table, stands above `span`.
fn earlier(text: &str, span: &Range<usize>, key: &str) -> Option<Range<usize>> {
    let above = text.get(..span.start)?;
    let is_head = line_at(text, span.start).0.trim_start().starts_with('[');
    let mut found = None;
    let mut start = 0_usize;
    for line in above.split_inclusive('\n') {
        let trimmed = line.trim_start();
        let head = trimmed.strip_prefix("[[").or_else(|| trimmed.strip_prefix('['));
        let same = match (is_head, head) {
            (true, Some(head)) => head.trim_start().strip_prefix(key),
            (false, Some(_)) => {
                // Another table: what was above is no concern of this one.
                found = None;
                None
            }
            (false, None) => trimmed.strip_prefix(key),
            (true, None) => None,
        };
        let ends = |rest: &&str| rest.trim_start().starts_with(['=', ']']);
        if same.as_ref().filter(|rest| ends(rest)).is_some()
            && let Some(offset) = line.find(key)
            && found.is_none()
        {
            let from = start.saturating_add(offset);
            found = Some(from..from.saturating_add(key.len()));
        }
        start = start.saturating_add(line.len());
    }
    found
}

#[cfg(test)]
mod tests {
    use toml::de::DeTable;

    use super::*;

    /// All that is said of a text.
    fn said(text: &str) -> String {
        let file = SourceFile::new("a.toml", text);
        let (_, errors) = DeTable::parse_recoverable(&file.text);
        let said = Diagnostic::syntax("X", &file, &errors, "in quotes");
        said.iter().map(|problem| problem.render(false)).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_is_there_twice_is_named_with_the_first_place() {
        let key = said("[a]\nx = 1\n[b]\nx = 1\ny = 2\nx = 3\n");
        assert!(key.contains("duplicate key: `x`") && key.contains(":6:1"), "{key}");
        assert!(key.contains("4 | x = 1") && key.contains("the first one is here"), "{key}");
        assert!(!key.contains("2 | x = 1"), "{key}");
        let table = said("[broker]\nx = 1\n[b]\n[broker]\ny = 1\n");
        assert!(table.contains("belong below the first `[broker]`"), "{table}");
        assert!(table.contains("1 | [broker]"), "{table}");
        let list = said("[rule]\nname = 'a'\n[[rule]]\nname = 'b'\n");
        assert!(list.contains("each of a list is `[[rule]]`"), "{list}");
    }

    #[test]
    fn habits_of_other_programs_are_told_as_that() {
        for (text, wanted) in [
            ("a = “b”\n", "quotes of a word processor"),
            ("a = True\n", "in small letters"),
            ("a = yes\n", "in small letters"),
            ("broker:\n  address: x\n", "not YAML"),
            ("{\"a\": 1}\n", "not JSON"),
            ("; words\n", "begins with `#`"),
            ("// words\n", "begins with `#`"),
            ("a = \"b\";\n", "nothing stands behind the value"),
            ("a = \"b\",\n", "nothing stands behind the value"),
            ("a = \"b\" c = 1\n", "one key on each line"),
            ("a = \"b\n", "no quote at its end"),
            ("a = \"C:\\data\"\n", "in single quotes"),
            ("a = b\n", "in quotes"),
            ("a = (\"b\")\n", "in square brackets"),
            ("[a b]\nc = 1\n", "`[a.b]`"),
            ("a\u{a0}= 1\n", "U+00A0"),
            ("retain-bytes = 1.073.741.824\n", ": 1073741824"),
            ("retain-bytes = 1,073,741\n", ": 1073741"),
            ("retain-bytes = 1'000'000\n", ": 1000000"),
            ("retain-bytes = 10GB\n", "its unit is in the name of the key, `retain-bytes`"),
            ("keep-alive-s = 30 s\n", "its unit is in the name of the key, `keep-alive-s`"),
            ("min = 1,5\n", ": 1.5"),
            ("shape = { min = 1,5 }\n", ": 1.5"),
        ] {
            let said = said(text);
            assert!(said.contains(wanted), "{text}: {said}");
        }
    }

    #[test]
    fn what_follows_from_a_mistake_is_none() {
        let rules = "[[rule]]\nname = \"b\"\naction = \"deny\"\n".repeat(30);
        let list = said(&format!("[[rule]]\nx = [\"a\"\n\n{rules}"));
        assert_eq!(list.matches("error[X]").count(), 1, "{list}");
        assert!(list.contains("2 | x = [\"a\"") && list.contains("it begins here"), "{list}");
        let yaml = said("a: b\nc = 1\nd e\n");
        assert_eq!(yaml.matches("error[X]").count(), 2, "{yaml}");
        let prose = said(&"these are words\n".repeat(20));
        assert_eq!(prose.matches("error[X]").count(), MOST, "{prose}");
        assert!(prose.contains("and 15 more lines that aren't TOML"), "{prose}");
        // Within one line a comma is what is missing.
        let comma = said("x = [\"a\" \"b\"]\n");
        assert!(comma.contains("missing comma between array elements"), "{comma}");
    }
}
