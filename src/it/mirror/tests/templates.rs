//! Definitions of templates and their instances.

use std::sync::Arc;
use std::time::Duration;

use account::Reason;
use journal_format::{Body, Keyframe};
use journal_read::{Item, Lost, LostCause};
use prost::Message;
use sparkplug::{DataType, Metric, Payload, Property, PropertySet, PropertyValue, Template, Value};

use super::both::Both;
use super::world::{WALL, World, bd_seq, data, metric, rebirth, settings};
use crate::mirror::Notice;

/// A template's definition, and an instance of it.
pub(super) fn definition(version: &str, datatype: DataType) -> Metric {
    let rpm = Metric { datatype: Some(datatype.code()), ..metric("rpm", 1) };
    template(
        "Motor",
        Template {
            version: Some(version.into()),
            metrics: vec![rpm],
            is_definition: Some(true),
            ..Template::default()
        },
    )
}

pub(super) fn instance(name: &str) -> Metric {
    template(
        name,
        Template {
            metrics: vec![metric("rpm", 1)],
            template_ref: Some("Motor".into()),
            is_definition: Some(false),
            ..Template::default()
        },
    )
}

pub(super) fn template(name: &str, template: Template) -> Metric {
    Metric {
        name: Some(name.into()),
        datatype: Some(DataType::Template.code()),
        timestamp: Some(WALL),
        value: Some(Value::Template(Box::new(template))),
        ..Metric::default()
    }
}

#[test]
fn a_definition_comes_by_births_alone() {
    let mut world = World::live(settings());
    let birth = |definition| vec![bd_seq(4), definition, metric("a", 1)];
    let repeated = |definition, uncertain, losses| {
        let payload = Payload { metrics: birth(definition), ..Payload::default() };
        Body::Keyframe(Keyframe {
            topic: "spBv1.0/g/NBIRTH/e".into(),
            payload: payload.encode_to_vec(),
            uncertain,
            losses,
            ..Keyframe::default()
        })
    };
    world.relayed("spBv1.0/g/NBIRTH/e", birth(definition("1", DataType::Int64)), false);
    // The host panics on a definition in data.
    world.append(repeated(definition("1", DataType::Int64), false, 0));
    assert_eq!(world.host.births, 1);
    world.append(repeated(definition("2", DataType::Int64), false, 0));
    assert_eq!(world.host.births, 2);
    world.append(repeated(definition("2", DataType::UInt64), false, 0));
    assert_eq!(world.host.births, 3);
    world.relayed("spBv1.0/g/NDATA/e", data(vec![definition("3", DataType::Int64)]), false);
    assert_eq!(world.mirror.account().dropped(Reason::TypeMismatch), 1);
    world.append(repeated(definition("2", DataType::UInt64), true, 1));
    world.append(repeated(definition("2", DataType::UInt64), false, 1));
    assert_eq!(world.host.births, 4);
}

#[test]
fn after_a_loss_a_device_waits_for_the_definition_of_its_instances() {
    for known in [true, false] {
        let mut world = World::live(settings());
        world.relayed("spBv1.0/g/NBIRTH/e", vec![bd_seq(4), metric("a", 1)], false);
        // Lost: the NBIRTH of the relay's own making that has the definition.
        let lost = Lost { first: 3, last: 3, cause: LostCause::Damage };
        world.mirror.handle_item(world.now, Item::Lost(lost));
        let born = vec![instance("motor"), metric("x", 1)];
        world.relayed("spBv1.0/g/DBIRTH/e/d", born, false);
        world.relayed("spBv1.0/g/DDATA/e/d", data(vec![metric("x", 2)]), false);
        world.relayed("spBv1.0/g/DDATA/e/d", data(vec![metric("x", 3)]), false);
        world.pass_alive(Duration::from_secs(3));
        world.command("g/e", rebirth(), false);
        assert!(!world.host.nodes["g/e"].born.contains_key("d"));
        let mut metrics = vec![bd_seq(4), metric("a", 1)];
        metrics.extend(known.then(|| definition("1", DataType::Int64)));
        let payload = Payload { metrics, ..Payload::default() };
        world.append(Body::Keyframe(Keyframe {
            topic: "spBv1.0/g/NBIRTH/e".into(),
            payload: payload.encode_to_vec(),
            devices: vec!["d".into()],
            ..Keyframe::default()
        }));
        assert!(world.host.nodes["g/e"].born["d"].contains("motor"));
        assert_eq!(world.host.nodes["g/e"].born[""].contains("Motor"), known);
        world.relayed("spBv1.0/g/DDATA/e/d", data(vec![metric("x", 4)]), false);
        world.pass_alive(Duration::from_secs(5));
        assert_eq!(world.host.live["g/e/d:x"], [3, 4]);
        assert!(world.host.seen("g/e/d:x", 2), "what it said meanwhile is history");
    }
}

