//! Times and sizes as people write and read them.

use std::time::Duration;

const UNITS_OF_TIME: [(char, u64); 4] = [('s', 1), ('m', 60), ('h', 60 * 60), ('d', 24 * 60 * 60)];
const UNITS_OF_SIZE: [(&str, u32); 4] = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];

/// Reads `20s`, `10m`, `1h`, `2d`, as far as `units` (such as `smhd`) has the unit. What is longer
/// than any clock runs is the longest time.
pub fn parse_time(text: &str, units: &str) -> Option<Duration> {
    let known = UNITS_OF_TIME.into_iter().filter(|(unit, _)| units.contains(*unit));
    let (digits, seconds) =
        known.into_iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))?;
    let number: u64 = digits.parse().ok()?;
    Some(Duration::from_secs(number.saturating_mul(seconds)))
}

/// As [`parse_time`] takes it: `90s`, `10m`, `1h`.
pub fn show_time(time: Duration) -> String {
    let seconds = time.as_secs();
    for (unit, length) in UNITS_OF_TIME.into_iter().rev() {
        if seconds > 0 && seconds.is_multiple_of(length) {
            return format!("{}{unit}", seconds.checked_div(length).unwrap_or(0));
        }
    }
    format!("{seconds}s")
}

/// A time in words, to the two largest units: `1.2 s`, `12 s`, `3 min 7 s`, `5 h 2 min`, `9 d 3 h`.
pub fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) if seconds < 10 => format!("{seconds}.{} s", time.subsec_millis() / 100),
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// Reads `1048576`, `512KiB`, `64MiB`, `1GiB`.
pub fn parse_size(text: &str) -> Option<u64> {
    let mut units = UNITS_OF_SIZE.into_iter();
    let unit = units.find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift)));
    let (digits, shift) = unit.unwrap_or((text, 0));
    let number: u64 = digits.parse().ok()?;
    number.checked_mul(1_u64.checked_shl(shift)?)
}

/// A number of bytes, exact in as large a unit as that allows: `64 MiB`, `1500 bytes`.
pub fn exact_size(bytes: u64) -> String {
    for (unit, shift) in UNITS_OF_SIZE.into_iter().rev() {
        let whole = bytes >> shift;
        if whole > 0 && whole << shift == bytes {
            return format!("{whole} {unit}");
        }
    }
    format!("{bytes} bytes")
}

/// A number of bytes to one digit behind the point: `1.5 MiB`, `512 B`.
pub fn rough_size(bytes: u64) -> String {
    let fits = |(_, shift): &(&str, u32)| bytes >> shift > 0;
    match UNITS_OF_SIZE.into_iter().rev().find(fits) {
        #[expect(clippy::cast_precision_loss, reason = "one digit behind the point")]
        Some((unit, shift)) => {
            let amount = bytes as f64 / 1_u64.checked_shl(shift).unwrap_or(1) as f64;
            format!("{amount:.1} {unit}")
        }
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_and_are_shown_as_they_are_written() {
        for (text, seconds) in
            [("20s", 20), ("90s", 90), ("2m", 120), ("3h", 10_800), ("1d", 86_400)]
        {
            let time = parse_time(text, "smhd").unwrap();
            assert_eq!(time, Duration::from_secs(seconds));
            assert_eq!(show_time(time), text);
        }
        for wrong in ["20", "s", "-1s", "1.5m", "99999999999999999999m", "1w", ""] {
            assert_eq!(parse_time(wrong, "smhd"), None, "{wrong}");
        }
        assert_eq!(parse_time("1h", "sm"), None);
    }

    #[test]
    fn spans_have_two_units() {
        let shown = [1_250, 12_000, 187_000, 18_120_000, 788_400_000]
            .map(|ms| span(Duration::from_millis(ms)));
        assert_eq!(shown, ["1.2 s", "12 s", "3 min 7 s", "5 h 2 min", "9 d 3 h"]);
    }

    #[test]
    fn sizes_are_bytes_or_have_a_binary_unit() {
        assert_eq!(parse_size("17"), Some(17));
        assert_eq!(parse_size("64MiB"), Some(64 << 20));
        for wrong in ["", "1GB", "-1", "1.5MiB", "99999999TiB", "MiB"] {
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes_are_shown_exactly_or_roughly() {
        let exact = [67_108_864, 10_737_418_240, 1_500, 0].map(exact_size);
        assert_eq!(exact, ["64 MiB", "10 GiB", "1500 bytes", "0 bytes"]);
        let rough = [0, 1_023, 1_024, 1_572_864, u64::MAX].map(rough_size);
        assert_eq!(rough, ["0 B", "1023 B", "1.0 KiB", "1.5 MiB", "16777216.0 TiB"]);
    }
}
