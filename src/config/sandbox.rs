//! `[sandbox]` of both files: the user that a half becomes, and what it does without.

use sandbox::{Layer, UserSpec};
use serde::Deserialize;
use toml::Spanned;

use super::reader::{Reader, code};

/// How a half is confined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SandboxConfig {
    /// The user that a half that root starts becomes; `None`: it is started as that user.
    pub user: Option<UserSpec>,
    /// Layers that the operator gives up, in so many words.
    pub waived: Vec<Layer>,
}

/// `[sandbox]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawSandbox {
    user: Option<Spanned<String>>,
    group: Option<Spanned<String>>,
    waive: Option<Spanned<Vec<Spanned<String>>>>,
}

impl SandboxConfig {
    pub(super) fn read(reader: &mut Reader, raw: RawSandbox) -> SandboxConfig {
        let lone_group = raw.group.as_ref().filter(|_| raw.user.is_none()).map(Spanned::span);
        if let Some(span) = lone_group {
            let problem = reader
                .error(code::COMBINATION, span, "`group` without `user`")
                .help("a group is taken on together with a user");
            reader.push(problem);
        }
        let user = reader.text("user", raw.user, name_fault);
        let group = reader.text("group", raw.group, name_fault);
        let mut waived = Vec::new();
        for word in raw.waive.map(Spanned::into_inner).unwrap_or_default() {
            if let Some(layer) = Layer::ALL.into_iter().find(|layer| layer.name() == word.get_ref())
            {
                waived.push(layer);
                continue;
            }
            let names: Vec<String> =
                Layer::ALL.iter().map(|layer| format!("`{}`", layer.name())).collect();
            let problem = reader
                .error(code::VALUE, word.span(), format!("unknown layer: `{}`", word.get_ref()))
                .label(format!("wanted one of {}", names.join(", ")));
            reader.push(problem);
        }
        waived.sort_unstable();
        waived.dedup();
        SandboxConfig { user: user.map(|user| UserSpec { user, group }), waived }
    }
}

/// A user or group: a name as systemd takes it, or a number.
fn name_fault(name: &str) -> Option<String> {
    let fits = (1..=32).contains(&name.len())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-.".contains(letter));
    (!fits).then(|| "wanted the name or number of a user or group".to_owned())
}
