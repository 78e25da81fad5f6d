//! What a recording shows of the plant: every entity, every metric, what its values were.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sparkplug::value::{Typed, read};
use sparkplug::{
    Caps, DataType, Entity, EntityTopic, Metric, Payload, Property, PropertySet, Topic, Value,
    decode_parts, names,
};

use crate::capture::Record;

/// Metrics of all entities together. A large plant has a tenth of it.
const MAX_METRICS: usize = 1_000_000;
/// Different texts of a metric that are kept; with more, no list is proposed.
pub(super) const MAX_TEXTS: usize = 8;
/// Bytes of a text that is kept.
const MAX_TEXT_BYTES: usize = 64;
/// Whole numbers beyond this aren't exact as a floating-point number: no range is proposed.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// A plant as it was seen.
#[derive(Debug, Default)]
pub struct Observation {
    /// By group and edge node.
    pub(super) nodes: BTreeMap<(String, String), NodeSeen>,
    pub(super) messages: u64,
    /// Time of the first and the last message, in milliseconds since the epoch (UTC).
    pub(super) span: Option<(u64, u64)>,
    /// Metrics that had no place any more.
    pub(super) left_out: u64,
    /// Messages that can't be read.
    pub(super) unreadable: u64,
    metrics: usize,
}

/// An edge node with its devices.
#[derive(Debug, Default)]
pub(super) struct NodeSeen {
    /// A birth was seen; without one nobody knows what its data means.
    pub(super) born: bool,
    /// The node itself (`None`) and its devices.
    pub(super) entities: BTreeMap<Option<String>, EntitySeen>,
    aliases: HashMap<u64, (Option<String>, String)>,
}

/// An edge node's own metrics, or a device.
#[derive(Debug, Default)]
pub(super) struct EntitySeen {
    pub(super) metrics: BTreeMap<String, MetricSeen>,
    pub(super) births: u64,
    pub(super) data: u64,
    /// Data within any one second, at most; never less than it was.
    pub(super) peak_per_s: u64,
    second: u64,
    in_second: u64,
    in_second_before: u64,
}

/// One metric.
#[derive(Clone, Debug, Default)]
pub(super) struct MetricSeen {
    /// As births and data say; one, unless a birth changed it.
    pub(super) datatypes: BTreeSet<DataType>,
    /// Values in data, without nulls.
    pub(super) values: u64,
    pub(super) nulls: u64,
    pub(super) span: Option<(u64, u64)>,
    pub(super) numbers: Option<Numbers>,
    pub(super) texts: Texts,
    /// Bytes of the longest value of Bytes, File or an array.
    pub(super) longest_bytes: usize,
    pub(super) content_types: BTreeSet<String>,
    pub(super) columns: BTreeSet<String>,
    /// A property says that hosts may write it.
    pub(super) writable: bool,
    pub(super) unit: Option<String>,
    /// The last value.
    pub(super) sample: Option<Value>,
    /// It is the definition of a template, and no value of the plant.
    pub(super) definition: bool,
}

/// What numbers a metric had, births included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Numbers {
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) last: f64,
    pub(super) rises: u64,
    pub(super) falls: u64,
    /// Only numbers that a range can be written for: finite, and exact.
    pub(super) plain: bool,
}

/// What texts a metric had.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
    /// Characters of the longest.
    pub(super) longest: usize,
    /// All of them, while they are few.
    pub(super) distinct: BTreeSet<String>,
    pub(super) many: bool,
}

impl Observation {
    /// Nothing seen yet.
    pub fn new() -> Observation {
        Observation::default()
    }

    /// Takes in one message.
    pub fn learn(&mut self, record: &Record) {
        self.messages = self.messages.saturating_add(1);
        widen(&mut self.span, record.at_ms);
        let (topic, stored) = match Topic::parse(&record.topic) {
            Ok(Topic::Entity(topic)) => (topic, record.retain),
            Ok(Topic::StoredBirth(topic)) => (topic, true),
            _ => return,
        };
        if topic.message_type.is_death() || (stored && !topic.message_type.is_birth()) {
            return;
        }
        let caps = Caps::of_payloads(Caps::MOST_BYTES);
        let mut inflated = Vec::new();
        let Ok(decoded) = decode_parts(&record.payload, &mut inflated, &caps) else {
            self.unreadable = self.unreadable.saturating_add(1);
            return;
        };
        let payload = decoded.into_payload();
        if topic.message_type.is_birth() {
            self.birth(topic, &payload, record.at_ms, stored);
        } else {
            self.data(topic, &payload, record.at_ms);
        }
    }

