//! Waiting on what can be observed, and clocks. Nothing in the suite sleeps to synchronise.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a condition may take before a test gives up. Generous: it is reached only when
/// something is broken.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(5);

/// Waits until `condition` holds; panics with `what` after [`DEADLINE`].
#[track_caller]
pub fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    assert!(holds_within(DEADLINE, condition), "not within {DEADLINE:?}: {what}");
}

/// Whether `condition` came to hold within `limit`.
pub fn holds_within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if start.elapsed() > limit {
            return false;
        }
        thread::sleep(POLL);
    }
}

/// Wall clock, in milliseconds since the epoch.
pub fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}
