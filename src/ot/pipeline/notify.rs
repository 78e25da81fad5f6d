//! Events for the people who watch the pipeline: which event a dropped message is.

use account::{Origin, Reason};
use policy::Rule;
use sparkplug::footprint::Bound;
use sparkplug::{DecodeError, Entity, EntityTopic, MessageType, Shortage, Topic};
use telemetry::event;
use text::format_utc_ms;

use super::{Received, hosts};
use crate::plant::{Ends, Fault, Finding, RefusedMetric, RefusedMetrics};

/// Tells that a message was dropped as a whole, and which rule says so, if one does.
#[cold]
pub(super) fn dropped(
    reason: Reason,
    rule: Option<&str>,
    received: Received<'_>,
    why: Option<&DecodeError>,
) {
    let topic = received.topic;
    let word = reason.name();
    let entity = match Topic::parse(topic) {
        Ok(Topic::Entity(topic) | Topic::StoredBirth(topic)) => Some(topic),
        _ => None,
    };
    let node = match entity {
        Some(topic) => format!("{}/{}", topic.entity.group, topic.entity.edge_node),
        None => node_of_command(topic),
    };
    match reason {
        Reason::NotSparkplug | Reason::MalformedTopic | Reason::UnknownType => {
            event!(TopicRefused, topic, reason = word);
        }
        // It was asked for, and read.
        Reason::State if hosts::is_readable(received.payload) => {}
        Reason::Command
        | Reason::State
        | Reason::NoRule
        | Reason::Denied
        | Reason::Datatype
        | Reason::Redacted
        | Reason::Opaque
        | Reason::Unshapeable
        | Reason::TooOld
        | Reason::Future
        | Reason::OutOfRange
        | Reason::TooLong
        | Reason::NotAllowed
        | Reason::ControlMetric => event!(PolicyDrop, node, topic, reason = word, rule),
        Reason::MalformedPayload
        | Reason::OverCap
        | Reason::BadCompression
        | Reason::TypeMismatch => {
            let over = match why {
                Some(DecodeError::OverCap(over) | DecodeError::Bomb(over)) => Some(over),
                _ => None,
            };
            let problem = match (over, why) {
                (Some(over), _) => Some(over.to_string()),
                (None, why) => why.map(ToString::to_string),
            };
            let (bytes, limit) = (received.payload.len(), over.map(|over| over.limit));
            let key = over.and_then(|over| over.cap.key());
            event!(PayloadRefused, node, topic, reason = word, bytes, problem, limit, key);
        }
        Reason::NameCollision => event!(NameCollision, node, topic),
        Reason::Rate
        | Reason::NodeRate
        | Reason::LinkRate
        | Reason::Amplification
        | Reason::Overload => {
            event!(RateExceeded, node, topic, reason = word, rule)
        }
        Reason::DataBeforeBirth | Reason::UnknownMetric => {
            event!(BirthMissing, node, topic, reason = word);
        }
        Reason::OverCapacity => {
            let device = entity.is_some_and(|topic| topic.message_type != MessageType::NBirth);
            let limit = if device { "relay.max-devices-per-node" } else { "relay.max-nodes" };
            event!(CapacityReached, limit, topic);
        }
        // Ordinary in every plant, of the IT half, or told by the connection.
        Reason::StoredBirth
        | Reason::TooLarge
        | Reason::SetAside
        | Reason::Conflated
        | Reason::StaleDeath
        | Reason::Duplicate
        | Reason::OverMemory
        | Reason::Late
        | Reason::Deadband
        | Reason::Interval
        | Reason::Recheck
        | Reason::NameTaken
        | Reason::BadFrame => {}
    }
}

/// Tells that a value of a message that crosses doesn't, since a rule refuses its content.
#[cold]
pub(super) fn value_ruled_out(
    topic: EntityTopic<'_>,
    metric: &str,
    reason: Reason,
    rule: Option<&str>,
) {
    let node = format!("{}/{}", topic.entity.group, topic.entity.edge_node);
    let topic = topic.to_string();
    event!(PolicyDrop, node, topic, reason = reason.name(), rule, metric);
}

/// Tells that metrics of a message, or parts of them, were refused, by the first one.
pub(super) fn metrics_refused(origin: Origin<'_>, is_birth: bool, refused: &RefusedMetrics) {
    let (Some(first), Some(entity)) = (&refused.first, origin.entity) else { return };
    let topic = if is_birth { EntityTopic::birth } else { EntityTopic::data };
    metric_refused(entity, topic(entity), first, refused.count);
}

/// The same of a death.
pub(super) fn refused_of_death(origin: Origin<'_>, refused: &RefusedMetrics) {
    let (Some(first), Some(entity)) = (&refused.first, origin.entity) else { return };
    metric_refused(entity, EntityTopic::death(entity), first, refused.count);
}

