//! Deaths, and edge nodes that nobody is sure of: what the relay believes, and what it says of it.

use std::fs;

use prost::Message;
use sparkplug::{DataType, Payload, Value};
use telemetry::Event;

use crate::checker::Excuse;
use crate::metrics::{int, metric, untyped};
use crate::peers::raw_edge::RawEdge;
use crate::relay::Half;
use crate::rig::{EVERYTHING, Rig, Variation};
use crate::waiting::wait_until;

fn bd_seq(number: u64) -> sparkplug::Metric {
    metric("bdSeq", DataType::Int64, Value::Long(number))
}

fn death(number: u64) -> Vec<u8> {
    Payload { metrics: vec![bd_seq(number)], ..Payload::default() }.encode_to_vec()
}

fn birth(number: u64, x: u32) -> Vec<u8> {
    let metrics = vec![bd_seq(number), int("x", x)];
    let timestamp = Some(crate::waiting::now_ms());
    Payload { timestamp, seq: Some(0), metrics, ..Payload::default() }.encode_to_vec()
}

#[test]
fn a_death_is_worth_what_the_births_before_it_say() {
    let Some(rig) = Rig::start(EVERYTHING) else { return };
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    let (births, deaths) = (edge.topic("NBIRTH", None), edge.topic("NDEATH", None));
    // A gateway that doesn't store its number is power-cycled, and its old will comes late.
    edge.publish(&births, birth(5, 1), false);
    edge.publish(&births, birth(0, 2), false);
    edge.publish(&deaths, death(5), false);
    rig.relay.wait_for_event(Half::Ot, Event::DeathIgnored, &["node=Plant/E", "bd_seq=5 birth=0"]);
    edge.ndata(&[untyped(int("x", 3))]).unwrap();
    rig.wait_for_value("Plant/E", "x", 3);
    // A will with a number that no birth had: dead, until something is heard.
    let before = rig.it.count("spBv1.0/Plant/NDEATH/E");
    edge.publish(&deaths, death(200), false);
    rig.relay.wait_for_event(Half::Ot, Event::DeathUnmatched, &["node=Plant/E", "bd_seq=200"]);
    rig.wait_for("spBv1.0/Plant/NDEATH/E", before + 1);
    edge.ndata(&[untyped(int("x", 4))]).unwrap();
    rig.wait_for_value("Plant/E", "x", 4);
    edge.publish(&deaths, death(0), false);
    rig.relay.wait_for_event(Half::Ot, Event::NodeDied, &["node=Plant/E", "bd_seq=0"]);
    rig.wait_for("spBv1.0/Plant/NDEATH/E", before + 2);
    rig.judge(Excuse::default());
}

#[test]
fn a_death_that_came_before_the_birth_that_it_ends_ends_it() {
    let Some(rig) = Rig::start(EVERYTHING) else { return };
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.publish(&edge.topic("NDEATH", None), death(7), false);
    edge.publish(&edge.topic("NBIRTH", None), birth(7, 1), false);
    rig.relay.wait_for_event(Half::Ot, Event::DeathOvertook, &["node=Plant/E"]);
    rig.wait_for("spBv1.0/Plant/NDEATH/E", 1);
    edge.ndata(&[untyped(int("x", 2))]).unwrap();
    rig.wait_for_value("Plant/E", "x", 2);
    rig.judge(Excuse::default());
}

#[test]
fn numbers_that_do_not_count_are_told_and_delay_nothing() {
    let Some(rig) = Rig::start(EVERYTHING) else { return };
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.nbirth(&[int("x", 0)]).unwrap();
    let topic = edge.topic("NDATA", None);
    for value in 1..20 {
        let metrics = vec![untyped(int("x", value))];
        let data = Payload { seq: Some(0), metrics, ..Payload::default() };
        edge.publish(&topic, data.encode_to_vec(), false);
    }
    rig.relay.wait_for_event(Half::Ot, Event::SeqNotCounted, &["node=Plant/E", "seq=0"]);
    rig.wait_for_value("Plant/E", "x", 19);
    rig.judge(Excuse::default());
}

#[test]
fn a_node_of_which_nothing_is_heard_after_a_restart_dies_until_it_is() {
    let variation =
        Variation { ot_extra: "[relay]\ndoubt-after-s = 5\n".into(), ..Variation::default() };
    let Some(mut rig) = Rig::prepare(EVERYTHING, &variation) else { return };
    rig.start_both();
    let mut quiet = RawEdge::connect(rig.ot_address(), "Plant", "Quiet");
    quiet.nbirth(&[int("x", 1)]).unwrap();
    rig.wait_for("spBv1.0/Plant/NBIRTH/Quiet", 1);
    rig.relay.kill(Half::Ot);
    rig.start_ot();
    rig.relay.wait_for_event(Half::Ot, Event::NodeUnheard, &["node=Plant/Quiet"]);
    rig.wait_for("spBv1.0/Plant/NDEATH/Quiet", 1);
    quiet.ndata(&[untyped(int("x", 2))]).unwrap();
    rig.wait_for_value("Plant/Quiet", "x", 2);
    rig.judge(Excuse::default());
}

#[test]
fn a_host_that_is_offline_on_ot_is_told_while_no_edge_node_lives() {
    let Some(rig) = Rig::start(EVERYTHING) else { return };
    let mut host = RawEdge::connect(rig.ot_address(), "Hosts", "scada");
    let state =
        |online| format!("{{\"online\":{online},\"timestamp\":{}}}", crate::waiting::now_ms());
    host.publish("spBv1.0/STATE/scada", state(false).into_bytes(), true);
    host.publish("STATE/old-scada", b"OFFLINE".to_vec(), true);
    let relay = &rig.relay;
    let words = ["host=scada topic=spBv1.0/STATE/scada silent=0 live=0"];
    relay.wait_for_event(Half::Ot, Event::HostOffline, &words);
    relay.wait_for_event(Half::Ot, Event::HostOffline, &["host=old-scada topic=STATE/old-scada"]);
    wait_until("health says so", || {
        let status = fs::read_to_string(relay.path("ot-state/status.json")).unwrap_or_default();
        status.contains("hosts are offline: old-scada, scada")
    });
    host.publish("spBv1.0/STATE/scada", state(true).into_bytes(), true);
    relay.wait_for_event(Half::Ot, Event::HostOnline, &["host=scada"]);
    assert_eq!(rig.it.count("spBv1.0/STATE/scada"), 0);
}
