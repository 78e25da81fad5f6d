//! The catalogue as its readers want it: a page for people, JSON for a SIEM.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{Event, Halves, Limit, Severity};
use crate::flood::{
    KIND_LINES, SOURCE_LINES, SUMMARISED_SOURCES, TRACKED, TRACKED_SOURCES, WINDOW,
};

/// The page `src/manual/events.md`.
pub fn manual() -> String {
    let mut page = String::new();
    // Writing to a `String` can't fail.
    let _ = write_manual(&mut page);
    page
}

fn write_manual(page: &mut String) -> std::fmt::Result {
    let window_s = WINDOW.as_secs();
    let summaries = SUMMARISED_SOURCES.saturating_add(1);
    writeln!(
        page,
        "# Events\n\n\
         Everything that the relay tells the people who watch it. MSGIDs and field names are stable:\n\
         an event may get further fields, and new events may come, but none changes its name or its\n\
         meaning within a major version. This page is made by `sparkdiode events > src/manual/events.md`;\n\
         `sparkdiode events --json` prints the same for machines.\n\n\
         How lines look in each output, and how they are parsed, is in `syslog.md`.\n\n\
         ## Severities\n\n\
         | severity | number | meaning |\n|---|---|---|"
    )?;
    for severity in Severity::ALL {
        let meaning = match severity {
            Severity::Critical => "nothing crosses until somebody acts",
            Severity::Error => "something is lost or doesn't work",
            Severity::Warning => "something is odd, or somebody tried something",
            Severity::Notice => "a change of state that people want to see",
            Severity::Info => "ordinary work",
        };
        writeln!(page, "| {severity} | {} | {meaning} |", severity as u8)?;
    }
    writeln!(
        page,
        "\n## Nothing floods\n\n\
         Events that somebody on a network can cause are limited. In a window of {window_s} s that begins\n\
         with its first line, an event *limited per source* gets at most {SOURCE_LINES} lines for one value of its\n\
         source field and {KIND_LINES} lines in all, an event *limited per kind* {SOURCE_LINES} lines. What is more is\n\
         counted, and told when the window ends, or at the stop of the half: in one line for each of\n\
         the {SUMMARISED_SOURCES} worst sources, and one for all the others. So one kind of event has at most\n\
         {KIND_LINES} + {summaries} lines in {window_s} s, however often it happens, and the lines together with the\n\
         numbers in `repeated` are exactly how often it happened. ({TRACKED_SOURCES} sources are told apart in one\n\
         window; further ones are counted together.) Such a line has the MSGID of its event, the source\n\
         field, and these instead of the others:\n\n\
         | field | meaning |\n|---|---|\n\
         | `repeated` | how many lines were not shown |\n\
         | `window_s` | seconds from the first line of the window to its end |\n\
         | `first_at` | when the first of them happened (UTC) |\n\
         | `last_at` | when the last of them happened (UTC) |\n\
         | `sources` | in the line for all the others: how many sources, at least |\n\n\
         What the policy decides goes on for as long as the plant sends: such an event is *told when it\n\
         begins*, once for each value of its fields, and then in one line an hour with the same fields and\n\
         `repeated`. What didn't happen for an hour has ended, and is told again when it begins anew.\n\
         ({TRACKED} of them are known at once; further ones are counted together.) SUMMARY has the rest.\n\n\
         ## Events\n\n\
         | MSGID | severity | half | says |\n|---|---|---|---|"
    )?;
    for event in Event::ALL {
        let entry = event.entry();
        let (msgid, severity, half) = (entry.msgid, entry.severity, entry.halves.name());
        writeln!(
            page,
            "| [`{msgid}`](#{}) | {severity} | {half} | {} |",
            msgid.to_lowercase(),
            entry.text
        )?;
    }
    for event in Event::ALL {
        let entry = event.entry();
        writeln!(page, "\n### {}\n", entry.msgid)?;
        let half = match entry.halves {
            Halves::Ot => "OT half",
            Halves::It => "IT half",
            Halves::Both => "both halves",
            Halves::Send => "sending end of a link",
            Halves::Receive => "receiving end of a link",
            Halves::Ends => "both ends of a link",
            Halves::Readers => "IT half, sending end of a link",
            Halves::All => "both halves, both ends of a link",
        };
        let limit = match entry.limit {
            Limit::Never => "not limited".to_owned(),
            Limit::PerKind => "limited per kind".to_owned(),
            Limit::PerSource(source) => format!("limited per source: `{source}`"),
            Limit::Begins(fields) => {
                format!("told when it begins, and once an hour: per `{}`", fields.join("`, `"))
            }
        };
        writeln!(page, "*{}, {half}, {limit}.* `{}`\n", entry.severity, entry.text)?;
        writeln!(page, "{}\n", entry.meaning)?;
        writeln!(page, "**What to do**: {}", entry.action)?;
        if !entry.fields.is_empty() {
            writeln!(page, "\n| field | meaning |\n|---|---|")?;
            for field in entry.fields {
                let optional = if field.optional { " (not always there)" } else { "" };
                writeln!(page, "| `{}` | {}{optional} |", field.name, field.meaning)?;
            }
        }
    }
    Ok(())
}

/// The catalogue for machines: an array of objects.
pub fn json() -> String {
    let events: Vec<Value> = Event::ALL
        .iter()
        .map(|event| {
            let entry = event.entry();
            let fields: Vec<Value> = entry
                .fields
                .iter()
                .map(|field| {
                    json!({
                        "name": field.name,
                        "meaning": field.meaning,
                        "optional": field.optional,
                    })
                })
                .collect();
            let (limit, source) = match entry.limit {
                Limit::Never => ("none", None),
                Limit::PerKind => ("kind", None),
                Limit::PerSource(source) => ("source", Some(source.to_owned())),
                Limit::Begins(fields) => ("begins", Some(fields.join(" "))),
            };
            json!({
                "msgid": entry.msgid,
                "severity": entry.severity.name(),
                "severity_number": entry.severity as u8,
                "half": entry.halves.name(),
                "limit": limit,
                "source": source,
                "text": entry.text,
                "meaning": entry.meaning,
                "action": entry.action,
                "fields": fields,
            })
        })
        .collect();
    let mut text = serde_json::to_string_pretty(&events).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_the_manual_is_the_one_that_the_code_makes() {
        let page = include_str!("../../manual/events.md");
        assert!(
            page == manual(),
            "src/manual/events.md is old: cargo run -- events > src/manual/events.md"
        );
    }

    #[test]
    fn every_event_is_on_the_page_with_every_field() {
        let page = manual();
        for event in Event::ALL {
            let (_, section) = page.split_once(&format!("\n### {}\n", event.msgid())).unwrap();
            let section = section.split("\n### ").next().unwrap();
            assert!(section.contains(event.entry().meaning), "{}", event.msgid());
            for field in event.entry().fields {
                assert!(section.contains(&format!("| `{}` | ", field.name)), "{}", event.msgid());
            }
        }
    }

    #[test]
    fn the_json_is_json_with_every_event() {
        let events: Value = serde_json::from_str(&json()).unwrap();
        assert_eq!(events.as_array().unwrap().len(), Event::ALL.len());
    }
}
