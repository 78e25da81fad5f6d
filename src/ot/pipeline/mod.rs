//! Sans-IO pipeline of the OT half: received messages, ticks and session events in; entries for
//! the journal out.
//!
//! ```text
//!              receive   decode    sequence   data, births    judge, shape   limits    encode
//!  handle ──────> topic ─> payload ─> order ───> plant ─────────> policy ─────> rates ──> entries
//!                   │        │         │  │                          │           │          ^
//!                   │        │         │  └── fast_path: scalars that nothing has a word on ┘
//!                   └────────┴─────────┴── drops, each with one reason ───────────┘
//!
//!  tick ────────> policy_change, limits, timers (gaps, births, keyframes, heartbeat) ──> entries
//! ```
//!
//! # How to use a [`Pipeline`]
//!
//! It does no I/O and reads no clock. Its methods come in four families:
//!
//! - **What happened** changes its state, at a time that the caller gives: [`Pipeline::handle`]
//!   for each message of the broker, [`Pipeline::shed`] for those that were refused before they
//!   came here, [`Pipeline::session`] and [`Pipeline::disconnected`] for the connection,
//!   [`Pipeline::reload`] for another policy, `restore` once, before anything else, for what an
//!   earlier run stored. Times never go backwards.
//! - **What is due** is done by [`Pipeline::tick`], a few times a second, whatever else happens.
//!   Timers are named in `timers`; none of them needs more than that. A tick does no more than a
//!   turn may take: while [`Pipeline::is_behind`], there is more, at once.
//! - **What comes of it** is appended to `out`, by all of these but `session`, `disconnected` and
//!   `shed`, whose news come with the next `tick`. Entries have to be journalled in their order, and
//!   before the message that they come of is acknowledged. Whoever begins a segment of the
//!   journal writes `head` to it, after all entries so far, and then has `drop_unshown` drop what
//!   that left out; or says so (`segment_began`), and the keyframes come with the entries that
//!   follow, of each node before all else.
//! - **What it knows** may be asked at any time: [`Pipeline::account`], [`Pipeline::ledger`],
//!   [`Pipeline::counters`], [`Pipeline::rule_matches`], [`Pipeline::nodes`]. The answers change
//!   with what happens and what is due, and not otherwise.
//!
//! In this order, after each batch: `handle` for all of its messages, `tick` if it is time, the
//! entries to the journal, then [`Pipeline::take_structure_changed`]: if it says yes, what the
//! journal has isn't enough to go on after a restart, and the plant has to be stored (a snapshot:
//! `begin_snapshot`, then `take_snapshot` until it has a head, with anything between) before the
//! batch is acknowledged.
//!
//! What concerns all nodes (a session, another policy, a segment) each of them hears by itself, in
//! turns (`news`).
//!
//! After `session` a `tick` has to come before the next messages' entries are read for certain:
//! it journals the doubt first, and then that the half is connected.
//!
//! The account always balances: every received message is forwarded, dropped for one reason, or
//! waiting.

mod adjust;
mod ahead;
mod announce;
mod beside;
mod births;
mod born_late;
mod breath;
mod data;
mod decode;
mod doubts;
mod encode;
mod fast_path;
mod flush;
mod guard;
mod hold_births;
mod hosts;
mod item;
mod judge;
mod limits;
mod meaning;
mod memory;
mod news;
mod notify;
mod overload;
mod policy_change;
mod presence;
mod recall;
mod receive;
mod refuse;
mod rename;
mod reorder;
mod restore;
mod retained;
mod sequence;
mod shape;
mod shard;
mod step;
#[cfg(test)]
mod tests;
mod timers;
mod unborn;
mod unfit;
mod unread;

use std::time::Duration;

use account::{Account, Imbalance, Ledger, Reason};
use foldhash::fast::RandomState;
use journal_format::{Dropped, Heartbeat};
use policy::{Limiter, Policy};
use sparkplug::{Budget, Caps, DecodeError, Room, Shard};
use telemetry::status::TrackedNode;

