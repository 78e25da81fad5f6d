//! Sans-IO pipeline of the OT half: received messages, ticks and session events in; journal
//! bodies out.
//!
//! ```text
//!  handle(now, message) ─> topic ─> decode ─> sequence ─> plant ─> policy ─> rates ─> encode
//!                            │        │          │          │         │        │        │
//!                            └────────┴──── drops, each with one reason ───────┘      bodies
//! ```
//!
//! The account always balances: every received message is forwarded, dropped for one reason, or
//! waiting.

mod births;
mod data;
mod decode;
mod encode;
mod fast_path;
mod matches;
mod notify;
mod overload;
mod receive;
mod rename;
mod renamed;
mod restore;
mod sequence;
mod shape;
mod step;
#[cfg(test)]
mod tests;

use std::time::Duration;

use foldhash::fast::RandomState;

use self::matches::Matches;
use self::overload::Overload;
use self::step::{StepContext, keyframes};
use super::plant::{Life, Node, Plant, Queue, StoredPlant};
use crate::journal::{Body, Dropped, Heartbeat};
use crate::policy::{Limiter, Policy};
use crate::sparkplug::Caps;
use crate::telemetry::status::TrackedNode;
use crate::telemetry::{Account, Imbalance, Ledger, Reason};

pub use self::matches::RuleMatches;

/// How often the pipeline reports to its journal.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(1);

/// The time of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Since any fixed start; never goes backwards.
    pub mono: Duration,
    /// Wall clock, in milliseconds since the epoch (UTC).
    pub wall_ms: u64,
}

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

/// What the pipeline is told by the configuration.
#[derive(Clone, Debug)]
pub struct PipelineSettings {
    /// Name of the OT broker in the journal.
    pub source: String,
    /// Interval in which every live node and device is repeated as a keyframe.
    pub keyframe_every: Duration,
    /// How long a hole in a node's sequence may stay open before it is a gap.
    pub reorder_timeout: Duration,
    pub max_nodes: usize,
    pub max_devices_per_node: usize,
    /// Bounds of one payload.
    pub caps: Caps,
}

/// What the half tells readers of the journal about its surroundings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Surroundings {
    pub(crate) journal_bytes: u64,
    pub(crate) journal_limit_bytes: u64,
    pub(crate) certificate_days_left: Option<i64>,
}

/// What the account doesn't tell.
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
    policy: Policy,
    limiter: Limiter,
    overload: Overload,
    matches: Matches,
    /// Since when they count, in milliseconds since the epoch.
    matching_since_ms: u64,
    plant: Plant,
    ledger: Ledger,
    counters: Counters,
    hasher: RandomState,
    connected: bool,
    /// Since when the broker is away.
    away_since: Duration,
    next_heartbeat: Duration,
    surroundings: Surroundings,
    /// Births or deaths were handled or made since this was asked last.
    structure_changed: bool,
    /// The picture that is being taken, without its nodes.
    picture: Option<StoredPlant>,
    #[cfg(test)]
    takes_fast_path: bool,
}

impl Pipeline {
    /// An empty plant at `now`.
    pub fn new(settings: PipelineSettings, mut policy: Policy, now: Now) -> Self {
        let _ = policy.set_time(now.wall_ms);
        Pipeline {
            limiter: Limiter::new(&policy),
            overload: Overload::default(),
            matches: Matches::new(&policy),
            matching_since_ms: now.wall_ms,
            plant: Plant::new(settings.max_nodes),
            settings,
            ledger: Ledger::new(Some(&policy)),
            policy,
            counters: Counters::default(),
            hasher: RandomState::default(),
            connected: false,
            away_since: now.mono,
            next_heartbeat: now.mono,
            surroundings: Surroundings::default(),
            structure_changed: false,
            picture: None,
            #[cfg(test)]
            takes_fast_path: true,
        }
    }

