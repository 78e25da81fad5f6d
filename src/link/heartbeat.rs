//! Signs of life, judged by the receiver's clock alone.
//!
//! A heartbeat says how long its session has lasted, by the sender's steady clock. How long it took is
//! unknown without common clocks, but how much longer than the quickest heartbeat of its session isn't:
//! that is what it was held back. One that was held back for longer than `max_delay` is late, and no
//! sign of life; nor is one that is older than the newest. So a recording, or a stream that somebody
//! delays, never looks alive. The quickest way is forgotten slowly, as fast as two clocks may drift
//! apart, no faster.

use std::time::Duration;

use crate::datagram::{Heartbeat, SessionId};

/// How fast clocks may drift apart: two bad quartzes, 200 millionths.
const DRIFT_PER_MILLION: u32 = 200;

/// What a heartbeat is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The sender is alive.
    Fresh,
    /// It was overtaken by a newer one.
    Overtaken,
    /// It was held back on its way.
    Late,
}

/// What is known of the sender's life.
#[derive(Clone, Debug)]
pub struct Freshness {
    max_delay: Duration,
    session: Option<SessionId>,
    /// The quickest way: receiver's time less sender's time, in microseconds, and when it was judged.
    quickest: Option<(i128, Duration)>,
    /// The newest heartbeat that was a sign of life, and when it came.
    newest: Option<(Heartbeat, Duration)>,
    /// Sender's wall clock less the receiver's, in milliseconds, by the quickest heartbeats.
    ahead_ms: Option<i64>,
}

impl Freshness {
    /// A heartbeat that took longer than the quickest by more than `max_delay` is late.
    pub fn new(max_delay: Duration) -> Freshness {
        Freshness { max_delay, session: None, quickest: None, newest: None, ahead_ms: None }
    }

    /// An authentic heartbeat that wasn't seen before; `wall_ms` is the receiver's clock.
    pub fn hear(
        &mut self,
        now: Duration,
        wall_ms: u64,
        session: SessionId,
        heartbeat: Heartbeat,
    ) -> Sign {
        if self.session != Some(session) {
            self.session = Some(session);
            self.quickest = None;
            self.newest = None;
        }
        let sent_us = i128::from(heartbeat.mono_ms).saturating_mul(1_000);
        let arrived_us = i128::try_from(now.as_micros()).unwrap_or(i128::MAX);
        let took = arrived_us.saturating_sub(sent_us);
        let quickest = match self.quickest {
            Some((quickest, judged)) => {
                let elapsed = now.saturating_sub(judged).as_micros();
                let drift = elapsed.saturating_mul(u128::from(DRIFT_PER_MILLION)) / 1_000_000;
                let drift = i128::try_from(drift).unwrap_or(i128::MAX);
                took.min(quickest.saturating_add(drift))
            }
            None => took,
        };
        self.quickest = Some((quickest, now));
        if self.newest.is_some_and(|(newest, _)| heartbeat.mono_ms <= newest.mono_ms) {
            return Sign::Overtaken;
        }
        let max_delay = i128::try_from(self.max_delay.as_micros()).unwrap_or(i128::MAX);
        let held_back = took.saturating_sub(quickest);
        if held_back > max_delay {
            return Sign::Late;
        }
        self.newest = Some((heartbeat, now));
        let held_back_ms = i64::try_from(held_back / 1_000).unwrap_or(i64::MAX);
        let sent_ms = i64::try_from(heartbeat.wall_ms).unwrap_or(i64::MAX);
        let arrived_ms = i64::try_from(wall_ms).unwrap_or(i64::MAX);
        self.ahead_ms = Some(sent_ms.saturating_add(held_back_ms).saturating_sub(arrived_ms));
        Sign::Fresh
    }

    /// Time since the last sign of life; `None`: there was none.
    pub fn silent_for(&self, now: Duration) -> Option<Duration> {
        self.newest.map(|(_, came)| now.saturating_sub(came))
    }

    /// Sender's wall clock less the receiver's, in milliseconds, less the quickest way between them.
    pub fn ahead_ms(&self) -> Option<i64> {
        self.ahead_ms
    }

    /// The newest sign of life.
    pub fn newest(&self) -> Option<Heartbeat> {
        self.newest.map(|(heartbeat, _)| heartbeat)
    }
}

#[cfg(test)]
mod tests;
