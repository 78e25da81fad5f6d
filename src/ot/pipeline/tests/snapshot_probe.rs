//! Snapshots of the plant: whatever happens while one is taken, it shows what was when it began.

use std::collections::BTreeMap;

use prost::Message;

use crate::Pipeline;
use crate::plant::{SnapshotPart, StoredPlant};

/// Takes snapshots beside whatever a test does, a node at a time, and compares each with the whole
/// plant as it was when the snapshot began.
#[derive(Debug, Default)]
pub(super) struct SnapshotProbe {
    /// What the thread for the state holds.
    nodes: BTreeMap<usize, Vec<u8>>,
    wanted: Option<StoredPlant>,
}

impl SnapshotProbe {
    /// Goes on with the snapshot, or begins one.
    pub(super) fn step(&mut self, pipeline: &mut Pipeline) {
        if self.wanted.is_none() {
            self.wanted = Some(pipeline.store(7));
            pipeline.begin_snapshot(7);
        }
        let SnapshotPart { nodes, head } = pipeline.take_snapshot(1);
        self.nodes.extend(nodes);
        let Some(head) = head else { return };
        let mut bytes = head.encode_to_vec();
        self.nodes.values().for_each(|node| bytes.extend(node));
        let stored = StoredPlant::decode(bytes.as_slice()).unwrap();
        // By their bytes, since a value that is no number isn't itself.
        let wanted = self.wanted.take().unwrap();
        assert_eq!(stored.encode_to_vec(), wanted.encode_to_vec(), "{stored:?}\n{wanted:?}");
    }
}
