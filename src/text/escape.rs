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
    Escaped { text, limit, quotes: true }
}

/// As [`escape`], but for the quotes, which an output form escapes by its own rules, and cut so
/// that the result has at most `bytes` bytes. What comes out has no character that ends a line or
/// a record in any output form, and can be told from text that had escapes in it before.
pub fn clean(text: &str, bytes: usize) -> String {
    // No escape is longer than `\u{10ffff}`, so an escape is never cut in two.
    const LONGEST: usize = 10;
    const CUT: char = '…';
    let mut clean = String::new();
    for (at, character) in text.char_indices() {
        let room = bytes.saturating_sub(clean.len());
        // Near the end of the room: enough for all that is left, or there will be a cut.
        if room < LONGEST.saturating_add(CUT.len_utf8()) {
            let rest = text.get(at..).unwrap_or_default();
            // A character takes a byte at least, so one more than fits is enough to see.
            let limit = room.saturating_add(1);
            let shown = Escaped { text: rest, limit, quotes: false }.to_string();
            if shown.len() <= room {
                clean.push_str(&shown);
            } else if room >= CUT.len_utf8() {
                clean.push(CUT);
            }
            break;
        }
        let mut buffer = [0; 4];
        let text: &str = character.encode_utf8(&mut buffer);
        // Writing to a `String` can't fail.
        let _ = write!(clean, "{}", Escaped { text, limit: 1, quotes: false });
    }
    clean
}

/// JSON text with every treacherous character in its strings as an escape of JSON's own: whoever parses
/// it gets the same strings, and a terminal shows what is there. Serialisers escape what is below a
/// space and no more.
pub fn escape_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for character in json.chars() {
        match character {
            character if in_string && is_treacherous(character) => {
                // A raw control character is no JSON; what became of it is the parser's affair.
                for unit in character.encode_utf16(&mut [0; 2]) {
                    // Writing to a `String` can't fail.
                    let _ = write!(safe, "\\u{unit:04x}");
                }
            }
            // Between the values: white space, of which a carriage return moves the cursor.
            '\n' => safe.push('\n'),
            character if is_treacherous(character) => safe.push(' '),
            character => safe.push(character),
        }
        in_string ^= character == '"' && !(in_string && escaped);
        escaped = in_string && character == '\\' && !escaped;
    }
    safe
}

/// Shows foreign text; see [`escape`].
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a> {
    text: &'a str,
    limit: usize,
    quotes: bool,
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut characters = self.text.chars();
        for character in characters.by_ref().take(self.limit) {
            match character {
                '\n' => formatter.write_str("\\n")?,
                '\r' => formatter.write_str("\\r")?,
                '\t' => formatter.write_str("\\t")?,
                '"' if self.quotes => formatter.write_str("\\\"")?,
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

/// Whether a character ends a line, moves the cursor, shows nothing, or turns the text around. The
/// one list of them; forms of output with escapes of their own ask it.
pub fn is_treacherous(character: char) -> bool {
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
    fn every_kind_of_treacherous_character_is_known_and_no_other() {
        for character in "\0\n\x1b\x7f\u{85}\u{ad}\u{61c}\u{180e}\u{200b}\u{200e}\u{2028}\u{202e}\
                          \u{2060}\u{2069}\u{feff}\u{fff9}\u{e0041}"
            .chars()
        {
            assert!(is_treacherous(character), "{character:?}");
            let escaped = escape(character.encode_utf8(&mut [0; 4])).to_string();
            assert!(escaped.starts_with('\\') && escaped.is_ascii(), "{escaped:?}");
        }
        for character in "aZ9 /.,:-_\"\\äßéΩж中🙂\u{a0}\u{300}".chars() {
            assert!(!is_treacherous(character), "{character:?}");
        }
    }

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

    #[test]
    fn json_means_the_same_and_has_nothing_treacherous_in_it() {
        let cases = [
            (r#"{"a": "b"}"#, r#"{"a": "b"}"#),
            ("\"\u{9b}31m\u{7f}\"", r#""\u009b31m\u007f""#),
            ("{\r\n\t\"\u{202e}\":\r1}", "{ \n \"\\u202e\": 1}"),
            ("\"\u{e0041}\"", r#""\udb40\udc41""#),
            ("\"\\\"\u{85}\\\\\"\u{85}", "\"\\\"\\u0085\\\\\" "),
        ];
        for (json, wanted) in cases {
            assert_eq!(escape_json(json), wanted, "{json:?}");
        }
    }

    #[test]
    fn clean_text_is_cut_between_characters_and_escapes() {
        assert_eq!(clean("a \"b\" c\\d\n", 100), r#"a "b" c\\d\n"#);
        assert_eq!(clean("abcdefghijklmnop", 16), "abcdefghijklmnop");
        assert_eq!(clean("abcdefghijklmnopq", 16), "abcd…");
        assert_eq!(clean("", 16), "");
    }

    proptest! {
        #[test]
        fn clean_text_has_nothing_treacherous_and_keeps_its_bound(
            text in any::<String>(),
            bytes in 3..300_usize,
        ) {
            let clean = clean(&text, bytes);
            prop_assert!(clean.len() <= bytes, "{} > {}", clean.len(), bytes);
            prop_assert!(!clean.chars().any(is_treacherous));
            let whole = Escaped { text: &text, limit: usize::MAX, quotes: false }.to_string();
            match clean.strip_suffix('…') {
                Some(start) if clean != whole => prop_assert!(whole.starts_with(start)),
                _ => prop_assert_eq!(clean, whole),
            }
        }

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
