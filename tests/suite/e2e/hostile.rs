//! What no edge node should send: it neither crosses nor stops what is good.

use prost::Message;
use sparkplug::{DataType, Metric, Payload, Template, Value};

use crate::checker::Excuse;
use crate::metrics::{command, int, metric, rebirth_command, template, untyped};
use crate::peers::raw_edge::RawEdge;
use crate::peers::srad_host::SradHost;
use crate::rig::{EVERYTHING, Rig, Variation};
use crate::waiting::now_ms;

#[test]
fn what_breaks_the_rules_neither_crosses_nor_stops_what_is_good() {
    let Some(rig) = Rig::start(EVERYTHING) else { return };
    let host = SradHost::start(rig.it_address(), "enterprise");
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "Bad");
    let good = || Payload { metrics: vec![int("count", 1)], seq: Some(0), ..Payload::default() };
    let bytes = good().encode_to_vec();

    // Data before birth, and of devices that were never born.
    edge.ndata(&[untyped(int("early", 1))]).unwrap();
    edge.ddata("Ghost", &[untyped(int("early", 1))]).unwrap();
    edge.ddeath("Ghost").unwrap();
    // Other namespaces, types and shapes of topics; commands and STATE.
    for topic in [
        "spAv1.0/Plant/NDATA/Bad",
        "spBv1.0/Plant/NRECORD/Bad",
        "spBv1.0/Plant/NMETA/Bad",
        "spBv1.0/Plant/NDATA",
        "spBv1.0/Plant/NDATA/Bad/Device/More",
        "spBv1.0/Plant/DDATA/Bad",
        "spBv1.0//NBIRTH/Bad",
        "spBv1.0/Plant/STATE/scada",
        "spBv1.0/STATE/scada",
        "STATE/scada",
        "plain/topic",
    ] {
        edge.publish(topic, bytes.clone(), false);
    }
    edge.publish("spBv1.0/Plant/NCMD/Bad", rebirth_command(), false);
    edge.publish("spBv1.0/Plant/DCMD/Bad/D", command("x", Value::Int(1)), false);
    // Payloads that aren't.
    for payload in [vec![0xff; 64], vec![0x08], vec![0x12, 0x7f, 1], deep_template()] {
        edge.publish("spBv1.0/Plant/NBIRTH/Broken", payload.clone(), false);
        edge.publish("spBv1.0/Plant/NDATA/Broken", payload, false);
    }
    edge.nbirth(&[int("count", 1)]).unwrap();
    edge.dbirth("D", &[int("count", 1)]).unwrap();
    let unborn = Metric { alias: Some(77), ..untyped(int("", 1)) };
    edge.ddata("D", &[Metric { name: None, ..unborn }, untyped(int("count", 2))]).unwrap();
    edge.ddata("D", &[untyped(int("count", 3))]).unwrap();
    host.wait_for("Plant/Bad/D", "count", 3);

    for publish in rig.it.arrivals() {
        let levels: Vec<_> = publish.topic.split('/').collect();
        let relayed = matches!(
            levels[..],
            ["spBv1.0", "Plant", "NBIRTH" | "NDATA", "Bad"]
                | ["spBv1.0", "Plant", "DBIRTH" | "DDATA", "Bad", "D"]
        );
        let of_the_host = matches!(levels[..], ["spBv1.0", "STATE", "enterprise"]);
        // Of a birth with a value that is nested too deeply, the metric's name crosses.
        let without_value = matches!(levels[..], ["spBv1.0", "Plant", "NBIRTH", "Broken"])
            && !publish.payload.windows(8).any(|bytes| bytes == b"level 88");
        assert!(relayed || of_the_host || without_value, "{publish:?}");
    }
    assert_eq!(host.stale(), 0);
    rig.judge(Excuse::default());
}

#[test]
fn a_stored_birth_teaches_the_layout_and_is_no_sign_of_life() {
    let Some(mut rig) = Rig::prepare(EVERYTHING, &Variation::default()) else { return };
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    let with_alias = |value| Metric { alias: Some(7), ..int("count", value) };
    let birth = [
        metric("bdSeq", DataType::Int64, Value::Long(0)),
        metric("Node Control/Rebirth", DataType::Boolean, Value::Boolean(false)),
        with_alias(1),
    ];
    let payload = Payload {
        timestamp: Some(now_ms()),
        metrics: birth.to_vec(),
        seq: Some(0),
        ..Payload::default()
    };
    edge.publish("spBv1.0/Plant/NBIRTH/E", payload.encode_to_vec(), true);
    // A second node, that is alive: when it is on IT, the first one could be too.
    rig.start_both();
    let mut other = RawEdge::connect(rig.ot_address(), "Plant", "Other");
    other.nbirth(&[int("count", 1)]).unwrap();
    rig.wait_for("spBv1.0/Plant/NBIRTH/Other", 1);
    assert_eq!(rig.it.count("spBv1.0/Plant/NBIRTH/E"), 0, "a stored birth is no sign of life");

    // The first live message, by alias, is one.
    edge.ndata(&[Metric { name: None, ..untyped(with_alias(2)) }]).unwrap();
    rig.wait_for_value("Plant/E", "count", 2);
    edge.leave();
    rig.wait_for("spBv1.0/Plant/NDEATH/E", 1);
    rig.judge(Excuse::default());
}

/// A template in a template, far deeper than anyone needs.
fn deep_template() -> Vec<u8> {
    let mut metric = int("leaf", 1);
    for level in 0..90 {
        let value = Template { metrics: vec![metric], ..Template::default() };
        metric = template(&format!("level {level}"), value);
    }
    Payload { metrics: vec![metric], seq: Some(0), ..Payload::default() }.encode_to_vec()
}
