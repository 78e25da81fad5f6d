//! The policy in shadow of an OT half (`[policies] observe`): its files. Whatever is wrong with them, the
//! half runs by the policy in force.

use std::path::PathBuf;

use config::SandboxConfig;
use diagnostic::Diagnostics;
use policy::Policy;
use sandbox::{Demoted, Layer, Owned};

use crate::cli::{sealing, startup};

/// What was read, with its problems in one line; its warnings come to the others.
pub(super) fn taken(
    read: Result<(Policy, Diagnostics), Diagnostics>,
    warnings: &mut Diagnostics,
) -> Result<Policy, String> {
    match read {
        Ok((policy, found)) => {
            warnings.extend(found);
            Ok(policy)
        }
        Err(problems) => Err(startup::in_one_line(&problems)),
    }
}

/// Looks whether somebody else could write these files, now and whenever they are read again.
pub(super) fn owned(
    demoted: &Demoted,
    sandbox: &SandboxConfig,
    paths: &[PathBuf],
) -> impl Fn() -> Result<(), String> + use<> {
    let is_waived = sandbox.waived.contains(&Layer::User);
    let identity = demoted.identity();
    let owned = paths.iter().map(|path| {
        // A sealed half can't ask in which directory it is.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        Owned::new("policy in shadow", &path)
    });
    let owned: Vec<Owned> = if is_waived { Vec::new() } else { owned.collect() };
    move || {
        owned.iter().try_for_each(|owned| {
            sandbox::require_own(identity, owned).map_err(|error| error.to_string())
        })
    }
}

/// What a sealed half has to be able to read for it. What isn't there can't be granted: a directory that
/// is made later is refused until the next start.
pub(super) fn readable(paths: &[PathBuf]) -> impl Iterator<Item = PathBuf> {
    paths.iter().map(|path| sealing::replaceable(path)).filter(|path| path.metadata().is_ok())
}
