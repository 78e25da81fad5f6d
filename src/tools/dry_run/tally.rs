//! What becomes of a whole recording, counted by entity and metric.

use std::collections::{BTreeMap, HashMap};

use account::{Reason, RuleId};
use mistake::mistake;
use sparkplug::{DataType, MessageType, Topic, Value};

use super::{Arrived, Displaced, MessageFate, MetricFate, MetricOutcome, Outcome, Passed};

/// Why something was dropped, and by which rule.
pub type Cause = (Reason, Option<RuleId>);

/// Counts of a recording.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub messages: u64,
    pub forwarded: u64,
    pub waiting: u64,
    /// Messages that were dropped as a whole.
    pub dropped: BTreeMap<Cause, u64>,
    /// By `group/edge_node[/device]`.
    pub entities: BTreeMap<String, EntityTally>,
    /// Messages of no edge node or device, by topic.
    pub others: BTreeMap<(String, Reason), u64>,
    /// Messages of the relay's own making: births that a later metric made necessary, and
    /// values that were held back.
    pub synthetic: u64,
    /// Where told metrics come from: entity and name of the plant, by topic's entity and name.
    origins: HashMap<(String, String), (String, String)>,
}

/// Counts of one edge node or device.
#[derive(Clone, Debug, Default)]
pub struct EntityTally {
    pub births: u64,
    pub data: u64,
    pub deaths: u64,
    /// Messages of it that crossed, at least in part.
    pub forwarded: u64,
    pub dropped: BTreeMap<Cause, u64>,
    pub metrics: BTreeMap<String, MetricTally>,
}

/// Counts of one metric.
#[derive(Clone, Debug, Default)]
pub struct MetricTally {
    pub datatype: Option<DataType>,
    /// Values that were sent, in births and data.
    pub sent: u64,
    pub forwarded: BTreeMap<Option<RuleId>, u64>,
    /// Of those that crossed, how many with another value, or none.
    pub altered: u64,
    pub dropped: BTreeMap<Cause, u64>,
    pub waiting: u64,
    /// Values that were held back and arrived later.
    pub late: u64,
    /// Neither forwarded nor dropped: the relay has its own, or nobody needs it.
    pub own: u64,
    /// The name under which it crosses, where that is another one.
    pub told_as: Option<String>,
    pub last_sent: Option<Value>,
    pub last_arrived: Option<Value>,
}

impl MetricTally {
    /// Values that crossed, at once or later.
    pub fn crossed(&self) -> u64 {
        self.forwarded.values().sum::<u64>().saturating_add(self.late)
    }
}

impl Tally {
    /// Counts a message and what became of it.
    pub fn add(&mut self, topic: &str, outcome: &Outcome) {
        self.messages = self.messages.saturating_add(1);
        match outcome.fate {
            MessageFate::Forwarded => self.forwarded = self.forwarded.saturating_add(1),
            MessageFate::Waiting => self.waiting = self.waiting.saturating_add(1),
            MessageFate::Dropped { reason, rule } => count(&mut self.dropped, (reason, rule)),
        }
        self.add_synthetic(&outcome.arrived);
        self.add_displaced(&outcome.displaced);
        let parsed = match Topic::parse(topic) {
            Ok(Topic::Entity(topic) | Topic::StoredBirth(topic)) => topic,
            _ => {
                if let MessageFate::Dropped { reason, .. } = outcome.fate {
                    count(&mut self.others, (topic.to_owned(), reason));
                }
                return;
            }
        };
        let name = parsed.entity.to_string();
        let entity = self.entities.entry(name.clone()).or_default();
        let kind = match parsed.message_type {
            MessageType::NBirth | MessageType::DBirth => &mut entity.births,
            MessageType::NData | MessageType::DData => &mut entity.data,
            MessageType::NDeath | MessageType::DDeath => &mut entity.deaths,
        };
        *kind = kind.saturating_add(1);
        match outcome.fate {
            MessageFate::Dropped { reason, rule } => count(&mut entity.dropped, (reason, rule)),
            MessageFate::Forwarded => entity.forwarded = entity.forwarded.saturating_add(1),
            MessageFate::Waiting => {}
        }
        let told_entity = outcome.arrived.iter().find_map(|arrived| {
            let Ok(Topic::Entity(topic)) = Topic::parse(&arrived.topic) else {
                mistake!("the pipeline journals under the topics of entities only");
                return None;
            };
            // A node's birth of the relay's own making may come before.
            let same = topic.entity.device.is_some() == parsed.entity.device.is_some();
            same.then(|| topic.entity.to_string())
        });
        for metric in &outcome.metrics {
            let tally = entity.metrics.entry(metric.name.clone()).or_default();
            tally.add(metric);
            if let (MetricFate::Forwarded { arrives, .. }, Some(exported)) =
                (&metric.fate, &told_entity)
            {
                let exported_name = arrives.name.clone().unwrap_or_default();
                let key = (exported.clone(), exported_name);
                self.origins.entry(key).or_insert_with(|| (name.clone(), metric.name.clone()));
            }
        }
    }

