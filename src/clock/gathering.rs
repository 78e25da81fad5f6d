//! How long messages may gather, by how many come: a wake-up that serves many costs each of them
//! little, and where few come nobody waits for another one.
//!
//! ```text
//! gather   most ┤            ╭──────────╮
//!               │          ╱              ╲    until `enough` have come
//!             0 ┼─────────╯                 ╲──────
//!               └─────────┴──┴─────────────── messages/s
//!                     6,700  13,300
//! ```

use std::time::Duration;

/// The rate is told over so long at least: what comes together, as data of all edge nodes every
/// second, is no load.
const STRETCH: Duration = Duration::from_millis(20);
/// Time between two messages: above this latency is what counts, …
const SLOW: Duration = Duration::from_micros(150);
/// … and from here on what each message costs.
const FAST: Duration = Duration::from_micros(75);

/// The rate at which messages come, and how long they may gather at that.
#[derive(Clone, Copy, Debug)]
pub struct Gathering {
    most: Duration,
    enough: u32,
    /// When this stretch began, and what came since.
    since: Duration,
    came: u32,
    /// Time between two messages in the last stretch.
    between: Duration,
}

impl Gathering {
    /// They gather for `most` at most, and no longer than `enough` of them take to come: more save nothing
    /// that could be measured.
    pub fn new(most: Duration, enough: u32) -> Gathering {
        Gathering { most, enough, since: Duration::ZERO, came: 0, between: Duration::MAX }
    }

    /// So many messages have come until now, since this was said last. `now` counts from any fixed
    /// start.
    pub fn came(&mut self, now: Duration, messages: usize) {
        self.came = self.came.saturating_add(u32::try_from(messages).unwrap_or(u32::MAX));
        let stretch = now.saturating_sub(self.since);
        if stretch >= STRETCH {
            self.between = stretch.checked_div(self.came).unwrap_or(Duration::MAX);
            (self.since, self.came) = (now, 0);
        }
    }

    /// How long messages may gather at the rate at which they come; zero: as long as is prompt.
    pub fn time(&self) -> Duration {
        let Some(above) = SLOW.checked_sub(self.between) else { return Duration::ZERO };
        let ramp = SLOW.saturating_sub(FAST);
        let part = above.min(ramp).as_nanos().saturating_mul(self.most.as_nanos());
        let part = part.checked_div(ramp.as_nanos()).unwrap_or(0);
        let part = Duration::from_nanos(u64::try_from(part).unwrap_or(u64::MAX));
        part.min(self.between.saturating_mul(self.enough))
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests count small numbers")]
mod tests {
    use super::*;

    const GATHER: Duration = Duration::from_millis(2);

    /// How long messages gather that come evenly, so many a second.
    fn at(rate: u64) -> Duration {
        let mut gathering = Gathering::new(GATHER, 64);
        for number in 1..=rate / 10 {
            gathering.came(Duration::from_nanos(number * 1_000_000_000 / rate), 1);
        }
        gathering.time()
    }

    #[test]
    fn the_faster_messages_come_the_longer_they_gather_up_to_the_most() {
        for rate in [10, 1_000, 5_000, 6_600] {
            assert_eq!(at(rate), Duration::ZERO, "{rate}");
        }
        let half = at(9_000);
        assert!(half > GATHER / 4 && half < GATHER * 3 / 4, "{half:?}");
        for rate in [14_000, 20_000, 30_000] {
            assert_eq!(at(rate), GATHER, "{rate}");
        }
        // So many as are enough come faster.
        assert_eq!(at(64_000), GATHER / 2);
        assert!(at(400_000) < GATHER / 10);
    }

    #[test]
    fn a_thousand_nodes_that_send_together_every_second_are_no_load() {
        let mut gathering = Gathering::new(GATHER, 64);
        for second in 1..10 {
            for burst in 0..10 {
                let now = Duration::from_secs(second) + Duration::from_micros(burst * 500);
                gathering.came(now, 100);
                assert_eq!(gathering.time(), Duration::ZERO, "{second} {burst}");
            }
        }
    }

    #[test]
    fn a_load_that_ends_is_forgotten_with_what_comes_next() {
        let mut gathering = Gathering::new(GATHER, 64);
        gathering.came(Duration::from_millis(20), 400);
        assert_eq!(gathering.time(), GATHER);
        gathering.came(Duration::from_millis(40), 10);
        assert_eq!(gathering.time(), Duration::ZERO);
    }

    #[test]
    fn nothing_gathers_where_nothing_may() {
        let mut gathering = Gathering::new(Duration::ZERO, 64);
        gathering.came(Duration::from_millis(20), 4_000);
        assert_eq!(gathering.time(), Duration::ZERO);
    }
}
