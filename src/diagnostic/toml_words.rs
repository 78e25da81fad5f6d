//! What the TOML parser says, with what it leaves out: which key, and what people mean who write that.

use std::ops::Range;

use crate::{Diagnostic, SourceFile};

/// Quotes of word processors.
const TYPOGRAPHIC: [char; 8] = ['“', '”', '„', '‟', '‘', '’', '«', '»'];

impl Diagnostic {
    /// An error of the TOML parser, or of serde behind it.
    pub fn from_toml(code: &'static str, file: &SourceFile, error: &toml::de::Error) -> Diagnostic {
        let span = error.span().unwrap_or(0..0);
        let title = error.message().lines().next().unwrap_or("not TOML").to_owned();
        let mut diagnostic = Diagnostic::error(code, file, span, title);
        diagnostic.help.extend(error.message().lines().skip(1).map(str::to_owned));
        complete(diagnostic, file)
    }
}

/// Adds to what the parser says.
fn complete(mut problem: Diagnostic, file: &SourceFile) -> Diagnostic {
    let text = &*file.text;
    let span = problem.span.clone().unwrap_or(0..0);
    let at = text.get(span.clone()).unwrap_or("");
    if problem.title.starts_with("duplicate key") && !at.is_empty() {
        problem.title = format!("duplicate key: `{at}`");
        let line = line_at(text, span.start).trim_start();
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
    if at.contains(TYPOGRAPHIC) {
        return problem.help("these are the quotes of a word processor; TOML has `\"`");
    }
    if problem.title.contains("boolean") {
        return problem.help("`true` and `false` are in small letters");
    }
    let colon = text.get(span.start..).is_some_and(|rest| rest.starts_with(':'));
    if colon && problem.title.contains("key") {
        return problem.help("this is TOML, not YAML: `key = value` below the head of a `[table]`");
    }
    problem
}

/// Where the same key, or the head of the same table, stands above `span`.
fn earlier(text: &str, span: &Range<usize>, key: &str) -> Option<Range<usize>> {
    let above = text.get(..span.start)?;
    let is_head = line_at(text, span.start).trim_start().starts_with('[');
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

/// The whole line in which a byte is.
fn line_at(text: &str, at: usize) -> &str {
    let begin =
        text.get(..at).and_then(|above| above.rfind('\n')).map_or(0, |end| end.saturating_add(1));
    let line = text.get(begin..).unwrap_or("");
    line.split('\n').next().unwrap_or("")
}

#[cfg(test)]
mod tests {
    use toml::de::DeTable;

    use super::*;

    /// All that is said of a text.
    fn said(text: &str) -> String {
        let file = SourceFile::new("a.toml", text);
        let (_, errors) = DeTable::parse_recoverable(&file.text);
        let said =
            errors.iter().map(|error| Diagnostic::from_toml("X", &file, error).render(false));
        said.collect::<Vec<_>>().join("\n")
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
            ("broker:\n  address: x\n", "not YAML"),
        ] {
            let said = said(text);
            assert!(said.contains(wanted), "{text}: {said}");
        }
    }
}
