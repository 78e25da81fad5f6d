//! The receiving end of the link between two boxes: sockets that are read and never written, and a
//! journal that `it` reads like any other.
//!
//! ```text
//!  UDP ══> ports ──> link::Receiver ──> turn ──> landing ──> journal
//!                                        │
//!                                        └── state, stored before anything comes out
//! ```
//!
//! [`Turn::take`] does what there is to do, and [`run()`] takes one turn behind the other, in one thread: when
//! something came, and when a turn says, at the latest. Who tells people about it is a [`Watch`].

mod ends;
mod kept;
mod landing;
mod losses;
mod ports;
mod run;
mod silence;
mod turn;

pub use landing::{Landing, LandingCounts};
pub use losses::{LastLoss, Losses};
pub use ports::{Port, Ports, bound};
pub use run::{Happening, LoadKeys, Opened, RunError, Seen, Settings, Watch, open, run};
pub use silence::Silence;
pub use turn::{ReceiveError, Turn};
