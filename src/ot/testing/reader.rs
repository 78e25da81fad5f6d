//! A reader of a journal that believes nothing; for the unit tests and the fuzz targets.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "what doesn't hold is said by a panic; only tests have this file"
)]

use std::collections::{BTreeMap, BTreeSet};

use journal_format::{Body, Keyframe, Relayed};
use prost::Message;
use sparkplug::{
    DataType, EntityTopic, MessageType, Metric, Payload, Template, Topic, Value, names,
};

type Names = BTreeSet<String>;

/// A reader that believes nothing: every frame has to make sense after the ones before it.
#[derive(Debug, Default)]
pub struct Reader {
    /// Live nodes with the names of their metrics, and their live devices with theirs.
    nodes: BTreeMap<String, (Names, BTreeMap<String, Names>)>,
}

impl Reader {
    /// Reads the next body.
    ///
    /// # Panics
    /// It makes no sense after the ones before it.
    pub fn read(&mut self, body: &Body) {
        match body {
            Body::Relayed(relayed) => self.relayed(relayed),
            Body::Keyframe(keyframe) => self.keyframe(keyframe),
            Body::Heartbeat(_) | Body::Start(_) => {}
            Body::Data(_) => panic!("data that isn't told by names"),
        }
    }

    /// Takes a keyframe for the state of its entity.
    ///
    /// # Panics
    /// It is no sound birth.
    pub fn believe(&mut self, keyframe: &Keyframe) {
        let topic = entity_topic(&keyframe.topic);
        let names = birth(&Payload::decode(keyframe.payload.as_slice()).expect("a payload"));
        let node = format!("{}/{}", topic.entity.group, topic.entity.edge_node);
        let node = self.nodes.entry(node).or_default();
        match topic.entity.device {
            None => node.0 = names,
            Some(device) => drop(node.1.insert(device.to_owned(), names)),
        }
    }

    fn relayed(&mut self, relayed: &Relayed) {
        let topic = entity_topic(&relayed.topic);
        assert_eq!(relayed.source, "line");
        let payload = Payload::decode(relayed.payload.as_slice()).expect("a payload");
        assert_eq!((payload.seq, &payload.uuid, &payload.body), (None, &None, &None));
        assert!(payload.timestamp.is_some());
        let node = format!("{}/{}", topic.entity.group, topic.entity.edge_node);
        let device = topic.entity.device.unwrap_or_default().to_owned();
        match topic.message_type {
            MessageType::NBirth => {
                let names = birth(&payload);
                check_types(&payload, &names);
                self.nodes.insert(node, (names, BTreeMap::new()));
            }
            MessageType::DBirth => {
                let names = birth(&payload);
                let node = self.nodes.get_mut(&node).expect("DBIRTH before NBIRTH");
                check_types(&payload, &node.0);
                node.1.insert(device, names);
            }
            MessageType::NDeath => {
                let is_bd_seq = |metric: &Metric| metric.name.as_deref() == Some(names::BD_SEQ);
                assert!(payload.metrics.iter().all(is_bd_seq));
                self.nodes.remove(&node).expect("NDEATH of a dead node");
            }
            MessageType::DDeath => {
                assert!(payload.metrics.is_empty());
                let node = self.nodes.get_mut(&node).expect("DDEATH of a dead node");
                node.1.remove(&device).expect("DDEATH of a dead device");
            }
            MessageType::NData | MessageType::DData => {
                let node = self.nodes.get(&node).expect("data of a dead node");
                let born = match topic.entity.device {
                    None => &node.0,
                    Some(device) => node.1.get(device).expect("data of a dead device"),
                };
                assert!(!payload.metrics.is_empty());
                check_types(&payload, &node.0);
                for metric in &payload.metrics {
                    let name = metric.name.as_deref().expect("a name");
                    assert!(born.contains(name), "{name} isn't born");
                    assert_eq!((metric.alias, metric.datatype), (None, None));
                    assert_eq!(metric.value.is_none(), metric.is_null == Some(true));
                    assert!(metric.timestamp.is_some());
                    check_template(metric);
                }
            }
        }
    }

    fn keyframe(&mut self, keyframe: &Keyframe) {
        let topic = entity_topic(&keyframe.topic);
        let names = birth(&Payload::decode(keyframe.payload.as_slice()).expect("a payload"));
        let node = format!("{}/{}", topic.entity.group, topic.entity.edge_node);
        let node = self.nodes.get(&node).expect("keyframe of a dead node");
        assert_eq!(keyframe.topic, EntityTopic::birth(topic.entity).to_string());
        match topic.entity.device {
            None => {
                assert_eq!(names, node.0);
                let devices: BTreeSet<&String> = keyframe.devices.iter().collect();
                assert!(devices.into_iter().eq(node.1.keys()), "{:?}", keyframe.devices);
            }
            Some(device) => assert_eq!(Some(&names), node.1.get(device)),
        }
    }
}

fn entity_topic(topic: &str) -> EntityTopic<'_> {
    let Ok(Topic::Entity(parsed)) = Topic::parse(topic) else { panic!("{topic}") };
    parsed
}

/// Checks a birth and returns the names of its metrics.
fn birth(payload: &Payload) -> Names {
    let mut names = BTreeSet::new();
    for metric in &payload.metrics {
        if let Some(Value::Template(template)) = &metric.value
            && template.is_definition == Some(true)
        {
            assert_eq!(template.template_ref, None);
        }
        let name = metric.name.clone().expect("a name");
        assert!(!names::is_control(&name), "{name}");
        assert!(metric.alias.is_none() && metric.timestamp.is_some(), "{metric:?}");
        let datatype = metric.datatype.and_then(DataType::from_code).expect("a datatype");
        match &metric.value {
            Some(value) => assert!(sparkplug::value::fits(datatype, value), "{metric:?}"),
            None => assert_eq!(metric.is_null, Some(true)),
        }
        assert!(metric.value.is_none() || metric.is_null.is_none());
        check_template(metric);
        if name == names::BD_SEQ {
            assert_eq!(datatype, DataType::Int64);
        }
        assert!(names.insert(name.clone()), "{name} twice");
    }
    names
}

/// Every instance has its definition among the node's metrics.
fn check_types(payload: &Payload, node: &Names) {
    for metric in &payload.metrics {
        let Some(Value::Template(template)) = &metric.value else { continue };
        let Some(reference) = &template.template_ref else { continue };
        let prefixed = format!("{}{reference}", names::TYPES_PREFIX);
        assert!(node.contains(reference) || node.contains(&prefixed), "no type {reference}");
    }
}

fn check_template(metric: &Metric) {
    fn check(template: &Template) {
        for member in &template.metrics {
            assert!(member.name.is_some() && member.alias.is_none());
            assert_eq!(member.value.is_none(), member.is_null == Some(true));
            if let Some(Value::Template(inner)) = &member.value {
                assert_eq!(inner.is_definition, Some(false));
                check(inner);
            }
        }
    }
    if let Some(Value::Template(template)) = &metric.value {
        assert!(template.is_definition.is_some());
        check(template);
    }
}
