//! Groups whose nodes are devices of one edge node on IT.

use std::time::Duration;

use account::Reason;
use sparkplug::{DataType, Metric, Template, Value};

use super::templates::{definition, instance, template};
use super::world::{World, bd_seq, data, metric, rebirth, settings};
use crate::mirror::{Aliases, MirrorSettings, Notice, OnGap};

fn folds() -> MirrorSettings {
    MirrorSettings { fold: Some("F".into()), ..settings() }
}

/// Two nodes of a group, the first with a device, and one of another group.
fn plant(world: &mut World) {
    world.relayed("spBv1.0/g/NBIRTH/e", vec![bd_seq(4), metric("a", 1)], false);
    world.relayed("spBv1.0/g/DBIRTH/e/d", vec![metric("x", 1)], false);
    world.relayed("spBv1.0/g/NBIRTH/f", vec![bd_seq(9), metric("a", 1)], false);
    world.relayed("spBv1.0/h/NBIRTH/e", vec![bd_seq(4), metric("a", 1)], false);
}

fn devices(world: &World, node: &str) -> Vec<String> {
    let mut devices: Vec<String> = world.host.nodes[node].born.keys().cloned().collect();
    devices.sort();
    devices.retain(|device| !device.is_empty());
    devices
}

fn of_kind(world: &World, kind: &str) -> usize {
    world.topics.iter().filter(|topic| topic.split('/').nth(2) == Some(kind)).count()
}

#[test]
fn a_group_has_one_session_and_its_nodes_are_devices() {
    let mut world = World::live(folds());
    plant(&mut world);
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 2)]), false);
    world.relayed("spBv1.0/g/DDATA/e/d", data(vec![metric("x", 2)]), false);
    world.relayed("spBv1.0/g/NDATA/f", data(vec![metric("a", 3)]), false);
    assert_eq!(world.sessions.len(), 2);
    assert_eq!(world.mirror.sessions(), 2);
    assert_eq!(world.host.births, 2);
    assert_eq!(devices(&world, "g/F"), ["e", "e:d", "f"]);
    assert_eq!(devices(&world, "h/F"), ["e"]);
    assert_eq!(world.host.live["g/F/e:a"], [1, 2]);
    assert_eq!(world.host.live["g/F/e:d:x"], [1, 2]);
    assert_eq!(world.host.live["g/F/f:a"], [1, 3]);
    let nodes: Vec<_> = world.mirror.nodes().map(|node| node.entity.to_string()).collect();
    assert_eq!(nodes.len(), 3, "{nodes:?}");
    assert!(world.mirror.nodes().all(|node| node.alive));
    assert_eq!(world.mirror.check_account(), Ok(()));
}

#[test]
fn a_node_that_dies_is_a_device_that_dies_and_the_last_one_ends_the_session() {
    let mut world = World::live(folds());
    plant(&mut world);
    world.relayed("spBv1.0/g/NDEATH/e", vec![], false);
    assert_eq!(devices(&world, "g/F"), ["f"]);
    assert_eq!((world.host.deaths, of_kind(&world, "DDEATH")), (0, 2));
    assert!(world.host.nodes["g/F"].online);
    world.relayed("spBv1.0/g/NBIRTH/e", vec![bd_seq(5), metric("a", 7)], false);
    assert_eq!(devices(&world, "g/F"), ["e", "f"]);
    world.relayed("spBv1.0/g/NDEATH/f", vec![], false);
    world.relayed("spBv1.0/g/NDEATH/e", vec![], false);
    assert!(!world.host.nodes["g/F"].online && world.host.nodes["h/F"].online);
    assert_eq!(world.sessions.len(), 1);
    world.relayed("spBv1.0/g/NBIRTH/f", vec![bd_seq(1), metric("a", 8)], false);
    assert_eq!(world.bd_seqs["g/F"], [0, 1]);
    assert_eq!(devices(&world, "g/F"), ["f"]);
    world.mirror.stop(world.now);
    world.carry_out();
    assert!(world.mirror.is_stopped());
    assert!(world.host.nodes.values().all(|node| !node.online));
}

