//! Runs a policy over given traffic, message by message, through the OT half's own pipeline on
//! a virtual clock, and reports what becomes of every metric. What the policy tools show is what
//! the relay does: nothing of it is worked out a second time here.
//!
//! ```text
//!  messages, time ──> DryRun ── Pipeline ──> bodies of the journal ──┐
//!                         │            └──────> entries of the ledger ──┴──> Outcome
//!                         └ case: the `[[case]]` tables of a policy
//! ```

pub mod case;
pub mod coverage;
mod names;
mod order;
pub mod tally;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use account::{Fate, LedgerEntry, Reason, RuleId};
use journal_format::Body;
use ot::{Entry, Now, Pipeline, PipelineSettings, Received};
use policy::shape::PseudonymKey;
use policy::{Mode, Policy, Verdict};
use sparkplug::{
    Borrowed, Budget, Caps, DataType, Entity, EntityTopic, Metric, Payload, Topic, Value, decode,
    decode_parts, names as known, value,
};

use self::names::{Names, exported_name};
pub use self::order::Judged;
use self::order::{Early, Split};

/// How often the relay does what is due; see the worker of the OT half.
const TICK_EVERY: Duration = Duration::from_millis(100);
/// In a pause that is longer than this, the rest passes in larger steps: what was held back has
/// arrived, and a recording may have hours of silence.
const FINE_TICKS: Duration = Duration::from_secs(120);
const COARSE_TICK: Duration = Duration::from_secs(10);
/// And after this, in even larger ones.
const COARSE_TICKS: Duration = Duration::from_secs(3_600);
const COARSEST_TICK: Duration = Duration::from_secs(60);
/// Keyframes repeat what was told; they are of no interest here.
const KEYFRAME_EVERY: Duration = Duration::from_secs(3_600);
/// As in the configuration, where it isn't set.
const REORDER_TIMEOUT: Duration = Duration::from_secs(2);
/// Of at least the length that a key must have.
const STAGE_KEY: &[u8] = b"pseudonyms of a rehearsal aren't secret";

/// A policy that is tried out.
#[derive(Debug)]
pub struct DryRun {
    pipeline: Pipeline,
    now: Now,
    next_tick: Duration,
    names: Names,
    /// Messages that were handed in.
    number: u64,
    /// What observing rules had seen before the message or the time at hand, by rule.
    seen: Vec<u64>,
    /// Those of them that wait for their turn in the order of their node.
    early: HashMap<u64, Early>,
    #[cfg(test)]
    record: Option<tests::Record>,
}

/// What became of one message.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub fate: MessageFate,
    /// Its metrics, in order; none where it couldn't be read, or has none.
    pub metrics: Vec<MetricOutcome>,
    /// What was journalled because of it, in order.
    pub arrived: Vec<Arrived>,
    /// Values of earlier messages in whose place newer ones wait now.
    pub displaced: Vec<Displaced>,
    /// It came before its turn: under this number is told later what became of it, and nothing of
    /// that is told here.
    pub early: Option<u64>,
    /// Messages that had come before their turn, and were judged with this one.
    pub judged: Vec<Judged>,
}

/// A value that waited for a rate limit and won't cross any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Displaced {
    /// `group/edge_node[/device]`.
    pub entity: String,
    pub metric: String,
    pub reason: Reason,
    pub rule: Option<RuleId>,
}

/// What happened while time passed.
#[derive(Clone, Debug, Default)]
pub struct Passed {
    /// What was journalled, in order.
    pub arrived: Vec<Arrived>,
    /// Values that waited and were dropped.
    pub displaced: Vec<Displaced>,
    /// Messages that had come before their turn, and were judged.
    pub judged: Vec<Judged>,
}

/// What became of a message as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageFate {
    /// At least a part of it crosses.
    Forwarded,
    /// It waits for its turn, or for a birth.
    Waiting,
    Dropped {
        reason: Reason,
        rule: Option<RuleId>,
    },
}

/// What became of one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricOutcome {
    /// Its name, also where it came by alias; empty if that isn't known.
    pub name: String,
    /// From the message or the last birth.
    pub datatype: Option<DataType>,
    /// What was sent; `None` is null.
    pub sent: Option<Value>,
    pub fate: MetricFate,
    /// The rule in `mode = "observe"` that would decide about it.
    pub observed_by: Option<RuleId>,
}

/// What becomes of a metric.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricFate {
    /// It crosses by this rule; what arrives.
    Forwarded {
        rule: Option<RuleId>,
        arrives: Box<Metric>,
    },
    /// It waits for the turn that a rate limit gives it, or for the birth that has to tell it.
    Waiting {
        rule: Option<RuleId>,
    },
    Dropped {
        reason: Reason,
        rule: Option<RuleId>,
    },
    /// `bdSeq` and `Node Control/Rebirth`: the relay tells its own.
    Replaced,
    /// The definition of a template of which nothing crosses.
    Unneeded,
}

