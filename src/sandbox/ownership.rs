//! Who can write a file, and read a secret: nobody but root and the half that it belongs to; and no half
//! writes what the other side does.

mod acl;
mod way;

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Identity, SandboxError};

const GROUP_WRITE: u32 = 0o020;
const GROUP_READ: u32 = 0o040;
const OTHERS_WRITE: u32 = 0o002;
const ANY_FOR_OTHERS: u32 = 0o007;
const STICKY: u32 = 0o1000;
const SET_GROUP: u32 = 0o2000;

/// Something that belongs to a half: a configuration file, a policy, state, a key, the OT half's
/// journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// For people: `configuration`, `state directory`.
    pub what: &'static str,
    pub path: PathBuf,
    /// Nobody else may read it either.
    pub is_secret: bool,
}

impl Owned {
    /// What others may read.
    pub fn new(what: &'static str, path: &Path) -> Owned {
        Owned { what, path: path.to_owned(), is_secret: false }
    }

    /// What nobody else may read.
    pub fn secret(what: &'static str, path: &Path) -> Owned {
        Owned { what, path: path.to_owned(), is_secret: true }
    }
}

/// Something that the other side writes: to the IT half, the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unowned {
    pub what: &'static str,
    pub path: PathBuf,
}

/// Checks that nobody but root and this user can write the path, what is directly in it, and
/// every directory on the way to it, links included: who can rename one of them can put something
/// else there. What is secret nobody else can read.
///
/// # Errors
/// The first of them with another writer or reader.
pub fn require_own(identity: Identity, owned: &Owned) -> Result<(), SandboxError> {
    let Owned { what, path, is_secret } = owned;
    let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
    // What isn't there yet is made by this half, below directories that are checked here.
    let metadata = match fs::metadata(&path) {
        Ok(metadata) => Some(metadata),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(source) => return Err(SandboxError::Path { path, source }),
    };
    if let Some(metadata) = &metadata {
        own(identity, what, &path, metadata)?;
        if *is_secret {
            secret(identity, what, &path, metadata)?;
        }
        if metadata.is_dir() {
            for (path, metadata) in entries(&path)? {
                own(identity, what, &path, &metadata)?;
            }
        }
    }
    on_the_way(identity, &path)
}

/// Checks that nobody but root and this user can change the way to a directory in which somebody else
/// writes what is read here, and that nobody but its owner has been given the right to write in it.
///
/// # Errors
/// The first directory or link that somebody else can change.
pub fn require_way(identity: Identity, unowned: &Unowned) -> Result<(), SandboxError> {
    let Unowned { what, path } = unowned;
    let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
    let os = |source| SandboxError::Path { path: path.clone(), source };
    let metadata = fs::metadata(&path).map_err(os)?;
    let (mode, name) = (metadata.mode() & 0o7777, path.display());
    let (who, hint) = if mode & (GROUP_WRITE | OTHERS_WRITE) != 0 {
        ("others than its owner".to_owned(), format!("chmod go-w {name}"))
    } else if let Some(entry) = acl::others(identity, &path, acl::WRITE) {
        (entry.to_string(), format!("setfacl -x {} {name}", entry.short()))
    } else {
        return on_the_way(identity, &path);
    };
    let user = metadata.uid();
    let fault =
        format!("is writable by {who}: mode {mode:04o}, user {user}; wanted: mode 0755 or less");
    Err(SandboxError::Owner { what, path: path.clone(), fault, hint })
}

/// Who can change the directories on the way to it, and the links that are followed.
fn on_the_way(identity: Identity, path: &Path) -> Result<(), SandboxError> {
    let way = way::of(path);
    for (link, metadata) in &way.links {
        // In a sticky directory its owner alone can replace it; elsewhere the directory decides.
        if ![0, identity.uid].contains(&metadata.uid()) {
            return Err(not_ours(identity, "link", link, metadata));
        }
    }
    for directory in &way.directories {
        let Ok(metadata) = fs::metadata(directory) else { continue };
        // In a sticky directory everybody may make files and nobody replace another's.
        if metadata.mode() & STICKY == 0 || ![0, identity.uid].contains(&metadata.uid()) {
            own(identity, "directory", directory, &metadata)?;
        }
    }
    Ok(())
}

/// Who may write it.
fn own(
    identity: Identity,
    what: &'static str,
    path: &Path,
    metadata: &Metadata,
) -> Result<(), SandboxError> {
    let mode = metadata.mode() & 0o7777;
    let name = path.display();
    if ![0, identity.uid].contains(&metadata.uid()) {
        return Err(not_ours(identity, what, path, metadata));
    }
    let (who, change) = if mode & OTHERS_WRITE != 0 {
        ("everybody".to_owned(), format!("chmod o-w {name}"))
    } else if mode & GROUP_WRITE != 0 && ![0, identity.gid].contains(&metadata.gid()) {
        (format!("group {}", metadata.gid()), format!("chmod g-w {name}"))
    } else if let Some(entry) = acl::others(identity, path, acl::WRITE) {
        (entry.to_string(), format!("setfacl -x {} {name}", entry.short()))
    } else {
        return Ok(());
    };
    Err(SandboxError::Owner {
        what,
        path: path.to_owned(),
        fault: format!("is writable by {who}: {}", is_and_wanted(identity, metadata, false)),
        hint: change,
    })
}

