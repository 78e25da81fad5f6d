//! SIGHUP: a new policy takes effect without a restart; a bad one changes nothing.

use rustix::process::Signal;
use sparkplug::{Metric, Property};

use crate::checker::Excuse;
use crate::metrics::{int, untyped};
use crate::packet::Packet;
use crate::peers::raw_edge::RawEdge;
use crate::peers::srad_host::SradHost;
use crate::relay::Half;
use crate::rig::{Rig, Variation};
use crate::waiting::wait_until;
use crate::wire::{Record, ot_guard};

const COUNTER_ONLY: &str = r#"
[[rule]]
name = "counter"
action = "forward"
group = "Plant"
allow-metrics = ["Line/Counter"]
"#;

const COUNTER_AND_SPEED: &str = r#"
[[rule]]
name = "counter"
action = "forward"
group = "Plant"
allow-metrics = ["Line/Counter", "Line/Speed"]
"#;

const BAD: &str = r#"
[[rule]]
name = "counter"
action = "forward"
topic = "spBv1.0/Plant/NCMD/#"
"#;

#[test]
fn sighup_changes_the_policy_by_new_births_and_a_bad_policy_changes_nothing() {
    let Some(mut rig) = Rig::start(COUNTER_ONLY) else { return };
    let host = SradHost::start(rig.it_address(), "enterprise");
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.nbirth(&[int("Line/Counter", 1), int("Line/Speed", 70)]).unwrap();
    edge.dbirth("D", &[int("Line/Counter", 1), int("Line/Speed", 80)]).unwrap();
    let (node, device) = ("spBv1.0/Plant/NBIRTH/E", "spBv1.0/Plant/DBIRTH/E/D");
    rig.wait_for(device, 1);
    assert!(rig.it.numbers(node, "Line/Speed").is_empty());
    edge.ndata(&[untyped(int("Line/Counter", 2)), untyped(int("Line/Speed", 71))]).unwrap();
    edge.ddata("D", &[untyped(int("Line/Speed", 81)), untyped(int("Line/Counter", 2))]).unwrap();
    host.wait_for("Plant/E/D", "Line/Counter", 2);

    // More metrics: the births carry them, without values, since none of what was denied is kept.
    rig.relay.write_policy(COUNTER_AND_SPEED);
    rig.relay.signal(Half::Ot, Signal::HUP);
    rig.wait_for(device, 2);
    let quality = |metric: &Metric| -> Option<u32> {
        let properties = metric.properties.as_ref()?;
        let place = properties.keys.iter().position(|key| key == "Quality")?;
        match properties.values[place].value {
            Some(Property::Int(code)) => Some(code),
            _ => None,
        }
    };
    for topic in [node, device] {
        let birth = rig.it.payloads(topic).pop().unwrap();
        let speed = birth.metrics.iter().find(|metric| metric.name() == "Line/Speed").unwrap();
        assert_eq!((speed.is_null, &speed.value), (Some(true), &None), "{topic}");
        assert_eq!(quality(speed), Some(0), "{topic}");
    }
    assert_eq!(rig.it.numbers(node, "Line/Counter"), [1, 2]);
    // The device's alone: this host ignores the metrics of an NBIRTH within a session.
    edge.ddata("D", &[untyped(int("Line/Speed", 82))]).unwrap();
    host.wait_for("Plant/E/D", "Line/Speed", 82);

    // A policy that names commands is refused, and says so; what was allowed stays allowed.
    rig.relay.write_policy(BAD);
    rig.relay.signal(Half::Ot, Signal::HUP);
    rig.relay.wait_for_log(Half::Ot, &["policy.toml"]);
    edge.ddata("D", &[untyped(int("Line/Speed", 83))]).unwrap();
    host.wait_for("Plant/E/D", "Line/Speed", 83);

    // Fewer metrics: the births are without them, and so is the data.
    rig.relay.write_policy(COUNTER_ONLY);
    rig.relay.signal(Half::Ot, Signal::HUP);
    rig.wait_for(device, 3);
    let last = rig.it.payloads(device).pop().unwrap();
    assert!(last.metrics.iter().all(|metric| metric.name() != "Line/Speed"), "{last:?}");
    edge.ddata("D", &[untyped(int("Line/Speed", 84)), untyped(int("Line/Counter", 3))]).unwrap();
    host.wait_for("Plant/E/D", "Line/Counter", 3);
    assert_eq!(host.live("Plant/E/D", "Line/Speed").last(), Some(&83));

    assert_eq!(rig.it.count("spBv1.0/Plant/NCMD/E"), 0, "the host asked for a rebirth");
    rig.judge(Excuse::default());
}

#[test]
fn sighup_changes_the_subscriptions() {
    let rule = |group: &str| {
        format!("[[rule]]\nname = \"{group}\"\naction = \"forward\"\ngroup = \"{group}\"\n")
            .replacen("Plant", "plant", 1)
    };
    let (plant, plant_2) = (rule("Plant"), rule("Plant2"));
    let Some(mut rig) = Rig::start(&plant) else { return };
    let mut first = RawEdge::connect(rig.ot_address(), "Plant", "E");
    let mut second = RawEdge::connect(rig.ot_address(), "Plant2", "E");
    first.nbirth(&[int("count", 1)]).unwrap();
    second.nbirth(&[int("count", 1)]).unwrap();
    rig.wait_for("spBv1.0/Plant/NBIRTH/E", 1);

    rig.relay.write_policy(&format!("{plant}{plant_2}"));
    rig.relay.signal(Half::Ot, Signal::HUP);
    wait_until("the OT half subscribes to the second group", || rig.subscriptions() == 2);
    second.nbirth(&[int("count", 2)]).unwrap();
    rig.wait_for_value("Plant2/E", "count", 2);

    // Without its rule the node is dead on IT, and the plant isn't listened to any more.
    rig.relay.write_policy(&plant);
    rig.relay.signal(Half::Ot, Signal::HUP);
    rig.wait_for("spBv1.0/Plant2/NDEATH/E", 1);
    let unsubscribed = |record: &Record| match record.sent() {
        Some(Packet::Unsubscribe { filters, .. }) => {
            filters.iter().all(|filter| filter.starts_with("spBv1.0/Plant2/"))
        }
        _ => false,
    };
    wait_until("the OT half unsubscribes", || rig.ot_proxy.count(unsubscribed) == 1);
    first.ndata(&[untyped(int("count", 3))]).unwrap();
    rig.wait_for_value("Plant/E", "count", 3);

    // UNSUBSCRIBE is the answer to an operator's SIGHUP and to nothing else.
    let mut records = rig.ot_proxy.records();
    records.retain(|record| !unsubscribed(record));
    assert_eq!(ot_guard(&records), Vec::<String>::new());
}

#[test]
fn a_half_does_not_start_with_a_bad_policy() {
    let Some(mut rig) = Rig::prepare(BAD, &Variation::default()) else { return };
    rig.relay.start(Half::Ot);
    let status = rig.relay.wait(Half::Ot);
    assert_eq!(status.code(), Some(78), "{}", rig.relay.log(Half::Ot));
    assert!(rig.ot_proxy.records().is_empty(), "it connected nevertheless");
}
