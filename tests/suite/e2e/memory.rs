//! Memory: a plant that is made to take as much as it can leaves both halves within what `check` computes
//! of their configuration, and what is refused is told.

use std::fs;

use sparkplug::{Metric, Property, PropertySet, PropertyValue};
use telemetry::Event;

use crate::metrics::{int, string, untyped};
use crate::peers::raw_edge::RawEdge;
use crate::relay::Half;
use crate::rig::{EVERYTHING, Rig, Variation};
use crate::systemd::computed_mib;

/// Edge nodes of each kind.
const NODES: usize = 12;

fn rig(ot: &str, mirror: &str) -> Option<Rig> {
    let variation = Variation {
        ot_extra: format!("[relay]\n{ot}\n"),
        mirror: mirror.into(),
        ..Variation::default()
    };
    let mut rig = Rig::prepare(EVERYTHING, &variation)?;
    rig.start_both();
    Some(rig)
}

#[test]
fn births_beyond_what_may_be_remembered_are_refused_and_told_by_both_halves() {
    let Some(rig) = rig("max-node-bytes = 3145728", "max-node-bytes = 1048576") else { return };
    let metrics = |count: usize| (0..count).map(|at| int(&format!("m{at}"), 1)).collect::<Vec<_>>();
    let mut small = RawEdge::connect(rig.ot_address(), "Plant", "Small");
    small.nbirth(&metrics(10)).unwrap();
    let mut large = RawEdge::connect(rig.ot_address(), "Plant", "Large");
    large.nbirth(&metrics(6_000)).unwrap();
    let said = ["node=Plant/Large", "budget=1048576", "limit=mirror.max-node-bytes"];
    rig.relay.wait_for_event(Half::It, Event::MemoryRefused, &said);
    let mut larger = RawEdge::connect(rig.ot_address(), "Plant", "Larger");
    larger.nbirth(&metrics(19_000)).unwrap();
    let said = ["node=Plant/Larger", "budget=3145728", "limit=relay.max-node-bytes"];
    rig.relay.wait_for_event(Half::Ot, Event::MemoryRefused, &said);
    // The others go on.
    rig.relay.wait_for_event(Half::It, Event::NodeBorn, &["node=Plant/Small"]);
}

/// Births that take much memory, each in another way.
fn kinds() -> Vec<(&'static str, Vec<Metric>)> {
    let property = || PropertyValue { value: Some(Property::Int(1)), ..PropertyValue::default() };
    let with_properties = |at: usize| {
        let keys: Vec<String> = (0..200).map(|key| format!("{key}")).collect();
        let values = keys.iter().map(|_| property()).collect();
        let properties = Some(Box::new(PropertySet { keys, values }));
        Metric { properties, ..int(&format!("p{at}"), 1) }
    };
    let text = "x".repeat(60_000);
    vec![
        ("Tiny", (0..15_000).map(|at| int(&format!("{at}"), 1)).collect()),
        ("Names", (0..900).map(|at| int(&format!("{at}{}", "n".repeat(1_000)), 1)).collect()),
        ("Texts", (0..15).map(|at| string(&format!("t{at}"), &text)).collect()),
        ("Properties", (0..200).map(with_properties).collect()),
        (
            "Nulls",
            (0..9_000)
                .map(|at| Metric { value: None, is_null: Some(true), ..int(&format!("{at}"), 1) })
                .collect(),
        ),
    ]
}

#[test]
fn a_plant_made_to_take_much_stays_within_what_check_computes() {
    let keys = "max-node-bytes = 16777216\nmax-plant-bytes = 67108864";
    let Some(mut rig) = rig(keys, keys) else { return };
    let output = rig.relay.run(&["check", "ot.toml", "it.toml"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let computed: Vec<u64> = computed_mib(&text).collect();
    assert_eq!(computed.len(), 2, "{text}");
    let mut edges = Vec::new();
    for (name, metrics) in kinds() {
        for node in 0..NODES {
            let name = format!("{name}{node}");
            let mut edge = RawEdge::connect(rig.ot_address(), "Plant", &name);
            edge.nbirth(&metrics).unwrap();
            edges.push(edge);
        }
    }
    for edge in &mut edges {
        for value in 2..6 {
            let _ = edge.ndata(&[untyped(int("p1", value))]);
        }
    }
    rig.relay.wait_for_event(Half::Ot, Event::MemoryRefused, &["limit=relay.max-plant-bytes"]);
    // Behind all of it comes a birth for which there is room.
    let mut last = RawEdge::connect(rig.ot_address(), "Plant", "Last");
    last.nbirth(&[int("m", 1)]).unwrap();
    for node in ["node=Plant/Tiny0", "node=Plant/Last"] {
        rig.relay.wait_for_event(Half::It, Event::NodeBorn, &[node]);
    }
    // It was memory that ended it, and not a limit of one message's parts.
    let refused = format!(": {} ", Event::PayloadRefused.msgid());
    assert!(!rig.relay.log(Half::Ot).contains(&refused), "{}", rig.relay.log(Half::Ot));
    for (half, computed) in [Half::Ot, Half::It].into_iter().zip(computed) {
        let pid = rig.relay.pid(half);
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        println!("{}: {} MiB at its peak, {computed} MiB computed", half.name(), peak / 1024);
        assert!(peak / 1024 <= computed, "{}: {text}", half.name());
        assert!(peak / 1024 > 64, "{}: nothing was remembered", half.name());
    }
}