    /// Counts what arrived while time passed.
    pub fn add_late(&mut self, passed: &Passed) {
        self.add_synthetic(&passed.arrived);
        self.add_displaced(&passed.displaced);
        for arrived in &passed.arrived {
            let Ok(Topic::Entity(topic)) = Topic::parse(&arrived.topic) else {
                mistake!("the pipeline journals under the topics of entities only");
                continue;
            };
            if !topic.message_type.is_data() {
                continue;
            }
            let exported = topic.entity.to_string();
            for metric in &arrived.payload.metrics {
                let key = (exported.clone(), metric.name.clone().unwrap_or_default());
                let Some((entity, name)) = self.origins.get(&key) else { continue };
                let entity = self.entities.get_mut(entity);
                if let Some(tally) = entity.and_then(|entity| entity.metrics.get_mut(name)) {
                    tally.late = tally.late.saturating_add(1);
                    tally.last_arrived.clone_from(&metric.value);
                }
            }
        }
    }

    fn add_displaced(&mut self, displaced: &[Displaced]) {
        for displaced in displaced {
            let entity = self.entities.get_mut(&displaced.entity);
            let metric = entity.and_then(|entity| entity.metrics.get_mut(&displaced.metric));
            if let Some(tally) = metric {
                count(&mut tally.dropped, (displaced.reason, displaced.rule));
            }
        }
    }

    fn add_synthetic(&mut self, arrived: &[Arrived]) {
        let made = arrived.iter().filter(|arrived| arrived.synthetic).count();
        self.synthetic = self.synthetic.saturating_add(u64::try_from(made).unwrap_or(u64::MAX));
    }
}

impl MetricTally {
    fn add(&mut self, metric: &MetricOutcome) {
        self.sent = self.sent.saturating_add(1);
        self.datatype = metric.datatype.or(self.datatype);
        self.last_sent.clone_from(&metric.sent);
        match &metric.fate {
            MetricFate::Forwarded { rule, arrives } => {
                count(&mut self.forwarded, *rule);
                if arrives.value != metric.sent {
                    self.altered = self.altered.saturating_add(1);
                }
                self.last_arrived.clone_from(&arrives.value);
                if arrives.name.as_ref() != Some(&metric.name) {
                    self.told_as.clone_from(&arrives.name);
                }
            }
            MetricFate::Waiting { .. } => self.waiting = self.waiting.saturating_add(1),
            MetricFate::Dropped { reason, rule } => count(&mut self.dropped, (*reason, *rule)),
            MetricFate::Replaced | MetricFate::Unneeded => {
                self.own = self.own.saturating_add(1);
            }
        }
    }
}

fn count<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K) {
    let count = counts.entry(key).or_default();
    *count = count.saturating_add(1);
}
