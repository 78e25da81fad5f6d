//! Whose file a text is, seen from its tables and keys: a half's, or that of an end of a link.

use toml::de::{DeTable, DeValue};

/// One of the two halves, or of the two ends of a link between boxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    Ot,
    It,
    Send,
    Receive,
}

impl Half {
    /// Such as `the IT half's file`.
    pub fn file(self) -> &'static str {
        match self {
            Half::Ot => "the OT half's file",
            Half::It => "the IT half's file",
            Half::Send => "the file of a link's sending end",
            Half::Receive => "the file of a link's receiving end",
        }
    }

    /// The subcommand that reads it.
    pub fn command(self) -> &'static str {
        match self {
            Half::Ot => "ot",
            Half::It => "it",
            Half::Send => "send",
            Half::Receive => "receive",
        }
    }
}

/// Keys that only one half has: `""` is the file itself.
const OF_OT: &[(&str, &[&str])] = &[
    ("", &["name", "relay"]),
    ("broker", &["client-id", "session-expiry-s"]),
    ("policies", &["observe", "pseudonym-key-file"]),
    ("journal", &["segment-bytes", "retain-bytes", "retain-age-h", "durability"]),
];
const OF_IT: &[(&str, &[&str])] = &[
    ("", &["mirror", "backfill", "health"]),
    ("link", &["bytes-per-s"]),
    ("broker", &["client-id-prefix", "topic-aliases"]),
    ("journal", &["first-start"]),
];

/// Keys that only one end of a link has; those of `path` are of any of its tables.
const OF_SEND: &[(&str, &[&str])] = &[
    ("", &["pacing", "second-pass"]),
    ("link", &["heartbeat-ms"]),
    ("path", &["to", "from", "broadcast"]),
    ("repair", &["overhead-percent", "min-repair", "block-symbols", "close-after-ms", "spread-ms"]),
    ("journal", &["first-start"]),
];
const OF_RECEIVE: &[(&str, &[&str])] = &[
    ("link", &["second-key-file", "path-down-after-ms", "max-delay-ms", "receive-buffer-bytes"]),
    ("path", &["listen"]),
    ("repair", &["reorder-ms", "max-blocks", "max-bytes"]),
    ("journal", &["retain-bytes", "retain-age-h", "durability"]),
];
/// Keys that both ends have, and no half.
const OF_ENDS: &[(&str, &[&str])] = &[
    ("", &["path", "pacing", "repair", "second-pass"]),
    (
        "link",
        &[
            "name",
            "key-file",
            "second-key-file",
            "datagram-bytes",
            "max-frame-bytes",
            "heartbeat-ms",
            "path-down-after-ms",
            "max-delay-ms",
            "receive-buffer-bytes",
        ],
    ),
];

/// How many of the keys a table has.
fn score(table: &DeTable<'_>, wanted: &[(&str, &[&str])]) -> usize {
    let of = |keys: &[&str], table: &DeTable<'_>| {
        keys.iter().filter(|key| table.contains_key(**key)).count()
    };
    let has = |(name, keys): &(&str, &[&str])| -> usize {
        match (*name, table.get(*name).map(|value| value.get_ref())) {
            ("", _) => of(keys, table),
            (_, Some(DeValue::Table(table))) => of(keys, table),
            (_, Some(DeValue::Array(tables))) => {
                let tables = tables.iter().filter_map(|value| value.get_ref().as_table());
                tables.map(|table| of(keys, table)).fold(0, usize::saturating_add)
            }
            _ => 0,
        }
    };
    wanted.iter().map(has).fold(0, usize::saturating_add)
}

/// Which of two a table is by what each alone has; `None` where it has as much of both.
fn more(left: (usize, Half), right: (usize, Half)) -> Option<Half> {
    match left.0.cmp(&right.0) {
        std::cmp::Ordering::Greater => Some(left.1),
        std::cmp::Ordering::Less => Some(right.1),
        std::cmp::Ordering::Equal => None,
    }
}

/// The same, also where that says nothing: what has a broker and a journal but no name, which the OT
/// half needs, is the IT half's, unless it is called otherwise. An end of a link has no broker.
pub fn half_of(table: &DeTable<'_>, file_name: &str) -> Option<Half> {
    let by_name = || match file_name {
        _ if file_name.starts_with("ot") => Some(Half::Ot),
        _ if file_name.starts_with("it") => Some(Half::It),
        _ if file_name.starts_with("send") => Some(Half::Send),
        _ if file_name.starts_with("receive") => Some(Half::Receive),
        _ => None,
    };
    if !table.contains_key("broker") && score(table, OF_ENDS) > 0 {
        let ends = [(OF_SEND, Half::Send), (OF_RECEIVE, Half::Receive)];
        let [left, right] = ends.map(|(keys, end)| (score(table, keys), end));
        let named = || by_name().filter(|half| matches!(half, Half::Send | Half::Receive));
        return more(left, right).or_else(named);
    }
    let nameless = || {
        let has = |key: &str| table.contains_key(key);
        let both = has("broker") && (has("journal") || has("link"));
        (both && !table.contains_key("name")).then_some(Half::It)
    };
    let named = || table.contains_key("name").then_some(Half::Ot);
    more((score(table, OF_OT), Half::Ot), (score(table, OF_IT), Half::It))
        .or_else(named)
        .or_else(by_name)
        .or_else(nameless)
}
