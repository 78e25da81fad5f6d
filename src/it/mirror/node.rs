//! One mirrored edge node: what the plant says of it, its session on the IT broker, and what
//! of the journal the broker isn't known to hold yet.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sparkplug::{DataType, Metric, Payload, Value, names};

use crate::mirror::layout::Layout;
use crate::mirror::outgoing::SessionSpec;

/// Ranges of missed frames kept per node; more are merged into their hull, which repeats some
/// frames but loses none.
const MAX_RANGES: usize = 8;

/// How far the timestamp of a payload may be ahead of the clock: hosts object to the future.
pub(super) const MAX_STAMP_AHEAD_MS: u64 = 100;

/// [`Node::confirm_by`] of a doubt that was restored and has no date yet.
pub(super) const UNDATED: Duration = Duration::MAX;

/// An edge node as the mirror holds it.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) group: String,
    pub(super) edge_node: String,
    pub(super) topics: Topics,
    /// The relay's own edge node, of which the journal knows nothing.
    pub(super) own: bool,
    /// The plant's node is alive: its birth is known and no death came since.
    pub(super) alive: bool,
    /// Declared dead by `on-gap = "death"` until its next real birth.
    pub(super) held: bool,
    /// The OT half says that values may be out of date.
    pub(super) uncertain: bool,
    /// The OT half's count of losses that was acted upon last: frames and keyframes tell one
    /// loss more than once.
    pub(super) losses: u64,
    /// After frames were lost: dead unless a keyframe confirms the node by then.
    pub(super) confirm_by: Option<Duration>,
    /// bdSeq of the plant's session; a change without a death means that the death was lost.
    pub(super) ot_bd_seq: Option<u8>,
    pub(super) layout: Arc<Layout>,
    pub(super) devices: BTreeMap<String, Device>,
    /// Devices that a birth of the relay's own making ended, until their births follow: what
    /// was stale of them still is.
    pub(super) former_devices: BTreeMap<String, Arc<Layout>>,
    pub(super) session: Session,
    /// bdSeq of the current session.
    pub(super) bd_seq: u8,
    /// bdSeq of the next CONNECT; on disk before that CONNECT.
    pub(super) bd_seq_next: u8,
    /// Number of the next message of this session.
    pub(super) seq: u8,
    /// When the last NBIRTH of this session was published.
    pub(super) born_at: Duration,
    /// Timestamp of the last NBIRTH of any session, in milliseconds since the epoch.
    pub(super) birth_ms: u64,
    /// A rebirth was asked for and is answered then; no data until it is.
    pub(super) rebirth_due: Option<Duration>,
    /// This session was told where the primary host stands.
    pub(super) host_seen: bool,
    /// Sessions in a row that ended before the broker confirmed anything.
    pub(super) failures: u32,
    pub(super) confirm: Confirm,
    /// Lowest frame that was not published when it came (session down or suspended).
    pub(super) missed_from: Option<u64>,
    /// Frame of the node's birth that is held and not published, if nothing newer changed it.
    pub(super) unpublished_birth: Option<u64>,
    /// Frames to read again and publish as historical.
    pub(super) ranges: Vec<MissedRange>,
}

/// A device of a node; it exists while it is alive.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) topics: DeviceTopics,
    pub(super) layout: Arc<Layout>,
    /// Its DBIRTH was published in the current session.
    pub(super) born: bool,
    /// Frame of its birth that is held and not published, if nothing newer changed it.
    pub(super) unpublished_birth: Option<u64>,
}

/// Life of a node's session on the IT broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Session {
    Closed {
        not_before: Duration,
    },
    Opening,
    /// Connected; the births wait for the primary host.
    Waiting,
    /// The births are published.
    Born,
    /// DISCONNECT was asked for.
    Closing,
}

/// What the broker is known to hold of the live publications.
#[derive(Debug, Default)]
pub(super) struct Confirm {
    /// Lowest published frame that isn't confirmed, and when it was published.
    pub(super) pending: Option<(u64, Duration)>,
    /// Highest published frame.
    pub(super) published: u64,
    /// Highest published frame when the unanswered barrier was sent.
    pub(super) barrier: Option<u64>,
}