use self::ahead::Ahead;
use self::breath::Breath;
use self::decode::MetricRoom;
use self::guard::Guard;
pub(crate) use self::guard::{Asked, Deed};
use self::hosts::Hosts;
pub(crate) use self::hosts::Quiet;
use self::news::{News, Round};
use self::overload::Overload;
use self::presence::Queued;
pub(crate) use self::reorder::ALL_BYTES as WAITING_BYTES;
use self::reorder::Reorder;
pub use self::reorder::{Judged, WatchedOrder};
use self::step::StepContext;
use self::unborn::Unborn;
use crate::decisions::RecentDrops;
use crate::plant::{GivenLayouts, Life, Node, Plant, StoredPlant};
use crate::rule_counters::{RuleCounters, RuleMatches};
use crate::shadow::Shadow;
use crate::{Entry, Now};

/// A session with the broker that was up for so long is one that lasts: longer than what a broker
/// takes to send what it had stored, which is what ends most of those that don't.
pub(crate) const LASTING: Duration = Duration::from_secs(10);

/// A message as the broker delivered it.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    pub topic: &'a str,
    pub payload: &'a [u8],
    /// The broker had it stored.
    pub retain: bool,
    /// The broker delivered it before, or thinks so.
    pub dup: bool,
    /// It came with QoS 1 or 2: a broker that kept the session lost none of its kind.
    pub assured: bool,
}

/// Settings of the pipeline, from the configuration.
#[derive(Clone, Debug)]
pub struct PipelineSettings {
    /// Name of the OT broker in the journal.
    pub source: String,
    /// Interval in which every live node and device is repeated as a keyframe.
    pub keyframe_every: Duration,
    /// How long a message waits for those before it; then they are a gap.
    pub reorder_timeout: Duration,
    /// How long a node of which nothing is heard since the relay was away is held for alive.
    pub doubt_after: Duration,
    pub max_nodes: usize,
    pub max_devices_per_node: usize,
    /// What is remembered of the plant at most.
    pub budget: Budget,
    /// Bounds of one payload.
    pub caps: Caps,
}

/// What heartbeats say about the surroundings of the half.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Surroundings {
    pub(crate) journal_bytes: u64,
    pub(crate) journal_limit_bytes: u64,
    pub(crate) certificate_days_left: Option<i64>,
    pub(crate) policy_refused: bool,
}

/// Counters beside the account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Times that messages of a node were lost before they reached the relay.
    pub gaps: u64,
    /// Unknown fields and extensions that were left behind.
    pub unknown_fields: u64,
    /// Payloads that came compressed.
    pub compressed: u64,
}

/// The OT half's state between the connection and the journal.
#[derive(Debug)]
pub struct Pipeline {
    settings: PipelineSettings,
    /// Which edge nodes are this relay's.
    shard: Option<Shard>,
    policy: Policy,
    limiter: Limiter,
    overload: Overload,
    rule_counters: RuleCounters,
    /// Since when they count, in milliseconds since the epoch.
    matching_since_ms: u64,
    /// A policy that looks on, and the number of its marks.
    shadow: Option<Shadow>,
    shadow_stand: u32,
    plant: Plant,
    reorder: Reorder,
    ahead: Ahead,
    unborn: Unborn,
    hosts: Hosts,
    ledger: Ledger,
    recent_drops: RecentDrops,
    counters: Counters,
    hasher: RandomState,
    metric_room: MetricRoom,
    connected: bool,
    /// Since when the broker is away, or was before sessions that didn't last.
    away_since: Duration,
    /// Since when this session is up.
    session_since: Duration,
    /// What it begins with may be what the broker queued meanwhile.
    queued: Option<Queued>,
    /// The last session ended before it had lasted.
    unsteady: bool,
    next_heartbeat: Duration,
    surroundings: Surroundings,
    /// Births or deaths were handled or made since this was asked last.
    structure_changed: bool,
    /// The time by which windows are open or closed, where that isn't now.
    as_of: Option<u64>,
    /// Why the message that is handled is refused, where more than a word is known of it.
    why: Option<DecodeError>,
    /// The time of the message that is handled, in milliseconds since the epoch, where it is one that
    /// takes a birth to be read.
    sent: Option<Option<u64>>,
    /// The snapshot that is being taken, without its nodes.
    snapshot: Option<StoredPlant>,
    /// What some node hasn't heard yet.
    news: Vec<News>,
    news_round: Round,
    /// What is due for nodes is done in rounds, too.
    round: Round,
    /// What was done so far, in bytes that were read or written.
    work: u64,
    /// Something is due that the last tick left for the next one.
    is_late: bool,
    /// Called between the stages of a birth.
    breath: Breath,
    /// Layouts that data is told against.
    given: GivenLayouts,
    guard: Guard,
    /// Nodes that the head of a segment couldn't show.
    unshown: Vec<usize>,
    #[cfg(any(test, feature = "testing"))]
    pub(crate) takes_fast_path: bool,
}

