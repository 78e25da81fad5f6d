//! What of a status is on the screen, and how wide it is.

use telemetry::status::{
    DropStatus, FORMAT, Health, LastDropStatus, LossStatus, NodeStatus, ObservedStatus, OtReport,
    PathEndStatus, PolicyStatus,
};

use super::*;

fn full() -> Status {
    let mut status = Status {
        format: FORMAT,
        half: "it".into(),
        relay: "plant-a".into(),
        started_ms: 1_000,
        written_ms: 4_000_000,
        every_ms: 2_000,
        policy: Some(PolicyStatus { digest: "ab".repeat(32), rules: 12 }),
        ot: Some(OtStatus {
            journal_bytes: u64::MAX,
            journal_limit_bytes: 1,
            observed: vec![
                ObservedStatus {
                    rule: "o\x1b".repeat(80),
                    action: "deny".into(),
                    metrics: 999_999_999_999,
                };
                9
            ],
            ..OtStatus::default()
        }),
        it: Some(ItStatus {
            link: "silent".into(),
            frames_lost: u64::MAX,
            last_loss: Some(LossStatus {
                first: 1,
                last: 9,
                cause: "retention".into(),
                at_ms: 3_000_000,
            }),
            ends: Some(EndsStatus {
                silent_ms: Some(3_600_000),
                is_silent: true,
                frames_missing: 1_234_567,
                frames_lost: 1_234_567,
                frames_behind: 1_234_567,
                paths: vec![PathEndStatus { name: "p\x1b".repeat(16), down: true }; 8],
            }),
            ot: Some(OtReport { received: 123_456_789, ..OtReport::default() }),
            ..ItStatus::default()
        }),
        health: Health {
            level: Level::Critical,
            reasons: vec!["a\x1b[31m".repeat(40)],
            critical: 1,
        },
        ..Status::default()
    };
    status.nodes.talkers = vec![
        NodeStatus {
            node: "Grüße/\x1b]0;evil\x07\u{202e}".repeat(9),
            received: 12_345_678,
            top_reason: Some("data_before_birth".into()),
            ..NodeStatus::default()
        };
        30
    ];
    status.account.drops = vec![
        DropStatus {
            reason: "data_before_birth".into(),
            rule: Some("r".repeat(128)),
            messages: 1,
            metrics: 99_999_999,
        };
        30
    ];
    status.account.last = vec![
        LastDropStatus {
            at_ms: 3_990_000,
            topic: "spBv1.0/G/NDATA/\x1b]0;evil".repeat(9),
            metric: Some("m\u{202e}".repeat(90)),
            reason: "data_before_birth".into(),
            got: Some("g\x1b".repeat(90)),
            wanted: Some("Int32".into()),
            ..LastDropStatus::default()
        };
        9
    ];
    status
}

const USUAL: Size = Size { columns: 100, rows: None };

fn drawn(status: &Status, now_ms: u64, colour: bool) -> String {
    render(&Shown::from(status), now_ms, Paint::new(colour), USUAL)
}

#[test]
fn it_fits_any_terminal_from_80_columns_and_24_rows_on_with_the_headline() {
    for (columns, rows) in [(80, 24), (80, 12), (110, 30), (200, 60), (93, 24)] {
        for half in ["ot", "it"] {
            let status = Status { half: half.to_owned(), ..full() };
            let size = Size { columns, rows: Some(rows) };
            let text = render(&Shown::from(&status), 4_001_000, Paint::new(false), size);
            assert!(text.lines().count() <= rows, "{columns} x {rows}:\n{text}");
            for line in text.lines() {
                assert!(line.chars().count() <= columns, "{columns}: {line}");
            }
            let first = text.lines().next().unwrap();
            assert!(first.starts_with(&format!(" {} HALF  plant-a", half.to_uppercase())));
            assert!(first.trim_end().ends_with("seen 1.0 s ago"), "{first}");
            assert!(text.contains(" CRITICAL: a"), "{text}");
        }
    }
}

#[test]
fn causes_are_told_worst_first_each_with_its_own_word() {
    let mut status = full();
    status.health = Health::default();
    status.health.add(Level::Warning, "a little");
    status.health.add(Level::Critical, "very much");
    let text = drawn(&status, 4_001_000, false);
    let place = |words: &str| text.find(words).unwrap_or_else(|| panic!("{words}: {text}"));
    assert!(place(" CRITICAL: very much") < place(" WARNING: a little"));
}

#[test]
fn words_are_broken_at_spaces() {
    assert_eq!(wrapped("aa bb cc", 5), ["aa bb", "cc"]);
    assert_eq!(wrapped("", 5), [""]);
    assert_eq!(wrapped("abcdefgh i", 5), ["abcd…", "i"]);
}

#[test]
fn it_fits_into_100_columns_and_nothing_from_the_network_reaches_the_terminal() {
    let text = drawn(&full(), 4_001_000, false);
    for line in text.lines() {
        assert!(line.chars().count() <= USUAL.columns, "{}: {line}", line.chars().count());
        assert!(
            !line.chars().any(|letter| letter.is_control() || letter == '\u{202e}'),
            "{line:?}"
        );
    }
    assert!(text.contains("seen 1.0 s ago"), "{text}");
    assert!(text.contains("last 1 to 9 (retention) 16 min 40 s ago"), "{text}");
    assert!(!text.contains("STALE"), "{text}");
    assert!(text.contains("and 22 more: --json"), "{text}");
    assert!(text.contains(" 10 s ago  data_before_birth "), "{text}");
    assert!(text.contains("ONLY OBSERVED  since 1970") && text.contains("\n denied "), "{text}");
}

#[test]
fn an_old_status_is_called_stale() {
    let text = drawn(&full(), 4_010_001, false);
    assert!(text.contains(" STALE since 1970-01-01T01:06:40.000Z"), "{text}");
    assert!(drawn(&full(), 4_010_001, true).contains("\x1b[31m STALE"));
    assert!(!drawn(&full(), 4_010_000, false).contains("STALE"));
}

#[test]
fn numbers_are_readable() {
    assert_eq!(span(1_250), "1.2 s");
    assert_eq!(span(90_061_000), "1 d 1 h");
    assert_eq!(rough_size(1_023), "1023 B");
    assert_eq!(rough_size(1_572_864), "1.5 MiB");
    assert_eq!(percent(1, 0), "");
}
