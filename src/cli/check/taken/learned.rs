//! What the journal shows of the plant: how many edge nodes, how large, how fast. Its newest segment
//! begins with the births of all that live.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use journal_format::{Body, Frame};
use journal_read::{From, Item, Reader};
use sparkplug::{EntityTopic, MessageType, Topic};

/// Bytes that are read: the rest says the same.
const MOST_BYTES: usize = 256 * 1024 * 1024;

/// The largest of its kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Largest {
    /// Whose, or which.
    pub(super) topic: String,
    pub(super) bytes: usize,
}

/// What is known of the plant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Learned {
    /// Edge nodes that live.
    pub(super) nodes: usize,
    /// Groups that they are of.
    pub(super) groups: usize,
    pub(super) message: Largest,
    pub(super) topic: Largest,
    /// `group/edge_node`.
    pub(super) name: Largest,
    /// Most messages within a second, and of which edge node.
    pub(super) busiest: Largest,
}

impl Largest {
    fn see(&mut self, topic: &str, bytes: usize) {
        if bytes > self.bytes {
            *self = Largest { topic: topic.to_owned(), bytes };
        }
    }
}

/// What the newest segment of the journal shows; `None`: nothing, or it can't be read here.
pub(super) fn of_journal(journal: &Path) -> Option<Learned> {
    let mut reader = Reader::open(journal, From::Newest).ok()?;
    let mut found = Found::default();
    while let Ok(Some(item)) = reader.next_settled() {
        if let Item::Frame(frame) = item {
            found.see(&frame);
        }
        if found.bytes > MOST_BYTES {
            break;
        }
    }
    found.finish()
}

#[derive(Debug, Default)]
struct Found {
    learned: Learned,
    alive: HashSet<String>,
    /// Of which second, and how many messages of each edge node were in it.
    second: (u64, HashMap<String, usize>),
    bytes: usize,
}

impl Found {
    fn see(&mut self, frame: &Frame) {
        let Some((topic, payload)) = frame.message() else { return };
        let Ok(Topic::Entity(EntityTopic { message_type, entity })) = Topic::parse(topic) else {
            return;
        };
        self.bytes = self.bytes.saturating_add(payload.len()).saturating_add(topic.len());
        let learned = &mut self.learned;
        learned.message.see(topic, payload.len());
        learned.topic.see(topic, topic.len());
        let name = format!("{}/{}", entity.group, entity.edge_node);
        learned.name.see(&name, name.len());
        // What is repeated for readers isn't published.
        let is_published = !matches!(frame.body, Some(Body::Keyframe(_)));
        if is_published && frame.appended_ms > 0 {
            let second = frame.appended_ms / 1_000;
            if self.second.0 != second {
                self.second = (second, HashMap::new());
            }
            let messages = self.second.1.entry(name.clone()).or_default();
            *messages = messages.saturating_add(1);
            learned.busiest.see(&name, *messages);
        }
        match message_type {
            MessageType::NDeath => self.alive.remove(&name),
            MessageType::DDeath => false,
            _ => self.alive.insert(name),
        };
    }

    fn finish(mut self) -> Option<Learned> {
        self.learned.nodes = self.alive.len();
        let groups = self.alive.iter().filter_map(|name| name.split('/').next());
        self.learned.groups = groups.collect::<HashSet<_>>().len();
        (self.bytes > 0).then_some(self.learned)
    }
}

#[cfg(test)]
mod tests {
    use journal_format::{Keyframe, Relayed};

    use super::*;

    fn frame(topic: &str, bytes: usize, appended_ms: u64, keyframe: bool) -> Frame {
        let (topic, payload) = (topic.to_owned(), vec![0; bytes]);
        let body = match keyframe {
            true => Body::Keyframe(Keyframe { topic, payload, ..Keyframe::default() }),
            false => Body::Relayed(Relayed { topic, payload, ..Relayed::default() }),
        };
        Frame { seq: 1, epoch: 1, appended_ms, body: Some(body), in_head: false, layout: None }
    }

    #[test]
    fn the_largest_of_each_kind_is_found() {
        let mut found = Found::default();
        found.see(&frame("spBv1.0/G/NBIRTH/A", 100, 1_000, true));
        found.see(&frame("spBv1.0/G/NBIRTH/long-name", 300, 1_000, true));
        found.see(&frame("spBv1.0/G/NBIRTH/dead", 10, 1_000, true));
        found.see(&frame("spBv1.0/G/NDEATH/dead", 1, 1_500, false));
        for at_ms in [2_000, 2_100, 2_200, 2_300, 2_400] {
            found.see(&frame("spBv1.0/G/NDATA/A", 5, at_ms, false));
        }
        for at_ms in [2_950, 3_050, 3_150] {
            found.see(&frame("spBv1.0/G/DDATA/A/D", 5, at_ms, false));
        }
        let learned = found.finish().unwrap();
        assert_eq!((learned.nodes, learned.groups), (2, 1));
        let is = |topic: &str, bytes| Largest { topic: topic.to_owned(), bytes };
        assert_eq!(learned.message, is("spBv1.0/G/NBIRTH/long-name", 300));
        assert_eq!(learned.topic, is("spBv1.0/G/NBIRTH/long-name", 26));
        assert_eq!(learned.name, is("G/long-name", 11));
        assert_eq!(learned.busiest, is("G/A", 6));
        assert_eq!(Found::default().finish(), None);
    }
}
