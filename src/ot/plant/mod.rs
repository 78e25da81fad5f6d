//! State of the plant as this half sees it: for every edge node its births, aliases, templates,
//! sequence and devices, with the current value of every metric. Sans-IO.

mod backlog;
mod early;
mod exported;
mod layout;
mod life;
mod sequence;
mod sessions;
mod slot;
mod stored;
mod templates;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use account::{Ledger, NodeSlot, Origin, Reason, Refused};
pub(crate) use backlog::{Backlog, Held, Ticket};
pub(crate) use early::{Early, EarlyMessages};
use foldhash::fast::RandomState;
pub(crate) use layout::{Layout, Taught, cap_properties, is_definition};
pub(crate) use life::{Life, Standing, Trust};
use policy::NodeBuckets;
pub(crate) use sequence::{Place, Sequence, WINDOW};
pub(crate) use sessions::{Ends, Sessions};
pub(crate) use slot::{Shaper, Slot};
use sparkplug::{Entity, Metric, steps};
use state::Changes;
pub(crate) use stored::{SnapshotPart, StoredPlant};
pub(crate) use templates::{
    Definitions, Removed, SURVEY_BYTES, Survey, Types, allowance, repeated_allowance,
};

/// An edge node's own metrics, or a device.
#[derive(Clone, Debug, Default)]
pub(crate) struct EntityState {
    pub(crate) life: Life,
    pub(crate) layout: Layout,
    /// A device's name as readers know it, where that isn't its own.
    pub(crate) exported_as: Option<Box<str>>,
    /// A metric was born late: a new birth has to be journalled.
    pub(crate) birth_due: bool,
    /// Messages whose metrics wait for that birth.
    pub(crate) waiting: u64,
    /// Some slot holds a value back for a rate limit or an interval.
    pub(crate) holds: bool,
    /// Another policy shapes or names metrics of the journalled birth in another way.
    pub(crate) reshaped: bool,
    /// The messages that brought such values.
    pub(crate) backlog: Backlog,
    /// The policy in force has judged what its birth brought.
    pub(crate) judged: bool,
    /// The template instances that its birth brought were surveyed.
    pub(crate) surveyed: bool,
    /// `seq` of a device's birth or death that was judged last, in this session of its node.
    pub(crate) told_at: Option<u8>,
}

impl EntityState {
    /// Forgets layout and life.
    pub(crate) fn forget(&mut self) {
        *self = EntityState { exported_as: self.exported_as.take(), ..EntityState::default() };
    }

    /// Messages that wait for a birth or for a limit.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.saturating_add(self.backlog.waiting())
    }

    /// Takes over the layout of a stored birth.
    pub(crate) fn learn(&mut self, layout: Layout) {
        let exported_as = self.exported_as.take();
        *self = EntityState { life: Life::Known, layout, exported_as, ..EntityState::default() };
    }

    /// Takes over the layout of a birth; what readers know of the entity stays.
    pub(crate) fn bear(&mut self, layout: Layout) {
        let (mut life, exported_as, told_at) = (self.life, self.exported_as.take(), self.told_at);
        life.bear();
        *self = EntityState { life, layout, exported_as, told_at, ..EntityState::default() };
    }
}

/// Whether every message that counts in the sequence of a node comes in: where it doesn't, holes
/// say nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Numbering {
    /// The policy in force is to be asked.
    #[default]
    Unasked,
    Complete,
    Partial,
}

/// One edge node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    /// Its place in the plant, and in the ledger.
    pub(crate) slot: NodeSlot,
    pub(crate) group: Box<str>,
    pub(crate) edge_node: Box<str>,
    /// Group and edge node as readers know them, where these aren't its own names.
    pub(crate) exported_as: Option<(Box<str>, Box<str>)>,
    pub(crate) own: EntityState,
    pub(crate) devices: BTreeMap<Box<str>, EntityState>,
    pub(crate) definitions: Definitions,
    /// The `bdSeq` metric of the NBIRTH.
    pub(crate) bd_seq: Option<Metric>,
    /// Its sessions, by the numbers of their births.
    pub(crate) sessions: Sessions,
    /// The `Node Control/Rebirth` metric of the NBIRTH.
    pub(crate) rebirth: Option<Metric>,
    /// Definitions that the NBIRTH has which was journalled last.
    pub(crate) announced_types: BTreeSet<String>,
    /// What the instances ask for now. What it removes is removed from everything at once;
    /// what it needs beyond `announced_types` takes another NBIRTH.
    pub(crate) types: Types,
    /// How far `types` had grown when nothing was found lacking in `announced_types`.
    pub(crate) announced_growth: Option<u64>,
    /// That NBIRTH is due.
    pub(crate) types_due: bool,
    pub(crate) sequence: Sequence,
    /// What was refused of it unread, since the last tick.
    pub(crate) unread: BTreeMap<(Option<Box<str>>, Refused), Reason>,
    /// Messages that wait for their turn in it.
    pub(crate) early: EarlyMessages,
    pub(crate) numbering: Numbering,
    /// Messages were lost: the next frame of the node has to say so.
    pub(crate) loss: bool,
    /// How often the values had to be doubted. Readers tell by it a loss that they know from a
    /// new one, so it goes on over restarts.
    pub(crate) losses: u64,
    /// Since when the relay is back from being away, while nothing was heard of the node.
    pub(crate) unheard_since: Option<Duration>,
    /// When the relay made births for the node last.
    pub(crate) last_synthetic: Option<Duration>,
    pub(crate) next_keyframe: Duration,
    pub(crate) last_seen: Duration,
    /// Where the node stands with limits that it shares.
    pub(crate) queue: Queue,
}

