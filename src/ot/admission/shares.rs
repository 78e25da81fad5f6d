//! Fair share of the way to the worker: while it is nearly full (of messages or of bytes, whatever there
//! is less room for), that is shared by max-min. Nobody is refused who has less on the way than the
//! *water level*: so much as all may have, if those that have more are cut to it, for the way not to be
//! nearly full any more. Refused is data alone, before anything is decoded; births, deaths and what is
//! no Sparkplug data pass in any case.
//!
//! - An edge node with little on the way is never refused, wherever the level stands.
//! - All edge nodes whose birth isn't known share one place: who invents names gets no more by it, and
//!   nothing could be read of their data.
//! - Where all send alike there is nobody to protect: nothing is refused, and the way gets full. Then
//!   nothing is read, and what the broker and the network have room for waits there.
//! - What came with QoS 1 or 2 can wait at the broker. It is refused only of a node that has many times
//!   what the others get: then one floods. QoS 0 can't wait: if nothing were read, the broker would
//!   drop of all nodes alike.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use foldhash::fast::RandomState;

use crate::shed::of_node;

/// Assured data is refused of a node that has more than so many times what the others get on average.
const TIMES_THE_OTHERS: u64 = 8;
/// An edge node that has less than this on the way is never refused, however little the others have:
/// a hundred small messages.
const NEVER_REFUSED: u64 = 32 * 1024;
/// What a message takes beside its bytes.
const MESSAGE_BYTES: u64 = 128;
/// From this part of the room on it is shared; what is beyond is free for those below the level.
const CROWDED_PERCENT: u64 = 75;
/// Messages after which it is forgotten what each sent before the last so many.
const STRETCH: u32 = 65_536;
/// All send alike: nobody sent less than so many of [`ALIKE_OF`] parts of what another did.
const ALIKE: u64 = 4;
const ALIKE_OF: u64 = 5;
/// Messages that may come until the level is looked for again, refused or not, and whether the way is
/// nearly full or not: an old one knows nothing of what was sent since.
const LEVEL_HOLDS: u64 = 64;
/// Nodes that the event about refused messages names.
const MOST_NAMED: usize = 3;

/// Edge nodes whose birth is known, by their name.
pub(super) type Born = HashSet<u64, RandomState>;

/// A message that wants to be handed over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanting<'a> {
    pub(super) topic: &'a Bytes,
    pub(super) bytes: usize,
    /// The broker keeps it until it is acknowledged.
    pub(super) assured: bool,
}

/// How full the way is, and what the worker did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Messages that the worker took so far.
    pub(super) taken: u64,
    /// How full the way is, in percent: of the messages that it has room for …
    pub(super) messages: u64,
    /// … and of the bytes.
    pub(super) bytes: u64,
}

impl Room {
    /// What there is less of, and how full it is.
    fn scarce(self) -> (Of, u64) {
        if self.messages >= self.bytes {
            (Of::Messages, self.messages)
        } else {
            (Of::Bytes, self.bytes)
        }
    }
}

/// What is shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Of {
    #[default]
    Messages,
    Bytes,
}

/// What is on the way, or was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Load {
    messages: u64,
    bytes: u64,
}

impl Load {
    fn of(self, what: Of) -> u64 {
        match what {
            Of::Messages => self.messages,
            Of::Bytes => self.bytes,
        }
    }

    fn plus(self, bytes: u64) -> Load {
        Load { messages: self.messages.saturating_add(1), bytes: self.bytes.saturating_add(bytes) }
    }

    fn minus(self, bytes: u64) -> Load {
        Load { messages: self.messages.saturating_sub(1), bytes: self.bytes.saturating_sub(bytes) }
    }
}

/// What one edge node has on the way, or all strangers together.
#[derive(Debug)]
struct Share {
    load: Load,
    /// What it sent in this stretch and in the one before, refused or not.
    sent: Load,
    sent_before: Load,
    /// A topic of it, for people.
    topic: Bytes,
}

impl Share {
    /// What it sent lately.
    fn sent(&self, what: Of) -> u64 {
        self.sent.of(what).saturating_add(self.sent_before.of(what))
    }
}

