//! Every form of a line, and attempts to break out of them.

#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;
use crate::Event;
use crate::record::{MAX_VALUE_BYTES, MAX_VALUES_BYTES};
use crate::syslog::{EXAMPLE_ENTERPRISE, Selection, Transport};

fn lines() -> Lines {
    let target = Target {
        name: "t".into(),
        transport: Transport::Udp { addresses: Vec::new() },
        min_severity: Severity::Info,
        selection: Selection::All,
        facility: Facility::Local3,
        enterprise: EXAMPLE_ENTERPRISE,
        time_synced: true,
        queue_lines: 16,
    };
    let identity = Identity { hostname: "gate-1".into(), half: "it", process_id: 4711 };
    Lines::new(&target, &identity)
}

fn record(fields: &[(&'static str, &str)]) -> Record {
    let at = UNIX_EPOCH.checked_add(Duration::from_millis(1_795_354_043_123)).unwrap();
    let mut record = Record::new(at, Event::CommandRefused);
    for (name, value) in fields {
        record.add(name, value);
    }
    record
}

fn numbered(record: &Record) -> Numbered<'_> {
    Numbered { record, sequence: 7, resent: false }
}

#[test]
fn rfc_5424_has_header_structured_data_and_a_message_for_people() {
    let record = record(&[("topic", "spBv1.0/P/DCMD/E/D"), ("metrics", "a \"b\" ]")]);
    let line = String::from_utf8(lines().rfc5424(numbered(&record))).unwrap();
    assert_eq!(
        line,
        format!(
            "<156>1 2026-11-22T13:27:23.123Z gate-1 sparkdiode-it 4711 COMMAND_REFUSED \
             [sparkdiode@32473 half=\"it\" topic=\"spBv1.0/P/DCMD/E/D\" metrics=\"a \\\"b\\\" \\]\"]\
             [meta sequenceId=\"7\"][timeQuality tzKnown=\"1\" isSynced=\"1\"]\
             [origin enterpriseId=\"32473\" software=\"sparkdiode\" swVersion=\"{}\"] \
             COMMAND_REFUSED command refused topic=spBv1.0/P/DCMD/E/D metrics=\"a \\\"b\\\" ]\"",
            env!("CARGO_PKG_VERSION")
        )
    );
    let again = Numbered { resent: true, ..numbered(&record) };
    let again = String::from_utf8(lines().rfc5424(again)).unwrap();
    assert!(again.contains("metrics=\"a \\\"b\\\" \\]\" resent=\"1\"][meta"), "{again}");
}

#[test]
fn the_local_forms_are_those_of_syslog_3_and_of_journald() {
    let record = record(&[("topic", "spBv1.0/P/NCMD/E")]);
    let line = String::from_utf8(lines().rfc3164(numbered(&record))).unwrap();
    assert_eq!(
        line,
        "<156>sparkdiode-it[4711]: COMMAND_REFUSED command refused topic=spBv1.0/P/NCMD/E"
    );
    let entry = String::from_utf8(lines().journald(numbered(&record))).unwrap();
    assert_eq!(
        entry,
        "MESSAGE=COMMAND_REFUSED command refused topic=spBv1.0/P/NCMD/E\nPRIORITY=4\n\
         SYSLOG_FACILITY=19\nSYSLOG_IDENTIFIER=sparkdiode-it\nSYSLOG_PID=4711\n\
         SPARKDIODE_MSGID=COMMAND_REFUSED\nSPARKDIODE_HALF=it\n\
         SPARKDIODE_TOPIC=spBv1.0/P/NCMD/E\n"
    );
}

#[test]
fn a_cut_never_splits_a_character() {
    assert_eq!(cut("abc", 3), "abc");
    assert_eq!(cut("aäb", 2), "a");
    assert_eq!(cut("aäb", 3), "aä");
    assert_eq!(cut("ä", 0), "");
}

/// Text as an attacker would write it: what the output forms use for their own structure, what
/// terminals and editors take for orders, and anything else.
fn hostile() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("\"".to_owned()),
        Just("]".to_owned()),
        Just("\\".to_owned()),
        Just("\n<134>1 - - - - - -".to_owned()),
        Just("\r\n".to_owned()),
        Just("\0".to_owned()),
        Just("\nPRIORITY=0\n".to_owned()),
        Just("\"] [forged@1 a=\"".to_owned()),
        Just("\u{202e}".to_owned()),
        Just("\u{1b}[2J".to_owned()),
        Just("\u{2028}".to_owned()),
        any::<String>(),
        "[a-z ]{0,200}",
    ];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

