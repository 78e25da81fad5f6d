//! `[sandbox]` of both files: the user that a half becomes, and what it does without.

use diagnostic::Section;
use sandbox::{Layer, UserSpec};

use super::code;
use super::reader::Reader;

/// What is no layer of a process: that each half has a broker of its own.
const ONE_BROKER: &str = "one-broker";

/// How a half is confined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SandboxConfig {
    /// The user that a half that root starts becomes; `None`: it is started as that user.
    pub user: Option<UserSpec>,
    /// Layers that the operator gives up, in so many words.
    pub waived: Vec<Layer>,
    /// The operator says that both halves use one broker: what the IT half publishes, it publishes
    /// where the plant does.
    pub one_broker: bool,
}

impl SandboxConfig {
    /// Of a half, which has a broker.
    pub(super) fn read(reader: &mut Reader, top: &mut Section<'_, '_>) -> SandboxConfig {
        SandboxConfig::typed(reader, top, &[ONE_BROKER])
    }

    /// Of an end of a link.
    pub(super) fn read_of_end(reader: &mut Reader, top: &mut Section<'_, '_>) -> SandboxConfig {
        SandboxConfig::typed(reader, top, &[])
    }

    fn typed(
        reader: &mut Reader,
        top: &mut Section<'_, '_>,
        more: &'static [&'static str],
    ) -> SandboxConfig {
        let mut section = reader.table(top, "sandbox", &["user", "group", "waive"]);
        let user = reader.text(&mut section, "user", name_fault);
        if let (None, Some(span)) = (&user, section.value_span("group")) {
            let problem = reader
                .error(code::COMBINATION, span, "`group` without `user`")
                .help("a group is taken on together with a user");
            reader.push(problem);
        }
        let group = reader.text(&mut section, "group", name_fault);
        let words = section.list("waive", &mut reader.problems);
        reader.close(&section);
        let mut waived = Vec::new();
        let mut one_broker = false;
        for word in words.map(|words| words.value).unwrap_or_default() {
            if let Some(layer) = Layer::ALL.into_iter().find(|layer| layer.name() == word.value) {
                waived.push(layer);
                continue;
            }
            if more.contains(&word.value.as_str()) {
                one_broker = true;
                continue;
            }
            let names = Layer::ALL.iter().map(|layer| layer.name()).chain(more.iter().copied());
            let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
            let problem = reader
                .error(code::VALUE, word.span, format!("unknown layer: `{}`", word.value))
                .label(format!("wanted one of {}", names.join(", ")));
            reader.push(problem);
        }
        waived.sort_unstable();
        waived.dedup();
        SandboxConfig { user: user.map(|user| UserSpec { user, group }), waived, one_broker }
    }
}

/// A user or group: a name as systemd takes it, or a number.
fn name_fault(name: &str) -> Option<String> {
    let fits = (1..=32).contains(&name.len())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-.".contains(letter));
    (!fits).then(|| "wanted the name or number of a user or group".to_owned())
}
