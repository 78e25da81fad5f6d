//! The number of a rule.

/// Number of a rule, counted from 0 over all files in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(pub u32);

impl RuleId {
    /// The rule's place in the rules of its policy.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}
