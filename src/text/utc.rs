//! UTC times as people and logs read them: `2026-11-22T13:27:23.123Z` (RFC 3339). The calendar is
//! that of the crate `time`; nobody else counts years and months.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::{Date, Month, OffsetDateTime};

/// The last second that RFC 3339 can write, 9999-12-31T23:59:59Z; later ones are shown as it.
const LAST_S: u64 = 253_402_300_799;

/// `time` in UTC with milliseconds. Times before 1970 are shown as 1970.
pub fn format_utc(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let at = utc(since.as_secs());
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    let (hour, minute, second) = at.to_hms();
    let ms = since.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// The time `at_ms` milliseconds after the epoch, in UTC.
pub fn format_utc_ms(at_ms: u64) -> String {
    format_utc(UNIX_EPOCH.checked_add(Duration::from_millis(at_ms)).unwrap_or(UNIX_EPOCH))
}

/// The date of `time` in UTC: `2026-11-22`.
pub fn format_date(time: SystemTime) -> String {
    let at = utc(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs());
    format!("{:04}-{:02}-{:02}", at.year(), u8::from(at.month()), at.day())
}

/// The day of the week in UTC, `at_ms` milliseconds after the epoch: 0 is Monday, 6 Sunday.
pub fn weekday(at_ms: u64) -> u8 {
    utc(at_ms / 1_000).weekday().number_days_from_monday()
}

/// Seconds from the epoch to a date (year, month, day) and a time of the day (hour, minute,
/// second) in UTC; negative before 1970. `None`: there is no such date or time. A leap second is
/// the first second of the next minute.
pub fn unix_s(
    (year, month, day): (i32, u8, u8),
    (hour, minute, second): (u8, u8, u8),
) -> Option<i64> {
    let date = Date::from_calendar_date(year, Month::try_from(month).ok()?, day).ok()?;
    let at = date.with_hms(hour, minute, second.min(59)).ok()?.assume_utc().unix_timestamp();
    match second.saturating_sub(59) {
        leap @ (0 | 1) => at.checked_add(i64::from(leap)),
        _ => None,
    }
}

/// Reads `2026-11-22`, `2026-11-22T13:27`, `2026-11-22 13:27:23`, `2026-11-22T13:27:23.123Z`: a time in
/// UTC, in milliseconds since the epoch. `None`: it is none, or before 1970.
pub fn parse_utc_ms(text: &str) -> Option<u64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, clock) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let date = numbers(date, '-')?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut clock = numbers(clock, ':')?;
    if clock.len() == 2 {
        clock.push(0);
    }
    let ([year, month, day], [hour, minute, second]) = (date.as_slice(), clock.as_slice()) else {
        return None;
    };
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let ms: u64 = format!("{fraction:0<3}").parse().ok()?;
    let small = |number: &u32| u8::try_from(*number).ok();
    let date = (i32::try_from(*year).ok()?, small(month)?, small(day)?);
    let seconds = unix_s(date, (small(hour)?, small(minute)?, small(second)?))?;
    u64::try_from(seconds).ok()?.checked_mul(1_000)?.checked_add(ms)
}

/// Numbers of digits alone.
fn numbers(text: &str, between: char) -> Option<Vec<u32>> {
    let number = |part: &str| {
        let digits =
            (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse().ok().filter(|_| digits)
    };
    text.split(between).map(number).collect()
}

fn utc(unix_s: u64) -> OffsetDateTime {
    let at = i64::try_from(unix_s.min(LAST_S)).ok();
    at.and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_far_as_they_go_and_nothing_else_is() {
        let at = 1_795_354_043_000;
        for text in ["2026-11-22T13:27:23Z", "2026-11-22 13:27:23", "2026-11-22T13:27:23.0"] {
            assert_eq!(parse_utc_ms(text), Some(at), "{text}");
        }
        assert_eq!(parse_utc_ms("2026-11-22T13:27:23.5Z"), Some(at + 500));
        assert_eq!(parse_utc_ms("2026-11-22T13:27"), Some(at - 23_000));
        assert_eq!(parse_utc_ms("1970-01-01"), Some(0));
        assert_eq!(parse_utc_ms(&format_utc_ms(at + 7)), Some(at + 7));
        let wrong = [
            "",
            "2026",
            "2026-11",
            "2026-02-30",
            "1969-12-31",
            "2026-11-22T",
            "2026-11-22T25:00",
            "2026-11-22T13:27:23.1234",
            "2026-11-22T13:27+01:00",
            "+2026-11-22",
            "20260-1-1",
        ];
        for text in wrong {
            assert_eq!(parse_utc_ms(text), None, "{text}");
        }
    }

    #[test]
    fn known_times_are_formatted_as_everybody_else_formats_them() {
        // From `date -u -d @N +%FT%T`.
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_795_354_043, "2026-11-22T13:27:23.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799, "9999-12-31T23:59:59.000Z"),
        ] {
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(format_utc(time), text);
            assert_eq!(format_date(time), text[..10]);
        }
        let time = UNIX_EPOCH + Duration::from_millis(1_234);
        assert_eq!(format_utc(time), "1970-01-01T00:00:01.234Z");
    }
    #[test]
    fn times_beyond_the_calendar_are_its_last() {
        for seconds in [LAST_S + 1, u64::MAX / 1_000] {
            assert!(format_utc_ms(seconds * 1_000).starts_with("9999-12-31T23:59:59."));
        }
    }

    #[test]
    fn seconds_of_a_date_are_those_of_other_calendars_and_only_of_dates_that_exist() {
        // From `date -u -d … +%s`.
        for (date, time, seconds) in [
            ((1970, 1, 1), (0, 0, 0), Some(0)),
            ((1969, 12, 31), (23, 59, 59), Some(-1)),
            ((2000, 2, 29), (12, 0, 0), Some(951_825_600)),
            ((2016, 12, 31), (23, 59, 60), Some(1_483_228_800)),
            ((2100, 3, 1), (0, 0, 0), Some(4_107_542_400)),
            ((2100, 2, 29), (0, 0, 0), None),
            ((2026, 13, 1), (0, 0, 0), None),
            ((2026, 1, 1), (24, 0, 0), None),
            ((2026, 1, 1), (0, 0, 61), None),
        ] {
            assert_eq!(unix_s(date, time), seconds, "{date:?} {time:?}");
        }
    }

    #[test]
    fn weeks_begin_on_monday() {
        // 1970-01-01 was a Thursday, 2026-11-22 a Sunday.
        assert_eq!((weekday(0), weekday(1_795_354_043_000)), (3, 6));
    }
}
