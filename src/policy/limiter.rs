//! Rate limits of rules as token buckets. Time is an argument.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use account::RuleId;
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter};

use crate::Policy;
use crate::rule::{Bucket, OnExcess, Priority, Rate, Rule};

/// Governor keeps the time between two units in whole nanoseconds; how far that may be from the
/// rate that was asked for, relatively.
const MAX_ROUNDING: f64 = 0.001;

/// Time beyond this is taken as this: 292 years, and far from overflow when a burst is added.
const MAX_NOW_NS: u64 = u64::MAX / 2;

/// The state of the rate limits of a policy: those of its rules and of the link. What an edge
/// node has left of its own is kept with the node ([`Limiter::node_buckets`]). All buckets start
/// full.
///
/// A message must be granted by every limit that it meets; one that is refused by a later one is
/// given back to the earlier ones ([`Limiter::give_back`]). A message that is larger than
/// `burst-bytes` passes when the bucket is full and empties it: it is slowed down, never blocked
/// for ever.
#[derive(Debug)]
pub struct Limiter {
    clock: HandClock,
    rules: Vec<Option<Buckets>>,
    link: Option<Buckets>,
    node: Option<Rate>,
    /// By rule: its priority is high. Empty: that of none is.
    urgent: Vec<bool>,
    /// What was taken since [`Limiter::begin`]: buckets, and how full they were before.
    taken: Vec<(FillLevel, u64)>,
}

/// What is left of the limits of one edge node.
#[derive(Clone, Debug)]
pub struct NodeBuckets(Arc<Buckets>);

impl Limiter {
    /// Full buckets for `policy`.
    pub fn new(policy: &Policy) -> Limiter {
        let clock = HandClock::default();
        let buckets = |rate: Rate| Buckets::new(rate, &clock);
        let is_urgent = |rule: &Rule| rule.priority() == Priority::High;
        let urgent: Vec<bool> = policy.rules().iter().map(is_urgent).collect();
        Limiter {
            urgent: if urgent.contains(&true) { urgent } else { Vec::new() },
            rules: policy.rules().iter().map(|rule| rule.rate().map(buckets)).collect(),
            link: policy.limits().link.map(buckets),
            node: policy.limits().node,
            taken: Vec::new(),
            clock,
        }
    }

    /// Whether the priority of `rule` is high.
    #[inline]
    pub fn is_urgent(&self, rule: RuleId) -> bool {
        self.urgent.get(rule.index()).copied().unwrap_or(false)
    }

    /// Whether `rule` has a limit at all.
    pub fn limits(&self, rule: RuleId) -> bool {
        matches!(self.rules.get(rule.index()), Some(Some(_)))
    }

    /// Whether rules share limits: those of edge nodes or of the link.
    pub fn is_shared(&self) -> bool {
        self.node.is_some() || self.link.is_some()
    }

    /// Whether the link has a limit.
    pub fn limits_link(&self) -> bool {
        self.link.is_some()
    }

    /// Whether values may wait for a limit.
    pub fn conflates(&self) -> bool {
        let rules = self.rules.iter().flatten().chain(&self.link).map(|buckets| buckets.on_excess);
        rules.chain(self.node.map(|rate| rate.on_excess)).any(|excess| excess == OnExcess::Conflate)
    }

    /// Full buckets for an edge node, if these are limited.
    pub fn node_buckets(&self) -> Option<NodeBuckets> {
        self.node.map(|rate| NodeBuckets(Arc::new(Buckets::new(rate, &self.clock))))
    }

    /// Begins to ask for one message at `now`, the time since any fixed start. Time that goes
    /// backwards is taken as standing still.
    pub fn begin(&mut self, now: Duration) {
        self.clock.set(now);
        self.taken.clear();
    }

    /// Gives back all that was taken since [`Limiter::begin`].
    pub fn give_back(&mut self) {
        // The last first: a bucket that was taken from twice is as full as before.
        for (level, before) in self.taken.drain(..).rev() {
            level.put_back(before);
        }
    }

    /// Whether one message of `bytes` bytes may pass under `rule`. A rule without limits (and a
    /// number that isn't a rule of the policy) is never limited.
    ///
    /// # Errors
    /// What happens to the message instead; nothing was taken for it.
    pub fn ask_rule(&mut self, rule: RuleId, bytes: u32) -> Result<(), OnExcess> {
        let Some(Some(buckets)) = self.rules.get(rule.index()) else { return Ok(()) };
        buckets.ask(1, bytes, &mut self.taken)
    }

