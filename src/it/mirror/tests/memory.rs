//! What is remembered of the plant, in bytes: no birth, no value and no keyframe goes beyond the budget.

use std::time::Duration;

use account::Reason;
use sparkplug::{Budget, DataType, Metric, Property, PropertySet, PropertyValue, Value};

use super::world::{World, bd_seq, data, keyframe, metric, plant, settings};
use crate::mirror::{MirrorSettings, Notice};

const KIB: usize = 1024;

fn world(node_bytes: usize, plant_bytes: usize) -> World {
    let budget = Budget { node_bytes, plant_bytes };
    World::live(MirrorSettings { budget, ..settings() })
}

fn text(name: &str, bytes: usize) -> Metric {
    Metric {
        datatype: Some(DataType::String.code()),
        value: Some(Value::String("x".repeat(bytes))),
        ..metric(name, 1)
    }
}

fn texts(count: usize) -> Vec<Metric> {
    (0..count).map(|at| text(&format!("t{at}"), 20_000)).collect()
}

fn refused(world: &World) -> u64 {
    world.mirror.account().dropped(Reason::OverMemory)
}

#[test]
fn a_birth_beyond_the_budget_of_its_node_is_refused_and_its_node_is_dead() {
    let property = || PropertyValue { value: Some(Property::Int(1)), ..PropertyValue::default() };
    let with_properties = (0..100).map(|at| {
        let keys: Vec<String> = (0..60).map(|key| format!("k{key}")).collect();
        let values = keys.iter().map(|_| property()).collect();
        let properties = Some(Box::new(PropertySet { keys, values }));
        Metric { properties, ..metric(&format!("p{at}"), 1) }
    });
    for (what, metrics) in [
        ("texts", texts(30)),
        ("many", (0..4_000).map(|at| metric(&format!("m{at}"), 1)).collect()),
        ("properties", with_properties.collect()),
    ] {
        let mut world = world(400 * KIB, usize::MAX);
        plant(&mut world);
        world.pass_alive(Duration::from_secs(1));
        assert!(world.host.nodes["g/e"].online);
        let birth = [vec![bd_seq(1)], metrics].concat();
        world.relayed("spBv1.0/g/NBIRTH/e", birth, false);
        world.pass_alive(Duration::from_secs(1));
        assert!(!world.host.nodes["g/e"].online, "{what}");
        assert_eq!(refused(&world), 1, "{what}");
        let said = world.notices.iter().any(|notice| {
            matches!(notice, Notice::MemoryRefused { node, limit: "mirror.max-node-bytes", .. }
                if node == "g/e")
        });
        assert!(said, "{what}: {:?}", world.notices);
        assert!(world.mirror.nodes.bytes < 20 * KIB, "{what}");
        plant(&mut world);
        world.pass_alive(Duration::from_secs(1));
        assert!(world.host.nodes["g/e"].online);
        assert_eq!(world.mirror.check_account(), Ok(()));
    }
}

#[test]
fn a_device_beyond_the_budget_dies_alone() {
    let mut world = world(400 * KIB, usize::MAX);
    plant(&mut world);
    world.relayed("spBv1.0/g/DBIRTH/e/d", vec![metric("c", 1)], false);
    world.pass_alive(Duration::from_secs(1));
    world.relayed("spBv1.0/g/DBIRTH/e/d", texts(30), false);
    assert_eq!(refused(&world), 1);
    world.pass_alive(Duration::from_secs(1));
    assert!(world.host.nodes["g/e"].online);
    world.relayed("spBv1.0/g/DBIRTH/e/d", vec![metric("c", 2)], false);
    world.relayed("spBv1.0/g/DDATA/e/d", data(vec![metric("c", 3)]), false);
    world.pass_alive(Duration::from_secs(1));
    assert!(world.host.seen("g/e/d:c", 3));
}

#[test]
fn values_that_grow_stay_within_the_budget_and_leave_the_node_in_doubt() {
    let mut world = world(400 * KIB, usize::MAX);
    let short: Vec<Metric> = (0..30).map(|at| text(&format!("t{at}"), 10)).collect();
    world.relayed("spBv1.0/g/NBIRTH/e", [vec![bd_seq(0)], short].concat(), false);
    world.pass_alive(Duration::from_secs(1));
    let births = world.host.births;
    for at in 0..30 {
        world.relayed("spBv1.0/g/NDATA/e", data(vec![text(&format!("t{at}"), 20_000)]), false);
        assert!(world.mirror.nodes.bytes <= 400 * KIB);
    }
    let refused = refused(&world);
    assert!((5..=20).contains(&refused), "{refused}");
    world.pass_alive(Duration::from_secs(3));
    assert!(world.host.births > births, "values are stale");
}

#[test]
fn all_nodes_together_stay_within_the_budget_and_dead_ones_give_way() {
    let mut world = world(400 * KIB, 700 * KIB);
    for (node, fits) in [("a", true), ("b", true), ("c", false)] {
        let birth = [vec![bd_seq(0)], texts(12)].concat();
        world.relayed(&format!("spBv1.0/g/NBIRTH/{node}"), birth, false);
        world.pass_alive(Duration::from_secs(1));
        let online = world.host.nodes.get(&format!("g/{node}")).is_some_and(|node| node.online);
        assert_eq!(online, fits, "{node}");
        assert!(world.mirror.nodes.bytes <= 700 * KIB);
    }
    assert_eq!(refused(&world), 1);
    world.relayed("spBv1.0/g/NDEATH/a", vec![], false);
    world.pass_alive(Duration::from_secs(5));
    world.relayed("spBv1.0/g/NBIRTH/c", [vec![bd_seq(0)], texts(12)].concat(), false);
    world.pass_alive(Duration::from_secs(1));
    assert!(world.host.nodes["g/c"].online);
    assert!(world.mirror.nodes.bytes <= 700 * KIB);
    world.restart();
    assert!(world.mirror.nodes.bytes <= 700 * KIB);
}

#[test]
fn keyframes_bring_no_more_than_births() {
    let mut world = world(20 * KIB, usize::MAX);
    world.append(keyframe(1, 2, false, 0));
    world.pass_alive(Duration::from_secs(1));
    assert!(world.host.nodes["g/e"].online);
    let names: Vec<String> = (0..200).map(|at| format!("m{at}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    world.append(super::world::keyframe_with(&names, false, 0));
    world.pass_alive(Duration::from_secs(1));
    assert!(!world.host.nodes["g/e"].online);
    assert!(world.mirror.nodes.bytes <= 20 * KIB);
}
