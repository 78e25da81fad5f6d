//! One edge node as this half sees it, with its devices.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use account::{NodeSlot, Origin, Reason, Refused};
use policy::NodeBuckets;
use sparkplug::{Entity, EntityTopic, MessageType, Metric, steps};

use super::{
    Backlog, Counting, Crossing, Definitions, EarlyMessages, Heard, Layout, Life, OVERTAKEN,
    Output, Sequence, Sessions, Taught, Types, Unfit,
};

/// An edge node's own metrics, or a device.
#[derive(Clone, Debug, Default)]
pub(crate) struct EntityState {
    pub(crate) life: Life,
    pub(crate) layout: Layout,
    /// A device's name as readers know it, where that isn't its own.
    pub(crate) exported_as: Option<Box<str>>,
    /// A metric was born late: a new birth has to be journalled.
    pub(crate) birth_due: bool,
    /// How often the values had been doubted when the first of its values came that wait for that.
    pub(crate) awaits_since: Option<u64>,
    /// Messages whose metrics wait for that birth.
    pub(crate) waiting: u64,
    /// Some slot holds a value back for a rate limit or an interval.
    pub(crate) holds: bool,
    /// Another policy shapes or names metrics of the journalled birth in another way.
    pub(crate) reshaped: bool,
    /// The messages that brought such values.
    pub(crate) backlog: Backlog,
    /// Bytes of the birth that was journalled last.
    pub(crate) announced_bytes: usize,
    /// The policy in force has judged what its birth brought.
    pub(crate) judged: bool,
    /// At which stand of the policy in shadow its metrics were marked; 0: none.
    pub(crate) beside: u32,
    /// The template instances that its birth brought were surveyed.
    pub(crate) surveyed: bool,
    /// Its data names datatypes, as far as it was seen.
    pub(crate) is_typed: bool,
    /// `seq` of a device's birth or death that was judged last, in this session of its node.
    pub(crate) told_at: Option<u8>,
    /// Its values were in doubt when its life ended last.
    pub(crate) ended_in_doubt: bool,
    /// A device's life ended with that of its node, and by no death of its own: it may be one of the
    /// session that begins.
    pub(crate) may_go_on: bool,
    /// When its birth came.
    pub(crate) born_at: Option<Duration>,
    /// The time of one that reads alike, was sent after it and came before it: it may be of a birth of
    /// its node that is still to come. In milliseconds since the epoch.
    pub(crate) newer_ms: Option<u64>,
    /// And it was delivered again, behind that of its node.
    pub(crate) came_again: bool,
    /// When a birth of it was journalled last that brought values, however often it died since.
    pub(crate) values_at: Option<Duration>,
    /// How often the values of this device alone had to be doubted: it goes on over its births.
    pub(super) doubts: u64,
    /// They are, since its birth.
    pub(super) is_doubted: bool,
    /// What of it its node has counted.
    pub(super) counted: usize,
}

impl EntityState {
    /// Whether it lives, of a birth that came so shortly ago that others may have overtaken it, or been
    /// overtaken by it.
    pub(crate) fn was_just_born(&self, now: Duration) -> bool {
        self.life.is_alive() && self.is_birth_recent(now)
    }

    /// The same of a device whose node is born now; it may have ended with another birth of that, which
    /// was refused.
    pub(crate) fn may_be_born_behind(&self, now: Duration) -> bool {
        (self.life.is_alive() || self.may_go_on) && self.is_birth_recent(now)
    }

    /// The time of the latest of its births by which it can be read, in milliseconds since the epoch.
    pub(crate) fn born_ms(&self) -> Option<u64> {
        self.layout.timestamp.max(self.newer_ms)
    }

    fn is_birth_recent(&self, now: Duration) -> bool {
        self.born_at.is_some_and(|at| now.saturating_sub(at) <= OVERTAKEN)
    }

    /// Whether a birth that comes now finds values that may be out of date.
    pub(crate) fn is_known_in_doubt(&self) -> bool {
        self.life.is_uncertain() || self.life == Life::Known || self.ended_in_doubt
    }

    /// Its life ends with that of its node, or by a death: the layout stays.
    pub(crate) fn end(&mut self, life: Life) -> Life {
        let was = std::mem::replace(&mut self.life, life);
        self.ended_in_doubt |= was.is_uncertain() || was == Life::Known;
        self.may_go_on |= was.is_alive();
        was
    }

    /// Forgets layout and life.
    pub(crate) fn forget(&mut self) {
        self.become_new(EntityState::default());
    }

