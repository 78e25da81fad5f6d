//! Aliases on IT: whose metrics have one, and how long it holds. The host of these tests resolves
//! them, and panics on one that no birth gave, gave twice, or to another entity.

use std::time::Duration;

use sparkplug::{DataType, Metric, Template, Value};

use super::world::{World, bd_seq, data, keyframe, keyframe_of, metric, plant, rebirth, settings};
use crate::mirror::{Aliases, MirrorSettings, Notice};

fn world(aliases: Aliases) -> World {
    World::live(MirrorSettings { aliases, ..settings() })
}

fn aliased(name: &str, value: u64) -> Metric {
    Metric { alias: Some(value), ..metric(name, value) }
}

/// The aliases of g/e that the host knows, by entity and name, in the order of the numbers.
fn aliases(world: &World) -> Vec<(u64, String)> {
    let known = &world.host.nodes["g/e"].aliases;
    let mut all: Vec<_> =
        known.iter().map(|(alias, (device, name))| (*alias, format!("{device}/{name}"))).collect();
    all.sort();
    all
}

fn numbered(names: &[&str]) -> Vec<(u64, String)> {
    (1..).zip(names.iter().map(|name| (*name).to_owned())).collect()
}

#[test]
fn all_metrics_of_a_node_have_numbers_of_their_own_and_data_names_them_by_these() {
    let mut world = world(Aliases::Always);
    plant(&mut world);
    assert_eq!(aliases(&world), numbered(&["/bdSeq", "/a", "/b", "d/x"]));
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("b", 2)]), false);
    world.relayed("spBv1.0/g/DDATA/e/d", data(vec![metric("x", 3)]), false);
    assert_eq!(world.host.live["g/e/:b"], [1, 2]);
    assert_eq!(world.host.live["g/e/d:x"], [1, 3]);
}

#[test]
fn as_in_the_plant_those_have_an_alias_that_have_one_there() {
    let mut world = world(Aliases::AsPlant);
    world.relayed(
        "spBv1.0/g/NBIRTH/e",
        vec![bd_seq(4), metric("a", 1), aliased("b", 1), metric("c", 1)],
        false,
    );
    world.relayed("spBv1.0/g/DBIRTH/e/d", vec![aliased("x", 1), metric("y", 1)], false);
    assert_eq!(aliases(&world), numbered(&["/b", "d/x"]));
    // One message with both.
    let both = vec![metric("a", 2), metric("b", 2), metric("c", 2)];
    world.relayed("spBv1.0/g/NDATA/e", data(both), false);
    for name in ["a", "b", "c"] {
        assert_eq!(world.host.live[&format!("g/e/:{name}")], [1, 2]);
    }
    // The plant gives others: births say so.
    let births = world.host.births;
    world.relayed("spBv1.0/g/NBIRTH/e", vec![bd_seq(4), aliased("a", 3), metric("b", 3)], false);
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 4), metric("b", 4)]), false);
    assert_eq!((world.host.births, aliases(&world)), (births + 1, vec![(2, "/a".into())]));
}

#[test]
fn by_default_nothing_has_an_alias_whatever_the_plant_does() {
    assert_eq!(settings().aliases, Aliases::default());
    let mut world = world(Aliases::default());
    world.relayed("spBv1.0/g/NBIRTH/e", vec![bd_seq(4), aliased("a", 1)], false);
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 2)]), false);
    assert_eq!((aliases(&world), &*world.host.live["g/e/:a"]), (vec![], &[1, 2][..]));
    // Nor does it matter for the shape.
    let births = world.host.births;
    let mut keyframe = keyframe_of(vec![metric("a", 2)], false, 0);
    let journal_format::Body::Keyframe(body) = &mut keyframe else { unreachable!() };
    body.devices.clear();
    world.append(keyframe);
    assert_eq!(world.host.births, births);
}

/// What comes in another order between two births must not be known by its place.
#[test]
fn aliases_hold_until_the_next_birth_whatever_order_the_plant_has() {
    for settings in [Aliases::AsPlant, Aliases::Always] {
        let mut world = world(settings);
        let born = |a, b| vec![bd_seq(4), aliased("a", a), aliased("b", b)];
        world.relayed("spBv1.0/g/NBIRTH/e", born(1, 1), false);
        world.relayed("spBv1.0/g/DBIRTH/e/d", vec![aliased("x", 1), aliased("y", 1)], false);
        let (births, before) = (world.host.births, aliases(&world));
        // A keyframe, and a second birth of a device, with the same metrics in another order.
        world.append(keyframe_of(vec![aliased("b", 2), aliased("a", 1)], false, 0));
        world.relayed("spBv1.0/g/DBIRTH/e/d", vec![aliased("y", 2), aliased("x", 1)], false);
        assert_eq!((world.host.births, aliases(&world)), (births, before));
        world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 3), metric("b", 4)]), false);
        world.relayed("spBv1.0/g/DDATA/e/d", data(vec![metric("x", 5), metric("y", 6)]), false);
        let live = |id: &str| world.host.live[id].clone();
        assert_eq!((live("g/e/:a"), live("g/e/:b")), (vec![1, 3], vec![1, 2, 4]));
        assert_eq!((live("g/e/d:x"), live("g/e/d:y")), (vec![1, 5], vec![1, 2, 6]));
    }
}

