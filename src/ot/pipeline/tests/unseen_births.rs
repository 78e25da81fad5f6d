//! Sessions whose births were lost, refused, or came behind what was sent after them: numbers alone don't
//! say what belongs to which. What can't be told is in doubt, and what lives comes back.

use account::Reason;
use journal_format::Body;
use prost::Message;
use sparkplug::{DataType, Metric, Payload, Value};

use super::bench::{
    ALL, Bench, aliased, bd_seq, by_alias, by_name, keyframe, relayed, typed, value_of, verbs, wait,
};
use crate::Received;

const NODE: &str = "spBv1.0/G/NBIRTH/E";
const DEVICE: &str = "spBv1.0/G/DBIRTH/E/D";

fn x(value: u32) -> Vec<Metric> {
    vec![typed("x", DataType::Int32, Value::Int(value))]
}

fn data(value: u32) -> Vec<Metric> {
    vec![by_name("x", Value::Int(value))]
}

fn birth(number: u64, value: u32) -> Vec<Metric> {
    [vec![bd_seq(number)], x(value)].concat()
}

/// A message of G/E, or of its device D, that was sent at `sent` milliseconds.
fn send(bench: &mut Bench, verb: &str, seq: u64, sent: u64, metrics: Vec<Metric>) -> String {
    let device = if verb.starts_with('D') { "/D" } else { "" };
    let topic = format!("spBv1.0/G/{verb}/E{device}");
    let payload = Payload { timestamp: Some(sent), seq: Some(seq), metrics, ..Payload::default() };
    verbs(&bench.send(&topic, &payload))
}

/// An NBIRTH that can't be read.
fn send_unreadable(bench: &mut Bench) -> String {
    let (payload, retain, dup, assured) = (b"\xff", false, false, false);
    let received = Received { topic: "spBv1.0/G/NBIRTH/E", payload, retain, dup, assured };
    verbs(&relayed(&bench.receive(received)))
}

fn is_doubted(bench: &Bench, topic: &str) -> Option<bool> {
    keyframe(bench, topic).map(|keyframe| keyframe.uncertain)
}

fn shown(bench: &Bench, topic: &str) -> Option<Value> {
    let keyframe = keyframe(bench, topic).expect("it lives");
    value_of(&Payload::decode(&*keyframe.payload).unwrap(), "x")
}

/// What was told of `x` by data since the bench began, and whether it may be out of date.
fn told(bench: &Bench) -> Vec<(Option<Value>, bool)> {
    let of_data = |body: &Body| match body {
        Body::Relayed(relayed) if relayed.topic.contains("DATA") => {
            let payload = Payload::decode(&*relayed.payload).unwrap();
            Some((value_of(&payload, "x"), relayed.outdated))
        }
        _ => None,
    };
    bench.journal.iter().filter_map(of_data).collect()
}

/// The relay was away, and hears nothing of what was sent meanwhile.
fn return_to_a_new_session(bench: &mut Bench) {
    bench.pipeline.disconnected(bench.now);
    bench.pipeline.session(bench.now, false);
    bench.tick();
}

#[test]
fn a_zero_that_is_late_where_the_order_began_unheard_is_no_second_one() {
    for was_away in [true, false] {
        let mut bench = Bench::new(ALL);
        let sent = bench.now.wall_ms;
        send(&mut bench, "NBIRTH", 0, sent, birth(1, 1));
        if was_away {
            return_to_a_new_session(&mut bench);
            send(&mut bench, "NDATA", 8, sent + 9, data(8));
        } else {
            // Births go on with the sequence.
            send(&mut bench, "NBIRTH", 241, sent + 1, birth(1, 1));
            (242..=258).for_each(|seq| drop(send(&mut bench, "NDATA", seq % 256, sent, data(8))));
            send(&mut bench, "NDATA", 8, sent + 9, data(8));
        }
        // Round about 0, in any order.
        assert_eq!(send(&mut bench, "NDATA", 251, sent + 5, data(5)), "");
        assert_eq!(send(&mut bench, "NDATA", 0, sent + 6, data(6)), "", "{was_away}");
        wait(&mut bench);
        assert_eq!(shown(&bench, NODE), Some(Value::Int(8)), "{was_away}");
    }
    // Of what doesn't count each message has it.
    let mut bench = Bench::new(ALL);
    let sent = bench.now.wall_ms;
    send(&mut bench, "NBIRTH", 0, sent, birth(1, 1));
    return_to_a_new_session(&mut bench);
    assert_eq!(send(&mut bench, "NDATA", 0, sent + 1, data(2)), "NDATA");
    assert_eq!(send(&mut bench, "NDATA", 0, sent + 2, data(3)), "NDATA");
}

