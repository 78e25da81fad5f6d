//! Why a half can't be confined.

use std::io;
use std::path::{Path, PathBuf};

use super::{Layer, Role};

/// Why a half can't be confined. A restart can't help.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The kernel lacks a layer.
    #[error("this kernel can't enforce `{layer}`: {why}")]
    Missing { layer: Layer, why: String },
    /// No user was named, and root isn't one.
    #[error("`sparkdiode {role}` doesn't run as root")]
    Root { role: Role },
    /// No such user or group.
    #[error("unknown {kind}: `{name}`")]
    Unknown { kind: &'static str, name: String },
    /// A user that isn't root can't become another one.
    #[error("started as user {is}, and the configuration wants {wanted}")]
    OtherUser { is: u32, wanted: u32 },
    /// A process that isn't root can't leave groups.
    #[error("in other groups than its own ({own}): {others:?}")]
    Groups { own: u32, others: Vec<u32> },
    /// Somebody else can write it.
    #[error("{what} `{}` {fault}", path.display())]
    Owner { what: &'static str, path: PathBuf, fault: String, hint: String },
    /// Something that Landlock is to allow isn't there.
    #[error("cannot open `{}`: {source}", path.display())]
    Path { path: PathBuf, source: io::Error },
    /// Our mistake: threads that were made before can't be sealed.
    #[error("there are threads already")]
    Threads,
    /// The operating system refused.
    #[error("cannot {verb}: {source}")]
    Os { verb: &'static str, source: io::Error },
}

impl SandboxError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            SandboxError::Missing { layer, .. } => Some(format!(
                "Debian 12's kernel and newer ones have what is needed, but a container may hide it, and \
                 `lsm=` of the kernel's command line may leave `landlock` out; to do without, say so: \
                 [sandbox] waive = [\"{layer}\"]"
            )),
            SandboxError::Root { role } => Some(format!(
                "name a user of its own: [sandbox] user = \"sparkdiode-{role}\"; it is taken on \
                 after the secrets were read"
            )),
            SandboxError::OtherUser { .. } => {
                Some("start it as that user, or as root, which then becomes that user".to_owned())
            }
            SandboxError::Groups { .. } => Some(
                "start it as a service, or as root with [sandbox] user; in a laboratory under \
                 one user: [sandbox] waive = [\"user\"]"
                    .to_owned(),
            ),
            SandboxError::Owner { hint, .. } => Some(hint.clone()),
            SandboxError::Path { path, source } => path_hint(path, source),
            SandboxError::Unknown { .. } | SandboxError::Threads | SandboxError::Os { .. } => None,
        }
    }
}

/// What isn't there is made, and what can't be entered is opened.
fn path_hint(path: &Path, source: &io::Error) -> Option<String> {
    let shown = path.display();
    match source.kind() {
        io::ErrorKind::NotFound => Some(format!(
            "make it before the start, since what isn't there can't be allowed (a directory: install -d \
             {shown}); what the package needs systemd-tmpfiles --create makes"
        )),
        io::ErrorKind::PermissionDenied => Some(format!(
            "the user that this runs as may not enter a directory on the way to it: namei -l {shown} \
             shows which; chmod o+x, or a group of its own, opens that"
        )),
        _ => None,
    }
}

/// For `map_err`: an OS error with what was tried.
pub(super) fn os<E: Into<io::Error>>(verb: &'static str) -> impl FnOnce(E) -> SandboxError {
    move |source| SandboxError::Os { verb, source: source.into() }
}