/// Frames `from..to` of a node that were not published live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MissedRange {
    pub(super) from: u64,
    pub(super) to: u64,
    /// Everything below was published as historical by the current pass, or isn't this node's.
    pub(super) sent_to: u64,
    /// The unanswered barrier covers up to here.
    pub(super) barrier_to: u64,
    /// The current backfill pass covers this range from its start.
    pub(super) in_pass: bool,
}

#[derive(Debug)]
pub(super) struct Topics {
    pub(super) birth: Arc<str>,
    pub(super) death: Arc<str>,
    pub(super) data: Arc<str>,
    pub(super) command: String,
    pub(super) device_commands: String,
}

#[derive(Debug)]
pub(super) struct DeviceTopics {
    pub(super) birth: Arc<str>,
    pub(super) death: Arc<str>,
    pub(super) data: Arc<str>,
}

impl Node {
    pub(super) fn new(group: &str, edge_node: &str, bd_seq_next: u8) -> Node {
        let topic = |kind: &str| Arc::from(format!("spBv1.0/{group}/{kind}/{edge_node}"));
        Node {
            group: group.to_owned(),
            edge_node: edge_node.to_owned(),
            topics: Topics {
                birth: topic("NBIRTH"),
                death: topic("NDEATH"),
                data: topic("NDATA"),
                command: format!("spBv1.0/{group}/NCMD/{edge_node}"),
                device_commands: format!("spBv1.0/{group}/DCMD/{edge_node}/+"),
            },
            own: false,
            alive: false,
            held: false,
            uncertain: false,
            losses: 0,
            confirm_by: None,
            ot_bd_seq: None,
            layout: Arc::default(),
            devices: BTreeMap::new(),
            former_devices: BTreeMap::new(),
            session: Session::Closed { not_before: Duration::ZERO },
            bd_seq: bd_seq_next,
            bd_seq_next,
            seq: 0,
            born_at: Duration::ZERO,
            birth_ms: 0,
            rebirth_due: None,
            host_seen: false,
            failures: 0,
            confirm: Confirm::default(),
            missed_from: None,
            unpublished_birth: None,
            ranges: Vec::new(),
        }
    }

    /// `group/edge_node`.
    pub(super) fn key(&self) -> String {
        format!("{}/{}", self.group, self.edge_node)
    }

    pub(super) fn new_device(&self, name: &str, layout: Arc<Layout>) -> Device {
        let topic = |kind: &str| {
            Arc::from(format!("spBv1.0/{}/{kind}/{}/{name}", self.group, self.edge_node))
        };
        Device {
            topics: DeviceTopics {
                birth: topic("DBIRTH"),
                death: topic("DDEATH"),
                data: topic("DDATA"),
            },
            layout,
            born: false,
            unpublished_birth: None,
        }
    }

    /// The metrics of the node or of a device that it has.
    pub(super) fn layout_of(&self, device: Option<&str>) -> Option<&Layout> {
        match device {
            None => Some(&self.layout),
            Some(name) => self.devices.get(name).map(|device| &*device.layout),
        }
    }

    pub(super) fn layout_of_mut(&mut self, device: Option<&str>) -> Option<&mut Arc<Layout>> {
        match device {
            None => Some(&mut self.layout),
            Some(name) => self.devices.get_mut(name).map(|device| &mut device.layout),
        }
    }

    /// Dead, with its session closed and nothing to be published again.
    pub(super) fn is_spent(&self) -> bool {
        !self.alive
            && matches!(self.session, Session::Closed { .. })
            && self.ranges.is_empty()
            && self.missed_from.is_none()
            && self.confirm.pending.is_none()
    }

    /// Missed frames could be read again now.
    pub(super) fn is_behind(&self) -> bool {
        self.session == Session::Born && self.ranges.iter().any(|range| range.sent_to < range.to)
    }

    /// No timer of this node runs, and none begins before it changes.
    pub(super) fn is_at_rest(&self) -> bool {
        let settled = match self.session {
            Session::Born => {
                self.rebirth_due.is_none()
                    && self.confirm.pending.is_none()
                    && self.ranges.is_empty()
                    && (self.confirm_by.is_none() || !self.alive)
            }
            Session::Closed { .. } => !self.alive,
            Session::Opening | Session::Waiting | Session::Closing => false,
        };
        settled && !self.ranges.iter().any(|range| range.in_pass)
    }

    /// Births are published and data may follow.
    pub(super) fn publishes(&self) -> bool {
        self.session == Session::Born && self.rebirth_due.is_none()
    }

