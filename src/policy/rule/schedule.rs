//! When a rule is in force: from and until a moment, and hours of the week. All in UTC: a window
//! that moves when a country changes its clocks is no window that an auditor can check. Time is
//! an argument, in milliseconds since the epoch.

use std::fmt;
use std::ops::Range;

use diagnostic::{Diagnostic, Diagnostics, Placed, Section, SourceFile, closest};
use text::weekday;
use toml::value::Datetime;

use super::moment::{show_moment, unix_ms};

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;
/// Minutes of a day.
const DAY_MIN: u64 = 24 * 60;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

const WEEKLY_KEYS: [&str; 3] = ["days", "from-utc", "to-utc"];

/// When a rule is in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// First moment, in milliseconds since the epoch.
    pub not_before_ms: Option<u64>,
    /// First moment at which it is over, in milliseconds since the epoch.
    pub not_after_ms: Option<u64>,
    pub weekly: Option<Weekly>,
}

/// Hours of the week, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weekly {
    /// Bit 0 is Monday: the days on which the window opens.
    days: u8,
    /// Minute of the day at which it opens.
    from_min: u64,
    /// Minute of the day at which it closes; of the next day where it isn't after `from_min`.
    to_min: u64,
}

impl Schedule {
    /// Whether the rule is in force at `now_ms`.
    pub fn is_open(&self, now_ms: u64) -> bool {
        self.not_before_ms.is_none_or(|begin| now_ms >= begin)
            && !self.is_over(now_ms)
            && self.weekly.is_none_or(|weekly| weekly.is_open(now_ms))
    }

    /// Whether it has ended for good.
    pub fn is_over(&self, now_ms: u64) -> bool {
        self.not_after_ms.is_some_and(|end| now_ms >= end)
    }

    /// The first moment after `now_ms` at which [`Schedule::is_open`] may give another answer.
    pub fn next_change_ms(&self, now_ms: u64) -> Option<u64> {
        if self.is_over(now_ms) {
            return None;
        }
        let weekly = self.weekly.and_then(|weekly| weekly.next_change_ms(now_ms));
        [self.not_before_ms, self.not_after_ms, weekly]
            .into_iter()
            .flatten()
            .filter(|change| *change > now_ms)
            .min()
    }
}

/// Edges of weekly windows that are looked at for one that opens or closes anything: two for each day
/// of the week, and some.
const MOST_EDGES: usize = 20;

impl Schedule {
    /// The first moment after `now_ms` at which [`Schedule::is_open`] gives another answer; `None` if it
    /// never does.
    pub fn next_turn_ms(&self, now_ms: u64) -> Option<u64> {
        let open = self.is_open(now_ms);
        let mut at_ms = now_ms;
        if let Some(begin) = self.not_before_ms.filter(|begin| !open && *begin > now_ms) {
            // Closed until then, whatever the week says.
            if self.is_open(begin) {
                return Some(begin);
            }
            at_ms = begin;
        }
        for _ in 0..MOST_EDGES {
            at_ms = self.next_change_ms(at_ms)?;
            if self.is_open(at_ms) != open {
                return Some(at_ms);
            }
        }
        // The week goes on like that: it opens always, or never.
        self.not_after_ms.filter(|_| open)
    }
}

impl Weekly {
    fn is_open(&self, now_ms: u64) -> bool {
        let today = now_ms / DAY_MS;
        // A window over midnight began on the day before.
        [today.checked_sub(1), Some(today)]
            .into_iter()
            .flatten()
            .filter_map(|day| self.window_of(day))
            .any(|window| window.contains(&now_ms))
    }

    fn next_change_ms(&self, now_ms: u64) -> Option<u64> {
        let today = now_ms / DAY_MS;
        // From yesterday's window, which may still be open, to the same day of the next week.
        (today.saturating_sub(1)..=today.saturating_add(7))
            .filter_map(|day| self.window_of(day))
            .flat_map(|window| [window.start, window.end])
            .filter(|change| *change > now_ms)
            .min()
    }

    /// The window that opens on a day, counted from 1970-01-01.
    fn window_of(&self, day: u64) -> Option<Range<u64>> {
        let midnight = day.checked_mul(DAY_MS)?;
        if self.days >> weekday(midnight) & 1 == 0 {
            return None;
        }
        let length = match self.to_min.checked_sub(self.from_min) {
            Some(length) if length > 0 => length,
            _ => self.to_min.saturating_add(DAY_MIN).saturating_sub(self.from_min),
        };
        let start = midnight.checked_add(self.from_min.saturating_mul(MINUTE_MS))?;
        Some(start..start.checked_add(length.saturating_mul(MINUTE_MS))?)
    }
}

