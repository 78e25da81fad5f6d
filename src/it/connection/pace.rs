//! How fast one session may publish, where the broker is known to take only so many publications per
//! second and connection: what comes faster it drops, or ends the session for.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

/// What is left to spare, in hundredths: the broker counts by its own clock, and what left evenly
/// may arrive in a bunch.
const SPARE_PERCENT: u32 = 5;
/// What may leave early: timers go off a millisecond late, and a session at full pace would fall back.
const EARLY: Duration = Duration::from_millis(20);

/// The pace of one session.
#[derive(Debug)]
pub(super) struct Pace {
    /// Between two publications.
    interval: Duration,
    /// When the next one is due, as if all had left evenly.
    due: Option<Instant>,
}

impl Pace {
    pub(super) fn new(per_s: NonZeroU32) -> Pace {
        let second = Duration::from_secs(1).saturating_mul(100_u32.saturating_add(SPARE_PERCENT));
        let interval = second.checked_div(per_s.get().saturating_mul(100));
        Pace { interval: interval.unwrap_or_default(), due: None }
    }

    /// A publication left.
    pub(super) fn left(&mut self, now: Instant) {
        let due = self.due.map_or(now, |due| due.max(now));
        self.due = due.checked_add(self.interval);
    }

    /// How long the next one has to wait; `None`: it may leave.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let early = self.due?.saturating_duration_since(now).checked_sub(EARLY)?;
        (!early.is_zero()).then_some(early)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When each of so many publications leaves, in milliseconds, if all of them are there at once.
    fn left(per_s: u32, publications: usize) -> Vec<u128> {
        let mut pace = Pace::new(NonZeroU32::new(per_s).unwrap());
        let start = Instant::now();
        let mut now = start;
        let mut left = Vec::new();
        for _ in 0..publications {
            if let Some(wait) = pace.wait(now) {
                // As timers do it: to the next millisecond.
                let ms = u64::try_from(wait.as_millis()).unwrap().checked_add(1).unwrap();
                now = now.checked_add(Duration::from_millis(ms)).unwrap();
            }
            left.push(now.duration_since(start).as_millis());
            pace.left(now);
        }
        left
    }

    #[test]
    fn no_second_has_more_publications_than_the_broker_takes_and_few_less() {
        for per_s in [10, 100, 1_000] {
            let times = left(per_s, 5 * usize::try_from(per_s).unwrap());
            let most = times
                .iter()
                .map(|from| times.iter().filter(|at| (*from..*from + 1_000).contains(*at)).count());
            let most = most.max().unwrap();
            let taken = usize::try_from(per_s).unwrap();
            assert!((taken * 9 / 10..=taken).contains(&most), "{per_s}: {most}");
        }
    }

    #[test]
    fn what_comes_more_slowly_never_waits() {
        let mut pace = Pace::new(NonZeroU32::new(10).unwrap());
        let mut now = Instant::now();
        for _ in 0..100 {
            assert_eq!(pace.wait(now), None);
            pace.left(now);
            now = now.checked_add(Duration::from_millis(110)).unwrap();
        }
    }
}
