//! Folded edge nodes (`[mirror] fold`): all nodes of a group of the plant are devices of one edge node
//! on IT, which has the only session of the group.
//!
//! A member is mirrored as any node is: it lives and dies, its births and data are published, missed
//! and read again by the same code. Only the ends differ. Its topics are those of a device, its
//! messages have the numbers of the fold's [`Line`], and where another node opens a session, bears
//! itself on it, asks it for a confirmation and closes it, a member joins its fold, is born by it,
//! shares its barriers and leaves it:
//!
//! ```text
//!  member: Closed ──join──> Opening ──fold is born──> Born ──DDEATH──> Closing ──barrier──> Closed
//!  fold:   Closed ──first joins──> Opening ──> Waiting ──> Born ──last leaves, NDEATH──> Closing
//! ```
//!
//! The folded edge node itself is a [`Node`] with the role [`Role::Folded`], outside of the list of
//! nodes: no frame of the journal is its. Its only metrics are the template
//! [definitions](types) of its members. What a step does to a member can leave work to do for its
//! fold: [`settle`] does it, at the end of every input.

mod births;
mod held;
mod session;
mod settle;
mod types;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use sparkplug::folded_device;
pub(super) use types::{told, told_all};

use super::layout::Layout;
use super::line::Line;
use super::membership::{FoldId, Membership};
use super::node::{Node, Role, Session};
use super::outgoing::NodeId;

/// Places of folded edge nodes begin here; those of nodes in the list end far below.
const FIRST_ID: u32 = 1 << 31;

/// Births of a whole fold that are to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    #[default]
    Nothing,
    /// A member has other definitions; as often as the size of all births lets it.
    Soon,
    Now,
}

/// What a member wants of the next barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// To know that the broker holds what it published.
    Confirm,
    /// The same of its deaths: then it is closed.
    Close,
}

#[derive(Debug)]
struct Fold {
    /// `None` while a step works on it.
    node: Option<Box<Node>>,
    line: Line,
    members: BTreeSet<NodeId>,
    /// Those that want the session.
    joined: BTreeSet<NodeId>,
    /// Those of them whose births are to come.
    unborn: BTreeSet<NodeId>,
    /// Those whose births [ended](held) the session, until it stands with them.
    held: BTreeSet<NodeId>,
    due: Due,
    /// The template definitions of the births in force.
    definitions: Arc<Layout>,
    /// What the last births of all took.
    births_bytes: usize,
    /// What those of the next session will take, roughly.
    expected_bytes: usize,
    /// Who waits for the barrier that has no answer yet, if there is one.
    asked: Option<Vec<(NodeId, Asked)>>,
    /// Who waits for the one after it.
    next: Vec<(NodeId, Asked)>,
    /// In the list of those that have something to do.
    is_dirty: bool,
}

/// All folded edge nodes.
#[derive(Debug, Default)]
pub(super) struct Folds {
    /// The name of the folded edge nodes; `None`: nothing is folded.
    edge_node: Option<Arc<str>>,
    list: Vec<Fold>,
    by_group: HashMap<String, FoldId>,
    dirty: Vec<FoldId>,
}

impl Folds {
    pub(super) fn new(edge_node: Option<&str>) -> Folds {
        Folds { edge_node: edge_node.map(Arc::from), ..Folds::default() }
    }

    /// The folded edge node's name, where nodes are folded.
    pub(super) fn edge_node(&self) -> Option<&str> {
        self.edge_node.as_deref()
    }

    /// As which edge node the nodes of a group are seen: itself, where nothing is folded.
    pub(super) fn seen_as<'n>(&'n self, edge_node: &'n str) -> &'n str {
        self.edge_node.as_deref().unwrap_or(edge_node)
    }

    pub(super) fn has_group(&self, group: &str) -> bool {
        self.by_group.contains_key(group)
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.list.iter().filter_map(|fold| fold.node.as_deref())
    }

    /// Whether some member wants the session of this folded edge node.
    pub(super) fn is_wanted(&self, node: &Node) -> bool {
        match node.role {
            Role::Folded(fold) => self.get(fold).is_some_and(|fold| !fold.joined.is_empty()),
            Role::Plant | Role::Relay | Role::Member(_) => false,
        }
    }

