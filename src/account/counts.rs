//! The conservation account of one half: received = forwarded + dropped + waiting, in messages.
//! What came for another relay, with which this one shares the plant, is counted beside it: what the
//! broker delivered is `received` and that. Metrics are counted beside it, too, since a message can be forwarded without some of its metrics.

use mistake::mistake;

use crate::Reason;

/// Messages and metrics dropped for one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drops {
    pub reason: Reason,
    pub messages: u64,
    pub metrics: u64,
}

/// Counters of one half. A message is counted once in `received`, and once in either
/// `forwarded` or `dropped`; while it is held back it is in `waiting`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub received: u64,
    pub forwarded: u64,
    pub waiting: u64,
    /// Messages of edge nodes that another relay has: not in `received`, and neither dropped nor lost.
    pub of_other_shards: u64,
    dropped: [u64; Reason::ALL.len()],
    dropped_metrics: [u64; Reason::ALL.len()],
}

impl Default for Account {
    fn default() -> Self {
        Account {
            received: 0,
            forwarded: 0,
            waiting: 0,
            of_other_shards: 0,
            dropped: [0; Reason::ALL.len()],
            dropped_metrics: [0; Reason::ALL.len()],
        }
    }
}

impl Account {
    /// Counts one received message.
    pub(super) fn receive(&mut self) {
        self.received = self.received.wrapping_add(1);
    }

    /// Counts one forwarded message.
    pub(super) fn forward(&mut self) {
        self.forwarded = self.forwarded.wrapping_add(1);
    }

    /// Counts what was dropped for one reason. [`super::Ledger::drop`] is the only caller.
    pub(super) fn drop(&mut self, drops: Drops) {
        let Drops { reason, messages, metrics } = drops;
        let reason = reason as usize;
        let (Some(all_messages), Some(all_metrics)) =
            (self.dropped.get_mut(reason), self.dropped_metrics.get_mut(reason))
        else {
            return mistake!("a reason that isn't in the list of all reasons");
        };
        *all_messages = all_messages.wrapping_add(messages);
        *all_metrics = all_metrics.wrapping_add(metrics);
    }

    /// Messages dropped for `reason`.
    pub fn dropped(&self, reason: Reason) -> u64 {
        self.dropped.get(reason as usize).copied().unwrap_or(0)
    }

    /// Metrics dropped for `reason`.
    pub fn dropped_metrics(&self, reason: Reason) -> u64 {
        self.dropped_metrics.get(reason as usize).copied().unwrap_or(0)
    }

    /// Messages dropped for any reason.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().fold(0, |sum, count| sum.wrapping_add(*count))
    }

    /// Whether every received message is accounted for.
    pub fn balances(&self) -> bool {
        self.received
            == self.forwarded.wrapping_add(self.dropped_total()).wrapping_add(self.waiting)
    }

    /// The reasons that dropped anything, with messages and metrics.
    pub fn drops(&self) -> impl Iterator<Item = (Reason, u64, u64)> + '_ {
        Reason::ALL
            .iter()
            .map(|&reason| (reason, self.dropped(reason), self.dropped_metrics(reason)))
            .filter(|(_, messages, metrics)| *messages > 0 || *metrics > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_balances_only_when_every_message_has_one_fate() {
        let mut account = Account::default();
        account.receive();
        assert!(!account.balances());
        account.drop(Drops { reason: Reason::Rate, messages: 1, metrics: 0 });
        assert!(account.balances());
        account.receive();
        account.forward();
        account.drop(Drops { reason: Reason::Denied, messages: 0, metrics: 3 });
        assert!(account.balances());
        assert_eq!(account.drops().count(), 2);
    }
}
