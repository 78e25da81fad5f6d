//! The metrics of one edge node or device: rules on births and data.

use std::collections::HashMap;

use sparkplug::{Metric, Payload, Value};

use super::session::{REBIRTH, Session};
use super::value::{Place, check_properties, check_value, fits};
use super::{Findings, fold_case};

/// Message types of an edge node, in the specification's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    NBirth,
    NDeath,
    DBirth,
    DDeath,
    NData,
    DData,
}

impl Verb {
    pub(super) fn parse(name: &str) -> Option<Verb> {
        Some(match name {
            "NBIRTH" => Verb::NBirth,
            "NDEATH" => Verb::NDeath,
            "DBIRTH" => Verb::DBirth,
            "DDEATH" => Verb::DDeath,
            "NDATA" => Verb::NData,
            "DDATA" => Verb::DData,
            _ => return None,
        })
    }

    /// As in the ids of the assertions.
    pub(super) fn name(self) -> &'static str {
        match self {
            Verb::NBirth => "nbirth",
            Verb::NDeath => "ndeath",
            Verb::DBirth => "dbirth",
            Verb::DDeath => "ddeath",
            Verb::NData => "ndata",
            Verb::DData => "ddata",
        }
    }

    pub(super) fn is_device(self) -> bool {
        matches!(self, Verb::DBirth | Verb::DDeath | Verb::DData)
    }
}

/// What the last birth of an entity said, and the values since.
#[derive(Default)]
pub(super) struct Birth {
    metrics: HashMap<String, Born>,
}

struct Born {
    datatype: Option<u32>,
    alias: Option<u64>,
    current: Option<Value>,
}

impl Session {
    pub(super) fn birth(
        &mut self,
        verb: Verb,
        payload: &Payload,
        findings: &mut Findings,
    ) -> Birth {
        let number = self.number;
        let mut birth = Birth::default();
        for metric in &payload.metrics {
            let mut add = |rule: &str, text: String| findings.add(rule, number, text);
            let name = metric.name();
            if let Some(alias) = metric.alias {
                if metric.name.is_none() {
                    add("payloads-alias-birth-requirement", format!("alias {alias} without name"));
                }
                let owner = format!("{verb:?} {name}");
                if let Some(other) = self.aliases.insert(alias, owner) {
                    add("payloads-alias-uniqueness", format!("{alias} of `{other}` and `{name}`"));
                }
            }
            if name.is_empty() {
                add(&format!("topics-{}-metrics", verb.name()), "metric without name".into());
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
                        add("payloads-metric-datatype-value-type", format!("{metric:?}"));
                    }
                }
            }
            if metric.value.is_some() == metric.is_null() {
                let rule = format!("operational-behavior-data-publish-{}-values", verb.name());
                add(&rule, format!("{metric:?}"));
            }
            check_properties(metric, number, findings);
            let place = if verb == Verb::NBirth { Place::NodeBirth } else { Place::DeviceBirth };
            check_value(metric, place, &self.definitions, number, findings);
            let born = Born {
                datatype: metric.datatype,
                alias: metric.alias,
                current: metric.value.clone(),
            };
            if birth.metrics.insert(name.into(), born).is_some() {
                findings.add("relay-unique-metric-name", number, format!("`{name}` twice"));
            }
        }
        fold_case(birth.metrics.keys().cloned(), |pair| {
            findings.add("case-sensitivity-metric-names", number, pair);
        });
        chronological(verb, payload, number, findings);
        birth
    }

    pub(super) fn data(
        &mut self,
        verb: Verb,
        device: Option<&str>,
        payload: &Payload,
        findings: &mut Findings,
    ) {
        let number = self.number;
        let birth = match device {
            None => self.node_birth.as_mut(),
            Some(device) if self.node_birth.is_some() => self.devices.get_mut(device),
            Some(_) => None,
        };
        let Some(birth) = birth else {
            let rule = format!("payloads-{}-order", verb.name());
            findings.add(rule, number, format!("{verb:?} before the birth"));
            return;
        };
        if payload.metrics.is_empty() {
            findings.add(format!("topics-{}-payload", verb.name()), number, "no metrics");
        }
        chronological(verb, payload, number, findings);
        for metric in &payload.metrics {
            let mut add = |rule: &str, text: String| findings.add(rule, number, text);
            if metric.name.is_none() && metric.alias.is_none() {
                add("payloads-name-requirement", format!("{metric:?}"));
                continue;
            }
            let Some(born) = birth.find(metric) else {
                let birth = if verb == Verb::NData { "nbirth" } else { "dbirth" };
                let rule = format!("operational-behavior-data-publish-{birth}");
                add(&rule, format!("`{}` isn't in the birth: {metric:?}", metric.name()));
                continue;
            };
            if born.alias.is_some() != metric.alias.is_some()
                || (metric.alias.is_some() && metric.name.is_some())
            {
                add("payloads-alias-data-cmd-requirement", format!("{metric:?}"));
            }
            if metric.datatype.is_some() {
                add("payloads-metric-datatype-not-req", format!("`{}`", metric.name()));
            }
            if metric.value.is_some() == metric.is_null() {
                add(&format!("topics-{}-payload", verb.name()), format!("{metric:?}"));
            }
            if let (Some(code), Some(value)) = (born.datatype, &metric.value)
                && !fits(code, value)
            {
                add("payloads-metric-datatype-value-type", format!("{code}: {metric:?}"));
            }
            if !metric.is_historical() {
                if born.current == metric.value {
                    add("principles-rbe-recommended", format!("{metric:?}"));
                }
                born.current.clone_from(&metric.value);
            }
            check_properties(metric, number, findings);
            check_value(metric, Place::Data, &self.definitions, number, findings);
        }
    }
}

impl Birth {
    fn find(&mut self, metric: &Metric) -> Option<&mut Born> {
        match (&metric.name, metric.alias) {
            (Some(name), _) => self.metrics.get_mut(name),
            (None, Some(_)) => self.metrics.values_mut().find(|born| born.alias == metric.alias),
            (None, None) => None,
        }
    }
}

/// 20 and 21 are types of properties only.
fn is_metric_type(code: u32) -> bool {
    matches!(code, 1..=19 | 22..=34)
}

/// Values of one metric in one payload are in the order of their timestamps, unless they are
/// historical.
fn chronological(verb: Verb, payload: &Payload, number: usize, findings: &mut Findings) {
    let birth = if verb.is_device() { "dbirth" } else { "nbirth" };
    let mut last: HashMap<(&str, Option<u64>), u64> = HashMap::new();
    for metric in payload.metrics.iter().filter(|metric| !metric.is_historical()) {
        let Some(stamp) = metric.timestamp else { continue };
        if let Some(before) = last.insert((metric.name(), metric.alias), stamp)
            && before > stamp
        {
            let rule = format!("operational-behavior-data-publish-{birth}-order");
            let text = format!("`{}` of {stamp} after {before}", metric.name());
            findings.add(rule, number, text);
        }
    }
}