/// What is on its way to the worker, by edge node. Owned by the network alone: what the worker
/// took is known from a counter.
#[derive(Debug)]
pub(super) struct Shares {
    /// Messages in their order: whose, and their bytes.
    order: VecDeque<(u64, u64)>,
    nodes: HashMap<u64, Share, RandomState>,
    load: Load,
    taken: u64,
    /// Messages of this stretch.
    stretch: u32,
    hasher: RandomState,
    born: Arc<Born>,
    level: Level,
}

/// The water level, as it was found last.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    of: Of,
    level: u64,
    /// What all have of it, and how many they are.
    below: u64,
    nodes: u64,
    /// What the edge node sent lately that sent least.
    least_sent: u64,
    /// What came since then.
    since: Load,
}

impl Shares {
    /// `hasher` names edge nodes for [`Shares::set_born`].
    pub(super) fn new(hasher: RandomState) -> Shares {
        Shares {
            order: VecDeque::new(),
            nodes: HashMap::default(),
            load: Load::default(),
            taken: 0,
            stretch: 0,
            hasher,
            born: Arc::default(),
            level: Level::default(),
        }
    }

    /// Takes note of whose births are known.
    pub(super) fn set_born(&mut self, born: Arc<Born>) {
        self.born = born;
    }

    /// Whether a message is to be handed over.
    pub(super) fn admit(&mut self, room: Room, wanting: Wanting<'_>) -> bool {
        self.retire(room.taken);
        self.begin_stretch();
        let Wanting { topic, bytes, assured } = wanting;
        let (node, is_data) = self.node_of(topic);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(MESSAGE_BYTES);
        let share = || Share {
            load: Load::default(),
            sent: Load::default(),
            sent_before: Load::default(),
            topic: of_node(topic),
        };
        let own = self.nodes.entry(node).or_insert_with(share);
        own.sent = own.sent.plus(bytes);
        self.level.since = self.level.since.plus(bytes);
        let (scarce, filled) = room.scarce();
        let is_crowded = filled >= CROWDED_PERCENT;
        if is_crowded && is_data && self.is_unfair(node, bytes, assured, (scarce, filled)) {
            return false;
        }
        self.order.push_back((node, bytes));
        self.load = self.load.plus(bytes);
        if let Some(own) = self.nodes.get_mut(&node) {
            own.load = own.load.plus(bytes);
        }
        true
    }

    /// Forgets from time to time what was sent long ago, and who has sent nothing since.
    fn begin_stretch(&mut self) {
        self.stretch = self.stretch.saturating_add(1);
        if self.stretch < STRETCH {
            return;
        }
        self.stretch = 0;
        self.nodes.retain(|_, share| {
            share.sent_before = std::mem::take(&mut share.sent);
            share.load != Load::default() || share.sent_before != Load::default()
        });
    }

    /// The edge nodes that have most on the way, with their part of it, for people.
    pub(super) fn most(&self) -> String {
        let of = self.level.of;
        let mut shares: Vec<(&u64, &Share)> = self.nodes.iter().collect();
        shares.sort_by_key(|(_, share)| std::cmp::Reverse(share.load.of(of)));
        let name = |(node, share): &(&u64, &Share)| {
            let part = share.load.of(of).saturating_mul(100);
            let percent = part.checked_div(self.load.of(of)).unwrap_or(0);
            if **node == STRANGERS {
                return format!("nodes without a birth {percent} %");
            }
            let topic = String::from_utf8_lossy(&share.topic).into_owned();
            let mut levels = topic.split('/').skip(1);
            let (group, edge_node) = (levels.next(), levels.nth(1));
            format!("{}/{} {percent} %", group.unwrap_or(""), edge_node.unwrap_or(""))
        };
        shares.iter().take(MOST_NAMED).map(name).collect::<Vec<_>>().join(", ")
    }

    fn retire(&mut self, taken: u64) {
        for _ in 0..taken.saturating_sub(self.taken) {
            let Some((node, bytes)) = self.order.pop_front() else { break };
            self.load = self.load.minus(bytes);
            if let Some(of_node) = self.nodes.get_mut(&node) {
                of_node.load = of_node.load.minus(bytes);
            }
        }
        self.taken = taken.max(self.taken);
    }