impl Pipeline {
    /// An empty plant at `now`.
    pub fn new(settings: PipelineSettings, mut policy: Policy, now: Now) -> Self {
        let _ = policy.set_time(now.wall_ms);
        Pipeline {
            limiter: Limiter::new(&policy),
            overload: Overload::default(),
            rule_counters: RuleCounters::new(&policy),
            matching_since_ms: now.wall_ms,
            shadow: None,
            shadow_stand: 0,
            plant: Plant::new(settings.max_nodes, settings.budget),
            reorder: Reorder::default(),
            ahead: Ahead::default(),
            unborn: Unborn::default(),
            hosts: Hosts::default(),
            settings,
            shard: None,
            ledger: Ledger::new(policy.rule_names()),
            policy,
            recent_drops: RecentDrops::default(),
            counters: Counters::default(),
            hasher: RandomState::default(),
            metric_room: MetricRoom::default(),
            connected: false,
            away_since: now.mono,
            session_since: now.mono,
            queued: None,
            unsteady: false,
            next_heartbeat: now.mono,
            surroundings: Surroundings::default(),
            structure_changed: false,
            as_of: None,
            why: None,
            sent: None,
            snapshot: None,
            news: Vec::new(),
            news_round: Round::default(),
            round: Round::default(),
            work: 0,
            is_late: false,
            breath: Breath::default(),
            given: GivenLayouts::default(),
            guard: Guard::default(),
            unshown: Vec::new(),
            #[cfg(any(test, feature = "testing"))]
            takes_fast_path: true,
        }
    }

    /// The account and the state of the connection, for the journal.
    pub fn heartbeat(&self, now: Now) -> Heartbeat {
        let account = self.ledger.total();
        let away = now.mono.saturating_sub(self.away_since);
        let away_ms = u64::try_from(away.as_millis()).unwrap_or(u64::MAX);
        let nodes = self.plant.nodes().iter().filter(|node| node.own.life.is_announced()).count();
        let dropped = |(reason, messages, metrics): (Reason, u64, u64)| Dropped {
            reason: reason.name().to_owned(),
            messages,
            metrics,
        };
        Heartbeat {
            ot_connected: self.is_connected(now),
            ot_away_ms: if self.is_connected(now) { 0 } else { away_ms },
            received: account.received,
            forwarded: account.forwarded,
            dropped: account.drops().map(dropped).collect(),
            policy_digest: self.policy.digest().to_owned(),
            nodes: u32::try_from(nodes).unwrap_or(u32::MAX),
            waiting: account.waiting,
            gaps: self.counters.gaps,
            journal_bytes: self.surroundings.journal_bytes,
            journal_limit_bytes: self.surroundings.journal_limit_bytes,
            certificate_days_left: self.surroundings.certificate_days_left,
            unborn: u32::try_from(self.unborn.now(now.mono).0).unwrap_or(u32::MAX),
            policy_refused: self.surroundings.policy_refused,
        }
    }

