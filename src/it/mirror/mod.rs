//! Sans-IO state of the mirror: what IT sees of the plant. Journal items, session events and
//! ticks in; connects, publishes and disconnects out.
//!
//! Call order: after each `handle_*`, drain [`Mirror::poll_outgoing`]. `handle_tick` is due at
//! least every 100 ms. Nothing is published before [`Mirror::caught_up`] and one frame after
//! it: only a frame that was appended while we watch proves that the plant's side is alive.

mod backfill;
mod direct;
mod frames;
mod keyframes;
mod layout;
mod node;
mod nodes;
mod outgoing;
mod own;
#[cfg(test)]
mod picture_tests;
mod recheck;
#[cfg(test)]
mod repeat_tests;
mod sessions;
mod shown;
mod snapshot;
#[cfg(test)]
pub(super) mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use account::{Account, Imbalance, Ledger};
use journal_format::{Heartbeat, Start};
use node::Node;
use nodes::Nodes;
pub use outgoing::{NodeId, Now, Outgoing, Qos, SessionEvent, SessionSpec};
pub use own::NameTaken;
use policy::Policy;
pub use snapshot::{MirrorSnapshot, NodePicture, PicturePart};
use sparkplug::Caps;
use telemetry::status::LossStatus;

/// Settings of the mirror.
#[derive(Debug, Clone)]
pub struct MirrorSettings {
    /// Silence of the journal, or absence of the OT half from its broker, after which every
    /// node is declared dead.
    pub stale_after: Duration,
    pub on_gap: OnGap,
    /// Shortest time between two birth sequences of a node that hosts ask for.
    pub rebirth_min_interval: Duration,
    /// Host application whose STATE births wait for (Sparkplug 3.0 §5.4).
    pub primary_host: Option<String>,
    /// Longest time that publications stay unconfirmed by the broker.
    pub confirm_every: Duration,
    /// QoS of births and data; Sparkplug's is 0.
    pub data_qos: Qos,
    pub max_nodes: usize,
    pub max_devices_per_node: usize,
    /// Read missed frames again and publish them as historical.
    pub backfill: bool,
    pub caps: Caps,
}

/// What to do when messages of a node were lost before they reached the OT half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnGap {
    /// New births with Quality 500 (stale) on every metric not seen since.
    Mark,
    /// NDEATH until the next real birth.
    Death,
    /// Count it.
    Ignore,
}

/// What the mirror counts beside the account.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Frames lost on the way: by retention, damage or a rewound journal. What a second
    /// reading for the backfill misses counts too.
    pub frames_lost: u64,
    /// Bodies that this version doesn't know.
    pub unknown_bodies: u64,
    /// Keyframes that could not be used.
    pub keyframes_refused: u64,
    /// Differences that keyframes healed: an audit of the link.
    pub healed: u64,
    /// Sequence gaps on the OT side that frames reported.
    pub gaps: u64,
    /// Rebirth requests of IT hosts that were answered from here.
    pub rebirths_answered: u64,
    /// Other commands of IT hosts: somebody tried to write to the plant.
    pub commands_refused: u64,
    /// Frames of a missed stretch that were published as historical.
    pub backfilled: u64,
    /// Frames of a missed stretch with values that IT can't be told of any more: the device
    /// died, or the birth of today has no such metric.
    pub unplaceable: u64,
}

