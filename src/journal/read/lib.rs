//! Readers of the journal. They open segment files for reading and nothing else: there is no
//! call here that writes, locks or watches.
//!
//! What is promised:
//!
//! - A frame that was committed is read by every reader, whatever dies at whatever byte, or is
//!   reported as [`Lost`] by its number.
//! - A frame that was written in part, or damaged, is never served. Damage costs the frames
//!   that it touches, and where one of them gave the layout of an edge node or device that no
//!   earlier frame gave, its data until the layout is given again.
//! - A reader's memory is bounded by [`MAX_BODY_BYTES`](journal_format::MAX_BODY_BYTES),
//!   [`MAX_SEGMENTS`](journal_segment::MAX_SEGMENTS) and what it may hold of layouts, and every call
//!   of it ends, whatever the files hold.

mod compare;
mod item;
mod lag;
mod late;
mod raw;
mod reader;
mod received;
mod verify;

pub use compare::{Comparison, Stretches, compare};
pub use item::{From, Item, Lost, LostCause, Position};
pub use journal_segment::JournalError;
pub use raw::{RawFrame, RawItem};
pub use reader::{Reader, SETTLED_POLLS};
pub use verify::{Defect, Finding, MAX_FINDINGS, Verification, verify};
