//! Sessions that stood, that the broker ended, and that it took again at once: what a broker does to a
//! client whose identifier another one uses. Sans-IO.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// So many within [`WITHIN`], and people are told: a broker may be restarted once or twice.
const TOLD_FROM: usize = 3;
/// How far back it is counted.
pub(super) const WITHIN: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
pub(super) struct Endings {
    /// The session stood, and the broker ended it; what comes next isn't known.
    last: Option<Instant>,
    counted: VecDeque<Instant>,
}

impl Endings {
    /// The broker ended a session that stood.
    pub(super) fn ended(&mut self, now: Instant) {
        self.last = Some(now);
    }

    /// An attempt failed, or a session ended in another way: the broker wasn't there.
    pub(super) fn other(&mut self) {
        self.last = None;
    }

    /// There is a session: how many were ended in this way lately, if that is worth telling.
    pub(super) fn connected(&mut self, now: Instant) -> Option<u32> {
        self.forget(now);
        self.counted.extend(self.last.take());
        self.count(now)
    }

    /// How many there were lately, if that is worth telling.
    pub(super) fn count(&self, now: Instant) -> Option<u32> {
        let recent = self.counted.iter().filter(|at| now.saturating_duration_since(**at) <= WITHIN);
        let count = recent.count();
        (count >= TOLD_FROM).then(|| u32::try_from(count).unwrap_or(u32::MAX))
    }

    fn forget(&mut self, now: Instant) {
        while self.counted.front().is_some_and(|at| now.saturating_duration_since(*at) > WITHIN) {
            self.counted.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_that_end_and_are_taken_again_at_once_are_told_from_the_third_on() {
        let start = clock::steady();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut endings = Endings::default();
        assert_eq!(endings.connected(at(0)), None);
        for (second, told) in [(10, None), (20, None), (30, Some(3)), (40, Some(4))] {
            endings.ended(at(second));
            assert_eq!(endings.connected(at(second + 1)), told);
        }
        assert_eq!(endings.count(at(615)), Some(3));
        assert_eq!(endings.count(at(640)), None, "one of them is too long ago");
    }

    #[test]
    fn a_broker_that_was_away_is_another_matter() {
        let start = clock::steady();
        let mut endings = Endings::default();
        for second in 0..100 {
            endings.ended(start + Duration::from_secs(second));
            endings.other();
            assert_eq!(endings.connected(start + Duration::from_secs(second)), None);
        }
    }
}
