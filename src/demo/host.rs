//! A strict Sparkplug host application on the IT side: sans-IO, written against the
//! specification, sharing nothing with the relay but the protobuf structures. Whatever arrives
//! is held against the rules below; what breaks one is a violation, and fails the demo.
//!
//! | rule | clause |
//! |---|---|
//! | NBIRTH has `seq` 0; every later message of the node the next one, modulo 256 | payloads-sequence-num-* |
//! | nothing before NBIRTH, no DDATA before its DBIRTH, nothing after NDEATH | principles-birth-certificates-order |
//! | births: every metric with name, datatype, timestamp, and a value that fits or `is_null` | payloads-metric-datatype-*, -birth-data-requirement |
//! | NBIRTH: `bdSeq` (Int64) and `Node Control/Rebirth` (Boolean, false); no other control | payloads-nbirth-bdseq, -rebirth-req |
//! | data: at least one metric, each in its birth, with timestamp, of the birth's datatype | topics-*-metric-reqs |
//! | NDEATH: no `seq`, the one metric `bdSeq`, equal to the birth's; a new birth has the next | payloads-ndeath-*, topics-nbirth-bdseq-* |
//! | template instances refer to a definition of the NBIRTH and have its members | payloads-template-* |
//! | payload timestamps are the present; nothing is retained | topics-*-timestamp, -retain |
//! | every data message that the plant counts is seen, or is part of a birth; none comes twice | – |
//! | no aliases; no word of what the policy denies, anywhere in topic or payload | the relay's promise |

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::time::Duration;

use prost::Message;
use sparkplug::{DataType, Metric, Payload, Template, Value};

use super::plant::{COUNT, PUBLISHED};

/// Violations that are kept with their text; all are counted.
const MAX_KEPT_VIOLATIONS: usize = 20;
/// Latencies that are kept: three hours at 100 messages per second.
const MAX_LATENCIES: usize = 1_000_000;
/// How old the timestamp of a payload may be, and how far ahead of our clock.
const MAX_AGE_MS: u64 = 60_000;
const MAX_AHEAD_MS: u64 = 1_000;

/// What the host knows.
#[derive(Debug, Default)]
pub(super) struct Host {
    nodes: BTreeMap<String, NodeView>,
    /// The first violations, in words.
    pub(super) violations: Vec<String>,
    pub(super) violation_count: u64,
    /// From the plant's publication to us, in microseconds.
    latencies_us: Vec<u32>,
    /// The largest of them, with its topic and when it came.
    pub(super) slowest: Option<(u32, String, Duration)>,
    forbidden: Vec<String>,
    /// Edge nodes whose data waits by the policy's word: their latency says nothing.
    untimed: Vec<String>,
}

/// One edge node, as the host sees it.
#[derive(Debug, Default)]
pub(super) struct NodeView {
    pub(super) alive: bool,
    /// Sequence number of the last message.
    pub(super) seq: u8,
    pub(super) bd_seq: Option<u64>,
    /// NDATA and DDATA, without historical ones.
    pub(super) data: u64,
    /// Data messages with historical metrics.
    pub(super) historical: u64,
    /// NBIRTHs that began a session.
    pub(super) births: u64,
    /// NBIRTHs within a session.
    pub(super) rebirths: u64,
    pub(super) deaths: u64,
    pub(super) born_at: Option<Duration>,
    /// The last NBIRTH within a session.
    pub(super) reborn_at: Option<Duration>,
    pub(super) died_at: Option<Duration>,
    /// Data messages that the plant counted and that were neither seen nor part of a birth.
    pub(super) lost: u64,
    /// Data messages that came again.
    pub(super) repeated: u64,
    /// The node itself (`None`) and its devices.
    entities: BTreeMap<Option<String>, EntityView>,
    templates: BTreeMap<String, TemplateView>,
}

/// An edge node's own metrics, or a device.
#[derive(Debug, Default)]
struct EntityView {
    born: bool,
    metrics: BTreeMap<String, (DataType, Option<Value>)>,
}

/// Names of members and parameters of a template definition.
#[derive(Debug, PartialEq, Eq)]
struct TemplateView {
    members: BTreeSet<String>,
    parameters: BTreeSet<String>,
}

/// When and what arrived.
#[derive(Clone, Copy)]
pub(super) struct Arrival<'a> {
    /// Since the start of the demo.
    pub(super) at: Duration,
    /// Microseconds since the epoch.
    pub(super) wall_us: u64,
    pub(super) topic: &'a str,
    pub(super) payload: &'a [u8],
    pub(super) retain: bool,
}