    /// Whether a device's birth has to wait: frames were lost, and the definition of a template
    /// that it has an instance of may have been among them. The node's next birth or keyframe
    /// brings it, or shows that the plant has none.
    pub(super) fn withholds(&self, layout: &Layout) -> bool {
        self.confirm_by.is_some() && !layout.is_defined_by(&self.layout)
    }

    /// Notes that birth frame `seq` of the node or of `device` is held and not published. It
    /// replaces what was held of that entity, which then is part of what was missed.
    pub(super) fn miss_birth(&mut self, device: Option<&str>, seq: u64) {
        if let Some(held) = self.held_birth(device).and_then(|held| held.replace(seq)) {
            self.miss_frame(held);
        }
    }

    /// Notes that data frame `seq` was folded in and not published. The birth that it changed
    /// is missed too, if that one was never published as it came.
    pub(super) fn miss_data(&mut self, device: Option<&str>, seq: u64) {
        let held = self.held_birth(device).and_then(Option::take);
        self.miss_frame(held.unwrap_or(seq).min(seq));
    }

    fn miss_frame(&mut self, seq: u64) {
        self.missed_from = Some(self.missed_from.map_or(seq, |from| from.min(seq)));
    }

    fn held_birth(&mut self, device: Option<&str>) -> Option<&mut Option<u64>> {
        match device {
            None => Some(&mut self.unpublished_birth),
            Some(name) => self.devices.get_mut(name).map(|device| &mut device.unpublished_birth),
        }
    }

    /// Takes the lowest birth frame that is held and not published, of the node and all its
    /// devices: they are published now.
    pub(super) fn take_held_births(&mut self) -> Option<u64> {
        let devices =
            self.devices.values_mut().filter_map(|device| device.unpublished_birth.take());
        self.unpublished_birth.take().into_iter().chain(devices).min()
    }

    /// Removes a device; a birth of it that was never published is missed.
    pub(super) fn forget_device(&mut self, name: &str) -> Option<Device> {
        let device = self.devices.remove(name)?;
        if let Some(held) = device.unpublished_birth {
            self.miss_frame(held);
        }
        Some(device)
    }

    /// Removes all devices.
    pub(super) fn forget_devices(&mut self) {
        for (_, device) in std::mem::take(&mut self.devices) {
            if let Some(held) = device.unpublished_birth {
                self.miss_frame(held);
            }
        }
    }

    /// Notes that this node's frames `oldest..=newest` were published live.
    pub(super) fn published(&mut self, at: Duration, oldest: u64, newest: u64) {
        self.confirm.published = self.confirm.published.max(newest);
        self.confirm.pending.get_or_insert((oldest, at));
    }

    /// The session ended without a confirmation: what it may not have delivered is missed.
    pub(super) fn lose_unconfirmed(&mut self) {
        if let Some((seq, _)) = self.confirm.pending.take() {
            self.miss_frame(seq);
        }
        self.confirm = Confirm::default();
        for range in &mut self.ranges {
            range.sent_to = range.from;
            range.barrier_to = range.from;
            range.in_pass = false;
        }
    }

    /// The broker holds everything published on this session.
    pub(super) fn confirm_all(&mut self) {
        self.confirm = Confirm::default();
        for range in &mut self.ranges {
            range.from = range.sent_to.max(range.from);
            range.in_pass = false;
        }
        self.ranges.retain(|range| range.from < range.to);
    }

    /// Closes the stretch of missed frames at `position` (the next frame): the births now carry
    /// the current values, and what came before them is read again.
    pub(super) fn close_missed(&mut self, position: u64) {
        if let Some(from) = self.missed_from.take() {
            self.add_range(from, position);
        }
    }

    pub(super) fn add_range(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        let (mut from, mut to) = (from, to);
        // Overlapping ranges are one, or the pass would publish the overlap twice.
        self.ranges.retain(|range| {
            let apart = range.to < from || to < range.from || range.in_pass;
            if !apart {
                from = from.min(range.from);
                to = to.max(range.to);
            }
            apart
        });
        if self.ranges.len() >= MAX_RANGES {
            for range in self.ranges.drain(..) {
                from = from.min(range.from);
                to = to.max(range.to);
            }
        }
        let range = MissedRange { from, to, sent_to: from, barrier_to: from, in_pass: false };
        self.ranges.push(range);
    }

