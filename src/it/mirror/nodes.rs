//! The list of mirrored edge nodes. A node can be changed only through [`Nodes::get_mut`], which
//! notes it: nothing that changes escapes the timers or the picture for the disk, and what rests
//! costs nothing.

use state::Changes;

use crate::mirror::node::Node;
use crate::mirror::outgoing::NodeId;
use crate::mirror::snapshot::NodePicture;

#[derive(Debug, Default)]
pub(super) struct Nodes {
    entries: Vec<Entry>,
    /// Nodes whose timers have to be looked at.
    awake: Vec<NodeId>,
    changes: Changes,
    /// The next frame of the journal, as it was when the current picture began.
    position: u64,
    /// What the picture had to take because it changed.
    taken: Vec<NodePicture>,
}

#[derive(Debug)]
struct Entry {
    node: Node,
    /// It is in the list of those that are awake.
    awake: bool,
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
        let place = place(id)?;
        let entry = self.entries.get_mut(place)?;
        if !entry.awake {
            entry.awake = true;
            self.awake.push(id);
        }
        if self.changes.note(place) {
            self.taken.extend(NodePicture::of(id, &entry.node, self.position));
        }
        Some(&mut entry.node)
    }

    /// Appends a node.
    pub(super) fn push(&mut self, node: Node) {
        let Ok(id) = u32::try_from(self.entries.len()).map(NodeId) else { return };
        self.awake.push(id);
        self.changes.push();
        self.entries.push(Entry { node, awake: true });
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
        self.changes.begin();
        self.position = position;
    }

    /// Takes up to `most` nodes of the current picture, and those that changed meanwhile; whether
    /// the picture is complete.
    pub(super) fn take_picture(&mut self, most: usize) -> (Vec<NodePicture>, bool) {
        let mut taken = std::mem::take(&mut self.taken);
        for _ in 0..most {
            let Some(place) = self.changes.take() else { break };
            let id = u32::try_from(place).map(NodeId);
            let (Some(entry), Ok(id)) = (self.entries.get(place), id) else { continue };
            taken.extend(NodePicture::of(id, &entry.node, self.position));
            // An open stretch ends where the picture does, and is longer in the next one.
            if entry.node.unconfirmed_from().is_some() {
                let _taken_already = self.changes.note(place);
            }
        }
        (taken, !self.changes.is_under_way())
    }
}

fn place(id: NodeId) -> Option<usize> {
    usize::try_from(id.0).ok()
}
