//! Lines of what is said about a policy.

use std::fmt::Write;

use sparkplug::DataType;

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
