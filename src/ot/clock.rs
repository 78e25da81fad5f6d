//! The clocks of this half.

use super::pipeline::Now;

/// The clocks of this half.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    steady: clock::Clock,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Clock { steady: clock::Clock::start() }
    }

    pub(crate) fn now(self) -> Now {
        let clock::Now { mono, wall_ms } = self.steady.now();
        Now { mono, wall_ms }
    }
}
