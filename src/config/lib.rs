//! Configuration: one type per role. Files are read in two stages: raw (serde, private, every
//! key known, every value with its place in the file), then typed. A typed value that exists is
//! valid; what can't be made valid is a diagnostic with file, line, column, what was found,
//! what was wanted, and a hint. All problems are found in one run, and any of them is fatal.

mod broker;
mod it;
mod journal;
mod ot;
pub mod policies;
mod reader;
mod sandbox;
pub mod signature;
mod status;
mod syslog;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use ::signature::Requirement;
pub use broker::{Address, BrokerConfig, Credentials};
pub use it::{BackfillConfig, DataQos, FirstStart, ItConfig, MirrorConfig, OnGap};
pub use journal::{Durability, JournalConfig};
pub use ot::{OtConfig, RelayConfig};
pub use reader::file_diagnostic;
use reader::{Reader, Section, code};
pub use sandbox::SandboxConfig;
use serde::Deserialize;
pub use status::{HealthConfig, StatusConfig};
pub use syslog::{SyslogConfig, SyslogTo};
use toml::Spanned;

/// `[policies]` of both files as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawPolicies {
    paths: Option<Spanned<Vec<Spanned<String>>>>,
    /// `ot.toml` only.
    pseudonym_key_file: Option<Spanned<String>>,
    require_signature: Option<Spanned<signature::RawRequireSignature>>,
}

/// `[policies]` of both files: where the policies are, and whose signatures they need.
#[derive(Debug, Default)]
struct Policies {
    paths: Vec<PathBuf>,
    require_signature: Option<Requirement>,
}

/// `[state]` of both files as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawState {
    path: Option<Spanned<String>>,
}

/// Types `[policies]`; `None` if something in it was reported. `relay` is the relay's name,
/// where the file has it.
fn read_policies(
    reader: &mut Reader,
    section: &Section,
    raw: RawPolicies,
    relay: Option<&str>,
) -> Option<Policies> {
    let example = "[\"/etc/sparkdiode/policies\"]";
    let paths = reader.required(section, "paths", raw.paths, example)?;
    if paths.get_ref().is_empty() {
        let problem = reader
            .error(code::VALUE, paths.span(), "`paths` names no policy")
            .help("without a policy nothing crosses; name a file or a directory");
        reader.push(problem);
        return None;
    }
    let paths: Vec<PathBuf> =
        paths.into_inner().iter().map(|path| reader.path("paths", path).path).collect();
    let require_signature = match raw.require_signature {
        Some(required) => Some(signature::read(reader, required, &paths, relay)?),
        None => None,
    };
    Some(Policies { paths, require_signature })
}

/// Types `[state]`; `None` if something in it was reported.
fn read_state(
    reader: &mut Reader,
    section: &Section,
    raw: RawState,
    example: &str,
) -> Option<PathBuf> {
    let path = reader.required(section, "path", raw.path, example)?;
    Some(reader.path("path", &path).path)
}
