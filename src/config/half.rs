//! Which half's file a text is, seen from its tables and keys.

use toml::de::{DeTable, DeValue};

/// One of the two halves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    Ot,
    It,
}

impl Half {
    /// Such as `the IT half's file`.
    pub fn file(self) -> &'static str {
        match self {
            Half::Ot => "the OT half's file",
            Half::It => "the IT half's file",
        }
    }

    /// The subcommand that reads it.
    pub fn command(self) -> &'static str {
        match self {
            Half::Ot => "ot",
            Half::It => "it",
        }
    }
}

/// Keys that only one half has: `""` is the file itself.
const OF_OT: &[(&str, &[&str])] = &[
    ("", &["name", "relay"]),
    ("broker", &["client-id"]),
    ("policies", &["observe", "pseudonym-key-file"]),
    ("journal", &["segment-bytes", "retain-bytes", "retain-age-h", "durability"]),
];
const OF_IT: &[(&str, &[&str])] = &[
    ("", &["mirror", "backfill", "health", "link"]),
    ("broker", &["client-id-prefix"]),
    ("journal", &["first-start"]),
];

/// Whose file a table is by what one half alone has; `None` where it has as much of both.
fn half_by_keys(table: &DeTable<'_>) -> Option<Half> {
    let has = |(name, keys): &(&str, &[&str])| -> usize {
        let table = match (*name, table.get(*name).map(|value| value.get_ref())) {
            ("", _) => Some(table),
            (_, Some(DeValue::Table(table))) => Some(table),
            _ => None,
        };
        table.map_or(0, |table| keys.iter().filter(|key| table.contains_key(**key)).count())
    };
    let of_ot: usize = OF_OT.iter().map(has).sum();
    let of_it: usize = OF_IT.iter().map(has).sum();
    match of_ot.cmp(&of_it) {
        std::cmp::Ordering::Greater => Some(Half::Ot),
        std::cmp::Ordering::Less => Some(Half::It),
        std::cmp::Ordering::Equal => None,
    }
}

/// The same, also where that says nothing: what has a broker and a journal but no name, which the OT
/// half needs, is the IT half's, unless it is called otherwise.
pub fn half_of(table: &DeTable<'_>, file_name: &str) -> Option<Half> {
    let by_name = || match file_name {
        _ if file_name.starts_with("ot") => Some(Half::Ot),
        _ if file_name.starts_with("it") => Some(Half::It),
        _ => None,
    };
    let nameless = || {
        let both = table.contains_key("broker") && table.contains_key("journal");
        (both && !table.contains_key("name")).then_some(Half::It)
    };
    let named = || table.contains_key("name").then_some(Half::Ot);
    half_by_keys(table).or_else(named).or_else(by_name).or_else(nameless)
}
