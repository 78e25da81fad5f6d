//! Text from outside, made fit for a line that people and machines read. The one place where
//! that happens: logs, reports and tables use it.

use std::fmt::{self, Write};

/// Characters of foreign text that are shown; the rest is cut. Topics of usual plants have
/// fewer than 100.
pub const MAX_SHOWN: usize = 200;

/// `text` for display: control characters, line separators, invisible and bidirectional
/// characters, quotes and backslashes become escapes, and what is longer than [`MAX_SHOWN`]
/// characters is cut and ends with `…`.
pub fn escape(text: &str) -> Escaped<'_> {
    escape_to(text, MAX_SHOWN)
}

/// As [`escape`], cut at `limit` characters.
pub fn escape_to(text: &str, limit: usize) -> Escaped<'_> {
    Escaped { text, limit }
}

/// Shows foreign text; see [`escape`].
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a> {
    text: &'a str,
    limit: usize,
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut characters = self.text.chars();
        for character in characters.by_ref().take(self.limit) {
            match character {
                '\n' => formatter.write_str("\\n")?,
                '\r' => formatter.write_str("\\r")?,
                '\t' => formatter.write_str("\\t")?,
                '"' => formatter.write_str("\\\"")?,
                '\\' => formatter.write_str("\\\\")?,
                character if is_treacherous(character) => {
                    write!(formatter, "\\u{{{:x}}}", u32::from(character))?;
                }
                character => formatter.write_char(character)?,
            }
        }
        if characters.next().is_some() { formatter.write_char('…') } else { Ok(()) }
    }
}

/// Characters that end a line, move the cursor, show nothing, or turn the text around.
fn is_treacherous(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn foreign_text_is_escaped_and_cut() {
        assert_eq!(escape("Plant1/Line 4").to_string(), "Plant1/Line 4");
        assert_eq!(
            escape("a\nb\u{1b}[31m\u{202e}\"\\").to_string(),
            r#"a\nb\u{1b}[31m\u{202e}\"\\"#
        );
        assert_eq!(escape_to("abcdef", 3).to_string(), "abc…");
        assert_eq!(escape_to("abc", 3).to_string(), "abc");
    }

    proptest! {
        #[test]
        fn no_text_breaks_out_of_its_line_or_its_quotes(text in any::<String>()) {
            let shown = escape(&text).to_string();
            prop_assert!(!shown.chars().any(is_treacherous));
            prop_assert!(shown.chars().count() <= MAX_SHOWN * 10 + 1);
            // Every quote is escaped: an odd number of backslashes comes before it.
            for (quote, _) in shown.match_indices('"') {
                let before = shown[..quote].chars().rev().take_while(|&c| c == '\\').count();
                prop_assert_eq!(before % 2, 1, "{}", shown);
            }
        }
    }
}
