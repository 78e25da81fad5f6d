//! What each rule of the policy decided: counted while the half runs, and stored for the tools.

mod live;
mod stored;

pub(crate) use live::RuleCounters;
pub use live::RuleMatches;
pub use stored::{RuleCount, RuleCounts};
