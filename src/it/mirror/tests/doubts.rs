//! Doubts that aren't of a whole node: of one device, and of values that come too late to make
//! anything good.

use std::time::Duration;

use journal_format::{Body, Keyframe, Relayed};
use prost::Message;
use sparkplug::Payload;

use super::world::{WALL, World, bd_seq, keyframe, metric, plant, settings};
use crate::mirror::{MirrorSettings, OnGap};

/// A keyframe of g/e/d, whose values were doubted so often.
fn device(doubts: u64) -> Body {
    let payload = Payload { metrics: vec![metric("x", 1)], ..Payload::default() };
    Body::Keyframe(Keyframe {
        topic: "spBv1.0/g/DBIRTH/e/d".into(),
        payload: payload.encode_to_vec(),
        uncertain: doubts > 0,
        doubts,
        ..Keyframe::default()
    })
}

/// A message of the relay's own making.
fn synthetic(topic: &str, metrics: Vec<sparkplug::Metric>, outdated: bool) -> Body {
    let payload = Payload { timestamp: Some(WALL), metrics, ..Payload::default() };
    Body::Relayed(Relayed {
        topic: topic.into(),
        payload: payload.encode_to_vec(),
        synthetic: true,
        outdated,
        losses: 1,
        ..Relayed::default()
    })
}

fn quality(world: &World, id: &str) -> u32 {
    world.host.nodes["g/e"].quality.get(id).copied().unwrap_or(192)
}

#[test]
fn a_device_is_doubted_alone_until_it_is_seen_or_born() {
    let mut world = World::live(settings());
    plant(&mut world);
    let births = world.host.births;
    world.append(device(1));
    assert_eq!((quality(&world, "g/e/d:x"), quality(&world, "g/e/:a")), (500, 192));
    // Neither the node's keyframes nor births of the relay's own making say anything of it.
    world.append(keyframe(1, 1, false, 0));
    world.append(device(1));
    assert_eq!(world.host.births, births);
    let metrics = vec![bd_seq(4), metric("a", 1), metric("b", 1)];
    world.append(synthetic("spBv1.0/g/NBIRTH/e", metrics, false));
    world.append(synthetic("spBv1.0/g/DBIRTH/e/d", vec![metric("x", 1)], false));
    assert_eq!((quality(&world, "g/e/d:x"), quality(&world, "g/e/:a")), (500, 192));
    world.relayed("spBv1.0/g/DDATA/e/d", vec![metric("x", 2)], false);
    assert_eq!(quality(&world, "g/e/d:x"), 192);
    world.append(device(1));
    world.append(device(2));
    assert_eq!(quality(&world, "g/e/d:x"), 500);
    world.relayed("spBv1.0/g/DBIRTH/e/d", vec![metric("x", 1)], false);
    assert_eq!(quality(&world, "g/e/d:x"), 192);
    world.append(device(0));
    assert_eq!(quality(&world, "g/e/d:x"), 192);
}

#[test]
fn a_doubt_of_a_node_that_is_resolved_leaves_that_of_its_device() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.append(device(1));
    world.append(keyframe(1, 1, true, 1));
    assert_eq!((quality(&world, "g/e/d:x"), quality(&world, "g/e/:a")), (500, 500));
    world.append(keyframe(1, 1, false, 1));
    assert_eq!((quality(&world, "g/e/d:x"), quality(&world, "g/e/:a")), (500, 192));
    world.append(device(0));
    assert_eq!(quality(&world, "g/e/d:x"), 192);
}

#[test]
fn a_doubted_device_can_be_dead_until_its_next_birth() {
    let mut world = World::live(MirrorSettings { on_gap: OnGap::Death, ..settings() });
    plant(&mut world);
    let is_born = |world: &World| world.host.nodes["g/e"].born.contains_key("d");
    assert!(is_born(&world));
    world.append(device(1));
    world.append(keyframe(1, 1, false, 0));
    world.pass_alive(Duration::from_secs(1));
    assert!(world.host.nodes["g/e"].online && !is_born(&world));
    world.relayed("spBv1.0/g/DBIRTH/e/d", vec![metric("x", 1)], false);
    assert!(is_born(&world));
}

#[test]
fn what_was_held_since_before_a_loss_makes_nothing_good() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.append(keyframe(1, 1, true, 1));
    world.append(synthetic("spBv1.0/g/NDATA/e", vec![metric("a", 2)], true));
    assert_eq!(world.host.live["g/e/:a"].last(), Some(&2));
    assert_eq!(quality(&world, "g/e/:a"), 500);
    world.append(synthetic("spBv1.0/g/NDATA/e", vec![metric("b", 2)], false));
    assert_eq!(quality(&world, "g/e/:b"), 192);
    // Nothing was lost after all.
    world.append(keyframe(2, 2, false, 1));
    assert_eq!(quality(&world, "g/e/:a"), 192);
}

