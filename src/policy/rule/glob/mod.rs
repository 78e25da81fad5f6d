//! Globs over slash-separated names: `*` any run without `/`, `**` any run with `/`, `?` one
//! character but `/`, `\` takes the next character literally. Everything else is literal, since
//! PLC names are full of brackets and braces. Matching is case-sensitive and takes time
//! proportional to pattern × text at worst, whatever the pattern: names come from the plant
//! network, and nobody there may slow the relay down by choosing them.

mod automaton;

use std::fmt;

use thiserror::Error;

use self::automaton::simulate;
pub use self::automaton::{Token, first_positions, next_positions};

/// Bytes of a pattern. Sparkplug names are shorter; a longer one is a mistake.
pub(crate) const MAX_PATTERN_BYTES: usize = 1024;

/// Longest piece of literal text by which globs are filed.
pub(crate) const GRAM_BYTES: usize = 7;

/// A piece of text of 1 to [`GRAM_BYTES`] bytes as a number, with its length in the top byte.
pub(crate) fn gram(text: &[u8]) -> u64 {
    let mut bytes = [0_u8; 8];
    for (to, from) in bytes.iter_mut().zip(text.iter().take(GRAM_BYTES)) {
        *to = *from;
    }
    if let Some(last) = bytes.last_mut() {
        *last = u8::try_from(text.len().min(GRAM_BYTES)).unwrap_or(0);
    }
    u64::from_le_bytes(bytes)
}

/// Why a pattern isn't a glob. The offset is in bytes from the start of the pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum GlobError {
    #[error("an empty pattern matches nothing")]
    Empty,
    #[error("a pattern can't be longer than {MAX_PATTERN_BYTES} bytes")]
    TooLong,
    #[error("`\\` at the end of a pattern has nothing to take literally")]
    TrailingBackslash { offset: usize },
}

/// A compiled pattern.
#[derive(Clone, PartialEq, Eq)]
pub struct Glob {
    source: String,
    /// What a matching text starts with; the whole text if `tail` is empty.
    prefix: String,
    /// What follows the literal prefix.
    tail: Vec<Token>,
    /// What a matching text ends with: the literal end of `tail`.
    suffix: String,
    /// A piece of literal text by which it is filed; see `plan::table`.
    gram: Option<u64>,
}

impl Glob {
    /// Compiles `pattern`.
    ///
    /// # Errors
    /// See [`GlobError`].
    pub fn parse(pattern: &str) -> Result<Glob, GlobError> {
        if pattern.is_empty() {
            return Err(GlobError::Empty);
        }
        if pattern.len() > MAX_PATTERN_BYTES {
            return Err(GlobError::TooLong);
        }
        let mut prefix = String::new();
        let mut tail = Vec::new();
        let mut characters = pattern.char_indices().peekable();
        let mut at_segment_start = true;
        while let Some((offset, character)) = characters.next() {
            let token = match character {
                '\\' => match characters.next() {
                    Some((_, literal)) => Token::Literal(literal),
                    None => return Err(GlobError::TrailingBackslash { offset }),
                },
                '?' => Token::One,
                '*' => {
                    let mut stars = 1_usize;
                    while characters.next_if(|(_, next)| *next == '*').is_some() {
                        stars = stars.saturating_add(1);
                    }
                    let whole_segment =
                        at_segment_start && characters.peek().is_some_and(|(_, next)| *next == '/');
                    match stars {
                        1 => Token::Run,
                        _ if whole_segment => {
                            characters.next();
                            tail.push(Token::Segments);
                            Token::InSegments
                        }
                        _ => Token::DeepRun,
                    }
                }
                literal => Token::Literal(literal),
            };
            at_segment_start = matches!(token, Token::Literal('/') | Token::InSegments);
            match token {
                Token::Literal(literal) if tail.is_empty() => prefix.push(literal),
                token => tail.push(token),
            }
        }
        let suffix = literal_end(&tail);
        Ok(Glob { source: pattern.to_owned(), prefix, tail, suffix, gram: None })
    }

    /// The whole pattern; see [`next_positions`].
    pub fn tokens(&self) -> Vec<Token> {
        self.prefix.chars().map(Token::Literal).chain(self.tail.iter().copied()).collect()
    }

    /// The only text that it matches, if it has no wildcard.
    pub fn literal(&self) -> Option<&str> {
        self.tail.is_empty().then_some(&self.prefix)
    }

    /// What every matching text starts with; may be empty.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Pieces of text that every matching text contains: the beginning and the end of each
    /// literal part.
    pub(crate) fn grams(&self) -> Vec<u64> {
        let mut parts = vec![self.prefix.clone()];
        let mut part = String::new();
        for token in &self.tail {
            match token {
                Token::Literal(literal) => part.push(*literal),
                _ => parts.push(std::mem::take(&mut part)),
            }
        }
        parts.push(part);
        let ends = |part: &String| {
            let bytes = part.as_bytes();
            let end = bytes.len().saturating_sub(GRAM_BYTES);
            [gram(bytes), gram(bytes.get(end..).unwrap_or_default())]
        };
        parts.iter().filter(|part| !part.is_empty()).flat_map(ends).collect()
    }

    /// Files it under the piece of text for which `count` gives the least; of those the longest.
    pub(crate) fn choose_gram(&mut self, count: impl Fn(u64) -> u32) {
        if self.literal().is_none() {
            let length = |gram: u64| gram.to_le_bytes().last().copied();
            self.gram = self
                .grams()
                .into_iter()
                .min_by_key(|gram| (count(*gram), std::cmp::Reverse(length(*gram)), *gram));
        }
    }

