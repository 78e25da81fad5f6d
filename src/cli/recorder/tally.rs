//! What a recording holds, in numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use sparkplug::{MessageType, Topic};
use text::{counted, escape, grouped};
use tools::capture::Record;

/// Edge nodes and devices that are counted apart. More are invented.
const MAX_ENTITIES: usize = 100_000;
/// Nodes without a birth that are named; the rest is counted.
const MAX_NAMED: usize = 5;

/// What a recording holds.
#[derive(Debug, Default)]
pub(in crate::cli) struct Tally {
    pub(super) messages: u64,
    /// By message type; and what isn't a birth, data or death.
    by_type: BTreeMap<MessageType, u64>,
    stored: u64,
    others: u64,
    emptied: u64,
    pub(super) not_text: u64,
    pub(super) losses: u64,
    /// Group and edge node, with whether a birth of it is in the recording.
    nodes: BTreeMap<(String, String), bool>,
    devices: BTreeSet<(String, String, String)>,
}

impl Tally {
    pub(super) fn count(&mut self, record: &Record, emptied: bool) {
        let one_more = |number: &mut u64| *number = number.saturating_add(1);
        one_more(&mut self.messages);
        if emptied {
            one_more(&mut self.emptied);
        }
        let (topic, stored) = match Topic::parse(&record.topic) {
            Ok(Topic::Entity(topic)) => (topic, record.retain),
            Ok(Topic::StoredBirth(topic)) => (topic, true),
            _ => return one_more(&mut self.others),
        };
        if stored {
            one_more(&mut self.stored);
        } else {
            one_more(self.by_type.entry(topic.message_type).or_default());
        }
        if self.nodes.len().saturating_add(self.devices.len()) >= MAX_ENTITIES {
            return;
        }
        let (group, edge_node) = (topic.entity.group.to_owned(), topic.entity.edge_node.to_owned());
        let born = self.nodes.entry((group.clone(), edge_node.clone())).or_default();
        *born |= topic.message_type == MessageType::NBirth;
        if let Some(device) = topic.entity.device {
            self.devices.insert((group, edge_node, device.to_owned()));
        }
    }

    /// `1,234 messages of 3 edge nodes with 8 devices`.
    pub(in crate::cli) fn counted(&self) -> String {
        let messages = match self.messages {
            1 => "1 message".to_owned(),
            number => format!("{} messages", grouped(number)),
        };
        format!(
            "{messages} of {} with {}",
            counted(self.nodes.len(), "edge node"),
            counted(self.devices.len(), "device")
        )
    }

    pub(in crate::cli) fn describe(&self, text: &mut String) {
        let of = |types: [MessageType; 2]| {
            let numbers = types.iter().filter_map(|one| self.by_type.get(one));
            numbers.fold(0_u64, |sum, number| sum.saturating_add(*number))
        };
        let mut parts = vec![
            format!("{} births", grouped(of([MessageType::NBirth, MessageType::DBirth]))),
            format!("{} data", grouped(of([MessageType::NData, MessageType::DData]))),
            format!("{} deaths", grouped(of([MessageType::NDeath, MessageType::DDeath]))),
        ];
        for (number, what) in [
            (self.stored, "stored births"),
            (self.others, "others"),
            (self.emptied, "not decodable, recorded without their content"),
        ] {
            if number > 0 {
                parts.push(format!("{} {what}", grouped(number)));
            }
        }
        // Writing to a `String` can't fail.
        let _ = writeln!(text, "  messages     {}", parts.join(", "));
        if self.not_text > 0 {
            let _ =
                writeln!(text, "  left out     {} with a topic that isn't UTF-8", self.not_text);
        }
        let unborn: Vec<String> = self
            .nodes
            .iter()
            .filter(|(_, born)| !**born)
            .map(|((group, edge_node), _)| escape(&format!("{group}/{edge_node}")).to_string())
            .collect();
        if !unborn.is_empty() {
            let more = unborn.len().saturating_sub(MAX_NAMED);
            let named = unborn.into_iter().take(MAX_NAMED).collect::<Vec<_>>().join(", ");
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let _ = writeln!(
                text,
                "  no birth of  {named}{more}: their data can't be read without one; record until \
                 the nodes are born again, or have a host request it"
            );
        }
        if self.losses > 0 {
            let times = counted(self.losses, "time");
            let _ = writeln!(text, "  connection   lost {times}; messages are missing");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_names_the_nodes_whose_birth_is_missing() {
        let mut tally = Tally::default();
        for topic in
            ["spBv1.0/G/NBIRTH/A", "spBv1.0/G/DBIRTH/A/D", "spBv1.0/G/NDATA/B", "spBv1.0/G/NCMD/B"]
        {
            let record = Record { topic: topic.into(), ..Record::default() };
            tally.count(&record, false);
        }
        let mut text = String::new();
        tally.describe(&mut text);
        assert_eq!(tally.counted(), "4 messages of 2 edge nodes with 1 device");
        assert!(text.contains("2 births, 1 data, 0 deaths, 1 others\n"), "{text}");
        assert!(text.contains("no birth of  G/B: "), "{text}");
    }
}
