//! All texts, as far as a set of patterns can tell them apart: one witness for each set of
//! patterns that some text matches while it matches no other pattern of the set.
//!
//! The patterns run together as one automaton; its states are found breadth first, so that
//! witnesses are short. Two texts that lead to the same state are the same to every pattern,
//! whatever follows, and characters that no pattern names are the same to all of them: one
//! stands for the rest. So nothing is missed, and it ends, since the states are finite.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use policy::glob::{Glob, Token, first_positions, next_positions};

/// What kind of texts there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Names of groups, edge nodes and devices: without `/`, `+` and `#` (Sparkplug 3.0 §4.1).
    Level,
    /// Names of metrics.
    Metric,
}

/// Where the patterns stand: those that can still match, each with its positions.
type State = Vec<(usize, Vec<usize>)>;

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Token>);

impl Pattern {
    pub(super) fn of(glob: &Glob) -> Pattern {
        Pattern(glob.tokens())
    }

    /// Matches `text` alone.
    pub(super) fn literal(text: &str) -> Pattern {
        Pattern(text.chars().map(Token::Literal).collect())
    }

    /// Matches what has no slash.
    pub(super) fn level() -> Pattern {
        Pattern(vec![Token::Run])
    }

    /// Matches what begins with `text`.
    pub(super) fn beginning(text: &str) -> Pattern {
        let literal = text.chars().map(Token::Literal);
        Pattern(literal.chain([Token::DeepRun]).collect())
    }
}

/// Witnesses of all classes of texts; `None` if there are more states than `max_states`.
pub(super) fn witnesses(
    patterns: &[Pattern],
    kind: Kind,
    max_states: usize,
) -> Option<Vec<String>> {
    let mut distinct: Vec<&[Token]> = Vec::new();
    let mut seen = HashSet::new();
    for Pattern(tokens) in patterns {
        if seen.insert(format!("{tokens:?}")) {
            distinct.push(tokens);
        }
    }
    let fresh = fresh_character(&distinct)?;
    let start: State = distinct.iter().map(|tokens| first_positions(tokens)).enumerate().collect();
    // Without the start: the empty text is no name, and others may lead to the same state.
    let mut known = HashSet::new();
    let mut queue = VecDeque::from([(start, String::new())]);
    let mut classes: HashMap<Vec<usize>, String> = HashMap::new();
    let mut order: Vec<Vec<usize>> = Vec::new();
    while let Some((state, text)) = queue.pop_front() {
        if !text.is_empty() {
            let class = matched(&distinct, &state);
            match classes.get_mut(&class) {
                None => {
                    order.push(class.clone());
                    classes.insert(class, text.clone());
                }
                Some(witness) if is_odd(witness) && !is_odd(&text) => witness.clone_from(&text),
                Some(_) => {}
            }
        }
        for character in characters(&distinct, &state, fresh, kind) {
            let next: State = state
                .iter()
                .filter_map(|(pattern, positions)| {
                    let tokens = distinct.get(*pattern)?;
                    let positions = next_positions(tokens, positions, character);
                    (!positions.is_empty()).then_some((*pattern, positions))
                })
                .collect();
            let mut longer = text.clone();
            longer.push(character);
            if known.insert(next.clone()) {
                if known.len() > max_states {
                    return None;
                }
                queue.push_back((next, longer));
            } else if let Some(witness) = classes.get_mut(&matched(&distinct, &next))
                && is_odd(witness)
                && !is_odd(&longer)
            {
                // Such a name is allowed, but nobody has it.
                *witness = longer;
            }
        }
    }
    Some(order.iter().filter_map(|class| classes.remove(class)).collect())
}

/// The patterns that match a text that leads to this state.
fn matched(patterns: &[&[Token]], state: &State) -> Vec<usize> {
    let is_match = |(pattern, positions): &&(usize, Vec<usize>)| {
        let end = patterns.get(*pattern).map(|tokens| tokens.len());
        positions.last().copied() == end
    };
    state.iter().filter(is_match).map(|(pattern, _)| *pattern).collect()
}

fn is_odd(text: &str) -> bool {
    text.is_empty() || text.starts_with('/') || text.ends_with('/') || text.contains("//")
}

