//! The mirror on disk: what a restart needs besides the journal from its position on.
//!
//! A file shows every node as it was at one position of the journal, whatever came while the
//! snapshot was taken: a few nodes of it per turn of the driver ([`Mirror::take_snapshot_part`]), and
//! each node that changes meanwhile before it does. What a snapshot holds of a node is small or
//! shared, so taking it costs little; another thread makes bytes of it ([`NodePart::encode`])
//! and keeps those of all nodes, since a snapshot shows only what changed since the last one.

use std::sync::Arc;

use prost::Message;
use prost::encoding::{encode_varint, encoded_len_varint};
use sparkplug::Metric;

use super::layout::Layout;
use super::node::{Device, Life, Node, Trust};
use super::settings::keyframe_interval;
use super::{Aliases, Deed, Mirror, NodeId, Now};

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
    /// [`journal_format::Start::tightened_seq`] as the writer said it last.
    #[prost(uint64, tag = "5")]
    pub tightened_seq: u64,
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
    /// The OT half has heard nothing of the node since it was away.
    #[prost(bool, tag = "13")]
    pub unheard: bool,
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
    /// The OT half's count of doubts of this device alone; 0: none is in force.
    #[prost(uint64, tag = "4")]
    pub doubts: u64,
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

/// Protobuf keys of what is written without a message of its own being made.
mod key {
    pub(super) const SNAPSHOT_NODE: u8 = 0x1a;
    pub(super) const NODE_SLOT: u8 = 0x3a;
    pub(super) const NODE_DEVICE: u8 = 0x42;
    pub(super) const DEVICE_SLOT: u8 = 0x12;
    pub(super) const SLOT_METRIC: u8 = 0x0a;
    pub(super) const SLOT_STALE: u8 = 0x10;
}

/// One node of a snapshot.
#[derive(Debug)]
pub struct NodePart {
    id: NodeId,
    /// All but the metrics.
    node: NodeSnapshot,
    layout: Arc<Layout>,
    devices: Vec<(DeviceSnapshot, Arc<Layout>)>,
}

/// Some nodes of a snapshot.
#[derive(Debug)]
pub struct SnapshotPart {
    pub nodes: Vec<NodePart>,
    /// The rest of the snapshot, where these are the last nodes of the snapshot.
    pub head: Option<MirrorSnapshot>,
}

impl NodePart {
    /// The node, at this position of the journal; none of the relay's own.
    pub(super) fn of(node: &Node, position: u64) -> Option<NodePart> {
        let missed = node.open_ranges(position).into_iter();
        let device = |(name, device): (&String, &Device)| {
            let held_birth = device.unpublished_birth;
            let (name, doubts) = (name.clone(), device.layout.doubts);
            let stored = DeviceSnapshot { name, slots: Vec::new(), held_birth, doubts };
            (stored, Arc::clone(&device.layout))
        };
        (!node.is_relay()).then(|| NodePart {
            id: node.id,
            node: NodeSnapshot {
                group: node.group.clone(),
                edge_node: node.edge_node.clone(),
                alive: node.is_alive(),
                held: node.trust == Trust::Suspended,
                uncertain: node.trust >= Trust::Uncertain,
                ot_bd_seq: node.ot_bd_seq.map(u32::from),
                slots: Vec::new(),
                devices: Vec::new(),
                missed: missed.map(|(from, to)| RangeSnapshot { from, to }).collect(),
                held_birth: node.unpublished_birth,
                losses: node.losses,
                in_doubt: node.life() == Life::Doubted,
                unheard: node.unheard,
            },
            layout: Arc::clone(&node.layout),
            devices: node.devices.iter().map(device).collect(),
        })
    }

    /// Whose snapshot it is: the next one of the same takes its place.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// One element of [`MirrorSnapshot::nodes`], with its key and length. The metrics are written
    /// from where they are, since a copy of them costs more than all the rest.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = self.node.encode_to_vec();
        put_slots(&mut body, key::NODE_SLOT, &self.layout);
        for (device, layout) in &self.devices {
            let mut bytes = device.encode_to_vec();
            put_slots(&mut bytes, key::DEVICE_SLOT, layout);
            put(&mut body, key::NODE_DEVICE, bytes.len());
            body.append(&mut bytes);
        }
        let room = encoded_len_varint(length(body.len())).saturating_add(1);
        let mut bytes = Vec::with_capacity(body.len().saturating_add(room));
        put(&mut bytes, key::SNAPSHOT_NODE, body.len());
        bytes.append(&mut body);
        bytes
    }
}

/// Elements of [`NodeSnapshot::slots`] or [`DeviceSnapshot::slots`].
fn put_slots(bytes: &mut Vec<u8>, key: u8, layout: &Layout) {
    for (metric, stale) in layout.slots() {
        let metric_bytes = metric.encoded_len();
        let mark: &[u8] = if stale { &[key::SLOT_STALE, 1] } else { &[] };
        let head = encoded_len_varint(length(metric_bytes)).saturating_add(1);
        let slot_bytes = metric_bytes.saturating_add(head).saturating_add(mark.len());
        put(bytes, key, slot_bytes);
        put(bytes, key::SLOT_METRIC, metric_bytes);
        // As `encode`, which would count again.
        metric.encode_raw(bytes);
        bytes.extend_from_slice(mark);
    }
}

