//! How long the sender has given no sign of life, and whether that is too long.

use std::time::Duration;

use link::Receiver;

/// Without a sign of life for so long the sender is silent …
const SILENT_AFTER: Duration = Duration::from_secs(3);
/// … or for so many of its own intervals, if that is longer.
const SILENT_INTERVALS: u32 = 3;

/// What is known of it.
#[derive(Debug)]
pub struct Silence {
    since_start: Duration,
    /// Of the newest heartbeat, and the shortest time between two of a session.
    beat: Option<u64>,
    interval: Option<Duration>,
    lasts: Duration,
}

impl Silence {
    /// Of a receiver that begins.
    pub(crate) fn new(now: Duration) -> Silence {
        Silence { since_start: now, beat: None, interval: None, lasts: Duration::ZERO }
    }

    /// After each turn.
    pub(crate) fn look(&mut self, now: Duration, receiver: &Receiver) {
        let freshness = receiver.freshness();
        if let Some(newest) = freshness.newest()
            && self.beat != Some(newest.mono_ms)
        {
            match self.beat.and_then(|before| newest.mono_ms.checked_sub(before)) {
                Some(since) => {
                    let since = Duration::from_millis(since);
                    self.interval = [self.interval, Some(since)].into_iter().flatten().min();
                }
                // The first of a session.
                None => self.interval = None,
            }
            self.beat = Some(newest.mono_ms);
        }
        let heard = freshness.silent_for(now);
        self.lasts = heard.unwrap_or_else(|| now.saturating_sub(self.since_start));
    }

    /// Since the last sign of life; of a sender that was never heard, since the start.
    pub fn lasts(&self) -> Duration {
        self.lasts
    }

    /// For longer than a sender that lives.
    pub fn is_too_long(&self) -> bool {
        let intervals = self.interval.unwrap_or_default().saturating_mul(SILENT_INTERVALS);
        self.lasts >= SILENT_AFTER.max(intervals)
    }
}
