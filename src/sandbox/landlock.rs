//! Landlock: which files, ports and processes a sealed half can reach.
//!
//! Rules hold for what is there when the half is sealed: a directory that is deleted and made
//! again, or mounted over, needs a restart. Files that are replaced (passwords, policies) are
//! allowed by their directory.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath,
    PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, Scope, make_bitflags,
};

use super::{Grants, Layer, SandboxError};

/// Everything that a file system can be asked for; with it what needs a newer kernel than the
/// layer demands.
const FILES: ABI = ABI::V3;
const BEST_FILES: ABI = ABI::V9;
const TCP: ABI = ABI::V4;
const SCOPES: ABI = ABI::V6;

/// Seals this thread, and those that it makes.
pub(super) fn restrict(grants: &Grants, waived: &[Layer]) -> Result<(), SandboxError> {
    let asked = |layer: Layer| !waived.contains(&layer);
    let mut ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let mut any = false;
    if asked(Layer::LandlockFiles) {
        ruleset = ruleset
            .handle_access(AccessFs::from_all(FILES))
            .map_err(missing(Layer::LandlockFiles))?;
        ruleset = ruleset
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(BEST_FILES))
            .map_err(missing(Layer::LandlockFiles))?
            .set_compatibility(CompatLevel::HardRequirement);
        any = true;
    }
    if asked(Layer::LandlockTcp) {
        ruleset =
            ruleset.handle_access(AccessNet::from_all(TCP)).map_err(missing(Layer::LandlockTcp))?;
        any = true;
    }
    if asked(Layer::LandlockScopes) {
        ruleset = ruleset.scope(Scope::from_all(SCOPES)).map_err(missing(Layer::LandlockScopes))?;
        any = true;
    }
    if !any {
        return Ok(());
    }
    let first = [Layer::LandlockFiles, Layer::LandlockTcp, Layer::LandlockScopes]
        .into_iter()
        .find(|layer| asked(*layer))
        .unwrap_or(Layer::LandlockFiles);
    let mut ruleset = ruleset.create().map_err(missing(first))?;
    if asked(Layer::LandlockFiles) {
        for path in &grants.read {
            ruleset = ruleset.add_rule(beneath(path, reading())?).map_err(missing(first))?;
        }
        for path in &grants.write {
            ruleset = ruleset.add_rule(beneath(path, writing())?).map_err(missing(first))?;
        }
        for path in &grants.sockets {
            // One that isn't there yet can't be connected to either, and the log says so.
            let Some(directory) = directory_of(path) else { continue };
            let rule = beneath(&directory, AccessFs::ResolveUnix.into())?;
            ruleset = ruleset
                .set_compatibility(CompatLevel::BestEffort)
                .add_rule(rule)
                .map_err(missing(first))?
                .set_compatibility(CompatLevel::HardRequirement);
        }
    }
    if asked(Layer::LandlockTcp) {
        for port in &grants.tcp_ports {
            ruleset = ruleset
                .add_rule(NetPort::new(*port, AccessNet::ConnectTcp))
                .map_err(missing(Layer::LandlockTcp))?;
        }
    }
    ruleset.restrict_self().map_err(missing(first))?;
    Ok(())
}

fn reading() -> BitFlags<AccessFs> {
    make_bitflags!(AccessFs::{ReadFile | ReadDir})
}

fn writing() -> BitFlags<AccessFs> {
    make_bitflags!(AccessFs::{ReadFile | ReadDir | WriteFile | Truncate | MakeReg | RemoveFile})
}

/// The directory of a socket: a daemon that restarts makes another one there.
fn directory_of(socket: &Path) -> Option<PathBuf> {
    let real = std::fs::canonicalize(socket).ok();
    let directory = real.as_deref().unwrap_or(socket).parent()?.to_owned();
    directory.is_dir().then_some(directory)
}

fn beneath(path: &Path, access: BitFlags<AccessFs>) -> Result<PathBeneath<PathFd>, SandboxError> {
    let failed = |source| SandboxError::Path { path: path.to_owned(), source };
    let metadata = std::fs::metadata(path).map_err(failed)?;
    let opened = PathFd::new(path).map_err(|error| failed(std::io::Error::other(error)))?;
    // What concerns directories can't be said of a file.
    let access = if metadata.is_dir() { access } else { access & AccessFs::from_file(BEST_FILES) };
    Ok(PathBeneath::new(opened, access))
}

fn missing(layer: Layer) -> impl FnOnce(RulesetError) -> SandboxError {
    move |error| {
        let needs = match layer {
            Layer::LandlockTcp => "ABI 4 (Linux 6.7)",
            Layer::LandlockScopes => "ABI 6 (Linux 6.12)",
            _ => "ABI 3 (Linux 6.2), and `landlock` in the kernel's list of security modules",
        };
        let needs = format!("it needs Landlock {needs}");
        let why = match error {
            // The kernel doesn't know what was asked; the crate's text lists bits.
            RulesetError::HandleAccesses(_) | RulesetError::Scope(_) => needs,
            error => format!("{error}; {needs}"),
        };
        SandboxError::Missing { layer, why }
    }
}
