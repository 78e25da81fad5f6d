//! What who only subscribes can ask for. There is no PUBLISH.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::connection::Connection;
use crate::error::NotTaken;
use crate::event::Ack;
use crate::options::{Acks, Attempt, Options, Qos};
use crate::requests::{Requests, build};

/// Requests of a client that only subscribes; what comes is acknowledged by hand.
#[derive(Clone, Debug)]
pub struct Subscriber(Requests);

/// Prepares a client that only subscribes, without a will. `connect` makes the stream to the broker, for each
/// connection anew.
pub fn subscriber<Connect, Fut, Stream>(
    options: &Options,
    attempt: Attempt,
    connect: Connect,
) -> (Subscriber, Connection)
where
    Connect: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = io::Result<Stream>> + Send + 'static,
    Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin + 'static,
{
    let (requests, connection) = build(options, attempt, Acks::ByHand, None, connect);
    (Subscriber(requests), Connection::new(connection))
}

impl Subscriber {
    /// Asks for these filters, in one SUBSCRIBE.
    ///
    /// # Errors
    /// The connection is over for good, or there is no filter.
    pub fn subscribe(&self, filters: Vec<String>, qos: Qos) -> Result<(), NotTaken> {
        self.0.subscribe(filters, qos)
    }

    /// Ends the subscriptions to these filters, in one UNSUBSCRIBE.
    ///
    /// # Errors
    /// The connection is over for good, or there is no filter.
    pub fn unsubscribe(&self, filters: Vec<String>) -> Result<(), NotTaken> {
        self.0.unsubscribe(filters)
    }

    /// Acknowledges a message of the connection that stands.
    ///
    /// # Errors
    /// The connection is over for good.
    pub fn acknowledge(&self, ack: Ack) -> Result<(), NotTaken> {
        self.0.acknowledge(ack)
    }

    /// Sends DISCONNECT behind everything that was asked for before.
    ///
    /// # Errors
    /// The connection is over for good.
    pub fn disconnect(&self) -> Result<(), NotTaken> {
        self.0.disconnect()
    }
}
