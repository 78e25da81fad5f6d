//! The edge node that an attacker says it is: topics, sequence numbers, and payloads of any kind.

use crate::clock::now_ms;
use crate::hand::Shot;
use crate::metrics::{Type, alias, typed};
use crate::proto::Proto;

/// An edge node that says whatever it wants.
#[derive(Clone, Debug)]
pub struct Edge {
    pub(crate) group: String,
    pub(crate) node: String,
    pub(crate) qos: u8,
    /// Of the next message.
    pub(crate) seq: u64,
    pub(crate) bd_seq: u64,
}

/// A payload with the present time, these metrics and this sequence number.
pub(crate) fn payload(seq: Option<u64>, metrics: impl IntoIterator<Item = Proto>) -> Proto {
    let payload = Proto::new().int(1, now_ms()).messages(2, metrics);
    match seq {
        Some(seq) => payload.int(3, seq),
        None => payload,
    }
}

impl Edge {
    /// Nothing is born yet.
    pub fn new(group: &str, node: &str, qos: u8) -> Edge {
        Edge { group: group.to_owned(), node: node.to_owned(), qos, seq: 1, bd_seq: 0 }
    }

    /// `spBv1.0/GROUP/VERB/NODE`, and `/DEVICE` where that isn't empty.
    pub(crate) fn topic(&self, verb: &str, device: &str) -> String {
        let slash = if device.is_empty() { "" } else { "/" };
        format!("spBv1.0/{}/{verb}/{}{slash}{device}", self.group, self.node)
    }

    /// The next sequence number.
    pub(crate) fn next(&mut self) -> Option<u64> {
        let seq = self.seq;
        self.seq = (self.seq + 1) % 256;
        Some(seq)
    }

    /// Any payload under any topic.
    pub(crate) fn publish(&self, topic: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> Shot {
        Shot::Publish {
            topic: topic.as_ref().to_vec(),
            payload: payload.as_ref().to_vec(),
            qos: self.qos,
            retain: false,
            dup: false,
        }
    }

    /// Any payload of its own.
    pub(crate) fn says(&self, verb: &str, payload: Proto) -> Shot {
        self.publish(self.topic(verb, ""), payload.done())
    }

    /// NBIRTH with bdSeq, `Node Control/Rebirth` and these metrics.
    pub(crate) fn birth(&mut self, metrics: impl IntoIterator<Item = Proto>) -> Shot {
        self.seq = 0;
        let own = [
            typed("bdSeq", Type::Int64).int(11, self.bd_seq),
            typed("Node Control/Rebirth", Type::Boolean).int(14, 0),
        ];
        let payload = payload(self.next(), own.into_iter().chain(metrics));
        self.says("NBIRTH", payload)
    }

    /// NBIRTH of a single number with alias 1, for whom only what follows matters.
    pub(crate) fn small_birth(&mut self) -> Shot {
        self.birth([typed("x", Type::Int32).int(2, 1).int(10, 0)])
    }

    /// Before the shots of the first step: the same birth, whose data they are.
    pub(crate) fn born_then(&mut self, step: u64, then: Vec<Shot>) -> Vec<Shot> {
        let mut shots = Vec::new();
        if step == 0 {
            let next = self.seq;
            shots.push(self.small_birth());
            self.seq = next;
        }
        shots.extend(then);
        shots
    }

    pub(crate) fn data(&mut self, metrics: impl IntoIterator<Item = Proto>) -> Shot {
        let payload = payload(self.next(), metrics);
        self.says("NDATA", payload)
    }

    /// NDATA of the number of [`Edge::small_birth`].
    pub(crate) fn small_data(&mut self, value: u64) -> Shot {
        self.data([alias(1).int(10, value & 0x7fff)])
    }

    /// DBIRTH, DDATA or DDEATH.
    pub(crate) fn of_device(
        &mut self,
        verb: &str,
        device: &str,
        metrics: impl IntoIterator<Item = Proto>,
    ) -> Shot {
        let payload = payload(self.next(), metrics);
        self.publish(self.topic(verb, device), payload.done())
    }

    /// NDEATH with the bdSeq of its birth.
    pub(crate) fn death(&self) -> Shot {
        let number = typed("bdSeq", Type::Int64).int(11, self.bd_seq);
        self.says("NDEATH", payload(None, [number]))
    }

    /// The same edge node under another name.
    pub(crate) fn named(&self, node: &str) -> Edge {
        Edge::new(&self.group, node, self.qos)
    }
}
