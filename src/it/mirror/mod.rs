//! Sans-IO state of the mirror: what IT sees of the plant. No clock, file or socket is reached from
//! here; time is an argument.
//!
//! # What to call
//! A driver owns a [`Mirror`] and calls four families of methods:
//!
//! - **Input.** [`Mirror::handle_item`] takes the next item of the journal, in the journal's order,
//!   or [`Mirror::set_aside`] one that nobody may look into;
//!   [`Mirror::handle_session`] takes what happened on the session of a node;
//!   [`Mirror::handle_tick`] lets time pass; [`Mirror::reload_policy`] and [`Mirror::stop`] take
//!   what people ask for.
//! - **Output.** [`Mirror::poll_outgoing`] returns what to do on the IT broker, and
//!   [`Mirror::poll_notice`] what people should know.
//! - **A second reading** of missed frames: while [`Mirror::wants_backfill`] says so,
//!   [`Mirror::begin_backfill`] names a stretch of the journal. Every frame of it goes to
//!   [`Mirror::handle_backfill`] or, if it came late over a link, to [`Mirror::backfill_late`], every
//!   missing one to [`Mirror::backfill_lost`], and
//!   [`Mirror::backfill_passed`] reports the progress. One stretch at a time, beside the live
//!   stream.
//! - **Snapshots** for the disk: [`Mirror::begin_snapshot`], then
//!   [`Mirror::take_snapshot_part`] until a part has a head. Anything may be called in between: a
//!   snapshot shows what was when it began.
//!
//! The rest are accessors (`status`), and the relay's own edge node (`relay_node`).
//!
//! # In which order
//! 1. [`Mirror::new`]; then [`Mirror::restore`] with what is on disk, once, before anything else,
//!    or [`Mirror::set_first_stretch`] where nothing is.
//! 2. [`Mirror::handle_item`] from [`Mirror::position`] on. [`Mirror::caught_up`] when everything is
//!    read that was in the journal at the start. Nothing is published before that and one frame
//!    more: only a frame that was appended while we watch proves that the plant's side is alive.
//! 3. After every input, and after every part of a second reading, [`Mirror::poll_outgoing`] until
//!    it returns `None`, and carry out what it returned, in order. Before an [`Outgoing::Open`] is
//!    carried out, [`Mirror::bd_seqs`] must be on disk. Every session that was opened ends with
//!    [`SessionEvent::Lost`] or [`SessionEvent::Closed`], once, and no event of it may follow.
//! 4. [`Mirror::handle_tick`] at least every 100 ms, whatever else happens. Timers go off there
//!    and nowhere else; between two ticks nothing happens by itself.
//! 5. [`Mirror::stop`], and on with session events until [`Mirror::is_stopped`].
//!
//! # When an answer may change
//! [`Mirror::poll_outgoing`] and [`Mirror::poll_notice`] return `None` until the next input.
//! [`Mirror::wants_backfill`] changes with a tick and with [`Mirror::begin_backfill`] only.
//! [`Mirror::position`] changes with [`Mirror::handle_item`] only; [`Mirror::bd_seqs`] with any
//! input that asks for an [`Outgoing::Open`]. [`Mirror::is_catching_up`] changes once.
//!
//! # How it is built
//! ```text
//! frames ─┬─> fast_path ──────────────┐
//!         ├─> births, data, losses ───┼─> publish ─> encode ─> outgoing
//!         └─> keyframes ──────────────┤      ^
//! session events ─> sessions, commands ──────┤
//! second reading ─> backfill ────────────────┘
//! ```
//! Each box works on one `step::StepContext`, everything beside the nodes, and on one `node::Node`.
//! A node is found once per step, as a `nodes::NodeRef`; whoever changes it goes through
//! `NodeRef::change`, which notes that for the `timers` and the `snapshot`.

