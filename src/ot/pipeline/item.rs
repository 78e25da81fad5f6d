//! A metric of a message on its way through shapes and limits, and how far it came.

use account::{Reason, RuleId};
use policy::Permit;
use sparkplug::Metric;

use crate::plant::Ticket;

/// A metric of a data message whose slot is known.
pub(super) struct Item {
    pub(super) slot: usize,
    /// Without its name, which is the slot's.
    pub(super) metric: Metric,
    /// Late data, or a part of a file, which doesn't change the current value.
    pub(super) historical: bool,
    pub(super) rule: RuleId,
    pub(super) permit: Permit,
    /// Readers have null with Quality 0 of the relay's own making for it.
    pub(super) restores: bool,
    /// The interval since the last value of its metric isn't over.
    pub(super) early: bool,
    /// It may be older than what was lost or refused: readers aren't to show it as good.
    pub(super) outdated: bool,
    /// Its slot isn't part of the journalled birth, or the birth lacks its template's type.
    pub(super) unborn: bool,
}

impl Item {
    /// How often the values of its entity had been doubted when it was the newest; `losses`: up to now.
    pub(super) fn losses(&self, losses: u64) -> u64 {
        if self.outdated { losses.wrapping_sub(1) } else { losses }
    }
}

/// What became of the values of one message at the limits.
#[derive(Debug, Default)]
pub(super) struct Passage {
    /// The message, if some of its values wait.
    pub(super) ticket: Option<Ticket>,
    /// How many of them.
    pub(super) held: u32,
    /// It was counted as one message by the limits that nodes share.
    pub(super) counted: bool,
    /// Why something of it didn't pass.
    pub(super) refused: Option<(Reason, RuleId)>,
}