#[test]
fn a_birth_of_the_plant_is_a_death_and_a_birth_of_that_device_alone() {
    let mut world = World::live(folds());
    plant(&mut world);
    let births = |world: &World| (world.host.births, of_kind(world, "DBIRTH"));
    assert_eq!(births(&world), (2, 4));
    // In the plant's session, and in a new one.
    for (bd, value) in [(4, 2), (5, 3)] {
        world.relayed("spBv1.0/g/NBIRTH/e", vec![bd_seq(bd), metric("a", value)], false);
        assert_eq!(devices(&world, "g/F"), ["e", "f"]);
        world.relayed("spBv1.0/g/DBIRTH/e/d", vec![metric("x", value)], false);
        assert_eq!(devices(&world, "g/F"), ["e", "e:d", "f"]);
    }
    assert_eq!(births(&world), (2, 8));
    assert_eq!(world.bd_seqs["g/F"], [0]);
    assert_eq!(world.host.live["g/F/e:a"], [1, 2, 3]);
    assert_eq!(world.host.live["g/F/e:d:x"], [1, 2, 3]);
    assert_eq!(world.host.live["g/F/f:a"], [1]);
}

#[test]
fn a_rebirth_request_has_all_members_born_anew_and_a_burst_two_answers() {
    let mut world = World::live(folds());
    plant(&mut world);
    world.pass_alive(Duration::from_secs(2));
    world.relayed("spBv1.0/g/NDATA/f", data(vec![metric("a", 5)]), false);
    for _ in 0..20 {
        world.command("g/F", rebirth(), false);
    }
    assert_eq!(world.host.births, 3);
    world.pass_alive(Duration::from_secs(5));
    assert_eq!(world.host.births, 4);
    assert_eq!(world.bd_seqs["g/F"], [0]);
    assert_eq!(devices(&world, "g/F"), ["e", "e:d", "f"]);
    assert_eq!(world.host.live["g/F/f:a"], [1, 5, 5, 5]);
    world.command("g/F", metric("a", 1), false);
    let refused = |notice: &Notice| matches!(notice, Notice::CommandRefused { .. });
    assert_eq!(world.notices.iter().filter(|notice| refused(notice)).count(), 1);
}

#[test]
fn what_a_broken_session_lost_comes_as_history_of_each_member() {
    let mut world = World::live(folds());
    plant(&mut world);
    world.pass_alive(Duration::from_secs(5));
    world.broker_up = false;
    world.break_sessions();
    for value in 2..6 {
        world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", value)]), false);
        world.relayed("spBv1.0/g/NDATA/f", data(vec![metric("a", value + 10)]), false);
    }
    world.pass_alive(Duration::from_secs(3));
    assert_eq!(world.mirror.sessionless(), 2);
    world.broker_up = true;
    world.pass_alive(Duration::from_secs(20));
    assert_eq!(world.host.live["g/F/e:a"], [1, 5]);
    assert_eq!(world.host.historical["g/F/e:a"], [2, 3, 4]);
    assert_eq!(world.host.historical["g/F/f:a"], [12, 13, 14]);
    assert!(!world.mirror.owes_history());
    assert_eq!(world.mirror.unconfirmed_frames(), 0);
    let seqs = &world.bd_seqs["g/F"];
    assert_eq!(seqs.last(), Some(&1), "{seqs:?}");
}

#[test]
fn members_share_a_barrier() {
    let mut world = World::live(folds());
    for node in 0..50 {
        let birth = vec![bd_seq(1), metric("a", 1)];
        world.relayed(&format!("spBv1.0/g/NBIRTH/{node}"), birth, false);
    }
    world.pass_alive(Duration::from_secs(5));
    let before = world.barriers;
    for node in 0..50 {
        let topic = format!("spBv1.0/g/NDATA/{node}");
        world.relayed(&topic, data(vec![metric("a", 2)]), false);
    }
    world.pass_alive(Duration::from_secs(5));
    assert_eq!(world.mirror.unconfirmed_frames(), 0);
    assert_eq!(world.barriers - before, 1);
}

