//! What who publishes can ask for.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::connection::Connection;
use crate::error::NotTaken;
use crate::options::{Acks, Attempt, Naming, Options, Qos, Will};
use crate::requests::{Requests, build};

/// Requests of a client that publishes; what comes is acknowledged as it comes.
#[derive(Clone, Debug)]
pub struct Publisher(Requests);

/// Prepares a client that publishes. `connect` makes the stream to the broker, for each connection anew.
pub fn publisher<Connect, Fut, Stream>(
    options: &Options,
    attempt: Attempt,
    will: Will,
    connect: Connect,
) -> (Publisher, Connection)
where
    Connect: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = io::Result<Stream>> + Send + 'static,
    Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin + 'static,
{
    let (requests, connection) = build(options, attempt, Acks::AtOnce, Some(will), connect);
    (Publisher(requests), Connection::new(connection))
}

impl Publisher {
    /// Publishes, without retaining it.
    ///
    /// # Errors
    /// The connection is over for good, or MQTT has no such topic.
    pub fn publish(
        &self,
        topic: &str,
        payload: Vec<u8>,
        qos: Qos,
        naming: Naming,
    ) -> Result<(), NotTaken> {
        self.0.publish(topic, payload, qos, naming)
    }

    /// Asks for these filters, in one SUBSCRIBE.
    ///
    /// # Errors
    /// The connection is over for good, or there is no filter.
    pub fn subscribe(&self, filters: Vec<String>, qos: Qos) -> Result<(), NotTaken> {
        self.0.subscribe(filters, qos)
    }

    /// Ends the subscription to this filter.
    ///
    /// # Errors
    /// The connection is over for good.
    pub fn unsubscribe(&self, filter: &str) -> Result<(), NotTaken> {
        self.0.unsubscribe(vec![filter.to_owned()])
    }

    /// Sends DISCONNECT behind everything that was asked for before; the will isn't published then.
    ///
    /// # Errors
    /// The connection is over for good.
    pub fn disconnect(&self) -> Result<(), NotTaken> {
        self.0.disconnect()
    }
}