/// A birth may lack a member that data brings later: the OT half makes a birth with it first, so that a
/// copy of the policy, which judges births, knows it.
#[test]
fn a_member_that_a_birth_left_out_comes_with_and_without_a_copy_of_the_policy() {
    const POLICY: &str = "[[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"g\"\n";
    for copy in [false, true] {
        let mut both = Both::with(POLICY);
        let policy = copy.then(|| Arc::new(Both::policy(POLICY)));
        both.world.mirror.reload_policy(both.world.now, policy);
        let motor = |metrics, is_definition: bool| Template {
            metrics,
            template_ref: (!is_definition).then(|| "Motor".into()),
            is_definition: Some(is_definition),
            ..Template::default()
        };
        let defined = template("Motor", motor(vec![metric("rpm", 1), metric("amps", 1)], true));
        let of = |metrics| template("M", motor(metrics, false));
        both.send("NBIRTH", vec![bd_seq(4), defined, of(vec![metric("rpm", 1)])]);
        both.pass(3);
        let births = both.world.host.births;
        both.send("NDATA", data(vec![of(vec![metric("amps", 2)])]));
        both.pass(3);
        assert_eq!(both.world.host.births, births + 1, "{copy}");
        both.send("NDATA", data(vec![of(vec![metric("amps", 3)])]));
        both.pass(3);
        assert_eq!(both.world.host.births, births + 1, "{copy}");
        let account = both.world.mirror.account();
        for reason in [Reason::Recheck, Reason::UnknownMetric] {
            assert_eq!(account.dropped_metrics(reason), 0, "{copy} {reason}");
        }
        let refused = |notice: &Notice| matches!(notice, Notice::FrameRefused { .. });
        assert!(!both.world.notices.iter().any(refused), "{:?}", both.world.notices);
    }
}

/// What an honest OT half doesn't write: it is taken out, counted and told.
#[test]
fn members_that_births_lack_and_properties_beyond_the_limit_are_counted_and_told() {
    let mut world = World::live(settings());
    world.relayed(
        "spBv1.0/g/NBIRTH/e",
        vec![bd_seq(4), definition("1", DataType::Int64), instance("M"), metric("a", 1)],
        false,
    );
    let Some(Value::Template(mut alien)) = instance("M").value else { panic!() };
    alien.metrics.push(metric("alien", 1));
    world.relayed("spBv1.0/g/NDATA/e", data(vec![template("M", *alien)]), false);
    let account = world.mirror.account();
    assert_eq!(account.dropped_metrics(Reason::UnknownMetric), 1);
    assert_eq!(account.dropped(Reason::UnknownMetric), 0);
    let told = |world: &World, words: &str| {
        world.notices.iter().any(|notice| {
            matches!(notice, Notice::FrameRefused { entity, .. } if entity.contains(words))
        })
    };
    assert!(told(&world, "g/e metric M/alien"), "{:?}", world.notices);
    for round in 0..2 {
        let keys = (0..200).map(|at| format!("k{}", round * 200 + at)).collect();
        let value = PropertyValue {
            r#type: Some(DataType::Int32.code()),
            value: Some(Property::Int(1)),
            ..PropertyValue::default()
        };
        let properties = Some(Box::new(PropertySet { keys, values: vec![value; 200] }));
        let metrics = data(vec![Metric { properties, ..metric("a", 2) }]);
        world.relayed("spBv1.0/g/NDATA/e", metrics, false);
    }
    assert_eq!(world.mirror.account().dropped_metrics(Reason::OverCap), 1);
    assert!(told(&world, "g/e metric a"), "{:?}", world.notices);
}

#[test]
fn history_of_an_instance_needs_the_definition_in_the_birth_in_force() {
    let birth = |has_value: bool| {
        let value = instance("i");
        let null = Metric { value: None, is_null: Some(true), ..instance("i") };
        let mut birth = vec![bd_seq(4), metric("a", 1)];
        birth.push(if has_value { value } else { null });
        birth.extend(has_value.then(|| definition("1", DataType::Int64)));
        birth
    };
    for has_value in [true, false] {
        let mut world = World::live(settings());
        world.relayed("spBv1.0/g/NBIRTH/e", birth(true), false);
        world.pass_alive(Duration::from_secs(5));
        world.broker_up = false;
        world.break_sessions();
        let mut missed = instance("i");
        if let Some(Value::Template(template)) = &mut missed.value {
            template.metrics[0] = Metric { datatype: None, ..metric("rpm", 9) };
        }
        world.relayed("spBv1.0/g/NDATA/e", data(vec![missed]), false);
        if !has_value {
            world.relayed("spBv1.0/g/NBIRTH/e", birth(false), false);
        }
        world.broker_up = true;
        world.pass_alive(Duration::from_secs(30));
        let is_told = world.notices.iter().any(|one| matches!(one, Notice::Unplaceable { .. }));
        assert_eq!(world.mirror.tally.backfilled, u64::from(has_value));
        assert_eq!(is_told, !has_value, "{:?}", world.notices);
    }
}

#[test]
fn a_missed_birth_with_a_definition_leaves_nothing_unplaced() {
    let birth =
        |value| vec![bd_seq(4), rebirth(), metric("a", value), definition("1", DataType::Int64)];
    let mut world = World::live(settings());
    world.broker_up = false;
    world.break_sessions();
    for value in [1, 2] {
        world.relayed("spBv1.0/g/NBIRTH/e", birth(value), false);
    }
    world.broker_up = true;
    world.pass_alive(Duration::from_secs(30));
    assert_eq!(world.host.historical["g/e/:a"], [1], "it is read again");
    assert_eq!(world.mirror.tally.unplaceable, 0, "{:?}", world.notices);
}
