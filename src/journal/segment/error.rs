//! What can go wrong with a journal, by who erred: the operating system, another process, the
//! file format, the caller.

use std::path::{Path, PathBuf};
use std::{fmt, io};

use journal_format::frame::TooLarge;

/// An error of the journal. The writer stays usable after every one of them; the call that
/// failed may be repeated.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A system call failed: a full disk, a missing permission, a directory that went away.
    #[error("cannot {verb} `{}`: {}", .path.display(), Lower(.source))]
    Os { verb: &'static str, path: PathBuf, source: io::Error },
    /// Another process holds the writer's claim on this journal.
    #[error("journal `{}` has another writer", .dir.display())]
    Claimed { dir: PathBuf },
    /// The path of a segment or of the claim isn't a regular file.
    #[error("not a regular file: `{}`", .path.display())]
    NotRegular { path: PathBuf },
    /// The segment was written by the plant's side itself, and not received over a link.
    #[error("`{}` wasn't received over a link: a journal has one kind of writer", .path.display())]
    NotReceived { path: PathBuf },
    /// The segment was received over a link: the plant's side doesn't go on with it.
    #[error("`{}` was received over a link: a journal has one kind of writer", .path.display())]
    IsReceived { path: PathBuf },
    /// The segment was written in a format that this version doesn't know.
    #[error("`{}` has journal format {found}, this version knows {known}", .path.display())]
    Format { path: PathBuf, found: u16, known: u16 },
    /// More segment files than [`MAX_SEGMENTS`](crate::MAX_SEGMENTS).
    #[error("journal `{}` has more than {cap} segments", .dir.display())]
    TooManySegments { dir: PathBuf, cap: usize },
    /// The encoded body is over [`MAX_BODY_BYTES`](journal_format::MAX_BODY_BYTES); it wasn't
    /// appended.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// A frame was pushed before the first segment was begun.
    #[error("no segment has been begun")]
    NoSegment,
    /// The next sequence number doesn't fit 64 bits.
    #[error("journal `{}` has used up its sequence numbers", .dir.display())]
    Exhausted { dir: PathBuf },
}

impl JournalError {
    /// Wraps a failed system call: ``cannot {verb} `{path}`: …``.
    pub fn os(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
        move |source| JournalError::Os { verb, path: path.to_path_buf(), source }
    }

    /// The operating system's error number, where there is one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            JournalError::Os { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }
}

/// An OS error as this project writes it: `permission denied (13)`.
struct Lower<'a>(&'a io::Error);

impl fmt::Display for Lower<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let text = text.split(" (os error").next().unwrap_or_default();
        let mut letters = text.chars();
        if let Some(first) = letters.next() {
            write!(formatter, "{}{}", first.to_lowercase(), letters.as_str())?;
        }
        match self.0.raw_os_error() {
            Some(errno) => write!(formatter, " ({errno})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_os_error_carries_verb_object_and_errno() {
        let error = JournalError::os("open", Path::new("/var/j"))(io::Error::from_raw_os_error(13));
        assert_eq!(error.to_string(), "cannot open `/var/j`: permission denied (13)");
        assert_eq!(error.errno(), Some(13));
    }
}
