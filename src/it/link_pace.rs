//! How much may be under way to the IT broker at once: births of sessions that are opened, and what
//! waits to be written. On a fast link that is no bound; on one that is full, sessions are opened one
//! after the other, each with its birth close behind, and the journal isn't read far ahead of what the
//! link takes. Sans-IO: time and counters come in.

use std::num::NonZeroU32;
use std::time::Duration;

/// The link is looked at so often.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Births under way are worth so much time of the link: several round trips of a satellite, so that the
/// next session stands before the last birth is through.
const BIRTHS_S: u64 = 12;
/// What waits is worth so much time of the link: what is in the journal can still be overtaken by
/// something newer, and what waits here can't.
const QUEUE_S: u64 = 30;
/// Bounds of the births under way, in bytes; the first while nothing is known of the link.
const LEAST_BIRTHS: usize = 128 * 1024;
const FIRST_BIRTHS: usize = 1024 * 1024;
const MOST_BIRTHS: usize = 16 * 1024 * 1024;
/// Bytes that may always wait.
const LEAST_QUEUE: usize = 4 * 1024 * 1024;

/// What the link has taken lately.
#[derive(Debug)]
pub(super) struct LinkPace {
    looked: Option<Look>,
    /// Bytes per second, while something waited; `None`: nothing is known, or nothing waits.
    rate: Option<u64>,
    births: usize,
    /// Births within the budget, where one is configured: it says of the link what else would have to
    /// be found out with all of them under way.
    most_births: usize,
}

#[derive(Clone, Copy, Debug)]
struct Look {
    at: Duration,
    taken: u64,
    waited: bool,
}

impl LinkPace {
    /// `bytes_per_s`: the budget of all sessions, if there is one.
    pub(super) fn new(bytes_per_s: Option<NonZeroU32>) -> LinkPace {
        let worth = |per_s: NonZeroU32| births_worth(per_s.get().into());
        let most_births = bytes_per_s.map_or(MOST_BIRTHS, worth);
        LinkPace { looked: None, rate: None, births: FIRST_BIRTHS, most_births }
    }

    /// `waiting`: bytes that wait to be taken; `taken`: bytes that were, since the start.
    pub(super) fn look(&mut self, now: Duration, waiting: usize, taken: u64) {
        let look = Look { at: now, taken, waited: waiting > 0 };
        let Some(last) = self.looked else {
            self.looked = Some(look);
            return;
        };
        let passed = now.saturating_sub(last.at);
        if passed < LOOK_EVERY {
            return;
        }
        self.looked = Some(look);
        if !last.waited || !look.waited {
            self.rate = None;
            self.births = self.births.saturating_mul(2).min(MOST_BIRTHS);
            return;
        }
        let ms = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        let bytes = taken.saturating_sub(last.taken).saturating_mul(1_000);
        let now = bytes.checked_div(ms).unwrap_or(0);
        // Over some seconds: single looks fall between bursts.
        let rate = match self.rate {
            None => now,
            Some(before) => before.saturating_mul(7).saturating_add(now) / 8,
        };
        self.rate = Some(rate);
        self.births = births_worth(rate);
    }

    /// Bytes of births that may be under way.
    pub(super) fn births(&self) -> usize {
        self.births.min(self.most_births)
    }

    /// Bytes that may wait before the journal isn't read on; `None`: the link isn't full.
    pub(super) fn queue(&self) -> Option<usize> {
        let worth = usize::try_from(self.rate?.saturating_mul(QUEUE_S)).unwrap_or(usize::MAX);
        Some(worth.max(LEAST_QUEUE))
    }

    /// How long what waits will take, if the link is full.
    pub(super) fn behind(&self, waiting: usize) -> Option<Duration> {
        let waiting = u64::try_from(waiting).unwrap_or(u64::MAX);
        waiting.checked_div(self.rate?).map(Duration::from_secs)
    }
}

/// Bytes of births under way on a link that takes so many bytes a second.
fn births_worth(rate: u64) -> usize {
    let worth = usize::try_from(rate.saturating_mul(BIRTHS_S)).unwrap_or(usize::MAX);
    worth.clamp(LEAST_BIRTHS, MOST_BIRTHS)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests count small numbers")]
mod tests {
    use super::*;

    /// A link that takes `rate` bytes a second while `waiting` wait, for so many seconds.
    fn run(pace: &mut LinkPace, rate: u64, waiting: usize, seconds: u64) {
        let (start, taken) = pace.looked.map_or((0, 0), |look| (look.at.as_millis(), look.taken));
        let start = u64::try_from(start).unwrap();
        for tick in 0..=seconds * 20 {
            let now = Duration::from_millis(start + tick * 50);
            pace.look(now, waiting, taken + rate * tick / 20);
        }
    }

    #[test]
    fn a_full_link_has_a_dozen_seconds_of_births_under_way() {
        let mut pace = LinkPace::new(None);
        assert_eq!(pace.births(), FIRST_BIRTHS);
        run(&mut pace, 64_000, 1_000_000, 20);
        assert!((760_000..=770_000).contains(&pace.births()), "{}", pace.births());
        assert_eq!(pace.queue(), Some(LEAST_QUEUE));
        assert_eq!(pace.behind(1_280_000), Some(Duration::from_secs(20)));
        // It becomes slower.
        run(&mut pace, 9_600, 1_000_000, 60);
        assert_eq!(pace.births(), LEAST_BIRTHS);
    }

    #[test]
    fn a_budget_bounds_the_births_before_anything_was_sent() {
        let mut pace = LinkPace::new(NonZeroU32::new(60_000));
        assert_eq!(pace.births(), 720_000);
        // Nothing waits while sessions are being opened, which says nothing of the link.
        run(&mut pace, 0, 0, 5);
        assert_eq!(pace.births(), 720_000);
        run(&mut pace, 30_000, 1_000_000, 60);
        assert!((350_000..=370_000).contains(&pace.births()), "{}", pace.births());
    }

    #[test]
    fn a_link_that_takes_everything_at_once_is_no_bound() {
        let mut pace = LinkPace::new(None);
        run(&mut pace, 10_000_000, 0, 10);
        assert_eq!(pace.births(), MOST_BIRTHS);
        assert_eq!(pace.queue(), None);
        assert_eq!(pace.behind(0), None);
    }

    #[test]
    fn a_link_that_takes_nothing_is_not_divided_by() {
        let mut pace = LinkPace::new(None);
        run(&mut pace, 0, 1_000, 10);
        assert_eq!(pace.behind(1_000), None);
        assert_eq!(pace.births(), LEAST_BIRTHS);
    }
}
