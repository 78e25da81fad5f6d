//! Landlock: which files, ports and processes a sealed half can reach.
//!
//! Rules hold for what is there when the half is sealed: a directory that is deleted and made
//! again, or mounted over, needs a restart. Files that are replaced (passwords, policies) are
//! allowed by their directory.
//!
//! What an older version lacks is left out here; `level.rs` decides what takes its place, or that the
//! half doesn't start.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath,
    PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, Scope, make_bitflags,
};

use super::{Grants, Layer, SandboxError};

/// The first versions that know files, TCP ports and scopes, and the newest of which this program knows
/// what it adds.
const FILES: i32 = 1;
pub(super) const TCP: i32 = 4;
pub(super) const SCOPES: i32 = 6;
const NEWEST: i32 = 9;

/// Landlock's version on this kernel; 0: it has none, or it is switched off.
pub(super) fn kernel_abi() -> i32 {
    /// `LANDLOCK_CREATE_RULESET_VERSION`
    const VERSION: libc::c_long = 1;
    // SAFETY: with this flag nothing is read or written, and there is neither an address nor a size.
    #[expect(unsafe_code, reason = "the library doesn't say it before something is sealed")]
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0_usize, VERSION)
    };
    i32::try_from(version).unwrap_or(0).max(0)
}

/// Seals this thread, and those that it makes, as far as this version can.
pub(super) fn restrict(grants: &Grants, waived: &[Layer], abi: i32) -> Result<(), SandboxError> {
    let asked = |layer: Layer, from: i32| abi >= from && !waived.contains(&layer);
    let files = asked(Layer::LandlockFiles, FILES);
    let tcp = asked(Layer::LandlockTcp, TCP);
    let scopes = asked(Layer::LandlockScopes, SCOPES);
    let known = ABI::from(abi.min(NEWEST));
    let mut ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    if files {
        ruleset = ruleset
            .handle_access(AccessFs::from_all(known))
            .map_err(failed(Layer::LandlockFiles))?;
    }
    if tcp {
        ruleset = ruleset
            .handle_access(AccessNet::from_all(ABI::from(TCP)))
            .map_err(failed(Layer::LandlockTcp))?;
    }
    if scopes {
        ruleset = ruleset
            .scope(Scope::from_all(ABI::from(SCOPES)))
            .map_err(failed(Layer::LandlockScopes))?;
    }
    let layers =
        [(files, Layer::LandlockFiles), (tcp, Layer::LandlockTcp), (scopes, Layer::LandlockScopes)];
    let Some((_, first)) = layers.into_iter().find(|(on, _)| *on) else { return Ok(()) };
    let mut ruleset = ruleset.create().map_err(failed(first))?;
    if files {
        for path in &grants.read {
            ruleset = ruleset.add_rule(beneath(path, reading(), known)?).map_err(failed(first))?;
        }
        for path in &grants.write {
            ruleset = ruleset.add_rule(beneath(path, writing(), known)?).map_err(failed(first))?;
        }
        for path in &grants.sockets {
            // One that isn't there yet can't be connected to either, and the log says so.
            let Some(directory) = directory_of(path) else { continue };
            let access = BitFlags::from(AccessFs::ResolveUnix) & AccessFs::from_all(known);
            if access.is_empty() {
                continue;
            }
            let rule = beneath(&directory, access, known)?;
            ruleset = ruleset.add_rule(rule).map_err(failed(first))?;
        }
    }
    if tcp {
        for port in &grants.tcp_ports {
            ruleset = ruleset
                .add_rule(NetPort::new(*port, AccessNet::ConnectTcp))
                .map_err(failed(Layer::LandlockTcp))?;
        }
    }
    ruleset.restrict_self().map_err(failed(first))?;
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

fn beneath(
    path: &Path,
    access: BitFlags<AccessFs>,
    known: ABI,
) -> Result<PathBeneath<PathFd>, SandboxError> {
    let failed = |source| SandboxError::Path { path: path.to_owned(), source };
    let metadata = std::fs::metadata(path).map_err(failed)?;
    let opened = PathFd::new(path).map_err(|error| failed(std::io::Error::other(error)))?;
    // What concerns directories can't be said of a file.
    let of_kind =
        if metadata.is_dir() { AccessFs::from_all(known) } else { AccessFs::from_file(known) };
    Ok(PathBeneath::new(opened, access & of_kind))
}

/// The kernel says that it has the layer, and refuses it all the same.
fn failed(layer: Layer) -> impl FnOnce(RulesetError) -> SandboxError {
    move |error| SandboxError::Missing { layer, why: error.to_string() }
}

/// What a layer of Landlock needs of the kernel.
pub(super) fn needs(layer: Layer) -> &'static str {
    match layer {
        Layer::LandlockTcp => "Landlock ABI 4 (Linux 6.7)",
        Layer::LandlockScopes => "Landlock ABI 6 (Linux 6.12)",
        _ => "Landlock (Linux 5.13), with `landlock` in the kernel's list of security modules",
    }
}
