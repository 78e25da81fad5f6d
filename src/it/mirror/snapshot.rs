//! The mirror on disk: what a restart needs besides the journal from its position on.

use prost::Message;

use crate::it::mirror::frames::keyframe_interval;
use crate::it::mirror::layout::Layout;
use crate::it::mirror::node::{Device, Node, UNDATED};
use crate::it::mirror::{Mirror, NodeId};
use crate::sparkplug::Metric;

/// The mirror at one position of the journal.
#[derive(Clone, PartialEq, Message)]
pub struct MirrorSnapshot {
    /// Writer epoch of the frame before `position`.
    #[prost(uint64, tag = "1")]
    pub epoch: u64,
    /// The next frame of the journal.
    #[prost(uint64, tag = "2")]
    pub position: u64,
    #[prost(message, repeated, tag = "3")]
    pub nodes: Vec<NodeSnapshot>,
    /// Interval of the writer's keyframes, in milliseconds; 0 where it isn't known.
    #[prost(uint64, tag = "4")]
    pub keyframe_every_ms: u64,
}

/// One edge node of a [`MirrorSnapshot`].
#[derive(Clone, PartialEq, Message)]
pub struct NodeSnapshot {
    #[prost(string, tag = "1")]
    pub group: String,
    #[prost(string, tag = "2")]
    pub edge_node: String,
    #[prost(bool, tag = "3")]
    pub alive: bool,
    #[prost(bool, tag = "4")]
    pub held: bool,
    #[prost(bool, tag = "5")]
    pub uncertain: bool,
    #[prost(uint32, optional, tag = "6")]
    pub ot_bd_seq: Option<u32>,
    #[prost(message, repeated, tag = "7")]
    pub slots: Vec<SlotSnapshot>,
    #[prost(message, repeated, tag = "8")]
    pub devices: Vec<DeviceSnapshot>,
    /// Frames that the IT broker isn't known to hold.
    #[prost(message, repeated, tag = "9")]
    pub missed: Vec<RangeSnapshot>,
    /// Frame of the node's birth, if it was never published as it came.
    #[prost(uint64, optional, tag = "10")]
    pub held_birth: Option<u64>,
    /// The OT half's count of losses that was acted upon last.
    #[prost(uint64, tag = "11")]
    pub losses: u64,
    /// Frames were lost, and no keyframe has confirmed the node since.
    #[prost(bool, tag = "12")]
    pub in_doubt: bool,
}

/// One device of a [`NodeSnapshot`].
#[derive(Clone, PartialEq, Message)]
pub struct DeviceSnapshot {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, repeated, tag = "2")]
    pub slots: Vec<SlotSnapshot>,
    /// Frame of the device's birth, if it was never published as it came.
    #[prost(uint64, optional, tag = "3")]
    pub held_birth: Option<u64>,
}

/// One metric with its current value.
#[derive(Clone, PartialEq, Message)]
pub struct SlotSnapshot {
    #[prost(message, optional, tag = "1")]
    pub metric: Option<Metric>,
    #[prost(bool, tag = "2")]
    pub stale: bool,
}

/// Frames `from..to`.
#[derive(Clone, PartialEq, Message)]
pub struct RangeSnapshot {
    #[prost(uint64, tag = "1")]
    pub from: u64,
    #[prost(uint64, tag = "2")]
    pub to: u64,
}

impl Mirror {
    /// The state to store. What isn't confirmed by the IT broker is recorded as missed, so a
    /// restart publishes it again.
    pub fn snapshot(&self) -> MirrorSnapshot {
        let nodes = self
            .nodes
            .iter()
            .filter(|node| !node.own)
            .map(|node| self.node_snapshot(node))
            .collect();
        let keyframe_every_ms = self.keyframe_every.as_millis().try_into().unwrap_or(u64::MAX);
        MirrorSnapshot { epoch: self.epoch, position: self.position, nodes, keyframe_every_ms }
    }

    fn node_snapshot(&self, node: &Node) -> NodeSnapshot {
        let missed = node.open_ranges(self.position).into_iter();
        NodeSnapshot {
            group: node.group.clone(),
            edge_node: node.edge_node.clone(),
            alive: node.alive,
            held: node.held,
            uncertain: node.uncertain,
            ot_bd_seq: node.ot_bd_seq.map(u32::from),
            slots: slots_of(&node.layout),
            devices: node.devices.iter().map(device_snapshot).collect(),
            missed: missed.map(|(from, to)| RangeSnapshot { from, to }).collect(),
            held_birth: node.unpublished_birth,
            losses: node.losses,
            in_doubt: node.confirm_by.is_some(),
        }
    }

    /// Restores a stored state into an empty mirror, with the next bdSeq of every node that
    /// ever had a session. Both are files of our own; whatever is damaged in them was found by
    /// their checksums.
    pub fn restore(
        &mut self,
        snapshot: MirrorSnapshot,
        bd_seqs: impl IntoIterator<Item = (String, u8)>,
    ) {
        self.bd_seqs.extend(bd_seqs);
        self.epoch = snapshot.epoch;
        self.position = snapshot.position;
        if snapshot.keyframe_every_ms > 0 {
            self.keyframe_every = keyframe_interval(snapshot.keyframe_every_ms / 1_000);
        }
        for stored in snapshot.nodes {
            let key = format!("{}/{}", stored.group, stored.edge_node);
            let Ok(id) = u32::try_from(self.nodes.len()) else { return };
            let bd_seq = self.bd_seqs.remove(&key).unwrap_or(0);
            let mut node = Node::new(&stored.group, &stored.edge_node, bd_seq);
            node.alive = stored.alive;
            node.held = stored.held;
            node.uncertain = stored.uncertain;
            node.losses = stored.losses;
            if stored.in_doubt {
                // There is no clock here: the first frame or tick sets the date.
                node.confirm_by = Some(UNDATED);
                self.undated_doubts = true;
            }
            node.ot_bd_seq = stored.ot_bd_seq.and_then(|value| value.try_into().ok());
            node.layout = layout_of(stored.slots);
            node.unpublished_birth = stored.held_birth;
            for device in stored.devices {
                let mut restored = node.new_device(&device.name, layout_of(device.slots));
                restored.unpublished_birth = device.held_birth;
                node.devices.insert(device.name, restored);
            }
            for range in stored.missed {
                node.add_range(range.from, range.to);
            }
            self.ledger.open_node(NodeId(id).into());
            self.by_key.insert(key, NodeId(id));
            self.nodes.push(node);
            // The policy may have changed since.
            self.apply_policy_to_node(NodeId(id));
        }
    }

    /// After a first start: every frame of `from..to` is history that no session has seen. The
    /// nodes come with the frames; each gets the stretch when it is first heard of.
    pub fn set_first_stretch(&mut self, from: u64, to: u64) {
        self.first_stretch = (from < to).then_some((from, to));
    }
}

fn device_snapshot((name, device): (&String, &Device)) -> DeviceSnapshot {
    DeviceSnapshot {
        name: name.clone(),
        slots: slots_of(&device.layout),
        held_birth: device.unpublished_birth,
    }
}

fn slots_of(layout: &Layout) -> Vec<SlotSnapshot> {
    layout
        .slots()
        .map(|(metric, stale)| SlotSnapshot { metric: Some(metric.clone()), stale })
        .collect()
}

fn layout_of(slots: Vec<SlotSnapshot>) -> Layout {
    Layout::restore(slots.into_iter().filter_map(|slot| Some((slot.metric?, slot.stale))))
}
