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
mod direct;
mod encode;
mod matches;
mod overload;
mod rename;
mod renamed;
mod restore;
mod shape;
mod tell;
#[cfg(test)]
mod tests;
mod turn;

use std::hash::BuildHasher;
use std::time::Duration;

use account::{Account, Fate, Imbalance, Ledger, NodeSlot, Origin, Reason};
use foldhash::fast::RandomState;
use journal_format::{Body, Dropped, Heartbeat};
use policy::{Limiter, Policy, Rule};
use sparkplug::{
    Borrowed, Caps, DecodeError, Entity, EntityTopic, MessageType, Payload, Topic, decode_borrowed,
};
use telemetry::status::TrackedNode;

use self::births::low_byte;
use self::direct::Direct;
use self::matches::Matches;
pub use self::matches::RuleMatches;
use self::overload::Overload;
use self::turn::{Turn, keyframes};
use super::plant::{Arrival, Life, Node, Plant, Queue, StoredPlant};

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
    takes_shortcuts: bool,
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
            ledger: Ledger::new(policy.rule_names()),
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
            takes_shortcuts: true,
        }
    }

    /// Handles one message and appends what is to be journalled of it to `out`.
    pub fn handle(&mut self, now: Now, received: Received<'_>, out: &mut Vec<Body>) {
        let mut origin = Origin::default();
        let fate = self.process(now, received, &mut origin, out);
        self.ledger.receive(origin.node);
        self.ledger.settle(origin, fate);
        match fate {
            Fate::Dropped(reason) => tell::dropped(reason, None, received),
            Fate::DroppedBy(reason, rule) => {
                let rule = rule.and_then(|rule| self.policy.rule(rule));
                tell::dropped(reason, rule.map(Rule::name), received);
            }
            Fate::Forwarded | Fate::Waiting => {}
        }
    }

    /// Enters messages under `topic` that were refused before they came here.
    pub fn shed(&mut self, topic: &str, messages: u64) {
        let entity = match Topic::parse(topic) {
            Ok(Topic::Entity(topic)) => Some(topic.entity),
            _ => None,
        };
        let place = entity.and_then(|entity| self.plant.find(entity));
        let origin = Origin { entity, node: place.map(NodeSlot) };
        for _ in 0..messages {
            self.ledger.receive(origin.node);
            self.ledger.settle(origin, Fate::Dropped(Reason::Overload));
        }
        // Where its numbers are followed, the next one tells.
        if let Some(node) = place.and_then(|place| self.plant.node_mut(place))
            && node.sequenced != Some(true)
        {
            node.lose();
        }
        tell::shed(topic, messages);
    }

    /// Does what is due: heartbeat, keyframes, gaps, births and values that were held back.
    /// Call it a few times a second.
    pub fn tick(&mut self, now: Now, out: &mut Vec<Body>) {
        self.follow_schedules(now, out);
        let timeout = self.settings.reorder_timeout;
        let (mut turn, plant) = self.turn(now, out);
        turn.flush(plant);
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
                    turn.keyframe(node);
                    let next = turn.next_keyframe(node);
                    plant.set_next_keyframe(index, next);
                }
                continue;
            }
            let Some(node) = plant.node_mut(index) else { continue };
            if node.sequence.expire(now.mono, timeout) {
                gap(&mut turn, node);
                // The node's next message tells the loss, but may be long in coming: until then
                // its values would look good.
                node.next_keyframe = now.mono;
            }
            if node.owes_birth() && node.own.announced {
                turn.catch_up(node);
            }
            if keyframe_due(node) {
                turn.keyframe(node);
                node.next_keyframe = turn.next_keyframe(node);
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
        self.ledger.set_rules(policy.rule_names());
        self.policy = policy;
        self.structure_changed = true;
        let (mut turn, plant) = self.turn(now, out);
        for node in plant.nodes_mut() {
            turn.bury_renamed(node);
        }
        for node in plant.nodes_mut() {
            node.queue = Queue::default();
            adjust(&mut turn, node);
        }
    }

    /// Opens and closes the rules whose time has come, as if the policy had been reloaded.
    fn follow_schedules(&mut self, now: Now, out: &mut Vec<Body>) {
        let changed = self.policy.set_time(now.wall_ms);
        if changed.is_empty() {
            return;
        }
        self.structure_changed = true;
        let (mut turn, plant) = self.turn(now, out);
        for node in plant.nodes_mut() {
            adjust(&mut turn, node);
        }
        for rule in changed.into_iter().filter_map(|id| self.policy.rule(id)) {
            tell::turned(rule, now.wall_ms);
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

    fn turn<'a>(&'a mut self, now: Now, out: &'a mut Vec<Body>) -> (Turn<'a>, &'a mut Plant) {
        let turn = Turn {
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
        (turn, &mut self.plant)
    }

    /// `origin` becomes whose message it is, as far as that is known.
    fn process<'a>(
        &mut self,
        now: Now,
        received: Received<'a>,
        origin: &mut Origin<'a>,
        out: &mut Vec<Body>,
    ) -> Fate {
        let (topic, stored) = match Topic::parse(received.topic) {
            Ok(Topic::Entity(topic)) => (topic, received.retain),
            Ok(Topic::StoredBirth(topic)) => (topic, true),
            Ok(Topic::Command { .. }) => return Fate::Dropped(Reason::Command),
            Ok(Topic::State { .. }) => return Fate::Dropped(Reason::State),
            Ok(Topic::UnknownType { .. }) => return Fate::Dropped(Reason::UnknownType),
            Ok(Topic::NotSparkplug) => return Fate::Dropped(Reason::NotSparkplug),
            Err(_) => return Fate::Dropped(Reason::MalformedTopic),
        };
        origin.entity = Some(topic.entity);
        origin.node = self.plant.find(topic.entity).map(NodeSlot);
        if received.payload.is_empty() {
            // How a retained message is cleared. As a Sparkplug payload it would be an empty
            // birth, or the death of anybody.
            return Fate::Dropped(Reason::MalformedPayload);
        }
        let is_news = topic.message_type.is_data() && !stored;
        if is_news && let Some(direct) = self.prepare(now, topic.entity, received, origin) {
            return self.live(now, topic, Content::Direct(direct), received, origin, out);
        }
        let mut inflated = Vec::new();
        let payload = match decode_borrowed(received.payload, &mut inflated, &self.settings.caps) {
            Ok(decoded) => {
                self.counters.unknown_fields =
                    self.counters.unknown_fields.saturating_add(decoded.unknown_fields);
                let compressed = u64::from(decoded.was_compressed);
                self.counters.compressed = self.counters.compressed.saturating_add(compressed);
                decoded
            }
            Err(error) => return Fate::Dropped(why_not(&error)),
        };
        self.structure_changed |= !topic.message_type.is_data();
        if stored {
            self.learn_stored(now, topic, payload.into_payload(), origin, out);
            return Fate::Dropped(Reason::StoredBirth);
        }
        self.live(now, topic, Content::Read(payload), received, origin, out)
    }

    fn prepare(
        &self,
        now: Now,
        entity: Entity<'_>,
        received: Received<'_>,
        origin: &Origin<'_>,
    ) -> Option<Direct> {
        #[cfg(test)]
        if !self.takes_shortcuts {
            return None;
        }
        let node = self.plant.nodes().get(origin.node?.0)?;
        let (limiter, caps) = (&self.limiter, &self.settings.caps);
        Direct::prepare(node, entity.device, received.payload, now.wall_ms, limiter, caps)
    }

    fn learn_stored(
        &mut self,
        now: Now,
        topic: EntityTopic<'_>,
        payload: Payload,
        origin: &mut Origin<'_>,
        out: &mut Vec<Body>,
    ) {
        // Retained data and deaths are no events; they teach nothing either.
        if !topic.message_type.is_birth() {
            return;
        }
        let (mut turn, plant) = self.turn(now, out);
        let index = plant.ensure(topic.entity, turn.ledger);
        origin.node = index.map(NodeSlot);
        if let Some(node) = index.and_then(|index| plant.node_mut(index)) {
            node.last_seen = now.mono;
            turn.stored_birth(node, topic.entity.device, payload);
        }
    }

    fn live(
        &mut self,
        now: Now,
        topic: EntityTopic<'_>,
        content: Content<'_>,
        received: Received<'_>,
        origin: &mut Origin<'_>,
        out: &mut Vec<Body>,
    ) -> Fate {
        let hash = self.hasher.hash_one((received.topic, received.payload));
        let dup = received.dup;
        let Entity { group, edge_node, device } = topic.entity;
        let timeout = self.settings.reorder_timeout;
        let (mut turn, plant) = self.turn(now, out);
        let index = match topic.message_type {
            MessageType::NBirth => plant.ensure(topic.entity, turn.ledger),
            _ => origin.node.map(|node| node.0),
        };
        origin.node = index.map(NodeSlot);
        let Some(node) = index.and_then(|index| plant.node_mut(index)) else {
            return Fate::Dropped(match topic.message_type {
                MessageType::NBirth => Reason::OverCapacity,
                _ => Reason::DataBeforeBirth,
            });
        };
        node.last_seen = now.mono;
        if matches!(topic.message_type, MessageType::NBirth | MessageType::NDeath) {
            // Only data takes the short way.
            let Content::Read(payload) = content else {
                return Fate::Dropped(Reason::MalformedPayload);
            };
            if !node.sequence.arrive_unordered(hash, dup) {
                return Fate::Dropped(Reason::Duplicate);
            }
            return match topic.message_type {
                MessageType::NBirth => turn.node_birth(node, payload.into_payload()),
                _ => turn.node_death(node, &payload.into_payload()),
            };
        }

        if node.sequence.expire(now.mono, timeout) {
            gap(&mut turn, node);
        }
        // Where the subscriptions don't let in every message of the node, holes say nothing.
        let sequenced = *node
            .sequenced
            .get_or_insert_with(|| turn.policy.sees_every_message_of(group, edge_node));
        let seq = low_byte(content.seq()).filter(|_| sequenced);
        let was_known = seq.is_some() && node.sequence.next().is_some();
        let arrival = node.sequence.arrive(now.mono, seq, hash, dup);
        if arrival == Arrival::Duplicate {
            return Fate::Dropped(Reason::Duplicate);
        }
        match arrival {
            Arrival::Jump => gap(&mut turn, node),
            // After a restart: the sequence goes on, or the broker vouches for it.
            Arrival::InOrder if node.verify && (was_known || received.assured) => node.verified(),
            Arrival::InOrder => node.verify = false,
            Arrival::Early => node.verify = false,
            _ => {}
        }
        let late = dup || arrival == Arrival::Late;
        let mut inflated = Vec::new();
        let payload = match content {
            Content::Direct(direct) if !late => return turn.direct(node, device, direct),
            // It may be older than what is current.
            Content::Direct(_) => {
                match decode_borrowed(received.payload, &mut inflated, &turn.settings.caps) {
                    Ok(payload) => payload,
                    Err(error) => return Fate::Dropped(why_not(&error)),
                }
            }
            Content::Read(payload) => payload,
        };
        match (topic.message_type, device) {
            (MessageType::DBirth, Some(device)) => {
                turn.device_birth(node, device, payload.into_payload())
            }
            (MessageType::DDeath, Some(device)) => {
                turn.device_death(node, device, &payload.into_payload())
            }
            _ => turn.data(node, device, payload, late),
        }
    }
}

