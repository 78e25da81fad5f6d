//! The way to a file, name by name: every directory in which a name is looked up, and every link that
//! is followed.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::path::{Component, Path, PathBuf};

/// As many as the kernel follows.
const MAX_LINKS: usize = 40;

/// What lies on the way.
#[derive(Debug, Default)]
pub(super) struct Way {
    /// From the file's own on: that is the one which matters most.
    pub(super) directories: Vec<PathBuf>,
    pub(super) links: Vec<(PathBuf, Metadata)>,
}

/// The way to an absolute path, as far as it goes.
pub(super) fn of(path: &Path) -> Way {
    let mut way = Way::default();
    let mut names = names_of(path);
    let mut place = PathBuf::from("/");
    // Terminates: each turn takes a name, and only so many links put some there.
    while let Some(name) = names.pop_front() {
        match name {
            Name::Root => place = PathBuf::from("/"),
            Name::Up => {
                place.pop();
            }
            Name::Of(name) => {
                if !way.directories.contains(&place) {
                    way.directories.push(place.clone());
                }
                let next = place.join(&name);
                let Ok(metadata) = fs::symlink_metadata(&next) else { break };
                if !metadata.is_symlink() {
                    place = next;
                    continue;
                }
                let Ok(target) = fs::read_link(&next) else { break };
                way.links.push((next, metadata));
                if way.links.len() > MAX_LINKS {
                    break;
                }
                let mut target = names_of(&target);
                target.append(&mut names);
                names = target;
            }
        }
    }
    way.directories.reverse();
    way
}

enum Name {
    Root,
    Up,
    Of(OsString),
}

fn names_of(path: &Path) -> VecDeque<Name> {
    path.components()
        .filter_map(|component| match component {
            Component::RootDir => Some(Name::Root),
            Component::ParentDir => Some(Name::Up),
            Component::Normal(name) => Some(Name::Of(name.to_owned())),
            Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn each_directory_and_each_link_is_named_once() {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/b/file"), "").unwrap();
        symlink("../a/b", root.join("a/way")).unwrap();
        let way = of(&root.join("a/way/file"));
        let shown: Vec<_> =
            way.directories.iter().filter_map(|one| one.strip_prefix(&root).ok()).collect();
        assert_eq!(shown, [Path::new("a/b"), Path::new("a"), Path::new("")]);
        assert_eq!(way.links.len(), 1);
        assert!(way.directories.contains(&PathBuf::from("/")));
    }

    #[test]
    fn a_link_to_itself_and_what_is_not_there_end_the_way() {
        let directory = tempfile::tempdir().unwrap();
        symlink("loop", directory.path().join("loop")).unwrap();
        assert_eq!(of(&directory.path().join("loop")).links.len(), MAX_LINKS + 1);
        let way = of(&directory.path().join("no/such/file"));
        assert!(way.directories.iter().any(|one| one.ends_with(directory.path())));
    }
}
