//! Lines of what `check` says, and how they are set.

use std::fmt::Write;

pub(super) fn line(text: &mut String, content: &str) {
    // Writing to a `String` can't fail.
    let _ = writeln!(text, "{content}");
}

pub(super) fn item(text: &mut String, name: &str, content: &str) {
    line(text, &format!("  {name:<11} {content}"));
}

/// A number of bytes as people say it, exact where that is short: `64 MiB`, `1500 bytes`.
pub(super) fn bytes(number: u64) -> String {
    const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    for (unit, shift) in UNITS {
        let whole = number >> shift;
        if whole > 0 && whole << shift == number {
            return format!("{whole} {unit}");
        }
    }
    format!("{number} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_exactly() {
        assert_eq!(bytes(67_108_864), "64 MiB");
        assert_eq!(bytes(10_737_418_240), "10 GiB");
        assert_eq!(bytes(1_500), "1500 bytes");
    }
}
