//! What a session is asked for with.

use std::time::Duration;

use broker::Protocol;
use bytes::Bytes;

/// What stays as it is for all connections of a client.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub protocol: Protocol,
    /// Largest packet that is taken, in bytes behind the fixed header. What is larger ends the session.
    pub max_incoming_bytes: usize,
    /// Largest packet that may be sent, in bytes behind the fixed header.
    pub max_outgoing_bytes: usize,
    /// Requests that one wake-up writes, at most.
    pub request_batch: usize,
    /// Of MQTT 5 alone.
    pub five: Five,
}

/// What is asked for in MQTT 5 alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Five {
    /// How long the broker is to keep a session that isn't clean, when the connection is over.
    pub session_expiry: Duration,
    /// Messages at QoS 1 that may be without an acknowledgement; `None`: as many as MQTT has numbers for.
    pub receive_maximum: Option<u16>,
    /// Whether the broker is told how large a packet may be. It drops larger ones without a word.
    pub announces_max_packet: bool,
    /// Whether topics may have a number in place of their name, where the broker offers that.
    pub has_topic_aliases: bool,
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

/// How messages are acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acks {
    ByHand,
    AtOnce,
}

/// How the topic of a publication is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    Full,
    /// As a number, once the broker knows it, if both sides have such: for one that is published to often.
    Short,
}

/// Quality of service; nothing here is sent or asked for at 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qos {
    AtMostOnce,
    AtLeastOnce,
}