impl Host {
    /// A host to which none of the words in `forbidden` may ever be shown, and that takes no
    /// times of the edge nodes in `untimed`.
    pub(super) fn new(forbidden: &[&str], untimed: &[&str]) -> Host {
        let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        Host { forbidden: owned(forbidden), untimed: owned(untimed), ..Host::default() }
    }

    /// Takes one message of the IT broker.
    pub(super) fn handle(&mut self, arrival: Arrival) {
        let Arrival { topic, payload, .. } = arrival;
        let levels: Vec<&str> = topic.split('/').collect();
        let (kind, node, device) = match levels.as_slice() {
            // Commands and STATE are those of hosts, not the relay's.
            ["spBv1.0", _, "NCMD", _] | ["spBv1.0", _, "DCMD", _, _] | ["spBv1.0", "STATE", _] => {
                return;
            }
            ["spBv1.0", _, kind @ ("NBIRTH" | "NDATA" | "NDEATH"), node] => (*kind, *node, None),
            ["spBv1.0", _, kind @ ("DBIRTH" | "DDATA" | "DDEATH"), node, device] => {
                (*kind, *node, Some(*device))
            }
            _ => return self.violate(topic, "no topic of Sparkplug B"),
        };
        for word in self.forbidden.clone() {
            let leaks =
                |bytes: &[u8]| bytes.windows(word.len()).any(|part| part == word.as_bytes());
            if leaks(topic.as_bytes()) || leaks(payload) {
                self.violate(topic, format_args!("`{word}` is denied by the policy"));
            }
        }
        if arrival.retain {
            self.violate(topic, "retained");
        }
        let Ok(payload) = Payload::decode(payload) else {
            return self.violate(topic, "no Sparkplug payload");
        };
        self.check_payload(&arrival, &payload);
        if kind == "NDEATH" {
            return self.node_death(&arrival, node, &payload);
        }
        self.check_seq(topic, kind, node, &payload);
        match (kind, device) {
            ("NBIRTH", _) => self.node_birth(&arrival, node, &payload),
            ("DBIRTH", device) => self.birth(topic, node, device, &payload),
            ("DDEATH", device) => self.device_death(topic, node, device),
            (_, device) => self.data(&arrival, node, device, &payload),
        }
    }

    /// What is known of each edge node.
    pub(super) fn nodes(&self) -> &BTreeMap<String, NodeView> {
        &self.nodes
    }

    /// The last `at_most` latencies, in microseconds, sorted.
    pub(super) fn latencies_us(&self, at_most: usize) -> Vec<u32> {
        let mut sorted: Vec<u32> = self.latencies_us.iter().rev().take(at_most).copied().collect();
        sorted.sort_unstable();
        sorted
    }

    fn violate(&mut self, topic: &str, what: impl Display) {
        self.violation_count = self.violation_count.saturating_add(1);
        if self.violations.len() < MAX_KEPT_VIOLATIONS {
            self.violations.push(format!("{topic}: {what}"));
        }
    }

    fn check_payload(&mut self, arrival: &Arrival, payload: &Payload) {
        let topic = arrival.topic;
        let now_ms = arrival.wall_us.checked_div(1_000).unwrap_or(0);
        match payload.timestamp {
            None => self.violate(topic, "payload without timestamp"),
            Some(time) if time > now_ms.saturating_add(MAX_AHEAD_MS) => {
                self.violate(topic, "payload from the future");
            }
            Some(time) if time.saturating_add(MAX_AGE_MS) < now_ms => {
                self.violate(topic, "payload timestamp out of date");
            }
            Some(_) => {}
        }
        for metric in &payload.metrics {
            let name = metric.name.as_deref().unwrap_or_default();
            if name.is_empty() {
                self.violate(topic, "a metric without name");
            }
            if metric.alias.is_some() {
                self.violate(topic, format_args!("`{name}` has an alias"));
            }
            if metric.timestamp.is_none() {
                self.violate(topic, format_args!("`{name}` without timestamp"));
            }
            if metric.value.is_some() == (metric.is_null == Some(true)) {
                self.violate(topic, format_args!("`{name}` needs a value or is_null, not both"));
            }
            let properties = metric.properties.as_ref();
            if properties.is_some_and(|set| set.keys.len() != set.values.len()) {
                self.violate(topic, format_args!("`{name}`: keys and values of properties differ"));
            }
        }
    }

