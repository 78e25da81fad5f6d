//! What a file that `check` is given is: seen from its content, then from its name.

use std::path::Path;

use config::{Half, file_diagnostic, half_of};
use diagnostic::file::read_text;
use diagnostic::{Diagnostic, Diagnostics, SourceFile};
use toml::de::{DeTable, DeValue};

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Kind {
    Ot,
    It,
    Send,
    Receive,
    Policy,
}

/// Sees what a file is from the tables and keys in it, and, where they say nothing, from
/// its name.
pub(in crate::cli) fn recognise(path: &Path) -> Result<(Kind, SourceFile), Diagnostics> {
    if path.is_dir() {
        return Ok((Kind::Policy, SourceFile::new(path, "")));
    }
    let text = read_text(path).map_err(|error| file_diagnostic(path, &error))?;
    let file = SourceFile::new(path, text);
    let kind = {
        // Mistakes of syntax are reported by whoever reads the file for good.
        let (document, _) = DeTable::parse_recoverable(&file.text);
        kind_of(document.get_ref(), path)
    };
    match kind {
        Some(kind) => Ok((kind, file)),
        None => Err(Diagnostic::file_error(
            "C001",
            path,
            "neither a configuration of a half nor a policy",
        )
        .help("`ot.toml` has `name` and `[relay]`, `it.toml` has `[mirror]`, the ends of a link have `[[path]]`, a policy has `[[rule]]`")
        .into()),
    }
}

fn kind_of(table: &DeTable<'_>, path: &Path) -> Option<Kind> {
    let has = |key: &str| table.contains_key(key);
    let in_table = |name: &str, key: &str| match table.get(name).map(|value| value.get_ref()) {
        Some(DeValue::Table(table)) => table.contains_key(key),
        _ => false,
    };
    // Both halves have limits, too, but of other things.
    let limits = in_table("limits", "node") || in_table("limits", "link");
    let is_configuration = has("broker") || has("journal") || has("path");
    if has("rule") || has("rename") || limits || (has("case") && !is_configuration) {
        return Some(Kind::Policy);
    }
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    half_of(table, name).map(|half| match half {
        Half::Ot => Kind::Ot,
        Half::It => Kind::It,
        Half::Send => Kind::Send,
        Half::Receive => Kind::Receive,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str, text: &str) -> Option<Kind> {
        let (document, _) = DeTable::parse_recoverable(text);
        kind_of(document.get_ref(), Path::new(name))
    }

    #[test]
    fn a_file_is_recognised_by_its_content_before_its_name() {
        assert_eq!(kind("x.toml", "name = \"a\""), Some(Kind::Ot));
        assert_eq!(kind("ot.toml", "[mirror]"), Some(Kind::It));
        assert_eq!(kind("it.toml", "[relay]"), Some(Kind::Ot));
        assert_eq!(kind("x.toml", "[broker]\nclient-id-prefix = \"a\""), Some(Kind::It));
        let misplaced = "name = \"a\"\n[broker]\nclient-id-prefix = \"a\"";
        assert_eq!(kind("x.toml", misplaced), Some(Kind::Ot));
        assert_eq!(kind("ot.toml", "[[rule]]"), Some(Kind::Policy));
        assert_eq!(kind("ot.toml", "[limits.node]\nmessages-per-s = 1"), Some(Kind::Policy));
        assert_eq!(kind("x.toml", "[mirror]\n[limits]\nnesting = 9"), Some(Kind::It));
        assert_eq!(kind("it-plant.toml", "[broker]"), Some(Kind::It));
        // What any file of the IT half has, and no file of the OT half.
        let smallest =
            "[broker]\naddress = \"b:1\"\n[journal]\npath = \"j\"\n[state]\npath = \"s\"";
        assert_eq!(kind("enterprise.toml", smallest), Some(Kind::It));
        assert_eq!(kind("enterprise.toml", &format!("name = \"n\"\n{smallest}")), Some(Kind::Ot));
        assert_eq!(kind("x.toml", &format!("{smallest}\n[health]")), Some(Kind::It));
        let copy = format!("{smallest}\n[policies]\npaths = [\"p\"]");
        assert_eq!(kind("x.toml", &copy), Some(Kind::It));
        assert_eq!(kind("it-cases.toml", "[[case]]"), Some(Kind::Policy));
        assert_eq!(kind("x.toml", "[journal]\nsegment-bytes = 65536"), Some(Kind::Ot));
        assert_eq!(kind("ot.toml", "[broker"), Some(Kind::Ot));
        let (to, listen) = ("[[path]]\nto = \"a\"", "[[path]]\nlisten = \"a\"");
        assert_eq!(kind("x.toml", to), Some(Kind::Send));
        assert_eq!(kind("send.toml", listen), Some(Kind::Receive));
        assert_eq!(kind("send.toml", "[[path]]"), Some(Kind::Send));
        assert_eq!(kind("x.toml", &format!("{to}\n[[rule]]")), Some(Kind::Policy));
        assert_eq!(kind("x.toml", "[broker]"), None);
        assert_eq!(kind("x.toml", ""), None);
    }
}