/// The characters that can make a difference in this state: those that some pattern waits for,
/// the slash, and one for all others.
fn characters(patterns: &[&[Token]], state: &State, fresh: char, kind: Kind) -> Vec<char> {
    let mut characters = BTreeSet::new();
    if kind == Kind::Metric {
        characters.insert('/');
    }
    for (pattern, positions) in state {
        let tokens = patterns.get(*pattern).copied().unwrap_or_default();
        for position in positions {
            if let Some(Token::Literal(literal)) = tokens.get(*position) {
                characters.insert(*literal);
            }
        }
    }
    if kind == Kind::Level {
        characters.retain(|character| !matches!(character, '/' | '+' | '#'));
    }
    characters.remove(&'\0');
    // The one that stands for all others comes first: it makes the plainest witnesses.
    std::iter::once(fresh).chain(characters).collect()
}

/// A character that no pattern names.
fn fresh_character(patterns: &[&[Token]]) -> Option<char> {
    let named: HashSet<char> = patterns
        .iter()
        .flat_map(|tokens| tokens.iter())
        .filter_map(|token| match token {
            Token::Literal(literal) => Some(*literal),
            _ => None,
        })
        .collect();
    let usual = ('x'..='z').chain('a'..='w').chain('0'..='9').chain('A'..='Z');
    usual.chain('\u{a1}'..='\u{2fff}').find(|character| !named.contains(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(patterns: &[&str], kind: Kind) -> Vec<String> {
        let patterns: Vec<Pattern> =
            patterns.iter().map(|text| Pattern::of(&Glob::parse(text).unwrap())).collect();
        witnesses(&patterns, kind, 10_000).unwrap()
    }

    #[test]
    fn every_combination_of_patterns_that_some_text_has_has_a_witness() {
        assert_eq!(of(&[], Kind::Level), ["x"]);
        assert_eq!(of(&["Line4"], Kind::Level), ["x", "Line4"]);
        // `Line*` alone, `*4` alone, both, none.
        let mut found = of(&["Line*", "*4"], Kind::Level);
        found.sort();
        assert_eq!(found, ["4", "Line", "Line4", "x"]);
        let found = of(&["**", "Temperature/**", "**/Temperature"], Kind::Metric);
        assert!(found.iter().any(|text| text == "Temperature/x"), "{found:?}");
        assert!(found.iter().any(|text| text == "Temperature/Temperature"), "{found:?}");
        assert_eq!(found.len(), 4, "{found:?}");
    }

    #[test]
    fn classes_are_complete_for_all_short_texts() {
        let globs = ["a*", "*b", "a?b", "**/a", "a/**", "ab", "?", "*/*"];
        let globs: Vec<Glob> = globs.iter().map(|text| Glob::parse(text).unwrap()).collect();
        let patterns: Vec<Pattern> = globs.iter().map(Pattern::of).collect();
        let matched =
            |text: &str| globs.iter().map(|glob| glob.matches(text)).collect::<Vec<bool>>();
        let classes: HashSet<Vec<bool>> = witnesses(&patterns, Kind::Metric, 10_000)
            .unwrap()
            .iter()
            .map(|witness| matched(witness))
            .collect();
        let mut texts = vec![String::new()];
        for _ in 0..6 {
            texts = texts
                .iter()
                .flat_map(|text| ['a', 'b', '/', 'q'].map(|next| format!("{text}{next}")))
                .chain(texts.iter().cloned())
                .collect::<HashSet<_>>()
                .into_iter()
                .collect();
        }
        for text in texts.iter().filter(|text| !text.is_empty()) {
            assert!(classes.contains(&matched(text)), "{text}: {:?}", matched(text));
        }
    }

    #[test]
    fn too_many_states_are_no_answer() {
        let patterns: Vec<Pattern> = (0..12)
            .map(|at| format!("*{}*", char::from(b'a' + at)))
            .map(|text| Pattern::of(&Glob::parse(&text).unwrap()))
            .collect();
        assert_eq!(witnesses(&patterns, Kind::Level, 1_000), None);
    }
}
