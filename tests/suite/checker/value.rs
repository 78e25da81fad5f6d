//! Values: their datatypes, property sets, data sets and templates.

use std::collections::{BTreeSet, HashMap};

use sparkplug::{
    CellValue, DataSet, Metric, Parameter, ParameterValue, Payload, Property, PropertySet,
    Template, Value,
};

use super::Findings;

const TEMPLATE: u32 = 19;

/// Where a metric was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    NodeBirth,
    DeviceBirth,
    Data,
}

/// The template definitions of the last NBIRTH, by the name of their metric.
#[derive(Default)]
pub(super) struct Definitions(HashMap<String, Template>);

impl Definitions {
    pub(super) fn learn(payload: &Payload) -> Definitions {
        let definition = |metric: &Metric| match &metric.value {
            Some(Value::Template(template)) if template.is_definition() => {
                Some((metric.name().to_owned(), (**template).clone()))
            }
            _ => None,
        };
        Definitions(payload.metrics.iter().filter_map(definition).collect())
    }

    /// Some libraries name the metric of the definition of `X` `_types_/X`.
    fn find(&self, reference: &str) -> Option<&Template> {
        self.0.get(reference).or_else(|| self.0.get(&format!("_types_/{reference}")))
    }
}

/// Whether a metric of this datatype may have this value. UInt32 is seen as either integer.
pub(super) fn fits(code: u32, value: &Value) -> bool {
    match value {
        Value::Int(value) => match code {
            1 | 5 => *value <= 0xff || (code == 1 && *value >= 0xffff_ff80),
            2 | 6 => *value <= 0xffff || (code == 2 && *value >= 0xffff_8000),
            _ => matches!(code, 3 | 7),
        },
        Value::Long(value) => {
            matches!(code, 4 | 8 | 13) || (code == 7 && *value <= u64::from(u32::MAX))
        }
        Value::Float(_) => code == 9,
        Value::Double(_) => code == 10,
        Value::Boolean(_) => code == 11,
        Value::String(_) => matches!(code, 12 | 14 | 15),
        Value::Bytes(_) => matches!(code, 17 | 18 | 22..=34),
        Value::DataSet(_) => code == 16,
        Value::Template(_) => code == TEMPLATE,
    }
}

pub(super) fn check_properties(metric: &Metric, number: usize, findings: &mut Findings) {
    if let Some(set) = &metric.properties {
        property_set(metric.name(), set, number, findings);
    }
}

pub(super) fn check_value(
    metric: &Metric,
    place: Place,
    definitions: &Definitions,
    number: usize,
    findings: &mut Findings,
) {
    match &metric.value {
        Some(Value::DataSet(set)) => data_set(metric.name(), set, number, findings),
        Some(Value::Template(template)) => {
            let check = TemplateCheck { place, definitions, number };
            check.template(metric.name(), template, place == Place::NodeBirth, findings);
        }
        _ => {}
    }
}

fn property_set(name: &str, set: &PropertySet, number: usize, findings: &mut Findings) {
    let mut add =
        |rule: &str, text: String| findings.add(rule, number, format!("`{name}`: {text}"));
    if set.keys.len() != set.values.len() {
        let text = format!("{} keys, {} values", set.keys.len(), set.values.len());
        add("payloads-propertyset-keys-array-size", text);
    }
    for (key, property) in set.keys.iter().zip(&set.values) {
        let mut add = |rule: &str, text: String| {
            findings.add(rule, number, format!("`{name}`, `{key}`: {text}"));
        };
        let Some(code) = property.r#type else {
            add("payloads-metric-propertyvalue-type-req", "no type".into());
            continue;
        };
        let fitting = match &property.value {
            None => property.is_null(),
            Some(value) => property_fits(code, value),
        };
        if !fitting {
            add("payloads-metric-propertyvalue-type-value", format!("{property:?}"));
        }
        if key == "Quality" {
            if code != 3 {
                add("payloads-propertyset-quality-value-type", format!("type {code}"));
            } else if !matches!(property.value, Some(Property::Int(0 | 192 | 500))) {
                add("payloads-propertyset-quality-value-value", format!("{property:?}"));
            }
        }
        match &property.value {
            Some(Property::Set(set)) => property_set(name, set, number, findings),
            Some(Property::SetList(list)) => {
                list.sets.iter().for_each(|set| property_set(name, set, number, findings));
            }
            _ => {}
        }
    }
}

fn property_fits(code: u32, property: &Property) -> bool {
    match property {
        Property::Int(value) => code <= 14 && fits(code, &Value::Int(*value)),
        Property::Long(value) => code <= 14 && fits(code, &Value::Long(*value)),
        Property::Float(_) => code == 9,
        Property::Double(_) => code == 10,
        Property::Boolean(_) => code == 11,
        Property::String(_) => matches!(code, 12 | 14),
        Property::Set(_) => code == 20,
        Property::SetList(_) => code == 21,
    }
}

fn data_set(name: &str, set: &DataSet, number: usize, findings: &mut Findings) {
    let mut add =
        |rule: &str, text: String| findings.add(rule, number, format!("`{name}`: {text}"));
    let columns = set.columns.len();
    match set.num_of_columns {
        None => add("payloads-dataset-column-size", "no num_of_columns".into()),
        Some(count) if usize::try_from(count) != Ok(columns) => {
            add("payloads-dataset-column-num-headers", format!("{count}, {columns} headers"));
        }
        Some(_) => {}
    }
    if set.types.len() != columns {
        let text = format!("{} types, {columns} columns", set.types.len());
        add("payloads-dataset-types-num", text);
    }
    for code in set.types.iter().filter(|code| !(1..=14).contains(*code)) {
        add("payloads-dataset-types-value", format!("type {code}"));
    }
    for row in &set.rows {
        let fitting = row.elements.len() == columns
            && row.elements.iter().zip(&set.types).all(|(cell, code)| {
                cell.value.as_ref().is_some_and(|value| cell_fits(*code, value))
            });
        if !fitting {
            add("payloads-template-dataset-value", format!("row {row:?}"));
        }
    }
}

fn cell_fits(code: u32, cell: &CellValue) -> bool {
    match cell {
        CellValue::Int(value) => fits(code, &Value::Int(*value)),
        CellValue::Long(value) => fits(code, &Value::Long(*value)),
        CellValue::Float(_) => code == 9,
        CellValue::Double(_) => code == 10,
        CellValue::Boolean(_) => code == 11,
        CellValue::String(_) => matches!(code, 12 | 14),
    }
}

struct TemplateCheck<'a> {
    place: Place,
    definitions: &'a Definitions,
    number: usize,
}

impl TemplateCheck<'_> {
    /// `may_define`: a definition may stand here, as a metric of an NBIRTH.
    fn template(&self, name: &str, template: &Template, may_define: bool, findings: &mut Findings) {
        let mut add = |rule: &str, text: String| {
            findings.add(rule, self.number, format!("template `{name}`: {text}"));
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
                    findings.add("payloads-metric-datatype-req", self.number, text);
                }
                Some(code) if member.value.as_ref().is_some_and(|value| !fits(code, value)) => {
                    findings.add("payloads-metric-datatype-value-type", self.number, text);
                }
                _ => {}
            }
            check_properties(member, self.number, findings);
            match &member.value {
                Some(Value::Template(inner)) => {
                    self.template(member.name(), inner, false, findings);
                }
                Some(Value::DataSet(set)) => data_set(member.name(), set, self.number, findings),
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
            findings.add(rule, self.number, format!("template `{name}`: {text}"));
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
            findings.add(rule, self.number, text);
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
