//! `[policies.require-signature]` of both files: whose signatures a policy needs.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use signature::{FILE_NAME, NamedKey, Requirement};
use toml::Spanned;

use super::reader::{Reader, Section, code};

/// `threshold`: any listed key is enough, unless the operator wants more eyes.
const DEFAULT_THRESHOLD: u64 = 1;

/// The table as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawRequireSignature {
    keys: Option<Spanned<Vec<Spanned<String>>>>,
    threshold: Option<Spanned<i64>>,
    file: Option<Spanned<String>>,
    relay: Option<Spanned<String>>,
}

/// Types the table; `None` if something in it was reported. `relay` is the relay's name, where
/// the file has it.
pub(super) fn read(
    reader: &mut Reader,
    raw: Spanned<RawRequireSignature>,
    paths: &[PathBuf],
    relay: Option<&str>,
) -> Option<Requirement> {
    let (section, raw) = Section::of("policies.require-signature", Some(raw));
    let listed = reader.required(&section, "keys", raw.keys, "[\"ed25519:… alice\"]")?;
    let whole = listed.span();
    let mut keys: Vec<NamedKey> = Vec::new();
    let mut complete = true;
    for text in listed.into_inner() {
        match text.get_ref().parse::<NamedKey>() {
            Ok(key) if keys.iter().any(|other| other.key == key.key) => {
                let title = format!("a key is listed twice: `{}`", key.key);
                let problem = reader.error(code::VALUE, text.span(), title);
                reader.push(problem.help("two signatures must come from two keys"));
                complete = false;
            }
            Ok(key) => keys.push(key),
            Err(error) => {
                let problem = reader
                    .error(code::VALUE, text.span(), error.to_string())
                    .label("wanted `ed25519:` and 44 letters, then a name if you like")
                    .help("`sparkdiode policy keygen` prints it");
                reader.push(problem);
                complete = false;
            }
        }
    }
    if keys.is_empty() && complete {
        let problem = reader
            .error(code::VALUE, whole, "`keys` names no key")
            .help("leave the table out if signatures aren't required");
        reader.push(problem);
        return None;
    }
    let most = u64::try_from(keys.len()).unwrap_or(u64::MAX).max(1);
    // Where keys were refused, how many there are meant to be isn't known.
    let range = if complete { 1..=most } else { 1..=u64::MAX };
    let threshold = reader.number("threshold", raw.threshold.as_ref(), range, DEFAULT_THRESHOLD);
    let file = match &raw.file {
        Some(file) => reader.path("file", file).path,
        None => beside(paths.first()?),
    };
    let own = reader.text("relay", raw.relay, |name| {
        name.is_empty().then(|| "wanted the name of the relay, as in `ot.toml`".to_owned())
    });
    complete.then(|| Requirement {
        keys,
        threshold: usize::try_from(threshold).unwrap_or(usize::MAX),
        file,
        relay: own.or_else(|| relay.map(str::to_owned)),
    })
}

/// The signature file of the policies in `path`, a file or a directory.
pub fn beside(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(FILE_NAME) } else { path.with_file_name(FILE_NAME) }
}
