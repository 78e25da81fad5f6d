//! The map between names of the plant and names on IT.

use std::collections::{HashMap, HashSet};

use sparkplug::Entity;

/// The thing has the name that the policy gives to something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collision;

/// The names of groups, edge nodes and devices on IT.
#[derive(Clone, Debug, Default)]
pub struct Renames {
    groups: Table,
    /// By group.
    nodes: HashMap<String, Table>,
    /// By group and edge node.
    devices: HashMap<String, HashMap<String, Table>>,
    pub(super) is_empty: bool,
}

/// The new names of things that share their parent. Injective, also case-folded.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) exported: HashMap<String, String>,
    pub(super) originals: HashMap<String, String>,
    /// The new names, case-folded.
    pub(super) folded: HashSet<String>,
}

impl Table {
    fn exported<'a>(&'a self, name: &'a str) -> Result<&'a str, Collision> {
        match self.exported.get(name) {
            Some(exported) => Ok(exported),
            None if !self.folded.is_empty() && self.folded.contains(&fold(name)) => Err(Collision),
            None => Ok(name),
        }
    }

    fn original<'a>(&'a self, exported: &'a str) -> Option<&'a str> {
        if let Some(original) = self.originals.get(exported) {
            return Some(original);
        }
        // Nothing crosses under a name that is mapped away, or is somebody else's.
        (self.exported(exported) == Ok(exported)).then_some(exported)
    }
}

impl Renames {
    /// Whether every name stays as it is.
    pub fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// The names under which `entity` crosses.
    ///
    /// # Errors
    /// The policy gives one of its names to something else.
    pub fn exported<'a>(&'a self, entity: Entity<'a>) -> Result<Entity<'a>, Collision> {
        if self.is_empty {
            return Ok(entity);
        }
        let Entity { group, edge_node, device } = entity;
        let nodes = self.nodes.get(group);
        let devices = self.devices.get(group).and_then(|nodes| nodes.get(edge_node));
        Ok(Entity {
            group: self.groups.exported(group)?,
            edge_node: nodes.map_or(Ok(edge_node), |table| table.exported(edge_node))?,
            device: match (device, devices) {
                (Some(device), Some(table)) => Some(table.exported(device)?),
                _ => device,
            },
        })
    }

    /// The thing of the plant that crosses under the names `exported`; `None` if none does.
    pub fn original<'a>(&'a self, exported: Entity<'a>) -> Option<Entity<'a>> {
        if self.is_empty {
            return Some(exported);
        }
        let group = self.groups.original(exported.group)?;
        let edge_node = match self.nodes.get(group) {
            Some(table) => table.original(exported.edge_node)?,
            None => exported.edge_node,
        };
        let devices = self.devices.get(group).and_then(|nodes| nodes.get(edge_node));
        let device = match (exported.device, devices) {
            (Some(device), Some(table)) => Some(table.original(device)?),
            (device, _) => device,
        };
        Some(Entity { group, edge_node, device })
    }

    /// The names of `written` that are names on IT alone, each with what has it in the plant:
    /// `("edge node", "bread", "Line1")`. Somebody may have meant that one.
    pub fn names_on_it<'a>(&'a self, written: Entity<'a>) -> Vec<(&'static str, &'a str, &'a str)> {
        let mut found = Vec::new();
        let mut original = |noun, table: Option<&'a Table>, name: &'a str| {
            let Some(table) = table.filter(|table| !table.exported.contains_key(name)) else {
                return name;
            };
            let Some(original) = table.originals.get(name) else { return name };
            found.push((noun, name, original.as_str()));
            original
        };
        let group = original("group", Some(&self.groups), written.group);
        let edge_node = original("edge node", self.nodes.get(group), written.edge_node);
        if let Some(device) = written.device {
            let devices = self.devices.get(group).and_then(|nodes| nodes.get(edge_node));
            original("device", devices, device);
        }
        found
    }

    /// What is renamed, in words, sorted: ``group `a` is `b` on IT``.
    pub fn describe(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut list = |noun: &str, parent: &str, table: &Table| {
            for (name, exported) in &table.exported {
                lines.push(format!("{noun} `{parent}{name}` is `{exported}` on IT"));
            }
        };
        list("group", "", &self.groups);
        for (group, table) in &self.nodes {
            list("edge node", &format!("{group}/"), table);
        }
        for (group, nodes) in &self.devices {
            for (edge_node, table) in nodes {
                list("device", &format!("{group}/{edge_node}/"), table);
            }
        }
        lines.sort();
        lines
    }

    pub(super) fn table(&mut self, parent: Parent<'_>) -> &mut Table {
        match parent {
            Parent::Root => &mut self.groups,
            Parent::Group(group) => self.nodes.entry(group.to_owned()).or_default(),
            Parent::Node(group, edge_node) => {
                let nodes = self.devices.entry(group.to_owned()).or_default();
                nodes.entry(edge_node.to_owned()).or_default()
            }
        }
    }
}

/// What things have to be told apart in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Parent<'a> {
    Root,
    Group(&'a str),
    Node(&'a str, &'a str),
}

/// What a name on IT is compared by: capitals don't count, since databases and file systems
/// there may not tell them apart.
pub fn fold(name: &str) -> String {
    // Both ways, for letters with several small or capital forms: ß and SS, σ and ς.
    name.to_uppercase().to_lowercase()
}
