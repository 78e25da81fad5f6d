//! Messages whose numbers fit by chance, or don't, where more is known than the number says.

use account::Reason;
use journal_format::Body;
use prost::Message;
use sparkplug::{DataType, Metric, Payload, Value};

use super::bench::{ALL, Bench, bd_seq, by_name, keyframe, typed, value_of, verbs, wait};

const NODE: &str = "spBv1.0/G/NBIRTH/E";
const DEVICE: &str = "spBv1.0/G/DBIRTH/E/D";
const DATA: &str = "spBv1.0/G/NDATA/E";

fn number(name: &str, value: u32) -> Metric {
    typed(name, DataType::Int32, Value::Int(value))
}

fn birth(session: u64, x: u32) -> Vec<Metric> {
    vec![bd_seq(session), number("x", x), number("y", x)]
}

fn data(name: &str, value: u32) -> Vec<Metric> {
    vec![by_name(name, Value::Int(value))]
}

/// A message that was sent at `sent` milliseconds.
fn send(bench: &mut Bench, topic: &str, seq: u64, sent: u64, metrics: Vec<Metric>) -> String {
    let payload = Payload { timestamp: Some(sent), seq: Some(seq), metrics, ..Payload::default() };
    verbs(&bench.send(topic, &payload))
}

fn dies(bench: &mut Bench, session: u64, sent: u64) -> String {
    let metrics = vec![bd_seq(session)];
    let payload = Payload { timestamp: Some(sent), metrics, ..Payload::default() };
    verbs(&bench.send("spBv1.0/G/NDEATH/E", &payload))
}

fn is_doubted(bench: &Bench) -> bool {
    keyframe(bench, NODE).unwrap().uncertain
}

/// What data said of a metric, in order: its value, and whether readers take it for the current one and
/// for good.
fn told(bench: &Bench, name: &str) -> Vec<(u32, bool)> {
    let of = |body: &Body| match body {
        Body::Relayed(relayed) if relayed.topic == DATA => {
            let payload = Payload::decode(relayed.payload.as_slice()).unwrap();
            let is_late = |metric: &Metric| metric.is_historical == Some(true);
            let late = payload.metrics.iter().any(is_late);
            let is_it = |metric: &&Metric| metric.name.as_deref() == Some(name);
            match payload.metrics.iter().find(is_it)?.value {
                Some(Value::Int(value)) => Some((value, !relayed.outdated && !late)),
                _ => None,
            }
        }
        _ => None,
    };
    bench.journal.iter().filter_map(of).collect()
}

#[test]
fn the_death_of_an_earlier_session_ends_no_waiting() {
    let mut bench = Bench::new(ALL);
    let sent = bench.now.wall_ms;
    send(&mut bench, NODE, 0, sent, birth(1, 1));
    send(&mut bench, NODE, 0, sent + 10, birth(2, 2));
    assert_eq!(send(&mut bench, DATA, 2, sent + 12, data("x", 12)), "");
    assert_eq!(dies(&mut bench, 1, sent), "");
    assert_eq!(told(&bench, "x"), [], "it waits for the one before it");
    assert_eq!(send(&mut bench, DATA, 1, sent + 11, data("x", 11)), "NDATA NDATA");
    assert_eq!(told(&bench, "x"), [(11, true), (12, true)]);
    assert!(!is_doubted(&bench));
    // What nobody sends any more is missing.
    send(&mut bench, DATA, 4, sent + 14, data("x", 14));
    dies(&mut bench, 1, sent);
    wait(&mut bench);
    assert_eq!(told(&bench, "x").last(), Some(&(14, true)));
    assert!(is_doubted(&bench));
    // Its own death ends it: what it sent before is judged before.
    send(&mut bench, DATA, 6, sent + 16, data("x", 16));
    assert_eq!(dies(&mut bench, 2, sent), "NDATA NDEATH");
}

#[test]
fn data_that_is_older_than_what_its_birth_came_too_late_for_stays_in_doubt() {
    // By its number the newer one was of the session before.
    for (is_newer, later) in [(true, 30), (true, 20), (false, 15)] {
        let mut bench = Bench::new(ALL);
        let sent = bench.now.wall_ms;
        send(&mut bench, NODE, 0, sent, birth(1, 1));
        send(&mut bench, DATA, 1, sent + 5, data("x", 5));
        send(&mut bench, DATA, 2, sent + later, data("x", 12));
        send(&mut bench, NODE, 0, sent + 10, birth(1, 6));
        assert!(is_doubted(&bench), "{later}");
        send(&mut bench, DATA, 1, sent + 20, data("x", 9));
        assert_eq!(told(&bench, "x").last(), Some(&(9, !is_newer)), "{later}");
        // What is newer still is good.
        send(&mut bench, DATA, 2, sent + 40, data("x", 40));
        assert_eq!(told(&bench, "x").last(), Some(&(40, true)), "{later}");
    }
}

