//! Secrets: they lie in files of their own, are read late, and are never printed.

use std::fmt;
use std::path::{Path, PathBuf};

/// A file with a secret in it, readable by its owner (and group) alone.
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
