//! Snapshots of the mirror: whatever happens while one is taken, it shows what was when it began.

use std::collections::BTreeMap;

use prost::Message;

use crate::mirror::layout::Layout;
use crate::mirror::node::{Life, Trust};
use crate::mirror::snapshot::{DeviceSnapshot, NodeSnapshot, RangeSnapshot, SlotSnapshot};
use crate::mirror::{Mirror, MirrorSnapshot, NodeId, SnapshotPart};

/// Takes snapshots beside whatever a test does, a node at a time, and compares each with the whole
/// mirror as it was when the snapshot began.
#[derive(Debug, Default)]
pub(super) struct SnapshotProbe {
    /// What the thread for the state holds.
    nodes: BTreeMap<NodeId, Vec<u8>>,
    wanted: Option<MirrorSnapshot>,
}

impl SnapshotProbe {
    /// Goes on with the snapshot, or begins one.
    pub(super) fn step(&mut self, mirror: &mut Mirror) {
        if self.wanted.is_none() {
            self.begin(mirror);
        }
        let _ = self.take(mirror);
    }

    /// The mirror as it is on disk, after a snapshot of what it is now.
    pub(super) fn snapshot(&mut self, mirror: &mut Mirror) -> MirrorSnapshot {
        while self.wanted.is_some() {
            let _ = self.take(mirror);
        }
        self.begin(mirror);
        loop {
            if let Some(snapshot) = self.take(mirror) {
                return snapshot;
            }
        }
    }

    fn begin(&mut self, mirror: &mut Mirror) {
        self.wanted = Some(whole(mirror));
        mirror.begin_snapshot();
    }

    fn take(&mut self, mirror: &mut Mirror) -> Option<MirrorSnapshot> {
        let SnapshotPart { nodes, head } = mirror.take_snapshot_part(1);
        self.nodes.extend(nodes.into_iter().map(|node| (node.id(), node.encode())));
        let mut bytes = head?.encode_to_vec();
        self.nodes.values().for_each(|node| bytes.extend(node));
        let snapshot = MirrorSnapshot::decode(bytes.as_slice()).unwrap();
        // By their bytes, since a value that is no number isn't itself.
        let wanted = self.wanted.take().unwrap();
        assert_eq!(snapshot.encode_to_vec(), wanted.encode_to_vec(), "{snapshot:?}\n{wanted:?}");
        Some(snapshot)
    }
}

/// The whole state, made in the simplest way.
fn whole(mirror: &Mirror) -> MirrorSnapshot {
    let slots = |layout: &Layout| -> Vec<SlotSnapshot> {
        let slots = layout.slots();
        slots.map(|(metric, stale)| SlotSnapshot { metric: Some(metric.clone()), stale }).collect()
    };
    let nodes = mirror.nodes.iter().filter(|node| !node.is_relay()).map(|node| NodeSnapshot {
        group: node.group.clone(),
        edge_node: node.edge_node.clone(),
        alive: node.is_alive(),
        held: node.trust == Trust::Suspended,
        uncertain: node.trust >= Trust::Uncertain,
        ot_bd_seq: node.ot_bd_seq.map(u32::from),
        slots: slots(&node.layout),
        devices: node
            .devices
            .iter()
            .map(|(name, device)| DeviceSnapshot {
                doubts: device.layout.doubts,
                name: name.clone(),
                slots: slots(&device.layout),
                held_birth: device.unpublished_birth,
            })
            .collect(),
        missed: node
            .open_ranges(mirror.position)
            .into_iter()
            .map(|(from, to)| RangeSnapshot { from, to })
            .collect(),
        held_birth: node.unpublished_birth,
        losses: node.losses,
        in_doubt: node.life() == Life::Doubted,
        unheard: node.unheard,
    });
    MirrorSnapshot {
        epoch: mirror.epoch,
        position: mirror.position,
        nodes: nodes.collect(),
        keyframe_every_ms: mirror.keyframe_every.as_millis().try_into().unwrap(),
        tightened_seq: mirror.tightened_seq,
    }
}
