//! Points in time as TOML writes them.

use text::days_since_1970;
use toml::value::{Datetime, Offset};

/// Milliseconds since the epoch (UTC) of a date and time with an offset (`Z` or `+01:00`), or
/// of midnight (UTC) of a date alone. `None`: a time without a date, a date and time without an
/// offset (nobody can tell when that is), or a time before 1970.
pub(super) fn unix_ms(datetime: &Datetime) -> Option<u64> {
    let date = datetime.date?;
    let days = days_since_1970(i64::from(date.year), i64::from(date.month), i64::from(date.day));
    let day_ms = days.checked_mul(86_400_000)?;
    let (time_ms, offset_ms) = match (datetime.time, datetime.offset) {
        (None, _) => (0, 0),
        (Some(_), None) => return None,
        (Some(time), Some(offset)) => {
            let minutes = i64::from(time.hour).checked_mul(60)?;
            let minutes = minutes.checked_add(i64::from(time.minute))?;
            let seconds = minutes.checked_mul(60)?.checked_add(i64::from(time.second.unwrap_or(0)));
            let ms = i64::from(time.nanosecond.unwrap_or(0) / 1_000_000);
            let offset_minutes = match offset {
                Offset::Z => 0,
                Offset::Custom { minutes } => i64::from(minutes),
            };
            (seconds?.checked_mul(1000)?.checked_add(ms)?, offset_minutes.checked_mul(60_000)?)
        }
    };
    u64::try_from(day_ms.checked_add(time_ms)?.checked_sub(offset_ms)?).ok()
}

/// Reads such a time from text.
pub fn parse_moment(text: &str) -> Option<u64> {
    unix_ms(&text.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> Option<u64> {
        unix_ms(&text.parse().unwrap())
    }

    #[test]
    fn known_moments() {
        assert_eq!(ms("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(ms("2000-02-29T12:00:00Z"), Some(951_825_600_000));
        assert_eq!(ms("2026-11-22T13:27:23.123Z"), Some(1_795_354_043_123));
        assert_eq!(ms("2026-01-01T01:00:00+01:00"), ms("2026-01-01"));
        assert_eq!(ms("2100-03-01"), Some(4_107_542_400_000));
        for undefined in ["12:00:00", "2026-01-01T00:00:00", "1969-12-31T23:59:59Z"] {
            assert_eq!(ms(undefined), None, "{undefined}");
        }
    }
}