/// An edge node's place in the order of those that wait.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    /// What of the node's own limits is left; made when it is asked for.
    pub(crate) buckets: Option<NodeBuckets>,
    /// Values wait for the limit of the node or of the link, by their priority: later ones
    /// stand in line behind them.
    pub(crate) waits: [bool; 2],
    /// Bytes that the node may forward before it is others' turn.
    pub(crate) credit: usize,
    /// The entity that forwarded something last: the next one in order is next.
    pub(crate) last: Option<Option<Box<str>>>,
}

impl Node {
    pub(crate) fn entity(&self) -> Entity<'_> {
        Entity::node(&self.group, &self.edge_node)
    }

    /// The node, or a device of it, as readers know it.
    pub(crate) fn exported<'a>(&'a self, device: Option<&'a str>) -> Entity<'a> {
        let own = self.entity();
        let exported_as = |device: &'a str| {
            let state = self.devices.get(device);
            state.and_then(|state| state.exported_as.as_deref()).unwrap_or(device)
        };
        let (group, edge_node) = match &self.exported_as {
            Some((group, edge_node)) => (&**group, &**edge_node),
            None => (own.group, own.edge_node),
        };
        Entity { group, edge_node, device: device.map(exported_as) }
    }

    /// Whose message or metric it is that is dropped here.
    pub(crate) fn origin<'a>(&'a self, device: Option<&'a str>) -> Origin<'a> {
        let Node { group, edge_node, slot, .. } = self;
        Origin { entity: Some(Entity { group, edge_node, device }), node: Some(*slot) }
    }

    /// The node's own state, or that of a device.
    pub(crate) fn state(&self, device: Option<&str>) -> Option<&EntityState> {
        match device {
            None => Some(&self.own),
            Some(device) => self.devices.get(device),
        }
    }

    pub(crate) fn state_mut(&mut self, device: Option<&str>) -> Option<&mut EntityState> {
        match device {
            None => Some(&mut self.own),
            Some(device) => self.devices.get_mut(device),
        }
    }

    /// The node's own state, or that of a device, beside what its templates need.
    pub(crate) fn parts<'a>(&'a mut self, device: Option<&'a str>) -> Option<Parts<'a>> {
        let Node {
            group, edge_node, slot, own, devices, definitions, types, announced_types, ..
        } = self;
        let state = match device {
            None => own,
            Some(device) => devices.get_mut(device)?,
        };
        let entity = Entity { group, edge_node, device };
        let origin = Origin { entity: Some(entity), node: Some(*slot) };
        let types_due = &mut self.types_due;
        let losses = self.losses;
        Some(Parts {
            entity,
            origin,
            state,
            definitions,
            types,
            announced_types,
            types_due,
            losses,
        })
    }

    /// Takes over what the instances ask for, from scratch.
    pub(crate) fn take_types(&mut self, types: Types) {
        self.types = types;
        self.announced_growth = None;
    }

    /// The journalled NBIRTH has what the instances ask for now.
    pub(crate) fn announce_types(&mut self) {
        self.announced_types.clone_from(&self.types.needed);
        self.announced_growth = Some(self.types.growth());
    }

    /// Whether the journalled NBIRTH has all definitions that the instances need.
    pub(crate) fn has_announced_types(&mut self) -> bool {
        let growth = Some(self.types.growth());
        if self.announced_growth == growth {
            return true;
        }
        steps::take(self.types.needed.len());
        let has_all = self.types.needed.is_subset(&self.announced_types);
        if has_all {
            self.announced_growth = growth;
        }
        has_all
    }

    /// Births of the node or of its devices have to be journalled.
    pub(crate) fn owes_birth(&self) -> bool {
        self.types_due || self.own.birth_due || self.devices.values().any(|state| state.birth_due)
    }

    /// Messages of the node and its devices that wait for their turn, a birth or a limit.
    pub(crate) fn waiting(&self) -> u64 {
        let devices = self.devices.values().map(EntityState::waiting);
        let early = u64::try_from(self.early.len()).unwrap_or(u64::MAX);
        devices.fold(self.own.waiting().saturating_add(early), u64::saturating_add)
    }

    /// Takes over an NBIRTH. Whether its definitions aren't those of the last birth.
    pub(crate) fn bear(&mut self, mut taught: Taught) -> bool {
        self.own.bear(std::mem::take(&mut taught.layout));
        self.take_over(taught)
    }

    /// Takes over a stored NBIRTH. Whether its definitions aren't those of the last birth.
    pub(crate) fn learn(&mut self, mut taught: Taught) -> bool {
        self.own.learn(std::mem::take(&mut taught.layout));
        self.take_over(taught)
    }

    fn take_over(&mut self, taught: Taught) -> bool {
        let Taught { definitions, bd_seq, rebirth, .. } = taught;
        let definitions = Definitions::learn(definitions, |name| self.own.layout.has_name(name));
        let changed = !definitions.same_fields(&self.definitions);
        self.definitions = definitions;
        self.bd_seq = bd_seq;
        self.rebirth = rebirth;
        self.types_due = false;
        changed
    }

    /// Messages were lost: every value may be out of date.
    pub(crate) fn lose(&mut self) {
        if self.own.life.is_alive() {
            self.loss = true;
            self.losses = self.losses.saturating_add(1);
            self.lives().for_each(Life::lose);
        }
    }

    /// Messages may have been lost: every value is uncertain until the sequence goes on.
    pub(crate) fn doubt(&mut self) {
        if self.own.life.is_alive() {
            self.losses = self.losses.saturating_add(1);
            self.lives().for_each(Life::doubt);
        }
    }

    /// Nothing was lost after all.
    pub(crate) fn verified(&mut self) {
        self.loss = false;
        self.lives().for_each(Life::verify);
    }

    /// Readers hold no device of it for alive any more.
    pub(crate) fn withdraw_devices(&mut self) {
        self.devices.values_mut().for_each(|device| {
            let _ = device.life.withdraw();
        });
    }

    /// Its own life, and those of its devices.
    pub(crate) fn lives(&mut self) -> impl Iterator<Item = &mut Life> {
        let devices = self.devices.values_mut().map(|device| &mut device.life);
        std::iter::once(&mut self.own.life).chain(devices)
    }
}

