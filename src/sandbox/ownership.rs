//! Who can write a file: nobody but root and the half that it belongs to, and no half what the
//! other side writes.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Identity, SandboxError};

const GROUP_WRITE: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
const STICKY: u32 = 0o1000;
const SET_GROUP: u32 = 0o2000;

/// Something that belongs to a half: a configuration file, a policy, state, the OT half's journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// For people: `configuration`, `state directory`.
    pub what: &'static str,
    pub path: PathBuf,
}

/// Something that the other side writes: to the IT half, the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unowned {
    pub what: &'static str,
    pub path: PathBuf,
}

/// Checks that nobody but root and this user can write the path, what is directly in it, and
/// every directory above it: who can rename one of them can put something else there.
///
/// # Errors
/// The first of them with another writer.
pub fn require_own(identity: Identity, owned: &Owned) -> Result<(), SandboxError> {
    let Owned { what, path } = owned;
    let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
    // What isn't there yet is made by this half, below directories that are checked here.
    let metadata = match fs::metadata(&path) {
        Ok(metadata) => Some(metadata),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(source) => return Err(SandboxError::Path { path, source }),
    };
    if let Some(metadata) = &metadata {
        own(identity, what, &path, metadata)?;
        if metadata.is_dir() {
            for (path, metadata) in entries(&path)? {
                own(identity, what, &path, &metadata)?;
            }
        }
    }
    // Links were followed above: the directories are those of the file itself.
    let real = fs::canonicalize(&path).unwrap_or(path);
    for directory in real.ancestors().skip(1) {
        let Ok(metadata) = fs::metadata(directory) else { continue };
        // In a sticky directory everybody may make files and nobody replace another's.
        if metadata.mode() & STICKY == 0 || ![0, identity.uid].contains(&metadata.uid()) {
            own(identity, "directory", directory, &metadata)?;
        }
    }
    Ok(())
}

fn own(
    identity: Identity,
    what: &'static str,
    path: &Path,
    metadata: &Metadata,
) -> Result<(), SandboxError> {
    let mode = metadata.mode() & 0o7777;
    let fault = if ![0, identity.uid].contains(&metadata.uid()) {
        format!("belongs to user {}: neither root nor this half ({identity})", metadata.uid())
    } else if mode & OTHERS_WRITE != 0 {
        format!("is writable by everybody: mode {mode:04o}")
    } else if mode & GROUP_WRITE != 0 && ![0, identity.gid].contains(&metadata.gid()) {
        format!("is writable by group {}: mode {mode:04o}", metadata.gid())
    } else {
        return Ok(());
    };
    let name = path.display();
    let hint = format!("chown root {name} (or user {}), chmod go-w {name}", identity.uid);
    Err(SandboxError::Owner { what, path: path.to_owned(), fault, hint })
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
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(mode: u32) -> (tempfile::TempDir, PathBuf, Identity) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let metadata = fs::metadata(&path).unwrap();
        (directory, path, Identity { uid: metadata.uid(), gid: metadata.gid() })
    }

    fn owned(identity: Identity, path: &Path) -> Result<(), String> {
        let owned = Owned { what: "policy", path: path.to_owned() };
        require_own(identity, &owned).map_err(|error| error.to_string())
    }

    #[test]
    fn what_others_can_write_is_refused() {
        let (directory, path, us) = file(0o640);
        owned(us, &path).unwrap();
        owned(us, directory.path()).unwrap();
        // A directory above that everybody may change, without the sticky bit.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
        let error = owned(us, &path).unwrap_err();
        assert!(error.starts_with("directory `") && error.contains("by everybody"), "{error}");
        let (directory, path, us) = file(0o662);
        for place in [&*path, directory.path()] {
            assert!(owned(us, place).unwrap_err().contains("is writable by everybody: mode 0662"));
        }
        let (_directory, path, us) = file(0o660);
        let other = Identity { uid: us.uid, gid: us.gid + 1 };
        owned(us, &path).unwrap();
        if us.gid != 0 {
            assert!(owned(other, &path).unwrap_err().contains("is writable by group"));
        }
        // Root's files are everybody's: only where the owner isn't root is there one too many.
        if us.uid != 0 {
            let other = Identity { uid: us.uid + 1, gid: us.gid };
            assert!(owned(other, &path).unwrap_err().contains("belongs to user"));
        }
    }

    #[test]
    fn readers_need_a_group_that_segments_inherit() {
        let (directory, _, us) = file(0o640);
        let set = |mode| {
            fs::set_permissions(directory.path(), Permissions::from_mode(mode)).unwrap();
        };
        let other = Identity { uid: us.uid, gid: us.gid + 1 };
        set(0o2750);
        assert!(readers(other, directory.path()).unwrap().starts_with("group "));
        for (identity, mode) in [(us, 0o2750), (other, 0o750), (other, 0o2700)] {
            set(mode);
            let error = readers(identity, directory.path()).unwrap_err().to_string();
            assert!(error.contains("gives no other group its segments"), "{error}");
        }
    }

    #[test]
    fn a_journal_of_ones_own_is_refused() {
        let (directory, path, us) = file(0o644);
        let journal = Unowned { what: "journal", path: directory.path().to_owned() };
        let error = require_foreign(us, &journal).unwrap_err().to_string();
        assert!(error.contains("belongs to this half"), "{error}");
        let other = Identity { uid: us.uid + 1, gid: us.gid };
        require_foreign(other, &journal).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o664)).unwrap();
        let error = require_foreign(other, &journal).unwrap_err().to_string();
        assert!(error.contains("is writable for this half"), "{error}");
    }
}
