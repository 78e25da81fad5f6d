//! Names and datatypes of metrics, learnt from births: data may come by alias, and without a
//! datatype.

use std::borrow::Cow;
use std::collections::HashMap;

use policy::{Policy, Rule, Verdict};
use sparkplug::value::evident_datatype;
use sparkplug::{DataType, Entity, Metric, Payload, Value};

/// What the last birth of each entity said.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// By `group/edge_node[/device]`.
    entities: HashMap<String, Layout>,
}

#[derive(Debug, Default)]
struct Layout {
    by_alias: HashMap<u64, String>,
    datatypes: HashMap<String, DataType>,
}

impl Names {
    pub(super) fn learn(&mut self, entity: Entity<'_>, birth: &Payload) {
        let mut layout = Layout::default();
        for metric in &birth.metrics {
            let Some(name) = &metric.name else { continue };
            if let Some(alias) = metric.alias {
                layout.by_alias.insert(alias, name.clone());
            }
            if let Some(datatype) = own_datatype(metric) {
                layout.datatypes.insert(name.clone(), datatype);
            }
        }
        self.entities.insert(entity.to_string(), layout);
    }

    /// Name (empty: unknown) and datatype of a metric.
    pub(super) fn of(&self, entity: Entity<'_>, metric: &Metric) -> (String, Option<DataType>) {
        let layout = self.entities.get(&entity.to_string());
        let name = match metric.name.as_deref().filter(|name| !name.is_empty()) {
            Some(name) => Some(name),
            None => metric.alias.and_then(|alias| Some(layout?.by_alias.get(&alias)?.as_str())),
        };
        let name = name.unwrap_or_default();
        let born = layout.and_then(|layout| layout.datatypes.get(name).copied());
        (name.to_owned(), born.or_else(|| own_datatype(metric)))
    }
}

/// The datatype that a metric names or evidently has. A text without one may be any kind of
/// text, and rules take doubt against the metric.
fn own_datatype(metric: &Metric) -> Option<DataType> {
    let evident = || {
        let value = metric.value.as_ref().filter(|value| !matches!(value, Value::String(_)))?;
        evident_datatype(value)
    };
    metric.datatype.and_then(DataType::from_code).or_else(evident)
}

/// The name under which a metric crosses, if it does.
pub(super) fn exported_name<'a>(
    policy: &'a Policy,
    verdict: Verdict,
    name: &'a str,
) -> Option<Cow<'a, str>> {
    let rule = match verdict {
        Verdict::Forward { rule, .. } | Verdict::Redact { forward: rule, .. } => rule,
        Verdict::Drop { .. } => return None,
    };
    let prefixes = policy.rule(rule).and_then(Rule::prefixes);
    Some(prefixes.map_or(Cow::Borrowed(name), |prefixes| prefixes.exported_name(name)))
}
