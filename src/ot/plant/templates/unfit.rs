//! What was taken out of templates of one message, as their definition doesn't have it or has it
//! otherwise: by name and reason.

use std::collections::BTreeMap;

use account::Reason;
use sparkplug::DataType;

/// So many of a message are kept by name, the others by number.
const NAMED: usize = 64;

/// The members and parameters of one message that don't fit their definitions.
#[derive(Debug, Default)]
pub(crate) struct Unfit {
    /// The name of the metric that is looked at, and of the members on the way to the instance.
    path: String,
    named: Vec<(String, Misfit)>,
    others: BTreeMap<Reason, u64>,
    count: u64,
}

/// What is wrong with a member or parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// The definition has none of this name.
    Unknown,
    /// One of a definition that has no name, or no datatype.
    Untyped,
    /// The instance has it twice.
    Twice,
    /// Its value is in a field, or of a datatype, that isn't the definition's: it is null.
    Value { born: DataType, got: &'static str },
    /// It is an instance of another definition, or of none: it is null.
    Instance,
}

impl Misfit {
    /// The word of the list of reasons.
    pub(crate) fn reason(self) -> Reason {
        match self {
            Misfit::Unknown => Reason::UnknownMetric,
            Misfit::Twice => Reason::MalformedPayload,
            Misfit::Untyped | Misfit::Value { .. } | Misfit::Instance => Reason::TypeMismatch,
        }
    }
}

impl Unfit {
    /// From here on it is about the metric `name`.
    pub(crate) fn begin(&mut self, name: &str) {
        self.path.clear();
        self.path.push_str(name);
    }

    /// How many there were so far.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Takes them: those with their names, and the number of the others.
    pub(crate) fn take(&mut self) -> (Vec<(String, Misfit)>, BTreeMap<Reason, u64>) {
        let Unfit { named, others, .. } = std::mem::take(self);
        (named, others)
    }

    /// All so far were in definitions themselves: what these don't have has no name or datatype.
    pub(super) fn are_of_definitions(&mut self) {
        for (_, misfit) in &mut self.named {
            if *misfit == Misfit::Unknown {
                *misfit = Misfit::Untyped;
            }
        }
        if let Some(unknown) = self.others.remove(&Misfit::Unknown.reason()) {
            let untyped = self.others.entry(Misfit::Untyped.reason()).or_default();
            *untyped = untyped.saturating_add(unknown);
        }
    }

    /// Something of the instance was taken out.
    pub(super) fn note(&mut self, name: Option<&str>, misfit: Misfit) {
        self.count = self.count.saturating_add(1);
        if self.named.len() < NAMED {
            self.named.push((format!("{}/{}", self.path, name.unwrap_or_default()), misfit));
        } else {
            let others = self.others.entry(misfit.reason()).or_default();
            *others = others.saturating_add(1);
        }
    }

    /// Goes into the member `name`; what [`Unfit::leave`] takes.
    pub(super) fn enter(&mut self, name: &str) -> usize {
        let length = self.path.len();
        self.path.push('/');
        self.path.push_str(name);
        length
    }

    pub(super) fn leave(&mut self, length: usize) {
        self.path.truncate(length);
    }
}
