//! Shards: edge nodes divided among several relays by a stable hash of their names, without any
//! coordination. Each edge node is of exactly one shard, and its devices go with it.
//!
//! ```text
//!  h = FNV-1a, 64 bits, over the UTF-8 bytes of "group/edge_node"
//!  h = h xor (h >> 33);  h = h * 0xff51afd7ed558ccd
//!  h = h xor (h >> 33);  h = h * 0xc4ceb9fe1a85ec53      MurmurHash3's finaliser: without it the
//!  h = h xor (h >> 33)                                    last letters of a name hardly count
//!  shard = h mod N + 1
//! ```
//!
//! It will never change: relays of different versions share a plant while they are updated.

use core::fmt;

use super::topic::CERTIFICATES_PREFIX;
use super::{EntityTopic, NAMESPACE, Topic};

/// Which part of the edge nodes a relay has: the shard `index` of `count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shard {
    index: u32,
    count: u32,
}

impl Shard {
    /// As many relays may share a plant.
    pub const MOST: u32 = 256;

    /// The shard `index` of `count`; `None`: there is no such shard.
    pub const fn new(index: u32, count: u32) -> Option<Shard> {
        if index == 0 || index > count || count > Shard::MOST {
            return None;
        }
        Some(Shard { index, count })
    }

    /// Parses `2/4`.
    ///
    /// # Errors
    /// What was wanted.
    pub fn parse(text: &str) -> Result<Shard, &'static str> {
        let number = |digits: &str| -> Option<u32> {
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            let is_plain = plain && (digits == "0" || !digits.starts_with('0'));
            digits.parse().ok().filter(|_| is_plain)
        };
        let numbers = text.split_once('/').map(|(index, count)| (number(index), number(count)));
        let Some((Some(index), Some(count))) = numbers else {
            return Err(
                "wanted `k/N`: this relay's number, a slash, and how many relays there are",
            );
        };
        if count > Shard::MOST {
            return Err("wanted at most 256 relays");
        }
        Shard::new(index, count).ok_or("wanted a number of 1 to N before the slash")
    }

    /// Which of them it is, from 1 on.
    pub const fn index(self) -> u32 {
        self.index
    }

    /// How many shards there are.
    pub const fn count(self) -> u32 {
        self.count
    }

    /// Of how many shards, each by its number.
    pub fn all(self) -> impl Iterator<Item = Shard> {
        (1..=self.count).map(move |index| Shard { index, count: self.count })
    }

    /// Which of `count` shards an edge node is of, from 1 on.
    pub fn of_node(group: &str, edge_node: &str, count: u32) -> u32 {
        let remainder = hash(group, edge_node).checked_rem(u64::from(count)).unwrap_or(0);
        // Less than a `u32`.
        u32::try_from(remainder).unwrap_or(0).saturating_add(1)
    }

    /// Whether this edge node, with its devices, is of this shard.
    pub fn has(self, group: &str, edge_node: &str) -> bool {
        Shard::of_node(group, edge_node, self.count) == self.index
    }

    /// Whether what comes under this topic is of an edge node of another shard. What names no edge
    /// node (what hosts say of themselves, topics that break the grammar or are outside of the
    /// namespace) is everybody's own affair.
    pub fn is_of_another(self, topic: &str) -> bool {
        let entity = match Topic::parse(topic) {
            Ok(
                Topic::Entity(EntityTopic { entity, .. })
                | Topic::StoredBirth(EntityTopic { entity, .. }),
            ) => entity,
            Ok(Topic::Command { entity }) => entity,
            Ok(Topic::UnknownType { .. }) => {
                return named(topic).is_some_and(|(group, edge_node)| !self.has(group, edge_node));
            }
            Ok(Topic::State { .. } | Topic::NotSparkplug) | Err(_) => return false,
        };
        !self.has(entity.group, entity.edge_node)
    }
}

/// Group and edge node of a topic whose form was looked at.
fn named(topic: &str) -> Option<(&str, &str)> {
    let plain = topic.strip_prefix(CERTIFICATES_PREFIX).unwrap_or(topic);
    let mut levels = plain.strip_prefix(NAMESPACE)?.strip_prefix('/')?.split('/');
    let group = levels.next()?;
    Some((group, levels.nth(1)?))
}

/// `2/4`.
impl fmt::Display for Shard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.index, self.count)
    }
}

fn hash(group: &str, edge_node: &str) -> u64 {
    let name = group.bytes().chain([b'/']).chain(edge_node.bytes());
    let fnv = name.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mixed = (fnv ^ (fnv >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}

#[cfg(test)]
mod tests;