    fn check_seq(&mut self, topic: &str, kind: &str, node: &str, payload: &Payload) {
        let view = self.nodes.entry(node.to_owned()).or_default();
        let due = if kind == "NBIRTH" { 0 } else { view.seq.wrapping_add(1) };
        let before_birth = kind != "NBIRTH" && !view.alive;
        let got = payload.seq;
        // Goes on from what came, so that one lost message is one violation.
        view.seq = got.and_then(|seq| seq.try_into().ok()).unwrap_or(due);
        if before_birth {
            self.violate(topic, "no NBIRTH before it");
        } else if got != Some(due.into()) {
            let got = got.map_or("none".into(), |seq| seq.to_string());
            self.violate(topic, format_args!("sequence: seq {due} was due, got {got}"));
        }
    }

    fn node_birth(&mut self, arrival: &Arrival, node: &str, payload: &Payload) {
        let topic = arrival.topic;
        let bd_seq = self.bd_seq(topic, payload);
        for metric in &payload.metrics {
            let name = metric.name.as_deref().unwrap_or_default();
            if name == "Node Control/Rebirth" {
                if metric.value != Some(Value::Boolean(false)) {
                    self.violate(topic, "`Node Control/Rebirth` must be false");
                }
            } else if name.starts_with("Node Control/") || name.starts_with("Device Control/") {
                self.violate(topic, format_args!("`{name}` advertises a write that can't work"));
            }
        }
        let named = |metric: &Metric| metric.name.as_deref() == Some("Node Control/Rebirth");
        if !payload.metrics.iter().any(named) {
            self.violate(topic, "no `Node Control/Rebirth`");
        }
        let templates = self.definitions(topic, payload);
        let view = self.nodes.entry(node.to_owned()).or_default();
        let before = view.bd_seq;
        let again = view.alive;
        view.bd_seq = bd_seq;
        view.alive = true;
        view.templates = templates;
        view.entities.values_mut().for_each(|entity| entity.born = false);
        if again {
            view.rebirths = view.rebirths.saturating_add(1);
            view.reborn_at = Some(arrival.at);
        } else {
            view.births = view.births.saturating_add(1);
            view.born_at = Some(arrival.at);
        }
        match (before, bd_seq) {
            (Some(before), Some(bd_seq)) if again && bd_seq != before => {
                self.violate(topic, "rebirth with another bdSeq");
            }
            (Some(before), Some(bd_seq))
                if !again && Some(bd_seq) != before.wrapping_add(1).checked_rem(256) =>
            {
                self.violate(topic, format_args!("bdSeq {bd_seq} after a session with {before}"));
            }
            _ => {}
        }
        self.birth(topic, node, None, payload);
    }

    /// The metrics of an NBIRTH or DBIRTH.
    fn birth(&mut self, topic: &str, node: &str, device: Option<&str>, payload: &Payload) {
        let mut metrics = BTreeMap::new();
        for metric in &payload.metrics {
            let name = metric.name.clone().unwrap_or_default();
            let Some(datatype) = metric.datatype.and_then(DataType::from_code) else {
                self.violate(topic, format_args!("`{name}` without datatype"));
                continue;
            };
            if metric.value.as_ref().is_some_and(|value| !fits(datatype, value)) {
                self.violate(topic, format_args!("the value of `{name}` is no {datatype}"));
            }
            if let Some(Value::Template(template)) = &metric.value {
                if template.is_definition == Some(true) && device.is_some() {
                    self.violate(topic, format_args!("template definition `{name}` in a DBIRTH"));
                }
                self.check_instance(topic, node, &name, template, true);
            }
            if metrics.insert(name.clone(), (datatype, metric.value.clone())).is_some() {
                self.violate(topic, format_args!("`{name}` twice"));
            }
        }
        let view = self.nodes.entry(node.to_owned()).or_default();
        let entity = view.entities.entry(device.map(str::to_owned)).or_default();
        let twice = device.is_some() && std::mem::replace(&mut entity.born, true);
        entity.born = true;
        entity.metrics = metrics;
        if twice {
            self.violate(topic, "DBIRTH of a device that was born already");
        }
    }

