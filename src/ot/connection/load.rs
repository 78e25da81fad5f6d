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
/// Who has latency to spare lets more gather, about so many and so many bytes: more of them save
/// nothing, and wouldn't fit into the socket's buffer.
const MOST_GATHERED: u32 = 1_024;
const MOST_GATHERED_BYTES: u32 = 64 * 1024;
/// Load: the last burst is no longer ago than this. What comes alone isn't delayed.
const LOAD_WITHIN: Duration = Duration::from_millis(1);

/// How bursts have come lately.
#[derive(Default)]
pub(super) struct Load {
    last: Option<Instant>,
    pace: Pace,
    /// How long messages may gather; zero: as the pace has it.
    gather: Duration,
    /// What came since the last linger.
    since: Came,
}

/// Messages, and their bytes.
#[derive(Clone, Copy, Default)]
struct Came {
    messages: u32,
    bytes: u32,
}

impl Load {
    pub(super) fn new(gather: Duration) -> Load {
        Load { gather, ..Load::default() }
    }

    /// Called for each burst that is handed over; its bytes are asked for where they count.
    pub(super) fn took(&mut self, messages: usize, bytes: impl FnOnce() -> usize) {
        if self.gather.is_zero() {
            return;
        }
        let add = |to: &mut u32, more| {
            *to = to.saturating_add(u32::try_from(more).unwrap_or(u32::MAX));
        };
        add(&mut self.since.messages, messages);
        add(&mut self.since.bytes, bytes());
    }

    /// Called behind the last burst of those that were there: under load it lets the next ones gather.
    pub(super) fn linger(&mut self, messages: usize, unanswered: usize) {
        if messages == 0 {
            return;
        }
        let now = clock::steady();
        let pause = self.last.replace(now).map(|last| now.duration_since(last));
        let linger = if self.gather.is_zero() {
            self.pace.linger(pause, messages, unanswered)
        } else {
            gathered(self.gather, pause, std::mem::take(&mut self.since), unanswered)
        };
        if !linger.is_zero() {
            // Blocks the thread, whose timers are too coarse for this; it has nothing to do but
            // this session.
            std::thread::sleep(linger);
        }
    }
}

/// How long to let messages gather where an operator said so: at the pace of those that came within the
/// last pause no more than the most.
fn gathered(gather: Duration, pause: Option<Duration>, came: Came, unanswered: usize) -> Duration {
    let within = gather.saturating_mul(2).max(LOAD_WITHIN);
    let Some(pause) = pause.filter(|pause| *pause < within && unanswered < LARGE_BURST) else {
        return Duration::ZERO;
    };
    let until =
        |most: u32, came| pause.saturating_mul(most).checked_div(came).unwrap_or(Duration::MAX);
    gather.min(until(MOST_GATHERED, came.messages)).min(until(MOST_GATHERED_BYTES, came.bytes))
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
    fn with_latency_to_spare_messages_gather_that_long_but_none_that_the_broker_waits_for() {
        let ms = Duration::from_millis;
        let gathered = |pause, messages, bytes, unanswered| {
            gathered(ms(10), pause, Came { messages, bytes }, unanswered)
        };
        assert_eq!(gathered(None, 1, 100, 0), ms(0), "what comes alone isn't delayed");
        assert_eq!(gathered(Some(ms(20)), 1, 100, 0), ms(0), "the load is over");
        assert_eq!(gathered(Some(ms(19)), 1, 100, 0), ms(10));
        assert_eq!(gathered(Some(ms(10)), 0, 0, 0), ms(10));
        assert_eq!(gathered(Some(ms(10)), 500, 50_000, 15), ms(10));
        let waits = "the broker waits for acknowledgements";
        assert_eq!(gathered(Some(ms(10)), 5, 500, 16), ms(0), "{waits}");
        // Faster than fits: for as long as so many take to come.
        assert_eq!(gathered(Some(ms(10)), 2_048, 50_000, 0), ms(5));
        assert_eq!(gathered(Some(ms(10)), 100, 256 * 1024, 0), ms(10) / 4);
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
