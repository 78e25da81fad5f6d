//! The connection of a client: it is polled, and connects anew when it is polled after its end.

use crate::error::Error;
use crate::event::Event;
use crate::options::Attempt;
use crate::requests::Happening;

/// The connection of a client.
pub struct Connection(Happening);

impl Connection {
    pub(crate) fn new(connection: Happening) -> Connection {
        Connection(connection)
    }

    /// Connects where there is no connection, and says what happens next on it. Once there is a session,
    /// the client looks after no keep alive: whoever made the stream does.
    ///
    /// # Errors
    /// Why there is no connection, or no more.
    pub async fn poll(&mut self) -> Result<Event, Error> {
        self.0.poll().await
    }

    /// What the next connection is to ask for.
    pub fn prepare(&mut self, attempt: Attempt) {
        self.0.prepare(attempt);
    }

    /// The connection is over: nothing that was asked for on it goes into the next one.
    pub fn forget(&mut self) {
        self.0.forget();
    }
}

/// Without what is underway.
impl std::fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Connection").finish_non_exhaustive()
    }
}
