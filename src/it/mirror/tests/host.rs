//! A strict host of the mirror's tests: it panics on what a host would refuse.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use prost::Message;
use sparkplug::{DataType, Metric, Payload, Property, Template, Value};

use super::world::WALL;
use crate::mirror::{Aliases, Qos};

/// A strict host, written against the specification: it panics on what a host would refuse.
#[derive(Default)]
pub(super) struct Host {
    pub(super) nodes: HashMap<String, HostNode>,
    /// Live and birth values in order, and historical ones, by `node[/device]:metric`.
    pub(super) live: BTreeMap<String, Vec<u64>>,
    pub(super) historical: BTreeMap<String, Vec<u64>>,
    pub(super) births: usize,
    pub(super) deaths: usize,
    /// Data names datatypes.
    pub(super) typed: bool,
    /// Which metrics have aliases.
    pub(super) aliases: Aliases,
    /// To which definitions the message at hand refers.
    pub(super) references: Vec<String>,
    /// Members of templates that have an alias.
    pub(super) member_aliases: usize,
    /// Timestamps of the last NBIRTH and of the last message, by node: hosts drop births that
    /// aren't later than all before, and messages that are older than the birth.
    pub(super) said_ms: HashMap<String, (u64, u64)>,
}

#[derive(Default)]
pub(super) struct HostNode {
    pub(super) online: bool,
    pub(super) seq: u64,
    /// Names by entity; the node itself is "".
    pub(super) born: HashMap<String, HashSet<String>>,
    pub(super) quality: HashMap<String, u32>,
    /// Names of the template definitions of the last NBIRTH.
    pub(super) definitions: BTreeSet<String>,
    /// Entity and name by alias: those of all births since the last NBIRTH.
    pub(super) aliases: HashMap<u64, (String, String)>,
    /// Those of them that live.
    pub(super) aliased: HashSet<(String, String)>,
}

/// What a template and those in it refer to.
fn refers(template: &Template, references: &mut Vec<String>) {
    references.extend(template.template_ref.clone());
    for member in &template.metrics {
        if let Some(Value::Template(inner)) = &member.value {
            refers(inner, references);
        }
    }
}

impl HostNode {
    /// The name of a metric of data, which has an alias or a name and never both.
    fn name(&self, device: &str, metric: &Metric) -> String {
        let Some(alias) = metric.alias else {
            let name = metric.name.clone().expect("a name");
            let is_aliased = self.aliased.contains(&(device.to_owned(), name.clone()));
            assert!(!is_aliased, "{name} has an alias and is named");
            return name;
        };
        assert_eq!(metric.name, None, "name and alias");
        let (owner, name) = self.aliases.get(&alias).expect("an alias of the births");
        assert_eq!(owner, device, "an alias of another entity");
        name.clone()
    }
}

