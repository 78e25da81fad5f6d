//! Templates of one edge node: the definitions of its NBIRTH, which of their members the policy
//! denies, and what of an instance may cross.
//!
//! An instance has the members of its definition (Sparkplug 3.0 §6.4.13) and nothing else, so the
//! definitions alone say what there is to judge: the policy is asked at births, once for every
//! name that a definition gives a member, and data is only compared with the answers. A member
//! that the policy denies in one instance goes from the definition and from every other instance
//! of it in the node.
//!
//! Whatever is in doubt doesn't cross: a definition that is ambiguous, contains itself or what
//! nobody defined, or is nested too deeply is unusable, and so are its instances.

mod conform;
mod footprint;
mod survey;
mod types;
mod unfit;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use account::Reason;
use foldhash::fast::RandomState;
use mistake::mistake;
use policy::shape::{Pseudonyms, Shape};
use policy::{EntityPlan, Verdict};
use prost::Message;
use sparkplug::{Caps, DataType, Metric, Parameter, Template, Value, names, steps};
pub(crate) use survey::{SURVEY_BYTES, Survey, allowance, repeated_allowance};
pub(crate) use types::{Removed, Types};
pub(crate) use unfit::{Misfit, Unfit};

use self::survey::Walk;

/// The definitions of a node by their metric names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Definitions {
    by_name: BTreeMap<String, Definition>,
    /// What the policy denies of them as metrics of the node.
    denied: Removed,
    /// Bytes that were received of them.
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Definition {
    /// With usable values alone, unless there is a `fault`.
    metric: Metric,
    fields: HashMap<Box<str>, Field, RandomState>,
    /// How many of them are members.
    members: usize,
    /// Why it is unusable.
    fault: Option<Reason>,
    standing: Standing,
    /// What a rule that forwards it by itself says of it.
    shape: Option<Arc<Shape>>,
}

/// A member or parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    /// Different for each field of a definition.
    number: usize,
    datatype: DataType,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Parameter,
    Member,
    /// A member that is an instance of another definition.
    Nested {
        definition: Box<str>,
        /// As this definition spells it.
        reference: String,
    },
}

/// The policy's word on a definition as a metric of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Nobody asked yet, or it doesn't cross.
    Dropped(Reason),
    /// Crosses where an instance needs it.
    Allowed,
    /// A rule forwards it by itself: what isn't structure crosses too.
    Forwarded,
}

impl Definitions {
    /// Takes over the definitions of an NBIRTH, of which `nesting` may be within one another.
    /// `is_taken` tells whether another metric has a name already. `unfit` takes what is left out of
    /// those that can be used.
    pub(crate) fn learn(
        metrics: Vec<Metric>,
        nesting: usize,
        is_taken: impl Fn(&str) -> bool,
        unfit: &mut Unfit,
    ) -> Self {
        let mut definitions = Definitions::default();
        for metric in metrics {
            let Some(name) = metric.name.clone() else { continue };
            definitions.bytes = definitions.bytes.saturating_add(metric.encoded_len());
            let definition = Definition::read(metric);
            match definitions.by_name.get_mut(&name) {
                Some(twice) => twice.fault = Some(Reason::MalformedPayload),
                None => {
                    definitions.by_name.insert(name, definition);
                }
            }
        }
        for (name, definition) in &mut definitions.by_name {
            if is_taken(name) {
                definition.fault = Some(Reason::MalformedPayload);
            }
        }
        definitions.connect();
        definitions.find_depths(nesting.min(Caps::MAX_DEPTH));
        definitions.clean(unfit);
        definitions
    }

