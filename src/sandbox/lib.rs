//! What a half gives up before it opens a network connection, and the proof that it did.
//!
//! ```text
//!  Start ──── become ───> Demoted ──── seal ────> Confined ───> ot::run, it::run
//!    │                       │                       │
//!    │ descriptors closed,   │ own user, no groups,  │ Landlock, seccomp;
//!    │ environment cleared,  │ no capabilities;      │ only now the network
//!    │ umask, one thread     │ state and journal
//!    │                       │ are claimed
//!    └ configuration, secrets, certificates, names
//! ```
//!
//! Each step consumes the one before, and [`Confined`] is made by the last one alone. All of it
//! or nothing: what the kernel can't enforce stops the start, unless the configuration names that
//! [`Layer`] as waived. The profiles are data, in `calls.rs`, with a reason for each entry.
//!
//! The only module with `unsafe` code: to close descriptors, to clear the environment, to ask for
//! Landlock's version, to make a socket of the link one-way, and to leave a process behind that removes
//! a tool's files or makes a half's sockets.

mod calls;
mod dialler;
mod error;
mod identity;
mod janitor;
mod landlock;
mod level;
#[cfg(feature = "raw")]
mod older;
mod one_way;
mod ownership;
mod probe;
mod process;
mod profile;
#[cfg(feature = "raw")]
pub mod raw;
mod seccomp;

use std::fmt;
use std::fs::File;
use std::io::PipeReader;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

pub use self::calls::{CALLS, DIALLER};
pub use self::dialler::{Peer, dial};
#[cfg(feature = "raw")]
pub use self::dialler::{ask_dialler, dialler_process};
pub use self::error::SandboxError;
pub use self::identity::{Identity, UserSpec};
pub use self::janitor::Janitor;
pub use self::level::{Level, level};
#[cfg(feature = "raw")]
pub use self::older::on_kernel_with_landlock;
pub use self::one_way::{LINK_DESCRIPTORS, dropped, only_receives, only_sends};
pub use self::ownership::{Owned, Unowned, readers, require_foreign, require_own, require_way};
pub use self::probe::{Finding, probe};
use self::profile::Profile;
pub use self::profile::{Call, Form, Need};
use self::seccomp::{Filters, Otherwise};

/// A process that is confined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Ot,
    It,
    /// The sending end of the link between two boxes.
    Send,
    /// The receiving end.
    Receive,
}

impl Role {
    pub const ALL: [Role; 4] = [Role::Ot, Role::It, Role::Send, Role::Receive];

    /// The subcommand.
    pub fn name(self) -> &'static str {
        match self {
            Role::Ot => "ot",
            Role::It => "it",
            Role::Send => "send",
            Role::Receive => "receive",
        }
    }

    /// An end of the link: its sockets are made before it is sealed, and it makes none afterwards, at
    /// every level.
    pub fn is_of_link(self) -> bool {
        matches!(self, Role::Send | Role::Receive)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What can be waived, each on its own: the rest every Linux can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// A user and a group of its own, no supplementary groups, no capability, and files that
    /// nobody else can write.
    User,
    /// Only the files that the configuration names (Landlock, Linux 5.13).
    LandlockFiles,
    /// Only the TCP ports that the configuration names (Landlock ABI 4, Linux 6.7; before that a
    /// dialling process).
    LandlockTcp,
    /// No abstract socket and no signal to other processes (Landlock ABI 6, Linux 6.12; before that
    /// a dialling process and seccomp).
    LandlockScopes,
    /// Only the system calls of the profile.
    Seccomp,
}

impl Layer {
    pub const ALL: [Layer; 5] = [
        Layer::User,
        Layer::LandlockFiles,
        Layer::LandlockTcp,
        Layer::LandlockScopes,
        Layer::Seccomp,
    ];

