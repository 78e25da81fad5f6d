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
mod options;
mod publisher;
mod subscriber;
mod three;

pub use connection::Connection;
pub use error::Error;
pub use event::{Ack, Event, Grant, Message, Sent};
pub use options::{Attempt, Login, Options, Qos};
pub use publisher::{Publisher, Will, publisher};
pub use subscriber::{Subscriber, subscriber};

/// A request that the client can't take: its connection is over, or it isn't one of MQTT.
#[derive(Debug, thiserror::Error)]
#[error("the client takes no request: {0}")]
pub struct NotTaken(String);

#[cfg(test)]
mod tests;
