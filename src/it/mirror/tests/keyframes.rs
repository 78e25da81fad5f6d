//! Keyframes as a cure and as an audit.

use std::time::Duration;

use journal_format::{Body, Keyframe};
use journal_read::{Item, Lost, LostCause};
use prost::Message;
use sparkplug::{DataType, Metric, Payload, Value};

use super::world::{World, bd_seq, metric, plant, settings};

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
