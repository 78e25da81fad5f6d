//! What a rule is about: the edge nodes and devices that it selects, and a set of datatypes.

use sparkplug::{DataType, Entity};

use super::filter::{Level, Reach, TopicFilter};
use super::glob::Glob;

/// Which edge nodes and devices a rule is about. All given selectors must match.
#[derive(Clone, Debug, Default)]
pub struct Selectors {
    pub topics: Option<Vec<TopicFilter>>,
    pub groups: Option<Vec<Glob>>,
    pub edge_nodes: Option<Vec<Glob>>,
    pub devices: Option<Vec<Glob>>,
    pub node_only: bool,
}

/// A set of datatypes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DataTypes(u64);

impl Selectors {
    /// Whether they select the edge node itself or could select devices of it.
    pub fn reach_node(&self, group: &str, edge_node: &str) -> bool {
        any_matches(self.groups.as_deref(), group)
            && any_matches(self.edge_nodes.as_deref(), edge_node)
            && self.topics.as_ref().is_none_or(|topics| {
                topics.iter().any(|topic| topic.matches_node(group, edge_node))
            })
    }

    /// The same for selectors that are written alike, different for all others.
    pub(crate) fn key(&self) -> String {
        let Selectors { topics, groups, edge_nodes, devices, node_only } = self;
        let mut key = format!("{node_only}");
        for globs in [groups, edge_nodes, devices] {
            // No name has a NUL or a line feed that would be told apart from these.
            key.push('\n');
            for glob in globs.iter().flatten() {
                let source = glob.to_string();
                key.push_str(&format!("{}:{source}\0", source.len()));
            }
            key.push(if globs.is_some() { '+' } else { '-' });
        }
        for topic in topics.iter().flatten() {
            let source = topic.to_string();
            key.push_str(&format!("\n{}:{source}", source.len()));
        }
        key
    }

    /// Whether `topic` and the names can't agree on any entity.
    pub(crate) fn contradict(&self) -> bool {
        // An empty list is one whose filters were all refused, which has been reported.
        let Some(topics) = self.topics.as_ref().filter(|topics| !topics.is_empty()) else {
            return false;
        };
        let allows = |globs: Option<&[Glob]>, level: &Level| {
            level.name().is_none_or(|name| any_matches(globs, name))
        };
        !topics.iter().any(|topic| {
            let by_reach = match &topic.reach {
                Reach::Node => self.devices.is_none(),
                Reach::Devices(level) => !self.node_only && allows(self.devices.as_deref(), level),
                Reach::All => true,
            };
            by_reach
                && allows(self.groups.as_deref(), &topic.group)
                && allows(self.edge_nodes.as_deref(), &topic.edge_node)
        })
    }

    /// Whether they select `entity`.
    pub fn select(&self, entity: Entity<'_>) -> bool {
        let by_device = match (entity.device, &self.devices) {
            (None, None) => true,
            (None, Some(_)) => false,
            (Some(_), _) if self.node_only => false,
            (Some(device), devices) => any_matches(devices.as_deref(), device),
        };
        by_device
            && any_matches(self.groups.as_deref(), entity.group)
            && any_matches(self.edge_nodes.as_deref(), entity.edge_node)
            && self
                .topics
                .as_ref()
                .is_none_or(|topics| topics.iter().any(|topic| topic.matches(entity)))
    }

    /// Whether they select the edge node, or devices of it, and spell its group and name out.
    pub fn spell_out(&self, group: &str, edge_node: &str) -> bool {
        let spells = |globs: Option<&[Glob]>, name: &str| {
            globs.is_some_and(|globs| globs.iter().any(|glob| glob.literal() == Some(name)))
        };
        let by_topic = self.topics.iter().flatten().any(|topic| {
            topic.group.name() == Some(group) && topic.edge_node.name() == Some(edge_node)
        });
        let by_name =
            spells(self.groups.as_deref(), group) && spells(self.edge_nodes.as_deref(), edge_node);
        (by_topic || by_name) && self.reach_node(group, edge_node)
    }

    /// The groups that the selectors spell out, if they select no others.
    pub fn literal_groups(&self) -> Option<Vec<&str>> {
        literals(self.groups.as_deref())
            .or_else(|| self.topics.as_ref()?.iter().map(|topic| topic.group.name()).collect())
    }

    /// The edge nodes that the selectors spell out, if they select no others.
    pub fn literal_edge_nodes(&self) -> Option<Vec<&str>> {
        literals(self.edge_nodes.as_deref())
            .or_else(|| self.topics.as_ref()?.iter().map(|topic| topic.edge_node.name()).collect())
    }
}

impl DataTypes {
    /// The set with `datatype` added.
    pub(crate) fn with(self, datatype: DataType) -> DataTypes {
        // Codes are 1..=34.
        DataTypes(self.0 | 1_u64.wrapping_shl(datatype.code()))
    }

    pub fn contains(self, datatype: DataType) -> bool {
        self.0 & 1_u64.wrapping_shl(datatype.code()) != 0
    }

    /// Whether `wider` has all of it.
    pub fn is_subset_of(self, wider: DataTypes) -> bool {
        self.0 & !wider.0 == 0
    }

    pub(crate) fn names(self) -> Vec<&'static str> {
        let contained = |datatype: &&DataType| self.contains(**datatype);
        DataType::ALL.iter().filter(contained).map(|datatype| datatype.name()).collect()
    }
}

/// Whether there is no list, or one of its globs matches.
pub fn any_matches(globs: Option<&[Glob]>, name: &str) -> bool {
    globs.is_none_or(|globs| globs.iter().any(|glob| glob.matches(name)))
}

fn literals(globs: Option<&[Glob]>) -> Option<Vec<&str>> {
    globs?.iter().map(Glob::literal).collect()
}
