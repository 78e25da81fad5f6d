//! One connection of the recording: CONNECT to close, with the rules that only the wire shows.

use std::collections::{BTreeMap, HashMap};

use prost::Message;
use sparkplug::{Metric, Payload, Value};
use strict_host::{
    Address, Findings, MessageType, NodeHistory, NodeId, REBIRTH, Session, bd_seq, is_only_bd_seq,
};

use super::Excuse;
use crate::packet::{Connect, Packet, Publish, Will};

/// A rebirth request must be answered within this time.
const REBIRTH_LIMIT_MS: u64 = 5_000;
/// A birth this long before a request answers it too: bursts are coalesced.
const COALESCED_MS: u64 = 2_000;
/// What was on its way when a rebirth request arrived isn't data after the request.
const IN_FLIGHT_MS: u64 = 500;

#[derive(Default)]
pub(super) struct Connection {
    pub(super) node: Option<NodeId>,
    pub(super) client_id: String,
    closed: bool,
    /// Packet identifiers of SUBSCRIBEs that hold the NCMD filter, with its place in them.
    asked: HashMap<u16, usize>,
    subscribed: bool,
    session: Session,
    birth_ms: Option<u64>,
    rebirth_asked_ms: Option<u64>,
}

impl Connection {
    pub(super) fn is_open(&self) -> bool {
        !self.closed
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
        self.rebirth_asked_ms = None;
    }

    pub(super) fn connect(
        &mut self,
        connect: &Connect,
        nodes: &mut BTreeMap<NodeId, NodeHistory>,
        excuse: Excuse,
        findings: &mut Findings,
    ) {
        self.client_id.clone_from(&connect.client_id);
        self.session = Session::with_will(None);
        if !connect.clean_session {
            findings.add("principles-persistence-clean-session-311", "clean session false");
        }
        let Some(will) = &connect.will else {
            findings.add("message-flow-edge-node-birth-publish-will-message", "no will");
            return;
        };
        let levels: Vec<&str> = will.topic.split('/').collect();
        match levels[..] {
            ["spBv1.0", group, "NDEATH", edge_node] => {
                self.node = Some(NodeId { group: group.into(), edge_node: edge_node.into() });
            }
            _ => findings.add(
                "message-flow-edge-node-birth-publish-will-message-topic",
                format!("will topic `{}`", will.topic),
            ),
        }
        if will.qos != 1 {
            let text = format!("will at QoS {}", will.qos);
            findings.add("payloads-ndeath-will-message-qos", text);
        }
        if will.retain {
            findings.add("payloads-ndeath-will-message-retain", "retained will");
        }
        let Some(got) = will_bd_seq(will, findings) else { return };
        self.session = Session::with_will(Some(got));
        let Some(node) = self.node.clone() else { return };
        let history = nodes.entry(node).or_default();
        let excused = excuse.kills && history.last_bd_seq() != Some(got);
        let due = if excused { got } else { history.next_bd_seq().unwrap_or(0) };
        history.begin_session(got, due, findings);
    }

    pub(super) fn received(&mut self, packet: &Packet, at_ms: u64) {
        match packet {
            Packet::SubAck { id, codes } => {
                if let Some(place) = self.asked.get(id) {
                    self.subscribed |= codes.get(*place) == Some(&1);
                }
            }
            Packet::Publish(publish) if self.is_rebirth_request(publish) => {
                let answered = |birth: u64| birth + COALESCED_MS >= at_ms;
                if self.session.is_born() && !self.birth_ms.is_some_and(answered) {
                    self.rebirth_asked_ms.get_or_insert(at_ms);
                }
            }
            _ => {}
        }
    }

    pub(super) fn sent(
        &mut self,
        packet: &Packet,
        at_ms: u64,
        nodes: &mut BTreeMap<NodeId, NodeHistory>,
        findings: &mut Findings,
    ) {
        match packet {
            Packet::Subscribe { id, filters } => {
                let wanted = self
                    .node
                    .as_ref()
                    .map(|node| (format!("spBv1.0/{}/NCMD/{}", node.group, node.edge_node), 1));
                if let Some(place) =
                    filters.iter().position(|filter| Some(filter) == wanted.as_ref())
                {
                    self.asked.insert(*id, place);
                }
            }
            Packet::Publish(publish) => self.published(publish, at_ms, nodes, findings),
            Packet::Disconnect if self.session.is_born() && !self.session.is_dead() => {
                let rule = "operational-behavior-edge-node-intentional-disconnect-ndeath";
                findings.add(rule, "DISCONNECT without NDEATH");
            }
            _ => {}
        }
    }

