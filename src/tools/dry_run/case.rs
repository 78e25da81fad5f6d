//! Runs the cases of a policy: sends what each case gives through a plant of its own, and
//! compares what becomes of it with what is expected.

use std::collections::BTreeMap;
use std::time::Duration;

use account::{Reason, RuleId};
use ot::Received;
use policy::Policy;
use prost::Message;
use sparkplug::{
    DataType, Entity, EntityTopic, MessageType, Metric, Payload, Property, Template, Topic, Value,
    names, value,
};
use text::escape_to;

use super::{Arrived, MessageFate, MetricFate, Outcome, Rehearsal, told_name};
use crate::cases::{Arrives, Case, Expected, Given, Probe, Step};

/// The plant is born this long before a case begins: no interval, deadband or rate of a rule
/// remembers the births then.
const LEAD: Duration = Duration::from_secs(86_400);
/// Characters of a value in a report.
const MAX_VALUE_CHARS: usize = 60;
/// Characters of a topic or a name.
const MAX_NAME_CHARS: usize = 200;

/// What a case came to.
#[derive(Clone, Debug)]
pub struct CaseReport {
    /// Every expectation, in order.
    pub checks: Vec<Check>,
}

/// One expectation, and what happened.
#[derive(Clone, Debug)]
pub struct Check {
    /// Index of the step.
    pub step: usize,
    /// Time since the beginning of the case.
    pub at: Duration,
    pub topic: String,
    /// `None`: about the message.
    pub metric: Option<String>,
    pub datatype: Option<DataType>,
    /// The line (from 1) in the policy file.
    pub line: usize,
    pub expected: String,
    pub got: Got,
    pub passed: bool,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Got {
    Forwarded {
        rule: Option<RuleId>,
        arrives: Option<Box<Seen>>,
    },
    Waiting {
        rule: Option<RuleId>,
    },
    Dropped {
        reason: Reason,
        rule: Option<RuleId>,
    },
    /// Nothing was sent, and nothing came.
    Nothing,
}

/// What arrived of a metric, and under which topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub topic: String,
    pub metric: Metric,
}

impl CaseReport {
    /// Whether everything was as expected.
    pub fn passed(&self) -> bool {
        self.checks.iter().all(|check| check.passed)
    }
}

/// Runs one case of `policy`.
pub fn run(policy: &Policy, case: &Case) -> CaseReport {
    let lead_ms = u64::try_from(LEAD.as_millis()).unwrap_or(u64::MAX);
    let begin_ms = case.at_ms().saturating_sub(lead_ms);
    let mut stage = Stage {
        rehearsal: Rehearsal::new(policy.clone(), begin_ms),
        nodes: BTreeMap::new(),
        cast: cast(case),
    };
    stage.set(case);
    stage.rehearsal.pass(LEAD);
    let mut checks = Vec::new();
    let mut at = Duration::ZERO;
    for (index, step) in case.steps().iter().enumerate() {
        at = at.saturating_add(step.after);
        let passed = stage.rehearsal.pass(step.after);
        let outcome = (!step.waits).then(|| stage.play(step));
        for probe in &step.probes {
            let got = match &outcome {
                Some(outcome) => judged(step, probe, outcome),
                None => waited(stage.rehearsal.policy(), step, probe, &passed.arrived),
            };
            checks.push(Check {
                step: index,
                at,
                topic: step.topic.clone(),
                metric: probe.metric.as_ref().map(|given| given.name.clone()),
                datatype: probe.metric.as_ref().map(|given| given.datatype),
                line: probe.line,
                expected: expected_in_words(probe, step.waits),
                passed: matches(policy, probe, &got),
                got,
            });
        }
    }
    CaseReport { checks }
}

/// The plant of one case.
struct Stage {
    rehearsal: Rehearsal,
    /// `seq` of the next message, and which devices are born, of the nodes that are.
    nodes: BTreeMap<(String, String), (u64, Vec<String>)>,
    cast: Cast,
}

/// The metrics that occur in data, by entity: their births have to have them.
type Cast = BTreeMap<(String, String, Option<String>), BTreeMap<String, Given>>;

