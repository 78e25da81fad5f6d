//! The strict wire checker: judges a recording of the IT link by the rules that bind an edge
//! node (Sparkplug 3.0, by assertion id without `tck-id-`), and by a few of the relay's own
//! (`relay-…`). It shares the payload structs with the product, to decode, and nothing else.

mod entity;
mod rules;
#[cfg(test)]
mod script;
mod session;
#[cfg(test)]
mod tests;
mod value;

use std::collections::HashMap;
use std::fmt;

use rules::{Level, RULES};
use session::Session;

use crate::packet::Packet;
use crate::wire::{Event, Record, Side};

/// One broken rule.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    pub(crate) rule: String,
    pub(crate) connection: usize,
    pub(crate) text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "connection {}: {}: {}", self.connection, self.rule, self.text)
    }
}

/// What a test may have done to the relay that excuses it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Excuse {
    /// The relay or its broker was killed, or a connection cut: a CONNECT may have got lost on
    /// its way, so bdSeq may skip numbers. It still may not repeat one.
    pub(crate) kills: bool,
}

/// Every rule that must hold and doesn't.
pub(crate) fn errors(records: &[Record], excuse: Excuse) -> Vec<Finding> {
    let mut findings = check(records, excuse);
    findings.retain(|finding| level(&finding.rule) == Level::Error);
    findings
}

/// Every rule that is broken, including those that only should hold.
pub(crate) fn check(records: &[Record], excuse: Excuse) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    let mut nodes: HashMap<Node, NodeHistory> = HashMap::new();
    let mut sessions: HashMap<usize, Session> = HashMap::new();
    for record in records {
        for session in sessions.values_mut() {
            session.tick(record.at_ms, &mut findings);
        }
        let number = record.connection;
        let session = sessions.entry(number).or_insert_with(|| Session::new(number));
        match (&record.event, record.from) {
            (Event::Opened, _) => {}
            (Event::Closed, _) => session.close(),
            (Event::Garbage(why), _) => findings.add("relay-mqtt-311", number, why.clone()),
            (Event::Packet(Packet::Connect(connect)), Side::Client) => {
                session.connect(connect, &mut nodes, excuse, &mut findings);
                let (node, client_id) = (session.node.clone(), connect.client_id.clone());
                for other in sessions.values().filter(|other| other.number != number) {
                    let another_client = other.is_open()
                        && other.node.is_some()
                        && other.node == node
                        && other.client_id != client_id;
                    if another_client {
                        let rule = "topic-structure-namespace-unique-edge-node-descriptor";
                        let text = format!("clients `{}` and `{client_id}`", other.client_id);
                        findings.add(rule, number, text);
                    }
                }
            }
            (Event::Packet(packet), Side::Client) => {
                session.sent(packet, record.at_ms, &mut nodes, &mut findings);
            }
            (Event::Packet(packet), Side::Broker) => session.received(packet, record.at_ms),
        }
    }
    fold_case(nodes.keys().map(|node| format!("{}/{}", node.group, node.edge_node)), |pair| {
        findings.add("case-sensitivity-sparkplug-ids", 0, pair);
    });
    findings.0
}

/// Group and edge node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Node {
    group: String,
    edge_node: String,
}

/// What outlives one session of an edge node.
#[derive(Default)]
struct NodeHistory {
    bd_seq: Option<u64>,
    birth_ms: Option<u64>,
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, rule: impl Into<String>, connection: usize, text: impl Into<String>) {
        let rule = rule.into();
        assert!(RULES.iter().any(|(known, _)| *known == rule), "`{rule}` isn't in the table");
        self.0.push(Finding { rule, connection, text: text.into() });
    }
}

fn level(rule: &str) -> Level {
    RULES.iter().find(|(known, _)| *known == rule).unwrap().1
}

/// Reports every pair of different names that are equal in lower case.
fn fold_case(names: impl Iterator<Item = String>, mut report: impl FnMut(String)) {
    let mut folded: HashMap<String, String> = HashMap::new();
    for name in names {
        if let Some(other) = folded.insert(name.to_lowercase(), name.clone())
            && other != name
        {
            report(format!("`{other}` and `{name}`"));
        }
    }
}