mod backfill;
mod births;
mod breath;
mod commands;
mod confirm;
mod data;
mod delivery;
mod encode;
mod fast_path;
mod fold;
mod frames;
mod guard;
mod keyframes;
mod late;
mod layout;
mod line;
mod losses;
mod membership;
mod memory;
mod news;
mod node;
mod node_memory;
mod nodes;
mod notice;
mod outgoing;
mod placed;
mod policy_recheck;
mod primary_host;
mod publish;
mod recheck;
mod relay_node;
mod sessions;
mod set_aside;
mod settings;
mod snapshot;
mod status;
mod step;
#[cfg(test)]
pub(super) mod tests;
mod timers;
mod unread;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use account::Ledger;
use fold::Folds;
pub use guard::{Asked, Deed};
use journal_format::{Heartbeat, Start};
use journal_read::Item;
use news::{News, Round, TURN_WORK};
use node::Session;
use nodes::Nodes;
use notice::Notices;
pub use notice::{Notice, Tally, Unconfirmed};
pub use outgoing::{NodeId, Outgoing, Qos, SessionEvent, SessionSpec};
use policy::Policy;
use primary_host::PrimaryHost;
pub use relay_node::NameTaken;
pub use settings::{Aliases, DataDatatypes, MirrorSettings, OnGap};
pub use snapshot::{MirrorSnapshot, NodePart, SnapshotPart};
use sparkplug::Room;
use step::StepContext;
use telemetry::status::LossStatus;
use timers::Timers;
use unread::Unread;

pub use crate::Now;

/// Where the link to the plant stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    /// Reading what was written before we came.
    CatchingUp,
    /// No proof of life. `old_frames_noticed`: people know that frames come, but old ones only.
    Silent {
        old_frames_noticed: bool,
    },
    Alive,
}

/// The head of a segment, which shows every live node.
#[derive(Debug)]
struct Head {
    /// The nodes that were seen in it.
    seen: HashSet<NodeId>,
    /// It is spread over the segment, and ends with the first heartbeat.
    is_spread: bool,
}

/// The mirror of all allowed edge nodes.
#[derive(Debug)]
pub struct Mirror {
    settings: MirrorSettings,
    policy: Option<Arc<Policy>>,
    nodes: Nodes,
    folds: Folds,
    out: VecDeque<Outgoing>,
    notices: Notices,
    link: Link,
    /// Those that aren't a node's.
    timers: Timers,
    /// When the last frame came that had just been appended.
    last_frame: Duration,
    /// The OT half's own word about its broker, in milliseconds; 0 while connected.
    ot_away_ms: u64,
    /// The next frame of the journal.
    position: u64,
    epoch: u64,
    keyframe_every: Duration,
    /// Nodes were restored in doubt; the first frame or tick dates it.
    undated_doubts: bool,
    /// Nodes were restored, and the copy of the policy wasn't asked about them: it has schedules,
    /// and there was no clock. The first frame or tick asks it.
    unjudged: bool,
    /// The head of the segment that is being read.
    head: Option<Head>,
    host: PrimaryHost,
    pass: backfill::Pass,
    /// Frames wait for a second reading, as far as the last tick saw.
    behind: bool,
    /// The snapshot that is being taken, without its nodes.
    snapshot: Option<MirrorSnapshot>,
    /// Frames that were in the journal before the first start.
    first_stretch: Option<(u64, u64)>,
    stopping: bool,
    /// Some session with the broker stands.
    broker_stands: bool,
    ledger: Ledger,
    tally: Tally,
    /// How old the last frame was when it came, in milliseconds.
    lag_ms: u64,
    /// What the writer of the journal said of itself last.
    writer: Option<Start>,
    /// Nothing that stands before this frame may leave, unless the policy in force lets it.
    tightened_seq: u64,
    /// The last heartbeat, and when it was appended.
    heartbeat: Option<(u64, Heartbeat)>,
    last_loss: Option<LossStatus>,
    late: Option<late::LateFrames>,
    unread: Option<Unread>,
    /// What some node hasn't heard yet.
    news: Vec<News>,
    round: Round,
    /// What was published so far, in bytes.
    work: u64,
    /// Something is due that the last tick left for the next one.
    is_late: bool,
    breath: breath::Breath,
    guard: guard::Guard,
    #[cfg(any(test, feature = "testing"))]
    pub(crate) takes_fast_path: bool,
}