/// A message as the IT half gets it.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrived {
    /// When, in milliseconds since the epoch (UTC).
    pub at_ms: u64,
    pub topic: String,
    pub payload: Payload,
    /// Made by the relay: it doesn't answer a message of the plant.
    pub synthetic: bool,
}

impl DryRun {
    /// Begins at `wall_ms` (milliseconds since the epoch, UTC), with an empty plant.
    pub fn new(mut policy: Policy, wall_ms: u64) -> DryRun {
        // The real key is the OT half's alone. What is tried out shows that there are pseudonyms,
        // not which.
        if let (Some(_), Ok(key)) = (policy.needs_pseudonym_key(), PseudonymKey::new(STAGE_KEY)) {
            policy.set_pseudonym_key(key);
        }
        let now = Now { mono: Duration::from_secs(1), wall_ms };
        let settings = PipelineSettings {
            source: "dry_run".to_owned(),
            keyframe_every: KEYFRAME_EVERY,
            reorder_timeout: REORDER_TIMEOUT,
            doubt_after: Duration::from_secs(300),
            max_nodes: 100_000,
            max_devices_per_node: 100_000,
            budget: Budget::UNLIMITED,
            caps: Caps::DEFAULT,
        };
        let mut pipeline = Pipeline::new(settings, policy, now);
        pipeline.watch();
        pipeline.tell_by_names();
        pipeline.session(now, false);
        DryRun {
            pipeline,
            now,
            next_tick: now.mono,
            names: Names::default(),
            number: 0,
            seen: Vec::new(),
            early: HashMap::new(),
            #[cfg(test)]
            record: None,
        }
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        self.pipeline.policy()
    }

    /// The wall clock, in milliseconds since the epoch (UTC).
    pub fn now_ms(&self) -> u64 {
        self.now.wall_ms
    }

    /// Lets time pass; what arrives meanwhile.
    pub fn pass(&mut self, time: Duration) -> Passed {
        let begin = self.now.mono;
        let end = begin.saturating_add(time);
        // After a long pause the next tick may be far.
        self.next_tick = self.next_tick.min(begin.saturating_add(TICK_EVERY));
        let mut passed = Passed::default();
        // Ends: every turn either ticks, which moves the next tick on, or reaches the end.
        while self.next_tick <= end {
            self.advance_to(self.next_tick);
            self.seen = self.observed();
            let mut out = Vec::new();
            self.pipeline.tick(self.now, &mut out);
            let Split { before, own, after, .. } = self.split(out);
            let judged = before.into_iter().chain(after);
            passed.judged.extend(judged.filter_map(|part| self.judged(part)));
            passed.arrived.extend(self.read(own.out));
            passed.displaced.extend(own.entries.into_iter().filter_map(displaced));
            let step = match self.now.mono.saturating_sub(begin) {
                since if since >= COARSE_TICKS => COARSEST_TICK,
                since if since >= FINE_TICKS => COARSE_TICK,
                _ => TICK_EVERY,
            };
            self.next_tick = self.now.mono.saturating_add(step);
            if self.now.mono < end && self.next_tick > end && step > TICK_EVERY {
                // At its end as much is done as there would be with small steps.
                self.next_tick = end;
            }
        }
        self.advance_to(end);
        passed
    }

    /// Lets time pass until `wall_ms`; a clock that went backwards is taken as standing still.
    pub fn pass_until(&mut self, wall_ms: u64) -> Passed {
        self.pass(Duration::from_millis(wall_ms.saturating_sub(self.now.wall_ms)))
    }

    /// Hands a message to the relay.
    pub fn receive(&mut self, received: Received<'_>) -> Outcome {
        self.number = self.number.wrapping_add(1);
        self.seen = self.observed();
        let mut out = Vec::new();
        self.pipeline.handle(self.now, received, &mut out);
        let Split { early, before, own, after } = self.split(out);
        if early {
            self.early.insert(self.number, Early::of(self.now.wall_ms, received));
        }
        let mut judged: Vec<Judged> =
            before.into_iter().filter_map(|part| self.judged(part)).collect();
        let mut outcome = self.outcome(received, own.entries, own.out);
        judged.extend(after.into_iter().filter_map(|part| self.judged(part)));
        outcome.early = early.then_some(self.number);
        outcome.judged = judged;
        outcome
    }

