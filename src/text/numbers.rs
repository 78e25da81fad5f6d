//! Numbers as people read them.

/// `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len().saturating_mul(2));
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && digits.len().saturating_sub(at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things: `1 error`, `2 errors`. The plural of `noun` has an `s`.
pub fn counted(number: impl TryInto<u64>, noun: &str) -> String {
    match number.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {noun}"),
        number => format!("{number} {noun}s"),
    }
}

/// The same with [`grouped`] digits: `1,204 messages`.
pub fn counted_grouped(number: impl TryInto<u64>, noun: &str) -> String {
    match number.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {noun}"),
        number => format!("{} {noun}s", grouped(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_apart() {
        let shown = [0, 1, 999, 1_000, 1_204, 1_234_567].map(grouped);
        assert_eq!(shown, ["0", "1", "999", "1,000", "1,204", "1,234,567"]);
    }

    #[test]
    fn one_thing_is_no_things() {
        assert_eq!(counted(1_usize, "rule"), "1 rule");
        assert_eq!(
            [0_u64, 2, 1_204].map(|number| counted(number, "rule")),
            ["0 rules", "2 rules", "1204 rules"]
        );
        assert_eq!(counted_grouped(1_204_u64, "rule"), "1,204 rules");
    }
}