impl Mirror {
    /// An empty mirror. `policy` is an optional copy of the OT half's policy, checked again.
    pub fn new(settings: MirrorSettings, policy: Option<Arc<Policy>>) -> Mirror {
        Mirror {
            folds: Folds::new(settings.fold.as_deref()),
            ledger: Ledger::new(policy.iter().flat_map(|policy| policy.rule_names())),
            settings,
            policy,
            nodes: Nodes::default(),
            out: VecDeque::new(),
            notices: Notices::default(),
            link: Link::CatchingUp,
            timers: Timers::default(),
            last_frame: Duration::ZERO,
            ot_away_ms: 0,
            position: 0,
            epoch: 0,
            keyframe_every: Duration::from_secs(60),
            undated_doubts: false,
            unjudged: false,
            head: None,
            host: PrimaryHost::default(),
            pass: backfill::Pass::default(),
            behind: false,
            snapshot: None,
            first_stretch: None,
            stopping: false,
            broker_stands: false,
            tally: Tally::default(),
            lag_ms: 0,
            writer: None,
            tightened_seq: 0,
            heartbeat: None,
            last_loss: None,
            late: None,
            unread: None,
            news: Vec::new(),
            round: Round::default(),
            work: 0,
            is_late: false,
            breath: breath::Breath::default(),
            guard: guard::Guard::default(),
            #[cfg(any(test, feature = "testing"))]
            takes_fast_path: true,
        }
    }

    /// Everything beside the nodes, and the nodes.
    fn step(&mut self, now: Now) -> (StepContext<'_>, &mut Nodes) {
        let step = StepContext {
            now,
            settings: &self.settings,
            policy: self.policy.as_deref(),
            ledger: &mut self.ledger,
            tally: &mut self.tally,
            unread: &mut self.unread,
            folds: &mut self.folds,
            host: &mut self.host,
            out: &mut self.out,
            notices: &mut self.notices,
            link: self.link,
            stopping: self.stopping,
            broker_stands: self.broker_stands,
            position: self.position,
            first_stretch: self.first_stretch,
            room: Room::BOUNDLESS,
            work: &mut self.work,
            breath: &mut self.breath,
            guard: &mut self.guard,
            #[cfg(any(test, feature = "testing"))]
            takes_fast_path: self.takes_fast_path,
        };
        (step, &mut self.nodes)
    }

    /// Takes the next item of the journal.
    pub fn handle_item(&mut self, now: Now, item: Item) {
        match item {
            Item::Frame(frame) => self.handle_frame(now, frame),
            Item::Lost(lost) => self.frames_lost(now, lost),
            Item::Late(frame) => self.late_frame(now, &frame),
        }
        self.settle(now);
    }

    /// Whether some session with the broker stands: a node without one waits longer then.
    pub fn set_broker_stands(&mut self, stands: bool) {
        self.broker_stands = stands;
    }

    /// Takes what happened on the session of `id`.
    pub fn handle_session(&mut self, now: Now, id: NodeId, event: SessionEvent) {
        match self.folds.id_of(id) {
            Some(fold) => self.folded_session(now, fold, event),
            None => self.own_session(now, id, event),
        }
        self.settle(now);
    }

    fn own_session(&mut self, now: Now, id: NodeId, event: SessionEvent) {
        self.hear(now, id);
        let (mut step, nodes) = self.step(now);
        let Some(node) = nodes.get(id) else {
            return mistake::mistake!("an event of a session that was never asked for");
        };
        match event {
            SessionEvent::Received { topic, payload, .. }
                if step.settings.host_topic().as_deref() == Some(&*topic) =>
            {
                if step.host_state(node, &payload) {
                    self.host_changed(now);
                }
            }
            // What an earlier STATE said stays so.
            SessionEvent::TooLarge { topic } | SessionEvent::Impossible { topic }
                if step.settings.host_topic().as_deref() == Some(&*topic) => {}
            SessionEvent::Ready if !step.may_work_on(&node) => {
                step.drop_node(node.change());
                nodes.count(id);
            }
            event => step.session_event(node, event),
        }
    }

