//! `[policies.require-signature]` of both files: whose signatures a policy needs.

use std::path::{Path, PathBuf};

use diagnostic::Section;
use signature::{FILE_NAME, NamedKey, Requirement};

use super::code;
use super::reader::Reader;

/// `threshold`: any listed key is enough, unless the operator wants more eyes.
const DEFAULT_THRESHOLD: u64 = 1;

/// Types the table; `None` if something in it was reported. `relay` is the relay's name, where
/// the file has it.
pub(super) fn read(
    reader: &mut Reader,
    section: Section<'_, '_>,
    paths: &[PathBuf],
    relay: Option<&str>,
) -> Option<Requirement> {
    let mut section = section.with_keys(&["keys", "threshold", "file", "relay"]);
    reader.required(&section, "keys", "[\"ed25519:… alice\"]");
    let listed = section.list("keys", &mut reader.problems);
    let file = reader.path_under(&mut section, "file");
    let own = reader.text(&mut section, "relay", |name| {
        name.is_empty().then(|| "wanted the name of the relay, as in `ot.toml`".to_owned())
    });
    let mut keys: Vec<NamedKey> = Vec::new();
    let mut complete = listed.is_some();
    for text in listed.iter().flat_map(|listed| &listed.value) {
        match text.value.parse::<NamedKey>() {
            Ok(key) if keys.iter().any(|other| other.key == key.key) => {
                let title = format!("a key is listed twice: `{}`", key.key);
                let problem = reader.error(code::VALUE, text.span.clone(), title);
                reader.push(problem.help("two signatures must come from two keys"));
                complete = false;
            }
            Ok(key) => keys.push(key),
            Err(error) => {
                let problem = reader
                    .error(code::VALUE, text.span.clone(), error.to_string())
                    .label("wanted `ed25519:` and 44 letters, then a name if you like")
                    .help("`sparkdiode policy keygen` prints it");
                reader.push(problem);
                complete = false;
            }
        }
    }
    if let Some(listed) = listed.as_ref().filter(|listed| listed.value.is_empty()) {
        let problem = reader
            .error(code::VALUE, listed.span.clone(), "`keys` names no key")
            .help("leave the table out if signatures aren't required");
        reader.push(problem);
        complete = false;
    }
    let most = u64::try_from(keys.len()).unwrap_or(u64::MAX).max(1);
    // Where keys were refused, how many there are meant to be isn't known.
    let range = if complete { 1..=most } else { 1..=u64::MAX };
    let threshold = reader.number(&mut section, "threshold", range, DEFAULT_THRESHOLD);
    reader.close(&section);
    let file = match file {
        Some(file) => file.path,
        None => beside(paths.first()?),
    };
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
