//! What became of a metric, and whether that is what was expected.

use std::borrow::Cow;

use account::RuleId;
use policy::Policy;
use sparkplug::{DataType, Metric, Property, Topic, Value, value};

use super::{Got, Seen};
use crate::cases::{Arrives, Expected, Probe, Step};
use crate::dry_run::{Arrived, MessageFate, MetricFate, Outcome, exported_name};

/// What became of the metric, or of the message, that a probe is about.
pub(super) fn judged(step: &Step, probe: &Probe, outcome: &Outcome) -> Got {
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
        arrived.payload.metrics.iter().any(|arrives| arrives.name.as_deref() == metric)
    };
    arrived.iter().rev().find(has).map(|arrived| arrived.topic.as_str())
}

/// The last that arrived of a metric while time passed.
pub(super) fn waited(policy: &Policy, step: &Step, probe: &Probe, arrived: &[Arrived]) -> Got {
    let Some(given) = &probe.metric else { return Got::Nothing };
    let Ok(Topic::Entity(topic)) = Topic::parse(&step.topic) else { return Got::Nothing };
    let verdict = policy.judge(topic.entity, &given.name, Some(given.datatype));
    // What waited may have come in a window that is over by now.
    let name = exported_name(policy, verdict, &given.name).unwrap_or(Cow::Borrowed(&given.name));
    for arrived in arrived.iter().rev().filter(|arrived| arrived.is_of(policy, topic.entity)) {
        let mut newest_first = arrived.payload.metrics.iter().rev();
        if let Some(metric) = newest_first.find(|arrives| arrives.name.as_deref() == Some(&*name)) {
            let seen = Seen { topic: arrived.topic.clone(), metric: metric.clone() };
            return Got::Forwarded { rule: None, arrives: Some(Box::new(seen)) };
        }
    }
    Got::Nothing
}

/// The observing rule that would decide about the metric.
pub(super) fn observed(probe: &Probe, outcome: &Outcome) -> Option<RuleId> {
    let given = probe.metric.as_ref()?;
    outcome.metrics.iter().find(|metric| metric.name == given.name)?.observed_by
}

/// Whether it is the one that is expected to observe.
pub(super) fn is_observed(policy: &Policy, probe: &Probe, by: Option<RuleId>) -> bool {
    let name = by.and_then(|rule| policy.rule(rule)).map(|rule| rule.name());
    probe.observed_by.as_ref().is_none_or(|wanted| wanted.as_deref() == name)
}

/// Whether it is as expected. A rule that is named must be the one, where a rule decided.
pub(super) fn matches(policy: &Policy, probe: &Probe, got: &Got) -> bool {
    let is_rule = |wanted: &Option<String>, rule: &Option<RuleId>| {
        let name = rule.and_then(|rule| policy.rule(rule)).map(|rule| rule.name());
        wanted.is_none() || wanted.as_deref() == name
    };
    match (&probe.expected, got) {
        (Expected::Forward { rule, arrives }, Got::Forwarded { rule: by, arrives: seen }) => {
            let datatype = probe.metric.as_ref().map(|given| given.datatype);
            (by.is_none() || is_rule(rule, by))
                && seen.as_ref().is_none_or(|seen| arrives_as(policy, arrives, datatype, seen))
        }
        (Expected::Drop { reason, rule }, Got::Dropped { reason: got, rule: by }) => {
            reason.is_none_or(|reason| reason == *got) && is_rule(rule, by)
        }
        (Expected::Wait { rule }, Got::Waiting { rule: by }) => is_rule(rule, by),
        (Expected::Drop { reason: None, rule: None }, Got::Nothing) => true,
        _ => false,
    }
}

fn arrives_as(policy: &Policy, wanted: &Arrives, datatype: Option<DataType>, seen: &Seen) -> bool {
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
    let text = match &metric.value {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let is_pseudonym = text.is_some_and(|text| policy.pseudonyms().are_in(text));
    is_value
        && are_properties
        && wanted.pseudonym.is_none_or(|wanted| wanted == is_pseudonym)
        && wanted
            .pattern
            .as_ref()
            .is_none_or(|pattern| text.is_some_and(|text| pattern.matches_all(text)))
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
