//! A message as the broker delivered it, and the right to acknowledge it.

use account::Reason;
use bytes::Bytes;
use client::Ack;

/// A message as it came from the broker, and how to acknowledge it.
#[derive(Debug)]
pub(crate) struct Delivered {
    pub(crate) topic: Bytes,
    pub(crate) payload: Bytes,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
    /// Why nothing of its payload is here: it was larger than the configuration allows, or is what MQTT
    /// doesn't.
    pub(crate) unread: Option<Reason>,
    /// It is of an edge node that another relay has: nothing of it is here but its receipt.
    pub(crate) of_other_shard: bool,
    /// `None` at QoS 0.
    pub(crate) receipt: Option<Receipt>,
}

impl Delivered {
    /// A message for another relay: it is counted, and acknowledged in its turn.
    pub(crate) fn of_other_shard(dup: bool, receipt: Option<Receipt>) -> Delivered {
        Delivered {
            topic: Bytes::new(),
            payload: Bytes::new(),
            retain: false,
            dup,
            unread: None,
            of_other_shard: true,
            receipt,
        }
    }
}

/// The right to acknowledge one message, on the connection that delivered it.
#[derive(Debug)]
pub(crate) struct Receipt {
    pub(super) connection: u64,
    pub(super) ack: Ack,
}

impl Delivered {
    /// Quality of service of the delivery.
    pub(crate) fn qos(&self) -> u8 {
        match &self.receipt {
            None => 0,
            Some(receipt) if receipt.ack.is_exactly_once => 2,
            Some(_) => 1,
        }
    }

    /// What it takes of the memory for messages on their way.
    pub(crate) fn bytes(&self) -> usize {
        self.topic.len().saturating_add(self.payload.len())
    }
}

#[cfg(any(test, feature = "testing"))]
impl Receipt {
    pub(crate) fn numbered(packet_id: u16) -> Receipt {
        Receipt { connection: 0, ack: Ack::at_least_once(packet_id) }
    }

    pub(crate) fn number(&self) -> u16 {
        self.ack.id
    }
}