    /// Messages that wait for a birth or for a limit.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.saturating_add(self.backlog.waiting())
    }

    /// Takes over the layout of a stored birth.
    pub(crate) fn learn(&mut self, layout: Layout) {
        self.become_new(EntityState { life: Life::Known, layout, ..EntityState::default() });
    }

    /// Takes over the layout of a birth; what readers know of the entity stays.
    pub(crate) fn bear(&mut self, layout: Layout) {
        let (mut life, told_at) = (self.life, self.told_at);
        let announced_bytes = self.announced_bytes;
        life.bear();
        let new = EntityState { life, layout, told_at, announced_bytes, ..EntityState::default() };
        self.become_new(new);
    }

    fn become_new(&mut self, mut new: EntityState) {
        new.layout.follow(&self.layout);
        let (exported_as, counted) = (self.exported_as.take(), self.counted);
        let values_at = self.values_at;
        *self = EntityState { exported_as, counted, values_at, doubts: self.doubts, ..new };
    }

    /// Something of this device was refused: what is known of it may be out of date.
    pub(crate) fn doubt(&mut self) {
        self.doubts = self.doubts.saturating_add(1);
        self.is_doubted = true;
        self.life.give_up_verifying();
        self.life.lose();
    }

    /// Readers know of a doubt of this device alone, from before a restart.
    pub(crate) fn restore_doubts(&mut self, doubts: u64) {
        self.doubts = doubts.saturating_sub(1);
        self.doubt();
    }

    /// How often its values had to be doubted for themselves, if they are; otherwise 0.
    pub(crate) fn doubts_in_force(&self) -> u64 {
        if self.is_doubted { self.doubts } else { 0 }
    }

    /// Whether a value that waits for a birth may be older than what was lost or refused since.
    pub(crate) fn awaits_doubted(&self, losses: u64) -> bool {
        self.awaits_since.is_some_and(|since| since != self.losses(losses))
    }

    /// How often its values had to be doubted, whatever for; `losses` are those of its node.
    pub(crate) fn losses(&self, losses: u64) -> u64 {
        losses.saturating_add(self.doubts)
    }
}

/// Whether every message that counts in the sequence of a node comes in: where it doesn't, holes
/// say nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Numbering {
    /// The policy in force is to be asked.
    #[default]
    Unasked,
    Complete,
    Partial,
}

/// One edge node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    /// Its place in the plant, and in the ledger.
    pub(crate) slot: NodeSlot,
    pub(crate) group: Box<str>,
    pub(crate) edge_node: Box<str>,
    /// Group and edge node as readers know them, where these aren't its own names.
    pub(crate) exported_as: Option<(Box<str>, Box<str>)>,
    pub(crate) own: EntityState,
    /// Boxed: the leaves of a tree have room for eleven.
    pub(crate) devices: BTreeMap<Box<str>, Box<EntityState>>,
    pub(crate) definitions: Definitions,
    /// The `bdSeq` metric of the NBIRTH.
    pub(crate) bd_seq: Option<Metric>,
    /// Its sessions, by the numbers of their births.
    pub(crate) sessions: Sessions,
    /// Births or data of it came at QoS 0: the broker doesn't vouch for it.
    pub(crate) has_unassured: bool,
    /// Data of it came at QoS 1 or 2 in this run: births alone say nothing of how it sends data.
    pub(crate) has_assured_data: bool,
    /// Births and deaths of it that may have overtaken each other.
    pub(crate) crossing: Crossing,
    /// The `Node Control/Rebirth` metric of the NBIRTH.
    pub(crate) rebirth: Option<Metric>,
    /// Definitions that the NBIRTH has which was journalled last.
    pub(crate) announced_types: BTreeSet<String>,
    /// What the instances ask for now. What it removes is removed from everything at once;
    /// what it needs beyond `announced_types` takes another NBIRTH.
    pub(crate) types: Types,
    /// How far `types` had grown when nothing was found lacking in `announced_types`.
    pub(crate) announced_growth: Option<u64>,
    /// That NBIRTH is due.
    pub(crate) types_due: bool,
    pub(crate) sequence: Sequence,
    /// What was refused of it unread, since the last tick.
    pub(crate) unread: BTreeMap<(Option<Box<str>>, Refused), Reason>,
    /// Messages that wait for their turn in it.
    pub(crate) early: EarlyMessages,
    pub(crate) numbering: Numbering,
    pub(crate) counting: Counting,
    /// People were told that its numbers are no sequence.
    pub(crate) told_no_sequence: bool,
    /// An NBIRTH of it came since this start.
    pub(crate) is_born_here: bool,
    /// Messages were lost: the next frame of the node has to say so.
    pub(crate) loss: bool,
    /// How often the values had to be doubted. Readers tell by it a loss that they know from a
    /// new one, so it goes on over restarts.
    pub(crate) losses: u64,
    /// How often a message of it was refused, modulo 2^32: what waits since before that may be older.
    pub(crate) refusals: u32,
    /// Since when the relay is back from being away, while nothing was heard of the node.
    pub(crate) unheard_since: Option<Duration>,
    /// When the relay made births for the node last.
    pub(crate) last_synthetic: Option<Duration>,
    pub(crate) next_keyframe: Duration,
    /// One is ordered, before its turn by the clock, and paid for.
    pub(crate) keyframe_ordered: bool,
    /// How much of the news for all nodes it has heard.
    pub(crate) news_heard: u64,
    pub(crate) last_seen: Duration,
    /// Since when it is followed, and when it sent data last; `None` where that was before this start.
    pub(crate) heard: Option<Heard>,
    /// A rule spells its name out.
    pub(crate) is_named: bool,
    /// Where the node stands with limits that it shares.
    pub(crate) queue: Queue,
    /// What may be written for it.
    pub(crate) output: Output,
    /// What is remembered of it, as it was counted last.
    pub(super) bytes: usize,
    /// What of that the order of its messages takes.
    pub(super) sequence_counted: usize,
    /// What of it the plant has counted.
    pub(super) counted: usize,
}

