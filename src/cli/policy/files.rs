//! Files that the policy tools write: made where there is none, or replaced in one step.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use diagnostic::file::os_error;

use crate::cli::{Exit, Failure};

/// What everybody may read.
pub(super) const PUBLIC_MODE: u32 = 0o644;

/// Makes an empty file that doesn't exist yet.
pub(super) fn create_new(path: &Path, mode: u32) -> Result<File, Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode).open(path).map_err(|error| {
        let failure = failed_to("create", path, &error);
        match error.kind() {
            io::ErrorKind::AlreadyExists => failure.hint("it is kept as it is; name another file"),
            _ => failure,
        }
    })
}

/// Writes a file that doesn't exist yet.
pub(super) fn create(path: &Path, content: &[u8], mode: u32) -> Result<(), Failure> {
    let mut file = create_new(path, mode)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    written.map_err(|error| failed_to("write", path, &error))
}

/// Replaces a file in one step: a relay that reads it meanwhile sees one or the other. It keeps its mode.
pub(super) fn replace(path: &Path, content: &str) -> Result<(), Failure> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Hidden: no policy directory has it among its files.
    let new: PathBuf = directory.join(format!(".{name}.new"));
    // Left behind by somebody who was interrupted.
    let _ = fs::remove_file(&new);
    let mode = fs::metadata(path).map_or(PUBLIC_MODE, |found| found.permissions().mode() & 0o7777);
    create(&new, content.as_bytes(), mode)?;
    fs::set_permissions(&new, Permissions::from_mode(mode)).map_err(io("write", &new))?;
    fs::rename(&new, path).map_err(io("replace", path))
}

/// What becomes of an error of the operating system.
pub(super) fn io<'p>(
    verb: &'static str,
    path: &'p Path,
) -> impl Fn(io::Error) -> Failure + use<'p> {
    move |error| failed_to(verb, path, &error)
}

pub(super) fn failed_to(verb: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Io, format!("cannot {verb} `{}`: {}", path.display(), os_error(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_made_once_and_replaced_with_its_mode() {
        let lab = tempfile::tempdir().unwrap();
        let path = lab.path().join("a.toml");
        create(&path, b"one", 0o640).unwrap();
        let failure = format!("{:?}", create(&path, b"two", 0o640).unwrap_err());
        assert!(failure.contains("cannot create") && failure.contains("exists"), "{failure}");
        fs::write(lab.path().join(".a.toml.new"), "left behind").unwrap();
        replace(&path, "three").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "three");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(lab.path()).unwrap().count(), 1);
    }
}
