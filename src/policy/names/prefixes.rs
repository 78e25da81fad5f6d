//! What rules do with the names of metrics.

use std::borrow::Cow;

use diagnostic::{Diagnostic, Diagnostics, Section, SourceFile, inside};
use sparkplug::names;

use super::MAX_NAME_BYTES;

/// What a forward rule does with the names of the metrics that it forwards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefixes {
    /// Taken off, where a name begins with it.
    pub strip: Option<String>,
    /// Put in front, after that.
    pub add: Option<String>,
}

impl Prefixes {
    /// The name under which a metric crosses.
    pub fn exported_name<'a>(&self, name: &'a str) -> Cow<'a, str> {
        let rest = self.strip.as_deref().and_then(|strip| name.strip_prefix(strip)).unwrap_or(name);
        match &self.add {
            Some(add) => Cow::Owned(format!("{add}{rest}")),
            None => Cow::Borrowed(rest),
        }
    }
}

/// Reads `strip-prefix` and `add-prefix` of a rule.
pub(crate) fn read_prefixes(
    file: &SourceFile,
    rule: &mut Section<'_, '_>,
    problems: &mut Diagnostics,
) -> Option<Prefixes> {
    let strip = rule.string("strip-prefix", problems);
    let add = rule.string("add-prefix", problems);
    for (key, prefix) in [("strip-prefix", &strip), ("add-prefix", &add)] {
        let Some(prefix) = prefix else { continue };
        let title = if prefix.value.is_empty() {
            format!("`{key}` is empty")
        } else if prefix.value.len() > MAX_NAME_BYTES {
            format!("`{key}` can't be longer than {MAX_NAME_BYTES} bytes")
        } else if let Some(offset) = prefix.value.find('\0') {
            let span = inside(file, prefix, &(offset..offset.saturating_add(1)));
            problems.push(Diagnostic::error("P032", file, span, "a name can't contain U+0000"));
            continue;
        } else if key == "add-prefix" && is_reserved(&prefix.value) {
            format!("no metric can cross under `{}`", prefix.value)
        } else {
            continue;
        };
        problems.push(Diagnostic::error("P032", file, prefix.span.clone(), title));
    }
    if strip.is_none() && add.is_none() {
        return None;
    }
    Some(Prefixes { strip: strip.map(|strip| strip.value), add: add.map(|add| add.value) })
}

/// Whether a metric can't have this name on IT: it would be taken for something of Sparkplug's
/// own.
pub fn is_reserved(name: &str) -> bool {
    name.is_empty()
        || name == names::BD_SEQ
        || name.starts_with(names::NODE_CONTROL_PREFIX)
        || name.starts_with(names::DEVICE_CONTROL_PREFIX)
}
