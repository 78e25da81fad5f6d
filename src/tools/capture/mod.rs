//! Recordings of real traffic for the policy tools: JSON lines, a header and then one object a
//! message. A leaf: it knows neither half nor policies.
//!
//! ```text
//! {"sparkdiode-capture":1,"made-by":"sparkdiode 0.1.0","started_ms":…,"redacted":false,…}
//! {"at_ms":1732442400123,"topic":"spBv1.0/G/NDATA/E","payload":"CIiJ…","qos":0,"retain":false,"dup":false}
//! {"at_ms":1732442401000,"note":"connection lost"}
//! ```
//!
//! A line with `note` instead of a topic says what happened to the recorder; readers count it.
//! Whoever writes such a file by hand needs `at_ms`, `topic` and `payload` (Base64); the rest is
//! optional. A reader takes nothing on trust: the length of a line is capped before it is kept.

mod reader;
pub mod redact;
mod writer;

use std::io;
use std::path::PathBuf;

use foreign::ForeignError;
pub use reader::Reader;
use text::escape;
pub use writer::{Limit, Writer, create_file};

/// Version of the format.
pub const VERSION: u64 = 1;

/// Bytes of one line: a payload of the largest packet that can be configured (64 MiB) in Base64,
/// and the longest topic of MQTT, escaped.
pub const MAX_LINE_BYTES: u64 = 96 * 1024 * 1024;

/// First line of a recording: where it comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Program and version.
    pub made_by: String,
    /// Name of the relay whose configuration was used; empty if unknown.
    pub relay: String,
    /// The broker, `host:port`; empty if unknown.
    pub broker: String,
    /// Wall clock at the start, in milliseconds since the epoch (UTC).
    pub started_ms: u64,
    /// MQTT topic filters that were subscribed to.
    pub filters: Vec<String>,
    /// Values were replaced, see [`redact`]: nothing can be learnt from them.
    pub redacted: bool,
}

/// One recorded message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Wall clock at receipt, in milliseconds since the epoch (UTC).
    pub at_ms: u64,
    pub topic: String,
    pub payload: Vec<u8>,
    /// MQTT quality of service of the delivery, 0 to 2.
    pub qos: u8,
    /// The broker had it stored.
    pub retain: bool,
    /// The broker delivered it before, or thinks so.
    pub dup: bool,
}

/// Why a recording can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The operating system refused.
    #[error("cannot {verb} `{}`: {}", path.display(), diagnostic::file::os_error(source))]
    Os { verb: &'static str, path: PathBuf, source: io::Error },
    /// A link, a FIFO, a device, or somebody else's file in a directory of a third.
    #[error(transparent)]
    Foreign(ForeignError),
    /// The first line isn't the header of a recording.
    #[error("not a recording of `sparkdiode capture`: `{}`: {}", path.display(), escape(detail))]
    NotACapture { path: PathBuf, detail: String },
    /// A later version of the format.
    #[error("`{}` has version {found} of the recording format; this program reads {VERSION}",
        path.display())]
    Version { path: PathBuf, found: u64 },
    /// A line that isn't a record.
    #[error("{}:{line}: not a record: {}", path.display(), escape(detail))]
    Line { path: PathBuf, line: u64, detail: String },
    /// A line over [`MAX_LINE_BYTES`].
    #[error("{}:{line}: a line of more than {MAX_LINE_BYTES} bytes", path.display())]
    TooLong { path: PathBuf, line: u64 },
    /// The last line has no end: the recorder was killed while it wrote.
    #[error("{}:{line}: the recording ends within a line", path.display())]
    Torn { path: PathBuf, line: u64 },
}

impl CaptureError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            CaptureError::Os { verb: "create", path, source }
                if source.kind() == io::ErrorKind::AlreadyExists =>
            {
                Some(format!("`{}` is kept as it is; name another file", path.display()))
            }
            CaptureError::Foreign(error) => error.hint(),
            CaptureError::NotACapture { .. } => Some(
                "its first line begins with `{\"sparkdiode-capture\":1`; `sparkdiode capture` \
                 makes such files"
                    .to_owned(),
            ),
            CaptureError::Torn { .. } => {
                Some("the lines before it are whole; delete the last one".to_owned())
            }
            _ => None,
        }
    }

    /// Whether the operating system refused, as opposed to the content being wrong.
    pub fn is_os_error(&self) -> bool {
        matches!(self, CaptureError::Os { .. } | CaptureError::Foreign(_))
    }
}