    /// Timers: staleness, doubt, pending rebirths, confirmations, attempts to connect. A tick does no
    /// more than a turn may take: while the mirror [is behind](Mirror::is_behind), there is more, at
    /// once.
    pub fn handle_tick(&mut self, now: Now) {
        self.go_round(now);
        self.date_doubts(now);
        self.set_policy_time(now);
        self.look_for_silence(now);
        self.tell_late(now);
        let (mut behind, mut dropped) = (false, Vec::new());
        let (mut step, nodes) = self.step(now);
        let (end, told) = (step.work.saturating_add(TURN_WORK), nodes.told);
        let all = nodes.for_each_awake(|node| {
            if *step.work >= end {
                return false;
            }
            // News first.
            if node.heard != told {
                return true;
            }
            if node.timers.any_due(now.mono) && !step.may_work_on(&node) {
                dropped.push(node.id);
                step.drop_node(node.change());
                return true;
            }
            behind |= step.tick(node);
            true
        });
        dropped.into_iter().for_each(|id| nodes.count(id));
        // What wasn't looked at is as it was.
        self.behind = behind || (!all && self.behind);
        self.is_late = !all;
        self.folds.touch_all();
        self.settle(now);
    }

    /// The next thing to do, in order.
    pub fn poll_outgoing(&mut self) -> Option<Outgoing> {
        self.out.pop_front()
    }

    /// Whether there is something to do.
    pub fn has_outgoing(&self) -> bool {
        !self.out.is_empty()
    }

    /// The next thing that a person should know.
    pub fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop()
    }

    /// Everything that was in the journal when we came is read; what comes now is new.
    pub fn caught_up(&mut self) {
        if self.link == Link::CatchingUp {
            self.link = Link::Silent { old_frames_noticed: false };
        }
    }

    /// Whether the backlog is still being read.
    pub fn is_catching_up(&self) -> bool {
        self.link == Link::CatchingUp
    }

    /// The next bdSeq of every node, to be on disk before an [`Outgoing::Open`] is carried out.
    pub fn bd_seqs(&self) -> impl Iterator<Item = (String, u8)> + '_ {
        self.nodes.bd_seqs().chain(self.folds.bd_seqs())
    }

    /// The next frame of the journal that is wanted: all before it are folded in.
    pub fn position(&self) -> (u64, u64) {
        (self.epoch, self.position)
    }

    /// Replaces the copy of the policy. What it no longer allows goes at once by new births;
    /// what it newly allows comes with the next birth or keyframe of the OT half.
    pub fn reload_policy(&mut self, now: Now, policy: Option<Arc<Policy>>) {
        self.ledger.set_rules(policy.iter().flat_map(|policy| policy.rule_names()));
        self.policy = policy;
        if let Some(policy) = &mut self.policy {
            let _ = Arc::make_mut(policy).set_time(now.wall_ms);
        }
        self.tell_all(now, News::Policy);
        self.settle(now);
    }

    /// Opens and closes rules of the copy of the policy by this half's clock.
    fn set_policy_time(&mut self, now: Now) {
        let Some(policy) = &mut self.policy else { return };
        let has_changed = !policy.is_settled(now.wall_ms)
            && !Arc::make_mut(policy).set_time(now.wall_ms).is_empty();
        if std::mem::take(&mut self.unjudged) || has_changed {
            self.tell_all(now, News::Policy);
        }
    }

    /// Publishes the death of every node and closes every session.
    pub fn stop(&mut self, now: Now) {
        self.stopping = true;
        self.tell_all(now, News::Reconcile("the relay stops"));
        self.folds.touch_all();
        self.settle(now);
    }

    /// Whether every session is closed.
    pub fn is_stopped(&self) -> bool {
        let mut all = self.nodes.iter().chain(self.folds.nodes());
        all.all(|node| node.session == Session::Closed)
    }
}
