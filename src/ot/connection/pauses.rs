//! Pauses between attempts to connect: longer with each, until a session has lasted.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use crate::pipeline::LASTING;

/// First pause after a lost connection; it doubles with each attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause: an OT broker that comes back is found within half a minute.
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// How attempts went so far.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    /// Attempts since the last session that lasted.
    attempts: u32,
    /// Since when there is a session.
    since: Option<Instant>,
}

impl Pauses {
    /// There is a session. It counts once it has lasted: a broker that ends each one soon must
    /// not be met with a storm of connects.
    pub(super) fn connected(&mut self) {
        self.since = Some(clock::steady());
    }

    /// Whether there is a session that has lasted.
    pub(super) fn has_lasted(&self) -> bool {
        let now = clock::steady();
        self.since.is_some_and(|since| now.duration_since(since) >= LASTING)
    }

    /// Another server is tried, at once: each of them once until the next pause.
    pub(super) fn left(&mut self) -> Duration {
        if self.has_lasted() {
            self.attempts = 0;
        }
        self.since = None;
        Duration::ZERO
    }

    /// The pause after a session, or an attempt, that ended.
    pub(super) fn ended(&mut self) -> Duration {
        let _ = self.left();
        let pause = pause(self.attempts);
        self.attempts = self.attempts.saturating_add(1);
        pause
    }
}

/// Between half of the doubled pause and all of it, so that relays that lost the same broker
/// don't come back together.
fn pause(attempts: u32) -> Duration {
    let factor = 1_u32.checked_shl(attempts.min(16)).unwrap_or(u32::MAX);
    let longest = FIRST_PAUSE.saturating_mul(factor).min(LAST_PAUSE);
    // The standard library's only source of randomness.
    let percent = RandomState::new().hash_one(attempts) % 51;
    let percent = u32::try_from(percent).unwrap_or(0).saturating_add(50);
    longest.saturating_mul(percent).checked_div(100).unwrap_or(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_with_jitter_up_to_half_a_minute() {
        for attempts in [0, 1, 5, 6, 7, 100, u32::MAX] {
            let longest = FIRST_PAUSE * 2_u32.pow(attempts.min(6));
            let longest = longest.min(LAST_PAUSE);
            for _ in 0..50 {
                let pause = pause(attempts);
                assert!(pause >= longest / 2 && pause <= longest, "{attempts}: {pause:?}");
            }
        }
    }

    #[test]
    fn only_a_session_that_lasted_makes_the_pause_short_again() {
        let mut pauses = Pauses::default();
        for attempts in 0..8_u32 {
            pauses.connected();
            let longest = (FIRST_PAUSE * 2_u32.pow(attempts)).min(LAST_PAUSE);
            assert!(pauses.ended() >= longest / 2);
        }
        pauses.since = clock::steady().checked_sub(LASTING);
        assert!(pauses.ended() <= FIRST_PAUSE);
        assert!(pauses.ended() > FIRST_PAUSE / 2, "an attempt that failed");
    }
}
