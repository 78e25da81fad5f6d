//! How an end tells how it is: signs of life, status, and troubles that go on.

use std::path::PathBuf;
use std::time::Duration;

use clock::Now;
use telemetry::Notifier;
use telemetry::status::{EndRates, ReportError, Status, StatusEmitter, StatusSettings};

/// A trouble that goes on is told again so often.
const AGAIN: Duration = Duration::from_secs(60);

/// Signs of life and status.
#[derive(Debug)]
pub(in crate::cli) struct Telling {
    notifier: Notifier,
    emitter: StatusEmitter,
    next_feed: Duration,
    ends: bool,
}

impl Telling {
    /// Starts the threads that tell it; `now` since the start.
    pub(in crate::cli) fn start(
        end: &'static str,
        settings: StatusSettings,
        state_dir: PathBuf,
        notifier: Notifier,
        now: Now,
    ) -> Result<Telling, ReportError> {
        let own = notifier.clone();
        let emitter =
            StatusEmitter::start(end, settings, state_dir, notifier, now.mono, now.wall_ms)?;
        Ok(Telling { notifier: own, emitter, next_feed: now.mono, ends: false })
    }

    pub(in crate::cli) fn ready(&self) {
        self.notifier.ready();
    }

    pub(in crate::cli) fn reloading(&self) {
        self.notifier.reloading();
    }

    pub(in crate::cli) fn stopping(&self) {
        self.notifier.stopping();
    }

    /// It ends: the next status is the last one.
    pub(in crate::cli) fn end(&mut self) {
        self.ends = true;
    }

    /// A turn went through. Whether a status is due.
    pub(in crate::cli) fn turn(&mut self, now: Now) -> bool {
        if let Some(every) = self.notifier.feed_every()
            && self.next_feed <= now.mono
        {
            self.next_feed = now.mono.saturating_add(every);
            self.notifier.feed_watchdog();
        }
        self.ends || self.emitter.is_due(now.mono)
    }

    /// A status that says nothing yet.
    pub(in crate::cli) fn status(&mut self, now: Now) -> Status {
        self.emitter.end_status(now.wall_ms)
    }

    pub(in crate::cli) fn emit(&mut self, now: Now, status: Status) {
        match self.ends {
            true => self.emitter.finish(status),
            false => self.emitter.emit(now.mono, status),
        }
    }
}

/// Something that is tried again and again: told when it begins, and now and then while it goes on.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::cli) struct Trouble(Option<Duration>);

impl Trouble {
    /// It goes on. Whether that is to be told.
    pub(in crate::cli) fn goes_on(&mut self, now: Duration) -> bool {
        let is_due = self.0.is_none_or(|told| now.saturating_sub(told) >= AGAIN);
        if is_due {
            self.0 = Some(now);
        }
        is_due
    }

    /// It is over. Whether that is to be told.
    pub(in crate::cli) fn is_over(&mut self) -> bool {
        self.0.take().is_some()
    }
}

/// What was recent is so for a minute.
const RECENT: Duration = Duration::from_secs(60);

/// A count, and when it grew last.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::cli) struct Growth {
    count: u64,
    at: Option<Duration>,
}

impl Growth {
    /// How much it grew since the last look.
    pub(in crate::cli) fn grow(&mut self, now: Duration, count: u64) -> u64 {
        let grown = count.saturating_sub(std::mem::replace(&mut self.count, count));
        if grown > 0 {
            self.at = Some(now);
        }
        grown
    }

    pub(in crate::cli) fn count(&self) -> u64 {
        self.count
    }

    /// Whether it grew in the last minute.
    pub(in crate::cli) fn is_recent(&self, now: Duration) -> bool {
        self.at.is_some_and(|at| now.saturating_sub(at) < RECENT)
    }
}

/// How much counts grew per second since the status before.
pub(in crate::cli) fn counts_per_s(
    before: &mut Option<(Duration, [u64; 3])>,
    now: Duration,
    counts: [u64; 3],
) -> EndRates {
    let Some((at, last)) = before.replace((now, counts)) else { return EndRates::default() };
    let seconds = now.saturating_sub(at).as_secs_f64();
    let [frames_per_s, datagrams_per_s, bytes_per_s] = std::array::from_fn(|place| {
        let grown = |counts: &[u64; 3]| counts.get(place).copied().unwrap_or(0);
        let grown = grown(&counts).saturating_sub(grown(&last));
        if seconds > 0.0 { grown as f64 / seconds } else { 0.0 }
    });
    EndRates { frames_per_s, datagrams_per_s, bytes_per_s }
}

/// As people compare it.
pub(in crate::cli) fn key_id(id: u32) -> String {
    format!("{id:08x}")
}

pub(in crate::cli) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_told_when_it_begins_and_once_a_minute() {
        let mut trouble = Trouble::default();
        assert!(!trouble.is_over());
        let told: Vec<u64> =
            (0..200).filter(|second| trouble.goes_on(Duration::from_secs(*second))).collect();
        assert_eq!(told, [0, 60, 120, 180]);
        assert!(trouble.is_over() && !trouble.is_over());
        assert!(trouble.goes_on(Duration::from_secs(201)));
    }

    #[test]
    fn rates_are_of_the_time_between_two_looks() {
        let mut before = None;
        let at = Duration::from_secs;
        assert_eq!(counts_per_s(&mut before, at(1), [5, 6, 7]), EndRates::default());
        let rates = counts_per_s(&mut before, at(3), [15, 6, 1_007]);
        let wanted = EndRates { frames_per_s: 5.0, datagrams_per_s: 0.0, bytes_per_s: 500.0 };
        assert_eq!(rates, wanted);
        assert_eq!(counts_per_s(&mut before, at(3), [99, 99, 2_000]), EndRates::default());
    }
}