#[cold]
fn metric_refused(entity: Entity<'_>, topic: EntityTopic<'_>, first: &RefusedMetric, metrics: u64) {
    let node = format!("{}/{}", entity.group, entity.edge_node);
    let (topic, metric, reason) = (topic.to_string(), &*first.name, first.reason.name());
    let Fault { got, wanted, key } = &first.fault;
    let (got, wanted, key) = (&**got, &**wanted, *key);
    event!(MetricRefused, node, topic, metric, reason, got, wanted, key, metrics);
}

/// Tells that messages were refused before anything of them was read.
#[cold]
pub(super) fn shed(topic: &str, messages: u64, most: &str) {
    let node = match Topic::parse(topic) {
        Ok(Topic::Entity(topic)) => format!("{}/{}", topic.entity.group, topic.entity.edge_node),
        // They aren't told apart.
        _ => "nodes without a birth".to_owned(),
    };
    event!(RateExceeded, node, topic, reason = Reason::Overload.name(), messages, most);
}

/// Tells that values of a message wait for a limit.
#[cold]
pub(super) fn limited(reason: Reason, rule: Option<&Rule>, entity: Entity<'_>) {
    let node = format!("{}/{}", entity.group, entity.edge_node);
    let topic = EntityTopic::data(entity).to_string();
    let per = rule.filter(|_| reason == Reason::Rate).and_then(|rule| rule.rate());
    let per = per.map(|rate| rate.per.name());
    event!(RateExceeded, node, topic, reason = reason.name(), rule = rule.map(Rule::name), per);
}

/// Tells that something of an entity isn't remembered, as that would be too much.
#[cold]
pub(super) fn memory(entity: Entity<'_>, shortage: Shortage) {
    let node = format!("{}/{}", entity.group, entity.edge_node);
    let Shortage { bytes, budget, of } = shortage;
    let limit = match of {
        Bound::Node => "relay.max-node-bytes",
        Bound::Plant => "relay.max-plant-bytes",
    };
    event!(MemoryRefused, node, device = entity.device, bytes, budget, limit);
}

/// Tells that an edge node gave way to one that is born.
#[cold]
pub(super) fn gave_way(born: Entity<'_>, other: Entity<'_>) {
    let topic = EntityTopic::birth(born).to_string();
    event!(CapacityReached, limit = "relay.max-nodes", topic, gave_way = %other);
}

/// Tells that messages of a node were lost before they reached the relay.
#[cold]
pub(super) fn gap(group: &str, edge_node: &str) {
    event!(SequenceGap, node = format!("{group}/{edge_node}"));
}

/// Tells that the numbers of a node are no sequence, and what they are.
#[cold]
pub(super) fn no_sequence(group: &str, edge_node: &str, finding: Finding) {
    let node = format!("{group}/{edge_node}");
    match finding {
        Finding::StandsStill(seq) => event!(SeqNotCounted, node, seq),
        Finding::NoSequence => event!(SeqNotCounted, node),
        Finding::TwoSequences(one, other) => {
            event!(NameShared, node, numbers = format!("{one} and {other}"));
        }
        Finding::Repeats => event!(SeqRepeats, node),
    }
}

/// Tells what a node's death was taken for.
#[cold]
pub(super) fn death(node: Entity<'_>, ends: Ends, births: Option<u8>, deaths: Option<u8>) {
    let node = format!("{}/{}", node.group, node.edge_node);
    match ends {
        Ends::Own => event!(NodeDied, node, bd_seq = deaths),
        Ends::Earlier => event!(DeathIgnored, node, bd_seq = deaths, birth = births),
        Ends::Unknown => event!(DeathUnmatched, node, bd_seq = deaths, birth = births),
    }
}

/// Tells that the death of a node came before the birth that it ends.
#[cold]
pub(super) fn death_overtook(node: Entity<'_>) {
    event!(DeathOvertook, node = format!("{}/{}", node.group, node.edge_node));
}

/// Tells that a node counts as dead, since nothing is heard of it.
#[cold]
pub(super) fn unheard(node: Entity<'_>) {
    event!(NodeUnheard, node = format!("{}/{}", node.group, node.edge_node));
}

/// Tells that a rule came into force or went out of it.
#[cold]
pub(super) fn turned(rule: &Rule, wall_ms: u64) {
    let until = rule.schedule().and_then(|schedule| schedule.next_turn_ms(wall_ms));
    let (open, action) = (rule.is_open(), rule.action().name());
    event!(PolicyWindow, rule = rule.name(), open, action, until = until.map(format_utc_ms));
}

/// `group/edge node` of a command's topic, `namespace/group/type/edge node/…`.
fn node_of_command(topic: &str) -> String {
    let mut levels = topic.split('/').skip(1);
    match (levels.next(), levels.nth(1)) {
        (Some(group), Some(node)) => format!("{group}/{node}"),
        _ => String::new(),
    }
}