    /// What became of a message, by what was entered and journalled because of it.
    fn outcome(
        &mut self,
        received: Received<'_>,
        entries: Vec<LedgerEntry>,
        out: Vec<Entry>,
    ) -> Outcome {
        let arrived = self.read(out);
        let topic = match Topic::parse(received.topic) {
            Ok(Topic::Entity(topic) | Topic::StoredBirth(topic)) => Some(topic),
            _ => None,
        };
        let fate = entries.iter().rev().find_map(|entry| match entry {
            LedgerEntry::Settled(Fate::Forwarded) => Some(MessageFate::Forwarded),
            LedgerEntry::Settled(Fate::Waiting) => Some(MessageFate::Waiting),
            LedgerEntry::Settled(Fate::Dropped(reason)) => {
                Some(MessageFate::Dropped { reason: *reason, rule: None })
            }
            LedgerEntry::Settled(Fate::DroppedBy(reason, rule)) => {
                Some(MessageFate::Dropped { reason: *reason, rule: *rule })
            }
            LedgerEntry::Dropped { .. } => None,
        });
        // Every message is settled.
        let fate = fate.unwrap_or(MessageFate::Forwarded);
        let (conflated, entries): (Vec<LedgerEntry>, Vec<LedgerEntry>) =
            entries.into_iter().partition(|entry| {
                // What is conflated is a value that waited, never the one that came now.
                matches!(entry, LedgerEntry::Dropped { reason: Reason::Conflated, .. })
            });
        let displaced = conflated.into_iter().filter_map(displaced).collect();
        let metrics = match topic {
            None => Vec::new(),
            Some(topic) => self.metrics(topic, received.payload, fate, entries, &arrived),
        };
        Outcome { fate, metrics, arrived, displaced, early: None, judged: Vec::new() }
    }

    /// Finds out what became of each metric: dropped ones stand in the ledger, the others in
    /// what arrived.
    fn metrics(
        &mut self,
        topic: EntityTopic<'_>,
        payload: &[u8],
        fate: MessageFate,
        entries: Vec<LedgerEntry>,
        arrived: &[Arrived],
    ) -> Vec<MetricOutcome> {
        let mut inflated = Vec::new();
        // As the pipeline reads it: without what can't be used of single metrics.
        let read = decode_parts(payload, &mut inflated, &Caps::DEFAULT);
        let Ok(payload) = read.map(Borrowed::into_payload) else { return Vec::new() };
        if topic.message_type.is_birth() {
            self.names.learn(topic.entity, &payload);
        }
        let mut drops = Drops::default();
        for entry in entries {
            if let LedgerEntry::Dropped { metric, reason, rule, .. } = entry {
                drops.add(metric, reason, rule);
            }
        }
        let policy = self.pipeline.policy();
        let plan = policy.plan(topic.entity);
        let mut arrivals = Arrivals::new(policy, topic.entity, arrived);
        let mut outcomes = Vec::new();
        // That it would is the plan's word, that it came to that the pipeline's.
        let observed = self.observed();
        let has_seen = |rule: &RuleId| observed.get(rule.index()) != self.seen.get(rule.index());
        for metric in payload.metrics {
            let (name, datatype) = self.names.of(topic.entity, &metric);
            let sent = metric.value.clone().filter(|_| metric.is_null != Some(true));
            let verdict = plan.judge(&name, datatype);
            let rule = rule_of(verdict);
            // What arrived under the name of a dropped one is another metric's.
            let own_name = is_definition(sent.as_ref()).then_some(Cow::Borrowed(name.as_str()));
            let exported = exported_name(policy, verdict, &name).or(own_name);
            let exported = exported.as_deref();
            let forwarded = |arrives| MetricFate::Forwarded { rule, arrives: Box::new(arrives) };
            let fate = if known::is_own(topic, &name) {
                MetricFate::Replaced
            } else if let Some(arrives) = arrivals.take_same(exported, &metric) {
                forwarded(arrives)
            } else if let Some((reason, rule)) = drops.take(&name) {
                // What a shape makes null is counted, and crosses all the same.
                match arrivals.take_null(exported).filter(|_| reason != Reason::Redacted) {
                    Some(arrives) => forwarded(arrives),
                    None => MetricFate::Dropped { reason, rule },
                }
            } else if let Some(arrives) = arrivals.take(exported) {
                forwarded(arrives)
            } else {
                match fate {
                    MessageFate::Dropped { reason, rule } => MetricFate::Dropped { reason, rule },
                    MessageFate::Waiting => MetricFate::Waiting { rule },
                    MessageFate::Forwarded if is_definition(sent.as_ref()) => MetricFate::Unneeded,
                    MessageFate::Forwarded => match drops.take("") {
                        Some((reason, rule)) => MetricFate::Dropped { reason, rule },
                        None => MetricFate::Waiting { rule },
                    },
                }
            };
            let observed_by = plan.observe(&name, datatype).filter(has_seen);
            outcomes.push(MetricOutcome { name, datatype, sent, fate, observed_by });
        }
        outcomes
    }