/// Such as `from 2026-12-01T00:00:00Z until 2026-12-24T17:00:00Z (UTC)`.
impl fmt::Display for Schedule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        if let Some(begin) = self.not_before_ms {
            words.push(format!("from {}", show_moment(begin)));
        }
        if let Some(end) = self.not_after_ms {
            words.push(format!("until {}", show_moment(end)));
        }
        if let Some(weekly) = self.weekly {
            words.push(weekly.to_string());
        }
        formatter.write_str(&words.join(" "))
    }
}

/// Such as `on mon, tue from 06:00 to 14:00 UTC`.
impl fmt::Display for Weekly {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days: Vec<&str> = (0_u32..)
            .zip(DAYS)
            .filter(|(bit, _)| self.days.checked_shr(*bit).unwrap_or(0) & 1 == 1)
            .map(|(_, day)| day)
            .collect();
        let days = if days.len() == DAYS.len() { "every day".into() } else { days.join(", ") };
        let time = |minute: u64| format!("{:02}:{:02}", minute / 60, minute % 60);
        let (from, to) = (time(self.from_min), time(self.to_min));
        write!(formatter, "on {days} from {from} to {to} UTC")
    }
}

/// Reads the schedule of a rule; `None` where it has none.
pub(crate) fn read(
    file: &SourceFile,
    rule: &mut Section<'_, '_>,
    problems: &mut Diagnostics,
) -> Option<Schedule> {
    let begin = rule.moment("not-before", problems);
    let end = rule.moment("not-after", problems);
    let weekly = rule.table("weekly", "`weekly`", problems);
    let given = begin.is_some() || end.is_some() || weekly.is_some();
    let not_before_ms = begin.as_ref().and_then(|begin| read_moment(file, begin, problems));
    let not_after_ms = end.as_ref().and_then(|end| read_moment(file, end, problems));
    if let (Some(first), Some(last), Some(begin), Some(end)) =
        (not_before_ms, not_after_ms, &begin, &end)
        && last <= first
    {
        problems.push(
            Diagnostic::error(
                "P030",
                file,
                end.span.clone(),
                "`not-after` isn't after `not-before`",
            )
            .label("the rule would never be in force")
            .also(begin.span.clone(), "begins here"),
        );
    }
    let weekly = weekly.and_then(|section| read_weekly(file, section, problems));
    given.then_some(Schedule { not_before_ms, not_after_ms, weekly })
}

fn read_moment(
    file: &SourceFile,
    written: &Placed<String>,
    problems: &mut Diagnostics,
) -> Option<u64> {
    let error = |title: String| Diagnostic::error("P030", file, written.span.clone(), title);
    let example = "such as `2026-12-24T17:00:00Z` or `2026-12-24T18:00:00+01:00`";
    let Ok(moment) = written.value.parse::<Datetime>() else {
        let title = format!("not a date with time and zone: `{}`", written.value);
        problems.push(error(title).help(format!("RFC 3339, {example}")));
        return None;
    };
    if moment.date.is_none() || moment.time.is_none() {
        let title = format!("a moment needs date and time: `{}`", written.value);
        problems.push(error(title).help(example));
        return None;
    }
    if moment.offset.is_none() {
        problems.push(
            error(format!("a time without a zone: `{}`", written.value))
                .label("local time: whose?")
                .help(format!("say the zone, as in `{}Z` (UTC); {example}", written.value)),
        );
        return None;
    }
    let at_ms = unix_ms(&moment);
    if at_ms.is_none() {
        problems.push(error(format!("a moment before 1970: `{}`", written.value)));
    }
    at_ms
}

fn read_weekly(
    file: &SourceFile,
    mut section: Section<'_, '_>,
    problems: &mut Diagnostics,
) -> Option<Weekly> {
    let days = section.strings("days", problems);
    let from = section.string("from-utc", problems);
    let to = section.string("to-utc", problems);
    for (key, missing) in [("from-utc", from.is_none()), ("to-utc", to.is_none())] {
        if missing && section.key_span(key).is_none() {
            section.missing(key, "hours of the day in UTC, such as `\"06:00\"`", problems);
        }
    }
    let bits = days.map_or(Some(0x7f), |days| read_days(file, &days, problems));
    let from_min = from.as_ref().and_then(|from| read_time(file, from, problems));
    let to_min = to.as_ref().and_then(|to| read_time(file, to, problems));
    if let (Some(first), Some(last), Some(to)) = (from_min, to_min, &to)
        && first == last
    {
        problems.push(
            Diagnostic::error("P030", file, to.span.clone(), "`to-utc` is the same as `from-utc`")
                .label("never, or always?")
                .help("a whole day is `from-utc = \"00:00\"`, `to-utc = \"24:00\"`"),
        );
    }
    section.finish(
        |key| closest(key, WEEKLY_KEYS).map(|known| format!("did you mean `{known}`?")),
        problems,
    );
    Some(Weekly { days: bits?, from_min: from_min?, to_min: to_min? })
}

