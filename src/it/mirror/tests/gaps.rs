//! Losses before the relay: values that are marked as stale, and until when.

use std::time::Duration;

use journal_format::{Body, Keyframe, Relayed};
use journal_read::{Item, Lost, LostCause};
use prost::Message;
use sparkplug::Payload;

use super::both::Both;
use super::world::{WALL, World, bd_seq, data, keyframe, keyframe_with, metric, plant, settings};
use crate::mirror::{MirrorSettings, OnGap};

#[test]
fn a_gap_marks_what_was_not_seen_since_as_stale() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 2)]), true);
    let quality = &world.host.nodes["g/e"].quality;
    assert_eq!(quality["g/e/:b"], 500);
    assert_eq!(quality["g/e/d:x"], 500);
    assert_eq!(quality["g/e/:a"], 192);
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("b", 2)]), false);
    assert_eq!(world.host.nodes["g/e"].quality["g/e/:b"], 192);
}

#[test]
fn keyframes_repeat_a_gap_without_new_births_and_can_take_it_back() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 2)]), true);
    let births = world.host.births;
    world.append(keyframe(2, 1, true, 0));
    assert_eq!(world.host.births, births);
    world.append(keyframe(2, 1, false, 0));
    let quality = &world.host.nodes["g/e"].quality;
    assert_eq!((quality["g/e/:b"], quality["g/e/d:x"]), (192, 192));
    assert_eq!(world.host.births, births);
}

#[test]
fn a_gap_that_a_keyframe_reported_counts_once_but_the_next_gap_counts() {
    let mut world = World::live(settings());
    plant(&mut world);
    let births = world.host.births;
    world.append(keyframe(1, 1, true, 1));
    assert_eq!(world.host.births, births + 1);
    world.lossy(vec![metric("a", 2)], 1);
    assert_eq!(world.host.births, births + 1);
    world.lossy(vec![metric("a", 3)], 2);
    assert_eq!(world.host.births, births + 2);
    world.append(keyframe(3, 1, true, 2));
    assert_eq!(world.host.births, births + 2);
}

#[test]
fn a_second_loss_that_only_keyframes_tell_marks_again() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.lossy(vec![metric("a", 2)], 1);
    assert_eq!(world.host.nodes["g/e"].quality["g/e/:a"], 192);
    let births = world.host.births;
    for _ in 0..3 {
        world.append(keyframe(2, 1, true, 2));
    }
    assert_eq!(world.host.nodes["g/e"].quality["g/e/:a"], 500);
    assert_eq!(world.host.births, births + 1, "marked once");
    world.restart();
    world.append(keyframe(2, 1, true, 2));
    world.lossy(vec![metric("a", 3)], 2);
    world.pass_alive(Duration::from_secs(1));
    assert_eq!(world.host.nodes["g/e"].quality["g/e/:a"], 192, "the number is remembered");
}

#[test]
fn a_gap_after_a_doubt_that_nothing_confirmed_is_marked() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.append(keyframe(1, 1, true, 1));
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 2), metric("b", 2)]), false);
    assert_eq!(world.host.nodes["g/e"].quality["g/e/:b"], 192);
    world.lossy(vec![metric("a", 3)], 2);
    assert_eq!(world.host.nodes["g/e"].quality["g/e/:b"], 500);
}

#[test]
fn an_uncertain_keyframe_of_a_new_session_marks_even_where_the_old_one_was_marked() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.lossy(vec![metric("a", 2)], 1);
    let payload = Payload { metrics: vec![bd_seq(5), metric("a", 2)], ..Payload::default() };
    world.append(Body::Keyframe(Keyframe {
        topic: "spBv1.0/g/NBIRTH/e".into(),
        payload: payload.encode_to_vec(),
        uncertain: true,
        losses: 1,
        ..Keyframe::default()
    }));
    world.pass_alive(Duration::from_secs(1));
    assert_eq!(world.host.nodes["g/e"].quality["g/e/:a"], 500);
}

#[test]
fn a_gap_can_be_death_until_the_next_birth() {
    let mut world = World::live(MirrorSettings { on_gap: OnGap::Death, ..settings() });
    plant(&mut world);
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 2)]), true);
    world.pass_alive(Duration::from_secs(3));
    assert!(!world.host.nodes["g/e"].online);
    plant(&mut world);
    world.pass_alive(Duration::from_secs(3));
    assert!(world.host.nodes["g/e"].online);
}

#[test]
fn births_after_an_outage_on_ot_are_never_good() {
    let mut both = Both::new();
    both.send("NBIRTH", vec![bd_seq(4), metric("a", 1), metric("b", 1)]);
    both.pass(40);
    for present in [false, true] {
        both.disconnect();
        both.pass(20);
        assert!(!both.world.host.nodes["g/e"].online);
        both.connect(present);
        for _ in 0..40 {
            both.pass(1);
            assert!(!both.world.host.nodes["g/e"].online || both.quality("g/e/:a") == 500);
        }
        assert!(!both.world.host.nodes["g/e"].online, "nothing was heard of it");
        both.send("NDATA", data(vec![metric("b", 2)]));
        both.pass(1);
        assert!(both.world.host.nodes["g/e"].online);
    }
}