    /// Does what is due: heartbeat, keyframes, gaps, births and values that were held back.
    /// Call it a few times a second.
    pub fn tick(&mut self, now: Now, out: &mut Vec<Body>) {
        self.follow_schedules(now, out);
        let timeout = self.settings.reorder_timeout;
        let (mut step, plant) = self.step(now, out);
        step.flush(plant);
        for index in 0..plant.nodes().len() {
            let keyframe_due = |node: &Node| node.own.announced && node.next_keyframe <= now.mono;
            let Some(node) = plant.nodes().get(index) else { continue };
            if node.own.life != Life::Alive {
                continue;
            }
            let due = node.sequence.is_expired(now.mono, timeout)
                || (node.own.announced && node.owes_birth());
            if !due {
                // That a node was repeated is nothing new to be stored.
                if keyframe_due(node) {
                    step.keyframe(node);
                    let next = step.next_keyframe(node);
                    plant.set_next_keyframe(index, next);
                }
                continue;
            }
            let Some(node) = plant.node_mut(index) else { continue };
            if step.give_up_holes(node) {
                // The node's next message tells the loss, but may be long in coming: until then
                // its values would look good.
                node.next_keyframe = now.mono;
            }
            if node.owes_birth() && node.own.announced {
                step.catch_up(node);
            }
            if keyframe_due(node) {
                step.keyframe(node);
                node.next_keyframe = step.next_keyframe(node);
            }
        }
        // Behind the keyframes: a mirror has to hear of a doubt before the sign of life.
        if self.next_heartbeat <= now.mono {
            out.push(Body::Heartbeat(self.heartbeat(now)));
            self.next_heartbeat = now.mono.saturating_add(HEARTBEAT_EVERY);
        }
    }

    /// Takes over another policy: entities that it doesn't allow any more die, those that it
    /// allows now and those whose layout changes are born anew, with their current values.
    pub fn reload(&mut self, now: Now, mut policy: Policy, out: &mut Vec<Body>) {
        let _ = policy.set_time(now.wall_ms);
        self.limiter = Limiter::new(&policy);
        self.overload = Overload::default();
        self.matches = Matches::new(&policy);
        self.matching_since_ms = now.wall_ms;
        self.ledger.set_policy(Some(&policy));
        self.policy = policy;
        self.structure_changed = true;
        let (mut step, plant) = self.step(now, out);
        for node in plant.nodes_mut() {
            step.bury_renamed(node);
        }
        for node in plant.nodes_mut() {
            node.queue = Queue::default();
            adjust(&mut step, node);
        }
    }

    /// Opens and closes the rules whose time has come, as if the policy had been reloaded.
    fn follow_schedules(&mut self, now: Now, out: &mut Vec<Body>) {
        let changed = self.policy.set_time(now.wall_ms);
        if changed.is_empty() {
            return;
        }
        self.structure_changed = true;
        let (mut step, plant) = self.step(now, out);
        for node in plant.nodes_mut() {
            adjust(&mut step, node);
        }
        for rule in changed.into_iter().filter_map(|id| self.policy.rule(id)) {
            notify::turned(rule, now.wall_ms);
        }
    }

    /// The connection is up and subscribed. `present`: the broker kept the session, so what it
    /// queued meanwhile is still coming. The next [`Pipeline::tick`] tells the doubt, before it
    /// tells that the half is connected.
    pub fn session(&mut self, now: Now, present: bool) {
        self.connected = true;
        self.away_since = now.mono;
        // Readers wait for the news.
        self.next_heartbeat = now.mono;
        for node in self.plant.nodes_mut() {
            // The mirror takes the next heartbeat for leave to bear the nodes again.
            node.next_keyframe = now.mono;
            if present {
                // Brokers queue what comes with QoS 1 or 2, and few queue Sparkplug's QoS 0.
                node.doubt();
                continue;
            }
            // Nobody knows what was missed; the sequence starts with what comes.
            node.verify = false;
            node.lose();
            node.sequence.forget();
        }
    }

    /// The connection was lost.
    pub fn disconnected(&mut self, now: Now) {
        if std::mem::replace(&mut self.connected, false) {
            self.away_since = now.mono;
            self.next_heartbeat = now.mono;
        }
    }