    /// Received, forwarded, dropped and waiting messages.
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
        let waiting: u64 = self.plant.nodes().iter().map(Node::waiting).sum();
        self.ledger.check(waiting.saturating_add(self.reorder.waiting()))
    }

    /// What each rule decided since the policy was loaded, in the order of the rules, and since
    /// when that is, in milliseconds since the epoch.
    pub fn rule_matches(&self) -> (u64, impl Iterator<Item = RuleMatches> + '_) {
        (self.matching_since_ms, self.rule_counters.all())
    }

    /// Takes note of what the next heartbeats say.
    pub(crate) fn set_surroundings(&mut self, surroundings: Surroundings) {
        self.surroundings = surroundings;
    }

    /// The edge nodes, for the account.
    pub fn nodes(&self) -> impl Iterator<Item = TrackedNode<'_>> {
        self.plant.nodes().iter().map(|node| TrackedNode {
            slot: node.slot,
            entity: node.entity(),
            alive: node.own.life.is_announced(),
        })
    }

    /// Group and edge node of those whose birth is known, and of which something crosses.
    pub(crate) fn born(&self) -> impl Iterator<Item = (&str, &str)> {
        let is_born = |node: &&Node| node.own.life.is_announced() || node.own.life == Life::Known;
        let born = self.plant.nodes().iter().filter(is_born);
        born.map(|node| (&*node.group, &*node.edge_node))
    }

    /// The hosts that are offline on OT while edge nodes are silent, and how these are.
    pub(crate) fn absent_hosts(&self, now: Now) -> Option<(Vec<&str>, Quiet)> {
        let offline = self.hosts.offline(now.mono);
        let quiet = self.quiet();
        let absent = self.connected && !offline.is_empty() && quiet.is_quiet();
        absent.then_some((offline, quiet))
    }

    fn quiet(&self) -> Quiet {
        let live = self.plant.nodes().iter().filter(|node| node.own.life.is_alive()).count();
        Quiet { silent: self.plant.nodes().len().saturating_sub(live), live }
    }

    /// Tells which hosts are offline while edge nodes are silent.
    fn tell_hosts(&mut self, now: Now) {
        if self.connected {
            let mut hosts = std::mem::take(&mut self.hosts);
            hosts.tick(now.mono, || self.quiet());
            self.hosts = hosts;
        }
    }

    /// How many edge nodes send and have no known birth, and one of them.
    pub(crate) fn unborn(&self, now: Now) -> (usize, Option<&str>) {
        self.unborn.now(now.mono)
    }

    /// Counters beside the account.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The policy in force.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether births or deaths were handled or made since this was asked last: the stored
    /// plant doesn't know of them.
    pub fn take_structure_changed(&mut self) -> bool {
        std::mem::take(&mut self.structure_changed)
    }

    /// What was done so far, in bytes that were read or written: what a turn does is bounded by it.
    pub(crate) fn work(&self) -> u64 {
        self.work
    }

    /// Something is to be done at once, and a turn was over: [`Pipeline::tick`] goes on with it.
    pub fn is_behind(&self) -> bool {
        self.is_late || self.has_news() || !self.round.is_over()
    }

    /// Has `breathe` called between the stages of a birth, which may be large.
    pub(crate) fn set_breath(&mut self, breathe: Box<dyn FnMut() + Send>) {
        self.breath = Breath(Some(breathe));
    }

    fn step<'a>(
        &'a mut self,
        now: Now,
        out: &'a mut Vec<Entry>,
    ) -> (StepContext<'a>, &'a mut Plant) {
        self.rule_counters.at(now.wall_ms);
        if let Some(shadow) = &self.shadow {
            shadow.at(now.wall_ms);
        }
        let step = StepContext {
            settings: &self.settings,
            policy: &self.policy,
            connected: self.connected,
            limiter: &mut self.limiter,
            overload: &mut self.overload,
            rule_counters: &self.rule_counters,
            shadow: self.shadow.as_ref(),
            ledger: &mut self.ledger,
            recent_drops: &mut self.recent_drops,
            counters: &mut self.counters,
            structure_changed: &mut self.structure_changed,
            why: &mut self.why,
            work: &mut self.work,
            breath: &mut self.breath,
            given: &mut self.given,
            room: Room::BOUNDLESS,
            now,
            out,
        };
        (step, &mut self.plant)
    }
}
