//! The list of mirrored edge nodes. A node can be changed only through [`NodeRef::change`], which
//! notes it: nothing that changes escapes the timers or the snapshot for the disk, and what rests
//! costs nothing.

use std::collections::HashMap;
use std::ops::Deref;

use foldhash::fast::RandomState;
use state::Changes;

use super::fold::Folds;
use super::node::{Node, Role};
use super::node_memory::NodeMemory;
use super::outgoing::NodeId;
use super::snapshot::NodePart;

/// Counters of nodes that were evicted; kept so that a bdSeq never repeats. A node beyond these
/// starts at 0 again, which matters only where a broker still holds a will of an earlier session.
const MAX_FORMER_BD_SEQS: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct Nodes {
    entries: Vec<Entry>,
    /// By `group/edge_node`; a name has no slash. The relay's own edge node isn't among them: no
    /// frame of the journal is its.
    by_key: HashMap<String, NodeId, RandomState>,
    /// Buffer of all look-ups: there is one per message.
    key: String,
    /// The next bdSeq of nodes that are known no more, or not yet.
    bd_seqs: HashMap<String, u8, RandomState>,
    relay: Option<NodeId>,
    watch: Watch,
    /// What is remembered of all nodes.
    pub(super) bytes: usize,
    /// How often there was news for all nodes.
    pub(super) told: u64,
}

#[derive(Debug)]
struct Entry {
    node: Node,
    /// It is in the list of those that are awake.
    awake: bool,
}

/// Which nodes were changed since their timers were looked at, and since a snapshot began.
#[derive(Debug, Default)]
struct Watch {
    /// Nodes whose timers have to be looked at.
    awake: Vec<NodeId>,
    changes: Changes,
    /// The next frame of the journal, as it was when the current snapshot began.
    position: u64,
    /// What the snapshot had to take because it changed.
    taken: Vec<NodePart>,
}

/// A node that was found, and isn't changed so far.
#[derive(Debug)]
pub(super) struct NodeRef<'a> {
    entry: &'a mut Entry,
    watch: &'a mut Watch,
}

impl Deref for NodeRef<'_> {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.entry.node
    }
}

impl<'a> NodeRef<'a> {
    /// The node, to be changed.
    pub(super) fn change(self) -> &'a mut Node {
        let NodeRef { entry, watch } = self;
        let id = entry.node.id;
        if !entry.awake {
            entry.awake = true;
            watch.awake.push(id);
        }
        if watch.changes.note(place(id)) {
            watch.taken.extend(NodePart::of(&entry.node, watch.position));
        }
        &mut entry.node
    }
}

impl Nodes {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Node> {
        self.entries.iter().map(|entry| &entry.node)
    }

