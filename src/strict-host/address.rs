//! Who says what: the topic of an edge node's message, taken apart.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::findings::Findings;

/// Message types of an edge node, in the specification's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageType {
    NBirth,
    NDeath,
    DBirth,
    DDeath,
    NData,
    DData,
}

impl MessageType {
    fn parse(name: &str) -> Option<MessageType> {
        Some(match name {
            "NBIRTH" => MessageType::NBirth,
            "NDEATH" => MessageType::NDeath,
            "DBIRTH" => MessageType::DBirth,
            "DDEATH" => MessageType::DDeath,
            "NDATA" => MessageType::NData,
            "DDATA" => MessageType::DData,
            _ => return None,
        })
    }

    /// As in the ids of the specification's assertions.
    pub fn in_rule(self) -> &'static str {
        match self {
            MessageType::NBirth => "nbirth",
            MessageType::NDeath => "ndeath",
            MessageType::DBirth => "dbirth",
            MessageType::DDeath => "ddeath",
            MessageType::NData => "ndata",
            MessageType::DData => "ddata",
        }
    }

    /// The type of the birth that a message of this type depends on, as in the ids.
    pub(crate) fn birth_in_rule(self) -> &'static str {
        if self.is_device() { "dbirth" } else { "nbirth" }
    }

    pub(crate) fn is_device(self) -> bool {
        matches!(self, MessageType::DBirth | MessageType::DDeath | MessageType::DData)
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.in_rule().to_uppercase())
    }
}

/// Group and edge node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId {
    pub group: String,
    pub edge_node: String,
}

/// What the topic of an edge node's message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub node: NodeId,
    pub kind: MessageType,
    /// Of DBIRTH, DDATA and DDEATH.
    pub device: Option<String>,
}

impl Address {
    /// Takes a topic apart; `None` when it isn't one of an edge node's, which is a finding.
    pub fn parse(topic: &str, findings: &mut Findings) -> Option<Address> {
        let mut add = |rule: &str| findings.add(rule, format!("topic `{topic}`"));
        let levels: Vec<&str> = topic.split('/').collect();
        let ["spBv1.0", levels @ ..] = levels.as_slice() else {
            add("topic-structure-namespace-a");
            return None;
        };
        let (group, kind, edge_node, device) = match *levels {
            [group, kind, edge_node] => (group, kind, edge_node, None),
            [group, kind, edge_node, device] => (group, kind, edge_node, Some(device)),
            _ => {
                add("topic-structure");
                return None;
            }
        };
        let Some(kind) = MessageType::parse(kind) else {
            add("relay-no-commands");
            return None;
        };
        if kind.is_device() && device.is_none() {
            add("topic-structure-namespace-device-id-associated-message-types");
            return None;
        }
        if !kind.is_device() && device.is_some() {
            add("topic-structure-namespace-device-id-non-associated-message-types");
            return None;
        }
        let bad = |id: &str| id.is_empty() || id.contains(['+', '#', '\0']);
        if bad(group) {
            add("topic-structure-namespace-valid-group-id");
        }
        if bad(edge_node) {
            add("topic-structure-namespace-valid-edge-node-id");
        }
        if device.is_some_and(bad) {
            add("topic-structure-namespace-valid-device-id");
        }
        let node = NodeId { group: group.into(), edge_node: edge_node.into() };
        Some(Address { node, kind, device: device.map(str::to_owned) })
    }
}