    /// The piece of text under which it is filed, and its length.
    pub(crate) fn gram(&self) -> Option<(u64, u32)> {
        let gram = self.gram?;
        let [.., length] = gram.to_le_bytes();
        Some((gram, u32::from(length)))
    }

    /// Whether it matches every text.
    pub fn matches_all(&self) -> bool {
        self.prefix.is_empty() && self.tail == [Token::DeepRun]
    }

    /// Whether it matches every text that has no `/`, such as a group or device name.
    pub fn matches_all_names(&self) -> bool {
        self.prefix.is_empty() && matches!(self.tail[..], [Token::DeepRun] | [Token::Run])
    }

    /// Whether the whole of `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        let Some(rest) = text.strip_prefix(self.prefix.as_str()) else { return false };
        match self.tail.as_slice() {
            [] => rest.is_empty(),
            [Token::DeepRun] => true,
            [Token::Run] => !rest.contains('/'),
            tail => rest.ends_with(self.suffix.as_str()) && simulate(tail, rest),
        }
    }
}

/// The pattern as it was written.
impl fmt::Display for Glob {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.source)
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Glob({:?})", self.source)
    }
}

/// The literals at the end of `tokens`.
fn literal_end(tokens: &[Token]) -> String {
    let mut literals: Vec<char> = tokens
        .iter()
        .rev()
        .map_while(|token| match token {
            Token::Literal(literal) => Some(*literal),
            _ => None,
        })
        .collect();
    literals.reverse();
    literals.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, Strategy, prop};
    use proptest::{prop_assert_eq, proptest};

    use super::*;
    use crate::tests::reference;

    fn matches(pattern: &str, text: &str) -> bool {
        Glob::parse(pattern).unwrap().matches(text)
    }

    #[test]
    fn star_stops_at_a_slash_and_double_star_does_not() {
        assert!(matches("Temp/*", "Temp/1"));
        assert!(!matches("Temp/*", "Temp/1/raw"));
        assert!(matches("Temp/**", "Temp/1/raw"));
        assert!(matches("Temp/**", "Temp/1"));
        assert!(!matches("Temp/**", "Temp"));
        assert!(!matches("Temp/**", "Temperature/1"));
        assert!(matches("*", "anything but a slash"));
        assert!(!matches("*", "a/b"));
        assert!(matches("**", ""));
        assert!(matches("a**z", "a/b/z"));
    }

    #[test]
    fn leading_double_star_matches_any_number_of_whole_segments() {
        assert!(matches("**/Secret*", "Secret"));
        assert!(matches("**/Secret*", "a/b/Secret7"));
        assert!(!matches("**/Secret*", "a/bSecret"));
        assert!(!matches("**/Secret*", "a/Secret/b"));
        assert!(matches("a/**/b", "a/b"));
        assert!(matches("a/**/b", "a/x/y/b"));
        assert!(!matches("a/**/b", "a/xb"));
    }

    #[test]
    fn brackets_and_braces_are_literal_and_backslash_escapes() {
        assert!(matches("Motor[1]{a}", "Motor[1]{a}"));
        assert!(!matches("Motor[1]", "Motor1"));
        assert!(matches("a\\*", "a*"));
        assert!(!matches("a\\*", "ab"));
        assert!(matches("a\\\\?", "a\\b"));
        assert!(matches("Größe?", "GrößeÄ"));
        assert!(!matches("temp", "Temp"));
    }

    #[test]
    fn bad_patterns_are_refused() {
        assert_eq!(Glob::parse(""), Err(GlobError::Empty));
        assert_eq!(Glob::parse("a\\"), Err(GlobError::TrailingBackslash { offset: 1 }));
        assert!(Glob::parse("a\\\\").is_ok());
        assert_eq!(Glob::parse(&"a".repeat(MAX_PATTERN_BYTES + 1)), Err(GlobError::TooLong));
    }

    #[test]
    fn what_a_pattern_says_about_itself_is_true() {
        let glob = |pattern| Glob::parse(pattern).unwrap();
        assert_eq!(glob("a\\*b").literal(), Some("a*b"));
        assert_eq!(glob("a*").literal(), None);
        assert_eq!(glob("ab/c?").prefix(), "ab/c");
        assert_eq!((glob("a*/\\*z").prefix(), &*glob("a*/\\*z").suffix), ("a", "/*z"));
        assert_eq!(glob("**/Temp").suffix, "Temp");
        assert!(glob("***").matches_all() && glob("**").matches_all_names());
        assert!(glob("*").matches_all_names() && !glob("*").matches_all());
        assert!(!glob("**/*").matches_all());
    }

    #[test]
    fn hostile_pattern_and_text_take_linear_time() {
        // An exponential matcher would not end; a quadratic one would be felt.
        let pattern = "*a**a".repeat(100);
        assert!(!matches(&pattern, &"a".repeat(20_000).replace("aaaa", "aaab")));
    }

    fn short(alphabet: &'static [char]) -> impl Strategy<Value = Vec<char>> {
        prop::collection::vec(prop::sample::select(alphabet), 0..9)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn matcher_agrees_with_the_reference(
            pattern in short(&['a', 'b', '/', '*', '*', '?', '\\']),
            text in short(&['a', 'b', '/', '*']),
        ) {
            let source: String = pattern.iter().collect();
            if let Ok(glob) = Glob::parse(&source) {
                let string: String = text.iter().collect();
                prop_assert_eq!(glob.matches(&string), reference::globs::matches(&pattern, &text, true));
                if let Some(literal) = glob.literal() {
                    prop_assert_eq!(glob.matches(&string), literal == string);
                }
            }
        }
    }
}
