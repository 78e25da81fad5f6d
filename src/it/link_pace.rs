//! How much may be under way to the IT broker at once: births of sessions that are opened, and what
//! waits to be written. On a fast link that is no bound; on one that is full, sessions are opened one
//! after the other, each with its birth close behind, and the journal isn't read far ahead of what the
//! link takes. Sans-IO: time and counters come in.

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
}

#[derive(Clone, Copy, Debug)]
struct Look {
    at: Duration,
    taken: u64,
    waited: bool,
}

impl LinkPace {
    pub(super) fn new() -> LinkPace {
        LinkPace { looked: None, rate: None, births: FIRST_BIRTHS }
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
        let worth = usize::try_from(rate.saturating_mul(BIRTHS_S)).unwrap_or(usize::MAX);
        self.births = worth.clamp(LEAST_BIRTHS, MOST_BIRTHS);
    }

    /// Bytes of births that may be under way.
    pub(super) fn births(&self) -> usize {
        self.births
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
        let mut pace = LinkPace::new();
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
    fn a_link_that_takes_everything_at_once_is_no_bound() {
        let mut pace = LinkPace::new();
        run(&mut pace, 10_000_000, 0, 10);
        assert_eq!(pace.births(), MOST_BIRTHS);
        assert_eq!(pace.queue(), None);
        assert_eq!(pace.behind(0), None);
    }

    #[test]
    fn a_link_that_takes_nothing_is_not_divided_by() {
        let mut pace = LinkPace::new();
        run(&mut pace, 0, 1_000, 10);
        assert_eq!(pace.behind(1_000), None);
        assert_eq!(pace.births(), LEAST_BIRTHS);
    }
}
