//! Reading of files that an operator writes: regular, of a sane size, UTF-8, and not writable by
//! everybody. Checks are made on the open descriptor, so that what was checked is what is read.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Largest configuration or policy file. A policy of 10,000 rules is about 2 MB.
pub const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// Permission to write for users that are neither owner nor group.
const WRITABLE_BY_OTHERS: u32 = 0o002;
/// Any permission for users that are neither owner nor group.
const ANY_FOR_OTHERS: u32 = 0o007;

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system refuses.
    #[error("cannot {verb} `{}`: {}", path.display(), os_error(source))]
    Os { verb: &'static str, path: PathBuf, source: io::Error },
    /// A directory, a device, a pipe.
    #[error("not a regular file: `{}`", path.display())]
    NotAFile { path: PathBuf },
    /// Anybody on this machine could change it.
    #[error("writable by everybody: `{}` has mode {mode:04o}", path.display())]
    WritableByOthers { path: PathBuf, mode: u32 },
    /// Anybody on this machine could read this secret.
    #[error("secret open to everybody: `{}` has mode {mode:04o}", path.display())]
    SecretOpenToOthers { path: PathBuf, mode: u32 },
    /// Over the cap.
    #[error("file too large: `{}` has more than {limit} bytes", path.display())]
    TooLarge { path: PathBuf, limit: u64 },
    /// Not text.
    #[error("not UTF-8: `{}`, line {line} (byte {offset})", path.display())]
    NotUtf8 { path: PathBuf, line: usize, offset: usize },
    /// A secret file without a secret.
    #[error("empty secret file: `{}`", path.display())]
    Empty { path: PathBuf },
}

impl FileError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            FileError::Os { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("run this as the user that the relay runs as".to_owned())
            }
            FileError::WritableByOthers { path, .. } => {
                Some(format!("chmod o-w {}", path.display()))
            }
            FileError::SecretOpenToOthers { path, .. } => {
                Some(format!("chmod 0600 {}", path.display()))
            }
            FileError::Os { path, .. } if self.is_not_found() && path.is_relative() => {
                let here = std::env::current_dir().ok()?;
                Some(format!("it was looked for in {}", here.display()))
            }
            FileError::NotUtf8 { path, .. } => Some(format!(
                "editors of Windows may write UTF-16 or Latin-1; save it as UTF-8, or: iconv -f LATIN1 \
                 -t UTF-8 {}",
                path.display()
            )),
            _ => None,
        }
    }

    /// The file that it is about.
    pub fn path(&self) -> &Path {
        match self {
            FileError::Os { path, .. }
            | FileError::NotAFile { path }
            | FileError::WritableByOthers { path, .. }
            | FileError::SecretOpenToOthers { path, .. }
            | FileError::TooLarge { path, .. }
            | FileError::NotUtf8 { path, .. }
            | FileError::Empty { path } => path,
        }
    }

    /// Whether there is no such file.
    pub fn is_not_found(&self) -> bool {
        let not_found = |source: &io::Error| source.kind() == io::ErrorKind::NotFound;
        matches!(self, FileError::Os { source, .. } if not_found(source))
    }

    /// Whether the operating system refused, as opposed to the content being wrong.
    pub fn is_os_error(&self) -> bool {
        matches!(self, FileError::Os { .. })
    }
}

/// Reads a text file that must not be writable by everybody.
///
/// # Errors
/// Any [`FileError`] but those of secrets.
pub fn read_text(path: &Path) -> Result<String, FileError> {
    text(path, read_bytes(path)?)
}

/// Reads a file that must not be writable by everybody, whatever is in it.
///
/// # Errors
/// Any [`FileError`] but those of secrets and of text.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, FileError> {
    let (file, metadata) = open(path)?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & WRITABLE_BY_OTHERS != 0 {
        return Err(FileError::WritableByOthers { path: path.to_owned(), mode });
    }
    read_capped(path, file, MAX_FILE_BYTES)
}

