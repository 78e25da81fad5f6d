//! Reads what a table says about texts and bytes: lengths, allowed values, patterns, pseudonyms.

use std::sync::Arc;

use diagnostic::{Placed, Scalar, Section};
use sparkplug::Caps;

use super::Reader;
use crate::shape::pseudonym::Pseudonym;
use crate::shape::texts::{Allowed, AllowedValues, Length, Pattern};
use crate::shape::{is_bytes, is_text};

/// Values of one list. What needs more is a pattern, or no list.
const MAX_ALLOWED: usize = 10_000;

impl Reader<'_, '_> {
    pub(super) fn length(&mut self, section: &mut Section<'_, '_>) -> Option<Length> {
        let max_length = self.whole(section, "max-length", 0, Caps::MOST_BYTES);
        let max_bytes = self.whole(section, "max-bytes", 1, Caps::MOST_BYTES);
        let content_types = section.strings("content-types", self.problems);
        let otherwise = self.refusal(section, "too-long");
        if section.key_span("max-length").is_none() && section.key_span("max-bytes").is_none() {
            self.without(section, "too-long", &["max-length", "max-bytes"], "longer than what?");
            self.without(
                section,
                "content-types",
                &["max-bytes"],
                "files need a cap on their size",
            );
            return None;
        }
        if section.key_span("max-bytes").is_none() {
            self.without(
                section,
                "content-types",
                &["max-bytes"],
                "files need a cap on their size",
            );
        }
        if max_length.is_some() {
            self.usable(section, "max-length", is_text);
        }
        if max_bytes.is_some() {
            self.usable(section, "max-bytes", is_bytes);
        }
        let content_types = content_types.map(|types| {
            for one in &types {
                self.content_type(one);
            }
            types.into_iter().map(|one| one.value).collect()
        });
        Some(Length { max_length, max_bytes, content_types, otherwise })
    }

    fn content_type(&mut self, content_type: &Placed<String>) {
        let plain = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
        };
        let is_type =
            content_type.value.split_once('/').is_some_and(|(kind, sub)| plain(kind) && plain(sub));
        if !is_type {
            let title = format!("not a content type: `{}`", content_type.value);
            self.error("P040", content_type.span.clone(), title, "such as `image/png`")
                .help("types are compared as a whole; there are no wildcards and parameters");
        }
    }

    pub(super) fn allowed(&mut self, section: &mut Section<'_, '_>) -> Option<Allowed> {
        let list = section.scalars("allowed", self.problems);
        let pattern = section.string("pattern", self.problems);
        let otherwise = self.refusal(section, "not-allowed");
        if list.is_some()
            && pattern.is_some()
            && let Some(span) = section.key_span("pattern")
        {
            self.error("P040", span, "`allowed` and `pattern` in one table", "one is enough")
                .help("a pattern can name alternatives: `'RUN|STOP'`");
            return None;
        }
        if section.key_span("allowed").is_none() && section.key_span("pattern").is_none() {
            self.without(section, "not-allowed", &["allowed", "pattern"], "what is allowed?");
            return None;
        }
        let values = match (list, pattern) {
            (Some(list), _) => self.allowed_list(&list)?,
            (_, Some(pattern)) => AllowedValues::Pattern(self.pattern(&pattern, true)?),
            _ => return None,
        };
        let allowed = Allowed { values, otherwise };
        let key = if section.key_span("allowed").is_some() { "allowed" } else { "pattern" };
        self.usable(section, key, |datatype| allowed.looks_at(datatype));
        Some(allowed)
    }

    fn allowed_list(&mut self, list: &Placed<Vec<Placed<Scalar>>>) -> Option<AllowedValues> {
        if list.value.is_empty() {
            self.error("P017", list.span.clone(), "`allowed` is an empty list", "")
                .help("to let no value through, deny the metric");
            return None;
        }
        if list.value.len() > MAX_ALLOWED {
            let title = format!("`allowed` has more than {MAX_ALLOWED} values");
            self.error("P016", list.span.clone(), title, "").help("use `pattern`");
            return None;
        }
        let texts = list.value.iter().map(|value| match &value.value {
            Scalar::Text(text) => Some(text.clone()),
            _ => None,
        });
        let numbers = list.value.iter().map(|value| match value.value {
            Scalar::Whole(whole) => Some(whole),
            _ => None,
        });
        if let Some(texts) = texts.collect::<Option<_>>() {
            return Some(AllowedValues::Texts(Arc::new(texts)));
        }
        if let Some(numbers) = numbers.collect::<Option<_>>() {
            return Some(AllowedValues::Numbers(Arc::new(numbers)));
        }
        let title = "`allowed` mixes strings and numbers";
        self.error("P040", list.span.clone(), title, "")
            .help("a metric has one datatype; make a table for each");
        None
    }

    fn pattern(&mut self, pattern: &Placed<String>, whole: bool) -> Option<Pattern> {
        let compiled = match whole {
            true => Pattern::anchored(&pattern.value),
            false => Pattern::anywhere(&pattern.value),
        };
        match compiled {
            Ok(compiled) => Some(compiled),
            Err(error) => {
                let help = error.help();
                self.error("P041", pattern.span.clone(), error.to_string(), "").help(help);
                None
            }
        }
    }

    pub(super) fn pseudonym(&mut self, section: &mut Section<'_, '_>) -> Option<Pseudonym> {
        let value = section.boolean_or_string("pseudonym", self.problems)?;
        self.usable(section, "pseudonym", is_text);
        match value.value {
            Scalar::Boolean(true) => Some(Pseudonym::Whole),
            Scalar::Text(text) => {
                let pattern = Placed { value: text, span: value.span };
                self.pattern(&pattern, false).map(Pseudonym::Matches)
            }
            Scalar::Boolean(false) | Scalar::Whole(_) => {
                self.error("P040", value.span, "`pseudonym = false` says nothing", "leave it out")
                    .help("`inherit = false` frees metrics from `[rule.shape]`");
                None
            }
        }
    }
}