    /// Time passes: a rebirth request may have waited for too long.
    pub(super) fn tick(&mut self, at_ms: u64, findings: &mut Findings) {
        if let Some(asked) = self.rebirth_asked_ms
            && at_ms > asked + REBIRTH_LIMIT_MS
        {
            let rule = "operational-behavior-data-commands-rebirth-action-2";
            findings.add(rule, format!("no NBIRTH within {REBIRTH_LIMIT_MS} ms"));
            self.rebirth_asked_ms = None;
        }
    }

    fn is_rebirth_request(&self, publish: &Publish) -> bool {
        let Some(node) = &self.node else { return false };
        let rebirth = |metric: &Metric| {
            metric.name.as_deref() == Some(REBIRTH) && metric.value == Some(Value::Boolean(true))
        };
        publish.topic == format!("spBv1.0/{}/NCMD/{}", node.group, node.edge_node)
            && Payload::decode(&publish.payload[..])
                .is_ok_and(|payload| payload.metrics.iter().any(rebirth))
    }

    fn published(
        &mut self,
        publish: &Publish,
        at_ms: u64,
        nodes: &mut BTreeMap<NodeId, NodeHistory>,
        findings: &mut Findings,
    ) {
        let Some(address) = Address::parse(&publish.topic, findings) else { return };
        if self.node.as_ref() != Some(&address.node) {
            let rule = if address.kind == MessageType::DBirth {
                "message-flow-device-birth-publish-dbirth-match-edge-node-topic"
            } else {
                "message-flow-edge-node-birth-publish-connect"
            };
            findings.add(rule, format!("`{}` in the session of another", publish.topic));
            return;
        }
        check_delivery(address.kind, publish, findings);
        if address.kind == MessageType::NBirth && !self.subscribed {
            let text = "NBIRTH before the SUBACK for NCMD at QoS 1";
            findings.add("message-flow-edge-node-ncmd-subscribe", text);
        }
        let history = nodes.entry(address.node.clone()).or_default();
        let judged = self.session.judge(&address, &publish.payload, at_ms, history, findings);
        match address.kind {
            MessageType::NDeath => self.rebirth_asked_ms = None,
            MessageType::NBirth if judged.is_some() => {
                self.rebirth_asked_ms = None;
                self.birth_ms = Some(at_ms);
            }
            MessageType::NData | MessageType::DData if judged.is_some() => {
                self.check_rebirth_before_data(at_ms, findings);
            }
            _ => {}
        }
    }

    fn check_rebirth_before_data(&self, at_ms: u64, findings: &mut Findings) {
        if let Some(asked) = self.rebirth_asked_ms
            && at_ms > asked + IN_FLIGHT_MS
        {
            let rule = "operational-behavior-data-commands-rebirth-action-1";
            let text = format!("data {} ms after the request, before NBIRTH", at_ms - asked);
            findings.add(rule, text);
        }
    }
}

/// bdSeq of a will, if it has one as it must be.
fn will_bd_seq(will: &Will, findings: &mut Findings) -> Option<u64> {
    let payload = match Payload::decode(&will.payload[..]) {
        Ok(payload) if is_only_bd_seq(&payload) => payload,
        other => {
            let rule = "message-flow-edge-node-birth-publish-will-message-payload";
            findings.add(rule, format!("{other:?}"));
            return None;
        }
    };
    if payload.seq.is_some() {
        findings.add("payloads-ndeath-seq", "will with a seq");
    }
    let got = bd_seq(&payload.metrics[0]);
    if got.is_none() {
        let rule = "message-flow-edge-node-birth-publish-will-message-payload-bdSeq";
        findings.add(rule, format!("{:?}", payload.metrics[0]));
    }
    got
}

/// NDEATH is sent at QoS 1, everything else at QoS 0; nothing is retained.
fn check_delivery(kind: MessageType, publish: &Publish, findings: &mut Findings) {
    if kind == MessageType::NDeath {
        if publish.qos != 1 {
            let text = format!("NDEATH at QoS {}", publish.qos);
            findings.add("payloads-ndeath-will-message-qos", text);
        }
        if publish.retain {
            findings.add("payloads-ndeath-will-message-retain", "retained NDEATH");
        }
    } else if publish.qos != 0 || publish.retain {
        let text = format!("QoS {}, retain {}", publish.qos, publish.retain);
        findings.add(format!("topics-{}-mqtt", kind.in_rule()), text);
    }
}
