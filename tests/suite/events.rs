//! Every event of the catalogue is triggered by a test. A test that triggers one ends in
//! [`assert_triggered`], [`Relay::wait_for_event`](crate::relay::Relay::wait_for_event), or in the
//! unit tests' `capture::triggered`: all of these fail where the event didn't happen, and name it,
//! so that the list of what is triggered can be read from the source.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use sparkdiode::telemetry::Event;

/// Asserts that this event is in a half's log.
#[track_caller]
pub(crate) fn assert_triggered(log: &str, event: Event) {
    let msgid = format!(": {} ", event.msgid());
    assert!(log.contains(&msgid), "no {} in:\n{log}", event.msgid());
}

#[test]
fn every_event_has_a_test_that_triggers_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut triggers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for base in ["src", "tests/suite"] {
        collect(&root.join(base), &mut triggers);
    }
    let names: Vec<String> = Event::ALL.iter().map(|event| format!("{event:?}")).collect();
    let missing: Vec<&String> = names.iter().filter(|name| !triggers.contains_key(*name)).collect();
    assert!(missing.is_empty(), "no test triggers {missing:?}");
    for name in triggers.keys() {
        assert!(names.contains(name), "{name} is no event");
    }
}

/// Finds `Event::NAME` in the arguments of the asserting functions, in every Rust file below.
fn collect(path: &Path, triggers: &mut BTreeMap<String, BTreeSet<String>>) {
    const ASSERTING: [&str; 3] = ["assert_triggered(", "wait_for_event(", "triggered("];
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            collect(&entry.unwrap().path(), triggers);
        }
        return;
    }
    if path.extension().is_none_or(|extension| extension != "rs") {
        return;
    }
    let text = fs::read_to_string(path).unwrap();
    for call in ASSERTING {
        for (at, _) in text.match_indices(call) {
            let call = text[at..].split(';').next().unwrap_or_default();
            for name in call.split("Event::").skip(1) {
                let name: String = name.chars().take_while(char::is_ascii_alphanumeric).collect();
                triggers.entry(name).or_default().insert(path.display().to_string());
            }
        }
    }
}
