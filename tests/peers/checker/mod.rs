//! The strict wire checker: judges a recording of the IT link. What an edge node says is judged
//! by the product's strict host, which the demo uses too; here is what only the wire shows:
//! CONNECT and will, subscriptions, quality of service, and answers to rebirth requests.

#[cfg(test)]
mod aliased;
mod connection;
#[cfg(test)]
mod script;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use connection::Connection;
use strict_host::{
    Finding, Findings, Level, NodeHistory, NodeId, level, report_equal_in_lower_case,
};

use crate::packet::Packet;
use crate::wire::{Event, Record, Side};

/// What a test may have done to the relay that excuses it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Excuse {
    /// The relay or its broker was killed, or a connection cut: a CONNECT may have got lost on
    /// its way, so bdSeq may skip numbers. It still may not repeat one.
    pub kills: bool,
}

/// Every rule that must hold and doesn't.
pub fn errors(records: &[Record], excuse: Excuse) -> Vec<Finding> {
    let mut findings = check(records, excuse);
    findings.retain(|finding| level(&finding.rule) == Some(Level::Error));
    findings
}

/// Every rule that is broken, including those that only should hold.
pub fn check(records: &[Record], excuse: Excuse) -> Vec<Finding> {
    let mut findings = Findings::default();
    let mut nodes: BTreeMap<NodeId, NodeHistory> = BTreeMap::new();
    let mut connections: HashMap<usize, Connection> = HashMap::new();
    for record in records {
        for (number, connection) in &mut connections {
            findings.look_at(place(*number));
            connection.tick(record.at_ms, &mut findings);
        }
        let number = record.connection;
        findings.look_at(place(number));
        let connection = connections.entry(number).or_default();
        match (&record.event, record.from) {
            (Event::Opened, _) => {}
            (Event::Closed, _) => connection.close(),
            (Event::Garbage(why), _) => findings.add("relay-mqtt-311", why),
            (Event::Packet(Packet::Connect(connect)), Side::Client) => {
                connection.connect(connect, &mut nodes, excuse, &mut findings);
                let (node, client_id) = (connection.node.clone(), connect.client_id.clone());
                for (_, other) in connections.iter().filter(|(other, _)| **other != number) {
                    let another_client = other.is_open()
                        && other.node.is_some()
                        && other.node == node
                        && other.client_id != client_id;
                    if another_client {
                        let rule = "topic-structure-namespace-unique-edge-node-descriptor";
                        findings
                            .add(rule, format!("clients `{}` and `{client_id}`", other.client_id));
                    }
                }
            }
            (Event::Packet(packet), Side::Client) => {
                connection.sent(packet, record.at_ms, &mut nodes, &mut findings);
            }
            (Event::Packet(packet), Side::Broker) => connection.received(packet, record.at_ms),
        }
    }
    findings.look_at(place(0));
    let names: Vec<String> =
        nodes.keys().map(|node| format!("{}/{}", node.group, node.edge_node)).collect();
    report_equal_in_lower_case(names.iter().map(String::as_str), |pair| {
        findings.add("case-sensitivity-sparkplug-ids", pair);
    });
    findings.take()
}

fn place(connection: usize) -> String {
    format!("connection {connection}")
}
