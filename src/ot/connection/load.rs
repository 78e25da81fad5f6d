//! Load: under it, small bursts are given time to become larger ones.

use std::time::{Duration, Instant};

use clock::Gathering;

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
/// Where nobody said how long messages may gather they do for so long at most, and so many of them.
const GATHER: Duration = Duration::from_millis(2);
const ENOUGH: u32 = 64;
/// Load: the last burst is no longer ago than this. What comes alone isn't delayed.
const LOAD_WITHIN: Duration = Duration::from_millis(1);
/// So many messages a broker has in flight at least; with how many more it goes on is seen.
const LEAST_IN_FLIGHT: usize = 20;
/// Of those that it hasn't in flight yet so many are left to it: it never waits for us.
const LEFT_IN_FLIGHT: usize = 4;

/// How bursts have come lately.
pub(super) struct Load {
    begin: Instant,
    last: Option<Instant>,
    /// The end of the last linger: since then messages gather.
    woke: Instant,
    pace: Pace,
    gather: Gather,
    /// What came since the last linger.
    since: Came,
    /// Messages that waited for acknowledgement at most: so many the broker has in flight.
    in_flight: usize,
}

/// How long messages may gather.
enum Gather {
    /// For as long as few take to come.
    Promptly,
    /// By the rate at which they come.
    ByRate(Gathering),
    /// For so long, while more come.
    For(Duration),
}

/// Messages, and their bytes.
#[derive(Clone, Copy, Default)]
struct Came {
    messages: u32,
    bytes: u32,
}

impl Load {
    /// `gather`: how long messages gather; zero: 0.3 ms at most; `None`: by the rate at which they come.
    pub(super) fn new(gather: Option<Duration>) -> Load {
        let gather = match gather {
            None => Gather::ByRate(Gathering::new(GATHER, ENOUGH)),
            Some(Duration::ZERO) => Gather::Promptly,
            Some(gather) => Gather::For(gather),
        };
        let (begin, pace, since) = (clock::steady(), Pace::default(), Came::default());
        let woke = begin;
        Load { begin, last: None, woke, pace, gather, since, in_flight: LEAST_IN_FLIGHT }
    }

    /// There is another session: with how many messages in flight its broker goes on isn't known.
    pub(super) fn connected(&mut self) {
        self.in_flight = LEAST_IN_FLIGHT;
    }

    /// Called for each burst that is handed over; its bytes are asked for where they count.
    pub(super) fn took(&mut self, messages: usize, bytes: impl FnOnce() -> usize) {
        if matches!(self.gather, Gather::Promptly) {
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
        let came = std::mem::take(&mut self.since);
        self.in_flight = self.in_flight.max(unanswered);
        let room = room(self.in_flight, unanswered);
        let linger = match &mut self.gather {
            Gather::Promptly => self.pace.linger(pause, messages, unanswered),
            Gather::For(gather) => {
                gathered(*gather, pause, came, room).saturating_sub(now.duration_since(self.woke))
            }
            Gather::ByRate(gathering) => {
                let came_in_all = usize::try_from(came.messages).unwrap_or(usize::MAX);
                gathering.came(now.duration_since(self.begin), came_in_all);
                let prompt = self.pace.linger(pause, messages, unanswered);
                let gather = by_rate(gathering.time(), pause, came, room);
                prompt.max(gather.saturating_sub(now.duration_since(self.woke)))
            }
        };
        if !linger.is_zero() {
            // Blocks the thread, whose timers are too coarse for this; it has nothing to do but
            // this session.
            std::thread::sleep(linger);
        }
        self.woke = clock::steady();
    }
}

/// How many messages more may come before the broker waits for acknowledgements; `None`: none of those
/// that came wants one.
fn room(in_flight: usize, unanswered: usize) -> Option<u32> {
    let left = in_flight.saturating_sub(unanswered).saturating_sub(LEFT_IN_FLIGHT);
    // Half of them: the time between two is an average.
    (unanswered > 0).then(|| u32::try_from(left / 2).unwrap_or(u32::MAX))
}

/// How long to let messages gather for `gather` at most: while more come, and at the pace of those that
/// came within the last pause no more than the most, nor more than the broker has room for.
fn gathered(gather: Duration, pause: Option<Duration>, came: Came, room: Option<u32>) -> Duration {
    let within = gather.saturating_mul(2).max(LOAD_WITHIN);
    let Some(pause) = pause.filter(|pause| *pause < within) else {
        return Duration::ZERO;
    };
    let until =
        |most: u32, came| pause.saturating_mul(most).checked_div(came).unwrap_or(Duration::MAX);
    let answered = room.map_or(Duration::MAX, |room| until(room, came.messages.max(1)));
    gather
        .min(until(MOST_GATHERED, came.messages))
        .min(until(MOST_GATHERED_BYTES, came.bytes))
        .min(answered)
}

/// The same for `gather` as the rate has it. Where more came than gather by that, more are there.
fn by_rate(gather: Duration, pause: Option<Duration>, came: Came, room: Option<u32>) -> Duration {
    if came.messages >= ENOUGH.saturating_mul(2) {
        return Duration::ZERO;
    }
    gathered(gather, pause, came, room)
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
            let room = room(LEAST_IN_FLIGHT, unanswered);
            gathered(ms(10), pause, Came { messages, bytes }, room)
        };
        assert_eq!(gathered(None, 1, 100, 0), ms(0), "what comes alone isn't delayed");
        assert_eq!(gathered(Some(ms(20)), 1, 100, 0), ms(0), "the load is over");
        assert_eq!(gathered(Some(ms(19)), 1, 100, 0), ms(10));
        assert_eq!(gathered(Some(ms(10)), 0, 0, 0), ms(10));
        assert_eq!(gathered(Some(ms(10)), 500, 50_000, 0), ms(10));
        let waits = "the broker waits for acknowledgements";
        assert_eq!(gathered(Some(ms(10)), 5, 500, 16), ms(0), "{waits}");
        // Two more may come, which takes so long.
        assert_eq!(gathered(Some(ms(10)), 5, 500, 11), ms(4));
        // Faster than fits: for as long as so many take to come.
        assert_eq!(gathered(Some(ms(10)), 2_048, 50_000, 0), ms(5));
        assert_eq!(gathered(Some(ms(10)), 100, 256 * 1024, 0), ms(10) / 4);
    }

    #[test]
    fn what_gathers_by_the_rate_never_has_a_broker_wait() {
        let (ms, pause) = (Duration::from_millis, Some(Duration::from_millis(2)));
        let came = Came { messages: 40, bytes: 8_000 };
        // 20,000 messages/s. Nothing wants an answer; or it takes 20 in flight; or many.
        assert_eq!(by_rate(ms(2), pause, came, room(20, 0)), ms(2));
        assert_eq!(by_rate(ms(2), pause, came, room(20, 10)), ms(2) * 3 / 40);
        assert_eq!(by_rate(ms(2), pause, came, room(1_000, 40)), ms(2));
        assert_eq!(by_rate(ms(2), pause, came, room(1_000, 990)), ms(2) * 3 / 40);
        // The relay is behind: nothing gathers, it's there.
        let many = Came { messages: 128, ..came };
        assert_eq!(by_rate(ms(2), pause, many, room(20, 0)), ms(0));
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
