//! Secrets: they lie in files of their own, are read late, and are never printed.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::file::{self, FileError};

/// Largest secret file: a PEM file with a key and a long certificate chain is about 20 KiB.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// A file with a secret in it, which nobody but its owner and group may open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretFile {
    path: PathBuf,
}

impl SecretFile {
    /// Names a secret file; nothing is read yet.
    pub fn new(path: impl Into<PathBuf>) -> SecretFile {
        SecretFile { path: path.into() }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads it as text; one line end after it is not part of the secret.
    ///
    /// # Errors
    /// The file can't be read, is open to everybody, over 64 KiB, empty, or not UTF-8.
    pub fn read(&self) -> Result<Secret, FileError> {
        let mut text = file::text(&self.path, self.read_bytes()?)?;
        if text.ends_with('\n') {
            text.pop();
        }
        if text.ends_with('\r') {
            text.pop();
        }
        if text.is_empty() {
            return Err(FileError::Empty { path: self.path.clone() });
        }
        Ok(Secret(text))
    }

    /// Reads it as a password: the only line of the file. A byte order mark, which editors put before it
    /// and nobody sees, is none of it.
    ///
    /// # Errors
    /// As [`SecretFile::read`]; and there is another line.
    pub fn read_line(&self) -> Result<Secret, FileError> {
        let Secret(text) = self.read()?;
        let line = text.strip_prefix('\u{feff}').unwrap_or(&text);
        if line.is_empty() {
            return Err(FileError::Empty { path: self.path.clone() });
        }
        if line.contains(['\n', '\r']) {
            return Err(FileError::Lines { path: self.path.clone() });
        }
        Ok(Secret(line.to_owned()))
    }

    /// Reads it as it is.
    pub fn read_bytes(&self) -> Result<Vec<u8>, FileError> {
        file::read_secret(&self.path, MAX_SECRET_BYTES)
    }
}

/// The content of a secret file. Its `Debug` doesn't show it, and it has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself, for the one call that hands it to the broker.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_loses_one_line_end_and_never_shows_itself() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        for (content, wanted) in
            [("hunter2\n", "hunter2"), ("hunter2\r\n", "hunter2"), (" x ", " x ")]
        {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            let secret = SecretFile::new(&path).read().unwrap();
            assert_eq!(secret.expose(), wanted);
            assert!(!format!("{secret:?}").contains(wanted.trim()));
        }
        for (content, wanted) in [("\u{feff}hunter2\r\n", "hunter2"), (" x\n", " x")] {
            fs::write(&path, content).unwrap();
            assert_eq!(SecretFile::new(&path).read_line().unwrap().expose(), wanted);
        }
        fs::write(&path, "secret\nsecond\n").unwrap();
        let error = SecretFile::new(&path).read_line().unwrap_err();
        assert!(error.to_string().starts_with("more than one line in secret file: `"), "{error}");
        assert!(!format!("{error:?} {:?}", error.hint()).contains("second"));
        fs::write(&path, "\u{feff}\n").unwrap();
        assert!(matches!(SecretFile::new(&path).read_line(), Err(FileError::Empty { .. })));
        fs::write(&path, "\n").unwrap();
        assert!(matches!(SecretFile::new(&path).read(), Err(FileError::Empty { .. })));
    }
}