#[test]
fn an_older_birth_of_a_device_makes_nobody_forget_a_newer_one() {
    let mut bench = Bench::new(ALL);
    let sent = bench.now.wall_ms;
    send(&mut bench, DEVICE, 1, sent + 10, vec![number("x", 2)]);
    wait(&mut bench);
    send(&mut bench, DEVICE, 1, sent, vec![number("x", 1)]);
    assert_eq!(send(&mut bench, NODE, 0, sent + 10, birth(1, 0)), "NBIRTH DBIRTH");
    let shown = keyframe(&bench, DEVICE).expect("it lives");
    let payload = Payload::decode(shown.payload.as_slice()).unwrap();
    assert_eq!(value_of(&payload, "x"), Some(Value::Int(2)));
    assert!(shown.uncertain);
}

#[test]
fn a_number_behind_that_of_a_birth_is_of_its_session_whatever_the_clock_says() {
    // Births go on with the sequence, or begin it anew: then it may be of the session before.
    for (first, is_shown) in [(200, true), (0, false)] {
        let mut bench = Bench::new(ALL);
        let sent = bench.now.wall_ms;
        send(&mut bench, NODE, first, sent, birth(1, 0));
        send(&mut bench, DEVICE, first + 1, sent, vec![number("x", 1)]);
        send(&mut bench, "spBv1.0/G/DDEATH/E/D", first + 2, sent, vec![]);
        // One is lost, and the clock was set back.
        send(&mut bench, DEVICE, first + 4, sent - 500, vec![number("x", 2)]);
        wait(&mut bench);
        assert_eq!(keyframe(&bench, DEVICE).is_some(), is_shown, "{first}");
    }
}

#[test]
fn what_is_behind_the_first_number_that_was_heard_and_no_newer_begins_no_session() {
    for (later, is_session) in [(0, false), (5, false), (90_000, true)] {
        let mut bench = Bench::new(ALL);
        let sent = bench.now.wall_ms;
        send(&mut bench, NODE, 0, sent, birth(1, 0));
        bench.pipeline.disconnected(bench.now);
        bench.pipeline.session(bench.now, false);
        bench.tick();
        send(&mut bench, DATA, 37, sent + 100_000, data("x", 37));
        for number in [36, 35] {
            let value = u32::try_from(number).unwrap();
            send(&mut bench, DATA, number, sent + 100_000 - later, data("x", value));
        }
        wait(&mut bench);
        let wanted =
            if is_session { [35, 36].map(|x| (x, true)) } else { [35, 36].map(|x| (x, false)) };
        assert_eq!(told(&bench, "x")[1..], wanted, "{later}");
        // The order goes on.
        let next = if is_session { 37 } else { 38 };
        assert_eq!(send(&mut bench, DATA, next, sent + 100_001, data("y", 38)), "NDATA");
    }
}

#[test]
fn what_comes_late_is_doubted_as_long_as_more_is_missing_behind_it() {
    let mut bench = Bench::new(ALL);
    let sent = bench.now.wall_ms;
    send(&mut bench, NODE, 0, sent, birth(1, 0));
    send(&mut bench, DATA, 1, sent + 1, data("x", 1));
    send(&mut bench, DATA, 5, sent + 5, data("x", 5));
    wait(&mut bench);
    assert!(is_doubted(&bench));
    // 3 and 4 may have said something newer.
    send(&mut bench, DATA, 2, sent + 2, data("y", 2));
    assert_eq!(told(&bench, "y"), [(2, false)]);
    send(&mut bench, DATA, 4, sent + 4, data("y", 4));
    assert_eq!(told(&bench, "y").last(), Some(&(4, true)));
    send(&mut bench, DATA, 3, sent + 3, data("x", 3));
    assert_eq!(told(&bench, "x").last(), Some(&(3, false)), "it is history");
}

#[test]
fn what_is_delivered_again_and_says_that_it_was_sent_before_its_birth_proves_nothing() {
    for (back, is_proof) in [(0, true), (20_000, false)] {
        let mut bench = Bench::new(ALL);
        bench.assured = true;
        let sent = bench.now.wall_ms;
        send(&mut bench, NODE, 0, sent, birth(1, 0));
        let (stored, stored_at) = (bench.pipeline.store(0), bench.journal.len());
        bench.restart(stored, stored_at, ALL);
        bench.pipeline.session(bench.now, true);
        bench.tick();
        for seq in 1..3 {
            let sent = sent + seq - back;
            let metrics = data("x", u32::try_from(seq).unwrap());
            let payload =
                Payload { timestamp: Some(sent), seq: Some(seq), metrics, ..Payload::default() };
            bench.deliver(DATA, &payload, false, true);
        }
        send(&mut bench, DATA, 3, sent + 10, data("y", 3));
        assert_eq!(is_doubted(&bench), !is_proof, "{back}");
    }
}