/// A parser of RFC 5424's structured data that is as strict as the grammar, written from it.
fn structured_data(line: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut rest = line.splitn(7, ' ').nth(6).unwrap();
    let mut elements = Vec::new();
    while let Some(after) = rest.strip_prefix('[') {
        let end = after.find([' ', ']']).unwrap();
        let id = after[..end].to_owned();
        rest = &after[end..];
        let mut parameters = Vec::new();
        while let Some(after) = rest.strip_prefix(' ') {
            let (name, after) = after.split_once("=\"").unwrap();
            assert!(!name.contains([' ', ']', '"', '=']), "name {name:?}");
            let mut value = String::new();
            let mut characters = after.char_indices();
            let end = loop {
                match characters.next().unwrap() {
                    (at, '"') => break at,
                    (_, ']') => panic!("a bare bracket in a value: {line}"),
                    (_, '\\') => match characters.next().unwrap().1 {
                        escaped @ ('"' | ']' | '\\') => value.push(escaped),
                        other => panic!("escaped {other:?}: {line}"),
                    },
                    (_, character) => value.push(character),
                }
            };
            parameters.push((name.to_owned(), value));
            rest = &after[end + 1..];
        }
        rest = rest.strip_prefix(']').unwrap();
        elements.push((id, parameters));
    }
    assert!(rest.starts_with(' '), "after the data: {rest:?}");
    elements
}

proptest! {
    #[test]
    fn no_value_breaks_out_of_its_field_or_its_line_in_any_form(
        topic in hostile(),
        metrics in hostile(),
        reason in hostile(),
    ) {
        let record = record(&[("topic", &topic), ("metrics", &metrics), ("reason", &reason)]);
        let lines = lines();

        let line = String::from_utf8(lines.rfc5424(numbered(&record))).unwrap();
        prop_assert!(line.len() <= MAX_LINE_BYTES, "{}", line.len());
        prop_assert!(!line.contains(char::is_control), "{line:?}");
        let data = structured_data(&line);
        let ids: Vec<&str> = data.iter().map(|(id, _)| id.as_str()).collect();
        prop_assert_eq!(ids, ["sparkdiode@32473", "meta", "timeQuality", "origin"]);
        // What a receiver reads is what the record has, to the letter.
        let mut wanted = vec![("half".to_owned(), "it".to_owned())];
        wanted.extend(record.fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        prop_assert_eq!(&data[0].1, &wanted);

        let line = String::from_utf8(lines.rfc3164(numbered(&record))).unwrap();
        prop_assert!(line.len() <= MAX_LINE_BYTES && !line.contains(char::is_control), "{line:?}");

        let entry = String::from_utf8(lines.journald(numbered(&record))).unwrap();
        let names: Vec<&str> =
            entry.lines().map(|line| line.split_once('=').unwrap().0).collect();
        prop_assert_eq!(names, [
            "MESSAGE", "PRIORITY", "SYSLOG_FACILITY", "SYSLOG_IDENTIFIER", "SYSLOG_PID",
            "SPARKDIODE_MSGID", "SPARKDIODE_HALF", "SPARKDIODE_TOPIC", "SPARKDIODE_METRICS",
            "SPARKDIODE_REASON",
        ]);
        prop_assert_eq!(entry.matches('\n').count(), 10);

        // In the message for people, a value ends where its quotes end.
        let message = record.message();
        prop_assert!(!message.contains(char::is_control));
        prop_assert_eq!(fields_of(&message), record.fields.iter().map(|(name, value)| {
            ((*name).to_owned(), value.clone())
        }).collect::<Vec<_>>(), "{}", message);
    }

    #[test]
    fn the_structured_data_is_whole_however_large_the_values_are(
        values in prop::collection::vec(prop_oneof![hostile(), Just("\\".repeat(9_999))], 12)
    ) {
        const NAMES: [&str; 12] = [
            "nodes_born", "nodes_known", "received", "forwarded", "dropped", "backfilled",
            "unplaceable", "healed", "gaps", "frames_lost", "rebirths_answered",
            "commands_refused",
        ];
        let at = UNIX_EPOCH;
        let mut record = Record::new(at, Event::Summary);
        for (name, value) in NAMES.iter().zip(&values) {
            record.add(name, value);
        }
        let bytes: usize = record.fields.iter().map(|(_, value)| value.len()).sum();
        prop_assert!(bytes <= MAX_VALUES_BYTES);
        prop_assert!(record.fields.iter().all(|(_, value)| value.len() <= MAX_VALUE_BYTES));
        let line = String::from_utf8(lines().rfc5424(numbered(&record))).unwrap();
        prop_assert!(line.len() <= MAX_LINE_BYTES, "{}", line.len());
        prop_assert_eq!(structured_data(&line)[0].1.len(), 13);
    }
}

/// Reads `name=value name="two \"words\""` back, as a rule of a log parser would.
fn fields_of(message: &str) -> Vec<(String, String)> {
    let mut rest = message.strip_prefix("command refused").unwrap();
    let mut fields = Vec::new();
    while let Some(after) = rest.strip_prefix(' ') {
        let (name, after) = after.split_once('=').unwrap();
        let (value, after) = match after.strip_prefix('"') {
            None => after.split_at(after.find(' ').unwrap_or(after.len())),
            Some(quoted) => {
                let mut escaped = false;
                let end = quoted.char_indices().find(|(_, character)| {
                    let ends = *character == '"' && !escaped;
                    escaped = *character == '\\' && !escaped;
                    ends
                });
                let (end, _) = end.unwrap();
                (&quoted[..end], &quoted[end + 1..])
            }
        };
        fields.push((name.to_owned(), value.replace("\\\"", "\"")));
        rest = after;
    }
    assert_eq!(rest, "");
    fields
}