/// Who may read it.
fn secret(
    identity: Identity,
    what: &'static str,
    path: &Path,
    metadata: &Metadata,
) -> Result<(), SandboxError> {
    let mode = metadata.mode() & 0o7777;
    let name = path.display();
    let (who, change) = if mode & ANY_FOR_OTHERS != 0 {
        ("everybody".to_owned(), format!("chmod o-rwx {name}"))
    } else if mode & GROUP_READ != 0 && ![0, identity.gid].contains(&metadata.gid()) {
        let change = format!("chmod 0600 {name} (or chgrp {} {name})", identity.gid);
        (format!("group {}", metadata.gid()), change)
    } else if let Some(entry) = acl::others(identity, path, acl::READ) {
        (entry.to_string(), format!("setfacl -x {} {name}", entry.short()))
    } else {
        return Ok(());
    };
    Err(SandboxError::Owner {
        what,
        path: path.to_owned(),
        fault: format!("is readable by {who}: {}", is_and_wanted(identity, metadata, true)),
        hint: change,
    })
}

fn not_ours(
    identity: Identity,
    what: &'static str,
    path: &Path,
    metadata: &Metadata,
) -> SandboxError {
    let is = metadata.uid();
    let rest = is_and_wanted(identity, metadata, false);
    SandboxError::Owner {
        what,
        path: path.to_owned(),
        fault: format!("belongs to user {is}: neither root nor this half ({identity}); {rest}"),
        hint: format!("chown root {0} (or chown {1} {0})", path.display(), identity.uid),
    }
}

/// `mode 0664, user 0, group 995; wanted: …`.
fn is_and_wanted(identity: Identity, metadata: &Metadata, secret: bool) -> String {
    let Identity { uid, gid } = identity;
    let (mode, user, group) = (metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
    let wanted = match (secret, metadata.is_dir()) {
        (true, _) => format!("mode 0600, or 0640 with group {gid}"),
        (false, true) => "mode 0755 or less".to_owned(),
        (false, false) => "mode 0644 or less".to_owned(),
    };
    format!("mode {mode:04o}, user {user}, group {group}; wanted: user 0 or {uid}, {wanted}")
}

/// Checks that this user neither owns nor can write the path and what is directly in it.
///
/// # Errors
/// The first of them that it owns or can write; the path isn't there.
pub fn require_foreign(identity: Identity, unowned: &Unowned) -> Result<(), SandboxError> {
    let Unowned { what, path } = unowned;
    let metadata =
        fs::metadata(path).map_err(|source| SandboxError::Path { path: path.clone(), source })?;
    foreign(identity, what, path, &metadata)?;
    for (path, metadata) in entries(path)? {
        foreign(identity, what, &path, &metadata)?;
    }
    Ok(())
}

/// Who else can read the segments that this user makes in its journal, in words.
///
/// # Errors
/// Nobody can: they would get a group that is this user's own.
pub fn readers(identity: Identity, journal: &Path) -> Result<String, SandboxError> {
    let path = journal.to_owned();
    let metadata = fs::metadata(journal)
        .map_err(|source| SandboxError::Path { path: path.clone(), source })?;
    let (mode, group) = (metadata.mode() & 0o7777, metadata.gid());
    if mode & SET_GROUP != 0 && group != identity.gid && mode & 0o050 == 0o050 {
        return Ok(format!("group {group} can read what is written"));
    }
    let name = journal.display();
    Err(SandboxError::Owner {
        what: "journal",
        path,
        fault: format!("gives no other group its segments: mode {mode:04o}, group {group}"),
        hint: format!("chgrp to the IT half's group, and chmod 2750 {name}"),
    })
}

fn foreign(
    identity: Identity,
    what: &'static str,
    path: &Path,
    metadata: &Metadata,
) -> Result<(), SandboxError> {
    let mode = metadata.mode() & 0o7777;
    let fault = if metadata.uid() == identity.uid {
        format!("belongs to this half ({identity}), which could open it for writing")
    } else if mode & OTHERS_WRITE != 0 || mode & GROUP_WRITE != 0 && metadata.gid() == identity.gid
    {
        format!("is writable for this half ({identity}): mode {mode:04o}")
    } else {
        return Ok(());
    };
    let hint = "the journal belongs to the OT half's user, and the IT half's group may read it; \
                in a laboratory under one user: [sandbox] waive = [\"user\"]"
        .to_owned();
    Err(SandboxError::Owner { what, path: path.to_owned(), fault, hint })
}

/// What is directly in a directory; an entry that is gone meanwhile is left out.
fn entries(path: &Path) -> Result<Vec<(PathBuf, Metadata)>, SandboxError> {
    let failed = |source| SandboxError::Path { path: path.to_owned(), source };
    if !path.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if let Ok(metadata) = fs::symlink_metadata(&path) {
            // The mode of a link means nothing; that of what it names does.
            let metadata =
                if metadata.is_symlink() { fs::metadata(&path).ok() } else { Some(metadata) };
            found.extend(metadata.map(|metadata| (path, metadata)));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
