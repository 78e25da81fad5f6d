//! The sending end of the link between two boxes: a reader of the journal like any other, and sockets
//! that are written and never read.
//!
//! ```text
//!  journal ──> feed ──> link::Sender ──> turn ──> paths ══> UDP, one datagram to each
//!                 ^── again: what the second pass wants
//! ```
//!
//! What isn't in here is what waits: whoever runs it calls [`Turn::take`] again when that says. Nothing
//! that comes from a path changes anything: the sockets have no peer, are never read, and an error of
//! one is counted and costs what was to be sent there.

mod feed;
mod paths;
#[cfg(test)]
mod rig;
mod turn;

pub use feed::{Feed, FeedCounts};
pub use paths::{Path, PathCounts, Paths, bound};
pub use turn::{SendError, Turn};