    fn is_unfair(&mut self, node: u64, bytes: u64, assured: bool, room: (Of, u64)) -> bool {
        let Some(share) = self.nodes.get(&node) else { return false };
        let load = share.load;
        let wanted = load.plus(bytes);
        // Without others there is nobody to be fair to.
        if load == self.load || (wanted.bytes <= NEVER_REFUSED && node != STRANGERS) {
            return false;
        }
        let sent = share.sent(room.0);
        let Level { of, level, below, nodes, least_sent, since } = self.level(room);
        let (own, wanted) = (load.of(of), wanted.of(of));
        if wanted <= level {
            return false;
        }
        if node == STRANGERS {
            return true;
        }
        if !assured {
            // All that came since may be of the one that had sent least.
            let least_sent = least_sent.saturating_add(since.of(of));
            return sent.saturating_mul(ALIKE) > least_sent.saturating_mul(ALIKE_OF);
        }
        let others = nodes.saturating_sub(u64::from(own > 0));
        let of_others = below.saturating_sub(own.min(level));
        let average = of_others.checked_div(others);
        average.is_some_and(|average| wanted > average.saturating_mul(TIMES_THE_OTHERS))
    }

    /// The water level for a way that is so full.
    fn level(&mut self, (of, filled): (Of, u64)) -> Level {
        let is_known = self.level.nodes > 0 && self.level.of == of;
        if is_known && self.level.since.messages <= LEVEL_HOLDS {
            return self.level;
        }
        let room = self.load.of(of).saturating_mul(CROWDED_PERCENT).checked_div(filled.max(1));
        let shares = self.nodes.values();
        let loads = shares.map(|share| share.load.of(of)).filter(|load| *load > 0).collect();
        let (level, below, nodes) = water_level(loads, room.unwrap_or(0));
        let known = self.nodes.iter().filter(|(node, _)| **node != STRANGERS);
        let least_sent = known.map(|(_, share)| share.sent(of)).min().unwrap_or(0);
        self.level = Level { of, level, below, nodes, least_sent, since: Load::default() };
        self.level
    }

    /// Whether the birth of its edge node is known.
    pub(super) fn is_born(&self, topic: &[u8]) -> bool {
        self.node_of(topic).0 != STRANGERS
    }

    /// The edge node of a topic `namespace/group/type/edge node…`, and whether it is data.
    fn node_of(&self, topic: &[u8]) -> (u64, bool) {
        let mut levels = topic.split(|byte| *byte == b'/').skip(1);
        let (group, kind, node) = (levels.next(), levels.next(), levels.next());
        let name = name(&self.hasher, group.unwrap_or_default(), node.unwrap_or_default());
        let is_data = matches!(kind, Some(b"NDATA" | b"DDATA"));
        (if self.born.contains(&name) { name } else { STRANGERS }, is_data)
    }
}

/// All edge nodes whose birth isn't known.
const STRANGERS: u64 = 0;

/// What an edge node is called here.
pub(crate) fn name(hasher: &RandomState, group: &[u8], edge_node: &[u8]) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(group);
    hasher.write_u8(b'/');
    hasher.write(edge_node);
    hasher.finish().max(1)
}

/// The highest level with which those that have these loads, cut to it, fit into `room`; what they
/// have then, and how many they are.
fn water_level(mut loads: Vec<u64>, room: u64) -> (u64, u64, u64) {
    loads.sort_unstable();
    let all = u64::try_from(loads.len()).unwrap_or(u64::MAX);
    let (mut below, mut more) = (0_u64, all);
    for load in loads {
        let rest = room.saturating_sub(below);
        // From here on everybody has at least so much.
        if load.saturating_mul(more) > rest {
            let level = rest.checked_div(more).unwrap_or(0);
            return (level, below.saturating_add(level.saturating_mul(more)), all);
        }
        below = below.saturating_add(load);
        more = more.saturating_sub(1);
    }
    (u64::MAX, below, all)
}

#[cfg(test)]
mod tests;