    fn data(&mut self, arrival: &Arrival, node: &str, device: Option<&str>, payload: &Payload) {
        let topic = arrival.topic;
        if payload.metrics.is_empty() {
            self.violate(topic, "data without metrics");
        }
        let timed = !self.untimed.iter().any(|untimed| untimed == node);
        let mut problems = Vec::new();
        let mut instances = Vec::new();
        let view = self.nodes.entry(node.to_owned()).or_default();
        let historical = payload.metrics.iter().any(|metric| metric.is_historical == Some(true));
        let count = if historical { &mut view.historical } else { &mut view.data };
        *count = count.saturating_add(1);
        match view.entities.get_mut(&device.map(str::to_owned)) {
            Some(entity) if entity.born => {
                let count = |value: Option<&Value>| match value {
                    Some(Value::Long(count)) => *count,
                    _ => 0,
                };
                let counted =
                    payload.metrics.iter().find(|metric| metric.name.as_deref() == Some(COUNT));
                if let Some(counted) = counted.filter(|_| !historical) {
                    let known = entity.metrics.get(COUNT).and_then(|(_, value)| value.as_ref());
                    let (known, now) = (count(known), count(counted.value.as_ref()));
                    let missing = now.saturating_sub(known).saturating_sub(1);
                    view.lost = view.lost.saturating_add(missing);
                    view.repeated = view.repeated.saturating_add((now <= known).into());
                }
                for metric in &payload.metrics {
                    let name = metric.name.as_deref().unwrap_or_default();
                    let Some((datatype, current)) = entity.metrics.get_mut(name) else {
                        problems.push(format!("`{name}` is not in the birth"));
                        continue;
                    };
                    if metric.datatype.is_some_and(|code| code != datatype.code()) {
                        problems.push(format!("`{name}` is born as {datatype}"));
                    }
                    match &metric.value {
                        Some(value) if !fits(*datatype, value) => {
                            problems.push(format!("the value of `{name}` is no {datatype}"));
                        }
                        Some(Value::Template(template)) => {
                            instances.push((name.to_owned(), template.clone()));
                        }
                        _ => {}
                    }
                    if metric.is_historical != Some(true) {
                        current.clone_from(&metric.value);
                        if let (PUBLISHED, Some(Value::Long(published_us))) = (name, &metric.value)
                            && timed
                            && self.latencies_us.len() < MAX_LATENCIES
                        {
                            let latency = arrival.wall_us.saturating_sub(*published_us);
                            let latency = latency.try_into().unwrap_or(u32::MAX);
                            self.latencies_us.push(latency);
                            if self.slowest.as_ref().is_none_or(|slowest| latency > slowest.0) {
                                self.slowest = Some((latency, topic.to_owned(), arrival.at));
                            }
                        }
                    }
                }
            }
            _ => problems.push("data before its birth".into()),
        }
        for problem in problems {
            self.violate(topic, problem);
        }
        for (name, template) in instances {
            self.check_instance(topic, node, &name, &template, false);
        }
    }

    fn node_death(&mut self, arrival: &Arrival, node: &str, payload: &Payload) {
        let topic = arrival.topic;
        let bd_seq = self.bd_seq(topic, payload);
        if payload.seq.is_some() {
            self.violate(topic, "NDEATH with seq");
        }
        if payload.metrics.len() != 1 {
            self.violate(topic, "NDEATH with other metrics than bdSeq");
        }
        let view = self.nodes.entry(node.to_owned()).or_default();
        let (alive, born_with) = (view.alive, view.bd_seq);
        view.alive = false;
        view.died_at = Some(arrival.at);
        view.deaths = view.deaths.saturating_add(1);
        view.entities.values_mut().for_each(|entity| entity.born = false);
        if !alive {
            self.violate(topic, "NDEATH of a node that isn't alive");
        } else if bd_seq != born_with {
            self.violate(topic, format_args!("bdSeq {bd_seq:?}, but born with {born_with:?}"));
        }
    }

    fn device_death(&mut self, topic: &str, node: &str, device: Option<&str>) {
        let view = self.nodes.entry(node.to_owned()).or_default();
        let entity = view.entities.get_mut(&device.map(str::to_owned));
        let was_born = entity.is_some_and(|entity| std::mem::take(&mut entity.born));
        if !was_born {
            self.violate(topic, "DDEATH of a device that isn't born");
        }
    }

    /// The value of the one `bdSeq` metric.
    fn bd_seq(&mut self, topic: &str, payload: &Payload) -> Option<u64> {
        let mut found =
            payload.metrics.iter().filter(|metric| metric.name.as_deref() == Some("bdSeq"));
        let bd_seq = match (found.next(), found.next()) {
            (Some(Metric { datatype: Some(4), value: Some(Value::Long(bd_seq)), .. }), None) => {
                Some(*bd_seq)
            }
            _ => None,
        };
        let bd_seq = bd_seq.filter(|bd_seq| *bd_seq <= 255);
        if bd_seq.is_none() {
            self.violate(topic, "no single `bdSeq`, Int64, 0 to 255");
        }
        bd_seq
    }

