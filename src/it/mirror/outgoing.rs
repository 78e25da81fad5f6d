//! What the mirror asks of its driver, and what the driver reports. The closed list of what
//! the IT half can do on the enterprise broker.

use std::sync::Arc;

use account::NodeSlot;
use bytes::Bytes;

/// Index of a mirrored edge node. Another node may take the place of one that is dead and whose
/// session is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

impl From<NodeId> for NodeSlot {
    fn from(id: NodeId) -> NodeSlot {
        // Nodes are places in a list.
        NodeSlot(usize::try_from(id.0).unwrap_or(usize::MAX))
    }
}

/// Quality of service of a publication. Sparkplug data is QoS 0, deaths are QoS 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Qos {
    AtMostOnce,
    AtLeastOnce,
}

/// Something to do on the IT broker, in this order per node.
#[derive(Debug, Clone, PartialEq)]
pub enum Outgoing {
    /// Connect a session of its own for this edge node, with this will, and subscribe to its
    /// commands. Before the CONNECT is sent, [`Mirror::bd_seqs`](super::Mirror::bd_seqs) must
    /// be on disk: an old will with the same bdSeq could kill a new session.
    Open { node: NodeId, spec: SessionSpec },
    /// Publish (never retained).
    Publish { node: NodeId, topic: Arc<str>, payload: Vec<u8>, qos: Qos },
    /// What was published on this session so far is urgent: on a link that is full it goes before what
    /// others have.
    Hurry { node: NodeId },
    /// Ask the broker for an answer behind all that was published on this session.
    Barrier { node: NodeId },
    /// Send what is queued, then DISCONNECT.
    Close { node: NodeId },
}

/// What a session needs to connect.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionSpec {
    pub group: String,
    pub edge_node: String,
    /// NDEATH topic and payload, QoS 1, not retained.
    pub will_topic: Arc<str>,
    pub will_payload: Vec<u8>,
    pub bd_seq: u8,
    /// What the births that follow will take, in bytes, roughly.
    pub birth_bytes: usize,
    /// Topic filters to subscribe to at QoS 1 before [`SessionEvent::Ready`].
    pub subscriptions: Vec<String>,
}

/// What happened on a session.
#[derive(Debug, Clone, PartialEq)]
pub enum SessionEvent {
    /// Connected, and every subscription is acknowledged.
    Ready,
    /// The connection failed or broke. `connect_sent` is false where no CONNECT can have
    /// reached the broker.
    Lost { connect_sent: bool },
    /// Closed as asked; the broker has acknowledged the NDEATH, and so holds all before it.
    Closed,
    /// The broker answered the oldest unanswered [`Outgoing::Barrier`].
    Confirmed,
    /// Something was published to this session.
    Received { topic: String, payload: Bytes, retain: bool },
    /// The same, but it was too large to be read.
    TooLarge { topic: String },
    /// The same, but it isn't what MQTT allows.
    Impossible { topic: String },
}

impl SessionEvent {
    /// What something that was published to a session takes while it waits; 0 for all else.
    pub(crate) fn published_bytes(&self) -> usize {
        const HEAD: usize = 256;
        match self {
            SessionEvent::Received { topic, payload, .. } => {
                topic.len().saturating_add(payload.len()).saturating_add(HEAD)
            }
            SessionEvent::TooLarge { topic } | SessionEvent::Impossible { topic } => {
                topic.len().saturating_add(HEAD)
            }
            _ => 0,
        }
    }
}