impl Host {
    pub(super) fn received(&mut self, topic: &str, payload: &[u8], qos: Qos, will_bd_seq: u64) {
        let payload = Payload::decode(payload).expect("a payload");
        let levels: Vec<&str> = topic.split('/').collect();
        let key = format!("{}/{}", levels[1], levels[3]);
        let (typed, aliases) = (self.typed, self.aliases);
        let device = levels.get(4).copied().unwrap_or("");
        let node = self.nodes.entry(key.clone()).or_default();
        let ts = payload.timestamp.expect("a timestamp");
        assert!(ts >= WALL);
        let (born_ms, said_ms) = self.said_ms.entry(key.clone()).or_default();
        match levels[2] {
            "NBIRTH" => {
                assert!(ts > *said_ms, "an NBIRTH that isn't later than all before it");
                (*born_ms, *said_ms) = (ts, ts);
            }
            "NDEATH" => {}
            _ => {
                assert!(ts >= *born_ms, "older than the birth");
                *said_ms = ts.max(*said_ms);
            }
        }
        let seq = payload.seq;
        let next = |node: &mut HostNode| {
            node.seq = (node.seq + 1) % 256;
            assert_eq!(seq, Some(node.seq), "sequence on {topic}");
        };
        match levels[2] {
            "NBIRTH" => {
                assert_eq!(qos, Qos::AtMostOnce);
                assert_eq!(seq, Some(0), "NBIRTH starts at 0");
                assert_eq!(payload.metrics[0].value, Some(Value::Long(will_bd_seq)));
                assert_eq!(payload.metrics[1].name.as_deref(), Some("Node Control/Rebirth"));
                *node = HostNode { online: true, ..HostNode::default() };
                self.births += 1;
            }
            "NDEATH" => {
                assert_eq!(seq, None);
                assert_eq!(qos, Qos::AtLeastOnce);
                assert_eq!(payload.metrics.len(), 1);
                assert_eq!(payload.metrics[0].value, Some(Value::Long(will_bd_seq)));
                node.online = false;
                node.born.clear();
                self.deaths += 1;
                return;
            }
            "DBIRTH" => {
                assert!(node.online, "DBIRTH before NBIRTH");
                next(node);
                assert!(!node.born.contains_key(device), "DBIRTH twice: {topic}");
            }
            "DDEATH" => {
                assert!(node.online);
                next(node);
                assert!(node.born.remove(device).is_some(), "DDEATH of an unborn device");
                node.aliased.retain(|(of, _)| of != device);
                return;
            }
            "NDATA" | "DDATA" => {
                assert!(node.online, "data before birth");
                next(node);
                assert!(!payload.metrics.is_empty());
            }
            other => panic!("{other}"),
        }
        let birth = levels[2].ends_with("BIRTH");
        for metric in &payload.metrics {
            assert!(metric.timestamp.is_some(), "{topic} {metric:?}");
            assert!(metric.value.is_some() != (metric.is_null == Some(true)));
            if let Some(Value::Template(template)) = &metric.value {
                let members = template.metrics.iter();
                self.member_aliases += members.filter(|member| member.alias.is_some()).count();
                if template.is_definition == Some(true) {
                    assert_eq!(levels[2], "NBIRTH", "a definition: {topic}");
                    node.definitions.insert(metric.name.clone().expect("a name"));
                }
                refers(template, &mut self.references);
            }
            if birth {
                assert!(metric.datatype.and_then(DataType::from_code).is_some());
                let name = metric.name.clone().expect("a name");
                match aliases {
                    Aliases::Never => assert_eq!(metric.alias, None),
                    Aliases::AsPlant => {}
                    Aliases::Always => {
                        assert_eq!(metric.alias.is_some(), name != "Node Control/Rebirth");
                    }
                }
                if let Some(alias) = metric.alias {
                    node.aliased.insert((device.into(), name.clone()));
                    let twice = node.aliases.insert(alias, (device.into(), name.clone()));
                    assert!(alias > 0 && twice.is_none(), "{alias} of {name} and {twice:?}");
                }
                let fresh = node.born.entry(device.into()).or_default().insert(name);
                assert!(fresh, "a metric twice in a birth");
            } else {
                let is_definition = matches!(&metric.value,
                    Some(Value::Template(template)) if template.is_definition == Some(true));
                assert!(!is_definition, "a definition in data");
                let born = metric.datatype.and_then(DataType::from_code);
                assert_eq!(born.is_some(), typed, "{topic} {metric:?}");
                let born = node.born.get(device).expect("data of an unborn device");
                let name = node.name(device, metric);
                assert!(born.contains(&name), "data of an unborn metric");
            }
            let name = match birth {
                true => metric.name.clone().expect("a name"),
                false => node.name(device, metric),
            };
            let id = format!("{key}/{device}:{name}");
            if let Some(properties) = &metric.properties {
                let at = properties.keys.iter().position(|key| key == "Quality");
                if let Some(Property::Int(quality)) =
                    at.map(|at| properties.values[at].value.clone().unwrap())
                {
                    node.quality.insert(id.clone(), quality);
                }
            }
            let Some(Value::Long(value)) = metric.value else { continue };
            if metric.is_historical == Some(true) {
                self.historical.entry(id).or_default().push(value);
            } else {
                self.live.entry(id).or_default().push(value);
            }
        }
        for reference in self.references.drain(..) {
            let prefixed = format!("_types_/{reference}");
            // Other tests have instances without a definition.
            let is_defined = levels[3] != "F"
                || [&reference, &prefixed].iter().any(|name| node.definitions.contains(*name));
            assert!(is_defined, "{topic} refers to {reference}: {:?}", node.definitions);
        }
        if birth {
            node.born.entry(device.into()).or_default();
        }
    }

    pub(super) fn seen(&self, id: &str, value: u64) -> bool {
        let in_stream = |stream: &BTreeMap<String, Vec<u64>>| {
            stream.get(id).is_some_and(|seen| seen.contains(&value))
        };
        in_stream(&self.live) || in_stream(&self.historical)
    }
}