    /// Edge nodes of which no birth was seen, as `group/node`.
    pub(super) fn unborn(&self) -> Vec<String> {
        let unborn = self.nodes.iter().filter(|(_, node)| !node.born);
        unborn.map(|((group, node), _)| format!("{group}/{node}")).collect()
    }

    /// Every metric of the plant with its entity: no definitions, none that is the relay's own or
    /// that never crosses.
    pub(super) fn metrics(&self) -> impl Iterator<Item = (Entity<'_>, &str, &MetricSeen)> {
        self.nodes.iter().flat_map(|((group, edge_node), node)| {
            node.entities.iter().flat_map(move |(device, entity)| {
                let entity_name = Entity { group, edge_node, device: device.as_deref() };
                entity
                    .metrics
                    .iter()
                    .filter(|(name, seen)| is_of_the_plant(name, seen))
                    .map(move |(name, seen)| (entity_name, name.as_str(), seen))
            })
        })
    }

    fn birth(&mut self, topic: EntityTopic<'_>, payload: &Payload, at_ms: u64, stored: bool) {
        let Entity { group, edge_node, device } = topic.entity;
        let node = self.nodes.entry((group.to_owned(), edge_node.to_owned())).or_default();
        let device = device.map(str::to_owned);
        match &device {
            None => {
                node.born = true;
                node.aliases.clear();
            }
            Some(_) => node.aliases.retain(|_, (owner, _)| *owner != device),
        }
        let entity = node.entities.entry(device.clone()).or_default();
        if !stored {
            entity.births = entity.births.saturating_add(1);
        }
        for metric in &payload.metrics {
            let Some(name) = &metric.name else { continue };
            if let Some(alias) = metric.alias {
                node.aliases.insert(alias, (device.clone(), name.clone()));
            }
            let is_new = !entity.metrics.contains_key(name);
            if is_new && self.metrics >= MAX_METRICS {
                self.left_out = self.left_out.saturating_add(1);
                continue;
            }
            self.metrics = self.metrics.saturating_add(usize::from(is_new));
            let seen = entity.metrics.entry(name.clone()).or_default();
            seen.datatypes.extend(metric.datatype.and_then(DataType::from_code));
            // What a broker stored is of the past.
            if !stored {
                seen.take(metric, at_ms, true);
            }
        }
    }

    fn data(&mut self, topic: EntityTopic<'_>, payload: &Payload, at_ms: u64) {
        let Entity { group, edge_node, device } = topic.entity;
        let node = self.nodes.entry((group.to_owned(), edge_node.to_owned())).or_default();
        let device = device.map(str::to_owned);
        let entity = node.entities.entry(device.clone()).or_default();
        entity.count(at_ms);
        for metric in &payload.metrics {
            let by_alias = || {
                let (owner, name) = node.aliases.get(&metric.alias?)?;
                (*owner == device).then_some(name)
            };
            let Some(name) = metric.name.as_ref().or_else(by_alias) else { continue };
            // What no birth had doesn't cross, whatever a policy says.
            if let Some(seen) = entity.metrics.get_mut(name) {
                seen.take(metric, at_ms, false);
            }
        }
    }
}

impl EntitySeen {
    /// Two neighbouring seconds hold every stretch of one second.
    fn count(&mut self, at_ms: u64) {
        self.data = self.data.saturating_add(1);
        let second = at_ms.checked_div(1_000).unwrap_or(0);
        if second != self.second {
            let next = self.second.saturating_add(1) == second;
            self.in_second_before = if next { self.in_second } else { 0 };
            (self.second, self.in_second) = (second, 0);
        }
        self.in_second = self.in_second.saturating_add(1);
        let both = self.in_second.saturating_add(self.in_second_before);
        self.peak_per_s = self.peak_per_s.max(both);
    }
}

