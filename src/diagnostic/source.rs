//! A file as it was read: what the places of diagnostics point into.

use std::path::PathBuf;
use std::sync::Arc;

/// One file as it was read: the text that spans point into.
#[derive(Clone, Debug)]
pub struct SourceFile {
    pub path: PathBuf,
    pub text: Arc<str>,
}

impl SourceFile {
    /// A file called `path` that contains `text`.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<Arc<str>>) -> SourceFile {
        SourceFile { path: path.into(), text: text.into() }
    }
}

/// The last character boundary of `text` at or before `index`.
pub(crate) fn on_boundary(text: &str, index: usize) -> usize {
    let mut index = index.min(text.len());
    // Terminates: 0 is a boundary of every string.
    while !text.is_char_boundary(index) {
        index = index.saturating_sub(1);
    }
    index
}
