//! What root gets to see of a status file that a half wrote which was taken over.

use std::fs::{self, File};
use std::os::unix::fs::{chown, symlink};

use serde_json::Value;
use telemetry::status::{
    CertificateStatus, DropStatus, EndsStatus, Health, ItStatus, LastDropStatus, LossStatus,
    NodeStatus, ObservedStatus, OtReport, OtStatus, PathEndStatus, PolicyStatus, ReceivePathStatus,
    ReceiveStatus, ReloadRefused, RuleStatus, SendPathStatus, SendStatus, Status, WindowStatus,
};
use text::{Paint, is_treacherous};

use super::*;

const HOSTILE: &str = "\u{1b}]0;evil\u{7}\u{9b}2J\r\n\u{202e}\u{7f}\u{85}";

/// Every field that a status can have, each with something in it.
fn full() -> Status {
    let drops = vec![DropStatus { rule: Some("r".into()), ..DropStatus::default() }];
    let mut status = Status {
        format: FORMAT,
        policy: Some(PolicyStatus::default()),
        certificate: Some(CertificateStatus::default()),
        reload_refused: Some(ReloadRefused::default()),
        ot: Some(OtStatus {
            observed: vec![ObservedStatus::default()],
            rules: vec![RuleStatus {
                window: Some(WindowStatus::default()),
                ..RuleStatus::default()
            }],
            ..OtStatus::default()
        }),
        it: Some(ItStatus {
            last_loss: Some(LossStatus::default()),
            ends: Some(EndsStatus {
                silent_ms: Some(1),
                paths: vec![PathEndStatus::default()],
                ..EndsStatus::default()
            }),
            ot: Some(OtReport { drops: drops.clone(), ..OtReport::default() }),
            ..ItStatus::default()
        }),
        health: Health { reasons: vec![String::new()], ..Health::default() },
        ..Status::default()
    };
    status.account.imbalance = Some(String::new());
    status.account.reasons = drops.clone();
    status.account.drops = drops;
    let text = || Some(String::new());
    status.account.last = vec![LastDropStatus {
        metric: text(),
        rule: text(),
        got: text(),
        wanted: text(),
        ..LastDropStatus::default()
    }];
    status.nodes.talkers =
        vec![NodeStatus { top_reason: Some(String::new()), ..NodeStatus::default() }];
    status
}

/// The same of the ends of a link.
fn full_ends() -> [Status; 2] {
    let text = || Some(String::new());
    let end = || Status {
        format: FORMAT,
        health: Health { reasons: vec![String::new()], ..Health::default() },
        ..Status::default()
    };
    let path = SendPathStatus { error: text(), ..SendPathStatus::default() };
    let send = SendStatus { paths: vec![path], ..SendStatus::default() };
    let path = ReceivePathStatus { error: text(), down: true, ..ReceivePathStatus::default() };
    let receive = ReceiveStatus {
        keys: vec![String::new(); 2],
        clock_ahead_ms: Some(-5),
        missing: vec![(1, 2), (4, 4)],
        paths: vec![path],
        ..ReceiveStatus::default()
    };
    [Status { send: Some(send), ..end() }, Status { receive: Some(receive), ..end() }]
}

/// Puts hostile text into every string but the level of health, which is one of three words; how many.
fn poison(value: &mut Value) -> usize {
    match value {
        Value::String(text) if text == "ok" => 0,
        Value::String(text) => {
            *text = HOSTILE.to_owned();
            1
        }
        Value::Array(values) => values.iter_mut().map(poison).sum(),
        Value::Object(fields) => fields.values_mut().map(poison).sum(),
        _ => 0,
    }
}

fn is_safe(text: &str) -> bool {
    text.lines().all(|line| !line.chars().any(is_treacherous))
}

#[test]
fn no_text_of_a_status_file_reaches_the_terminal_as_it_is() {
    for (status, texts) in [full()].iter().chain(&full_ends()).zip([20, 8, 9]) {
        reaches_no_terminal(status, texts);
    }
}

fn reaches_no_terminal(status: &Status, texts: usize) {
    let mut value = serde_json::to_value(status).unwrap();
    let poisoned = poison(&mut value);
    assert!(poisoned >= texts, "{poisoned}");
    // As a serialiser writes it that escapes nothing of it.
    let json = value.to_string();
    assert!(json.contains('\u{9b}'));
    let shown = Shown::parse(&json).unwrap();
    let size = Size { columns: 100, rows: None };
    let text = view::render(&shown, 0, Paint::new(false), size);
    assert!(text.contains("u{1b}]0;evil") && is_safe(&text), "{text}");
    let safe = escape_json(&json);
    assert!(is_safe(&safe), "{safe}");
    assert_eq!(serde_json::from_str::<Value>(&safe).unwrap(), value, "it means the same");
}

#[test]
fn a_word_that_a_status_can_not_have_is_refused_without_being_shown_as_it_is() {
    let mut value = serde_json::to_value(full()).unwrap();
    value["health"]["level"] = HOSTILE.into();
    let error = Shown::parse(&value.to_string()).unwrap_err().to_string();
    assert!(error.contains("unknown variant") && is_safe(&error), "{error:?}");
}

#[test]
fn only_a_file_that_the_half_has_made_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let place = Place { directory: directory.path().to_owned(), user: None };
    let fails = || format!("{:?}", place.read().unwrap_err());
    let path = place.file();
    assert!(fails().contains("has it been started?"));
    fs::write(directory.path().join("real"), "{}").unwrap();
    symlink("real", &path).unwrap();
    assert!(fails().contains("is a symbolic link"));
    fs::remove_file(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert!(fails().contains("is a FIFO"));
    fs::remove_file(&path).unwrap();
    File::create(&path).unwrap().set_len(MAX_STATUS_BYTES + 1).unwrap();
    assert!(fails().contains("file too large"));
    fs::write(&path, b"\xff").unwrap();
    assert!(fails().contains("not a status file"));
    fs::write(&path, "{}").unwrap();
    assert_eq!(place.read().unwrap(), "{}");
    // Only root can give files away.
    if chown(&path, Some(64_001), None).is_ok() {
        assert!(fails().contains("belongs to user 64001"));
        let named = Place { directory: place.directory.clone(), user: Some(64_001) };
        assert_eq!(named.read().unwrap(), "{}");
    }
}