/// Reads a file that nobody but owner and group may open, at most `limit` bytes of it.
///
/// # Errors
/// Any [`FileError`].
pub fn read_secret(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let (file, metadata) = open(path)?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & ANY_FOR_OTHERS != 0 {
        return Err(FileError::SecretOpenToOthers { path: path.to_owned(), mode });
    }
    let bytes = read_capped(path, file, limit)?;
    if bytes.is_empty() {
        return Err(FileError::Empty { path: path.to_owned() });
    }
    Ok(bytes)
}

/// Whether everybody may make and remove entries of this directory; a sticky bit doesn't help,
/// since new files are what matters.
pub fn is_writable_by_others(metadata: &Metadata) -> bool {
    metadata.permissions().mode() & WRITABLE_BY_OTHERS != 0
}

pub fn text(path: &Path, bytes: Vec<u8>) -> Result<String, FileError> {
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        let above = error.as_bytes().iter().take(offset);
        let line = above.filter(|byte| **byte == b'\n').count().saturating_add(1);
        FileError::NotUtf8 { path: path.to_owned(), line, offset }
    })
}

/// An OS error as people read it: `permission denied (13)`.
pub fn os_error(error: &io::Error) -> String {
    let text = error.to_string();
    match error.raw_os_error() {
        Some(number) => {
            let text = text.split(" (os error").next().unwrap_or(&text).to_owned();
            let mut letters = text.chars();
            let first = letters.next().map(|letter| letter.to_lowercase().to_string());
            format!("{}{} ({number})", first.unwrap_or_default(), letters.as_str())
        }
        None => text,
    }
}

fn open(path: &Path) -> Result<(File, Metadata), FileError> {
    let os = |verb| move |source| FileError::Os { verb, path: path.to_owned(), source };
    // Asked before the opening too, since opening a pipe that nobody writes would wait for ever.
    let kind = std::fs::metadata(path).map_err(os("open"))?;
    if !kind.is_file() {
        return Err(FileError::NotAFile { path: path.to_owned() });
    }
    let file = File::open(path).map_err(os("open"))?;
    let metadata = file.metadata().map_err(os("read"))?;
    if !metadata.is_file() {
        return Err(FileError::NotAFile { path: path.to_owned() });
    }
    Ok((file, metadata))
}

fn read_capped(path: &Path, file: File, limit: u64) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    let count = file
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|source| FileError::Os { verb: "read", path: path.to_owned(), source })?;
    if u64::try_from(count).is_ok_and(|count| count > limit) {
        return Err(FileError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;

    fn write(mode: u32, content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        (directory, path)
    }

    #[test]
    fn a_file_that_everybody_may_write_is_refused() {
        let (_directory, path) = write(0o646, b"x = 1");
        let error = read_text(&path).unwrap_err();
        assert!(error.to_string().starts_with("writable by everybody: `"), "{error}");
        assert!(error.to_string().ends_with("has mode 0646"), "{error}");
        assert!(error.hint().unwrap().starts_with("chmod o-w "));
        let (_directory, path) = write(0o664, b"x = 1");
        assert_eq!(read_text(&path).unwrap(), "x = 1");
    }

    #[test]
    fn a_secret_that_everybody_may_read_is_refused() {
        let (_directory, path) = write(0o644, b"secret");
        assert!(matches!(read_secret(&path, 99), Err(FileError::SecretOpenToOthers { .. })));
        let (_directory, path) = write(0o640, b"secret");
        assert_eq!(read_secret(&path, 99).unwrap(), b"secret");
        assert!(matches!(read_secret(&path, 5), Err(FileError::TooLarge { limit: 5, .. })));
        let (_directory, path) = write(0o600, b"");
        assert!(matches!(read_secret(&path, 99), Err(FileError::Empty { .. })));
    }

    #[test]
    fn os_errors_carry_verb_object_and_number() {
        let error = read_text(Path::new("/nonexistent/ot.toml")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot open `/nonexistent/ot.toml`: no such file or directory (2)"
        );
        assert!(error.is_os_error());
    }

    #[test]
    fn directories_and_binary_files_are_not_read() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(read_text(directory.path()), Err(FileError::NotAFile { .. })));
        let (_directory, path) = write(0o600, b"ab\xff");
        assert!(matches!(read_text(&path), Err(FileError::NotUtf8 { offset: 2, .. })));
    }
}
