//! The plant of one case: bears what the case needs, and sends what it gives.

use std::collections::BTreeMap;

use ot::Received;
use prost::Message;
use sparkplug::{
    DataType, Entity, EntityTopic, MessageType, Metric, Payload, Template, Topic, Value, names,
};

use crate::cases::{Case, Given, Step};
use crate::dry_run::{DryRun, Outcome};

/// The plant of one case.
pub(super) struct Stage {
    pub(super) dry_run: DryRun,
    /// `seq` of the next message, and which devices are born, of the nodes that are.
    pub(super) nodes: BTreeMap<(String, String), (u64, Vec<String>)>,
    pub(super) cast: Cast,
}

/// The metrics that occur in data, by entity: their births have to have them.
pub(super) type Cast = BTreeMap<(String, String, Option<String>), BTreeMap<String, Given>>;

pub(super) fn cast(case: &Case) -> Cast {
    let mut cast = Cast::new();
    for step in case.steps() {
        let Ok(Topic::Entity(topic)) = Topic::parse(&step.topic) else { continue };
        let metrics = cast.entry(key(topic.entity)).or_default();
        if topic.message_type.is_data() {
            let given = step.probes.iter().filter_map(|probe| probe.metric.as_ref());
            for given in given {
                metrics.entry(given.name.clone()).or_insert_with(|| given.clone());
            }
        }
    }
    cast
}

fn key(entity: Entity<'_>) -> (String, String, Option<String>) {
    (entity.group.to_owned(), entity.edge_node.to_owned(), entity.device.map(str::to_owned))
}

impl Stage {
    /// Bears what isn't born by the case itself: an entity whose first message is no birth.
    pub(super) fn set(&mut self, case: &Case) {
        let mut seen = Vec::new();
        for step in case.steps() {
            let Ok(Topic::Entity(topic)) = Topic::parse(&step.topic) else { continue };
            let entity = key(topic.entity);
            if !seen.contains(&entity) {
                let own_birth = topic.message_type.is_birth();
                if own_birth && topic.entity.device.is_some() {
                    self.bear(Entity { device: None, ..topic.entity });
                } else if !own_birth {
                    self.bear(topic.entity);
                }
                seen.push(entity);
            }
        }
    }

    /// Sends the births that `entity` needs before its data, if it isn't born.
    fn bear(&mut self, entity: Entity<'_>) {
        let node = (entity.group.to_owned(), entity.edge_node.to_owned());
        if !self.nodes.contains_key(&node) {
            let own = Entity { device: None, ..entity };
            let mut metrics = vec![
                typed(names::BD_SEQ, DataType::Int64, Some(Value::Long(0))),
                typed(names::REBIRTH, DataType::Boolean, Some(Value::Boolean(false))),
            ];
            metrics.extend(self.definitions(own));
            metrics.extend(self.born(own));
            let payload = Payload { metrics, ..Payload::default() };
            self.send(EntityTopic::birth(own), payload, false);
        }
        let Some(device) = entity.device else { return };
        let born = self
            .nodes
            .get(&node)
            .is_some_and(|(_, devices)| devices.iter().any(|born| born == device));
        if !born {
            let payload = Payload { metrics: self.born(entity), ..Payload::default() };
            self.send(EntityTopic::birth(entity), payload, false);
        }
    }

    /// The metrics of an entity as a birth has them, all null.
    fn born(&self, entity: Entity<'_>) -> Vec<Metric> {
        let metrics = self.cast.get(&key(entity));
        let born = |given: &Given| Metric {
            properties: given.properties.clone().map(Box::new),
            metadata: given.metadata.clone().map(Box::new),
            ..typed(&given.name, given.datatype, None)
        };
        metrics.into_iter().flat_map(BTreeMap::values).map(born).collect()
    }

    /// Definitions of the templates of which instances occur in the data of a node.
    fn definitions(&self, node: Entity<'_>) -> Vec<Metric> {
        let of_node = self.cast.iter().filter(|((group, edge_node, _), _)| {
            group == node.group && edge_node == node.edge_node
        });
        let mut definitions = BTreeMap::new();
        for given in of_node.flat_map(|(_, metrics)| metrics.values()) {
            if let Some(Value::Template(instance)) = &given.value {
                define(instance, &mut definitions);
            }
        }
        let definition = |(name, template)| {
            typed(name, DataType::Template, Some(Value::Template(Box::new(template))))
        };
        definitions
            .iter()
            .map(|(name, template)| definition((name.as_str(), Template::clone(template))))
            .collect()
    }

