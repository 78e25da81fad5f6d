//! How configuration files name what is wrong with a table of theirs.

use diagnostic::{Diagnostic, Kind, Placed, Section, Wording};
use toml::de::DeValue;

use super::code;

/// The wording of `ot.toml` and `it.toml`. The noun of a section is its name (`broker.tls`);
/// that of a whole file is empty.
#[derive(Debug)]
pub(super) struct ConfigWording;

impl Wording for ConfigWording {
    fn unknown_key(
        &self,
        section: &Section<'_, '_>,
        key: Placed<&str>,
        hint: Option<String>,
    ) -> Diagnostic {
        let (place, known) = (place_of(section), section.known_keys());
        let title = format!("unknown key: `{}` in {place}", key.value);
        let problem = Diagnostic::error(code::UNKNOWN_KEY, section.file(), key.span, title)
            .did_you_mean(key.value, known.iter().copied())
            .help(format!("keys of {place}: {}", known.join(", ")));
        hint.into_iter().fold(problem, Diagnostic::help)
    }

    fn wrong_type(
        &self,
        section: &Section<'_, '_>,
        key: &str,
        value: Placed<&DeValue<'_>>,
        wanted: Kind,
    ) -> Diagnostic {
        let path = match section.noun() {
            "" => key.to_owned(),
            name => format!("{name}.{key}"),
        };
        let got = match value.value {
            DeValue::String(text) => format!("string {text:?}"),
            DeValue::Integer(number) => format!("integer `{}`", number.as_str()),
            DeValue::Float(number) => format!("floating point `{}`", number.as_str()),
            DeValue::Boolean(boolean) => format!("boolean `{boolean}`"),
            DeValue::Datetime(moment) => format!("date or time `{moment}`"),
            DeValue::Array(_) => "an array".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        };
        let title = format!("wrong type of `{path}`: got {got}, wanted {}", name_of(wanted));
        Diagnostic::error(code::TYPE, section.file(), value.span, title)
    }

    /// `help` is a value that the key could have.
    fn missing(&self, section: &Section<'_, '_>, key: &str, help: &str) -> Diagnostic {
        let title = format!("missing key: `{key}` in {}", place_of(section));
        let (problem, header) = match (section.place(), section.noun()) {
            (Some(span), _) => {
                let problem = Diagnostic::error(code::MISSING, section.file(), span, title);
                (problem.label(format!("lacks `{key}`")), String::new())
            }
            (None, name) => {
                let header = if name.is_empty() { String::new() } else { format!("[{name}] ") };
                (Diagnostic::file_error(code::MISSING, &section.file().path, title), header)
            }
        };
        problem.help(format!("for example: {header}{key} = {help}"))
    }
}

fn place_of(section: &Section<'_, '_>) -> String {
    match section.noun() {
        "" => "the file".to_owned(),
        name => format!("`[{name}]`"),
    }
}

fn name_of(kind: Kind) -> &'static str {
    match kind {
        Kind::String | Kind::Moment => "a string",
        Kind::StringOrStrings => "a string or an array",
        Kind::Boolean => "a boolean",
        Kind::BooleanOrString => "a boolean or a string",
        Kind::Integer => "an integer",
        Kind::Number | Kind::FiniteNumber => "a number",
        Kind::Strings | Kind::Scalars | Kind::Tables => "an array",
        Kind::Table => "a table",
    }
}
