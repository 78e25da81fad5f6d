//! The one-way link between two boxes: frames of one journal to datagrams, and back to frames for
//! another. Sans-IO: it has no files, sockets, clocks and threads; time, randomness and input come in
//! as arguments, output is polled.
//!
//! ```text
//!             packing    blocks     code        pacing      protect
//!  frames ──> symbols ─> blocks ──> repair ───> source, ──> sealed ══> datagrams
//!                │                              repair,       ^
//!  second_pass ──┴── which frames go again ───> again     heartbeat
//!
//!               protect     gate     repair      order      packing   missing
//!  datagrams ══> opened ──> once ──> restored ─> in turn ─> items ──> frames, late ones
//!                             │                             segments
//!                          session: what is stored        heartbeat ──> freshness
//! ```
//!
//! The first pages of [`Sender`] and [`Receiver`] say in which order to call what. Nothing goes back:
//! what a sender does depends on what it is given and on the time, and a receiver has nothing that
//! could be sent. A receiver that comes later finds in with the first datagram that it sees: each has
//! all that is needed to open it, and the first symbol of a block says where to begin.
//!
//! Bytes from outside are hostile: nothing is looked at before it is authentic, every length has a cap
//! that is looked at before memory is taken, and no loop is longer than what came.

mod account;
mod blocks;
mod code;
mod datagram;
mod gate;
mod heartbeat;
mod lane;
mod missing;
mod order;
mod pacing;
mod packing;
mod protect;
mod reader;
mod receiver;
mod repair;
mod replay;
mod second_pass;
mod segments;
mod sender;
mod session;
mod settled;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use account::{ForeignCounts, PathAccount, ReceiverAccount, SenderAccount};
pub use blocks::BlockOptions;
pub use code::{MAX_REPAIR_SYMBOLS, MAX_SOURCE_SYMBOLS};
pub use datagram::{
    Announcement, Body, Foreign, HEADER_BYTES, Header, Heartbeat, Lane, Malformed, Repair,
    SessionId, Source, TAG_BYTES, symbol_bytes,
};
pub use heartbeat::{Freshness, Sign};
pub use pacing::Rates;
pub use packing::{Item, MAX_ITEM_BYTES, Packer, TooLarge, Unpacked, Unpacker};
pub use protect::{
    CounterExhausted, InvalidName, Keys, LinkKey, LinkName, MAX_COUNTER, Opener, SameKey, Sealer,
};
pub use receiver::{MAX_PATHS, Output, Receiver, ReceiverOptions, ReceiverOptionsError, Verdict};
pub use replay::{Seen, WINDOW, Window};
pub use second_pass::{SecondPassOptions, TooManyStretches};
pub use segments::{MAX_RELAY_NAME_BYTES, Segment};
pub use sender::{MIN_DATAGRAM_BYTES, Sender, SenderOptions, SenderOptionsError};
pub use session::{Edge, ReceiverState, SenderState, SessionsExhausted, StateError};
