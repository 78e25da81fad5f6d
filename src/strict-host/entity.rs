//! Births and data of one edge node or device.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};

use sparkplug::{DataType, Metric, Payload, Value};

use crate::address::MessageType;
use crate::findings::{Findings, report_equal_in_lower_case};
use crate::template::{Definitions, Place, check_value};
use crate::value::{check_properties, fits};

/// The metric by which an edge node lets itself be asked for a rebirth.
pub const REBIRTH: &str = "Node Control/Rebirth";

/// What the births that follow one NBIRTH share.
#[derive(Debug, Default)]
pub(crate) struct BirthScope {
    pub(crate) definitions: Definitions,
    /// Every alias of the edge node, with the metric that has it.
    aliases: BTreeMap<u64, String>,
}

impl BirthScope {
    pub(crate) fn new(node_birth: &Payload) -> BirthScope {
        BirthScope { definitions: Definitions::learn(node_birth), aliases: BTreeMap::new() }
    }
}

/// What the last birth of an entity said, and the values since.
#[derive(Debug, Default)]
pub struct Entity {
    metrics: BTreeMap<String, Born>,
    names: BTreeMap<u64, String>,
}

#[derive(Debug)]
struct Born {
    datatype: Option<u32>,
    alias: Option<u64>,
    current: Option<Value>,
}

