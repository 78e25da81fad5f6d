//! Problems in files that an operator writes: their places and their texts, and the reading of
//! such files and of their TOML tables. A leaf: it knows no configuration and no policy.
//!
//! ```text
//!  file ── text ──> SourceFile ── TOML ──> Section ── keys ──> values with their places
//!                                             │
//!                                             └── Diagnostic ──> Diagnostics ── render ──> text
//! ```

mod closest;
mod diagnostic;
mod diagnostics;
pub mod file;
mod placed;
mod render;
mod secret;
mod section;
mod source;
mod toml_words;

pub use closest::closest;
pub use diagnostic::{Diagnostic, Severity};
pub use diagnostics::Diagnostics;
pub use file::{FileError, os_error, read_text};
pub use placed::{Numeral, Placed, Scalar, UniqueNames, inside};
pub use secret::{Secret, SecretFile};
pub use section::{Kind, Section, Wording};
pub use source::SourceFile;