#[test]
fn a_restart_goes_on_with_the_next_bd_seq_of_the_folded_node() {
    let mut world = World::live(folds());
    plant(&mut world);
    world.pass_alive(Duration::from_secs(5));
    world.restart();
    world.pass_alive(Duration::from_secs(5));
    assert_eq!(world.bd_seqs["g/F"], [0, 1]);
    assert_eq!(devices(&world, "g/F"), ["e", "e:d", "f"]);
}

#[test]
fn silence_ends_the_session_and_a_gap_only_its_member() {
    let mut world = World::live(MirrorSettings { on_gap: OnGap::Death, ..folds() });
    plant(&mut world);
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 2)]), true);
    assert_eq!(devices(&world, "g/F"), ["f"]);
    world.relayed("spBv1.0/g/NBIRTH/e", vec![bd_seq(4), metric("a", 3)], false);
    assert_eq!(devices(&world, "g/F"), ["e", "f"]);
    assert_eq!(world.host.deaths, 0);
    world.pass(Duration::from_secs(15));
    assert!(world.host.nodes.values().all(|node| !node.online));
    assert!(world.sessions.is_empty());
    world.heartbeat();
    assert_eq!(world.bd_seqs["g/F"], [0, 1]);
    assert_eq!(devices(&world, "g/F"), ["e", "f"]);
}

#[test]
fn values_in_doubt_are_stale_on_their_device_alone() {
    let mut world = World::live(folds());
    plant(&mut world);
    world.relayed("spBv1.0/g/NDATA/f", data(vec![metric("a", 2)]), true);
    let quality = |world: &World, id: &str| world.host.nodes["g/F"].quality.get(id).copied();
    assert_eq!(quality(&world, "g/F/e:a"), None);
    assert_eq!(quality(&world, "g/F/f:a"), Some(192));
    world.relayed("spBv1.0/g/NBIRTH/f", vec![bd_seq(9), metric("a", 3), metric("b", 1)], false);
    world.relayed("spBv1.0/g/NDATA/f", data(vec![metric("a", 4)]), true);
    assert_eq!(quality(&world, "g/F/f:b"), Some(500));
    assert_eq!(world.host.births, 2);
}

#[test]
fn births_wait_for_the_primary_host_and_end_with_it() {
    let mut world = World::live(MirrorSettings { primary_host: Some("h1".into()), ..folds() });
    plant(&mut world);
    let state = |world: &mut World, online: bool, timestamp: u64| {
        let nodes: Vec<_> = world.sessions.keys().copied().collect();
        for node in nodes {
            let payload = format!("{{\"online\":{online},\"timestamp\":{timestamp}}}");
            let topic = "spBv1.0/STATE/h1".to_owned();
            let payload = payload.into_bytes().into();
            world.event(
                node,
                crate::mirror::SessionEvent::Received { topic, payload, retain: true },
            );
        }
        world.carry_out();
    };
    assert_eq!((world.sessions.len(), world.host.births), (2, 0));
    state(&mut world, true, 10);
    assert_eq!(world.host.births, 2);
    assert_eq!(devices(&world, "g/F"), ["e", "e:d", "f"]);
    state(&mut world, false, 20);
    assert!(world.host.nodes.values().all(|node| !node.online));
    world.pass_alive(Duration::from_secs(5));
    assert_eq!(world.host.births, 2);
    state(&mut world, true, 30);
    assert_eq!(world.host.births, 4);
    assert_eq!(world.bd_seqs["g/F"], [0, 1]);
}

/// A definition called `name` with an instance of `inner` in it.
fn nested(name: &str, inner: &str) -> Metric {
    let inner = instance_of("motor", inner);
    let members =
        Template { metrics: vec![inner], is_definition: Some(true), ..Template::default() };
    template(name, members)
}

fn instance_of(name: &str, reference: &str) -> Metric {
    let mut metric = instance(name);
    if let Some(Value::Template(template)) = &mut metric.value {
        template.template_ref = Some(reference.into());
    }
    metric
}

