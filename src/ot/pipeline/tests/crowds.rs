//! As many edge nodes as may be: who invents nodes neither keeps out those that there are, nor takes
//! their place.

use account::Reason;
use sparkplug::{Budget, DataType, Payload, Value};
use telemetry::Event;
use telemetry::capture::{capture, triggered};

use super::bench::{ALL, Bench, bd_seq, by_name, settings, typed};
use crate::PipelineSettings;
use crate::plant::{LONG_SILENT, SILENT};

/// Places for so many nodes.
const PLACES: usize = 8;

/// Every node, and one that is spelled out.
const NAMED: &str = "[[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"*\"\n\
                     [[rule]]\nname = \"own\"\naction = \"forward\"\ngroup = \"G\"\n\
                     edge-node = \"Named\"\n";

fn crowd(policy: &str) -> Bench {
    let settings = PipelineSettings { max_nodes: PLACES, budget: Budget::UNLIMITED, ..settings() };
    Bench::with(settings, policy)
}

fn ms(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap()
}

fn say(bench: &mut Bench, verb: &str, node: &str, seq: u64) {
    let metrics = match verb {
        "NBIRTH" => vec![bd_seq(0), typed("a", DataType::Int32, Value::Int(0))],
        _ => vec![by_name("a", Value::Int(1))],
    };
    let timestamp = Some(bench.now.wall_ms);
    let payload = Payload { timestamp, metrics, seq: Some(seq), ..Payload::default() };
    bench.send(&format!("spBv1.0/G/{verb}/{node}"), &payload);
}

fn born(bench: &mut Bench, node: &str) {
    say(bench, "NBIRTH", node, 0);
}

/// Whether readers hold it for alive.
fn is_alive(bench: &Bench, node: &str) -> bool {
    bench.pipeline.nodes().any(|one| one.entity.edge_node == node && one.alive)
}

/// So many nodes are invented, 50 a second; `each_says` so many messages of data.
fn flood(bench: &mut Bench, name: &str, number: usize, each_says: u64) {
    for at in 0..number {
        let node = format!("{name}{at}");
        born(bench, &node);
        (1..=each_says).for_each(|seq| say(bench, "NDATA", &node, seq));
        bench.pass(20);
    }
}

#[test]
fn a_flood_of_births_neither_ends_a_node_that_sends_nor_keeps_another_out() {
    let mut bench = crowd(ALL);
    born(&mut bench, "Good");
    say(&mut bench, "NDATA", "Good", 1);
    let told = capture(|| flood(&mut bench, "invented", 200, 0));
    assert!(is_alive(&bench, "Good"));
    triggered(&told, Event::CapacityReached);
    let line = told.iter().map(|one| one.message()).find(|one| one.contains("gave_way")).unwrap();
    assert!(line.contains("limit=relay.max-nodes topic=spBv1.0/G/NBIRTH/invented7"), "{line}");
    assert!(line.contains("gave_way=G/invented0"), "{line}");
    // A real one in between says something at once, as nodes do.
    born(&mut bench, "New");
    say(&mut bench, "NDATA", "New", 1);
    flood(&mut bench, "more", 200, 0);
    assert!(is_alive(&bench, "Good") && is_alive(&bench, "New"));
    say(&mut bench, "NDATA", "New", 2);
    assert_eq!(bench.dropped(Reason::DataBeforeBirth), 0);
    assert_eq!(bench.dropped(Reason::OverCapacity), 0, "none of them was refused");
    assert!(bench.pipeline.nodes().count() <= PLACES);
}

#[test]
fn who_has_more_places_than_are_invented_has_time_to_say_something() {
    let mut bench = crowd(ALL);
    flood(&mut bench, "invented", 100, 0);
    born(&mut bench, "New");
    // Those that were there before give way first.
    flood(&mut bench, "more", PLACES - 2, 0);
    say(&mut bench, "NDATA", "New", 1);
    flood(&mut bench, "yet", 100, 0);
    assert!(is_alive(&bench, "New"));
}

#[test]
fn who_is_born_just_now_gives_way_to_nobody_but_what_is_spelled_out() {
    for (policy, node, is_taken) in [(ALL, "Other", false), (NAMED, "Named", true)] {
        let mut bench = crowd(policy);
        for at in 0..PLACES {
            born(&mut bench, &format!("now{at}"));
        }
        born(&mut bench, node);
        assert_eq!(is_alive(&bench, node), is_taken, "{node}");
    }
}

#[test]
fn nodes_that_are_invented_and_say_something_keep_another_out_for_a_minute() {
    let mut bench = crowd(ALL);
    flood(&mut bench, "talker", PLACES, 3);
    let refused = |bench: &mut Bench| {
        let before = bench.dropped(Reason::OverCapacity);
        born(bench, "New");
        bench.dropped(Reason::OverCapacity) > before
    };
    assert!(refused(&mut bench));
    bench.pass(ms(SILENT) - 1_000);
    assert!(refused(&mut bench));
    bench.pass(1_000);
    assert!(!refused(&mut bench));
    assert!(is_alive(&bench, "New"));
    assert!(!is_alive(&bench, "talker0"), "the oldest");
}

#[test]
fn whoever_was_heard_for_long_gives_way_after_an_hour_of_silence_alone() {
    let mut bench = crowd(ALL);
    for node in 0..PLACES {
        let node = format!("old{node}");
        born(&mut bench, &node);
        bench.pass(100);
    }
    bench.pass(70_000);
    for node in 0..PLACES {
        say(&mut bench, "NDATA", &format!("old{node}"), 1);
    }
    bench.pass(ms(LONG_SILENT) - 1_000);
    flood(&mut bench, "invented", 20, 1);
    assert!((0..PLACES).all(|node| is_alive(&bench, &format!("old{node}"))));
    bench.pass(1_000);
    born(&mut bench, "New");
    assert!(is_alive(&bench, "New"));
    let gone: Vec<usize> =
        (0..PLACES).filter(|node| !is_alive(&bench, &format!("old{node}"))).collect();
    assert_eq!(gone, [PLACES - 1], "the youngest");
}

#[test]
fn what_a_rule_spells_out_comes_first_and_gives_way_to_nobody() {
    let mut bench = crowd(NAMED);
    flood(&mut bench, "talker", PLACES, 3);
    born(&mut bench, "Named");
    assert!(is_alive(&bench, "Named"));
    flood(&mut bench, "invented", 100, 3);
    bench.pass(ms(LONG_SILENT) + 1_000);
    flood(&mut bench, "more", 100, 0);
    assert!(is_alive(&bench, "Named"), "it said nothing, and there it is");
}

#[test]
fn who_nobody_may_know_has_nobodys_place() {
    let mut bench = crowd(
        "[[rule]]\nname = \"own\"\naction = \"forward\"\ngroup = \"G\"\nedge-node = \"g*\"\n",
    );
    flood(&mut bench, "g", PLACES, 0);
    flood(&mut bench, "stranger", 20, 3);
    assert!((0..PLACES).all(|node| is_alive(&bench, &format!("g{node}"))));
}

#[test]
fn nodes_of_before_a_restart_do_not_give_way_to_invented_ones() {
    let mut bench = crowd(ALL);
    flood(&mut bench, "old", PLACES - 1, 0);
    let stored = bench.pipeline.store(1);
    let at = bench.journal.len();
    let settings = PipelineSettings { max_nodes: PLACES, budget: Budget::UNLIMITED, ..settings() };
    bench.restart_with(settings, stored, at, ALL);
    flood(&mut bench, "invented", 100, 0);
    assert!((0..PLACES - 1).all(|node| is_alive(&bench, &format!("old{node}"))));
}
