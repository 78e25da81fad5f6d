//! What globs match, once more: by recursion, exponential.

/// The definition of the language, as directly as it can be written; exponential.
pub(crate) fn matches(pattern: &[char], text: &[char], at_segment_start: bool) -> bool {
    let deeper =
        |pattern, start| (0..=text.len()).any(|taken| matches(pattern, &text[taken..], start));
    match pattern {
        [] => text.is_empty(),
        ['*', '*', '*', ..] => matches(&pattern[1..], text, at_segment_start),
        ['*', '*', '/', rest @ ..] if at_segment_start => {
            matches(rest, text, true)
                || (1..=text.len()).any(|end| {
                    text[end.saturating_sub(1)] == '/' && matches(rest, &text[end..], true)
                })
        }
        ['*', '*', rest @ ..] => deeper(rest, false),
        ['*', rest @ ..] => (0..=text.len())
            .take_while(|taken| !text[..*taken].contains(&'/'))
            .any(|taken| matches(rest, &text[taken..], false)),
        ['?', rest @ ..] => {
            matches!(text, [first, ..] if *first != '/') && matches(rest, &text[1..], false)
        }
        ['\\', literal, rest @ ..] | [literal, rest @ ..] => {
            text.first() == Some(literal) && matches(rest, &text[1..], *literal == '/')
        }
    }
}
