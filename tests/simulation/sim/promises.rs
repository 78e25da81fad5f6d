//! What the relay promises so far: what is `false` here doesn't happen in any run.

/// Messages in any order, and those at QoS 0 that overtake others at QoS 1, are put in order.
pub const ORDERS: bool = true;
/// What can't be read leaves no old value good.
pub const REFUSES_WELL: bool = true;
/// Deaths are judged by the births that were seen.
pub const REMEMBERS_SESSIONS: bool = true;
/// Values of metrics that no birth has are counted while they wait.
pub const COUNTS_UNBORN: bool = true;
/// Kills at any time leave the plant known: in pairs, and soon after the end of a segment.
pub const FORGETS_NOBODY: bool = true;
/// A value that waited for a rate limit since before a loss isn't good after it.
pub const DATES_WHAT_WAITS: bool = true;
/// What a policy hides isn't shown as it was before a kill once another policy shows it.
pub const STORES_WHAT_IS_HIDDEN: bool = true;
