//! The clocks of this half.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::pipeline::Now;

/// The clocks of this half.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "the driver's clock")]
    pub(crate) fn new() -> Self {
        Clock { start: Instant::now() }
    }

    #[expect(clippy::disallowed_methods, reason = "the driver's clock")]
    pub(crate) fn now(self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now {
            mono: self.start.elapsed(),
            wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
        }
    }
}
