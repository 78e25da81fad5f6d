//! The unit of policy: an edge node, or a device of one.

use core::fmt;

/// An edge node (`device` is `None`) or a device, by its names (Sparkplug 3.0 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Entity<'a> {
    pub group: &'a str,
    pub edge_node: &'a str,
    pub device: Option<&'a str>,
}

impl<'a> Entity<'a> {
    /// The edge node `group/edge_node` itself.
    pub const fn node(group: &'a str, edge_node: &'a str) -> Self {
        Entity { group, edge_node, device: None }
    }

    /// The device `device` of the edge node `group/edge_node`.
    pub const fn device(group: &'a str, edge_node: &'a str, device: &'a str) -> Self {
        Entity { group, edge_node, device: Some(device) }
    }
}

/// `group/edge_node` or `group/edge_node/device`.
impl fmt::Display for Entity<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.group, self.edge_node)?;
        match self.device {
            Some(device) => write!(formatter, "/{device}"),
            None => Ok(()),
        }
    }
}