    fn definitions(&mut self, topic: &str, payload: &Payload) -> BTreeMap<String, TemplateView> {
        let mut definitions = BTreeMap::new();
        for metric in &payload.metrics {
            if let Some(Value::Template(template)) = &metric.value
                && template.is_definition == Some(true)
            {
                let name = metric.name.clone().unwrap_or_default();
                if template.template_ref.is_some() {
                    self.violate(topic, format_args!("definition `{name}` with template_ref"));
                }
                definitions.insert(name, view(template));
            }
        }
        definitions
    }

    fn check_instance(
        &mut self,
        topic: &str,
        node: &str,
        name: &str,
        template: &Template,
        in_birth: bool,
    ) {
        if template.is_definition == Some(true) && in_birth {
            return;
        }
        let templates = self.nodes.get(node).map(|view| &view.templates);
        let definition = template.template_ref.as_ref().and_then(|name| templates?.get(name));
        let instance = view(template);
        let problem = match definition {
            _ if template.is_definition != Some(false) => Some("is_definition isn't false"),
            None => Some("refers to no definition of the NBIRTH"),
            Some(definition) if in_birth && instance != *definition => {
                Some("has other members or parameters than its definition")
            }
            Some(definition) if !instance.members.is_subset(&definition.members) => {
                Some("has members that its definition hasn't")
            }
            Some(_) => None,
        };
        if let Some(problem) = problem {
            self.violate(topic, format_args!("template instance `{name}` {problem}"));
        }
    }
}

impl NodeView {
    /// Devices that are born.
    pub(super) fn devices(&self) -> usize {
        self.entities.iter().filter(|(name, entity)| name.is_some() && entity.born).count()
    }

    /// Metrics that are born, of the node and its devices.
    pub(super) fn metrics(&self) -> usize {
        if !self.alive {
            return 0;
        }
        let born = self.entities.values().filter(|entity| entity.born);
        born.map(|entity| entity.metrics.len()).fold(0, usize::saturating_add)
    }

    /// Names that the last birth of the node (`None`) or of a device had, without `bdSeq`,
    /// `Node Control/*` and template definitions.
    pub(super) fn names(&self, device: Option<&str>) -> Option<BTreeSet<&str>> {
        let entity = self.entities.get(&device.map(str::to_owned)).filter(|entity| entity.born)?;
        let names = entity.metrics.keys().map(String::as_str);
        let own = |name: &&str| {
            *name != "bdSeq"
                && *name != "Node Control/Rebirth"
                && !self.templates.contains_key(*name)
        };
        Some(names.filter(own).collect())
    }

    /// Current value of a metric.
    pub(super) fn value(&self, device: Option<&str>, name: &str) -> Option<&Value> {
        self.entities.get(&device.map(str::to_owned))?.metrics.get(name)?.1.as_ref()
    }
}

fn view(template: &Template) -> TemplateView {
    let members = template.metrics.iter().filter_map(|member| member.name.clone()).collect();
    let parameters = template.parameters.iter().filter_map(|part| part.name.clone()).collect();
    TemplateView { members, parameters }
}

/// Whether a value has the field that its datatype asks for (Sparkplug 3.0 §6.4.16).
fn fits(datatype: DataType, value: &Value) -> bool {
    use DataType as D;
    match value {
        Value::Int(_) => {
            matches!(datatype, D::Int8 | D::Int16 | D::Int32 | D::UInt8 | D::UInt16 | D::UInt32)
        }
        // UInt32 is sent as either of both.
        Value::Long(_) => {
            matches!(datatype, D::Int64 | D::UInt64 | D::DateTime | D::UInt32)
        }
        Value::Float(_) => datatype == D::Float,
        Value::Double(_) => datatype == D::Double,
        Value::Boolean(_) => datatype == D::Boolean,
        Value::String(_) => matches!(datatype, D::String | D::Text | D::UUID),
        Value::Bytes(_) => {
            matches!(datatype, D::Bytes | D::File) || datatype.code() >= D::Int8Array.code()
        }
        Value::DataSet(_) => datatype == D::DataSet,
        Value::Template(_) => datatype == D::Template,
    }
}

#[cfg(test)]
mod tests;
