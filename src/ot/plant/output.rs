//! What the relay may write for an edge node: in proportion to what the node sent, so that few bytes of
//! aliases, or a small message that asks for a birth, can't fill the journal.
//!
//! A node earns [`TIMES`] bytes with each byte that comes from it, and [`PER_S`] with each second. What
//! is written for it is taken from that, with its topics. Births and deaths that the plant sends are
//! always written: they have their names, so they come to a few times their size at most. Data that it
//! can't pay waits, the newest value of each metric, and births of the relay's own making wait, until it
//! can, and so do the keyframes that tell of its losses. So, of all of a node since the start, but for
//! the keyframes that come by the clock (their number follows from the configuration):
//!
//! ```text
//! written ≤ TIMES · received + PER_S · seconds + AT_FIRST + one set of births
//! ```

use std::time::Duration;

/// Metric names in data may be so many times as long as what their aliases take: some 10 bytes come for
/// a value by alias, and real names have 30 to 300.
pub(crate) const TIMES: u64 = 64;
pub(crate) const PER_S: u64 = 64 * 1024;
pub(crate) const AT_FIRST: u64 = 64 * 1024;
/// No more is saved up. A set of births that takes more is paid by all of it.
pub(crate) const MOST: u64 = 64 * 1024 * 1024;

/// What a node may have written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    credit: u64,
    debt: u64,
    since: Duration,
}

impl Default for Output {
    fn default() -> Output {
        Output { credit: AT_FIRST, debt: 0, since: Duration::ZERO }
    }
}

impl Output {
    /// So many bytes came from the node.
    pub(crate) fn earn(&mut self, now: Duration, bytes: usize) {
        self.pass(now);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.add(bytes.saturating_mul(TIMES));
    }

    /// So much time has passed.
    pub(crate) fn pass(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.since).as_millis();
        if self.since.is_zero() {
            // It came to be now.
            self.since = now;
        } else if elapsed > 0 {
            let elapsed_ms = u64::try_from(elapsed).unwrap_or(u64::MAX);
            self.add(elapsed_ms.saturating_mul(PER_S).checked_div(1_000).unwrap_or(0));
            self.since = now;
        }
    }

    fn add(&mut self, bytes: u64) {
        let paid = bytes.min(self.debt);
        self.debt = self.debt.saturating_sub(paid);
        let rest = bytes.saturating_sub(paid);
        self.credit = self.credit.saturating_add(rest).min(MOST);
    }

    /// So many bytes were written for it.
    pub(crate) fn spend(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let more = bytes.saturating_sub(self.credit);
        self.credit = self.credit.saturating_sub(bytes);
        self.debt = self.debt.saturating_add(more);
    }

    /// So many bytes are written for it as soon as they are paid; when that is, if nothing comes from
    /// the node meanwhile.
    pub(crate) fn order(&mut self, now: Duration, bytes: usize) -> Duration {
        self.pass(now);
        self.spend(bytes);
        let wait_ms = self.debt.saturating_mul(1_000).div_ceil(PER_S);
        now.saturating_add(Duration::from_millis(wait_ms))
    }

    /// Whether so many bytes may be written.
    pub(crate) fn affords(&self, bytes: usize) -> bool {
        u64::try_from(bytes).unwrap_or(u64::MAX).min(MOST) <= self.credit
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests count small numbers")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_overdrawn_is_paid_before_anything_else() {
        let mut output = Output::default();
        output.earn(Duration::from_secs(1), 0);
        output.spend(200_000);
        assert!(!output.affords(1));
        output.earn(Duration::from_secs(1), 2_000);
        assert!(!output.affords(1), "128,000 of 134,464");
        output.earn(Duration::from_secs(1), 1_000);
        assert!(output.affords(50_000));
        output.pass(Duration::from_secs(100_000));
        assert!(output.affords(usize::MAX), "all that can be saved up");
    }

    proptest! {
        #[test]
        fn no_more_is_written_than_was_earned(
            steps in proptest::collection::vec((0_u64..5_000, 0_usize..5_000, 0_usize..500_000), 1..200),
        ) {
            let mut output = Output::default();
            let (mut now, mut received, mut written) = (Duration::from_secs(1), 0_u64, 0_u64);
            let began = now;
            for (ms, comes, wants) in steps {
                now += Duration::from_millis(ms);
                output.earn(now, comes);
                received += comes as u64;
                if output.affords(wants) {
                    output.spend(wants);
                    written += wants as u64;
                }
                let seconds = (now - began).as_millis() as u64 * PER_S / 1_000;
                prop_assert!(written <= TIMES * received + seconds + AT_FIRST);
            }
        }
    }
}
