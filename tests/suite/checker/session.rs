//! One connection of the recording: CONNECT to close, with the rules on sessions, topics,
//! QoS, timestamps and sequence numbers.

use std::collections::{BTreeSet, HashMap};

use prost::Message;
use sparkplug::{Metric, Payload, Value};

use super::entity::{Birth, Verb};
use super::value::Definitions;
use super::{Excuse, Findings, Node, NodeHistory, fold_case};
use crate::packet::{Connect, Packet, Publish};

const BD_SEQ: &str = "bdSeq";
pub(super) const REBIRTH: &str = "Node Control/Rebirth";

/// How old the timestamp of a payload may be when it is seen.
const MAX_AGE_MS: u64 = 60_000;
/// How far in the future it may be: all clocks here are the same one, but they are read in
/// different processes.
const MAX_AHEAD_MS: u64 = 1_000;
/// A rebirth request must be answered within this time.
const REBIRTH_LIMIT_MS: u64 = 5_000;
/// A birth this long before a request answers it too: bursts are coalesced.
const COALESCED_MS: u64 = 2_000;
/// What was on its way when a rebirth request arrived isn't data after the request.
const IN_FLIGHT_MS: u64 = 500;

pub(super) struct Session {
    pub(super) number: usize,
    pub(super) node: Option<Node>,
    pub(super) client_id: String,
    open: bool,
    will_bd_seq: Option<u64>,
    /// Packet identifiers of SUBSCRIBEs that hold the NCMD filter, with its place in them.
    asked: HashMap<u16, usize>,
    subscribed: bool,
    dead: bool,
    seq: Option<u64>,
    birth_ms: Option<u64>,
    pub(super) node_birth: Option<Birth>,
    /// Devices whose birth was sent in this session and that aren't dead.
    pub(super) devices: HashMap<String, Birth>,
    pub(super) definitions: Definitions,
    /// Every alias of the edge node, with the metric that has it.
    pub(super) aliases: HashMap<u64, String>,
    rebirth_asked_ms: Option<u64>,
    /// Devices that were alive at the last rebirth and haven't been born again.
    unborn: BTreeSet<String>,
    /// Data came since the last NBIRTH.
    data_since_birth: bool,
}

