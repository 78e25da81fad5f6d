//! What goes on for a long time and is told twice: by a line when it begins, and by one an hour with the
//! count. Sans-IO.
//!
//! A cause that isn't seen for an hour has ended, and gets a line again when it comes back. The table of
//! causes is bounded by [`TRACKED`]; lines of a minute are by [`LINES`]. What has no room is counted with
//! the others, and may begin later.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use foldhash::fast::RandomState;

use super::{Count, KIND_LINES, Repeated, WINDOW};
use crate::event::Event;

/// How often what goes on is told.
pub const HOUR: Duration = Duration::from_secs(3_600);
/// Causes that are known at once, of all kinds.
pub const TRACKED: usize = 256;
/// Lines of a minute.
const LINES: u32 = KIND_LINES;

/// What goes on.
#[derive(Debug, Default)]
pub(super) struct Begun {
    causes: HashMap<(Event, Box<str>), Cause, RandomState>,
    /// Causes without room, by kind.
    others: Vec<(Event, Cause)>,
    minute: Duration,
    lines: u32,
}

#[derive(Debug)]
struct Cause {
    /// The hour began then.
    since: Duration,
    count: Count,
}

impl Begun {
    /// Whether this is the beginning, which gets a line; if not, it is counted.
    pub(super) fn admit(
        &mut self,
        now: Duration,
        at: SystemTime,
        event: Event,
        cause: &str,
    ) -> bool {
        if now.saturating_sub(self.minute) >= WINDOW {
            self.minute = now;
            self.lines = 0;
        }
        let key = (event, Box::from(cause));
        if let Some(known) = self.causes.get_mut(&key) {
            known.count.suppress(at);
            return false;
        }
        if self.causes.len() < TRACKED && self.lines < LINES {
            self.lines = self.lines.saturating_add(1);
            self.causes.insert(key, Cause { since: now, count: Count::default() });
            return true;
        }
        let place = self.others.iter().position(|(kind, _)| *kind == event);
        let others = match place.and_then(|place| self.others.get_mut(place)) {
            Some((_, others)) => others,
            None => {
                self.others.push((event, Cause { since: now, count: Count::default() }));
                let Some((_, others)) = self.others.last_mut() else { return false };
                others
            }
        };
        others.count.suppress(at);
        false
    }

    /// Appends the counts of hours that are over at `now`, or of all if `everything`; of one kind, if
    /// that is named.
    pub(super) fn ended(
        &mut self,
        now: Duration,
        only: Option<Event>,
        everything: bool,
        into: &mut Vec<Repeated>,
    ) {
        let is_over = |event: Event, cause: &Cause| {
            let is_meant = only.is_none_or(|only| only == event);
            is_meant && (everything || now.saturating_sub(cause.since) >= HOUR)
        };
        let mut told = Vec::new();
        self.causes.retain(|(event, source), cause| {
            if !is_over(*event, cause) {
                return true;
            }
            let window = now.saturating_sub(cause.since);
            let count = std::mem::take(&mut cause.count);
            cause.since = now;
            let repeated = count.repeated(*event, Some(source.clone()), 1, window);
            let goes_on = repeated.is_some();
            told.extend(repeated);
            goes_on
        });
        told.sort_by(|left, right| {
            right.count.cmp(&left.count).then_with(|| left.source.cmp(&right.source))
        });
        into.append(&mut told);
        self.others.retain(|(event, others)| {
            if !is_over(*event, others) {
                return true;
            }
            let window = now.saturating_sub(others.since);
            into.extend(others.count.repeated(*event, None, 1, window));
            false
        });
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::arithmetic_side_effects, reason = "numbers of a test")]

    use std::time::UNIX_EPOCH;

    use super::*;

    const EVENT: Event = Event::PolicyDrop;

    fn admit(begun: &mut Begun, second: u64, cause: &str) -> bool {
        let now = Duration::from_secs(second);
        begun.admit(now, UNIX_EPOCH + now, EVENT, cause)
    }

    fn ended(begun: &mut Begun, second: u64) -> Vec<(Option<Box<str>>, u64)> {
        let mut into = Vec::new();
        begun.ended(Duration::from_secs(second), Some(EVENT), false, &mut into);
        into.into_iter().map(|one| (one.source, one.count)).collect()
    }

    #[test]
    fn a_day_of_steady_drops_is_a_line_and_one_an_hour() {
        let mut begun = Begun::default();
        let (mut lines, mut hours) = (0, Vec::new());
        for second in 0..86_400 {
            hours.extend(ended(&mut begun, second));
            lines += u32::from(admit(&mut begun, second, "a"));
        }
        assert_eq!((lines, hours.len()), (1, 23));
        assert_eq!(hours[0], (Some("a".into()), 3_599));
        assert_eq!(hours[1], (Some("a".into()), 3_600));
    }

    #[test]
    fn what_ended_begins_again() {
        let mut begun = Begun::default();
        assert!(admit(&mut begun, 0, "a"));
        assert!(!admit(&mut begun, 10, "a"));
        assert_eq!(ended(&mut begun, 3_600), [(Some("a".into()), 1)]);
        assert_eq!(ended(&mut begun, 7_200), []);
        assert!(admit(&mut begun, 7_201, "a"));
    }

    #[test]
    fn causes_beyond_the_table_and_the_minute_are_counted_together() {
        let mut begun = Begun::default();
        let mut lines = 0;
        for number in 0..1_000_u64 {
            lines += u64::from(admit(&mut begun, 0, &number.to_string()));
        }
        assert_eq!(lines, u64::from(LINES));
        assert_eq!(ended(&mut begun, 3_600), [(None, 1_000 - lines)]);
        // Later ones have lines again, as long as there is room.
        let begin = |begun: &mut Begun, minute: u64, number: u64| {
            admit(begun, 4_000 + minute * 60, &format!("{minute} {number}"))
        };
        let began: usize = (0..9)
            .map(|minute| (0..100).filter(|number| begin(&mut begun, minute, *number)).count())
            .sum();
        assert_eq!(began, TRACKED);
    }
}
