//! The reorder stage: messages that come before their turn wait, node by node, until those before
//! them are here or nobody waits for them any longer (`reorder-timeout-ms`). Births, data and
//! deaths are then judged in the order in which their node sent them.
//!
//! ```text
//!  turn ──> now ──────────────────────────────────> judged
//!    │       └─ the next ones that wait follow ───────^
//!    ├────> later ──> waits ── timeout: a gap ────────┘
//!    └────> never (seen before)
//! ```
//!
//! A message that is in order costs a look at an empty list. What waits is bounded: in messages of a
//! node, in messages and bytes of all, and in time; where a bound is reached, the messages of the
//! node at hand are judged as if their time were up. A message that waits isn't in the journal, so
//! it must not be acknowledged: [`Pipeline::oldest_waiting`].

mod judged;

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::time::Duration;

use account::{LedgerEntry, NodeSlot};
use foldhash::fast::RandomState;
use sparkplug::{Entity, Payload, names};

use super::births::death_number;
use super::{Entry, Now, Pipeline, Received};
use crate::plant::{Crossing, Early, EarlyMessages, WINDOW};

/// Messages of one node that may wait: there are no more numbers.
const NODE_MESSAGES: usize = 256;
/// Messages of all nodes that may wait, and their bytes.
const ALL_MESSAGES: usize = 16 * 1024;
pub(crate) const ALL_BYTES: usize = 32 * 1024 * 1024;
/// Bytes of one node's messages that may wait, if they are several: they are judged in one turn when
/// the one comes that they wait for.
const NODE_BYTES: usize = 512 * 1024;
/// Bytes of messages of all nodes whose birth isn't known, if they are several: as above.
const STRANGER_BYTES: usize = 1024 * 1024;
/// Nodes whose birth isn't known that may have messages waiting for it, and messages of each.
const STRANGERS: usize = 1_000;
const STRANGER_MESSAGES: usize = 64;

/// What waits, beside the messages that nodes hold themselves.
#[derive(Debug, Default)]
pub(super) struct Reorder {
    /// Messages of nodes whose birth isn't known, by `group/edge node`: it may have been overtaken.
    strangers: HashMap<Box<str>, EarlyMessages, RandomState>,
    /// Their deaths: each may have overtaken the birth that it ends.
    deaths: HashMap<Box<str>, Crossing, RandomState>,
    /// Their bytes.
    stranger_bytes: usize,
    /// The message at hand made those of its node more than may wait.
    pub(super) is_overfull: bool,
    messages: usize,
    bytes: usize,
    /// Messages that came.
    number: u64,
    /// Those of them that wait and want an acknowledgement.
    assured: BTreeSet<u64>,
    /// What became of messages while nobody could take it.
    pub(super) unsent: Vec<Entry>,
    /// What waits and what has waited since this was asked last, where somebody watches.
    watched: Option<WatchedOrder>,
}

/// What the reorder stage did, as the policy tools see it; see [`Pipeline::watch`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchedOrder {
    /// Numbers of the messages that began to wait. The messages of a run are numbered from 1.
    pub early: Vec<u64>,
    /// Those that were judged after they had waited, in this order.
    pub judged: Vec<Judged>,
}

/// A message that had waited and was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    pub number: u64,
    /// What of the ledger's entries is about it.
    pub entries: Range<usize>,
    /// What of the output is about it.
    pub out: Range<usize>,
}

/// What is known of a message that is to wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    pub(super) seq: u8,
    pub(super) hash: u64,
    /// Payload timestamp, in milliseconds since the epoch.
    pub(super) timestamp: Option<u64>,
    /// Its node, if that is known.
    pub(super) counted: Option<NodeSlot>,
    /// How many messages of that were refused up to now.
    pub(super) refusals: u32,
}

/// How a message comes to be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// From the broker: the order is to be asked.
    Arrived,
    /// It has waited.
    Waited {
        /// Too long: what came after it is judged already.
        late: bool,
        /// Something that came after it was refused, and may be newer.
        outdated: bool,
        /// For the birth of its node, so that nobody could look whether it is a copy.
        for_birth: bool,
    },
}

