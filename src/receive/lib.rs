//! The receiving end of the link between two boxes: sockets that are read and never written, and a
//! journal that `it` reads like any other.
//!
//! ```text
//!  UDP ══> ports ──> link::Receiver ──> turn ──> landing ──> journal
//!                                        │
//!                                        └── state, stored before anything comes out
//! ```
//!
//! What isn't in here is what waits: whoever runs it calls [`Turn::take`] when something came, and when
//! that says, at the latest.

mod landing;
mod ports;
mod turn;

pub use landing::{Landing, LandingCounts};
pub use ports::{Port, Ports, bound};
pub use turn::{ReceiveError, Turn};
