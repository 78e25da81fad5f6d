//! Templates of one edge node: which definitions its NBIRTH needs, and which members no
//! definition and no instance may have.
//!
//! A birth's instance has exactly the members of its definition (Sparkplug 3.0 §6.4.13), so a
//! member that the policy denies in one instance goes from the definition and from every other
//! instance of it in the node.

use std::collections::{BTreeMap, BTreeSet};

use crate::policy::{EntityPlan, Verdict};
use crate::sparkplug::{Caps, DataType, Metric, Template, Value, names};
use crate::telemetry::Reason;

/// Member visits of one survey. Definitions that refer to one another can describe more members
/// than any payload holds; beyond this the instance is refused.
const SURVEY_BUDGET: usize = 100_000;

/// Members that are removed in one node. Policies deny members by a few globs, which match as
/// many names as a birth has; names that data goes on inventing must not fill the memory.
const MAX_REMOVED: usize = 1_000;

/// Definitions of a node by their metric names.
pub(crate) type Definitions = BTreeMap<String, Metric>;

/// What the instances of a node ask of its NBIRTH.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Types {
    /// Metric names of the definitions that are needed.
    pub(crate) needed: BTreeSet<String>,
    /// Template type and member (or parameter) that is removed from it everywhere.
    pub(crate) removed: BTreeSet<(String, String)>,
}

/// Adds to a node's [`Types`] what the instances of one entity ask for.
pub(crate) struct Survey<'a> {
    definitions: &'a Definitions,
    /// Plan of the node, which owns the definitions.
    node: &'a EntityPlan<'a>,
    /// Plan of the entity, which owns the instances.
    entity: &'a EntityPlan<'a>,
    types: &'a mut Types,
    budget: usize,
}

impl<'a> Survey<'a> {
    pub(crate) fn new(
        definitions: &'a Definitions,
        node: &'a EntityPlan<'a>,
        entity: &'a EntityPlan<'a>,
        types: &'a mut Types,
    ) -> Self {
        Survey { definitions, node, entity, types, budget: SURVEY_BUDGET }
    }

    /// Surveys the instance that the metric `name` has as its value.
    ///
    /// # Errors
    /// The reason for which the instance can't be forwarded at all.
    pub(crate) fn instance(&mut self, name: &str, instance: &Template) -> Result<(), Reason> {
        let before = self.types.clone();
        let result = self.walk(name, Some(instance), instance.template_ref.as_deref(), 0);
        if result.is_err() {
            *self.types = before;
        }
        result
    }

    /// Depth is bounded by [`Caps::MAX_DEPTH`], visits by the budget.
    fn walk(
        &mut self,
        path: &str,
        instance: Option<&Template>,
        reference: Option<&str>,
        depth: usize,
    ) -> Result<(), Reason> {
        if depth > Caps::MAX_DEPTH {
            return Err(Reason::OverCap);
        }
        let definition = reference.and_then(|reference| resolve(self.definitions, reference));
        if let Some((name, _)) = definition {
            let verdict = self.node.judge(name, Some(DataType::Template));
            if let Verdict::Drop { reason: Reason::Denied, .. } = verdict {
                return Err(Reason::Denied);
            }
            self.types.needed.insert(name.to_owned());
        }
        let defined = definition.and_then(|(_, metric)| template_of(metric));
        let type_name = type_name(reference.unwrap_or_default());

        let mut seen = BTreeSet::new();
        for template in instance.into_iter().chain(defined) {
            for member in &template.metrics {
                let Some(name) = member.name.as_deref() else { continue };
                if !seen.insert(name) {
                    continue;
                }
                let path = format!("{path}/{name}");
                // Data may leave the datatype to the definition; and where the two differ, the
                // stricter word counts.
                let defined = defined.and_then(|defined| member_named(defined, name));
                let told = [Some(member), defined].into_iter().flatten().filter_map(datatype_of);
                if self.visit(&path, type_name, name, told.collect())? {
                    continue;
                }
                if let Some(inner) = template_of(member) {
                    let depth = depth.saturating_add(1);
                    self.walk(&path, Some(inner), inner.template_ref.as_deref(), depth)?;
                }
            }
            for parameter in &template.parameters {
                let Some(name) = parameter.name.as_deref() else { continue };
                if seen.insert(name) {
                    let told = parameter.r#type.and_then(DataType::from_code);
                    let path = format!("{path}/{name}");
                    self.visit(&path, type_name, name, told.into_iter().collect())?;
                }
            }
        }
        Ok(())
    }

