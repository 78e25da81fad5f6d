//! Signs of life, silence, and clocks that differ.

use std::time::Duration;

use journal_format::{Body, Frame, Heartbeat, Relayed, Start};
use journal_read::Item;
use prost::Message;
use sparkplug::Payload;

use super::both::Both;
use super::world::{World, bd_seq, data, metric, plant, settings};
use crate::mirror::Notice;

#[test]
fn nothing_is_published_before_a_sign_of_life() {
    let mut world = World::new(settings());
    world.append(Body::Start(Start::default()));
    plant(&mut world);
    world.pass(Duration::from_secs(5));
    assert_eq!(world.host.births, 0, "the backlog is old news");
    world.mirror.caught_up();
    world.pass(Duration::from_secs(5));
    assert_eq!(world.host.births, 0, "the plant's side may be dead");
    world.heartbeat();
    assert_eq!(world.host.births, 1);
}

#[test]
fn data_of_high_priority_hurries_its_session_once_it_is_published() {
    let mut world = World::live(settings());
    plant(&mut world);
    let urgent = |world: &mut World, topic: &str, metrics| {
        let payload = Payload { timestamp: Some(1), metrics, ..Payload::default() };
        let (topic, payload) = (topic.into(), payload.encode_to_vec());
        world.append(Body::Relayed(Relayed { topic, payload, urgent: true, ..Relayed::default() }));
    };
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 1)]), false);
    assert!(world.hurried.is_empty());
    urgent(&mut world, "spBv1.0/g/NDATA/e", data(vec![metric("a", 2)]));
    assert_eq!(world.hurried, [world.commands["g/e"]]);
    urgent(&mut world, "spBv1.0/g/NDATA/stranger", data(vec![metric("a", 2)]));
    assert_eq!(world.hurried.len(), 1, "nothing of it was published");
}

#[test]
fn silence_kills_every_node_and_life_brings_births_with_the_next_bd_seq() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.pass(Duration::from_secs(9));
    assert_eq!(world.host.deaths, 0);
    world.pass(Duration::from_secs(2));
    assert_eq!(world.host.deaths, 1);
    world.pass(Duration::from_secs(60));
    assert_eq!(world.host.deaths, 1);
    world.heartbeat();
    world.pass(Duration::from_secs(1));
    assert_eq!(world.host.births, 2);
    assert_eq!(world.bd_seqs["g/e"], [0, 1]);
}

#[test]
fn an_ot_half_that_lost_its_broker_is_as_silent_as_a_dead_one() {
    let mut world = World::live(settings());
    plant(&mut world);
    for second in 0..12 {
        world.append(Body::Heartbeat(Heartbeat {
            ot_away_ms: second * 1000,
            ..Heartbeat::default()
        }));
        world.pass(Duration::from_secs(1));
    }
    assert_eq!(world.host.deaths, 1);
    world.append(Body::Heartbeat(Heartbeat { ot_away_ms: 13_000, ..Heartbeat::default() }));
    world.pass(Duration::from_secs(1));
    assert_eq!(world.host.births, 1, "still away");
    world.heartbeat();
    world.pass(Duration::from_secs(1));
    assert_eq!(world.host.births, 2);
}

#[test]
fn a_second_outage_of_a_node_that_fell_silent_is_marked() {
    let mut both = Both::new();
    both.send("NBIRTH", vec![bd_seq(4), metric("a", 1), metric("b", 1)]);
    both.pass(3);
    for outage in 0..2 {
        both.disconnect();
        both.pass(3);
        both.connect(false);
        both.pass(1);
        if outage == 0 {
            both.send("NDATA", data(vec![metric("a", 2)]));
            assert_eq!(both.quality("g/e/:a"), 192);
        }
    }
    // It died unseen in the second outage.
    both.pass(60);
    assert_eq!((both.quality("g/e/:a"), both.quality("g/e/:b")), (500, 500));
}

#[test]
fn old_frames_are_no_sign_of_life() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.pass(Duration::from_secs(60));
    assert!(!world.host.nodes["g/e"].online);
    let late = |world: &mut World, behind_ms: u64| {
        let appended_ms = world.now.wall_ms - behind_ms;
        let body = Some(Body::Heartbeat(Heartbeat { ot_connected: true, ..Heartbeat::default() }));
        let seq = world.mirror.position().1;
        let frame = Frame { seq, epoch: 1, appended_ms, body, in_head: false, layout: None };
        world.mirror.handle_item(world.now, Item::Frame(frame));
        world.pass(Duration::from_secs(1));
    };
    for _ in 0..10 {
        late(&mut world, 15_001);
    }
    assert_eq!(world.host.births, 1, "born by frames of an OT half that may be dead");
    let wanted = |notice: &&Notice| matches!(notice, Notice::OldFrames { behind_ms: 15_001 });
    assert_eq!(world.notices.iter().filter(wanted).count(), 1);
    late(&mut world, 15_000);
    assert_eq!(world.host.births, 2, "the clocks of two boxes may differ a little");
}

#[test]
fn a_clock_ahead_of_ours_is_a_sign_of_life() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.pass(Duration::from_secs(60));
    let appended_ms = world.now.wall_ms + 3_600_000;
    let body = Some(Body::Heartbeat(Heartbeat { ot_connected: true, ..Heartbeat::default() }));
    let seq = world.mirror.position().1;
    let frame = Frame { seq, epoch: 1, appended_ms, body, in_head: false, layout: None };
    world.mirror.handle_item(world.now, Item::Frame(frame));
    world.pass(Duration::from_secs(1));
    assert_eq!(world.host.births, 2);
}