    /// As it is written in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Layer::User => "user",
            Layer::LandlockFiles => "landlock-files",
            Layer::LandlockTcp => "landlock-tcp",
            Layer::LandlockScopes => "landlock-scopes",
            Layer::Seccomp => "seccomp",
        }
    }

    /// What it is, in one line.
    pub fn meaning(self) -> &'static str {
        match self {
            Layer::User => "own user and group, no other groups, no capabilities, own files",
            Layer::LandlockFiles => "only the files that the configuration names",
            Layer::LandlockTcp => "only the TCP ports that the configuration names",
            Layer::LandlockScopes => "no abstract sockets, no signals to other processes",
            Layer::Seccomp => "only the system calls of the profile",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What a sealed half may still reach. It comes from the configuration alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Files and directories that are read.
    pub read: Vec<PathBuf>,
    /// Directories in which files are made, written, renamed and deleted.
    pub write: Vec<PathBuf>,
    /// Sockets of this machine that datagrams are sent to. Where the kernel can tell them apart
    /// (Landlock ABI 9, Linux 7.1) no others are reached; before that the units' mounts bound them.
    pub sockets: Vec<PathBuf>,
    /// TCP ports that are connected to.
    pub tcp_ports: Vec<u16>,
    /// UDP ports that are sent to. No Landlock bounds them; a dialling process does.
    pub udp_ports: Vec<u16>,
    /// What the profile has on top.
    pub needs: Vec<Need>,
    /// Files and sockets that are open at once.
    pub descriptors: u64,
}

/// A half that has begun: nothing inherited but standard streams and a few variables.
#[derive(Debug)]
pub struct Start {
    role: Role,
}

impl Start {
    /// Closes every descriptor but the standard streams, and clears the environment of all but
    /// a few variables (the service manager's, credentials, and the log filter). To be called
    /// first.
    ///
    /// # Errors
    /// The process has more than one thread; the kernel refuses.
    pub fn new(role: Role) -> Result<Start, SandboxError> {
        process::require_single_thread()?;
        process::clean()?;
        Ok(Start { role })
    }

    /// Leaves a process behind that can remove these files, at most eight, when this one no longer can.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn leave_janitor(&self, files: &[(&Path, &File)]) -> Result<Janitor, SandboxError> {
        Janitor::leave(files)
    }

    /// Checks, as long as this process can look everywhere, that nobody but root and the user that it
    /// becomes can write or read what is secret to it. Part of the user layer.
    ///
    /// # Errors
    /// The first file or directory with another writer or reader; the user isn't known.
    pub fn require_own(
        &self,
        user: Option<&UserSpec>,
        waived: &[Layer],
        paths: &[Owned],
    ) -> Result<(), SandboxError> {
        if waived.contains(&Layer::User) {
            return Ok(());
        }
        let identity = identity::future(user)?;
        paths.iter().try_for_each(|path| ownership::require_own(identity, path))
    }

    /// Gives up root: the process takes on the user of the configuration, its group alone, and no
    /// capability. A process that isn't root must be that user already.
    ///
    /// # Errors
    /// It would stay root, the user isn't known, or the process can't become that user.
    pub fn become_user(
        self,
        user: Option<&UserSpec>,
        waived: &[Layer],
    ) -> Result<Demoted, SandboxError> {
        process::require_single_thread()?;
        let identity = if waived.contains(&Layer::User) {
            identity::keep(user)?
        } else {
            identity::take(self.role, user)?
        };
        identity::drop_capabilities(waived.contains(&Layer::User))?;
        process::no_new_privileges()?;
        process::not_dumpable()?;
        Ok(Demoted { role: self.role, identity, waived: waived.to_vec() })
    }
}

/// A half under its own user: it claims what it needs, and is then sealed.
#[derive(Debug)]
pub struct Demoted {
    role: Role,
    identity: Identity,
    waived: Vec<Layer>,
}

impl Demoted {
    /// Who it is now.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Checks that nobody but root and this user can write what this half reads or writes. The
    /// user layer's second half, and waived with it.
    ///
    /// # Errors
    /// The first file or directory with another writer.
    pub fn require_own(&self, paths: &[Owned]) -> Result<(), SandboxError> {
        if self.waived.contains(&Layer::User) {
            return Ok(());
        }
        paths.iter().try_for_each(|path| ownership::require_own(self.identity, path))
    }

    /// Why nobody else can read what this half writes into its journal; `None`: somebody can, or
    /// the user layer is waived.
    pub fn unreadable(&self, journal: &Path) -> Option<SandboxError> {
        if self.waived.contains(&Layer::User) {
            return None;
        }
        ownership::readers(self.identity, journal).err()
    }

