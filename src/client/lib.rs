//! The MQTT client of both halves: what a half asks of its session and hears of it, in types that are the
//! same whatever crate speaks to the broker. Nobody else knows such a crate.
//!
//! ```text
//!  ot ──> Subscriber ──┐ requests                       ┌──> socket connector (src/stream)
//!  it ──> Publisher  ──┴──────────> Connection <────────┘
//!  ot, it <── Event, Error ──────────┘ poll
//! ```
//!
//! Who only subscribes has a [`Subscriber`]: no method of it, and no option of its connection, leads to a
//! PUBLISH or a will. A [`Publisher`] has both.

mod connection;
mod error;
mod event;
mod five;
mod options;
mod publisher;
mod requests;
mod subscriber;
mod three;

pub use connection::Connection;
pub use error::{Error, NotTaken};
pub use event::{Ack, Event, Grant, Message, Sent};
pub use options::{Attempt, Five, Login, Naming, Options, Qos, Will};
pub use publisher::{Publisher, publisher};
pub use subscriber::{Subscriber, subscriber};

#[cfg(test)]
mod tests;
