//! MQTT topic filters as selectors of a rule: `spBv1.0/group/+/edge-node/device`. They select
//! edge nodes and devices, not message types: births, data and deaths travel together.

mod check;

use std::fmt;

use sparkplug::Entity;

pub(crate) use self::check::FilterError;
use self::check::Levels;

/// One level of a filter that selects a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// `+`
    Any,
    Name(String),
}

/// What a filter selects of the edge nodes it names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reach {
    /// The node's own metrics: `…/E`.
    Node,
    /// Devices, all (`…/E/+`) or one (`…/E/D`).
    Devices(Level),
    /// The node and all its devices: `…/E/#`.
    All,
}

/// A filter that was found to select only what may be allowed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TopicFilter {
    source: String,
    pub group: Level,
    pub edge_node: Level,
    pub reach: Reach,
}

impl Level {
    fn parse(level: &str) -> Level {
        match level {
            "+" => Level::Any,
            name => Level::Name(name.to_owned()),
        }
    }

    /// Whether it selects `name`.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Level::Any => true,
            Level::Name(own) => own == name,
        }
    }

    /// The only name that it selects.
    pub fn name(&self) -> Option<&str> {
        match self {
            Level::Any => None,
            Level::Name(name) => Some(name),
        }
    }
}

impl TopicFilter {
    /// Reads a filter.
    ///
    /// # Errors
    /// Anything that isn't a filter over `spBv1.0/group/+/edge-node[/device]`, with the reason.
    pub(crate) fn parse(source: &str) -> Result<TopicFilter, FilterError> {
        let levels = Levels::new(source);
        levels.check_text()?;
        levels.check_namespace()?;
        levels.check_wildcards()?;
        levels.check_message_type()?;
        let name = |index: usize| levels.get(index).unwrap_or("+");
        let node_or_all = |reach| match name(3) {
            // `spBv1.0/G/+/#`: every node of the group with its devices.
            "#" => (Level::Any, Reach::All),
            edge_node => (Level::parse(edge_node), reach),
        };
        let (edge_node, reach) = match (levels.count(), name(4)) {
            (4, _) => node_or_all(Reach::Node),
            (5, "#") => node_or_all(Reach::All),
            (5, device) => node_or_all(Reach::Devices(Level::parse(device))),
            (count, _) => return Err(levels.wrong_count(count)),
        };
        let group = Level::parse(name(1));
        Ok(TopicFilter { source: source.to_owned(), group, edge_node, reach })
    }

    /// Whether it selects the edge node `group/edge_node`, or devices of it.
    pub(crate) fn matches_node(&self, group: &str, edge_node: &str) -> bool {
        self.group.matches(group) && self.edge_node.matches(edge_node)
    }

    /// The only device that it selects.
    pub(crate) fn device(&self) -> Option<&str> {
        match &self.reach {
            Reach::Devices(level) => level.name(),
            Reach::Node | Reach::All => None,
        }
    }

    /// Whether it selects `entity`.
    pub fn matches(&self, entity: Entity<'_>) -> bool {
        self.matches_node(entity.group, entity.edge_node)
            && match (&self.reach, entity.device) {
                (Reach::All, _) | (Reach::Node, None) => true,
                (Reach::Devices(level), Some(device)) => level.matches(device),
                (Reach::Node, Some(_)) | (Reach::Devices(_), None) => false,
            }
    }
}

/// The filter as it was written.
impl fmt::Display for TopicFilter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.source)
    }
}

#[cfg(test)]
mod tests;
