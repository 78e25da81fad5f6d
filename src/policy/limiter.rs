//! Rate limits of rules as token buckets. Time is an argument.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter};

use super::Policy;
use super::rule::{Bucket, RuleId};

/// The limiter counts in whole nanoseconds per unit. Where more than this many bytes pass in a
/// second, it counts several of them as one unit, so that rounding stays below 0.1 %.
const MAX_UNITS_PER_S: f64 = 1_000_000.0;

/// Time beyond this is taken as this: 292 years, and far from overflow when a burst is added.
const MAX_NOW_NS: u64 = u64::MAX / 2;

/// The state of all rate limits of a policy. All buckets start full.
///
/// A message must be granted by the message limit and by the byte limit of its rule; a refused
/// message takes nothing from either. A message that is larger than `burst-bytes` passes when
/// the bucket is full and empties it: it is slowed down, never blocked for ever.
#[derive(Debug)]
pub struct Limiter {
    clock: HandClock,
    rules: Vec<Option<RuleLimits>>,
}

impl Limiter {
    /// Full buckets for the rules of `policy`.
    pub fn new(policy: &Policy) -> Limiter {
        let clock = HandClock::default();
        let rules = policy
            .rules()
            .iter()
            .map(|rule| {
                let rate = rule.rate()?;
                Some(RuleLimits {
                    messages: rate.messages.and_then(|bucket| Limit::new(bucket, &clock)),
                    bytes: rate.bytes.and_then(|bucket| Limit::new(bucket, &clock)),
                })
            })
            .collect();
        Limiter { clock, rules }
    }

    /// Whether one message of `bytes` bytes may pass under `rule` at `now`, the time since any
    /// fixed start. Time that goes backwards is taken as standing still. A rule without limits
    /// (and a number that isn't a rule of the policy) is never limited.
    pub fn admit(&mut self, now: Duration, rule: RuleId, bytes: u32) -> bool {
        self.clock.set(now);
        let Some(Some(limits)) = self.rules.get(rule.index()) else { return true };
        let before = limits.messages.as_ref().map(|messages| messages.level.now());
        if !limits.messages.as_ref().is_none_or(|messages| messages.take(1)) {
            return false;
        }
        if limits.bytes.as_ref().is_none_or(|limit| limit.take(bytes)) {
            return true;
        }
        if let (Some(messages), Some(before)) = (&limits.messages, before) {
            messages.level.put_back(before);
        }
        false
    }
}

#[derive(Debug)]
struct RuleLimits {
    messages: Option<Limit>,
    bytes: Option<Limit>,
}

/// One bucket.
struct Limit {
    limiter: RateLimiter<NotKeyed, FillLevel, HandClock, NoOpMiddleware<Nanos>>,
    level: FillLevel,
    /// Bytes or messages that are counted as one.
    unit: u32,
    burst: NonZeroU32,
}

impl Limit {
    /// `None` never occurs for a bucket that the language lets through (rates from 0.001/s,
    /// bursts from 1).
    fn new(bucket: Bucket, clock: &HandClock) -> Option<Limit> {
        // The casts saturate.
        let unit = (bucket.per_s / MAX_UNITS_PER_S).ceil().max(1.0);
        let period = Duration::try_from_secs_f64(unit / bucket.per_s).ok()?;
        let unit = unit as u32;
        let burst = NonZeroU32::new(bucket.burst.div_ceil(unit))?;
        let quota = Quota::with_period(period)?.allow_burst(burst);
        let level = FillLevel::default();
        let limiter = RateLimiter::new(quota, level.clone(), clock.clone());
        Some(Limit { limiter, level, unit, burst })
    }

    /// Takes `amount`, or the whole bucket if it is more than that.
    fn take(&self, amount: u32) -> bool {
        let units = NonZeroU32::new(amount.div_ceil(self.unit)).unwrap_or(NonZeroU32::MIN);
        matches!(self.limiter.check_n(units.min(self.burst)), Ok(Ok(())))
    }
}

impl fmt::Debug for Limit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Limit")
            .field("unit", &self.unit)
            .field("burst", &self.burst)
            .finish()
    }
}

/// A clock whose hand is set from outside; clones show the same time.
#[derive(Clone, Debug, Default)]
struct HandClock(Arc<AtomicU64>);

impl HandClock {
    fn set(&self, now: Duration) {
        let nanoseconds = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX).min(MAX_NOW_NS);
        self.0.fetch_max(nanoseconds, Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(self.0.load(Ordering::Relaxed))
    }
}

/// Where governor keeps a bucket's state (the time at which it is full again, 0 at first). A
/// store of our own, since a grant has to be taken back when the other limit refuses, which
/// governor has no call for. Clones share the state; the limiter is used by one thread.
#[derive(Clone, Debug, Default)]
struct FillLevel(Arc<AtomicU64>);

impl FillLevel {
    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn put_back(&self, before: u64) {
        self.0.store(before, Ordering::Relaxed);
    }
}

impl StateStore for FillLevel {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _key: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let before = self.now();
        let (outcome, after) = decide((before != 0).then(|| Nanos::new(before)))?;
        self.put_back(after.as_u64());
        Ok(outcome)
    }
}
