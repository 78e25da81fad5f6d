//! `sparkdiode explain`: what an event, a reason, a diagnostic, an exit code or a key means, one entry
//! at a time.

use account::Reason;
use clap::Args;
use config::keys::{self, Table};
use diagnostic::closest;
use telemetry::Event;
use text::escape;

use super::{Exit, Failure, help, report};
use crate::manual::policy_keys::{self, TABLES};
use crate::manual::{Page, explanations};

/// Explain an event, a reason, a diagnostic, an exit code, or a key of a policy or of the configuration.
///
/// Prints what it means, what to do about it, and an example: for a word from the log
/// (BROKER_DOWN), for why something didn't cross (over_cap), for the code of an error or a warning
/// (P112, C004, S008), for how the program ended (77), for what a broker says (0x87), for a key or a table of a policy (weekly,
/// pseudonym, rule.rate) or of the configuration (keyframe-every-s).
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  sparkdiode explain BROKER_DOWN\n  sparkdiode explain over_cap\n  \
                        sparkdiode explain P112\n  sparkdiode explain weekly\n  sparkdiode explain 77\n  sparkdiode explain 0x87\n\n\
                        All of them: `sparkdiode help events`, `help reasons`, `help diagnostics`; the keys of a \
                        policy in `help policy`,\nof cases in `help policies`, of the configuration in `help ot.toml` and `help it.toml`."
)]
pub(super) struct ExplainArgs {
    /// As it stands in the log, in an error, or in a file; capitals don't count.
    #[arg(required = true, value_name = "CODE")]
    pub(super) code: Vec<String>,
}

pub(super) fn run(arguments: &ExplainArgs) -> Result<Exit, Failure> {
    let asked = arguments.code.join("_");
    let entry = entry(&asked).ok_or_else(|| unknown(&arguments.code.join(" ")))?;
    report::output(&help::shown(&entry))?;
    Ok(Exit::Ok)
}

/// The entry in Markdown; `None`: nothing is called so.
fn entry(asked: &str) -> Option<String> {
    // `error[P112]` as it is copied.
    let asked = asked.trim().trim_end_matches([']', ':', '.', ',']);
    let asked = asked.rsplit('[').next().unwrap_or_default().trim_matches('`');
    let upper = asked.to_uppercase().replace('-', "_");
    let event = Event::from_msgid(&upper);
    let mut reasons = Reason::ALL.iter().copied();
    let reason = reasons.find(|reason| reason.name().to_uppercase() == upper);
    // Some are called alike: capitals say which is meant, where there are any.
    let entries = match (event, reason) {
        (Some(event), _) if asked == event.msgid() => vec![explanations::event_entry(event)],
        (_, Some(reason)) if asked == reason.name() => vec![explanations::reason_entry(reason)],
        _ => {
            let event = event.map(explanations::event_entry);
            event.into_iter().chain(reason.map(explanations::reason_entry)).collect()
        }
    };
    if !entries.is_empty() {
        // A key may be called so as well; it has no `_`.
        let key = key_entry(asked).filter(|_| !asked.contains('_') && asked != upper);
        return Some(entries.into_iter().chain(key).collect::<Vec<_>>().join("\n"));
    }
    if let Some(code) = explanations::codes().find(|code| code.code == upper) {
        return Some(explanations::code_entry(code));
    }
    mqtt_entry(asked).or_else(|| exit_entry(asked)).or_else(|| key_entry(asked))
}

/// A reason code of MQTT 5, as the log has it: `0x87`.
fn mqtt_entry(asked: &str) -> Option<String> {
    let digits = asked.strip_prefix("0x").or_else(|| asked.strip_prefix("0X"))?;
    let code = u8::from_str_radix(digits, 16).ok()?;
    let broker::Reason { name, words, advice, .. } = broker::reason_of(code)?;
    let advice = match *advice {
        "" => String::new(),
        advice => format!("**What to do**: {advice}.\n\n"),
    };
    Some(format!(
        "### {code:#04x}, {name}\n\nOf a broker, in MQTT 5: {words}.\n\n{advice}All of them: \
         `sparkdiode help mqtt5`.\n"
    ))
}

/// The row of an exit code, from the page that has them.
fn exit_entry(asked: &str) -> Option<String> {
    let number: u8 = asked.strip_prefix("exit_").unwrap_or(asked).parse().ok()?;
    let exit = Exit::ALL.into_iter().find(|exit| *exit as u8 == number)?;
    let start = format!("| {} | ", exit as u8);
    let row = Page::named("log")?.text.lines().find_map(|line| line.strip_prefix(&start))?;
    let meaning = row.trim_end_matches([' ', '|']);
    Some(format!("### Exit code {number}\n\n{meaning}\n\nAll of them: `sparkdiode help log`.\n"))
}

