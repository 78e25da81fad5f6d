//! A drop: what, whose, why, and which rule says so.

use sparkplug::Entity;

use super::{Reason, RuleId};

/// Place of an edge node in the half's list of nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeSlot(pub usize);

/// Whose message or metric it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin<'a> {
    /// By its names, where the topic has them.
    pub entity: Option<Entity<'a>>,
    /// The edge node, where the half follows it.
    pub node: Option<NodeSlot>,
}

/// What was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What<'a> {
    /// A whole message.
    Message,
    /// One metric of a message.
    Metric(&'a str),
    /// Metrics of a message, of which no more than the number is known.
    Metrics(u64),
}

/// A drop: what, whose, why, and which rule says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped<'a> {
    pub origin: Origin<'a>,
    pub what: What<'a>,
    pub reason: Reason,
    pub rule: Option<RuleId>,
}