    pub(crate) fn clear(&mut self) {
        *self = Definitions::default();
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Bytes that were received of them.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    pub(crate) fn metrics(&self) -> impl Iterator<Item = &Metric> {
        self.by_name.values().map(|definition| &definition.metric)
    }

    /// Those that can't be used, and why.
    pub(crate) fn faulty(&self) -> impl Iterator<Item = (&str, Reason)> {
        let all = self.by_name.iter();
        all.filter_map(|(name, definition)| Some((name.as_str(), definition.fault?)))
    }

    /// Whether both define the same members. Values and times don't count.
    pub(crate) fn same_fields(&self, other: &Definitions) -> bool {
        let same = |((name, definition), (other_name, other)): (
            (&String, &Definition),
            (&String, &Definition),
        )| {
            name == other_name
                && definition.fault == other.fault
                && definition.fields == other.fields
        };
        self.by_name.len() == other.by_name.len()
            && self.by_name.iter().zip(&other.by_name).all(same)
    }

    /// Asks the policy about each definition, as a metric of the node.
    pub(crate) fn judge(&mut self, node: &EntityPlan<'_>) {
        self.denied.clear();
        let mut budget = allowance(self.bytes);
        let mut answers = Vec::new();
        for (name, definition) in &self.by_name {
            steps::take(1);
            if definition.fault.is_some() {
                continue;
            }
            let judged = node.judge_and_shape(name, Some(DataType::Template));
            let standing = match judged.verdict {
                Verdict::Drop { reason: Reason::Denied, .. } => Standing::Dropped(Reason::Denied),
                Verdict::Redact { .. } => Standing::Dropped(Reason::Redacted),
                Verdict::Drop { .. } => Standing::Allowed,
                Verdict::Forward { .. } => Standing::Forwarded,
            };
            let mut walk = Walk::new(self, node, budget);
            let walked = walk.definition(&mut name.clone(), name, definition);
            budget = walk.budget;
            answers.push(match walked {
                Ok(()) => (name.clone(), standing, judged.shape.cloned(), walk.asked),
                Err(reason) => (name.clone(), Standing::Dropped(reason), None, Types::default()),
            });
        }
        let mut denied = Types::default();
        for (name, standing, shape, asked) in answers {
            if let Some(definition) = self.by_name.get_mut(&name) {
                definition.standing = standing;
                definition.shape = shape;
            }
            denied.extend(asked);
        }
        self.denied = denied.removed;
    }

    /// What is removed whatever the instances ask for.
    pub(crate) fn denied(&self) -> &Removed {
        &self.denied
    }

    /// The metric name of the definition that `reference` means.
    ///
    /// # Errors
    /// [`Reason::TypeMismatch`] where there is none, else why it is unusable.
    pub(crate) fn usable(&self, reference: Option<&str>) -> Result<&str, Reason> {
        let found = reference.and_then(|reference| self.resolve(reference));
        let (name, definition) = found.ok_or(Reason::TypeMismatch)?;
        definition.fault.map_or(Ok(name), Err)
    }

    /// The definitions of these `names` as a birth has them, without what is `removed`.
    pub(crate) fn emit(
        &self,
        names: &BTreeSet<String>,
        removed: &Removed,
        how: Pseudonyms<'_>,
    ) -> Vec<Metric> {
        let emitted = |(name, definition): (&String, &Definition)| {
            let crosses = names.contains(name)
                && definition.fault.is_none()
                && !matches!(definition.standing, Standing::Dropped(_));
            let Some(Value::Template(template)) = &definition.metric.value else { return None };
            if !crosses {
                return None;
            }
            let mut template = template.clone();
            self.conform(&mut template, name, removed, &mut Unfit::default());
            template.is_definition = Some(true);
            template.template_ref = None;
            let mut metric = Metric {
                name: Some(name.clone()),
                timestamp: definition.metric.timestamp,
                datatype: Some(DataType::Template.code()),
                ..Metric::default()
            };
            if definition.standing == Standing::Forwarded {
                metric.metadata.clone_from(&definition.metric.metadata);
                metric.properties.clone_from(&definition.metric.properties);
            } else {
                strip(&mut template);
            }
            metric.value = Some(Value::Template(template));
            let shape = definition.shape.as_ref().unwrap_or_else(|| Shape::unshaped());
            shape.disarm_definition(&mut metric, how);
            Some(metric)
        };
        self.by_name.iter().filter_map(emitted).collect()
    }

    /// Some libraries name a definition `_types_/X` and refer to it as `X`.
    fn resolve(&self, reference: &str) -> Option<(&str, &Definition)> {
        let found = self.by_name.get_key_value(reference).or_else(|| {
            let prefixed = format!("{}{reference}", names::TYPES_PREFIX);
            self.by_name.get_key_value(&prefixed)
        });
        found.map(|(name, definition)| (name.as_str(), definition))
    }

    /// Finds the definitions that members are instances of.
    fn connect(&mut self) {
        let mut found = Vec::new();
        for (name, definition) in &self.by_name {
            let Some(template) = template_of(&definition.metric) else { continue };
            for member in &template.metrics {
                let Some(inner) = template_of(member) else { continue };
                let Some(member_name) = member.name.as_deref() else { continue };
                let reference = inner.template_ref.clone().unwrap_or_default();
                let target = self.resolve(&reference).map(|(target, _)| Box::<str>::from(target));
                found.push((name.clone(), Box::<str>::from(member_name), target, reference));
            }
        }
        for (name, member, target, reference) in found {
            let Some(definition) = self.by_name.get_mut(&name) else {
                mistake!("a definition that was listed and is gone");
                continue;
            };
            let Some(field) = definition.fields.get_mut(&member) else { continue };
            if field.datatype != DataType::Template {
                continue;
            }
            match target {
                Some(target) => field.kind = Kind::Nested { definition: target, reference },
                None => definition.fault = definition.fault.or(Some(Reason::TypeMismatch)),
            }
        }
    }

    /// Finds which definitions contain unusable ones, or themselves, or too much.
    fn find_depths(&mut self, nesting: usize) {
        let mut settled: HashSet<Box<str>, RandomState> = HashSet::default();
        for _ in 0..nesting {
            let settles = |(name, definition): (&String, &Definition)| {
                let settles = definition.fault.is_none()
                    && !settled.contains(name.as_str())
                    && definition.nested().all(|inner| settled.contains(inner));
                settles.then(|| Box::<str>::from(name.as_str()))
            };
            let next: Vec<Box<str>> = self.by_name.iter().filter_map(settles).collect();
            if next.is_empty() {
                break;
            }
            settled.extend(next);
        }
        for (name, definition) in &mut self.by_name {
            if !settled.contains(name.as_str()) {
                definition.fault = definition.fault.or(Some(Reason::OverCap));
            }
        }
    }

    /// Leaves usable values alone.
    fn clean(&mut self, unfit: &mut Unfit) {
        let names: Vec<String> = self.by_name.keys().cloned().collect();
        for name in names {
            let Some(definition) = self.by_name.get_mut(&name) else {
                mistake!("a definition that was listed and is gone");
                continue;
            };
            if definition.fault.is_some() {
                continue;
            }
            let Some(Value::Template(mut template)) = definition.metric.value.take() else {
                continue;
            };
            unfit.begin(&name);
            self.conform(&mut template, &name, &Removed::new(), unfit);
            template.is_definition = Some(true);
            if let Some(definition) = self.by_name.get_mut(&name) {
                definition.metric.value = Some(Value::Template(template));
            }
        }
        unfit.are_of_definitions();
    }
}

impl Definition {
    fn read(metric: Metric) -> Definition {
        let mut definition = Definition {
            metric: Metric::default(),
            fields: HashMap::default(),
            members: 0,
            fault: None,
            standing: Standing::Dropped(Reason::NoRule),
            shape: None,
        };
        let name = metric.name.as_deref().unwrap_or_default();
        if names::is_control(name) || name == names::BD_SEQ || name == names::REBIRTH {
            definition.fault = Some(Reason::ControlMetric);
        }
        match template_of(&metric) {
            Some(template) => {
                for parameter in &template.parameters {
                    let datatype = parameter_type(parameter);
                    definition.add(parameter.name.as_deref(), datatype, Kind::Parameter);
                }
                for member in &template.metrics {
                    definition.add(member.name.as_deref(), member_type(member), Kind::Member);
                }
            }
            None => definition.fault = Some(Reason::TypeMismatch),
        }
        definition.metric = metric;
        definition
    }