/// A payload, as far as it was read.
enum Content<'a> {
    Read(Borrowed<'a>),
    Direct(Direct),
}

impl Content<'_> {
    fn seq(&self) -> Option<u64> {
        match self {
            Content::Read(payload) => payload.seq,
            Content::Direct(direct) => direct.seq(),
        }
    }
}

fn why_not(error: &DecodeError) -> Reason {
    match error {
        DecodeError::Malformed(_) => Reason::MalformedPayload,
        DecodeError::OverCap { .. } => Reason::OverCap,
        DecodeError::BadCompression(_) => Reason::BadCompression,
    }
}

/// Messages of the node were lost before they reached the relay.
fn gap(turn: &mut Turn<'_>, node: &mut Node) {
    if node.own.life != Life::Alive {
        return;
    }
    turn.counters.gaps = turn.counters.gaps.saturating_add(1);
    tell::gap(&node.group, &node.edge_node);
    node.verify = false;
    node.lose();
}

/// Brings what readers know of a node in line with the policy in force.
fn adjust(turn: &mut Turn<'_>, node: &mut Node) {
    node.sequenced = None;
    turn.judge_all(node);
    let types_changed = turn.refresh_types(node);
    let alive = node.own.life == Life::Alive && turn.node_in_scope(node);
    if !alive {
        turn.bury_node(node);
        return;
    }
    let changes = |state: &super::plant::EntityState| {
        state.reshaped || state.layout.slots.iter().any(|slot| slot.born != slot.is_told())
    };
    let devices: Vec<Box<str>> = node.devices.keys().cloned().collect();
    for device in &devices {
        if !turn.tells_device(node, device) {
            turn.bury_device(node, device);
        }
    }
    if !node.own.announced || types_changed || changes(&node.own) {
        turn.announce_all(node);
    } else {
        for device in &devices {
            let stale =
                node.devices.get(device).is_some_and(|state| !state.announced || changes(state));
            if stale && turn.tells_device(node, device) {
                turn.announce_device(node, device, true);
            }
        }
    }
}