    /// The node with this place in the list.
    pub(super) fn get(&mut self, id: NodeId) -> Option<NodeRef<'_>> {
        let entry = self.entries.get_mut(place(id))?;
        Some(NodeRef { entry, watch: &mut self.watch })
    }

    /// The node `group/edge_node` of the plant, if it is known.
    pub(super) fn find(&mut self, group: &str, edge_node: &str) -> Option<NodeRef<'_>> {
        let id = self.id_of(group, edge_node)?;
        self.get(id)
    }

    pub(super) fn id_of(&mut self, group: &str, edge_node: &str) -> Option<NodeId> {
        self.key.clear();
        self.key.push_str(group);
        self.key.push('/');
        self.key.push_str(edge_node);
        self.by_key.get(&self.key).copied()
    }

    /// What a node has counted, which is no change of it.
    pub(super) fn memory_of(&mut self, id: NodeId) -> Option<&mut NodeMemory> {
        self.entries.get_mut(place(id)).map(|entry| &mut entry.node.memory)
    }

    /// Does with every node what is no change of it.
    #[cfg(test)]
    pub(super) fn for_each_node(&mut self, each: impl FnMut(&mut Node)) {
        self.entries.iter_mut().map(|entry| &mut entry.node).for_each(each);
    }

    /// Does `each` with every node, in the order of the list.
    pub(super) fn for_each(&mut self, mut each: impl FnMut(NodeRef<'_>)) {
        for entry in &mut self.entries {
            each(NodeRef { entry, watch: &mut self.watch });
        }
    }

    /// Does `each` with every node that has something to wait for, or was changed since the last
    /// time, until it says no; whether it never did. A node without timers rests from then on.
    /// Those whose turn didn't come are the first ones the next time.
    pub(super) fn for_each_awake(&mut self, mut each: impl FnMut(NodeRef<'_>) -> bool) -> bool {
        let mut awake = std::mem::take(&mut self.watch.awake);
        let (mut left, mut goes_on) = (0_usize, true);
        awake.retain(|id| {
            let Some(entry) = self.entries.get_mut(place(*id)) else {
                mistake::mistake!("a node is awake that isn't in the list");
                return false;
            };
            goes_on = goes_on && each(NodeRef { entry: &mut *entry, watch: &mut self.watch });
            if !goes_on {
                left = left.saturating_add(1);
                return true;
            }
            entry.awake = !entry.node.timers.is_idle();
            entry.awake
        });
        awake.rotate_right(left);
        self.watch.awake = awake;
        goes_on
    }

    /// The node `group/edge_node` of the plant, which is taken in where it isn't known; `true` then.
    /// Where `most` are known already it takes the place of one that is spent; `None`: there is
    /// none.
    pub(super) fn find_or_add(
        &mut self,
        group: &str,
        edge_node: &str,
        most: usize,
        folds: &mut Folds,
    ) -> Option<(&mut Node, bool)> {
        let known = self.id_of(group, edge_node);
        let id = match known {
            Some(id) => id,
            None if self.entries.len() < most.saturating_add(self.relay.is_some().into()) => {
                return self.append(group, edge_node, folds).map(|node| (node, true));
            }
            None => self.replace_spent(group, edge_node, folds)?,
        };
        self.get(id).map(|node| (node.change(), known.is_none()))
    }

    /// Appends a node of the plant, with its next bdSeq; `None`: the list is full.
    pub(super) fn append(
        &mut self,
        group: &str,
        edge_node: &str,
        folds: &mut Folds,
    ) -> Option<&mut Node> {
        let id = u32::try_from(self.entries.len()).map(NodeId).ok()?;
        let node = self.new_node(id, group, edge_node, folds);
        self.by_key.insert(node.key(), id);
        self.push(node);
        self.get(id).map(NodeRef::change)
    }

    /// Appends the relay's own edge node; `None`: a node of the plant has this name, or the list is
    /// full.
    pub(super) fn add_relay_node(
        &mut self,
        group: &str,
        edge_node: &str,
        folds: &Folds,
    ) -> Option<&mut Node> {
        let is_taken = match folds.edge_node() {
            None => self.id_of(group, edge_node).is_some(),
            Some(folded) => folded == edge_node && folds.has_group(group),
        };
        if is_taken {
            return None;
        }
        let id = u32::try_from(self.entries.len()).map(NodeId).ok()?;
        let node = self.new_own_node(id, group, edge_node, Role::Relay);
        self.push(node);
        self.relay = Some(id);
        self.get(id).map(NodeRef::change)
    }

    fn new_node(&mut self, id: NodeId, group: &str, edge_node: &str, folds: &mut Folds) -> Node {
        let bd_seqs = &mut self.bd_seqs;
        let take = |key: &str| bd_seqs.remove(key).unwrap_or(0);
        if let Some(mut member) = folds.new_member(id, group, edge_node, take) {
            member.heard = self.told;
            return member;
        }
        self.new_own_node(id, group, edge_node, Role::Plant)
    }

    fn new_own_node(&mut self, id: NodeId, group: &str, edge_node: &str, role: Role) -> Node {
        let bd_seq = self.bd_seqs.remove(&format!("{group}/{edge_node}")).unwrap_or(0);
        let mut node = Node::new(id, group, edge_node, bd_seq, role);
        node.heard = self.told;
        node
    }

    /// Every node has heard all news so far.
    pub(super) fn have_heard_all(&self) -> bool {
        self.iter().all(|node| node.heard == self.told)
    }

    /// The node has heard all news so far, which is no change of it.
    pub(super) fn set_heard(&mut self, id: NodeId) {
        if let Some(entry) = self.entries.get_mut(place(id)) {
            entry.node.heard = self.told;
        }
    }

    fn push(&mut self, node: Node) {
        self.watch.awake.push(node.id);
        self.watch.changes.push();
        self.entries.push(Entry { node, awake: true });
    }

    /// Forgets a dead node of which nothing is owed to the broker, all but its next bdSeq; its
    /// place is the other's. Its session is closed, so no event of it is still to come.
    fn replace_spent(&mut self, group: &str, edge_node: &str, folds: &mut Folds) -> Option<NodeId> {
        let spent = self.iter().find(|node| node.is_spent())?;
        let (id, key) = (spent.id, spent.key());
        // A member has none, but its fold has: that goes with its last member.
        let kept = match spent.membership() {
            Some(_) => folds.remove_member(spent),
            None => Some((key.clone(), spent.bd_seq_next)),
        };
        if self.bd_seqs.len() >= MAX_FORMER_BD_SEQS
            && let Some(other) = self.bd_seqs.keys().next().cloned()
        {
            self.bd_seqs.remove(&other);
        }
        self.by_key.remove(&key);
        self.bd_seqs.extend(kept);
        let mut node = self.new_node(id, group, edge_node, folds);
        node.memory.replace(&self.get(id)?.memory);
        *self.get(id)?.change() = node;
        self.by_key.insert(format!("{group}/{edge_node}"), id);
        Some(id)
    }

    /// The relay's own edge node.
    pub(super) fn relay(&self) -> Option<&Node> {
        self.entries.get(place(self.relay?)).map(|entry| &entry.node)
    }

    pub(super) fn relay_mut(&mut self) -> Option<NodeRef<'_>> {
        self.get(self.relay?)
    }

    /// Whether this is the name of the relay's own edge node.
    pub(super) fn is_relay_node(&self, group: &str, edge_node: &str) -> bool {
        self.relay().is_some_and(|relay| relay.group == group && relay.edge_node == edge_node)
    }

    /// Takes the next bdSeq of nodes in that are to come.
    pub(super) fn restore_bd_seqs(&mut self, bd_seqs: impl IntoIterator<Item = (String, u8)>) {
        self.bd_seqs.extend(bd_seqs);
    }

    /// The next bdSeq of every node that ever had a session.
    pub(super) fn bd_seqs(&self) -> impl Iterator<Item = (String, u8)> + '_ {
        // Members of a fold have none.
        let own = self.iter().filter(|node| node.membership().is_none());
        let known = own.map(|node| (node.key(), node.bd_seq_next));
        let others = self.bd_seqs.iter().map(|(key, next)| (key.clone(), *next));
        known.chain(others)
    }

    /// Begins a snapshot of all that changed since the last one began. `position` is the next
    /// frame of the journal.
    pub(super) fn begin_snapshot(&mut self, position: u64) {
        self.watch.changes.begin();
        self.watch.position = position;
    }

    /// Takes up to `most` nodes of the current snapshot, and those that changed meanwhile; whether
    /// the snapshot is complete.
    pub(super) fn take_snapshot_part(&mut self, most: usize) -> (Vec<NodePart>, bool) {
        let Watch { changes, position, taken, .. } = &mut self.watch;
        let mut taken = std::mem::take(taken);
        for _ in 0..most {
            let Some(place) = changes.take() else { break };
            let Some(entry) = self.entries.get(place) else {
                mistake::mistake!("a node changed that isn't in the list");
                continue;
            };
            taken.extend(NodePart::of(&entry.node, *position));
            // An open stretch ends where the snapshot does, and is longer in the next one.
            if entry.node.unconfirmed_from().is_some() {
                let _taken_already = changes.note(place);
            }
        }
        (taken, !changes.is_under_way())
    }
}

/// Nodes are places in a list.
fn place(id: NodeId) -> usize {
    usize::try_from(id.0).unwrap_or(usize::MAX)
}
