//! Templates: their definitions in the NBIRTH, and the instances that refer to them.

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;

use sparkplug::{Metric, Parameter, ParameterValue, Payload, Template, Value};

use crate::findings::Findings;
use crate::value::{check_properties, data_set, fits};

/// Where a metric was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    NodeBirth,
    DeviceBirth,
    Data,
}

/// The template definitions of the last NBIRTH, by the name of their metric.
#[derive(Debug, Default)]
pub struct Definitions(BTreeMap<String, Template>);

impl Definitions {
    pub(crate) fn learn(payload: &Payload) -> Definitions {
        let definition = |metric: &Metric| match &metric.value {
            Some(Value::Template(template)) if template.is_definition() => {
                Some((metric.name().to_owned(), (**template).clone()))
            }
            _ => None,
        };
        Definitions(payload.metrics.iter().filter_map(definition).collect())
    }

    /// Whether a metric of this name is a definition.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The definition to which an instance refers. Some libraries name the metric of the
    /// definition of `X` `_types_/X`.
    pub fn find(&self, reference: &str) -> Option<&Template> {
        self.0.get(reference).or_else(|| self.0.get(&format!("_types_/{reference}")))
    }
}

/// Judges what stands in the value of a metric: a data set or a template.
pub(super) fn check_value(
    metric: &Metric,
    place: Place,
    definitions: &Definitions,
    findings: &mut Findings,
) {
    match &metric.value {
        Some(Value::DataSet(set)) => data_set(metric.name(), set, findings),
        Some(Value::Template(template)) => {
            let check = TemplateCheck { place, definitions };
            check.template(metric.name(), template, place == Place::NodeBirth, findings);
        }
        _ => {}
    }
}

struct TemplateCheck<'a> {
    place: Place,
    definitions: &'a Definitions,
}

impl TemplateCheck<'_> {
    /// `may_define`: a definition may stand here, as a metric of an NBIRTH.
    fn template(&self, name: &str, template: &Template, may_define: bool, findings: &mut Findings) {
        let mut add = |rule: &str, text: String| {
            findings.add(rule, format!("template `{name}`: {text}"));
        };
        let definition = match template.is_definition {
            None => {
                add("payloads-template-is-definition", "is_definition absent".into());
                return;
            }
            Some(true) => {
                if !may_define {
                    let rule = "payloads-template-definition-nbirth-only";
                    add(rule, format!("definition in {:?}", self.place));
                }
                if let Some(reference) = &template.template_ref {
                    add("payloads-template-definition-ref", format!("template_ref {reference}"));
                }
                None
            }
            Some(false) => match &template.template_ref {
                None => {
                    add("payloads-template-instance-ref", "no template_ref".into());
                    None
                }
                Some(reference) => {
                    let definition = self.definitions.find(reference);
                    if definition.is_none() {
                        let rule = "payloads-template-definition-nbirth";
                        add(rule, format!("no definition `{reference}` in the NBIRTH"));
                    }
                    definition
                }
            },
        };
        for parameter in &template.parameters {
            self.parameter(name, parameter, findings);
        }
        if let Some(definition) = definition {
            self.instance(name, template, definition, findings);
        }
        for member in &template.metrics {
            let text = format!("template `{name}`: member {member:?}");
            // In data the members' types are those of the definition, as metrics' of the birth.
            match member.datatype {
                None if self.place != Place::Data => {
                    findings.add("payloads-metric-datatype-req", text);
                }
                Some(code) if member.value.as_ref().is_some_and(|value| !fits(code, value)) => {
                    findings.add("payloads-metric-datatype-value-type", text);
                }
                _ => {}
            }
            check_properties(member, findings);
            match &member.value {
                Some(Value::Template(inner)) => {
                    self.template(member.name(), inner, false, findings);
                }
                Some(Value::DataSet(set)) => data_set(member.name(), set, findings),
                _ => {}
            }
        }
    }

    fn instance(
        &self,
        name: &str,
        instance: &Template,
        definition: &Template,
        findings: &mut Findings,
    ) {
        let mut add = |rule: &str, text: String| {
            findings.add(rule, format!("template `{name}`: {text}"));
        };
        let names = |template: &Template| -> BTreeSet<String> {
            template.metrics.iter().map(|member| member.name().to_owned()).collect()
        };
        let (has, defined) = (names(instance), names(definition));
        if !has.is_subset(&defined) {
            let text = format!("{:?} not defined", has.difference(&defined));
            add("payloads-template-instance-members", text);
        } else if self.place != Place::Data && has != defined {
            let text = format!("{:?} missing in the birth", defined.difference(&has));
            add("payloads-template-instance-members-birth", text);
        }
        let defined: BTreeSet<_> = definition.parameters.iter().map(Parameter::name).collect();
        let has: BTreeSet<_> = instance.parameters.iter().map(Parameter::name).collect();
        if !has.is_subset(&defined) {
            let text = format!("{:?} not defined", has.difference(&defined));
            add("payloads-template-instance-parameters", text);
        }
    }

    fn parameter(&self, template: &str, parameter: &Parameter, findings: &mut Findings) {
        let mut add = |rule: &str| {
            let text = format!("template `{template}`: {parameter:?}");
            findings.add(rule, text);
        };
        if parameter.name.is_none() {
            add("payloads-template-parameter-name-required");
        }
        let Some(code) = parameter.r#type.filter(|code| (1..=14).contains(code)) else {
            add("payloads-template-parameter-value-type");
            return;
        };
        let fitting = match &parameter.value {
            // A definition needs no default.
            None => true,
            Some(ParameterValue::Int(value)) => fits(code, &Value::Int(*value)),
            Some(ParameterValue::Long(value)) => fits(code, &Value::Long(*value)),
            Some(ParameterValue::Float(_)) => code == 9,
            Some(ParameterValue::Double(_)) => code == 10,
            Some(ParameterValue::Boolean(_)) => code == 11,
            Some(ParameterValue::String(_)) => matches!(code, 12 | 14),
        };
        if !fitting {
            add("payloads-template-parameter-value");
        }
    }
}
