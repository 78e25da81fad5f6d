//! The plant as it is stored over a restart, so that data by alias can still be read after it.

use account::Ledger;
use journal_format::Start;
use policy::Policy;
use prost::Message;
use prost::encoding::message;
use sparkplug::{Caps, DataType, Entity, Metric};

use super::{
    Definitions, EntityState, Layout, Life, Node, Plant, Removed, Sequence, Sessions, Slot,
    Standing, Trust, Types, Unfit,
};

/// The field of [`StoredPlant::nodes`].
const NODES: u32 = 2;

/// Everything that is known of the plant.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct StoredPlant {
    /// Number of the first journal frame that this doesn't know of.
    #[prost(uint64, tag = "1")]
    pub(crate) journal_seq: u64,
    #[prost(message, repeated, tag = "2")]
    nodes: Vec<StoredNode>,
    /// What the `Start` says by which the journal goes on.
    #[prost(string, tag = "3")]
    pub(crate) policy_digest: String,
    #[prost(bool, tag = "4")]
    pub(crate) renames: bool,
    #[prost(bool, tag = "5")]
    pub(crate) renames_metrics: bool,
    /// Nothing came after it: the half was stopped.
    #[prost(bool, tag = "6")]
    pub(crate) is_last: bool,
}

#[derive(Clone, PartialEq, Message)]
struct StoredNode {
    #[prost(string, tag = "1")]
    group: String,
    #[prost(string, tag = "2")]
    edge_node: String,
    #[prost(message, optional, tag = "3")]
    own: Option<StoredEntity>,
    #[prost(message, repeated, tag = "4")]
    devices: Vec<StoredEntity>,
    #[prost(message, repeated, tag = "5")]
    definitions: Vec<Metric>,
    #[prost(message, optional, tag = "6")]
    bd_seq: Option<Metric>,
    #[prost(message, optional, tag = "7")]
    rebirth: Option<Metric>,
    #[prost(uint32, optional, tag = "8")]
    next_seq: Option<u32>,
    #[prost(string, repeated, tag = "9")]
    announced_types: Vec<String>,
    #[prost(string, repeated, tag = "10")]
    needed: Vec<String>,
    #[prost(message, repeated, tag = "11")]
    removed: Vec<StoredRemoval>,
    #[prost(uint64, tag = "12")]
    losses: u64,
    /// Messages were lost for good: that the sequence goes on proves nothing.
    #[prost(bool, tag = "13")]
    lost: bool,
    /// Group and edge node as readers know them; empty where these are its own names.
    #[prost(string, tag = "14")]
    exported_group: String,
    #[prost(string, tag = "15")]
    exported_edge_node: String,
    /// The `bdSeq` of its births, the last one last; 256 more where a death ended the session.
    #[prost(uint32, repeated, tag = "16")]
    sessions: Vec<u32>,
    /// Births or data of it came at QoS 0.
    #[prost(bool, tag = "17")]
    has_unassured: bool,
}

#[derive(Clone, PartialEq, Message)]
struct StoredEntity {
    /// Name of the device; empty for the node itself.
    #[prost(string, tag = "1")]
    name: String,
    /// 0 unknown, 1 known, 2 alive.
    #[prost(uint32, tag = "2")]
    life: u32,
    #[prost(bool, tag = "3")]
    announced: bool,
    #[prost(uint64, optional, tag = "4")]
    timestamp: Option<u64>,
    /// The current values, with their aliases.
    #[prost(message, repeated, tag = "5")]
    metrics: Vec<Metric>,
    /// Which of the metrics are part of the journalled birth.
    #[prost(bool, repeated, tag = "6")]
    born: Vec<bool>,
    /// Which of the metrics are texts without a datatype.
    #[prost(bool, repeated, tag = "7")]
    inferred: Vec<bool>,
    /// The birth had no metrics at all.
    #[prost(bool, tag = "8")]
    born_empty: bool,
    /// A device's name as readers know it; empty where that is its own.
    #[prost(string, tag = "9")]
    exported_as: String,
    /// The names of the metrics as readers know them, empty where these are their own; absent
    /// where all are.
    #[prost(string, repeated, tag = "10")]
    metric_exported_names: Vec<String>,
    /// Which of the metrics readers have as null with Quality 0, which the plant never said.
    #[prost(bool, repeated, tag = "11")]
    nulled: Vec<bool>,
    /// How often the values of this device alone had to be doubted, where they are.
    #[prost(uint64, tag = "12")]
    doubts: u64,
    /// Which of the metrics have values that didn't cross: the journal doesn't say what became of them.
    #[prost(bool, repeated, tag = "13")]
    hidden: Vec<bool>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredRemoval {
    /// Its metric name.
    #[prost(string, tag = "1")]
    definition: String,
    #[prost(string, tag = "2")]
    member: String,
}

/// Some nodes of a snapshot of the plant, by their places: elements of [`StoredPlant::nodes`] as
/// they are on the wire.
#[derive(Debug)]
pub(crate) struct SnapshotPart {
    pub(crate) nodes: Vec<(usize, Vec<u8>)>,
    /// The rest of the stored plant, where these are the last nodes of the snapshot.
    pub(crate) head: Option<StoredPlant>,
}

/// What is stored of a node, with its key and length; nothing where nothing is known.
pub(super) fn piece(node: &Node) -> Vec<u8> {
    let mut bytes = Vec::new();
    if node.own.life != Life::Unknown {
        let stored = store_node(node);
        bytes.reserve_exact(message::encoded_len(NODES, &stored));
        message::encode(NODES, &stored, &mut bytes);
    }
    bytes
}

impl StoredPlant {
    /// All but the nodes; `journal_seq` is the number of the next journal frame.
    pub(crate) fn head(policy: &Policy, journal_seq: u64) -> Self {
        StoredPlant {
            journal_seq,
            nodes: Vec::new(),
            policy_digest: policy.digest().to_owned(),
            renames: !policy.renames().is_empty(),
            renames_metrics: policy.renames_metrics(),
            is_last: false,
        }
    }

