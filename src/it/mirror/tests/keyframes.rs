//! Keyframes as a cure and as an audit.

use std::time::Duration;

use journal_format::{Body, Keyframe, Start};
use journal_read::{Item, Lost, LostCause};
use prost::Message;
use sparkplug::{DataType, Metric, Payload, Value};

use super::world::{World, bd_seq, keyframe, metric, plant, settings};

#[test]
fn keyframes_heal_a_mirror_that_lost_frames() {
    let mut world = World::live(settings());
    plant(&mut world);
    world.relayed("spBv1.0/g/NBIRTH/f", vec![bd_seq(1), metric("a", 1)], false);
    let lost = Lost { first: 90, last: 99, cause: LostCause::Damage };
    world.mirror.handle_item(world.now, Item::Lost(lost));
    let payload =
        Payload { metrics: vec![bd_seq(4), metric("a", 8), metric("b", 1)], ..Payload::default() };
    world.append(Body::Keyframe(Keyframe {
        topic: "spBv1.0/g/NBIRTH/e".into(),
        payload: payload.encode_to_vec(),
        devices: vec!["new".into()],
        ..Keyframe::default()
    }));
    let payload = Payload { metrics: vec![metric("z", 3)], ..Payload::default() };
    world.append(Body::Keyframe(Keyframe {
        topic: "spBv1.0/g/DBIRTH/e/new".into(),
        payload: payload.encode_to_vec(),
        ..Keyframe::default()
    }));
    assert_eq!(world.host.live["g/e/:a"], [1, 8], "healed by data");
    assert_eq!(world.host.live["g/e/new:z"], [3]);
    assert!(!world.host.nodes["g/e"].born.contains_key("d"), "the device had died");
    world.pass_alive(Duration::from_secs(12));
    assert!(!world.host.nodes["g/f"].online, "no keyframe confirmed it");
    assert_eq!(world.mirror.tally().frames_lost, 10);
}

#[test]
fn a_whole_mirror_finds_no_difference_in_a_keyframe() {
    let mut world = World::live(settings());
    plant(&mut world);
    let nan = Metric {
        datatype: Some(DataType::Double.code()),
        value: Some(Value::Double(f64::NAN)),
        ..metric("n", 1)
    };
    world.relayed("spBv1.0/g/NBIRTH/e", vec![bd_seq(4), nan.clone()], false);
    let births = world.host.births;
    let payload = Payload { metrics: vec![bd_seq(4), nan], ..Payload::default() };
    world.append(Body::Keyframe(Keyframe {
        topic: "spBv1.0/g/NBIRTH/e".into(),
        payload: payload.encode_to_vec(),
        ..Keyframe::default()
    }));
    assert_eq!(world.mirror.tally().healed, 0);
    assert_eq!(world.host.births, births);
}

/// The first frame of a segment whose head is spread over it.
fn spread() -> Body {
    Body::Start(Start { epoch: 1, keyframe_every_s: 60, spread: true, ..Start::default() })
}

#[test]
fn a_head_that_is_spread_ends_with_a_heartbeat_and_shows_who_lives() {
    let mut world = World::live(settings());
    plant(&mut world);
    let other = |world: &mut World| {
        world.relayed("spBv1.0/g/NBIRTH/other", vec![bd_seq(1), metric("a", 1)], false);
    };
    other(&mut world);
    assert!(world.host.nodes["g/e"].online && world.host.nodes["g/other"].online);
    // Both are shown, one by a keyframe, and one by a birth of its own.
    world.append(spread());
    world.append(keyframe(1, 1, false, 0));
    other(&mut world);
    world.heartbeat();
    assert!(world.host.nodes["g/e"].online && world.host.nodes["g/other"].online);
    // One isn't: it died unseen. Nothing is said of it before the head is over.
    world.append(spread());
    world.append(keyframe(1, 1, false, 0));
    assert!(world.host.nodes["g/other"].online);
    world.heartbeat();
    assert!(world.host.nodes["g/e"].online && !world.host.nodes["g/other"].online);
    // A torn head shows nothing.
    other(&mut world);
    world.append(spread());
    let lost = Lost { first: 1, last: 1, cause: LostCause::Damage };
    world.mirror.handle_item(world.now, Item::Lost(lost));
    world.heartbeat();
    assert!(world.host.nodes["g/e"].online && world.host.nodes["g/other"].online);
}
