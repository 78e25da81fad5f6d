//! Files that a command makes and never writes over: all of them, or none.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

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

/// Writes all files below `directory` or, if one of them exists, none.
///
/// # Errors
/// A file exists; the operating system refuses.
pub(super) fn write_all(directory: &Path, files: &[NewFile]) -> Result<(), Failure> {
    let existing = files.iter().map(|file| directory.join(&file.name));
    if let Some(path) = existing.into_iter().find(|path| path.symlink_metadata().is_ok()) {
        return Err(Failure::new(Exit::Io, format!("file exists: `{}`", path.display()))
            .hint("nothing was written; choose another directory, or remove the old files"));
    }
    for file in files {
        let path = directory.join(&file.name);
        let parent = path.parent().unwrap_or(directory);
        fs::create_dir_all(parent).map_err(|error| failed("create", parent, &error))?;
        // `create_new` refuses a file, or a link, that came up in between.
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(file.mode)
            .open(&path)
            .and_then(|mut opened| opened.write_all(file.content.as_bytes()))
            .map_err(|error| failed("write", &path, &error))?;
    }
    Ok(())
}

/// What the operating system refused.
pub(super) fn failed(verb: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Io, format!("cannot {verb} `{}`: {}", path.display(), os_error(error)))
}