    /// Sends the message of a step.
    pub(super) fn play(&mut self, step: &Step) -> Outcome {
        let topic = match Topic::parse(&step.topic) {
            Ok(Topic::Entity(topic)) => Some(topic),
            _ => None,
        };
        if let Some(topic) = topic {
            match topic.message_type {
                MessageType::NBirth => {}
                MessageType::DBirth => self.bear(Entity { device: None, ..topic.entity }),
                _ => self.bear(topic.entity),
            }
        }
        let now = self.dry_run.now_ms();
        let given = step.probes.iter().filter_map(|probe| probe.metric.as_ref());
        let is_data = topic.is_some_and(|topic| topic.message_type.is_data());
        let mut metrics: Vec<Metric> =
            given.map(|given| given_metric(given, now, is_data)).collect();
        match topic {
            Some(topic) if topic.message_type == MessageType::NBirth => {
                let mut birth = vec![typed(names::BD_SEQ, DataType::Int64, Some(Value::Long(0)))];
                birth.extend(self.definitions(topic.entity));
                birth.append(&mut metrics);
                metrics = birth;
            }
            Some(topic) if topic.message_type == MessageType::NDeath => {
                metrics.push(typed(names::BD_SEQ, DataType::Int64, Some(Value::Long(0))));
            }
            _ => {}
        }
        let payload = Payload { metrics, ..Payload::default() };
        match topic {
            Some(topic) => self.send(topic, payload, step.retain),
            None => {
                let payload = Payload { timestamp: Some(now), ..payload }.encode_to_vec();
                self.dry_run.receive(received(&step.topic, &payload, step.retain))
            }
        }
    }

    fn send(&mut self, topic: EntityTopic<'_>, payload: Payload, retain: bool) -> Outcome {
        let Entity { group, edge_node, device } = topic.entity;
        let node = (group.to_owned(), edge_node.to_owned());
        let mut seq = None;
        if !retain {
            if topic.message_type == MessageType::NBirth {
                self.nodes.insert(node.clone(), (0, Vec::new()));
            }
            if topic.message_type == MessageType::NDeath {
                self.nodes.remove(&node);
            } else if let Some((next, devices)) = self.nodes.get_mut(&node) {
                seq = Some(*next);
                *next = next.wrapping_add(1) % 256;
                if let Some(device) = device {
                    devices.retain(|born| born != device);
                    if topic.message_type != MessageType::DDeath {
                        devices.push(device.to_owned());
                    }
                }
            }
        }
        let now = self.dry_run.now_ms();
        let payload = Payload { timestamp: Some(now), seq, ..payload }.encode_to_vec();
        self.dry_run.receive(received(&topic.to_string(), &payload, retain))
    }
}

fn received<'a>(topic: &'a str, payload: &'a [u8], retain: bool) -> Received<'a> {
    Received { topic, payload, retain, dup: false, assured: false }
}

fn typed(name: &str, datatype: DataType, value: Option<Value>) -> Metric {
    Metric {
        name: Some(name.to_owned()),
        datatype: Some(datatype.code()),
        is_null: value.is_none().then_some(true),
        value,
        ..Metric::default()
    }
}

/// A metric as it is sent. Data carries no datatypes, as most libraries have it.
fn given_metric(given: &Given, now_ms: u64, is_data: bool) -> Metric {
    let timestamp = given.age_ms.map(|age| now_ms.saturating_add_signed(age.saturating_neg()));
    let metric = typed(&given.name, given.datatype, given.value.clone());
    Metric {
        timestamp,
        datatype: metric.datatype.filter(|_| !is_data),
        is_historical: given.historical.then_some(true),
        properties: given.properties.clone().map(Box::new),
        metadata: given.metadata.clone().map(Box::new),
        ..metric
    }
}

/// The definition of an instance, and those of the instances in it: members without values.
/// Recursion is bounded by the nesting that the policy file could have.
fn define(instance: &Template, definitions: &mut BTreeMap<String, Template>) {
    let member = |member: &Metric| {
        let inner = match &member.value {
            Some(Value::Template(inner)) => Some(Value::Template(Box::new(Template {
                template_ref: inner.template_ref.clone(),
                is_definition: Some(false),
                ..Template::default()
            }))),
            _ => None,
        };
        Metric { is_null: inner.is_none().then_some(true), value: inner, ..member.clone() }
    };
    for metric in &instance.metrics {
        if let Some(Value::Template(inner)) = &metric.value {
            define(inner, definitions);
        }
    }
    let name = instance.template_ref.clone().unwrap_or_default();
    definitions.entry(name).or_insert_with(|| Template {
        metrics: instance.metrics.iter().map(member).collect(),
        is_definition: Some(true),
        ..Template::default()
    });
}
