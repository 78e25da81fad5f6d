//! The sending end of the link between two boxes: a reader of the journal like any other, and sockets
//! that are written and never read.
//!
//! ```text
//!  journal ──> feed ──> link::Sender ──> turn ──> paths ══> UDP, one datagram to each
//!                 ^── again: what the second pass wants
//! ```
//!
//! [`Turn::take`] does what there is to do, and [`run()`] takes one turn behind the other, in one thread. Nothing
//! that comes from a path changes anything: the sockets have no peer, are never read, and an error of
//! one is counted and costs what was to be sent there. Who tells people about it is a [`Watch`].

mod feed;
mod kept;
mod paths;
#[cfg(test)]
mod rig;
mod run;
mod turn;

pub use feed::{Feed, FeedCounts};
pub use kept::REQUEST;
pub use paths::{Path, PathCounts, Paths, bound};
pub use run::{FirstStart, Happening, LoadKey, Opened, RunError, Seen, Settings, Watch, open, run};
pub use turn::{SendError, Turn};
