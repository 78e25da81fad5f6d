//! The policies that may be in force, and what each means, written a second time.

use diagnostic::SourceFile;
use policy::Policy;

/// What a policy lets IT see of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    Value,
    /// Its value up to this; above it is null.
    UpTo(u64),
    /// That it exists.
    Name,
    Nothing,
}

pub const COUNT: usize = 8;
/// Above this, policy 6 makes m1 null.
const MOST: u64 = 1_080;

/// Wall-clock time at which the rule with a window opens, and at which it closes: relative to the
/// first wall clock of the run.
pub const OPENS_MS: u64 = 20_000;
pub const CLOSES_MS: u64 = 60_000;

/// The policy with this number, as its author wrote it.
pub fn text(number: usize, first_wall_ms: u64) -> String {
    match number {
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
        6 => format!(
            "[[rule]]\nname = \"shaped\"\naction = \"forward\"\ngroup = \"G\"\n\
             [[rule.metric]]\nnames = [\"m0\"]\nmin-interval-ms = 700\ndeadband = 0\n\
             [[rule.metric]]\nnames = [\"m1\"]\nmax = {MOST}\nout-of-range = \"null\"\n"
        ),
        7 => "[[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"G\"\n\
              [rename.edge-node]\n\"G/N0\" = \"Q0\"\n\"G/N2\" = \"Q2\"\n\
              [rename.device]\n\"G/N0/D0\" = \"R0\"\n\"G/N1/D1\" = \"R1\"\n"
            .into(),
        _ => String::new(),
    }
}

/// The policy that this says.
pub fn policy(text: &str) -> Policy {
    match Policy::parse(&[SourceFile::new("simulation.toml", text)]) {
        Ok((policy, _)) => policy,
        Err(problems) => panic!("{problems}"),
    }
}

/// What it lets IT see.
pub fn sight(number: usize, metric: &str, since_first_ms: i64) -> Sight {
    let is_open = (OPENS_MS as i64..CLOSES_MS as i64).contains(&since_first_ms);
    match (number, metric) {
        (0 | 2 | 7, _) => Sight::Value,
        (6, "m1") => Sight::UpTo(MOST),
        (6, _) => Sight::Value,
        (1, "m1") => Sight::Nothing,
        (1, _) => Sight::Value,
        (3, "m0" | "instance" | "instance.y") => Sight::Value,
        (3, _) if is_open => Sight::Value,
        (4, "m2") => Sight::Name,
        (4, _) => Sight::Value,
        _ => Sight::Nothing,
    }
}

/// Name on IT of an edge node.
pub fn node_on_it(number: usize, node: &str) -> String {
    match (number, node) {
        (7, "N0") => "Q0".into(),
        (7, "N2") => "Q2".into(),
        _ => node.into(),
    }
}

/// Name on IT of a device of this edge node.
pub fn device_on_it(number: usize, node: &str, device: &str) -> String {
    match (number, node, device) {
        (7, "N0", "D0") => "R0".into(),
        (7, "N1", "D1") => "R1".into(),
        _ => device.into(),
    }
}

/// Name in the plant of what has this one on IT: no policy gives a name to two.
pub fn in_plant(name: &str) -> String {
    name.replace('Q', "N").replace('R', "D")
}

/// Whether values wait under it.
pub fn holds_back(number: usize) -> bool {
    matches!(number, 2 | 6)
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
