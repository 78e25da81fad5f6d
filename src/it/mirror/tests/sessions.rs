//! Births, deaths, commands and the primary host.

use std::time::Duration;

use account::Reason;

use super::world::{WALL, World, bd_seq, data, metric, plant, rebirth, settings};
use crate::mirror::{MirrorSettings, Notice, Outgoing, SessionEvent};

#[test]
fn a_node_is_born_with_its_devices_and_data_follows_in_sequence() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 2)]), false);
    world.relayed("spBv1.0/g/DDATA/e/d", data(vec![metric("x", 2)]), false);
    assert_eq!(world.host.live["g/e/:a"], [1, 2]);
    assert_eq!(world.host.live["g/e/d:x"], [1, 2]);
    assert_eq!(world.host.births, 1);
    assert_eq!(world.mirror.check_account(), Ok(()));
}

#[test]
fn a_rebirth_request_is_answered_with_current_values_and_a_burst_gets_two_answers() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 2)]), false);
    world.pass(Duration::from_secs(2));
    world.command("g/e", rebirth(), false);
    assert_eq!(world.host.births, 2, "answered at once");
    assert_eq!(world.host.live["g/e/:a"], [1, 2, 2]);
    for _ in 0..10 {
        world.command("g/e", rebirth(), false);
    }
    assert_eq!(world.host.births, 2);
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 3)]), false);
    assert_eq!(world.host.live["g/e/:a"], [1, 2, 2, 3], "data isn't held back for them");
    world.pass(Duration::from_secs(2));
    assert_eq!(world.host.births, 3);
    assert_eq!(world.bd_seqs["g/e"], [0], "the same session");
    assert!(world.host.seen("g/e/:a", 3));
}

#[test]
fn rebirth_requests_without_end_cost_one_birth_a_second_and_hold_no_data_back() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.pass(Duration::from_secs(2));
    let before = world.host.births;
    for value in 2..=200 {
        for _ in 0..10 {
            world.command("g/e", rebirth(), false);
        }
        world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", value)]), false);
        assert_eq!(world.host.live["g/e/:a"].last(), Some(&value), "at once");
        world.pass(Duration::from_millis(50));
    }
    world.heartbeat();
    assert!(world.host.historical.is_empty(), "{:?}", world.host.historical);
    let births = world.host.births - before;
    assert!((9..=12).contains(&births), "{births} in ten seconds");
}

#[test]
fn other_commands_and_retained_ones_are_refused_and_reported() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.pass(Duration::from_secs(2));
    world.command("g/e", metric("Setpoint", 9), false);
    world.command("g/e", rebirth(), true);
    assert_eq!(world.host.births, 1);
    assert_eq!(world.mirror.tally().commands_refused, 2);
    assert!(world.notices.iter().any(|notice| matches!(notice,
        Notice::CommandRefused { metrics, .. } if metrics == &["Setpoint"])));
}

#[test]
fn a_plant_rebirth_is_a_birth_in_the_same_session_and_a_new_plant_session_a_new_one() {
    let mut world = World::live(settings());
    plant(&mut world);
    plant(&mut world);
    assert_eq!(world.host.births, 2);
    assert_eq!(world.bd_seqs["g/e"], [0]);
    world.relayed("spBv1.0/g/NBIRTH/e", vec![bd_seq(5), metric("a", 9)], false);
    world.pass(Duration::from_millis(200));
    assert_eq!(world.bd_seqs["g/e"], [0, 1]);
    assert_eq!(world.host.deaths, 1);
}

#[test]
fn a_second_device_birth_of_the_same_shape_is_published_as_data() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.relayed("spBv1.0/g/DBIRTH/e/d", vec![metric("x", 7)], false);
    assert_eq!(world.host.live["g/e/d:x"], [1, 7]);
    assert_eq!(world.host.births, 1);
    world.relayed("spBv1.0/g/DBIRTH/e/d", vec![metric("x", 7), metric("y", 1)], false);
    assert_eq!(world.host.births, 2, "a new shape needs new births");
}

#[test]
fn births_wait_for_the_primary_host_and_end_with_it() {
    let primary_host = Some("scada".to_owned());
    let mut world = World::live(MirrorSettings { primary_host, ..settings() });
    plant(&mut world);
    world.pass_alive(Duration::from_secs(2));
    assert_eq!(world.host.births, 0);
    let state = |world: &mut World, online: bool, timestamp: u64| {
        let id = world.commands["g/e"];
        let payload = format!("{{\"online\":{online},\"timestamp\":{timestamp}}}");
        let topic = "spBv1.0/STATE/scada".to_owned();
        let event = SessionEvent::Received { topic, payload: payload.into(), retain: true };
        world.event(id, event);
        world.carry_out();
    };
    state(&mut world, true, 50);
    assert_eq!(world.host.births, 1);
    state(&mut world, false, 49);
    assert_eq!(world.host.deaths, 0, "older than what was accepted");
    state(&mut world, false, 50);
    assert_eq!(world.host.deaths, 1);
    world.pass_alive(Duration::from_secs(2));
    assert_eq!(world.host.births, 1);
    state(&mut world, true, 60);
    assert_eq!(world.host.births, 2);
}

#[test]
fn commands_and_state_in_a_journal_are_refused() {
    let mut world = World::live(settings());
    plant(&mut world);
    for topic in ["spBv1.0/g/NCMD/e", "spBv1.0/STATE/h", "spBv1.0/g/DCMD/e/d", "else"] {
        world.relayed(topic, vec![metric("a", 1)], false);
    }
    assert_eq!(world.mirror.account().dropped_total(), 4);
    assert_eq!(world.mirror.check_account(), Ok(()));
}

