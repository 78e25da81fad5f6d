//! Pictures of the plant: whatever happens while one is taken, it shows what was when it began.

use std::collections::BTreeMap;

use prost::Message;

use crate::Pipeline;
use crate::plant::{PlantPart, StoredPlant};

/// Takes pictures beside whatever a test does, a node at a time, and compares each with the whole
/// plant as it was when the picture began.
#[derive(Debug, Default)]
pub(super) struct Photographer {
    /// What the thread for the state holds.
    nodes: BTreeMap<usize, Vec<u8>>,
    wanted: Option<StoredPlant>,
}

impl Photographer {
    /// Goes on with the picture, or begins one.
    pub(super) fn step(&mut self, pipeline: &mut Pipeline) {
        if self.wanted.is_none() {
            self.wanted = Some(pipeline.store(7));
            pipeline.begin_picture(7);
        }
        let PlantPart { nodes, head } = pipeline.take_picture(1);
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
