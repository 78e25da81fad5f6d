//! Segment files: their names, how they are opened, and the walk over their frames. Inside of
//! reader and writer, which both find their place in a journal with it; no half may depend on it.

pub mod cursor;
mod error;
pub mod files;

pub use error::JournalError;
pub use files::MAX_SEGMENTS;
