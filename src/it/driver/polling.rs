//! How long the driver waits before it looks into the journal again.
//!
//! The journal is polled, not watched: nothing that a reader does may show in the writer's world. While
//! nothing comes, the wait doubles up to [`LAST`]. Under load it is as long as a few frames take to
//! come, so that one turn writes many, and reads as many acknowledgements; where many come, longer. Who
//! has latency to spare lets more gather (`gather-ms`): several messages of one node then leave with one
//! write.

use std::time::Duration;

use clock::Gathering;

/// The first wait, behind something that came after a pause.
const FIRST: Duration = Duration::from_micros(200);
const LAST: Duration = Duration::from_millis(10);
/// Under load, within these bounds: a wake-up costs as much as several frames, and a wait longer than
/// that saves nothing, unless it is much longer.
const LEAST: Duration = Duration::from_micros(100);
const LOAD: Duration = Duration::from_micros(500);
/// Where nobody said how long messages may gather they do for so long at most, and so many of them. Two of
/// one node that wait together leave with one write.
pub(super) const GATHER: Duration = Duration::from_millis(5);
const ENOUGH: u32 = 256;
const FEW_FRAMES: usize = 4;
const MANY_FRAMES: usize = 8;

pub(super) struct Polling {
    wait: Duration,
    gather: Gather,
    /// Messages gather until then.
    until: Duration,
}

/// A turn of the driver.
#[derive(Clone, Copy, Debug)]
pub(super) struct Looked {
    /// When it looked into the journal: what came since then gathers.
    pub(super) began: Duration,
    /// Something happened in it.
    pub(super) busy: bool,
    /// So many frames were read …
    pub(super) frames: usize,
    /// … which were all that there were.
    pub(super) is_whole: bool,
}

/// How long messages may gather.
enum Gather {
    /// By the rate at which they come.
    ByRate(Gathering),
    /// For so long; zero: as long as few take to come.
    For(Duration),
}

impl Polling {
    /// `gather`: how long messages gather; zero: for half a millisecond at most; `None`: by the rate at
    /// which they come.
    pub(super) fn new(gather: Option<Duration>) -> Polling {
        let by_rate = || Gather::ByRate(Gathering::new(GATHER, ENOUGH));
        let gather = gather.map_or_else(by_rate, Gather::For);
        Polling { wait: FIRST, gather, until: Duration::ZERO }
    }

    /// Whether messages gather: the journal isn't to be read.
    pub(super) fn is_gathering(&self, now: Duration) -> bool {
        now < self.until
    }

    /// How long to wait behind a turn.
    pub(super) fn wait(&mut self, now: Duration, turn: Looked) -> Duration {
        let Looked { began, busy, frames, is_whole } = turn;
        let gather = match &mut self.gather {
            Gather::For(gather) => *gather,
            Gather::ByRate(rate) => {
                rate.came(now, frames);
                rate.time()
            }
        };
        if frames > 0 && is_whole && !gather.is_zero() {
            self.until = began.saturating_add(gather);
            self.wait = LOAD;
        }
        if let Some(left) = self.until.checked_sub(now).filter(|left| !left.is_zero()) {
            return left;
        }
        if !busy {
            let wait = self.wait;
            self.wait = wait.saturating_mul(2).min(LAST);
            return wait;
        }
        self.wait = match frames {
            // It was idle until now.
            _ if self.wait > LOAD => FIRST,
            0..FEW_FRAMES => self.wait.saturating_mul(2).min(LOAD),
            FEW_FRAMES..MANY_FRAMES => self.wait,
            _ => self.wait.checked_div(2).unwrap_or_default().max(LEAST),
        };
        self.wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// What a turn that takes no time waits.
    fn wait(
        polling: &mut Polling,
        now: Duration,
        busy: bool,
        frames: usize,
        is_whole: bool,
    ) -> Duration {
        polling.wait(now, Looked { began: now, busy, frames, is_whole })
    }

    #[test]
    fn an_idle_journal_is_looked_at_less_and_less_and_load_brings_short_waits_back() {
        let mut polling = Polling::new(Some(Duration::ZERO));
        let waits: Vec<Duration> =
            (0..9).map(|_| wait(&mut polling, ms(0), false, 0, true)).collect();
        assert_eq!(waits.first(), Some(&FIRST));
        assert_eq!(waits.last(), Some(&LAST));
        assert_eq!(wait(&mut polling, ms(0), true, 1, true), FIRST);
        // Few frames a turn: longer; many: shorter, within the bounds.
        let few: Vec<Duration> = (0..4).map(|_| wait(&mut polling, ms(0), true, 1, true)).collect();
        assert_eq!(few.last(), Some(&LOAD));
        let many: Vec<Duration> =
            (0..4).map(|_| wait(&mut polling, ms(0), true, 50, true)).collect();
        assert_eq!(many.last(), Some(&LEAST));
        assert!(!polling.is_gathering(ms(0)), "nobody asked for it");
    }

    #[test]
    fn messages_gather_for_the_time_that_was_given_whatever_else_happens() {
        let mut polling = Polling::new(Some(ms(20)));
        assert_eq!(wait(&mut polling, ms(100), true, 3, true), ms(20));
        assert!(polling.is_gathering(ms(119)));
        // An answer of the broker came meanwhile.
        assert_eq!(wait(&mut polling, ms(105), true, 0, true), ms(15));
        assert!(!polling.is_gathering(ms(120)));
        assert_eq!(wait(&mut polling, ms(120), true, 3, true), ms(20));
        // A turn that took its time: what came meanwhile has gathered for as long.
        let turn = Looked { began: ms(120), busy: true, frames: 3, is_whole: true };
        assert_eq!(polling.wait(ms(126), turn), ms(14));
        // Nothing came: it's looked for at the usual pace, and what comes isn't kept waiting.
        assert_eq!(wait(&mut polling, ms(140), false, 0, true), LOAD);
        assert!(!polling.is_gathering(ms(140)));
    }

    #[test]
    fn what_is_left_in_the_journal_does_not_gather() {
        let mut polling = Polling::new(Some(ms(20)));
        assert!(wait(&mut polling, ms(100), true, 1_024, false) < ms(1));
        assert!(!polling.is_gathering(ms(100)));
    }

    #[test]
    fn frames_gather_by_the_rate_at_which_they_come() {
        let mut polling = Polling::new(None);
        // 1,000 a second, then 20,000, then 1,000.
        for turn in 1..50 {
            assert!(wait(&mut polling, ms(turn), true, 1, true) <= LOAD, "{turn}");
            assert!(!polling.is_gathering(ms(turn)));
        }
        let waits = (25..50).map(|turn| wait(&mut polling, ms(2 * turn), true, 40, true));
        assert_eq!(waits.last(), Some(GATHER));
        assert!(polling.is_gathering(ms(99)));
        let waits = (100..150).map(|turn| wait(&mut polling, ms(turn), true, 1, true));
        assert!(waits.last() <= Some(LOAD));
        assert!(!polling.is_gathering(ms(149)));
    }
}
