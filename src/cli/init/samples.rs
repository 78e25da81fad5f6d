//! The configurations of an appliance as the package ships them, with what they name filled in.

use std::path::Path;

use super::{InitArgs, NewFile, policy};

pub(super) const OT: &str = include_str!("../../../systemd/ot.toml");
pub(super) const IT: &str = include_str!("../../../systemd/it.toml");
/// What the samples name, and where it stands.
pub(super) const OT_BROKER: &str = "10.10.0.5:8883";
pub(super) const IT_BROKER: &str = "broker.example.com:8883";
pub(super) const NAME: &str = "plant-a-relay";

/// Directories that were made, and the commands for the others.
#[derive(Debug, Default)]
pub(super) struct SetUp {
    pub(super) made: Vec<&'static str>,
    pub(super) to_do: Vec<String>,
}

/// Both configurations, and a policy, for a directory with this absolute path.
pub(super) fn files(arguments: &InitArgs, directory: &Path) -> [NewFile; 3] {
    [
        NewFile::public("ot.toml", filled_in(arguments, directory, OT)),
        NewFile::public("it.toml", filled_in(arguments, directory, IT)),
        policy(arguments, "policies/first.toml"),
    ]
}

/// A sample with what the arguments say, for a directory with this absolute path.
pub(super) fn filled_in(arguments: &InitArgs, directory: &Path, sample: &str) -> String {
    let policies = directory.join("policies").to_string_lossy().into_owned();
    let policies = toml::Value::String(policies).to_string();
    let text = sample
        .replace("\"/etc/sparkdiode/policies\"", &policies)
        .replace(NAME, arguments.name.as_deref().unwrap_or(NAME));
    let text = replaced(&text, OT_BROKER, arguments.ot_broker.as_deref());
    replaced(&text, IT_BROKER, arguments.it_broker.as_deref())
}

/// Of the address alone, not of names that begin with it.
fn replaced(text: &str, sample: &str, wanted: Option<&str>) -> String {
    wanted.map_or_else(|| text.to_owned(), |wanted| text.replace(sample, wanted))
}
