//! What is decided about a metric.

use std::sync::Arc;

use account::{Reason, RuleId};

use crate::shape::Shape;

/// What happens to a metric, why, and which rule says so. Other crates can't make one by which
/// anything crosses: it is the evidence for a `Permit`.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It crosses.
    #[non_exhaustive]
    Forward { rule: RuleId },
    /// Births have it without a value, data never ([`Reason::Redacted`]). `forward` is the rule
    /// that would forward it, and names it.
    #[non_exhaustive]
    Redact { rule: RuleId, forward: RuleId },
    /// It doesn't: [`Reason::Denied`], [`Reason::Datatype`], [`Reason::Opaque`],
    /// [`Reason::Unshapeable`], or [`Reason::NoRule`] (then without a rule).
    Drop { reason: Reason, rule: Option<RuleId> },
}

/// A verdict with what becomes of the values.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    pub verdict: Verdict,
    /// Of the rule that forwards it; `None` where the rule has none, and where nothing crosses.
    pub shape: Option<&'a Arc<Shape>>,
}