#[test]
fn definitions_are_those_of_all_members_and_what_differs_has_a_name_of_its_own() {
    let mut world = World::live(folds());
    let definitions = |world: &World| -> Vec<String> {
        world.host.nodes["g/F"].definitions.iter().cloned().collect()
    };
    let born = |version| vec![bd_seq(1), definition(version, DataType::Int64), instance("m1")];
    world.relayed("spBv1.0/g/NBIRTH/a", born("1"), false);
    world.relayed("spBv1.0/g/NBIRTH/b", born("1"), false);
    assert_eq!((world.host.births, definitions(&world)), (1, vec!["Motor".to_owned()]));
    // Another version, and what refers to it: in births, data and other definitions. (The host
    // panics on a reference to what isn't there.)
    let mut other = born("2");
    other.push(nested("_types_/Line", "Motor"));
    other.push(instance_of("line", "Line"));
    world.relayed("spBv1.0/g/NBIRTH/c", other, false);
    assert_eq!(definitions(&world), ["Motor", "_types_/c:Line", "c:Motor"]);
    assert_eq!(world.host.births, 2);
    assert_eq!(devices(&world, "g/F"), ["a", "b", "c"]);
    world.relayed("spBv1.0/g/NDATA/c", data(vec![instance("m1")]), false);
    world.relayed("spBv1.0/g/NDATA/a", data(vec![instance("m1")]), false);
    assert_eq!(of_kind(&world, "DDATA"), 2);
    // All have the new one: it has one name again.
    world.relayed("spBv1.0/g/NBIRTH/a", born("2"), false);
    world.relayed("spBv1.0/g/NBIRTH/b", born("2"), false);
    world.pass_alive(Duration::from_secs(10));
    world.command("g/F", rebirth(), false);
    assert_eq!(definitions(&world), ["Motor", "_types_/Line"]);
    assert_eq!(devices(&world, "g/F"), ["a", "b", "c"]);
}

#[test]
fn definitions_that_change_without_end_cost_others_a_bounded_rate() {
    let mut world = World::live(folds());
    plant(&mut world);
    for version in 0..200 {
        let version = version.to_string();
        let born = vec![bd_seq(1), definition(&version, DataType::Int64), instance("m1")];
        world.relayed("spBv1.0/g/NBIRTH/bad", born, false);
        world.relayed("spBv1.0/g/NDATA/f", data(vec![metric("a", 5)]), false);
        world.pass_alive(Duration::from_millis(50));
    }
    // 10 s: one a second, and those that may come ahead.
    assert!((2 + 9..=2 + 13).contains(&world.host.births), "{}", world.host.births);
    // What others say goes on meanwhile: each of it was seen, and each birth but the first says it.
    let said = world.host.live["g/F/f:a"].iter().filter(|value| **value == 5).count();
    assert_eq!(said, 200 + world.host.births - 3);
    world.pass_alive(Duration::from_secs(5));
    assert_eq!(devices(&world, "g/F"), ["bad", "e", "e:d", "f"]);
}

#[test]
fn aliases_are_of_one_folded_node_once() {
    // The host panics on an alias that two metrics have.
    let mut world = World::live(MirrorSettings { aliases: Aliases::Always, ..folds() });
    plant(&mut world);
    for value in 2..5 {
        world.relayed("spBv1.0/g/NBIRTH/e", vec![bd_seq(4), metric("a", value)], false);
        world.relayed("spBv1.0/g/DBIRTH/e/d", vec![metric("x", value)], false);
        world.relayed("spBv1.0/g/NDATA/f", data(vec![metric("a", value)]), false);
    }
    assert_eq!(world.host.live["g/F/f:a"], [1, 2, 3, 4]);
}

#[test]
fn a_node_whose_topics_would_be_too_long_is_refused_alone() {
    let mut world = World::live(folds());
    plant(&mut world);
    let long = ":".repeat(30_000);
    world.relayed(&format!("spBv1.0/g/NBIRTH/{long}"), vec![bd_seq(1), metric("a", 1)], false);
    let long = "d".repeat(65_515);
    world.relayed(&format!("spBv1.0/g/DBIRTH/f/{long}"), vec![metric("a", 1)], false);
    assert_eq!(world.mirror.account().dropped(Reason::OverCap), 2);
    assert_eq!(devices(&world, "g/F"), ["e", "e:d", "f"]);
}

