//! The pace: bytes and packets per second, constant, on the caller's time.
//!
//! Each rate is a token bucket, kept as the time until which it is used up: a datagram may go while
//! that is no further ahead than the burst, and moves it by what it costs. Nothing that happens on
//! the link changes a rate.

use std::time::Duration;

/// How much may go at once after a pause.
const BURST: Duration = Duration::from_millis(2);

/// What a link may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// UDP payload.
    pub bytes_per_s: u64,
    pub packets_per_s: u64,
}

/// One rate.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    per_s: u64,
    burst: Duration,
    used_until: Duration,
}

impl Bucket {
    /// So many a second, at least one.
    pub(crate) fn new(per_s: u64, burst: Duration) -> Bucket {
        Bucket { per_s: per_s.max(1), burst, used_until: Duration::ZERO }
    }

    /// When the next may go.
    pub(crate) fn ready_at(&self) -> Duration {
        self.used_until.saturating_sub(self.burst)
    }

    /// So many went.
    pub(crate) fn take(&mut self, now: Duration, amount: u64) {
        let nanos = u128::from(amount).saturating_mul(1_000_000_000);
        let cost = nanos.div_ceil(u128::from(self.per_s));
        let cost = Duration::from_nanos(u64::try_from(cost).unwrap_or(u64::MAX));
        self.used_until = self.used_until.max(now).saturating_add(cost);
    }
}

/// The pace of a sender, over all of its priorities.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    bytes: Bucket,
    packets: Bucket,
}

impl Pace {
    pub(crate) fn new(rates: Rates) -> Pace {
        let bucket = |per_s| Bucket::new(per_s, BURST);
        Pace { bytes: bucket(rates.bytes_per_s), packets: bucket(rates.packets_per_s) }
    }

    /// When the next datagram may go.
    pub(crate) fn ready_at(&self) -> Duration {
        self.bytes.ready_at().max(self.packets.ready_at())
    }

    /// A datagram of so many bytes went.
    pub(crate) fn take(&mut self, now: Duration, bytes: usize) {
        self.bytes.take(now, u64::try_from(bytes).unwrap_or(u64::MAX));
        self.packets.take(now, 1);
    }
}

#[cfg(test)]
mod tests;
