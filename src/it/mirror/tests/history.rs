//! What an outage of IT missed, and what a dying connection swallowed.

use std::time::Duration;

use journal_read::{Lost, LostCause};

use super::both::Both;
use super::world::{World, bd_seq, data, metric, plant, rebirth, settings};
use crate::mirror::Notice;

#[test]
fn what_was_missed_while_the_broker_was_away_comes_as_history() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.pass_alive(Duration::from_secs(5));
    world.broker_up = false;
    world.break_sessions();
    for value in 2..6 {
        world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", value)]), false);
    }
    world.broker_up = true;
    world.pass_alive(Duration::from_secs(20));
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 6)]), false);
    assert_eq!(world.host.live["g/e/:a"], [1, 5, 6]);
    assert_eq!(world.host.historical["g/e/:a"], [2, 3, 4]);
    assert!(world.bd_seqs["g/e"].windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)));
}

#[test]
fn what_a_dying_connection_swallowed_is_published_again() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.pass_alive(Duration::from_secs(5));
    world.black_hole = true;
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 2)]), false);
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 3)]), false);
    world.black_hole = false;
    world.break_sessions();
    world.pass_alive(Duration::from_secs(5));
    assert!(world.host.seen("g/e/:a", 2) && world.host.seen("g/e/:a", 3));
}

#[test]
fn a_restart_publishes_what_the_broker_may_not_hold() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.pass_alive(Duration::from_secs(5));
    world.black_hole = true;
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 2)]), false);
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 3)]), false);
    world.black_hole = false;
    world.restart();
    world.pass_alive(Duration::from_secs(5));
    assert!(world.host.seen("g/e/:a", 2) && world.host.seen("g/e/:a", 3));
    assert_eq!(world.bd_seqs["g/e"], [0, 1]);
    assert!(world.host.nodes["g/e"].born.contains_key("d"));
}

#[test]
fn a_session_that_the_broker_kept_is_no_proof_that_nothing_was_lost() {
    let mut both = Both::new();
    both.send("NBIRTH", vec![bd_seq(4), metric("a", 1), metric("b", 1)]);
    both.pass(3);
    // Not for so long that the node is dead on IT until it is heard.
    both.disconnect();
    both.pass(5);
    both.connect(true);
    both.pass(120);
    assert_eq!(both.quality("g/e/:a"), 500, "a value that came with QoS 0 was not queued");
    // The sequence goes on: nothing was lost.
    both.send("NDATA", data(vec![metric("b", 2)]));
    both.pass(31);
    assert_eq!((both.quality("g/e/:a"), both.quality("g/e/:b")), (192, 192));

    both.disconnect();
    both.seq += 1;
    both.connect(true);
    both.pass(1);
    both.send("NDATA", data(vec![metric("b", 3)]));
    both.pass(60);
    assert_eq!(both.quality("g/e/:a"), 500, "the sequence didn't go on");
    // A kept session is no way to get rid of a loss.
    both.disconnect();
    both.connect(true);
    both.send("NDATA", data(vec![metric("b", 4)]));
    both.pass(60);
    assert_eq!(both.quality("g/e/:a"), 500);
}

#[test]
fn missed_values_without_a_place_are_counted_and_noticed() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.pass_alive(Duration::from_secs(5));
    world.broker_up = false;
    world.break_sessions();
    let first = world.frames.len() as u64;
    world.relayed("spBv1.0/g/DDATA/e/d", data(vec![metric("x", 2)]), false);
    world.relayed("spBv1.0/g/DDEATH/e/d", vec![], false);
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 2)]), false);
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("b", 2)]), false);
    // A birth without the metric `a` takes the place of the old one. What belongs to the session
    // has no place, and needs none.
    world.relayed("spBv1.0/g/NBIRTH/e", vec![bd_seq(4), rebirth(), metric("b", 3)], false);
    world.broker_up = true;
    world.pass_alive(Duration::from_secs(30));
    assert!(world.host.seen("g/e/:b", 2));
    assert_eq!(world.mirror.tally().unplaceable, 2);
    let wanted = Notice::Unplaceable { first, last: first + 2, frames: 2 };
    let unplaceable = |notice: &&Notice| matches!(notice, Notice::Unplaceable { .. });
    let notices: Vec<&Notice> = world.notices.iter().filter(unplaceable).collect();
    assert_eq!(notices, [&wanted]);
}

#[test]
fn frames_that_a_backfill_misses_are_counted() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.pass_alive(Duration::from_secs(5));
    world.broker_up = false;
    world.break_sessions();
    let at = world.frames.len() as u64;
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 2)]), false);
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 3)]), false);
    world.broker_up = true;
    while world.sessions.is_empty() {
        world.now.mono += Duration::from_millis(50);
        world.mirror.handle_tick(world.now);
        world.carry_out();
    }
    let (_, to) = world.mirror.begin_backfill().unwrap();
    assert_eq!(to, at + 2);
    let cause = LostCause::Retention;
    world.mirror.backfill_lost(Lost { first: at, last: at + 9, cause });
    assert_eq!(world.mirror.tally().frames_lost, 2, "what lies behind the stretch isn't in it");
    world.carry_out();
    assert!(world.notices.contains(&Notice::FramesLost { first: at, last: at + 1, cause }));
}