/// Something that a person should know; the driver logs it.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// The journal fell silent, or the OT half is away from its broker: all nodes are dead.
    LinkStale { away_ms: u64 },
    /// The journal lives again.
    LinkAlive,
    /// Frames come, but they were appended so long ago that they prove no life: a backlog, or
    /// the clocks of the two halves differ.
    OldFrames { behind_ms: u64 },
    /// Journal sequence numbers `first..=last` can't be had any more.
    FramesLost { first: u64, last: u64, cause: journal_read::LostCause },
    /// What a backfill could not publish: `frames` frames among `first..=last` held values that
    /// no birth of today has a place for.
    Unplaceable { first: u64, last: u64, frames: u64 },
    /// A command of an IT host was refused; nothing of it crossed.
    CommandRefused { topic: String, metrics: Vec<String>, reason: &'static str },
    /// A rebirth request was answered from the mirror.
    RebirthAnswered { node: String },
    /// Messages of this node were lost on the OT side.
    SequenceGap { node: String },
    /// A node's births are published.
    NodeBorn { node: String, devices: usize, bd_seq: u8 },
    /// A node is dead on IT.
    NodeDead { node: String, why: &'static str },
    /// The session of a node broke; it is opened again.
    SessionLost { node: String },
    /// A frame, or metrics of it, isn't what an honest OT half under our copy of the policy writes.
    FrameRefused { entity: String, reason: &'static str },
    /// A node of the plant has the name of the relay's own edge node, and isn't mirrored.
    OwnNameUsed { node: String },
    /// A bound of the configuration was reached.
    OverCapacity { what: &'static str },
    /// A segment began: who writes it, by which policy.
    JournalStart { relay: String, epoch: u64, version: String, policy_digest: String },
    /// The primary host came or went.
    PrimaryHost { online: bool },
}

/// Where the link to the plant stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    /// Reading what was written before we came.
    CatchingUp,
    /// No proof of life.
    Silent,
    Alive,
}

/// The mirror of all allowed edge nodes.
#[derive(Debug)]
pub struct Mirror {
    settings: MirrorSettings,
    policy: Option<Arc<Policy>>,
    nodes: Nodes,
    /// By `group/edge_node`; a name has no slash.
    by_key: HashMap<String, NodeId, foldhash::fast::RandomState>,
    key: String,
    bd_seqs: HashMap<String, u8, foldhash::fast::RandomState>,
    out: VecDeque<Outgoing>,
    notices: VecDeque<Notice>,
    link: Link,
    /// When the last frame came that had just been appended.
    last_frame: Duration,
    /// That only old frames come was told since the link was alive.
    old_told: bool,
    /// The OT half's own word about its broker, in milliseconds; 0 while connected.
    ot_away_ms: u64,
    /// The next frame of the journal.
    position: u64,
    epoch: u64,
    keyframe_every: Duration,
    /// Nodes were restored in doubt; the first frame or tick dates it.
    undated_doubts: bool,
    /// Nodes seen in the head of the segment that is being read.
    head: Option<HashSet<NodeId>>,
    host: Host,
    pass: backfill::Pass,
    /// Frames wait for a second reading, as far as the last tick saw.
    behind: bool,
    /// The picture that is being taken, without its nodes.
    picture: Option<MirrorSnapshot>,
    /// Frames that were in the journal before the first start.
    first_stretch: Option<(u64, u64)>,
    stopping: bool,
    ledger: Ledger,
    tally: Tally,
    /// How old the last frame was when it came, in milliseconds.
    lag_ms: u64,
    /// What the writer of the journal said of itself last.
    writer: Option<Start>,
    /// The last heartbeat, and when it was appended.
    heartbeat: Option<(u64, Heartbeat)>,
    last_loss: Option<LossStatus>,
    /// The relay's own edge node. It isn't in `by_key`: no frame of the journal is its.
    own: Option<NodeId>,
    #[cfg(test)]
    takes_shortcuts: bool,
}

/// STATE of the primary host (Sparkplug 3.0 §5.4): the newest that was accepted.
#[derive(Debug, Default)]
struct Host {
    online: bool,
    timestamp: u64,
}

impl Mirror {
    /// An empty mirror. `policy` is an optional copy of the OT half's policy, checked again.
    pub fn new(settings: MirrorSettings, policy: Option<Arc<Policy>>) -> Mirror {
        Mirror {
            ledger: Ledger::new(policy.iter().flat_map(|policy| policy.rule_names())),
            settings,
            policy,
            nodes: Nodes::default(),
            by_key: HashMap::default(),
            key: String::new(),
            bd_seqs: HashMap::default(),
            out: VecDeque::new(),
            notices: VecDeque::new(),
            link: Link::CatchingUp,
            last_frame: Duration::ZERO,
            old_told: false,
            ot_away_ms: 0,
            position: 0,
            epoch: 0,
            keyframe_every: Duration::from_secs(60),
            undated_doubts: false,
            head: None,
            host: Host::default(),
            pass: backfill::Pass::default(),
            behind: false,
            picture: None,
            first_stretch: None,
            stopping: false,
            tally: Tally::default(),
            lag_ms: 0,
            writer: None,
            heartbeat: None,
            last_loss: None,
            own: None,
            #[cfg(test)]
            takes_shortcuts: true,
        }
    }

    /// The next thing to do, in order.
    pub fn poll_outgoing(&mut self) -> Option<Outgoing> {
        self.out.pop_front()
    }

    /// The next thing to tell a person.
    pub fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// Everything that was in the journal when we came is read; what comes now is new.
    pub fn caught_up(&mut self) {
        if self.link == Link::CatchingUp {
            self.link = Link::Silent;
        }
    }

    /// Whether the backlog is still being read.
    pub fn is_catching_up(&self) -> bool {
        self.link == Link::CatchingUp
    }

    /// The next bdSeq of every node, to be on disk before an [`Outgoing::Open`] is carried out.
    pub fn bd_seqs(&self) -> impl Iterator<Item = (String, u8)> + '_ {
        let known = self.nodes.iter().map(|node| (node.key(), node.bd_seq_next));
        let others = self.bd_seqs.iter().map(|(key, next)| (key.clone(), *next));
        known.chain(others)
    }

    /// The next frame of the journal that is wanted: all before it are folded in.
    pub fn position(&self) -> (u64, u64) {
        (self.epoch, self.position)
    }

    /// Messages received, forwarded, dropped and waiting.
    pub fn account(&self) -> &Account {
        self.ledger.total()
    }

    /// The account by edge nodes and rules.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Checks that every received message is accounted for, once.
    ///
    /// # Errors
    /// What doesn't balance: a bug.
    pub fn check_account(&self) -> Result<(), Imbalance> {
        // What a session can't be told yet is held by the journal, not here.
        self.ledger.check(0)
    }

    /// The other counters.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Mirrored nodes that are born on IT, and nodes known in all.
    pub fn node_counts(&self) -> (usize, usize) {
        let born = self.nodes.iter().filter(|node| node.session == node::Session::Born).count();
        (born, self.nodes.len())
    }

    /// Replaces the copy of the policy. What it no longer allows goes at once by new births;
    /// what it newly allows comes with the next birth or keyframe of the OT half.
    pub fn reload_policy(&mut self, now: Now, policy: Option<Arc<Policy>>) {
        self.ledger.set_rules(policy.iter().flat_map(|policy| policy.rule_names()));
        self.policy = policy;
        if let Some(policy) = &mut self.policy {
            let _ = Arc::make_mut(policy).set_time(now.wall_ms);
        }
        self.recheck_all(now);
    }

    /// Opens and closes rules of the copy of the policy by this half's clock.
    fn set_policy_time(&mut self, now: Now) {
        let Some(policy) = &mut self.policy else { return };
        if !policy.is_settled(now.wall_ms)
            && !Arc::make_mut(policy).set_time(now.wall_ms).is_empty()
        {
            self.recheck_all(now);
        }
    }

    fn recheck_all(&mut self, now: Now) {
        for id in self.node_ids() {
            self.recheck(now, id);
        }
    }

    /// Publishes the death of every node and closes every session.
    pub fn stop(&mut self, now: Now) {
        self.stopping = true;
        for id in self.node_ids() {
            self.reconcile(now, id, "the relay stops");
        }
    }

    /// Whether every session is closed.
    pub fn is_stopped(&self) -> bool {
        self.nodes.iter().all(|node| matches!(node.session, node::Session::Closed { .. }))
    }

    /// The node `group/edge_node`, if it is known.
    fn find(&mut self, group: &str, edge_node: &str) -> Option<NodeId> {
        // One buffer for all look-ups: there is one per message.
        self.key.clear();
        self.key.push_str(group);
        self.key.push('/');
        self.key.push_str(edge_node);
        self.by_key.get(&self.key).copied()
    }

    fn node_ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        self.nodes.ids()
    }

    fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id)
    }

    fn node_mut(&mut self, id: NodeId) -> Option<&mut Node> {
        self.nodes.get_mut(id)
    }

    fn notice(&mut self, notice: Notice) {
        // Bounded: a driver that doesn't drain loses words, not memory.
        const MAX_NOTICES: usize = 100_000;
        if self.notices.len() < MAX_NOTICES {
            self.notices.push_back(notice);
        }
    }
}