/// An entity of a node, looked up once for all metrics of a message.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) entity: Entity<'a>,
    pub(crate) origin: Origin<'a>,
    pub(crate) state: &'a mut EntityState,
    pub(crate) definitions: &'a Definitions,
    pub(crate) types: &'a mut Types,
    pub(crate) announced_types: &'a BTreeSet<String>,
    pub(crate) types_due: &'a mut bool,
    /// How often the node has lost messages.
    pub(crate) losses: u64,
}

/// Every edge node, up to a configured number.
#[derive(Debug)]
pub(crate) struct Plant {
    nodes: Vec<Node>,
    changes: Changes,
    /// What the snapshot under way had to take because it changed.
    taken: Vec<(usize, Vec<u8>)>,
    index: HashMap<Box<str>, HashMap<Box<str>, usize, RandomState>, RandomState>,
    max_nodes: usize,
}

impl Plant {
    /// A plant of at most `max_nodes` edge nodes.
    pub(crate) fn new(max_nodes: usize) -> Self {
        Plant {
            nodes: Vec::new(),
            changes: Changes::default(),
            taken: Vec::new(),
            index: HashMap::default(),
            max_nodes,
        }
    }

    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// All nodes, to be changed. Where a snapshot is under way it has to take all that it hasn't
    /// yet, so this is for what concerns every node.
    pub(crate) fn nodes_mut(&mut self) -> &mut [Node] {
        for index in 0..self.nodes.len() {
            self.note(index);
        }
        &mut self.nodes
    }

    pub(crate) fn find(&self, entity: Entity<'_>) -> Option<usize> {
        self.index.get(entity.group)?.get(entity.edge_node).copied()
    }

    /// The node, to be changed.
    pub(crate) fn node_mut(&mut self, index: usize) -> Option<&mut Node> {
        self.note(index);
        self.nodes.get_mut(index)
    }

