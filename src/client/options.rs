//! What a session is asked for with.

use std::time::Duration;

use bytes::Bytes;

/// What stays as it is for all connections of a client.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Largest packet that is taken, in bytes behind the fixed header. What is larger ends the session.
    pub max_incoming_bytes: usize,
    /// Largest packet that may be sent, in bytes behind the fixed header.
    pub max_outgoing_bytes: usize,
    /// Requests that one wake-up writes, at most.
    pub request_batch: usize,
}

/// What one connection asks for.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub client_id: String,
    /// Nothing that the broker has kept of an earlier session is wanted, and it is to keep nothing.
    pub is_clean: bool,
    /// What the broker is told; whoever makes the stream keeps to it.
    pub keep_alive: Duration,
    /// `None`: as with the connection before.
    pub login: Option<Login>,
}

/// Who logs in.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// The user name goes alone.
    User(String),
    Password(String, Bytes),
}

/// Without the password.
impl std::fmt::Debug for Login {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Login::User(user) | Login::Password(user, _)) = self;
        formatter.debug_tuple("Login").field(user).finish()
    }
}

/// What the broker publishes when the connection ends without a DISCONNECT, at QoS 1 and not retained.
#[derive(Clone, Debug)]
pub struct Will {
    pub topic: String,
    pub payload: Vec<u8>,
}

/// Quality of service; nothing here is sent or asked for at 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qos {
    AtMostOnce,
    AtLeastOnce,
}