    /// A field without a name or datatype can't be judged: there is none.
    fn add(&mut self, name: Option<&str>, datatype: Option<DataType>, kind: Kind) {
        let Some(name) = name.filter(|name| !name.is_empty()) else { return };
        let Some(datatype) = datatype else { return };
        self.members = self.members.saturating_add(usize::from(kind == Kind::Member));
        let field = Field { number: self.fields.len(), datatype, kind };
        if self.fields.insert(name.into(), field).is_some() {
            self.fault = self.fault.or(Some(Reason::MalformedPayload));
        }
    }

    fn nested(&self) -> impl Iterator<Item = &str> {
        self.fields.values().filter_map(|field| match &field.kind {
            Kind::Nested { definition, .. } => Some(&**definition),
            _ => None,
        })
    }
}

/// Removes what describes a template's members without being structure.
fn strip(template: &mut Template) {
    for member in &mut template.metrics {
        member.metadata = None;
        member.properties = None;
        if let Some(Value::Template(inner)) = &mut member.value {
            strip(inner);
        }
    }
}

fn member_type(member: &Metric) -> Option<DataType> {
    let datatype = member.datatype.and_then(DataType::from_code)?;
    let is_property = matches!(datatype, DataType::PropertySet | DataType::PropertySetList);
    (!is_property).then_some(datatype)
}

/// Sparkplug 3.0 §6.4.13: basic types only.
fn parameter_type(parameter: &Parameter) -> Option<DataType> {
    parameter.r#type.and_then(DataType::from_code).filter(|datatype| *datatype <= DataType::Text)
}

fn template_of(metric: &Metric) -> Option<&Template> {
    match &metric.value {
        Some(Value::Template(template)) => Some(template),
        _ => None,
    }
}
