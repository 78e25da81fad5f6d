//! Diagnostics with file, line and column, and the reading of files that an operator writes. A
//! leaf: it knows no configuration and no policy.

mod diagnostic;
pub mod file;
mod secret;

pub use diagnostic::*;
pub use file::{FileError, os_error, read_text};
pub use secret::{Secret, SecretFile};
