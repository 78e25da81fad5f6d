//! Instances of templates: what of them their definition has, and what they lack of it.

use std::collections::HashSet;

use foldhash::fast::RandomState;
use sparkplug::value::fits;
use sparkplug::{DataType, Metric, ParameterValue, Template, Value, steps};

use super::{Definitions, Kind, Misfit, Removed, Unfit};
use crate::plant::refused::{field as field_of, parameter_field};

impl Definitions {
    /// Reduces an instance of the definition `name` to what this has and `removed` hasn't.
    /// Values that don't fit become null. Takes no longer than reading the instance. `unfit` takes
    /// what was taken out, but for what is `removed`: that is the policy's word.
    pub(crate) fn conform(
        &self,
        instance: &mut Template,
        name: &str,
        removed: &Removed,
        unfit: &mut Unfit,
    ) {
        instance.is_definition = Some(false);
        // Ends, as only definitions without faults are entered, which don't contain themselves.
        let Some(definition) = self.by_name.get(name).filter(|found| found.fault.is_none()) else {
            instance.metrics.clear();
            instance.parameters.clear();
            return;
        };
        let removed_here = removed.get(name);
        steps::take(instance.metrics.len().saturating_add(instance.parameters.len()));
        let mut seen = HashSet::with_hasher(RandomState::default());
        let mut field = |name: Option<&str>, is_parameter: bool| {
            let known = name.and_then(|name| definition.fields.get(name));
            let known = known.filter(|field| (field.kind == Kind::Parameter) == is_parameter);
            let field = known.ok_or(Some(Misfit::Unknown))?;
            if name.is_some_and(|name| removed_here.is_some_and(|removed| removed.contains(name))) {
                return Err(None);
            }
            if seen.insert(field.number) { Ok(field) } else { Err(Some(Misfit::Twice)) }
        };
        instance.parameters.retain_mut(|parameter| {
            let name = parameter.name.as_deref();
            let field = match field(name, true) {
                Ok(field) => field,
                Err(misfit) => {
                    misfit.into_iter().for_each(|misfit| unfit.note(name, misfit));
                    return false;
                }
            };
            let born = field.datatype;
            let agrees = parameter.r#type.is_none_or(|code| code == born.code());
            let fits = |value: &ParameterValue| agrees && parameter_fits(born, value);
            if let Some(value) = parameter.value.take_if(|value| !fits(value)) {
                unfit.note(name, Misfit::Value { born, got: parameter_field(&value) });
            }
            parameter.r#type = Some(born.code());
            true
        });
        instance.metrics.retain_mut(|member| {
            let field = match field(member.name.as_deref(), false) {
                Ok(field) => field,
                Err(misfit) => {
                    let name = member.name.as_deref();
                    misfit.into_iter().for_each(|misfit| unfit.note(name, misfit));
                    return false;
                }
            };
            let born = field.datatype;
            let agrees = member.datatype.is_none_or(|code| code == born.code());
            if member.is_null == Some(true) {
                member.value = None;
            }
            member.alias = None;
            member.datatype = Some(born.code());
            if let Some(value) = member.value.take_if(|value| !agrees || !fits(born, value)) {
                unfit.note(member.name.as_deref(), Misfit::Value { born, got: field_of(&value) });
            }
            if let Some(Value::Template(inner)) = &mut member.value {
                let found = self.usable(inner.template_ref.as_deref());
                let name = member.name.as_deref();
                match &field.kind {
                    Kind::Nested { definition, reference } if found == Ok(&**definition) => {
                        inner.template_ref = Some(reference.clone());
                        let length = unfit.enter(name.unwrap_or_default());
                        self.conform(inner, definition, removed, unfit);
                        unfit.leave(length);
                    }
                    _ => {
                        unfit.note(name, Misfit::Instance);
                        member.value = None;
                    }
                }
            }
            member.is_null = member.value.is_none().then_some(true);
            true
        });
    }
}

impl Definitions {
    /// Whether an instance of the definition `name`, reduced to what this has, has all its members.
    pub(crate) fn is_whole(&self, instance: &Template, name: &str) -> bool {
        let Some(definition) = self.by_name.get(name) else { return false };
        instance.metrics.len() == definition.members
            && instance.metrics.iter().all(|member| match &member.value {
                Some(Value::Template(inner)) => {
                    let name = self.usable(inner.template_ref.as_deref());
                    name.is_ok_and(|name| self.is_whole(inner, name))
                }
                _ => true,
            })
    }

    /// Adds to an instance, reduced to what its definition has and `removed` hasn't, the members that it
    /// lacks, without values: a birth has them all (Sparkplug 3.0
    /// payloads-template-instance-members-birth). False: that would take more than the `left` bytes,
    /// or the definition can't be used.
    pub(crate) fn fill(
        &self,
        instance: &mut Template,
        removed: &Removed,
        left: &mut usize,
    ) -> bool {
        let Ok(name) = self.usable(instance.template_ref.as_deref()) else { return false };
        for member in &mut instance.metrics {
            if let Some(Value::Template(inner)) = &mut member.value
                && !self.fill(inner, removed, left)
            {
                return false;
            }
        }
        let Some(definition) = self.by_name.get(name) else { return true };
        let Some(Value::Template(template)) = &definition.metric.value else { return true };
        if instance.metrics.len() >= definition.members {
            return true;
        }
        steps::take(template.metrics.len());
        let names = instance.metrics.iter().filter_map(|member| member.name.as_deref());
        let known: HashSet<&str, RandomState> = names.collect();
        let removed = removed.get(name);
        let mut lacking = Vec::new();
        for member in template.metrics.iter().filter_map(|member| member.name.as_deref()) {
            let Some(field) = definition.fields.get(member) else { continue };
            let is_removed = removed.is_some_and(|removed| removed.contains(member));
            if is_removed || field.kind == Kind::Parameter || known.contains(member) {
                continue;
            }
            let Some(rest) = left.checked_sub(member.len().saturating_add(MEMBER_BYTES)) else {
                return false;
            };
            *left = rest;
            lacking.push(Metric {
                name: Some(member.to_owned()),
                datatype: Some(field.datatype.code()),
                is_null: Some(true),
                ..Metric::default()
            });
        }
        instance.metrics.extend(lacking);
        true
    }
}

/// What a member without a value takes on the wire beside its name.
const MEMBER_BYTES: usize = 8;

fn parameter_fits(datatype: DataType, value: &ParameterValue) -> bool {
    match value {
        ParameterValue::Int(value) => fits(datatype, &Value::Int(*value)),
        ParameterValue::Long(value) => fits(datatype, &Value::Long(*value)),
        ParameterValue::Float(value) => fits(datatype, &Value::Float(*value)),
        ParameterValue::Double(value) => fits(datatype, &Value::Double(*value)),
        ParameterValue::Boolean(value) => fits(datatype, &Value::Boolean(*value)),
        ParameterValue::String(_) => matches!(datatype, DataType::String | DataType::Text),
    }
}