#[test]
fn a_stop_publishes_every_death() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.mirror.stop(world.now);
    world.carry_out();
    assert_eq!(world.host.deaths, 1);
    assert!(world.mirror.is_stopped());
    world.pass_alive(Duration::from_secs(3));
    assert_eq!(world.host.births, 1);
}

#[test]
fn a_dead_node_gives_way_and_comes_back_with_its_next_bd_seq() {
    let mut world = World::live(MirrorSettings { max_nodes: 1, ..settings() });
    plant(&mut world);
    world.relayed("spBv1.0/g/NBIRTH/f", vec![bd_seq(0), metric("a", 1)], false);
    assert_eq!(world.mirror.account().dropped(Reason::OverCapacity), 1, "the other one lives");
    world.relayed("spBv1.0/g/NDEATH/e", vec![], false);
    world.relayed("spBv1.0/g/NBIRTH/f", vec![bd_seq(0), metric("a", 1)], false);
    world.pass_alive(Duration::from_secs(1));
    assert!(world.host.nodes["g/f"].online && !world.host.nodes["g/e"].online);
    world.restart();
    // What the broker may not hold of a node keeps its place.
    world.pass_alive(Duration::from_secs(5));
    world.relayed("spBv1.0/g/NDEATH/f", vec![], false);
    world.pass_alive(Duration::from_secs(1));
    plant(&mut world);
    world.pass_alive(Duration::from_secs(1));
    assert!(world.host.nodes["g/e"].online);
    assert_eq!(world.bd_seqs["g/e"], [0, 1]);
}

#[test]
fn sessions_that_end_at_their_births_are_opened_ever_more_slowly() {
    let mut world = World::live(settings());
    plant(&mut world);
    for step in 0..60 * 20 {
        world.pass(Duration::from_millis(50));
        if step % 20 == 0 {
            world.heartbeat();
        }
        if !world.sessions.is_empty() {
            world.break_sessions();
        }
    }
    assert!(world.host.births < 20, "{} births in a minute", world.host.births);
    // One confirmation, and the next loss is the first again.
    world.pass_alive(Duration::from_secs(30));
    let births = world.host.births;
    world.break_sessions();
    world.pass_alive(Duration::from_secs(1));
    assert_eq!(world.host.births, births + 1);
}

/// What happens to all sessions is no node's own affair, though each hears of it while others stand.
#[test]
fn a_broker_that_was_away_again_and_again_is_not_held_against_a_node() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.mirror.set_broker_stands(true);
    for _ in 0..10 {
        world.broker_up = false;
        world.break_sessions();
        world.mirror.set_broker_stands(false);
        world.pass_alive(Duration::from_secs(20));
        world.broker_up = true;
        world.mirror.set_broker_stands(true);
        while !world.host.nodes["g/e"].online {
            world.pass_alive(Duration::from_millis(100));
        }
        world.break_sessions();
        world.pass_alive(Duration::from_secs(2));
        assert!(world.host.nodes["g/e"].online, "after one end of its own");
    }
    // Its own affair, as often: its attempts become rare.
    for _ in 0..10 {
        while !world.host.nodes["g/e"].online {
            world.pass_alive(Duration::from_secs(1));
        }
        world.break_sessions();
    }
    world.pass_alive(Duration::from_secs(50));
    assert!(!world.host.nodes["g/e"].online);
}

/// A confirmation may come behind the kill: what is still open then is the PUBACK's business.
#[test]
fn a_session_that_closes_is_asked_for_no_confirmation() {
    let mut world = World::live(settings());
    plant(&mut world);
    let id = world.commands["g/e"];
    world.black_hole = true;
    world.pass(Duration::from_millis(2_100));
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 2)]), false);
    world.black_hole = false;
    // The death is published, and the answer to the barrier before it comes now.
    let (now, frame) = (world.now, world.dead("g", "e"));
    world.mirror.handle_item(now, frame);
    world.event(id, SessionEvent::Confirmed);
    world.now.mono += Duration::from_secs(5);
    world.mirror.handle_tick(world.now);
    while let Some(outgoing) = world.mirror.poll_outgoing() {
        assert!(!matches!(outgoing, Outgoing::Barrier { .. }), "{outgoing:?}");
    }
}

fn host_state(world: &mut World, online: bool, timestamp: u64) {
    let id = world.commands["g/e"];
    let payload = format!("{{\"online\":{online},\"timestamp\":{timestamp}}}");
    let topic = "spBv1.0/STATE/scada".to_owned();
    world.event(id, SessionEvent::Received { topic, payload: payload.into(), retain: true });
    world.carry_out();
}

#[test]
fn every_session_waits_for_the_primary_host_anew() {
    let primary_host = Some("scada".to_owned());
    let mut world = World::live(MirrorSettings { primary_host, ..settings() });
    plant(&mut world);
    host_state(&mut world, true, 5);
    assert_eq!(world.host.births, 1);
    world.broker_up = false;
    world.break_sessions();
    world.pass_alive(Duration::from_secs(60));
    world.broker_up = true;
    world.pass_alive(Duration::from_secs(20));
    assert_eq!(world.host.births, 1, "the host may have gone meanwhile");
    host_state(&mut world, true, 5);
    assert_eq!(world.host.births, 2, "the retained message of the same host");
}

#[test]
fn a_state_from_the_far_future_is_ignored() {
    let primary_host = Some("scada".to_owned());
    let mut world = World::live(MirrorSettings { primary_host, ..settings() });
    plant(&mut world);
    host_state(&mut world, false, WALL + 3_600_001);
    host_state(&mut world, true, WALL);
    assert_eq!(world.host.births, 1);
    host_state(&mut world, false, WALL + 3_600_000);
    assert_eq!(world.host.deaths, 1, "a clock may be an hour ahead");
}
