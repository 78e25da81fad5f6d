//! The demo's clock: everything else of it takes time from here.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Counts from the start of the demo.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Instant,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "the demo's driver is where time comes from")]
    pub(super) fn start() -> Clock {
        Clock { start: Instant::now() }
    }

    /// Time since the start.
    pub(super) fn now(self) -> Duration {
        self.start.elapsed()
    }

    /// Wall clock in microseconds since the epoch.
    #[expect(clippy::disallowed_methods, reason = "the demo's driver is where time comes from")]
    pub(super) fn wall_us(self) -> u64 {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        wall.as_micros().try_into().unwrap_or(u64::MAX)
    }
}
