//! Whether one glob takes in all that another one matches.

use std::collections::HashSet;

use policy::glob::{Glob, Token, first_positions, next_positions};

/// States that the comparison of two patterns may take; beyond that nothing is certain.
const MAX_COMPARED: usize = 2_000;

/// Whether `wide` matches every text that `narrow` matches. True only where that is certain; for
/// patterns that no person would write, it may be false although it is so.
pub(super) fn contains(wide: &Glob, narrow: &Glob) -> bool {
    if let Some(literal) = narrow.literal() {
        return wide.matches(literal);
    }
    if wide.literal().is_some() {
        return false;
    }
    if !wide.prefix().starts_with(narrow.prefix()) && !narrow.prefix().starts_with(wide.prefix()) {
        return false;
    }
    includes(&wide.tokens(), &narrow.tokens())
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

/// Whether every name matches one of the globs; `slashes`: names of metrics, else those of levels. True
/// only where that is certain.
pub(super) fn take_all(globs: &[&Glob], slashes: bool) -> bool {
    let patterns: Vec<Vec<Token>> = globs.iter().map(|glob| glob.tokens()).collect();
    let mut alphabet = vec!['\0'];
    if slashes {
        alphabet.push('/');
    }
    for token in patterns.iter().flatten() {
        match token {
            Token::Literal(literal) if !alphabet.contains(literal) => alphabet.push(*literal),
            _ => {}
        }
    }
    let start: Vec<Vec<usize>> = patterns.iter().map(|tokens| first_positions(tokens)).collect();
    let mut seen = HashSet::from([start.clone()]);
    let mut open = vec![start];
    // Ends: there are finitely many sets, and no more than a bound are looked at.
    while let Some(stand) = open.pop() {
        for character in &alphabet {
            let next: Vec<Vec<usize>> = patterns
                .iter()
                .zip(&stand)
                .map(|(tokens, positions)| next_positions(tokens, positions, *character))
                .collect();
            // A name has one character at least, so that the start need not match.
            let mut ends = patterns.iter().zip(&next);
            if !ends.any(|(tokens, positions)| positions.contains(&tokens.len())) {
                return false;
            }
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

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{ProptestConfig, Strategy};
    use proptest::sample::select;
    use proptest::{prop_assert, proptest};

    use super::*;

    fn globs() -> impl Strategy<Value = String> {
        vec(select(vec!["a", "b", "/", "*", "**", "?", "**/"]), 1..6)
            .prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_glob_contains_another_only_if_it_matches_all_that_this_one_does(
            wide in globs(), narrow in globs(),
            texts in vec(vec(select(vec!["a", "b", "c", "/"]), 0..7), 1..200),
        ) {
            let (wide, narrow) = (Glob::parse(&wide).unwrap(), Glob::parse(&narrow).unwrap());
            let contains = contains(&wide, &narrow);
            let counterexample = texts.iter().map(|parts| parts.concat()).find(|text| {
                narrow.matches(text) && !wide.matches(text)
            });
            prop_assert!(!contains || counterexample.is_none(), "{} in {}: {:?}", narrow, wide, counterexample);
        }
    }

    #[test]
    fn lists_that_take_every_name_are_known() {
        for (globs, slashes, wanted) in [
            (&["*"][..], false, true),
            (&["*"], true, false),
            (&["**"], true, true),
            (&["*", "**/*"], true, true),
            (&["?", "??*"], false, true),
            (&["?", "??*"], true, false),
            (&["?", "???*"], false, false),
            (&["a*", "b*"], false, false),
            (&["**/*"], true, true),
            (&["*", "*/**"], true, true),
            (&[], false, false),
        ] {
            let parsed: Vec<Glob> = globs.iter().map(|glob| Glob::parse(glob).unwrap()).collect();
            let parsed: Vec<&Glob> = parsed.iter().collect();
            assert_eq!(take_all(&parsed, slashes), wanted, "{globs:?}");
        }
    }

    #[test]
    fn containment_is_found_where_it_is() {
        for (wide, narrow, contains) in [
            ("**", "a*b/c", true),
            ("*", "a?", true),
            ("*", "a/b", false),
            ("**/x", "x", true),
            ("**/x", "a/*/x", true),
            ("**/x", "a/**/x", true),
            ("**/x", "a/*x", false),
            ("a**", "a/**/b", true),
            ("?*", "*?", true),
            ("*?", "*", false),
            ("a*b*", "a*b", true),
            ("a*b", "a*b*", false),
        ] {
            let parse = |glob| Glob::parse(glob).unwrap();
            assert_eq!(
                super::contains(&parse(wide), &parse(narrow)),
                contains,
                "{narrow} in {wide}"
            );
        }
    }
}