    pub(super) fn id_of(&self, node: NodeId) -> Option<FoldId> {
        let place = node.0.checked_sub(FIRST_ID)?;
        self.list.get(usize::try_from(place).ok()?).map(|_| FoldId(place))
    }

    fn get(&self, fold: FoldId) -> Option<&Fold> {
        self.list.get(usize::try_from(fold.0).ok()?)
    }

    fn get_mut(&mut self, fold: FoldId) -> Option<&mut Fold> {
        self.list.get_mut(usize::try_from(fold.0).ok()?)
    }

    /// A new node of the plant with this place in the list; `None`: nothing is folded. `bd_seq` is
    /// asked for the next bdSeq of an edge node that is new on IT.
    pub(super) fn new_member(
        &mut self,
        id: NodeId,
        group: &str,
        edge_node: &str,
        bd_seq: impl FnOnce(&str) -> u8,
    ) -> Option<Node> {
        let folded = Arc::clone(self.edge_node.as_ref()?);
        let fold = match self.by_group.get(group) {
            Some(fold) => *fold,
            None => self.append(group, &folded, bd_seq)?,
        };
        let entry = self.get_mut(fold)?;
        entry.members.insert(id);
        let membership = Membership {
            fold,
            edge_node: folded,
            device: folded_device(edge_node, None),
            prefix: None,
            shown: Vec::new(),
        };
        let via = NodeId(FIRST_ID.saturating_add(fold.0));
        Some(Node::new_member(id, group, edge_node, via, membership))
    }

    /// A fold for a group that has none: in the place of one that has no members any more, as the
    /// plant may have any number of groups one after the other.
    fn append(
        &mut self,
        group: &str,
        edge_node: &str,
        bd_seq: impl FnOnce(&str) -> u8,
    ) -> Option<FoldId> {
        let spent = self.list.iter().position(Fold::is_spent);
        let place = spent.unwrap_or(self.list.len());
        let fold = u32::try_from(place).ok().filter(|place| *place < FIRST_ID).map(FoldId)?;
        let next = bd_seq(&format!("{group}/{edge_node}"));
        let id = NodeId(FIRST_ID.saturating_add(fold.0));
        let mut node = Node::new(id, group, edge_node, next, Role::Folded(fold));
        node.set_alive();
        let new = Fold {
            node: Some(Box::new(node)),
            line: Line::default(),
            members: BTreeSet::new(),
            joined: BTreeSet::new(),
            unborn: BTreeSet::new(),
            held: BTreeSet::new(),
            due: Due::Nothing,
            definitions: Arc::default(),
            births_bytes: 0,
            expected_bytes: 0,
            asked: None,
            next: Vec::new(),
            is_dirty: false,
        };
        match self.list.get_mut(place) {
            Some(entry) => {
                if let Some(former) = &entry.node {
                    self.by_group.remove(&former.group);
                }
                *entry = new;
            }
            None => self.list.push(new),
        }
        self.by_group.insert(group.to_owned(), fold);
        Some(fold)
    }

    /// A node of the list gives its place to another one. Returns the fold's next bdSeq, to be kept,
    /// if it has no members any more.
    pub(super) fn remove_member(&mut self, node: &Node) -> Option<(String, u8)> {
        let fold = self.get_mut(node.membership()?.fold)?;
        for list in [&mut fold.members, &mut fold.joined, &mut fold.unborn, &mut fold.held] {
            list.remove(&node.id);
        }
        let folded = fold.node.as_deref().filter(|_| fold.members.is_empty())?;
        Some((folded.key(), folded.bd_seq_next))
    }