    #[cfg(test)]
    pub(crate) fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// As it was so many restarts ago, each of which is a loss of its own.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn before_restarts(mut self, restarts: u64) -> Self {
        for node in &mut self.nodes {
            node.losses = node.losses.saturating_sub(restarts);
        }
        self
    }

    /// The whole of `plant`.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn of(plant: &Plant, policy: &Policy, journal_seq: u64) -> Self {
        let worth_it = |node: &&Node| node.own.life != Life::Unknown;
        let nodes = plant.nodes().iter().filter(worth_it).map(store_node).collect();
        StoredPlant { nodes, ..StoredPlant::head(policy, journal_seq) }
    }

    /// By which policy the journal was written when this was stored.
    pub(crate) fn start(&self) -> Start {
        Start {
            policy_digest: self.policy_digest.clone(),
            renames: self.renames,
            renames_metrics: self.renames_metrics,
            ..Start::default()
        }
    }

    /// Puts the stored nodes into an empty plant. What was alive is uncertain until its
    /// sequence goes on. What `lets` says no to is left out; where that is. `is_exact`: nothing came
    /// after it was stored.
    pub(crate) fn restore(
        self,
        plant: &mut Plant,
        max_devices: usize,
        ledger: &mut Ledger,
        is_exact: bool,
        mut lets: impl FnMut(Entity<'_>) -> bool,
    ) -> Vec<usize> {
        let mut left_out = Vec::new();
        for mut stored in self.nodes {
            if !is_exact {
                stored.own.iter_mut().chain(&mut stored.devices).for_each(StoredEntity::forget);
            }
            let entity = Entity::node(&stored.group, &stored.edge_node);
            let may = lets(entity);
            let Some(index) = plant.ensure(entity, ledger) else { continue };
            if !may {
                left_out.push(index);
            } else if let Some(node) = plant.node_mut(index) {
                restore_node(node, stored, max_devices);
            }
        }
        left_out
    }
}

impl StoredEntity {
    /// Values that didn't cross may have changed since, and nobody wrote it down.
    fn forget(&mut self) {
        let hidden = std::mem::take(&mut self.hidden);
        self.nulled.resize(self.metrics.len(), false);
        for ((metric, nulled), _) in self
            .metrics
            .iter_mut()
            .zip(&mut self.nulled)
            .zip(hidden)
            .filter(|(_, is_hidden)| *is_hidden)
        {
            (metric.value, metric.is_null) = (None, Some(true));
            *nulled = true;
        }
    }
}

fn store_node(node: &Node) -> StoredNode {
    let removals = node.types.removed.iter().flat_map(|(definition, members)| {
        members
            .iter()
            .map(|member| StoredRemoval { definition: definition.clone(), member: member.clone() })
    });
    let (exported_group, exported_edge_node) = match &node.exported_as {
        Some((group, edge_node)) => (group.to_string(), edge_node.to_string()),
        None => Default::default(),
    };
    StoredNode {
        exported_group,
        exported_edge_node,
        group: node.group.to_string(),
        edge_node: node.edge_node.to_string(),
        own: Some(store_entity("", &node.own)),
        devices: node.devices.iter().map(|(name, state)| store_entity(name, state)).collect(),
        definitions: node.definitions.metrics().cloned().collect(),
        bd_seq: node.bd_seq.clone(),
        rebirth: node.rebirth.clone(),
        next_seq: node.sequence.next().map(u32::from),
        announced_types: node.announced_types.iter().cloned().collect(),
        needed: node.types.needed.iter().cloned().collect(),
        removed: removals.collect(),
        losses: node.losses,
        sessions: node.sessions.store(),
        has_unassured: node.has_unassured,
        lost: node.own.life.is_uncertain() && !node.own.life.is_unverified(),
    }
}