    /// The keyframes of all nodes that readers hold for alive, each node before its devices:
    /// the head of a segment, after its `Start`.
    pub fn keyframes(&self, now: Now) -> impl Iterator<Item = Body> + '_ {
        let source = &self.settings.source;
        let how = self.policy.pseudonyms();
        self.plant.nodes().iter().flat_map(move |node| keyframes(source, node, now.wall_ms, how))
    }

    /// The account and the state of the connection, for the journal.
    pub fn heartbeat(&self, now: Now) -> Heartbeat {
        let account = self.ledger.total();
        let away = now.mono.saturating_sub(self.away_since);
        let away_ms = u64::try_from(away.as_millis()).unwrap_or(u64::MAX);
        let nodes = self.plant.nodes().iter().filter(|node| node.own.announced).count();
        let dropped = |(reason, messages, metrics): (Reason, u64, u64)| Dropped {
            reason: reason.name().to_owned(),
            messages,
            metrics,
        };
        Heartbeat {
            ot_connected: self.connected,
            ot_away_ms: if self.connected { 0 } else { away_ms },
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

    /// The ledger, for the policy tools: it can be watched.
    pub fn ledger_mut(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// Checks that every received message is accounted for, once.
    ///
    /// # Errors
    /// What doesn't balance: a bug.
    pub fn check_account(&self) -> Result<(), Imbalance> {
        self.ledger.check(self.plant.nodes().iter().map(Node::waiting).sum())
    }

    /// What each rule decided since the policy was loaded, in the order of the rules, and since
    /// when that is, in milliseconds since the epoch.
    pub fn rule_matches(&self) -> (u64, impl Iterator<Item = RuleMatches> + '_) {
        (self.matching_since_ms, self.matches.all())
    }

    /// Takes note of what the next heartbeats say.
    pub(crate) fn set_surroundings(&mut self, surroundings: Surroundings) {
        self.surroundings = surroundings;
    }

    /// Whether the broker's session is up.
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// The edge nodes, for the account.
    pub fn nodes(&self) -> impl Iterator<Item = TrackedNode<'_>> {
        self.plant.nodes().iter().map(|node| TrackedNode {
            slot: node.slot,
            entity: node.entity(),
            alive: node.own.announced,
        })
    }

    /// What the account doesn't tell.
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

    fn step<'a>(
        &'a mut self,
        now: Now,
        out: &'a mut Vec<Body>,
    ) -> (StepContext<'a>, &'a mut Plant) {
        let step = StepContext {
            settings: &self.settings,
            policy: &self.policy,
            limiter: &mut self.limiter,
            overload: &mut self.overload,
            matches: &self.matches,
            ledger: &mut self.ledger,
            counters: &mut self.counters,
            structure_changed: &mut self.structure_changed,
            now,
            out,
        };
        (step, &mut self.plant)
    }
}

/// Brings what readers know of a node in line with the policy in force.
fn adjust(step: &mut StepContext<'_>, node: &mut Node) {
    node.sequenced = None;
    step.judge_all(node);
    let types_changed = step.refresh_types(node);
    let alive = node.own.life == Life::Alive && step.node_in_scope(node);
    if !alive {
        step.bury_node(node);
        return;
    }
    let changes = |state: &super::plant::EntityState| {
        state.reshaped || state.layout.slots.iter().any(|slot| slot.is_born() != slot.is_told())
    };
    let devices: Vec<Box<str>> = node.devices.keys().cloned().collect();
    for device in &devices {
        if !step.tells_device(node, device) {
            step.bury_device(node, device);
        }
    }
    if !node.own.announced || types_changed || changes(&node.own) {
        step.announce_all(node);
    } else {
        for device in &devices {
            let stale =
                node.devices.get(device).is_some_and(|state| !state.announced || changes(state));
            if stale && step.tells_device(node, device) {
                step.announce_device(node, device, true);
            }
        }
    }
}
