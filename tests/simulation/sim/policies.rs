//! The policies that may be in force, and what each means, written a second time.

use diagnostic::SourceFile;
use policy::Policy;

/// What a policy lets IT see of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    Value,
    /// That it exists.
    Name,
    Nothing,
}

pub const COUNT: usize = 6;

/// Wall-clock time at which the rule with a window opens, and at which it closes: relative to the
/// first wall clock of the run.
pub const OPENS_MS: u64 = 20_000;
pub const CLOSES_MS: u64 = 60_000;

/// The policy with this number.
pub fn policy(number: usize, first_wall_ms: u64) -> Policy {
    let text = match number {
        0 => "[[rule]]\nname = \"all\"\naction = \"forward\"\ntopic = \"spBv1.0/+/+/#\"\n".into(),
        1 => "[[rule]]\nname = \"most\"\naction = \"forward\"\ngroup = \"G\"\n\
              deny-metrics = [\"m1\"]\n"
            .into(),
        2 => "[[rule]]\nname = \"slow\"\naction = \"forward\"\ngroup = \"G\"\n\
              [rule.rate]\nmessages-per-s = 4\nburst-messages = 4\n"
            .into(),
        3 => format!(
            "[[rule]]\nname = \"first\"\naction = \"forward\"\ngroup = \"G\"\n\
             allow-metrics = [\"m0\", \"instance\"]\n\
             [[rule]]\nname = \"window\"\naction = \"forward\"\ngroup = \"G\"\n\
             not-before = \"{}\"\nnot-after = \"{}\"\n",
            utc(first_wall_ms + OPENS_MS),
            utc(first_wall_ms + CLOSES_MS)
        ),
        4 => "[[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"G\"\n\
              redact-metrics = [\"m2\"]\n"
            .into(),
        _ => String::new(),
    };
    match Policy::parse(&[SourceFile::new("simulation.toml", text.as_str())]) {
        Ok((policy, _)) => policy,
        Err(problems) => panic!("{problems}"),
    }
}

/// What it lets IT see.
pub fn sight(number: usize, metric: &str, since_first_ms: i64) -> Sight {
    let is_open = (OPENS_MS as i64..CLOSES_MS as i64).contains(&since_first_ms);
    match (number, metric) {
        (0 | 2, _) => Sight::Value,
        (1, "m1") => Sight::Nothing,
        (1, _) => Sight::Value,
        (3, "m0" | "instance") => Sight::Value,
        (3, _) if is_open => Sight::Value,
        (4, "m2") => Sight::Name,
        (4, _) => Sight::Value,
        _ => Sight::Nothing,
    }
}

/// Whether the rule with a window opens or closes within a moment, or has.
pub fn changes_soon(since_first_ms: i64) -> bool {
    [OPENS_MS, CLOSES_MS].iter().any(|at| (*at as i64 - since_first_ms).abs() < 3_000)
}

/// Milliseconds since the epoch as RFC 3339, to the second.
fn utc(ms: u64) -> String {
    let (days, second) = (ms / 86_400_000, ms / 1_000 % 86_400);
    // Civil from days, after Howard Hinnant.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}
