//! What every key of `ot.toml`, `it.toml`, `send.toml` and `receive.toml` means: one table for each table of a file. The pages of
//! the manual are made from it, and the tests compare it with what is read.

macro_rules! rows {
    ($($key:literal = $meaning:literal, $range:literal, $default:literal;)+) => {
        &[$(Row { key: $key, meaning: $meaning, range: $range, default: $default },)+]
    };
}

mod both;
mod ends;
mod it;
mod ot;
mod receive;
mod send;
#[cfg(test)]
mod tests;

use std::fmt::Write;

/// One key, in Markdown.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub key: &'static str,
    pub meaning: &'static str,
    /// What it may be; empty where the meaning says it.
    pub range: &'static str,
    /// What it is where it isn't there.
    pub default: &'static str,
}

/// One table of a file.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// As it is written, such as `[broker.tls]`; empty: the file itself.
    pub name: &'static str,
    parts: &'static [&'static [Row]],
}

impl Table {
    pub fn rows(&self) -> impl Iterator<Item = &'static Row> + use<> {
        self.parts.iter().copied().flatten()
    }

    /// As the manual has it, in Markdown.
    pub fn markdown(&self) -> String {
        let mut text = String::from("| key | meaning | range | default |\n|---|---|---|---|\n");
        for Row { key, meaning, range, default } in self.rows() {
            // Writing to a `String` can't fail.
            let _ = writeln!(text, "| `{key}` | {meaning} | {range} | {default} |");
        }
        text
    }
}

/// The tables of `ot.toml`.
pub const OT: &[Table] = &[
    Table { name: "", parts: &[ot::TOP] },
    Table { name: "[broker]", parts: &[both::BROKER, ot::CLIENT, both::SESSION, ot::PACKETS] },
    Table { name: "[broker.tls]", parts: &[both::TLS, both::SERVER_NAMES] },
    Table { name: "[policies]", parts: &[ot::POLICIES] },
    Table {
        name: "[policies.require-signature]",
        parts: &[both::SIGNATURE, ot::RELAY_OF_SIGNATURE],
    },
    Table { name: "[journal]", parts: &[ot::JOURNAL] },
    Table { name: "[state]", parts: &[both::STATE] },
    Table { name: "[relay]", parts: &[ot::RELAY] },
    Table { name: "[limits]", parts: &[ot::LIMITS] },
    Table { name: "[status]", parts: &[both::STATUS] },
    Table { name: "[metrics]", parts: &[both::METRICS] },
    Table { name: "[[syslog]]", parts: &[both::SYSLOG, both::SYSLOG_LINES] },
    Table { name: "[syslog.tls]", parts: &[both::TLS] },
    Table { name: "[sandbox]", parts: &[both::SANDBOX] },
];

/// The tables of `it.toml`.
pub const IT: &[Table] = &[
    Table { name: "[broker]", parts: &[both::BROKER, it::CLIENT, both::SESSION, it::PACKETS] },
    Table { name: "[broker.tls]", parts: &[both::TLS, both::SERVER_NAMES] },
    Table { name: "[link]", parts: &[it::LINK] },
    Table { name: "[journal]", parts: &[it::JOURNAL] },
    Table { name: "[state]", parts: &[both::STATE] },
    Table { name: "[policies]", parts: &[it::POLICIES] },
    Table {
        name: "[policies.require-signature]",
        parts: &[both::SIGNATURE, it::RELAY_OF_SIGNATURE],
    },
    Table { name: "[mirror]", parts: &[it::MIRROR] },
    Table { name: "[backfill]", parts: &[it::BACKFILL] },
    Table { name: "[limits]", parts: &[it::LIMITS] },
    Table { name: "[status]", parts: &[both::STATUS] },
    Table { name: "[health]", parts: &[it::HEALTH] },
    Table { name: "[metrics]", parts: &[both::METRICS] },
    Table { name: "[[syslog]]", parts: &[both::SYSLOG, both::SYSLOG_LINES] },
    Table { name: "[syslog.tls]", parts: &[both::TLS] },
    Table { name: "[sandbox]", parts: &[both::SANDBOX] },
];

/// The tables of `send.toml`.
pub const SEND: &[Table] = &[
    Table { name: "[link]", parts: &[ends::LINK, send::LINK] },
    Table { name: "[[path]]", parts: &[send::PATH, ends::PATH] },
    Table { name: "[pacing]", parts: &[send::PACING] },
    Table { name: "[repair]", parts: &[send::REPAIR] },
    Table { name: "[second-pass]", parts: &[send::SECOND_PASS] },
    Table { name: "[journal]", parts: &[send::JOURNAL] },
    Table { name: "[state]", parts: &[ends::STATE] },
    Table { name: "[status]", parts: &[both::STATUS] },
    Table { name: "[metrics]", parts: &[both::METRICS] },
    Table { name: "[[syslog]]", parts: &[ends::SYSLOG, both::SYSLOG_LINES] },
    Table { name: "[sandbox]", parts: &[ends::SANDBOX] },
];

/// The tables of `receive.toml`.
pub const RECEIVE: &[Table] = &[
    Table { name: "[link]", parts: &[ends::LINK, receive::LINK] },
    Table { name: "[[path]]", parts: &[receive::PATH, ends::PATH] },
    Table { name: "[repair]", parts: &[receive::REPAIR] },
    Table { name: "[journal]", parts: &[receive::JOURNAL] },
    Table { name: "[state]", parts: &[ends::STATE] },
    Table { name: "[status]", parts: &[both::STATUS] },
    Table { name: "[metrics]", parts: &[both::METRICS] },
    Table { name: "[[syslog]]", parts: &[ends::SYSLOG, both::SYSLOG_LINES] },
    Table { name: "[sandbox]", parts: &[ends::SANDBOX] },
];

/// All files, by their names.
pub const FILES: [(&str, &[Table]); 4] =
    [("ot.toml", OT), ("it.toml", IT), ("send.toml", SEND), ("receive.toml", RECEIVE)];
