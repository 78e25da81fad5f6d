//! Times and sizes as people write them on the command line.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Longest time: a month.
const LONGEST: Duration = Duration::from_secs(31 * 24 * 60 * 60);

/// The wall clock, in milliseconds since the epoch (UTC).
#[expect(clippy::disallowed_methods, reason = "a command is a driver")]
pub(super) fn wall_ms() -> u64 {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)
}

/// `20s`, `10m`, `1h`, `2d`.
///
/// # Errors
/// What was wanted.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let wanted = || "wanted: a number and s, m, h or d, such as `20s`, `10m`, `1h`".to_owned();
    let units = [('s', 1), ('m', 60), ('h', 60 * 60), ('d', 24 * 60 * 60)];
    let unit =
        units.into_iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)));
    let (digits, seconds) = unit.ok_or_else(wanted)?;
    let number: u64 = digits.parse().map_err(|_| wanted())?;
    let time = Duration::from_secs(number.saturating_mul(seconds));
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
    let units = [("KiB", 10_u32), ("MiB", 20), ("GiB", 30), ("TiB", 40)];
    let unit = units.into_iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift)));
    let (digits, shift) = unit.unwrap_or((text, 0));
    let number: u64 = digits.parse().map_err(|_| wanted())?;
    let bytes = number.checked_mul(1_u64.wrapping_shl(shift)).ok_or_else(wanted)?;
    if bytes == 0 { Err(wanted()) } else { Ok(bytes) }
}

/// As [`time`] takes it: `90s`, `10m`, `1h`.
pub(super) fn show_time(time: Duration) -> String {
    let seconds = time.as_secs();
    for (unit, length) in [('d', 24 * 60 * 60), ('h', 60 * 60), ('m', 60)] {
        if seconds > 0 && seconds.is_multiple_of(length) {
            return format!("{}{unit}", seconds.checked_div(length).unwrap_or(0));
        }
    }
    format!("{seconds}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_and_a_range_and_are_shown_as_they_are_written() {
        for (text, seconds) in
            [("20s", 20), ("90s", 90), ("2m", 120), ("3h", 10_800), ("1d", 86_400)]
        {
            let time = time(text).unwrap();
            assert_eq!(time, Duration::from_secs(seconds));
            assert_eq!(show_time(time), text);
        }
        for wrong in ["20", "s", "-1s", "0s", "1.5m", "32d", "99999999999999999999m", "1w", ""] {
            assert!(time(wrong).is_err(), "{wrong}");
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
