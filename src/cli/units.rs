//! Times and sizes as arguments of the command line.

use std::time::Duration;

use text::{parse_size, parse_time};

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
    fn sizes_are_bytes_or_have_a_binary_unit() {
        assert_eq!(size("17"), Ok(17));
        assert_eq!(size("64MiB"), Ok(64 << 20));
        for wrong in ["", "0", "1GB", "-1", "1.5MiB", "99999999TiB", "MiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
