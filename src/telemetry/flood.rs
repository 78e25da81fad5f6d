//! Keeps events from flooding a log: sans-IO, time is an argument.
//!
//! Each kind of event has windows of [`WINDOW`] that begin with its first line. Within one,
//! [`SOURCE_LINES`] lines of one source and [`KIND_LINES`] of all sources pass; the rest is
//! counted, exactly, and summarised at the window's end. The table of sources is bounded by
//! [`TRACKED_SOURCES`]: whoever invents sources shares one entry with all the others.
//!
//! What begins and then goes on ([`Limit::Begins`]) has hours of its own: [`begun`].

mod begun;

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use begun::Begun;
pub use begun::TRACKED;
use foldhash::fast::RandomState;

use super::event::{Event, Limit};

/// A minute: short enough that a summary comes while people still look, long enough that a
/// flood of a day stays below what anybody's syslog takes.
pub const WINDOW: Duration = Duration::from_secs(60);
/// Lines of one source, and of events without a source. The first ones have the examples that an
/// analyst needs.
pub const SOURCE_LINES: u32 = 10;
/// Lines of one kind, whatever the sources.
pub const KIND_LINES: u32 = 50;
/// Sources that are distinguished in one window of one kind.
pub const TRACKED_SOURCES: usize = 64;
/// Sources with a summary of their own.
pub const SUMMARISED_SOURCES: usize = 8;

/// What is known of every kind of event.
#[derive(Debug)]
pub struct Flood {
    kinds: Vec<Kind>,
    begun: Begun,
}

/// The window of one kind.
#[derive(Debug, Default)]
struct Kind {
    /// `None`: no window is open.
    since: Option<Duration>,
    lines: u32,
    sources: HashMap<Box<str>, Count, RandomState>,
    /// Sources beyond the table, together.
    others: Count,
    /// How often a source was not in the table, at least once for each.
    strangers: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    lines: u32,
    suppressed: u64,
    /// Of the suppressed ones.
    first: Option<SystemTime>,
    last: Option<SystemTime>,
}

/// How often something happened without a line of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeated {
    pub event: Event,
    /// `None`: several sources, or an event that has none.
    pub source: Option<Box<str>>,
    /// Sources that are summed up here, at least; 0 for an event that has none.
    pub sources: u64,
    pub count: u64,
    pub first: SystemTime,
    pub last: SystemTime,
    /// How long the window was.
    pub window: Duration,
}

impl Default for Flood {
    fn default() -> Flood {
        let mut kinds = Vec::new();
        kinds.resize_with(Event::ALL.len(), Kind::default);
        Flood { kinds, begun: Begun::default() }
    }
}

impl Flood {
    /// Whether this event gets a line; if not, it is counted. `source` is the value of the
    /// event's source field, empty if it has none. Windows that are over must have been taken by
    /// [`Flood::ended`] before.
    pub fn admit(&mut self, now: Duration, at: SystemTime, event: Event, source: &str) -> bool {
        let entry = event.entry();
        if entry.limit == Limit::Never {
            return true;
        }
        if let Limit::Begins(_) = entry.limit {
            return self.begun.admit(now, at, event, source);
        }
        let Some(kind) = self.kinds.get_mut(event as usize) else { return true };
        kind.since.get_or_insert(now);
        let all_lines = kind.lines;
        let count = if let Some(count) = kind.sources.get_mut(source) {
            count
        } else if kind.sources.len() < TRACKED_SOURCES {
            kind.sources.entry(source.into()).or_default()
        } else {
            kind.strangers = kind.strangers.saturating_add(1);
            &mut kind.others
        };
        if count.lines < SOURCE_LINES && all_lines < KIND_LINES {
            count.lines = count.lines.saturating_add(1);
            kind.lines = all_lines.saturating_add(1);
            return true;
        }
        count.suppress(at);
        false
    }

    /// Appends the summaries of windows that are over at `now`.
    pub fn ended(&mut self, now: Duration, into: &mut Vec<Repeated>) {
        for (event, kind) in Event::ALL.iter().zip(&mut self.kinds) {
            if kind.since.is_some_and(|since| now.saturating_sub(since) >= WINDOW) {
                kind.close(now, *event, into);
            }
        }
        self.begun.ended(now, None, false, into);
    }

