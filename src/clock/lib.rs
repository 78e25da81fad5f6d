//! The clocks that drivers read, in the one place that reads them, and how long drivers let messages
//! gather. Everything else takes time as
//! an argument: a crate of pure code doesn't depend on this one, and so can't know what time it
//! is. A leaf.

mod gathering;
#[cfg(feature = "testing")]
pub mod testing;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub use gathering::Gathering;

/// The wall clock. It can be set, also backwards.
#[expect(clippy::disallowed_methods, reason = "this is where drivers read the wall clock")]
pub fn wall() -> SystemTime {
    SystemTime::now()
}

/// The wall clock in milliseconds since the epoch (UTC).
pub fn wall_ms() -> u64 {
    #[cfg(feature = "testing")]
    if let Some(shown) = testing::shown() {
        return shown.wall_ms;
    }
    u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX)
}

/// The wall clock in microseconds since the epoch (UTC).
pub fn wall_us() -> u64 {
    u64::try_from(since_epoch().as_micros()).unwrap_or(u64::MAX)
}

/// The clock that never goes backwards.
#[expect(clippy::disallowed_methods, reason = "this is where drivers read the steady clock")]
pub fn steady() -> Instant {
    Instant::now()
}

/// The time of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Since any fixed start; never goes backwards.
    pub mono: Duration,
    /// Wall clock, in milliseconds since the epoch (UTC).
    pub wall_ms: u64,
}

/// A steady clock that counts from a start: a driver's.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts to count.
    pub fn start() -> Clock {
        Clock { start: steady() }
    }

    /// Time since the start.
    pub fn elapsed(self) -> Duration {
        #[cfg(feature = "testing")]
        if let Some(shown) = testing::shown() {
            return shown.mono;
        }
        self.start.elapsed()
    }

    /// What both clocks show.
    pub fn now(self) -> Now {
        Now { mono: self.elapsed(), wall_ms: wall_ms() }
    }

    /// The moment at which [`Clock::elapsed`] is `at`, for whoever waits for it.
    pub fn instant(self, at: Duration) -> Option<Instant> {
        self.start.checked_add(at)
    }
}

fn since_epoch() -> Duration {
    wall().duration_since(UNIX_EPOCH).unwrap_or_default()
}