    /// How often each rule would have decided, where any only observes.
    fn observed(&self) -> Vec<u64> {
        if self.policy().rules().iter().all(|rule| rule.mode() == Mode::Enforce) {
            return Vec::new();
        }
        self.pipeline.rule_matches().1.map(|matches| matches.observed).collect()
    }

    fn read(&self, entries: Vec<Entry>) -> Vec<Arrived> {
        let relayed = entries.into_iter().filter_map(|entry| match entry.into() {
            Body::Relayed(relayed) => Some(relayed),
            _ => None,
        });
        let caps = Caps::DEFAULT.of_own_journal();
        relayed
            .filter_map(|relayed| {
                Some(Arrived {
                    at_ms: self.now.wall_ms,
                    // What the pipeline wrote can be read.
                    payload: decode(&relayed.payload, &caps).ok()?.payload,
                    topic: relayed.topic,
                    synthetic: relayed.synthetic,
                })
            })
            .collect()
    }

    fn advance_to(&mut self, mono: Duration) {
        let passed = mono.saturating_sub(self.now.mono);
        self.now.mono = self.now.mono.max(mono);
        let ms = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        self.now.wall_ms = self.now.wall_ms.saturating_add(ms);
    }
}

fn displaced(entry: LedgerEntry) -> Option<Displaced> {
    match entry {
        LedgerEntry::Dropped { entity, metric, reason, rule } => {
            Some(Displaced { entity, metric, reason, rule })
        }
        LedgerEntry::Settled(_) => None,
    }
}

/// Metrics that the ledger dropped, by name, in order.
#[derive(Default)]
struct Drops(HashMap<String, VecDeque<(Reason, Option<RuleId>)>>);

impl Drops {
    fn add(&mut self, name: String, reason: Reason, rule: Option<RuleId>) {
        self.0.entry(name).or_default().push_back((reason, rule));
    }

    fn take(&mut self, name: &str) -> Option<(Reason, Option<RuleId>)> {
        self.0.get_mut(name)?.pop_front()
    }
}

/// Metrics of the entity in what arrived, by name, in order.
struct Arrivals(HashMap<String, VecDeque<Metric>>);

impl Arrivals {
    fn new(policy: &Policy, entity: Entity<'_>, arrived: &[Arrived]) -> Arrivals {
        let mut arrivals = HashMap::<String, VecDeque<Metric>>::new();
        for metric in arrived.iter().filter(|arrived| arrived.is_of(policy, entity)) {
            for metric in &metric.payload.metrics {
                let name = metric.name.clone().unwrap_or_default();
                arrivals.entry(name).or_default().push_back(metric.clone());
            }
        }
        Arrivals(arrivals)
    }

    /// The metric with this name and the value that was sent.
    fn take_same(&mut self, name: Option<&str>, sent: &Metric) -> Option<Metric> {
        let arrivals = self.0.get_mut(name?)?;
        let place = arrivals.iter().position(|arrives| match (&arrives.value, &sent.value) {
            (Some(arrives), Some(sent)) => value::same(arrives, sent),
            (arrives, sent) => arrives.is_none() == sent.is_none(),
        })?;
        arrivals.remove(place)
    }

    fn take_null(&mut self, name: Option<&str>) -> Option<Metric> {
        let arrivals = self.0.get_mut(name?)?;
        let place = arrivals.iter().position(|arrives| arrives.value.is_none())?;
        arrivals.remove(place)
    }

    fn take(&mut self, name: Option<&str>) -> Option<Metric> {
        self.0.get_mut(name?)?.pop_front()
    }
}

impl Arrived {
    /// Whether it tells of this entity of the plant, which may have another name on IT.
    pub fn is_of(&self, policy: &Policy, entity: Entity<'_>) -> bool {
        match (Topic::parse(&self.topic), policy.renames().exported(entity)) {
            (Ok(Topic::Entity(topic)), Ok(exported)) => topic.entity == exported,
            _ => false,
        }
    }
}

/// The rule that decided.
fn rule_of(verdict: Verdict) -> Option<RuleId> {
    match verdict {
        Verdict::Forward { rule, .. } | Verdict::Redact { rule, .. } => Some(rule),
        Verdict::Drop { rule, .. } => rule,
    }
}

fn is_definition(value: Option<&Value>) -> bool {
    matches!(value, Some(Value::Template(template)) if template.is_definition == Some(true))
}
