//! What a process has without asking: descriptors, environment, limits, privileges.

use rustix::process::{DumpableBehavior, Resource, Rlimit};
use rustix::thread::UnshareFlags;

use super::error::os;
use super::{Limits, SandboxError};

/// Variables that stay. Everything else of the environment is none of a half's business;
/// RUST_BACKTRACE neither, since a sealed half can't open what a backtrace is made from.
const KEPT_VARIABLES: [&str; 6] = [
    "CREDENTIALS_DIRECTORY",
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "SPARKDIODE_LOG",
    "NO_COLOR",
];
/// Permissions that no file of a half gets: any for others, writing for the group.
const UMASK: u32 = 0o027;
/// Processes and threads of a half's user. A half has five threads; the rest is for those that
/// several halves under one user have.
const TASKS: u64 = 256;

/// Fails if the process has more than one thread: Landlock and seccomp would not reach it.
pub(super) fn require_single_thread() -> Result<(), SandboxError> {
    // Asks for something that a process with one thread has anyway, and one with more can't have
    // (unshare(2)). Nothing is unshared.
    #[expect(deprecated, reason = "deprecated for flags that unshare descriptors; this doesn't")]
    match rustix::thread::unshare(UnshareFlags::from_bits_retain(libc::CLONE_VM as u32)) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::INVAL) => Err(SandboxError::Threads),
        Err(error) => Err(os("ask for threads")(error)),
    }
}

/// Closes what was inherited, and clears the environment. There must be one thread.
pub(super) fn clean() -> Result<(), SandboxError> {
    // SAFETY: closes descriptors that nothing in this process owns: it is called before the first
    // file or socket is opened, and the standard streams are left alone.
    #[expect(unsafe_code, reason = "no safe call closes descriptors that nobody owns")]
    let closed = unsafe { libc::close_range(3, libc::c_uint::MAX, 0) };
    if closed != 0 {
        return Err(os("close inherited descriptors")(std::io::Error::last_os_error()));
    }
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_none_or(|name| !KEPT_VARIABLES.contains(&name)) {
            // SAFETY: nobody reads the environment meanwhile, since there is one thread, which
            // the caller has made sure of.
            #[expect(unsafe_code, reason = "the environment is one for all threads")]
            unsafe {
                std::env::remove_var(&name);
            }
        }
    }
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(UMASK));
    Ok(())
}

/// No program that this one might start has more rights than it.
pub(super) fn no_new_privileges() -> Result<(), SandboxError> {
    rustix::thread::set_no_new_privs(true).map_err(os("set no_new_privs"))
}

/// No core dumps, and no look into this process for others of its user.
pub(super) fn not_dumpable() -> Result<(), SandboxError> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(os("forbid core dumps"))
}

/// Bounds what the process can take from the machine. `tasks`: its user is its own.
pub(super) fn limit(descriptors: u64, tasks: bool) -> Result<Limits, SandboxError> {
    let hard = rustix::process::getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let granted = descriptors.min(hard);
    let mut limits = vec![
        (Resource::Core, 0),
        (Resource::Nofile, granted),
        (Resource::Memlock, 0),
        (Resource::Msgqueue, 0),
        (Resource::Rtprio, 0),
        (Resource::Nice, 0),
    ];
    if tasks {
        limits.push((Resource::Nproc, TASKS));
    }
    for (resource, value) in limits {
        let hard = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let value = Some(value.min(hard));
        rustix::process::setrlimit(resource, Rlimit { current: value, maximum: value })
            .map_err(os("set limits"))?;
    }
    Ok(Limits { descriptors: granted, wanted: descriptors })
}