/// An edge node's place in the order of those that wait.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    /// What of the node's own limits is left; made when it is asked for.
    pub(crate) buckets: Option<NodeBuckets>,
    /// Values wait for the limit of the node or of the link, by their priority: later ones
    /// stand in line behind them.
    pub(crate) waits: [bool; 2],
    /// Bytes that the node may forward before it is others' turn.
    pub(crate) credit: usize,
    /// The entity that forwarded something last: the next one in order is next.
    pub(crate) last: Option<Option<Box<str>>>,
}

impl Node {
    pub(crate) fn entity(&self) -> Entity<'_> {
        Entity::node(&self.group, &self.edge_node)
    }

    /// The node, or a device of it, as readers know it.
    pub(crate) fn exported<'a>(&'a self, device: Option<&'a str>) -> Entity<'a> {
        let own = self.entity();
        let exported_as = |device: &'a str| {
            let state = self.devices.get(device);
            state.and_then(|state| state.exported_as.as_deref()).unwrap_or(device)
        };
        let (group, edge_node) = match &self.exported_as {
            Some((group, edge_node)) => (&**group, &**edge_node),
            None => (own.group, own.edge_node),
        };
        Entity { group, edge_node, device: device.map(exported_as) }
    }

    /// Whose message or metric it is that is dropped here.
    pub(crate) fn origin<'a>(&'a self, device: Option<&'a str>) -> Origin<'a> {
        let Node { group, edge_node, slot, .. } = self;
        Origin { entity: Some(Entity { group, edge_node, device }), node: Some(*slot) }
    }

    /// The node's own state, or that of a device.
    pub(crate) fn state(&self, device: Option<&str>) -> Option<&EntityState> {
        match device {
            None => Some(&self.own),
            Some(device) => self.devices.get(device).map(|state| &**state),
        }
    }

    pub(crate) fn state_mut(&mut self, device: Option<&str>) -> Option<&mut EntityState> {
        match device {
            None => Some(&mut self.own),
            Some(device) => self.devices.get_mut(device).map(|state| &mut **state),
        }
    }

    /// The node's own state, or that of a device, beside what its templates need.
    pub(crate) fn parts<'a>(&'a mut self, device: Option<&'a str>) -> Option<Parts<'a>> {
        let Node {
            group, edge_node, slot, own, devices, definitions, types, announced_types, ..
        } = self;
        let state = match device {
            None => own,
            Some(device) => devices.get_mut(device)?,
        };
        let entity = Entity { group, edge_node, device };
        let origin = Origin { entity: Some(entity), node: Some(*slot) };
        let types_due = &mut self.types_due;
        let (losses, node_bytes) = (state.losses(self.losses), self.bytes);
        Some(Parts {
            others_bytes: node_bytes.saturating_sub(state.layout.bytes()),
            entity,
            origin,
            state,
            definitions,
            types,
            announced_types,
            types_due,
            losses,
        })
    }

    /// Takes over what the instances ask for, from scratch.
    pub(crate) fn take_types(&mut self, types: Types) {
        self.types = types;
        self.announced_growth = None;
    }

    /// The journalled NBIRTH has what the instances ask for now.
    pub(crate) fn announce_types(&mut self) {
        self.announced_types.clone_from(&self.types.needed);
        self.announced_growth = Some(self.types.growth());
    }

    /// Whether the journalled NBIRTH has all definitions that the instances need.
    pub(crate) fn has_announced_types(&mut self) -> bool {
        let growth = Some(self.types.growth());
        if self.announced_growth == growth {
            return true;
        }
        steps::take(self.types.needed.len());
        let has_all = self.types.needed.is_subset(&self.announced_types);
        if has_all {
            self.announced_growth = growth;
        }
        has_all
    }

    /// Metrics of the node and of all its devices, as they are known.
    pub(crate) fn metrics(&self) -> usize {
        let devices = self.devices.values().map(|state| state.layout.slots.len());
        devices.fold(self.own.layout.slots.len(), usize::saturating_add)
    }

    /// What the births of the node and of all its devices take.
    pub(crate) fn births_bytes(&self) -> usize {
        let devices = self.devices.values().filter(|state| state.life.is_alive());
        devices
            .fold(self.own.announced_bytes, |sum, state| sum.saturating_add(state.announced_bytes))
    }

    /// Births of the node or of its devices have to be journalled.
    pub(crate) fn owes_birth(&self) -> bool {
        self.types_due || self.own.birth_due || self.devices.values().any(|state| state.birth_due)
    }

    /// Messages of the node and its devices that wait for their turn, a birth or a limit.
    pub(crate) fn waiting(&self) -> u64 {
        let devices = self.devices.values().map(|state| state.waiting());
        let early = u64::try_from(self.early.len()).unwrap_or(u64::MAX);
        devices.fold(self.own.waiting().saturating_add(early), u64::saturating_add)
    }

    /// Takes over an NBIRTH. Whether its definitions aren't those of the last birth. `unfit` takes
    /// what is left out of them.
    pub(crate) fn bear(&mut self, mut taught: Taught, unfit: &mut Unfit) -> bool {
        self.own.bear(std::mem::take(&mut taught.layout));
        self.take_over(taught, unfit)
    }

    /// A message was delivered again; that of a device's birth perhaps in front of the one of its node's.
    pub(crate) fn came_again(
        &mut self,
        topic: EntityTopic<'_>,
        timestamp: Option<u64>,
        now: Duration,
    ) {
        if topic.message_type == MessageType::DBirth
            && let Some(state) = self.state_mut(topic.entity.device)
            && state.life.is_alive()
            && state.layout.timestamp == timestamp
        {
            (state.born_at, state.came_again) = (Some(now), true);
        }
    }

    /// Takes over a stored NBIRTH. Whether its definitions aren't those of the last birth. `unfit`
    /// takes what is left out of them.
    pub(crate) fn learn(&mut self, mut taught: Taught, unfit: &mut Unfit) -> bool {
        self.own.learn(std::mem::take(&mut taught.layout));
        self.take_over(taught, unfit)
    }

    fn take_over(&mut self, taught: Taught, unfit: &mut Unfit) -> bool {
        let Taught { definitions, bd_seq, rebirth, nesting, .. } = taught;
        let is_taken = |name: &str| self.own.layout.has_name(name);
        let definitions = Definitions::learn(definitions, nesting, is_taken, unfit);
        let changed = !definitions.same_fields(&self.definitions);
        self.definitions = definitions;
        self.bd_seq = bd_seq;
        self.rebirth = rebirth;
        self.types_due = false;
        changed
    }

    /// Messages were lost: every value may be out of date.
    pub(crate) fn lose(&mut self) {
        if self.own.life.is_alive() {
            self.loss = true;
            self.losses = self.losses.saturating_add(1);
            self.lives().for_each(Life::lose);
        }
    }

    /// Messages may have been lost: every value is uncertain until the sequence goes on.
    pub(crate) fn doubt(&mut self) {
        if self.own.life.is_alive() {
            self.losses = self.losses.saturating_add(1);
            self.lives().for_each(Life::doubt);
        }
    }

    /// Nothing was lost after all.
    pub(crate) fn verified(&mut self) {
        self.loss = false;
        self.lives().for_each(Life::verify);
    }

    /// Readers hold no device of it for alive any more.
    pub(crate) fn withdraw_devices(&mut self) {
        self.devices.values_mut().for_each(|device| {
            let _ = device.life.withdraw();
        });
    }

    /// Its own life, and those of its devices.
    pub(crate) fn lives(&mut self) -> impl Iterator<Item = &mut Life> {
        let devices = self.devices.values_mut().map(|device| &mut device.life);
        std::iter::once(&mut self.own.life).chain(devices)
    }
}

/// An entity of a node, looked up once for all metrics of a message.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) entity: Entity<'a>,
    pub(crate) origin: Origin<'a>,
    pub(crate) state: &'a mut EntityState,
    pub(crate) definitions: &'a Definitions,
    pub(crate) types: &'a mut Types,
    pub(crate) announced_types: &'a BTreeSet<String>,
    pub(crate) types_due: &'a mut bool,
    /// How often the values of the entity had to be doubted.
    pub(crate) losses: u64,
    /// What is remembered of the node beside the metrics of the entity.
    others_bytes: usize,
}

impl Parts<'_> {
    /// What the node would take with so many bytes more.
    pub(crate) fn bytes_with(&self, more: usize) -> usize {
        let now = self.others_bytes.saturating_add(self.state.layout.bytes());
        now.saturating_add(more)
    }
}
