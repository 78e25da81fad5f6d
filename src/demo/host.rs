//! The host application of the demo, on the IT side: sans-IO. The strict host judges what arrives
//! against the specification, as it does in the end-to-end suite; added here is what only the demo
//! knows. What breaks a rule is a violation, and fails the demo.
//!
//! | added here | source |
//! |---|---|
//! | every data message that the plant counts is seen, or is part of a birth; none comes twice | the plant's numbers |
//! | no word of what the policy denies, anywhere in topic or payload | the relay's promise |
//! | no aliases, nothing retained | the relay's promise |
//! | a death has its time, and metrics that are whole | the relay's habit |
//! | instances of templates in births have all parameters of their definition | the plant's habit |

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::mem;
use std::time::Duration;

use sparkplug::{Metric, Payload, Template, Value};
use strict_host::{
    Address, Definitions, Findings, Level, MessageType, NodeHistory, REBIRTH, Session,
};

use super::plant::{COUNT, PUBLISHED};

/// Violations that are kept with their text; all are counted.
const MAX_KEPT_VIOLATIONS: usize = 20;
/// Latencies that are kept: three hours at 100 messages per second.
const MAX_LATENCIES: usize = 1_000_000;
/// Numbers of messages that are remembered until they come as history, of each edge node: more are lost.
const MAX_NUMBERS: usize = 100_000;
/// How old the timestamp of an NDEATH may be, and how far ahead of our clock.
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
    session: Session,
    /// The session before: its values are the last known until their device is born again.
    former: Session,
    history: NodeHistory,
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
    /// Data messages that the plant counted and that were neither seen nor part of a birth, by device
    /// and number; and those that came as history.
    missed: BTreeSet<Number>,
    late: BTreeSet<Number>,
    /// Missed beyond what is remembered.
    lost: u64,
    /// Data messages that came again.
    pub(super) repeated: u64,
}

/// The plant's number of a data message, of the edge node itself or of a device.
type Number = (Option<String>, u64);

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
        let topic = arrival.topic;
        // Commands and STATE are those of hosts, not the relay's.
        if let ["spBv1.0", _, "NCMD", _] | ["spBv1.0", _, "DCMD", _, _] | ["spBv1.0", "STATE", _] =
            topic.split('/').collect::<Vec<_>>().as_slice()
        {
            return;
        }
        for word in self.forbidden.clone() {
            let leaks =
                |bytes: &[u8]| bytes.windows(word.len()).any(|part| part == word.as_bytes());
            if leaks(topic.as_bytes()) || leaks(arrival.payload) {
                self.violate(topic, format_args!("`{word}` is denied by the policy"));
            }
        }
        if arrival.retain {
            self.violate(topic, "retained");
        }
        let mut findings = Findings::default();
        if let Some(address) = Address::parse(topic, &mut findings) {
            self.judge(&arrival, &address, &mut findings);
        }
        for finding in findings.take().iter().filter(|finding| finding.level == Level::Error) {
            self.violate(topic, format_args!("{}: {}", finding.rule, finding.text));
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

    fn judge(&mut self, arrival: &Arrival, address: &Address, findings: &mut Findings) {
        let (kind, device) = (address.kind, address.device.as_deref());
        let node = address.node.edge_node.as_str();
        let now_ms = arrival.wall_us.checked_div(1_000).unwrap_or(0);
        let view = self.nodes.entry(node.to_owned()).or_default();
        if kind == MessageType::NBirth && view.session.is_dead() {
            view.former = mem::take(&mut view.session);
        }
        let entity = view.session.entity(device).filter(|_| view.alive);
        let count_before = entity.map(|entity| count_of(entity.value(COUNT)));
        let Some(payload) =
            view.session.judge(address, arrival.payload, now_ms, &mut view.history, findings)
        else {
            return;
        };
        match kind {
            MessageType::NBirth => view.count_birth(arrival.at),
            MessageType::NDeath => view.count_death(arrival.at),
            MessageType::NData | MessageType::DData => {
                view.count_data(device, &payload, count_before);
            }
            MessageType::DBirth | MessageType::DDeath => {}
        }
        let definitions = view.session.definitions();
        let mut problems = problems_of_plant(kind, &payload, definitions);
        problems.extend(problems_of_relay(kind, &payload, now_ms));
        for problem in problems {
            self.violate(arrival.topic, problem);
        }
        if matches!(kind, MessageType::NData | MessageType::DData)
            && !self.untimed.iter().any(|untimed| untimed == node)
        {
            self.measure_latency(arrival, node, device, &payload);
        }
    }

    /// From the plant's publication, which the payload says, to us.
    fn measure_latency(
        &mut self,
        arrival: &Arrival,
        node: &str,
        device: Option<&str>,
        payload: &Payload,
    ) {
        let entity = self.nodes.get(node).and_then(|view| view.session.entity(device));
        let known = entity.is_some_and(|entity| entity.value(PUBLISHED).is_some());
        let fresh = |metric: &&Metric| metric.name() == PUBLISHED && !metric.is_historical();
        for metric in payload.metrics.iter().filter(fresh).filter(|_| known) {
            if let Some(Value::Long(published_us)) = metric.value
                && self.latencies_us.len() < MAX_LATENCIES
            {
                let latency = arrival.wall_us.saturating_sub(published_us);
                let latency = latency.try_into().unwrap_or(u32::MAX);
                self.latencies_us.push(latency);
                if self.slowest.as_ref().is_none_or(|slowest| latency > slowest.0) {
                    self.slowest = Some((latency, arrival.topic.to_owned(), arrival.at));
                }
            }
        }
    }
}

