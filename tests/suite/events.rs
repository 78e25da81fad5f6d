//! Every event of the catalogue is triggered by a test, and the test says on which tier:
//!
//! | tier | the trigger |
//! |---|---|
//! | running | a half that runs, and its log: [`assert_triggered`], [`Relay::wait_for_event`](crate::relay::Relay::wait_for_event) |
//! | code | the code that tells it, called by a unit test: `capture::triggered` |
//!
//! All of these fail where the event didn't happen, and name it, so that the list of what is
//! triggered can be read from the source. An event that no running half can be brought to tell is
//! in [`CODE_ONLY`], with the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

use telemetry::Event;

/// Events that only code can trigger, and why.
const CODE_ONLY: &[(Event, &str)] = &[
    (
        Event::AccountImbalance,
        "it takes a mistake of ours: the unit test makes the mistake in a ledger",
    ),
    (
        Event::FrameTooLarge,
        "it takes a mistake of ours: what no frame can hold is PAYLOAD_REFUSED before (over_cap)",
    ),
    (
        Event::CertNeedsRestart,
        "it takes a half that root starts, with files that root alone can read",
    ),
    (
        Event::Mistake,
        "it takes a mistake of ours: the unit test counts one without being in a state that can't be",
    ),
];

/// Asserts that this event is in a half's log.
#[track_caller]
pub(crate) fn assert_triggered(log: &str, event: Event) {
    let msgid = format!(": {} ", event.msgid());
    assert!(log.contains(&msgid), "no {} in:\n{log}", event.msgid());
}

/// Files with a trigger, by tier.
#[derive(Default)]
struct Triggers {
    running: BTreeSet<String>,
    code: BTreeSet<String>,
}

#[test]
fn every_event_is_triggered_by_a_half_that_runs_or_says_why_not() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut triggers: BTreeMap<String, Triggers> = BTreeMap::new();
    for base in ["src", "tests/suite"] {
        collect(root, &root.join(base), &mut triggers);
    }
    let mut table = String::new();
    let mut wrong = Vec::new();
    for event in Event::ALL {
        let found = triggers.remove(&format!("{event:?}")).unwrap_or_default();
        let Triggers { running, code } = found;
        let exception = CODE_ONLY.iter().find(|(only, _)| only == event);
        let tier = if !running.is_empty() {
            "running"
        } else if !code.is_empty() {
            "code"
        } else {
            "NONE"
        };
        let files: Vec<&str> = running.union(&code).map(String::as_str).collect();
        writeln!(table, "{:<24} {tier:<8} {}", event.msgid(), files.join(" ")).unwrap();
        match exception {
            None if tier != "running" => wrong.push(format!("{} has {tier}", event.msgid())),
            Some((_, why)) if tier != "code" => {
                wrong.push(format!("{} has {tier}, and is to have code: {why}", event.msgid()));
            }
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "wanted a running half: {wrong:#?}\n{table}");
    assert!(triggers.is_empty(), "no events: {:?}", triggers.keys());
}

/// Finds `Event::NAME` in the arguments of the asserting functions, in every Rust file below.
fn collect(root: &Path, path: &Path, triggers: &mut BTreeMap<String, Triggers>) {
    /// And whether a half runs.
    const ASSERTING: [(&str, bool); 3] =
        [("assert_triggered(", true), ("wait_for_event(", true), (" triggered(", false)];
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            collect(root, &entry.unwrap().path(), triggers);
        }
        return;
    }
    if path.extension().is_none_or(|extension| extension != "rs") {
        return;
    }
    let text = fs::read_to_string(path).unwrap();
    let shown = path.strip_prefix(root).unwrap_or(path).display().to_string();
    for (call, runs) in ASSERTING {
        for (at, _) in text.match_indices(call) {
            let call = text[at..].split(';').next().unwrap_or_default();
            for name in call.split("Event::").skip(1) {
                let name: String = name.chars().take_while(char::is_ascii_alphanumeric).collect();
                let of_event = triggers.entry(name).or_default();
                let files = if runs { &mut of_event.running } else { &mut of_event.code };
                files.insert(shown.clone());
            }
        }
    }
}
