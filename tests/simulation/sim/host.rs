//! A host on IT: judges everything with the strict host, and shows what a person there would see.

use std::collections::{BTreeMap, BTreeSet};

use sparkplug::{Payload, Property, Value};
use strict_host::{Address, Finding, Findings, Level, MessageType, NodeHistory, Session};

use super::plant::{MEMBERS, Number, Shape, member_name};

/// What a host shows of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// `None`: null.
    pub number: Option<Number>,
    pub is_good: bool,
}

/// What a host shows of one edge node.
#[derive(Debug, Default)]
pub struct Node {
    session: Session,
    history: NodeHistory,
    pub is_online: bool,
    /// Metrics of the node (empty name) and of its devices.
    pub entities: BTreeMap<String, BTreeMap<String, Shown>>,
}

#[derive(Debug, Default)]
pub struct Host {
    pub nodes: BTreeMap<String, Node>,
    /// The edge node of which those of the plant are devices, where they are.
    pub folded: Option<(String, Node)>,
    findings: Findings,
    /// Every number that was ever seen, live or historical.
    pub seen: BTreeSet<Number>,
    pub messages: u64,
}

impl Host {
    /// `folded`: the edge node of which those of the plant are devices.
    pub fn new(folded: Option<&str>) -> Host {
        let folded = folded.map(|name| (name.to_owned(), Node::default()));
        Host { folded, ..Host::default() }
    }

    /// A session of this node begins, with this number. `is_sure`: the one before it wasn't cut
    /// off by a kill, so that the number is known.
    pub fn session(&mut self, node: &str, bd_seq: u64, is_sure: bool) {
        self.findings.look_at(node);
        let node = match &mut self.folded {
            Some((name, folded)) if name == node => folded,
            _ => self.nodes.entry(node.into()).or_default(),
        };
        let due = match node.history.next_bd_seq() {
            Some(due) if is_sure => due,
            // Never the last one again: its will could kill this session.
            Some(_) if node.history.last_bd_seq() != Some(bd_seq) => bd_seq,
            Some(due) => due,
            None => bd_seq,
        };
        node.history.begin_session(bd_seq, due, &mut self.findings);
        node.session = Session::with_will(Some(bd_seq));
    }

    /// Something was published on the session of `node`.
    pub fn received(&mut self, topic: &str, bytes: &[u8], at_ms: u64) {
        self.messages += 1;
        self.findings.look_at(topic);
        let Some(address) = Address::parse(topic, &mut self.findings) else { return };
        let mut key = address.node.edge_node.clone();
        let node = match &mut self.folded {
            Some((name, folded)) if *name == key => folded,
            _ => self.nodes.entry(key.clone()).or_default(),
        };
        let judged =
            node.session.judge(&address, bytes, at_ms, &mut node.history, &mut self.findings);
        let Some(payload) = judged else { return };
        let (mut kind, mut device) = (address.kind, address.device.clone().unwrap_or_default());
        if self.folded.is_some() {
            assert_eq!(self.folded.as_ref().map(|(name, _)| name), Some(&key), "{topic}");
            if address.device.is_none() {
                // It begins and ends with those of all its devices.
                self.nodes.values_mut().for_each(Node::end);
                return;
            }
            let unfolded = sparkplug::unfolded_device(&device);
            let (edge_node, of) = unfolded.unwrap_or_else(|| panic!("a device of nobody: {topic}"));
            let of = of.map(str::to_owned);
            // What the plant's node says itself.
            kind = match (kind, &of) {
                (MessageType::DBirth, None) => MessageType::NBirth,
                (MessageType::DDeath, None) => MessageType::NDeath,
                (kind, _) => kind,
            };
            (key, device) = (edge_node, of.unwrap_or_default());
        }
        let node = self.nodes.entry(key).or_default();
        match kind {
            MessageType::NBirth => {
                node.is_online = true;
                node.entities.clear();
                node.entities.insert(device, born(&payload));
            }
            MessageType::DBirth => {
                node.entities.insert(device, born(&payload));
            }
            MessageType::NDeath => node.end(),
            MessageType::DDeath => drop(node.entities.remove(&device)),
            MessageType::NData | MessageType::DData => {
                let Some(entity) = node.entities.get_mut(&device) else { return };
                for metric in payload.metrics.iter().filter(|one| one.is_historical != Some(true)) {
                    take(entity, metric, false);
                }
            }
        }
        for metric in &payload.metrics {
            self.seen.extend(metric.value.as_ref().map(Shape::numbers).unwrap_or_default());
        }
    }

    /// The will of a session comes: the broker sends it.
    pub fn will(&mut self, node: &str) {
        if self.folded.as_ref().is_some_and(|(name, _)| name == node) {
            self.nodes.values_mut().for_each(Node::end);
        } else if let Some(node) = self.nodes.get_mut(node) {
            node.end();
        }
    }

    /// The host lost its own connection: it knows of nobody any more.
    pub fn lose_sight(&mut self) {
        self.nodes.values_mut().for_each(Node::end);
    }

    /// Rules of the specification that were found broken since this was asked last.
    pub fn findings(&mut self) -> Vec<Finding> {
        let mut found = self.findings.take();
        found.retain(|finding| finding.level == Level::Error);
        found
    }
}

impl Node {
    fn end(&mut self) {
        self.is_online = false;
        self.entities.clear();
    }
}

fn born(payload: &Payload) -> BTreeMap<String, Shown> {
    let mut entity = BTreeMap::new();
    payload.metrics.iter().for_each(|metric| take(&mut entity, metric, true));
    entity
}

/// Shows a metric; of an instance each member by itself, those that data hasn't as they were.
fn take(entity: &mut BTreeMap<String, Shown>, metric: &sparkplug::Metric, is_birth: bool) {
    let name = metric.name.clone().unwrap_or_default();
    let quality = quality(metric);
    let is_good = quality.is_none_or(|quality| quality == 192);
    let instance = match &metric.value {
        Some(Value::Template(template)) => Some(template),
        None if entity.contains_key(&member_name(&name, MEMBERS[1])) => None,
        value => {
            let number = value.as_ref().and_then(Shape::number);
            entity.insert(name, Shown { number, is_good: value.is_some() && is_good });
            return;
        }
    };
    if instance.is_some_and(|instance| instance.is_definition == Some(true)) {
        entity.insert(name, Shown { number: None, is_good: false });
        return;
    }
    for member in MEMBERS {
        let key = member_name(&name, member);
        let has = |template: &sparkplug::Template| {
            template.metrics.iter().find(|one| one.name.as_deref() == Some(member)).cloned()
        };
        let said = instance.and_then(|instance| has(instance));
        let known = entity.get(&key).copied().filter(|_| !is_birth && instance.is_some());
        let shown = match (said, known) {
            (Some(said), _) => {
                let number = said.value.as_ref().and_then(Shape::number);
                Shown { number, is_good: number.is_some() && is_good }
            }
            // The quality, where one is said, is that of the whole instance.
            (None, Some(known)) if quality.is_some() => {
                Shown { is_good: known.number.is_some() && is_good, ..known }
            }
            (None, Some(known)) => known,
            (None, None) => Shown { number: None, is_good: false },
        };
        entity.insert(key, shown);
    }
}

fn quality(metric: &sparkplug::Metric) -> Option<u32> {
    let properties = metric.properties.as_ref()?;
    let at = properties.keys.iter().position(|key| key == "Quality")?;
    match properties.values.get(at)?.value {
        Some(Property::Int(quality)) => Some(quality),
        _ => None,
    }
}
