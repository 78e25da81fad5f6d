//! When the first server of a broker is used again: once it has taken connections for long enough, and after
//! a return that failed only after twice as long. Sans-IO.

use std::time::Duration;

/// It is tried so many times until it has been reachable for long enough …
const PROBES: u32 = 10;
/// … no more often than this …
const LEAST_PAUSE: Duration = Duration::from_secs(1);
/// … and no more seldom.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The longest that a return waits because those before it have failed, unless it was to wait longer anyway.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);
/// A return after which another server is used again so soon has failed.
const HOLDS_FOR: Duration = Duration::from_secs(60);

/// How the first server does while another one is used. Times are those of a clock that only goes forward.
#[derive(Debug)]
pub struct Returning {
    after: Duration,
    wait: Duration,
    /// Since when it has taken every connection.
    since: Option<Duration>,
    returned: Option<Duration>,
}

impl Returning {
    /// Back after it could be reached for so long.
    pub fn new(after: Duration) -> Returning {
        Returning { after, wait: after, since: None, returned: None }
    }

    /// How long until the next look.
    pub fn pause(&self) -> Duration {
        let tenth = self.wait.checked_div(PROBES).unwrap_or(LEAST_PAUSE);
        tenth.clamp(LEAST_PAUSE, LONGEST_PAUSE)
    }

    /// Looks at who is used; whether the first one is to be tried.
    pub fn look(&mut self, now: Duration, is_first: bool) -> bool {
        let returned = self.returned.map(|at| now.saturating_sub(at));
        if is_first {
            self.since = None;
            if returned.is_some_and(|passed| passed >= HOLDS_FOR) {
                (self.wait, self.returned) = (self.after, None);
            }
            return false;
        }
        if self.returned.take().is_some() {
            self.wait = self.wait.saturating_mul(2).min(LONGEST_WAIT.max(self.after));
        }
        true
    }

    /// It was tried; whether it is to be used now.
    pub fn tried(&mut self, now: Duration, is_reachable: bool) -> bool {
        if !is_reachable {
            self.since = None;
            return false;
        }
        let since = *self.since.get_or_insert(now);
        let returns = now.saturating_sub(since) >= self.wait;
        if returns {
            (self.since, self.returned) = (None, Some(now));
        }
        returns
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests count small numbers")]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(60);

    /// The seconds of one stay with another server, which the first one is reachable in from `from` on
    /// but in those of `gaps`.
    fn returns(returning: &mut Returning, start: Duration, gaps: &[u64]) -> Option<u64> {
        let mut second = 0;
        while second < 10_000 {
            let now = start + Duration::from_secs(second);
            assert!(returning.look(now, false));
            let is_reachable = !gaps.iter().any(|gap| (second..second + 6).contains(gap));
            if returning.tried(now, is_reachable) {
                return Some(second);
            }
            second += returning.pause().as_secs();
        }
        None
    }

    #[test]
    fn it_has_to_be_reachable_without_a_gap() {
        let start = Duration::ZERO;
        assert_eq!(returns(&mut Returning::new(AFTER), start, &[]), Some(60));
        assert_eq!(returns(&mut Returning::new(AFTER), start, &[0, 45]), Some(108));
    }

    #[test]
    fn a_return_that_failed_makes_the_next_wait_twice_as_long_and_one_that_holds_ends_that() {
        let mut returning = Returning::new(AFTER);
        let mut start = Duration::ZERO;
        for wait in [60, 120, 240, 480, 960, 1_920] {
            let second = returns(&mut returning, start, &[]).unwrap();
            assert!(second >= wait && second < wait + 31, "{second} for {wait}");
            start += Duration::from_secs(second + 1);
        }
        assert!(!returning.look(start, true));
        assert!(!returning.look(start + HOLDS_FOR, true));
        let second = returns(&mut returning, start + HOLDS_FOR, &[]);
        assert_eq!(second, Some(60));
    }

    #[test]
    fn nobody_waits_longer_than_an_hour_who_was_not_told_to() {
        let day = Duration::from_secs(86_400);
        for (after, longest) in [(AFTER, LONGEST_WAIT), (day, day)] {
            let mut returning = Returning::new(after);
            for _ in 0..20 {
                returning.returned = Some(after);
                assert!(returning.look(after, false));
            }
            assert_eq!(returning.wait, longest);
        }
    }
}
