//! The format of the journal: the codec of frames and of a segment's header, and the bodies. Pure:
//! it knows bytes, neither files nor clocks, and of Sparkplug where a birth has its names.
//!
//! ```text
//!  journal_write ──> 00000000000000000001.sdj  [header | Start, keyframes | frames …]
//!                    00000000000000004711.sdj  [header | Start, keyframes | frames …]  ──> journal_read
//!                    00000000000000009230.sdj  [header | Start, keyframes | frames …       journal_read
//! ```
//!
//! The journal is the one-way pipe: an append-only series of segment files. It has one writer and
//! any number of readers; no reader can be seen by the writer or by another reader. Frames are
//! numbered from 1 on, by 1, for ever, over all segments and starts. Every segment can be read
//! without those before it, since it repeats the state of every live node in its head. The byte
//! tables are in [`header`], [`frame`] and [`compact`], the bodies in [`Body`]; what data refers to
//! that has no names is in [`Layouts`].
//!
//! | crate | what it may do |
//! |---|---|
//! | `journal_format` | bytes to frames and back |
//! | `journal_segment` | open segment files and walk over their frames; for the next two alone |
//! | `journal_write` | append; the OT half's |
//! | `journal_read` | read; the IT half's |
//!
//! A journal that was [received over a link](note) is the sender's with holes where frames were lost,
//! and with what came late.
//!
//! It is built without the standard library, so that it can't open a file or ask a clock.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod body;
pub mod compact;
mod encode;
pub mod frame;
mod given;
pub mod header;
mod layouts;
mod missing;
pub mod note;
mod prefix;

pub use body::{Body, Data, Dropped, Envelope, Heartbeat, Keyframe, Relayed, Start};
pub use frame::{Frame, MAX_BODY_BYTES, TooLarge};
pub use given::{GivenAliases, has_alias};
pub use layouts::{Layout, Layouts};
pub use missing::MissingNumbers;
