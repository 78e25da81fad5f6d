//! What is logged, and how a line of it looks.

#![expect(clippy::arithmetic_side_effects, reason = "numbers of a test")]

use std::sync::Mutex;
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::event;
use crate::style::OWN_TARGET;

fn logged(ansi: bool, log: impl FnOnce()) -> String {
    filtered("info", ansi, log)
}

fn filtered(filter: &str, ansi: bool, log: impl FnOnce()) -> String {
    let text = Arc::new(Mutex::new(String::new()));
    let sink = Arc::clone(&text);
    let now = UNIX_EPOCH + Duration::from_millis(1_795_354_043_123);
    let filter = EnvFilter::builder().parse(filter).unwrap();
    let hub = Arc::new(Hub::new(
        Style { half: "ot", ansi },
        Box::new(move || (now, Duration::ZERO)),
        Box::new(move |line| sink.lock().unwrap().push_str(&line)),
        &filter,
        Vec::new(),
    ));
    let subscriber = tracing_subscriber::registry().with(HubLayer::new(Arc::clone(&hub), filter));
    tracing::subscriber::with_default(subscriber, log);
    hub.finish();
    drop(hub);
    std::mem::take(&mut *text.lock().unwrap())
}

#[test]
fn an_event_of_the_catalogue_shows_its_msgid() {
    let line = logged(false, || {
        event!(BrokerUp, broker = "10.10.0.5:8883", session_present = true);
    });
    assert_eq!(
        line,
        "2026-11-22T13:27:23.123Z  INFO ot: BROKER_UP connected broker=10.10.0.5:8883 \
         session_present=true\n"
    );
    let quiet = filtered("error", false, || {
        event!(BrokerUp, broker = "10.10.0.5:8883");
        event!(PolicyRefused, error = "bad");
    });
    assert!(quiet.contains("ERROR ot: POLICY_REFUSED"), "{quiet}");
    assert!(!quiet.contains("BROKER_UP"), "{quiet}");
}

#[test]
fn a_flood_is_few_lines_with_the_right_total() {
    let lines = logged(false, || {
        for _ in 0..1_000 {
            event!(SequenceGap, node = "Plant/Line \n4");
        }
    });
    assert_eq!(lines.lines().count(), 11, "{lines}");
    assert!(lines.contains("SEQUENCE_GAP repeated 990 times in 0 s, first 2026"), "{lines}");
    assert!(lines.contains("node=\"Plant/Line \\n4\" repeated=990"), "{lines}");
}

#[test]
fn an_event_is_one_readable_line() {
    let line = logged(false, || {
        tracing::info!(target: OWN_TARGET, address = "10.10.0.5:8883", sessions = 3, name = "a b", "connected");
    });
    assert_eq!(
        line,
        "2026-11-22T13:27:23.123Z  INFO ot: connected address=10.10.0.5:8883 sessions=3 \
         name=\"a b\"\n"
    );
    let line = logged(false, || tracing::warn!(target: "rumqttc::state", "odd"));
    assert_eq!(line, "2026-11-22T13:27:23.123Z  WARN ot rumqttc: odd\n");
    let line = logged(false, || tracing::warn!(target: "ot", "odd"));
    assert_eq!(line, "2026-11-22T13:27:23.123Z  WARN ot: odd\n");
    assert!(
        logged(true, || tracing::error!(target: OWN_TARGET, "bad"))
            .contains("\x1b[31mERROR\x1b[0m ot: bad")
    );
}

#[test]
fn foreign_text_stays_on_its_line_and_in_its_field() {
    let topic = "a\n2026-11-22T13:27:23.123Z ERROR ot: forged x=\"1";
    let line = logged(false, || {
        tracing::info!(topic, debug = ?topic, display = %topic, "got {topic}");
    });
    assert_eq!(line.matches('\n').count(), 1, "{line}");
    assert!(
        line.contains(r#"topic="a\n2026-11-22T13:27:23.123Z ERROR ot: forged x=\"1""#),
        "{line}"
    );
    let long = "x".repeat(100_000);
    assert!(logged(false, || tracing::info!(long, "{long}")).len() < 2_000);
}

#[test]
fn errors_are_logged_with_their_causes() {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot connect")]
    struct Outer(#[source] io::Error);
    let error = Outer(io::Error::other("refused"));
    let line = logged(false, || {
        tracing::warn!(error = &error as &dyn std::error::Error, "retrying");
    });
    assert!(line.ends_with("retrying error=\"cannot connect: refused\"\n"), "{line}");
}

#[test]
fn a_bad_filter_is_an_error_that_quotes_it() {
    let error = init("ot", Some("sparkdiode=loud"), Vec::new()).unwrap_err();
    assert!(error.to_string().starts_with("bad log filter `sparkdiode=loud`: "), "{error}");
}
