//! The parts of pages that are made from the code. In a page they stand between
//! `<!-- from the code: WHAT -->` and `<!-- end -->`; some pages are made as a whole.
//! `SPARKDIODE_BLESS=1 cargo test --lib manual` writes them anew.

use config::keys;

use super::{explanations, policy_keys};

/// Before what is made, with its name, and behind it.
pub const BEGIN: &str = "<!-- from the code: ";
pub const BEGIN_END: &str = " -->\n";
pub const END: &str = "<!-- end -->";

/// The page of this name, where all of it is made.
pub fn page(name: &str) -> Option<String> {
    match name {
        "diagnostics" => Some(explanations::diagnostics_page()),
        "reasons" => Some(explanations::reasons_page()),
        "events" => Some(telemetry::events_manual()),
        _ => None,
    }
}

/// The part of this name, such as `ot.toml [broker]` or `policy [[rule]]`.
pub fn part(name: &str) -> Option<String> {
    if name == "mqtt reason-codes" {
        return Some(reason_codes());
    }
    let (file, table) = name.split_once(' ')?;
    if file == "policy" {
        let known = policy_keys::TABLES.iter().find(|known| known.name == table);
        return known.map(policy_keys::Table::markdown);
    }
    let (_, tables) = keys::FILES.iter().find(|(name, _)| *name == file)?;
    let table = if table == "(top)" { "" } else { table };
    tables.iter().find(|known| known.name == table).map(keys::Table::markdown)
}

/// The reason codes of MQTT 5, in Markdown.
fn reason_codes() -> String {
    let mut text = String::from("| code | name | in the log | what to do |\n|---|---|---|---|\n");
    for broker::Reason { code, name, words, advice } in broker::REASONS {
        text.push_str(&format!("| `{code:#04x}` | {name} | {words} | {advice} |\n"));
    }
    text
}

/// `text` with its made parts made anew.
///
/// # Errors
/// A part that nobody makes, or that doesn't end.
pub fn anew(text: &str) -> Result<String, String> {
    let mut made = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (name, after) = after.split_once(BEGIN_END).ok_or("a part without its name")?;
        let (_, after) = after.split_once(END).ok_or_else(|| format!("no end of `{name}`"))?;
        let part = part(name).ok_or_else(|| format!("nobody makes `{name}`"))?;
        made.push_str(&format!("{before}{BEGIN}{name}{BEGIN_END}{part}{END}"));
        rest = after;
    }
    made.push_str(rest);
    Ok(made)
}