    /// Checks that this half can't write what the other side writes, and doesn't own it: what
    /// one owns can be made writable and opened again.
    ///
    /// # Errors
    /// The first directory or file that is this user's, or writable for it.
    pub fn require_foreign(&self, paths: &[Unowned]) -> Result<(), SandboxError> {
        if self.waived.contains(&Layer::User) {
            return Ok(());
        }
        paths.iter().try_for_each(|path| ownership::require_foreign(self.identity, path))
    }

    /// Checks the way to a directory in which somebody else writes what this half reads.
    ///
    /// # Errors
    /// The first directory or link that somebody else can change.
    pub fn require_way(&self, directory: &Unowned) -> Result<(), SandboxError> {
        if self.waived.contains(&Layer::User) {
            return Ok(());
        }
        ownership::require_way(self.identity, directory)
    }

    /// Seals the process: limits, Landlock, seccomp; where the kernel's Landlock is too old to bound
    /// sockets, with a dialling process. There must be one thread; those that it makes later are
    /// sealed as it is.
    ///
    /// # Errors
    /// The kernel can't enforce a layer that isn't waived.
    pub fn seal(self, grants: &Grants) -> Result<Confined, SandboxError> {
        process::require_single_thread()?;
        let is_of_link = self.role.is_of_link();
        // What its filter knows a socket of the link by: no other descriptor has such a number.
        let most = if is_of_link { LINK_DESCRIPTORS.into() } else { u64::MAX };
        let descriptors = grants.descriptors.min(most);
        let limits = process::limit(descriptors, !self.waived.contains(&Layer::User))?;
        let level = Level::of(landlock::kernel_abi(), &self.waived)?;
        let dialled = level.is_dialled() || is_of_link;
        let has_dialler = dialled && !(is_of_link && grants.sockets.is_empty());
        let dialler = match has_dialler {
            true => Some(dialler::leave(self.role, grants, &self.waived, level.abi())?),
            false => None,
        };
        landlock::restrict(grants, &self.waived, level.abi())?;
        if !self.waived.contains(&Layer::Seccomp) {
            let missing = |why: String| SandboxError::Missing { layer: Layer::Seccomp, why };
            let profile = Profile::Sealed { role: self.role, dialled };
            let filters = Filters::compile(profile, &grants.needs, Otherwise::Kill)
                .map_err(|error| missing(error.to_string()))?;
            filters.install().map_err(|error| missing(error.to_string()))?;
        }
        let Demoted { role, identity, waived } = self;
        // What a process says of itself; it is sealed once.
        let _ = SEALED.set(Sealed { level, waived: waived.clone() });
        Ok(Confined { role, identity, waived, limits, level, dialler })
    }
}

/// The proof that this process is sealed. Only [`Demoted::seal`] makes one.
/// Its fields are private, and it can't be cloned or made by default; tests/suite/architecture
/// shows that other makers don't compile.
#[derive(Debug)]
pub struct Confined {
    role: Role,
    identity: Identity,
    waived: Vec<Layer>,
    limits: Limits,
    level: Level,
    /// Ends when the dialling process does.
    dialler: Option<PipeReader>,
}

/// How this process is sealed, for what it says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    pub level: Level,
    /// Layers that the configuration has given up.
    pub waived: Vec<Layer>,
}

static SEALED: OnceLock<Sealed> = OnceLock::new();

/// How this process is sealed; `None`: it isn't.
pub fn sealed() -> Option<&'static Sealed> {
    SEALED.get()
}

/// What the process may have open at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub descriptors: u64,
    /// What the configuration may need.
    pub wanted: u64,
}

impl Confined {
    pub fn role(&self) -> Role {
        self.role
    }

    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Layers that the configuration has given up.
    pub fn waived(&self) -> &[Layer] {
        &self.waived
    }

    /// By what the layers are enforced.
    pub fn level(&self) -> Level {
        self.level
    }

    /// What ends when the dialling process does, where there is one: without it no connection can be
    /// made any more, and the half has to end too.
    pub fn take_dialler(&mut self) -> Option<PipeReader> {
        self.dialler.take()
    }

    pub fn limits(&self) -> Limits {
        self.limits
    }
}