    /// Whether the policy denies the member at `path`, with any of the datatypes that it is said
    /// to have.
    fn visit(
        &mut self,
        path: &str,
        type_name: &str,
        member: &str,
        datatypes: Vec<DataType>,
    ) -> Result<bool, Reason> {
        self.budget = self.budget.checked_sub(1).ok_or(Reason::OverCap)?;
        let denies = |datatype| self.entity.denies_member(path, datatype).is_some();
        let denied = match datatypes.as_slice() {
            [] => denies(None),
            told => told.iter().any(|datatype| denies(Some(*datatype))),
        };
        if denied {
            if self.types.removed.len() >= MAX_REMOVED {
                return Err(Reason::OverCap);
            }
            self.types.removed.insert((type_name.to_owned(), member.to_owned()));
        }
        Ok(denied)
    }
}

impl Types {
    /// Adds what another survey asked for; nothing, if that is too much.
    ///
    /// # Errors
    /// The reason for which that instance can't be forwarded.
    pub(crate) fn extend(&mut self, mut asked: Types) -> Result<(), Reason> {
        let removed = asked.removed.difference(&self.removed).count();
        if self.removed.len().saturating_add(removed) > MAX_REMOVED {
            return Err(Reason::OverCap);
        }
        self.needed.append(&mut asked.needed);
        self.removed.append(&mut asked.removed);
        Ok(())
    }

    /// The definitions of these `names`, scrubbed.
    pub(crate) fn definitions(
        &self,
        definitions: &Definitions,
        names: &BTreeSet<String>,
    ) -> Vec<Metric> {
        let needed = definitions.iter().filter(|(name, _)| names.contains(*name));
        let mut metrics = Vec::new();
        for (name, definition) in needed {
            let mut metric = definition.clone();
            metric.alias = None;
            metric.datatype = Some(DataType::Template.code());
            metric.is_null = None;
            metric.is_historical = None;
            if let Some(Value::Template(template)) = &mut metric.value {
                self.scrub_members(template, type_name(name), definitions, 0);
                template.is_definition = Some(true);
                template.template_ref = None;
            }
            metrics.push(metric);
        }
        metrics
    }

    /// Removes from an instance what must not cross, and completes what is left.
    pub(crate) fn scrub(&self, instance: &mut Template, definitions: &Definitions) {
        self.scrub_instance(instance, definitions, 0);
    }

    /// Depth is that of a decoded payload, so bounded by [`Caps::MAX_DEPTH`].
    fn scrub_instance(&self, instance: &mut Template, definitions: &Definitions, depth: usize) {
        let reference = instance.template_ref.clone().unwrap_or_default();
        self.scrub_members(instance, type_name(&reference), definitions, depth);
        instance.is_definition = Some(false);
    }

    fn scrub_members(
        &self,
        template: &mut Template,
        type_name: &str,
        definitions: &Definitions,
        depth: usize,
    ) {
        let removed = |name: &str| {
            self.removed.iter().any(|(holder, member)| holder == type_name && member == name)
        };
        // A member without a name can't be judged.
        template.metrics.retain(|member| member.name.as_deref().is_some_and(|name| !removed(name)));
        template
            .parameters
            .retain(|parameter| parameter.name.as_deref().is_some_and(|name| !removed(name)));
        let defined = resolve(definitions, type_name).and_then(|(_, metric)| template_of(metric));
        for member in &mut template.metrics {
            member.alias = None;
            if member.datatype.is_none() {
                let name = member.name.as_deref().unwrap_or_default();
                member.datatype = defined
                    .and_then(|defined| member_named(defined, name))
                    .and_then(|defined| defined.datatype);
            }
            if member.is_null == Some(true) {
                member.value = None;
            }
            member.is_null = member.value.is_none().then_some(true);
            if let Some(Value::Template(inner)) = &mut member.value {
                self.scrub_instance(inner, definitions, depth.saturating_add(1));
            }
        }
    }
}

/// The definition that `reference` means: some libraries name it `_types_/X` and refer to it as
/// `X`.
fn resolve<'a>(definitions: &'a Definitions, reference: &str) -> Option<(&'a str, &'a Metric)> {
    let found = definitions.get_key_value(reference).or_else(|| {
        let prefixed = format!("{}{reference}", names::TYPES_PREFIX);
        definitions.get_key_value(&prefixed)
    });
    let found = found.or_else(|| definitions.get_key_value(type_name(reference)));
    found.map(|(name, metric)| (name.as_str(), metric))
}

/// The type's name without `_types_/`, so that both spellings mean the same.
fn type_name(reference: &str) -> &str {
    reference.strip_prefix(names::TYPES_PREFIX).unwrap_or(reference)
}

fn member_named<'a>(template: &'a Template, name: &str) -> Option<&'a Metric> {
    template.metrics.iter().find(|member| member.name.as_deref() == Some(name))
}

fn datatype_of(metric: &Metric) -> Option<DataType> {
    metric.datatype.and_then(DataType::from_code)
}

fn template_of(metric: &Metric) -> Option<&Template> {
    match &metric.value {
        Some(Value::Template(template)) => Some(template),
        _ => None,
    }
}