#[test]
fn groups_that_come_and_go_leave_no_folds_behind_and_keep_their_bd_seqs() {
    let mut world = World::live(MirrorSettings { max_nodes: 2, ..folds() });
    for group in ["a", "b", "c", "a", "b"] {
        let birth = vec![bd_seq(1), metric("a", 1)];
        world.relayed(&format!("spBv1.0/{group}/NBIRTH/e"), birth, false);
        world.pass_alive(Duration::from_secs(5));
        world.relayed(&format!("spBv1.0/{group}/NDEATH/e"), vec![], false);
        world.pass_alive(Duration::from_secs(5));
    }
    assert_eq!(world.bd_seqs["a/F"], [0, 1]);
    assert_eq!(world.bd_seqs["b/F"], [0, 1]);
    assert!(world.mirror.folds.nodes().count() <= 3);
}

/// A birth of some 30 kB.
fn large(bd: u64) -> Vec<Metric> {
    let long = (0..100).map(|number| metric(&format!("{}{number}", "x".repeat(300)), 1));
    [bd_seq(bd), metric("a", 7)].into_iter().chain(long).collect()
}

#[test]
fn a_birth_that_the_broker_does_not_take_costs_its_own_node_alone() {
    let mut world = World::live(folds());
    world.takes_bytes = 20_000;
    plant(&mut world);
    world.pass_alive(Duration::from_secs(5));
    let births = world.bd_seqs["g/F"].len();
    world.relayed("spBv1.0/g/NBIRTH/large", large(1), false);
    world.pass_alive(Duration::from_secs(20));
    // Two sessions end at it, and the next one stands.
    assert_eq!(world.bd_seqs["g/F"].len(), births + 2);
    assert_eq!(devices(&world, "g/F"), ["e", "e:d", "f"]);
    world.relayed("spBv1.0/g/NDATA/f", data(vec![metric("a", 5)]), false);
    assert_eq!(world.host.live["g/F/f:a"].last(), Some(&5));
    world.relayed("spBv1.0/g/NDATA/large", data(vec![metric("a", 8)]), false);
    let waits = |world: &World| -> Vec<(String, u64)> {
        let held = |notice: &Notice| match notice {
            Notice::BirthHeld { node, bytes, wait_s } if *bytes > 20_000 => {
                Some((node.clone(), *wait_s))
            }
            _ => None,
        };
        world.notices.iter().filter_map(held).collect()
    };
    assert_eq!(waits(&world), [("g/large".to_owned(), 60)]);
    // One more, each time that it is tried.
    world.pass_alive(Duration::from_secs(200));
    let waits: Vec<u64> = waits(&world).iter().map(|(_, wait_s)| *wait_s).collect();
    assert_eq!(waits, [60, 120, 240]);
    assert_eq!(world.bd_seqs["g/F"].len(), births + 4);
    assert_eq!(devices(&world, "g/F"), ["e", "e:d", "f"]);
    // The broker takes more from now on.
    world.takes_bytes = usize::MAX;
    world.pass_alive(Duration::from_secs(240));
    assert_eq!(devices(&world, "g/F"), ["e", "e:d", "f", "large"]);
    assert_eq!(world.host.historical["g/F/large:a"], [7]);
    assert_eq!(world.host.live["g/F/large:a"], [8]);
    assert_eq!(world.bd_seqs["g/F"].len(), births + 4);
    // And is as before afterwards: the next one is the first again.
    world.takes_bytes = 20_000;
    world.relayed("spBv1.0/g/NBIRTH/large", large(2), false);
    world.pass_alive(Duration::from_secs(20));
    assert_eq!(world.bd_seqs["g/F"].len(), births + 6);
    assert_eq!(world.mirror.check_account(), Ok(()));
}

#[test]
fn a_session_that_breaks_at_small_births_holds_nobody() {
    let mut world = World::live(folds());
    world.takes_bytes = 20;
    plant(&mut world);
    world.pass_alive(Duration::from_secs(60));
    assert!(world.bd_seqs["g/F"].len() > 3);
    assert!(!world.notices.iter().any(|notice| matches!(notice, Notice::BirthHeld { .. })));
    world.takes_bytes = usize::MAX;
    world.pass_alive(Duration::from_secs(121));
    assert_eq!(devices(&world, "g/F"), ["e", "e:d", "f"]);
}