#[test]
fn a_restart_does_not_end_a_doubt() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.pass_alive(Duration::from_secs(3));
    let lost = Lost { first: 90, last: 99, cause: LostCause::Damage };
    world.mirror.handle_item(world.now, Item::Lost(lost));
    world.restart();
    world.restart();
    world.pass_alive(Duration::from_secs(9));
    assert!(world.host.nodes["g/e"].online, "two intervals of 5 s are to pass");
    world.pass_alive(Duration::from_secs(3));
    assert!(!world.host.nodes["g/e"].online, "its death may have been among the lost frames");
}

#[test]
fn a_node_that_a_gap_killed_comes_back_when_the_ot_half_is_certain() {
    let mut world = World::live(MirrorSettings { on_gap: OnGap::Death, ..settings() });
    plant(&mut world);
    world.append(keyframe(1, 1, true, 1));
    world.pass_alive(Duration::from_secs(1));
    assert!(!world.host.nodes["g/e"].online);
    world.append(keyframe(1, 1, false, 1));
    world.pass_alive(Duration::from_secs(1));
    assert!(world.host.nodes["g/e"].online);

    // Its real NBIRTH is among lost frames; a keyframe shows the new session.
    world.lossy(vec![metric("a", 2)], 2);
    world.pass_alive(Duration::from_secs(1));
    assert!(!world.host.nodes["g/e"].online);
    let birth = |uncertain, losses| {
        let metrics = vec![bd_seq(5), metric("a", 1)];
        let payload = Payload { metrics, ..Payload::default() };
        Body::Keyframe(Keyframe {
            topic: "spBv1.0/g/NBIRTH/e".into(),
            payload: payload.encode_to_vec(),
            uncertain,
            losses,
            ..Keyframe::default()
        })
    };
    world.append(birth(false, 2));
    world.pass_alive(Duration::from_secs(1));
    assert!(world.host.nodes["g/e"].online);
    world.append(birth(true, 3));
    world.pass_alive(Duration::from_secs(1));
    assert!(!world.host.nodes["g/e"].online);
}

#[test]
fn a_birth_of_the_plant_is_good_and_one_of_the_relay_keeps_the_marks() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.lossy(vec![metric("a", 2)], 1);
    let quality = |world: &World, id: &str| world.host.nodes["g/e"].quality.get(id).copied();
    let births = world.host.births;
    // A metric was born late on OT: births that nobody in the plant sent.
    let synthetic = |topic: &str, metrics| {
        let payload = Payload { timestamp: Some(WALL), metrics, ..Payload::default() };
        Body::Relayed(Relayed {
            topic: topic.into(),
            payload: payload.encode_to_vec(),
            synthetic: true,
            losses: 1,
            ..Relayed::default()
        })
    };
    let metrics = vec![bd_seq(4), metric("a", 2), metric("b", 1), metric("late", 1)];
    world.append(synthetic("spBv1.0/g/NBIRTH/e", metrics));
    world.append(synthetic("spBv1.0/g/DBIRTH/e/d", vec![metric("x", 1)]));
    assert_eq!(world.host.births, births + 1);
    assert_eq!(quality(&world, "g/e/:b"), Some(500));
    assert_eq!(quality(&world, "g/e/:a").or(quality(&world, "g/e/:late")), None);
    assert_eq!(quality(&world, "g/e/d:x"), Some(500));
    world.append(keyframe_with(&["a", "b", "late"], true, 1));

    world.relayed("spBv1.0/g/DBIRTH/e/d", vec![metric("x", 1)], false);
    assert_eq!(quality(&world, "g/e/d:x"), Some(192));
    assert_eq!(quality(&world, "g/e/:b"), Some(500));
}

#[test]
fn certainty_that_comes_while_the_session_is_down_reaches_the_devices_too() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.lossy(vec![metric("a", 2)], 1);
    world.broker_up = false;
    world.break_sessions();
    world.append(keyframe(2, 1, false, 1));
    world.broker_up = true;
    world.pass_alive(Duration::from_secs(20));
    let quality = &world.host.nodes["g/e"].quality;
    assert!(world.host.nodes["g/e"].online);
    assert_eq!(quality.get("g/e/:b").copied().unwrap_or(192), 192);
    assert_eq!(quality.get("g/e/d:x").copied().unwrap_or(192), 192);
}

#[test]
fn losses_with_each_message_are_told_once_a_second() {
    let mut world = World::live(settings());
    plant(&mut world);
    let before = world.host.births;
    for losses in 1..=200 {
        world.lossy(vec![metric("a", losses)], losses);
        world.pass(Duration::from_millis(50));
    }
    let births = world.host.births - before;
    assert!((9..=13).contains(&births), "{births} sets of births in ten seconds");
    // No value was lost for it, and what didn't come again is marked.
    assert_eq!(world.host.live["g/e/:a"].last(), Some(&200));
    world.pass(Duration::from_secs(2));
    assert_eq!(world.host.nodes["g/e"].quality["g/e/:b"], 500);
}
