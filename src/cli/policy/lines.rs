//! Lines of what is said about a policy.

use std::borrow::Cow;
use std::fmt::Write;

use sparkplug::DataType;
use text::escape_to;

/// Breaks words into lines of `width` columns at most, where they have spaces.
pub(super) fn wrap(words: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words.split(' ') {
        match lines.last_mut() {
            Some(last) if last.chars().count().saturating_add(word.chars().count()) < width => {
                last.push(' ');
                last.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

pub(super) fn line(text: &mut String, content: &str) {
    // Writing to a `String` can't fail.
    let _ = writeln!(text, "{}", content.trim_end());
}

/// Words with patterns and texts of a policy in them, as they are written there; escaped where something
/// in them would trick a terminal.
pub(super) fn readable(words: &str) -> Cow<'_, str> {
    let plain: String = words.chars().filter(|one| !matches!(one, '\\' | '"' | '\'')).collect();
    if escape_to(&plain, usize::MAX).to_string() == plain {
        return Cow::Borrowed(words);
    }
    Cow::Owned(escape_to(words, usize::MAX).to_string())
}

/// `Float, Double`; where it is most of them, `any datatype but Bytes, File`.
pub(super) fn datatypes_in_words(types: &[DataType]) -> String {
    let named = |types: &[DataType]| {
        let names: Vec<&str> = types.iter().map(|datatype| datatype.name()).collect();
        names.join(", ")
    };
    let others: Vec<DataType> =
        DataType::of_metrics().filter(|datatype| !types.contains(datatype)).collect();
    match types.len() > others.len() {
        true if others.is_empty() => "any datatype".to_owned(),
        true => format!("any datatype but {}", named(&others)),
        false => named(types),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_shown_as_they_are_written_and_terminals_are_not_tricked() {
        let pattern = r#"texts that `[A-Z]{2}\d+` matches, and "x""#;
        assert_eq!(readable(pattern), pattern);
        assert!(!readable("a\u{1b}[31m \\ b").contains('\u{1b}'));
        assert!(!readable("a\u{202e}b").contains('\u{202e}'));
    }
}