    /// Sets when the node is repeated again, which isn't stored.
    pub(crate) fn set_next_keyframe(&mut self, index: usize, next: Duration) {
        if let Some(node) = self.nodes.get_mut(index) {
            node.next_keyframe = next;
        }
    }

    fn note(&mut self, index: usize) {
        if self.changes.note(index)
            && let Some(node) = self.nodes.get(index)
        {
            self.taken.push((index, stored::piece(node)));
        }
    }

    /// Begins a snapshot of all that changed since the last one began.
    pub(crate) fn begin_snapshot(&mut self) {
        self.changes.begin();
    }

    /// Takes nodes of the snapshot, as they are stored, until they have about `most` bytes, and
    /// those that changed meanwhile; whether the snapshot is complete.
    pub(crate) fn take_snapshot(&mut self, most: usize) -> (Vec<(usize, Vec<u8>)>, bool) {
        let mut taken = std::mem::take(&mut self.taken);
        let mut bytes = 0_usize;
        while bytes < most
            && let Some(index) = self.changes.take()
        {
            if let Some(node) = self.nodes.get(index) {
                let piece = stored::piece(node);
                bytes = bytes.saturating_add(piece.len());
                taken.push((index, piece));
            }
        }
        (taken, !self.changes.is_under_way())
    }

    /// The node, made if need be. Where there is no room, the node that has been dead for the
    /// longest gives way, then the one among those that the policy doesn't let readers know;
    /// `None` if readers know all of them. What a node that gives way had in the `ledger` goes
    /// to the others.
    pub(crate) fn ensure(&mut self, entity: Entity<'_>, ledger: &mut Ledger) -> Option<usize> {
        if let Some(index) = self.find(entity) {
            return Some(index);
        }
        let node = Node {
            group: entity.group.into(),
            edge_node: entity.edge_node.into(),
            ..Node::default()
        };
        let index = if self.nodes.len() < self.max_nodes {
            self.nodes.push(node);
            self.changes.push();
            self.nodes.len().checked_sub(1)?
        } else {
            let (index, _) = self
                .nodes
                .iter()
                .enumerate()
                .filter(|(_, node)| !node.own.life.is_announced() && node.early.is_empty())
                .min_by_key(|(_, node)| (node.own.life.is_alive(), node.last_seen))?;
            self.note(index);
            let dead = self.nodes.get_mut(index)?;
            if let Some(nodes) = self.index.get_mut(&dead.group) {
                nodes.remove(&dead.edge_node);
                if nodes.is_empty() {
                    self.index.remove(&dead.group);
                }
            }
            *dead = node;
            index
        };
        let slot = NodeSlot(index);
        self.nodes.get_mut(index)?.slot = slot;
        ledger.open_node(slot);
        let nodes = self.index.entry(entity.group.into()).or_default();
        nodes.insert(entity.edge_node.into(), index);
        Some(index)
    }

    /// Whether the node has room for this device; a device that is dead gives way.
    pub(crate) fn has_room(node: &mut Node, device: &str, max_devices: usize) -> bool {
        if node.devices.contains_key(device) || node.devices.len() < max_devices {
            return true;
        }
        let dead = node
            .devices
            .iter()
            .find(|(_, state)| state.life == Life::Unknown)
            .map(|(name, _)| name.clone());
        dead.is_some_and(|dead| node.devices.remove(&dead).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_nodes_give_way_and_live_ones_do_not() {
        let mut plant = Plant::new(2);
        let ledger = &mut Ledger::default();
        let announced = Life::Alive { standing: Standing::Inherited, trust: Trust::Certain };
        for (index, name) in ["a", "b"].into_iter().enumerate() {
            assert_eq!(plant.ensure(Entity::node("G", name), ledger), Some(index));
            plant.node_mut(index).unwrap().own.life = announced;
        }
        assert_eq!(plant.ensure(Entity::node("G", "c"), ledger), None);
        // Alive, but nothing that readers may know.
        plant.node_mut(1).unwrap().own.life = Life::BORN;
        assert_eq!(plant.ensure(Entity::node("G", "b2"), ledger), Some(1));
        plant.node_mut(1).unwrap().own.life = announced;
        plant.node_mut(0).unwrap().own.life = Life::Unknown;
        assert_eq!(plant.ensure(Entity::node("H", "c"), ledger), Some(0));
        assert_eq!(plant.find(Entity::node("G", "a")), None);
        assert_eq!(plant.find(Entity::node("G", "b2")), Some(1));
        assert_eq!(plant.find(Entity::node("H", "c")), Some(0));
        assert_eq!(plant.nodes().len(), 2);
    }
}