    /// As [`Flood::ended`], for one kind: what has to be emitted before its next line.
    pub fn ended_of(&mut self, now: Duration, event: Event, into: &mut Vec<Repeated>) {
        if let Some(kind) = self.kinds.get_mut(event as usize)
            && kind.since.is_some_and(|since| now.saturating_sub(since) >= WINDOW)
        {
            kind.close(now, event, into);
        }
        if let Limit::Begins(_) = event.entry().limit {
            self.begun.ended(now, Some(event), false, into);
        }
    }

    /// Appends the summaries of all windows, for a half that ends.
    pub fn finish(&mut self, now: Duration, into: &mut Vec<Repeated>) {
        for (event, kind) in Event::ALL.iter().zip(&mut self.kinds) {
            kind.close(now, *event, into);
        }
        self.begun.ended(now, None, true, into);
    }
}

impl Kind {
    fn close(&mut self, now: Duration, event: Event, into: &mut Vec<Repeated>) {
        let Kind { since, sources, others, strangers, .. } = std::mem::take(self);
        let Some(since) = since else { return };
        let window = now.saturating_sub(since);
        let has_source = matches!(event.entry().limit, Limit::PerSource(_));
        let mut counted: Vec<(Box<str>, Count)> =
            sources.into_iter().filter(|(_, count)| count.suppressed > 0).collect();
        // The worst first; by name where equal, so that the order is always the same.
        counted.sort_by(|(left, a), (right, b)| {
            b.suppressed.cmp(&a.suppressed).then_with(|| left.cmp(right))
        });
        let mut rest = others;
        let mut rest_sources = u64::from(others.suppressed > 0).min(strangers);
        for (at, (source, count)) in counted.into_iter().enumerate() {
            if at < SUMMARISED_SOURCES {
                let source = has_source.then_some(source);
                into.extend(count.repeated(event, source, u64::from(has_source), window));
            } else {
                rest.add(count);
                rest_sources = rest_sources.saturating_add(1);
            }
        }
        into.extend(rest.repeated(event, None, rest_sources, window));
    }
}

impl Count {
    fn suppress(&mut self, at: SystemTime) {
        self.suppressed = self.suppressed.saturating_add(1);
        self.first.get_or_insert(at);
        self.last = Some(at);
    }

    fn add(&mut self, other: Count) {
        self.suppressed = self.suppressed.saturating_add(other.suppressed);
        self.first = match (self.first, other.first) {
            (Some(left), Some(right)) => Some(left.min(right)),
            (left, right) => left.or(right),
        };
        self.last = self.last.max(other.last);
    }