impl Reorder {
    /// Another message came.
    pub(super) fn count(&mut self) {
        self.number = self.number.wrapping_add(1);
    }

    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.messages < ALL_MESSAGES && self.bytes.saturating_add(bytes) <= ALL_BYTES
    }

    /// Whether there is room for one that waits for the birth of its node.
    pub(super) fn has_room_for_stranger(&self, bytes: usize) -> bool {
        let all = self.stranger_bytes.saturating_add(bytes);
        self.has_room(bytes) && (self.stranger_bytes == 0 || all <= STRANGER_BYTES)
    }

    /// The message at hand, as one that waits.
    pub(super) fn early(
        &mut self,
        now: Duration,
        timeout: Duration,
        received: Received<'_>,
        waits: Waits,
    ) -> Early {
        let Waits { seq, hash, timestamp, counted, refusals } = waits;
        let early = Early {
            topic: received.topic.into(),
            payload: received.payload.into(),
            seq,
            hash,
            dup: received.dup,
            assured: received.assured,
            timestamp,
            number: self.number,
            counted,
            refusals,
            outdated: false,
            since: now,
            until: now.saturating_add(timeout),
            behind: None,
        };
        self.messages = self.messages.saturating_add(1);
        self.bytes = self.bytes.saturating_add(early.bytes());
        if early.assured {
            self.assured.insert(early.number);
        }
        if let Some(watched) = &mut self.watched {
            watched.early.push(early.number);
        }
        early
    }

    fn end(&mut self, early: &Early) {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(early.bytes());
        self.assured.remove(&early.number);
    }

    /// Whether this message waits for the birth of its node already.
    pub(super) fn has_stranger(&self, entity: Entity<'_>, seq: u8, hash: u64) -> bool {
        let waiting = self.strangers.get(&*key(entity));
        let is_it = |early: &Early| (early.seq, early.hash) == (seq, hash);
        waiting.is_some_and(|waiting| waiting.iter().any(is_it))
    }

    /// Has the message wait for the birth of its node; false: there is no room.
    pub(super) fn wait_for_birth(
        &mut self,
        entity: Entity<'_>,
        early: impl FnOnce(&mut Reorder) -> Early,
    ) -> bool {
        let key = key(entity);
        let waiting = self.strangers.get(&*key).map_or(0, EarlyMessages::len);
        if waiting >= STRANGER_MESSAGES || (waiting == 0 && self.strangers.len() >= STRANGERS) {
            return false;
        }
        let mut early = early(self);
        // It is of the session whose birth is to come, as far as its time doesn't say otherwise.
        early.behind = Some(early.seq);
        self.stranger_bytes = self.stranger_bytes.saturating_add(early.bytes());
        self.strangers.entry(key).or_default().add(early, 1);
        true
    }

    /// The messages that wait for the birth of this node.
    pub(super) fn take_stranger(&mut self, entity: Entity<'_>) -> Option<EarlyMessages> {
        if self.strangers.is_empty() {
            return None;
        }
        let messages = self.strangers.remove(&*key(entity))?;
        messages.iter().for_each(|early| self.end_strange(early));
        Some(messages)
    }

    fn end_strange(&mut self, early: &Early) {
        self.stranger_bytes = self.stranger_bytes.saturating_sub(early.bytes());
    }

    /// Remembers the death of a node that isn't known, as long as there is room.
    pub(super) fn keep_death(&mut self, entity: Entity<'_>, now: Duration, payload: &Payload) {
        let key = key(entity);
        if self.deaths.len() < STRANGERS || self.deaths.contains_key(&key) {
            let number = death_number(payload).as_ref().and_then(names::bd_seq_of);
            self.deaths.entry(key).or_default().died(now, number, payload.timestamp, false);
        }
    }

    /// The death of this node that came while it wasn't known.
    pub(super) fn take_death(&mut self, entity: Entity<'_>) -> Option<Crossing> {
        if self.deaths.is_empty() { None } else { self.deaths.remove(&*key(entity)) }
    }

    /// Forgets deaths behind which no birth comes any more.
    pub(super) fn forget_deaths(&mut self, now: Duration, within: Duration) {
        self.deaths.retain(|_, crossing| !crossing.is_over(now, within));
    }

    /// Whether any message waits, of whatever node.
    pub(super) fn has_waiting(&self) -> bool {
        self.messages > 0
    }

    /// Messages that wait and are counted for no node.
    pub(super) fn waiting(&self) -> u64 {
        let waiting = self.strangers.values().map(EarlyMessages::len).sum::<usize>();
        u64::try_from(waiting).unwrap_or(u64::MAX)
    }
}

