//! Points in time as TOML and people write them.

use text::{format_utc_ms, unix_s};
use toml::value::{Datetime, Offset};

/// Milliseconds since the epoch (UTC) of a date and time with an offset (`Z` or `+01:00`), or
/// of midnight (UTC) of a date alone. `None`: a time without a date, a date and time without an
/// offset (nobody can tell when that is), or a time before 1970.
pub fn unix_ms(datetime: &Datetime) -> Option<u64> {
    let date = datetime.date?;
    let date = (i32::from(date.year), date.month, date.day);
    let (seconds, ms, offset_min) = match (datetime.time, datetime.offset) {
        (None, _) => (unix_s(date, (0, 0, 0))?, 0, 0),
        (Some(_), None) => return None,
        (Some(time), Some(offset)) => {
            let seconds = unix_s(date, (time.hour, time.minute, time.second.unwrap_or(0)))?;
            let offset_min = match offset {
                Offset::Z => 0,
                Offset::Custom { minutes } => i64::from(minutes),
            };
            (seconds, i64::from(time.nanosecond.unwrap_or(0) / 1_000_000), offset_min)
        }
    };
    let seconds = seconds.checked_sub(offset_min.checked_mul(60)?)?;
    u64::try_from(seconds.checked_mul(1_000)?.checked_add(ms)?).ok()
}

/// Reads such a time from text.
pub fn parse_moment(text: &str) -> Option<u64> {
    unix_ms(&text.parse().ok()?)
}

/// [`unix_ms`], or what is missing.
///
/// # Errors
/// What is missing, with how to say it.
pub fn unix_ms_or_missing(datetime: &Datetime) -> Result<u64, String> {
    unix_ms(datetime).ok_or_else(|| match (datetime.date, datetime.time, datetime.offset) {
        (None, ..) => {
            format!("a time of day without a date, such as `2026-01-31T{datetime}Z`")
        }
        (Some(_), Some(_), None) => {
            format!(
                "a time without a zone: `{datetime}Z` is UTC, `{datetime}+01:00` an hour before it"
            )
        }
        _ => "a moment before 1970".to_owned(),
    })
}

/// A moment as people write it, to the second where nothing is below it.
pub fn show_moment(at_ms: u64) -> String {
    format_utc_ms(at_ms).replace(".000Z", "Z")
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
        for (text, missing) in [
            ("12:00:00", "without a date, such as `2026-01-31T12:00:00Z`"),
            ("2026-01-01T00:00:00", "without a zone: `2026-01-01T00:00:00Z` is UTC"),
            ("1969-12-31T23:59:59Z", "before 1970"),
            ("1969-12-31", "before 1970"),
        ] {
            let found = unix_ms_or_missing(&text.parse().unwrap()).unwrap_err();
            assert!(found.contains(missing), "{text}: {found}");
        }
        for undefined in ["12:00:00", "2026-01-01T00:00:00", "1969-12-31T23:59:59Z"] {
            assert_eq!(ms(undefined), None, "{undefined}");
        }
    }
}
