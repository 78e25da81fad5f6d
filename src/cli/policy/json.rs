//! What the policy tools say to machines.

use account::RuleId;
use policy::{Policy, Rule};
use serde_json::{Value as Json, json};
use sparkplug::{DataType, Metric, value};
use tools::dry_run::case::{Check, Got};
use tools::dry_run::{MessageFate, MetricFate, MetricOutcome, Outcome};

/// `{"outcome": "forward" | "drop" | "wait" | "nothing", …}`
pub(super) fn got(policy: &Policy, check: &Check) -> Json {
    let in_words = check.got_in_words(policy);
    match &check.got {
        Got::Forwarded { rule, arrives } => json!({
            "outcome": "forward",
            "rule": name(policy, *rule),
            "topic": arrives.as_ref().map(|seen| &seen.topic),
            "arrives": arrives.as_ref().map(|seen| metric(&seen.metric, check.datatype)),
            "in_words": in_words,
        }),
        Got::Waiting { rule } => {
            json!({ "outcome": "wait", "rule": name(policy, *rule), "in_words": in_words })
        }
        Got::Dropped { reason, rule } => json!({
            "outcome": "drop",
            "reason": reason.name(),
            "meaning": reason.meaning(),
            "rule": name(policy, *rule),
            "in_words": in_words,
        }),
        Got::Nothing => json!({ "outcome": "nothing", "in_words": in_words }),
    }
}

/// `{"at_ms": …, "topic": …, "outcome": …, "metrics": […]}`
pub(super) fn message(policy: &Policy, at_ms: u64, topic: &str, outcome: &Outcome) -> Json {
    let (word, reason, rule) = match outcome.fate {
        MessageFate::Forwarded => ("forward", None, None),
        MessageFate::Waiting => ("wait", None, None),
        MessageFate::Dropped { reason, rule } => ("drop", Some(reason.name()), rule),
    };
    json!({
        "at_ms": at_ms,
        "topic": topic,
        "outcome": word,
        "reason": reason,
        "rule": name(policy, rule),
        "metrics": outcome.metrics.iter().map(|metric| metric_outcome(policy, metric)).collect::<Vec<_>>(),
    })
}

fn metric_outcome(policy: &Policy, outcome: &MetricOutcome) -> Json {
    let shown = |sent| value::show(outcome.datatype, sent, usize::MAX);
    let mut object = json!({
        "name": outcome.name,
        "datatype": outcome.datatype.map(DataType::name),
        "sent": outcome.sent.as_ref().map(shown),
    });
    let fate = match &outcome.fate {
        MetricFate::Forwarded { rule, arrives } => json!({
            "outcome": "forward",
            "rule": name(policy, *rule),
            "arrives": metric(arrives, outcome.datatype),
        }),
        MetricFate::Waiting { rule } => json!({ "outcome": "wait", "rule": name(policy, *rule) }),
        MetricFate::Dropped { reason, rule } => {
            json!({ "outcome": "drop", "reason": reason.name(), "rule": name(policy, *rule) })
        }
        MetricFate::Replaced => json!({ "outcome": "replaced" }),
        MetricFate::Unneeded => json!({ "outcome": "unneeded" }),
    };
    if let (Json::Object(object), Json::Object(fate)) = (&mut object, fate) {
        object.extend(fate);
    }
    object
}

/// What arrives of a metric.
fn metric(metric: &Metric, datatype: Option<DataType>) -> Json {
    let value = metric.value.as_ref();
    let keys = metric.properties.iter().flat_map(|set| &set.keys);
    json!({
        "metric": metric.name,
        "value": value.map(|value| value::show(datatype, value, usize::MAX)),
        "properties": keys.collect::<Vec<_>>(),
    })
}

/// The name of a rule.
pub(super) fn name(policy: &Policy, rule: Option<RuleId>) -> Option<&str> {
    rule.and_then(|rule| policy.rule(rule)).map(Rule::name)
}
