//! The times at which two policies have to be compared: one for each way in which the schedules of
//! both stand together. Hours of the week repeat, so that nothing is missed between two fixed moments
//! once a week of it was looked at.

use std::collections::HashSet;

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
}

/// The times from `from_ms` on; `None` if there are too many.
pub(super) fn times(before: &Policy, after: &Policy, from_ms: u64) -> Option<Vec<Time>> {
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
    let mut times = Vec::new();
    let mut known: HashSet<Vec<bool>> = HashSet::new();
    for begin in std::iter::once(from_ms).chain(fixed.iter().copied()) {
        let end = fixed.iter().copied().find(|moment| *moment > begin).unwrap_or(u64::MAX);
        let end = end.min(begin.saturating_add(REPEATS_MS));
        let mut now_ms = begin;
        // Ends: every turn moves on to a later moment, and a week has finitely many changes.
        while now_ms < end {
            let next = schedules.iter().filter_map(|one| one.next_change_ms(now_ms)).min();
            let stand: Vec<bool> = schedules.iter().map(|one| one.is_open(now_ms)).collect();
            if known.insert(stand) {
                if times.len() >= MAX_TIMES {
                    return None;
                }
                times.push(Time { from_ms: now_ms, until_ms: next });
            }
            let Some(next) = next else { break };
            now_ms = next;
        }
    }
    Some(times)
}