    fn repeated(
        self,
        event: Event,
        source: Option<Box<str>>,
        sources: u64,
        window: Duration,
    ) -> Option<Repeated> {
        let Count { suppressed: count, first: Some(first), last: Some(last), .. } = self else {
            return None;
        };
        Some(Repeated { event, source, sources, count, first, last, window })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::arithmetic_side_effects, reason = "numbers of a test")]

    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::*;

    const LIMITED: Event = Event::CommandRefused;

    fn wall(at: Duration) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_795_354_043) + at
    }

    /// Runs a storm of `per_ms` events in each of `ms` milliseconds, with a look at the windows
    /// each second as the hub has it; returns lines and summaries.
    fn storm(per_ms: u64, ms: u64, source: impl Fn(u64) -> String) -> (u64, Vec<Repeated>) {
        let mut flood = Flood::default();
        let (mut lines, mut summaries, mut number) = (0, Vec::new(), 0);
        for millisecond in 0..ms {
            let now = Duration::from_millis(millisecond);
            if millisecond % 1_000 == 0 {
                flood.ended(now, &mut summaries);
            }
            for _ in 0..per_ms {
                flood.ended_of(now, LIMITED, &mut summaries);
                lines += u64::from(flood.admit(now, wall(now), LIMITED, &source(number)));
                number += 1;
            }
        }
        flood.finish(Duration::from_millis(ms), &mut summaries);
        (lines, summaries)
    }

    fn total(summaries: &[Repeated]) -> u64 {
        summaries.iter().map(|repeated| repeated.count).sum()
    }

    #[test]
    fn a_storm_of_one_source_is_ten_lines_and_one_summary() {
        // 100,000 per second, for ten seconds.
        let (lines, summaries) = storm(100, 10_000, |_| "topic".to_owned());
        assert_eq!(lines, u64::from(SOURCE_LINES));
        assert_eq!(summaries.len(), 1);
        let repeated = &summaries[0];
        assert_eq!(lines + repeated.count, 1_000_000);
        assert_eq!(repeated.source.as_deref(), Some("topic"));
        assert_eq!(repeated.window, Duration::from_secs(10));
        assert_eq!(repeated.first, wall(Duration::ZERO));
        assert_eq!(repeated.last, wall(Duration::from_millis(9_999)));
    }

    #[test]
    fn a_storm_of_invented_sources_is_bounded_too_and_its_total_is_exact() {
        let (lines, summaries) = storm(100, 10_000, |number| number.to_string());
        assert!(lines <= u64::from(KIND_LINES), "{lines}");
        assert!(summaries.len() <= SUMMARISED_SOURCES + 1, "{}", summaries.len());
        assert_eq!(lines + total(&summaries), 1_000_000);
    }

    #[test]
    fn a_long_storm_has_the_documented_lines_in_every_window() {
        let (lines, summaries) = storm(1, 300_000, |number| (number % 20).to_string());
        let windows = 5;
        assert!(lines <= windows * u64::from(KIND_LINES), "{lines}");
        assert_eq!(summaries.len(), 5 * (SUMMARISED_SOURCES + 1));
        assert_eq!(lines + total(&summaries), 300_000);
    }

    #[test]
    fn a_quiet_source_is_heard_beside_a_loud_one() {
        let mut flood = Flood::default();
        for _ in 0..1_000 {
            flood.admit(Duration::ZERO, wall(Duration::ZERO), LIMITED, "loud");
        }
        assert!(flood.admit(Duration::ZERO, wall(Duration::ZERO), LIMITED, "quiet"));
    }

    #[test]
    fn the_next_window_has_lines_again_and_unlimited_events_always_pass() {
        let mut flood = Flood::default();
        let mut summaries = Vec::new();
        for _ in 0..11 {
            flood.admit(Duration::ZERO, wall(Duration::ZERO), LIMITED, "x");
        }
        flood.ended(WINDOW - Duration::from_millis(1), &mut summaries);
        assert_eq!(summaries, []);
        flood.ended_of(WINDOW, LIMITED, &mut summaries);
        assert_eq!(total(&summaries), 1);
        assert!(flood.admit(WINDOW, wall(WINDOW), LIMITED, "x"));
        for _ in 0..1_000 {
            assert!(flood.admit(WINDOW, wall(WINDOW), Event::FramesLost, ""));
        }
        // A window without anything suppressed ends without a word.
        summaries.clear();
        flood.ended(WINDOW * 3, &mut summaries);
        assert_eq!(summaries, []);
    }

    proptest! {
        #[test]
        fn nothing_is_ever_uncounted(
            steps in prop::collection::vec((0..30_000_u64, 0..100_u32, 0..4_usize), 1..400)
        ) {
            let kinds = [LIMITED, Event::BrokerDown, Event::SequenceGap, Event::PolicyDrop];
            let mut flood = Flood::default();
            let (mut now, mut lines, mut summaries) = (Duration::ZERO, 0, Vec::new());
            for (pause_ms, source, kind) in &steps {
                now += Duration::from_millis(*pause_ms);
                let event = kinds[*kind];
                flood.ended_of(now, event, &mut summaries);
                lines += u64::from(flood.admit(now, wall(now), event, &source.to_string()));
            }
            flood.finish(now, &mut summaries);
            prop_assert_eq!(lines + total(&summaries), steps.len() as u64);
        }
    }
}