/// The rows of a key, of each table that has it.
fn key_entry(asked: &str) -> Option<String> {
    let key = asked.to_lowercase().replace('_', "-");
    let mut text = String::new();
    for table in TABLES.iter().filter(|table| table.name.trim_matches(['[', ']']) == key) {
        text.push_str(&format!("### `{}` of a policy\n\n{}\n", table.name, table.markdown()));
        text.push_str(&format!("More of it: `sparkdiode help {}`.\n\n", table.page()));
    }
    // `limits.node` is a key of `limits`.
    let (outer, key) = key.rsplit_once('.').unwrap_or(("", &key));
    let within = |table: &str| outer.is_empty() || table.trim_matches(['[', ']']).ends_with(outer);
    for table in TABLES.iter().filter(|table| within(table.name)) {
        for row in table.rows().filter(|row| row.key == key) {
            let (name, meaning) = (table.name, row.meaning);
            text.push_str(&format!("### `{name} {key}` in a policy\n\n{meaning}.\n\n"));
            if !row.absent.is_empty() {
                text.push_str(&format!("- if absent: {}\n", row.absent));
            }
            text.push_str(&format!("\nMore of it: `sparkdiode help {}`.\n\n", table.page()));
        }
    }
    for (file, tables) in [("ot.toml", keys::OT), ("it.toml", keys::IT)] {
        for table in tables.iter().filter(|table| within(table.name)) {
            for row in table.rows().filter(|row| row.key == key) {
                let place = format!("{} {key}", table.name);
                text.push_str(&format!(
                    "### `{}` in `{file}`\n\n{}.\n\n",
                    place.trim(),
                    row.meaning
                ));
                for (word, value) in [("range", row.range), ("default", row.default)] {
                    if !value.is_empty() {
                        text.push_str(&format!("- {word}: {value}\n"));
                    }
                }
                text.push('\n');
            }
        }
    }
    (!text.is_empty()).then_some(text)
}

/// Everything that has an entry.
fn names() -> impl Iterator<Item = &'static str> {
    let events = Event::ALL.iter().map(|event| event.msgid());
    let reasons = Reason::ALL.iter().map(|reason| reason.name());
    let codes = explanations::codes().map(|code| code.code);
    let rows = keys::OT.iter().chain(keys::IT).flat_map(Table::rows).map(|row| row.key);
    let of_policies = TABLES.iter().flat_map(policy_keys::Table::rows).map(|row| row.key);
    events.chain(reasons).chain(codes).chain(rows).chain(of_policies)
}

fn unknown(asked: &str) -> Failure {
    let message =
        format!("no event, reason, diagnostic, exit code or key is called `{}`", escape(asked));
    let failure = Failure::new(Exit::Usage, message);
    let failure = match closest(&asked.replace(' ', "_"), names()) {
        Some(near) => failure.hint(format!("did you mean `{near}`?")),
        None => failure,
    };
    failure.hint(
        "`sparkdiode help events`, `help reasons` and `help diagnostics` list them; the keys of a policy are \
         in `help policy`, those of cases in `help policies`, those of the configuration in `help ot.toml` \
         and `help it.toml`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_has_a_name_has_an_entry() {
        for name in names() {
            let text = entry(name).unwrap_or_else(|| panic!("{name}"));
            assert!(text.contains(name), "{name}: {text}");
        }
        for reason in broker::REASONS {
            let text = entry(&format!("{:#04x}", reason.code)).unwrap();
            assert!(text.contains(reason.name) && text.contains(reason.advice), "{text}");
        }
        for exit in Exit::ALL {
            assert!(entry(&(exit as u8).to_string()).is_some(), "{exit:?}");
        }
    }

    #[test]
    fn names_are_taken_as_they_are_copied() {
        for (asked, wanted) in [
            ("broker_down", "### BROKER_DOWN"),
            ("BROKER-DOWN", "### BROKER_DOWN"),
            ("error[P112]:", "### P112"),
            ("p112", "### P112"),
            ("over-cap", "### `over_cap`"),
            ("`OVER_CAP`", "### `over_cap`"),
            ("exit_77", "### Exit code 77"),
            ("0x87", "### 0x87, Not authorized"),
            ("0X9D:", "### 0x9d, Server moved"),
            ("KEYFRAME_EVERY_S", "### `[relay] keyframe-every-s` in `ot.toml`"),
            ("weekly", "### `weekly` of a policy"),
            ("pseudonym", "### `[rule.shape] pseudonym` in a policy"),
            ("observed-by", "### `metrics observed-by` in a policy"),
            ("[rule.rate]", "### `[rule.rate]` of a policy"),
            ("limits.node", "### `[limits] node` in a policy"),
            ("[limits.births]", "### `[limits.births]` of a policy"),
        ] {
            assert!(entry(asked).is_some_and(|text| text.starts_with(wanted)), "{asked}");
        }
        let both = entry("Name-Collision").unwrap();
        assert!(both.contains("### NAME_COLLISION") && both.contains("### `name_collision`"));
        for nothing in ["", "[", "]", "]]", "P999", "99", "\u{1b}[2J"] {
            assert!(entry(nothing).is_none(), "{nothing:?}");
        }
    }

    #[test]
    fn the_nearest_is_suggested() {
        for (asked, near) in [
            ("BROKER_DWON", "BROKER_DOWN"),
            ("overcap", "over_cap"),
            ("keyframe-evry-s", "keyframe-every-s"),
        ] {
            let told = format!("{:?}", unknown(asked));
            assert!(told.contains(&format!("did you mean `{near}`?")), "{told}");
        }
    }
}