fn put(bytes: &mut Vec<u8>, key: u8, count: usize) {
    bytes.push(key);
    encode_varint(length(count), bytes);
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

impl Mirror {
    /// Begins a snapshot of what is to be stored, as it is now. What isn't confirmed by the IT
    /// broker is recorded as missed, so a restart publishes it again.
    pub fn begin_snapshot(&mut self) {
        let keyframe_every_ms = self.keyframe_every.as_millis().try_into().unwrap_or(u64::MAX);
        self.snapshot = Some(MirrorSnapshot {
            epoch: self.epoch,
            position: self.position,
            nodes: Vec::new(),
            keyframe_every_ms,
            tightened_seq: self.tightened_seq,
        });
        self.nodes.begin_snapshot(self.position);
    }

    /// Takes about `most` nodes of the snapshot.
    pub fn take_snapshot_part(&mut self, most: usize) -> SnapshotPart {
        let (nodes, complete) = self.nodes.take_snapshot_part(most);
        SnapshotPart { nodes, head: if complete { self.snapshot.take() } else { None } }
    }

    /// Restores a stored state into an empty mirror, with the next bdSeq of every node that
    /// ever had a session. Both are files of our own; whatever is damaged in them was found by
    /// their checksums.
    pub fn restore(
        &mut self,
        snapshot: MirrorSnapshot,
        bd_seqs: impl IntoIterator<Item = (String, u8)>,
    ) {
        self.nodes.restore_bd_seqs(bd_seqs);
        self.epoch = snapshot.epoch;
        self.position = snapshot.position;
        self.tightened_seq = snapshot.tightened_seq;
        if snapshot.keyframe_every_ms > 0 {
            self.keyframe_every = keyframe_interval(snapshot.keyframe_every_ms / 1_000);
        }
        // There is no clock here, and nothing of this asks for one.
        let (mut step, nodes) = self.step(Now::default());
        let (mut in_doubt, mut all_bytes) = (false, 0);
        for stored in snapshot.nodes {
            if !step.guard.lets(&stored.group, &stored.edge_node, Deed::Restored) {
                // The plant's next birth brings it back.
                continue;
            }
            let Some(node) = nodes.append(&stored.group, &stored.edge_node, step.folds) else {
                mistake::mistake!("more nodes in a file than a list can have");
                break;
            };
            in_doubt |= stored.alive && stored.in_doubt;
            restore_node(node, stored, step.settings.aliases);
            step.ledger.open_node(node.id.into());
            let id = node.id;
            step.restore_within(node, all_bytes);
            nodes.count(id);
            all_bytes = nodes.bytes;
        }
        // The policy may have changed since.
        self.unjudged = true;
        // The first frame or tick dates the doubts.
        self.undated_doubts |= in_doubt;
    }

    /// After a first start: every frame of `from..to` is history that no session has seen. The
    /// nodes come with the frames; each gets the stretch when it is first heard of.
    pub fn set_first_stretch(&mut self, from: u64, to: u64) {
        self.first_stretch = (from < to).then_some((from, to));
    }
}

fn restore_node(node: &mut Node, stored: NodeSnapshot, aliases: Aliases) {
    match (stored.alive, stored.in_doubt) {
        (false, _) => node.set_dead(),
        (true, false) => node.set_alive(),
        (true, true) => node.set_doubted(None),
    }
    node.trust = match (stored.held, stored.uncertain) {
        (true, _) => Trust::Suspended,
        (false, true) => Trust::Uncertain,
        (false, false) => Trust::Certain,
    };
    node.losses = stored.losses;
    node.unheard = stored.unheard;
    node.ot_bd_seq = stored.ot_bd_seq.and_then(|value| value.try_into().ok());
    node.layout = layout_of(stored.slots, aliases);
    node.unpublished_birth = stored.held_birth;
    for device in stored.devices {
        let mut layout = layout_of(device.slots, aliases);
        Arc::make_mut(&mut layout).doubts = device.doubts;
        let mut restored = node.new_device(&device.name, layout);
        restored.unpublished_birth = device.held_birth;
        node.devices.insert(device.name, restored);
    }
    for range in stored.missed {
        node.add_range(range.from, range.to);
    }
}

/// No alias is restored: a session that goes on has ended with the process, and births give them.
fn layout_of(slots: Vec<SlotSnapshot>, aliases: Aliases) -> Arc<Layout> {
    let slots = slots.into_iter().filter_map(|slot| Some((slot.metric?, slot.stale)));
    let mut layout = Layout::restore(slots);
    layout.aliases = aliases;
    Arc::new(layout)
}