fn cast(case: &Case) -> Cast {
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
    fn set(&mut self, case: &Case) {
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
    fn play(&mut self, step: &Step) -> Outcome {
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
        let now = self.rehearsal.now_ms();
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
                self.rehearsal.receive(received(&step.topic, &payload, step.retain))
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
        let now = self.rehearsal.now_ms();
        let payload = Payload { timestamp: Some(now), seq, ..payload }.encode_to_vec();
        self.rehearsal.receive(received(&topic.to_string(), &payload, retain))
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

/// What became of the metric, or of the message, that a probe is about.
fn judged(step: &Step, probe: &Probe, outcome: &Outcome) -> Got {
    let whole = match outcome.fate {
        MessageFate::Forwarded => Got::Forwarded {
            rule: None,
            arrives: outcome.arrived.last().map(|arrived| {
                Box::new(Seen { topic: arrived.topic.clone(), metric: Metric::default() })
            }),
        },
        MessageFate::Waiting => Got::Waiting { rule: None },
        MessageFate::Dropped { reason, rule } => Got::Dropped { reason, rule },
    };
    let Some(given) = &probe.metric else { return whole };
    let found = outcome.metrics.iter().find(|metric| metric.name == given.name);
    match found.map(|metric| &metric.fate) {
        None => whole,
        Some(MetricFate::Forwarded { rule, arrives }) => {
            let name = arrives.name.as_deref();
            let topic = topic_of(&outcome.arrived, name).unwrap_or(&step.topic);
            let seen = Seen { topic: topic.to_owned(), metric: (**arrives).clone() };
            Got::Forwarded { rule: *rule, arrives: Some(Box::new(seen)) }
        }
        Some(MetricFate::Waiting { rule }) => Got::Waiting { rule: *rule },
        Some(MetricFate::Dropped { reason, rule }) => Got::Dropped { reason: *reason, rule: *rule },
        Some(MetricFate::Replaced | MetricFate::Unneeded) => Got::Nothing,
    }
}

fn topic_of<'a>(arrived: &'a [Arrived], metric: Option<&str>) -> Option<&'a str> {
    let has = |arrived: &&Arrived| {
        arrived.payload.metrics.iter().any(|told| told.name.as_deref() == metric)
    };
    arrived.iter().rev().find(has).map(|arrived| arrived.topic.as_str())
}

/// The last that arrived of a metric while time passed.
fn waited(policy: &Policy, step: &Step, probe: &Probe, arrived: &[Arrived]) -> Got {
    let Some(given) = &probe.metric else { return Got::Nothing };
    let Ok(Topic::Entity(topic)) = Topic::parse(&step.topic) else { return Got::Nothing };
    let verdict = policy.judge(topic.entity, &given.name, Some(given.datatype));
    let name = told_name(policy, verdict, &given.name);
    for arrived in arrived.iter().rev().filter(|arrived| arrived.is_of(policy, topic.entity)) {
        let mut told = arrived.payload.metrics.iter().rev();
        if let Some(metric) = told.find(|told| told.name.as_deref() == Some(&name)) {
            let seen = Seen { topic: arrived.topic.clone(), metric: metric.clone() };
            return Got::Forwarded { rule: None, arrives: Some(Box::new(seen)) };
        }
    }
    Got::Nothing
}

/// Whether it is as expected. A rule that is named must be the one, where a rule decided.
fn matches(policy: &Policy, probe: &Probe, got: &Got) -> bool {
    let is_rule = |wanted: &Option<String>, rule: &Option<RuleId>| {
        let name = rule.and_then(|rule| policy.rule(rule)).map(|rule| rule.name());
        wanted.is_none() || wanted.as_deref() == name
    };
    match (&probe.expected, got) {
        (Expected::Forward { rule, arrives }, Got::Forwarded { rule: by, arrives: seen }) => {
            let datatype = probe.metric.as_ref().map(|given| given.datatype);
            (by.is_none() || is_rule(rule, by))
                && seen.as_ref().is_none_or(|seen| arrives_as(arrives, datatype, seen))
        }
        (Expected::Drop { reason, rule }, Got::Dropped { reason: got, rule: by }) => {
            reason.is_none_or(|reason| reason == *got) && is_rule(rule, by)
        }
        (Expected::Wait { rule }, Got::Waiting { rule: by }) => is_rule(rule, by),
        (Expected::Drop { reason: None, rule: None }, Got::Nothing) => true,
        _ => false,
    }
}

fn arrives_as(wanted: &Arrives, datatype: Option<DataType>, seen: &Seen) -> bool {
    let metric = &seen.metric;
    let is_value = wanted.value.as_ref().is_none_or(|wanted| {
        metric.value.as_ref().is_some_and(|got| is_close(datatype, wanted, got))
    });
    let keys = || {
        let properties = metric.properties.iter().flat_map(|set| &set.keys).cloned();
        let mut keys: Vec<String> = properties.collect();
        keys.sort_unstable();
        keys
    };
    let are_properties = wanted.properties.as_ref().is_none_or(|wanted| {
        let mut wanted = wanted.clone();
        wanted.sort_unstable();
        wanted == keys()
    });
    is_value
        && are_properties
        && wanted.null.is_none_or(|null| null == metric.value.is_none())
        && wanted.metric.as_ref().is_none_or(|name| metric.name.as_ref() == Some(name))
        && wanted.topic.as_ref().is_none_or(|topic| *topic == seen.topic)
        && wanted.quality.is_none_or(|wanted| quality(metric) == Some(wanted))
}

/// The `Quality` property.
pub fn quality(metric: &Metric) -> Option<i64> {
    let set = metric.properties.as_ref()?;
    let place = set.keys.iter().position(|key| key == "Quality")?;
    match set.values.get(place)?.value.as_ref()? {
        Property::Int(quality) => Some(i64::from(quality.cast_signed())),
        Property::Long(quality) => Some(quality.cast_signed()),
        _ => None,
    }
}

/// Decimal fractions are rounded on their way; the rest has to be equal.
fn is_close(datatype: Option<DataType>, wanted: &Value, got: &Value) -> bool {
    let close = |wanted: f64, got: f64, share: f64| {
        wanted == got || (wanted - got).abs() <= share * wanted.abs().max(got.abs())
    };
    match (wanted, got) {
        (Value::Double(wanted), Value::Double(got)) => close(*wanted, *got, 1e-12),
        (Value::Float(wanted), Value::Float(got)) => {
            close(f64::from(*wanted), f64::from(*got), 1e-6)
        }
        _ => match datatype {
            // Two encodings of the same number.
            Some(datatype) => value::read(datatype, wanted) == value::read(datatype, got),
            None => value::same(wanted, got),
        },
    }
}

fn expected_in_words(probe: &Probe, waits: bool) -> String {
    match &probe.expected {
        Expected::Forward { rule, arrives } => {
            let mut words = "forward".to_owned();
            if let Some(rule) = rule {
                words.push_str(&format!(" by `{rule}`"));
            }
            let datatype = probe.metric.as_ref().map(|given| given.datatype);
            let arrives = arrives_in_words(arrives, datatype);
            if !arrives.is_empty() {
                words.push_str(&format!(", arriving as {}", arrives.join(", ")));
            }
            words
        }
        Expected::Wait { rule } => match rule {
            Some(rule) => format!("wait by `{rule}`"),
            None => "wait".to_owned(),
        },
        Expected::Drop { .. } if waits => "nothing".to_owned(),
        Expected::Drop { reason, rule } => {
            let mut words = "drop".to_owned();
            if let Some(reason) = reason {
                words.push_str(&format!(", {reason}"));
            }
            if let Some(rule) = rule {
                words.push_str(&format!(", by `{rule}`"));
            }
            words
        }
    }
}

fn arrives_in_words(arrives: &Arrives, datatype: Option<DataType>) -> Vec<String> {
    let mut words = Vec::new();
    if let Some(topic) = &arrives.topic {
        words.push(topic.clone());
    }
    if let Some(metric) = &arrives.metric {
        words.push(format!("metric `{metric}`"));
    }
    if let Some(value) = &arrives.value {
        words.push(value::show(datatype, value, MAX_VALUE_CHARS));
    }
    match arrives.null {
        Some(true) => words.push("null".to_owned()),
        Some(false) => words.push("a value".to_owned()),
        None => {}
    }
    if let Some(quality) = arrives.quality {
        words.push(format!("Quality {quality}"));
    }
    match arrives.properties.as_deref() {
        None => {}
        Some([]) => words.push("no properties".to_owned()),
        Some(keys) => words.push(format!("properties {}", keys.join(", "))),
    }
    words
}

impl Got {
    /// The rule that decided.
    pub fn rule(&self) -> Option<RuleId> {
        match self {
            Got::Forwarded { rule, .. } | Got::Waiting { rule } | Got::Dropped { rule, .. } => {
                *rule
            }
            Got::Nothing => None,
        }
    }
}

impl Check {
    /// What arrived, in words: topic and name where they aren't those that were sent.
    pub fn arrives_in_words(&self) -> Vec<String> {
        let Got::Forwarded { arrives: Some(seen), .. } = &self.got else { return Vec::new() };
        let mut words = Vec::new();
        if seen.topic != self.topic {
            words.push(escape_to(&seen.topic, MAX_NAME_CHARS).to_string());
        }
        let metric = &seen.metric;
        if let Some(name) = &metric.name {
            if self.metric.as_ref() != Some(name) {
                words.push(format!("metric `{}`", escape_to(name, MAX_NAME_CHARS)));
            }
            words.push(match &metric.value {
                Some(value) => value::show(self.datatype, value, MAX_VALUE_CHARS),
                None => "null".to_owned(),
            });
            if let Some(quality) = quality(metric) {
                words.push(format!("Quality {quality}"));
            }
            let keys = metric.properties.iter().flat_map(|set| &set.keys);
            let keys: Vec<&str> = keys.map(String::as_str).collect();
            if !keys.is_empty() {
                words.push(format!("properties {}", keys.join(", ")));
            }
        }
        words
    }

    /// What happened, in words.
    pub fn got_in_words(&self, policy: &Policy) -> String {
        let by = |rule: &Option<RuleId>| {
            let rule = rule.and_then(|rule| policy.rule(rule));
            rule.map(|rule| format!(" by `{}`", rule.name())).unwrap_or_default()
        };
        match &self.got {
            Got::Forwarded { rule, .. } => {
                let words = self.arrives_in_words();
                match words.is_empty() {
                    true => format!("forward{}", by(rule)),
                    false => format!("forward{}, arriving as {}", by(rule), words.join(", ")),
                }
            }
            Got::Waiting { rule } => format!("wait{}", by(rule)),
            Got::Dropped { reason, rule } => {
                let by = by(rule);
                let comma = if by.is_empty() { "" } else { "," };
                format!("drop, {reason}{comma}{by}")
            }
            Got::Nothing => "nothing".to_owned(),
        }
    }
}