#[test]
fn what_waits_for_others_when_a_birth_comes_may_be_behind_it_where_a_clock_was_set() {
    // Nothing that is missing, and times that say it, are clear.
    for (back, is_clear) in [(20_000, false), (500, true)] {
        let mut bench = Bench::new(ALL);
        let sent = bench.now.wall_ms;
        send(&mut bench, NODE, 0, sent, birth(1, 1));
        send(&mut bench, DATA, 3, sent - back + 30, data("y", 9));
        send(&mut bench, NODE, 0, sent + 10, birth(2, 2));
        assert_eq!(is_doubted(&bench), !is_clear, "{back}");
        send(&mut bench, DATA, 1, sent - back + 20, data("y", 7));
        assert_eq!(told(&bench, "y").last(), Some(&(7, false)), "{back}");
    }
}

#[test]
fn a_birth_of_a_device_that_comes_late_is_doubted_as_long_as_more_is_missing_behind_it() {
    for is_all_there in [false, true] {
        let mut bench = Bench::new(ALL);
        let sent = bench.now.wall_ms;
        send(&mut bench, NODE, 0, sent, birth(1, 1));
        send(&mut bench, DEVICE, 1, sent, vec![number("x", 1)]);
        send(&mut bench, DATA, 4, sent + 4, data("x", 4));
        wait(&mut bench);
        if is_all_there {
            send(&mut bench, DATA, 3, sent + 3, data("x", 3));
        }
        send(&mut bench, DEVICE, 2, sent + 2, vec![number("x", 2)]);
        assert_eq!(keyframe(&bench, DEVICE).unwrap().uncertain, !is_all_there);
    }
}

#[test]
fn a_birth_of_a_device_that_seems_to_be_of_before_the_birth_in_force_is_kept_for_the_next_one() {
    let mut bench = Bench::new(ALL);
    let sent = bench.now.wall_ms;
    send(&mut bench, NODE, 0, sent, birth(1, 1));
    send(&mut bench, DATA, 1, sent, data("x", 1));
    send(&mut bench, DATA, 2, sent, data("x", 2));
    // The clock was set back.
    assert_eq!(send(&mut bench, DEVICE, 1, sent - 490, vec![number("x", 5)]), "");
    assert_eq!(bench.dropped(account::Reason::Late), 1);
    assert_eq!(send(&mut bench, NODE, 0, sent - 490, birth(1, 3)), "NBIRTH DBIRTH");
    assert!(keyframe(&bench, DEVICE).unwrap().uncertain);
}

#[test]
fn a_contradiction_is_no_proof_and_three_are_as_long_as_the_order_does_not_begin_anew() {
    for (begins, times) in [("session", 3), ("birth", 3), ("", 3), ("", 1)] {
        let mut bench = Bench::new(ALL);
        let sent = bench.now.wall_ms;
        send(&mut bench, NODE, 0, sent, birth(1, 1));
        for seq in (4..).step_by(4).take(times) {
            send(&mut bench, DATA, seq, sent + seq, data("x", 4));
            send(&mut bench, DATA, seq, sent + seq, data("y", 4));
        }
        match begins {
            "session" => {
                bench.pipeline.disconnected(bench.now);
                bench.pipeline.session(bench.now, false);
                bench.tick();
                send(&mut bench, DATA, 18, sent + 19, data("x", 8));
            }
            "birth" => drop(send(&mut bench, NODE, 18, sent + 19, birth(2, 8))),
            _ => drop(send(&mut bench, DATA, 18, sent + 19, data("x", 8))),
        }
        let is_waiting = send(&mut bench, DATA, 21, sent + 21, data("x", 11)).is_empty();
        assert_eq!(is_waiting, !begins.is_empty() || times == 1, "{begins}");
    }
}

#[test]
fn a_number_that_was_given_up_and_is_the_newest_may_be_of_a_session_that_began_unseen() {
    for (newest, is_doubted_again) in [(true, true), (false, false)] {
        let mut bench = Bench::new(ALL);
        let sent = bench.now.wall_ms;
        send(&mut bench, NODE, 0, sent, birth(1, 1));
        send(&mut bench, DATA, 18, sent + 18, data("x", 18));
        wait(&mut bench);
        let losses = keyframe(&bench, NODE).unwrap().losses;
        // The number fits no hole of the node that is waited for; its births were lost.
        send(&mut bench, DATA, 17, if newest { sent + 5_000 } else { sent + 17 }, data("y", 17));
        let shown = keyframe(&bench, NODE).unwrap();
        assert_eq!(shown.losses > losses, is_doubted_again);
        assert_eq!(bench.pipeline.counters().gaps, 1, "and it is no gap");
        assert_eq!(told(&bench, "y"), [(17, true)]);
        // The order goes on.
        assert_eq!(send(&mut bench, DATA, 19, sent + 5_001, data("y", 19)), "NDATA");
    }
}