#[test]
fn what_waits_for_a_birth_and_has_a_time_far_from_it_may_be_of_before() {
    for (apart, is_doubted) in [(20_000, true), (10, false)] {
        let mut bench = Bench::new(ALL);
        let sent = bench.now.wall_ms;
        assert_eq!(send(&mut bench, "NDATA", 1, sent, data(7)), "");
        // Its clock was set back, and then it was born; or the clock was set back in its life.
        send(&mut bench, "NBIRTH", 0, sent - apart, birth(1, 1));
        assert_eq!(told(&bench), [(Some(Value::Int(7)), is_doubted)]);
    }
}

#[test]
fn behind_two_messages_with_one_number_the_order_goes_on() {
    let mut bench = Bench::new(ALL);
    let sent = bench.now.wall_ms;
    send(&mut bench, "NBIRTH", 0, sent, birth(1, 1));
    send(&mut bench, "NDATA", 15, sent + 1, data(15));
    // Another birth was lost.
    assert_eq!(send(&mut bench, "NDATA", 15, sent + 9, data(115)), "NDATA NDATA");
    assert_eq!(send(&mut bench, "NDATA", 17, sent + 9, data(117)), "");
    assert_eq!(send(&mut bench, "NDATA", 14, sent + 9, data(114)), "", "it is older");
    assert_eq!(send(&mut bench, "NDATA", 16, sent + 9, data(116)), "NDATA NDATA");
    wait(&mut bench);
    assert_eq!(shown(&bench, NODE), Some(Value::Int(117)));
    assert_eq!(is_doubted(&bench, NODE), Some(true));
}

#[test]
fn of_two_messages_with_one_number_that_were_sent_at_once_the_second_may_be_the_older() {
    for (later, may_be_older) in [(0, true), (1, false)] {
        let mut bench = Bench::new(ALL);
        let sent = bench.now.wall_ms;
        send(&mut bench, "NBIRTH", 0, sent, birth(1, 1));
        send(&mut bench, "NDATA", 4, sent + 1, data(4));
        send(&mut bench, "NDATA", 4, sent + 1 + later, data(5));
        assert_eq!(told(&bench).last(), Some(&(Some(Value::Int(5)), may_be_older)), "{later}");
    }
}

#[test]
fn a_device_that_was_born_before_two_births_of_its_node_lives_though_one_is_refused() {
    let mut bench = Bench::new(ALL);
    let sent = bench.now.wall_ms;
    send(&mut bench, "NBIRTH", 0, sent, birth(1, 1));
    send(&mut bench, "DBIRTH", 1, sent + 20, x(1));
    assert_eq!(send_unreadable(&mut bench), "NDEATH");
    assert_eq!(send(&mut bench, "NBIRTH", 0, sent + 20, birth(1, 2)), "NBIRTH DBIRTH");
    assert_eq!(is_doubted(&bench, DEVICE), Some(true));
    // It died meanwhile.
    send(&mut bench, "DBIRTH", 1, sent + 30, x(1));
    send(&mut bench, "DDEATH", 2, sent + 30, vec![]);
    send_unreadable(&mut bench);
    assert_eq!(send(&mut bench, "NBIRTH", 0, sent + 30, birth(1, 3)), "NBIRTH");
}

#[test]
fn a_device_that_was_born_behind_a_birth_that_a_broker_stored_lives_with_that() {
    let mut bench = Bench::new(ALL);
    let sent = bench.now.wall_ms;
    let payload =
        Payload { timestamp: Some(sent), seq: Some(0), metrics: birth(1, 1), ..Payload::default() };
    bench.deliver("spBv1.0/G/NBIRTH/E", &payload, true, false);
    send(&mut bench, "DBIRTH", 1, sent, x(1));
    bench.send("spBv1.0/G/NBIRTH/E", &payload);
    assert_eq!(is_doubted(&bench, DEVICE), Some(true));
}

#[test]
fn of_two_births_of_a_device_with_one_number_the_later_one_is_in_force() {
    let mut bench = Bench::new(ALL);
    let sent = bench.now.wall_ms;
    // Of the session to come, and of the one before.
    send(&mut bench, "DBIRTH", 1, sent + 20, x(2));
    send(&mut bench, "DBIRTH", 1, sent + 10, x(1));
    send(&mut bench, "NBIRTH", 0, sent, birth(1, 1));
    wait(&mut bench);
    assert_eq!(shown(&bench, DEVICE), Some(Value::Int(2)));
    assert_eq!(is_doubted(&bench, DEVICE), Some(true));
    assert_eq!(send(&mut bench, "NBIRTH", 0, sent + 20, birth(1, 2)), "NBIRTH DBIRTH");
}

#[test]
fn a_device_whose_birth_came_before_an_older_one_lives_with_its_node() {
    for (alias, lives) in [(1, true), (2, false)] {
        let device = |alias, value| vec![aliased("x", alias, DataType::Int32, Value::Int(value))];
        let mut bench = Bench::new(ALL);
        let sent = bench.now.wall_ms;
        send(&mut bench, "NBIRTH", 0, sent, birth(1, 1));
        send(&mut bench, "DBIRTH", 1, sent + 20, device(1, 2));
        send(&mut bench, "DBIRTH", 2, sent + 10, device(alias, 1));
        assert_eq!(is_doubted(&bench, DEVICE), Some(true), "nobody knows which is newer");
        send(&mut bench, "NBIRTH", 0, sent + 20, birth(1, 2));
        // By another form its data can't be read.
        assert_eq!(keyframe(&bench, DEVICE).is_some(), lives, "{alias}");
        let read = send(&mut bench, "DDATA", 1, sent + 21, vec![by_alias(1, Value::Int(3))]);
        assert_eq!(read, if lives { "DDATA" } else { "" });
    }
}