#[test]
fn what_a_birth_of_the_relay_shows_first_is_good_or_doubted_as_it_says() {
    for outdated in [false, true] {
        let mut world = World::live(settings());
        plant(&mut world);
        world.append(keyframe(1, 1, true, 1));
        let metrics = vec![bd_seq(4), metric("a", 1), metric("b", 1), metric("new", 1)];
        world.append(synthetic("spBv1.0/g/NBIRTH/e", metrics, outdated));
        world.pass_alive(Duration::from_secs(3));
        let wanted = if outdated { 500 } else { 192 };
        assert_eq!(quality(&world, "g/e/:new"), wanted);
        assert_eq!(quality(&world, "g/e/:a"), 500);
    }
}

#[test]
fn what_is_born_in_doubt_is_never_shown_as_good() {
    let births = || {
        let metrics = vec![bd_seq(4), metric("a", 1), metric("b", 1)];
        let device = synthetic("spBv1.0/g/DBIRTH/e/d", vec![metric("x", 1)], true);
        [synthetic("spBv1.0/g/NBIRTH/e", metrics, true), device]
    };
    let mut world = World::live(settings());
    births().into_iter().for_each(|birth| world.append(birth));
    world.pass_alive(Duration::from_secs(3));
    assert_eq!((quality(&world, "g/e/:a"), quality(&world, "g/e/d:x")), (500, 500));
    let births_then = world.host.births;
    // Its keyframe says the same.
    world.append(keyframe(1, 1, true, 1));
    assert_eq!(world.host.births, births_then);
    world.append(keyframe(1, 1, false, 1));
    assert_eq!((quality(&world, "g/e/:a"), quality(&world, "g/e/d:x")), (192, 192));

    let mut world = World::live(MirrorSettings { on_gap: OnGap::Death, ..settings() });
    births().into_iter().for_each(|birth| world.append(birth));
    world.pass_alive(Duration::from_secs(3));
    assert!(!world.host.nodes.get("g/e").is_some_and(|node| node.online));
    world.relayed("spBv1.0/g/NBIRTH/e", vec![bd_seq(4), metric("a", 1)], false);
    world.pass_alive(Duration::from_secs(3));
    assert!(world.host.nodes["g/e"].online);
}

#[test]
fn people_hear_of_what_comes_and_cannot_be_shown() {
    let mut world = World::live(settings());
    plant(&mut world);
    for _ in 0..7 {
        world.relayed("spBv1.0/g/DDATA/e/other", vec![metric("x", 1)], false);
        world.pass_alive(Duration::from_secs(1));
    }
    assert_eq!(world.mirror.unread(world.now), Some("g/e/other"));
    world.relayed("spBv1.0/g/DBIRTH/e/other", vec![metric("x", 1)], false);
    assert_eq!(world.mirror.unread(world.now), None);
}

fn instance(members: &[(&str, u64)]) -> sparkplug::Metric {
    let template = sparkplug::Template {
        template_ref: Some("T".into()),
        is_definition: Some(false),
        metrics: members.iter().map(|(name, value)| metric(name, *value)).collect(),
        ..sparkplug::Template::default()
    };
    sparkplug::Metric {
        name: Some("i".into()),
        datatype: Some(sparkplug::DataType::Template.code()),
        value: Some(sparkplug::Value::Template(Box::new(template))),
        ..metric("i", 0)
    }
}

#[test]
fn an_instance_is_doubted_until_all_its_members_are_seen_together() {
    let mut world = World::live(settings());
    let born = instance(&[("a", 1), ("b", 1)]);
    world.relayed("spBv1.0/g/NBIRTH/e", vec![bd_seq(4), metric("a", 1), born], false);
    world.lossy(vec![metric("a", 2)], 1);
    assert_eq!((quality(&world, "g/e/:i"), quality(&world, "g/e/:a")), (500, 192));
    // `b` may have changed by now.
    world.lossy(vec![instance(&[("a", 2)])], 1);
    assert_eq!(quality(&world, "g/e/:i"), 500);
    world.lossy(vec![instance(&[("b", 2), ("a", 2)])], 1);
    assert_eq!(quality(&world, "g/e/:i"), 192);
    // Nothing is in doubt now: what data doesn't have is as it was.
    world.lossy(vec![instance(&[("b", 3)])], 1);
    assert_eq!(quality(&world, "g/e/:i"), 192);
}

/// Another policy renames it: nothing is known of the new name.
#[test]
fn a_device_that_was_doubted_under_another_name_is_born_in_doubt() {
    for on_gap in [OnGap::Mark, OnGap::Death] {
        let mut world = World::live(MirrorSettings { on_gap, ..settings() });
        plant(&mut world);
        world.append(synthetic("spBv1.0/g/DBIRTH/e/new", vec![metric("x", 1)], true));
        let is_born = world.host.nodes["g/e"].born.contains_key("new");
        let quality = quality(&world, "g/e/new:x");
        match on_gap {
            OnGap::Death => assert!(!is_born, "as long as it is in doubt"),
            _ => assert!(is_born && quality == 500, "{is_born} {quality}"),
        }
    }
}