impl NodeView {
    /// Sequence number of the last message.
    pub(super) fn seq(&self) -> u8 {
        self.session.seq().and_then(|seq| seq.try_into().ok()).unwrap_or(0)
    }

    /// Of the last session.
    pub(super) fn bd_seq(&self) -> Option<u64> {
        self.session.bd_seq()
    }

    /// Devices that are born.
    pub(super) fn devices(&self) -> usize {
        if self.alive { self.session.devices().count() } else { 0 }
    }

    /// Metrics that are born, of the node and its devices.
    pub(super) fn metrics(&self) -> usize {
        if !self.alive {
            return 0;
        }
        let node = self.session.entity(None).into_iter();
        let born = node.chain(self.session.devices());
        born.map(|entity| entity.names().count()).fold(0, usize::saturating_add)
    }

    /// Names that the last birth of the node (`None`) or of a device had, without `bdSeq`,
    /// `Node Control/*` and template definitions.
    pub(super) fn names(&self, device: Option<&str>) -> Option<BTreeSet<&str>> {
        let entity = self.session.entity(device).filter(|_| self.alive)?;
        let definitions = self.session.definitions();
        let own = |name: &&str| *name != "bdSeq" && *name != REBIRTH && !definitions.contains(name);
        Some(entity.names().filter(own).collect())
    }

    /// Last known value of a metric.
    pub(super) fn value(&self, device: Option<&str>, name: &str) -> Option<&Value> {
        self.session.entity(device).or_else(|| self.former.entity(device))?.value(name)
    }

    fn count_birth(&mut self, at: Duration) {
        if self.alive {
            self.rebirths = self.rebirths.saturating_add(1);
            self.reborn_at = Some(at);
        } else {
            self.births = self.births.saturating_add(1);
            self.born_at = Some(at);
        }
        self.alive = true;
    }

    fn count_death(&mut self, at: Duration) {
        self.alive = false;
        self.died_at = Some(at);
        self.deaths = self.deaths.saturating_add(1);
    }

    /// Data messages that never came.
    pub(super) fn lost(&self) -> u64 {
        let missed = self.missed.difference(&self.late).count();
        self.lost.saturating_add(u64::try_from(missed).unwrap_or(u64::MAX))
    }

