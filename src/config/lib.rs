//! Configuration: one type per role. The sections of a file are asked for their keys one by one,
//! every value has its place in the file, and a key that nobody asks for is unknown. A typed
//! value that exists is valid; what can't be made valid is a diagnostic with file, line, column,
//! what was found, what was wanted, and a hint. All problems are found in one run, and any of
//! them is fatal. It starts nothing and reads no policy's language.

mod address;
mod broker;
mod broker_at;
mod broker_tls;
mod code;
mod credentials;
mod five;
mod half;
mod it;
mod journal;
pub mod keys;
mod limits;
mod link_end;
mod ot;
pub mod places;
pub mod policies;
pub mod profile;
mod reader;
mod receive;
mod sandbox;
mod send;
mod servers;
pub mod signature;
mod status;
mod syslog;
#[cfg(test)]
mod tests;
mod wording;

use std::path::{Path, PathBuf};

use ::signature::Requirement;
pub use address::{Address, parse_address};
pub use broker::{BrokerConfig, ClientIdForm, Credentials};
pub use broker_at::BrokerAt;
use diagnostic::Section;
pub use five::{FiveConfig, Protocol};
pub use half::{Half, half_of};
pub use it::{
    Aliases, BackfillConfig, DataDatatypes, DataQos, FirstStart, ItConfig, MirrorConfig, OnGap,
};
pub use journal::{Durability, JournalConfig, ReceivedJournalConfig};
pub use link_end::{LinkKeyError, read_link_key};
pub use ot::{OtConfig, RelayConfig, relay_name_fault};
pub use profile::Profile;
use reader::Reader;
pub use reader::{CREDENTIALS_VARIABLE, file_diagnostic};
pub use receive::{ReceiveConfig, ReceivePath};
pub use sandbox::SandboxConfig;
pub use send::{SendConfig, SendPath};
pub use servers::{AddressesPath, ServerConfig, ServerOrder, ServersConfig};
pub use status::{HealthConfig, StatusConfig};
pub use syslog::{SyslogConfig, SyslogTo};

/// `[policies]` of both files: where the policies are, and whose signatures they need.
#[derive(Debug, Default)]
struct Policies {
    paths: Vec<PathBuf>,
    require_signature: Option<Requirement>,
}

/// The keys of `[policies]`; the key for pseudonyms and the policy in shadow are those of `ot.toml` only.
const POLICIES_KEYS: &[&str] = &["paths", "observe", "pseudonym-key-file", "require-signature"];

/// Types `[policies]`; `None` if something in it was reported. `relay` is the relay's name,
/// where the file has it.
fn read_policies(
    reader: &mut Reader,
    mut section: Section<'_, '_>,
    relay: Option<&str>,
) -> Option<Policies> {
    reader.required(&section, "paths", "[\"/etc/sparkdiode/policies\"]");
    let paths = section.list("paths", &mut reader.problems);
    let name = "policies.require-signature";
    let required = section.table("require-signature", name, &mut reader.problems);
    reader.close(&section);
    let paths = paths?;
    if paths.value.is_empty() {
        let problem = reader
            .error(code::VALUE, paths.span, "`paths` names no policy")
            .help("without a policy nothing crosses; name a file or a directory");
        reader.push(problem);
        return None;
    }
    let paths: Vec<PathBuf> =
        paths.value.iter().map(|path| reader.path("paths", path).path).collect();
    let require_signature = match required {
        Some(required) => Some(signature::read(reader, required, &paths, relay)?),
        None => None,
    };
    Some(Policies { paths, require_signature })
}

/// Types `[state]`; `None` if something in it was reported. What one half alone writes and what one of
/// them may only read are two directories, apart from each other: rights hold for all that is inside.
fn read_state(
    reader: &mut Reader,
    top: &mut Section<'_, '_>,
    example: &str,
    journal: Option<&Path>,
) -> Option<PathBuf> {
    let mut section = reader.table(top, "state", &["path"]);
    reader.required(&section, "path", example);
    let path = reader.path_under(&mut section, "path");
    reader.close(&section);
    let path = path?;
    if let Some(journal) = journal
        && let Some(relation) = places::relation(&path.path, journal)
    {
        let title = format!("the state directory is {} the journal", relation.words());
        let problem = reader
            .error(code::COMBINATION, path.span, title)
            .label(format!("`[journal] path` is `{}`", journal.display()))
            .help("the journal is what both halves see; state is for one half alone: two directories side by side");
        reader.push(problem);
    }
    Some(path.path)
}
