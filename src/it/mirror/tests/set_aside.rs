//! Frames that are set aside: what they would have said is doubted, and a keyframe resolves it.

use std::time::Duration;

use account::Reason;
use journal_read::Item;

use super::world::{World, data, keyframe, metric, plant, settings};

/// The next frame of the journal, which is set aside.
fn set_aside(world: &mut World) {
    let Item::Frame(frame) = world.item(world.read) else { panic!() };
    world.read += 1;
    world.mirror.set_aside(world.now, &frame);
    world.carry_out();
}

fn appended(world: &mut World, topic: &str, metrics: Vec<sparkplug::Metric>) {
    // Noted, and not read.
    let before = world.read;
    world.read = usize::MAX;
    world.relayed(topic, metrics, false);
    world.read = before;
    set_aside(world);
}

#[test]
fn values_behind_a_frame_that_was_set_aside_are_doubted_until_a_keyframe_tells_them() {
    let mut world = World::live(settings());
    plant(&mut world);
    appended(&mut world, "spBv1.0/g/NDATA/e", data(vec![metric("a", 2)]));
    let quality = |world: &World, id: &str| world.host.nodes["g/e"].quality[id];
    for id in ["g/e/:a", "g/e/:b", "g/e/d:x"] {
        assert_eq!(quality(&world, id), 500, "{id}");
    }
    let account = world.mirror.account();
    assert_eq!(account.drops().collect::<Vec<_>>(), [(Reason::SetAside, 1, 0)]);
    // The others go on, and so does the node.
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("b", 2)]), false);
    assert_eq!(quality(&world, "g/e/:b"), 192);
    world.append(keyframe(2, 2, false, 0));
    assert_eq!(quality(&world, "g/e/:a"), 192);
    assert_eq!(world.host.live["g/e/:a"].last(), Some(&2), "the value that was set aside");
    assert_eq!(world.mirror.position().1, world.frames.len() as u64);
}

#[test]
fn a_node_whose_death_was_set_aside_does_not_live_for_ever() {
    let mut world = World::live(settings());
    plant(&mut world);
    appended(&mut world, "spBv1.0/g/NDEATH/e", Vec::new());
    assert_eq!(world.host.deaths, 0);
    world.pass_alive(Duration::from_secs(11));
    assert_eq!(world.host.deaths, 1, "no keyframe confirmed that it lives");
}

#[test]
fn a_keyframe_that_was_set_aside_and_an_unknown_node_break_nothing() {
    let mut world = World::live(settings());
    plant(&mut world);
    let before = world.read;
    world.read = usize::MAX;
    world.append(keyframe(1, 1, false, 0));
    world.read = before;
    set_aside(&mut world);
    assert_eq!(world.mirror.tally().keyframes_refused, 1);
    appended(&mut world, "spBv1.0/g/NDATA/other", data(vec![metric("a", 2)]));
    appended(&mut world, "no topic", Vec::new());
    assert_eq!(world.mirror.account().dropped_total(), 2);
    world.append(keyframe(1, 1, false, 0));
    assert_eq!(world.host.nodes["g/e"].quality["g/e/:a"], 192);
}
