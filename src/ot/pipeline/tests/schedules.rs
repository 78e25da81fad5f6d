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

/// Sends a message of G/E with this `seq`.
fn numbered(bench: &mut Bench, seq: u64, value: u32) -> Vec<journal_format::Relayed> {
    bench.seq = seq;
    bench.node("NDATA", vec![by_alias(2, Value::Int(value))])
}

#[test]
fn a_message_is_judged_by_the_windows_in_which_it_came_and_not_by_those_of_the_last_tick() {
    let mut bench = Bench::new(VENDOR);
    bench.node("NBIRTH", vec![bd_seq(0), number("first", 1, 1), number("second", 2, 2)]);
    // 22:14:00, and nobody ticked since.
    bench.pass(40_000);
    assert_eq!(verbs(&numbered(&mut bench, 1, 21)), "NBIRTH NDATA");
    // 22:15:00.
    bench.pass(60_000);
    assert_eq!(verbs(&numbered(&mut bench, 2, 0x5EC0_0001)), "NBIRTH");
    assert_eq!(bench.dropped(Reason::NoRule), 1);
}

#[test]
fn after_a_stall_each_message_is_judged_by_its_own_time() {
    let mut bench = Bench::new(VENDOR);
    let opens = bench.now.wall_ms + 40_000;
    bench.node("NBIRTH", vec![bd_seq(0), number("first", 1, 1), number("second", 2, 2)]);
    // Ten minutes of a full disk: all of these came meanwhile.
    bench.pass(600_000);
    let mut crossed = Vec::new();
    for (seq, at) in [(1, opens - 1), (2, opens), (3, opens + 59_999), (4, opens + 60_000)] {
        bench.pipeline.judge_as_of(at);
        let frames = numbered(&mut bench, seq, u32::try_from(seq).unwrap());
        crossed.push(verbs(&frames));
    }
    assert_eq!(crossed, ["", "NBIRTH NDATA", "NDATA", "NBIRTH"]);
    let values: Vec<_> = [2_u32, 3].map(Value::Int).to_vec();
    let told = bench.journal.iter().filter_map(|body| match body {
        journal_format::Body::Relayed(relayed) if relayed.topic.contains("NDATA") => {
            value_of(&payload(relayed), "second")
        }
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), values);
    // The next tick doesn't open what is over.
    bench.pipeline.judge_as_of(bench.now.wall_ms);
    assert!(relayed(&bench.tick()).is_empty());
}

#[test]
fn what_waits_for_its_turn_is_judged_by_the_windows_in_which_it_came() {
    // Opens while they wait: they came when it was closed.
    let mut bench = Bench::new(VENDOR);
    bench.node("NBIRTH", vec![bd_seq(0), number("first", 1, 1), number("second", 2, 2)]);
    bench.pass(39_500);
    assert!(numbered(&mut bench, 2, 22).is_empty());
    assert_eq!(bench.pipeline.account().waiting, 1);
    bench.pass(600);
    assert_eq!(verbs(&relayed(&bench.tick())), "NBIRTH");
    assert_eq!(bench.pipeline.account().waiting, 0);
    assert_eq!(bench.dropped(Reason::NoRule), 1);
    // Closes while they wait: they came when it was open.
    bench.pass(59_000);
    assert_eq!(verbs(&numbered(&mut bench, 3, 23)), "NDATA");
    assert!(numbered(&mut bench, 5, 25).is_empty());
    bench.pass(1_000);
    let frames = relayed(&bench.tick());
    assert_eq!(verbs(&frames), "NDATA NBIRTH");
    assert_eq!(value_of(&payload(&frames[0]), "second"), Some(Value::Int(25)));
    assert_eq!(bench.dropped(Reason::NoRule), 1);
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

#[test]
fn a_value_that_waited_when_a_policy_hid_it_is_the_one_that_a_window_shows() {
    let mut bench = Bench::new(
        "[[rule]]\nname = \"slow\"\naction = \"forward\"\ngroup = \"G\"\n\
         [rule.rate]\nmessages-per-s = 0.1\nburst-messages = 1\n",
    );
    bench.node("NBIRTH", vec![bd_seq(0), number("first", 1, 1), number("second", 2, 2)]);
    assert_eq!(bench.node("NDATA", vec![by_alias(2, Value::Int(3))]).len(), 1);
    bench.node("NDATA", vec![by_alias(1, Value::Int(1))]);
    assert!(bench.node("NDATA", vec![by_alias(2, Value::Int(4))]).is_empty(), "it waits");
    bench.reload(VENDOR);
    bench.tick();
    assert_eq!(bench.dropped(Reason::NoRule), 1);
    bench.pass(40_000);
    let frames = relayed(&bench.tick());
    assert_eq!(verbs(&frames), "NBIRTH");
    assert_eq!(value_of(&payload(&frames[0]), "second"), Some(Value::Int(4)));
}
