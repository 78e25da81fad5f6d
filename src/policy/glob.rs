//! Globs over slash-separated names: `*` any run without `/`, `**` any run with `/`, `?` one
//! character but `/`, `\` takes the next character literally. Everything else is literal, since
//! PLC names are full of brackets and braces. Matching is case-sensitive and takes time
//! proportional to pattern × text at worst, whatever the pattern: names come from the plant
//! network, and nobody there may slow the relay down by choosing them.

use std::collections::HashSet;
use std::fmt;

use thiserror::Error;

/// Bytes of a pattern. Sparkplug names are shorter; a longer one is a mistake.
pub(super) const MAX_PATTERN_BYTES: usize = 1024;

/// Longest piece of literal text by which globs are filed.
pub(super) const GRAM_BYTES: usize = 7;

/// A piece of text of 1 to [`GRAM_BYTES`] bytes as a number, with its length in the top byte.
pub(super) fn gram(text: &[u8]) -> u64 {
    let mut bytes = [0_u8; 8];
    for (to, from) in bytes.iter_mut().zip(text.iter().take(GRAM_BYTES)) {
        *to = *from;
    }
    if let Some(last) = bytes.last_mut() {
        *last = u8::try_from(text.len().min(GRAM_BYTES)).unwrap_or(0);
    }
    u64::from_le_bytes(bytes)
}

/// States that the comparison of two patterns may take; beyond that nothing is certain.
const MAX_COMPARED: usize = 2_000;

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
    /// A piece of literal text by which it is filed; see [`super::table`].
    gram: Option<u64>,
}

