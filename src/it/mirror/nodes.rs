//! The list of mirrored edge nodes. A node can be changed only through [`Nodes::get_mut`], which
//! notes it: nothing that changes escapes the timers or the picture for the disk, and what rests
//! costs nothing.

use crate::it::mirror::node::Node;
use crate::it::mirror::outgoing::NodeId;
use crate::it::mirror::snapshot::NodePicture;

#[derive(Debug)]
pub(super) struct Nodes {
    entries: Vec<Entry>,
    /// Nodes whose timers have to be looked at.
    awake: Vec<NodeId>,
    /// Nodes that changed since the current picture began, or the last one if none is taken.
    changed: Vec<NodeId>,
    /// Number of that picture. 0 is that of none.
    generation: u64,
    taking: Option<Taking>,
}

#[derive(Debug)]
struct Entry {
    node: Node,
    /// It is in the list of those that are awake.
    awake: bool,
    /// Number of the picture since which it is in the list of those that changed.
    changed_since: u64,
}

/// A picture under way.
#[derive(Debug)]
struct Taking {
    /// The next frame of the journal, as it was when the picture began.
    position: u64,
    /// Those that changed before.
    todo: Vec<NodeId>,
    /// Those that had to be taken because they changed meanwhile.
    taken: Vec<NodePicture>,
}

impl Default for Nodes {
    fn default() -> Nodes {
        Nodes {
            entries: Vec::new(),
            awake: Vec::new(),
            changed: Vec::new(),
            generation: 1,
            taking: None,
        }
    }
}

impl Nodes {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..u32::try_from(self.entries.len()).unwrap_or(u32::MAX)).map(NodeId)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Node> {
        self.entries.iter().map(|entry| &entry.node)
    }

    pub(super) fn get(&self, id: NodeId) -> Option<&Node> {
        self.entries.get(place(id)?).map(|entry| &entry.node)
    }

    /// The node, to be changed.
    pub(super) fn get_mut(&mut self, id: NodeId) -> Option<&mut Node> {
        let entry = self.entries.get_mut(place(id)?)?;
        if !entry.awake {
            entry.awake = true;
            self.awake.push(id);
        }
        if entry.changed_since != self.generation {
            // A picture shows what was when it began.
            if let Some(taking) = &mut self.taking
                && entry.changed_since.saturating_add(1) == self.generation
            {
                taking.taken.extend(NodePicture::of(id, &entry.node, taking.position));
            }
            entry.changed_since = self.generation;
            self.changed.push(id);
        }
        Some(&mut entry.node)
    }

    /// Appends a node.
    pub(super) fn push(&mut self, node: Node) {
        let Ok(id) = u32::try_from(self.entries.len()).map(NodeId) else { return };
        self.awake.push(id);
        self.changed.push(id);
        self.entries.push(Entry { node, awake: true, changed_since: self.generation });
    }

    /// Takes the list of those that are awake, for [`Nodes::keep_awake`].
    pub(super) fn take_awake(&mut self) -> Vec<NodeId> {
        std::mem::take(&mut self.awake)
    }

    /// Gives the list back, without those that have nothing to wait for.
    pub(super) fn keep_awake(&mut self, mut awake: Vec<NodeId>) {
        awake.retain(|id| {
            let entry = place(*id).and_then(|place| self.entries.get_mut(place));
            entry.is_some_and(|entry| {
                entry.awake = !entry.node.is_at_rest();
                entry.awake
            })
        });
        // Nodes that were taken in meanwhile.
        awake.append(&mut self.awake);
        self.awake = awake;
    }

    /// Those whose timers have to be looked at.
    pub(super) fn awake(&self) -> &[NodeId] {
        &self.awake
    }

    /// Begins a picture of all that changed since the last one began. `position` is the next
    /// frame of the journal.
    pub(super) fn begin_picture(&mut self, position: u64) {
        let todo = std::mem::take(&mut self.changed);
        self.generation = self.generation.saturating_add(1);
        self.taking = Some(Taking { position, todo, taken: Vec::new() });
    }

    /// Takes up to `most` nodes of the current picture, and those that changed meanwhile; whether
    /// the picture is complete.
    pub(super) fn take_picture(&mut self, most: usize) -> (Vec<NodePicture>, bool) {
        let Some(taking) = &mut self.taking else { return (Vec::new(), true) };
        let mut taken = std::mem::take(&mut taking.taken);
        for _ in 0..most {
            let Some(id) = taking.todo.pop() else { break };
            let entry = place(id).and_then(|place| self.entries.get_mut(place));
            // Others were taken when they changed.
            if let Some(entry) = entry
                && entry.changed_since.saturating_add(1) == self.generation
            {
                taken.extend(NodePicture::of(id, &entry.node, taking.position));
                // Once is enough; but an open stretch ends where the picture does, and is
                // longer in the next one.
                if entry.node.unconfirmed_from().is_some() {
                    entry.changed_since = self.generation;
                    self.changed.push(id);
                } else {
                    entry.changed_since = 0;
                }
            }
        }
        let complete = taking.todo.is_empty();
        if complete {
            self.taking = None;
        }
        (taken, complete)
    }
}

fn place(id: NodeId) -> Option<usize> {
    usize::try_from(id.0).ok()
}
