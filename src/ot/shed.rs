//! Messages that were refused on their way to the worker, until it counts them. It may stand still, while
//! a disk is full: what is kept of them is bounded in topics and in bytes.

use std::collections::HashMap;

use bytes::Bytes;
use foldhash::fast::RandomState;

use super::connection::Receipt;

/// Topics of edge nodes without a known birth that are told apart: who invents names fills no more.
const STRANGERS: usize = 100;
/// Bytes of topics that are told apart. Beyond that there is one for each edge node whose birth is
/// known, which takes what the plant remembers of their names once more.
const TOPIC_BYTES: usize = 1024 * 1024;
/// What a topic takes beside its bytes.
const ENTRY_BYTES: usize = 128;

/// Messages that were refused on their way to the worker.
#[derive(Debug, Default)]
pub(super) struct Shed {
    /// By topic, which is empty for what isn't told apart: how many, and their receipts.
    topics: HashMap<Bytes, (u64, Vec<Receipt>), RandomState>,
    /// Topics of nodes without a known birth.
    strangers: usize,
    bytes: usize,
    /// Who had most on the way, for people.
    pub(super) most: String,
}

impl Shed {
    pub(super) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// Takes note of a message. `is_born`: the birth of its edge node is known, so that readers have
    /// values of it to doubt.
    pub(super) fn enter(&mut self, topic: &Bytes, is_born: bool, receipt: Option<Receipt>) {
        let key = match self.topics.contains_key(topic) {
            true => topic.clone(),
            false => self.key(topic, is_born),
        };
        let (count, receipts) = self.topics.entry(key).or_default();
        *count = count.saturating_add(1);
        receipts.extend(receipt);
    }

    /// Under which topic a message of a new one is counted.
    fn key(&mut self, topic: &[u8], is_born: bool) -> Bytes {
        let bytes = self.bytes.saturating_add(topic.len()).saturating_add(ENTRY_BYTES);
        let has_room = bytes <= TOPIC_BYTES && (is_born || self.strangers < STRANGERS);
        if has_room {
            self.bytes = bytes;
            self.strangers = self.strangers.saturating_add(usize::from(!is_born));
            // A part of the packet that it came in would keep all of that.
            return Bytes::copy_from_slice(topic);
        }
        match is_born {
            true => of_node(topic),
            false => Bytes::new(),
        }
    }

    /// By topic, the number of messages and their receipts.
    pub(super) fn into_topics(self) -> impl Iterator<Item = (Bytes, (u64, Vec<Receipt>))> {
        self.topics.into_iter()
    }
}

/// The topic of data of the edge node itself, for one of a device: what follows for readers is the
/// same. It keeps no packet.
pub(super) fn of_node(topic: &[u8]) -> Bytes {
    let mut levels = topic.split(|byte| *byte == b'/');
    let (namespace, group) = (levels.next(), levels.next());
    let edge_node = levels.nth(1);
    match (namespace, group, edge_node) {
        (Some(namespace), Some(group), Some(edge_node)) => {
            Bytes::from([namespace, group, b"NDATA", edge_node].join(&b'/'))
        }
        _ => Bytes::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(shed: Shed) -> HashMap<String, u64> {
        let text = |topic: Bytes| String::from_utf8(topic.to_vec()).unwrap();
        shed.into_topics().map(|(topic, (count, _))| (text(topic), count)).collect()
    }

    fn kept_bytes(shed: &Shed) -> usize {
        shed.topics.keys().map(Bytes::len).sum()
    }

    #[test]
    fn strangers_with_long_names_take_neither_memory_nor_the_place_of_nodes_that_are_known() {
        let mut shed = Shed::default();
        for stranger in 0..20_000 {
            let topic = format!("spBv1.0/G/NDATA/{stranger}{}", "n".repeat(60_000));
            shed.enter(&topic.into(), false, None);
        }
        assert!(kept_bytes(&shed) <= TOPIC_BYTES);
        for node in 0..300 {
            for device in 0..100 {
                let topic = format!("spBv1.0/G/DDATA/known{node}/device{device}");
                shed.enter(&topic.into(), true, None);
            }
        }
        let kept = kept_bytes(&shed);
        assert!(kept <= TOPIC_BYTES + 300 * 24, "{kept}");
        let topics = topics(shed);
        assert_eq!(topics.values().sum::<u64>(), 20_000 + 30_000);
        // Each of those that are known is there, so that it is doubted.
        for node in 0..300 {
            let name = format!("/known{node}");
            let is_of = |topic: &str| topic.ends_with(&name) || topic.contains(&format!("{name}/"));
            assert!(topics.keys().any(|topic| is_of(topic)), "{node}");
        }
    }

    #[test]
    fn what_is_told_apart_is_counted_by_its_own_topic() {
        let mut shed = Shed::default();
        for _ in 0..3 {
            shed.enter(
                &Bytes::from_static(b"spBv1.0/G/DDATA/E/D"),
                true,
                Some(Receipt::numbered(7)),
            );
            shed.enter(&Bytes::from_static(b"spBv1.0/G/NDATA/stranger"), false, None);
        }
        let all: Vec<_> =
            shed.into_topics().map(|(_, (count, receipts))| (count, receipts.len())).collect();
        assert_eq!(all.len(), 2);
        assert!(all.contains(&(3, 3)) && all.contains(&(3, 0)));
    }

    #[test]
    fn a_topic_does_not_keep_the_packet_that_it_came_in() {
        let packet = Bytes::from(vec![b'x'; 100_000]);
        let topic = packet.slice(..20);
        let mut shed = Shed::default();
        shed.enter(&topic, true, None);
        drop(topic);
        assert!(packet.is_unique(), "it is held by what was refused");
    }
}