fn store_entity(name: &str, state: &EntityState) -> StoredEntity {
    // What waits for a limit is gone with the process, and births after it have the newest value.
    let mut metrics: Vec<Metric> = state.layout.slots.iter().map(Slot::newest).collect();
    for (alias, index) in state.layout.aliases() {
        if let Some(metric) = metrics.get_mut(index) {
            metric.alias = Some(alias);
        }
    }
    let slots = &state.layout.slots;
    let any_exported = slots.iter().any(|slot| slot.exported_as.is_some());
    let exported_as = |slot: &Slot| slot.exported_as.as_deref().unwrap_or_default().to_owned();
    StoredEntity {
        exported_as: state.exported_as.as_deref().unwrap_or_default().to_owned(),
        metric_exported_names: slots.iter().filter(|_| any_exported).map(exported_as).collect(),
        name: name.to_owned(),
        life: match state.life {
            Life::Unknown | Life::Orphaned => 0,
            Life::Known => 1,
            Life::Alive { .. } => 2,
        },
        announced: state.life.is_announced(),
        timestamp: state.layout.timestamp,
        metrics,
        born: state.layout.slots.iter().map(Slot::is_born).collect(),
        inferred: state.layout.slots.iter().map(|slot| slot.inferred).collect(),
        born_empty: state.layout.born_empty,
        nulled: slots.iter().map(Slot::is_nulled_newest).collect(),
        doubts: state.doubts_in_force(),
        hidden: slots.iter().map(|slot| slot.keeps() && !slot.is_forwarded()).collect(),
    }
}

fn restore_node(node: &mut Node, stored: StoredNode, max_devices: usize) {
    node.own = stored.own.map(restore_entity).unwrap_or_default();
    node.devices = stored
        .devices
        .into_iter()
        .enumerate()
        // What readers hold for alive has to be known, or it could never be said to be dead.
        .filter(|(index, device)| *index < max_devices || device.announced)
        .map(|(_, device)| device)
        .map(|device| (device.name.as_str().into(), Box::new(restore_entity(device))))
        .collect();
    // They were within the limit when they came.
    let is_taken = |name: &str| node.own.layout.has_name(name);
    node.definitions =
        Definitions::learn(stored.definitions, Caps::MAX_DEPTH, is_taken, &mut Unfit::default());
    node.bd_seq = stored.bd_seq;
    node.rebirth = stored.rebirth;
    node.sequence =
        Sequence::resumed(stored.next_seq.and_then(|next_seq| u8::try_from(next_seq).ok()));
    node.announced_types = stored.announced_types.into_iter().collect();
    let mut removed = Removed::new();
    for removal in stored.removed {
        removed.entry(removal.definition).or_default().insert(removal.member);
    }
    let needed = stored.needed.into_iter().collect();
    node.take_types(Types::of(needed, removed));
    node.losses = stored.losses;
    node.sessions = Sessions::restore(&stored.sessions);
    node.has_unassured = stored.has_unassured;
    node.exported_as = (!stored.exported_group.is_empty())
        .then(|| (stored.exported_group.into(), stored.exported_edge_node.into()));
    if stored.lost {
        node.own.life.give_up_verifying();
    }
}

fn restore_entity(stored: StoredEntity) -> EntityState {
    let mut layout = Layout::default();
    layout.timestamp = stored.timestamp;
    layout.born_empty = stored.born_empty;
    for (index, metric) in stored.metrics.into_iter().enumerate() {
        let Some(datatype) = metric.datatype.and_then(DataType::from_code) else { continue };
        let name = metric.name.clone();
        layout.insert(metric, datatype);
        let found = layout.find(name.as_deref(), None);
        if let Some(slot) = found.and_then(|found| layout.slot_mut(found)) {
            slot.set_born(stored.born.get(index).copied().unwrap_or(false));
            slot.inferred = stored.inferred.get(index).copied().unwrap_or(false);
            if stored.nulled.get(index).copied().unwrap_or(false) {
                slot.mark_nulled();
            }
            let exported_as = stored
                .metric_exported_names
                .get(index)
                .filter(|exported_as| !exported_as.is_empty());
            slot.exported_as = exported_as.map(|exported_as| exported_as.as_str().into());
        }
    }
    let trust = if stored.doubts > 0 { Trust::Lost } else { Trust::Unverified };
    let life = match (stored.life, stored.announced) {
        (2, true) => Life::Alive { standing: Standing::Inherited, trust },
        (2, false) => Life::Alive { standing: Standing::Hidden, trust },
        (_, true) => Life::Orphaned,
        (1, false) => Life::Known,
        (_, false) => Life::Unknown,
    };
    EntityState {
        life,
        layout,
        exported_as: (!stored.exported_as.is_empty()).then(|| stored.exported_as.into()),
        doubts: stored.doubts,
        is_doubted: stored.doubts > 0,
        ..EntityState::default()
    }
}
