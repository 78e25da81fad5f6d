//! How long the driver waits before it looks into the journal again.
//!
//! The journal is polled, not watched: nothing that a reader does may show in the writer's world. While
//! nothing comes, the wait doubles up to [`LAST`]. Under load it is as long as a few frames take to
//! come, so that one turn writes many, and reads as many acknowledgements. Who has latency to spare
//! lets more gather (`gather-ms`): several messages of one node then leave with one write.

use std::time::Duration;

/// The first wait, behind something that came after a pause.
const FIRST: Duration = Duration::from_micros(200);
const LAST: Duration = Duration::from_millis(10);
/// Under load, within these bounds: a wake-up costs as much as several frames, and a wait longer than
/// that saves nothing, unless it is much longer.
const LEAST: Duration = Duration::from_micros(100);
const LOAD: Duration = Duration::from_micros(500);
const FEW_FRAMES: usize = 4;
const MANY_FRAMES: usize = 8;

pub(super) struct Polling {
    wait: Duration,
    /// Zero: nobody said how long messages may gather.
    gather: Duration,
    /// They gather until then.
    until: Duration,
}

impl Polling {
    pub(super) fn new(gather: Duration) -> Polling {
        Polling { wait: FIRST, gather, until: Duration::ZERO }
    }

    /// Whether messages gather: the journal isn't to be read.
    pub(super) fn is_gathering(&self, now: Duration) -> bool {
        now < self.until
    }

    /// How long to wait behind a turn that was `busy` or not, and that read so many frames:
    /// `is_whole`, all that there were.
    pub(super) fn wait(
        &mut self,
        now: Duration,
        busy: bool,
        frames: usize,
        is_whole: bool,
    ) -> Duration {
        if frames > 0 && is_whole && !self.gather.is_zero() {
            self.until = now.saturating_add(self.gather);
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

    #[test]
    fn an_idle_journal_is_looked_at_less_and_less_and_load_brings_short_waits_back() {
        let mut polling = Polling::new(Duration::ZERO);
        let waits: Vec<Duration> = (0..9).map(|_| polling.wait(ms(0), false, 0, true)).collect();
        assert_eq!(waits.first(), Some(&FIRST));
        assert_eq!(waits.last(), Some(&LAST));
        assert_eq!(polling.wait(ms(0), true, 1, true), FIRST);
        // Few frames a turn: longer; many: shorter, within the bounds.
        let few: Vec<Duration> = (0..4).map(|_| polling.wait(ms(0), true, 1, true)).collect();
        assert_eq!(few.last(), Some(&LOAD));
        let many: Vec<Duration> = (0..4).map(|_| polling.wait(ms(0), true, 50, true)).collect();
        assert_eq!(many.last(), Some(&LEAST));
        assert!(!polling.is_gathering(ms(0)), "nobody asked for it");
    }

    #[test]
    fn messages_gather_for_the_time_that_was_given_whatever_else_happens() {
        let mut polling = Polling::new(ms(20));
        assert_eq!(polling.wait(ms(100), true, 3, true), ms(20));
        assert!(polling.is_gathering(ms(119)));
        // An answer of the broker came meanwhile.
        assert_eq!(polling.wait(ms(105), true, 0, true), ms(15));
        assert!(!polling.is_gathering(ms(120)));
        assert_eq!(polling.wait(ms(120), true, 3, true), ms(20));
        // Nothing came: it's looked for at the usual pace, and what comes isn't kept waiting.
        assert_eq!(polling.wait(ms(140), false, 0, true), LOAD);
        assert!(!polling.is_gathering(ms(140)));
    }

    #[test]
    fn what_is_left_in_the_journal_does_not_gather() {
        let mut polling = Polling::new(ms(20));
        assert!(polling.wait(ms(100), true, 1_024, false) < ms(1));
        assert!(!polling.is_gathering(ms(100)));
    }
}