    /// The same for the limits of an edge node; `messages` is 0 for more of a message that was
    /// counted.
    ///
    /// # Errors
    /// As for [`Limiter::ask_rule`].
    pub fn ask_node(
        &mut self,
        node: Option<&NodeBuckets>,
        messages: u32,
        bytes: u32,
    ) -> Result<(), OnExcess> {
        node.map_or(Ok(()), |node| node.0.ask(messages, bytes, &mut self.taken))
    }

    /// The same for the link.
    ///
    /// # Errors
    /// As for [`Limiter::ask_rule`].
    pub fn ask_link(&mut self, messages: u32, bytes: u32) -> Result<(), OnExcess> {
        match &self.link {
            None => Ok(()),
            Some(link) => link.ask(messages, bytes, &mut self.taken),
        }
    }

    /// Takes for a birth or death what there is: it passes in any case, and data has to yield.
    pub fn charge(&mut self, now: Duration, node: Option<&NodeBuckets>, bytes: usize) {
        if !self.is_shared() {
            return;
        }
        self.clock.set(now);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let buckets = node.map(|node| &*node.0).into_iter().chain(&self.link);
        for Buckets { messages, bytes: limit, .. } in buckets {
            messages.iter().for_each(|messages| messages.drain(1));
            limit.iter().for_each(|limit| limit.drain(bytes));
        }
    }
}

/// The two buckets of a rate.
#[derive(Debug)]
struct Buckets {
    messages: Option<Limit>,
    bytes: Option<Limit>,
    on_excess: OnExcess,
}

impl Buckets {
    fn new(rate: Rate, clock: &HandClock) -> Buckets {
        Buckets {
            messages: rate.messages.and_then(|bucket| Limit::new(bucket, clock)),
            bytes: rate.bytes.and_then(|bucket| Limit::new(bucket, clock)),
            on_excess: rate.on_excess,
        }
    }

    fn ask(
        &self,
        messages: u32,
        bytes: u32,
        taken: &mut Vec<(FillLevel, u64)>,
    ) -> Result<(), OnExcess> {
        let before = taken.len();
        for (limit, amount) in [(&self.messages, messages), (&self.bytes, bytes)] {
            let Some(limit) = limit else { continue };
            let level = limit.level.now();
            if !limit.take(amount) {
                for (level, before) in taken.drain(before..).rev() {
                    level.put_back(before);
                }
                return Err(self.on_excess);
            }
            taken.push((limit.level.clone(), level));
        }
        Ok(())
    }
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
        let (unit, period) = unit_and_period(bucket.per_s)?;
        let burst = NonZeroU32::new(bucket.burst.div_ceil(unit))?;
        let quota = Quota::with_period(period)?.allow_burst(burst);
        let level = FillLevel::default();
        let limiter = RateLimiter::new(quota, level.clone(), clock.clone());
        Some(Limit { limiter, level, unit, burst })
    }

    /// Takes `amount`, or the whole bucket if it is more than that.
    fn take(&self, amount: u32) -> bool {
        if amount == 0 {
            return true;
        }
        let units = NonZeroU32::new(amount.div_ceil(self.unit)).unwrap_or(NonZeroU32::MIN);
        matches!(self.limiter.check_n(units.min(self.burst)), Ok(Ok(())))
    }

    /// Takes `amount`, or what there is of it.
    fn drain(&self, amount: u32) {
        let mut left = amount.div_ceil(self.unit).min(self.burst.get());
        let mut step = left;
        // Ends: the step is halved each time.
        while let Some(units) = NonZeroU32::new(step) {
            if matches!(self.limiter.check_n(units), Ok(Ok(()))) {
                left = left.saturating_sub(step);
            }
            step = (step / 2).min(left);
        }
    }
}

/// The smallest number of bytes that can be counted as one with little rounding, and the time
/// in which one such unit becomes free. Up to 1,000,000/s, and so for all messages, it is 1.
/// Amounts are rounded up to whole units, which makes a high rate a few bytes per message lower.
fn unit_and_period(per_s: f64) -> Option<(u32, Duration)> {
    // Ends: from 500 ns on, rounding to whole nanoseconds is within 0.1 %, and at the highest
    // rate (10 GB/s) 5,000 bytes take that long.
    (1..=5_000_u32).find_map(|unit| {
        let period_ns = f64::from(unit) * 1e9 / per_s;
        let rounded = period_ns.round();
        let close = rounded >= 1.0 && (rounded / period_ns - 1.0).abs() <= MAX_ROUNDING;
        // The cast saturates; the longest period is 1,000 s.
        close.then(|| (unit, Duration::from_nanos(rounded as u64)))
    })
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

#[cfg(test)]
mod tests;