impl MetricSeen {
    fn take(&mut self, metric: &Metric, at_ms: u64, birth: bool) {
        widen(&mut self.span, at_ms);
        if let Some(properties) = &metric.properties {
            self.take_properties(properties);
        }
        if let Some(content_type) =
            metric.metadata.as_ref().and_then(|metadata| metadata.content_type.as_ref())
            && self.content_types.len() < MAX_TEXTS
        {
            self.content_types.insert(content_type.clone());
        }
        let value = metric.value.as_ref().filter(|_| metric.is_null != Some(true));
        let Some(value) = value else {
            self.nulls = self.nulls.saturating_add(1);
            return;
        };
        if !birth {
            self.values = self.values.saturating_add(1);
        }
        let datatype = metric.datatype.and_then(DataType::from_code);
        let datatype = datatype.or_else(|| self.datatypes.iter().next_back().copied());
        match datatype.and_then(|datatype| read(datatype, value)) {
            Some(Typed::Signed(number)) => self.number(number as f64),
            Some(Typed::Unsigned(number)) => self.number(number as f64),
            Some(Typed::Float(number)) => self.number(f64::from(number)),
            Some(Typed::Double(number)) => self.number(number),
            Some(Typed::String(text)) => self.texts.take(text),
            Some(Typed::DataSet(table)) => self.columns.extend(table.columns.iter().cloned()),
            Some(Typed::Template(template)) => {
                self.definition |= template.is_definition == Some(true);
            }
            _ => {
                if let Value::Bytes(bytes) = value {
                    self.longest_bytes = self.longest_bytes.max(bytes.len());
                }
            }
        }
        // A large value is no example for a person.
        let small = !matches!(value, Value::Template(_) | Value::DataSet(_) | Value::Bytes(_));
        if small {
            self.sample = Some(value.clone());
        }
    }

    fn number(&mut self, number: f64) {
        let plain = number.is_finite() && number.abs() < MAX_EXACT;
        match &mut self.numbers {
            None => {
                let (min, max, last) = (number, number, number);
                self.numbers = Some(Numbers { min, max, last, rises: 0, falls: 0, plain });
            }
            Some(numbers) => {
                numbers.plain &= plain;
                numbers.min = numbers.min.min(number);
                numbers.max = numbers.max.max(number);
                numbers.rises = numbers.rises.saturating_add(u64::from(number > numbers.last));
                numbers.falls = numbers.falls.saturating_add(u64::from(number < numbers.last));
                numbers.last = number;
            }
        }
    }

    fn take_properties(&mut self, properties: &PropertySet) {
        for (key, value) in properties.keys.iter().zip(&properties.values) {
            let plain: String =
                key.chars().filter(|letter| letter.is_alphanumeric()).collect::<String>();
            match (plain.to_lowercase().as_str(), &value.value) {
                ("readonly", Some(Property::Boolean(false)))
                | ("writable" | "writeable", Some(Property::Boolean(true))) => self.writable = true,
                ("engunit" | "engunits" | "unit" | "units", Some(Property::String(unit)))
                    if unit.len() <= MAX_TEXT_BYTES =>
                {
                    self.unit = Some(unit.clone());
                }
                _ => {}
            }
        }
    }
}

impl Texts {
    fn take(&mut self, text: &str) {
        self.longest = self.longest.max(text.chars().count());
        if text.len() > MAX_TEXT_BYTES {
            self.many = true;
        }
        if !self.many && !self.distinct.contains(text) {
            self.distinct.insert(text.to_owned());
            self.many = self.distinct.len() > MAX_TEXTS;
        }
        if self.many {
            self.distinct.clear();
        }
    }
}

/// No definition, not the relay's own, and not one that never crosses.
fn is_of_the_plant(name: &str, seen: &MetricSeen) -> bool {
    !seen.definition
        && name != names::BD_SEQ
        && name != names::REBIRTH
        && !names::is_control(name)
        && !seen.datatypes.is_empty()
}

fn widen(span: &mut Option<(u64, u64)>, at_ms: u64) {
    let (first, last) = span.get_or_insert((at_ms, at_ms));
    *first = at_ms.min(*first);
    *last = at_ms.max(*last);
}
