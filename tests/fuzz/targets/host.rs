//! A strict host application, written against the specification: it panics on what a host would
//! refuse.

use std::collections::{BTreeMap, BTreeSet};

use it::mirror::Qos;
use prost::Message;
use sparkplug::{Caps, DataType, Metric, Payload, Value, names};

/// What hosts know of the edge nodes that the mirror shows.
#[derive(Debug, Default)]
pub struct Host {
    nodes: BTreeMap<String, Node>,
    /// Timestamp of the last NBIRTH, by node: hosts drop births that aren't later.
    born_ms: BTreeMap<String, u64>,
}

#[derive(Debug, Default)]
struct Node {
    online: bool,
    seq: u64,
    /// Names of the metrics by entity; the node itself is "".
    born: BTreeMap<String, BTreeSet<String>>,
    /// Entity and name by alias, of all births since the last NBIRTH.
    aliases: BTreeMap<u64, (String, String)>,
}

impl Host {
    /// Takes a publication of the session whose will has this bdSeq.
    pub fn take(&mut self, topic: &str, payload: &[u8], qos: Qos, will_bd_seq: u8) {
        let unwrapped = sparkplug::unwrap(payload, &Caps::default()).expect("a wrapper");
        assert!(unwrapped.is_none() || topic.contains("BIRTH"), "{topic}: compressed");
        let payload = unwrapped.as_deref().unwrap_or(payload);
        let payload = Payload::decode(payload).expect("a payload");
        let levels: Vec<&str> = topic.split('/').collect();
        let (["spBv1.0", group, kind, edge_node] | ["spBv1.0", group, kind, edge_node, _]) =
            levels[..]
        else {
            panic!("{topic:?} is no topic of an edge node")
        };
        assert!(!topic.contains(['+', '#', '\0']), "{topic:?}");
        assert!(levels.iter().all(|level| !level.is_empty()), "{topic:?}");
        let device = levels.get(4).copied().unwrap_or_default();
        assert_eq!(kind.starts_with('D'), !device.is_empty(), "{topic:?}");
        let key = format!("{group}/{edge_node}");
        let node = self.nodes.entry(key.clone()).or_default();
        let ts = payload.timestamp.expect("a timestamp");
        let born_ms = self.born_ms.entry(key).or_default();
        match kind {
            "NBIRTH" => {
                assert!(ts > *born_ms, "{topic}: not later than the last one");
                *born_ms = ts;
            }
            "NDEATH" => {}
            _ => assert!(ts >= *born_ms, "{topic}: older than the birth"),
        }
        let in_order = |node: &mut Node| {
            node.seq = (node.seq + 1) % 256;
            assert_eq!(payload.seq, Some(node.seq), "the sequence on {topic}");
        };
        let bd_seq = names::bd_seq(&payload);
        match kind {
            "NBIRTH" => {
                assert_eq!((payload.seq, bd_seq), (Some(0), Some(will_bd_seq)), "{topic}");
                let has_rebirth =
                    payload.metrics.iter().any(|m| m.name.as_deref() == Some(names::REBIRTH));
                assert!(has_rebirth, "{topic}: no rebirth metric");
                *node = Node { online: true, ..Node::default() };
            }
            "NDEATH" => {
                assert_eq!((payload.seq, bd_seq), (None, Some(will_bd_seq)), "{topic}");
                assert_eq!((qos, payload.metrics.len()), (Qos::AtLeastOnce, 1), "{topic}");
                *node = Node::default();
                return;
            }
            "DBIRTH" => {
                assert!(node.online, "{topic} before its NBIRTH");
                in_order(node);
                assert!(!node.born.contains_key(device), "{topic} twice");
            }
            "DDEATH" => {
                assert!(node.online, "{topic} of a dead node");
                in_order(node);
                assert!(node.born.remove(device).is_some(), "{topic} of an unborn device");
                return;
            }
            "NDATA" | "DDATA" => {
                assert!(node.online, "{topic} before its birth");
                in_order(node);
                assert!(!payload.metrics.is_empty(), "{topic} without metrics");
            }
            other => panic!("{other} from a mirror"),
        }
        let is_birth = kind.ends_with("BIRTH");
        if is_birth {
            node.born.entry(device.to_owned()).or_default();
        }
        for metric in &payload.metrics {
            check(node, device, metric, is_birth, topic);
        }
    }

    /// How many edge nodes are born.
    pub fn online(&self) -> usize {
        self.nodes.values().filter(|node| node.online).count()
    }

    /// Whether this one is, and what its metrics are called.
    pub fn metrics_of(&self, node: &str, device: &str) -> Option<&BTreeSet<String>> {
        self.nodes.get(node).filter(|node| node.online)?.born.get(device)
    }
}

fn check(node: &mut Node, device: &str, metric: &Metric, is_birth: bool, topic: &str) {
    assert!(metric.timestamp.is_some(), "{topic} {metric:?}");
    let aliased = metric.alias.and_then(|alias| node.aliases.get(&alias)).cloned();
    let name = match (&metric.name, metric.alias) {
        (Some(name), Some(alias)) => {
            assert!(is_birth && aliased.is_none() && name != names::REBIRTH, "{topic} {metric:?}");
            node.aliases.insert(alias, (device.to_owned(), name.clone()));
            name
        }
        (Some(name), None) => {
            let known = (device.to_owned(), name.clone());
            assert!(!node.aliases.values().any(|one| *one == known), "{topic} {metric:?}");
            name
        }
        (None, _) => {
            assert!(!is_birth, "{topic} {metric:?}");
            let (owner, name) = aliased.as_ref().expect("an alias of the births");
            assert_eq!(owner, device, "{topic} {metric:?}");
            name
        }
    };
    assert!(metric.value.is_some() != (metric.is_null == Some(true)), "{topic} {metric:?}");
    let born = node.born.get_mut(device).expect("data of an unborn device");
    let name = name.as_str();
    if is_birth {
        let datatype = metric.datatype.and_then(DataType::from_code);
        let datatype = datatype.unwrap_or_else(|| panic!("{topic} {metric:?}: no datatype"));
        if let Some(value) = &metric.value {
            assert!(sparkplug::value::fits(datatype, value), "{topic} {metric:?}");
        }
        assert!(born.insert(name.to_owned()), "{topic}: {name} twice");
    } else {
        let is_definition = matches!(&metric.value,
            Some(Value::Template(template)) if template.is_definition == Some(true));
        assert!(!is_definition, "{topic}: a definition in data");
        assert_eq!(metric.datatype, None, "{topic} {metric:?}");
        assert!(born.contains(name), "{topic}: {name} isn't born");
    }
}