#[test]
fn a_late_value_of_a_metric_that_no_rule_let_cross_until_now_may_not_be_the_newest() {
    let some =
        "[[rule]]\nname = \"x\"\naction = \"forward\"\ngroup = \"G\"\nallow-metrics = \"x\"\n";
    let mut bench = Bench::new(some);
    let sent = bench.now.wall_ms;
    send(&mut bench, NODE, 0, sent, birth(1, 1));
    send(&mut bench, DATA, 2, sent + 2, data("y", 2));
    wait(&mut bench);
    bench.reload(ALL);
    assert_eq!(send(&mut bench, DATA, 1, sent + 1, data("y", 1)), "NDATA");
    assert_eq!(told(&bench, "y"), [(1, false)]);
    assert_eq!(send(&mut bench, DATA, 3, sent + 3, data("y", 3)), "NDATA");
    assert_eq!(told(&bench, "y").last(), Some(&(3, true)));
}

/// A broker sends one for each subscription that fits, or a network doubles it.
#[test]
fn copies_of_what_waited_for_a_birth_are_copies() {
    let mut bench = Bench::new(ALL);
    let sent = bench.now.wall_ms;
    for number in [1_u32, 1, 2] {
        let sent = sent + u64::from(number);
        assert_eq!(send(&mut bench, DATA, u64::from(number), sent, data("x", number)), "");
    }
    assert_eq!(send(&mut bench, NODE, 0, sent, birth(1, 0)), "NBIRTH NDATA NDATA");
    assert_eq!(send(&mut bench, DATA, 1, sent + 1, data("x", 1)), "", "another one behind it");
    assert_eq!(bench.dropped(Reason::Duplicate), 2);
    wait(&mut bench);
    assert!(!is_doubted(&bench), "nothing is missing");
    assert_eq!(told(&bench, "x").last(), Some(&(2, true)));
}

#[test]
fn what_waited_when_another_one_was_refused_unread_may_be_older_than_that() {
    let mut bench = Bench::new(ALL);
    let sent = bench.now.wall_ms;
    send(&mut bench, NODE, 0, sent, birth(1, 1));
    assert_eq!(send(&mut bench, DATA, 2, sent + 2, data("x", 2)), "");
    // The first one, or the third: nobody has read its number.
    bench.pipeline.shed(DATA, 1, "G/E");
    bench.pass(100);
    bench.tick();
    assert_eq!(told(&bench, "x"), [(2, false)]);
    assert!(is_doubted(&bench));
    assert_eq!(send(&mut bench, DATA, 3, sent + 3, data("x", 3)), "NDATA");
    assert_eq!(told(&bench, "x").last(), Some(&(3, true)));
    // The birth of a device, and what the device said behind it.
    let sent = bench.now.wall_ms;
    assert_eq!(send(&mut bench, DEVICE, 5, sent + 5, vec![number("x", 5)]), "");
    bench.pipeline.shed("spBv1.0/G/DDATA/E/D", 1, "G/E");
    bench.pass(100);
    bench.tick();
    assert!(keyframe(&bench, DEVICE).unwrap().uncertain);
}

/// A broker that reads each subscription's messages by themselves delivers them again so, and says of none
/// that it does.
#[test]
fn births_that_come_again_in_another_order_leave_a_device_alive() {
    for later in [0, 1] {
        let mut bench = Bench::new(ALL);
        let sent = bench.now.wall_ms;
        let device = || vec![number("x", 1)];
        send(&mut bench, NODE, 0, sent, birth(1, 1));
        send(&mut bench, DEVICE, 1, sent + later, device());
        bench.pass(500);
        assert_eq!(send(&mut bench, DEVICE, 1, sent + later, device()), "");
        assert_eq!(bench.dropped(Reason::Duplicate), 1);
        assert_eq!(send(&mut bench, NODE, 0, sent, birth(1, 1)), "NBIRTH DBIRTH", "{later}");
        assert!(keyframe(&bench, DEVICE).is_some_and(|device| device.uncertain), "{later}");
        // A birth of another session ends it.
        send(&mut bench, NODE, 0, sent + 600, birth(2, 1));
        assert!(keyframe(&bench, DEVICE).is_none());
    }
}
