//! How much may wait to be written to the IT broker: live data, and history beside it. On a fast link that
//! is no bound; on one that is full, the journal isn't read far ahead of what the link takes. Sans-IO:
//! time and counters come in.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::connection::{MAX_QUEUED_BYTES, MAX_SESSION_BYTES};

/// The link is looked at so often.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// What waits is worth so much time of the link: what is in the journal can still be overtaken by
/// something newer, and what waits here can't.
const QUEUE_S: u64 = 30;
/// Bytes that may always wait.
const LEAST_QUEUE: usize = 4 * 1024 * 1024;
/// Bytes that may always wait before no more history follows them.
const LEAST_HISTORY: usize = 8 * 1024;

/// With a budget what is urgent overtakes everything that waits, but nothing that isn't read yet: then all
/// is read that memory has room for …
const MOST_QUEUE: usize = MAX_QUEUED_BYTES / 2;
/// … and that no session is given up for, which it is at twice of this.
const MOST_OF_ONE: usize = MAX_SESSION_BYTES / 2;
/// History that waits is worth so much time of the link: live data of its node is behind it.
const HISTORY_S: u64 = 1;

/// What the link has taken lately.
#[derive(Debug)]
pub(super) struct LinkPace {
    looked: Option<Look>,
    /// Bytes per second, while something waited; `None`: nothing is known, or nothing waits.
    rate: Option<u64>,
    /// The budget of all sessions.
    budget: Option<u64>,
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
        LinkPace { looked: None, rate: None, budget: bytes_per_s.map(|per_s| per_s.get().into()) }
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
    }

    /// Whether so much waits that the journal isn't read on. `of_others`: without what the session has
    /// that has most; where only one is slow, that one is given up instead.
    pub(super) fn is_full(&self, queued: usize, of_others: usize) -> bool {
        let over = |most: usize| queued > most && of_others > most / 2;
        if queued > MAX_QUEUED_BYTES {
            return true;
        }
        match (self.budget, self.rate) {
            (Some(_), _) => {
                let of_one = queued.saturating_sub(of_others);
                over(MOST_QUEUE) || (of_one > MOST_OF_ONE && of_others > LEAST_QUEUE / 2)
            }
            (None, Some(rate)) => over(worth(rate, QUEUE_S).max(LEAST_QUEUE)),
            (None, None) => false,
        }
    }

    /// Bytes of history that may follow what waits.
    pub(super) fn history_room(&self, queued: usize) -> usize {
        let Some(rate) = self.budget.or(self.rate) else {
            return MAX_QUEUED_BYTES.saturating_sub(queued);
        };
        worth(rate, HISTORY_S).clamp(LEAST_HISTORY, MAX_QUEUED_BYTES).saturating_sub(queued)
    }

    /// How long what waits will take, if the link is full.
    pub(super) fn behind(&self, waiting: usize) -> Option<Duration> {
        let waiting = u64::try_from(waiting).unwrap_or(u64::MAX);
        waiting.checked_div(self.rate?).map(Duration::from_secs)
    }
}

/// What a link takes in so many seconds that takes so many bytes in one.
fn worth(rate: u64, seconds: u64) -> usize {
    usize::try_from(rate.saturating_mul(seconds)).unwrap_or(usize::MAX)
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
    fn a_full_link_is_read_for_no_further_than_what_it_takes_in_a_while() {
        let mut pace = LinkPace::new(None);
        assert!(!pace.is_full(MAX_QUEUED_BYTES, MAX_QUEUED_BYTES), "nothing is known of it");
        run(&mut pace, 64_000, 1_000_000, 20);
        assert!(!pace.is_full(LEAST_QUEUE, LEAST_QUEUE));
        assert!(pace.is_full(LEAST_QUEUE + 1, LEAST_QUEUE));
        assert!(!pace.is_full(LEAST_QUEUE * 2, LEAST_QUEUE / 2), "only one is slow");
        assert_eq!(pace.behind(1_280_000), Some(Duration::from_secs(20)));
        run(&mut pace, 1_000_000, 1_000_000, 60);
        assert!(!pace.is_full(25_000_000, 25_000_000), "that is 25 s");
        assert!(pace.is_full(MAX_QUEUED_BYTES + 1, 0), "that is our memory");
    }

    #[test]
    fn where_what_is_urgent_overtakes_all_that_waits_megabytes_of_it_keep_nobody_from_reading() {
        let mut pace = LinkPace::new(NonZeroU32::new(60_000));
        run(&mut pace, 60_000, 1_000_000, 20);
        assert!(!pace.is_full(30 << 20, 29 << 20));
        assert!(pace.is_full((32 << 20) + 1, 31 << 20));
        // The second one would be given up.
        assert!(pace.is_full(12 << 20, 3 << 20));
        assert!(!pace.is_full(12 << 20, 1 << 20), "only one is slow");
        assert!(!pace.is_full(11 << 20, 4 << 20));
    }

    #[test]
    fn history_is_a_second_of_a_link_that_is_full_and_no_more() {
        let mut pace = LinkPace::new(None);
        assert_eq!(pace.history_room(1_000), MAX_QUEUED_BYTES - 1_000);
        run(&mut pace, 64_000, 1_000_000, 20);
        assert_eq!((pace.history_room(10_000), pace.history_room(64_000)), (54_000, 0));
        // Of a budget it is known beforehand.
        assert_eq!(LinkPace::new(NonZeroU32::new(60_000)).history_room(0), 60_000);
        assert_eq!(LinkPace::new(NonZeroU32::new(1_200)).history_room(0), LEAST_HISTORY);
    }

    #[test]
    fn a_link_that_takes_everything_at_once_is_no_bound() {
        let mut pace = LinkPace::new(None);
        run(&mut pace, 10_000_000, 0, 10);
        assert!(!pace.is_full(MAX_QUEUED_BYTES, MAX_QUEUED_BYTES));
        assert_eq!(pace.behind(0), None);
    }

    #[test]
    fn a_link_that_takes_nothing_is_not_divided_by() {
        let mut pace = LinkPace::new(None);
        run(&mut pace, 0, 1_000, 10);
        assert_eq!(pace.behind(1_000), None);
        assert_eq!(pace.history_room(0), LEAST_HISTORY);
    }
}