/// One step of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Literal(char),
    /// `?`
    One,
    /// `*`
    Run,
    /// `**`
    DeepRun,
    /// Start of `**/` at the start of a segment: any number of whole segments, also none.
    /// Always followed by [`Token::InSegments`].
    Segments,
    /// Inside the segments that [`Token::Segments`] takes; left only after a `/`.
    InSegments,
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
    pub(super) fn tokens(&self) -> Vec<Token> {
        self.prefix.chars().map(Token::Literal).chain(self.tail.iter().copied()).collect()
    }

    /// The only text that it matches, if it has no wildcard.
    pub(super) fn literal(&self) -> Option<&str> {
        self.tail.is_empty().then_some(&self.prefix)
    }

    /// What every matching text starts with; may be empty.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Pieces of text that every matching text contains: the beginning and the end of each
    /// literal part.
    pub(super) fn grams(&self) -> Vec<u64> {
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
    pub(super) fn choose_gram(&mut self, count: impl Fn(u64) -> u32) {
        if self.literal().is_none() {
            let length = |gram: u64| gram.to_le_bytes().last().copied();
            self.gram = self
                .grams()
                .into_iter()
                .min_by_key(|gram| (count(*gram), std::cmp::Reverse(length(*gram)), *gram));
        }
    }

    /// The piece of text under which it is filed, and its length.
    pub(super) fn gram(&self) -> Option<(u64, u32)> {
        let gram = self.gram?;
        let [.., length] = gram.to_le_bytes();
        Some((gram, u32::from(length)))
    }

    /// Whether it matches every text.
    pub(super) fn matches_all(&self) -> bool {
        self.prefix.is_empty() && self.tail == [Token::DeepRun]
    }

    /// Whether it matches every text that has no `/`, such as a group or device name.
    pub(super) fn matches_all_names(&self) -> bool {
        self.prefix.is_empty() && matches!(self.tail[..], [Token::DeepRun] | [Token::Run])
    }

    /// Whether it matches every text that `narrow` matches. True only where that is certain; for
    /// patterns that no person would write, it may be false although it is so.
    pub(super) fn contains(&self, narrow: &Glob) -> bool {
        if let Some(literal) = narrow.literal() {
            return self.matches(literal);
        }
        if self.literal().is_some() {
            return false;
        }
        if !self.prefix.starts_with(&narrow.prefix) && !narrow.prefix.starts_with(&self.prefix) {
            return false;
        }
        includes(&self.tokens(), &narrow.tokens())
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

/// Runs the pattern as an automaton whose states are the positions in `tokens`, all of them at
/// once (Thompson). Each character visits each position at most once, hence the linear bound.
fn simulate(tokens: &[Token], text: &str) -> bool {
    let mut active = Positions::new(tokens.len());
    let mut next = Positions::new(tokens.len());
    active.enter(tokens, 0);
    for character in text.chars() {
        for index in 0..active.list.len() {
            let Some(&position) = active.list.get(index) else { continue };
            step(tokens, position, character, &mut next);
        }
        std::mem::swap(&mut active, &mut next);
        next.clear();
        if active.list.is_empty() {
            return false;
        }
    }
    active.list.contains(&tokens.len())
}

/// Whether every text that the automaton of `narrow` takes is taken by that of `wide`: runs both
/// at once, over every character that either names, `/`, and one that stands for all others.
fn includes(wide: &[Token], narrow: &[Token]) -> bool {
    let mut alphabet = vec!['/', '\0'];
    for token in wide.iter().chain(narrow) {
        match token {
            Token::Literal(literal) if !alphabet.contains(literal) => alphabet.push(*literal),
            _ => {}
        }
    }
    let start = (first_positions(narrow), first_positions(wide));
    let mut seen = HashSet::from([start.clone()]);
    let mut open = vec![start];
    // Ends: there are finitely many pairs of sets, and no more than a bound are looked at.
    while let Some((of_narrow, of_wide)) = open.pop() {
        if of_narrow.contains(&narrow.len()) && !of_wide.contains(&wide.len()) {
            return false;
        }
        for character in &alphabet {
            let next_narrow = next_positions(narrow, &of_narrow, *character);
            if next_narrow.is_empty() {
                continue;
            }
            let next = (next_narrow, next_positions(wide, &of_wide, *character));
            if seen.len() >= MAX_COMPARED {
                return false;
            }
            if seen.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    true
}

/// Where a pattern can stand before any character, ascending. A text that leads to the position
/// behind the last token matches.
pub(super) fn first_positions(tokens: &[Token]) -> Vec<usize> {
    let mut first = Positions::new(tokens.len());
    first.enter(tokens, 0);
    first.list.sort_unstable();
    first.list
}

/// Where it can stand after `character`, if it stood at `positions`, ascending.
pub(super) fn next_positions(tokens: &[Token], positions: &[usize], character: char) -> Vec<usize> {
    let mut next = Positions::new(tokens.len());
    for &position in positions {
        step(tokens, position, character, &mut next);
    }
    next.list.sort_unstable();
    next.list
}

/// Enters the positions that `character` leads to from `position`.
fn step(tokens: &[Token], position: usize, character: char, next: &mut Positions) {
    let Some(&token) = tokens.get(position) else { return };
    let after = position.saturating_add(1);
    match token {
        Token::Literal(literal) if literal == character => next.enter(tokens, after),
        Token::One if character != '/' => next.enter(tokens, after),
        Token::Run if character != '/' => next.enter(tokens, position),
        Token::DeepRun => next.enter(tokens, position),
        Token::InSegments => {
            next.enter(tokens, position);
            if character == '/' {
                next.enter(tokens, after);
            }
        }
        Token::Literal(_) | Token::One | Token::Run | Token::Segments => {}
    }
}

/// A set of positions in a pattern, in the order in which they were entered.
struct Positions {
    list: Vec<usize>,
    entered: Vec<bool>,
}

impl Positions {
    fn new(tokens: usize) -> Positions {
        // One position more than tokens: the end, where a match has happened.
        Positions { list: Vec::new(), entered: vec![false; tokens.saturating_add(1)] }
    }

    fn clear(&mut self) {
        for position in self.list.drain(..) {
            if let Some(entered) = self.entered.get_mut(position) {
                *entered = false;
            }
        }
    }

    /// Enters `position` and every position that can be reached from it without a character.
    /// Ends: it only moves forward, and stops where it was before.
    fn enter(&mut self, tokens: &[Token], mut position: usize) {
        loop {
            match self.entered.get_mut(position) {
                Some(entered) if !*entered => *entered = true,
                _ => return,
            }
            self.list.push(position);
            position = match tokens.get(position) {
                Some(Token::Run | Token::DeepRun) => position.saturating_add(1),
                Some(Token::Segments) => {
                    self.enter_inside(position.saturating_add(1));
                    position.saturating_add(2)
                }
                _ => return,
            };
        }
    }

    fn enter_inside(&mut self, position: usize) {
        if let Some(entered) = self.entered.get_mut(position)
            && !*entered
        {
            *entered = true;
            self.list.push(position);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::{ProptestConfig, Strategy, prop};
    use proptest::{prop_assert_eq, proptest};

    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Glob::parse(pattern).unwrap().matches(text)
    }

    /// The definition of the language, as directly as it can be written; exponential.
    pub(crate) fn naive(pattern: &[char], text: &[char], at_segment_start: bool) -> bool {
        let deeper =
            |pattern, start| (0..=text.len()).any(|taken| naive(pattern, &text[taken..], start));
        match pattern {
            [] => text.is_empty(),
            ['*', '*', '*', ..] => naive(&pattern[1..], text, at_segment_start),
            ['*', '*', '/', rest @ ..] if at_segment_start => {
                naive(rest, text, true)
                    || (1..=text.len()).any(|end| {
                        text[end.saturating_sub(1)] == '/' && naive(rest, &text[end..], true)
                    })
            }
            ['*', '*', rest @ ..] => deeper(rest, false),
            ['*', rest @ ..] => (0..=text.len())
                .take_while(|taken| !text[..*taken].contains(&'/'))
                .any(|taken| naive(rest, &text[taken..], false)),
            ['?', rest @ ..] => {
                matches!(text, [first, ..] if *first != '/') && naive(rest, &text[1..], false)
            }
            ['\\', literal, rest @ ..] | [literal, rest @ ..] => {
                text.first() == Some(literal) && naive(rest, &text[1..], *literal == '/')
            }
        }
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
        #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn matcher_agrees_with_the_naive_definition(
            pattern in short(&['a', 'b', '/', '*', '*', '?', '\\']),
            text in short(&['a', 'b', '/', '*']),
        ) {
            let source: String = pattern.iter().collect();
            if let Ok(glob) = Glob::parse(&source) {
                let string: String = text.iter().collect();
                prop_assert_eq!(glob.matches(&string), naive(&pattern, &text, true));
                if let Some(literal) = glob.literal() {
                    prop_assert_eq!(glob.matches(&string), literal == string);
                }
            }
        }
    }
}
