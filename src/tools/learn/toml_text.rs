//! Values and names as a policy file has them.

use sparkplug::value::{Typed, read};
use sparkplug::{DataType, Value};
use text::is_treacherous;

/// A basic string of TOML.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len().saturating_add(2));
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            letter if is_treacherous(letter) => {
                quoted.push_str(&format!("\\U{:08X}", u32::from(letter)));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// A list of strings.
pub(super) fn list(texts: impl IntoIterator<Item = String>) -> String {
    let texts: Vec<String> = texts.into_iter().map(|text| quoted(&text)).collect();
    format!("[{}]", texts.join(", "))
}

/// A string, or a list of several.
pub(super) fn one_or_more(texts: impl IntoIterator<Item = String>) -> String {
    let texts: Vec<String> = texts.into_iter().collect();
    match texts.as_slice() {
        [only] => quoted(only),
        _ => list(texts),
    }
}

/// A value as an example in a case. `None`: it has no text of its own, or an unwieldy one.
pub(super) fn value_text(datatype: DataType, value: &Value) -> Option<String> {
    let float = |number: f64, text: String| number.is_finite().then_some(text);
    match read(datatype, value)? {
        Typed::Signed(number) | Typed::DateTime(number) => Some(number.to_string()),
        Typed::Unsigned(number) => i64::try_from(number).ok().map(|number| number.to_string()),
        Typed::Float(number) => float(number.into(), format!("{number:?}")),
        Typed::Double(number) => float(number, format!("{number:?}")),
        Typed::Boolean(state) => Some(state.to_string()),
        Typed::String(text) if text.len() <= 200 => Some(quoted(text)),
        _ => None,
    }
}

/// A part of a rule's name: small letters, digits and `-`, at most `most` of them.
pub(super) fn slug(name: &str, most: usize) -> String {
    let mut slug = String::new();
    for letter in name.chars() {
        match letter.to_ascii_lowercase() {
            letter @ ('a'..='z' | '0'..='9' | '_' | '.') => slug.push(letter),
            _ if slug.ends_with('-') || slug.is_empty() => {}
            _ => slug.push('-'),
        }
        if slug.len() >= most {
            break;
        }
    }
    let slug = slug.trim_matches('-');
    if slug.is_empty() { "x".to_owned() } else { slug.to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;
    use proptest::prop_assert_eq;

    use super::*;

    proptest! {
        #[test]
        fn any_text_survives_toml(text in "(\\PC|[\\x00-\\x1f\"\\\\\u{202e}]){0,12}") {
            let document: toml::Table = format!("x = {}", quoted(&text)).parse().unwrap();
            prop_assert_eq!(document["x"].as_str(), Some(text.as_str()));
        }
    }

    #[test]
    fn slugs_are_parts_of_rule_names() {
        assert_eq!(slug("Plant 1/Ä (Süd)", 30), "plant-1-s-d");
        assert_eq!(slug("…", 30), "x");
        assert_eq!(slug("abcdef", 3), "abc");
    }

    #[test]
    fn values_are_written_as_they_are_read() {
        let text = |datatype, value: Value| value_text(datatype, &value);
        assert_eq!(text(DataType::Int8, Value::Int(255)).as_deref(), Some("-1"));
        assert_eq!(text(DataType::Float, Value::Float(61.0)).as_deref(), Some("61.0"));
        assert_eq!(text(DataType::Double, Value::Double(f64::NAN)), None);
        assert_eq!(text(DataType::UInt64, Value::Long(u64::MAX)), None);
    }
}
