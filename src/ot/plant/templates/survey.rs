//! Surveys: what the instances of an entity ask of their definitions, within a budget of names.

use account::Reason;
use policy::EntityPlan;
use policy::shape::Shape;
use sparkplug::{DataType, steps};

use super::{Definition, Definitions, Kind, Standing, Types};

/// Most bytes of names that one survey asks the policy for: those of a birth of 20,000 members
/// with some hundred bytes each. Definitions that refer to one another can describe far more
/// than any payload holds.
pub(crate) const SURVEY_BYTES: usize = 4 * 1024 * 1024;

/// What every survey may ask for, however little was received: some thousand names.
const BASE_BYTES: usize = 256 * 1024;

/// What a survey may ask for beyond that, for each byte of what it looks at. A complete instance
/// has every name that is asked for, if not the names of all that it is in.
const BYTES_PER_BYTE: usize = 16;

/// What asking for a name costs beside its bytes.
const VISIT_BYTES: usize = 64;

/// Bytes of the name of a member, with those of all that it is in. Names in real plants have
/// some hundred.
const MAX_PATH_BYTES: usize = 4 * 1024;

/// What a survey may ask for that looks at so many bytes: small messages can't make much work,
/// however much the definitions describe.
pub(crate) fn allowance(received_bytes: usize) -> usize {
    BASE_BYTES.saturating_add(received_bytes.saturating_mul(BYTES_PER_BYTE)).min(SURVEY_BYTES)
}

/// What looking again at what was surveyed before may ask for: nothing beside what was received for
/// it.
pub(crate) fn repeated_allowance(received_bytes: usize) -> usize {
    received_bytes.saturating_mul(BYTES_PER_BYTE).min(SURVEY_BYTES)
}

/// Asks the policy of one entity about the members of its instances.
pub(crate) struct Survey<'a> {
    definitions: &'a Definitions,
    entity: &'a EntityPlan<'a>,
    /// Bytes that may be asked for yet.
    budget: usize,
}

impl<'a> Survey<'a> {
    pub(crate) fn new(
        definitions: &'a Definitions,
        entity: &'a EntityPlan<'a>,
        budget: usize,
    ) -> Self {
        Survey { definitions, entity, budget }
    }

    pub(crate) fn budget(&self) -> usize {
        self.budget
    }

    /// What an instance of the definition `definition` in the metric `name` asks for. `shape` says
    /// which members and parameters the metric's rule lets through.
    ///
    /// # Errors
    /// The reason for which the instance can't be forwarded at all.
    pub(crate) fn instance(
        &mut self,
        name: &str,
        definition: &str,
        shape: &Shape,
    ) -> Result<Types, Reason> {
        let mut walk = Walk::new(self.definitions, self.entity, self.budget);
        walk.of = Some(Instance { name_bytes: name.len(), shape });
        let walked = walk.pull(&mut name.to_owned(), definition);
        self.budget = walk.budget;
        walked.map(|()| walk.asked)
    }
}

/// A walk through all that a definition defines. Ends, as only definitions without faults are
/// entered: these contain neither themselves nor more levels than there may be.
pub(super) struct Walk<'a> {
    definitions: &'a Definitions,
    plan: &'a EntityPlan<'a>,
    pub(super) budget: usize,
    /// The instance that asks: the definitions on the way are needed, and so have to be allowed.
    of: Option<Instance<'a>>,
    pub(super) asked: Types,
}

/// An instance that a walk is about.
struct Instance<'a> {
    /// Bytes of its metric's name, with which every path begins.
    name_bytes: usize,
    shape: &'a Shape,
}

impl Instance<'_> {
    fn takes(&self, path: &str, datatype: DataType, kind: &Kind) -> bool {
        let below = path.get(self.name_bytes.saturating_add(1)..).unwrap_or_default();
        match kind {
            Kind::Parameter => self.shape.takes_parameter(below, Some(datatype)),
            Kind::Member | Kind::Nested { .. } => self.shape.takes_member(below, Some(datatype)),
        }
    }
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        definitions: &'a Definitions,
        plan: &'a EntityPlan<'a>,
        budget: usize,
    ) -> Self {
        Walk { definitions, plan, budget, of: None, asked: Types::default() }
    }

    fn pull(&mut self, path: &mut String, name: &str) -> Result<(), Reason> {
        let definition = self.definitions.by_name.get(name).ok_or(Reason::TypeMismatch)?;
        if let Some(fault) = definition.fault {
            return Err(fault);
        }
        if self.of.is_some() {
            if let Standing::Dropped(reason) = definition.standing {
                return Err(reason);
            }
            if !self.asked.needed.contains(name) {
                self.asked.needed.insert(name.to_owned());
            }
        }
        self.definition(path, name, definition)
    }

    /// `path` is the same again afterwards, unless there is an error.
    pub(super) fn definition(
        &mut self,
        path: &mut String,
        name: &str,
        definition: &Definition,
    ) -> Result<(), Reason> {
        let length = path.len();
        let denied = self.definitions.denied.get(name);
        for (member, field) in &definition.fields {
            if denied.is_some_and(|denied| denied.contains(&**member)) {
                continue;
            }
            steps::take(1);
            path.push('/');
            path.push_str(member);
            let cost = path.len().saturating_add(VISIT_BYTES);
            self.budget = self.budget.checked_sub(cost).ok_or(Reason::OverCap)?;
            if path.len() > MAX_PATH_BYTES {
                return Err(Reason::OverCap);
            }
            let denied = self.plan.denies_member(path, Some(field.datatype)).is_some();
            if denied
                || !self.of.as_ref().is_none_or(|of| of.takes(path, field.datatype, &field.kind))
            {
                let removed = self.asked.removed.entry(name.to_owned()).or_default();
                removed.insert(member.to_string());
            } else if let Kind::Nested { definition, .. } = &field.kind {
                self.pull(path, definition)?;
            }
            path.truncate(length);
        }
        Ok(())
    }
}