    /// Of those that didn't come in their turn: how many came as history.
    pub(super) fn made_up(&self) -> u64 {
        u64::try_from(self.missed.intersection(&self.late).count()).unwrap_or(u64::MAX)
    }

    /// `count_before` is the plant's count that the entity showed before this message, if it is
    /// born.
    fn count_data(&mut self, device: Option<&str>, payload: &Payload, count_before: Option<u64>) {
        let counted = payload.metrics.iter().find(|metric| metric.name() == COUNT);
        let count = counted.map(|counted| count_of(counted.value.as_ref()));
        let number = |count| (device.map(str::to_owned), count);
        if payload.metrics.iter().any(Metric::is_historical) {
            self.historical = self.historical.saturating_add(1);
            if let Some(count) = count.filter(|_| self.late.len() < MAX_NUMBERS) {
                self.late.insert(number(count));
            }
            return;
        }
        self.data = self.data.saturating_add(1);
        if let (Some(before), Some(count)) = (count_before, count) {
            let room = MAX_NUMBERS.saturating_sub(self.missed.len());
            let missing = before.saturating_add(1)..count;
            let beyond = count.saturating_sub(missing.start).saturating_sub(room as u64);
            self.lost = self.lost.saturating_add(beyond);
            self.missed.extend(missing.take(room).map(number));
            self.repeated = self.repeated.saturating_add((count <= before).into());
        }
    }
}

fn count_of(value: Option<&Value>) -> u64 {
    match value {
        Some(Value::Long(count)) => *count,
        _ => 0,
    }
}

/// What the specification allows and the relay doesn't do.
fn problems_of_relay(kind: MessageType, payload: &Payload, now_ms: u64) -> Vec<String> {
    let mut problems = Vec::new();
    for metric in payload.metrics.iter().filter(|metric| metric.alias.is_some()) {
        problems.push(format!("`{}` has an alias", metric.name()));
    }
    if !matches!(kind, MessageType::NDeath | MessageType::DDeath) {
        return problems;
    }
    match payload.timestamp {
        None => problems.push("payload without timestamp".into()),
        Some(time) if time > now_ms.saturating_add(MAX_AHEAD_MS) => {
            problems.push("payload from the future".into());
        }
        Some(time) if time.saturating_add(MAX_AGE_MS) < now_ms => {
            problems.push("payload timestamp out of date".into());
        }
        Some(_) => {}
    }
    for metric in &payload.metrics {
        let name = metric.name();
        if name.is_empty() {
            problems.push("a metric without name".into());
        }
        if metric.timestamp.is_none() {
            problems.push(format!("`{name}` without timestamp"));
        }
        if metric.value.is_some() == metric.is_null() {
            problems.push(format!("`{name}` needs a value or is_null, not both"));
        }
    }
    problems
}

/// What the specification allows and the plant doesn't do.
fn problems_of_plant(
    kind: MessageType,
    payload: &Payload,
    definitions: &Definitions,
) -> Vec<String> {
    if !matches!(kind, MessageType::NBirth | MessageType::DBirth) {
        return Vec::new();
    }
    let parameters = |template: &Template| -> BTreeSet<Option<String>> {
        template.parameters.iter().map(|parameter| parameter.name.clone()).collect()
    };
    let incomplete = |metric: &&Metric| match &metric.value {
        Some(Value::Template(template)) if !template.is_definition() => definitions
            .find(template.template_ref())
            .is_some_and(|definition| parameters(definition) != parameters(template)),
        _ => false,
    };
    let incomplete = payload.metrics.iter().filter(incomplete);
    incomplete
        .map(|metric| {
            format!(
                "template instance `{}` has other parameters than its definition",
                metric.name()
            )
        })
        .collect()
}

#[cfg(test)]
mod tests;
