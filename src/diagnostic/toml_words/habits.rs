//! Lines that aren't TOML, and what their writer is used to from elsewhere.

/// Quotes of word processors.
const TYPOGRAPHIC: [char; 8] = ['“', '”', '„', '‟', '‘', '’', '«', '»'];
/// What stands for true or false elsewhere.
const SWITCHES: [&str; 10] =
    ["yes", "no", "on", "off", "True", "False", "TRUE", "FALSE", "Yes", "No"];

/// A hint at a syntax error whose title is `title`, at byte `at` of the text.
pub(super) fn hint(text: &str, at: usize, title: &str) -> Option<String> {
    let (line, column) = line_at(text, at);
    let rest = line.get(column..).unwrap_or("");
    let trimmed = line.trim();
    let value = line.split_once('=').map(|(_, value)| value.trim());
    if line.contains(TYPOGRAPHIC) {
        return Some("these are the quotes of a word processor; TOML has `\"`".to_owned());
    }
    if let Some(unseen) = rest.chars().next().filter(|letter| is_unseen(*letter)) {
        let code = u32::from(unseen);
        return Some(format!("what can't be seen there is U+{code:04X}: type the blank anew"));
    }
    if trimmed.starts_with(';') || trimmed.starts_with("//") {
        return Some("a comment begins with `#`".to_owned());
    }
    if let Some(hint) = value.and_then(|value| of_value(line, value)) {
        return Some(hint);
    }
    if title.contains("escaped value") {
        return Some("write text with backslashes in single quotes: `'a\\*b'`".to_owned());
    }
    if title.starts_with("invalid basic string") || title.starts_with("invalid literal string") {
        return Some("the text has a quote at its beginning and no quote at its end".to_owned());
    }
    if rest.starts_with(':') && title.contains("key") {
        return Some(
            "this is TOML, not YAML: `key = value` below the head of a `[table]`".to_owned(),
        );
    }
    if rest.starts_with('{') && title.contains("key") {
        return Some(
            "this is TOML, not JSON: `key = value` below the head of a `[table]`".to_owned(),
        );
    }
    if title.starts_with("unclosed table") && rest.starts_with(' ') && trimmed.ends_with(']') {
        let name: Vec<&str> = trimmed.trim_matches(['[', ']']).split_whitespace().collect();
        return Some(format!(
            "a table within a table has a point in its name: `[{}]`",
            name.join(".")
        ));
    }
    if title.starts_with("unexpected key or value") {
        return Some(match rest.trim_start().starts_with([',', ';']) {
            true => "nothing stands behind the value".to_owned(),
            false => "one key on each line".to_owned(),
        });
    }
    title.contains("boolean").then(|| "`true` and `false` are in small letters".to_owned())
}

/// What a value is elsewhere.
fn of_value(line: &str, value: &str) -> Option<String> {
    let word = value.split([' ', '#', ';', ',', '}', ']']).next().unwrap_or("");
    if SWITCHES.contains(&word) {
        return Some(
            "`true` and `false` are in small letters, and there is no other word".to_owned(),
        );
    }
    if value.starts_with('(') {
        return Some("a list stands in square brackets: `[\"a\", \"b\"]`".to_owned());
    }
    // Within an inline table each of its values.
    let values = value.trim_start_matches(['{', '[', ' ']).split('=');
    let mut numbers = values.map(str::trim_start).filter_map(separated);
    if let Some((digits, groups)) = numbers.next() {
        return Some(match groups {
            1 => format!("the decimal sign is a point, and thousands have none: {digits}"),
            _ => format!("thousands aren't separated, or by `_`: {digits}"),
        });
    }
    let key = line.split('=').next().unwrap_or("").trim();
    let has_unit = ["-bytes", "-s", "-ms", "-h", "-us"].iter().any(|unit| key.ends_with(unit));
    let number = word.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
    (has_unit && number.len() < word.len() && value.len() > word.len().saturating_sub(number.len()))
        .then(|| format!("a number alone: its unit is in the name of the key, `{key}`"))
}

/// A number whose digits are in groups, as it has to be written, and how many separators it has.
fn separated(value: &str) -> Option<(String, usize)> {
    let end = value.find(|letter: char| !letter.is_ascii_digit() && !",.'’".contains(letter));
    let number = value.get(..end.unwrap_or(value.len()))?.trim_end_matches(',');
    let groups: Vec<&str> = number.split([',', '.', '\'', '’']).collect();
    let digits =
        |group: &&str| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit());
    let separators = groups.len().checked_sub(1).filter(|count| *count > 0)?;
    if !groups.iter().all(digits) {
        return None;
    }
    match separators {
        // A number with a point is one.
        1 if number.contains('.') => None,
        1 if number.contains(',') => Some((groups.join("."), 1)),
        _ => Some((groups.concat(), 2)),
    }
}

/// A blank that is none to TOML, or nothing at all to see.
fn is_unseen(letter: char) -> bool {
    !letter.is_ascii()
        && (letter.is_whitespace()
            || letter.is_control()
            || matches!(letter, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}'))
}

/// The line in which a byte is, and the byte's place in it.
pub(super) fn line_at(text: &str, at: usize) -> (&str, usize) {
    let begin =
        text.get(..at).and_then(|above| above.rfind('\n')).map_or(0, |end| end.saturating_add(1));
    let line = text.get(begin..).unwrap_or("").split('\n').next().unwrap_or("");
    (line, at.saturating_sub(begin))
}
