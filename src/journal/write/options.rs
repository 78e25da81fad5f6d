//! How a journal is written: where, how much is kept, and what a commit survives.

use std::path::PathBuf;
use std::time::Duration;

/// What an acknowledged frame survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The death of the process (`kill -9`), not of the machine.
    #[default]
    Process,
    /// A loss of power too: `commit` returns after fdatasync.
    Power,
}

/// How to write a journal.
#[derive(Clone, Debug)]
pub struct WriterOptions {
    /// Made with mode 0750 if it doesn't exist.
    pub dir: PathBuf,
    /// Put into the headers, cut to 128 bytes.
    pub relay_name: String,
    /// A segment is full at this size, at 20 times the size of its head or 1/65,536 of
    /// `retain_bytes`, if that is more, or at a quarter of `retain_bytes`, if that is less.
    pub segment_bytes: u64,
    /// Retention by size of all segments.
    pub retain_bytes: u64,
    /// Retention by age of the newest frame of a segment.
    pub retain_age: Option<Duration>,
    pub durability: Durability,
}
