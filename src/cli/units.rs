//! Times and sizes as arguments of the command line.

use std::time::Duration;

use text::{parse_size, parse_time, parse_utc_ms};

/// Longest time: a month.
const LONGEST: Duration = Duration::from_secs(31 * 24 * 60 * 60);

/// `20s`, `10m`, `1h`, `2d`.
///
/// # Errors
/// What was wanted.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let Some(time) = parse_time(text, "smhd") else {
        return Err("wanted: a number and s, m, h or d, such as `20s`, `10m`, `1h`".to_owned());
    };
    if time.is_zero() || time > LONGEST {
        return Err("wanted: from 1s to 31d".to_owned());
    }
    Ok(time)
}

/// `1048576`, `512KiB`, `64MiB`, `1GiB`.
///
/// # Errors
/// What was wanted.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let wanted = || "wanted: a number of bytes, or such as `64MiB`, `1GiB`".to_owned();
    parse_size(text).filter(|bytes| *bytes > 0).ok_or_else(wanted)
}

/// A moment, in milliseconds since the epoch: `2026-11-22`, `2026-11-22T13:27`,
/// `2026-11-22T13:27:23.5Z` in UTC, or `10m` ago.
///
/// # Errors
/// What was wanted.
pub(super) fn moment(text: &str) -> Result<u64, String> {
    moment_at(text, clock::wall_ms())
}

fn moment_at(text: &str, now_ms: u64) -> Result<u64, String> {
    let wanted = "wanted: a time in UTC such as `2026-11-22T13:27` or `2026-11-22T13:27:23Z`, or how long \
                  ago: `90s`, `10m`, `2h`, `1d`";
    if let Some(ago) = parse_time(text, "smhd") {
        let ago_ms = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
        return Ok(now_ms.saturating_sub(ago_ms));
    }
    parse_utc_ms(text).ok_or_else(|| wanted.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_and_a_range() {
        for (text, seconds) in
            [("20s", 20), ("90s", 90), ("2m", 120), ("3h", 10_800), ("1d", 86_400)]
        {
            assert_eq!(time(text), Ok(Duration::from_secs(seconds)));
        }
        for wrong in ["20", "s", "-1s", "0s", "1.5m", "32d", "99999999999999999999m", "1w", ""] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn moments_are_times_or_lie_so_long_ago() {
        let now_ms = 1_795_354_043_000;
        assert_eq!(moment_at("10m", now_ms), Ok(now_ms - 600_000));
        assert_eq!(moment_at("99999d", now_ms), Ok(0));
        assert_eq!(moment_at("2026-11-22T13:27:23Z", 0), Ok(now_ms));
        for wrong in ["", "noon", "10", "-1h", "2026-13-01", "13:27"] {
            assert!(moment_at(wrong, now_ms).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_bytes_or_have_a_binary_unit() {
        assert_eq!(size("17"), Ok(17));
        assert_eq!(size("64MiB"), Ok(64 << 20));
        for wrong in ["", "0", "1GB", "-1", "1.5MiB", "99999999TiB", "MiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
