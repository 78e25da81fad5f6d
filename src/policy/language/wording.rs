//! How policies name what is wrong with a table of theirs. The codes are listed in
//! `language`.

use diagnostic::{Diagnostic, Kind, Placed, Section, SourceFile, Wording};
use toml::de::DeValue;

/// The wording of policy files.
#[derive(Debug)]
pub(super) struct PolicyWording;

impl Wording for PolicyWording {
    fn unknown_key(
        &self,
        section: &Section<'_, '_>,
        key: Placed<&str>,
        hint: Option<String>,
    ) -> Diagnostic {
        let title = format!("unknown key: `{}`", key.value);
        let problem = Diagnostic::error("P002", section.file(), key.span, title)
            .label(format!("not a key of {}", section.noun()));
        let known = section.known_keys();
        let problem = match hint {
            Some(hint) => problem.help(hint),
            None => problem.did_you_mean(key.value, known.iter().copied()),
        };
        if !problem.help.is_empty() {
            return problem;
        }
        let known: Vec<String> = known.iter().map(|known| format!("`{known}`")).collect();
        problem.help(format!("the keys of {} are {}", section.noun(), known.join(", ")))
    }

    fn wrong_type(
        &self,
        section: &Section<'_, '_>,
        key: &str,
        value: Placed<&DeValue<'_>>,
        wanted: Kind,
    ) -> Diagnostic {
        let title = format!("`{key}` must be {}", name_of(wanted));
        let problem = Diagnostic::error("P003", section.file(), value.span, title);
        match value.value {
            DeValue::Table(_) if wanted == Kind::Tables => problem
                .label("this is one table")
                .help(format!("write `[[{key}]]`, with two brackets")),
            DeValue::String(_) => problem.label("this is a string"),
            DeValue::Integer(_) | DeValue::Float(_) => problem.label("this is a number"),
            DeValue::Boolean(_) => problem.label("this is a boolean"),
            DeValue::Datetime(_) => problem.label("this is a date or time"),
            DeValue::Array(_) => problem.label("this is a list"),
            DeValue::Table(_) => problem.label("this is a table"),
        }
    }

    fn missing(&self, section: &Section<'_, '_>, key: &str, help: &str) -> Diagnostic {
        let title = format!("missing key: `{key}`");
        Diagnostic::error("P004", section.file(), section.header(), title)
            .label(format!("{} needs it", section.noun()))
            .help(help)
    }

    /// It would select nothing, or everything, depending on who reads it.
    fn empty_list(&self, list: Placed<&str>, file: &SourceFile) -> Option<Diagnostic> {
        let key = list.value;
        let title = format!("`{key}` is an empty list");
        let problem = Diagnostic::error("P017", file, list.span, title);
        Some(problem.help(format!("leave `{key}` out if it isn't meant to limit anything")))
    }
}

fn name_of(kind: Kind) -> &'static str {
    match kind {
        Kind::String => "a string",
        Kind::Strings => "a list of strings",
        Kind::StringOrStrings => "a string or a list of strings",
        Kind::Boolean => "`true` or `false`",
        Kind::BooleanOrString => "`true` or a string",
        Kind::Integer => "a whole number",
        Kind::Number => "a number",
        Kind::FiniteNumber => "a finite number",
        Kind::Scalars => "a list of strings or of whole numbers",
        Kind::Moment => "a date with time and zone",
        Kind::Table => "a table",
        Kind::Tables => "a list of tables",
    }
}