impl Session {
    pub(super) fn new(number: usize) -> Session {
        Session {
            number,
            node: None,
            client_id: String::new(),
            open: true,
            will_bd_seq: None,
            asked: HashMap::new(),
            subscribed: false,
            dead: false,
            seq: None,
            birth_ms: None,
            node_birth: None,
            devices: HashMap::new(),
            definitions: Definitions::default(),
            aliases: HashMap::new(),
            rebirth_asked_ms: None,
            unborn: BTreeSet::new(),
            data_since_birth: false,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    pub(super) fn close(&mut self) {
        self.open = false;
        self.rebirth_asked_ms = None;
    }

    pub(super) fn connect(
        &mut self,
        connect: &Connect,
        nodes: &mut HashMap<Node, NodeHistory>,
        excuse: Excuse,
        findings: &mut Findings,
    ) {
        let mut add = |rule: &str, text: String| findings.add(rule, self.number, text);
        self.client_id.clone_from(&connect.client_id);
        if !connect.clean_session {
            add("principles-persistence-clean-session-311", "clean session false".into());
        }
        let Some(will) = &connect.will else {
            add("message-flow-edge-node-birth-publish-will-message", "no will".into());
            return;
        };
        let levels: Vec<&str> = will.topic.split('/').collect();
        match levels[..] {
            ["spBv1.0", group, "NDEATH", edge_node] => {
                self.node = Some(Node { group: group.into(), edge_node: edge_node.into() });
            }
            _ => add(
                "message-flow-edge-node-birth-publish-will-message-topic",
                format!("will topic `{}`", will.topic),
            ),
        }
        if will.qos != 1 {
            add("payloads-ndeath-will-message-qos", format!("will at QoS {}", will.qos));
        }
        if will.retain {
            add("payloads-ndeath-will-message-retain", "retained will".into());
        }
        let payload = match Payload::decode(&will.payload[..]) {
            Ok(payload) if is_only_bd_seq(&payload) => payload,
            other => {
                let rule = "message-flow-edge-node-birth-publish-will-message-payload";
                add(rule, format!("{other:?}"));
                return;
            }
        };
        if payload.seq.is_some() {
            add("payloads-ndeath-seq", "will with a seq".into());
        }
        self.will_bd_seq = bd_seq(&payload.metrics[0]);
        let Some(got) = self.will_bd_seq else {
            let rule = "message-flow-edge-node-birth-publish-will-message-payload-bdSeq";
            add(rule, format!("{:?}", payload.metrics[0]));
            return;
        };
        let Some(node) = self.node.clone() else { return };
        let history = nodes.entry(node).or_default();
        let wanted = history.bd_seq.map_or(0, |last| (last + 1) % 256);
        let excused = excuse.kills && history.bd_seq != Some(got);
        if got != wanted && !excused {
            add("topics-nbirth-bdseq-increment", format!("bdSeq {got} in place of {wanted}"));
        }
        history.bd_seq = Some(got);
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
                if self.node_birth.is_some() && !self.birth_ms.is_some_and(answered) {
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
        nodes: &mut HashMap<Node, NodeHistory>,
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
            Packet::Disconnect if self.node_birth.is_some() && !self.dead => {
                let rule = "operational-behavior-edge-node-intentional-disconnect-ndeath";
                findings.add(rule, self.number, "DISCONNECT without NDEATH");
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
            findings.add(rule, self.number, format!("no NBIRTH within {REBIRTH_LIMIT_MS} ms"));
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
        nodes: &mut HashMap<Node, NodeHistory>,
        findings: &mut Findings,
    ) {
        let number = self.number;
        let Some((node, verb, device)) = topic(&publish.topic, number, findings) else { return };
        if self.node.as_ref() != Some(&node) {
            let rule = if verb == Verb::DBirth {
                "message-flow-device-birth-publish-dbirth-match-edge-node-topic"
            } else {
                "message-flow-edge-node-birth-publish-connect"
            };
            findings.add(rule, number, format!("`{}` in the session of another", publish.topic));
            return;
        }
        if self.dead {
            findings.add("relay-nothing-after-ndeath", number, &publish.topic);
        }
        if verb == Verb::NDeath {
            self.death(publish, findings);
            return;
        }
        if publish.qos != 0 || publish.retain {
            let text = format!("QoS {}, retain {}", publish.qos, publish.retain);
            findings.add(format!("topics-{}-mqtt", verb.name()), number, text);
        }
        let Ok(payload) = Payload::decode(&publish.payload[..]) else {
            let rule = match verb {
                Verb::NBirth => "message-flow-edge-node-birth-publish-nbirth-payload".into(),
                Verb::DBirth => "message-flow-device-birth-publish-dbirth-payload".into(),
                verb => format!("topics-{}-payload", verb.name()),
            };
            findings.add(rule, number, "not a Sparkplug payload");
            return;
        };
        self.stamps(verb, &payload, at_ms, findings);
        self.sequence(verb, &payload, findings);
        match (verb, device) {
            (Verb::NBirth, _) => self.node_born(&node, &payload, at_ms, nodes, findings),
            (Verb::DBirth, Some(device)) => self.device_born(&device, &payload, findings),
            (Verb::DDeath, Some(device)) => {
                if self.devices.remove(&device).is_none() {
                    let text = format!("DDEATH of `{device}`, which isn't born");
                    findings.add("operational-behavior-device-ddeath", number, text);
                }
            }
            (_, device) => {
                self.rebirth_before_data(at_ms, findings);
                self.data(verb, device.as_deref(), &payload, findings);
            }
        }
    }

    fn death(&mut self, publish: &Publish, findings: &mut Findings) {
        self.dead = true;
        self.rebirth_asked_ms = None;
        let mut add = |rule: &str, text: String| findings.add(rule, self.number, text);
        if publish.qos != 1 {
            add("payloads-ndeath-will-message-qos", format!("NDEATH at QoS {}", publish.qos));
        }
        if publish.retain {
            add("payloads-ndeath-will-message-retain", "retained NDEATH".into());
        }
        match Payload::decode(&publish.payload[..]) {
            Ok(payload) if is_only_bd_seq(&payload) => {
                if payload.seq.is_some() {
                    add("payloads-ndeath-seq", "NDEATH with a seq".into());
                }
                let got = bd_seq(&payload.metrics[0]);
                if got != self.will_bd_seq {
                    let text = format!("NDEATH {got:?}, will {:?}", self.will_bd_seq);
                    add("payloads-ndeath-bdseq", text);
                }
            }
            other => add("topics-ndeath-payload", format!("{other:?}")),
        }
    }

    fn stamps(&self, verb: Verb, payload: &Payload, at_ms: u64, findings: &mut Findings) {
        match payload.timestamp {
            None => {
                let rule = format!("payloads-{}-timestamp", verb.name());
                findings.add(rule, self.number, "no timestamp");
            }
            Some(stamp) if stamp > at_ms + MAX_AHEAD_MS || stamp + MAX_AGE_MS < at_ms => {
                let text = format!("{verb:?} of {stamp}, seen at {at_ms}");
                findings.add("payloads-timestamp-in-UTC", self.number, text);
            }
            Some(_) => {}
        }
        for metric in payload.metrics.iter().filter(|metric| metric.timestamp.is_none()) {
            let text = format!("{verb:?}: `{}` without timestamp", metric.name());
            findings.add("payloads-name-birth-data-requirement", self.number, text);
        }
    }

    fn sequence(&mut self, verb: Verb, payload: &Payload, findings: &mut Findings) {
        if verb == Verb::NBirth {
            if payload.seq != Some(0) {
                let text = format!("seq {:?}", payload.seq);
                findings.add("payloads-nbirth-seq", self.number, text);
            }
            self.seq = Some(0);
            return;
        }
        let Some(got) = payload.seq else {
            let text = format!("{verb:?} without seq");
            findings.add("payloads-sequence-num-always-included", self.number, text);
            return;
        };
        if let Some(last) = self.seq
            && got != (last + 1) % 256
        {
            let text = format!("{verb:?} with seq {got} after {last}");
            findings.add("payloads-sequence-num-incrementing", self.number, text);
        }
        self.seq = Some(got);
    }

    fn node_born(
        &mut self,
        node: &Node,
        payload: &Payload,
        at_ms: u64,
        nodes: &mut HashMap<Node, NodeHistory>,
        findings: &mut Findings,
    ) {
        if !self.subscribed {
            let text = "NBIRTH before the SUBACK for NCMD at QoS 1";
            findings.add("message-flow-edge-node-ncmd-subscribe", self.number, text);
        }
        let history = nodes.entry(node.clone()).or_default();
        if let (Some(last), Some(stamp)) = (history.birth_ms, payload.timestamp)
            && stamp <= last
        {
            let text = format!("NBIRTH of {stamp} after one of {last}");
            findings.add("relay-birth-timestamp-increases", self.number, text);
        }
        history.birth_ms = payload.timestamp.or(history.birth_ms);
        self.rebirth_asked_ms = None;
        self.birth_ms = Some(at_ms);
        self.data_since_birth = false;
        self.unborn = self.devices.drain().map(|(device, _)| device).collect();
        self.aliases.clear();
        self.definitions = Definitions::learn(payload);
        self.node_control(payload, findings);
        self.node_birth = Some(self.birth(Verb::NBirth, payload, findings));
    }

    /// The metrics that every NBIRTH has.
    fn node_control(&self, payload: &Payload, findings: &mut Findings) {
        let mut add = |rule: &str, text: String| findings.add(rule, self.number, text);
        let named = |name: &str| payload.metrics.iter().find(|metric| metric.name() == name);
        match named(BD_SEQ) {
            None => add("topics-nbirth-bdseq-included", "no bdSeq".into()),
            Some(metric) => match bd_seq(metric) {
                None => add("payloads-nbirth-bdseq", format!("{metric:?}")),
                got if got != self.will_bd_seq => {
                    let text = format!("NBIRTH {got:?}, will {:?}", self.will_bd_seq);
                    add("topics-nbirth-bdseq-matching", text);
                }
                Some(_) => {}
            },
        }
        let Some(rebirth) = named(REBIRTH) else {
            add("topics-nbirth-rebirth-metric", "no Node Control/Rebirth".into());
            return;
        };
        if rebirth.datatype != Some(11) {
            let rule = "operational-behavior-data-commands-rebirth-datatype";
            add(rule, format!("datatype {:?}", rebirth.datatype));
        }
        if rebirth.value != Some(Value::Boolean(false)) {
            let rule = "operational-behavior-data-commands-rebirth-value";
            add(rule, format!("value {:?}", rebirth.value));
        }
        if rebirth.alias.is_some() {
            let rule = "operational-behavior-data-commands-rebirth-name-aliases";
            add(rule, format!("alias {:?}", rebirth.alias));
        }
    }

    fn device_born(&mut self, device: &str, payload: &Payload, findings: &mut Findings) {
        let number = self.number;
        if self.node_birth.is_none() {
            findings.add("payloads-dbirth-order", number, "DBIRTH before NBIRTH");
        }
        if self.devices.contains_key(device) {
            let text = format!("second DBIRTH of `{device}`");
            findings.add("topic-structure-namespace-unique-device-id", number, text);
        }
        if self.unborn.remove(device) && self.data_since_birth {
            let rule = "operational-behavior-data-commands-rebirth-action-1";
            findings.add(rule, number, format!("data before the DBIRTH of `{device}`"));
        }
        let birth = self.birth(Verb::DBirth, payload, findings);
        self.devices.insert(device.into(), birth);
        let names = self.devices.keys().cloned();
        fold_case(names, |pair| findings.add("case-sensitivity-sparkplug-ids", number, pair));
    }

    fn rebirth_before_data(&mut self, at_ms: u64, findings: &mut Findings) {
        self.data_since_birth = true;
        if let Some(asked) = self.rebirth_asked_ms
            && at_ms > asked + IN_FLIGHT_MS
        {
            let rule = "operational-behavior-data-commands-rebirth-action-1";
            let text = format!("data {} ms after the request, before NBIRTH", at_ms - asked);
            findings.add(rule, self.number, text);
        }
    }
}

/// Splits the topic of an edge node's message; `None` when it isn't one.
fn topic(
    topic: &str,
    number: usize,
    findings: &mut Findings,
) -> Option<(Node, Verb, Option<String>)> {
    let levels: Vec<&str> = topic.split('/').collect();
    let mut add = |rule: &str| findings.add(rule, number, format!("topic `{topic}`"));
    if levels[0] != "spBv1.0" {
        add("topic-structure-namespace-a");
        return None;
    }
    let (group, verb, edge_node, device) = match levels[1..] {
        [group, verb, edge_node] => (group, verb, edge_node, None),
        [group, verb, edge_node, device] => (group, verb, edge_node, Some(device)),
        _ => {
            add("topic-structure");
            return None;
        }
    };
    let Some(verb) = Verb::parse(verb) else {
        add("relay-no-commands");
        return None;
    };
    if verb.is_device() && device.is_none() {
        add("topic-structure-namespace-device-id-associated-message-types");
        return None;
    }
    if !verb.is_device() && device.is_some() {
        add("topic-structure-namespace-device-id-non-associated-message-types");
        return None;
    }
    let bad = |id: &str| id.is_empty() || id.contains(['+', '#', '\0']);
    if bad(group) {
        add("topic-structure-namespace-valid-group-id");
    }
    if bad(edge_node) {
        add("topic-structure-namespace-valid-edge-node-id");
    }
    if device.is_some_and(bad) {
        add("topic-structure-namespace-valid-device-id");
    }
    let node = Node { group: group.into(), edge_node: edge_node.into() };
    Some((node, verb, device.map(str::to_owned)))
}

/// Exactly one metric, named bdSeq.
fn is_only_bd_seq(payload: &Payload) -> bool {
    matches!(&payload.metrics[..], [metric] if metric.name() == BD_SEQ)
}

/// The value of a bdSeq metric, if it is an Int64 in 0..=255.
fn bd_seq(metric: &Metric) -> Option<u64> {
    match (metric.datatype, &metric.value) {
        (Some(4), Some(Value::Long(value))) if *value < 256 => Some(*value),
        _ => None,
    }
}