    /// The next bdSeq of every folded edge node.
    pub(super) fn bd_seqs(&self) -> impl Iterator<Item = (String, u8)> + '_ {
        self.nodes().map(|node| (node.key(), node.bd_seq_next))
    }

    /// The numbers of the session that carries a node.
    pub(super) fn line<'l>(&'l mut self, node: &'l mut Node) -> &'l mut Line {
        let fold = match &node.role {
            Role::Member(membership) => Some(membership.fold),
            Role::Folded(fold) => Some(*fold),
            Role::Plant | Role::Relay => None,
        };
        match fold.and_then(|fold| self.get_mut(fold)) {
            Some(fold) => &mut fold.line,
            None => &mut node.line,
        }
    }

    /// There is something to do for a fold.
    fn touch(&mut self, fold: FoldId) -> Option<&mut Fold> {
        let entry = self.list.get_mut(usize::try_from(fold.0).ok()?)?;
        if !std::mem::replace(&mut entry.is_dirty, true) {
            self.dirty.push(fold);
        }
        Some(entry)
    }

    /// There may be something to do for all.
    pub(super) fn touch_all(&mut self) {
        for place in 0..self.list.len() {
            if let Ok(place) = u32::try_from(place) {
                self.touch(FoldId(place));
            }
        }
    }

    pub(super) fn is_settled(&self) -> bool {
        self.dirty.is_empty()
    }

    /// All births of the fold are to be published anew, at once.
    pub(super) fn want_births(&mut self, fold: FoldId) {
        if let Some(fold) = self.touch(fold) {
            fold.due = Due::Now;
        }
    }

    /// The same as often as their size lets it.
    fn want_births_soon(&mut self, fold: FoldId) {
        if self.get(fold).is_some_and(|fold| fold.due == Due::Nothing)
            && let Some(fold) = self.touch(fold)
        {
            fold.due = Due::Soon;
        }
    }

    /// Whether the births in force have the template definitions of a member.
    fn defines(&self, fold: FoldId, layout: &Layout, prefix: Option<&str>) -> bool {
        self.get(fold).is_some_and(|fold| fold.definitions.has_definitions_of(layout, prefix))
    }

    fn take_dirty(&mut self) -> Vec<FoldId> {
        std::mem::take(&mut self.dirty)
    }

    fn set_clean(&mut self, fold: FoldId) {
        if let Some(fold) = self.get_mut(fold) {
            fold.is_dirty = false;
        }
    }

    /// The folded edge node, to be worked on beside its fold; something may be to be done after that.
    fn take_folded(&mut self, fold: FoldId) -> Option<Box<Node>> {
        self.touch(fold)?.node.take()
    }

    fn put_folded(&mut self, fold: FoldId, node: Box<Node>) {
        if let Some(fold) = self.get_mut(fold) {
            fold.node = Some(node);
        }
    }

    fn members(&self, fold: FoldId) -> Vec<NodeId> {
        self.get(fold).map(|fold| fold.members.iter().copied().collect()).unwrap_or_default()
    }

    fn take_unborn(&mut self, fold: FoldId) -> BTreeSet<NodeId> {
        self.get_mut(fold).map(|fold| std::mem::take(&mut fold.unborn)).unwrap_or_default()
    }

    /// The member doesn't want the session any more.
    fn part(&mut self, fold: FoldId, member: NodeId) {
        if let Some(fold) = self.get_mut(fold) {
            fold.joined.remove(&member);
            fold.unborn.remove(&member);
        }
    }

    fn expect(&mut self, fold: FoldId, bytes: usize) {
        if let Some(fold) = self.get_mut(fold) {
            fold.expected_bytes = bytes;
        }
    }

    /// What the births of a folded edge node and its members will take, roughly.
    pub(super) fn expected_bytes(&self, fold: FoldId) -> usize {
        self.get(fold).map_or(0, |fold| fold.expected_bytes)
    }

    /// The barrier that was sent last has its answer: who waited for it, and whether it was behind
    /// all births.
    fn barrier_answered(&mut self, fold: FoldId) -> (Vec<(NodeId, Asked)>, bool) {
        let Some(fold) = self.get_mut(fold) else { return Default::default() };
        (fold.asked.take().unwrap_or_default(), fold.line.confirm_births())
    }

    /// The session on which a barrier is to be sent now, if anybody waits for one.
    fn begin_barrier(&mut self, fold: FoldId) -> Option<NodeId> {
        let entry = self.get_mut(fold)?;
        if entry.asked.is_some() || entry.next.is_empty() {
            return None;
        }
        entry.asked = Some(std::mem::take(&mut entry.next));
        entry.line.cover_births();
        entry.node.as_ref().map(|node| node.id)
    }

    /// The session ended: no barrier of it has an answer any more.
    fn forget_barriers(&mut self, fold: FoldId) {
        if let Some(fold) = self.get_mut(fold) {
            fold.asked = None;
            fold.next.clear();
        }
    }
}

impl Fold {
    /// Nobody has it, and nothing of it is still to come from the broker.
    fn is_spent(&self) -> bool {
        let is_closed = self.node.as_ref().is_some_and(|node| node.session == Session::Closed);
        self.members.is_empty() && is_closed
    }
}