fn read_days(file: &SourceFile, days: &[Placed<String>], problems: &mut Diagnostics) -> Option<u8> {
    let mut bits = Some(0_u8);
    for day in days {
        match (0_u32..).zip(DAYS).find(|(_, name)| *name == day.value) {
            Some((bit, _)) => {
                bits = bits.map(|bits| bits | 1_u8.checked_shl(bit).unwrap_or(0));
            }
            None => {
                let title = format!("unknown day: `{}`", day.value);
                problems.push(
                    Diagnostic::error("P030", file, day.span.clone(), title).help(format!(
                        "the days are {}",
                        DAYS.map(|d| format!("`{d}`")).join(", ")
                    )),
                );
                bits = None;
            }
        }
    }
    bits
}

/// `HH:MM`, `00:00` to `24:00`.
fn read_time(
    file: &SourceFile,
    written: &Placed<String>,
    problems: &mut Diagnostics,
) -> Option<u64> {
    let parse = || {
        let (hours, minutes) = written.value.split_once(':')?;
        let digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(hours) || !digits(minutes) {
            return None;
        }
        let (hours, minutes) = (hours.parse::<u64>().ok()?, minutes.parse::<u64>().ok()?);
        let minute = hours.saturating_mul(60).saturating_add(minutes);
        (minutes < 60 && minute <= DAY_MIN).then_some(minute)
    };
    let minute = parse();
    if minute.is_none() {
        let title = format!("not a time of the day: `{}`", written.value);
        problems.push(
            Diagnostic::error("P030", file, written.span.clone(), title)
                .label("`00:00` to `24:00`, in UTC"),
        );
    }
    minute
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::arithmetic_side_effects,
        reason = "plain arithmetic; what overflows fails the test"
    )]

    use proptest::{option, prelude::*};

    use super::*;

    const HOUR_MS: u64 = 60 * MINUTE_MS;

    #[test]
    fn moments_are_those_of_other_calendars() {
        // From `date -u -d … +%s`.
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2026-12-24T18:00:00+01:00", 1_798_131_600),
            ("2026-12-24T12:00:00-05:00", 1_798_131_600),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
        ] {
            let file = SourceFile::new("a.toml", "");
            let mut problems = Diagnostics::new();
            let written = Placed { value: text.to_owned(), span: 0..0 };
            let read = read_moment(&file, &written, &mut problems);
            assert_eq!(read, Some(seconds * 1_000), "{text} {problems}");
            let again = Placed { value: show_moment(seconds * 1_000), span: 0..0 };
            assert_eq!(read_moment(&file, &again, &mut problems), read);
        }
    }

    #[test]
    fn a_window_is_open_from_its_first_moment_to_before_its_last() {
        let schedule = Schedule {
            not_before_ms: Some(1_000),
            not_after_ms: Some(5_000),
            ..Schedule::default()
        };
        for (now_ms, open, next) in [
            (0, false, Some(1_000)),
            (999, false, Some(1_000)),
            (1_000, true, Some(5_000)),
            (4_999, true, Some(5_000)),
            (5_000, false, None),
            (u64::MAX, false, None),
        ] {
            assert_eq!(schedule.is_open(now_ms), open, "{now_ms}");
            assert_eq!(schedule.next_change_ms(now_ms), next, "{now_ms}");
        }
    }

    #[test]
    fn weekly_windows_open_and_close_every_week_also_over_midnight() {
        // 1970-01-01 was a Thursday: Monday is day 4.
        let monday = 4 * DAY_MS;
        let day_shift = Weekly { days: 0b1, from_min: 6 * 60, to_min: 14 * 60 };
        let night_shift = Weekly { days: 0b1, from_min: 22 * 60, to_min: 6 * 60 };
        let at = |days: u64, hours: u64| monday + days * DAY_MS + hours * HOUR_MS;
        for week in [0, 7, 70] {
            assert!(!day_shift.is_open(at(week, 6) - 1));
            assert!(day_shift.is_open(at(week, 6)));
            assert!(!day_shift.is_open(at(week, 14)));
            assert!(!day_shift.is_open(at(week + 1, 7)));
            assert_eq!(day_shift.next_change_ms(at(week, 6)), Some(at(week, 14)));
            assert_eq!(day_shift.next_change_ms(at(week, 14)), Some(at(week + 7, 6)));
            assert!(night_shift.is_open(at(week + 1, 5)));
            assert!(!night_shift.is_open(at(week + 1, 6)));
            assert_eq!(night_shift.next_change_ms(at(week + 1, 5)), Some(at(week + 1, 6)));
        }
        assert_eq!(day_shift.to_string(), "on mon from 06:00 to 14:00 UTC");
        let _ = (day_shift.is_open(u64::MAX), day_shift.next_change_ms(u64::MAX));
    }

    #[test]
    fn the_next_turn_is_the_next_time_at_which_it_opens_or_closes() {
        let monday = 4 * DAY_MS;
        let at = |days: u64, hours: u64| monday + days * DAY_MS + hours * HOUR_MS;
        let saturday = Some(Weekly { days: 0b10_0000, from_min: 6 * 60, to_min: 14 * 60 });
        let always = Some(Weekly { days: 0x7f, from_min: 0, to_min: DAY_MIN });
        let schedule =
            |weekly, begin, end| Schedule { not_before_ms: begin, not_after_ms: end, weekly };
        for (schedule, now_ms, wanted) in [
            (schedule(saturday, None, None), at(0, 0), Some(at(5, 6))),
            // It ends before it would open once more.
            (schedule(saturday, None, Some(at(2, 0))), at(0, 0), None),
            (schedule(saturday, None, Some(at(5, 8))), at(5, 7), Some(at(5, 8))),
            (schedule(saturday, Some(at(0, 12)), None), at(0, 0), Some(at(5, 6))),
            (schedule(saturday, Some(at(5, 8)), None), at(0, 0), Some(at(5, 8))),
            (schedule(saturday, Some(at(70, 0)), None), at(0, 0), Some(at(75, 6))),
            (schedule(saturday, Some(at(70, 0)), Some(at(72, 0))), at(0, 0), None),
            // Every edge of it is where another window begins.
            (schedule(always, None, None), at(0, 3), None),
            (schedule(always, None, Some(at(100, 0))), at(0, 3), Some(at(100, 0))),
            (schedule(None, Some(at(1, 0)), None), at(0, 0), Some(at(1, 0))),
            (schedule(None, None, None), at(0, 0), None),
        ] {
            assert_eq!(schedule.next_turn_ms(now_ms), wanted, "{schedule:?}");
            if let Some(turn) = wanted {
                assert_ne!(schedule.is_open(turn), schedule.is_open(turn - 1), "{schedule:?}");
            }
        }
    }

    proptest! {
        /// Minute by minute, against what is open.
        #[test]
        fn a_turn_is_told_if_and_when_it_comes(
            days in 0_u8..0x80,
            (from_min, length) in (0..24_u64, 1..=24_u64),
            begin in option::of(0..20 * 24_u64),
            end in option::of(0..20 * 24_u64),
            now in 0..10 * 24_u64,
        ) {
            let from_min = from_min * 60;
            let to_min = (from_min + length * 60 - 1) % DAY_MIN + 1;
            let schedule = Schedule {
                not_before_ms: begin.map(|hour| hour * HOUR_MS),
                not_after_ms: end.map(|hour| hour * HOUR_MS),
                weekly: (days != 0).then_some(Weekly { days, from_min, to_min }),
            };
            let open = schedule.is_open(now * HOUR_MS);
            // All edges are whole hours, and beyond the last fixed one the week repeats.
            let mut hours = now + 1..40 * 24;
            let found = hours.find(|hour| schedule.is_open(hour * HOUR_MS) != open);
            let told = schedule.next_turn_ms(now * HOUR_MS);
            prop_assert_eq!(told, found.map(|hour| hour * HOUR_MS), "{:?}", schedule);
        }
    }

    #[test]
    fn whoever_waits_for_the_next_change_misses_none() {
        let schedule = Schedule {
            not_before_ms: Some(3 * DAY_MS + 7),
            not_after_ms: Some(20 * DAY_MS),
            weekly: Some(Weekly { days: 0b101_0011, from_min: 23 * 60, to_min: 60 }),
        };
        let mut now_ms = 0;
        while let Some(next) = schedule.next_change_ms(now_ms) {
            let open = schedule.is_open(now_ms);
            for between in (now_ms..next).step_by(10 * MINUTE_MS as usize) {
                assert_eq!(schedule.is_open(between), open, "{between}");
            }
            assert_eq!(schedule.is_open(next - 1), open);
            now_ms = next;
        }
        assert!(schedule.is_over(now_ms));
    }
}
