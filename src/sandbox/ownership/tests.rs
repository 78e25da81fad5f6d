//! Files with other writers and readers than they may have.

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
    let owned = Owned::new("policy", path);
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

fn secret(identity: Identity, path: &Path) -> Result<(), SandboxError> {
    require_own(identity, &Owned::secret("key", path))
}

#[test]
fn a_secret_that_others_can_read_is_refused_with_what_is_and_what_is_wanted() {
    let (_directory, path, us) = file(0o640);
    let other = Identity { uid: us.uid, gid: us.gid + 1 };
    secret(us, &path).unwrap();
    // Others than root's group, which may read what it likes.
    if us.gid != 0 {
        let error = secret(other, &path).unwrap_err();
        let text = error.to_string();
        let is = format!("is readable by group {}: mode 0640, user {}, ", us.gid, us.uid);
        assert!(text.contains(&is), "{text}");
        assert!(text.contains("wanted: user 0 or "), "{text}");
        assert!(error.hint().unwrap().starts_with("chmod 0600 "), "{error}");
    }
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    secret(other, &path).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o604)).unwrap();
    let error = secret(us, &path).unwrap_err();
    assert!(error.to_string().contains("is readable by everybody: mode 0604"), "{error}");
    assert!(error.hint().unwrap().starts_with("chmod o-rwx "), "{error}");
    // What isn't secret may be read.
    owned(us, &path).unwrap();
}

#[test]
fn files_of_a_group_that_root_has_given_away_are_refused() {
    let (_directory, path, us) = file(0o640);
    // Only root can give files away.
    if std::os::unix::fs::chown(&path, None, Some(64_002)).is_err() {
        return;
    }
    assert!(secret(us, &path).unwrap_err().to_string().contains("readable by group 64002"));
    owned(us, &path).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o660)).unwrap();
    assert!(owned(us, &path).unwrap_err().contains("is writable by group 64002: mode 0660"));
    secret(Identity { gid: 64_002, ..us }, &path).unwrap();
    std::os::unix::fs::chown(&path, Some(64_001), None).unwrap();
    let error = owned(us, &path).unwrap_err();
    assert!(error.contains("belongs to user 64001: neither root nor this half"), "{error}");
}

/// The directory in which a link lies decides where the way goes, as does the one in which the file
/// does.
#[test]
fn directories_of_links_on_the_way_are_looked_at_too() {
    let (real, path, us) = file(0o640);
    let links = tempfile::tempdir().unwrap();
    let open = links.path().join("open");
    fs::create_dir(&open).unwrap();
    std::os::unix::fs::symlink(&path, open.join("link")).unwrap();
    std::os::unix::fs::symlink(real.path(), links.path().join("way")).unwrap();
    for name in ["open/link", "way/file"] {
        owned(us, &links.path().join(name)).unwrap();
    }
    fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
    let error = owned(us, &open.join("link")).unwrap_err();
    assert!(error.starts_with("directory `") && error.contains("/open` is writable"), "{error}");
    owned(us, &links.path().join("way/file")).unwrap();
    fs::set_permissions(real.path(), Permissions::from_mode(0o777)).unwrap();
    assert!(owned(us, &links.path().join("way/file")).is_err());
    fs::set_permissions(real.path(), Permissions::from_mode(0o700)).unwrap();
    // In a sticky directory everybody can make links.
    fs::set_permissions(&open, Permissions::from_mode(0o1777)).unwrap();
    owned(us, &open.join("link")).unwrap();
    if std::os::unix::fs::lchown(open.join("link"), Some(64_001), None).is_ok() {
        let error = owned(us, &open.join("link")).unwrap_err();
        assert!(error.contains("link `") && error.contains("belongs to user 64001"), "{error}");
    }
    // A link to itself ends.
    std::os::unix::fs::symlink("loop", links.path().join("loop")).unwrap();
    assert!(owned(us, &links.path().join("loop")).is_err());
}

#[test]
fn a_directory_in_which_somebody_else_writes_is_his_alone_and_the_way_to_it_is_ours() {
    let outer = tempfile::tempdir().unwrap();
    let names = outer.path().join("names");
    fs::create_dir(&names).unwrap();
    let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let metadata = fs::metadata(&names).unwrap();
    let us = Identity { uid: metadata.uid(), gid: metadata.gid() };
    let other = Identity { uid: us.uid + 1, gid: us.gid + 1 };
    let directory = Unowned { what: "directory of addresses", path: names.clone() };
    set(outer.path(), 0o755);
    set(&names, 0o755);
    require_way(us, &directory).unwrap();
    // What lies in it is not looked at: it is somebody else's.
    fs::write(names.join("broker"), "").unwrap();
    set(&names.join("broker"), 0o666);
    require_way(us, &directory).unwrap();
    if us.uid == 0 {
        require_way(other, &directory).unwrap();
    }
    for mode in [0o775, 0o757, 0o1777] {
        set(&names, mode);
        let error = require_way(us, &directory).unwrap_err();
        let words = format!("is writable by others than its owner: mode {mode:04o}");
        assert!(error.to_string().contains(&words), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.starts_with("chmod go-w ")), "{error}");
    }
    set(&names, 0o755);
    set(outer.path(), 0o777);
    let error = require_way(us, &directory).unwrap_err().to_string();
    assert!(error.contains("directory `") && error.contains("by everybody"), "{error}");
    let missing = Unowned { what: "directory of addresses", path: outer.path().join("no") };
    assert!(require_way(us, &missing).is_err());
}
