//! What the account says of how a half is: one rule for both halves, beside what each knows itself.

use std::time::Duration;

use account::Reason;
use text::{counted_grouped, grouped, span};

use super::{AccountStatus, DropStatus, Level, Status};

/// Messages per second that are dropped and that no rule leaves out: above it somebody should look.
const DROPS_PER_S: u64 = 20;
/// Nothing crosses for so long while messages are dropped …
const NOTHING_FOR_MS: u64 = 60_000;
/// … so many at least.
const NOTHING_OF: u64 = 10;

/// What was seen before.
#[derive(Debug, Default)]
pub(super) struct Judge {
    at_ms: Option<u64>,
    /// Messages by reason.
    before: Vec<(String, u64)>,
    /// Since when nothing is forwarded, and what was forwarded and dropped until then.
    still: Option<Still>,
}

#[derive(Clone, Copy, Debug)]
struct Still {
    since_ms: u64,
    forwarded: u64,
    dropped: u64,
}

impl Judge {
    /// Adds what the account says to the health of this status.
    pub(super) fn judge(&mut self, status: &mut Status) {
        let now_ms = status.written_ms;
        let causes = [self.flood(&status.account, now_ms), self.nothing(&status.account, now_ms)];
        for cause in causes.into_iter().flatten() {
            status.health.add(Level::Warning, cause);
        }
        self.at_ms = Some(now_ms);
        let of = |drops: &DropStatus| (drops.reason.clone(), drops.messages);
        self.before = status.account.reasons.iter().map(of).collect();
    }

    /// Many messages are dropped, and it isn't a rule that leaves them out.
    fn flood(&self, account: &AccountStatus, now_ms: u64) -> Option<String> {
        let elapsed_ms = now_ms.checked_sub(self.at_ms?).filter(|elapsed| *elapsed > 0)?;
        let gained = |drops: &DropStatus| {
            let earlier = self.before.iter().find(|(reason, _)| *reason == drops.reason);
            drops.messages.saturating_sub(earlier.map_or(0, |(_, messages)| *messages))
        };
        let is_odd = |drops: &&DropStatus| {
            let reason = Reason::ALL.iter().find(|reason| reason.name() == drops.reason);
            !reason.is_some_and(|reason| reason.is_wanted())
        };
        let odd: Vec<(&str, u64)> = account
            .reasons
            .iter()
            .filter(is_odd)
            .map(|drops| (drops.reason.as_str(), gained(drops)))
            .collect();
        let sum = odd.iter().fold(0_u64, |sum, (_, messages)| sum.saturating_add(*messages));
        let per_s = sum.saturating_mul(1_000).checked_div(elapsed_ms)?;
        let (worst, _) = odd.iter().max_by_key(|(_, messages)| *messages)?;
        (per_s >= DROPS_PER_S).then(|| {
            format!(
                "{} messages/s are dropped that no rule leaves out, most for `{worst}`",
                grouped(per_s)
            )
        })
    }

    /// What comes is dropped, all of it.
    fn nothing(&mut self, account: &AccountStatus, now_ms: u64) -> Option<String> {
        let AccountStatus { forwarded, dropped, .. } = *account;
        let still = match self.still {
            Some(still) if still.forwarded == forwarded => still,
            _ => *self.still.insert(Still { since_ms: now_ms, forwarded, dropped }),
        };
        let for_ms = now_ms.saturating_sub(still.since_ms);
        let messages = dropped.saturating_sub(still.dropped);
        if for_ms < NOTHING_FOR_MS || messages < NOTHING_OF {
            return None;
        }
        let most = account.reasons.iter().max_by_key(|drops| drops.messages)?;
        Some(format!(
            "nothing was forwarded for {}, and {} dropped, most for `{}`",
            span(Duration::from_millis(for_ms)),
            counted_grouped(messages, "message"),
            most.reason
        ))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::arithmetic_side_effects, reason = "numbers of a test")]

    use super::*;

    fn status(second: u64, forwarded: u64, drops: &[(&str, u64)]) -> Status {
        let mut status = Status { written_ms: second * 1_000, ..Status::default() };
        status.account.forwarded = forwarded;
        status.account.dropped = drops.iter().map(|(_, messages)| messages).sum();
        status.account.reasons = drops
            .iter()
            .map(|(reason, messages)| DropStatus {
                reason: (*reason).to_owned(),
                messages: *messages,
                ..DropStatus::default()
            })
            .collect();
        status
    }

    fn judged(judge: &mut Judge, mut status: Status) -> Vec<String> {
        judge.judge(&mut status);
        assert_eq!(status.health.level == Level::Ok, status.health.reasons.is_empty());
        status.health.reasons
    }

    #[test]
    fn a_flood_that_no_rule_leaves_out_is_told_and_what_rules_leave_out_is_not() {
        let mut judge = Judge::default();
        assert!(
            judged(&mut judge, status(0, 1, &[("rate", 9_000), ("no_rule", 9_000)])).is_empty()
        );
        // 1,800 a second for two seconds.
        let told = judged(&mut judge, status(2, 2, &[("rate", 12_600), ("no_rule", 9_000)]));
        let words = "1,800 messages/s are dropped that no rule leaves out, most for `rate`";
        assert_eq!(told, [words]);
        let told = judged(&mut judge, status(4, 3, &[("rate", 12_639), ("no_rule", 99_000)]));
        assert!(told.is_empty(), "{told:?}");
    }

    #[test]
    fn that_nothing_crosses_is_told_after_a_minute_until_something_does() {
        let mut judge = Judge::default();
        for second in 0..60 {
            let told = judged(&mut judge, status(second, 7, &[("denied", second)]));
            assert!(told.is_empty(), "{second}: {told:?}");
        }
        let told = judged(&mut judge, status(60, 7, &[("denied", 60)]));
        let words =
            "nothing was forwarded for 1 min 0 s, and 60 messages dropped, most for `denied`";
        assert_eq!(told, [words]);
        assert!(judged(&mut judge, status(61, 8, &[("denied", 61)])).is_empty());
        // A quiet plant is no fault.
        assert!(judged(&mut judge, status(600, 8, &[("denied", 62)])).is_empty());
    }
}
