//! Directories that have to be apart: whether two paths lead to the same directory, or one into the
//! other, however they are written. Links are followed, and directories that exist are told by what
//! they are on the disk.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// How two directories lie to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    Same,
    /// The first one is in the second one.
    Inside,
    /// The second one is in the first one.
    Around,
}

impl Relation {
    /// Such as `the same directory as`.
    pub fn words(self) -> &'static str {
        match self {
            Relation::Same => "the same directory as",
            Relation::Inside => "inside of",
            Relation::Around => "around",
        }
    }
}

/// How two directories lie to each other; `None`: apart.
pub fn relation(left: &Path, right: &Path) -> Option<Relation> {
    let (left, right) = (whereabouts(left), whereabouts(right));
    if is_same(&left, &right) {
        return Some(Relation::Same);
    }
    // What is mounted twice has two ways to it.
    let within = |inner: &Path, outer: &Path| inner.ancestors().any(|one| is_same(one, outer));
    if within(&left, &right) {
        return Some(Relation::Inside);
    }
    within(&right, &left).then_some(Relation::Around)
}

fn is_same(left: &Path, right: &Path) -> bool {
    let on_disk = |path: &Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
    left == right || on_disk(left).is_some_and(|of_left| on_disk(right) == Some(of_left))
}

/// The path without links, `.` and `..`, as far as it exists; the rest of it as it is written.
fn whereabouts(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut known = PathBuf::new();
    let mut exists = true;
    for component in path.components() {
        match component {
            Component::ParentDir => {
                known.pop();
            }
            Component::CurDir => {}
            component => known.push(component),
        }
        if exists {
            match fs::canonicalize(&known) {
                Ok(canonical) => known = canonical,
                Err(_) => exists = false,
            }
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_compared_by_what_they_are() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        fs::create_dir_all(at("journal/deep")).unwrap();
        fs::create_dir(at("ot")).unwrap();
        std::os::unix::fs::symlink(at("journal"), at("link")).unwrap();
        std::os::unix::fs::symlink("nowhere", at("dangling")).unwrap();
        for (left, right, expected) in [
            ("journal", "journal", Some(Relation::Same)),
            ("ot/../journal", "journal", Some(Relation::Same)),
            ("missing/../journal", "journal/.", Some(Relation::Same)),
            ("link", "journal", Some(Relation::Same)),
            ("link/../journal", "journal", Some(Relation::Same)),
            ("link/deep", "journal", Some(Relation::Inside)),
            ("journal", "ot/../link/new", Some(Relation::Around)),
            ("new/a/../b", "new/b", Some(Relation::Same)),
            ("new/a", "new", Some(Relation::Inside)),
            ("new/a", "new/b", None),
            ("journal2", "journal", None),
            ("ot", "journal", None),
            ("dangling", "journal", None),
        ] {
            assert_eq!(relation(&at(left), &at(right)), expected, "{left} {right}");
        }
    }
}
