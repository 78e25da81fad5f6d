//! Load: under it, small bursts are given time to become larger ones.

use std::time::{Duration, Instant};

/// A burst of this many is worth its wake-ups. The same number may wait for acknowledgement while
/// the next ones gather: brokers have few in flight (mosquitto: 20), and send no more until they
/// hear of these.
const LARGE_BURST: usize = 16;
/// Behind smaller bursts than that, and under load, the next messages are given time to gather:
/// one wake-up of both threads and one write to the journal then serve so many. To wait for more
/// saves nothing that could be measured …
const GATHERED: u32 = 3;
/// … and to wait for longer than this isn't worth the wake-ups that it saves.
const LONGEST_LINGER: Duration = Duration::from_micros(300);
/// Load: the last burst is no longer ago than this. What comes alone isn't delayed.
const LOAD_WITHIN: Duration = Duration::from_millis(1);

/// How bursts have come lately.
#[derive(Default)]
pub(super) struct Load {
    last: Option<Instant>,
    pace: Pace,
}

impl Load {
    /// Called when a burst of so many messages is handed over: under load it lets the next ones
    /// gather.
    pub(super) fn linger(&mut self, messages: usize, unanswered: usize) {
        if messages == 0 {
            return;
        }
        let now = clock::steady();
        let pause = self.last.replace(now).map(|last| now.duration_since(last));
        let linger = self.pace.linger(pause, messages, unanswered);
        if !linger.is_zero() {
            // Blocks the thread, whose timers are too coarse for this; it has nothing to do but
            // this session.
            std::thread::sleep(linger);
        }
    }
}

/// Time between two messages, averaged over the last bursts; zero while there is no load.
#[derive(Default)]
pub(super) struct Pace(Duration);

impl Pace {
    /// How long to let messages gather behind a burst of so many, that came so long after the
    /// last.
    pub(super) fn linger(
        &mut self,
        pause: Option<Duration>,
        messages: usize,
        unanswered: usize,
    ) -> Duration {
        let Some(pause) = pause.filter(|pause| *pause < LOAD_WITHIN) else {
            self.0 = Duration::ZERO;
            return Duration::ZERO;
        };
        let between = pause.checked_div(u32::try_from(messages).unwrap_or(u32::MAX));
        let between = between.unwrap_or_default();
        self.0 = match self.0 {
            Duration::ZERO => between,
            before => {
                let eight = before.saturating_mul(7).saturating_add(between);
                eight.checked_div(8).unwrap_or_default()
            }
        };
        if messages.max(unanswered) >= LARGE_BURST {
            return Duration::ZERO;
        }
        self.0.saturating_mul(GATHERED).min(LONGEST_LINGER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_small_bursts_under_load_linger_and_none_that_the_broker_waits_for() {
        let load = Some(Duration::from_micros(400));
        let linger = |pause, messages, unanswered| {
            Pace::default().linger(pause, messages, unanswered) > Duration::ZERO
        };
        assert!(!linger(None, 1, 1), "what comes alone isn't delayed");
        assert!(!linger(Some(LOAD_WITHIN), 5, 0), "the load is over");
        assert!(linger(load, 5, 15));
        assert!(linger(load, 15, 0));
        assert!(!linger(load, 5, 16), "the broker waits for acknowledgements");
        assert!(!linger(load, 16, 0), "a large burst needs no gathering");
    }

    #[test]
    fn a_linger_is_as_long_as_a_few_messages_take_to_come() {
        let mut pace = Pace::default();
        let micros = Duration::from_micros;
        // 50,000 messages/s.
        assert_eq!(pace.linger(Some(micros(200)), 10, 0), micros(60));
        // Slower from now on: the longest one is approached, and not exceeded.
        let mut last = micros(60);
        for _ in 0..50 {
            let next = pace.linger(Some(micros(900)), 1, 0);
            assert!(next > last || next == LONGEST_LINGER, "{last:?} {next:?}");
            last = next;
        }
        assert_eq!(last, LONGEST_LINGER);
        assert_eq!(pace.linger(None, 1, 0), Duration::ZERO);
        assert_eq!(pace.linger(Some(micros(100)), 10, 0), micros(30), "the past is forgotten");
    }
}