#[test]
fn what_a_birth_with_another_layout_adds_has_numbers_that_meant_nothing_else_in_the_session() {
    let mut world = world(Aliases::Always);
    plant(&mut world);
    world.append(keyframe_of(vec![metric("n", 1), metric("b", 1), metric("a", 1)], false, 0));
    world.pass_alive(Duration::from_secs(2));
    assert_eq!(aliases(&world), numbered(&["/bdSeq", "/a", "/b", "/n", "d/x"]));
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 2), metric("n", 3)]), false);
    world.command("g/e", rebirth(), false);
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("b", 4)]), false);
    // What is gone leaves its number to nobody.
    world.relayed("spBv1.0/g/NBIRTH/e", vec![bd_seq(4), metric("n", 4), metric("o", 1)], false);
    let known = [(1, "/bdSeq".to_owned()), (4, "/n".to_owned()), (5, "/o".to_owned())];
    assert_eq!(aliases(&world), known);
    // Another session begins with the first number.
    world.relayed("spBv1.0/g/NBIRTH/e", vec![bd_seq(5), metric("o", 4), metric("n", 4)], false);
    assert_eq!(aliases(&world), numbered(&["/bdSeq", "/o", "/n"]));
    assert_eq!(world.host.live["g/e/:n"].last(), Some(&4));
    assert_eq!(world.host.live["g/e/:b"].last(), Some(&4));
}

#[test]
fn a_device_that_comes_later_has_numbers_that_none_had_since_the_nodes_birth() {
    let mut world = world(Aliases::Always);
    plant(&mut world);
    world.relayed("spBv1.0/g/DDEATH/e/d", vec![], false);
    world.relayed("spBv1.0/g/DBIRTH/e/f", vec![metric("x", 1)], false);
    world.relayed("spBv1.0/g/DBIRTH/e/d", vec![metric("x", 2)], false);
    world.relayed("spBv1.0/g/DDATA/e/d", data(vec![metric("x", 3)]), false);
    assert_eq!(world.host.live["g/e/d:x"], [1, 2, 3]);
    let known = ["/bdSeq", "/a", "/b", "d/x", "f/x", "d/x"];
    assert_eq!(aliases(&world), numbered(&known));
}

#[test]
fn marks_and_history_go_by_alias() {
    let mut world = world(Aliases::Always);
    plant(&mut world);
    world.broker_up = false;
    world.break_sessions();
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 7)]), false);
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 8)]), false);
    world.broker_up = true;
    world.pass_alive(Duration::from_secs(40));
    assert!(world.host.historical["g/e/:a"].contains(&7));
    // Stale, and good again without a value of the plant.
    world.append(keyframe(8, 1, true, 1));
    world.pass_alive(Duration::from_secs(2));
    assert_eq!(world.host.nodes["g/e"].quality["g/e/:a"], 500);
    world.append(keyframe(8, 1, false, 1));
    assert_eq!(world.host.nodes["g/e"].quality["g/e/:a"], 192);
}

/// A killed process leaves no session behind: the next one gives numbers by its births.
#[test]
fn no_alias_outlives_a_restart() {
    for settings in [Aliases::AsPlant, Aliases::Always] {
        let mut world = world(settings);
        world.relayed(
            "spBv1.0/g/NBIRTH/e",
            vec![bd_seq(4), aliased("a", 1), metric("b", 1)],
            false,
        );
        world.relayed("spBv1.0/g/DBIRTH/e/d", vec![aliased("x", 1)], false);
        world.relayed("spBv1.0/g/DBIRTH/e/f", vec![aliased("x", 1)], false);
        world.relayed("spBv1.0/g/DDEATH/e/d", vec![], false);
        world.restart();
        world.pass_alive(Duration::from_secs(40));
        let wanted: Vec<(u64, String)> = match settings {
            Aliases::Always => numbered(&["/bdSeq", "/a", "/b", "f/x"]),
            _ => numbered(&["/a", "f/x"]),
        };
        assert_eq!(aliases(&world), wanted);
        world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 2), metric("b", 3)]), false);
        world.relayed("spBv1.0/g/DDATA/e/f", data(vec![metric("x", 4)]), false);
        assert_eq!(world.host.live["g/e/f:x"].last(), Some(&4));
    }
}

#[test]
fn members_of_templates_have_none() {
    let mut world = world(Aliases::Always);
    let template = |is_definition: bool| {
        let member = Metric { alias: Some(9), ..metric("speed", 1) };
        Value::Template(Box::new(Template {
            metrics: vec![member],
            template_ref: (!is_definition).then(|| "Motor".into()),
            is_definition: Some(is_definition),
            ..Template::default()
        }))
    };
    let of = |name: &str, value: Value| Metric {
        datatype: Some(DataType::Template.code()),
        value: Some(value),
        ..metric(name, 1)
    };
    let born = vec![bd_seq(4), of("Motor", template(true)), of("m1", template(false))];
    world.relayed("spBv1.0/g/NBIRTH/e", born, false);
    world.relayed("spBv1.0/g/NDATA/e", data(vec![of("m1", template(false))]), false);
    assert_eq!(aliases(&world), numbered(&["/bdSeq", "/Motor", "/m1"]));
    assert_eq!(world.host.member_aliases, 0);
}

/// Hosts write by alias where there are any; people read names.
#[test]
fn a_refused_command_is_told_by_the_name_of_its_alias() {
    let mut world = world(Aliases::Always);
    plant(&mut world);
    let write =
        |alias| Metric { alias: Some(alias), value: Some(Value::Long(9)), ..Metric::default() };
    world.notices.clear();
    for alias in [3, 4, 77] {
        world.command("g/e", write(alias), false);
    }
    let told: Vec<&str> = world
        .notices
        .iter()
        .filter_map(|notice| match notice {
            Notice::CommandRefused { metrics, .. } => Some(&*metrics[0]),
            _ => None,
        })
        .collect();
    assert_eq!(told, ["b", "x", ""]);
}
