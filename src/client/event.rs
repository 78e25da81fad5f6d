//! What is heard of a session.

use bytes::Bytes;

/// What happened on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The broker takes the session; `session_present`: it has kept what it had.
    Connected {
        session_present: bool,
    },
    Message(Message),
    /// The answer to a SUBSCRIBE, filter by filter.
    Subscribed {
        id: u16,
        grants: Vec<Grant>,
    },
    /// The answer to an UNSUBSCRIBE.
    Unsubscribed,
    /// The broker has a publication at QoS 1.
    Acknowledged,
    /// Something of ours was written.
    Sent(Sent),
    /// Nothing that anybody waits for.
    Other,
}

/// A message of the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub topic: Bytes,
    pub payload: Bytes,
    pub retain: bool,
    pub dup: bool,
    /// How to acknowledge it; `None` at QoS 0.
    pub ack: Option<Ack>,
}

/// The acknowledgement of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Its packet identifier.
    pub id: u16,
    /// It was delivered at QoS 2.
    pub is_exactly_once: bool,
}

impl Ack {
    /// Of a message at QoS 1.
    pub const fn at_least_once(id: u16) -> Ack {
        Ack { id, is_exactly_once: false }
    }
}

/// What the broker makes of one filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    Refused,
    /// At QoS 0.
    AtMostOnce,
    AtLeastOnce,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// `is_answered`: at QoS 1.
    Publication {
        is_answered: bool,
    },
    Subscribe,
    Unsubscribe,
    Disconnect,
}
