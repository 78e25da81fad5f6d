//! Files that a command makes and never writes over: all of them, or none.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use diagnostic::file::os_error;

use super::{Exit, Failure};

/// One file that is to be written.
#[derive(Debug)]
pub(super) struct NewFile {
    /// Relative to a directory; its own directories are made.
    pub(super) name: String,
    pub(super) content: String,
    pub(super) mode: u32,
}

impl NewFile {
    /// A file that everybody may read.
    pub(super) fn public(name: &str, content: impl Into<String>) -> NewFile {
        NewFile { name: name.to_owned(), content: content.into(), mode: 0o644 }
    }
}

/// Writes all files below `directory` or, if one of them exists or can't be written, none.
///
/// # Errors
/// A file exists; the operating system refuses.
pub(super) fn write_all(directory: &Path, files: &[NewFile]) -> Result<(), Failure> {
    if let Some(path) = existing(directory, files) {
        return Err(Failure::new(Exit::Io, format!("file exists: `{}`", path.display()))
            .hint("nothing was written; choose another directory, or remove the old files"));
    }
    let mut made = Made::default();
    let done = files.iter().try_for_each(|file| made.write(&directory.join(&file.name), file));
    done.map_err(|failure| match made.take_back() {
        None => failure.hint("nothing was left behind"),
        Some(path) => failure.hint(format!("what was written before stays: `{}`", path.display())),
    })
}

/// The first of the files that is there already.
pub(super) fn existing(directory: &Path, files: &[NewFile]) -> Option<PathBuf> {
    let paths = files.iter().map(|file| directory.join(&file.name));
    paths.into_iter().find(|path| path.symlink_metadata().is_ok())
}

/// What was made so far, in this order.
#[derive(Default)]
struct Made {
    directories: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

impl Made {
    fn write(&mut self, path: &Path, file: &NewFile) -> Result<(), Failure> {
        self.directory(path.parent().unwrap_or(Path::new(".")))?;
        // `create_new` refuses a file, or a link, that came up in between.
        let mut opened = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(file.mode)
            .open(path)
            .map_err(|error| failed("create", path, &error))?;
        self.files.push(path.to_owned());
        opened.write_all(file.content.as_bytes()).map_err(|error| failed("write", path, &error))
    }

    /// Makes a directory and those above it.
    fn directory(&mut self, path: &Path) -> Result<(), Failure> {
        let missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        let missing: Vec<&Path> = path.ancestors().take_while(missing).collect();
        for path in missing.into_iter().rev() {
            fs::create_dir(path).map_err(|error| failed("create", path, &error))?;
            self.directories.push(path.to_owned());
        }
        if path.as_os_str().is_empty() || path.is_dir() {
            return Ok(());
        }
        Err(Failure::new(Exit::Io, format!("not a directory: `{}`", path.display())))
    }

    /// Removes all of it; returns what can't be.
    fn take_back(self) -> Option<PathBuf> {
        let mut left = None;
        for path in self.files {
            if fs::remove_file(&path).is_err() {
                left = Some(path);
            }
        }
        // A directory in which somebody else has put something stays.
        self.directories.iter().rev().for_each(|path| drop(fs::remove_dir(path)));
        left
    }
}

/// What the operating system refused.
pub(super) fn failed(verb: &str, path: &Path, error: &io::Error) -> Failure {
    let failure =
        Failure::new(Exit::Io, format!("cannot {verb} `{}`: {}", path.display(), os_error(error)));
    match error.kind() {
        io::ErrorKind::PermissionDenied if rustix::process::geteuid().is_root() => failure,
        io::ErrorKind::PermissionDenied => {
            failure.hint("run it as a user who may write there, or choose a directory of your own")
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            failure.hint("this file system can't be written: choose a directory on another one")
        }
        io::ErrorKind::StorageFull => failure
            .hint("this file system is full: make room, or choose a directory on another one"),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(failure: &Failure) -> String {
        let (what, hint) = failure.words();
        format!("{what}; {}", hint.unwrap_or_default())
    }

    #[test]
    fn where_one_file_cannot_be_written_none_is_left_behind() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("a/b");
        // A name that no file system takes comes last.
        let files = [
            NewFile::public("one", "1"),
            NewFile::public("c/d/two", "2"),
            NewFile::public(&"x".repeat(300), "3"),
        ];
        let failure = write_all(&directory, &files).unwrap_err();
        assert!(words(&failure).contains("file name too long (36)"), "{failure:?}");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
        // What was there before stays, also in directories that were made for it.
        fs::create_dir_all(directory.join("c")).unwrap();
        fs::write(directory.join("c/mine"), "").unwrap();
        write_all(&directory, &files).unwrap_err();
        assert!(directory.join("c/mine").exists() && !directory.join("one").exists());
        assert!(!directory.join("c/d").exists());
    }

    #[test]
    fn what_is_in_the_way_is_named() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        fs::write(&file, "x").unwrap();
        let files = [NewFile::public("one", "1")];
        let failure = write_all(&file, &files).unwrap_err();
        assert!(words(&failure).starts_with("not a directory: `"), "{failure:?}");
        std::os::unix::fs::symlink("/nonexistent/x", place.path().join("one")).unwrap();
        let failure = write_all(place.path(), &files).unwrap_err();
        assert!(words(&failure).starts_with("file exists: `"), "{failure:?}");
        assert_eq!(fs::read_to_string(file).unwrap(), "x");
    }
}
