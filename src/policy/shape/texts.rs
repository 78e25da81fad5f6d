//! Steps on texts and bytes: lengths, content types, allowed values, patterns.

use std::collections::BTreeSet;
use std::sync::Arc;

use account::Reason;
use regex::{Regex, RegexBuilder};
use sparkplug::{DataType, MetaData, Value};

use super::{Refusal, is_bytes, is_integer, is_text, numbers};

/// Bytes of a pattern. What needs a longer one is a list.
pub(super) const MAX_PATTERN_BYTES: usize = 1024;
/// Bytes that a compiled pattern may take: repetitions of large classes grow fast.
const MAX_COMPILED_BYTES: usize = 256 * 1024;
/// Brackets within brackets.
const MAX_PATTERN_DEPTH: u32 = 32;

/// `max-length`, `max-bytes`, `content-types` and `too-long`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Length {
    /// Characters of a text.
    pub(super) max_length: Option<u64>,
    /// Bytes of Bytes, File and arrays.
    pub(super) max_bytes: Option<u64>,
    /// Of a File.
    pub(super) content_types: Option<Arc<[String]>>,
    pub(super) otherwise: Refusal,
}

/// `allowed` or `pattern`, and `not-allowed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Allowed {
    pub(super) values: AllowedValues,
    pub(super) otherwise: Refusal,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AllowedValues {
    Texts(Arc<BTreeSet<String>>),
    Numbers(Arc<BTreeSet<i128>>),
    Pattern(Pattern),
}

/// A regular expression over the whole text. The engine takes time proportional to
/// pattern × text, whatever either is.
#[derive(Clone, Debug)]
pub struct Pattern {
    source: Arc<str>,
    regex: Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.source == other.source && self.regex.as_str() == other.regex.as_str()
    }
}

impl Eq for Pattern {}

/// Why a pattern isn't one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("a pattern can't be longer than {MAX_PATTERN_BYTES} bytes")]
    TooLong,
    #[error("the pattern needs too much memory")]
    TooLarge,
    /// With what the parser says, and where.
    #[error("not a regular expression: {0}")]
    Syntax(String),
}

impl PatternError {
    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            PatternError::TooLong => "use `allowed`",
            PatternError::TooLarge => {
                "smaller repetitions; `max-length` limits the length at no cost"
            }
            PatternError::Syntax(what)
                if what.contains("look-around") || what.contains("backreference") =>
            {
                "the engine takes linear time whatever the text, and so has neither look-around nor \
                 backreferences"
            }
            PatternError::Syntax(_) => "write it in single quotes: `'[A-Z]{2}\\d+'`",
        }
    }
}

impl Length {
    pub(super) fn looks_at(&self, datatype: DataType) -> bool {
        (is_text(datatype) && self.max_length.is_some())
            || (is_bytes(datatype) && self.max_bytes.is_some())
    }

    /// Whether a text has more characters than it may.
    pub(super) fn is_too_long(&self, text: &str) -> bool {
        // Counting stops at the first character too many.
        self.max_length.is_some_and(|cap| {
            usize::try_from(cap).is_ok_and(|cap| text.chars().nth(cap).is_some())
        })
    }

    /// Whether the value is too long, or a file of another kind.
    pub(super) fn refuses(
        &self,
        datatype: DataType,
        value: &Value,
        metadata: Option<&MetaData>,
    ) -> Option<Reason> {
        let over = |length: usize, cap: Option<u64>| {
            cap.is_some_and(|cap| u64::try_from(length).map_or(true, |length| length > cap))
        };
        let too_long = match value {
            Value::String(text) if is_text(datatype) => self.is_too_long(text),
            Value::Bytes(bytes) if is_bytes(datatype) => over(bytes.len(), self.max_bytes),
            _ => false,
        };
        if too_long {
            return Some(Reason::TooLong);
        }
        if datatype != DataType::File {
            return None;
        }
        // Each value of a file has to say what it is.
        let content_type = metadata.and_then(|metadata| metadata.content_type.as_deref());
        let listed = |types: &Arc<[String]>| {
            content_type.is_some_and(|own| types.iter().any(|one| one.eq_ignore_ascii_case(own)))
        };
        let allowed = self.content_types.as_ref().is_some_and(listed);
        (!allowed).then_some(Reason::NotAllowed)
    }
}

impl Allowed {
    pub(super) fn looks_at(&self, datatype: DataType) -> bool {
        match self.values {
            AllowedValues::Numbers(_) => is_integer(datatype),
            AllowedValues::Texts(_) | AllowedValues::Pattern(_) => is_text(datatype),
        }
    }

    /// Whether it is about numbers, and not about texts.
    pub(super) fn is_of_numbers(&self) -> bool {
        matches!(self.values, AllowedValues::Numbers(_))
    }

    /// Whether a text is allowed; where it is about numbers, any is.
    pub(super) fn allows_text(&self, text: &str) -> bool {
        match &self.values {
            AllowedValues::Numbers(_) => true,
            AllowedValues::Texts(allowed) => allowed.contains(text),
            AllowedValues::Pattern(pattern) => pattern.matches_all(text),
        }
    }

    /// Whether the value is allowed; one of another kind is.
    pub(super) fn allows(&self, datatype: DataType, value: &Value) -> bool {
        if !self.looks_at(datatype) {
            return true;
        }
        match (&self.values, value) {
            (AllowedValues::Numbers(allowed), value) => {
                matches!(numbers::number(datatype, value),
                    Some(numbers::Number::Whole(number)) if allowed.contains(&number))
            }
            (_, Value::String(text)) => self.allows_text(text),
            _ => false,
        }
    }
}

impl Pattern {
    /// Compiles a pattern that has to match the whole text.
    ///
    /// # Errors
    /// See [`PatternError`].
    pub fn anchored(source: &str) -> Result<Pattern, PatternError> {
        // By itself first: `a)(b` would be a pattern with brackets around it.
        Pattern::compile(source, source)?;
        Pattern::compile(source, &format!(r"\A(?:{source})\z"))
    }

    /// Compiles a pattern that is looked for anywhere.
    ///
    /// # Errors
    /// See [`PatternError`].
    pub(super) fn anywhere(source: &str) -> Result<Pattern, PatternError> {
        Pattern::compile(source, source)
    }

    fn compile(source: &str, whole: &str) -> Result<Pattern, PatternError> {
        if source.len() > MAX_PATTERN_BYTES {
            return Err(PatternError::TooLong);
        }
        let regex = RegexBuilder::new(whole)
            .size_limit(MAX_COMPILED_BYTES)
            .nest_limit(MAX_PATTERN_DEPTH)
            .build()
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => PatternError::TooLarge,
                error => PatternError::Syntax(last_line(&error.to_string())),
            })?;
        Ok(Pattern { source: source.into(), regex })
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    pub(super) fn regex(&self) -> &Regex {
        &self.regex
    }

    /// Whether an anchored pattern matches the text.
    pub fn matches_all(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

/// The parser's report shows the pattern again and ends with what is wrong with it.
fn last_line(report: &str) -> String {
    let line = report.lines().last().unwrap_or_default();
    line.trim().trim_start_matches("error: ").to_owned()
}
