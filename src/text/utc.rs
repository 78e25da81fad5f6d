//! UTC times as people and logs read them: `2026-11-22T13:27:23.123Z` (RFC 3339).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY_S: u64 = 86_400;

/// `time` in UTC with milliseconds. Times before 1970 are shown as 1970.
pub fn format_utc(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs();
    let (year, month, day) = date_of(seconds / DAY_S);
    let of_day = seconds % DAY_S;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        of_day / 3_600,
        of_day / 60 % 60,
        of_day % 60,
        since.subsec_millis()
    )
}

/// The time `at_ms` milliseconds after the epoch, in UTC.
pub fn format_utc_ms(at_ms: u64) -> String {
    format_utc(UNIX_EPOCH.checked_add(Duration::from_millis(at_ms)).unwrap_or(UNIX_EPOCH))
}

/// The date of `time` in UTC: `2026-11-22`.
pub fn format_date(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (year, month, day) = date_of(since.as_secs() / DAY_S);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Year, month and day of a number of days since 1970-01-01, in the Gregorian calendar. Counted
/// in eras of 400 years (146,097 days) that start on a first of March, so that the leap day is
/// the last day of a year.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "u64 seconds are at most 2^48 days, so no sum comes near 2^64, and every \
              subtraction takes off less than what it takes from"
)]
fn date_of(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, by counting from 1 March of the
/// year 0, so that a leap day is the last of its year.
pub fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    // Years have four digits at most, so nothing here can overflow.
    let shifted_year = if month <= 2 { year.wrapping_sub(1) } else { year };
    let months_since_march = month.wrapping_add(9).wrapping_rem(12);
    let leap_days = shifted_year
        .div_euclid(4)
        .wrapping_sub(shifted_year.div_euclid(100))
        .wrapping_add(shifted_year.div_euclid(400));
    let month_days = months_since_march.wrapping_mul(153).wrapping_add(2).div_euclid(5);
    shifted_year
        .wrapping_mul(365)
        .wrapping_add(leap_days)
        .wrapping_add(month_days)
        .wrapping_add(day)
        .wrapping_sub(719_469)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