/// Its birth came so long before that of its node, or on either side of a death, that nobody took them
/// for those of one session.
#[test]
fn a_device_that_is_held_for_dead_comes_back_with_its_next_data() {
    for dies in [false, true] {
        let mut bench = Bench::new(ALL);
        let sent = bench.now.wall_ms;
        send(&mut bench, "NBIRTH", 0, sent, birth(1, 1));
        send(&mut bench, "DBIRTH", 1, sent + 20, x(1));
        if dies {
            send(&mut bench, "DDEATH", 2, sent + 20, vec![]);
        }
        send(&mut bench, "NDEATH", 0, sent + 20, vec![bd_seq(1)]);
        assert_eq!(send(&mut bench, "NBIRTH", 0, sent + 20, birth(2, 2)), "NBIRTH");
        let before = send(&mut bench, "DDATA", 1, sent + 19, data(3));
        assert_eq!(before, "", "it was sent before that birth");
        let told = send(&mut bench, "DDATA", 2, sent + 21, data(3));
        assert_eq!(told, if dies { "" } else { "DBIRTH DDATA" });
        assert_eq!(is_doubted(&bench, DEVICE), (!dies).then_some(true));
        assert_eq!(bench.dropped(Reason::DataBeforeBirth), if dies { 2 } else { 1 });
    }
}

#[test]
fn what_is_late_and_much_older_than_the_birth_in_force_says_that_a_clock_was_set() {
    for (older, is_doubted_again) in [(3_600_000, true), (20, false)] {
        let mut bench = Bench::new(ALL);
        let sent = bench.now.wall_ms;
        send(&mut bench, "NBIRTH", 0, sent, birth(1, 1));
        (1..=3).for_each(|seq| drop(send(&mut bench, "NDATA", seq, sent + seq, data(1))));
        // Of a session whose births were lost, or of the one before.
        bench.pass(5_000);
        assert_eq!(send(&mut bench, "NDATA", 2, sent - older, data(2)), "");
        assert_eq!(send(&mut bench, "NDATA", 4, sent + 4, data(4)), "NDATA");
        wait(&mut bench);
        assert_eq!(is_doubted(&bench, NODE), Some(is_doubted_again), "{older}");
    }
}

/// Its number would tell which of the two is the newer one.
#[test]
fn of_a_device_without_numbers_that_was_sent_before_its_birth_nobody_knows_whether_a_clock_was_set()
{
    for verb in ["DDEATH", "DBIRTH"] {
        let mut bench = Bench::new(ALL);
        let sent = bench.now.wall_ms;
        let mut say = |verb: &str, sent, metrics: Vec<Metric>| {
            let device = if verb.starts_with('D') { "/D" } else { "" };
            let payload = Payload { timestamp: Some(sent), metrics, ..Payload::default() };
            bench.send(&format!("spBv1.0/G/{verb}/E{device}"), &payload);
        };
        say("NBIRTH", sent, birth(1, 1));
        say("DBIRTH", sent, x(1));
        say(verb, sent - 500, if verb == "DBIRTH" { x(2) } else { vec![] });
        assert_eq!(is_doubted(&bench, DEVICE), Some(true), "{verb}");
        assert_eq!(shown(&bench, DEVICE), Some(Value::Int(1)), "{verb}");
    }
}

#[test]
fn a_birth_that_a_broker_delivers_again_behind_the_death_is_in_doubt() {
    let mut bench = Bench::new(ALL);
    let sent = bench.now.wall_ms;
    send(&mut bench, "NBIRTH", 0, sent, birth(1, 1));
    assert_eq!(send(&mut bench, "NDEATH", 0, sent + 3_000, vec![bd_seq(1)]), "NDEATH");
    bench.pass(2_400);
    assert_eq!(send(&mut bench, "NBIRTH", 0, sent, birth(1, 1)), "NBIRTH");
    assert_eq!(is_doubted(&bench, NODE), Some(true));
    bench.pass(300_000);
    assert_eq!(verbs(&relayed(&bench.tick())), "NDEATH", "nothing was heard of it");
    // And if it has no clock.
    assert_eq!(send(&mut bench, "NBIRTH", 0, sent, birth(1, 1)), "NBIRTH");
    assert_eq!(send(&mut bench, "NDATA", 1, sent, data(2)), "NDATA");
    assert_eq!(told(&bench), [(Some(Value::Int(2)), false)]);
    bench.pass(300_000);
    assert_eq!(verbs(&relayed(&bench.tick())), "");
}
