//! Rules that open and close by the clock, without a reload.

use account::Reason;
use sparkplug::{DataType, Metric, Value};

use super::bench::{Bench, bd_seq, by_alias, payload, relayed, typed, value_of, verbs};

/// The bench begins at 2023-11-14T22:13:20Z, a Tuesday.
const VENDOR: &str = r#"
    [[rule]]
    name = "always"
    action = "forward"
    group = "G"
    node-only = true
    allow-metrics = "first"

    [[rule]]
    name = "vendor"
    action = "forward"
    group = "G"
    not-before = 2023-11-14T22:14:00Z
    not-after = 2023-11-15T00:15:00+02:00
"#;

fn number(name: &str, alias: u64, value: u32) -> Metric {
    Metric { alias: Some(alias), ..typed(name, DataType::Int32, Value::Int(value)) }
}

#[test]
fn a_window_bears_and_buries_by_the_clock_alone() {
    let mut bench = Bench::new(VENDOR);
    bench.node("NBIRTH", vec![bd_seq(0), number("first", 1, 1), number("second", 2, 2)]);
    assert!(bench.node("DBIRTH/D", vec![number("third", 3, 3)]).is_empty());
    assert!(bench.node("NDATA", vec![by_alias(2, Value::Int(22))]).is_empty());
    assert_eq!(bench.dropped(Reason::NoRule), 2);
    bench.pass(39_900);
    assert!(relayed(&bench.tick()).is_empty());
    assert!(!bench.leaks("second"));
    // 22:14:00.
    bench.pass(100);
    let frames = relayed(&bench.tick());
    assert_eq!(verbs(&frames), "NBIRTH DBIRTH");
    assert_eq!(value_of(&payload(&frames[0]), "second"), Some(Value::Int(22)));
    assert_eq!(verbs(&bench.node("NDATA", vec![by_alias(2, Value::Int(23))])), "NDATA");
    bench.pass(59_900);
    assert!(relayed(&bench.tick()).is_empty());
    // 22:15:00.
    bench.pass(100);
    let frames = relayed(&bench.tick());
    assert_eq!(verbs(&frames), "DDEATH NBIRTH");
    assert!(bench.node("NDATA", vec![by_alias(2, Value::Int(24))]).is_empty());
    bench.pass(3_600_000);
    bench.tick();
    assert_eq!(bench.pipeline.policy().subscriptions().len(), 6);
}

#[test]
fn a_deny_rule_with_hours_denies_in_these_hours_only() {
    let mut bench = Bench::new(
        r#"
        [[rule]]
        name = "all"
        action = "forward"
        group = "G"

        [[rule]]
        name = "not-at-night"
        action = "deny"
        group = "G"
        deny-metrics = "second"
        weekly = { days = "tue", from-utc = "22:14", to-utc = "04:00" }
    "#,
    );
    bench.node("NBIRTH", vec![bd_seq(0), number("first", 1, 1), number("second", 2, 2)]);
    assert_eq!(bench.node("NDATA", vec![by_alias(2, Value::Int(3))]).len(), 1);
    bench.pass(40_000);
    assert_eq!(verbs(&relayed(&bench.tick())), "NBIRTH");
    assert!(bench.node("NDATA", vec![by_alias(2, Value::Int(4))]).is_empty());
    assert_eq!(bench.dropped(Reason::Denied), 1);
    // Over midnight, to 04:00 on Wednesday.
    bench.pass(6 * 3_600_000);
    assert_eq!(verbs(&relayed(&bench.tick())), "NBIRTH");
    assert_eq!(bench.node("NDATA", vec![by_alias(2, Value::Int(5))]).len(), 1);
}

#[test]
fn a_policy_that_nobody_told_the_time_forwards_nothing_of_scheduled_rules() {
    let policy = super::bench::policy(VENDOR);
    let vendor = &policy.rules()[1];
    assert!(!vendor.acts());
    let mut policy = policy.clone();
    assert!(policy.set_time(1_700_000_000_000).is_empty());
    assert_eq!(policy.set_time(1_700_000_040_000).len(), 1);
    assert!(policy.rules()[1].acts());
    // A clock that is set back is believed.
    assert_eq!(policy.set_time(1_700_000_000_000).len(), 1);
}