    /// The lowest frame that the broker isn't known to hold, if any.
    pub(super) fn oldest_open(&self) -> Option<u64> {
        self.ranges.iter().map(|range| range.from).chain(self.unconfirmed_from()).min()
    }

    /// The same without those that are read again.
    pub(super) fn unconfirmed_from(&self) -> Option<u64> {
        [self.confirm.pending.map(|(seq, _)| seq), self.missed_from].into_iter().flatten().min()
    }

    /// Frames that the broker isn't known to hold, where the next one is `position`.
    pub(super) fn open_ranges(&self, position: u64) -> Vec<(u64, u64)> {
        let open = self.unconfirmed_from().map(|from| (from, position));
        self.ranges.iter().map(|range| (range.from, range.to)).chain(open).collect()
    }

    /// Will and subscriptions of the next session, with `bd_seq`.
    pub(super) fn session_spec(&self, wall_ms: u64, host_topic: Option<&str>) -> SessionSpec {
        let mut subscriptions =
            vec![self.topics.command.clone(), self.topics.device_commands.clone()];
        subscriptions.extend(host_topic.map(str::to_owned));
        SessionSpec {
            group: self.group.clone(),
            edge_node: self.edge_node.clone(),
            will_topic: Arc::clone(&self.topics.death),
            will_payload: encode(&self.death(wall_ms)),
            bd_seq: self.bd_seq,
            subscriptions,
        }
    }

    /// NDEATH: exactly one metric, no `seq` (payloads-ndeath-seq, topics-ndeath-payload).
    pub(super) fn death(&self, wall_ms: u64) -> Payload {
        Payload {
            timestamp: Some(wall_ms),
            metrics: vec![bd_seq_metric(self.bd_seq, wall_ms)],
            ..Payload::default()
        }
    }

    /// NBIRTH with the current values: bdSeq and `Node Control/Rebirth` first.
    pub(super) fn birth(&self, wall_ms: u64) -> Payload {
        let rebirth = Metric {
            name: Some(names::REBIRTH.to_owned()),
            timestamp: Some(wall_ms),
            datatype: Some(DataType::Boolean.code()),
            value: Some(Value::Boolean(false)),
            ..Metric::default()
        };
        let mut metrics = Vec::with_capacity(self.layout.len().saturating_add(2));
        metrics.push(bd_seq_metric(self.bd_seq, wall_ms));
        metrics.push(rebirth);
        metrics.extend(self.layout.birth_metrics());
        Payload { timestamp: Some(wall_ms), metrics, ..Payload::default() }
    }

    /// Timestamp of the next NBIRTH: later than that of the last one. Hosts take a birth that
    /// isn't for a leftover, and two can fall into one millisecond.
    pub(super) fn birth_stamp(&mut self, wall_ms: u64) -> u64 {
        self.birth_ms = Self::stamp(wall_ms, self.birth_ms.saturating_add(1));
        self.birth_ms
    }

    /// Timestamp of the next message behind an NBIRTH: hosts drop what is older than that.
    pub(super) fn data_stamp(&self, wall_ms: u64) -> u64 {
        Self::stamp(wall_ms, self.birth_ms)
    }

    /// The wall clock, or `least` if that is a little later; if it is much later the clock was
    /// set back, and time can only go on from there.
    fn stamp(wall_ms: u64, least: u64) -> u64 {
        if least.saturating_sub(wall_ms) > MAX_STAMP_AHEAD_MS {
            wall_ms
        } else {
            wall_ms.max(least)
        }
    }

    /// Takes the next number of the session's sequence (0..=255, wrapping).
    pub(super) fn next_seq(&mut self) -> u8 {
        let seq = self.seq;
        self.seq = self.seq.wrapping_add(1);
        seq
    }
}

/// A payload on the wire.
pub(super) fn encode(payload: &Payload) -> Vec<u8> {
    prost::Message::encode_to_vec(payload)
}

fn bd_seq_metric(bd_seq: u8, wall_ms: u64) -> Metric {
    Metric {
        name: Some(names::BD_SEQ.to_owned()),
        timestamp: Some(wall_ms),
        datatype: Some(DataType::Int64.code()),
        value: Some(Value::Long(bd_seq.into())),
        ..Metric::default()
    }
}
