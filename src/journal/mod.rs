//! The one-way pipe: an append-only journal of segment files. A leaf: it knows frames, not
//! Sparkplug.
//!
//! ```text
//!  Writer ──> 00000000000000000001.sdj  [header | Start, keyframes | frames …]
//!             00000000000000004711.sdj  [header | Start, keyframes | frames …]  ──> Reader
//!             00000000000000009230.sdj  [header | Start, keyframes | frames …       Reader
//! ```
//!
//! One [`Writer`] per journal, any number of [`Reader`]s; no reader can be seen by the writer
//! or by another reader. Frames are numbered from 1 on, by 1, for ever, over all segments and
//! starts. Every segment can be read without those before it, since it repeats the state of
//! every live node in its head. The byte tables are in `segment.rs` and `frame.rs`, the bodies
//! in [`Body`].
//!
//! What is promised:
//!
//! - A frame that was committed is read by every reader, whatever dies at whatever byte, or is
//!   reported as [`Lost`] by its number.
//! - A frame that was written in part, or damaged, is never served. Damage costs the frames
//!   that it touches and no other.
//! - A reader's memory is bounded by [`MAX_BODY_BYTES`] and [`MAX_SEGMENTS`], and every call of
//!   it ends, whatever the files hold.

mod body;
mod cursor;
mod error;
mod frame;
#[cfg(test)]
mod model;
mod reader;
mod recovery;
mod segment;
mod verify;
mod writer;

pub use body::{Body, Dropped, Envelope, Heartbeat, Keyframe, Relayed, Start};
pub use error::JournalError;
pub use frame::{Frame, MAX_BODY_BYTES};
pub use reader::{From, Item, Lost, LostCause, Position, Reader, SETTLED_POLLS};
pub use recovery::Recovered;
pub use segment::MAX_SEGMENTS;
pub use verify::{Defect, Finding, MAX_FINDINGS, Verification, verify};
pub use writer::{Durability, Head, Replay, Retained, Writer, WriterOptions};
