//! The times at which two policies have to be compared: one for each way in which the schedules of
//! both stand together. Hours of the week repeat, so that nothing is missed between two fixed moments
//! once a week of it was looked at.

use std::collections::{HashMap, HashSet};

use policy::{Mode, Policy, Schedule};

/// Ways in which schedules stand that are looked at.
const MAX_TIMES: usize = 64;
/// A week, and a day more for windows over midnight.
const REPEATS_MS: u64 = 8 * 24 * 60 * 60 * 1_000;

/// A time that was looked at; schedules stand as they do then until it ends, and maybe at others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    /// Milliseconds since the epoch (UTC).
    pub from_ms: u64,
    /// `None`: for ever.
    pub until_ms: Option<u64>,
    /// Schedules stand so again later.
    pub again: bool,
}

/// The times from `from_ms` on; `None` if there are too many.
pub(crate) fn times(before: &Policy, after: &Policy, from_ms: u64) -> Option<Vec<Time>> {
    let mut schedules: Vec<Schedule> = Vec::new();
    let mut seen = HashSet::new();
    for rule in before.rules().iter().chain(after.rules()) {
        if rule.mode() == Mode::Enforce
            && let Some(schedule) = rule.schedule()
            && seen.insert(format!("{schedule:?}"))
        {
            schedules.push(*schedule);
        }
    }
    let fixed = |schedule: &Schedule| [schedule.not_before_ms, schedule.not_after_ms];
    let mut fixed: Vec<u64> = schedules.iter().flat_map(fixed).flatten().collect();
    fixed.retain(|moment| *moment > from_ms);
    fixed.sort_unstable();
    fixed.dedup();
    let mut times: Vec<Time> = Vec::new();
    // With the place among the times.
    let mut known: HashMap<Vec<bool>, usize> = HashMap::new();
    for begin in std::iter::once(from_ms).chain(fixed.iter().copied()) {
        let end = fixed.iter().copied().find(|moment| *moment > begin).unwrap_or(u64::MAX);
        let end = end.min(begin.saturating_add(REPEATS_MS));
        let repeats = end == begin.saturating_add(REPEATS_MS);
        let (mut visited, mut previous) = (HashSet::new(), None);
        let mut now_ms = begin;
        // Ends: every turn moves on to a later moment, and a week has finitely many changes.
        while now_ms < end {
            let next = schedules.iter().filter_map(|one| one.next_change_ms(now_ms)).min();
            let stand: Vec<bool> = schedules.iter().map(|one| one.is_open(now_ms)).collect();
            let place = match known.get(&stand) {
                Some(place) => *place,
                None if times.len() >= MAX_TIMES => return None,
                None => {
                    known.insert(stand, times.len());
                    times.push(Time { from_ms: now_ms, until_ms: next, again: false });
                    times.len().saturating_sub(1)
                }
            };
            // What goes on over a moment is no other time.
            let is_new = times.get(place).is_some_and(|time| time.from_ms == now_ms);
            if let Some(time) = times.get_mut(place).filter(|_| !is_new && previous != Some(place))
            {
                time.again = true;
            }
            visited.insert(place);
            previous = Some(place);
            let Some(next) = next else { break };
            now_ms = next;
        }
        // More than one within a week, and nothing fixed behind it: they take turns.
        if repeats && visited.len() > 1 {
            for place in visited {
                if let Some(time) = times.get_mut(place) {
                    time.again = true;
                }
            }
        }
    }
    Some(times)
}

#[cfg(test)]
mod tests {
    use diagnostic::SourceFile;

    use super::*;

    /// Which of the times come again.
    fn again(keys: &str) -> Vec<bool> {
        let text = format!("[[rule]]\nname = \"r\"\naction = \"forward\"\ngroup = \"G\"\n{keys}\n");
        let policy = Policy::parse(&[SourceFile::new("a.toml", text)]).unwrap().0;
        // 2026-11-28, a Saturday.
        let found = times(&policy, &policy, 1_795_824_000_000).unwrap();
        found.iter().map(|time| time.again).collect()
    }

    #[test]
    fn times_that_come_again_are_known() {
        let weekly = "weekly = { days = [\"mon\"], from-utc = \"06:00\", to-utc = \"14:00\" }";
        assert_eq!(again(""), [false]);
        assert_eq!(again(weekly), [true, true]);
        let absolute = "not-before = 2026-12-01T00:00:00Z\nnot-after = 2026-12-02T00:00:00Z";
        // Closed before and after; open once.
        assert_eq!(again(absolute), [true, false]);
        assert_eq!(again("not-after = 2026-12-02T00:00:00Z"), [false, false]);
        let one_monday = format!("{weekly}\nnot-after = 2026-12-02T00:00:00Z");
        assert_eq!(again(&one_monday), [true, false]);
    }
}
