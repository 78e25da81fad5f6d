//! What whoever wrote a case may not have thought of, where it didn't go as expected.

use policy::Policy;
use sparkplug::{Topic, Value};

use super::Got;
use crate::cases::{Expected, Probe, Step};

pub(super) fn notes(policy: &Policy, step: &Step, probe: &Probe, got: &Got) -> Vec<String> {
    let mut notes = Vec::new();
    let topic = match Topic::parse(&step.topic) {
        Ok(Topic::Entity(topic)) => topic,
        _ => return notes,
    };
    for (noun, name, original) in policy.renames().names_on_it(topic.entity) {
        notes.push(format!(
            "`{name}` is what the {noun} `{original}` is called on IT: rules and cases have the plant's names"
        ));
    }
    if let (Got::Dropped { .. } | Got::Nothing, Some(given)) = (got, &probe.metric) {
        let prefixes = policy.rules().iter().filter_map(|rule| Some((rule, rule.prefixes()?)));
        for (rule, prefixes) in prefixes {
            let plan = policy.plan(topic.entity);
            let Some(original) = plan.original(&given.name, Some(given.datatype)) else { continue };
            if original != given.name && prefixes.exported_name(&original) == given.name {
                notes.push(format!(
                    "`{}` is what `{original}` is called on IT by `{}`: rules and cases have the plant's names",
                    given.name,
                    rule.name()
                ));
                break;
            }
        }
    }
    if let (Expected::Forward { arrives, .. }, Got::Forwarded { arrives: Some(seen), .. }) =
        (&probe.expected, got)
        && let (Some(Value::String(wanted)), Some(Value::String(value))) =
            (&arrives.value, &seen.metric.value)
        && wanted != value
        && policy.pseudonyms().are_in(value)
    {
        notes.push(
            "the relay makes pseudonyms with its own key, `policy test` with another one: write \
             `arrives = { pseudonym = true }`"
                .to_owned(),
        );
    }
    notes
}
