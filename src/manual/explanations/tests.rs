//! Every code that a person can meet has an entry, and the examples bring about what they are
//! examples of.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use account::Reason;
use config::{ItConfig, OtConfig};
use diagnostic::{Diagnostics, SourceFile};
use telemetry::Event;
use tools::dry_run::case;

use super::{Example, advice, codes, event_entry};

/// Codes in the source of the product: texts of a letter and three digits.
fn codes_of_the_source() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found
}

fn collect(path: &Path, found: &mut BTreeMap<String, String>) {
    let name = path.file_name().unwrap().to_str().unwrap();
    if path.is_dir() {
        if !["tests", "explanations"].contains(&name) {
            for entry in fs::read_dir(path).unwrap() {
                collect(&entry.unwrap().path(), found);
            }
        }
        return;
    }
    if !name.ends_with(".rs") || name == "tests.rs" {
        return;
    }
    let text = fs::read_to_string(path).unwrap();
    let product = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
    for quoted in product.split('"') {
        let (letter, digits) = quoted.split_at_checked(1).unwrap_or_default();
        let is_code = ["C", "P", "S"].contains(&letter)
            && digits.len() == 3
            && digits.bytes().all(|byte| byte.is_ascii_digit());
        if is_code {
            found.insert(quoted.to_owned(), path.display().to_string());
        }
    }
}

#[test]
fn every_code_of_the_source_has_an_entry_and_no_other() {
    let source = codes_of_the_source();
    assert!(source.len() > 60, "{source:?}");
    let entries: BTreeSet<&str> = codes().map(|entry| entry.code).collect();
    assert_eq!(entries.len(), codes().count(), "a code has two entries");
    for (code, file) in &source {
        assert!(entries.contains(code.as_str()), "`{code}` of {file} has no entry");
    }
    for entry in entries {
        assert!(source.contains_key(entry), "`{entry}` is in no file");
    }
}

#[test]
fn every_entry_says_what_it_means_and_what_to_do() {
    for entry in codes() {
        let sentence = |text: &str| text.len() > 15 && text.ends_with(['.', '`', ')']);
        assert!(sentence(entry.meaning), "{}: {}", entry.code, entry.meaning);
        assert!(sentence(entry.action), "{}: {}", entry.code, entry.action);
        assert!(!entry.title.ends_with('.') && entry.title.len() > 6, "{}", entry.code);
        if let Example::Console(text) = entry.example {
            assert!(text.contains(&format!("[{}]", entry.code)), "{}: {text}", entry.code);
        }
    }
    for reason in Reason::ALL {
        assert!(advice(*reason).action.ends_with(['.', ')']), "{reason}");
        let example = advice(*reason).example;
        let told = example.markdown();
        let is_seen = told.contains(reason.name()) || is_of_an_event(*reason);
        assert!(is_seen || matches!(example, Example::Words(_)), "{reason}: {told}");
    }
}

/// What the log has under an event of its own, without a word for the reason.
fn is_of_an_event(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::TooLarge
            | Reason::NameCollision
            | Reason::StaleDeath
            | Reason::OverCapacity
            | Reason::OverMemory
            | Reason::NameTaken
            | Reason::SetAside
    )
}

#[test]
fn every_event_has_an_entry_with_a_line_of_the_log() {
    for event in Event::ALL {
        let entry = event.entry();
        let text = event_entry(*event);
        assert!(text.contains(entry.meaning) && text.contains(entry.action), "{text}");
        let line = text.lines().find(|line| line.contains(&format!(": {} ", entry.msgid)));
        let line = line.unwrap_or_else(|| panic!("no line of the log: {text}"));
        for field in entry.fields {
            assert!(line.contains(&format!(" {}=", field.name)), "{}: {line}", field.name);
        }
    }
    // A field that the catalogue doesn't know is a mistake in an example.
    for reason in Reason::ALL {
        let Example::Line(event, values) = advice(*reason).example else { continue };
        for (name, _) in values {
            let known = event.entry().fields.iter().any(|field| field.name == *name);
            assert!(known, "{reason}: {} has no field {name}", event.msgid());
        }
        for field in event.entry().fields.iter().filter(|field| !field.optional) {
            let left_out = values.contains(&(field.name, ""));
            assert!(!left_out, "{reason}: {} is always there", field.name);
        }
    }
}

#[test]
fn the_examples_of_diagnostics_bring_them_about() {
    let mut tried = 0;
    for entry in codes() {
        let of =
            |result: Result<Diagnostics, Diagnostics>| result.unwrap_or_else(|problems| problems);
        let problems = match entry.example {
            Example::Policy(text) => {
                let sources = [SourceFile::new("a.toml", text)];
                match tools::cases::read_policy(&sources) {
                    Err(problems) => problems,
                    Ok((policy, mut warnings)) => {
                        // 2026-11-22.
                        warnings.extend(tools::lint::lint(&policy, &sources, 1_795_354_043_000));
                        warnings
                    }
                }
            }
            Example::Ot(text) => {
                of(OtConfig::check(SourceFile::new("/none/ot.toml", text)).map(|(_, all)| all))
            }
            Example::It(text) => {
                of(ItConfig::check(SourceFile::new("/none/it.toml", text)).map(|(_, all)| all))
            }
            Example::Console(_) | Example::Line(..) | Example::Words(_) => continue,
        };
        let found: BTreeSet<&str> = problems.iter().map(|problem| problem.code).collect();
        assert!(found.contains(entry.code), "{}: {problems}", entry.code);
        if let Example::Policy(_) = entry.example {
            assert_eq!(found.len(), 1, "{}, and others: {problems}", entry.code);
        }
        tried += 1;
    }
    assert!(tried > 40, "{tried}");
}

#[test]
fn the_examples_of_reasons_are_dropped_for_them() {
    let mut tried = 0;
    for reason in Reason::ALL {
        let Example::Policy(text) = advice(*reason).example else { continue };
        let read = tools::cases::read(&[SourceFile::new("a.toml", text)]);
        let (policy, cases, _) = read.unwrap_or_else(|problems| panic!("{reason}: {problems}"));
        assert!(text.contains(&format!("reason = \"{reason}\"")), "{reason}");
        assert_eq!(cases.len(), 1, "{reason}");
        for one in &cases {
            let report = case::run(&policy, one);
            assert!(report.passed(), "{reason}: {report:?}");
        }
        tried += 1;
    }
    assert!(tried > 15, "{tried}");
}
