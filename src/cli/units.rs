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
/// `2026-11-22T13:27:23.5Z` in UTC, `2026-11-22T14:27+01:00` in another zone, or `10m` ago.
///
/// # Errors
/// What was wanted.
pub(super) fn moment(text: &str) -> Result<u64, String> {
    moment_at(text, clock::wall_ms())
}

fn moment_at(text: &str, now_ms: u64) -> Result<u64, String> {
    let wanted = "wanted: a time in UTC such as `2026-11-22T13:27` or `2026-11-22T13:27:23Z`, one of another \
                  zone such as `2026-11-22T14:27+01:00`, a date alone (its midnight in UTC), or how long ago: \
                  `90s`, `10m`, `2h`, `1d`";
    if let Some(ago) = parse_time(text, "smhd") {
        let ago_ms = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
        return Ok(now_ms.saturating_sub(ago_ms));
    }
    in_another_zone(text).or_else(|| parse_utc_ms(text)).ok_or_else(|| wanted.to_owned())
}

/// A time with an offset, such as `2026-11-22T14:27:23+01:00`; seconds may be left out.
fn in_another_zone(text: &str) -> Option<u64> {
    let (time, offset) = text.split_at_checked(text.len().checked_sub("+01:00".len())?)?;
    let sign: i64 = match offset.split_at_checked(1)?.0 {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let digits = |part: &str| -> Option<i64> {
        let is_pair = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse().ok().filter(|_| is_pair)
    };
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    if hours > 23 || minutes > 59 || !time.contains(':') || time.ends_with(['Z', 'z']) {
        return None;
    }
    let ahead_ms =
        sign.checked_mul(hours.checked_mul(60)?.checked_add(minutes)?)?.checked_mul(60_000)?;
    let local_ms = i64::try_from(parse_utc_ms(time)?).ok()?;
    u64::try_from(local_ms.checked_sub(ahead_ms)?).ok()
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
        for same in [
            "2026-11-22T13:27:23Z",
            "2026-11-22T13:27:23",
            "2026-11-22 13:27:23",
            "2026-11-22T14:27:23+01:00",
            "2026-11-22 08:27:23-05:00",
            "2026-11-22T18:57:23.0+05:30",
        ] {
            assert_eq!(moment_at(same, 0), Ok(now_ms), "{same}");
        }
        assert_eq!(moment_at("2026-11-22T14:27+01:00", 0), Ok(now_ms - 23_000));
        assert_eq!(moment_at("2026-11-22", 0), moment_at("2026-11-22T00:00Z", 0));
        for wrong in [
            "",
            "noon",
            "10",
            "-1h",
            "2026-13-01",
            "13:27",
            "2026-11-22+01:00",
            "2026-11-22T14:27Z+01:00",
            "2026-11-22T14:27+1:00",
            "2026-11-22T14:27+24:00",
            "+01:00",
            "ö+01:00",
            "1970-01-01T00:00+01:00",
        ] {
            let said = moment_at(wrong, now_ms).unwrap_err();
            assert!(said.contains("a date alone (its midnight in UTC)"), "{wrong}: {said}");
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