impl Entity {
    /// Names of the metrics of the birth.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.metrics.keys().map(String::as_str)
    }

    /// Current value of a metric.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.metrics.get(name)?.current.as_ref()
    }

    /// Judges an NBIRTH or DBIRTH.
    pub(crate) fn born(
        kind: MessageType,
        payload: &Payload,
        scope: &mut BirthScope,
        findings: &mut Findings,
    ) -> Entity {
        let mut entity = Entity::default();
        for metric in &payload.metrics {
            let mut add = |rule: &str, text: String| findings.add(rule, text);
            let name = metric.name();
            if let Some(alias) = metric.alias {
                if metric.name.is_none() {
                    add("payloads-alias-birth-requirement", format!("alias {alias} without name"));
                }
                let owner = format!("{kind} {name}");
                if let Some(other) = scope.aliases.insert(alias, owner) {
                    add("payloads-alias-uniqueness", format!("{alias} of `{other}` and `{name}`"));
                }
            }
            if name.is_empty() {
                add(&format!("topics-{}-metrics", kind.in_rule()), "metric without name".into());
            }
            let control = name.starts_with("Node Control/") || name.starts_with("Device Control/");
            if control && name != REBIRTH {
                add("relay-control-metrics", name.into());
            }
            match metric.datatype {
                None => add("payloads-metric-datatype-req", format!("`{name}`")),
                Some(code) if !is_metric_type(code) => {
                    add("payloads-metric-datatype-value", format!("`{name}`: {code}"));
                }
                Some(code) => {
                    if metric.value.as_ref().is_some_and(|value| !fits(code, value)) {
                        add("payloads-metric-datatype-value-type", not_of(code, metric));
                    }
                }
            }
            if metric.value.is_some() == metric.is_null() {
                let rule = format!("operational-behavior-data-publish-{}-values", kind.in_rule());
                add(&rule, format!("{metric:?}"));
            }
            check_properties(metric, findings);
            let node_birth = kind == MessageType::NBirth;
            let place = if node_birth { Place::NodeBirth } else { Place::DeviceBirth };
            check_value(metric, place, &scope.definitions, findings);
            let born = Born {
                datatype: metric.datatype,
                alias: metric.alias,
                current: metric.value.clone(),
            };
            if let Some(alias) = metric.alias {
                entity.names.entry(alias).or_insert_with(|| name.into());
            }
            if entity.metrics.insert(name.into(), born).is_some() {
                findings.add("relay-unique-metric-name", format!("`{name}` twice"));
            }
        }
        report_equal_in_lower_case(entity.names(), |pair| {
            findings.add("case-sensitivity-metric-names", pair);
        });
        check_order(kind, payload, findings);
        entity
    }

    /// Judges an NDATA or DDATA, and gives its metrics the names of their aliases.
    pub(crate) fn judge_data(
        &mut self,
        kind: MessageType,
        payload: &mut Payload,
        definitions: &Definitions,
        findings: &mut Findings,
    ) {
        if payload.metrics.is_empty() {
            findings.add(format!("topics-{}-payload", kind.in_rule()), "no metrics");
        }
        check_order(kind, payload, findings);
        for metric in &mut payload.metrics {
            let mut add = |rule: &str, text: String| findings.add(rule, text);
            if metric.name.is_none() && metric.alias.is_none() {
                add("payloads-name-requirement", format!("{metric:?}"));
                continue;
            }
            let by_alias = metric.alias.and_then(|alias| self.names.get(&alias));
            let is_named = metric.name.is_some();
            let text = match (&metric.name, metric.alias, by_alias) {
                (Some(name), Some(alias), Some(other)) if name != other => {
                    format!("alias {alias} of `{other}` with the name `{name}`")
                }
                (None, Some(alias), None) => format!("alias {alias} isn't in the birth"),
                _ => format!("{metric:?}"),
            };
            metric.name = metric.name.take().or_else(|| by_alias.cloned());
            let metric = &*metric;
            let known = metric.name.as_ref().and_then(|name| self.metrics.get_mut(name));
            let Some(born) = known else {
                let rule = format!("operational-behavior-data-publish-{}", kind.birth_in_rule());
                add(&rule, format!("`{}` isn't in the birth: {text}", metric.name()));
                continue;
            };
            if born.alias.is_some() != metric.alias.is_some()
                || (metric.alias.is_some() && is_named)
            {
                add("payloads-alias-data-cmd-requirement", text);
            }
            if let Some(code) = metric.datatype {
                add("payloads-metric-datatype-not-req", format!("`{}`", metric.name()));
                if born.datatype != Some(code) {
                    let born = born.datatype.map_or("nothing".into(), datatype_name);
                    let text = format!("`{}` is born as {born}", metric.name());
                    add("relay-datatype-of-birth", text);
                }
            }
            if metric.value.is_some() == metric.is_null() {
                add(&format!("topics-{}-payload", kind.in_rule()), format!("{metric:?}"));
            }
            if let (Some(code), Some(value)) = (born.datatype, &metric.value)
                && !fits(code, value)
            {
                add("payloads-metric-datatype-value-type", not_of(code, metric));
            }
            if !metric.is_historical() {
                if born.current == metric.value {
                    add("principles-rbe-recommended", format!("{metric:?}"));
                }
                born.current.clone_from(&metric.value);
            }
            check_properties(metric, findings);
            check_value(metric, Place::Data, definitions, findings);
        }
    }
}

/// 20 and 21 are types of properties only.
fn is_metric_type(code: u32) -> bool {
    matches!(code, 1..=19 | 22..=34)
}

/// Values of one metric in one payload are in the order of their timestamps, unless they are
/// historical.
fn check_order(kind: MessageType, payload: &Payload, findings: &mut Findings) {
    let mut last: BTreeMap<(&str, Option<u64>), u64> = BTreeMap::new();
    for metric in payload.metrics.iter().filter(|metric| !metric.is_historical()) {
        let Some(stamp) = metric.timestamp else { continue };
        if let Some(before) = last.insert((metric.name(), metric.alias), stamp)
            && before > stamp
        {
            let rule = format!("operational-behavior-data-publish-{}-order", kind.birth_in_rule());
            findings.add(rule, format!("`{}` of {stamp} after {before}", metric.name()));
        }
    }
}

fn not_of(code: u32, metric: &Metric) -> String {
    let datatype = datatype_name(code);
    format!("the value of `{}` is no {datatype}: {metric:?}", metric.name())
}

fn datatype_name(code: u32) -> String {
    DataType::from_code(code).map_or_else(|| code.to_string(), |known| known.name().to_string())
}