impl Pipeline {
    /// Has a message wait for its turn. What is over the bounds makes room as soon as it is counted.
    pub(super) fn wait(&mut self, now: Now, place: usize, received: Received<'_>, waits: Waits) {
        let timeout = self.settings.reorder_timeout;
        let mut early = self.reorder.early(now.mono, timeout, received, waits);
        let has_room = self.reorder.has_room(0);
        let Some(node) = self.plant.node_mut(place) else { return };
        let next = node.sequence.next().unwrap_or(0);
        early.behind = (waits.seq.wrapping_sub(next) > WINDOW).then_some(next);
        // One of the two is of a session whose birth was lost; the first may as well be that.
        early.outdated = node.early.has_newer(waits.seq, waits.timestamp);
        node.early.add(early, next);
        if !has_room || !has_room_for(&node.early) {
            // The message at hand is one of them, and isn't counted yet.
            node.early.hurry();
            self.reorder.is_overfull = true;
        }
    }

    /// From now on it is kept what the ledger enters and what the reorder stage does. For the policy
    /// tools, which take it after every message and tick; a relay would fill its memory.
    pub fn watch(&mut self) {
        self.ledger.watch();
        self.reorder.watched.get_or_insert_default();
    }

    /// What the ledger entered and the reorder stage did since this was asked last.
    pub fn take_watched(&mut self) -> (Vec<LedgerEntry>, WatchedOrder) {
        let order = self.reorder.watched.as_mut().map(std::mem::take).unwrap_or_default();
        (self.ledger.take_entries(), order)
    }

    /// Whether something waits to be written, of messages that were judged when the connection ended.
    pub(crate) fn has_unsent(&self) -> bool {
        !self.reorder.unsent.is_empty()
    }

    /// Number of the message that was handled last; those of a run are numbered from 1.
    pub(crate) fn last_number(&self) -> u64 {
        self.reorder.number
    }

    /// Number of the oldest message that waits for its turn and wants an acknowledgement: it may
    /// not be acknowledged, nor may those behind it, which go out in order.
    pub(crate) fn oldest_waiting(&self) -> Option<u64> {
        self.reorder.assured.first().copied()
    }

    /// Judges the messages that wait and want an acknowledgement as if their time were up: the
    /// broker sends nothing more before it has some.
    pub(crate) fn hurry(&mut self, now: Now, out: &mut Vec<Entry>) {
        if self.reorder.assured.is_empty() {
            return;
        }
        for index in 0..self.plant.nodes().len() {
            let holds = |early: &mut EarlyMessages| early.iter().any(|early| early.assured);
            if let Some(node) = self.plant.nodes().get(index)
                && !node.early.is_empty()
                && let Some(node) = self.plant.node_mut(index)
                && holds(&mut node.early)
            {
                node.early.hurry();
            }
        }
        self.judge_waiting(now, out);
        for early in self.reorder.strangers.values_mut() {
            if early.iter().any(|early| early.assured) {
                early.hurry();
            }
        }
        self.give_up_strangers(now, out);
    }

    /// Judges all that waits: nothing more is to be waited for.
    pub(crate) fn finish_waiting(&mut self, now: Now, out: &mut Vec<Entry>) {
        out.append(&mut self.reorder.unsent);
        if !self.reorder.has_waiting() {
            return;
        }
        for index in 0..self.plant.nodes().len() {
            if self.plant.nodes().get(index).is_some_and(|node| !node.early.is_empty())
                && let Some(node) = self.plant.node_mut(index)
            {
                node.early.hurry();
                self.give_up_waiting(now, index, out);
            }
        }
        self.reorder.strangers.values_mut().for_each(EarlyMessages::hurry);
        self.give_up_strangers(now, out);
    }

    /// Nothing more is to be waited for: what waits is judged now, as far as a turn goes, or by the
    /// next ticks, and of each node before anything that follows.
    pub(super) fn end_waiting(&mut self, now: Now) {
        let mut out = std::mem::take(&mut self.reorder.unsent);
        if self.reorder.messages > 0 {
            for index in 0..self.plant.nodes().len() {
                if self.plant.nodes().get(index).is_some_and(|node| !node.early.is_empty())
                    && let Some(node) = self.plant.node_mut(index)
                {
                    node.early.hurry();
                }
            }
            self.reorder.strangers.values_mut().for_each(EarlyMessages::hurry);
            self.give_up_strangers(now, &mut out);
            self.judge_waiting(now, &mut out);
        }
        self.reorder.unsent = out;
    }
}

/// Names the edge node of an entity.
pub(super) fn key(entity: Entity<'_>) -> Box<str> {
    format!("{}/{}", entity.group, entity.edge_node).into()
}

/// Whether there is room for another message of a node that waits.
fn has_room_for(early: &EarlyMessages) -> bool {
    let bytes = early.iter().map(Early::bytes).fold(0_usize, usize::saturating_add);
    early.len() < NODE_MESSAGES && (early.len() <= 1 || bytes <= NODE_BYTES)
}
